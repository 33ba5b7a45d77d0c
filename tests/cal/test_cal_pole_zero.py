import numpy as np
import pytest

from pygama_core.cal.pole_zero import DecayTimeSettings, fit_decay_time
from pygama_core.errors import CalibrationError


def slopes(rng, tau, dt, n=2000, pileup=0.05):
    """Slopes of ln(tail), with noise, and with events on the tail of an earlier one."""
    result = rng.normal(-dt / tau, 0.01 * dt / tau, n)
    n_pileup = int(pileup * n)
    result[:n_pileup] *= rng.uniform(0.5, 3.0, n_pileup)
    return rng.permutation(result)


@pytest.mark.parametrize("tau", [5e4, 1.5e5, 6e5])
@pytest.mark.parametrize("dt", [4.0, 16.0])
def test_closure(tau, dt):
    found = fit_decay_time(slopes(np.random.default_rng(1), tau, dt), dt)
    assert found.tau == pytest.approx(tau, rel=2e-3)
    assert abs(found.tau - tau) < 4 * found.tau_err
    assert found.tau_err == pytest.approx(1.45 * 0.01 * tau / np.sqrt(2000), rel=0.4)
    assert found.n_events == 2000


def test_pulls():
    rng = np.random.default_rng(2)
    found = [fit_decay_time(slopes(rng, 3e5, 16.0), 16.0) for _ in range(60)]
    pulls = [(result.tau - 3e5) / result.tau_err for result in found]
    assert abs(np.mean(pulls)) < 0.5
    assert 0.7 < np.std(pulls) < 1.6


def test_from_waveforms():
    rng = np.random.default_rng(3)
    tail = 5000 * np.exp(-np.arange(1500) * 16.0 / 2e5) + rng.normal(0, 5, (400, 1500))
    slope = np.polyfit(np.arange(1500), np.log(tail).T, 1)[0]
    found = fit_decay_time(slope, 16.0)
    assert abs(found.tau - 2e5) < 4 * found.tau_err + 50


@pytest.mark.parametrize(
    ("tail_slope", "message"),
    [
        (np.array([]), "0 of 0 events have a finite tail slope, need min_events = 100"),
        (np.full(1000, np.nan), "0 of 1000 events"),
        (np.full(50, -1e-4), "50 of 50 events"),
        (np.random.default_rng(1).normal(1e-4, 1e-6, 500), "the tails do not fall"),
        (np.random.default_rng(1).normal(-1e-4, 2e-4, 5000), "no clear peak of the tail slopes"),
        (np.random.default_rng(1).normal(-0.5, 1e-3, 500), "is not between min_tau"),
        (np.random.default_rng(1).normal(-1e-8, 1e-10, 500), "is not between min_tau"),
    ],
)
def test_failures(tail_slope, message):
    with pytest.raises(CalibrationError, match=message):
        fit_decay_time(tail_slope, 16.0)


@pytest.mark.parametrize("dt", [0.0, -16.0, np.nan])
def test_bad_sampling_period(dt):
    with pytest.raises(CalibrationError, match="sampling period dt"):
        fit_decay_time(np.full(500, -1e-4), dt)


def test_settings_refuse_typos():
    with pytest.raises(ValueError, match="Extra inputs"):
        DecayTimeSettings(min_event=3)
