"""Read large tables block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pygama_core.errors import LH5Error
from pygama_core.lh5.reader import Files, Reader, paths
from pygama_core.lh5.rows import Rows, Selection, n_selected, select

BLOCK_ROWS = 8192


@dataclass(frozen=True, eq=False)
class Block:
    """Rows of one file, and where they come from."""

    table: Any  # Table, Array, VectorOfVectors or EncodedArray: a new object for each block
    path: Path
    rows: Selection  # in that file
    first_row: int  # of the file, in all files counted through

    @property
    def global_rows(self) -> np.ndarray:
        """Row numbers counted through all files, (n,) int64."""
        if isinstance(self.rows, slice):
            return np.arange(self.rows.start, self.rows.stop) + self.first_row
        return self.rows + self.first_row


def blocks(
    files: Files,
    name: str,
    columns: Sequence[str] | None = None,
    n_rows: int = BLOCK_ROWS,
    *,
    rows: Rows = None,
    decode: bool = True,
) -> Iterator[Block]:
    """Yield an object of one or many files in blocks with their origin.

    Parameters
    ----------
    files, name, columns, decode
        as for :func:`pygama_core.lh5.read`
    n_rows
        most rows of a block; a block never spans two files
    rows
        rows wanted, counted through all files. Row numbers that do not increase give blocks in the files' order

    Raises
    ------
    LH5Error
        as :func:`pygama_core.lh5.read`
    """
    if n_rows < 1:
        raise LH5Error(f"blocks of {n_rows} rows; need at least 1")
    listed = paths(files)
    wanted: Selection | None = None
    if rows is not None:
        totals = [_n_rows(path, name) for path in listed]
        wanted = select(rows, sum(totals), f"{listed[0]} … {listed[-1]}: {name}")
    first = 0
    for path in listed:
        with Reader(path) as file:
            total = file.n_rows(name)
            local = slice(0, total) if wanted is None else _local(wanted, first, total)
            for part in _cut(local, n_rows):
                table = file.read(name, columns=columns, rows=part, decode=decode)
                yield Block(table, path, part, first)
        first += total


def iterate(
    files: Files,
    name: str,
    columns: Sequence[str] | None = None,
    n_rows: int = BLOCK_ROWS,
    *,
    rows: Rows = None,
) -> Iterator[Any]:
    """Yield an object of one or many files in blocks, each a new Table (or array); see :func:`blocks`."""
    for block in blocks(files, name, columns, n_rows, rows=rows):
        yield block.table


def _n_rows(path: Path, name: str) -> int:
    with Reader(path) as file:
        return file.n_rows(name)


def _local(wanted: Selection, first: int, total: int) -> Selection:
    if isinstance(wanted, slice):
        start, stop = (int(np.clip(edge - first, 0, total)) for edge in (wanted.start, wanted.stop))
        return slice(start, stop)
    inside = (wanted >= first) & (wanted < first + total)
    return np.asarray(wanted[inside] - first)


def _cut(selection: Selection, n_rows: int) -> Iterator[Selection]:
    for start in range(0, n_selected(selection), n_rows):
        if isinstance(selection, slice):
            yield slice(selection.start + start, min(selection.start + start + n_rows, selection.stop))
        else:
            yield selection[start : start + n_rows]
