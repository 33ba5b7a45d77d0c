"""Baseline, moments, straight-line fits, extrema and counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.accelerate import jit
from pygama_core.dsp.processors._nan import has_nan
from pygama_core.dsp.registry import processor
from pygama_core.errors import ProcessorError

LANES = 16


@processor("(n),()->(n)", "f,f->f")
def bl_subtract(w_in: Any, a_baseline: Any, w_out: Any) -> None:
    """Subtract a constant.

    Parameters
    ----------
    w_in : (n,) [ADC]
    a_baseline : [ADC]
    w_out : (n,) [ADC]; all NaN if any input is
    """
    if has_nan(w_in) or a_baseline != a_baseline:
        w_out[:] = np.nan
        return
    for i in range(len(w_in)):
        w_out[i] = w_in[i] - a_baseline


@processor("(n)->(),(),(),()", "f->f,f,f,f")
def linear_slope_fit(w_in: Any, mean: Any, stdev: Any, slope: Any, intercept: Any) -> None:
    """Mean, sample standard deviation and least-squares straight line of a waveform against the sample index.

    Parameters
    ----------
    w_in : (n,) [ADC], n >= 2
    mean, stdev : [ADC]; NaN, like all outputs, if any sample is
    slope : [ADC/sample]
    intercept : [ADC]
    """
    n = len(w_in)
    origin = np.float64(w_in[0])  # sums of differences keep their digits on a large offset
    total, squares, products = 0.0, 0.0, 0.0
    for i in range(n):
        d = w_in[i] - origin
        total += d
        squares += d * d
        products += i * d
    n_pairs = n * (n - 1) / 2.0  # sum of the indices
    mean[0] = origin + total / n
    stdev[0] = np.sqrt(max((squares - total * total / n) / (n - 1), 0.0)) if total == total else np.nan
    gradient = (products - n_pairs * total / n) / (n * (n * n - 1.0) / 12.0)
    slope[0] = gradient
    intercept[0] = origin + (total - gradient * n_pairs) / n


@processor("(n),(),()->(),()", "f,f,f->f,f")
def linear_slope_diff(w_in: Any, slope: Any, intercept: Any, mean: Any, rms: Any) -> None:
    """Mean and scatter of a waveform about a straight line.

    Parameters
    ----------
    w_in : (n,) [ADC]
    slope : [ADC/sample]
    intercept : [ADC]
    mean : [ADC]; of the residuals (dspeed weights them with 1/(i+1), which is not a mean)
    rms : [ADC]; square root of the sum of squared residuals over n - 1
    """
    total, squares = 0.0, 0.0
    for i in range(len(w_in)):
        residual = w_in[i] - (np.float64(slope) * i + intercept)
        total += residual
        squares += residual * residual
    mean[0] = total / len(w_in)
    rms[0] = np.sqrt(squares / (len(w_in) - 1))


@processor("(n),()->()", "f,f->f")
def mean_below_threshold(w_in: Any, threshold: Any, mean: Any) -> None:
    """Mean of the samples below a threshold; NaN if there are none or any input is NaN."""
    mean[0] = np.nan
    if has_nan(w_in) or threshold != threshold:
        return
    total, n_below = 0.0, 0
    for i in range(len(w_in)):
        if w_in[i] < threshold:
            total += w_in[i]
            n_below += 1
    mean[0] = total / n_below


@processor("(n)->()", "f->f")
def median(w_in: Any, a_median: Any) -> None:
    """Median of the samples [ADC]; the mean of the middle two for an even number; NaN if any sample is."""
    a_median[0] = np.nan
    if not has_nan(w_in):
        a_median[0] = np.median(w_in)


@jit("void(f4[::1], f4[::1])", "void(f8[::1], f8[::1])")
def extremes(w: Any, found: Any) -> None:
    """Smallest and largest sample; lanes of samples are compared at once, which one running value does not allow."""
    lowest, highest = np.full(LANES, w[0]), np.full(LANES, w[0])
    n_whole = len(w) - len(w) % LANES
    for begin in range(0, n_whole, LANES):
        part = w[begin : begin + LANES]
        for j in range(LANES):
            lowest[j] = part[j] if part[j] < lowest[j] else lowest[j]
            highest[j] = part[j] if part[j] > highest[j] else highest[j]
    for i in range(n_whole, len(w)):
        lowest[0], highest[0] = min(lowest[0], w[i]), max(highest[0], w[i])
    found[0], found[1] = lowest.min(), highest.max()


@jit("i8(f4[::1], f4)", "i8(f8[::1], f8)")
def first_equal(w: Any, value: float) -> int:
    """Index of the first sample that has exactly this value, which one must have."""
    i = 0
    while w[i] != value:
        i += 1
    return i


@processor("(n)->(),(),(),()", "f->f,f,f,f")
def min_max(w_in: Any, t_min: Any, t_max: Any, a_min: Any, a_max: Any) -> None:
    """First positions and values of the extrema.

    Parameters
    ----------
    w_in : (n,) [ADC]
    t_min, t_max : [samples]; NaN, like all outputs, if any sample is
    a_min, a_max : [ADC]
    """
    t_min[0] = t_max[0] = a_min[0] = a_max[0] = np.nan
    if has_nan(w_in):
        return
    found = np.empty(2, w_in.dtype)
    extremes(w_in, found)
    a_min[0], a_max[0] = found[0], found[1]
    t_min[0], t_max[0] = first_equal(w_in, found[0]), first_equal(w_in, found[1])


@processor("(n)->(n)", "f->f")
def log_check(w_in: Any, w_log: Any) -> None:
    """Natural logarithm; all NaN unless every sample is positive."""
    for i in range(len(w_in)):
        if not w_in[i] > 0:
            w_log[:] = np.nan
            return
    for i in range(len(w_in)):
        w_log[i] = np.log(w_in[i])


@processor("(n),()->()", "f,f->f")
def time_over_threshold(w_in: Any, a_threshold: Any, n_samples: Any) -> None:
    """Number of samples above a threshold, wherever they are; NaN if any input is."""
    n_samples[0] = np.nan
    if has_nan(w_in) or a_threshold != a_threshold:
        return
    n_above = 0
    for i in range(len(w_in)):
        n_above += w_in[i] > a_threshold
    n_samples[0] = n_above


@jit("i8(f4[::1], f8)", "i8(f8[::1], f8)")
def count_equal(w: Any, value: float) -> int:
    """Number of samples that have exactly this value."""
    n_equal = 0
    for i in range(len(w)):
        n_equal += w[i] == value
    return n_equal


@processor("(n),()->(),()", "f,f->f,f")
def saturation(w_in: Any, bit_depth: Any, n_lo: Any, n_hi: Any) -> None:
    """Count samples at the ends of the FlashCam ADC range, 0 and 2**bits - bits.

    Parameters
    ----------
    w_in : (n,) [ADC]; not subtracted
    bit_depth : whole number >= 1
    n_lo, n_hi : [samples]; NaN if any input is

    Raises
    ------
    ProcessorError : if bit_depth is not a positive whole number
    """
    n_lo[0] = n_hi[0] = np.nan
    if has_nan(w_in) or bit_depth != bit_depth:
        return
    if bit_depth < 1 or bit_depth != np.floor(bit_depth):
        raise ProcessorError("bit_depth must be a whole number >= 1")
    n_lo[0] = count_equal(w_in, 0.0)
    n_hi[0] = count_equal(w_in, 2.0**bit_depth - bit_depth)
