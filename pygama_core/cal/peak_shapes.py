r"""Shapes of a gamma line and its background, as densities and as exact integrals (cumulative functions).

With :math:`z = (x - \mu) / \sigma`:

* Gaussian: density :math:`\exp(-z^2/2) / (\sqrt{2\pi}\,\sigma)`, integral
  :math:`\Phi(z) = \mathrm{erfc}(-z/\sqrt2)/2`.
* Tail (Gaussian folded with an exponential towards low energies, from incomplete charge collection):
  :math:`T(x) = \frac{1}{2\tau} \exp\left(\frac{x-\mu}{\tau} + \frac{\sigma^2}{2\tau^2}\right)
  \mathrm{erfc}\left(\frac{z + \sigma/\tau}{\sqrt2}\right)`, integral :math:`\Phi(z) + \tau\,T(x)`.
  Where the argument u of erfc is positive, ``exp(-z**2 / 2) * erfcx(u)`` is the same and cannot overflow.
* Step (forward scattering before the detector puts more background below the line): density
  :math:`1 + h\,\mathrm{erf}(z/\sqrt2)` with :math:`-1 \le h \le 1` (h < 0: higher below the line), antiderivative
  :math:`\sigma\,[z + h\,(z\,\mathrm{erf}(z/\sqrt2) + \sqrt{2/\pi}\,e^{-z^2/2})]`.

Binned fits need only the integrals: a bin's expectation is a difference of two of them, exact for any bin width.

Source: Grushka, Anal. Chem. 44 (1972) 1733, doi:10.1021/ac60319a011 (exponentially modified Gaussian);
Phillips and Marlow, NIM 137 (1976) 525, doi:10.1016/0029-554X(76)90472-9 (line shape of germanium detectors).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, minimize_scalar
from scipy.special import erf, erfc, erfcx, ndtr

from pygama_core.cal.statistics import SIGMA_TO_FWHM, FloatArray

_SQRT2 = float(np.sqrt(2.0))
_SQRT_2_PI = float(np.sqrt(2.0 / np.pi))
_SQRT_2PI = float(np.sqrt(2.0 * np.pi))


def gauss_pdf(x: npt.ArrayLike, mu: float, sigma: float) -> FloatArray:
    """Gaussian density at x, unit area."""
    z = (np.asarray(x, dtype=np.float64) - mu) / sigma
    return np.asarray(np.exp(-0.5 * z * z) / (_SQRT_2PI * sigma))


def gauss_cdf(x: npt.ArrayLike, mu: float, sigma: float) -> FloatArray:
    """Integral of `gauss_pdf` up to x."""
    return np.asarray(ndtr((np.asarray(x, dtype=np.float64) - mu) / sigma))


def tail_pdf(x: npt.ArrayLike, mu: float, sigma: float, tau: float) -> FloatArray:
    """Density at x of a Gaussian with an exponential low-energy tail of length tau > 0, unit area."""
    z = (np.asarray(x, dtype=np.float64) - mu) / sigma
    ratio = sigma / tau
    u = (z + ratio) / _SQRT2
    above = u > 0
    # each form where it cannot overflow; far below the line u < 0 and the exponent of the direct form is negative
    scaled = np.exp(-0.5 * z * z) * erfcx(np.where(above, u, 0.0))
    direct = np.exp(np.where(above, 0.0, ratio * (z + 0.5 * ratio))) * erfc(np.where(above, 0.0, u))
    return np.asarray(np.where(above, scaled, direct) / (2.0 * tau))


def tail_cdf(x: npt.ArrayLike, mu: float, sigma: float, tau: float) -> FloatArray:
    """Integral of `tail_pdf` up to x."""
    return np.asarray(gauss_cdf(x, mu, sigma) + tau * tail_pdf(x, mu, sigma, tau))


def step_integral(x: npt.ArrayLike, mu: float, sigma: float, hstep: float) -> FloatArray:
    """Antiderivative of the step ``1 + hstep * erf(z / sqrt(2))`` at x [unit of x]."""
    z = (np.asarray(x, dtype=np.float64) - mu) / sigma
    smooth = z * erf(z / _SQRT2) + _SQRT_2_PI * np.exp(-0.5 * z * z)
    return np.asarray(sigma * (z + hstep * smooth))


def step_cdf(x: npt.ArrayLike, limits: tuple[float, float], mu: float, sigma: float, hstep: float) -> FloatArray:
    """Integral of the step from limits[0] to x, normalised to 1 at limits[1]."""
    low, high = step_integral(np.asarray(limits), mu, sigma, hstep)
    return np.asarray((step_integral(x, mu, sigma, hstep) - low) / (high - low))


@dataclass(frozen=True)
class LineProfile:
    """Where a signal shape has its maximum, and how wide it is at half of it."""

    mode: float
    fwhm: float


def line_profile(mu: float, sigma: float, htail: float = 0.0, tau: float = 1.0) -> LineProfile:
    """Return mode and FWHM of ``(1 - htail) * Gaussian + htail * tail``, found numerically.

    Parameters
    ----------
    mu, sigma : centre and width of the Gaussian
    htail : part of the area in the tail, 0 to 1; at 0 the Gaussian's own values are returned
    tau : length of the tail, in the unit of sigma
    """
    if htail <= 0:
        return LineProfile(mu, SIGMA_TO_FWHM * sigma)
    ratio = tau / sigma  # everything scales with sigma: solve for mu = 0, sigma = 1

    def shape(z: float) -> float:
        return float((1 - htail) * gauss_pdf(z, 0.0, 1.0) + htail * tail_pdf(z, 0.0, 1.0, ratio))

    # the tail alone peaks above its mean -tau and below 0, so the sum does between
    found = minimize_scalar(
        lambda z: -shape(z), bounds=(-min(ratio, 3.0), 0.5), method="bounded", options={"xatol": 1e-7}
    )
    mode, half = float(found.x), shape(float(found.x)) / 2
    far = 3.0
    while shape(mode - far) > half:
        far *= 2
    low = brentq(lambda z: shape(z) - half, mode - far, mode, xtol=1e-9)
    high = brentq(lambda z: shape(z) - half, mode, mode + 5.0, xtol=1e-9)
    return LineProfile(mu + sigma * mode, sigma * float(high - low))
