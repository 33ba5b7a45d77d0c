"""Polynomials, rounding, sorting and scaling."""

import numpy as np
import pytest
from dsp_signals import NOISE, assert_close, dsp

from pygama_core.dsp.factories import bind
from pygama_core.errors import ConfigError

X = np.arange(200.0)


@pytest.mark.parametrize("degree", [0, 1, 3, 6])
def test_poly_fit_is_least_squares(degree):
    bound = bind("poly_fit", [200, degree], {})
    assert bound.processor == "poly_fit_apply"
    pars = dsp(bound.processor, NOISE, np.array(bound.constants[0]))
    fitted = np.polynomial.Polynomial.fit(X, NOISE, degree)(X)
    assert_close(np.polynomial.Polynomial(pars)(X), fitted, 1e-7)
    exact = np.polynomial.Polynomial([15000.0, -3.0, 0.01])
    if degree == 3:
        assert_close(dsp(bound.processor, exact(X), np.array(bound.constants[0])), [15000, -3, 0.01, 0], 1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([200.5, 1], "length must be a whole number"), ([3, 3], "need 0 <= degree < length"), ([3], "takes length, deg")],
)
def test_poly_fit_refuses(arguments, message):
    with pytest.raises(ConfigError, match=message):
        bind("poly_fit", arguments, {})


def test_scatter_about_polynomials():
    pars = np.array([1.0, 0.02, -1e-4])
    for name, model in (("poly_diff", pars[0] + pars[1] * X + pars[2] * X**2), ("poly_exp_rms", None)):
        model = np.exp(pars[0] + pars[1] * X + pars[2] * X**2) if model is None else model
        mean, rms = dsp(name, model + NOISE, pars)
        assert_close([mean, rms], [NOISE.mean(), np.sqrt((NOISE**2).sum() / 199)], 1e-9)
        assert np.isnan(dsp(name, np.where(X == 7, np.nan, NOISE), pars)).all()


def test_missing_samples():
    bad = np.where(X == 7, np.nan, NOISE)
    assert np.isnan(dsp("poly_fit_apply", bad, np.ones((2, 200)))).all()
    assert np.isnan(dsp("sort", bad)).all()
    assert np.isnan(dsp("min_max_norm", bad, -1.0, 1.0)).all()
    assert np.isnan(dsp("min_max_norm", NOISE, np.nan, 1.0)).all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("round_to_nearest", [-6, -3, 0, 0, 3, 6, np.nan]),
        ("floor_to_nearest", [-6, -6, -3, 0, 3, 3, np.nan]),
        ("ceil_to_nearest", [-3, -3, 0, 3, 3, 6, np.nan]),
        ("trunc_to_nearest", [-3, -3, 0, 0, 3, 3, np.nan]),
    ],
)
def test_rounding_to_multiples(name, expected):
    np.testing.assert_array_equal(dsp(name, np.array([-5.9, -3.1, -1.5, 1.5, 3.0, 4.6, np.nan]), 3.0), expected)


def test_sort_and_scale():
    np.testing.assert_array_equal(dsp("sort", NOISE), sorted(NOISE))
    assert_close(dsp("min_max_norm", NOISE, NOISE.min(), NOISE.max()), NOISE / np.abs(NOISE).max())
    assert_close(dsp("min_max_norm", NOISE, -8.0, 4.0), NOISE / 8)
    np.testing.assert_array_equal(dsp("min_max_norm", NOISE, 0.0, 4.0), NOISE)
    block = dsp("min_max_norm", np.stack([NOISE, NOISE]), np.array([-1.0, -2]), np.array([1.0, 1]))
    assert_close(block, [NOISE, NOISE / 2])
