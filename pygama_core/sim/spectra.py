"""Draw deposited energies from the parts of a source's spectrum."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pygama_core.sim.settings import Component

ELECTRON_MASS = 510.99895  # [keV]
GRID_POINTS = 4000


def draw_energies(component: Component, threshold: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return (n,) deposited energies [keV], none between zero and the threshold."""
    if component.kind == "line":
        return np.full(n, component.energy)
    if component.kind == "flat":
        return rng.uniform(component.energy_min, component.energy, n)
    densities: dict[str, Callable[[np.ndarray, float], np.ndarray]]
    densities = {"compton": compton_density, "betabeta": betabeta_density}
    energies = np.linspace(threshold, component.energy, GRID_POINTS)
    cumulative = np.cumsum(densities[component.kind](energies, component.energy))
    return np.interp(rng.uniform(cumulative[0], cumulative[-1], n), cumulative, energies)


def compton_density(energy: np.ndarray, gamma: float) -> np.ndarray:
    """Return the relative density of recoil energies [keV] of a gamma line [keV], zero above the Compton edge.

    Source: Klein and Nishina, Z. Phys. 52 (1929) 853, doi:10.1007/BF01366453.
    """
    alpha = gamma / ELECTRON_MASS
    edge = gamma * 2 * alpha / (1 + 2 * alpha)
    share = np.where(energy < edge, energy, 0) / gamma
    ratio = share / (1 - share)
    density = 2 + (ratio / alpha) ** 2 + ratio * (share - 2 / alpha)
    return np.where(energy < edge, density, 0)


def betabeta_density(energy: np.ndarray, q_value: float) -> np.ndarray:
    """Return the relative density of the electrons' summed energy [keV] in two-neutrino double beta decay.

    Source: Primakoff and Rosen, Rep. Prog. Phys. 22 (1959) 121, doi:10.1088/0034-4885/22/1/305 (their approximation
    of the Coulomb factor).
    """
    k, k0 = energy / ELECTRON_MASS, q_value / ELECTRON_MASS
    shape = k * (k0 - k).clip(0) ** 5 * (1 + 2 * k + 4 * k**2 / 3 + k**3 / 3 + k**4 / 30)
    return np.asarray(shape)
