"""Rows added to, and replaced in, stored LH5 objects; only what :mod:`pygama_core.lh5.modify` may call on its copy."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import h5py
import numpy as np

from pygama_core.errors import LH5Error
from pygama_core.lh5.filters import DEFLATE, FLETCHER32, SHUFFLE, Pipeline
from pygama_core.lh5.inspect import BLOCK_BYTES, datatype_of, kind_of, n_rows_of, need_filters
from pygama_core.lh5.types import VectorOfVectors, concatenate

Stored: TypeAlias = "h5py.Group | h5py.Dataset"
REBUILT = ".rebuilt"  # name of a dataset while it replaces one that cannot grow


def check_same_rows(parent: h5py.Group, block: Stored, where: str, besides: str = "") -> None:
    """Raise LH5Error if an object does not have the rows of the table that it shall be in."""
    if kind_of(parent) != "table":
        return
    others = {name: n_rows_of(parent[name]) for name in parent if name != besides}
    wrong = [f"{name} has {rows}" for name, rows in sorted(others.items()) if rows != n_rows_of(block)]
    if wrong:
        raise LH5Error(f"{where}: {n_rows_of(block)} rows in a table where {', '.join(wrong[:3])}; all must be equal")


def append_rows(target: Stored, block: Stored) -> None:
    """Add the rows of one stored object to another.

    Raises
    ------
    LH5Error
        if kind, columns, dtype, row shape or units differ
    """
    kind = check_alike(target, block)
    if kind == "table":
        for name in sorted(target):
            append_rows(target[name], block[name])
    elif kind == "ragged":
        _append_ragged(target, block)
    elif kind == "encoded":
        _append_encoded(target, block)
    else:
        _extend(target, block)


def replace_rows(target: Stored, rows: slice | np.ndarray, block: Stored) -> None:
    """Replace the selected rows of one stored object by those of another; raise LH5Error where they do not fit."""
    kind = check_alike(target, block)
    index = _row_numbers(rows, n_rows_of(target) or 0, target.name)
    if len(index) != n_rows_of(block):
        raise LH5Error(f"{target.name}: {len(index)} rows selected, {n_rows_of(block)} given; both must be equal")
    if kind == "table":
        for name in sorted(target):
            replace_rows(target[name], index, block[name])
    elif kind == "ragged":
        _replace_ragged(target, index, block)
    elif kind == "encoded":
        _replace_ragged(target["encoded_data"], index, block["encoded_data"])
        if target["decoded_size"].shape:
            replace_rows(target["decoded_size"], index, block["decoded_size"])
    elif len(index):
        need_filters(target)
        first, last = int(index.min()), int(index.max()) + 1
        window = target[first:last]
        window[index - first] = block[()]
        target[first:last] = window


def check_alike(target: Stored, block: Stored) -> str:
    """Return the common kind of two objects; raise LH5Error if one cannot take rows of the other."""
    kind, found = kind_of(target), kind_of(block)
    if kind not in ("array", "ragged", "encoded", "table"):
        raise LH5Error(f"{target.name} is a {datatype_of(target) or 'plain group'} and has no rows; use overwrite")
    if kind != found:
        raise LH5Error(f"{target.name}: {datatype_of(block)} given for {datatype_of(target)}; kinds must be equal")
    if kind == "table":
        if set(target) != set(block):
            raise LH5Error(
                f"{target.name}: columns {', '.join(sorted(block))} given, the table has {', '.join(sorted(target))}"
            )
        return kind
    units = [str(obj.attrs.get("units", "")) for obj in (block, target)]
    # encoded waveforms of older files say no units
    if units[0] != units[1] and (kind != "encoded" or units[1]):
        raise LH5Error(f"{target.name}: units {units[0]!r} given for {units[1]!r}; convert them first")
    if kind == "array":
        _check_rows_alike(target, block)
    return kind


def _check_rows_alike(target: h5py.Dataset, block: h5py.Dataset) -> None:
    same_number = target.dtype.newbyteorder("=") == block.dtype.newbyteorder("=")
    # shorter texts fit, longer ones would be cut
    fits = target.dtype.kind == block.dtype.kind == "S" and block.dtype.itemsize <= target.dtype.itemsize
    elements = [datatype_of(obj).partition("{")[2] for obj in (target, block)]
    if not (same_number or fits) or target.shape[1:] != block.shape[1:] or elements[0] != elements[1]:
        raise LH5Error(
            f"{target.name}: rows of {block.dtype} {block.shape[1:]} {datatype_of(block)} given for {target.dtype} "
            f"{target.shape[1:]} {datatype_of(target)}; convert them first, nothing is clipped silently"
        )


def _row_numbers(rows: slice | np.ndarray, total: int, where: str) -> np.ndarray:
    if isinstance(rows, slice):
        return np.arange(total)[rows]
    rows = np.asarray(rows)
    if rows.dtype == bool:
        if len(rows) != total:
            raise LH5Error(f"{where}: mask of {len(rows)} rows for {total} rows")
        return np.flatnonzero(rows)
    index = rows.astype(np.int64)
    if len(index) and (index.min() < 0 or index.max() >= total):
        raise LH5Error(f"{where}: row numbers {index.min()} … {index.max()} outside 0 … {total - 1}")
    if len(np.unique(index)) != len(index):
        raise LH5Error(f"{where}: a row number occurs twice; which of the new rows shall it get?")
    return index


def _extend(dataset: h5py.Dataset, rows: h5py.Dataset | np.ndarray) -> None:
    n_old = dataset.shape[0]
    dataset = _growable(dataset)
    for stored in (dataset, rows):
        if isinstance(stored, h5py.Dataset):
            need_filters(stored)
    dataset.resize(n_old + len(rows), axis=0)
    row_bytes = max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64)))
    chunk_rows = dataset.chunks[0]
    step = max(1, BLOCK_BYTES // row_bytes // chunk_rows) * chunk_rows
    # blocks end where chunks do
    bounds = [0, *range(-n_old % chunk_rows, len(rows), step), len(rows)]
    pipeline = _pipeline(dataset)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for first, last in itertools.pairwise(bounds):
            block = rows[first:last]
            n_whole = len(block) // chunk_rows * chunk_rows if pipeline and not (n_old + first) % chunk_rows else 0
            if pipeline and n_whole:
                _write_chunks(dataset, n_old + first, block[:n_whole], pool.map(pipeline.encode, _cut(block, dataset)))
            if n_whole < len(block):
                dataset[n_old + first + n_whole : n_old + last] = block[n_whole:]


def _pipeline(dataset: h5py.Dataset) -> Pipeline | None:
    """Return the filters of a dataset if its chunks can be made without HDF5, which would make them one by one."""
    plist = dataset.id.get_create_plist()
    pipeline = Pipeline(tuple(plist.get_filter(k)[0] for k in range(plist.get_nfilters())), dataset.dtype.itemsize)
    can = {SHUFFLE, DEFLATE, FLETCHER32}.issuperset(pipeline.codes)
    is_plain = dataset.dtype.kind in "iufcS" and dataset.dtype.isnative
    return pipeline if can and is_plain and dataset.chunks[1:] == dataset.shape[1:] else None


def _cut(block: np.ndarray, dataset: h5py.Dataset) -> Iterator[np.ndarray]:
    """Yield the whole chunks of a block, in the type of the dataset."""
    n = dataset.chunks[0]
    for first in range(0, len(block) // n * n, n):
        yield np.ascontiguousarray(block[first : first + n], dtype=dataset.dtype)


def _write_chunks(dataset: h5py.Dataset, first: int, block: np.ndarray, chunks: Iterator[bytes]) -> None:
    starts = range(first, first + len(block), dataset.chunks[0])
    for start, content in zip(starts, chunks, strict=True):
        dataset.id.write_direct_chunk((start, *(0 for _ in dataset.shape[1:])), content)


def _growable(dataset: h5py.Dataset, dtype: np.dtype | None = None) -> h5py.Dataset:
    """Return the dataset if it can grow and has the dtype, otherwise one that takes its place."""
    need_filters(dataset)
    if dtype is None and dataset.chunks is not None and dataset.maxshape[0] is None:
        return dataset
    if h5py.h5o.get_info(dataset.id).rc > 1:
        raise LH5Error(f"{dataset.name}: cannot grow as it is stored, and has other names; overwrite it instead")
    parent, name = dataset.parent, dataset.name.rpartition("/")[2]
    new = parent.create_dataset(
        REBUILT,
        data=dataset[()].astype(dtype or dataset.dtype, copy=False),
        maxshape=(None, *(n or None for n in dataset.shape[1:])),
        chunks=dataset.chunks or True,
        shuffle=True,
        compression="gzip",
    )
    for key in dataset.attrs:
        new.attrs[key] = dataset.attrs[key]
    del parent[name]
    parent.move(REBUILT, name)
    return parent[name]


def _append_ragged(target: h5py.Group, block: h5py.Group) -> None:
    ends, new_ends = target["cumulative_length"], block["cumulative_length"][()].astype(np.int64)
    n_used = int(ends[-1]) if len(ends) else 0
    trim(target["flattened_data"], n_used)  # surplus behind the last row would get into the first new one
    append_rows(target["flattened_data"], block["flattened_data"])
    last = n_used + (int(new_ends[-1]) if len(new_ends) else 0)
    # 32-bit offsets, as older files have them, would begin again near 0
    wide = np.dtype(np.int64) if last > np.iinfo(ends.dtype).max else None
    _extend(_growable(ends, wide) if wide else ends, new_ends + n_used)


def trim(stored: Stored, n_rows: int) -> None:
    """Cut an object to its first rows."""
    kind = kind_of(stored)
    if kind == "table":
        for name in stored:
            trim(stored[name], n_rows)
        return
    if kind == "encoded":
        trim(stored["encoded_data"], n_rows)
        if stored["decoded_size"].shape:
            trim(stored["decoded_size"], n_rows)
        return
    if (n_rows_of(stored) or 0) <= n_rows and kind != "ragged":
        return
    if isinstance(stored, h5py.Dataset):
        _growable(stored).resize(n_rows, axis=0)
        return
    ends = stored["cumulative_length"]
    n_rows = min(n_rows, len(ends))
    trim(stored["flattened_data"], int(ends[n_rows - 1]) if n_rows else 0)
    _growable(ends).resize(n_rows, axis=0)


def _append_encoded(target: h5py.Group, block: h5py.Group) -> None:
    parameters = [{k: v for k, v in obj.attrs.items() if k.startswith("codec")} for obj in (target, block)]
    sizes = [obj["decoded_size"][()] for obj in (target, block)]
    types = [obj["sample_data"].dtype if "sample_data" in obj else None for obj in (target, block)]
    if types[0] != types[1]:
        raise LH5Error(f"{target.name}: samples of {types[1] or 'unknown type'} given for {types[0] or 'unknown type'}")
    if parameters[0] != parameters[1]:
        raise LH5Error(f"{target.name}: encoded with {parameters[1]}, the stored rows with {parameters[0]}")
    if target["decoded_size"].shape:
        append_rows(target["decoded_size"], block["decoded_size"])
    elif np.any(sizes[0] != sizes[1]):
        raise LH5Error(f"{target.name}: waveforms of {sizes[1]} samples given, the stored ones have {sizes[0]}")
    append_rows(target["encoded_data"], block["encoded_data"])


def _replace_ragged(target: h5py.Group, index: np.ndarray, block: h5py.Group) -> None:
    old, new = _load(target), _load(block)
    order = np.arange(len(old))
    order[index] = len(old) + np.arange(len(new))
    _store(target, concatenate([old, new]).rows(order))


def _load(stored: h5py.Group) -> VectorOfVectors:
    flat = stored["flattened_data"]
    values = _load(flat) if isinstance(flat, h5py.Group) else flat[()]
    return VectorOfVectors(values, stored["cumulative_length"][()])


def _store(target: h5py.Group, obj: VectorOfVectors) -> None:
    if isinstance(obj.flattened_data, VectorOfVectors):
        _store(target["flattened_data"], obj.flattened_data)
    else:
        _set(target["flattened_data"], obj.flattened_data)
    _set(target["cumulative_length"], obj.cumulative_length)


def _set(dataset: h5py.Dataset, values: np.ndarray) -> None:
    too_large = dataset.dtype.kind in "iu" and values.size and int(values.max()) > np.iinfo(dataset.dtype).max
    dataset = _growable(dataset, np.dtype(np.int64) if too_large else None)
    dataset.resize(len(values), axis=0)
    if len(values):
        dataset[...] = values
