"""Histograms of samples, for noise and baseline of SiPM traces."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.accelerate import jit
from pygama_core.dsp.processors._nan import has_nan
from pygama_core.dsp.registry import processor
from pygama_core.errors import ProcessorError


@processor("(n)->(k),(j)", "f->f,f")
def histogram(w_in: Any, weights: Any, borders: Any) -> None:
    """Histogram in k equal bins from the smallest to the largest sample, which itself is not counted.

    Parameters
    ----------
    w_in : (n,) [ADC]
    weights : (k,) counts; zero if any sample is NaN or all are equal
    borders : (k + 1,) [ADC]; NaN if any sample is

    Raises
    ------
    ProcessorError : if there is not one border more than bins
    """
    k = len(weights)
    if len(borders) != k + 1:
        raise ProcessorError("need one border more than bins")
    weights[:] = 0
    borders[:] = np.nan
    if has_nan(w_in):
        return
    lowest, highest = np.float64(w_in[0]), np.float64(w_in[0])
    for i in range(len(w_in)):
        lowest, highest = min(lowest, w_in[i]), max(highest, w_in[i])
    width = (highest - lowest) / k
    for j in range(k + 1):
        borders[j] = lowest + width * j
    if width > 0:
        for i in range(len(w_in)):
            if w_in[i] < highest:
                weights[min(int((w_in[i] - lowest) / width), k - 1)] += 1


@jit("i8(f4[::1])", "i8(f8[::1])")
def highest_bin(weights: Any) -> int:
    """Index of the first bin with the largest content."""
    peak = 0
    for i in range(len(weights)):
        if weights[i] > weights[peak]:
            peak = i
    return peak


@processor("(k),(j),()->(),(),()", "f,f,f->f,f,f", order=(0, 1, 3, 4, 5, 2))
def histogram_stats(weights: Any, borders: Any, max_in: Any, mode: Any, a_max: Any, fwhm: Any) -> None:
    """Highest bin of a histogram, its left border, and the larger half width at half maximum.

    Parameters
    ----------
    weights : (k,) counts
    borders : (k + 1,) [ADC]
    max_in : [ADC]; position of the peak, NaN takes the highest bin
    mode : index of the highest bin
    a_max : [ADC]; left border of the peak's bin
    fwhm : [ADC]; NaN if the histogram is empty

    Raises
    ------
    ProcessorError : if there is not one border more than bins
    """
    if len(borders) != len(weights) + 1:
        raise ProcessorError("need one border more than bins")
    mode[0] = a_max[0] = fwhm[0] = np.nan
    peak = highest_bin(weights)
    if not weights[peak] > 0:
        return
    if max_in == max_in:
        for i in range(len(weights)):
            if abs(max_in - borders[i]) < abs(max_in - borders[peak]):
                peak = i
    mode[0], a_max[0] = peak, borders[peak]
    half = weights[peak] / 2
    left, right = 0.0, 0.0
    for i in range(peak, -1, -1):
        if 0 < weights[i] <= half:
            left = abs(borders[peak] - borders[i])
            break
    for i in range(peak, len(weights)):
        if 0 < weights[i] <= half:
            right = abs(borders[i] - borders[peak])
            break
    fwhm[0] = max(left, right)


@processor("(k),(j),(),(),()->(),()", "f,f,f,i4,i4->f,f")
def histogram_peakstats(  # noqa: PLR0913 (the arguments of configurations)
    weights: Any, borders: Any, max_in: Any, skip_zeros: Any, width_type: Any, mode: Any, width: Any
) -> None:
    """Centre of a histogram's peak bin and its width at half maximum.

    Parameters
    ----------
    weights : (k,) counts
    borders : (k + 1,) [ADC]
    max_in : [ADC]; position of the peak, NaN takes the highest bin
    skip_zeros : 1 ignores empty bins in the search for half the maximum
    width_type : of the two half widths, 0 the sum, 1 the smaller, 2 the larger, 3 the left, 4 the right one
    mode, width : [ADC]; NaN if the histogram is empty

    Raises
    ------
    ProcessorError : if there is not one border more than bins, or width_type is unknown
    """
    k = len(weights)
    if len(borders) != k + 1 or not 0 <= width_type <= 4:
        raise ProcessorError("need one border more than bins and 0 <= width_type <= 4")
    mode[0] = width[0] = np.nan
    peak = highest_bin(weights)
    for i in range(k):
        if borders[i] <= max_in < borders[i + 1]:
            peak = i
            break
    if not weights[peak] > 0:
        return
    centre = (np.float64(borders[peak]) + borders[peak + 1]) / 2
    left, right, half = centre - borders[0], borders[k] - centre, weights[peak] / 2
    for i in range(peak, -1, -1):
        if weights[i] <= half and not (skip_zeros == 1 and weights[i] == 0):
            left = centre - borders[i + 1]
            break
    for i in range(peak, k):
        if weights[i] <= half and not (skip_zeros == 1 and weights[i] == 0):
            right = borders[i] - centre
            break
    widths = (left + right, min(left, right), max(left, right), left, right)
    mode[0], width[0] = centre, widths[width_type]


@jit("f8(f4[::1], i8)", "f8(f8[::1], i8)")
def rough_mode(w: Any, n_bins: int) -> float:
    """Centre of the highest of ``n_bins`` bins between the extrema; the maximum itself is not counted."""
    lowest, highest = np.float64(w.min()), np.float64(w.max())
    width = (highest - lowest) / n_bins
    if width == 0:
        return float(lowest)
    counts = np.zeros(n_bins)
    for i in range(len(w)):
        if w[i] < highest:
            counts[min(int((w[i] - lowest) / width), n_bins - 1)] += 1
    return float(lowest + width * (highest_bin(counts) + 0.5))


@processor("(n),(),()->(k),(j)", "f,f,f->f,f")
def histogram_around_mode(w_in: Any, center: Any, bin_width: Any, weights_out: Any, borders_out: Any) -> None:
    """Histogram of k bins of a given width around the most frequent value.

    Parameters
    ----------
    w_in : (n,) [ADC]
    center : [ADC]; centre of bin k // 2; NaN takes the mode of a histogram between the extrema, rounded to a multiple
        of bin_width
    bin_width : [ADC]; > 0
    weights_out : (k,) counts; samples outside are not counted; zero if any sample is NaN
    borders_out : (k + 1,) [ADC]; NaN if any sample is (dspeed stops there)

    Raises
    ------
    ProcessorError : if there is not one border more than bins, or bin_width is not > 0
    """
    k = len(weights_out)
    if len(borders_out) != k + 1 or not bin_width > 0:
        raise ProcessorError("need one border more than bins and bin_width > 0")
    weights_out[:] = 0
    borders_out[:] = np.nan
    if has_nan(w_in):
        return
    middle, width = np.float64(center), np.float64(bin_width)
    if middle != middle:
        middle = rough_mode(w_in, k)
        if w_in.min() < w_in.max():
            middle = np.rint(middle / width) * width
    first = middle - width * (k // 2) - 0.5 * width
    for j in range(k + 1):
        borders_out[j] = first + width * j
    for i in range(len(w_in)):
        position = np.floor((w_in[i] - first) / width)
        if 0 <= position < k:
            weights_out[int(position)] += 1
