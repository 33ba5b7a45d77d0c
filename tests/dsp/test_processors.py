"""Baselines, pole-zero, trapezoids against their definitions; the rules that hold for all processors."""

import numpy as np
import pytest
from dsp_signals import NOISE, assert_close, dsp

from pygama_core.dsp import registry
from pygama_core.dsp.registry import get
from pygama_core.errors import ConfigError, ProcessorError


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
    w = 1e4 + np.cumsum(np.random.default_rng(8).normal(size=8192))
    np.testing.assert_allclose(dsp("trap_norm", w.astype("f4"), 625, 188), dsp("trap_norm", w, 625, 188), atol=2e-3)


def test_trap_pickoff_is_trap_norm_at_one_time():
    shaped = dsp("trap_norm", NOISE, 10, 4)
    for t in (23, 24, 100, 199):
        assert_close(dsp("trap_pickoff", NOISE, 10, 4, float(t)), shaped[t])
    assert_close(dsp("trap_pickoff", NOISE, 10, 4, 50.25), 0.75 * shaped[50] + 0.25 * shaped[51])
    for t in (22.9, 199.5, -1.0, np.nan):
        assert np.isnan(dsp("trap_pickoff", NOISE, 10, 4, t))


def test_where():
    np.testing.assert_array_equal(dsp("where", np.array([True, False]), np.array([1.0, 2]), 9.0), [1, 9])


N_OUT = (np.empty((), "u4"), np.empty((), "u4"))


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
        ("get_multi_local_extrema", (NOISE[:3], 1.0, 1.0, 4, 0.0, 0.0, *np.empty((2, 2)), *N_OUT),
         "search_direction <= 3"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_work_are_errors(name, arguments, message):
    with pytest.raises(ProcessorError, match=message):
        dsp(name, *arguments)
