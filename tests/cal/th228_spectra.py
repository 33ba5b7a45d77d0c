"""Th-228 spectra with known truth."""

from __future__ import annotations

import numpy as np

# energy [keV] and intensity relative to the full-energy peak at 2614.511
LINES = {
    238.632: 1.2,
    510.77: 0.4,
    583.191: 1.3,
    727.330: 0.25,
    763.13: 0.03,
    785.37: 0.05,
    860.564: 0.25,
    893.408: 0.02,
    1078.62: 0.03,
    1512.7: 0.02,
    1592.511: 0.18,
    1620.50: 0.10,
    2103.511: 0.25,
    2614.511: 1.0,
}
TAIL_FRACTION = 0.05
TAIL_LENGTH = 1.5  # [sigma]
WIDE = {510.77: 1.5, 1592.511: 1.15, 2103.511: 1.6}  # annihilation and escape peaks are broader


def fwhm(energy, a=1.2, b=0.0022):
    return np.sqrt(a + b * np.asarray(energy))


def line(rng, energy, n, tail=TAIL_FRACTION):
    sigma = fwhm(energy) / 2.3548200450309493 * WIDE.get(energy, 1.0)
    x = energy + sigma * rng.standard_normal(n)
    in_tail = rng.random(n) < tail
    x[in_tail] -= rng.exponential(TAIL_LENGTH * sigma, np.count_nonzero(in_tail))
    return x


def th228(rng, n_events, fep_fraction=0.1, lines=tuple(LINES), tail=TAIL_FRACTION, pulser=(1850.0, 0.05)):
    """Energies [keV] of (about) n_events: lines, a step below each, Compton continuum of the FEP, a pulser."""
    parts, n_fep = [], fep_fraction * n_events
    for energy in lines:
        n = rng.poisson(n_fep * LINES[energy])
        parts.append(line(rng, energy, n, tail))
        parts.append(rng.uniform(50.0, energy, rng.poisson(0.02 * n)))  # forward scattering: a step
    if pulser is not None:
        energy, fraction = pulser
        parts.append(energy + 0.4 * rng.standard_normal(rng.poisson(fraction * n_events)))
    n_rest = max(0, n_events - sum(map(len, parts)))
    compton = rng.uniform(50.0, 2382.0, n_rest)
    compton[: n_rest // 2] = 50.0 + rng.exponential(500.0, n_rest // 2)
    parts.append(np.where(compton < 2382.0, compton, 100.0 + compton % 2000.0))
    return rng.permutation(np.concatenate(parts))
