"""Pile-up: removal of an earlier pulse's tail, and triggers on bipolar signals."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.accelerate import jit
from pygama_core.dsp.processors._nan import has_nan
from pygama_core.dsp.registry import processor
from pygama_core.errors import ProcessorError


@jit("void(f4[::1], f8, f8, f8, f4[::1])", "void(f8[::1], f8, f8, f8, f8[::1])")
def subtract_decay(w: Any, height: float, tau: float, offset: float, out: Any) -> None:
    """Subtract ``height exp(-i/tau) + offset``."""
    for i in range(len(w)):
        out[i] = w[i] - (height * np.exp(-i / tau) + offset)


@processor("(n),(),()->(n)", "f,f,f8->f")
def soft_pileup_corr(w_in: Any, n_in: Any, tau_in: Any, w_out: Any) -> None:
    """Subtract ``A exp(-i/tau) + B``, fitted by least squares to the first samples.

    Parameters
    ----------
    w_in : (n,) [ADC]
    n_in : [samples]; whole number, 2 <= n_in <= n
    tau_in : [samples]
    w_out : (n,) [ADC]; all NaN if any input is

    Raises
    ------
    ProcessorError : if n_in is not whole or out of range
    """
    w_out[:] = np.nan
    if has_nan(w_in) or n_in != n_in or tau_in != tau_in:
        return
    if n_in != np.floor(n_in) or not 2 <= n_in <= len(w_in):
        raise ProcessorError("n_in must be a whole number with 2 <= n_in <= n")
    n, origin = int(n_in), np.float64(w_in[0])  # differences keep their digits on a large offset
    mean_e, mean_w = 0.0, 0.0
    for i in range(n):
        mean_e += np.exp(-i / tau_in) / n
        mean_w += (w_in[i] - origin) / n
    square, product = 0.0, 0.0
    for i in range(n):
        d = np.exp(-i / tau_in) - mean_e
        square += d * d
        product += d * (w_in[i] - origin)
    height = product / square
    subtract_decay(w_in, height, tau_in, origin + mean_w - height * mean_e, w_out)


@processor("(n),(),(),()->(n)", "f,f,f8,f8->f")
def soft_pileup_corr_bl(w_in: Any, n_in: Any, tau_in: Any, b_in: Any, w_out: Any) -> None:
    """Subtract ``A exp(-i/tau) + b``, with A fitted by least squares to the first samples and the baseline b given.

    Parameters
    ----------
    w_in : (n,) [ADC]
    n_in : [samples]; whole number, 1 <= n_in <= n
    tau_in : [samples]
    b_in : [ADC]
    w_out : (n,) [ADC]; all NaN if any input is

    Raises
    ------
    ProcessorError : if n_in is not whole or out of range
    """
    w_out[:] = np.nan
    if has_nan(w_in) or n_in != n_in or tau_in != tau_in or b_in != b_in:
        return
    if n_in != np.floor(n_in) or not 1 <= n_in <= len(w_in):
        raise ProcessorError("n_in must be a whole number with 1 <= n_in <= n")
    square, product = 0.0, 0.0
    for i in range(int(n_in)):
        e = np.exp(-i / tau_in)
        square += e * e
        product += e * (w_in[i] - b_in)
    subtract_decay(w_in, product / square, tau_in, b_in, w_out)


@jit(
    "i8(f4[::1], f8, f8, i8, i8, f4[::1], f4[::1])",
    "i8(f8[::1], f8, f8, i8, i8, f8[::1], f8[::1])",
)
def find_bipolar(  # noqa: PLR0913 (both signs share one walk)
    w: Any, low: float, high: float, gate: int, start: int, polarity: Any, times: Any
) -> int:
    """Find bipolar pulses of either sign; ``since`` holds the last crossing of the two levels, -1 for none."""
    n_found = 0
    since = np.full(2, -1)  # of the negative, of the positive level
    zero = np.full(2, -1)  # the zero crossing that came after it
    is_crossed = False
    for i in range(start, len(w) - 1):
        for side in range(2):  # a negative pulse first: below low, up through zero, above high within the gate
            sign = 1.0 if side == 0 else -1.0
            here, after = sign * w[i], sign * w[i + 1]
            level = high if side == 0 else -low
            if since[side] >= 0 and here <= 0 < after:
                is_crossed = True
                zero[side] = i
            if not here <= level < after:
                continue
            if not (is_crossed and since[side] >= 0):
                since[1 - side] = i
                continue
            if i - since[side] < gate:
                if n_found < len(times):
                    times[n_found], polarity[n_found] = zero[side], side
                n_found += 1
            else:
                since[1 - side] = i
            since[side] = -1
            is_crossed = False
    return n_found


@processor("(n),(),(),(),()->(),(k),(k)", "f,f,f,f,f->u4,f,f")
def bi_level_zero_crossing_time_points(  # noqa: PLR0913 (the arguments of configurations)
    w_in: Any,
    a_pos_threshold_in: Any,
    a_neg_threshold_in: Any,
    gate_time_in: Any,
    t_start_in: Any,
    n_crossings_out: Any,
    polarity_out: Any,
    t_trig_times_out: Any,
) -> None:
    """Trigger on bipolar pulses, such as those of :func:`rc_cr2`, by their zero crossing.

    A positive pulse rises above the positive threshold, crosses zero, and falls below the negative threshold less
    than ``gate_time_in`` after the first; a negative pulse is its mirror image.

    Parameters
    ----------
    w_in : (n,) [ADC]
    a_pos_threshold_in, a_neg_threshold_in : [ADC]
    gate_time_in : [samples]
    t_start_in : [samples]; whole number, 0 <= t_start_in < n
    n_crossings_out : number of pulses, also of those that found no place in the arrays; 0 if any input is NaN
    polarity_out : (k,); 1 positive, 0 negative, then NaN
    t_trig_times_out : (k,) [samples]; sample before the zero crossing, then NaN

    Raises
    ------
    ProcessorError : if t_start_in is not whole or outside the waveform
    """
    polarity_out[:] = np.nan
    t_trig_times_out[:] = np.nan
    n_crossings_out[0] = 0
    if has_nan(w_in) or a_pos_threshold_in != a_pos_threshold_in or a_neg_threshold_in != a_neg_threshold_in:
        return
    if t_start_in != t_start_in or gate_time_in != gate_time_in:
        return
    if t_start_in != np.floor(t_start_in) or not 0 <= t_start_in < len(w_in):
        raise ProcessorError("t_start_in must be a whole number inside the waveform")
    gate, start = int(gate_time_in), int(t_start_in)
    n_crossings_out[0] = find_bipolar(
        w_in, a_neg_threshold_in, a_pos_threshold_in, gate, start, polarity_out, t_trig_times_out
    )
