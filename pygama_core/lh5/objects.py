"""LH5 objects from HDF5 nodes.

Building an object only collects the chunks to read and returns how to finish it; all chunks of all columns are then
fetched at once, and only then vectors, bools and decoded waveforms are made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import h5py
import numpy as np

from pygama_core.errors import LH5Error
from pygama_core.lh5 import datatypes, histograms
from pygama_core.lh5.columns import pick
from pygama_core.lh5.direct import Plan
from pygama_core.lh5.handle import FileHandle
from pygama_core.lh5.node import ENCODED, RAGGED, Node
from pygama_core.lh5.rows import Rows, Selection, compose, expand_ranges, n_selected, select
from pygama_core.lh5.types import Array, Attrs, EncodedArray, LH5Object, Scalar, Struct, Table, VectorOfVectors

Columns: TypeAlias = "Sequence[str] | None"
Finish: TypeAlias = "Callable[[], Any]"
SHORT_ROWS = 16  # [elements] mean length below which ragged rows are gathered element by element


def n_rows(node: Node) -> int:
    """Return the number of rows of an array, ragged vector, encoded array, view or table; LH5Error for others."""
    if not node.is_group:
        return int(node.shape[0]) if node.shape else 1
    if datatypes.VIEW.fullmatch(node.datatype):
        return n_selected(_entries(node))
    if node.has("cumulative_length"):
        return n_rows(node.child("cumulative_length"))
    if node.has("encoded_data"):
        return n_rows(node.child("encoded_data"))
    if node.datatype.startswith("table{"):
        members = node.names()
        listed = [name for name in members if name in datatypes.fields(node.datatype)]
        return next((n_rows(node.child(name)) for name in listed or members), 0)
    known = ", ".join(node.names()[:10]) or "it has none"
    raise LH5Error(f"{node.where} is a struct, which has no rows; name one of its members: {known}")


def has_rows(node: Node) -> bool:
    """Whether an object has rows: it is neither scalar, struct nor histogram."""
    return not node.datatype.startswith("struct{") and (node.is_group or bool(node.shape))


def _entries(node: Node) -> Selection:
    entries = np.asarray(node.child("entries").value()).astype(np.int64)
    if entries.ndim == 2:
        return expand_ranges(entries[:, 0], entries[:, 1] - entries[:, 0], node.where)
    return entries


class ObjectReader:
    """Reads objects of one open file.

    Parameters
    ----------
    file
        the open file
    decode
        whether encoded waveforms are decoded
    """

    def __init__(self, file: FileHandle, *, decode: bool = True) -> None:
        self._file, self._decode = file, decode
        self._plan = Plan(file)

    def read(self, node: Node, rows: Rows, columns: Columns) -> Any:
        """Read one object, or the selected rows and columns of it."""
        finish = self._build(node, rows, columns)
        self._plan.run()
        return finish()

    def _build(self, node: Node, rows: Rows, columns: Columns) -> Finish:
        datatype = node.datatype
        if datatypes.VIEW.fullmatch(datatype):
            entries = _entries(node)
            return self._build(
                node.child("data"), _as_rows(compose(entries, select(rows, n_selected(entries), node.where))), columns
            )
        if node.is_group and datatypes.COMPOSITE.fullmatch(datatype):
            if columns is None and histograms.is_histogram(node):
                return self._histogram(node)
            return self._composite(node, rows, columns)
        if columns is not None:
            raise LH5Error(f"{node.where} is a {datatype}; only tables and structs have columns")
        if node.is_group:
            return self._container(node, rows)
        if datatypes.is_scalar(datatype):
            return self._scalar(node)
        if datatypes.ARRAY.fullmatch(datatype):
            return self._array(node, rows)
        raise LH5Error(f"{node.where}: unknown datatype {datatype!r} of a dataset")

    def _container(self, node: Node, rows: Rows) -> Finish:
        members = set(node.names())
        encoded = datatypes.ENCODED_EQUAL.fullmatch(node.datatype) or datatypes.ENCODED_RAGGED.fullmatch(node.datatype)
        if encoded and members >= ENCODED:
            return self._encoded(node, rows)
        if datatypes.VECTOR_OF_VECTORS.fullmatch(node.datatype) and members >= RAGGED:
            return self._ragged(node, rows)
        raise LH5Error(
            f"{node.where}: unknown datatype {node.datatype!r} of a group with the members {', '.join(sorted(members))}"
        )

    def _scalar(self, node: Node) -> Finish:
        value = node.value()
        if isinstance(value, np.ndarray | np.generic):
            value = value.item()
        if isinstance(value, bytes):
            value = value.decode(errors="surrogateescape")
        elif node.datatype == "bool":
            value = bool(value)
        element = datatypes.special_element(node.datatype)
        return lambda: Scalar(value, node.attrs, element)

    def _array(self, node: Node, rows: Rows) -> Finish:
        if not node.shape:
            raise LH5Error(f"{node.where}: a {node.datatype} without rows; the object is damaged")
        values = self._plan.add(node, select(rows, node.shape[0], node.where))
        attrs = {name: value for name, value in node.attrs.items() if not name.startswith("codec")}

        def finish() -> Array:
            final = _in_memory(values, node)
            return Array(final, attrs, datatypes.kept_datatype(node.datatype, final.dtype, final.ndim))

        return finish

    def _ragged(self, node: Node, rows: Rows) -> Finish:
        ends, flat = self._ragged_parts(node, rows)
        element = datatypes.special_element(node.datatype)

        def finish() -> VectorOfVectors:
            offsets = ends()
            values = flat()
            values = values.values if isinstance(values, Array) else values
            n_used = int(offsets[-1]) if len(offsets) else 0
            if len(values) < n_used:
                raise LH5Error(
                    f"{node.where}: the last row ends at {n_used}, flattened_data has {len(values)} rows; the object "
                    f"is truncated"
                )
            if len(values) > n_used:  # allowed in the file, of no use to the user
                values = values.rows(slice(0, n_used)) if isinstance(values, VectorOfVectors) else values[:n_used]
            return VectorOfVectors(values, offsets, node.attrs, element)

        return finish

    def _ragged_parts(self, node: Node, rows: Rows) -> tuple[Finish, Finish]:
        """Return how to finish the offsets of the selected rows, and their flattened data."""
        length_node, flat = node.child("cumulative_length"), node.child("flattened_data")
        total = n_rows(length_node)
        if rows is None:
            stored = self._plan.add(length_node, slice(0, total))
            return (lambda: _offsets(stored, node)), self._flat(flat, None)
        selection = select(rows, total, node.where)
        if isinstance(selection, slice):
            first = max(selection.start - 1, 0)
            ends = self._now(length_node, slice(first, selection.stop), node)
            start = int(ends[0]) if selection.start else 0
            ends = ends[selection.start - first :]
            picked = slice(start, int(ends[-1]) if len(ends) else start)
            return (lambda: ends - start), self._flat(flat, picked)
        all_ends = self._now(length_node, slice(0, total), node)
        starts = np.concatenate([np.zeros(1, np.int64), all_ends[:-1]])[selection]
        lengths = all_ends[selection] - starts
        new_ends = np.cumsum(lengths)
        return (lambda: new_ends), self._flat_ranges(flat, starts, lengths)

    def _flat(self, flat: Node, rows: Rows) -> Finish:
        if isinstance(rows, slice):
            _check_long_enough(flat, rows.stop)
        return self._build(flat, rows, None)

    def _flat_ranges(self, flat: Node, starts: np.ndarray, lengths: np.ndarray) -> Finish:
        _check_long_enough(flat, int((starts + lengths).max()) if len(starts) else 0)
        is_long = int(lengths.sum()) > SHORT_ROWS * len(lengths)
        if flat.is_group or not is_long or len(flat.shape) != 1:
            return self._build(flat, expand_ranges(starts, lengths, flat.where), None)
        values = self._plan.add_ranges(flat, starts, lengths)
        return lambda: _in_memory(values, flat)

    def _now(self, node: Node, selection: slice, owner: Node) -> np.ndarray:
        """Read offsets at once."""
        plan = Plan(self._file)
        stored = plan.add(node, selection)
        plan.run()
        return _offsets(stored, owner)

    def _encoded(self, node: Node, rows: Rows) -> Finish:
        data = node.child("encoded_data")
        total = n_rows(data)
        selection = select(rows, total, node.where)
        finish_data = self._ragged(data, None if rows is None else _as_rows(selection))
        sizes = np.asarray(node.child("decoded_size").value()).astype(np.int64)
        size: int | np.ndarray = int(sizes) if not sizes.shape else sizes.reshape(total, -1).prod(axis=1)[selection]
        codec: Attrs = {name: value for name, value in node.attrs.items() if name.startswith("codec")}
        attrs = {name: value for name, value in node.attrs.items() if name not in codec}
        if "codec" not in codec:
            raise LH5Error(f"{node.where} is a {node.datatype} without the attribute codec; it cannot be decoded")
        dtype = node.child("sample_data").dtype if node.has("sample_data") else None

        def finish() -> Array | VectorOfVectors | EncodedArray:
            encoded = EncodedArray(finish_data(), size, codec, dtype, attrs)
            if not self._decode:
                return encoded
            from pygama_core.lh5 import codecs

            return codecs.decode(encoded, self._file.threads, node.where)

        return finish

    def _histogram(self, node: Node) -> Finish:
        read = ObjectReader(self._file).read
        return lambda: histograms.from_struct(read(node.child("weights"), None, None), node)

    def _composite(self, node: Node, rows: Rows, columns: Columns) -> Finish:
        is_table = node.datatype.startswith("table{")
        names = node.names()
        listed = set(datatypes.fields(node.datatype)) if is_table else set()
        if missing := sorted(listed.difference(names)) if columns is None else []:
            raise LH5Error(
                f"{node.where} lists {', '.join(missing)}, which it does not have; the table is damaged; name the "
                f"columns to read"
            )
        wanted: dict[str, list[str] | None] = dict.fromkeys(names)
        if columns is not None:
            wanted = pick(names, columns, lambda name: node.child(name).names(), node.where)
        members = {name: node.child(name) for name in wanted}
        if is_table and columns is None:
            members = _without_strays(members, listed)
        if is_table and rows is not None and members:
            rows = _as_rows(select(rows, n_rows(next(iter(members.values()))), node.where))
        parts = {name: self._build(member, rows, wanted[name]) for name, member in members.items()}
        if is_table:
            return lambda: _table({name: part() for name, part in parts.items()}, node)
        return lambda: Struct({name: part() for name, part in parts.items()}, node.attrs)


def _check_long_enough(flat: Node, n_needed: int) -> None:
    if n_rows(flat) < n_needed:
        raise LH5Error(f"{flat.where} has {n_rows(flat)} rows, needed are {n_needed}; the object is truncated")


def _as_rows(selection: Selection) -> Rows:
    return selection


def _table(columns: dict[str, Any], node: Node) -> Table:
    try:
        return Table(columns, node.attrs)
    except LH5Error as error:
        raise LH5Error(f"{node.where}: {error}") from error


def _without_strays(members: dict[str, Node], listed: set[str]) -> dict[str, Node]:
    """Leave out what is not in the table's list and has another number of rows: a write that was interrupted."""
    strays = [name for name in members if name not in listed]
    if not strays or len(strays) == len(members):
        return members
    total = n_rows(next(member for name, member in members.items() if name in listed))
    return {name: member for name, member in members.items() if name in listed or n_rows(member) == total}


def _offsets(stored: np.ndarray, node: Node) -> np.ndarray:
    """Widen cumulative lengths to int64; raise LH5Error if they decrease."""
    ends = stored.astype(np.int64)
    if len(ends) and (ends[0] < 0 or np.any(ends[1:] < ends[:-1])):
        raise LH5Error(f"{node.where}: cumulative_length decreases; the object is damaged")
    return ends


def _in_memory(values: np.ndarray, node: Node) -> np.ndarray:
    """Turn stored values into what users work with: bools, native byte order, bytes of fixed length."""
    if datatypes.element_of(node.datatype) == "bool" and values.dtype != bool:
        return values.astype(bool)
    if values.dtype.kind == "O" and h5py.check_string_dtype(node.oid.dtype) is not None:
        return np.array([value or b"" for value in values.reshape(-1)], "S").reshape(values.shape)
    if values.dtype.kind not in "biufcS":
        raise LH5Error(f"{node.where}: elements of the HDF5 type {node.oid.dtype} have no LH5 meaning")
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def read_object(file: FileHandle, node: Node, rows: Rows, columns: Columns, *, decode: bool = True) -> LH5Object:
    """Read one object; see :func:`pygama_core.lh5.read`."""
    found: LH5Object = ObjectReader(file, decode=decode).read(node, rows, columns)
    return found
