import numpy as np
import pytest
from th228_spectra import LINES, line, th228

from pygama_core.cal.lines import TH228_LINES
from pygama_core.cal.peak_search import find_lines
from pygama_core.errors import CalibrationError

ENERGIES = [item.energy for item in TH228_LINES]


def check(found, scale, relative=5e-4):
    """The rough scale maps 1 keV and 2614.511 keV, seen through `scale` ADC/keV, to about themselves."""
    for energy in (583.191, 2614.511):
        assert found.offset + found.gain * scale * energy == pytest.approx(energy, rel=relative, abs=0.5)


@pytest.mark.parametrize("scale", [0.05, 0.31, 1.0, 8.2, 20.0, 1e4])
@pytest.mark.parametrize("n_events", [1500, 6000, 100_000])
def test_any_scale_with_a_strong_pulser(scale, n_events):
    rng = np.random.default_rng(int(n_events + 10 * scale))
    found = find_lines(th228(rng, n_events, pulser=(rng.uniform(300, 6000), 0.3)) * scale, ENERGIES)
    check(found, scale)
    assert 2614.511 in [match.energy for match in found.matches]


@pytest.mark.parametrize("missing", [(238.632, 583.191, 727.33), (860.564, 1592.511, 1620.5), (2103.511, 238.632)])
def test_missing_lines(missing):
    lines = tuple(energy for energy in LINES if energy not in missing)
    found = find_lines(th228(np.random.default_rng(1), 10_000, lines=lines), ENERGIES)
    check(found, 1.0)
    assert not set(missing) & {match.energy for match in found.matches}


def test_a_missing_full_energy_peak():
    lines = tuple(energy for energy in LINES if energy < 2614)
    energies = th228(np.random.default_rng(1), 20_000, lines=lines)
    check(find_lines(energies[energies < 2300], ENERGIES), 1.0)


@pytest.mark.parametrize("sigma", [1.0, 3.0, 6.0])
def test_bad_resolution(sigma):
    rng = np.random.default_rng(2)
    energies = th228(rng, 20_000)
    check(find_lines(3.0 * (energies + rng.normal(0, sigma, len(energies))), ENERGIES), 3.0, 1e-3)


@pytest.mark.parametrize("pedestal", [-5.0, 5.0])
def test_pedestal(pedestal):
    found = find_lines(2.0 * (th228(np.random.default_rng(3), 20_000) + pedestal), ENERGIES)
    assert found.offset + found.gain * 2.0 * (2614.511 + pedestal) == pytest.approx(2614.5, abs=1.0)


def test_noise_triggers_and_garbage():
    rng = np.random.default_rng(4)
    noise = np.abs(rng.normal(0, 3, 50_000))
    found = find_lines(np.r_[th228(rng, 6000), noise, 1e12, 1e300, np.nan, -np.inf, -5.0, 0.0], ENERGIES)
    check(found, 1.0)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(1).uniform(50, 3000, 20_000),
        np.random.default_rng(1).exponential(500, 20_000),
        np.r_[np.random.default_rng(1).uniform(50, 3000, 20_000), line(np.random.default_rng(2), 2614.511, 3000)],
        np.full(1000, 7.0),
        th228(np.random.default_rng(1), 50),
    ],
    ids=["flat", "exponential", "one line", "constant", "50 events"],
)
def test_not_a_source_spectrum(values):
    with pytest.raises(CalibrationError, match=r"of 8 lines recognised .* need min_lines = 3 and min_score = 14"):
        find_lines(values, ENERGIES)


def test_no_values():
    with pytest.raises(CalibrationError, match="no finite energies above 0"):
        find_lines([np.nan, -1.0], ENERGIES)


def test_two_sources_of_equal_weight_are_ambiguous():
    rng = np.random.default_rng(5)
    both = np.r_[th228(rng, 20_000, pulser=None), 3.7 * th228(rng, 20_000, pulser=None)]
    with pytest.raises(CalibrationError, match="ambiguous: the best scale"):
        find_lines(both, ENERGIES)
