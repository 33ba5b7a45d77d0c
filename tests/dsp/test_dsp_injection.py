"""Injected pulses, network layers, the support vector machine, fits, the histogram around the mode."""

import numpy as np
import pytest
from dsp_signals import NOISE, assert_close, dsp

from pygama_core.dsp.factories import bind
from pygama_core.errors import ConfigError, ProcessorError

T = np.arange(200.0)
LOGISTIC = 1 / (1 + np.exp(-4 * np.log(99) / 20 * (T - 60)))  # 1 to 99 % from 50 to 70


def test_injected_pulses():
    tail = np.exp(-(T - 50) / 300)
    assert_close(dsp("inject_sig_pulse", NOISE, 50, 20.0, 7.0, 300.0), NOISE + 7 * LOGISTIC * tail, 1e-9)
    general = (1 + 2 * (1 / LOGISTIC - 1)) ** (-1 / 1.5)
    found = dsp("inject_general_logistic", NOISE, 7.0, 50, 20.0, 2.0, 1.5, 300.0)
    assert_close(found, NOISE + 7 * general * tail, 1e-9)
    found = dsp("inject_exp_pulse", np.zeros(200), 50, 20.0, 7.0, 300.0)
    assert_close(found[:51], 7 * np.exp((T[:51] - 70) / 20 - (T[:51] - 50) / 300))
    assert not found[51:71].any()
    assert_close(found[71:], 7 * tail[71:])
    found = dsp("inject_gumbel", np.zeros(200), 7.0, 50.0, 5.0)
    z = (T - 60) / 5
    inside = (T >= 50) & (T < 100)
    assert_close(found, np.where(inside, 7 / 5 * np.exp(-z - np.exp(-z)), 0))
    assert abs(found.sum() - 7) < 0.02


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("inject_sig_pulse", [50, 20.0, 7.0, 300.0]),
        ("inject_general_logistic", [7.0, 50, 20.0, 2.0, 1.5, 300.0]),
        ("inject_exp_pulse", [50, 20.0, 7.0, 300.0]),
        ("inject_gumbel", [7.0, 50.0, 5.0]),
    ],
)
def test_missing_input_gives_no_waveform(name, parameters):
    assert np.isnan(dsp(name, np.where(T == 3, np.nan, NOISE), *parameters)).all()
    for i in range(len(parameters)):
        assert np.isnan(dsp(name, NOISE, *parameters[:i], np.nan, *parameters[i + 1 :])).all()


WEIGHTS = np.random.default_rng(4).normal(size=(6, 3))
BIAS = np.array([0.1, -2, 0.3])


@pytest.mark.parametrize(
    ("letter", "function"),
    [
        ("s", lambda x: 1 / (1 + np.exp(-x))),
        ("r", lambda x: x.clip(0)),
        ("l", lambda x: np.where(x < 0, x / 100, x)),
        ("m", lambda x: np.log(1 + np.exp(x))),
        ("t", np.tanh),
    ],
)
def test_layers(letter, function):
    x = NOISE[:12].reshape(2, 6)
    code = ord(letter)
    assert_close(dsp("dense_layer_no_bias", x, WEIGHTS, code), function(x @ WEIGHTS))
    assert_close(dsp("dense_layer_with_bias", x, WEIGHTS, BIAS, code), function(x @ WEIGHTS + BIAS))
    assert_close(dsp("classification_layer_no_bias", x, WEIGHTS[:, 0], code), function(x @ WEIGHTS[:, 0]))
    found = dsp("classification_layer_with_bias", x, WEIGHTS[:, 0], 0.4, code)
    assert_close(found, function(x @ WEIGHTS[:, 0] + 0.4))
    bad = np.where(np.arange(6) == 2, np.nan, x[0])
    for name, arguments in (("dense_layer_no_bias", (WEIGHTS,)), ("dense_layer_with_bias", (WEIGHTS, BIAS))):
        assert np.isnan(dsp(name, bad, *arguments, code)).all()
    assert np.isnan(dsp("classification_layer_no_bias", bad, WEIGHTS[:, 0], code))
    assert np.isnan(dsp("classification_layer_with_bias", bad, WEIGHTS[:, 0], 0.4, code))


def test_normalisation():
    assert_close(dsp("normalisation_layer", NOISE[:3], BIAS, np.array([4.0, 1, 9])), (NOISE[:3] - BIAS) / [2, 1, 3])
    found = dsp("normalisation_layer", np.array([1, np.nan, 2]), BIAS, np.ones(3))
    np.testing.assert_array_equal(np.isnan(found), [False, True, False])


@pytest.fixture
def machine(tmp_path):
    """Two classes: nearer to (1, 1) or to (-1, -1)."""
    arrays = {
        "support_vectors": np.array([[1.0, 1], [-1, -1]]),
        "dual_coef": np.array([[-1.0, 1.0]]),
        "intercept": np.zeros(1),
        "n_support": np.array([1, 1]),
        "classes": np.array([3, 5]),
        "gamma": np.array(0.5),
    }
    np.savez(tmp_path / "svm.npz", **arrays)
    return tmp_path / "svm.npz"


def test_support_vector_machine(machine):
    bound = bind("svm_predict", [str(machine)], {})
    constants = [np.array(c) for c in bound.constants]
    points = np.array([[0.5, 2], [-3, 1], [0.1, 0], [np.nan, 1]])
    np.testing.assert_array_equal(dsp(bound.processor, points, *constants), [3, 5, 3, np.nan])


def test_models_without_a_file_give_nothing(tmp_path):
    for name, value in (("svm_predict", 0), ("tf_model", 0), ("tf_model", str(tmp_path / "none"))):
        assert np.isnan(dsp(bind(name, [value], {}).processor, NOISE))


def test_models_that_cannot_be_read(tmp_path, machine):
    (tmp_path / "svm.sav").write_bytes(b"\x80\x04 not an array")
    with pytest.raises(ConfigError, match=r"svm\.sav is no NumPy file of arrays"):
        bind("svm_predict", [str(tmp_path / "svm.sav")], {})
    np.savez(tmp_path / "part.npz", classes=np.ones(2))
    with pytest.raises(ConfigError, match=r"part\.npz: no support_vectors"):
        bind("svm_predict", [str(tmp_path / "part.npz")], {})
    with pytest.raises(ConfigError, match="TensorFlow models are not executed"):
        bind("tf_model", [str(machine)], {})


@pytest.mark.parametrize("tau", [300.0, 5000.0])
def test_optimize_1pz_finds_the_decay_time(tau):
    w = 20 + np.where(T >= 40, 1000 * np.exp(-(T - 40) / tau), 0)
    assert_close(dsp("optimize_1pz", w, 20.0, 60, 200, 100.0), tau, 1e-6)
    block = dsp("optimize_1pz", np.stack([w, np.where(T == 9, np.nan, w)]), 20.0, 60, 200, 100.0)
    assert np.isnan(block[1])
    assert np.isnan(dsp("optimize_1pz", 20 + T, 20.0, 60, 200, 100.0))  # grows: no decay time


def test_optimize_2pz_finds_both_decay_times():
    t = np.arange(1500.0) - 50
    w = np.where(t >= 0, 1000 * (0.9 * np.exp(-t / 2000) + 0.1 * np.exp(-t / 100)), 0)
    found = dsp("optimize_2pz", w, 0.0, 60, 1500, 10000.0, 0.5, 1500.0, 50.0, 0.05)
    assert_close(found, [2000, 100, 0.1], 1e-4)
    w[3] = np.nan
    assert np.isnan(dsp("optimize_2pz", w, 0.0, 60, 1500, 10000.0, 0.5, 1500.0, 50.0, 0.05)).all()


def test_optimize_nnls_meets_the_optimality_conditions():
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(30, 8)), rng.normal(size=(4, 30))
    x = dsp("optimize_nnls", a, b, 100, 1e-12, False, 0.0)
    gradient = (b - x @ a.T) @ a
    assert (x >= 0).all()
    assert (x == 0).any()
    assert (gradient[x == 0] <= 1e-9).all()
    assert abs(gradient[x > 0]).max() < 1e-9
    singular = np.stack([a[:, 0], a[:, 0]], axis=1)
    assert_close(dsp("optimize_nnls", singular, 2 * a[:, 0], 100, 1e-9, True, 0.0)[0], 2.0)
    assert np.isnan(dsp("optimize_nnls", a, np.where(np.arange(30) == 2, np.nan, b[0]), 9, 1e-9, True, 0.0)).all()


def test_optimize_nnls_with_columns_that_depend_on_each_other():
    a = np.zeros((3, 2))
    a[0] = 1e-9
    assert np.isnan(dsp("optimize_nnls", a, np.ones(3), 100, 1e-12, True, 0.0)).all()
    with pytest.raises(ProcessorError, match="columns of a depend on each other"):
        dsp("optimize_nnls", a, np.ones(3), 100, 1e-12, False, 0.0)


def test_histogram_around_mode():
    w = np.concatenate([NOISE, np.full(100, 0.26)])
    weights, borders = dsp("histogram_around_mode", w, 0.1, 0.5, np.empty(5), np.empty(6))
    assert_close(borders, 0.1 + 0.5 * (np.arange(6) - 2.5))
    assert_close(weights, np.histogram(w, borders)[0])
    weights, borders = dsp("histogram_around_mode", w, np.nan, 0.5, np.empty(7), np.empty(8))
    assert borders[3] < 0.26 < borders[4]
    assert_close((borders[3] + borders[4]) / 2 % 0.5, 0)
    assert_close(weights, np.histogram(w, borders)[0])
    assert dsp("histogram_around_mode", np.full(9, 3.0), np.nan, 0.5, np.empty(5), np.empty(6))[0][2] == 9
    weights, borders = dsp("histogram_around_mode", np.where(w == w[3], np.nan, w), 0.1, 0.5, np.empty(5), np.empty(6))
    assert not weights.any()
    assert np.isnan(borders).all()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("dense_layer_no_bias", (NOISE[:6], WEIGHTS, ord("x")), "unknown activation; there are s sigmoid"),
        ("optimize_1pz", (NOISE, 0.0, 60.5, 200, 1.0), "t_beg_in and t_end_in must be whole"),
        ("optimize_2pz", (NOISE, 0.0, 60, 201, 9.0, 1.0, 5.0, 5.0, 0.1), "t_end_in <= n"),
        ("histogram_around_mode", (NOISE, 0.0, 0.0, np.empty(5), np.empty(6)), "bin_width > 0"),
        ("histogram_around_mode", (NOISE, 0.0, 1.0, np.empty(5), np.empty(5)), "one border more"),
    ],
)
def test_what_cannot_work_is_an_error(name, arguments, message):
    with pytest.raises(ProcessorError, match=message):
        dsp(name, *arguments)
