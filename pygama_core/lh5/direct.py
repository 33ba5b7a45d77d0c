"""Rows of HDF5 datasets: chunks fetched and decoded in our own threads, or read by HDF5 where that does not apply.

A :class:`Plan` collects the chunks that many datasets need and then works them off at once, so that a table of many
small columns is one piece of work. HDF5 itself is only asked where the chunks lie.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import h5py
import numpy as np
from h5py import h5d, h5z

from pygama_core.errors import LH5Error
from pygama_core.lh5 import filters, headers
from pygama_core.lh5.handle import FileHandle
from pygama_core.lh5.layout import Layout, known_layout, stored_layout
from pygama_core.lh5.pages import HeaderFile
from pygama_core.lh5.rows import Selection, expand_ranges, n_selected
from pygama_core.lh5.trees import StoredChunk as Chunk

INLINE_BYTES = 1 << 22  # less than this is decoded by the calling thread
Finder: TypeAlias = "Callable[[Sequence[int]], list[Chunk] | None]"


class Source(NamedTuple):
    """How the rows of a dataset are stored, and how to find chunks by their sorted numbers along the rows."""

    layout: Layout
    chunks: Finder  # None: only HDF5 can tell


class Stored(Protocol):
    """A dataset as the plan needs it."""

    @property
    def source(self) -> Source | None: ...
    @property
    def oid(self) -> Any: ...
    @property
    def where(self) -> str: ...


@dataclass(slots=True)
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


@dataclass(slots=True)
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

    def add(self, node: Stored, selection: Selection) -> np.ndarray:
        """Return the array of the selected rows, which :meth:`run` fills.

        Raises
        ------
        LH5Error
            if a filter is missing that HDF5 needs a plugin for
        """
        source = node.source
        if source is None:
            return read_by_hdf5(node.oid, node.where, selection)
        layout = source.layout
        out = np.empty((n_selected(selection), *layout.shape[1:]), layout.dtype)
        if not out.size:
            return out
        jobs = _jobs(source, selection, out)
        if jobs is None:
            return read_by_hdf5(node.oid, node.where, selection)
        if not _is_covered(layout, len(jobs), selection):  # chunks that were never written hold the fill value
            _fill(node.oid, out)
        self._jobs += jobs
        self._n_bytes += len(jobs) * layout.chunk_bytes
        return out

    def add_ranges(self, node: Stored, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return the array of ranges of a 1-d dataset, one after another, which :meth:`run` fills.

        For few long ranges, where naming every element would cost more than reading it.
        """
        source = node.source
        if source is None:
            return read_by_hdf5(node.oid, node.where, expand_ranges(starts, lengths, node.where))
        layout = source.layout
        n = layout.chunk_shape[0]
        cuts = _cuts(starts, lengths, n)
        out = np.empty(int(lengths.sum()), layout.dtype)
        chunks = source.chunks(sorted(cuts))
        if chunks is None:
            return read_by_hdf5(node.oid, node.where, expand_ranges(starts, lengths, node.where))
        if len(chunks) < len(cuts):
            _fill(node.oid, out)
        self._jobs += [RangesJob(layout, chunk, out, cuts[chunk.chunk_offset[0] // n]) for chunk in chunks]
        # without filters only the ranges themselves are fetched
        self._n_bytes += len(chunks) * layout.chunk_bytes if layout.pipeline.codes else out.nbytes
        return out

    def run(self) -> None:
        """Fill all arrays; raise LH5Error for a chunk that cannot be decoded."""
        jobs, n_bytes = self._jobs, self._n_bytes
        self._jobs, self._n_bytes = [], 0
        if n_bytes >= filters.COMPILED_FROM:
            filters.load_kernels()
        _run(self._file, jobs, n_bytes)


def _run(file: FileHandle, jobs: list[RowsJob | RangesJob], n_bytes: int) -> None:
    """Run jobs in the file's threads, or inline when there is little to do."""
    if n_bytes < INLINE_BYTES:
        for job in jobs:
            job.run(file.descriptor)
    else:
        file.threads.each(lambda job: job.run(file.descriptor), jobs)


def _cuts(starts: np.ndarray, lengths: np.ndarray, n: int) -> dict[int, list[tuple[int, int, int]]]:
    """Return chunk number -> ranges (low, high, shift from place in the dataset to place in the result)."""
    cuts: dict[int, list[tuple[int, int, int]]] = {}
    end = 0
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        shift = end - start
        end += length
        for number in range(start // n, -(-(start + length) // n)):
            low, high = max(start, number * n), min(start + length, (number + 1) * n)
            cuts.setdefault(number, []).append((low, high, shift))
    return cuts


def known_source(file: HeaderFile, header: headers.Dataset, where: str) -> Source | None:
    """Return the source of a dataset that was described by its header; None if its elements are not plain."""
    dtype = header.dtype
    layout = None if dtype is None or not header.shape else known_layout(where, header, dtype)
    if layout is None:
        return None
    return _contiguous(layout) if layout.base is not None else Source(layout, lambda n: headers.chunks(file, header, n))


def hdf5_source(dataset: h5d.DatasetID, where: str) -> Source | None:
    """Return the source of a dataset that HDF5 opened; None if its chunks cannot be read without HDF5."""
    layout = stored_layout(dataset, where)
    if layout is None:
        return None
    return _contiguous(layout) if layout.base is not None else Source(layout, lambda n: _by_hdf5(layout, dataset, n))


def _contiguous(layout: Layout) -> Source:
    n, base = layout.chunk_shape[0], layout.base or 0
    rest = (0,) * (len(layout.shape) - 1)

    def find(numbers: Sequence[int]) -> list[Chunk]:
        sizes = [min(n, layout.shape[0] - number * n) * layout.row_bytes for number in numbers]
        return [
            Chunk((number * n, *rest), 0, base + number * n * layout.row_bytes, size)
            for number, size in zip(numbers, sizes, strict=True)
        ]

    return Source(layout, find)


def _by_hdf5(layout: Layout, dataset: h5d.DatasetID, numbers: Sequence[int]) -> list[Chunk]:
    n = layout.chunk_shape[0]
    if layout.has_whole_rows and len(numbers) * 8 * n < layout.shape[0]:  # one look-up costs as much as listing eight
        rest = (0,) * (len(layout.shape) - 1)
        found = [dataset.get_chunk_info_by_coord((number * n, *rest)) for number in numbers]
        return [info for info in found if info.byte_offset is not None]
    listed: list[Chunk] = []
    dataset.chunk_iter(listed.append)
    wanted = set(numbers)
    return [info for info in listed if info.chunk_offset[0] // n in wanted]


def _jobs(source: Source, selection: Selection, out: np.ndarray) -> list[RowsJob] | None:
    layout = source.layout
    n = layout.chunk_shape[0]
    if isinstance(selection, slice):
        start, stop = selection.start, selection.stop
        chunks = source.chunks(range(start // n, (stop - 1) // n + 1))
        return None if chunks is None else [_run_of_rows(layout, chunk, start, stop, out) for chunk in chunks]
    order = np.argsort(selection, kind="stable")
    ordered = selection[order]
    numbers, starts = np.unique(ordered // n, return_index=True)
    ends = [*starts.tolist()[1:], len(ordered)]
    bounds = dict(zip(numbers.tolist(), zip(starts.tolist(), ends, strict=True), strict=True))
    chunks = source.chunks(list(bounds))
    if chunks is None:
        return None
    jobs = []
    for chunk in chunks:
        first = chunk.chunk_offset[0]
        low, high = bounds[first // n]
        jobs.append(RowsJob(layout, chunk, out, order[low:high], ordered[low:high] - first))
    return jobs


def _run_of_rows(layout: Layout, chunk: Chunk, start: int, stop: int, out: np.ndarray) -> RowsJob:
    first = chunk.chunk_offset[0]
    low, high = max(first, start), min(first + layout.chunk_shape[0], stop)
    return RowsJob(layout, chunk, out, slice(low - start, high - start), slice(low - first, high - first))


def _is_covered(layout: Layout, n_found: int, selection: Selection) -> bool:
    """Whether every chunk that the selection needs is stored."""
    if layout.base is not None:
        return True
    across = 1
    for total, n in zip(layout.shape[1:], layout.chunk_shape[1:], strict=True):
        across *= -(-total // n)
    n = layout.chunk_shape[0]
    if isinstance(selection, slice):
        n_needed = (selection.stop - 1) // n - selection.start // n + 1
    else:
        n_needed = len(np.unique(selection // n))
    return bool(n_found == n_needed * across)


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
