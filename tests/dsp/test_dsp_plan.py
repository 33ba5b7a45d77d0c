"""From expressions, units, grids and parameters to a plan, and what it gives on a small table."""

import numpy as np
import pytest

from pygama_core.dsp.chain import ProcessingChain
from pygama_core.dsp.config import load_config
from pygama_core.dsp.plan import Constant
from pygama_core.dsp.resolve import layout_of, resolve
from pygama_core.errors import ConfigError, LH5Error, ProcessorError
from pygama_core.lh5.types import Array, Table, VectorOfVectors

N_ROWS, N_SAMPLES = 5, 100
PERIOD = 16.0
T0 = np.arange(N_ROWS) * 1000.0
VALUES = np.random.default_rng(3).integers(1000, 2000, (N_ROWS, N_SAMPLES)).astype("u2")
EXTREMA = {
    "function": "min_max",
    "module": "dspeed.processors",
    "args": ["wf", "t_lo", "t_hi", "lo", "hi"],
    "unit": ["ns", "us", "ADC", "ADC"],
}


def waveforms(values=VALUES, t0=T0, dt=PERIOD, units="ns"):
    n = len(values)
    return Table(
        {
            "t0": Array(t0[:n], {"units": units}),
            "dt": Array(np.full(n, dt), {"units": units}),
            "values": Array(values),
        }
    )


def table(**columns):
    base = {"wf": waveforms(), "big": Array(np.arange(N_ROWS, dtype="i4") + 2**24 + 1), "x": Array(np.arange(5.0))}
    return Table(base | columns)


def run(processors, outputs=None, parameters=None, tb=None, **settings):
    names = outputs or [n.strip() for key in processors for n in key.split(",")]
    config = {"outputs": names, "processors": processors, **settings}
    return ProcessingChain(config, parameters=parameters, name="ch1").execute(tb or table())


def value(expression, unit=None, parameters=None, more=None, **settings):
    recipe = {"function": expression, "unit": unit, "defaults": settings.pop("defaults", {})}
    return run({"y": recipe, **(more or {})}, ["y"], parameters, **settings).array("y")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("2 + 3 * 4 - 1", 13),
        ("-(7 // 2) % 5", 2),
        ("2 ** 3 / 4", 2),
        ("np.pi * numpy.e", np.pi * np.e),
        ("10*us / (16*ns)", 625),
        ("round(10*us / wf.period)", 625),
        ("len(wf) + len([1, 2])", 102),
        ("round(2.5) + floor(2.7) + ceil(0.2) + trunc(-1.5)", 4),
        ("round(17, 5)", 15),
        ("round(3.3*us, 1*us) / us", 3),
        ("1 if 3 > 2 else 0", 1),
        ("where(1 == 2, 5, 6)", 6),
        ("62.5*MHz * 16*ns", 1),
        ("sqrt(9) + abs(-2)", 5),
    ],
)
def test_constant_expressions(expression, expected):
    np.testing.assert_allclose(value(expression, **{"float": "float64"}), np.full(N_ROWS, expected))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("x * 2 + 1", np.arange(5) * 2.0 + 1),
        ("-x", -np.arange(5.0)),
        ("x > 2", np.arange(5) > 2),
        ("x if x > 2 else 7", [7, 7, 7, 3, 4]),
        ("where(x > 2, x, 10 * x)", [0, 10, 20, 3, 4]),
        ("min(x, 2)", [0, 1, 2, 2, 2]),
        ("isnan(x / 0 * 0)", [True] * 5),
        ("astype(x, 'i4')", np.arange(5)),
        ("round(x / 2)", [0, 0, 1, 2, 2]),
        ("round(x, 3)", [0, 0, 3, 3, 3]),
        ("wf[3]", VALUES[:, 3]),
        ("wf[-1]", VALUES[:, -1]),
        ("wf[160*ns]", VALUES[:, 10]),
        ("wf[x]", VALUES[np.arange(5), np.arange(5)]),
        ("wf[1000 + x]", np.full(5, np.nan)),
        ("big", np.arange(5) + 2**24 + 1),
        ("big - 2**24", np.arange(5) + 1),
    ],
)
def test_expressions_with_columns(expression, expected):
    np.testing.assert_array_equal(value(expression), expected)


def test_integer_arithmetic_does_not_wrap():
    assert (value("wf[0] - 20000") == VALUES[:, 0] - 20000.0).all()


def test_slices_are_views_with_their_own_axis():
    out = run(
        {"a": "wf[10:50:2]", "b": "a[320*ns:]", "t_lo, t_hi, lo, hi": {**EXTREMA, "args": ["b", *EXTREMA["args"][1:]]}},
        ["a", "b", "t_lo", "lo"],
    )
    part = VALUES[:, 10:50:2]
    np.testing.assert_array_equal(out["a"].array("values"), part)
    np.testing.assert_array_equal(out["a"].array("t0"), T0 + 160)
    np.testing.assert_array_equal(out["a"].array("dt"), np.full(5, 32))
    np.testing.assert_array_equal(out["b"].array("values"), part[:, 10:])
    np.testing.assert_array_equal(out.array("lo"), part[:, 10:].min(axis=1))
    np.testing.assert_array_equal(out.array("t_lo"), T0 + 160 + 32 * (10 + part[:, 10:].argmin(axis=1)))


def test_times_are_written_in_the_unit_of_their_column_and_count_from_t0():
    out = run({"t_lo, t_hi, lo, hi": {**EXTREMA, "description": "extremum", "lh5_attrs": {"note": 3}}})
    np.testing.assert_array_equal(out.array("t_lo"), T0 + PERIOD * VALUES.argmin(axis=1))
    np.testing.assert_allclose(out.array("t_hi"), (T0 + PERIOD * VALUES.argmax(axis=1)) / 1000, rtol=1e-6)
    assert out["t_hi"].attrs == {"units": "us", "description": "extremum", "note": 3}


def test_units_of_the_waveform_table_are_respected():
    tb = table(wf=waveforms(t0=T0 / 1000, dt=0.016, units="us"))
    found = run({"t_lo, t_hi, lo, hi": EXTREMA}, ["t_lo"], tb=tb).array("t_lo")
    np.testing.assert_allclose(found, T0 + PERIOD * VALUES.argmin(axis=1))


def test_arithmetic_of_times():
    lo, hi = VALUES.argmin(axis=1), VALUES.argmax(axis=1)
    recipes = {
        "t_lo, t_hi, lo, hi": EXTREMA,
        "later": "t_lo + 1*us",
        "five": "t_lo + 5",
        "apart": {"function": "t_hi - t_lo", "unit": "ns"},
        "apart_us": {"function": "t_hi - t_lo", "unit": "us"},
        "middle": "0.5 * (t_lo + t_hi)",
        "samples": "(t_hi - t_lo) / wf.period",
        "coarse": "round(t_lo, 160*ns)",
        "is_late": "t_hi > t_lo",
        "last": "max(t_lo, t_hi)",
        "chosen": "where(is_late, t_lo, t_hi)",
        "index": {"function": "t_lo + 0", "unit": "none"},
    }
    out = {name: column.values for name, column in run(recipes).columns.items()}
    np.testing.assert_array_equal(out["later"], T0 + PERIOD * lo + 1000)
    np.testing.assert_array_equal(out["five"], T0 + PERIOD * (lo + 5))
    np.testing.assert_array_equal(out["apart"], PERIOD * (hi - lo))
    np.testing.assert_allclose(out["apart_us"], PERIOD * (hi - lo) / 1000, rtol=1e-6)
    np.testing.assert_array_equal(out["middle"], T0 + PERIOD * (lo + hi) / 2)
    np.testing.assert_array_equal(out["samples"], hi - lo)
    np.testing.assert_array_equal(out["coarse"], T0 + 160 * np.round(lo / 10))
    np.testing.assert_array_equal(out["is_late"], hi > lo)
    np.testing.assert_array_equal(out["last"], T0 + PERIOD * np.maximum(lo, hi))
    np.testing.assert_array_equal(out["chosen"], T0 + PERIOD * np.minimum(lo, hi))
    np.testing.assert_array_equal(out["index"], lo)


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


def test_times_as_outputs_of_constants_and_their_unit():
    out = run({"a": {"function": "3*us", "unit": "us"}, "b": "3*us", "c": [1][0]})
    assert (out.array("a")[0], out.array("b")[0], out.array("c")[0]) == (3, 3000, 1)
    assert (out["a"].attrs, out["b"].attrs) == ({"units": "us"}, {"units": "ns"})


TRAP = {"function": "trap_norm", "module": "dspeed.processors"}


@pytest.mark.parametrize(
    ("recipes", "message"),
    [
        ({"y": "wfx + 1"}, r"c\.yaml: y: 'wfx \+ 1': 'wfx' is neither .*; did you mean wf"),
        ({"y": "qqq"}, r"'qqq' is neither made by a processor nor a column of the table; columns: wf, big, x"),
        ({"y": "a + 1", "a": "b", "b": "a * 2"}, "depends on itself: a -> b -> a"),
        ({"y": "db.q"}, "db.q is not among the channel's parameters, and the recipe has no defaults"),
        ({"y": {"function": "db.q", "defaults": {"db.r": 1}}}, "and defaults: db.r"),
        ({"y": "x + 3*us"}, "is a time, but no argument has a time axis"),
        ({"y": "3 + 3*us"}, "one operand is a time and the other is not"),
        ({"y": "1 / 0"}, "divide: "),
        ({"y": "'a' + 1"}, "text where a number or a time is needed"),
        ({"y": "x & 1"}, "operator of 'x & 1' is not part"),
        ({"y": "~x"}, "operator of '~x' is not part"),
        ({"y": "lambda: 0"}, "is not part of the expression language"),
        ({"y": "0 < x < 1"}, "one comparison of two values only"),
        ({"y": "None"}, "is not a number or text"),
        ({"y": "np.nope"}, r"no constant np\.nope"),
        ({"y": "x.period"}, "'x' has no time axis"),
        ({"y": "wf.colour"}, "no attribute 'colour'"),
        ({"y": "frobnicate(x)"}, "no function 'frobnicate' in expressions"),
        ({"y": "len(x)"}, "has no length"),
        ({"y": "len(wf, x)"}, "len: 2 arguments, need 1 to 1"),
        ({"y": "round(x, q=2)"}, "no keyword arguments"),
        ({"y": "sqrt(x, x)"}, "sqrt: 2 arguments, need 1"),
        ({"y": "astype(x, 3)"}, "astype needs a variable and a type"),
        ({"y": "round(x, 1*us)"}, "round: step is a time"),
        ({"y": "round(3, 1*us)"}, "value and step must both be times"),
        ({"y": "where(x, 1, 2)"}, "is not a comparison"),
        ({"y": "x[0:3]"}, "has no samples to slice"),
        ({"y": "wf[0:x]"}, "slices must be constants"),
        ({"y": "wf[0:24*ns]"}, r"is 1\.5 samples; need a whole number"),
        ({"y": "wf[50:40]"}, "is empty"),
        ({"y": "wf[::0-1]"}, "slice step -1"),
        ({"y": "wf[200]"}, "index 200 of .* is outside"),
        ({"y": "(3)[0]"}, "is a number, not an array"),
        ({"y": "ragged + 1"}, "column 'ragged' is ragged or a table"),
        ({"y": "wf.grid"}, "only numbers, times and variables can be columns"),
        ({"y": {**TRAP, "args": ["wf", 3, "y"]}}, "3 arguments; trap_norm takes 4: w_in, rise, flat, w_out"),
        ({"y": {**TRAP, "args": ["wf", 3, 1, "z"]}}, r"argument 4 \(w_out of trap_norm\) is an output and must"),
        ({"y": {**TRAP, "args": ["wf", "y", 1, 3]}}, r"argument 4 .* found 3"),
        ({"y": {**TRAP, "args": ["y", 3, 1, "y"]}}, r"argument 1 is the output 'y', but trap_norm takes 'w_in' there"),
        ({"y, z": {**TRAP, "args": ["wf", 3, 1, "y"]}}, "every name of the key must be one output .*; missing: z"),
        ({"y": {**TRAP, "args": ["x", 3, 1, "y"]}}, r"argument 1 \(w_in\) must be an array"),
        ({"y": {**TRAP, "args": ["wf", "x", 1, "y"]}}, r"argument 2 \(rise\) must be a whole number known beforehand"),
        ({"y": {**TRAP, "args": ["wf", "np.nan", 1, "y"]}}, "must be a whole number, found nan"),
        ({"y": {**TRAP, "args": ["wf", "'abc'", 1, "y"]}}, "only modes are one letter"),
        ({"y": {**TRAP, "args": ["wf", None, 1, "y"]}}, "argument None is neither a number"),
        ({"y": {**TRAP, "args": ["wf", 3, 1, "y(99)"]}}, "is declared with 99 samples, but has 100"),
        ({"y": {**TRAP, "args": ["wf", 3, 1, "y(n=99)"]}}, "unknown n; known: shape"),
        ({"y": {**TRAP, "args": ["wf", 3, 1, "y(2.5)"]}}, "length is 2.5 samples"),
        ({"y": {**TRAP, "args": ["wf", 3, 1, "y(2*us)"]}}, "length is a time"),
        ({"y": {**TRAP, "args": ["wf", 3, 1, "y(grid=3)"]}}, "grid must be another variable's grid"),
        ({"y": {**TRAP, "args": ["wf", 3, 1, "y(period=3)"]}}, "period and offset must be times"),
        ({"y": {**TRAP, "args": ["wf", 3, 1, "y(vector_len=3)"]}}, "vector_len must name"),
        ({"y": {**TRAP, "args": ["wf", 3, 1, "y(+"]}}, r"cannot parse 'y\(\+'"),
        ({"y": {**TRAP, "args": ["wf", "wf.grid", 1, "y"]}}, "must be a whole number"),
        ({"y": {**TRAP, "function": "bl_subtract", "args": ["wf", "wf.grid", "y"]}}, "found a grid, need a number"),
        ({"y": {**TRAP, "function": "windower", "args": ["wf", 3, "y"]}}, "length of output 'y' cannot be deduced"),
        ({"y": {**TRAP, "function": "trap_nrm", "args": ["wf", 3, "y"]}}, r"y: unknown processor 'trap_nrm'; did you"),
        ({"y": "wf[0:10] + wf[0:20]"}, "do not fit each other"),
        ({"y": {**TRAP, "function": "multi_a_filter", "args": ["wf", "wf[0:9]", "y(8)"]}}, "is declared with 8"),
    ],
)  # fmt: skip
def test_mistakes_name_file_recipe_and_argument(recipes, message):
    config = load_config({"outputs": ["y"], "processors": recipes}, "c.yaml")
    ragged = VectorOfVectors.from_rows([[1]] * N_ROWS, "i4")
    with pytest.raises(ConfigError, match=message) as caught:
        resolve(config, layout_of(table(ragged=ragged)), {})
    assert str(caught.value).startswith("c.yaml: ")


def test_no_outputs_and_unknown_outputs():
    with pytest.raises(ConfigError, match="no outputs; list the wanted names"):
        run({}, tb=table(), outputs=())
    with pytest.raises(ConfigError, match="outputs: 'zz' is neither"):
        run({"y": "x"}, ["zz"])


def test_unequal_sample_counts_are_named():
    recipes = {"y": {**TRAP, "function": "histogram_stats", "args": ["wf", "wf", "y", "b", "c", 1]}}
    recipes = {"y, b, c": recipes["y"], "z": {**TRAP, "function": "where", "args": ["x > 1", "wf", "wf[0:9]", "z"]}}
    with pytest.raises(ConfigError, match="do not fit each other"):
        run(recipes, ["z"])
    with pytest.raises(ProcessorError, match="ch1: y, b, c: histogram_stats on rows 0 to 4: need one border more"):
        run(recipes, ["y"])


def test_a_processor_that_refuses_names_channel_recipe_rows_and_values():
    with pytest.raises(
        ProcessorError, match=r"ch1: y: trap_norm on rows 0 to 4: .* found w_in=array of 100, rise=90, flat=1"
    ):
        run({"y": {**TRAP, "args": ["wf", 90, 1, "y"]}})
    with pytest.raises(ProcessorError, match=r"ch1: y: moving_window_left on rows .* length=0\.0\.\.4\.0"):
        run({"y": {**TRAP, "function": "moving_window_left", "args": ["wf", "x", "y"]}})


def test_a_table_that_does_not_fit_its_plan_is_refused():
    mixed = waveforms()
    mixed["dt"].values[3] = 8.0
    with pytest.raises(LH5Error, match=r"row 3 has a sampling period of 8\.0 ns, the table began with 16\.0 ns"):
        run({"t_lo, t_hi, lo, hi": EXTREMA}, tb=table(wf=mixed))
    chain = ProcessingChain({"outputs": ["lo"], "processors": {"t_lo, t_hi, lo, hi": EXTREMA}})
    program = chain._program(table())
    with pytest.raises(LH5Error, match="column wf/values is missing"):
        program.execute(Table({"x": Array(np.arange(5.0))}))
    with pytest.raises(LH5Error, match="the plan was made for an array"):
        program.execute(Table({"wf": Table({"values": VectorOfVectors.from_rows([[1]], "i4")})}))
