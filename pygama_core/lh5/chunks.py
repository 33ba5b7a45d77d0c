"""Growing datasets written chunk by chunk: shuffled and deflated in our own threads, handed to HDF5 ready-made.

HDF5 would run its filters one after another behind a global lock; a chunk compressed outside and stored by
``write_direct_chunk`` is the same bytes to every reader. A chunk holds whole rows, so that one row is one read.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import h5py
import numpy as np

from pygama_core.errors import LH5Error

CHUNK_BYTES = 128 * 1024
EMPTY_CHUNK_ROWS = 1024
DEFLATE_LEVEL = 1  # isal's levels are 0-3; 1 is as small as zlib's 4 on shuffled waveforms, at a tenth of the time
MAX_PENDING = 64  # compressed chunks waiting to be stored, per dataset


def compress_chunk(chunk: np.ndarray) -> bytes:
    """Return the chunk as HDF5's shuffle and deflate filters store it."""
    from isal import isal_zlib

    plain = np.ascontiguousarray(chunk)
    size = plain.dtype.itemsize
    shuffled = plain.view(np.uint8).reshape(-1, size).T.tobytes() if size > 1 else plain.tobytes()
    # the one-shot function matches against memory it did not clear: now and then other bytes for the same data
    compressor = isal_zlib.compressobj(DEFLATE_LEVEL)
    return bytes(compressor.compress(shuffled) + compressor.flush())


class GrowingDataset:
    """A dataset of rows of one dtype and shape that grows at its end.

    It comes into being with its first full chunk or at :meth:`finish`, so that the chunk shape of a small dataset is
    its own size and that of a large one does not depend on how the rows arrived.
    """

    def __init__(self, parent: h5py.Group, name: str, like: np.ndarray, pool: ThreadPoolExecutor) -> None:
        self.dtype, self.row_shape = like.dtype, like.shape[1:]
        self.where = f"{parent.name.rstrip('/')}/{name}"
        self.n_rows = 0
        self._parent, self._name, self._pool = parent, name, pool
        row_bytes = max(1, like.dtype.itemsize * int(np.prod(self.row_shape, dtype=np.int64)))
        self._chunk_rows = max(1, CHUNK_BYTES // row_bytes)
        self._waiting: list[np.ndarray] = []
        self._n_waiting = 0
        self._n_stored = 0
        self._pending: deque[tuple[int, Future[bytes]]] = deque()
        self._dataset: h5py.Dataset | None = None

    def append(self, values: np.ndarray) -> None:
        """Add rows; raise LH5Error if they differ from the earlier ones in dtype or shape."""
        if values.dtype != self.dtype or values.shape[1:] != self.row_shape:
            raise LH5Error(
                f"{self.where}: rows of {values.dtype} {values.shape[1:]} appended to {self.dtype} {self.row_shape}; "
                f"all rows of a dataset have one dtype and shape"
            )
        self.n_rows += len(values)
        while len(values):
            taken = values[: self._chunk_rows - self._n_waiting]
            # a copy, because callers reuse their buffers
            self._waiting.append(taken.copy())
            self._n_waiting += len(taken)
            values = values[len(taken) :]
            if self._n_waiting == self._chunk_rows:
                self._submit()

    def finish(self) -> h5py.Dataset:
        """Store what is left and return the dataset, now of its final shape."""
        if not self._n_stored:
            self._chunk_rows = self._n_waiting or EMPTY_CHUNK_ROWS
        if self._n_waiting:
            self._submit()
        dataset = self._create() if self._dataset is None else self._dataset
        dataset.resize(self.n_rows, axis=0)
        while self._pending:
            self._store_one()
        return dataset

    def _create(self) -> h5py.Dataset:
        self._dataset = self._parent.create_dataset(
            self._name,
            shape=(0, *self.row_shape),
            maxshape=(None, *(n or None for n in self.row_shape)),  # HDF5 has no chunk of length 0
            dtype=self.dtype,
            chunks=(self._chunk_rows, *(max(1, n) for n in self.row_shape)),
            shuffle=True,
            compression="gzip",
            compression_opts=4,  # recorded in the file; a reader does not need it
        )
        return self._dataset

    def _submit(self) -> None:
        chunk = self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting)
        if len(chunk) < self._chunk_rows:  # the last chunk of a dataset: HDF5 stores chunks whole
            padding = np.zeros((self._chunk_rows - len(chunk), *self.row_shape), self.dtype)
            chunk = np.concatenate([chunk, padding])
        self._waiting, self._n_waiting = [], 0
        if chunk.size:
            self._pending.append((self._n_stored, self._pool.submit(compress_chunk, chunk)))
        self._n_stored += len(chunk)
        while len(self._pending) > MAX_PENDING:
            self._store_one()

    def _store_one(self) -> None:
        dataset = self._create() if self._dataset is None else self._dataset
        first_row, compressed = self._pending.popleft()
        if dataset.shape[0] <= first_row:
            dataset.resize(first_row + self._chunk_rows, axis=0)
        dataset.id.write_direct_chunk((first_row, *(0 for _ in self.row_shape)), compressed.result())
