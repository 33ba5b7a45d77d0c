"""The files a DAQ file is decoded into: one, or several as an output specification says; all appear whole or none."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

from pygama_core import lh5
from pygama_core.daq.daqfile import Block
from pygama_core.daq.proc_spec import ProcSpec
from pygama_core.daq.routing import MAIN, Router, SpecRouter, Target
from pygama_core.daq.row_order import RowOrder
from pygama_core.lh5.types import Scalar, Struct, Table

AnyRouter: TypeAlias = Router | SpecRouter


class RawOutput:
    """Open raw files; use as a context manager.

    Parameters
    ----------
    raw_file : the file that takes what has no file of its own, the account and the provenance
    router : where each block goes
    codec : of the waveforms' samples, as :class:`pygama_core.lh5.Writer` takes it
    """

    def __init__(self, raw_file: Path, router: AnyRouter, codec: str | None = None) -> None:
        self._raw_file = raw_file
        self._router = router
        self._codec = codec
        self._writers: dict[Path, lh5.Writer] = {}
        self._named: dict[str, lh5.Writer] = {}  # as blocks name them: to resolve a path takes some system calls
        self._order = RowOrder()
        self._n_written: dict[tuple[str, str], int] = {}
        self._chains: dict[int, Any] = {}
        self._warnings: dict[str, None] = {}
        self.left_out: dict[str, int] = {}

    def __enter__(self) -> RawOutput:
        with contextlib.ExitStack() as stack:
            self._files = stack
            self._writer(MAIN)
            self._files = stack.pop_all()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._files.__exit__(kind, error, trace)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What of the specification had no effect."""
        return tuple(self._warnings)

    def add(self, block: Block) -> None:
        """Write a block."""
        target = self._router.target(block)
        if target is None:
            n_rows = block.table.n_rows if isinstance(block.table, Table) else 1
            key = str(block.key)
            self.left_out[key] = self.left_out.get(key, 0) + n_rows
        elif not isinstance(block.table, Table):
            self._write_single(target, block.table)
        elif target.is_shared:
            for place, table in self._order.add(target, block):
                self._append(place, table)
        else:
            self._append(target, block.table)

    def finish(self) -> None:
        """Write the rows that still wait for others, and the aliases."""
        for place, table in self._order.rest():
            if isinstance(place, Target):
                self._append(place, table)
        for target, alias in self._router.links():
            self._writer(target.file).link(target.table, alias)

    def write_everywhere(self, name: str, obj: Struct) -> None:
        """Write an object into every file."""
        for writer in self._writers.values():
            writer.write(name, obj)

    def _append(self, target: Target, table: Table) -> None:
        if target.proc_spec is not None:
            where = f"output specification: {target.proc_spec.where}.proc_spec.drop"
            for name in target.proc_spec.missing(table):
                self._warnings[f"{where}: no column {name!r} in {target.table}"] = None
            table = target.proc_spec.apply(table, self._run_dsp(target.proc_spec))
        self._writer(target.file).append(target.table, table)

    def _write_single(self, target: Target, obj: Struct | Scalar) -> None:
        place = (target.file, target.table)
        n = self._n_written.get(place, 0)
        self._n_written[place] = n + 1
        self._writer(target.file).write(f"{target.table}_{n}" if n else target.table, obj)

    def _writer(self, file: str) -> lh5.Writer:
        if file not in self._named:
            path = Path(file) if file else self._raw_file
            if path.resolve() == self._raw_file.resolve():
                path = self._raw_file
            if path not in self._writers:
                self._writers[path] = self._files.enter_context(lh5.Writer(path, codec=self._codec))
            self._named[file] = self._writers[path]
        return self._named[file]

    def _run_dsp(self, spec: ProcSpec) -> Any:
        """Return a function that runs the entry's processing chain, compiled once."""

        def run(config: Mapping[str, Any] | str, table: Table) -> Table:
            if id(spec) not in self._chains:
                from pygama_core.dsp.chain import ProcessingChain

                self._chains[id(spec)] = ProcessingChain(config, name=spec.where)
            result: Table = self._chains[id(spec)].execute(table)
            return result

        return run
