"""Sums in float64 of waveforms of either float type.

One running sum waits four cycles for each addition, so four of them run side by side. Where only totals count the
compiler may add in any order (``reassoc``): for float32 samples the sums are exact, or nearly, whatever the order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.accelerate import FASTMATH, jit

ANY_ORDER = FASTMATH | {"reassoc"}


@jit("f8(f4[::1])", "f8(f8[::1])", fastmath=ANY_ORDER)
def total_of(w: Any) -> float:
    """Sum of all samples."""
    total = 0.0
    for i in range(len(w)):
        total += w[i]
    return total


@jit("void(f8[::1])")
def join_parts(sums: Any) -> None:
    """Put the sums of the four parts of a waveform, each counted from its own beginning, on top of one another."""
    out = sums[1:]
    part = len(out) // 4
    for k in range(1, 4):
        below = sums[k * part]
        upper = out[k * part : (k + 1) * part]
        for i in range(part):
            upper[i] += below


@jit("void(f4[::1], f8[::1])", "void(f8[::1], f8[::1])")
def prefix_sums(w: Any, sums: Any) -> None:
    """Write the n + 1 sums of the first 0, 1, … n samples; the last is NaN if any sample is."""
    n, part = len(w), len(w) // 4
    out = sums[1:]
    w0, w1, w2, w3 = w[:part], w[part : 2 * part], w[2 * part : 3 * part], w[3 * part : 4 * part]
    o0, o1, o2, o3 = out[:part], out[part : 2 * part], out[2 * part : 3 * part], out[3 * part : 4 * part]
    s0 = s1 = s2 = s3 = 0.0
    for i in range(part):
        s0 += w0[i]
        s1 += w1[i]
        s2 += w2[i]
        s3 += w3[i]
        o0[i], o1[i], o2[i], o3[i] = s0, s1, s2, s3
    sums[0] = 0.0
    join_parts(sums)
    total = sums[4 * part]
    for i in range(4 * part, n):
        total += w[i]
        out[i] = total


@jit("void(f4[::1], f8[::1])", "void(f8[::1], f8[::1])", fastmath=ANY_ORDER)
def line_sums(w: Any, found: Any) -> None:
    """Write sum d, sum d^2 and sum i d of the differences d to the first sample, (3,); NaN if any sample is."""
    origin = np.float64(w[0])  # sums of differences keep their digits on a large offset
    total, squares, products = 0.0, 0.0, 0.0
    for i in range(len(w)):
        d = w[i] - origin
        total += d
        squares += d * d
        products += i * d
    found[0], found[1], found[2] = total, squares, products
