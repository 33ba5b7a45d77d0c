"""Write LH5 files: tables that grow by blocks, and single objects; a file appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import h5py
import numpy as np

from pygama_core.atomic import replacing
from pygama_core.errors import LH5Error
from pygama_core.lh5.chunks import GrowingDataset
from pygama_core.lh5.datatypes import array_datatype, composite_datatype, element_type
from pygama_core.lh5.types import Array, Attrs, Column, LH5Object, Scalar, Struct, Table, VectorOfVectors


class Writer:
    """A new LH5 file; use as a context manager.

    The file is written beside its final name and renamed when the block ends without an error; on an error, or when the
    process is killed, a file that stood there before stays as it was.

    Parameters
    ----------
    path
        the file to make; its directory is made if it is missing
    n_threads
        threads that compress chunks; default: the number of cores this process may use
    """

    def __init__(self, path: str | os.PathLike[str], n_threads: int | None = None) -> None:
        self.path = Path(path)
        self._n_threads = n_threads or len(os.sched_getaffinity(0))
        self._growing: dict[str, _Growing] = {}

    def __enter__(self) -> Writer:
        with contextlib.ExitStack() as stack:
            partial = stack.enter_context(replacing(self.path))
            self._pool = stack.enter_context(ThreadPoolExecutor(self._n_threads))
            self._file = stack.enter_context(h5py.File(partial, "w", locking=False))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._stack:  # an error below reaches it, so that the partial file is removed and not renamed
            if error is not None:
                raise error
            for growing in self._growing.values():
                growing.finish()

    def append(self, name: str, obj: Column) -> None:
        """Add rows to an array, ragged vector or table, which the first call makes.

        Raises
        ------
        LH5Error
            if columns, dtype, row shape or units differ from those of the first call
        """
        if name not in self._growing:
            parent, leaf = self._parent(name)
            self._growing[name] = _grow(parent, leaf, obj, self._pool)
        self._growing[name].append(obj)

    def write(self, name: str, obj: LH5Object) -> None:
        """Write one whole object."""
        if isinstance(obj, Scalar | Struct):
            parent, leaf = self._parent(name)
            _write_single(parent, leaf, obj, self._pool)
        else:
            parent, leaf = self._parent(name)
            growing = _grow(parent, leaf, obj, self._pool)
            growing.append(obj)
            growing.finish()

    def link(self, existing: str, alias: str) -> None:
        """Make ``alias`` a hard link to an object that is already in the file."""
        parent, leaf = self._parent(alias)
        if existing not in self._file:
            raise LH5Error(f"{self.path}: cannot link {alias!r} to {existing!r}, which was not written")
        parent[leaf] = self._file[existing]

    def _parent(self, name: str) -> tuple[h5py.Group, str]:
        group, _, leaf = name.strip("/").rpartition("/")
        parent = self._file.require_group(group) if group else self._file
        if leaf in parent:
            raise LH5Error(f"{self.path}: {name!r} was already written")
        return parent, leaf


def _set_attrs(obj: h5py.Group | h5py.Dataset, datatype: str, attrs: Attrs) -> None:
    obj.attrs["datatype"] = datatype
    for name, value in attrs.items():
        if name == "datatype":
            continue
        if not isinstance(value, str | int | float | np.generic):
            raise LH5Error(f"{obj.name}: attribute {name!r} is a {type(value).__name__}; only scalars can be stored")
        obj.attrs[name] = value


def _storable(values: np.ndarray) -> np.ndarray:
    """Return the array as it is stored: bool as uint8, text as UTF-8 bytes, native byte order."""
    if values.dtype == bool:
        return values.view(np.uint8)
    if values.dtype.kind == "U":
        return np.char.encode(values, "utf-8")
    return values.astype(values.dtype.newbyteorder("="), copy=False)


class _Growing(Protocol):
    """A column that is being written."""

    def append(self, obj: LH5Object) -> None:
        """Add rows of the kind the column was begun with."""

    def finish(self) -> None:
        """Store what is left, and the attributes."""


class _GrowingArray:
    def __init__(self, parent: h5py.Group, name: str, obj: Array, pool: ThreadPoolExecutor) -> None:
        stored = _storable(obj.values)
        self._dataset = GrowingDataset(parent, name, stored, pool)
        kind = np.dtype("S1") if obj.values.dtype.kind == "U" else obj.values.dtype
        self._datatype, self._attrs = array_datatype(kind, stored.ndim), obj.attrs

    def append(self, obj: LH5Object) -> None:
        if not isinstance(obj, Array):
            raise LH5Error(f"{self._dataset.where}: {type(obj).__name__} appended to an array")
        _check_units(self._dataset.where, obj.attrs, self._attrs)
        self._dataset.append(_storable(obj.values))

    def finish(self) -> None:
        _set_attrs(self._dataset.finish(), self._datatype, self._attrs)


class _GrowingRagged:
    def __init__(self, parent: h5py.Group, name: str, obj: VectorOfVectors, pool: ThreadPoolExecutor) -> None:
        self._group = parent.create_group(name)
        self._attrs = obj.attrs
        self._offset = 0
        flat = obj.flattened_data
        self._flat = _grow(
            self._group, "flattened_data", flat if isinstance(flat, VectorOfVectors) else Array(flat), pool
        )
        self._ends = _GrowingArray(self._group, "cumulative_length", Array(obj.cumulative_length), pool)
        element, depth = flat, 1
        while isinstance(element, VectorOfVectors):
            element, depth = element.flattened_data, depth + 1
        inner = f"array<1>{{{element_type(element.dtype)}}}"
        for _ in range(depth):
            inner = f"array<1>{{{inner}}}"
        self._datatype = inner

    def append(self, obj: LH5Object) -> None:
        if not isinstance(obj, VectorOfVectors):
            raise LH5Error(f"{self._group.name}: {type(obj).__name__} appended to a vector of vectors")
        _check_units(str(self._group.name), obj.attrs, self._attrs)
        used = int(obj.cumulative_length[-1]) if len(obj) else 0
        flat = obj.flattened_data
        self._flat.append(flat.rows(slice(0, used)) if isinstance(flat, VectorOfVectors) else Array(flat[:used]))
        self._ends.append(Array(obj.cumulative_length + self._offset))
        self._offset += used

    def finish(self) -> None:
        self._flat.finish()
        self._ends.finish()
        _set_attrs(self._group, self._datatype, self._attrs)


class _GrowingTable:
    def __init__(self, parent: h5py.Group, name: str, obj: Table, pool: ThreadPoolExecutor) -> None:
        self._group = parent.create_group(name)
        self._attrs = obj.attrs
        self._columns = {column: _grow(self._group, column, obj[column], pool) for column in sorted(obj)}

    def append(self, obj: LH5Object) -> None:
        if not isinstance(obj, Table) or set(obj) != set(self._columns):
            found = ", ".join(sorted(obj)) if isinstance(obj, Table) else type(obj).__name__
            raise LH5Error(
                f"{self._group.name}: appended {found}; the table has the columns {', '.join(sorted(self._columns))}"
            )
        for name, column in self._columns.items():
            column.append(obj[name])

    def finish(self) -> None:
        for column in self._columns.values():
            column.finish()
        _set_attrs(self._group, composite_datatype("table", self._columns), self._attrs)


def _check_units(where: str, found: Attrs, expected: Attrs) -> None:
    if found.get("units") != expected.get("units"):
        raise LH5Error(
            f"{where}: units {found.get('units')!r} appended to {expected.get('units')!r}; convert them first"
        )


def _grow(parent: h5py.Group, name: str, obj: LH5Object, pool: ThreadPoolExecutor) -> _Growing:
    if isinstance(obj, Array):
        return _GrowingArray(parent, name, obj, pool)
    if isinstance(obj, VectorOfVectors):
        return _GrowingRagged(parent, name, obj, pool)
    if isinstance(obj, Table):
        return _GrowingTable(parent, name, obj, pool)
    raise LH5Error(f"{parent.name}/{name}: a {type(obj).__name__} has no rows; write it as one object")


def _write_single(parent: h5py.Group, name: str, obj: LH5Object, pool: ThreadPoolExecutor) -> None:
    if isinstance(obj, Scalar):
        _write_scalar(parent, name, obj)
    elif isinstance(obj, Struct):
        group = parent.create_group(name)
        for member in sorted(obj.members):
            _write_single(group, member, obj.members[member], pool)
        _set_attrs(group, composite_datatype("struct", obj.members), obj.attrs)
    else:
        growing = _grow(parent, name, obj, pool)
        growing.append(obj)
        growing.finish()


def _write_scalar(parent: h5py.Group, name: str, obj: Scalar) -> None:
    value = obj.value
    stored: Any = value
    if isinstance(value, str | bytes):
        datatype = "string"
    elif isinstance(value, bool | np.bool_):
        datatype, stored = "bool", np.uint8(value)
    elif isinstance(value, int | float | np.number):
        datatype = "real"
    else:
        raise LH5Error(f"{parent.name}/{name}: a {type(value).__name__} cannot be stored as a scalar")
    _set_attrs(parent.create_dataset(name, data=stored), datatype, obj.attrs)
