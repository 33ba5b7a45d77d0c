"""The fused engine: all processors that can be are called row by row inside one compiled loop.

A waveform and what is computed from it stay in the core's own cache from the first processor to the last; only output
columns leave it. Steps without a row form run in blocks, as in the plain engine, between the row programs. Results
equal the plain engine's bit by bit. A program is immutable and may run in several threads at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from pygama_core.accelerate_rows import Argument, row_function, run_rows
from pygama_core.dsp.plain import Arrays, Program, Sink, assign_buffers, source_array
from pygama_core.dsp.plan import Constant, Plan, Step, Use, Variable
from pygama_core.dsp.row_forms import RowStep, row_step, uses
from pygama_core.errors import ProcessorError
from pygama_core.lh5.types import Table

BLOCK_ROWS = 256
BLOCK_BYTES = 8 << 20  # of the variables that leave the row program, at a time
ALIGNMENT = 64
NO_WORDS = np.empty(0, np.int64)


@dataclass(frozen=True, eq=False)
class RowProgram:
    """Steps that run row by row; the words are those of :mod:`pygama_core.accelerate_rows`.

    ``scratch`` lists the words that count from the thread's own memory, ``moving`` those that follow the row: with the
    variable, and the byte within its row.
    """

    steps: tuple[Step, ...]
    functions: np.ndarray
    places: np.ndarray
    words: np.ndarray
    scratch: np.ndarray
    moving: np.ndarray
    sources: tuple[tuple[str, int], ...]
    keep: tuple[Any, ...]  # compiled functions, and constants in memory


@dataclass(frozen=True, eq=False)
class FusedProgram:
    """A plan as row programs with block steps between them."""

    plain: Program
    parts: tuple[RowProgram | Step, ...]
    block_variables: tuple[Variable, ...]
    scratch_bytes: int
    block_rows: int
    reasons: dict[str, str]  # steps without row form, by label -> why

    @property
    def plan(self) -> Plan:
        """What is executed."""
        return self.plain.plan

    @classmethod
    def make(cls, plan: Plan, name: str = "", block_rows: int | None = None) -> FusedProgram:
        """Compile what is not compiled yet, and lay out the memory."""
        plain = Program.make(plan, name)
        variables = {v.name: v for v in plan.variables}
        forms = [row_step(step, variables) for step in plan.steps]
        by_kind = groupby(enumerate(forms), lambda pair: isinstance(pair[1], RowStep) or -pair[0])
        runs = [list(run) for _, run in by_kind]
        shared = _shared(plan, [[plan.steps[i] for i, _ in run] for run in runs])
        layout = _Layout(plain, frozenset(shared), variables)
        parts: list[RowProgram | Step] = []
        for run in runs:
            rows = [form for _, form in run if isinstance(form, RowStep)]
            parts.append(layout.row_program(rows) if rows else plan.steps[run[0][0]])
        block_variables = tuple(variables[n] for n in shared if n not in layout.inputs and not variables[n].constant)
        n_bytes = sum(_row_bytes(v) for v in block_variables)
        rows_at_once = block_rows or max(1, min(BLOCK_ROWS, BLOCK_BYTES // max(n_bytes, 1)))
        reasons = {step.label: form for step, form in zip(plan.steps, forms, strict=True) if isinstance(form, str)}
        return cls(plain, tuple(parts), block_variables, layout.scratch_bytes, rows_at_once, reasons)

    def costs(self, table: Table, n_calls: int = 500) -> list[tuple[Step, float]]:
        """Measure the steps that run row by row: (step, CPU time of one row with its data in the cache [s])."""
        run = _Run(self, table, 0, {i.variable: source_array(table, i, "") for i in self.plan.inputs}, self._blocks(1))
        run.block(slice(0, 1))
        measured = []
        for part, words in zip(self.parts, run.words, strict=True):
            if not isinstance(part, RowProgram):
                continue
            for i, step in enumerate(part.steps):
                begun = time.thread_time()
                run_rows(0, n_calls, part.functions[i : i + 1], part.places[i : i + 1], words, *[NO_WORDS] * 3)
                measured.append((step, (time.thread_time() - begun) / n_calls))
        return measured

    def _blocks(self, n_rows: int) -> Arrays:
        return {v.name: np.empty((n_rows, *v.shape), v.dtype) for v in self.block_variables}

    def execute(self, table: Table, first_row: int = 0) -> Table:
        """Run the plan over all rows of a table; ``first_row`` only counts in messages.

        Raises
        ------
        ProcessorError : if a processor refuses its arguments; names processor, row and values
        LH5Error : if the table is not of the layout that the plan was made for
        """
        n_rows = table.n_rows
        sources = {i.variable: source_array(table, i, self.plain.name) for i in self.plan.inputs}
        sinks = {o.name: Sink(o, n_rows) for o in self.plan.outputs if o.path is None}
        run = _Run(self, table, first_row, sources, self._blocks(min(self.block_rows, n_rows)))
        for start in range(0, n_rows, self.block_rows):
            rows = slice(start, min(start + self.block_rows, n_rows))
            arrays = run.block(rows)
            for sink in sinks.values():
                sink.fill(arrays, rows)
        return self.plain.table(table, sinks, sources)


@dataclass(eq=False)
class _Run:
    """One execution: the memory of one thread."""

    program: FusedProgram
    table: Table
    first_row: int
    sources: Arrays
    blocks: Arrays
    scratch: np.ndarray = field(init=False)
    words: list[np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        self.scratch = np.empty(self.program.scratch_bytes + ALIGNMENT, np.uint8)
        base = -(-self.scratch.ctypes.data // ALIGNMENT) * ALIGNMENT
        self.words = []
        for part in self.program.parts:
            words = part.words.copy() if isinstance(part, RowProgram) else np.empty(0, np.int64)
            if isinstance(part, RowProgram):
                words[part.scratch] += base
            self.words.append(words)

    def block(self, rows: slice) -> Arrays:
        """Compute some rows; return the variables that outputs are made of."""
        n = rows.stop - rows.start
        arrays = dict(self.program.plain.constants)
        arrays.update({name: source[rows] for name, source in self.sources.items()})
        arrays.update({name: block[:n] for name, block in self.blocks.items()})
        for part, words in zip(self.program.parts, self.words, strict=True):
            if isinstance(part, RowProgram):
                self._run_rows(part, words, rows)
            else:
                label = f"rows {self.first_row + rows.start} to {self.first_row + rows.stop - 1}"
                with np.errstate(all="ignore"):
                    self.program.plain.run_step(part, arrays, label)
        return arrays

    def _run_rows(self, part: RowProgram, words: np.ndarray, rows: slice) -> None:
        bases = np.empty(len(part.sources), np.int64)
        strides = np.empty(len(part.sources), np.int64)
        for i, (name, offset) in enumerate(part.sources):
            is_input = name in self.sources
            array = self.sources[name] if is_input else self.blocks[name]
            strides[i] = array.strides[0]
            # a block's memory begins with the block's first row
            bases[i] = array.ctypes.data + offset - (0 if is_input else rows.start * array.strides[0])
        failure = run_rows(rows.start, rows.stop, part.functions, part.places, words, part.moving, bases, strides)
        if failure >= 0:
            self._explain(failure // len(part.functions), part.steps[failure % len(part.functions)])

    def _explain(self, row: int, step: Step) -> None:
        """Raise what the plain engine says of a row."""
        self.program.plain.execute(self.table.rows(slice(row, row + 1)), self.first_row + row)
        raise ProcessorError(
            f"{self.program.plain.name}: {step.label}: {step.processor} failed on row {self.first_row + row}, but not "
            f"when repeated; please report it"
        )


class _Layout:
    """Gives each variable of the row programs its place in memory."""

    def __init__(self, plain: Program, shared: frozenset[str], variables: dict[str, Variable]) -> None:
        self.plain, self.shared, self.variables = plain, shared, variables
        self.inputs = {i.variable for i in plain.plan.inputs}
        assigned, buffers = assign_buffers(plain.plan)
        used = {i for name, i in assigned.items() if name not in shared}
        starts: dict[int, int] = {}
        self.scratch_bytes = 0
        for i, (shape, dtype) in enumerate(buffers):
            if i in used:
                starts[i] = self.scratch_bytes
                n_bytes = max(int(np.prod(shape)), 1) * np.dtype(dtype).itemsize
                self.scratch_bytes += -(-n_bytes // ALIGNMENT) * ALIGNMENT
        self.starts = {name: starts[i] for name, i in assigned.items() if name not in shared}

    def row_program(self, forms: Sequence[RowStep]) -> RowProgram:
        """Write the program of consecutive steps."""
        words: list[int] = []
        places, scratch, moving = [], [], []
        sources: list[tuple[str, int]] = []
        keep: list[Any] = []
        for form in forms:
            places.append(len(words))
            arguments = tuple(Argument(*kind) for kind in form.types)
            keep.append(row_function(form.function, arguments, exact=form.is_exact))
            for operand, lengths in zip((*form.step.inputs, *form.step.outputs), form.lengths, strict=True):
                if isinstance(operand, Constant):
                    keep.append(np.array([self.plain.plan.values[operand.slot]], operand.dtype))
                    address = keep[-1].ctypes.data
                else:
                    address, kind = self._address(operand)
                    if kind == "scratch":
                        scratch.append(len(words))
                    elif kind == "moving":
                        moving.append(len(words))
                        sources.append((operand.variable, address))
                words += [address, *lengths]
        functions = [k.address for k in keep if hasattr(k, "address")]
        return RowProgram(
            tuple(form.step for form in forms),
            np.array(functions, np.int64),
            np.array(places, np.int64),
            np.array(words, np.int64),
            np.array(scratch, np.int64),
            np.array(moving, np.int64),
            tuple(sources),
            tuple(keep),
        )

    def _address(self, use: Use) -> tuple[int, str]:
        """Return the address, or the byte within scratch memory or within the variable's row."""
        variable = self.variables[use.variable]
        first = use.start if use.index is None else use.index
        if first < 0:
            first += variable.shape[0]
        offset = first * np.dtype(variable.dtype).itemsize
        if variable.constant:
            return self.plain.constants[use.variable].ctypes.data + offset, "fixed"
        if use.variable in self.inputs or use.variable in self.shared:
            return offset, "moving"
        return self.starts[use.variable] + offset, "scratch"


def _shared(plan: Plan, runs: Sequence[Sequence[Step]]) -> list[str]:
    """Return the variables that leave the part in which they are made: for an output column or another part."""
    parts_of: dict[str, set[int]] = {}
    for i, run in enumerate(runs):
        # a step that runs in blocks has its arguments in blocks
        is_block = len(run) == 1 and isinstance(row_step(run[0], {v.name: v for v in plan.variables}), str)
        for step in run:
            for use in uses(step):
                parts_of.setdefault(use.variable, set()).update({i, -1} if is_block else {i})
    kept = {use.variable for o in plan.outputs for use in (o.use, o.length) if use is not None}
    kept |= {t0 for o in plan.outputs for t0 in _starts(o) if t0}
    return [v.name for v in plan.variables if v.name in kept or len(parts_of.get(v.name, ())) > 1]


def _starts(output: Any) -> Iterator[str | None]:
    yield output.t0
    if output.axis is not None:
        yield output.axis.t0


def _row_bytes(variable: Variable) -> int:
    return int(np.prod(variable.shape)) * np.dtype(variable.dtype).itemsize
