"""Each processor against its mathematical definition, in NumPy float64 on analytic signals."""

import numpy as np
import pytest

from pygama_core.dsp import registry
from pygama_core.dsp.registry import get
from pygama_core.errors import ConfigError, ProcessorError

RANDOM = np.random.default_rng(seed=7)
NOISE = RANDOM.normal(size=200)
STEP = np.concatenate([np.zeros(60), np.linspace(0, 100, 21), np.full(119, 100.0)])


def dsp(name, *arguments):
    return get(name)(*arguments)


def assert_close(found, expected, tolerance=1e-11):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_every_listed_processor_exists_and_no_other():
    assert registry.load_all() == sorted(registry.FAMILY_OF)
    assert all(get(name).doc for name in registry.FAMILY_OF)


def test_a_name_cannot_be_registered_twice():
    get("amax")
    with pytest.raises(ConfigError, match="amax: registered twice"):

        @registry.processor("(n)->()", "f->f", compiled=False)
        def amax(w_in, a_max): ...


def test_an_unknown_processor_names_a_similar_one():
    with pytest.raises(ConfigError, match="unknown processor 'trap_nrm'; did you mean trap_norm"):
        get("trap_nrm")
    with pytest.raises(ConfigError, match="unknown processor 'xyzzy'; there are amax"):
        get("xyzzy")
    with pytest.raises(ConfigError, match=r"numpy\.median is not a NumPy ufunc"):
        get("numpy.median")


# one call of each array processor, arguments other than the waveform; and how many outputs it has
CALLS = {
    "bl_subtract": (2.0,),
    "linear_slope_fit": (),
    "linear_slope_diff": (0.1, 2.0),
    "mean_below_threshold": (0.5,),
    "median": (),
    "min_max": (),
    "time_over_threshold": (0.5,),
    "saturation": (16,),
    "pole_zero": (50.0,),
    "double_pole_zero": (50.0, 5.0, 0.1),
    "trap_filter": (5, 3),
    "trap_norm": (5, 3),
    "asym_trap_filter": (5, 3, 8),
    "trap_pickoff": (5, 3, 50.0),
    "time_point_thresh": (0.5, 100, 1),
    "interpolated_time_point_thresh": (0.5, 100, 1, ord("l")),
    "fixed_time_pickoff": (50.5, ord("l")),
    "moving_window_left": (5,),
    "moving_window_right": (5,),
    "moving_window_multi": (5, 3, 0),
    "amax": (1,),
    "amin": (1,),
    "reflected_convolve_wf": (np.ones(5),),
}


@pytest.mark.parametrize("name", sorted(CALLS))
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_missing_sample_makes_every_output_missing_and_no_other_row(name, dtype):
    arguments = [a.astype(dtype) if isinstance(a, np.ndarray) else a for a in CALLS[name]]
    block = np.stack([NOISE, NOISE, NOISE]).astype(dtype)
    clean = dsp(name, block, *arguments)
    block[1, 199] = np.nan
    found = dsp(name, block, *arguments)
    pairs = zip(clean, found, strict=True) if isinstance(clean, tuple) else [(clean, found)]
    for before, after in pairs:
        assert np.isnan(after[1]).all()
        np.testing.assert_array_equal(before[[0, 2]], after[[0, 2]])
        assert after.dtype == dtype


@pytest.mark.parametrize("name", ["bl_subtract", "mean_below_threshold", "time_over_threshold", "saturation"])
def test_a_missing_scalar_makes_the_output_missing(name):
    assert np.isnan(dsp(name, NOISE, np.nan)).all()


def test_bl_subtract():
    assert_close(dsp("bl_subtract", NOISE, 1.5), NOISE - 1.5)


def test_linear_slope_fit_is_least_squares_also_on_a_large_offset():
    w = 15000 + 0.25 * np.arange(200) + NOISE
    mean, stdev, slope, intercept = dsp("linear_slope_fit", w)
    assert_close([mean, stdev], [w.mean(), w.std(ddof=1)])
    assert_close([slope, intercept], np.polyfit(np.arange(200), w, 1), 1e-9)
    single = dsp("linear_slope_fit", w.astype("f4"))
    np.testing.assert_allclose(single, [mean, stdev, slope, intercept], rtol=2e-6)


def test_linear_slope_fit_of_a_constant_has_no_scatter():
    assert_close(dsp("linear_slope_fit", np.full(10, 3.0)), [3, 0, 0, 3])


def test_linear_slope_diff_is_about_the_line():
    residual = NOISE - (0.1 * np.arange(200) + 2)
    assert_close(dsp("linear_slope_diff", NOISE, 0.1, 2.0), [residual.mean(), np.sqrt((residual**2).sum() / 199)])


def test_mean_below_threshold():
    assert_close(dsp("mean_below_threshold", NOISE, 0.5), NOISE[NOISE < 0.5].mean())
    assert np.isnan(dsp("mean_below_threshold", NOISE, -100.0))


def test_median_and_extrema():
    assert_close(dsp("median", NOISE), np.median(NOISE))
    assert dsp("min_max", NOISE) == (NOISE.argmin(), NOISE.argmax(), NOISE.min(), NOISE.max())
    assert dsp("min_max", np.array([1.0, 0, 2, 0, 2])) == (1, 2, 0, 2)  # the first of equals
    assert (dsp("amax", NOISE, 1), dsp("amin", NOISE, 1)) == (NOISE.max(), NOISE.min())


def test_log_check():
    assert_close(dsp("log_check", np.exp(NOISE)), NOISE)
    assert np.isnan(dsp("log_check", np.array([1.0, 0.0, 2.0]))).all()
    assert np.isnan(dsp("log_check", np.array([1.0, np.nan, 2.0]))).all()


def test_counts():
    assert dsp("time_over_threshold", NOISE, 0.5) == (NOISE > 0.5).sum()
    w = np.array([0, 0, 5, 65519, 65520, 65520, 65520, 65521, 65535], "u2")
    assert dsp("saturation", w, 16) == (2, 3)


@pytest.mark.parametrize("tau", [5.0, 1000.0, 1e9])
def test_pole_zero_makes_a_step_of_a_decay(tau):
    decay = np.where(np.arange(200) >= 40, np.exp(-(np.arange(200) - 40) / tau), 0)
    assert_close(dsp("pole_zero", decay, tau), np.arange(200) >= 40)


def test_pole_zero_without_decay_time_is_the_running_sum():
    assert_close(dsp("pole_zero", NOISE, 0.0), NOISE.cumsum())


def test_double_pole_zero_makes_a_step_of_two_decays():
    t = np.arange(200) - 40
    decay = np.where(t >= 0, 0.9 * np.exp(-t / 300) + 0.1 * np.exp(-t / 20), 0)
    assert_close(dsp("double_pole_zero", decay, 300.0, 20.0, 0.1), t >= 0)


def windows(w, length):
    """Sum of the last samples, with zeros before the waveform."""
    padded = np.concatenate([np.zeros(len(w)), w])
    return np.array([padded[k - length : k].sum() for k in range(len(w) + 1, 2 * len(w) + 1)])


def delayed(w, delay):
    return np.concatenate([np.zeros(delay), w[: len(w) - delay]])


@pytest.mark.parametrize(("rise", "flat"), [(1, 0), (3, 2), (20, 7), (100, 0), (1, 198)])
def test_trapezoids_are_differences_of_window_sums(rise, flat):
    late = windows(NOISE, rise)
    expected = late - delayed(late, rise + flat)
    assert_close(dsp("trap_filter", NOISE, rise, flat), expected)
    assert_close(dsp("trap_norm", NOISE, rise, flat), expected / rise)


@pytest.mark.parametrize(("rise", "flat", "fall"), [(1, 0, 1), (8, 4, 30), (30, 0, 5), (50, 50, 100)])
def test_asym_trap_filter_is_a_difference_of_window_means(rise, flat, fall):
    expected = windows(NOISE, rise) / rise - delayed(windows(NOISE, fall), rise + flat) / fall
    assert_close(dsp("asym_trap_filter", NOISE, rise, flat, fall), expected)


def test_float32_trapezoid_does_not_drift():
    w = 1e4 + np.cumsum(RANDOM.normal(size=8192))
    np.testing.assert_allclose(dsp("trap_norm", w.astype("f4"), 625, 188), dsp("trap_norm", w, 625, 188), atol=2e-3)


def test_trap_pickoff_is_trap_norm_at_one_time():
    shaped = dsp("trap_norm", NOISE, 10, 4)
    for t in (23, 24, 100, 199):
        assert_close(dsp("trap_pickoff", NOISE, 10, 4, float(t)), shaped[t])
    assert_close(dsp("trap_pickoff", NOISE, 10, 4, 50.25), 0.75 * shaped[50] + 0.25 * shaped[51])
    for t in (22.9, 199.5, -1.0, np.nan):
        assert np.isnan(dsp("trap_pickoff", NOISE, 10, 4, t))


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


def test_t0_kernel_has_no_area_and_a_linear_ramp():
    kernel = dsp("t0_filter", 8.0, 125.0, np.empty(133))
    assert abs(kernel.sum()) < 1e-12
    assert_close(np.diff(kernel[:8]), np.full(7, -2 / 72))
    assert_close(kernel[8:], np.full(125, -1 / 125))


@pytest.mark.parametrize(("mode", "numpy_mode"), [("f", "full"), ("s", "same"), ("v", "valid")])
@pytest.mark.parametrize("m", [1, 2, 7, 133, 200])
def test_convolve_wf_is_the_convolution(mode, numpy_mode, m):
    kernel = RANDOM.normal(size=m)
    expected = np.convolve(NOISE, kernel, numpy_mode)
    assert_close(dsp("convolve_wf", NOISE, kernel, ord(mode), np.empty(len(expected))), expected, 1e-10)


def test_reflected_convolve_wf_mirrors_about_the_ends():
    kernel = RANDOM.normal(size=9)
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
    t_max, t_min, n_max, n_min = np.empty(k), np.empty(k), np.empty(()), np.empty(())
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


def test_where():
    np.testing.assert_array_equal(dsp("where", np.array([True, False]), np.array([1.0, 2]), 9.0), [1, 9])


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("saturation", (NOISE, 3.5), "bit_depth must be a whole number"),
        ("pole_zero", (NOISE, -1.0), "t_tau must be >= 0"),
        ("double_pole_zero", (NOISE[:3], 1.0, 1.0, 0.1), "more than 3 samples"),
        ("trap_filter", (NOISE, -1, 0), "need rise >= 0"),
        ("trap_norm", (NOISE, 0, 0), "need rise >= 1"),
        ("trap_norm", (NOISE, 100, 1), r"2 \* rise \+ flat <= n"),
        ("asym_trap_filter", (NOISE, 1, 1, 0), "fall >= 1"),
        ("trap_pickoff", (NOISE, 0, 0, 5.0), "need rise >= 1"),
        ("time_point_thresh", (NOISE, 0.0, 5.5, 1), "must be whole numbers"),
        ("interpolated_time_point_thresh", (NOISE, 0.0, 5, 1, ord("x")), "unknown mode"),
        ("fixed_time_pickoff", (NOISE, 5.5, ord("i")), "mode i needs a whole t_in"),
        ("fixed_time_pickoff", (NOISE, 5.5, ord("x")), "unknown mode"),
        ("windower", (NOISE, 0, np.empty(200)), "shorter than the waveform"),
        ("avg_current", (NOISE, 2, np.empty(199)), "n - length output samples"),
        ("moving_window_left", (NOISE, 0), "1 <= length < n"),
        ("moving_window_right", (NOISE, 200), "1 <= length < n"),
        ("moving_window_multi", (NOISE, 2.5, 1, 0), "need whole numbers"),
        ("upsampler", (NOISE, 0, np.empty(10)), "upsample must be > 0"),
        ("presum", (NOISE, 2, np.empty(()), np.empty(10)), "do_norm must be 0 or 1"),
        ("t0_filter", (8.0, 5.0, np.empty(12)), "kernel of rise \\+ fall"),
        ("gaussian_filter1d", (2.0, 4.0, np.empty(16)), "declare a kernel"),
        ("convolve_wf", (NOISE, np.ones(201), ord("s"), np.empty(200)), "longer than the waveform"),
        ("convolve_wf", (NOISE, np.ones(20), ord("x"), np.empty(200)), "unknown mode"),
        ("convolve_wf", (NOISE, np.ones(20), ord("v"), np.empty(200)), "wrong length"),
        ("reflected_convolve_wf", (NOISE, np.ones(201)), "longer than the waveform"),
        ("histogram", (NOISE, np.empty(4), np.empty(4)), "one border more"),
        ("histogram_stats", (np.ones(4), np.ones(4), np.nan), "one border more"),
        ("histogram_peakstats", (np.ones(4), np.ones(5), np.nan, 0, 5), "width_type <= 4"),
        ("get_multi_local_extrema", (NOISE[:3], 1.0, 1.0, 4, 0.0, 0.0, *np.empty((2, 2)), *np.empty((2, 1))[..., 0]),
         "search_direction <= 3"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_work_are_errors(name, arguments, message):
    with pytest.raises(ProcessorError, match=message):
        dsp(name, *arguments)
