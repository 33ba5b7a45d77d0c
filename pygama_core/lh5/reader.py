"""Read LH5 objects: whole, some columns, some rows."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import h5py
import numpy as np

from pygama_core.errors import LH5Error
from pygama_core.lh5 import datatypes
from pygama_core.lh5.types import Array, Attrs, Column, LH5Object, Scalar, Struct, Table, VectorOfVectors

Rows: TypeAlias = slice | np.ndarray | None
# attributes that steer reading and are not handed to the user; `codec*` may survive on decoded arrays in old files
RESERVED = ("datatype",)


class Reader:
    """An open LH5 file, for many reads; use as a context manager.

    Raises
    ------
    LH5Error
        if the file is missing or is no HDF5 file
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self._file = h5py.File(self.path, "r", locking=False)
        except FileNotFoundError as error:
            raise LH5Error(f"{self.path}: no such file") from error
        except OSError as error:
            raise LH5Error(f"{self.path}: not a readable HDF5 file ({error}); truncated, or another format") from error

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def ls(self, pattern: str = "*") -> list[str]:
        """Return the sorted names that match a pattern such as ``ch*/raw``, one wildcard part per group level."""
        found = [""]
        for part in pattern.strip("/").split("/"):
            found = [f"{parent}/{name}".strip("/") for parent in found for name in self._matching(parent, part)]
        return sorted(found)

    def _matching(self, parent: str, part: str) -> list[str]:
        group = self._file[parent] if parent else self._file
        return fnmatch.filter(group, part) if isinstance(group, h5py.Group) else []

    def exists(self, name: str) -> bool:
        """Whether an object of this name is in the file."""
        return name in self._file

    def n_rows(self, name: str) -> int:
        """Return the number of rows of an array, ragged vector or table."""
        return _n_rows(self._object(name))

    def attrs(self, name: str) -> Attrs:
        """Return the attributes of an object, without ``datatype``."""
        return _attrs(self._object(name))

    def read(self, name: str, *, columns: Sequence[str] | None = None, rows: Rows = None) -> Any:
        """Read one object; see :func:`read`."""
        return _read(self._object(name), rows, columns)

    def _object(self, name: str) -> h5py.Group | h5py.Dataset:
        if name not in self._file:
            known = ", ".join(list(self._file)[:20])
            raise LH5Error(f"{self.path}: no object {name!r}; at the top of the file are: {known or 'none'}")
        return self._file[name]


def read(path: str | os.PathLike[str], name: str, *, columns: Sequence[str] | None = None, rows: Rows = None) -> Any:
    """Read one LH5 object.

    Parameters
    ----------
    path, name
        file and name of the object inside, such as ``ch1104000/raw``
    columns
        names of the columns of a table or members of a struct to read; None reads all. ``a/b`` reaches into nested
        tables
    rows
        a slice, or an array of row numbers (any order, duplicates allowed) or a boolean mask; None reads all

    Returns
    -------
    Array, VectorOfVectors, Table, Struct or Scalar

    Raises
    ------
    LH5Error
        if file, object or column is missing, or stored in a way this reader does not know
    """
    with Reader(path) as file:
        return file.read(name, columns=columns, rows=rows)


def ls(path: str | os.PathLike[str], pattern: str = "*") -> list[str]:
    """Return the sorted names in a file that match a pattern such as ``ch*/raw``."""
    with Reader(path) as file:
        return file.ls(pattern)


def exists(path: str | os.PathLike[str], name: str) -> bool:
    """Whether the file holds an object of this name."""
    with Reader(path) as file:
        return file.exists(name)


def n_rows(path: str | os.PathLike[str], name: str) -> int:
    """Return the number of rows of an object in a file."""
    with Reader(path) as file:
        return file.n_rows(name)


def _where(obj: h5py.Group | h5py.Dataset) -> str:
    return f"{obj.file.filename}: {obj.name}"


def _datatype(obj: h5py.Group | h5py.Dataset) -> str:
    value = obj.attrs.get("datatype")
    if value is None:
        raise LH5Error(f"{_where(obj)} has no datatype attribute; it is a plain HDF5 group or was not written as LH5")
    return (value.decode() if isinstance(value, bytes) else str(value)).strip()


def _attrs(obj: h5py.Group | h5py.Dataset) -> Attrs:
    attrs: Attrs = {}
    for name, value in obj.attrs.items():
        if name in RESERVED:
            continue
        plain = value.decode() if isinstance(value, bytes) else value
        attrs[name] = plain.item() if isinstance(plain, np.generic) else plain
    return attrs


def _n_rows(obj: h5py.Group | h5py.Dataset) -> int:
    if isinstance(obj, h5py.Dataset):
        return int(obj.shape[0]) if obj.shape else 1
    if "cumulative_length" in obj:
        return int(obj["cumulative_length"].shape[0])
    if _datatype(obj).startswith("table{"):
        return next((_n_rows(obj[name]) for name in obj), 0)
    raise LH5Error(f"{_where(obj)} is a {_datatype(obj)}, which has no rows")


def _read(obj: h5py.Group | h5py.Dataset, rows: Rows, columns: Sequence[str] | None) -> LH5Object:
    datatype = _datatype(obj)
    if composite := datatypes.COMPOSITE.fullmatch(datatype):
        return _read_composite(obj, composite["kind"], rows, columns)
    if columns is not None:
        raise LH5Error(f"{_where(obj)} is a {datatype}; only tables and structs have columns")
    if datatypes.is_scalar(datatype):
        return _read_scalar(obj, datatype)
    if datatypes.VECTOR_OF_VECTORS.fullmatch(datatype):
        return _read_ragged(obj, rows)
    if datatypes.ENCODED.fullmatch(datatype):
        raise LH5Error(
            f"{_where(obj)} is encoded with {obj.attrs.get('codec')!r}; this version reads plain arrays only"
        )
    if datatypes.ARRAY.fullmatch(datatype) and isinstance(obj, h5py.Dataset):
        return _read_array(obj, rows, is_bool="{bool}" in datatype)
    raise LH5Error(f"{_where(obj)}: unknown datatype {datatype!r}")


def _read_scalar(obj: h5py.Dataset, datatype: str) -> Scalar:
    value = obj[()]
    if isinstance(value, bytes):
        value = value.decode()
    elif datatype == "bool":
        value = bool(value)
    elif isinstance(value, np.generic):
        value = value.item()
    return Scalar(value, _attrs(obj))


def _read_composite(obj: h5py.Group, kind: str, rows: Rows, columns: Sequence[str] | None) -> Table | Struct:
    wanted: dict[str, list[str]] = {name: [] for name in obj} if columns is None else {}
    for column in columns or ():
        name, _, rest = column.partition("/")
        wanted.setdefault(name, [])
        if rest:
            wanted[name].append(rest)
    missing = [name for name in wanted if name not in obj]
    if missing:
        raise LH5Error(f"{_where(obj)}: no column {', '.join(missing)}; it has {', '.join(obj)}")
    members: dict[str, Any] = {name: _read(obj[name], rows, inner or None) for name, inner in wanted.items()}
    return Table(members, _attrs(obj)) if kind == "table" else Struct(members, _attrs(obj))


def _read_array(obj: h5py.Dataset, rows: Rows, *, is_bool: bool) -> Array:
    values = _read_rows(obj, rows)
    if is_bool:
        values = values.astype(bool)
    elif values.dtype.byteorder == ">":
        values = values.astype(values.dtype.newbyteorder("="))
    return Array(values, _attrs(obj))


def _read_rows(obj: h5py.Dataset, rows: Rows) -> np.ndarray:
    if rows is None or isinstance(rows, slice):
        return np.asarray(obj[rows if rows is not None else ...])
    index = _row_numbers(rows, obj.shape[0], _where(obj))
    if not len(index):
        return np.asarray(obj[:0])
    # one contiguous read beats HDF5's point selection unless the rows are far apart
    first, last = int(index.min()), int(index.max()) + 1
    if len(index) * 20 > last - first:
        window: np.ndarray = obj[first:last]
        return np.asarray(window[index - first])
    unique, inverse = np.unique(index, return_inverse=True)
    picked: np.ndarray = obj[unique]
    return np.asarray(picked[inverse])


def _row_numbers(rows: np.ndarray, total: int, where: str) -> np.ndarray:
    rows = np.asarray(rows)
    if rows.dtype == bool:
        if len(rows) != total:
            raise LH5Error(f"{where}: mask of {len(rows)} rows for {total} rows")
        return np.flatnonzero(rows)
    index = rows.astype(np.int64)
    if len(index) and (index.min() < 0 or index.max() >= total):
        raise LH5Error(f"{where}: row numbers {index.min()} … {index.max()} outside 0 … {total - 1}")
    return np.asarray(index)


def _read_ragged(obj: h5py.Group, rows: Rows) -> VectorOfVectors:
    ends = np.asarray(obj["cumulative_length"][:]).astype(np.int64)
    if len(ends) and np.any(np.diff(ends) < 0):
        raise LH5Error(f"{_where(obj)}: cumulative_length decreases; the object is damaged")
    attrs = _attrs(obj)
    if rows is None:
        return VectorOfVectors(_flattened(obj, slice(0, int(ends[-1]) if len(ends) else 0)), ends, attrs)
    if isinstance(rows, slice) and rows.step in (None, 1):
        first, last, _ = rows.indices(len(ends))
        start = int(ends[first - 1]) if first > 0 and len(ends) else 0
        picked = ends[first:last]
        stop = int(picked[-1]) if len(picked) else start
        return VectorOfVectors(_flattened(obj, slice(start, stop)), picked - start, attrs)
    whole = _read_ragged(obj, None)
    selection = rows if isinstance(rows, slice) else _row_numbers(rows, len(ends), _where(obj))
    return whole.rows(selection)


def _flattened(obj: h5py.Group, rows: slice) -> np.ndarray | VectorOfVectors:
    flat: Column | LH5Object = _read(obj["flattened_data"], rows, None)
    if isinstance(flat, Array):
        return flat.values
    if isinstance(flat, VectorOfVectors):
        return flat
    raise LH5Error(f"{_where(obj)}: flattened_data is a {type(flat).__name__}; expected an array or vector of vectors")
