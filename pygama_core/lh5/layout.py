"""How datasets are stored: shape, type, chunks, filters; whether their bytes can be read without HDF5."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from h5py import h5d, h5t

from pygama_core.lh5 import filters, headers
from pygama_core.lh5.filters import Pipeline

PIECE_BYTES = 1 << 20  # contiguous datasets are read in pieces of about this size


@dataclass(frozen=True)
class Layout:
    """How one dataset is stored."""

    where: str
    shape: tuple[int, ...]
    dtype: np.dtype
    chunk_shape: tuple[int, ...]
    pipeline: Pipeline
    base: int | None = None  # where a contiguous dataset begins in the file; it is cut into chunks of our own

    @property
    def has_whole_rows(self) -> bool:
        """Whether each chunk holds whole rows."""
        return self.chunk_shape[1:] == self.shape[1:]

    @property
    def chunk_bytes(self) -> int:
        """Size of a decoded chunk."""
        return math.prod(self.chunk_shape) * self.dtype.itemsize

    @property
    def row_bytes(self) -> int:
        """Size of a row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


@cache
def _hdf5_type(dtype: np.dtype) -> h5t.TypeID:
    return h5t.py_create(dtype)


def _is_plain(stored: h5t.TypeID, dtype: np.dtype) -> bool:
    """Whether the bytes in the file are those of the NumPy type."""
    if dtype.kind in "iuf":
        return bool(stored == _hdf5_type(dtype))
    return (
        dtype.kind == "S"
        and isinstance(stored, h5t.TypeStringID)
        and not stored.is_variable_str()
        and stored.get_strpad() == h5t.STR_NULLPAD
    )


def plain_dtype(dataset: h5d.DatasetID) -> np.dtype | None:
    """Return the type of a dataset's elements if NumPy has them byte for byte, else None."""
    stored = dataset.get_type()
    dtype = np.dtype(stored.dtype.str)  # without what h5py notes about enums
    return dtype if _is_plain(stored, dtype) else None


def stored_layout(dataset: h5d.DatasetID, where: str) -> Layout | None:
    """Return how the dataset is stored if its chunks can be read without HDF5."""
    shape, dtype = dataset.shape, plain_dtype(dataset)
    if not shape or dtype is None:
        return None
    properties = dataset.get_create_plist()
    kind = properties.get_layout()
    if kind == h5d.CHUNKED:
        codes = tuple(properties.get_filter(i)[0] for i in range(properties.get_nfilters()))
        return _chunked_layout(where, shape, dtype, properties.get_chunk(), codes)
    base = dataset.get_offset() if kind == h5d.CONTIGUOUS and properties.get_external_count() == 0 else None
    return None if base is None else _contiguous_layout(where, shape, dtype, base)


def _chunked_layout(
    where: str, shape: tuple[int, ...], dtype: np.dtype, chunk_shape: tuple[int, ...], codes: tuple[int, ...]
) -> Layout | None:
    if dtype.itemsize == 1:
        codes = tuple(code for code in codes if code != filters.SHUFFLE)  # it does nothing to single bytes
    pipeline = Pipeline(codes, dtype.itemsize)
    return Layout(where, shape, dtype, chunk_shape, pipeline) if pipeline.is_ours else None


def _contiguous_layout(where: str, shape: tuple[int, ...], dtype: np.dtype, base: int) -> Layout:
    row_bytes = max(1, math.prod(shape[1:]) * dtype.itemsize)
    n_rows = max(1, min(shape[0], PIECE_BYTES // row_bytes))
    return Layout(where, shape, dtype, (n_rows, *shape[1:]), Pipeline((), dtype.itemsize), base)


def known_layout(where: str, header: headers.Dataset, dtype: np.dtype) -> Layout | None:
    """Return the layout of a dataset that was described by its header."""
    if header.chunk_shape:
        return _chunked_layout(where, header.shape, dtype, header.chunk_shape, header.codes)
    return _contiguous_layout(where, header.shape, dtype, header.address)
