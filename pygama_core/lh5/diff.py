"""Compare two LH5 files by content: chunking, compression, codecs and order of fields do not count."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import h5py
import numpy as np

from pygama_core.errors import LH5Error
from pygama_core.lh5.inspect import BLOCK_BYTES, datatype_of, kind_of, n_rows_of, open_hdf5
from pygama_core.lh5.integrity import CODEC_ATTRIBUTES, DIGEST
from pygama_core.lh5.reader import Reader
from pygama_core.lh5.types import VectorOfVectors

Stored: TypeAlias = "h5py.Group | h5py.Dataset"


@dataclass(frozen=True)
class Tolerance:
    """Numbers a and b are equal if ``|a - b| <= absolute + relative * |b|``; NaN equals NaN."""

    relative: float = 0.0
    absolute: float = 0.0


@dataclass(frozen=True)
class Difference:
    """One difference between two files."""

    name: str
    what: str  # "missing", "kind", "dtype", "rows", "shape", "attribute", "values"
    detail: str


def diff(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str],
    *,
    tolerance: Tolerance = Tolerance(),
    dtypes: bool = True,
    attributes: bool = True,
) -> list[Difference]:
    """Return the differences between two files, by name.

    Parameters
    ----------
    a, b
        files
    tolerance
        of numbers; integers, too
    dtypes
        whether numbers of different type count as different although the values agree
    attributes
        whether attributes are compared

    Raises
    ------
    LH5Error
        if a file is missing or an object cannot be read
    """
    with open_hdf5(a) as file_a, open_hdf5(b) as file_b, Reader(a) as reader_a, Reader(b) as reader_b:
        comparison = _Comparison((reader_a, reader_b), tolerance, dtypes, attributes)
        return list(comparison.groups("", file_a, file_b))


@dataclass(frozen=True)
class _Comparison:
    readers: tuple[Reader, Reader]
    tolerance: Tolerance
    dtypes: bool
    attributes: bool
    _compared: set[Any] = field(default_factory=set)  # pairs of objects; one with several names is compared once

    def groups(self, name: str, a: h5py.Group, b: h5py.Group) -> Iterator[Difference]:
        for member in sorted(set(a) | set(b)):
            inner = f"{name}/{member}".strip("/")
            links = [group.get(member, getlink=True) for group in (a, b)]
            if None in links:
                yield Difference(inner, "missing", f"only in {'b' if links[0] is None else 'a'}")
            elif not all(isinstance(link, h5py.HardLink) for link in links):
                yield from _links(inner, *links)
            else:
                yield from self.objects(inner, a[member], b[member])

    def objects(self, name: str, a: Stored, b: Stored) -> Iterator[Difference]:
        if (a.id, b.id) in self._compared:
            return
        self._compared.add((a.id, b.id))
        kinds = kind_of(a), kind_of(b)
        if self.attributes:
            yield from self._attributes(name, a, b)
        if "encoded" in kinds and {"array", "ragged"} & set(kinds):
            yield from self._values(name, a, b)
        elif kinds[0] != kinds[1]:
            yield Difference(name, "kind", f"{datatype_of(a) or kinds[0]} and {datatype_of(b) or kinds[1]}")
        elif kinds[0] in ("table", "struct", "group", "view"):
            yield from self.groups(name, a, b)
        else:
            yield from self._values(name, a, b)

    def _attributes(self, name: str, a: Stored, b: Stored) -> Iterator[Difference]:
        ignored = {"datatype", DIGEST, *CODEC_ATTRIBUTES}
        for key in sorted((set(a.attrs) | set(b.attrs)) - ignored):
            texts = [repr(_plain(obj.attrs.get(key))) for obj in (a, b)]
            if texts[0] != texts[1]:
                yield Difference(name, "attribute", f"{key}: {texts[0]} and {texts[1]}")
        elements = [_element(datatype_of(obj)) for obj in (a, b)]
        if elements[0] != elements[1] and kind_of(a) not in ("table", "struct", "group"):
            yield Difference(name, "kind", f"{datatype_of(a)} and {datatype_of(b)}")

    def _values(self, name: str, a: Stored, b: Stored) -> Iterator[Difference]:
        rows = n_rows_of(a), n_rows_of(b)
        if rows[0] != rows[1]:
            yield Difference(name, "rows", f"{rows[0]} and {rows[1]}")
            return
        found = _Deviation(self.tolerance)
        for first, blocks in self._blocks(name, (a, b), rows[0]):
            problem = found.add(first, *blocks)
            if problem:
                yield Difference(name, *problem)
                return
        if self.dtypes and found.dtypes[0] != found.dtypes[1]:
            yield Difference(name, "dtype", f"{found.dtypes[0]} and {found.dtypes[1]}")
        if found.n_different:
            yield Difference(name, "values", found.text())

    def _blocks(self, name: str, objs: tuple[Stored, Stored], rows: int | None) -> Iterator[tuple[int, list[Any]]]:
        raw = [kind_of(obj) in ("dataset", "scalar") for obj in objs]
        if rows is None or any(raw):
            yield 0, [_column(obj[()]) for obj in objs]
            return
        step = max(1, BLOCK_BYTES // max(_row_bytes(obj, rows) for obj in objs))
        for first in range(0, max(rows, 1), step):
            selected = slice(first, min(first + step, rows))
            yield first, [_content(reader.read(name, rows=selected)) for reader in self.readers]


def _row_bytes(obj: Stored, rows: int) -> int:
    if isinstance(obj, h5py.Dataset):
        return max(1, int(obj.nbytes) // max(rows, 1))
    if kind_of(obj) == "encoded":
        return 4 * int(np.max(obj["decoded_size"][()], initial=1))
    flat = n_rows_of(obj["flattened_data"]) or 0
    return max(8, flat // max(rows, 1) * _row_bytes(obj["flattened_data"], max(flat, 1)))


def _content(obj: Any) -> list[np.ndarray]:
    """Return the arrays that make up a column: lengths of ragged rows, then the numbers."""
    parts = []
    while isinstance(obj, VectorOfVectors):
        parts.append(obj.lengths)
        obj = obj.flattened_data
    values = obj if isinstance(obj, np.ndarray) else getattr(obj, "values", None)
    if not isinstance(values, np.ndarray):
        raise LH5Error(f"cannot compare a {type(obj).__name__}")
    return [*parts, values]


def _column(value: Any) -> list[np.ndarray]:
    return [np.asarray([value] if np.ndim(value) == 0 else value)]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _element(datatype: str) -> str:
    """Return the element type in a datatype of numbers."""
    return datatype.rpartition("{")[2].rstrip("}")


def _links(name: str, a: Any, b: Any) -> Iterator[Difference]:
    texts = [f"{type(link).__name__} {getattr(link, 'filename', '')} {getattr(link, 'path', '')}" for link in (a, b)]
    if texts[0] != texts[1]:
        yield Difference(name, "kind", f"{texts[0].strip()} and {texts[1].strip()}")


class _Deviation:
    """Running summary of where two columns differ."""

    def __init__(self, tolerance: Tolerance) -> None:
        self._tolerance = tolerance
        self.dtypes: tuple[str, str] = ("", "")
        self.n_different = self.n_values = 0
        self._first = -1
        self._largest = 0.0

    def add(self, first_row: int, a: list[np.ndarray], b: list[np.ndarray]) -> tuple[str, str] | None:
        """Compare two blocks; return (what, detail) if they cannot be compared by element."""
        self.dtypes = str(a[-1].dtype), str(b[-1].dtype)
        if len(a) != len(b):
            return "kind", f"ragged to depth {len(a) - 1} and {len(b) - 1}"
        for left, right in zip(a, b, strict=True):
            if left.shape != right.shape:
                is_lengths = left is not a[-1] or len(a) > 1
                return (
                    "shape",
                    "rows have different lengths" if is_lengths else f"{left.shape[1:]} and {right.shape[1:]}",
                )
        for left, right in zip(a[:-1], b[:-1], strict=True):
            if not np.array_equal(left, right):
                return "shape", f"row {first_row + int(np.argmax(left != right))} has another length"
        self._compare(first_row, a[-1], b[-1], is_flat=len(a) > 1)
        return None

    def _compare(self, first_row: int, a: np.ndarray, b: np.ndarray, *, is_flat: bool) -> None:
        self.n_values += a.size
        different = _different(a, b, self._tolerance)
        n = int(np.count_nonzero(different))
        if not n:
            return
        if not self.n_different:
            place = int(np.flatnonzero(different.reshape(len(different), -1).any(axis=1))[0])
            self._first = place if is_flat else first_row + place
            self._unit = "element" if is_flat else "row"
        self.n_different += n
        if a.dtype.kind in "biuf" and b.dtype.kind in "biuf":
            with np.errstate(all="ignore"):
                deviation = np.abs(a[different].astype(np.float64) - b[different].astype(np.float64))
            self._largest = max(self._largest, float(np.max(deviation, initial=0.0, where=~np.isnan(deviation))))

    def text(self) -> str:
        """Return the summary."""
        largest = f", largest deviation {self._largest:g}" if self._largest else ""
        return f"{self.n_different} of {self.n_values} differ, first in {self._unit} {self._first}{largest}"


def _different(a: np.ndarray, b: np.ndarray, tolerance: Tolerance) -> np.ndarray:
    """Return where values differ by more than the tolerance; NaN equals NaN."""
    different = np.asarray(a != b)
    if not (a.dtype.kind in "biufc" and b.dtype.kind in "biufc") or not different.any():
        return different
    if a.dtype.kind in "fc" and b.dtype.kind in "fc":
        different &= ~(np.isnan(a) & np.isnan(b))
    if tolerance != Tolerance():
        wide = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
        left, right = a.astype(wide), b.astype(wide)
        with np.errstate(all="ignore"):
            near = np.abs(left - right) <= tolerance.absolute + tolerance.relative * np.abs(right)
        different &= ~near
    return different
