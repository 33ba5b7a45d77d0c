"""Peak search in traces with several pulses."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.accelerate import jit
from pygama_core.dsp.processors._nan import has_nan
from pygama_core.dsp.registry import processor
from pygama_core.errors import ProcessorError


@jit("void(f4[::1], f8[::1], b1, f8[::1], f8[::1], i8[::1])", "void(f8[::1], f8[::1], b1, f8[::1], f8[::1], i8[::1])")
def find_extrema(w: Any, limits: Any, reverse: bool, t_max: Any, t_min: Any, counts: Any) -> None:
    """Alternating maxima and minima in the order they are found; ``limits`` are delta max, min, absolute max, min."""
    delta_max, delta_min, floor, ceiling = limits[0], limits[1], limits[2], limits[3]
    highest, lowest, i_high, i_low = -np.inf, np.inf, 0, 0
    search_max = True
    n, capacity = len(w), len(t_max)
    counts[:] = 0
    for step in range(n):
        i = n - 1 - step if reverse else step
        a = np.float64(w[i])
        if a > highest:
            highest, i_high = a, i
        if a < lowest:
            lowest, i_low = a, i
        if search_max and a < highest - delta_max and highest > floor:
            if counts[0] == capacity:
                return
            t_max[counts[0]] = i_high
            counts[0] += 1
            lowest, i_low, search_max = a, i, False
        elif not search_max and a > lowest + delta_min and lowest < ceiling:
            if counts[1] == capacity:
                return
            t_min[counts[1]] = i_low
            counts[1] += 1
            highest, i_high, search_max = a, i, True


@jit("i8(f8[::1], i8, f8[::1], i8, b1)")
def merge(a: Any, n_a: int, b: Any, n_b: int, union: bool) -> int:
    """Put the ascending union or intersection of a[:n_a] and b[:n_b] into ``a``, as far as it fits; return its size."""
    joined = np.sort(np.concatenate((a[:n_a], b[:n_b])))
    n = 0
    for i in range(len(joined)):
        is_second = i > 0 and joined[i] == joined[i - 1]
        if (is_second if not union else not is_second) and n < len(a):
            a[n] = joined[i]
            n += 1
    return n


@processor("(n),(),(),(),(),()->(k),(k),(),()", "f,f,f,i8,f,f->f,f,u4,u4")
def get_multi_local_extrema(  # noqa: PLR0913 (the arguments of configurations)
    w_in: Any,
    a_delta_max: Any,
    a_delta_min: Any,
    search_direction: Any,
    a_abs_max: Any,
    a_abs_min: Any,
    vt_max: Any,
    vt_min: Any,
    n_max: Any,
    n_min: Any,
) -> None:
    """Local maxima and minima that stand out by given amounts.

    A running maximum is accepted once the waveform has fallen by more than ``a_delta_max`` below it and it exceeds
    ``a_abs_max``; then a minimum once the waveform has risen by more than ``a_delta_min`` above it and it lies below
    ``a_abs_min``; and so on.

    Parameters
    ----------
    w_in : (n,) [ADC]
    a_delta_max, a_delta_min : [ADC]; >= 0
    search_direction : 0 from left to right, 1 from right to left, 2 found in both, 3 found in either
    a_abs_max, a_abs_min : [ADC]
    vt_max, vt_min : (k,) [samples], k < n; the first k found, then NaN
    n_max, n_min : how many were found, at most k; 0 if any input is NaN

    Raises
    ------
    ProcessorError : if k >= n, a delta is negative, or the direction is unknown
    """
    if len(vt_max) >= len(w_in) or a_delta_max < 0 or a_delta_min < 0 or not 0 <= search_direction <= 3:
        raise ProcessorError("need fewer extrema than samples, deltas >= 0 and 0 <= search_direction <= 3")
    vt_max[:] = np.nan
    vt_min[:] = np.nan
    n_max[0] = n_min[0] = 0
    limits = np.array([a_delta_max, a_delta_min, a_abs_max, a_abs_min], np.float64)
    if has_nan(w_in) or has_nan(limits):
        return
    t_max, t_min = np.empty(len(vt_max)), np.empty(len(vt_max))
    counts = np.zeros(2, np.int64)
    find_extrema(w_in, limits, search_direction == 1, t_max, t_min, counts)
    if search_direction >= 2:
        other_max, other_min = np.empty(len(vt_max)), np.empty(len(vt_max))
        others = np.zeros(2, np.int64)
        find_extrema(w_in, limits, True, other_max, other_min, others)
        counts[0] = merge(t_max, counts[0], other_max, others[0], search_direction == 3)
        counts[1] = merge(t_min, counts[1], other_min, others[1], search_direction == 3)
    for i in range(counts[0]):
        vt_max[i] = t_max[i]
    for i in range(counts[1]):
        vt_min[i] = t_min[i]
    n_max[0], n_min[0] = counts[0], counts[1]


@processor("(n),(m),(),()->(m),()", "f,f,f,f->f,u4")
def peak_snr_threshold(w_in: Any, idx_in: Any, ratio: Any, width: Any, idx_out: Any, n_idx: Any) -> None:
    """Keep peaks that stand out of their neighbourhood.

    Parameters
    ----------
    w_in : (n,) [ADC]
    idx_in : (m,) [samples]; candidates, NaN ones are skipped
    ratio : keep a candidate if the smallest sample within ``width`` is less than this part of its height
    width : [samples]; from ``width`` before to ``width`` after, that one excluded
    idx_out : (m,) [samples]; the kept ones, then NaN
    n_idx : how many were kept
    """
    idx_out[:] = np.nan
    n_idx[0] = 0
    if has_nan(w_in) or ratio != ratio or width != width:
        return
    n_kept = 0
    for k in range(len(idx_in)):
        if not 0 <= idx_in[k] < len(w_in):
            continue
        i = int(idx_in[k])
        lowest = np.float64(w_in[i])
        for j in range(max(i - int(width), 0), min(i + int(width), len(w_in))):
            lowest = min(lowest, w_in[j])
        if abs(lowest / w_in[i]) < ratio:
            idx_out[n_kept] = i
            n_kept += 1
    n_idx[0] = n_kept


@processor("(n),(m)->(m)", "f,f->f")
def multi_a_filter(w_in: Any, vt_in: Any, va_out: Any) -> None:
    """Waveform values at several whole times [samples]; NaN where a time is NaN or outside the waveform."""
    va_out[:] = np.nan
    if has_nan(w_in):
        return
    for k in range(len(vt_in)):
        if 0 <= vt_in[k] < len(w_in):
            va_out[k] = w_in[int(vt_in[k])]
