"""Recursive filters against their difference equations and impulse responses."""

import numpy as np
import pytest
from dsp_signals import NOISE, assert_close, dsp

from pygama_core.errors import ProcessorError

T = np.arange(200)
PULSE = np.where(T == 40, 1.0, 0.0)  # begins at rest


def delayed(response, delay=40):
    return np.concatenate([np.zeros(delay), response[: 200 - delay]])


def test_recursive_filter_obeys_its_equation_from_the_first_sample():
    a, b = np.array([0.5, -0.2, 0.1]), np.array([2.0, -0.6, 0.3, 0.05])
    out = dsp("recursive_filter", NOISE, a, b, 0.7, -0.3)
    padded_in, padded_out = np.concatenate([np.full(4, 0.7), NOISE]), np.concatenate([np.full(4, -0.3), out])
    left = sum(b[j] * padded_out[4 - j : 204 - j] for j in range(4))
    assert_close(left, sum(a[j] * padded_in[4 - j : 204 - j] for j in range(3)))


def test_a_constant_in_its_steady_state_stays_constant():
    assert_close(
        dsp("filter_from_rest", np.full(50, 3.0), np.array([0.3]), np.array([1.0, -0.4]), 0.5), np.full(50, 1.5)
    )


def test_convolve_exp_has_an_exponential_response():
    assert_close(dsp("convolve_exp", PULSE, 12.0), delayed(np.exp(-T / 12)))
    assert dsp("convolve_exp", np.full(5, 2.0), 12.0)[0] == 2 * (1 + np.exp(-1 / 12))


@pytest.mark.parametrize("phase", [0.0, 0.7])
def test_damped_oscillator(phase):
    response = np.exp(-T / 30) * np.cos(0.3 * T + phase)
    assert_close(dsp("convolve_damped_oscillator", PULSE, 30.0, 0.3, phase), delayed(response))
    step = np.cumsum(PULSE)
    assert_close(dsp("inject_damped_oscillation", step, 30.0, 0.3, phase, 0.1), step + 0.1 * delayed(response))


def test_rc_cr2_makes_a_bipolar_pulse_of_a_step():
    step = np.where(T >= 40, 1.0, 0.0)
    shaped = dsp("rc_cr2", step, 10.0)
    a, k = np.exp(-0.1), np.arange(160)
    # (1 - 1/z) / (1 - a/z)**3: differences of (k + 1)(k + 2)/2 a**k
    response = (k + 1) * (k + 2) / 2 * a**k - np.concatenate([[0], k[1:] * (k[1:] + 1) / 2 * a ** (k[1:] - 1)])
    assert_close(shaped, np.concatenate([np.zeros(40), response]))
    assert shaped.max() > 0 > shaped.min()
    assert_close(dsp("rc_cr2", NOISE, 10.0)[:3], NOISE[:3])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("recursive_filter", (np.ones(1), np.ones(2), 0.0, 0.0)),
        ("filter_from_rest", (np.ones(1), np.ones(2), 1.0)),
        ("convolve_exp", (5.0,)),
        ("convolve_damped_oscillator", (5.0, 0.1, 0.0)),
        ("inject_damped_oscillation", (5.0, 0.1, 0.0, 0.1)),
        ("rc_cr2", (5.0,)),
    ],
)
def test_missing_samples_spoil_the_whole_waveform(name, arguments):
    assert np.isnan(dsp(name, np.where(T == 150, np.nan, NOISE), *arguments)).all()
    if name != "recursive_filter":
        assert np.isfinite(dsp(name, NOISE, *arguments)).all()


@pytest.mark.parametrize("name", ["recursive_filter", "convolve_exp", "convolve_damped_oscillator"])
def test_missing_parameters(name):
    arguments = {
        "recursive_filter": (np.ones(1), np.array([1.0, np.nan]), 0.0, 0.0),
        "convolve_exp": (np.nan,),
        "convolve_damped_oscillator": (5.0, np.nan, 0.0),
    }
    assert np.isnan(dsp(name, NOISE, *arguments[name])).all()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("recursive_filter", (NOISE[:2], np.ones(1), np.ones(2), 0.0, 0.0), "longer than the denominator"),
        ("filter_from_rest", (NOISE[:2], np.ones(1), np.ones(2), 1.0), "longer than the denominator"),
        ("inject_damped_oscillation", (NOISE, 5.0, 0.1, 0.0, 1.1), "0 <= frac <= 1"),
        ("rc_cr2", (NOISE[:3], 5.0), "more than 3 samples"),
    ],
)
def test_what_cannot_work_is_an_error(name, arguments, message):
    with pytest.raises(ProcessorError, match=message):
        dsp(name, *arguments)
