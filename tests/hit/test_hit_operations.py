import math

import numpy as np
import pytest

from pygama_core.errors import ConfigError, ExpressionError
from pygama_core.hit.config import load_mapping, merge, parse_hit_config
from pygama_core.hit.operations import plan_hit, run_hit
from pygama_core.lh5 import Array, Table, VectorOfVectors

N = 4
COLUMNS = {
    "x": Array(np.array([1.0, 2.0, math.nan, 4.0]), {"units": "ADC"}),
    "n": Array(np.arange(N)),
    "r": VectorOfVectors.from_rows([[1.0, 2.0], [], [3.0], [4.0]], float, {"units": "ns"}),
    "s": VectorOfVectors.from_rows([[10.0, 20.0], [], [30.0], [40.0]], float),
    "odd": VectorOfVectors.from_rows([[1.0], [2.0], [3.0], [4.0]], float),
    "wide": Array(np.arange(12.0).reshape(N, 3)),
    "wf": Table({"values": Array(np.zeros((N, 2)))}),
}


def run(operations, columns=COLUMNS, **config):
    parsed = parse_hit_config({"operations": operations, **config}, "hit.yaml")
    plan = plan_hit(parsed, columns, "ch1/dsp")
    return plan, run_hit(plan, {name: columns[name] for name in plan.reads}, N, "ch1/dsp")


def test_operations_run_in_the_order_of_their_needs():
    operations = {
        "c": {"expression": "b + a*x", "parameters": {"a": 100.0}},
        "b": {"expression": "a + 1"},
        "a": {"expression": "2*x"},
    }
    plan, table = run(operations, outputs=["c", "n"])
    assert [operation.name for operation in plan.order] == ["a", "b", "c"]
    assert plan.reads == ("x", "n")
    np.testing.assert_array_equal(table.array("c"), 102 * COLUMNS["x"].values + 1)
    np.testing.assert_array_equal(table.array("n"), np.arange(N))
    assert list(table) == ["c", "n"]


def test_without_outputs_everything_is_kept():
    _, table = run({"a": {"expression": "2*x"}}, aggregations={"q": {"bit0": "n"}})
    assert list(table) == [*COLUMNS, "a", "q"]


def test_an_operation_can_replace_the_column_it_reads():
    _, table = run({"x": {"expression": "x + 1"}, "y": {"expression": "2*x"}}, outputs=["x", "y"])
    np.testing.assert_array_equal(table.array("y"), 2 * (COLUMNS["x"].values + 1))


def test_renamed_columns_keep_their_units_and_configured_attributes_win():
    operations = {
        "y": {"expression": "x", "description": "energy"},
        "z": {"expression": "x", "lgdo_attrs": {"units": "keV", "hdf5_settings": {"compression": "gzip"}}},
        "u": {"expression": "2*x"},
    }
    _, table = run(operations, outputs=["y", "z", "u"])
    assert [table[name].attrs for name in "yzu"] == [{"units": "ADC", "description": "energy"}, {"units": "keV"}, {}]


def test_constants_fill_the_column():
    _, table = run({"ok": {"expression": "valid", "parameters": {"valid": False}}}, outputs=["ok"])
    assert table.array("ok").tolist() == [False] * N
    assert table.array("ok").dtype == bool


def test_ragged_columns_are_evaluated_element_by_element():
    operations = {
        "e": {"expression": "a*r + s*n", "parameters": {"a": 2.0}},
        "ok": {"expression": "e > 3"},
        "w": {"expression": "wide + n"},
        "p": {"expression": "r"},
    }
    _, table = run(operations, outputs=["e", "ok", "w", "p"])
    assert [table["e"][i].tolist() for i in range(N)] == [[2.0, 4.0], [], [66.0], [128.0]]
    assert [table["ok"][i].tolist() for i in range(N)] == [[False, True], [], [True], [True]]
    np.testing.assert_array_equal(table.array("w"), np.arange(12.0).reshape(N, 3) + np.arange(N)[:, np.newaxis])
    assert table["p"].attrs == {"units": "ns"}


def test_empty_tables_give_empty_columns():
    columns = {"x": Array(np.empty(0)), "r": VectorOfVectors.from_rows([], float)}
    parsed = parse_hit_config({"operations": {"a": {"expression": "x*r"}, "b": {"expression": "x > 1"}}}, "hit.yaml")
    table = run_hit(plan_hit(parsed, columns, "t"), columns, 0, "t")
    assert len(table["a"]) == len(table["b"]) == 0
    assert table.array("b").dtype == bool


@pytest.mark.parametrize(
    ("n_bits", "dtype"), [(1, "uint8"), (8, "uint8"), (9, "uint16"), (17, "uint32"), (33, "uint64"), (64, "uint64")]
)
def test_bits_are_packed_in_the_order_of_the_list(n_bits, dtype):
    flags = np.random.default_rng(1).random((n_bits, N)) > 0.5
    columns = {f"f{i}": Array(flags[i]) for i in range(n_bits)}
    _, table = run({}, columns, aggregations={"q": {f"bit{i}": f"f{i}" for i in range(n_bits)}}, outputs=["q"])
    expected = [sum(int(flags[i, row]) << i for i in range(n_bits)) for row in range(N)]
    assert table.array("q").tolist() == expected
    assert table.array("q").dtype == dtype
    assert table["q"].attrs["bit_names"] == ",".join(columns)


def test_optional_operations_are_left_out_with_what_needs_them():
    operations = {
        "lq": {"expression": "lq80/x", "optional": True},
        "lq_ok": {"expression": "lq < 1", "optional": True},
        "x_ok": {"expression": "x > 1"},
    }
    plan, table = run(operations, outputs=["lq", "x_ok", "q"], aggregations={"q": {"bit0": "lq_ok", "bit1": "x_ok"}})
    assert dict(plan.skipped) == {"lq": "lq80 is absent", "lq_ok": "lq is absent"}
    assert list(table) == ["x_ok", "q"]
    assert table.array("q").tolist() == [0, 2, 0, 2]
    assert table["q"].attrs["bit_names"] == "lq_ok,x_ok"


def test_nan_parameters_are_named():
    operations = {
        "e": {"expression": "a + b*x", "parameters": {"a": math.nan, "b": 1}},
        "f": {"expression": "c*x", "parameters": {"c": "np.nan"}},
    }
    plan, table = run(operations, outputs=["e", "f"])
    assert plan.nan_parameters == ["e.a", "f.c"]
    assert np.isnan(table.array("e")).all()


def test_merge_goes_key_by_key_and_changes_neither():
    base = {"operations": {"e": {"expression": "a*x", "parameters": {"a": 1, "b": 2}}}}
    update = {"operations": {"e": {"parameters": {"a": 5}}, "f": {"expression": "x"}}}
    merged = merge(base, update)
    assert merged["operations"]["e"] == {"expression": "a*x", "parameters": {"a": 5, "b": 2}}
    assert base["operations"]["e"]["parameters"] == {"a": 1, "b": 2}
    assert set(merged["operations"]) == {"e", "f"}


ONE = {"a": {"expression": "x"}}


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        (
            {"operation": ONE},
            ConfigError,
            r"hit\.yaml: unknown key 'operation'; known keys: aggregations, operations, outputs",
        ),
        (
            {"operations": {"a": {"expr": "x"}}},
            ConfigError,
            r"operations\.a: found {'expr': 'x'}, expected a mapping with",
        ),
        ({"operations": {"a": {"expression": "x", "unit": "keV"}}}, ConfigError, r"operations\.a: unknown key 'unit'"),
        (
            {"operations": {"a": {"expression": "x", "lgdo_attrs": 3}}},
            ConfigError,
            r"operations\.a\.lgdo_attrs: found int",
        ),
        ({"operations": {"a": {"expression": "x.real()"}}}, ExpressionError, r"hit\.yaml: operations\.a: "),
        ({"operations": ONE, "outputs": "a"}, ConfigError, r"hit\.yaml: outputs: found 'a', expected a list"),
        (
            {"operations": ONE, "outputs": ["a", "e"]},
            ConfigError,
            r"outputs: ch1/dsp has no 'e'; results and columns are: a, n",
        ),
        (
            {"operations": ONE, "aggregations": {"a": {"bit0": "n"}}},
            ConfigError,
            "'a' is both an operation and an aggregation",
        ),
        (
            {"aggregations": {"q": ["n"]}},
            ConfigError,
            r"aggregations\.q: found \['n'\], expected a mapping of bit labels",
        ),
        (
            {"aggregations": {"q": {f"b{i}": "n" for i in range(65)}}},
            ConfigError,
            r"aggregations\.q: 65 bits, at most 64",
        ),
        (
            {"aggregations": {"q": {"bit0": "z"}}},
            ConfigError,
            "ch1/dsp: aggregation names 'z', which is no operation or column",
        ),
        (
            {"aggregations": {"q": {"bit0": "x"}}},
            ConfigError,
            r"aggregations\.q: ch1/dsp: 'x' is float64 \(4,\), expected one bool",
        ),
        (
            {"aggregations": {"q": {"bit0": "r"}}},
            ConfigError,
            r"aggregations\.q: ch1/dsp: 'r' is ragged, expected one bool",
        ),
        (
            {"operations": {"a": {"expression": "k*x + cuspEmax"}}},
            ConfigError,
            r"operations\.a: ch1/dsp: 'cuspEmax' in 'k\*x \+ cuspEmax' is no parameter.* columns: .*optional",
        ),
        (
            {"operations": {"a": {"expression": "b"}, "b": {"expression": "c"}, "c": {"expression": "b + x"}}},
            ConfigError,
            r"hit\.yaml: operations need each other in a circle: b -> c -> b",
        ),
        (
            {"operations": {"a": {"expression": "r + odd"}}},
            ExpressionError,
            r"in row 0 '\w+' has \d elements and '\w+' has \d;",
        ),
        (
            {"operations": {"a": {"expression": "wf"}}},
            ExpressionError,
            r"operations\.a: ch1/dsp: 'wf' is a table of columns; .* values",
        ),
        (
            {"operations": {"a": {"expression": "p", "parameters": {"p": [1, 2]}}}},
            ExpressionError,
            r"operations\.a: ch1/dsp: result of 2 rows, expected 4",
        ),
    ],
)
def test_errors_name_the_key_and_the_table(config, error, message):
    with pytest.raises(error, match=message):
        run(config.pop("operations", {}), **config)


def test_configuration_files(tmp_path):
    path = tmp_path / "hit.yaml"
    with pytest.raises(ConfigError, match=r"hit\.yaml: cannot be read: No such file"):
        load_mapping(path, "")
    path.write_text("a: [1")
    with pytest.raises(ConfigError, match=r"hit\.yaml: not valid YAML"):
        load_mapping(path, "")
    path.write_text("[1, 2]")
    with pytest.raises(ConfigError, match=r"hit\.yaml: holds list, expected a mapping"):
        load_mapping(path, "")
    path.write_text('{"outputs": ["a"]}')
    assert load_mapping(path, "") == (str(path), {"outputs": ["a"]})
