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


@jit("Tuple((i8, u8))(Array(u1, 1, 'C', True), u8, u8)", inline="always")
def _one_step(data: np.ndarray, p: Any, behind: Any) -> Any:
    """Return the difference at byte ``p`` and the byte after it, 0 if it is damaged."""
    z, shift = np.uint32(0), np.uint32(0)
    while p < behind and data[p] > np.uint8(127) and shift < np.uint32(28):
        z |= np.uint32(np.uint32(data[p] & np.uint8(127)) << shift)
        shift = np.uint32(shift + np.uint32(7))
        p += np.uint64(1)
    if p >= behind or data[p] > np.uint8(127):
        return np.int64(0), np.uint64(0)
    z |= np.uint32(np.uint32(data[p]) << shift)
    step = np.uint32(z >> np.uint32(1)) ^ np.uint32(np.uint32(0) - np.uint32(z & np.uint32(1)))
    return np.int64(step), np.uint64(p + np.uint64(1))


@jit(
    "i8(Array(u1, 1, 'C', True), i8[::1], i8[::1], UniTuple(i8, 2), u2[::1], i8[::1], i8[::1])",
    "i8(Array(u1, 1, 'C', True), i8[::1], i8[::1], UniTuple(i8, 2), i2[::1], i8[::1], i8[::1])",
    "i8(Array(u1, 1, 'C', True), i8[::1], i8[::1], UniTuple(i8, 2), i4[::1], i8[::1], i8[::1])",
)
def decode(  # noqa: PLR0913
    data: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    limits: tuple[int, int],
    out: np.ndarray,
    out_starts: np.ndarray,
    out_ends: np.ndarray,
) -> int:
    """Decode the rows data[starts[i]:ends[i]] to out[out_starts[i]:out_ends[i]].

    Returns the first row that has not the samples expected, or a value outside ``limits``; -1 if none.
    """
    # indices are unsigned, because numba turns signed ones into two cases (from the start, from the end)
    one, eight = np.uint64(1), np.uint64(8)
    low, high = limits
    for row in range(len(starts)):
        i, end = np.uint64(out_starts[row]), np.uint64(out_ends[row])
        p, behind = np.uint64(starts[row]), np.uint64(ends[row])
        value = np.int64(0)
        while i < end:
            if p + eight <= behind and i + eight <= end and value >= low + 512 and value <= high - 512:
                word = np.uint64(0)
                for k in range(8):
                    word |= np.uint64(data[p + np.uint64(k)]) << np.uint64(8 * k)
                if word & np.uint64(0x8080808080808080) == np.uint64(0):
                    # eight differences of one byte, -64 … 63, so that all sums are inside the limits
                    signs = (word & np.uint64(0x0101010101010101)) * np.uint64(255)
                    word = ((word >> one) & np.uint64(0x3F3F3F3F3F3F3F3F)) ^ signs
                    for k in range(8):
                        value += np.int64(np.int8(word & np.uint64(255)))
                        out[i + np.uint64(k)] = np.int32(value)
                        word >>= eight
                    value = np.int64(np.int32(value))
                    i += eight
                    p += eight
                    continue
            step, p = _one_step(data, p, behind)
            if p == np.uint64(0):
                return row
            value = np.int64(np.int32(value + step))  # sums wrap at 32 bits
            if value < low or value > high:
                return row
            out[i] = np.int32(value)
            i += one
        if p != behind:
            return row
    return -1
