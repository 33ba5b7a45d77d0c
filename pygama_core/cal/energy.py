"""Energy calibration of one detector with gamma lines: scale, residuals and resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field
from scipy.stats import chi2 as chi2_distribution

from pygama_core.cal.lines import FEP, QBB, TH228_LINES, Line
from pygama_core.cal.peak_fit import PeakFit, PeakFitSettings, fit_peak
from pygama_core.cal.peak_search import PeakSearchSettings, RoughScale, find_lines
from pygama_core.cal.resolution import ResolutionCurve, fit_resolution
from pygama_core.cal.statistics import FloatArray, finite
from pygama_core.errors import CalibrationError


class EnergyCalibrationSettings(BaseModel, frozen=True, extra="forbid"):
    """Lines, fits and what makes a valid calibration."""

    lines: tuple[Line, ...] = Field(default=TH228_LINES, min_length=2, description="lines of the source")
    required: tuple[float, ...] = Field(default=(FEP,), description="lines without which nothing is valid [keV]")
    scale_lines: tuple[float, ...] = Field(
        default=(),
        description="lines that fix the scale [keV]; empty: all valid ones; (2614.511,) is the field's habit",
    )
    min_events: int = Field(default=500, ge=1, description="fewest events with a finite energy above 0")
    min_peaks: int = Field(default=2, ge=1, description="fewest validly fitted lines")
    with_offset: bool = Field(default=False, description="fit an offset too, not only a factor")
    position: Literal["mode", "mu"] = Field(
        default="mode", description="what of the line shape is at the line's energy"
    )
    search: PeakSearchSettings = PeakSearchSettings()
    fit: PeakFitSettings = PeakFitSettings()


@dataclass(frozen=True, eq=False)
class EnergyScale:
    """Straight line: energy [keV] = offset + gain * uncalibrated energy [ADC]."""

    offset: float  # [keV]
    gain: float  # [keV/ADC]
    covariance: FloatArray  # (2, 2) of (offset, gain)
    chi2: float  # of the positions [ADC] against the energies
    dof: int
    p_value: float  # NaN for dof = 0


@dataclass(frozen=True, eq=False)
class PeakResult:
    """What became of one line."""

    line: Line
    fit: PeakFit | None  # in keV of the final scale; None if invalid
    failure: str  # why the fit is invalid; empty if it is valid
    residual: float  # fitted position minus the line's energy [keV]; NaN if invalid
    residual_err: float  # statistical error of the position [keV]


@dataclass(frozen=True, eq=False)
class EnergyCalibration:
    """Calibration of one energy estimator of one detector."""

    scale: EnergyScale
    peaks: tuple[PeakResult, ...]
    resolution: ResolutionCurve | None
    resolution_failure: str  # why there is no resolution curve; empty if there is
    fep_fwhm: tuple[float, float]  # of the curve at 2614.511 keV, with error [keV]
    qbb_fwhm: tuple[float, float]  # of the curve at Qbb = 2039.061 keV, with error [keV]
    n_events: int


def calibrate_energy(
    uncalibrated: npt.ArrayLike, settings: EnergyCalibrationSettings | None = None
) -> EnergyCalibration:
    """Calibrate an energy estimator.

    Parameters
    ----------
    uncalibrated : (n_events,) [ADC]; any positive scale; values that are not finite are left out. Pulser events should
        be left out by the caller, but do no harm away from the lines
    settings : lines, fits and what makes a valid calibration

    Raises
    ------
    CalibrationError : if there is no valid calibration; the text is the detector's status
    """
    settings = settings or EnergyCalibrationSettings()
    adc = _usable(uncalibrated, settings.min_events)
    rough = find_lines(adc, [line.energy for line in settings.lines], settings.search)
    fits, failures = _fit_lines(rough.offset + rough.gain * adc, settings)
    _check_peaks(fits, failures, settings)
    energy = np.array([e for e in sorted(fits) if not settings.scale_lines or e in settings.scale_lines])
    position, error = np.array([_position(fits[e], settings) for e in energy]).reshape(-1, 2).T
    in_adc = (position - rough.offset) / rough.gain
    scale = fit_energy_scale(energy, in_adc, error / rough.gain, with_offset=settings.with_offset)
    peaks = tuple(_peak_result(line, fits, failures, (scale, rough), settings) for line in settings.lines)
    resolution, failure = _resolution(peaks)
    nothing = (float("nan"), float("nan"))
    return EnergyCalibration(
        scale=scale,
        peaks=peaks,
        resolution=resolution,
        resolution_failure=failure,
        fep_fwhm=resolution.fwhm(FEP) if resolution else nothing,
        qbb_fwhm=resolution.fwhm(QBB) if resolution else nothing,
        n_events=len(adc),
    )


def fit_energy_scale(
    energy: FloatArray, position: FloatArray, position_err: FloatArray, *, with_offset: bool = False
) -> EnergyScale:
    """Fit positions [ADC] against line energies [keV], and invert to energy(ADC).

    The positions carry the errors, so they are the dependent variable: position = pedestal + energy / gain.

    Parameters
    ----------
    energy, position, position_err : (n_lines,) [keV], [ADC], [ADC]
    with_offset : whether to fit the pedestal; otherwise it is 0

    Raises
    ------
    CalibrationError : if there are fewer lines than parameters, or the slope is not positive
    """
    n_parameters = 2 if with_offset else 1
    if len(energy) < n_parameters:
        raise CalibrationError(f"energy scale: {len(energy)} valid lines, need at least {n_parameters}")
    design = np.column_stack([np.ones_like(energy), energy])[:, 2 - n_parameters :] / position_err[:, np.newaxis]
    inverse = np.linalg.pinv(design)
    solution = inverse @ (position / position_err)
    parameters, covariance = np.zeros(2), np.zeros((2, 2))
    parameters[2 - n_parameters :] = solution
    covariance[2 - n_parameters :, 2 - n_parameters :] = inverse @ inverse.T
    pedestal, slope = parameters.tolist()
    if not slope > 0:
        raise CalibrationError(f"energy scale: slope is {slope:.4g} ADC/keV, expected above 0; the lines are mistaken")
    chi2 = float(np.sum((position / position_err - design @ solution) ** 2))
    dof = len(energy) - n_parameters
    # offset = -pedestal / slope, gain = 1 / slope
    jacobian = np.array([[-1.0 / slope, pedestal / slope**2], [0.0, -1.0 / slope**2]])
    p_value = float(chi2_distribution.sf(chi2, dof)) if dof > 0 else float("nan")
    offset = -pedestal / slope if with_offset else 0.0
    return EnergyScale(offset, 1.0 / slope, jacobian @ covariance @ jacobian.T, chi2, dof, p_value)


def _usable(uncalibrated: npt.ArrayLike, min_events: int) -> FloatArray:
    adc = finite(uncalibrated)
    adc = adc[adc > 0]
    if len(adc) < min_events:
        raise CalibrationError(
            f"{len(adc)} of {np.size(uncalibrated)} events have a finite energy above 0, need min_events = {min_events}"
        )
    if np.all(adc == np.round(adc)):
        # integers: spread over their step, or histograms with other bins show a comb; the seed makes runs repeatable
        adc = adc + np.random.default_rng(seed=1).uniform(-0.5, 0.5, len(adc))
    return adc


def _fit_lines(rough: FloatArray, settings: EnergyCalibrationSettings) -> tuple[dict[float, PeakFit], dict[float, str]]:
    """Fit every line [keV of the rough scale]; return valid fits, and why the others are not."""
    fits, failures = {}, {}
    ordered = np.sort(rough)
    for line in settings.lines:
        # a threshold inside of the window is a cliff, not background; above the last event emptiness is information
        low, high = max(line.energy - line.below, float(ordered[0])), line.energy + line.above
        first, last = np.searchsorted(ordered, [low, high])
        try:
            if line.energy - low < line.below / 4:
                raise CalibrationError(f"line at {line.energy:g}: the spectrum starts at {low:.1f} keV, too close")
            fits[line.energy] = fit_peak(ordered[first:last], line.energy, (low, high), line.shape, settings.fit)
        except CalibrationError as error:
            failures[line.energy] = str(error)
    return fits, failures


def _check_peaks(fits: dict[float, PeakFit], failures: dict[float, str], settings: EnergyCalibrationSettings) -> None:
    missing = [energy for energy in settings.required if energy not in fits]
    if missing:
        why = "; ".join(failures.get(energy, f"line at {energy:g}: not in the list of lines") for energy in missing)
        raise CalibrationError(f"required line without a valid fit: {why}")
    if len(fits) < settings.min_peaks:
        raise CalibrationError(
            f"{len(fits)} of {len(settings.lines)} lines have a valid fit, need min_peaks = {settings.min_peaks}: "
            f"{'; '.join(failures.values())}"
        )


def _position(fit: PeakFit, settings: EnergyCalibrationSettings) -> tuple[float, float]:
    if settings.position == "mode":
        return fit.position, fit.position_err
    return fit.parameters["mu"], fit.uncertainties["mu"]


def _peak_result(
    line: Line,
    fits: dict[float, PeakFit],
    failures: dict[float, str],
    scales: tuple[EnergyScale, RoughScale],
    settings: EnergyCalibrationSettings,
) -> PeakResult:
    """Express a fit in keV of the final scale."""
    if line.energy not in fits:
        return PeakResult(line, None, failures[line.energy], float("nan"), float("nan"))
    scale, rough = scales
    stretch = scale.gain / rough.gain
    fit = fits[line.energy].rescaled(scale.offset - stretch * rough.offset, stretch)
    position, error = _position(fit, settings)
    return PeakResult(line, fit, "", position - line.energy, error)


def _resolution(peaks: Sequence[PeakResult]) -> tuple[ResolutionCurve | None, str]:
    """Fit the curve; a calibration without it is valid, so a failure is returned as text."""
    used = [(peak.line.energy, peak.fit) for peak in peaks if peak.fit is not None and peak.line.in_resolution]
    energy = np.array([energy for energy, _ in used])
    fwhm = np.array([fit.fwhm for _, fit in used])
    fwhm_err = np.array([fit.fwhm_err for _, fit in used])
    try:
        return fit_resolution(energy, fwhm, fwhm_err), ""
    except CalibrationError as error:
        return None, str(error)
