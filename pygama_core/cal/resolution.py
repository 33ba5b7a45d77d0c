"""Resolution curve FWHM(E) = sqrt(a + b E): electronic noise and charge-carrier statistics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2 as chi2_distribution

from pygama_core.cal.statistics import FloatArray
from pygama_core.errors import CalibrationError


@dataclass(frozen=True, eq=False)
class ResolutionCurve:
    """FWHM [keV] = sqrt(a + b * energy [keV])."""

    a: float  # [keV^2]
    b: float  # [keV]
    covariance: FloatArray  # (2, 2) of (a, b); zero where a parameter is held at 0
    chi2: float
    dof: int
    p_value: float  # NaN for dof = 0
    energy_range: tuple[float, float]  # of the fitted lines [keV]

    def fwhm(self, energy: float) -> tuple[float, float]:
        """Return FWHM and its error [keV] at an energy [keV]; NaN outside of the fitted range."""
        low, high = self.energy_range
        if not low <= energy <= high:
            return float("nan"), float("nan")
        value = float(np.sqrt(self.a + self.b * energy))
        gradient = np.array([1.0, energy]) / (2.0 * value)
        return value, float(np.sqrt(gradient @ self.covariance @ gradient))


def fit_resolution(energies: FloatArray, fwhm: FloatArray, fwhm_err: FloatArray) -> ResolutionCurve:
    """Fit a, b >= 0 to the widths of lines by least squares.

    Parameters
    ----------
    energies, fwhm, fwhm_err : (n_lines,) [keV]

    Raises
    ------
    CalibrationError : if there are fewer than two lines or are not finite
    """
    if len(energies) < 2:
        raise CalibrationError(f"resolution curve: {len(energies)} valid lines, need at least 2")
    if not np.all(np.isfinite([energies, fwhm, fwhm_err])):
        raise CalibrationError(f"resolution curve: FWHM {fwhm.tolist()} +- {fwhm_err.tolist()} keV are not all finite")
    # one of a and b is held at 0 only if the best curve needs it below 0
    candidates = [_curve(energies, fwhm, fwhm_err, free) for free in ((True, True), (False, True), (True, False))]
    allowed = [curve for curve in candidates if curve.a >= 0 and curve.b >= 0]
    return min(allowed, key=lambda curve: curve.chi2)


def _curve(energies: FloatArray, fwhm: FloatArray, fwhm_err: FloatArray, free: tuple[bool, bool]) -> ResolutionCurve:
    parameters, covariance = _gauss_newton(energies, fwhm, fwhm_err, np.array(free))
    model = np.sqrt(np.maximum(parameters[0] + parameters[1] * energies, 0.0))
    chi2 = float(np.sum(((fwhm - model) / fwhm_err) ** 2))
    dof = len(energies) - sum(free)
    p_value = float(chi2_distribution.sf(chi2, dof)) if dof > 0 else float("nan")
    a, b = parameters.tolist()
    return ResolutionCurve(a, b, covariance, chi2, dof, p_value, (float(np.min(energies)), float(np.max(energies))))


def _gauss_newton(
    energies: FloatArray, fwhm: FloatArray, fwhm_err: FloatArray, free: np.ndarray
) -> tuple[FloatArray, FloatArray]:
    """Least squares in the FWHM; parameters that are not free are 0."""
    design = np.column_stack([np.ones_like(energies), energies])[:, free]
    model = fwhm
    for _ in range(20):
        # d(FWHM) = d(FWHM^2) / (2 FWHM): FWHM^2 is linear in a and b; the model's own width makes weights unbiased
        weight = 1.0 / (2.0 * model * fwhm_err)
        target = model**2 + 2.0 * model * (fwhm - model)
        inverse = np.linalg.pinv(design * weight[:, np.newaxis])
        solution = inverse @ (target * weight)
        model = np.sqrt(np.maximum(design @ solution, 1e-6))
    parameters, covariance = np.zeros(2), np.zeros((2, 2))
    parameters[free] = solution
    covariance[np.ix_(free, free)] = inverse @ inverse.T
    return parameters, covariance
