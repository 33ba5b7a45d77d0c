"""Extrema of waveforms by comparing the bits of floats as integers, which the processor does sixteen at a time.

The bits of positive floats grow with the value; those of negative ones shrink, until all but the sign are inverted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.accelerate import jit

MAGNITUDE_4 = np.int32(0x7FFFFFFF)  # all bits but the sign
MAGNITUDE_8 = np.int64(0x7FFFFFFFFFFFFFFF)
INFINITY_4 = np.int32(0x7F800000)  # larger ones, without the sign, are NaN
INFINITY_8 = np.int64(0x7FF0000000000000)


@jit("boolean(i4[::1], i4[::1])")
def extreme_keys_4(bits: Any, found: Any) -> bool:
    """Write the bits of smallest and largest float32, (2,); return whether there is a NaN."""
    low, high, top = MAGNITUDE_4, ~MAGNITUDE_4, np.int32(0)
    for i in range(len(bits)):
        b = bits[i]
        key = np.int32(b ^ ((b >> np.int32(31)) & MAGNITUDE_4))
        low, high, top = min(low, key), max(high, key), max(top, np.int32(b & MAGNITUDE_4))
    found[0] = low ^ ((low >> np.int32(31)) & MAGNITUDE_4)
    found[1] = high ^ ((high >> np.int32(31)) & MAGNITUDE_4)
    return bool(top > INFINITY_4)


@jit("boolean(i8[::1], i8[::1])")
def extreme_keys_8(bits: Any, found: Any) -> bool:
    """Write the bits of smallest and largest float64, (2,); return whether there is a NaN."""
    low, high, top = MAGNITUDE_8, ~MAGNITUDE_8, np.int64(0)
    for i in range(len(bits)):
        b = bits[i]
        key = b ^ ((b >> 63) & MAGNITUDE_8)
        low, high, top = min(low, key), max(high, key), max(top, b & MAGNITUDE_8)
    found[0] = low ^ ((low >> 63) & MAGNITUDE_8)
    found[1] = high ^ ((high >> 63) & MAGNITUDE_8)
    return bool(top > INFINITY_8)


@jit("boolean(f4[::1], f4[::1])", "boolean(f8[::1], f8[::1])")
def extrema(w: Any, found: Any) -> bool:
    """Write smallest and largest sample, (2,); return whether any sample is NaN, and write NaN then."""
    if w.itemsize == 4:
        has_nan = extreme_keys_4(w.view(np.int32), found.view(np.int32))
    else:
        has_nan = extreme_keys_8(w.view(np.int64), found.view(np.int64))
    if has_nan:
        found[:] = np.nan
    return bool(has_nan)


@jit("i8(f4[::1], f8)", "i8(f8[::1], f8)")
def first_equal(w: Any, value: float) -> int:
    """First position of a value that occurs; whole groups without it are passed over."""
    whole = len(w) - len(w) % 64
    for begin in range(0, whole, 64):
        group = w[begin : begin + 64]
        n_equal = 0
        for j in range(64):
            n_equal += group[j] == value
        if n_equal:
            for j in range(64):
                if group[j] == value:
                    return begin + j
    for i in range(whole, len(w)):
        if w[i] == value:
            return i
    return -1
