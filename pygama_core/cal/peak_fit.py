"""Fit of one gamma line: extended Poisson likelihood of a histogram, expectations from exact integrals.

Results are given in the parameters of the field (n_bkg, hstep, tau), with the covariance carried over from those the
likelihood is minimised in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field
from scipy.stats import chi2 as chi2_distribution

from pygama_core.cal.peak_likelihood import HTAIL, Minimum, expected_counts, minimise, seed
from pygama_core.cal.peak_shapes import line_profile, step_integral
from pygama_core.cal.statistics import FloatArray, finite
from pygama_core.errors import CalibrationError

Shape: TypeAlias = Literal["gauss_on_step", "hpge_peak"]

_REPORTED = {
    "gauss_on_step": ("n_sig", "mu", "sigma", "n_bkg", "hstep"),
    "hpge_peak": ("n_sig", "mu", "sigma", "htail", "tau", "n_bkg", "hstep"),
}


class PeakFitSettings(BaseModel, frozen=True, extra="forbid"):
    """How lines are fitted and which fits are valid."""

    bin_width: float = Field(default=0.25, gt=0, description="width of the histogram bins [keV]")
    min_signal: float = Field(default=100.0, ge=0, description="fewest signal counts")
    min_significance: float = Field(default=5.0, ge=0, description="smallest signal counts over their error")
    max_yield_deviation: float = Field(default=0.1, gt=0, description="largest |fitted - counted| / counted")
    min_p_value: float = Field(default=1e-6, ge=0, le=1, description="smallest p-value, if chi2 is above the next too")
    max_reduced_chi2: float = Field(default=10.0, gt=0, description="largest chi2 / dof of a fit with a small p-value")
    min_tail_gain: float = Field(
        default=4.0, ge=0, description="smallest gain in -2 ln(likelihood) that keeps the two tail parameters"
    )


@dataclass(frozen=True, eq=False)
class PeakFit:
    """One fitted line, all energies in the unit of the input."""

    shape: Shape  # what describes the data: gauss_on_step also if the tail of a hpge_peak was dropped
    names: tuple[str, ...]  # of the parameters
    values: FloatArray  # (n_parameters,)
    covariance: FloatArray  # (n_parameters, n_parameters); zero where at_limit
    at_limit: tuple[str, ...]  # internal parameters that ended at a limit and were held there
    window: tuple[float, float]
    position: float  # mode of the signal shape
    position_err: float
    fwhm: float  # of the signal shape
    fwhm_err: float
    chi2: float  # Pearson, bins merged to 5 expected counts
    dof: int
    p_value: float
    n_counts: int  # in the window

    @property
    def parameters(self) -> dict[str, float]:
        """Fitted values by name."""
        return dict(zip(self.names, self.values.tolist(), strict=True))

    @property
    def uncertainties(self) -> dict[str, float]:
        """Standard errors by name."""
        return dict(zip(self.names, np.sqrt(np.diag(self.covariance)).tolist(), strict=True))

    def rescaled(self, offset: float, factor: float) -> PeakFit:
        """Return the same fit in the energy unit ``offset + factor * energy``."""
        shift = np.array([offset if name == "mu" else 0.0 for name in self.names])
        stretch = np.array([factor if name in ("mu", "sigma", "tau") else 1.0 for name in self.names])
        low, high = self.window
        return replace(
            self,
            values=shift + stretch * self.values,
            covariance=np.outer(stretch, stretch) * self.covariance,
            window=(offset + factor * low, offset + factor * high),
            position=offset + factor * self.position,
            position_err=factor * self.position_err,
            fwhm=factor * self.fwhm,
            fwhm_err=factor * self.fwhm_err,
        )


def fit_peak(
    energies: npt.ArrayLike,
    expected: float,
    window: tuple[float, float],
    shape: Shape = "hpge_peak",
    settings: PeakFitSettings | None = None,
) -> PeakFit:
    """Fit one line in a window.

    Parameters
    ----------
    energies : (n,) [keV]; those outside of the window are left out
    expected : where the line should be [keV]; it is searched within a third of the window
    window : lowest and highest energy [keV]
    shape : gauss_on_step (Gaussian and step), or hpge_peak (with a low-energy tail, which is dropped if the data do not
        support it)
    settings : bins and validity rules

    Raises
    ------
    CalibrationError : if there are too few counts, the fit does not converge or breaks a validity rule
    """
    settings = settings or PeakFitSettings()
    counts, edges = _histogram(energies, window, settings, f"line at {expected:g}")
    where = f"line at {expected:g}"
    best = _fit_without_tail(counts, edges, expected, where)
    if shape == "hpge_peak":
        best = _fit_with_tail(counts, edges, best, settings.min_tail_gain)
    result = _result(counts, edges, best)
    _check(result, expected, settings)
    return result


def _histogram(
    energies: npt.ArrayLike, window: tuple[float, float], settings: PeakFitSettings, where: str
) -> tuple[FloatArray, FloatArray]:
    low, high = window
    if not high > low:
        raise CalibrationError(f"{where}: empty window {low:g} to {high:g} keV")
    data = finite(energies)
    data = data[(data >= low) & (data < high)]
    if len(data) < settings.min_signal:
        raise CalibrationError(
            f"{where}: {len(data)} counts between {low:g} and {high:g} keV, need min_signal = {settings.min_signal:g}"
        )
    n_bins = max(20, round((high - low) / settings.bin_width))
    counts, edges = np.histogram(data, bins=n_bins, range=window)
    return counts.astype(np.float64), edges


def _fit_without_tail(counts: FloatArray, edges: FloatArray, expected: float, where: str) -> Minimum:
    first = seed(counts, edges, expected)
    for factor in (1.0, 0.6, 1.6):  # a noisy top can make the seed width too narrow or too wide
        start = first.copy()
        start[2] *= factor
        found = minimise(counts, edges, start, with_tail=False)
        if found is not None:
            return found
    raise CalibrationError(f"{where}: the fit does not converge; no clear peak between {edges[0]:g} and {edges[-1]:g}")


def _fit_with_tail(counts: FloatArray, edges: FloatArray, plain: Minimum, min_gain: float) -> Minimum:
    """Add the tail to a converged fit; keep it only if the likelihood gains enough."""
    best = plain
    for htail, ratio in ((0.1, 1.0), (0.25, 2.0)):
        start = plain.values.copy()
        start[2] *= 0.9
        start[HTAIL:] = htail, ratio
        found = minimise(counts, edges, start, with_tail=True)
        if found is None:
            continue
        if found.values[HTAIL] > 0 and plain.cost - found.cost > min_gain and found.cost < best.cost:
            best = found
        break
    return best


def _reported(p: FloatArray, edges: FloatArray, shape: Shape) -> FloatArray:
    """Map internal parameters to the reported ones, followed by mode and FWHM."""
    n_sig, mu, sigma, below, above, htail, ratio = p
    hstep = (above - below) / (above + below) if above + below > 0 else 0.0
    low, high = step_integral(edges[[0, -1]], mu, sigma, hstep)
    n_bkg = (above + below) / 2 * (high - low)
    profile = line_profile(mu, sigma, htail, ratio * sigma)
    tail = [htail, ratio * sigma] if shape == "hpge_peak" else []
    return np.array([n_sig, mu, sigma, *tail, n_bkg, hstep, profile.mode, profile.fwhm])


def _result(counts: FloatArray, edges: FloatArray, best: Minimum) -> PeakFit:
    shape: Shape = "hpge_peak" if best.values[HTAIL] > 0 else "gauss_on_step"
    values = _reported(best.values, edges, shape)
    jacobian = np.zeros((len(values), len(best.values)))
    for i, variance in enumerate(np.diag(best.covariance)):
        if variance > 0:
            step = np.zeros(len(best.values))
            step[i] = 1e-3 * np.sqrt(variance)
            rise = _reported(best.values + step, edges, shape) - _reported(best.values - step, edges, shape)
            jacobian[:, i] = rise / (2 * step[i])
    covariance = jacobian @ best.covariance @ jacobian.T
    mean = expected_counts(edges, best.values)
    n_free = int(np.count_nonzero(np.diag(best.covariance) > 0))
    chi2, dof = _pearson(counts, mean, n_free)
    errors = np.sqrt(np.diag(covariance)[-2:])
    return PeakFit(
        shape=shape,
        names=_REPORTED[shape],
        values=values[:-2],
        covariance=covariance[:-2, :-2],
        at_limit=best.at_limit,
        window=(float(edges[0]), float(edges[-1])),
        position=float(values[-2]),
        position_err=float(errors[0]),
        fwhm=float(values[-1]),
        fwhm_err=float(errors[1]),
        chi2=chi2,
        dof=dof,
        p_value=float(chi2_distribution.sf(chi2, dof)) if dof > 0 else float("nan"),
        n_counts=int(np.sum(counts)),
    )


def _pearson(counts: FloatArray, mean: FloatArray, n_free: int) -> tuple[float, int]:
    """Pearson's chi2 over neighbouring bins merged to at least 5 expected counts, and its degrees of freedom."""
    group = np.floor(np.cumsum(mean) / 5.0).astype(np.int64)
    group = np.unique(group, return_inverse=True)[1]
    observed, expected = np.bincount(group, counts), np.bincount(group, mean)
    if len(expected) > 1 and expected[-1] < 5:  # the last group may be cut short
        observed[-2:-1] += observed[-1]
        expected[-2:-1] += expected[-1]
        observed, expected = observed[:-1], expected[:-1]
    return float(np.sum((observed - expected) ** 2 / expected)), len(expected) - n_free


def _check(fit: PeakFit, expected: float, settings: PeakFitSettings) -> None:
    """Raise CalibrationError if the fit breaks a validity rule."""
    values, errors = fit.parameters, fit.uncertainties
    n_sig, fitted = values["n_sig"], values["n_sig"] + values["n_bkg"]
    reasons = {
        f"{n_sig:.0f} signal counts, need min_signal = {settings.min_signal:g}": n_sig < settings.min_signal,
        f"signal is {n_sig:.0f} +- {errors['n_sig']:.0f}, need min_significance = {settings.min_significance:g}": (
            n_sig < settings.min_significance * errors["n_sig"]
        ),
        f"fitted {fitted:.0f} of {fit.n_counts} counts": (
            abs(fitted - fit.n_counts) > settings.max_yield_deviation * fit.n_counts
        ),
        f"p-value {fit.p_value:.1e}, chi2 {fit.chi2:.0f} for {fit.dof} degrees of freedom": (
            fit.p_value < settings.min_p_value and fit.chi2 > settings.max_reduced_chi2 * fit.dof
        ),
        f"position {fit.position:.2f} +- {fit.position_err:.1e}, FWHM {fit.fwhm:.2f} +- {fit.fwhm_err:.1e} keV": not (
            _sane(fit.position, fit.position_err, 1e-9) and _sane(fit.fwhm, fit.fwhm_err, 1e-7)
        ),
        f"position {fit.position:.2f} is over a third of the window from {expected:.2f} keV": (
            abs(fit.position - expected) > (fit.window[1] - fit.window[0]) / 3
        ),
        f"mu {values['mu']:.2f} or sigma {values['sigma']:.2f} keV at its limit": (
            "mu" in fit.at_limit or "sigma" in fit.at_limit
        ),
    }
    broken = [text for text, is_broken in reasons.items() if is_broken]
    if broken:
        raise CalibrationError(f"line at {expected:g}: invalid fit: {'; '.join(broken)}")


def _sane(value: float, error: float, smallest: float) -> bool:
    """Whether an error is finite, not impossibly small and below half of the value."""
    return bool(np.isfinite(value) and np.isfinite(error) and smallest * abs(value) <= error <= 0.5 * abs(value))
