import numpy as np
import pytest

from pygama_core.sim.frontend import CHARGE_DTYPE, FULL_SCALE, Traces, digitise
from pygama_core.sim.layout import ELECTRONICS, electronics_row
from pygama_core.sim.light import PHOTOELECTRON_DTYPE, peak_height, photoelectron_charges
from pygama_core.sim.settings import FrontEnd

N_SAMPLES, EDGE = 4096, 1900
TAU = 200.0  # [us]


def electronics(**changes: float) -> np.ndarray:
    values = {"gain": 10, "baseline": 15000, "decay_time": TAU, "rise_time": 40, "white_noise": 0} | changes
    return np.array([electronics_row(FrontEnd(**values))], dtype=ELECTRONICS)


def one_trace() -> Traces:
    return Traces(np.array([0]), np.array([0]), np.array([0]), N_SAMPLES)


def charges(*rows: tuple[float, ...]) -> np.ndarray:
    """Rows of (time, drift, width, charge, slow) in trace 0."""
    return np.array([(0, *row) for row in rows], dtype=CHARGE_DTYPE)


def run(*rows: tuple[float, ...], **changes: float) -> np.ndarray:
    """Return the samples of one trace."""
    digitised = digitise(one_trace(), charges(*rows), electronics(**changes), EDGE, np.random.default_rng(1))
    return digitised.words[0, 2:].astype(float)


def pole_zero(samples: np.ndarray) -> np.ndarray:
    """Undo the decay: running sum of w[i] - exp(-dt/tau) w[i-1]."""
    signal = samples - 15000
    return np.cumsum(signal - np.exp(-0.016 / TAU) * np.concatenate([[0], signal[:-1]]))


def test_height_is_the_charge():
    corrected = pole_zero(run((EDGE + 0.3, 50, 1.5, 20_000, 0.2)))
    assert abs(corrected[:EDGE]).max() == 0
    np.testing.assert_allclose(corrected[EDGE + 100 :], 20_000, atol=3)


def test_decay_time_from_the_tail():
    samples = run((EDGE, 20, 1.5, 40_000, 0.2))
    time = np.arange(EDGE + 100, N_SAMPLES) * 0.016
    slope = np.polyfit(time, np.log(samples[EDGE + 100 :] - 15000), 1)[0]
    assert -1 / slope == pytest.approx(TAU, rel=1e-4)


def test_an_earlier_signal_leaves_its_tail():
    """A deposit 1000 or 5000 samples before the trace: an exponential at its right height."""
    for shift in (1000, 5000):
        samples = run((-shift, 20.0, 1.5, 40_000, 0.2))
        expected = 15000 + 40_000 * np.exp(-0.016 / TAU * (np.arange(N_SAMPLES) + shift - 20))
        np.testing.assert_allclose(samples, expected, atol=12)  # the drift, 20 samples, is short against tau


@pytest.mark.parametrize("start", [-40.0, -15.5, -3.0])
def test_a_signal_across_the_first_sample_is_continuous(start):
    shifted = run((start + 100, 30.0, 2.0, 20_000, 0.3))[100:]
    found = run((start, 30.0, 2.0, 20_000, 0.3))[:3900]
    # the low-pass does not smooth what arrived before the first sample, which a few samples later is forgotten
    np.testing.assert_allclose(found[8:], shifted[8:3900], atol=2)
    np.testing.assert_allclose(found[:8], shifted[:8], atol=100)


def test_rise_time():
    samples = run((EDGE, 0, 0.5, 20_000, 0.0), rise_time=800, decay_time=1e6) - 15000
    t10, t90 = (np.interp(level * 20_000, samples[EDGE:2200], np.arange(EDGE, 2200)) for level in (0.1, 0.9))
    assert (t90 - t10) * 16 == pytest.approx(800, rel=0.03)


def test_signals_add_up():
    a, b = (EDGE, 20.0, 1.5, 5_000, 0.2), (EDGE + 700, 40.0, 2.5, 8_000, 0.1)
    np.testing.assert_allclose(run(a, b) - 15000, run(a) + run(b) - 30000, atol=1)


def test_several_sites_lower_the_current():
    single = run((EDGE, 60, 1.5, 20_000, 0.2))
    multi = run((EDGE, 20, 1.5, 10_000, 0.2), (EDGE, 60, 1.5, 10_000, 0.2))
    assert np.diff(multi).max() < 0.6 * np.diff(single).max()
    assert multi[2500] == pytest.approx(single[2500], abs=40)  # charge that came earlier has decayed more


def test_clipping():
    high = digitise(one_trace(), charges((EDGE, 20, 1.5, 90_000, 0.2)), electronics(), EDGE, np.random.default_rng(1))
    assert high.words[0, 2:].max() == FULL_SCALE
    assert high.n_high[0] > 1500
    assert high.n_low[0] == 0
    low = digitise(one_trace(), charges((EDGE, 20, 1.5, -30_000, 0.2)), electronics(), EDGE, np.random.default_rng(1))
    assert low.words[0, 2:].min() == 0
    assert low.n_low[0] > 1000


def test_fpga_words():
    words = digitise(
        one_trace(), charges((EDGE, 20, 1.5, 20_000, 0.2)), electronics(), EDGE, np.random.default_rng(1)
    ).words
    assert words[0, 0] == 15000
    assert words[0, 1] == pytest.approx(20_000, rel=0.03)


def test_noise():
    traces = Traces(np.arange(200), np.zeros(200, dtype=int), np.zeros(200, dtype=int), N_SAMPLES)
    row = electronics(white_noise=6, slow_noise=4, slow_noise_time=20)
    samples = digitise(traces, charges(), row, EDGE, np.random.default_rng(1)).words[:, 2:].astype(float) - 15000
    assert samples.mean() == pytest.approx(0, abs=0.9)
    assert samples.std() == pytest.approx(np.sqrt(36 + 16 + 1 / 12), rel=0.02)
    # white noise is gone at a lag of one sample; the slow part decays with its correlation time of 1250 samples
    for lag in (1, 1250):
        covariance = (samples[:, lag:] * samples[:, :-lag]).mean()
        assert covariance == pytest.approx(16 * np.exp(-lag / 1250), abs=1.2)


def test_single_photoelectron_has_the_gain_as_height():
    row = electronics(gain=60, decay_time=0.25, rise_time=20)
    photoelectron = np.array([(0, 16 * 1000.0, 1.0, 0)], dtype=PHOTOELECTRON_DTYPE)

    class OneSipm:
        electronics = row

    pulse = photoelectron_charges(photoelectron, OneSipm(), one_trace())  # type: ignore[arg-type]
    samples = digitise(one_trace(), pulse, row, EDGE, np.random.default_rng(1)).words[0, 2:].astype(float) - 15000
    assert samples.max() == pytest.approx(60, abs=4)  # the deposit is spread over two samples
    assert samples.argmax() in range(999, 1004)


def test_peak_height_is_that_of_the_recursions():
    decay, smoothing = 0.94, 0.2
    state, signal, heights = 0.0, 0.0, []
    for n in range(200):
        state = smoothing * state + (1 - smoothing) * (n == 0)
        signal = decay * signal + state
        heights.append(signal)
    assert peak_height(np.array([decay]), np.array([smoothing]))[0] == pytest.approx(max(heights), rel=1e-12)
