"""From grids, parameters and types to a plan, and what it gives on a small table."""

import numpy as np
from dsp_tables import EXTREMA, N_ROWS, N_SAMPLES, PERIOD, T0, VALUES, run, table, value, waveforms

from pygama_core.dsp.chain import ProcessingChain
from pygama_core.dsp.config import load_config
from pygama_core.dsp.plan import Constant
from pygama_core.dsp.resolve import layout_of, resolve
from pygama_core.lh5.types import Table, VectorOfVectors


def test_a_time_found_on_one_grid_is_used_on_another():
    recipes = {
        "factor, sums": {
            "function": "presum",
            "module": "dspeed.processors",
            "args": ["wf", 1, "factor", "sums(len(wf)/4, 'f', period=wf.period*4, offset=wf.offset)"],
            "unit": "ADC",
        },
        "t_lo, t_hi, lo, hi": {**EXTREMA, "args": ["sums", *EXTREMA["args"][1:]]},
        "picked": {
            "function": "fixed_time_pickoff",
            "module": "dspeed.processors",
            "args": ["wf", "t_hi", "'i'", "picked"],
        },
        "shifted": {
            "function": "fixed_time_pickoff",
            "module": "dspeed.processors",
            "args": ["wf[7:]", "round(t_hi, wf.grid)", "'i'", "shifted"],
        },
    }
    out = run(recipes, ["factor", "t_hi", "picked", "shifted"])
    peak = VALUES.reshape(N_ROWS, 25, 4).mean(axis=2).argmax(axis=1)
    assert (out.array("factor") == 4).all()
    np.testing.assert_allclose(out.array("t_hi"), (T0 + 64 * peak) / 1000)
    np.testing.assert_array_equal(out.array("picked"), VALUES[np.arange(5), 4 * peak])
    expected = np.where(4 * peak >= 7, VALUES[np.arange(5), 4 * peak], np.nan)
    np.testing.assert_array_equal(out.array("shifted"), expected)


def test_grids_with_and_without_row_offsets_meet():
    recipes = {
        "free": {"function": "multiply", "module": "numpy", "args": ["wf", 1, "free"]},
        "a": {
            "function": "avg_current",
            "module": "dspeed",
            "args": ["wf", 1, "a(99, 'f', period=8*ns, offset=160*ns)"],
        },
        "t_lo, t_hi, lo, hi": EXTREMA,
        "on_a": "round(t_lo, a.grid)",
        "back": "on_a + 0*ns",
    }
    np.testing.assert_array_equal(run(recipes, ["back"]).array("back"), T0 + PERIOD * VALUES.argmin(axis=1))


def test_declarations_of_grids_units_and_coordinates():
    mean = {"kwargs": {"signature": "(n),()->()", "types": "fff"}}
    recipes = {
        "window": {"function": "dspeed.processors.windower", "args": ["wf", "160*ns", "window(shape=len(wf)//4)"]},
        "level": {"function": "numpy.mean", "args": ["wf", "axis=-1", "out=level(unit='ADC')"], **mean},
        "peak": {"function": "numpy.argmax", "args": ["wf[10:35]", "axis=-1", "out=peak(unit=ns)"], **mean},
        "index": {"function": "numpy.argmax", "args": ["wf", "axis=-1", "out=index(unit=ns, is_coord=False)"], **mean},
        "picked": {"function": "dspeed.processors.fixed_time_pickoff", "args": ["wf", "peak", "'i'", "picked"]},
        "sums": {
            "function": "dspeed.processors.avg_current",
            "args": ["wf", 1, "sums(99, 'f', grid=(wf.period // 2, wf.offset), unit=level.unit)"],
        },
        "coarse": "round(wf[3], 10, 'i4')",
    }
    out = run(recipes)
    np.testing.assert_array_equal(out["window"].values, VALUES[:, 10:35])
    np.testing.assert_allclose(out.array("level"), VALUES.mean(axis=1), rtol=1e-6)
    assert out["level"].attrs["units"] == out["sums"].attrs.get("units", out["sums"]["values"].attrs.get("units"))
    best = 10 + VALUES[:, 10:35].argmax(axis=1)
    np.testing.assert_array_equal(out.array("peak"), T0 + PERIOD * best)
    np.testing.assert_array_equal(out.array("picked"), VALUES[np.arange(5), best])
    np.testing.assert_array_equal(out.array("index"), VALUES.argmax(axis=1))
    np.testing.assert_array_equal(out["sums"].array("dt"), np.full(5, 8))
    assert out.array("coarse").dtype == "i4"


def test_spectra_have_the_length_that_follows():
    psd = {"function": "psd", "module": "dspeed.processors", "args": ["wf", "y"], "init_args": ["wf", "y"]}
    out = run({"y": psd})["y"]
    expected = np.abs(np.fft.rfft(VALUES.astype(float))) ** 2 / 100
    np.testing.assert_allclose(out.values, expected, rtol=1e-4, atol=1)


def test_parameters_and_defaults():
    recipe = {"y": {"function": "db.a.b * 2 + x", "defaults": {"db.a.b": "1 + 1"}}}
    np.testing.assert_array_equal(run(recipe).array("y"), 4 + np.arange(5))
    np.testing.assert_array_equal(run(recipe, parameters={"a": {"b": 10}}).array("y"), 20 + np.arange(5))
    np.testing.assert_array_equal(run(recipe, parameters={"a": {"b": "x"}}).array("y"), 3 * np.arange(5))
    plans = [
        resolve(load_config({"outputs": ["y"], "processors": recipe}), layout_of(table()), p)
        for p in ({}, {"a": {"b": 10}})
    ]
    assert plans[0].structure == plans[1].structure
    assert hash(plans[0].structure) == hash(plans[1].structure)
    assert plans[0] != plans[1]
    assert (plans[0].defaulted, plans[1].defaulted) == (("db.a.b",), ())


def test_unused_processors_are_not_looked_at_and_constants_are_computed_once():
    recipes = {
        "kernel": {"function": "t0_filter", "module": "dspeed.processors", "args": [4, 6, "kernel(10, 'f')"]},
        "conv": {
            "function": "convolve_wf",
            "module": "dspeed.processors",
            "args": ["wf", "kernel", "'v'", "conv(len(wf) - len(kernel) + 1, 'f')"],
        },
        "broken": {"function": "no_such_processor", "module": "dspeed.processors", "args": ["nowhere", "broken"]},
    }
    config = load_config({"outputs": ["conv"], "processors": recipes})
    plan = resolve(config, layout_of(table()), {})
    assert [step.processor for step in plan.setup] == ["t0_filter"]
    assert [step.processor for step in plan.steps] == ["convert_type", "convolve_wf"]
    assert isinstance(plan.setup[0].inputs[0], Constant)
    assert "conv f4[91] <- convolve_wf(#" in plan.describe()
    kernel = np.array([8, 6, 4, 2] + [0] * 6) / 20 - np.array([0] * 4 + [1] * 6) / 6
    expected = [np.convolve(w.astype(float), kernel, "valid") for w in VALUES]
    np.testing.assert_allclose(run(recipes, ["conv"]).array("conv"), expected, rtol=1e-5, atol=1e-3)


def test_outputs_may_be_left_out_of_the_arguments():
    recipe = {"function": "dspeed.processors.bl_subtract", "args": ["wf", "x"]}
    out = run({"a": recipe, "b": "np.absolute(x)"})
    np.testing.assert_array_equal(out["a"].array("values"), VALUES - np.arange(5.0)[:, np.newaxis])


def test_float64_columns_and_the_float_setting_decide_the_type():
    assert value("wf[0] * 1").dtype == "f4"
    assert value("wf[0] * 1", float="float64").dtype == "f8"
    assert value("x * 1").dtype == "f8"
    assert run({"t_lo, t_hi, lo, hi": EXTREMA}, tb=table(wf=waveforms(VALUES.astype("i4")))).array("lo").dtype == "f4"


def test_several_times_at_once():
    recipe = {"y": {"function": "fixed_time_pickoff", "module": "dspeed", "args": ["wf", [3, 5, 200], "'i'", "y"]}}
    found = run(recipe).array("y")
    np.testing.assert_array_equal(found[:, :2], VALUES[:, [3, 5]])
    assert np.isnan(found[:, 2]).all()


def test_ragged_outputs_and_columns_handed_through():
    ragged = VectorOfVectors.from_rows([[1], [], [2, 3], [], [4]], "i4")
    recipes = {
        "t_max, t_min, n_max, n_min": {
            "function": "get_multi_local_extrema",
            "module": "dspeed.processors",
            "args": ["wf", 700, 700, 0, 0, 9999, "t_max(20, vector_len=n_max)", "t_min(20)", "n_max", "n_min"],
            "unit": ["ns", "ns", "none", "none"],
        },
        "later": "t_max + 16*ns",
        "a": {"function": "multi_a_filter", "module": "dspeed", "args": ["wf", "t_max", "a(vector_len=len(t_max))"]},
    }
    out = run(recipes, ["t_max", "n_max", "later", "a", "ragged", "big"], tb=table(ragged=ragged))
    counts = out.array("n_max").astype(int)
    assert counts.sum() > 5
    np.testing.assert_array_equal(out["t_max"].lengths, counts)
    np.testing.assert_array_equal(out["a"].lengths, counts)
    times = (out["t_max"].flattened_data - np.repeat(T0, counts)) / PERIOD
    np.testing.assert_array_equal(out["a"].flattened_data, VALUES[np.repeat(np.arange(5), counts), times.astype(int)])
    np.testing.assert_array_equal(out["later"].flattened_data, out["t_max"].flattened_data + 16)
    assert out["ragged"] is ragged


def test_results_do_not_depend_on_the_block_size():
    values = np.tile(VALUES, (20, 1))
    tb = Table({"wf": waveforms(values, np.tile(T0, 20))})
    recipes = {"t_lo, t_hi, lo, hi": EXTREMA, "y": "(wf - lo)[t_lo + 3] * 2", "z": "wf * 2"}
    config = {"outputs": ["t_lo", "y", "z"], "processors": recipes}
    whole = ProcessingChain(config, block_rows=1000).execute(tb)
    for rows in (1, 7):
        parts = ProcessingChain(config, block_rows=rows).execute(tb)
        for name in ("t_lo", "y"):
            assert parts.array(name).tobytes() == whole.array(name).tobytes()
        assert parts["z"].array("values").tobytes() == whole["z"].array("values").tobytes()


def test_an_empty_table_gives_empty_columns_of_the_same_kind():
    recipes = {"t_lo, t_hi, lo, hi": EXTREMA, "y": "wf * 2"}
    full, empty = run(recipes), run(recipes, tb=table().rows(slice(0, 0)))
    for name in ("t_lo", "lo"):
        assert (empty.array(name).shape, empty.array(name).dtype) == ((0,), full.array(name).dtype)
        assert empty[name].attrs == full[name].attrs
    assert empty["y"].array("values").shape == (0, N_SAMPLES)
