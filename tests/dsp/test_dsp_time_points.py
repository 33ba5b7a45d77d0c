"""Threshold crossings, pick-offs, windows and moving means against their definitions."""

import numpy as np
import pytest
from dsp_signals import NOISE, STEP, assert_close, dsp


def test_time_point_thresh_walks_both_ways_over_both_edges():
    # STEP passes 50 exactly at sample 70
    assert dsp("time_point_thresh", STEP, 52.0, 0, 1) == 70
    assert dsp("time_point_thresh", STEP, 52.0, 199, 0) == 71
    assert dsp("time_point_thresh", 100 - STEP, 48.0, 0, 1) == 70
    assert dsp("time_point_thresh", 100 - STEP, 48.0, 199, 0) == 71
    assert dsp("time_point_thresh", np.array([0.0, 10, 10]), 5.0, 2, 0) == 1  # also between the first two


@pytest.mark.parametrize("start", [np.nan, -1, 200, 90])
def test_time_point_thresh_gives_nan_when_there_is_none(start):
    assert np.isnan(dsp("time_point_thresh", STEP, 52.0, start, 1))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("i", 70), ("b", 70), ("c", 70), ("a", 71), ("f", 71), ("r", 70), ("n", 70.5), ("l", 70.4)],
)
@pytest.mark.parametrize(("start", "forward"), [(0, 1), (199, 0)])
def test_interpolated_time_point_thresh(mode, expected, start, forward):
    assert_close(dsp("interpolated_time_point_thresh", STEP, 52.0, start, forward, ord(mode)), expected)


def test_interpolated_time_point_thresh_on_a_falling_edge_and_outside():
    assert_close(dsp("interpolated_time_point_thresh", 100 - STEP, 48.0, 0, 1, ord("l")), 70.4)
    assert dsp("interpolated_time_point_thresh", STEP, 54.0, 0, 1, ord("r")) == 71
    for start in (-1, 200, np.nan):
        assert np.isnan(dsp("interpolated_time_point_thresh", STEP, 52.0, start, 1, ord("l")))


@pytest.mark.parametrize(("mode", "t", "expected"), [("i", 65, 25), ("n", 65.5, 30), ("n", 64.5, 20), ("f", 65.9, 25),
                                                     ("c", 65.1, 30), ("l", 65.2, 26), ("l", 199, 100)])  # fmt: skip
def test_fixed_time_pickoff(mode, t, expected):
    assert_close(dsp("fixed_time_pickoff", STEP, t, ord(mode)), expected)


@pytest.mark.parametrize("t", [-0.1, 199.1, np.nan])
def test_fixed_time_pickoff_outside_is_nan(t):
    assert np.isnan(dsp("fixed_time_pickoff", STEP, t, ord("l")))


def test_windower_cuts_and_marks_what_is_outside():
    out = np.empty(20)
    assert_close(dsp("windower", NOISE, 30.9, out), NOISE[30:50])
    dsp("windower", NOISE, 190, out)
    assert_close(out[:10], NOISE[190:])
    assert np.isnan(out[10:]).all()
    dsp("windower", NOISE, -5, out)
    assert np.isnan(out[:5]).all()
    assert_close(out[5:], NOISE[:15])
    assert np.isnan(dsp("windower", NOISE, np.nan, out)).all()


def test_avg_current():
    assert_close(dsp("avg_current", NOISE, 7, np.empty(193)), (NOISE[7:] - NOISE[:-7]) / 7)


def moving_mean(w, length):
    padded = np.concatenate([np.full(length, w[0]), w])
    return np.array([padded[i + 1 : i + 1 + length].mean() for i in range(len(w))])


def test_moving_windows_are_means_of_the_neighbours():
    left = moving_mean(NOISE, 6)
    right = moving_mean(NOISE[::-1], 6)[::-1]
    assert_close(dsp("moving_window_left", NOISE, 6), left)
    assert_close(dsp("moving_window_right", NOISE, 6), right)
    assert_close(dsp("moving_window_multi", NOISE, 6, 1, 2), right)
    alternating = moving_mean(moving_mean(left[::-1], 6)[::-1], 6)
    assert_close(dsp("moving_window_multi", NOISE, 6, 3, 0), alternating)
    assert_close(dsp("moving_window_multi", NOISE, 6, 2, 1), moving_mean(left, 6))
    assert np.isnan(dsp("moving_window_multi", NOISE, 6, 0, 0)).all()


def test_upsampler_holds_each_sample_around_its_time():
    out = np.empty(4 * 5)
    dsp("upsampler", np.array([1.0, 2, 3, 4]), 5, out)
    assert_close(out[:18], [1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4])
    assert np.isnan(out[18:]).all()


def test_presum_adds_neighbours_and_drops_the_rest():
    factor, sums = dsp("presum", np.arange(11.0), 0, np.empty(1)[0:1].reshape(()), np.empty(3))
    assert factor == 3
    assert_close(sums, [3, 12, 21])
    assert_close(dsp("presum", np.arange(11.0), 1, np.empty(()), np.empty(3))[1], [1, 4, 7])
