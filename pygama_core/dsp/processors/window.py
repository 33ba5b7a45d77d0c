"""Cutting, averaging and resampling waveforms; current of a charge signal."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.accelerate import jit
from pygama_core.dsp.processors._nan import has_nan
from pygama_core.dsp.processors._sums import prefix_sums, total_of
from pygama_core.dsp.registry import processor
from pygama_core.errors import ProcessorError


@processor("(n),()->(m)", "f,f->f")
def windower(w_in: Any, t0_in: Any, w_out: Any) -> None:
    """Cut m samples from ``int(t0_in)`` on; samples outside the waveform are NaN, and all if an input is.

    Raises
    ------
    ProcessorError : if m >= n
    """
    if len(w_out) >= len(w_in):
        raise ProcessorError("the window must be shorter than the waveform")
    w_out[:] = np.nan
    if has_nan(w_in) or t0_in != t0_in:
        return
    start = int(t0_in)
    for j in range(max(0, -start), min(len(w_out), len(w_in) - start)):
        w_out[j] = w_in[start + j]


@processor("(n),()->(m)", "f,f->f")
def avg_current(w_in: Any, length: Any, w_out: Any) -> None:
    """Mean current between samples ``length`` apart: ``(w[i + length] - w[i]) / length``.

    Parameters
    ----------
    w_in : (n,) [ADC]
    length : [samples]; whole number >= 1
    w_out : (n - length,) [ADC/sample]; all NaN if any input is

    Raises
    ------
    ProcessorError : if length is not a whole number from 1 to n - 1, or w_out has not n - length samples
    """
    w_out[:] = np.nan
    if length != length or has_nan(w_in):
        return
    if not 1 <= length < len(w_in) or length != np.floor(length) or len(w_out) != len(w_in) - int(length):
        raise ProcessorError("need a whole length, 1 <= length < n, and n - length output samples")
    late = w_in[int(length) :]
    for i in range(len(w_out)):
        w_out[i] = (late[i] - w_in[i]) / length


@jit("void(f8[::1], i8, f8[::1], f8[::1])")
def mean_of_last(w: Any, length: int, sums: Any, out: Any) -> None:
    """Moving mean of the last ``length`` samples; the first sample continues to the left. ``sums`` is (n + 1,)."""
    prefix_sums(w, sums)
    scale, first, now = 1.0 / length, w[0], sums[1:]
    for i in range(length):
        out[i] = (now[i] + (length - 1 - i) * first) * scale
    new, mean = now[length:], out[length:]
    for i in range(len(new)):
        mean[i] = (new[i] - now[i]) * scale


@jit("void(f8[::1], i8, f8[::1], f8[::1])")
def mean_of_next(w: Any, length: int, sums: Any, out: Any) -> None:
    """Moving mean of the next ``length`` samples; the last sample continues to the right."""
    prefix_sums(w, sums)
    n = len(w)
    scale, last, to_end = 1.0 / length, w[n - 1], sums[length:]
    for i in range(n - length + 1):
        out[i] = (to_end[i] - sums[i]) * scale
    for i in range(n - length + 1, n):
        out[i] = (sums[n] - sums[i] + (length - n + i) * last) * scale


@processor("(n),()->(n)", "f,f->f")
def moving_window_left(w_in: Any, length: Any, w_out: Any) -> None:
    """Moving mean of the last ``length`` samples; the first sample continues to the left.

    Parameters
    ----------
    w_in : (n,) [ADC]
    length : [samples]; 1 <= length < n
    w_out : (n,) [ADC]; all NaN if any input is

    Raises
    ------
    ProcessorError : if length is not between 1 and n - 1
    """
    w_out[:] = np.nan
    if length != length or has_nan(w_in):
        return
    if not 1 <= length < len(w_in):
        raise ProcessorError("need 1 <= length < n")
    result = np.empty(len(w_in))
    mean_of_last(w_in.astype(np.float64), int(length), np.empty(len(w_in) + 1), result)
    w_out[:] = result


@processor("(n),()->(n)", "f,f->f")
def moving_window_right(w_in: Any, length: Any, w_out: Any) -> None:
    """Moving mean of the next ``length`` samples; mirror image of :func:`moving_window_left`."""
    w_out[:] = np.nan
    if length != length or has_nan(w_in):
        return
    if not 1 <= length < len(w_in):
        raise ProcessorError("need 1 <= length < n")
    result = np.empty(len(w_in))
    mean_of_next(w_in.astype(np.float64), int(length), np.empty(len(w_in) + 1), result)
    w_out[:] = result


@processor("(n),(),(),()->(n)", "f,f,f,i4->f")
def moving_window_multi(w_in: Any, length: Any, num_mw: Any, mw_type: Any, w_out: Any) -> None:
    """Several moving means one after another.

    Parameters
    ----------
    w_in : (n,) [ADC]
    length : [samples]; whole number, 1 <= length < n
    num_mw : number of passes; none gives NaN
    mw_type : 0 alternates left, right, left ..., 1 is left only, 2 right only
    w_out : (n,) [ADC]; all NaN if any input is

    Raises
    ------
    ProcessorError : if length or num_mw is not whole or out of range
    """
    w_out[:] = np.nan
    if length != length or num_mw != num_mw or has_nan(w_in):
        return
    if not 1 <= length < len(w_in) or length != np.floor(length) or num_mw < 0 or num_mw != np.floor(num_mw):
        raise ProcessorError("need whole numbers with 1 <= length < n and num_mw >= 0")
    now, new, sums = w_in.astype(np.float64), np.empty(len(w_in)), np.empty(len(w_in) + 1)
    for i in range(int(num_mw)):
        if mw_type == 2 or (mw_type == 0 and i % 2 == 1):
            mean_of_next(now, int(length), sums, new)
        else:
            mean_of_last(now, int(length), sums, new)
        now, new = new, now
    if num_mw > 0:
        w_out[:] = now


@processor("(n),()->(m)", "f,f->f")
def upsampler(w_in: Any, upsample: Any, w_out: Any) -> None:
    """Repeat each sample; sample t covers ``upsample`` outputs from ``t * upsample - upsample // 2`` on.

    Parameters
    ----------
    w_in : (n,) [ADC]
    upsample : repetitions, > 0
    w_out : (m,) [ADC]; outputs that no sample reaches are NaN; declare m <= n * upsample - upsample // 2

    Raises
    ------
    ProcessorError : if upsample <= 0
    """
    if upsample <= 0:
        raise ProcessorError("upsample must be > 0")
    w_out[:] = np.nan
    if upsample != upsample or has_nan(w_in):
        return
    for t in range(len(w_in)):
        start = int(np.floor(t * np.float64(upsample) - np.floor(upsample / 2)))
        for j in range(max(start, 0), min(start + int(upsample), len(w_out))):
            w_out[j] = w_in[t]


@processor("(n),()->(),(m)", "f,i4->f,f")
def presum(w_in: Any, do_norm: Any, ps_fact: Any, w_out: Any) -> None:
    """Sum ``n // m`` neighbouring samples; samples left over at the end are dropped.

    Parameters
    ----------
    w_in : (n,) [ADC]
    do_norm : 1 divides by the number of samples, 0 does not
    ps_fact : number of samples in a sum; NaN if any input is
    w_out : (m,) [ADC]; all NaN if any input is

    Raises
    ------
    ProcessorError : if do_norm is neither 0 nor 1, or m > n
    """
    ps_fact[0] = np.nan
    w_out[:] = np.nan
    if do_norm not in (0, 1) or len(w_out) > len(w_in):
        raise ProcessorError("do_norm must be 0 or 1, and the output not longer than the input")
    if has_nan(w_in):
        return
    factor = len(w_in) // len(w_out)
    scale = 1.0 / factor if do_norm == 1 else 1.0
    for i in range(len(w_out)):
        w_out[i] = total_of(w_in[i * factor : (i + 1) * factor]) * scale
    ps_fact[0] = factor
