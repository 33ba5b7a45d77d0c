"""Likelihood of one gamma line in a histogram, its start values and its minimum.

The background is described by its two levels (counts per keV far below and far above the line), in which it is linear
and each of which has one simple limit; the tail length is in units of sigma.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from iminuit import Minuit
from scipy.special import erfc, erfcx, ndtr

from pygama_core.cal.statistics import SIGMA_TO_FWHM, FloatArray

NAMES = ("n_sig", "mu", "sigma", "level_below", "level_above", "htail", "tail_ratio")
HTAIL = NAMES.index("htail")

_TINY = 1e-12  # smallest expectation of a bin: its logarithm must exist


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where the likelihood is largest."""

    cost: float
    values: FloatArray  # (7,) in the order of NAMES
    covariance: FloatArray  # (7, 7)
    at_limit: tuple[str, ...]


def expected_counts(edges: FloatArray, p: FloatArray) -> FloatArray:
    """Return the expected counts of each bin, (n_edges - 1,).

    Parameters
    ----------
    edges : (n_edges,) bin edges
    p : (7,) n_sig, mu, sigma, background per unit far below, far above, htail, tau / sigma
    """
    n_sig, mu, sigma, below, above, htail, ratio = p
    z = (edges - mu) / sigma
    phi = ndtr(z)
    gauss = np.exp(-0.5 * z * z)
    signal = phi
    if htail > 0:
        u = (z + 1.0 / ratio) * np.sqrt(0.5)
        scaled = gauss * erfcx(np.maximum(u, 0.0))
        direct = np.exp(np.minimum((z + 0.5 / ratio) / ratio, 0.0)) * erfc(np.minimum(u, 0.0))
        signal = phi + htail * 0.5 * np.where(u > 0, scaled, direct)
    smooth = z * (2.0 * phi - 1.0) + np.sqrt(2.0 / np.pi) * gauss
    background = 0.5 * sigma * (below * (z - smooth) + above * (z + smooth))
    return np.asarray(np.maximum(np.diff(n_sig * signal + background), _TINY))


def seed(counts: FloatArray, edges: FloatArray, expected: float) -> FloatArray:
    """Start values without any fit: levels from the window's sides, the line from what stands out of them."""
    n, width = len(counts), edges[1] - edges[0]
    centers = (edges[:-1] + edges[1:]) / 2
    side = max(3, n // 8)
    below, above = float(np.mean(counts[:side])), float(np.mean(counts[-side:]))
    kernel = np.ones(max(1, round(1.5 / width)))  # [keV] about the narrowest line
    smooth = np.convolve(counts, kernel / len(kernel), mode="same")
    near = np.abs(centers - expected) <= (edges[-1] - edges[0]) / 6
    near = near if np.any(near) else np.ones(n, dtype=bool)
    top = int(np.flatnonzero(near)[np.argmax(smooth[near])])
    net = smooth - np.where(np.arange(n) < top, below, above)
    half = net[top] / 2
    low = top - int(np.argmax(np.append(net[top::-1] < half, True)))
    high = top + int(np.argmax(np.append(net[top:] < half, True)))
    kernel_sigma = len(kernel) * width / np.sqrt(12.0)
    fwhm = max((high - low) * width, width)
    sigma = np.sqrt(max((fwhm / SIGMA_TO_FWHM) ** 2 - kernel_sigma**2, (0.4 * fwhm / SIGMA_TO_FWHM) ** 2))
    inside = np.abs(centers - centers[top]) <= 3 * sigma
    n_sig = float(np.sum(counts[inside]) - np.count_nonzero(inside) * (below + above) / 2)
    return np.array([max(n_sig, 10.0), centers[top], sigma, below / width, above / width, 0.0, 1.0])


def minimise(counts: FloatArray, edges: FloatArray, start: FloatArray, *, with_tail: bool) -> Minimum | None:
    """Minimise -2 ln(likelihood); parameters that run into a limit are held there and the rest is fitted again."""
    filled = counts > 0
    constant = float(np.sum(counts[filled] * np.log(counts[filled])) - np.sum(counts))

    def cost(p: FloatArray) -> float:
        mean = expected_counts(edges, p)
        return 2.0 * (float(np.sum(mean) - np.sum(counts[filled] * np.log(mean[filled]))) + constant)

    minuit = _minuit(cost, counts, edges, start)
    if not with_tail:
        minuit.fixed["htail"] = minuit.fixed["tail_ratio"] = True
    at_limit: tuple[str, ...] = ()
    for _ in range(3):
        if not _converge(minuit):
            return None
        reached = _hold_at_limits(minuit)
        at_limit += reached
        if not reached:
            break
    covariance = np.array(minuit.covariance, dtype=np.float64)
    return Minimum(float(minuit.fval), np.array(minuit.values), covariance, at_limit)


def _minuit(cost: Callable[[FloatArray], float], counts: FloatArray, edges: FloatArray, start: FloatArray) -> Minuit:
    low, high = float(edges[0]), float(edges[-1])
    minuit = Minuit(cost, start, name=NAMES)
    minuit.errordef = Minuit.LEAST_SQUARES  # the cost is -2 ln L
    minuit.print_level = 0
    total = float(np.sum(counts))
    n_sig, sigma = max(float(start[0]), 10.0), float(start[2])
    minuit.limits = [
        (0.0, 3.0 * total),
        (low, high),
        (0.2 * (edges[1] - edges[0]), (high - low) / 2),
        (0.0, None),
        (0.0, None),
        (0.0, 0.5),
        (0.1, 5.0),
    ]
    level_step = np.sqrt(max(total - n_sig, 9.0)) / (high - low)
    minuit.errors = [np.sqrt(n_sig), sigma / np.sqrt(n_sig), sigma / np.sqrt(n_sig), level_step, level_step, 0.05, 0.3]
    return minuit


def _converge(minuit: Minuit) -> bool:
    """Run Migrad, with a simplex first when it fails, and Hesse; say whether there is a usable minimum."""
    minuit.strategy = 1
    minuit.migrad(ncall=2000)
    if not minuit.valid:
        minuit.simplex(ncall=2000)
        minuit.strategy = 2
        minuit.migrad(ncall=4000)
    if minuit.nfit:
        minuit.hesse()
    covariance = minuit.covariance
    if covariance is None or not np.all(np.isfinite(np.array(covariance))):
        return False
    # above max edm is tolerated: next to a limit it stays high although the position is found, see _hold_at_limits
    return bool(np.all(np.isfinite(np.array(minuit.values))) and minuit.fmin.edm < 0.1)


def _hold_at_limits(minuit: Minuit) -> tuple[str, ...]:
    """Fix free parameters that lie at a limit, where their error has no meaning and spoils the others'."""
    reached = []
    for name in NAMES:
        limits, value = minuit.limits[name], float(minuit.values[name])
        if minuit.fixed[name]:
            continue
        for limit in limits:
            if np.isfinite(limit) and abs(value - limit) < _closeness(name, minuit):
                minuit.values[name] = limit
                minuit.fixed[name] = True
                reached.append(name)
                break
    if "htail" in reached:
        minuit.fixed["tail_ratio"] = True  # the length of no tail is not defined
    return tuple(reached)


def _closeness(name: str, minuit: Minuit) -> float:
    """How near to a limit counts as at it."""
    if name in ("level_below", "level_above"):
        n_above_zero = 0.05  # counts in the whole window
        low, high = minuit.limits["mu"]
        return float(n_above_zero / (high - low))
    return {"htail": 1e-3, "tail_ratio": 0.02}.get(name, 1e-6)
