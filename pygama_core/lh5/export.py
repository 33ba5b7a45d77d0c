"""Write a table of an LH5 file in the formats of other tools, block by block."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from pygama_core.errors import LH5Error
from pygama_core.expression import Expression
from pygama_core.lh5.query import matches
from pygama_core.lh5.reader import Reader
from pygama_core.lh5.text import write_csv
from pygama_core.lh5.types import Table

BLOCK_ROWS = 1 << 14
FORMATS = (".csv", ".parquet", ".arrow", ".feather")


def export(
    path: str | os.PathLike[str],
    name: str,
    output: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    where: str | None = None,
) -> int:
    """Write a table as CSV, Parquet or Arrow (Feather); return the number of rows.

    Parameters
    ----------
    path, name : file and table inside
    output : file to write; its ending decides the format
    columns : columns to write; None: all
    where : expression of columns that holds for the rows to write

    Raises
    ------
    LH5Error
        if the object is no table, the ending is not known, or pyarrow is missing
    """
    output = Path(output)
    if output.suffix not in FORMATS:
        raise LH5Error(f"{output}: format {output.suffix!r} is not known; known endings are {', '.join(FORMATS)}")
    part = output.with_name(f".{output.name}.part")
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        blocks = _blocks(Path(path), name, columns, where)
        n_rows = write_csv(part, blocks) if output.suffix == ".csv" else _write_arrow(part, output.suffix, blocks)
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
    return n_rows


def _blocks(path: Path, name: str, columns: Sequence[str] | None, where: str | None) -> Iterator[Table]:
    condition = Expression(where, where=f"where {where!r}") if where else None
    with Reader(path) as file:
        total = file.n_rows(name)
        for first in range(0, max(total, 1), BLOCK_ROWS):
            rows = np.arange(first, min(first + BLOCK_ROWS, total))
            if condition is not None:
                needed = sorted(column.replace(".", "/") for column in condition.names)
                rows = rows[matches(file.read(name, columns=needed, rows=rows), condition)]
            block = file.read(name, columns=columns, rows=rows)
            if not isinstance(block, Table):
                raise LH5Error(f"{path}: {name!r} is a {type(block).__name__}; only tables can be exported")
            yield block


def _write_arrow(path: Path, ending: str, blocks: Iterator[Table]) -> int:
    try:
        arrow = import_module("pyarrow")
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise LH5Error(f"{path.name}: needs the package pyarrow ({error}); install it, or export as .csv") from error
    from pygama_core.lh5.convert import to_arrow

    n_rows = 0
    writer: Any = None
    try:
        for block in blocks:
            table = to_arrow(block)
            if writer is None:
                is_parquet = ending == ".parquet"
                make = parquet.ParquetWriter if is_parquet else arrow.ipc.new_file
                writer = make(str(path), table.schema)
            writer.write_table(table)
            n_rows += block.n_rows
    finally:
        if writer is not None:
            writer.close()
    return n_rows
