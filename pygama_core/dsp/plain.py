"""The plain engine: one processor after another over blocks of rows that stay in the cache.

It is the reference that any faster engine must equal. A :class:`Program` is immutable and may run in several threads
at once; each run has its own buffers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pygama_core.dsp.plan import Constant, Input, Operand, Output, Plan, Shape, Step, Use
from pygama_core.dsp.registry import get
from pygama_core.errors import LH5Error, ProcessorError
from pygama_core.lh5.types import Array, Attrs, Column, Table, VectorOfVectors

BLOCK_BYTES = 256 * 1024  # of the longest array: a handful of such buffers stay in the second-level cache
MIN_ROWS, MAX_ROWS = 8, 1024

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Program:
    """A plan with its kernels, its constant arrays and its buffers' layout."""

    plan: Plan
    name: str  # what messages call the table, such as ch1104000
    block_rows: int
    kernels: tuple[Callable[..., Any], ...]
    constants: Arrays
    buffer_of: dict[str, int]  # variable -> buffer
    buffers: tuple[tuple[Shape, str], ...]

    @classmethod
    def make(cls, plan: Plan, name: str = "", block_rows: int | None = None) -> Program:
        """Prepare a plan for execution: load kernels, compute what is the same for all rows."""
        buffer_of, buffers = assign_buffers(plan)
        longest = max((int(np.prod(v.shape)) * np.dtype(v.dtype).itemsize for v in plan.variables), default=1)
        rows = block_rows or min(max(BLOCK_BYTES // max(longest, 1), MIN_ROWS), MAX_ROWS)
        kernels = tuple(get(step.processor).kernel for step in plan.steps)
        program = cls(plan, name, rows, kernels, {}, buffer_of, buffers)
        program.constants.update(program._run_setup())
        return program

    def _run_setup(self) -> Arrays:
        arrays: Arrays = {v.name: np.empty((1, *v.shape), v.dtype) for v in self.plan.variables if v.constant}
        with np.errstate(all="ignore"):
            for step in self.plan.setup:
                inputs, outputs = self._arguments(step, arrays)
                self._call(get(step.processor).kernel, step, [*inputs, *outputs], "set-up")
        return arrays

    def _arguments(self, step: Step, arrays: Arrays) -> tuple[list[Any], list[Any]]:
        return [self._operand(operand, arrays) for operand in step.inputs], [arrays[u.variable] for u in step.outputs]

    def _operand(self, operand: Operand, arrays: Arrays) -> Any:
        if isinstance(operand, Constant):
            return np.asarray(self.plan.values[operand.slot], operand.dtype)
        return view(operand, arrays[operand.variable])

    def _call(self, kernel: Callable[..., Any], step: Step, arguments: list[Any], rows: str) -> None:
        try:
            kernel(*arguments)
        except ProcessorError as error:
            processor = get(step.processor)
            shown = ", ".join(
                f"{n}={_show(a)}" for n, a in zip(processor.arguments, arguments[: len(step.inputs)], strict=False)
            )
            where = f"{self.name}: {step.label}" if self.name else step.label
            raise ProcessorError(f"{where}: {processor.title} on {rows}: {error}; found {shown}") from error

    def execute(self, table: Table, first_row: int = 0) -> Table:
        """Run the plan over all rows of a table; ``first_row`` only counts in messages.

        Raises
        ------
        ProcessorError : if a processor refuses its arguments; names processor, rows and values
        LH5Error : if the table is not of the layout that the plan was made for
        """
        n_rows = table.n_rows
        sources = {i.variable: source_array(table, i, self.name) for i in self.plan.inputs}
        columns = {o.name: Sink(o, n_rows) for o in self.plan.outputs if o.path is None}
        buffers = [np.empty((min(self.block_rows, n_rows), *shape), dtype) for shape, dtype in self.buffers]
        with np.errstate(all="ignore"):
            for start in range(0, n_rows, self.block_rows):
                rows = slice(start, min(start + self.block_rows, n_rows))
                arrays = self._block(sources, buffers, rows)
                label = f"rows {first_row + rows.start} to {first_row + rows.stop - 1}"
                for kernel, step in zip(self.kernels, self.plan.steps, strict=True):
                    inputs, outputs = self._arguments(step, arrays)
                    self._call(kernel, step, inputs + outputs, label)
                for sink in columns.values():
                    sink.fill(arrays, rows)
        return self.table(table, columns, sources)

    def run_step(self, step: Step, arrays: Arrays, rows: str) -> None:
        """Run one step on a block; ``rows`` names it in messages."""
        inputs, outputs = self._arguments(step, arrays)
        self._call(get(step.processor).kernel, step, inputs + outputs, rows)

    def table(self, table: Table, sinks: dict[str, Sink], sources: Arrays) -> Table:
        """Return the output table from its filled columns."""
        return Table({o.name: self._column(o, table, sinks, sources) for o in self.plan.outputs})

    def _block(self, sources: Arrays, buffers: Sequence[np.ndarray], rows: slice) -> Arrays:
        n = rows.stop - rows.start
        arrays = dict(self.constants)
        arrays.update({name: source[rows] for name, source in sources.items()})
        arrays.update({name: buffers[i][:n] for name, i in self.buffer_of.items()})
        return arrays

    def _column(self, output: Output, table: Table, sinks: dict[str, Sink], sources: Arrays) -> Column:
        if output.path is not None:
            return table[output.path[0]]
        column = sinks[output.name].column(self.plan)
        if output.axis is None:
            return column
        start = np.full(table.n_rows, output.axis.offset)
        if output.axis.t0 is not None:
            start += sources[output.axis.t0]
        period = np.full(table.n_rows, output.axis.period)
        in_ns: Attrs = {"units": "ns"}
        return Table({"t0": Array(start, in_ns), "dt": Array(period, dict(in_ns)), "values": column})


class Sink:
    """One output column while it is filled."""

    def __init__(self, output: Output, n_rows: int) -> None:
        self.output = output
        self.n_rows = n_rows
        self.values: np.ndarray | None = None
        self.flat: list[np.ndarray] = []
        self.lengths = np.zeros(n_rows, np.int64)

    def fill(self, arrays: Arrays, rows: slice) -> None:
        """Take the rows of a block, converted to the unit of the column."""
        output = self.output
        assert output.use is not None
        block = view(output.use, arrays[output.use.variable])
        if output.is_time:
            block = self._times(block, arrays)
        block = np.broadcast_to(block, (rows.stop - rows.start, *block.shape[1:]))
        if output.length is None:
            if self.values is None:
                self.values = np.empty((self.n_rows, *block.shape[1:]), block.dtype)
            self.values[rows] = block
            return
        counts = np.nan_to_num(view(output.length, arrays[output.length.variable])).astype(np.int64)
        self.lengths[rows] = counts
        self.flat.append(block[np.arange(block.shape[1]) < self.lengths[rows, np.newaxis]])

    def _times(self, block: np.ndarray, arrays: Arrays) -> np.ndarray:
        output = self.output
        times = block * np.float64(output.scale) + output.offset
        if output.t0 is not None:
            starts = arrays[output.t0] * output.t0_scale
            times += starts.reshape(len(starts), *([1] * (times.ndim - 1)))
        return times.astype(block.dtype)

    def column(self, plan: Plan) -> Array | VectorOfVectors:
        """Return the whole column."""
        output = self.output
        assert output.use is not None
        attrs: Attrs = dict(output.attrs)
        empty = np.empty((0, *_shape_of(output.use, plan)), _dtype_of(output.use, plan))
        if output.length is None:
            return Array(empty if self.values is None else self.values, attrs)
        flat = np.concatenate(self.flat) if self.flat else empty.reshape(-1)
        return VectorOfVectors(flat, np.cumsum(self.lengths), attrs)


def view(use: Use, array: np.ndarray) -> np.ndarray:
    """Return the used part of a block."""
    if use.index is not None:
        array = array[..., use.index]
    elif not use.whole:
        array = array[..., use.start : use.stop : use.step]
    return array.reshape(len(array), *([1] * use.pad), *array.shape[1:]) if use.pad else array


def _shape_of(use: Use, plan: Plan) -> Shape:
    variable = next(v for v in plan.variables if v.name == use.variable)
    return view(use, np.empty((1, *variable.shape), "b1")).shape[1:]


def _dtype_of(use: Use, plan: Plan) -> str:
    return next(v.dtype for v in plan.variables if v.name == use.variable)


def _show(argument: Any) -> str:
    """Return an argument for a message: numbers as they are, a scalar of each row by its range, arrays by shape."""
    array = np.asarray(argument)
    if array.ndim == 0:
        return str(array)
    if array.ndim == 1:
        return f"{array.min()}..{array.max()}"
    return f"array of {array.shape[-1]}"


def source_array(table: Table, source: Input, name: str) -> np.ndarray:
    """Return an input column in native byte order, times in ns."""
    where = f"{name}: column {'/'.join(source.path)}"
    column: Any = table
    for part in source.path:
        if not isinstance(column, Table) or part not in column:
            raise LH5Error(f"{where} is missing; the plan was made for a table that has it")
        parent, column = column, column[part]
    if not isinstance(column, Array):
        raise LH5Error(f"{where} is {type(column).__name__}; the plan was made for an array")
    values = column.values
    if source.path[-1] == "t0":
        return values * np.float64(source.scale)
    if source.period is not None and len(values):
        dt = parent.array("dt") * source.scale
        wrong = np.flatnonzero(np.abs(dt - source.period) > 1e-6 * source.period)
        if len(wrong):
            raise LH5Error(
                f"{where}: row {wrong[0]} has a sampling period of {dt[wrong[0]]} ns, the table began with "
                f"{source.period} ns; {len(wrong)} rows differ, split the table by dt"
            )
    return np.ascontiguousarray(values, values.dtype.newbyteorder("="))


def assign_buffers(plan: Plan) -> tuple[dict[str, int], tuple[tuple[Shape, str], ...]]:
    """Give each variable a buffer; arrays that are not needed any more pass theirs on."""
    variables = {v.name: v for v in plan.variables}
    last: dict[str, int] = {}
    for position, step in enumerate(plan.steps):
        last.update({use.variable: position for use in (*step.inputs, *step.outputs) if isinstance(use, Use)})
    kept = {use.variable for o in plan.outputs for use in (o.use, o.length) if use is not None}
    buffers: list[tuple[Shape, str]] = []
    free: dict[tuple[Shape, str], list[int]] = {}
    assigned: dict[str, int] = {}
    for position, step in enumerate(plan.steps):
        for use in step.outputs:
            variable = variables[use.variable]
            layout = (variable.shape, variable.dtype)
            if not free.get(layout):
                free.setdefault(layout, []).append(len(buffers))
                buffers.append(layout)
            assigned[use.variable] = free[layout].pop()
        for name in {u.variable for u in (*step.inputs, *step.outputs) if isinstance(u, Use)}:
            if last[name] == position and name in assigned and name not in kept:
                free[variables[name].shape, variables[name].dtype].append(assigned[name])
    return assigned, tuple(buffers)
