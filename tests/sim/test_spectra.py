import numpy as np
import pytest

from pygama_core.sim.settings import Component
from pygama_core.sim.spectra import betabeta_density, compton_density, draw_energies


def component(kind: str, energy: float, **more: float) -> Component:
    return Component(kind=kind, weight=1, energy=energy, single_site=0.5, **more)


def test_compton_edge():
    energy = np.linspace(1, 2614.5, 200_000)
    density = compton_density(energy, 2614.511)
    edge = 2614.511 / (1 + 510.99895 / (2 * 2614.511))
    assert energy[density > 0].max() == pytest.approx(edge, abs=0.02)
    assert edge == pytest.approx(2381.8, abs=0.1)
    assert np.all(density[energy < edge] > 0)


def test_compton_density_is_klein_nishina():
    """dE = E - E', with the differential cross-section in the scattering angle transformed to energy."""
    gamma, mass = 1000.0, 510.99895
    cos = np.linspace(-0.9, 0.9, 7)
    ratio = 1 / (1 + gamma / mass * (1 - cos))  # E'/E
    per_cos = ratio**2 * (ratio + 1 / ratio - (1 - cos**2))
    energy_per_cos = gamma * ratio**2 * gamma / mass  # |d(E - E') / dcos|
    expected = per_cos / energy_per_cos
    found = compton_density(gamma * (1 - ratio), gamma)
    np.testing.assert_allclose(found / found[0], expected / expected[0], rtol=1e-12)


def test_betabeta_ends_at_q():
    energy = np.linspace(0, 3000, 3001)
    density = betabeta_density(energy, 2039.0)
    assert density[0] == 0
    assert not density[2039:].any()
    assert 600 < energy[density.argmax()] < 800


@pytest.mark.parametrize("kind", ["compton", "betabeta"])
def test_energies_follow_the_density(kind):
    rng = np.random.default_rng(1)
    energies = draw_energies(component(kind, 2000.0), 100.0, 200_000, rng)
    edges = np.linspace(100, 2000, 20)
    counts = np.histogram(energies, edges)[0]
    assert counts.sum() == 200_000
    fine = np.linspace(100, 2000, 19 * 2000 + 1)
    density = {"compton": compton_density, "betabeta": betabeta_density}[kind](fine, 2000.0)[:-1].reshape(19, -1)
    expected = 200_000 * density.sum(axis=1) / density.sum()
    pulls = (counts - expected) / np.sqrt(expected + 25)
    assert np.abs(pulls).max() < 4.5


def test_lines_and_flat():
    rng = np.random.default_rng(1)
    assert set(draw_energies(component("line", 583.191), 50, 10, rng)) == {583.191}
    flat = draw_energies(component("flat", -2500, energy_min=-6000), 50, 1000, rng)
    assert -6000 <= flat.min() < -5900
    assert -2600 < flat.max() <= -2500
