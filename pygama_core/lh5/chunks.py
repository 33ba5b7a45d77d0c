"""Growing datasets written chunk by chunk: filtered in our own threads, handed to HDF5 ready-made.

HDF5 would run its filters one after another behind a global lock; a chunk compressed outside and stored by
``write_direct_chunk`` is the same bytes to every reader. A chunk holds whole rows, so that one row is one read.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import h5py
import numpy as np
from h5py import h5d

from pygama_core.errors import LH5Error
from pygama_core.lh5 import filters
from pygama_core.lh5.create import Maker, Place
from pygama_core.lh5.filters import DEFLATE, FLETCHER32, SHUFFLE, Pipeline

if TYPE_CHECKING:
    from pygama_core.lh5.codecs import Codec

CHUNK_BYTES = 128 * 1024
EMPTY_CHUNK_ROWS = 1024
PENDING_BYTES = 64 << 20  # rows of one file whose chunks are being compressed or wait to be stored
INLINE_BYTES = 1 << 15  # a smaller chunk is compressed before another thread has woken up


class Pending:
    """Chunks of one file on their way through the threads, stored in the order in which they were cut."""

    def __init__(self) -> None:
        self._queue: deque[tuple[int, Future[bytes], Callable[[bytes], None]]] = deque()
        self._n_bytes = 0

    def put(self, n_bytes: int, filtered: Future[bytes], store: Callable[[bytes], None]) -> None:
        """Add a chunk of ``n_bytes``; store the oldest ones if there are too many."""
        self._queue.append((n_bytes, filtered, store))
        self._n_bytes += n_bytes
        while self._n_bytes > PENDING_BYTES:
            self._store_one()

    def drain(self) -> None:
        """Store all."""
        while self._queue:
            self._store_one()

    def _store_one(self) -> None:
        n_bytes, filtered, store = self._queue.popleft()
        self._n_bytes -= n_bytes
        store(filtered.result())


@dataclass(frozen=True)
class Storage:
    """How the datasets of one file are stored."""

    pool: ThreadPoolExecutor
    compress: bool = True
    fletcher32: bool = False
    codec: Codec | str | None = None  # for the values of waveform tables; "auto" compares
    pending: Pending = field(default_factory=Pending)
    maker: Maker = field(default_factory=Maker)

    @property
    def codes(self) -> tuple[int, ...]:
        """HDF5 filters in the order of writing."""
        return (*((SHUFFLE, DEFLATE) if self.compress else ()), *((FLETCHER32,) if self.fletcher32 else ()))

    def uncompressed(self) -> Storage:
        """Return the storage of data that are compressed already."""
        return replace(self, compress=False)


class GrowingDataset:
    """A dataset of rows of one dtype and shape that grows at its end.

    It comes into being with its first full chunk or at :meth:`finish`, so that the chunk shape of a small dataset is
    its own size and that of a large one does not depend on how the rows arrived.
    """

    def __init__(self, parent: h5py.Group, name: str, like: np.ndarray, storage: Storage) -> None:
        self.dtype, self.row_shape = like.dtype, like.shape[1:]
        self.where = Place(parent, name)
        self.n_rows = 0
        self._parent, self._name, self._storage = parent, name, storage
        self._pipeline = Pipeline(storage.codes, like.dtype.itemsize)
        self._row_bytes = max(1, like.dtype.itemsize * math.prod(self.row_shape))
        self._chunk_rows = max(1, CHUNK_BYTES // self._row_bytes)
        self._waiting: list[np.ndarray] = []
        self._n_waiting = 0
        self._n_cut = 0  # rows that were cut into chunks
        self._extent = 0  # rows of the dataset in the file
        self._dataset: h5d.DatasetID | None = None

    def append(self, values: np.ndarray) -> None:
        """Add rows; raise LH5Error if they differ from the earlier ones in dtype or shape."""
        if values.dtype.kind == self.dtype.kind == "S" and values.dtype.itemsize < self.dtype.itemsize:
            values = values.astype(self.dtype)  # shorter text fits
        if values.dtype != self.dtype or values.shape[1:] != self.row_shape:
            raise LH5Error(
                f"{self.where}: rows of {values.dtype} {values.shape[1:]} appended to {self.dtype} {self.row_shape}; "
                f"all rows of a dataset have one dtype and shape"
            )
        self.n_rows += len(values)
        if self._storage.compress and self.n_rows * self._row_bytes > filters.COMPILED_FROM:
            filters.load_kernels()
        if not self._pipeline.codes:
            values = self._store_whole(values)
        while len(values):
            taken = values[: self._chunk_rows - self._n_waiting]
            # a copy, because callers reuse their buffers
            self._waiting.append(taken.copy())
            self._n_waiting += len(taken)
            values = values[len(taken) :]
            if self._n_waiting == self._chunk_rows:
                self._submit()

    def _store_whole(self, values: np.ndarray) -> np.ndarray:
        """Store whole chunks that need no filter, straight from the caller's memory; return the rows left over."""
        while not self._n_waiting and len(values) >= self._chunk_rows:
            self._store(self._n_cut, np.ascontiguousarray(values[: self._chunk_rows]))
            self._n_cut += self._chunk_rows
            values = values[self._chunk_rows :]
        if self._n_waiting and len(values) >= self._chunk_rows - self._n_waiting:
            n = self._chunk_rows - self._n_waiting
            whole = np.concatenate([*self._waiting, values[:n]])
            self._waiting, self._n_waiting = [], 0
            self._store(self._n_cut, whole)
            self._n_cut += self._chunk_rows
            return self._store_whole(values[n:])
        return values

    def finish(self) -> h5d.DatasetID:
        """Store what is left and return the dataset, now of its final shape."""
        if not self._n_cut:
            self._chunk_rows = self._n_waiting or EMPTY_CHUNK_ROWS
        if self._n_waiting:
            self._submit()
        self._storage.pending.drain()
        dataset, self._dataset = self._grown(self.n_rows), None  # HDF5 gets slower with each object that is open
        return dataset

    def _grown(self, n_rows: int) -> h5d.DatasetID:
        """Return the dataset with room for some rows."""
        if self._dataset is None:
            chunk = (self._chunk_rows, *(max(1, n) for n in self.row_shape))
            make, codes = self._storage.maker.dataset, self._storage.codes
            self._dataset = make(self._parent, self._name, self.dtype, (n_rows, *self.row_shape), chunk, codes)
            self._extent = n_rows
        elif n_rows > self._extent:
            self._dataset.set_extent((n_rows, *self.row_shape))
            self._extent = n_rows
        return self._dataset

    def _submit(self) -> None:
        chunk = self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting)
        if len(chunk) < self._chunk_rows:  # the last chunk of a dataset: HDF5 stores chunks whole
            padding = np.zeros((self._chunk_rows - len(chunk), *self.row_shape), self.dtype)
            chunk = np.concatenate([chunk, padding])
        self._waiting, self._n_waiting = [], 0
        first, self._n_cut = self._n_cut, self._n_cut + len(chunk)
        if 0 < chunk.nbytes <= INLINE_BYTES:
            self._store(first, self._pipeline.encode(chunk))
        elif chunk.size:
            filtered = self._storage.pool.submit(self._pipeline.encode, chunk)
            self._storage.pending.put(chunk.nbytes, filtered, partial(self._store, first))

    def _store(self, first_row: int, chunk: bytes | np.ndarray) -> None:
        # never beyond the rows there are: to make a dataset smaller, HDF5 would decode its last chunk
        dataset = self._grown(min(first_row + self._chunk_rows, self.n_rows))
        dataset.write_direct_chunk((first_row, *(0 for _ in self.row_shape)), chunk)
