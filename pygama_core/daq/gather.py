"""Compiled copies from the byte stream into arrays, many records at a time.

Offsets may have any alignment. The offsets come from an index pass that checked them against the file's size.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.accelerate import jit, kernel_part

BYTES = "Array(uint8, 1, 'C', True)"  # the mapped file is read-only


@kernel_part
def word(data: np.ndarray, at: int) -> int:
    """Return the signed little-endian 32-bit word at byte ``at``."""
    value = np.uint32(data[at])
    value |= np.uint32(data[at + 1]) << np.uint32(8)
    value |= np.uint32(data[at + 2]) << np.uint32(16)
    value |= np.uint32(data[at + 3]) << np.uint32(24)
    return int(np.int32(value))


@kernel_part
def _copy(data: np.ndarray, at: int, out: np.ndarray) -> None:
    """Fill ``out`` with the bytes from ``at`` on; a plain loop becomes vector moves, a slice assignment does not."""
    source = data[at : at + len(out)]
    for i in range(len(out)):
        out[i] = source[i]


@jit(f"void({BYTES}, int64[:], int64[:], uint8[:, ::1])")
def _gather_padded(data: np.ndarray, offsets: np.ndarray, sizes: np.ndarray, out: np.ndarray) -> None:
    width = out.shape[1]
    for i in range(len(offsets)):
        n = min(sizes[i], width)
        _copy(data, offsets[i], out[i, :n])
        out[i, n:] = 0


@jit(f"void({BYTES}, int64[:], uint8[:, ::1])")
def _gather_fixed(data: np.ndarray, offsets: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(offsets)):
        _copy(data, offsets[i], out[i])


@jit(f"void({BYTES}, int64[:], int64[:], uint8[::1])")
def _gather_flat(data: np.ndarray, offsets: np.ndarray, sizes: np.ndarray, out: np.ndarray) -> None:
    end = 0
    for i in range(len(offsets)):
        start, end = end, end + sizes[i]
        _copy(data, offsets[i], out[start:end])


def rows_of(data: np.ndarray, offsets: np.ndarray, dtype: Any, width: int) -> np.ndarray:
    """Return (n, width) elements of ``dtype`` that start at ``offsets`` (n,)."""
    out = np.empty((len(offsets), width), dtype)
    _gather_fixed(data, offsets, _as_bytes(out))
    return out


def padded_rows_of(data: np.ndarray, offsets: np.ndarray, sizes: np.ndarray, dtype: Any) -> np.ndarray:
    """Return (n,) of a structured ``dtype``; longer fields than ``sizes`` [bytes] are filled up with zeros."""
    out = np.empty(len(offsets), dtype)
    _gather_padded(data, offsets, sizes, _as_bytes(out))
    return out


def ragged_of(data: np.ndarray, offsets: np.ndarray, sizes: np.ndarray, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the flat elements of ``dtype`` and the end offsets of rows of ``sizes`` [bytes], whole elements only."""
    item = np.dtype(dtype).itemsize
    lengths = sizes // item
    out = np.empty(int(lengths.sum()), dtype)
    _gather_flat(data, offsets, lengths * item, out.view(np.uint8))
    return out, np.cumsum(lengths)


def _as_bytes(rows: np.ndarray) -> np.ndarray:
    """Return a view of contiguous rows as (n_rows, bytes per row)."""
    n_bytes = rows.nbytes // len(rows) if len(rows) else 0
    return rows.view(np.uint8).reshape(len(rows), n_bytes)
