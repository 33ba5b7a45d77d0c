"""Filter kernels: what they do to the signals they are made for."""

import numpy as np
import pytest
from dsp_signals import NOISE, assert_close, dsp

from pygama_core.errors import ProcessorError

M, FLAT, TAU = 401, 31, 500.0


def before_decay(kernel, tau):
    """Undo the deconvolution at the end of a kernel."""
    base = np.zeros(len(kernel))
    for j in range(len(kernel)):
        base[j] = kernel[j] + (np.exp(-1 / tau) * base[j - 1] if j else 0)
    return base


@pytest.mark.parametrize("m", [M, M + 1])
def test_cusp_is_a_hyperbolic_sine_with_a_flat_top(m):
    base = before_decay(dsp("cusp_filter", 60.0, FLAT, TAU, np.empty(m)), TAU)
    length = (m - FLAT) // 2
    j = np.arange(length)
    assert_close(base[:length], np.sinh(j / 60) / np.sinh(length / 60))
    assert_close(base[length : length + FLAT + 1], np.ones(FLAT + 1))
    fall = np.arange(length + FLAT + 1, m)
    assert_close(base[fall], np.sinh((m - fall) / 60) / np.sinh(length / 60))


def test_cusp_measures_the_height_of_a_decaying_pulse():
    kernel = dsp("cusp_filter", 60.0, FLAT, TAU, np.empty(M))
    decay = np.concatenate([np.zeros(600), 7 * np.exp(-np.arange(600) / TAU)])
    assert_close(np.convolve(decay, kernel, "valid").max(), 7.0)


def test_zac_has_no_area_and_so_no_baseline():
    kernel = dsp("zac_filter", 60.0, FLAT, TAU, np.empty(M))
    assert abs(before_decay(kernel, TAU).sum()) < 1e-9
    decay = np.concatenate([np.zeros(600), 7 * np.exp(-np.arange(600) / TAU)])
    filtered = np.convolve(decay, kernel, "valid")
    flat = np.arange(len(filtered))[filtered > 0.999 * filtered.max()]
    assert len(flat) >= FLAT
    undone = np.convolve(np.ones(1200), kernel, "valid")
    assert abs(undone.max()) < 2e-3 * kernel.max() * M


def test_kernels_of_wide_shapes_do_not_overflow():
    for name in ("cusp_filter", "zac_filter"):
        assert np.isfinite(dsp(name, 0.1, 10, TAU, np.empty(4000))).all()
        assert np.isnan(dsp(name, 0.0, 10, TAU, np.empty(400))).any()


def test_dplms_solves_its_normal_equations():
    n, rng = 40, np.random.default_rng(2)
    reference = np.concatenate([np.zeros(50), np.ones(52)])
    noise = np.cov(rng.normal(size=(n, 500)))
    kernel = dsp("dplms", noise, reference, 1.0, 2.0, 0.5, 1, np.empty(n))
    assert_close(np.convolve(reference, kernel, "valid").max(), 1.0)
    cut = [reference[31 + i : 31 + i + n] for i in (-1, 0, 1)]
    matrix = noise + 2 * sum(np.outer(c, c) for c in cut) / 3 + 0.5
    ratio = (matrix @ kernel[::-1]) / sum(cut).clip(1e-300)
    assert_close(ratio[25:], np.full(15, ratio[39]), 1e-9)
    assert abs((matrix @ kernel[::-1])[:15]).max() < 1e-12


def test_moving_slope_is_the_least_squares_slope():
    kernel = dsp("moving_slope", np.empty(12))
    slopes = [np.polyfit(np.arange(12), NOISE[i : i + 12], 1)[0] for i in range(189)]
    assert_close(np.convolve(NOISE, kernel, "valid"), slopes, 1e-9)


def test_step():
    assert_close(dsp("step", 16.0, np.empty(8)), [-1, -1, 1, 1, 1, 1, -1, -1])
    assert_close(dsp("step", 16.0, np.empty(6)), [-1, -1, 1, 1, 1, -1])


ONES = np.ones((4, 4))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("cusp_filter", (-1.0, 3, 5.0, np.empty(20)), "need sigma >= 0"),
        ("cusp_filter", (1.0, 2.5, 5.0, np.empty(20)), "a whole flat"),
        ("zac_filter", (1.0, 3, -5.0, np.empty(20)), "decay >= 0"),
        ("zac_filter", (1.0, 20, 5.0, np.empty(20)), "flat top is as long as the kernel"),
        ("dplms", (ONES, np.ones(9), 0.0, 1.0, 1.0, 1, np.empty(4)), "need a1 > 0"),
        ("dplms", (ONES, np.ones(9), 1.0, 1.0, 1.0, 2, np.empty(4)), "ff = 1"),
        ("dplms", (ONES, np.ones(5), 1.0, 1.0, 1.0, 1, np.empty(4)), "2 samples longer than the kernel"),
        ("moving_slope", (np.empty(1),), "at least 2 samples"),
    ],
)
def test_what_cannot_work_is_an_error(name, arguments, message):
    with pytest.raises(ProcessorError, match=message):
        dsp(name, *arguments)
