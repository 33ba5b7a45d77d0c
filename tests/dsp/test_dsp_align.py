"""Single samples, padding, alignment, corrections, resampling."""

import numpy as np
import pytest
from dsp_signals import NOISE, assert_close, dsp

from pygama_core.errors import ProcessorError

BAD = np.where(np.arange(200) == 7, np.nan, NOISE)


@pytest.mark.parametrize("i", [0, 199, -1, -200])
def test_get(i):
    assert dsp("get", NOISE, i) == NOISE[i]
    assert dsp("get_default", NOISE, i, -5.0) == NOISE[i]


def test_get_where_there_is_nothing():
    assert np.isnan(dsp("get", NOISE, np.nan))
    for i in (200, -201, np.nan):
        assert dsp("get_default", NOISE, i, -5.0) == -5
    assert dsp("get_default", BAD, 7, -5.0) == -5
    np.testing.assert_array_equal(dsp("get_default", np.stack([NOISE, BAD]), np.array([3, 7]), -5.0), [NOISE[3], -5])


def test_pad():
    expected = [1, 1, *NOISE[:5], 2, 2, 2]
    assert_close(dsp("pad", NOISE, 5, 2.0, 1.0, 2.0, np.empty(10)), expected)
    assert_close(dsp("pad", BAD, 5, 2.0, 1.0, 2.0, np.empty(10)), expected)
    assert np.isnan(dsp("pad", BAD, 8, 0.0, 1.0, 2.0, np.empty(10))).all()
    assert np.isnan(dsp("pad", NOISE, 8, np.nan, 1.0, 2.0, np.empty(10))).all()


def test_centroid_is_the_zero_crossing_between_the_extrema():
    w = np.sin(2 * np.pi * (np.arange(45) - 20.4) / 60)  # rises through zero between 20 and 21
    assert dsp("get_wf_centroid", w, 3.0) == 20 + 3
    assert dsp("get_wf_centroid", -w, 3.0) == 20 + 3
    assert np.isnan(dsp("get_wf_centroid", w + 5, 3.0))
    assert np.isnan(dsp("get_wf_centroid", BAD, 3.0))


def test_alignment_centres_the_window():
    assert_close(dsp("wf_alignment", NOISE, 100.0, 10.0, 20.0, np.empty(20)), NOISE[90:110])
    assert_close(dsp("wf_alignment", NOISE, 6.0, 10.0, 20.0, np.empty(20)), [NOISE[0]] * 4 + list(NOISE[:16]))
    for centroid in (0.0, 195.0, np.nan):
        assert_close(dsp("wf_alignment", NOISE, centroid, 10.0, 20.0, np.empty(20)), NOISE[:20])
    assert np.isnan(dsp("wf_alignment", BAD, 100.0, 10.0, 20.0, np.empty(20))).all()


def test_corrections():
    expected = NOISE.copy()
    expected[50:60] -= np.arange(10)
    assert_close(dsp("wf_correction", NOISE, np.arange(12.0), 50, 60), expected)
    assert np.isnan(dsp("wf_correction", BAD, np.arange(12.0), 50, 60)).all()
    codes, table = np.array([0, 3, 2, 3], "i4"), np.array([0.5, 0, -0.25, 1])
    assert_close(dsp("inl_correction", codes, table), [0.5, 4, 1.75, 4])
    assert np.isnan(dsp("inl_correction", codes, np.where(table > 0.7, np.nan, table))).all()


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("i", [1, 0, 0, 4, 0, 0, -2, 0, 0]),
        ("n", [1, 1, 4, 4, 4, -2, -2, -2, -2]),
        ("f", [1, 1, 1, 4, 4, 4, -2, -2, -2]),
        ("c", [1, 4, 4, 4, -2, -2, -2, -2, -2]),
        ("l", [1, 2, 3, 4, 2, 0, -2, -2, -2]),
    ],
)
def test_upsampling_by_steps_and_lines(mode, expected):
    assert_close(dsp("interpolating_upsampler", np.array([1.0, 4, -2]), ord(mode), np.empty(9)), expected)


@pytest.mark.parametrize("m", [800, 500])
def test_upsampling_by_cubics(m):
    from scipy.interpolate import CubicHermiteSpline, CubicSpline

    t, x = np.arange(m) * 200 / m, np.arange(200)
    hermite = CubicHermiteSpline(x, NOISE, np.gradient(NOISE))
    spline = CubicSpline(x, NOISE, bc_type="natural")
    assert_close(dsp("interpolating_upsampler", NOISE, ord("h"), np.empty(m)), hermite(t), 1e-9)
    assert_close(dsp("interpolating_upsampler", NOISE, ord("s"), np.empty(m)), spline(t), 1e-9)
    for at in (0.25, 70.5, 198.9):
        assert_close(dsp("fixed_time_pickoff", NOISE, at, ord("h")), hermite(at), 1e-9)
        assert_close(dsp("fixed_time_pickoff", NOISE, at, ord("s")), spline(at), 1e-9)
    assert np.isnan(dsp("interpolating_upsampler", BAD, ord("l"), np.empty(m))).all()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("get", (NOISE, 200), "-n <= i < n"),
        ("get", (NOISE, 3.5), "a whole number"),
        ("pad", (NOISE, 201, 0.0, 0.0, 0.0, np.empty(300)), "0 <= len_in <= n"),
        ("pad", (NOISE, 5, 2.5, 0.0, 0.0, np.empty(10)), "offset must be a whole number"),
        ("pad", (NOISE, 5, 6.0, 0.0, 0.0, np.empty(10)), r"offset \+ len_in <= m"),
        ("get_wf_centroid", (NOISE, 200.0), "0 <= shift < n"),
        ("get_wf_centroid", (NOISE, np.nan), "0 <= shift < n"),
        ("wf_alignment", (NOISE, 5.0, -1.0, 20.0, np.empty(20)), "0 <= shift <= n"),
        ("wf_alignment", (NOISE, 5.0, 1.0, 20.0, np.empty(21)), "output of size samples"),
        ("wf_correction", (NOISE, np.ones(5), 10, 16), "stop_idx - start_idx <= m"),
        ("wf_correction", (NOISE, np.ones(5), 5, 5), "start_idx < stop_idx"),
        ("inl_correction", (np.array([4], "i4"), np.ones(4)), "outside the table"),
        ("interpolating_upsampler", (NOISE, ord("i"), np.empty(300)), "multiple of the input"),
        ("interpolating_upsampler", (NOISE, ord("x"), np.empty(400)), "unknown mode"),
        ("get", (NOISE,), "get: 1 arguments; it takes a_in, i, a_out"),
        ("pad", (NOISE, 5, 2.0, 1.0, 2.0), "pad: the length of an output cannot be deduced"),
    ],
)
def test_what_cannot_work_is_an_error(name, arguments, message):
    with pytest.raises(ProcessorError, match=message):
        dsp(name, *arguments)
