"""Rows of HDF5 datasets: chunks fetched and decoded in our own threads, or read by HDF5 where that does not apply.

A :class:`Plan` collects the chunks that many datasets need and then works them off at once, so that a table of many
small columns is one piece of work. HDF5 itself is only asked where the chunks lie.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from h5py import h5d, h5f, h5z

from pygama_core.errors import LH5Error
from pygama_core.lh5 import filters, headers
from pygama_core.lh5.headers import HeaderFile
from pygama_core.lh5.headers import StoredChunk as Chunk
from pygama_core.lh5.layout import Layout, stored_layout
from pygama_core.lh5.rows import Selection, expand_ranges, n_selected

INLINE_BYTES = 1 << 18  # less than this is decoded by the calling thread
LIST_CHUNKS = 64  # up to so many are listed even if few are wanted
BATCHES_PER_THREAD = 4  # so that one slow batch does not leave the other threads idle


@dataclass
class FileHandle:
    """An open file as the plan needs it; descriptor -1 means that chunks can only be read by HDF5."""

    path: Path
    hdf5_name: bytes
    descriptor: int
    n_threads: int
    headers: HeaderFile | None = None  # for reading headers without HDF5
    dtypes: dict[bytes, np.dtype | None] = field(default_factory=dict)  # of HDF5's descriptions met in this file
    _pool: list[ThreadPoolExecutor] = field(default_factory=list)

    def pool(self) -> ThreadPoolExecutor:
        """Return the file's threads, started when first needed."""
        if not self._pool:
            self._pool.append(ThreadPoolExecutor(self.n_threads))
        return self._pool[0]

    def close(self) -> None:
        """Stop the threads and close the descriptor."""
        for pool in self._pool:
            pool.shutdown()
        if self.descriptor >= 0:
            os.close(self.descriptor)


@dataclass(frozen=True)
class RowsJob:
    """Rows ``source`` of a chunk go to rows ``target`` of the result."""

    layout: Layout
    chunk: Chunk
    out: np.ndarray
    target: Selection
    source: Selection

    def run(self, descriptor: int) -> None:
        """Fetch, decode and copy."""
        try:
            self._run(descriptor)
        except LH5Error as error:
            raise LH5Error(f"{self.layout.where}: chunk at row {self.chunk.chunk_offset[0]}: {error}") from error

    def _run(self, descriptor: int) -> None:
        layout, chunk = self.layout, self.chunk
        to_rows = layout.has_whole_rows and isinstance(self.target, slice) and isinstance(self.source, slice)
        if to_rows and not layout.pipeline.codes:
            assert isinstance(self.source, slice)
            _pread_into(descriptor, self.out[self.target], chunk.byte_offset + self.source.start * layout.row_bytes)
            return
        stored = _pread(descriptor, chunk)
        if to_rows and isinstance(self.source, slice) and self.source.start == 0:
            out = self.out[self.target].reshape(-1).view(np.uint8)
            layout.pipeline.decode(stored, chunk.filter_mask, layout.chunk_bytes, out)
            return
        whole = np.empty(layout.chunk_shape, layout.dtype)
        layout.pipeline.decode(stored, chunk.filter_mask, layout.chunk_bytes, whole.reshape(-1).view(np.uint8))
        columns = tuple(
            slice(first, min(first + n, total))
            for first, n, total in zip(chunk.chunk_offset[1:], layout.chunk_shape[1:], layout.shape[1:], strict=True)
        )
        inside = tuple(slice(0, c.stop - c.start) for c in columns)
        self.out[(self.target, *columns)] = whole[(slice(None), *inside)][self.source]


@dataclass(frozen=True)
class RangesJob:
    """Ranges (low, high, shift) of a 1-d dataset that lie in one chunk go to low + shift … high + shift."""

    layout: Layout
    chunk: Chunk
    out: np.ndarray
    cuts: list[tuple[int, int, int]]

    def run(self, descriptor: int) -> None:
        """Read and copy the ranges."""
        layout, chunk, first = self.layout, self.chunk, self.chunk.chunk_offset[0]
        try:
            if not layout.pipeline.codes:
                for low, high, shift in self.cuts:
                    offset = chunk.byte_offset + (low - first) * layout.dtype.itemsize
                    _pread_into(descriptor, self.out[low + shift : high + shift], offset)
                return
            whole = np.empty(layout.chunk_shape, layout.dtype)
            stored = _pread(descriptor, chunk)
            layout.pipeline.decode(stored, chunk.filter_mask, layout.chunk_bytes, whole.view(np.uint8))
        except LH5Error as error:
            raise LH5Error(f"{layout.where}: chunk at row {first}: {error}") from error
        for low, high, shift in self.cuts:
            self.out[low + shift : high + shift] = whole[low - first : high - first]


def _pread(descriptor: int, chunk: Chunk) -> bytes:
    stored = os.pread(descriptor, chunk.size, chunk.byte_offset)
    if len(stored) != chunk.size:
        raise LH5Error(f"the file ends inside the chunk: {len(stored)} of {chunk.size} bytes; the file is truncated")
    return stored


def _pread_into(descriptor: int, rows: np.ndarray, offset: int) -> None:
    view = memoryview(rows.reshape(-1).view(np.uint8).data)
    while len(view):
        n_read = os.preadv(descriptor, [view], offset)
        if not n_read:
            raise LH5Error(f"the file ends {len(view)} bytes before the end of the chunk; the file is truncated")
        view, offset = view[n_read:], offset + n_read


class Plan:
    """Chunks to read from one file."""

    def __init__(self, file: FileHandle) -> None:
        self._file = file
        self._jobs: list[RowsJob | RangesJob] = []
        self._n_bytes = 0

    def add(self, dataset: h5d.DatasetID, where: str, selection: Selection) -> np.ndarray:
        """Return the array of the selected rows, which :meth:`run` fills.

        Raises
        ------
        LH5Error
            if a filter is missing that HDF5 needs a plugin for
        """
        layout = stored_layout(dataset, where) if self._is_direct(dataset) else None
        if layout is None:
            return read_by_hdf5(dataset, where, selection)
        out = np.empty((n_selected(selection), *layout.shape[1:]), layout.dtype)
        if not out.size:
            return out
        jobs = list(_jobs(layout, partial(_chunks, layout, dataset), selection, out))
        if not _is_covered(layout, jobs, selection):
            _fill(dataset, out)
        self._jobs += jobs
        self._n_bytes += len(jobs) * layout.chunk_bytes
        return out

    def add_known(self, layout: Layout, header: headers.Dataset, selection: Selection) -> np.ndarray | None:
        """Return the array of selected rows of a dataset described by its header; None if HDF5 has to be asked."""
        out = np.empty((n_selected(selection), *layout.shape[1:]), layout.dtype)
        if not out.size:
            return out
        n_all = -(-layout.shape[0] // layout.chunk_shape[0])
        if layout.base is not None:
            chunks = partial(_chunks, layout, None)
        elif n_all > LIST_CHUNKS and len(out) * 8 < n_all:  # few of many: HDF5 finds each by itself
            return None
        else:
            listed = headers.chunks(self._file.headers, header) if self._file.headers else None
            if listed is None:
                return None
            chunks = partial(_among, layout, listed)
        jobs = list(_jobs(layout, chunks, selection, out))
        if not _is_covered(layout, jobs, selection):  # chunks that were never written hold the fill value
            return None
        self._jobs += jobs
        self._n_bytes += len(jobs) * layout.chunk_bytes
        return out

    def add_ranges(self, dataset: h5d.DatasetID, where: str, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return the array of ranges of a 1-d dataset, one after another, which :meth:`run` fills.

        For few long ranges, where naming every element would cost more than reading it.
        """
        layout = stored_layout(dataset, where) if self._is_direct(dataset) else None
        if layout is None:
            return read_by_hdf5(dataset, where, expand_ranges(starts, lengths, where))
        total = int(lengths.sum())
        out = np.empty(total, layout.dtype)
        n = layout.chunk_shape[0]
        ends = np.cumsum(lengths)
        cuts: dict[int, list[tuple[int, int, int]]] = {}
        for start, length, end in zip(starts.tolist(), lengths.tolist(), ends.tolist(), strict=True):
            shift = end - length - start  # from place in the dataset to place in the result
            for number in range(start // n, -(-(start + length) // n)):
                low, high = max(start, number * n), min(start + length, (number + 1) * n)
                cuts.setdefault(number, []).append((low, high, shift))
        chunks = list(_chunks(layout, dataset, np.array(sorted(cuts), np.int64))) if cuts else []
        if len(chunks) < len(cuts):
            _fill(dataset, out)
        self._jobs += [RangesJob(layout, chunk, out, cuts[chunk.chunk_offset[0] // n]) for chunk in chunks]
        # without filters only the ranges themselves are fetched
        self._n_bytes += len(chunks) * layout.chunk_bytes if layout.pipeline.codes else out.nbytes
        return out

    def _is_direct(self, dataset: h5d.DatasetID) -> bool:
        # an external link leads to another file than the one whose descriptor we have
        return self._file.descriptor >= 0 and h5f.get_name(dataset) == self._file.hdf5_name

    def run(self) -> None:
        """Fill all arrays; raise LH5Error for a chunk that cannot be decoded."""
        jobs, n_bytes = self._jobs, self._n_bytes
        self._jobs, self._n_bytes = [], 0
        if n_bytes >= filters.COMPILED_FROM:
            filters.load_kernels()
        _run(self._file, jobs, n_bytes)


def _run(file: FileHandle, jobs: list[RowsJob | RangesJob], n_bytes: int) -> None:
    """Run jobs in the file's threads, in batches, or inline when there is little to do."""
    if n_bytes < INLINE_BYTES or file.n_threads == 1 or len(jobs) == 1:
        for job in jobs:
            job.run(file.descriptor)
        return
    size = -(-len(jobs) // (BATCHES_PER_THREAD * file.n_threads))

    def run_batch(start: int) -> None:
        for job in jobs[start : start + size]:
            job.run(file.descriptor)

    for _ in file.pool().map(run_batch, range(0, len(jobs), size)):
        pass


def _chunks(layout: Layout, dataset: h5d.DatasetID | None, numbers: np.ndarray) -> Iterator[Chunk]:
    """Yield the chunks whose first rows are ``numbers`` times the rows of a chunk."""
    base = layout.base
    if base is not None:
        for number in numbers:
            first = int(number) * layout.chunk_shape[0]
            size = min(layout.chunk_shape[0], layout.shape[0] - first) * layout.row_bytes
            yield Chunk((first, *(0 for _ in layout.shape[1:])), 0, base + first * layout.row_bytes, size)
        return
    assert dataset is not None
    n_all = -(-layout.shape[0] // layout.chunk_shape[0])
    if layout.has_whole_rows and len(numbers) * 8 < n_all:  # asking for one costs as much as listing about eight
        for number in numbers:
            info = dataset.get_chunk_info_by_coord(
                (int(number) * layout.chunk_shape[0], *(0 for _ in layout.shape[1:]))
            )
            if info.byte_offset is not None:
                yield info
        return
    infos: list[Chunk] = []
    dataset.chunk_iter(infos.append)
    wanted = np.zeros(n_all, bool)
    wanted[numbers] = True
    for info in infos:
        number = info.chunk_offset[0] // layout.chunk_shape[0]
        if number < n_all and wanted[number]:
            yield info


def _among(layout: Layout, chunks: list[Chunk], numbers: np.ndarray) -> Iterator[Chunk]:
    """Yield those of the chunks whose first rows are ``numbers`` times the rows of a chunk."""
    n, wanted = layout.chunk_shape[0], set(numbers.tolist())
    return (chunk for chunk in chunks if chunk.chunk_offset[0] // n in wanted)


def _jobs(
    layout: Layout, chunks: Callable[[np.ndarray], Iterator[Chunk]], selection: Selection, out: np.ndarray
) -> Iterator[RowsJob]:
    n = layout.chunk_shape[0]
    if isinstance(selection, slice):
        for chunk in chunks(np.arange(selection.start // n, (selection.stop - 1) // n + 1)):
            first = chunk.chunk_offset[0]
            low, high = max(first, selection.start), min(first + n, selection.stop)
            target = slice(low - selection.start, high - selection.start)
            yield RowsJob(layout, chunk, out, target, slice(low - first, high - first))
        return
    order = np.argsort(selection, kind="stable")
    ordered = selection[order]
    numbers, starts = np.unique(ordered // n, return_index=True)
    bounds = dict(zip(numbers.tolist(), zip(starts, [*starts[1:], len(ordered)], strict=True), strict=True))
    for chunk in chunks(numbers):
        first = chunk.chunk_offset[0]
        start, end = bounds[first // n]
        yield RowsJob(layout, chunk, out, order[start:end], ordered[start:end] - first)


def _is_covered(layout: Layout, jobs: list[RowsJob], selection: Selection) -> bool:
    """Whether every chunk that the selection needs is stored."""
    across = 1
    for total, n in zip(layout.shape[1:], layout.chunk_shape[1:], strict=True):
        across *= -(-total // n)
    if layout.base is not None:
        return True
    n = layout.chunk_shape[0]
    if isinstance(selection, slice):
        n_needed = (selection.stop - 1) // n - selection.start // n + 1
    else:
        n_needed = len(np.unique(selection // n))
    return bool(len(jobs) == n_needed * across)


def _fill(dataset: h5d.DatasetID, out: np.ndarray) -> None:
    value = np.zeros((), out.dtype)
    dataset.get_create_plist().get_fill_value(value)
    out[...] = value


def read_by_hdf5(dataset: h5d.DatasetID, where: str, selection: Selection) -> np.ndarray:
    """Read rows through HDF5's own filters; raise LH5Error if one of them is not installed."""
    _require_filters(dataset, where)
    high_level = h5py.Dataset(dataset)
    try:
        if isinstance(selection, slice):
            return np.asarray(high_level[selection])
        # one contiguous read beats HDF5's point selection unless the rows are far apart
        first, last = int(selection.min()), int(selection.max()) + 1
        if len(selection) * 20 > last - first:
            return np.asarray(high_level[first:last][selection - first])
        unique, inverse = np.unique(selection, return_inverse=True)
        return np.asarray(high_level[unique][inverse])
    except OSError as error:
        raise LH5Error(f"{where}: HDF5 cannot read it ({error}); the object is damaged") from error


def _require_filters(dataset: h5d.DatasetID, where: str) -> None:
    properties = dataset.get_create_plist()
    codes = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    missing = [code for code in codes if not h5z.filter_avail(code)]
    if not missing:
        return
    try:
        import hdf5plugin  # noqa: F401  registers its filters
    except ImportError as error:
        names = ", ".join(f"{filters.FOREIGN.get(code, 'filter')} ({code})" for code in missing)
        raise LH5Error(f"{where} is compressed with {names}; install the package hdf5plugin to read it") from error
    missing = [code for code in codes if not h5z.filter_avail(code)]
    if missing:
        raise LH5Error(f"{where}: HDF5 filters {missing} are not in the package hdf5plugin; install their plugin")
