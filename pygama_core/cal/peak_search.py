"""Find the energy scale of a spectrum without any start value.

In the logarithm of the uncalibrated energy a change of scale is a shift, so all scales are tried at once: for every
possible place of the highest line, each line of the list votes with its local significance at the distance
ln(E_line / E_highest). A vote is limited, so one strong line of something else (a pulser) cannot win against several
weaker ones that fit together. The work is n_lines * n_bins, whatever the number of peaks in the spectrum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field

from pygama_core.cal.statistics import FloatArray, finite
from pygama_core.errors import CalibrationError


class PeakSearchSettings(BaseModel, frozen=True, extra="forbid"):
    """How lines are recognised."""

    min_lines: int = Field(default=3, ge=2, description="fewest lines that must be seen")
    min_significance: float = Field(default=3.0, gt=0, description="smallest significance of a line that counts")
    max_vote: float = Field(default=8.0, gt=0, description="largest vote of one line, in units of significance")
    min_score: float = Field(default=14.0, gt=0, description="smallest sum of votes")
    min_distinction: float = Field(default=1.15, ge=1, description="smallest ratio to the score of any other scale")
    fwhm_offset: float = Field(default=1.2, ge=0, description="a of the expected FWHM^2 = a + b E [keV^2]")
    fwhm_slope: float = Field(default=0.0022, ge=0, description="b of the expected FWHM^2 = a + b E [keV]")
    width_factors: tuple[float, ...] = Field(
        default=(1.0, 2.0, 4.0), description="detectors this much worse than expected are found too"
    )
    max_residual: float = Field(default=3.0, gt=0, description="largest distance of a line from the scale [keV]")


@dataclass(frozen=True)
class LineMatch:
    """One recognised line."""

    energy: float  # [keV]
    position: float  # [ADC]
    significance: float


@dataclass(frozen=True)
class RoughScale:
    """Approximate scale: energy [keV] = offset + gain * ADC."""

    offset: float  # [keV]
    gain: float  # [keV/ADC]
    matches: tuple[LineMatch, ...]
    score: float  # sum of the votes


@dataclass(frozen=True, eq=False)
class _Vote:
    score: float
    next_score: float  # best of all scales that do not overlap with this one
    position: float  # of the highest line [ln(ADC)]
    factor: float  # of the expected width


_BIN = 2.5e-4  # of ln(ADC): a quarter of the relative FWHM of a good detector at 2.6 MeV
_DEPTH = 7.0  # range of ln(ADC) below the highest values
_OTHER = 0.003  # scales closer than this [ln] are the same


def find_lines(
    values: npt.ArrayLike, energies: Sequence[float], settings: PeakSearchSettings | None = None
) -> RoughScale:
    """Recognise lines and return the rough scale.

    Parameters
    ----------
    values : (n,) uncalibrated energies in any unit ("ADC"); those not finite or not above 0 are left out
    energies : (n_lines,) [keV]; not all must be present, and other lines may be
    settings : what counts as recognised

    Raises
    ------
    CalibrationError : if too few lines are seen, or two scales fit about equally well
    """
    settings = settings or PeakSearchSettings()
    lines = np.sort(np.asarray(energies, dtype=np.float64))
    data = finite(values)
    data = data[data > 0]
    if not len(data):
        raise CalibrationError("peak search: no finite energies above 0")
    top = float(np.log(np.percentile(data, 99.9))) + np.log(2.0)  # the highest line may lie above all data
    n_bins = int(_DEPTH / _BIN)
    counts = np.histogram(np.log(data), bins=n_bins, range=(top - _DEPTH, top))[0]
    votes = [_vote(counts, lines, factor, settings) for factor in settings.width_factors]
    best = max(votes, key=lambda vote: vote.score)  # of equal ones the narrowest
    gain = float(lines[-1] / np.exp(top - _DEPTH + best.position))
    matches = _locate(data, lines, gain, best.factor, settings)
    offset, gain, matches = _line_through(matches, gain, settings)
    if len(matches) < settings.min_lines or best.score < settings.min_score:
        seen = ", ".join(f"{match.energy:g}" for match in matches) or "none"
        raise CalibrationError(
            f"peak search: {len(matches)} of {len(lines)} lines recognised ({seen}; score {best.score:.1f}), need "
            f"min_lines = {settings.min_lines} and min_score = {settings.min_score:g}, in {len(data)} events; too few "
            f"counts or not the expected source"
        )
    if best.score < settings.min_distinction * best.next_score:
        raise CalibrationError(
            f"peak search: ambiguous: the best scale ({gain:.4g} keV/ADC, score {best.score:.1f}) is hardly better "
            f"than another (score {best.next_score:.1f}); more events are needed"
        )
    return RoughScale(offset, gain, tuple(matches), best.score)


def expected_fwhm(energy: FloatArray | float, settings: PeakSearchSettings) -> FloatArray:
    """FWHM [keV] a good detector has at an energy [keV]."""
    return np.asarray(np.sqrt(settings.fwhm_offset + settings.fwhm_slope * np.asarray(energy)))


def _vote(counts: npt.NDArray[np.int64], lines: FloatArray, factor: float, settings: PeakSearchSettings) -> _Vote:
    """Sum the limited significances of all lines, for each place of the highest one."""
    score = np.zeros(len(counts))
    half_widths = np.maximum(np.round(factor * expected_fwhm(lines, settings) / lines / _BIN), 1).astype(np.int64)
    shifts = np.round(np.log(lines[-1] / lines) / _BIN).astype(np.int64)
    for half_width, shift in zip(half_widths, shifts, strict=True):
        significance = _significance(counts, int(half_width))
        vote = np.where(significance >= settings.min_significance, np.minimum(significance, settings.max_vote), 0.0)
        score[shift:] += vote[: len(vote) - shift]
    best = int(np.argmax(score))
    plateau = np.flatnonzero(score[best : best + int(half_widths[-1]) + 1] >= score[best])  # limited votes tie
    best += int(plateau[-1]) // 2
    others = np.abs(np.arange(len(score)) - best) > _OTHER * factor / _BIN
    return _Vote(float(score[best]), float(np.max(score[others], initial=0.0)), (best + 0.5) * _BIN, factor)


def _significance(counts: npt.NDArray[np.int64], half_width: int) -> FloatArray:
    """Excess of a window over the higher of its two neighbours, over its error: an edge is no line."""
    n = 2 * half_width + 1
    padded = np.concatenate([np.zeros(n + half_width), counts, np.zeros(n + half_width)])
    total = np.concatenate([[0.0], np.cumsum(padded)])
    window = total[n:] - total[:-n]  # sums of n bins that start at each padded bin
    inside, left, right = window[n:-n], window[: -2 * n], window[2 * n :]
    beside = np.maximum(left, right)
    return np.asarray((inside - beside) / np.sqrt(inside + beside + 1.0))


def _locate(
    data: FloatArray, lines: FloatArray, gain: float, factor: float, settings: PeakSearchSettings
) -> list[LineMatch]:
    """Centre of each line that is seen near its expected place."""
    matches = []
    for energy, width in zip(lines, factor * expected_fwhm(lines, settings), strict=True):
        rough = np.sort(data[np.abs(data * gain - energy) < 6 * width]) * gain
        center = _densest(rough, energy, width)
        inside = _count(rough, center - width, center + width)
        beside = max(
            _count(rough, center - 3 * width, center - width), _count(rough, center + width, center + 3 * width)
        )
        significance = (inside - beside) / np.sqrt(inside + beside + 1.0)
        if significance >= settings.min_significance:
            matches.append(LineMatch(float(energy), center / gain, float(significance)))
    return matches


def _densest(rough: FloatArray, energy: float, width: float) -> float:
    """Centre of the fullest window of a FWHM within 1.5 FWHM of the line, made precise by the mean of what is in it."""
    centers = energy + width * np.linspace(-1.5, 1.5, 61)
    filled = np.searchsorted(rough, centers + width / 2) - np.searchsorted(rough, centers - width / 2)
    center = float(np.mean(centers[filled == np.max(filled)]))
    for _ in range(3):
        inside = rough[np.abs(rough - center) < width]
        center = float(np.mean(inside)) if len(inside) else center
    return center


def _count(ordered: FloatArray, low: float, high: float) -> int:
    return int(np.searchsorted(ordered, high) - np.searchsorted(ordered, low))


def _line_through(
    matches: list[LineMatch], gain: float, settings: PeakSearchSettings
) -> tuple[float, float, list[LineMatch]]:
    """Fit the scale and drop, one by one, lines that are off; an offset is allowed only if lines need it."""
    offset = 0.0
    while matches:
        position = np.array([match.position for match in matches])
        energy = np.array([match.energy for match in matches])
        weight = np.array([min(match.significance, settings.max_vote) for match in matches])
        gain = float(np.sum(weight * energy * position) / np.sum(weight * position**2))
        offset, residual = 0.0, energy - gain * position
        if len(matches) > 3 and np.max(np.abs(residual)) > 1.0:
            slope, constant = np.polyfit(position, energy, 1, w=np.sqrt(weight))
            gain, offset, residual = float(slope), float(constant), energy - (constant + slope * position)
        worst = int(np.argmax(np.abs(residual)))
        if abs(residual[worst]) <= settings.max_residual:
            break
        matches = matches[:worst] + matches[worst + 1 :]
    return offset, gain, matches
