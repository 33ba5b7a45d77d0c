"""Decay time of the preamplifier from the slopes of logarithmic waveform tails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field

from pygama_core.cal.statistics import finite, robust_mode_width
from pygama_core.errors import CalibrationError


class DecayTimeSettings(BaseModel, frozen=True, extra="forbid"):
    """What makes a valid decay time."""

    min_events: int = Field(default=100, ge=20, description="fewest events with a finite tail slope")
    min_tau: float = Field(default=1e3, gt=0, description="shortest decay time that is believed [ns]")
    max_tau: float = Field(default=1e8, gt=0, description="longest decay time that is believed [ns]")
    max_relative_width: float = Field(default=0.5, gt=0, description="largest width of the slopes over their mode")


@dataclass(frozen=True)
class DecayTime:
    """Decay time of one detector."""

    tau: float  # [ns]
    tau_err: float  # statistical error [ns]
    n_events: int  # events with a finite slope
    slope_mode: float  # [1/sample]
    slope_sigma: float  # width of the core of the slopes [1/sample]


def fit_decay_time(tail_slope: npt.ArrayLike, dt: float, settings: DecayTimeSettings | None = None) -> DecayTime:
    """Find the decay time from the mode of the tail slopes.

    An exponential tail has ``ln(w) = const - t / tau``: tau is minus the sampling period over the slope. The mode, not
    the mean, because pile-up and the tails of earlier events make the distribution lopsided.

    Parameters
    ----------
    tail_slope : (n_events,) [1/sample]; slope of ln(waveform - baseline) over the tail; NaN is left out
    dt : sampling period [ns]
    settings : what makes a valid decay time

    Raises
    ------
    CalibrationError : if there are too few events, or their mode is no decay, not believable or not a clear peak
    """
    settings = settings or DecayTimeSettings()
    if not (np.isfinite(dt) and dt > 0):
        raise CalibrationError(f"decay time: sampling period dt is {dt} ns, expected a positive number")
    slopes = finite(tail_slope)
    if len(slopes) < settings.min_events:
        raise CalibrationError(
            f"decay time: {len(slopes)} of {np.size(tail_slope)} events have a finite tail slope, "
            f"need min_events = {settings.min_events}; use more cycles or a lower energy threshold"
        )
    peak = robust_mode_width(slopes, "decay time: tail slopes")
    if peak.mode >= 0:
        raise CalibrationError(
            f"decay time: the tails do not fall (mode of the slopes is {peak.mode:.3g} per sample, expected below 0); "
            f"check the polarity, the baseline subtraction and the tail window"
        )
    if peak.sigma > settings.max_relative_width * abs(peak.mode):
        raise CalibrationError(
            f"decay time: no clear peak of the tail slopes (mode {peak.mode:.3g}, width {peak.sigma:.3g} per sample, "
            f"max_relative_width = {settings.max_relative_width}); select higher energies or a longer tail"
        )
    tau = -dt / peak.mode
    if not settings.min_tau <= tau <= settings.max_tau:
        raise CalibrationError(
            f"decay time: {tau:.4g} ns is not between min_tau = {settings.min_tau:.4g} and max_tau = "
            f"{settings.max_tau:.4g} ns; check the tail window and the sampling period"
        )
    tau_err = tau * peak.mode_err / abs(peak.mode)
    return DecayTime(float(tau), float(tau_err), peak.n_values, peak.mode, peak.sigma)
