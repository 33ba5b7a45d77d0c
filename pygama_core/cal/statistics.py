"""Robust mode and width of a distribution with one peak and outliers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pygama_core.errors import CalibrationError

FloatArray = npt.NDArray[np.float64]

SIGMA_TO_FWHM = float(2.0 * np.sqrt(2.0 * np.log(2.0)))
MIN_VALUES = 20  # below this a percentile difference of 5 % is no longer one value apart


@dataclass(frozen=True)
class ModeWidth:
    """Position and width of the main peak, in the unit of the values."""

    mode: float
    mode_err: float  # statistical error of the mode
    sigma: float  # width of the core; FWHM / 2.355
    n_core: int  # values within 2 sigma of the mode
    n_values: int  # finite values


def finite(values: npt.ArrayLike) -> FloatArray:
    """Return the finite values, flattened, as float64."""
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]


def robust_mode_width(values: npt.ArrayLike, what: str = "values") -> ModeWidth:
    """Find the mode and the width of the core, whatever the tails and outliers.

    The 1 to 99 percentile range is histogrammed, cut to 10 widths around its top, and histogrammed again. The mode is
    the centre of a parabola through the logarithm of the counts (a Gaussian) within 1.5 widths; the width is the FWHM
    between the half-height crossings over 2.355.

    Parameters
    ----------
    values : (n,); values that are not finite are left out. If there are only a few different ones, the mode is near
        the most frequent
    what : name of the values in error texts

    Source: bin width of Freedman and Diaconis, Z. Wahrscheinlichkeitstheorie 57 (1981) 453, doi:10.1007/BF01025868.

    Raises
    ------
    CalibrationError : if fewer than `MIN_VALUES` are finite
    """
    data = finite(values)
    if len(data) < MIN_VALUES:
        raise CalibrationError(f"{what}: {len(data)} finite values, need at least {MIN_VALUES} to find their mode")
    mode, sigma = _percentile_mode(data)
    if sigma > 0:
        low, high = np.percentile(data, [1, 99])
        mode, sigma = _histogram_mode(data[(data >= low) & (data <= high)], mode, sigma)
        near = data[np.abs(data - mode) <= 10 * sigma]
        mode, sigma = _histogram_mode(near, mode, sigma)
        mode = _gaussian_top(near, mode, sigma)
    n_core = int(np.count_nonzero(np.abs(data - mode) <= 2 * sigma))
    n_gauss = max(n_core, 1) / 0.9545  # of a whole Gaussian with this core
    # the centre found within 1.5 sigma alone has this variance: 1 / integral of z^2 * normal density over it
    mode_err = float(sigma / np.sqrt(0.4778 * n_gauss))
    return ModeWidth(float(mode), mode_err, float(sigma), n_core, len(data))


def _percentile_mode(data: FloatArray) -> tuple[float, float]:
    """Median, and the narrowest central spread that is not zero (discrete values can repeat)."""
    p2, p16, p50, p84, p98 = np.percentile(data, [2, 16, 50, 84, 98])
    for width in ((p84 - p16) / 2, (p98 - p2) / 4, float(np.std(data))):
        if width > 0:
            return float(p50), float(width)
    return float(p50), 0.0


def _histogram_mode(data: FloatArray, mode: float, sigma: float) -> tuple[float, float]:
    """Mode and width from the top and the half-height crossings of a histogram; the old ones if it is too thin."""
    p25, p75 = np.percentile(data, [25, 75])
    width = max(2.0 * float(p75 - p25) / len(data) ** (1 / 3), sigma / 20)
    low, high = float(np.min(data)), float(np.max(data))
    n_bins = int(np.clip(np.ceil((high - low) / width), 1, 2000))
    counts, edges = np.histogram(data, bins=n_bins, range=(low, high))
    smooth = np.convolve(counts, [0.25, 0.5, 0.25], mode="same")  # one bin alone must not be the top
    top = int(np.argmax(smooth))
    if smooth[top] < 5 or n_bins < 5:
        return mode, sigma
    centers = (edges[:-1] + edges[1:]) / 2
    left = _half_height(smooth[top::-1], centers[top::-1])
    right = _half_height(smooth[top:], centers[top:])
    return float(centers[top]), max((right - left) / SIGMA_TO_FWHM, float(edges[1] - edges[0]) / 2)


def _half_height(counts: FloatArray, centers: FloatArray) -> float:
    """Where counts that start at their maximum first fall to half of it, interpolated; else the last centre."""
    below = np.flatnonzero(counts < counts[0] / 2)
    if not len(below):
        return float(centers[-1])
    i = int(below[0])
    part = (counts[i - 1] - counts[0] / 2) / (counts[i - 1] - counts[i])
    return float(centers[i - 1] + part * (centers[i] - centers[i - 1]))


def _gaussian_top(data: FloatArray, mode: float, sigma: float) -> float:
    """Centre of a Gaussian through the top of the peak: parabola through ln(counts), weighted with the counts."""
    edges = mode + sigma * np.linspace(-1.5, 1.5, 16)
    counts = np.histogram(data, bins=edges)[0].astype(np.float64)
    used = counts >= max(5.0, 0.3 * float(np.max(counts)))
    if np.count_nonzero(used) < 5:
        return mode
    z = ((edges[:-1] + edges[1:]) / 2 - mode)[used] / sigma
    curvature, slope, _ = np.polyfit(z, np.log(counts[used]), 2, w=np.sqrt(counts[used]))
    if curvature >= 0:
        return mode
    return float(mode + sigma * np.clip(-slope / (2 * curvature), -1.0, 1.0))
