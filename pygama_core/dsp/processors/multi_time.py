"""Several threshold crossings of one waveform."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.accelerate import jit
from pygama_core.dsp.processors._nan import has_nan
from pygama_core.dsp.processors.time_point import crossing_backward
from pygama_core.dsp.registry import processor
from pygama_core.errors import ProcessorError


@jit("i8(f4[::1], f8, i8, i8, i8)", "i8(f8[::1], f8, i8, i8, i8)")
def crossing_between(w: Any, threshold: float, start: int, walk: int, uphill: int) -> int:
    """First i, walking from ``start``, with ``w[i] <= threshold < w[i + uphill]``; -1 if none."""
    i = start
    while 0 <= i < len(w) and 0 <= i + uphill < len(w):
        if w[i] <= threshold < w[i + uphill]:
            return i
        i += walk
    return -1


@jit("boolean(i1)")
def is_crossing_mode(mode: int) -> bool:
    """Whether the mode is one of i, b, c, a, f, r, n, l."""
    sides = mode == ord("a") or mode == ord("f") or mode == ord("b") or mode == ord("c")
    return sides or mode == ord("i") or mode == ord("r") or mode == ord("n") or mode == ord("l")


@jit("f8(f8, i8, i8, i1)")
def crossing_time(part: float, low: int, uphill: int, mode: int) -> float:
    """Time of a crossing between the sample ``low`` and its neighbour; ``part`` of the way there is the threshold."""
    if mode == ord("a") or mode == ord("f"):
        return max(low, low + uphill)
    if mode == ord("b") or mode == ord("c"):
        return min(low, low + uphill)
    if mode == ord("r"):
        return low if part < 0.5 else low + uphill
    if mode == ord("n"):
        return low + 0.5 * uphill
    return low + part * uphill if mode == ord("l") else low


@processor("(n),(m),(),(),()->(m)", "f,f,f,f,i1->f")
def multi_time_point_thresh(w_in: Any, a_threshold: Any, t_start: Any, polarity: Any, mode_in: Any, t_out: Any) -> None:
    """First crossing of each of several thresholds on one edge, such as 1, 10, 50 and 99 % of a pulse.

    Thresholds at or above the value at the start are searched uphill, the others downhill on the other side.

    Parameters
    ----------
    w_in : (n,) [ADC]
    a_threshold : (m,) [ADC]; in any order
    t_start : [samples]
    polarity : > 0 for a rising edge, < 0 for a falling one
    mode_in : character; i the lower of the two samples around the crossing, b, c the earlier, a, f the later, r the
        one whose value is nearer, n half-way, l linear interpolation
    t_out : (m,) [samples]; NaN for thresholds that are not crossed; all NaN if any input is NaN or t_start lies
        outside the waveform

    Raises
    ------
    ProcessorError : if the polarity is 0 or the mode unknown
    """
    t_out[:] = np.nan
    if polarity == 0 or not is_crossing_mode(mode_in):
        raise ProcessorError("polarity must not be 0, and the mode one of i, b, c, a, f, r, n, l")
    if polarity != polarity or not 0 <= t_start < len(w_in) or has_nan(a_threshold) or has_nan(w_in):
        return
    start, uphill = int(t_start), 1 if polarity > 0 else -1
    for k in range(len(a_threshold)):
        threshold = np.float64(a_threshold[k])
        if threshold >= w_in[start]:
            low = crossing_between(w_in, threshold, start, uphill, uphill)
        else:
            low = crossing_between(w_in, threshold, start - uphill, -uphill, uphill)
        if low >= 0:
            part = (threshold - w_in[low]) / (np.float64(w_in[low + uphill]) - w_in[low])
            t_out[k] = crossing_time(part, low, uphill, mode_in)


@jit("void(f4[::1], f4[::1], f4[::1])", "void(f8[::1], f8[::1], f8[::1])")
def separate(t_in: Any, vt_min: Any, t_out: Any) -> None:
    """Replace a repeated time by the minimum that belongs to the one before it, drop a leading 0."""
    t_out[:] = t_in
    for i in range(len(t_in)):
        for j in range(i + 1, len(t_in)):
            if t_in[i] == t_in[j]:
                t_out[j] = vt_min[i] if vt_min[i] == vt_min[i] else t_in[j]
    if len(t_out) and 0 <= t_out[0] < 1:
        for i in range(len(t_out) - 1):
            t_out[i] = t_out[i + 1]
        t_out[len(t_out) - 1] = np.nan


@processor("(n),(n)->(n)", "f,f->f")
def remove_duplicates(t_in: Any, vt_min_in: Any, t_out: Any) -> None:
    """Separate times that were found for several maxima of the same pulse.

    Parameters
    ----------
    t_in : (n,) [samples]; NaN where there is none
    vt_min_in : (n,) [samples]; minimum after each maximum
    t_out : (n,) [samples]; a time that repeats an earlier one becomes the minimum of that one; a leading 0 is
        dropped and the others move up
    """
    separate(t_in, vt_min_in, t_out)


@processor("(n),(),(m),(m)->(m)", "f,f,f,f->f")
def multi_t_filter(w_in: Any, a_threshold_in: Any, vt_max_in: Any, vt_min_in: Any, t_out: Any) -> None:
    """Start of each pulse: the last crossing of a threshold before each maximum, without duplicates.

    Parameters
    ----------
    w_in : (n,) [ADC]
    a_threshold_in : [ADC]
    vt_max_in, vt_min_in : (m,) [samples], m <= n; maxima and the minima after them, NaN where there is none
    t_out : (m,) [samples]; as of :func:`remove_duplicates`; all NaN if any sample or the threshold is

    Raises
    ------
    ProcessorError : if m > n
    """
    t_out[:] = np.nan
    if len(t_out) > len(w_in):
        raise ProcessorError("need no more times than samples")
    if has_nan(w_in) or a_threshold_in != a_threshold_in:
        return
    found = np.full_like(vt_max_in, np.nan)
    for k in range(len(vt_max_in)):
        if 0 <= vt_max_in[k] < len(w_in):
            crossing = crossing_backward(w_in, a_threshold_in, int(vt_max_in[k]))
            if crossing >= 0:
                found[k] = crossing
    separate(found, vt_min_in, t_out)
