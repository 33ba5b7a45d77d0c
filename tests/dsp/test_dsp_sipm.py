"""Convolutions, histograms and peak search against their definitions."""

import numpy as np
import pytest
from dsp_signals import NOISE, assert_close, dsp

from pygama_core.dsp.registry import get


def test_t0_kernel_has_no_area_and_a_linear_ramp():
    kernel = dsp("t0_filter", 8.0, 125.0, np.empty(133))
    assert abs(kernel.sum()) < 1e-12
    assert_close(np.diff(kernel[:8]), np.full(7, -2 / 72))
    assert_close(kernel[8:], np.full(125, -1 / 125))


@pytest.mark.parametrize(("mode", "numpy_mode"), [("f", "full"), ("s", "same"), ("v", "valid")])
@pytest.mark.parametrize("m", [1, 2, 7, 133, 200])
def test_convolve_wf_is_the_convolution(mode, numpy_mode, m):
    kernel = np.random.default_rng(8).normal(size=m)
    expected = np.convolve(NOISE, kernel, numpy_mode)
    assert_close(dsp("convolve_wf", NOISE, kernel, ord(mode), np.empty(len(expected))), expected, 1e-10)


def test_reflected_convolve_wf_mirrors_about_the_ends():
    kernel = np.random.default_rng(8).normal(size=9)
    expected = np.convolve(np.pad(NOISE, 5, mode="reflect"), kernel, "same")[5:-5]
    assert_close(dsp("reflected_convolve_wf", NOISE, kernel), expected, 1e-10)


def test_gaussian_kernel_is_normalised():
    kernel = dsp("gaussian_filter1d", 2.0, 4.0, np.empty(17))
    assert_close(kernel, np.exp(-0.125 * np.arange(-8, 9) ** 2) / np.exp(-0.125 * np.arange(-8, 9) ** 2).sum())


def test_histogram_counts_all_but_the_maximum():
    weights, borders = dsp("histogram", NOISE, np.empty(20), np.empty(21))
    counts, edges = np.histogram(NOISE, 20)
    counts[-1] -= 1
    assert_close(weights, counts)
    assert_close(borders, edges)
    assert not dsp("histogram", np.ones(5), np.empty(4), np.empty(5))[0].any()
    weights, borders = dsp("histogram", np.array([1, np.nan]), np.empty(4), np.empty(5))
    assert not weights.any()
    assert np.isnan(borders).all()


def test_histogram_peaks():
    weights, borders = np.array([0.0, 1, 4, 10, 6, 5, 0]), np.arange(8.0)
    assert dsp("histogram_stats", weights, borders, np.nan) == (3, 3, 2)
    assert dsp("histogram_stats", weights, borders, 4.2)[:2] == (4, 4)
    assert dsp("histogram_peakstats", weights, borders, np.nan, 0, 0) == (3.5, 2)
    assert dsp("histogram_peakstats", weights, borders, np.nan, 0, 1) == (3.5, 0.5)
    assert dsp("histogram_peakstats", weights, borders, np.nan, 0, 4) == (3.5, 1.5)
    assert np.isnan(dsp("histogram_peakstats", np.zeros(3), np.arange(4.0), np.nan, 0, 0)).all()
    assert np.isnan(dsp("histogram_stats", np.zeros(3), np.arange(4.0), np.nan)).all()


def extrema(w, delta_max, delta_min, direction, floor=-np.inf, ceiling=np.inf, k=8):
    t_max, t_min, n_max, n_min = np.empty(k), np.empty(k), np.empty((), "u4"), np.empty((), "u4")
    get("get_multi_local_extrema")(w, delta_max, delta_min, direction, floor, ceiling, t_max, t_min, n_max, n_min)
    assert np.isnan(t_max[int(n_max) :]).all()
    assert np.isnan(t_min[int(n_min) :]).all()
    return list(t_max[: int(n_max)]), list(t_min[: int(n_min)])


def test_extrema_stand_out_by_the_given_amounts():
    w = np.array([0, 5, 1, 2, 1, 7, 0, 0, 3, 0.0])
    assert extrema(w, 2.5, 2.5, 0) == ([1, 5, 8], [2, 6])
    assert extrema(w, 2.5, 2.5, 1) == ([8, 5, 1], [7, 4])
    assert extrema(w, 2.5, 2.5, 2) == ([1, 5, 8], [])
    assert extrema(w, 2.5, 2.5, 3) == ([1, 5, 8], [2, 4, 6, 7])
    assert extrema(w, 2.5, 2.5, 0, floor=4)[0] == [1, 5]
    assert extrema(w, 2.5, 2.5, 0, k=2)[0] == [1, 5]
    assert extrema(np.where(w == 7, np.nan, w), 2.5, 2.5, 0) == ([], [])


def test_peaks_are_kept_if_their_neighbourhood_is_low():
    w = np.array([0, 0, 10, 0, 0, 9, 9, 9, 10, 9, 9, 9.0])
    kept, n = dsp("peak_snr_threshold", w, np.array([2.0, 8, np.nan, 99]), 0.8, 3)
    assert n == 1
    assert kept[0] == 2
    assert np.isnan(kept[1:]).all()


def test_multi_a_filter_picks_and_skips():
    found = dsp("multi_a_filter", NOISE, np.array([3.0, np.nan, 199, 200]))
    np.testing.assert_array_equal(found, [NOISE[3], np.nan, NOISE[199], np.nan])
