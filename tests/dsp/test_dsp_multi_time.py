"""Several crossings of one waveform, and triggers on bipolar signals."""

import numpy as np
import pytest
from dsp_signals import NOISE, STEP, assert_close, dsp

from pygama_core.errors import ProcessorError

LEVELS = np.array([92.0, 12.0, 52.0])  # 78.4, 62.4 and 70.4 on the ramp of STEP


@pytest.mark.parametrize("start", [0, 70, 199])
@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("l", [78.4, 62.4, 70.4]),
        ("i", [78, 62, 70]),
        ("b", [78, 62, 70]),
        ("a", [79, 63, 71]),
        ("n", [78.5, 62.5, 70.5]),
        ("r", [78, 62, 70]),
    ],
)
def test_a_rising_edge(start, mode, expected):
    assert_close(dsp("multi_time_point_thresh", STEP, LEVELS, start, 1, ord(mode)), expected)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("l", 120.6), ("i", 121), ("b", 120), ("c", 120), ("a", 121), ("f", 121), ("n", 120.5), ("r", 121)],
)
def test_a_falling_edge_is_the_mirror_image(mode, expected):
    found = dsp("multi_time_point_thresh", STEP[::-1], LEVELS, 130, -1, ord(mode))
    assert_close(found, np.array([expected, expected + 16, expected + 8]))


def test_thresholds_that_are_not_crossed():
    found = dsp("multi_time_point_thresh", STEP, np.array([-1.0, 50, 101]), 70, 1, ord("i"))
    np.testing.assert_array_equal(found, [np.nan, 70, np.nan])
    for start in (-1, 200, np.nan):
        assert np.isnan(dsp("multi_time_point_thresh", STEP, LEVELS, start, 1, ord("i"))).all()
    assert np.isnan(dsp("multi_time_point_thresh", STEP, np.array([5, np.nan]), 0, 1, ord("i"))).all()


def test_pulse_starts_without_duplicates():
    w = np.zeros(60)
    w[10:16], w[30:40] = [2, 5, 3, 4, 5, 2], 5
    maxima = np.array([11, 14, 35, np.nan])
    minima = np.array([12, 20, 50, np.nan])
    # the crossing of 1 before 11 and before 14 is the same: the second becomes the minimum after the first
    np.testing.assert_array_equal(dsp("multi_t_filter", w, 1.0, maxima, minima), [10, 12, 30, np.nan])
    assert np.isnan(dsp("multi_t_filter", w, np.nan, maxima, minima)).all()


def test_duplicates():
    found = dsp("remove_duplicates", np.array([0.0, 7, 7, 7, 9]), np.array([1.0, 8, 10, 11, 12]))
    np.testing.assert_array_equal(found, [7, 8, 10, 9, np.nan])
    nothing = np.full(4, np.nan)
    assert np.isnan(dsp("remove_duplicates", nothing, nothing)).all()


def bipolar(w, gate=30, start=0, k=4, high=0.5, low=-0.5):
    n, polarity, times = dsp(
        "bi_level_zero_crossing_time_points", w, high, low, gate, start, np.empty((), "u4"), np.empty(k), np.empty(k)
    )
    assert np.isnan(polarity[int(n) :]).all()
    assert np.isnan(times[int(n) :]).all()
    return int(n), list(polarity[: int(n)]), list(times[: int(n)])


def test_bipolar_pulses_of_both_signs():
    t = np.arange(300)
    pulse = np.sin(2 * np.pi * (t[:41] + 0.5) / 41)  # through zero between 19 and 21
    w = np.zeros(300)
    w[20:61], w[120:161], w[220:261] = pulse, -pulse, pulse
    n, polarity, times = bipolar(w)
    assert (n, polarity) == (3, [1, 0, 1])
    for found, begin in zip(times, (20, 120, 220), strict=True):
        assert w[int(found)] * w[int(found) + 1] <= 0
        assert abs(found - begin - 20) <= 1
    assert bipolar(w, start=70)[0] == 2
    assert bipolar(w, gate=5)[0] == 0
    assert bipolar(w, high=1.1)[0] == 0
    n, polarity, times = dsp(
        "bi_level_zero_crossing_time_points", w, 0.5, -0.5, 30, 0, np.empty((), "u4"), np.empty(2), np.empty(2)
    )
    assert (n, list(polarity)) == (3, [1, 0])  # counted although there is no place


def test_no_bipolar_pulse_in_missing_samples():
    assert bipolar(np.where(np.arange(200) == 7, np.nan, NOISE)) == (0, [], [])
    assert bipolar(NOISE, start=np.nan) == (0, [], [])
    assert bipolar(NOISE, high=np.nan) == (0, [], [])


@pytest.mark.parametrize("n_in", [20, 60])
def test_the_tail_of_an_earlier_pulse_is_removed(n_in):
    tail = 40 * np.exp(-np.arange(200) / 25.0)
    assert_close(dsp("soft_pileup_corr", STEP + 15000 + tail, n_in, 25.0), STEP, 1e-8)
    assert_close(dsp("soft_pileup_corr_bl", STEP + 100 + tail, n_in, 25.0, 100.0), STEP, 1e-9)


def test_pileup_correction_is_least_squares():
    e = np.exp(-np.arange(50) / 25.0)
    pars = np.linalg.lstsq(np.column_stack([e, np.ones(50)]), NOISE[:50])[0]
    assert_close(dsp("soft_pileup_corr", NOISE, 50, 25.0)[:50], NOISE[:50] - pars[0] * e - pars[1], 1e-9)
    height = e @ (NOISE[:50] - 0.3) / (e @ e)
    assert_close(dsp("soft_pileup_corr_bl", NOISE, 50, 25.0, 0.3)[:50], NOISE[:50] - height * e - 0.3, 1e-9)
    bad = np.where(np.arange(200) == 190, np.nan, NOISE)
    assert np.isnan(dsp("soft_pileup_corr", bad, 50, 25.0)).all()
    assert np.isnan(dsp("soft_pileup_corr_bl", bad, 50, 25.0, 0.3)).all()


BIPOLAR_OUT = (np.empty((), "u4"), np.empty(2), np.empty(2))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("multi_time_point_thresh", (STEP, LEVELS, 0, 0, ord("i")), "polarity must not be 0"),
        ("multi_time_point_thresh", (STEP, LEVELS, 0, 1, ord("x")), "the mode one of"),
        ("multi_t_filter", (NOISE[:3], 0.0, np.ones(4), np.ones(4)), "no more times than samples"),
        ("bi_level_zero_crossing_time_points", (NOISE, 0.5, -0.5, 5, 2.5, *BIPOLAR_OUT), "t_start_in must be a whole"),
        ("bi_level_zero_crossing_time_points", (NOISE, 0.5, -0.5, 5, 200, *BIPOLAR_OUT), "inside the waveform"),
        ("soft_pileup_corr", (NOISE, 1, 25.0), "2 <= n_in <= n"),
        ("soft_pileup_corr", (NOISE, 2.5, 25.0), "a whole number"),
        ("soft_pileup_corr_bl", (NOISE, 201, 25.0, 0.0), "1 <= n_in <= n"),
    ],
)
def test_what_cannot_work_is_an_error(name, arguments, message):
    with pytest.raises(ProcessorError, match=message):
        dsp(name, *arguments)
