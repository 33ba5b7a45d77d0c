"""LH5 objects as text: aligned lines, JSON values, CSV."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from pygama_core.lh5.types import Array, Scalar, Struct, Table, VectorOfVectors

if TYPE_CHECKING:
    from pygama_core.lh5.reader import Reader

MAX_ITEMS = 6  # elements of a row shown by `head`


def flat_columns(table: Table, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (name, column) with the columns of nested tables as ``a/b``."""
    for name, column in table.columns.items():
        if isinstance(column, Table):
            yield from flat_columns(column, f"{prefix}{name}/")
        else:
            yield prefix + name, column


def plain(value: Any) -> Any:
    """Return a value or the rows of a column as JSON knows them: lists, numbers, text; NaN is None."""
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, VectorOfVectors):
        return [plain(value[row]) for row in range(len(value))]
    if isinstance(value, Array):
        return plain(value.values)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return str(value) if isinstance(value, complex) else value


def json_object(obj: Any) -> Any:
    """Return a whole object as JSON values; tables by column."""
    if isinstance(obj, Table):
        return {name: json_object(column) for name, column in obj.columns.items()}
    if isinstance(obj, Struct):
        return {name: json_object(member) for name, member in obj.members.items()}
    if isinstance(obj, Scalar):
        return plain(obj.value)
    return plain(obj) if isinstance(obj, Array | VectorOfVectors) else repr(obj)


def first_rows(file: Reader, name: str, rows: slice) -> dict[str, Any]:
    """Return the members of a struct as JSON values, each with some of its rows only; structs inside likewise."""
    found: dict[str, Any] = {}
    for path in file.ls(f"{name}/*"):
        member = path.rpartition("/")[2]
        if file.datatype(path).startswith("struct{"):
            found[member] = first_rows(file, path, rows)
        else:
            found[member] = json_object(file.read(path, rows=rows if file.has_rows(path) else None))
    return found


def flat_lines(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (path, short text) of nested values."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat_lines(value, f"{prefix}{name}/")
        else:
            yield prefix + name, short(value)


def short(value: Any) -> str:
    """Return one cell for people: a few digits, long rows cut."""
    if isinstance(value, list):
        items = [short(item) for item in value[:MAX_ITEMS]]
        more = [f"… {len(value)}"] if len(value) > MAX_ITEMS else []
        return f"[{' '.join([*items, *more])}]"
    if isinstance(value, float):
        return f"{value:.7g}"
    return "nan" if value is None else str(value)


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Iterator[str]:
    """Yield lines of columns padded to one width; ``right`` names those that are numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        yield "  ".join(cells).rstrip()


def pages(rows: Sequence[Sequence[str]], right: Sequence[int], width: int | None) -> Iterator[str]:
    """Yield lines as :func:`aligned`; tables too wide are cut into blocks that repeat the first column."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    blocks: list[list[int]] = [[]]
    used = 0
    for k in range(1, len(widths)):
        if width is not None and blocks[-1] and widths[0] + used + 2 + widths[k] > width:
            blocks.append([])
            used = 0
        blocks[-1].append(k)
        used += 2 + widths[k]
    for number, block in enumerate(blocks):
        if number:
            yield ""
        chosen = [0, *block]
        yield from aligned([[row[k] for k in chosen] for row in rows], [n for n, k in enumerate(chosen) if k in right])


def size(n_bytes: float) -> str:
    """Return a size for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def write_csv(path: Path, blocks: Iterable[Table]) -> int:
    """Write tables of the same columns below each other; return the number of rows. Ragged cells are JSON lists."""
    n_rows = 0
    with path.open("w", newline="") as out:
        for number, block in enumerate(blocks):
            n_rows += _write_block(out, block, with_header=number == 0)
    return n_rows


def _write_block(out: TextIO, block: Table, *, with_header: bool) -> int:
    writer = csv.writer(out)
    columns = list(flat_columns(block))
    if with_header:
        writer.writerow([name for name, _ in columns])
    cells = [[json.dumps(v) if isinstance(v, list) else v for v in plain(column)] for _, column in columns]
    writer.writerows(zip(*cells, strict=True))
    return block.n_rows
