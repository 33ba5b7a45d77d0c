"""Compiled byte shuffling: the planes are separate slices, so that the compiler vectorises over elements.

``Array(u1, 1, 'C', True)`` in a signature is a read-only input; numba passes writable arrays to it as well.
"""

from __future__ import annotations

import numpy as np

from pygama_core.accelerate import jit


@jit("void(Array(u1, 1, 'C', True), i8, u2[::1])")
def unshuffle2(planes: np.ndarray, n: int, out: np.ndarray) -> None:
    """Join the first len(out) of n two-byte elements stored as two planes of bytes."""
    low, high = planes[:n], planes[n : 2 * n]
    for i in range(len(out)):
        out[i] = np.uint16(low[i]) | np.uint16(np.uint16(high[i]) << np.uint16(8))


@jit("void(Array(u1, 1, 'C', True), i8, u4[::1])")
def unshuffle4(planes: np.ndarray, n: int, out: np.ndarray) -> None:
    """Join the first len(out) of n four-byte elements stored as four planes of bytes."""
    a, b, c, d = planes[:n], planes[n : 2 * n], planes[2 * n : 3 * n], planes[3 * n : 4 * n]
    for i in range(len(out)):
        low = np.uint32(a[i]) | np.uint32(np.uint32(b[i]) << np.uint32(8))
        high = np.uint32(np.uint32(c[i]) << np.uint32(16)) | np.uint32(np.uint32(d[i]) << np.uint32(24))
        out[i] = low | high


@jit("void(Array(u1, 1, 'C', True), i8, u8[::1])")
def unshuffle8(planes: np.ndarray, n: int, out: np.ndarray) -> None:
    """Join the first len(out) of n eight-byte elements stored as eight planes of bytes."""
    a, b, c, d = planes[:n], planes[n : 2 * n], planes[2 * n : 3 * n], planes[3 * n : 4 * n]
    e, f, g, h = planes[4 * n : 5 * n], planes[5 * n : 6 * n], planes[6 * n : 7 * n], planes[7 * n : 8 * n]
    for i in range(len(out)):
        low = np.uint64(a[i]) | np.uint64(b[i]) << np.uint64(8)
        low |= np.uint64(c[i]) << np.uint64(16) | np.uint64(d[i]) << np.uint64(24)
        high = np.uint64(e[i]) << np.uint64(32) | np.uint64(f[i]) << np.uint64(40)
        high |= np.uint64(g[i]) << np.uint64(48) | np.uint64(h[i]) << np.uint64(56)
        out[i] = low | high


@jit("void(Array(u1, 1, 'C', True), i8, u1[:,::1])")
def unshuffle_bytes(planes: np.ndarray, n: int, out: np.ndarray) -> None:
    """Join elements of any size: out is (n_wanted, size)."""
    size = out.shape[1]
    for start in range(0, len(out), 512):  # a block of all planes stays in the first cache level
        end = min(start + 512, len(out))
        for k in range(size):
            plane = planes[k * n + start : k * n + end]
            block = out[start:end, k]
            for i in range(len(plane)):
                block[i] = plane[i]


@jit("void(Array(u2, 1, 'C', True), u1[::1])")
def shuffle2(values: np.ndarray, planes: np.ndarray) -> None:
    """Split two-byte elements into two planes of bytes."""
    n = len(values)
    low, high = planes[:n], planes[n : 2 * n]
    for i in range(n):
        low[i] = np.uint8(values[i] & np.uint16(255))
        high[i] = np.uint8(values[i] >> np.uint16(8))


@jit("void(Array(u1, 2, 'C', True), u1[::1])")
def shuffle_bytes(values: np.ndarray, planes: np.ndarray) -> None:
    """Split elements of any size, values is (n, size), into planes of bytes."""
    n, size = values.shape
    for start in range(0, n, 512):
        end = min(start + 512, n)
        for k in range(size):
            plane = planes[k * n + start : k * n + end]
            block = values[start:end, k]
            for i in range(len(plane)):
                plane[i] = block[i]


READY = True  # the last name of this module
