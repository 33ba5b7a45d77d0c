"""Threshold crossings and samples at given times."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.accelerate import jit
from pygama_core.dsp.processors._interpolate import interpolate, is_interpolation, second_derivatives
from pygama_core.dsp.processors._nan import has_nan
from pygama_core.dsp.registry import processor
from pygama_core.errors import ProcessorError


@jit("i8(f4[::1], f8, i8)", "i8(f8[::1], f8, i8)")
def crossing_forward(w: Any, threshold: float, start: int) -> int:
    """First i >= start with a crossing between i and i + 1, either way; -1 if none."""
    for i in range(start, len(w) - 1):
        if (w[i] <= threshold < w[i + 1]) or (w[i] >= threshold > w[i + 1]):
            return i
    return -1


@jit("i8(f4[::1], f8, i8)", "i8(f8[::1], f8, i8)")
def crossing_backward(w: Any, threshold: float, start: int) -> int:
    """Last i <= start with a crossing between i - 1 and i, either way; -1 if none."""
    for i in range(start, 0, -1):
        if (w[i - 1] < threshold <= w[i]) or (w[i - 1] > threshold >= w[i]):
            return i
    return -1


@processor("(n),(),(),()->()", "f,f,f,f->f")
def time_point_thresh(w_in: Any, a_threshold: Any, t_start: Any, walk_forward: Any, t_out: Any) -> None:
    """First crossing of a threshold, rising or falling, walking from a start time.

    Parameters
    ----------
    w_in : (n,) [ADC]
    a_threshold : [ADC]
    t_start : [samples]; whole number
    walk_forward : 1 walks to later times and gives the sample before the crossing, 0 to earlier times and gives the
        sample at or after it
    t_out : [samples]; NaN if any input is, if there is no crossing, or if t_start lies outside the waveform

    Raises
    ------
    ProcessorError : if t_start or walk_forward is not a whole number
    """
    t_out[0] = np.nan
    if t_start != t_start or a_threshold != a_threshold or walk_forward != walk_forward:
        return
    if np.floor(t_start) != t_start or np.floor(walk_forward) != walk_forward:
        raise ProcessorError("t_start and walk_forward must be whole numbers; use round(...)")
    if not 0 <= t_start < len(w_in) or has_nan(w_in):
        return
    if walk_forward == 1:
        found = crossing_forward(w_in, a_threshold, int(t_start))
    else:
        found = crossing_backward(w_in, a_threshold, int(t_start))
    if found >= 0:
        t_out[0] = found


@processor("(n),(),(),(),()->()", "f,f,f,i8,i1->f")
def interpolated_time_point_thresh(
    w_in: Any, a_threshold: Any, t_start: Any, walk_forward: Any, mode: Any, t_out: Any
) -> None:
    """First crossing of a threshold as :func:`time_point_thresh`, with a choice of what is returned.

    Parameters
    ----------
    w_in : (n,) [ADC]
    a_threshold : [ADC]
    t_start : [samples]
    walk_forward : > 0 walks to later times, else to earlier ones
    mode : character; i, b, c the sample before the crossing, a, f the one after, r the one whose value is nearer,
        n half-way, l linear interpolation
    t_out : [samples]; NaN if any input is, if there is no crossing, or if t_start lies outside the waveform

    Raises
    ------
    ProcessorError : if the mode is unknown
    """
    t_out[0] = np.nan
    if mode not in (ord("i"), ord("b"), ord("c"), ord("a"), ord("f"), ord("r"), ord("n"), ord("l")):
        raise ProcessorError("unknown mode; there are i, b, c, a, f, r, n, l")
    if a_threshold != a_threshold or not 0 <= t_start < len(w_in) or has_nan(w_in):
        return
    if walk_forward > 0:
        before = crossing_forward(w_in, a_threshold, int(t_start))
    else:
        before = crossing_backward(w_in, a_threshold, int(t_start)) - 1
    if before < 0:
        return
    step = (a_threshold - np.float64(w_in[before])) / (np.float64(w_in[before + 1]) - w_in[before])
    if mode == ord("a") or mode == ord("f"):
        shift = 1.0
    elif mode == ord("r"):
        shift = 1.0 if step > 0.5 else 0.0
    elif mode == ord("n"):
        shift = 0.5
    elif mode == ord("l"):
        shift = step
    else:
        shift = 0.0
    t_out[0] = before + shift


@processor("(n),(),()->()", "f,f,i1->f")
def fixed_time_pickoff(w_in: Any, t_in: Any, mode_in: Any, a_out: Any) -> None:
    """Value of the waveform at one time.

    Parameters
    ----------
    w_in : (n,) [ADC], n >= 2
    t_in : [samples]
    mode_in : character; n nearest sample (half to even), f the one before, c the one after, l linear interpolation,
        h cubic Hermite interpolation with central differences as slopes, s natural cubic spline through the whole
        waveform, i needs whole numbers and is an error for others
    a_out : [ADC]; NaN if any input is or t_in lies outside the waveform

    Raises
    ------
    ProcessorError : if the mode is unknown, or is i and t_in not whole
    """
    a_out[0] = np.nan
    if mode_in != ord("i") and not is_interpolation(mode_in):
        raise ProcessorError("unknown mode; there are i, n, f, c, l, h, s")
    if not 0 <= t_in <= len(w_in) - 1 or has_nan(w_in):
        return
    if t_in == np.floor(t_in):
        a_out[0] = w_in[int(t_in)]
    elif mode_in == ord("i"):
        raise ProcessorError("mode i needs a whole t_in; use round(...) or another mode")
    elif mode_in == ord("n"):
        a_out[0] = w_in[int(np.rint(t_in))]
    elif mode_in == ord("s"):
        a_out[0] = interpolate(w_in, second_derivatives(w_in), t_in, mode_in)
    else:
        a_out[0] = interpolate(w_in, np.empty(0), t_in, mode_in)
