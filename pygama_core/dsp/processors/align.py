"""Single samples, padding, alignment and corrections of waveforms."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.dsp.processors._nan import has_nan
from pygama_core.dsp.registry import processor
from pygama_core.errors import ProcessorError


@processor("(n),()->()", "f,f->f")
def get(a_in: Any, i: Any, a_out: Any) -> None:
    """Value at an index, negative ones count from the end.

    Parameters
    ----------
    a_in : (n,)
    i : whole number, -n <= i < n
    a_out : ``a_in[i]``; NaN if i is NaN

    Raises
    ------
    ProcessorError : if i is not whole or out of range
    """
    a_out[0] = np.nan
    if i != i:
        return
    if i != np.floor(i) or not -len(a_in) <= i < len(a_in):
        raise ProcessorError("i must be a whole number with -n <= i < n; use get_default where it may lie outside")
    a_out[0] = a_in[int(i) % len(a_in)]


@processor("(n),(),()->()", "f,f,f->f")
def get_default(a_in: Any, i: Any, default: Any, a_out: Any) -> None:
    """Value at an index, negative ones count from the end; a default where there is none.

    Parameters
    ----------
    a_in : (n,)
    i : index; its fraction is cut off
    default : taken if i is NaN or outside -n <= i < n, or the value is NaN
    a_out : ``a_in[i]`` or the default
    """
    a_out[0] = default
    if -len(a_in) <= i < len(a_in):
        value = a_in[int(i) % len(a_in)]
        if value == value:
            a_out[0] = value


@processor("(n),(),(),(),()->(m)", "f,i8,f,f,f->f")
def pad(w_in: Any, len_in: Any, offset: Any, start_val: Any, end_val: Any, w_out: Any) -> None:
    """Put the first samples of an array into a longer one.

    Parameters
    ----------
    w_in : (n,)
    len_in : 0 <= len_in <= n; how many values are copied
    offset : whole number >= 0; where they begin in the output
    start_val, end_val : what is before and after them
    w_out : (m,), m >= offset + len_in; all NaN if a copied value or the offset is

    Raises
    ------
    ProcessorError : if len_in > n, the offset is not whole, or the values do not fit
    """
    w_out[:] = np.nan
    if len_in < 0 or len_in > len(w_in):
        raise ProcessorError("need 0 <= len_in <= n")
    if offset != offset or has_nan(w_in[:len_in]):
        return
    if offset != np.floor(offset) or offset < 0 or offset + len_in > len(w_out):
        raise ProcessorError("offset must be a whole number >= 0 with offset + len_in <= m")
    begin = int(offset)
    w_out[:begin] = start_val
    w_out[begin : begin + len_in] = w_in[:len_in]
    w_out[begin + len_in :] = end_val


@processor("(n),()->()", "f,f->f")
def get_wf_centroid(w_in: Any, shift: Any, centroid: Any) -> None:
    """Zero crossing of a bipolar waveform between its extrema, plus a shift.

    Parameters
    ----------
    w_in : (n,) [ADC]
    shift : [samples]; 0 <= shift < n
    centroid : [samples]; mean of the last negative and the first positive sample met on the way from the minimum to
        the maximum, rounded half to even; NaN if there is none of either sign or any input is NaN

    Raises
    ------
    ProcessorError : if shift is NaN or out of range
    """
    centroid[0] = np.nan
    if not 0 <= shift < len(w_in):
        raise ProcessorError("need 0 <= shift < n")
    if has_nan(w_in):
        return
    first, last = np.argmin(w_in), np.argmax(w_in)
    direction = 1 if last > first else -1
    negative: Any = -1
    positive: Any = -1
    for k in range(abs(last - first) + 1):
        i = first + k * direction
        if w_in[i] < 0:
            negative = i
        if w_in[i] > 0 and positive < 0:
            positive = i
    if negative >= 0 and positive >= 0 and first != last:
        centroid[0] = np.rint((negative + positive) / 2) + shift


@processor("(n),(),(),()->(m)", "f,f,f,f->f")
def wf_alignment(w_in: Any, centroid: Any, shift: Any, size: Any, w_out: Any) -> None:
    """Cut a window around a centroid.

    Parameters
    ----------
    w_in : (n,) [ADC]
    centroid : [samples]; centre of the window
    shift : [samples]; 0 <= shift <= n; a window may begin at most so much before the waveform
    size : [samples]; 1 <= size <= n
    w_out : (size,) [ADC]; the first sample stands for those before the waveform; the first ``size`` samples of the
        waveform if the centroid is NaN or too close to an end; all NaN if any sample is

    Raises
    ------
    ProcessorError : if shift or size is NaN or out of range, or the output has not ``size`` samples
    """
    w_out[:] = np.nan
    n = len(w_in)
    if not (0 <= shift <= n and 1 <= size <= n) or int(size) != len(w_out):
        raise ProcessorError("need 0 <= shift <= n, 1 <= size <= n, and an output of size samples")
    if has_nan(w_in):
        return
    half = size / 2
    w_out[:] = w_in[: len(w_out)]
    if half <= centroid < n - half:
        begin = int(centroid - half)
        w_out[:] = w_in[begin : begin + len(w_out)]
    elif half - shift < centroid < half:
        n_before = int((size + 1) / 2 - centroid)
        w_out[:n_before] = w_in[0]
        w_out[n_before:] = w_in[: len(w_out) - n_before]


@processor("(n),(m),(),()->(n)", "f,f,i4,i4->f")
def wf_correction(w_in: Any, w_corr: Any, start_idx: Any, stop_idx: Any, w_out: Any) -> None:
    """Subtract a correction from a range of samples.

    Parameters
    ----------
    w_in : (n,) [ADC]
    w_corr : (m,) [ADC]
    start_idx, stop_idx : [samples]; 0 <= start_idx < stop_idx <= n, not more than m samples
    w_out : (n,) [ADC]; ``w_in[i] - w_corr[i - start_idx]`` in the range; all NaN if any sample of either is

    Raises
    ------
    ProcessorError : if the range is outside the waveform or longer than the correction
    """
    if start_idx < 0 or start_idx >= stop_idx or stop_idx > len(w_in) or stop_idx - start_idx > len(w_corr):
        raise ProcessorError("need 0 <= start_idx < stop_idx <= n and stop_idx - start_idx <= m")
    if has_nan(w_in) or has_nan(w_corr):
        w_out[:] = np.nan
        return
    w_out[:] = w_in
    w_out[start_idx:stop_idx] -= w_corr[: stop_idx - start_idx]


@processor("(n),(p)->(n)", "i4,f->f")
def inl_correction(w_in: Any, inl: Any, w_out: Any) -> None:
    """Correct the integral non-linearity of the digitiser, ``out[i] = in[i] + inl[in[i]]``.

    Parameters
    ----------
    w_in : (n,) int32 [ADC]
    inl : (p,) [ADC]; correction of each code
    w_out : (n,) [ADC]; all NaN if any correction is

    Raises
    ------
    ProcessorError : if a sample is outside the table
    """
    w_out[:] = np.nan
    if has_nan(inl):
        return
    for i in range(len(w_in)):
        if not 0 <= w_in[i] < len(inl):
            raise ProcessorError("a sample lies outside the table inl; give one value for each code of the digitiser")
        w_out[i] = w_in[i] + inl[w_in[i]]
