"""Compiled loops of uleb128_zigzag_diff: variable-length bytes of zigzagged differences."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.accelerate import jit

MAX_BYTES = 5  # of one 32-bit difference


@jit(
    "i8(Array(u2, 1, 'C', True), i8[::1], i8[::1], u1[::1], i8[::1])",
    "i8(Array(i4, 1, 'C', True), i8[::1], i8[::1], u1[::1], i8[::1])",
)
def encode(samples: np.ndarray, starts: np.ndarray, ends: np.ndarray, out: np.ndarray, sizes: np.ndarray) -> int:
    """Encode rows samples[starts[i]:ends[i]] one after another; return the bytes used.

    Parameters
    ----------
    samples : (n,) uint16 or int32
    starts, ends : (n_rows,) int64
    out : uint8; needs MAX_BYTES for each sample
    sizes : (n_rows,) int64; gets the bytes of each row
    """
    position = 0
    for row in range(len(starts)):
        first = position
        x = samples[starts[row] : ends[row]]
        n = len(x)
        i = 0
        while i < n:
            if i > 0 and i + 16 <= n:
                # quiet waveforms: 16 differences of one byte each, tried as one vector
                now, before, put = x[i : i + 16], x[i - 1 : i + 15], out[position : position + 16]
                bits = np.uint32(0)
                for k in range(16):
                    d = np.int32(np.int32(now[k]) - np.int32(before[k]))
                    z = np.uint32(np.int32(d << np.int32(1)) ^ np.int32(d >> np.int32(31)))
                    bits |= z
                    put[k] = np.uint8(z)
                if bits < np.uint32(128):
                    i += 16
                    position += 16
                    continue
            previous = np.int32(x[i - 1]) if i > 0 else np.int32(0)
            for k in range(i, min(i + 16, n)):
                value = np.int32(x[k])
                d = np.int32(value - previous)
                previous = value
                z = np.uint32(np.int32(d << np.int32(1)) ^ np.int32(d >> np.int32(31)))
                while z > np.uint32(127):
                    out[position] = np.uint8(z & np.uint32(127)) | np.uint8(128)
                    z = np.uint32(z >> np.uint32(7))
                    position += 1
                out[position] = np.uint8(z)
                position += 1
            i = min(i + 16, n)
        sizes[row] = position - first
    return position


@jit("u4(u4)", inline="always")
def _unzigzag(z: Any) -> Any:
    return np.uint32(np.uint32(z >> np.uint32(1)) ^ np.uint32(np.uint32(0) - np.uint32(z & np.uint32(1))))


@jit(
    "i8(Array(u1, 1, 'C', True), i8[::1], i8[::1], u2[::1], i8[::1], i8[::1])",
    "i8(Array(u1, 1, 'C', True), i8[::1], i8[::1], i2[::1], i8[::1], i8[::1])",
    "i8(Array(u1, 1, 'C', True), i8[::1], i8[::1], i4[::1], i8[::1], i8[::1])",
)
def decode(
    data: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    out: np.ndarray,
    out_starts: np.ndarray,
    out_ends: np.ndarray,
) -> int:
    """Decode the rows data[starts[i]:ends[i]] to out[out_starts[i]:out_ends[i]].

    Returns the first row that has not the samples expected, or whose values do not fit the type of out; -1 if none.
    """
    # indices are unsigned, because numba turns signed ones into two cases (from the start, from the end)
    one, eight = np.uint64(1), np.uint64(8)
    for row in range(len(starts)):
        b = data[starts[row] : ends[row]]
        x = out[out_starts[row] : out_ends[row]]
        n, n_bytes = np.uint64(len(x)), np.uint64(len(b))
        value, lost = np.uint32(0), np.uint32(0)
        i, p = np.uint64(0), np.uint64(0)
        while i < n:
            if p + eight <= n_bytes and i + eight <= n:
                word = np.uint64(0)
                for k in range(8):
                    word |= np.uint64(b[p + np.uint64(k)]) << np.uint64(8 * k)
                if word & np.uint64(0x8080808080808080) == np.uint64(0):
                    for _ in range(8):
                        value = np.uint32(value + _unzigzag(np.uint32(word & np.uint64(127))))
                        word >>= np.uint64(8)
                        x[i] = value
                        lost |= value ^ np.uint32(np.int32(x[i]))
                        i += one
                    p += eight
                    continue
            z, shift = np.uint32(0), np.uint32(0)
            while p < n_bytes and b[p] > np.uint8(127) and shift < np.uint32(28):
                z |= np.uint32(np.uint32(b[p] & np.uint8(127)) << shift)
                shift = np.uint32(shift + np.uint32(7))
                p += one
            if p >= n_bytes or b[p] > np.uint8(127):
                return row
            z |= np.uint32(np.uint32(b[p]) << shift)
            p += one
            value = np.uint32(value + _unzigzag(z))
            x[i] = value
            lost |= value ^ np.uint32(np.int32(x[i]))
            i += one
        if p != n_bytes or lost != np.uint32(0):
            return row
    return -1
