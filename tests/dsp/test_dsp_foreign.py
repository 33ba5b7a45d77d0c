"""Functions of other modules, factories, keywords and None among the arguments of a configuration."""

import numpy as np
import pytest
from dsp_tables import N_SAMPLES, PERIOD, T0, VALUES, run, table, value, waveforms

from pygama_core import lh5
from pygama_core.dsp.chain import ProcessingChain
from pygama_core.errors import ConfigError, ProcessorError
from pygama_core.lh5.types import Array, Struct, Table

FILTER = {"module": "dspeed.processors", "args": ["wf", "y"]}
CUMSUM = {"function": "cumsum", "module": "numpy", "kwargs": {"signature": "(n),()->(n)", "types": ["fi->f"]}}
USER_MODULE = """
import numpy as np
from numba import guvectorize

@guvectorize(["void(f4[:], f4, f4[:])", "void(f8[:], f8, f8[:])"], "(n),()->(n)")
def shifted(w, shift, out):
    for i in range(len(w)):
        out[i] = w[i] + shift

@guvectorize(["void(f4[:], f4[:])"], "(n),(m)")
def first_samples(w, out):
    out[:] = w[: len(out)]

def times(factor, name="plain"):
    def scaled(w, out):
        out[...] = factor * w
    scaled.signature, scaled.types, scaled.__doc__ = "(n)->(n)", ["f->f", "d->d"], name
    return scaled

def needs_positive(w, out):
    raise ValueError("no")

number = 3
"""


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    (tmp_path / "my_processors.py").write_text(USER_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return "my_processors"


def write(path, name, obj):
    with lh5.Writer(path) as writer:
        writer.write(name, obj)


def one(recipe, outputs=("y",)):
    return run({"y": {"unit": "ADC", **recipe}}, list(outputs))["y"]


@pytest.mark.parametrize(
    "changes",
    [
        {"args": ["wf", "axis=1", "out=y"]},
        {"args": ["wf", 1, None, "y"], "kwargs": {"signature": "(n),(),()->(n)", "types": ["fii->f"]}},
        {"args": ["wf", 1, "None", "y"], "kwargs": {"signature": "(n),(),()->(n)", "types": ["fii->f"]}},
        {
            "args": ["wf", "axis=1", "dtype='float32'", "out=y"],
            "kwargs": {"signature": "(n),(),()->(n)", "types": ["fiU->f"]},
        },
        {"function": "numpy.cumsum(wf, axis=1, out=y)", "module": None},
    ],
)
def test_numpy_functions_take_keywords_none_and_text(changes):
    out = one(
        {**CUMSUM, **changes}
        if changes.get("module", 1)
        else {**CUMSUM, "function": changes["function"], "module": None}
    )
    np.testing.assert_array_equal(out.array("values"), VALUES.cumsum(axis=1))
    np.testing.assert_array_equal(out.array("t0"), T0)


def test_reductions_with_keywords():
    recipe = {"function": "amax", "module": "numpy", "args": ["wf", "axis=1", "out=y"]}
    out = one({**recipe, "kwargs": {"signature": "(n),()->()", "types": ["fi->f"]}})
    np.testing.assert_array_equal(out.values, VALUES.max(axis=1))


def test_scipy():
    from scipy.ndimage import gaussian_filter1d

    args = ["wf", "48*ns", "mode='reflect'", "truncate=3", "output=y"]
    kwargs = {"signature": "(n),(),(),()->(n)", "types": ["ffUf->f"]}
    out = one({"function": "gaussian_filter1d", "module": "scipy.ndimage", "args": args, "kwargs": kwargs})
    expected = gaussian_filter1d(VALUES.astype("f4"), 3, mode="reflect", truncate=3, axis=-1)
    np.testing.assert_allclose(out.array("values"), expected, rtol=1e-6)
    erf = run({"y": {"function": "scipy.special.erf", "args": ["x", "y"]}}).array("y")
    np.testing.assert_allclose(erf[:3], [0, 0.8427007929, 0.9953222650], rtol=1e-9)


def test_kernels_of_the_users_module(user_module):
    out = one({"function": "shifted", "module": user_module, "args": ["wf", "x", "y"]})
    np.testing.assert_array_equal(out.array("values"), VALUES + np.arange(5.0)[:, np.newaxis])
    doubled = one({"function": "shifted", "module": user_module, "args": ["astype(wf, 'f8')", 2, "y"]})
    assert doubled.array("values").dtype == "f8"
    first = one({"function": f"{user_module}.first_samples", "args": ["wf", "y(7, 'f')"]})
    np.testing.assert_array_equal(first.values, VALUES[:, :7])
    made = one({"function": "times", "module": user_module, "init_args": ["2 * db.a"], "args": ["wf", "y"],
                "defaults": {"db.a": 3}})  # fmt: skip
    np.testing.assert_array_equal(made.array("values"), VALUES * 6)


def test_a_plan_with_foreign_calls_is_plain_data(user_module):
    config = {"outputs": ["y"], "processors": {"y": {"function": f"{user_module}.shifted", "args": ["wf", 2, "y"]}}}
    plans = [ProcessingChain(config).plan_for(table()) for _ in range(2)]
    assert plans[0] == plans[1]
    assert hash(plans[0].structure) == hash(plans[1].structure)
    assert "y f4[100] <- my_processors.shifted(" in plans[0].describe()


def test_keywords_of_our_own_processors():
    recipe = {"function": "trap_norm", "module": "dspeed.processors"}
    named = one({**recipe, "args": ["wf", "flat=2", "w_out=y", "rise=8"]})
    plain = one({**recipe, "args": ["wf", 8, 2, "y"]})
    np.testing.assert_array_equal(named.array("values"), plain.array("values"))


@pytest.mark.parametrize(
    ("function", "init_args", "low", "high"),
    [
        ("iir_filter", ["4*MHz", 4, "f_samp=wf"], 1, 0),
        ("iir_filter", ["4*MHz", 4, "f_samp=62.5*MHz", "btype='highpass'"], 0, 1),
        ("iir_filter", [0.128, 4], 1, 0),
        ("iir_filter", [[0.02, 0.128], 2, "btype='bandpass'"], 0, 0),
        ("notch_filter", ["31*MHz", "0.5*MHz", "wf"], 1, 0),
        ("peak_filter", ["31*MHz", "0.5*MHz", "wf"], 0, 1),
    ],
)
def test_recursive_filters_pass_and_stop(function, init_args, low, high):
    t = np.arange(2000)
    slow, fast = np.full(2000, 100.0), 100 * np.cos(np.pi * 31 / 31.25 * t)
    tb = Table({"wf": waveforms(np.stack([slow, fast]).astype("f4"), np.zeros(2))})
    out = run({"y": {**FILTER, "function": function, "init_args": init_args}}, tb=tb)["y"].array("values")
    np.testing.assert_allclose(out[0, [0, -1]], 100 * low, atol=1)
    np.testing.assert_allclose(np.abs(out[1, -100:]).max(), 100 * high, atol=2)


def test_poly_fit_in_a_chain():
    recipe = {**FILTER, "function": "poly_fit", "init_args": ["len(wf)", 1], "args": ["wf", "y(2)"]}
    found = run({"y": recipe}).array("y")
    np.testing.assert_allclose(found, [np.polyfit(np.arange(100), w, 1)[::-1] for w in VALUES], rtol=1e-5, atol=1e-3)


def test_wiener_filter_undoes_the_response(tmp_path):
    pulse = np.zeros(N_SAMPLES)
    pulse[5:] = np.exp(-np.arange(95) / 8.0)
    write(tmp_path / "w.lh5", "spms/processed", Struct({"superpulse": Array(pulse), "noise_wf": Array(pulse * 0)}))
    recipes = {
        "spectrum": {**FILTER, "function": "fft", "args": ["wf", "spectrum(51, 'F')"]},
        "divided": {**FILTER, "function": "wiener_filter", "args": ["spectrum", "divided"],
                    "init_args": [["db.spm.file"]]},
        "y": {**FILTER, "function": "ifft", "args": ["divided", "y(100, 'f')"]},
    }  # fmt: skip
    hits = np.zeros((2, N_SAMPLES))
    hits[0, 20], hits[1, [7, 60]] = 3, [1, 2]
    response = np.roll(pulse, -5)
    waves = np.fft.irfft(np.fft.rfft(hits) * np.fft.rfft(response), 100)
    tb = Table({"wf": waveforms(waves.astype("f4"), np.zeros(2))})
    out = run(recipes, ["y"], {"spm": {"file": str(tmp_path / "w.lh5")}}, tb).array("y")
    np.testing.assert_allclose(out, hits, atol=1e-4)
    write(tmp_path / "v.lh5", "spms/processed", Struct({"superpulse": Array(pulse), "noise_wf": Array(pulse[:50])}))
    with pytest.raises(ConfigError, match="need two arrays of one length"):
        run(recipes, ["y"], {"spm": {"file": str(tmp_path / "v.lh5")}})


def test_spectra_in_a_chain():
    recipes = {
        "spectrum": {"module": "dspeed.processors", "function": "fft", "args": ["wf", "spectrum(51, 'F')"]},
        "back": {"module": "dspeed.processors", "function": "ifft", "args": ["spectrum", "back(100, 'f')"]},
        "power": {"module": "dspeed.processors", "function": "psd", "args": ["wf", "power(51, 'f')"]},
        "bad": "spectrum + 1",
    }
    out = run(recipes, ["spectrum", "back", "power"])
    assert out.array("spectrum").dtype == "c8"
    np.testing.assert_allclose(out.array("back"), VALUES, rtol=1e-5)
    np.testing.assert_allclose(out.array("power"), np.abs(np.fft.rfft(VALUES)) ** 2 / 100, rtol=1e-4, atol=1)
    with pytest.raises(ConfigError, match="is complex; use psd or ifft"):
        run(recipes, ["bad"])


def test_the_offset_of_a_grid_is_a_time():
    picked = {"function": "fixed_time_pickoff", "module": "dspeed.processors"}
    recipes = {
        "a": {**picked, "args": ["wf[10:60]", "320*ns + wf.offset", "'i'", "a"]},
        "b": {**picked, "args": ["wf[0:80:4]", "wf.offset + 320*ns", "'i'", "b"]},
        "t_lo, t_hi, lo, hi": {
            "function": "min_max",
            "module": "dspeed.processors",
            "args": ["wf", "t_lo", "t_hi", "lo", "hi"],
            "unit": ["ns", "ns", "ADC", "ADC"],
        },
        "since": {"function": "t_lo - wf.offset", "unit": "ns"},
    }
    out = run(recipes, ["a", "b", "since"])
    np.testing.assert_array_equal(out.array("a"), VALUES[:, 20])
    np.testing.assert_array_equal(out.array("b"), VALUES[:, 20])
    np.testing.assert_array_equal(out.array("since"), PERIOD * VALUES.argmin(axis=1))
    with pytest.raises(ConfigError, match="can be combined with times only"):
        value("x + wf.offset")


def test_arrays_from_lists_and_files(tmp_path):
    np.testing.assert_array_equal(value("x + [1, 3, 5]"), np.arange(5.0)[:, np.newaxis] + [1, 3, 5])
    write(tmp_path / "k.lh5", "kernel", Array(np.array([1.0, 2, 4])))
    recipe = {"function": "convolve_wf", "module": "dspeed.processors"}
    file = f"loadlh5('{tmp_path / 'k.lh5'}', 'kernel')"
    out = one({**recipe, "args": ["wf", file, "'v'", "y(98, 'f')"]})
    expected = [np.convolve(w.astype(float), [1, 2, 4], "valid") for w in VALUES]
    np.testing.assert_allclose(out.values, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({**CUMSUM, "module": "no_such_module", "args": ["wf", 1, "y"]}, "'no_such_module' cannot be imported"),
        ({**CUMSUM, "function": "cumsun", "args": ["wf", 1, "y"]}, "'numpy' has no 'cumsun'"),
        ({"function": "number", "module": "my_processors", "args": ["wf", "y"]}, "number is no function"),
        ({"function": "cumsum", "module": "numpy", "args": ["wf", 1, "y"]}, "needs kwargs, such as"),
        ({**CUMSUM, "args": ["wf", "y"]}, r"2 arguments, 1 of them outputs; its layout is \(n\),\(\)->\(n\)"),
        ({**CUMSUM, "args": ["wf", 1, 2]}, "must hold each name of the key once"),
        ({"function": "times", "module": "my_processors", "init_args": [], "args": ["wf", "y"]}, "called with init"),
        ({"function": "times", "module": "my_processors", "init_args": ["us"], "args": ["wf", "y"]}, "must be numbers"),
        ({**FILTER, "function": "iir_filter"}, "iir_filter is made with init_args"),
        ({**FILTER, "function": "sort", "init_args": [1]}, "sort takes no init_args; the factories are iir_filter"),
        ({**FILTER, "function": "iir_filter", "init_args": [0.1]}, "missing a required argument: 'order'"),
        ({**FILTER, "function": "iir_filter", "init_args": [1.5, 2]}, "frequency is 1.5 of the Nyquist frequency"),
        ({**FILTER, "function": "iir_filter", "init_args": ["1*MHz", 2]}, "must both be frequencies, or both numbers"),
        ({**FILTER, "function": "iir_filter", "init_args": [0.1, 2, "f_samp=x"]}, "a variable without a time axis"),
        ({**FILTER, "function": "iir_filter", "init_args": [0.1, 2, "btype='x'"]}, "btype 'x'; there are"),
        ({**FILTER, "function": "iir_filter", "init_args": [0.1, 2, "ftype='x'"]}, "iir_filter: "),
        ({**FILTER, "function": "iir_filter", "init_args": [[0.1, 0.2], 2]}, "2 frequencies; lowpass needs 1"),
        ({**FILTER, "function": "notch_filter", "init_args": [0.1, "1*MHz"]}, "freq and bandwidth must be of one unit"),
        ({**FILTER, "function": "trap_norm", "args": ["wf", "rise=3", "rise=4", "y"]}, "keyword 'rise' is unknown or"),
        ({"function": "loadlh5('nowhere.lh5', 'k') + x"}, "loadlh5: nowhere.lh5"),
        ({"function": "loadlh5(3, 'k') + x"}, "loadlh5 needs a file and a group"),
    ],
)  # fmt: skip
def test_mistakes_are_named(recipe, message, user_module):
    with pytest.raises(ConfigError, match=message):
        run({"y": recipe})


def test_failures_of_foreign_functions_name_them(user_module):
    recipe = {"function": "needs_positive", "module": user_module, "args": ["wf", "y"]}
    with pytest.raises(ProcessorError, match=r"ch1: y: my_processors.needs_positive on rows 0 to 4: .*failed: ValueE"):
        one({**recipe, "kwargs": {"signature": "(n)->(n)", "types": ["f->f"]}})
