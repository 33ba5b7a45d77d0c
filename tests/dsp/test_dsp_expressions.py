"""Expressions of constants, columns and times, and what they give on a small table."""

import numpy as np
import pytest
from dsp_tables import EXTREMA, N_ROWS, PERIOD, T0, VALUES, run, table, value, waveforms


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


def test_slice_limits_between_samples_are_rounded_with_a_warning(caplog):
    out = run({"a": "wf[24*ns:12.2]"})
    np.testing.assert_array_equal(out["a"].array("values"), VALUES[:, 2:12])
    assert "slice limit '24 * ns' is 1.5 samples; 2 are taken" in caplog.text


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


def test_times_as_outputs_of_constants_and_their_unit():
    out = run({"a": {"function": "3*us", "unit": "us"}, "b": "3*us", "c": [1][0]})
    assert (out.array("a")[0], out.array("b")[0], out.array("c")[0]) == (3, 3000, 1)
    assert (out["a"].attrs, out["b"].attrs) == ({"units": "us"}, {"units": "ns"})
