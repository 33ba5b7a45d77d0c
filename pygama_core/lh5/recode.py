"""Objects copied into a new file with checksums, in other chunks, or with waveforms in another codec.

What need not change is carried over as it is stored. Attributes are copied as they are, digests among them: the content
stays the same.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pygama_core.lh5.chunks import GrowingDataset, Storage
from pygama_core.lh5.filters import FLETCHER32, fletcher32
from pygama_core.lh5.growing import grow, in_codec
from pygama_core.lh5.inspect import BLOCK_BYTES, kind_of, n_rows_of, need_filters
from pygama_core.lh5.reader import Reader
from pygama_core.lh5.types import Array, VectorOfVectors

PLAIN = "none"  # the name of the codec that stores samples as they are
GOOD_CHUNK_BYTES = (1 << 14, 1 << 20)  # smaller ones cost more to find than to read, larger ones make rows slow
PROBE_ROWS = 64  # tell how large rows are
WAVEFORM_COLUMNS = {"t0", "dt", "values"}
CODEC_ATTRIBUTES = ("codec", "codec_shift")


@dataclass(frozen=True)
class Changes:
    """What is to become different.

    Parameters
    ----------
    checksums : add HDF5's Fletcher-32 checksum to every chunk that has none
    rechunk : give datasets in very small or very large chunks, or such of parts of rows, chunks of our own
    codec : for the samples of waveform tables: a name, "auto", "none" for plain chunks; None leaves them
    """

    checksums: bool = False
    rechunk: bool = False
    codec: str | None = None

    @property
    def is_none(self) -> bool:
        """Whether everything is carried over as it is stored."""
        return not self.checksums and not self.rechunk and self.codec is None


def copy_changed(path: Path, new: h5py.File, changes: Changes) -> None:
    """Copy all of a file into an empty one.

    Raises
    ------
    LH5Error
        if an object cannot be read, or the codec cannot hold the samples
    """
    threads = len(os.sched_getaffinity(0))
    codec = None if changes.codec == PLAIN else changes.codec
    with h5py.File(path, "r", locking=False) as source, Reader(path) as reader, ThreadPoolExecutor(threads) as pool:
        storage = Storage(pool, fletcher32=changes.checksums, codec=codec)
        _Copier(reader, storage, changes).group(source["/"], new)


@dataclass
class _Copier:
    reader: Reader
    storage: Storage
    changes: Changes
    _done: dict[Any, Any] = field(default_factory=dict)  # objects with several names are copied once

    def group(self, source: h5py.Group, new: h5py.Group) -> None:
        """Copy attributes and members of a group."""
        copy_attributes(source, new)
        for name in source:
            link = source.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                new[name] = link
                continue
            obj = source[name]
            if obj.id in self._done:
                new[name] = self._done[obj.id]
            elif self.changes.codec is not None and _is_samples(obj, name):
                self._done[obj.id] = self._recoded(obj, new, name)
            elif isinstance(obj, h5py.Group):
                self._done[obj.id] = new.create_group(name)
                self.group(obj, self._done[obj.id])
            else:
                self._done[obj.id] = self._dataset(obj, new, name)

    def _dataset(self, dataset: h5py.Dataset, new: h5py.Group, name: str) -> h5py.Dataset:
        if self.changes.rechunk and _needs_chunks(dataset):
            return self._rechunked(dataset, new, name)
        if self.changes.checksums:
            return copy_with_checksums(dataset, new, name)
        dataset.file.copy(dataset, new, name=name)
        return new[name]

    def _rechunked(self, dataset: h5py.Dataset, new: h5py.Group, name: str) -> h5py.Dataset:
        need_filters(dataset)
        # the bytes of codecs are dense
        is_dense = dataset.name.endswith("/encoded_data/flattened_data")
        storage = self.storage.uncompressed() if is_dense else self.storage
        growing = GrowingDataset(new, name, np.empty((0, *dataset.shape[1:]), dataset.dtype), storage)
        for rows in _blocks(dataset):
            growing.append(dataset[rows])
        made = h5py.Dataset(growing.finish())
        copy_attributes(dataset, made)
        return made

    def _recoded(self, obj: h5py.Group | h5py.Dataset, new: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
        """Store samples as the codec wants them, reading a block at a time."""
        n_rows = n_rows_of(obj) or 0
        probe = self._rows(obj, slice(0, min(n_rows, PROBE_ROWS)))
        n_values = probe.values.size if isinstance(probe, Array) else len(probe.flattened_data)
        row_bytes = max(1, n_values * probe.dtype.itemsize // max(1, len(probe)))
        step = max(PROBE_ROWS, BLOCK_BYTES // row_bytes)
        block = self._rows(obj, slice(0, min(step, n_rows)))
        growing = grow(new, name, in_codec(block, self.storage, obj.name), self.storage)
        for start in range(0, max(n_rows, 1), step):
            growing.append(self._rows(obj, slice(start, min(start + step, n_rows))))
        growing.finish()
        made = new[name]
        for key in obj.attrs:
            if key not in made.attrs and key not in CODEC_ATTRIBUTES:
                made.attrs.create(key, obj.attrs[key], dtype=obj.attrs.get_id(key).dtype)
        return made

    def _rows(self, obj: h5py.Group | h5py.Dataset, rows: slice) -> Array | VectorOfVectors:
        column: Array | VectorOfVectors = self.reader.read(obj.name, rows=rows)
        return replace(column, attrs={})


def _is_samples(obj: h5py.Group | h5py.Dataset, name: str) -> bool:
    """Whether an object holds the samples of a waveform table, rows of integers."""
    if name != "values" or set(obj.parent) != WAVEFORM_COLUMNS:
        return False
    kind = kind_of(obj)
    if kind == "ragged":
        flat = obj["flattened_data"]
        return isinstance(flat, h5py.Dataset) and flat.dtype.kind in "iu"
    return kind == "encoded" or (kind == "array" and obj.ndim == 2 and obj.dtype.kind in "iu")


def _needs_chunks(dataset: h5py.Dataset) -> bool:
    """Whether a dataset of plain values has no chunks, or such that cost time or space."""
    if not dataset.shape or dataset.dtype.kind not in "iufcS" or dataset.dtype.metadata:
        return False
    if dataset.chunks is None:
        return True
    low, high = GOOD_CHUNK_BYTES
    n_bytes = math.prod(dataset.chunks) * dataset.dtype.itemsize
    too_small = n_bytes < low and dataset.chunks[0] < dataset.shape[0]
    mostly_empty = dataset.chunks[0] > 4 * max(1, dataset.shape[0]) and n_bytes > low
    return bool(dataset.chunks[1:] != dataset.shape[1:] or too_small or n_bytes > high or mostly_empty)


def _blocks(dataset: h5py.Dataset) -> Iterator[slice]:
    """Yield the rows of blocks that end where chunks do, as HDF5 would decode a chunk for each block that it is in."""
    row_bytes = max(1, dataset.dtype.itemsize * math.prod(dataset.shape[1:]))
    chunk_rows = dataset.chunks[0] if dataset.chunks else 1
    step = max(1, BLOCK_BYTES // row_bytes // chunk_rows) * chunk_rows
    for first in range(0, dataset.shape[0], step):
        yield slice(first, min(first + step, dataset.shape[0]))


def copy_attributes(source: Any, new: Any) -> None:
    """Copy attributes as they are stored."""
    for key, value in source.attrs.items():
        new.attrs.create(key, value, dtype=source.attrs.get_id(key).dtype)


def copy_with_checksums(dataset: h5py.Dataset, parent: h5py.Group, name: str) -> h5py.Dataset:
    """Copy a dataset; its chunks get checksums, and are not decoded for that."""
    old = dataset.id.get_create_plist()
    filters = [old.get_filter(index)[:3] for index in range(old.get_nfilters())]
    if dataset.chunks is None or FLETCHER32 in [number for number, _, _ in filters] or dataset.dtype.kind == "O":
        dataset.file.copy(dataset, parent, name=name)
        return parent[name]
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)  # HDF5 2.0 corrupts its heap if a filter is added to a copied list
    plist.set_chunk(dataset.chunks)
    for number, flags, values in filters:
        plist.set_filter(number, flags, values)
    plist.set_fletcher32()
    made = h5py.h5d.create(parent.id, name.encode(), dataset.id.get_type(), dataset.id.get_space(), plist)
    for index in range(dataset.id.get_num_chunks()):
        offset = dataset.id.get_chunk_info(index).chunk_offset
        mask, content = dataset.id.read_direct_chunk(offset)
        checksum = fletcher32(content).to_bytes(4, "little")
        made.write_direct_chunk(offset, content + checksum, mask)
    copy = h5py.Dataset(made)
    copy_attributes(dataset, copy)
    return copy
