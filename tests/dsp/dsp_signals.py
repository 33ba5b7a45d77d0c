"""Signals and shorthands of the processor tests."""

import numpy as np

from pygama_core.dsp.registry import get

NOISE = np.random.default_rng(seed=7).normal(size=200)
# 0, a ramp from sample 60 to 80, 100
STEP = np.concatenate([np.zeros(60), np.linspace(0, 100, 21), np.full(119, 100.0)])


def dsp(name, *arguments):
    return get(name)(*arguments)


def assert_close(found, expected, tolerance=1e-11):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
