"""Columns that are being written: each knows its layout in the file and refuses what differs from its first rows."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from pygama_core.errors import LH5Error
from pygama_core.lh5.chunks import GrowingDataset, Storage
from pygama_core.lh5.create import Place
from pygama_core.lh5.datatypes import checked_datatype, composite_datatype, element_type
from pygama_core.lh5.types import Array, Attrs, EncodedArray, LH5Object, Table, VectorOfVectors

WIDE_OFFSETS = 1 << 32  # [bytes] of encoded data from which offsets have 64 bits


def storable(values: np.ndarray, where: Place) -> np.ndarray:
    """Return the array as it is stored: bool as uint8, text as UTF-8 bytes, native byte order."""
    if values.dtype == bool:
        return values.view(np.uint8)
    if values.dtype.kind == "U":
        return np.char.encode(values, "utf-8")
    if values.dtype.kind == "O":
        flat = [item.encode() if isinstance(item, str) else item for item in values.reshape(-1)]
        if not all(isinstance(item, bytes) for item in flat):
            raise LH5Error(f"{where}: an array of Python objects; LH5 holds numbers, bools and text")
        return np.array(flat, "S").reshape(values.shape)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


class Growing:
    """A column that is being written; subclasses know its layout."""

    def append(self, obj: LH5Object) -> None:
        """Add rows."""
        raise NotImplementedError

    def finish(self) -> None:
        """Write what is left and the attributes."""
        raise NotImplementedError


class GrowingArray(Growing):
    """An array."""

    def __init__(self, parent: h5py.Group, name: str, obj: Array, storage: Storage) -> None:
        where = Place(parent, name)
        stored = storable(obj.values, where)
        self._dataset, self._maker = GrowingDataset(parent, name, stored, storage), storage.maker
        kind = obj.values.dtype if obj.values.dtype.kind not in "UO" else np.dtype("S1")
        self._datatype = checked_datatype(obj.datatype, kind, stored.ndim, where)
        self._kind, self._given, self._attrs = kind.kind, obj.datatype, obj.attrs

    def append(self, obj: LH5Object) -> None:
        where = self._dataset.where
        if not isinstance(obj, Array):
            raise LH5Error(f"{where}: {type(obj).__name__} appended to an array")
        check_units(where, obj.attrs, self._attrs)
        if (obj.values.dtype.kind == "b") != (self._kind == "b") or obj.datatype != self._given:
            raise LH5Error(f"{where}: {obj.datatype or obj.values.dtype} appended to a {self._datatype}")
        self._dataset.append(storable(obj.values, where))

    def finish(self) -> None:
        self._maker.set_attrs(self._dataset.finish(), self._datatype, self._attrs)


class GrowingRagged(Growing):
    """A vector of vectors of any depth."""

    def __init__(self, parent: h5py.Group, name: str, obj: VectorOfVectors, storage: Storage) -> None:
        self._group, self._maker = storage.maker.group(parent, name), storage.maker
        self._attrs, self._element = obj.attrs, obj.element
        self._offset = 0
        self._flat = grow(self._group, "flattened_data", self._inner(obj, len(obj.flattened_data)), storage)
        self._ends = GrowingArray(self._group, "cumulative_length", Array(obj.cumulative_length), storage)
        inner, depth = obj.flattened_data, 1
        while isinstance(inner, VectorOfVectors):
            inner, depth = inner.flattened_data, depth + 1
        datatype = f"array<1>{{{obj.element or element_type(inner.dtype)}}}"
        for _ in range(depth):
            datatype = f"array<1>{{{datatype}}}"
        self._datatype = datatype

    @staticmethod
    def _inner(obj: VectorOfVectors, n_used: int) -> Array | VectorOfVectors:
        flat = obj.flattened_data
        if isinstance(flat, VectorOfVectors):
            part = flat.rows(slice(0, n_used))
            return VectorOfVectors(part.flattened_data, part.cumulative_length, part.attrs, obj.element)
        return Array(flat[:n_used], {}, f"array<1>{{{obj.element}}}" if obj.element else "")

    def append(self, obj: LH5Object) -> None:
        where = str(self._group.name)
        if not isinstance(obj, VectorOfVectors):
            raise LH5Error(f"{where}: {type(obj).__name__} appended to a vector of vectors")
        check_units(where, obj.attrs, self._attrs)
        used = int(obj.cumulative_length[-1]) if len(obj) else 0
        self._flat.append(self._inner(obj, used))
        self._ends.append(Array(obj.cumulative_length + self._offset))
        self._offset += used

    def finish(self) -> None:
        self._flat.finish()
        self._ends.finish()
        self._maker.set_attrs(self._group.id, self._datatype, self._attrs)


class GrowingEncoded(Growing):
    """Waveforms in a codec: encoded here, or handed over encoded."""

    def __init__(self, parent: h5py.Group, name: str, obj: EncodedArray, storage: Storage) -> None:
        self._group = storage.maker.group(parent, name)
        self._first, self._storage = obj, storage
        self._data = storage.maker.group(self._group, "encoded_data")
        no_bytes = np.empty(0, np.uint8)
        self._bytes = GrowingArray(self._data, "flattened_data", Array(no_bytes), storage.uncompressed())
        self._ends: list[np.ndarray] = []
        self._n_bytes = 0
        self._sizes: GrowingArray | None = None
        if isinstance(obj.decoded_size, int):
            size = storage.maker.number(self._group, "decoded_size", obj.decoded_size)
            storage.maker.set_attrs(size, "real", {})
            self._datatype = "array_of_encoded_equalsized_arrays<1,1>{real}"
        else:
            self._sizes = GrowingArray(self._group, "decoded_size", Array(obj.decoded_size), storage)
            self._datatype = "array<1>{encoded_array<1>{real}}"
        if obj.dtype is not None:
            # Julia's way to record the type of the samples, which the reference does not know and leaves alone
            sample = storage.maker.number(self._group, "sample_data", np.zeros((), obj.dtype))
            storage.maker.set_attrs(sample, "real", {})

    def append(self, obj: LH5Object) -> None:
        first, where = self._first, str(self._group.name)
        if isinstance(obj, Array | VectorOfVectors):
            self._encode(obj, where)
            return
        if not isinstance(obj, EncodedArray):
            raise LH5Error(f"{where}: {type(obj).__name__} appended to encoded waveforms")
        check_units(where, obj.attrs, first.attrs)
        if obj.codec != first.codec or obj.dtype != first.dtype:
            raise LH5Error(f"{where}: waveforms of {obj.codec} {obj.dtype} appended to {first.codec} {first.dtype}")
        self._add_sizes(obj.decoded_size, where)
        used = int(obj.encoded_data.cumulative_length[-1]) if len(obj) else 0
        self._add(np.asarray(obj.encoded_data.flattened_data)[:used], obj.encoded_data.cumulative_length)

    def _encode(self, obj: Array | VectorOfVectors, where: str) -> None:
        """Encode rows and store what is ready while the threads go on with the next."""
        from pygama_core.lh5 import codecs

        first = self._first
        if obj.dtype != first.dtype:
            raise LH5Error(f"{where}: samples of {obj.dtype} appended to {first.dtype}")
        check_units(where, obj.attrs, first.attrs)
        codec = codecs.codec(str(first.codec["codec"]), first.codec, where)
        batches = codecs.encode_batches(obj, codec, self._storage.pool, where)
        self._add_sizes(codecs.samples_per_row(obj), where)
        for data, sizes in batches:
            self._add(data, np.cumsum(sizes))

    def _add_sizes(self, sizes: int | np.ndarray, where: str) -> None:
        """Add the numbers of samples of the rows that come; raise LH5Error where they differ and must not."""
        expected = self._first.decoded_size
        if isinstance(sizes, int) != isinstance(expected, int):
            names = ["rows of one size" if isinstance(n, int) else "ragged rows" for n in (sizes, expected)]
            raise LH5Error(f"{where}: {names[0]} appended to {names[1]}")
        if isinstance(sizes, int) and sizes != expected:
            raise LH5Error(f"{where}: rows of {sizes} samples appended to rows of {expected}")
        if self._sizes is not None:
            self._sizes.append(Array(np.asarray(sizes)))

    def _add(self, data: np.ndarray, ends: np.ndarray) -> None:
        self._bytes.append(Array(data))
        self._ends.append(ends + self._n_bytes)
        self._n_bytes += len(data)

    def finish(self) -> None:
        self._bytes.finish()
        # the reference decodes only with 32-bit offsets, and wraps beyond them: there 64 bits are right
        ends = np.concatenate(self._ends) if self._ends else np.empty(0, np.int64)
        offsets = Array(ends.astype(np.uint32 if self._n_bytes < WIDE_OFFSETS else np.int64))
        growing = GrowingArray(self._data, "cumulative_length", offsets, self._storage)
        growing.append(offsets)
        growing.finish()
        set_attrs = self._storage.maker.set_attrs
        set_attrs(self._data.id, "array<1>{array<1>{real}}", {})
        if self._sizes is not None:
            self._sizes.finish()
        set_attrs(self._group.id, self._datatype, {**self._first.attrs, **self._first.codec})


class GrowingTable(Growing):
    """A table; the samples of a waveform table are encoded if the writer has a codec."""

    def __init__(self, parent: h5py.Group, name: str, obj: Table, storage: Storage) -> None:
        self._datatype = composite_datatype("table", obj)
        self._group, self._maker = storage.maker.group(parent, name), storage.maker
        self._attrs = obj.attrs
        self._columns: dict[str, Growing] = {}
        for column in sorted(obj):
            first = obj[column]
            if obj.is_waveform and column == "values" and isinstance(first, Array | VectorOfVectors):
                first = in_codec(first, storage, f"{self._group.name}/{column}")
            self._columns[column] = grow(self._group, column, first, storage)

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
        self._maker.set_attrs(self._group.id, self._datatype, self._attrs)


def in_codec(column: Array | VectorOfVectors, storage: Storage, where: str) -> Array | VectorOfVectors | EncodedArray:
    """Return no rows of the column in the codec that its samples are to be stored in."""
    if storage.codec is None:
        return column
    from pygama_core.lh5 import codecs

    flat = column.values if isinstance(column, Array) else column.flattened_data
    if storage.codec == "auto":
        codec = codecs.best(column)
    elif isinstance(storage.codec, str):
        codec = codecs.suited(storage.codec, flat) if isinstance(flat, np.ndarray) else None
    else:
        codec = storage.codec
    return column if codec is None else codecs.encode(column.rows(slice(0, 0)), codec, where=where)


def check_units(where: str | Place, found: Attrs, expected: Attrs) -> None:
    """Raise LH5Error if units differ."""
    if found.get("units") != expected.get("units"):
        raise LH5Error(
            f"{where}: units {found.get('units')!r} appended to {expected.get('units')!r}; convert them first"
        )


def grow(parent: h5py.Group, name: str, obj: Any, storage: Storage) -> Growing:
    """Return the column that writes rows like those of ``obj``; raise LH5Error for an object without rows."""
    if isinstance(obj, Array):
        if not obj.values.ndim:
            raise LH5Error(f"{parent.name}/{name}: an array of rank 0 has no rows; write it as a Scalar")
        return GrowingArray(parent, name, obj, storage)
    if isinstance(obj, VectorOfVectors):
        return GrowingRagged(parent, name, obj, storage)
    if isinstance(obj, EncodedArray):
        return GrowingEncoded(parent, name, obj, storage)
    if isinstance(obj, Table):
        return GrowingTable(parent, name, obj, storage)
    raise LH5Error(f"{parent.name}/{name}: a {type(obj).__name__} has no rows; write it as one object")
