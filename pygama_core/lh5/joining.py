"""Join objects row-wise."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.errors import LH5Error
from pygama_core.lh5.types import Array, EncodedArray, Histogram, Scalar, Struct, Table, VectorOfVectors


def join(objects: list[Any]) -> Any:
    """Join columns or tables of the same structure row-wise; attributes are those of the first.

    Structs are joined member by member; their scalars and histograms must be equal.

    Raises
    ------
    LH5Error
        if the objects differ in kind, columns or units, or cannot be joined
    """
    if not objects:
        raise LH5Error("concatenate: nothing to join")
    first = objects[0]
    for other in objects[1:]:
        if type(other) is not type(first):
            raise LH5Error(f"concatenate: {type(other).__name__} after {type(first).__name__}")
        if other.attrs.get("units") != first.attrs.get("units"):
            raise LH5Error(
                f"concatenate: units {other.attrs.get('units')!r} after {first.attrs.get('units')!r}; convert them "
                f"first"
            )
    if isinstance(first, Array):
        return _concatenate_arrays(objects)
    if isinstance(first, VectorOfVectors):
        return _concatenate_ragged(objects)
    if isinstance(first, EncodedArray):
        return _concatenate_encoded(objects)
    if isinstance(first, Table):
        return Table(_by_name("tables", "columns", [dict(t.columns) for t in objects]), first.attrs)
    if isinstance(first, Struct):
        return Struct(_by_name("structs", "members", [s.members for s in objects]), first.attrs)
    return _same(objects)


def _by_name(kind: str, what: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    names = list(parts[0])
    for part in parts[1:]:
        if set(part) != set(names):
            raise LH5Error(f"concatenate: {kind} have different {what}: {sorted(set(part) ^ set(names))}")
    return {name: join([part[name] for part in parts]) for name in names}


def _same(objects: list[Any]) -> Any:
    first = objects[0]
    for other in objects[1:]:
        if isinstance(first, Scalar):
            is_same = first.value == other.value
        elif isinstance(first, Histogram):
            edges = [np.array_equal(a.bin_edges, b.bin_edges) for a, b in zip(first.axes, other.axes, strict=False)]
            is_same = all(edges) and np.array_equal(first.weights, other.weights)
        else:
            is_same = False
        if not is_same:
            raise LH5Error(f"concatenate: {type(first).__name__} objects differ and have no rows; read them one by one")
    return first


def _concatenate_arrays(columns: list[Array]) -> Array:
    first = columns[0]
    for other in columns[1:]:
        if other.values.shape[1:] != first.values.shape[1:]:
            raise LH5Error(f"concatenate: rows of shape {other.values.shape[1:]} after {first.values.shape[1:]}")
        if other.datatype != first.datatype:
            raise LH5Error(f"concatenate: {other.datatype or 'plain'} after {first.datatype or 'plain'} elements")
    return Array(np.concatenate([c.values for c in columns]), first.attrs, first.datatype)


def _concatenate_ragged(columns: list[VectorOfVectors]) -> VectorOfVectors:
    flats: list[Any] = []
    ends: list[np.ndarray] = []
    offset = 0
    for column in columns:
        used = int(column.cumulative_length[-1]) if len(column) else 0
        flat = column.flattened_data
        flats.append(flat.rows(slice(0, used)) if isinstance(flat, VectorOfVectors) else Array(flat[:used]))
        ends.append(column.cumulative_length + offset)
        offset += used
    joined = join(flats)
    flat = joined.values if isinstance(joined, Array) else joined
    return VectorOfVectors(flat, np.concatenate(ends), columns[0].attrs, columns[0].element)


def _concatenate_encoded(columns: list[EncodedArray]) -> EncodedArray:
    first = columns[0]
    for other in columns[1:]:
        if other.codec != first.codec or other.dtype != first.dtype:
            raise LH5Error(f"concatenate: waveforms of {other.codec} after {first.codec}; decode them first")
    sizes = {c.decoded_size if isinstance(c.decoded_size, int) else None for c in columns}
    size = first.decoded_size
    if sizes == {None}:
        size = np.concatenate([c.lengths for c in columns])
    elif len(sizes) > 1:
        raise LH5Error(f"concatenate: rows of {sizes} samples; equal-size waveforms need one length")
    data = _concatenate_ragged([c.encoded_data for c in columns])
    return EncodedArray(data, size, first.codec, first.dtype, first.attrs)
