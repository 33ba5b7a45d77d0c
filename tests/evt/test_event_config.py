import numpy as np
import pytest

from pygama_core.errors import ConfigError, EventError
from pygama_core.evt.build import build_events
from pygama_core.evt.calls import event_function
from pygama_core.evt.config import parse_event_config
from pygama_core.evt.hits import Hits
from pygama_core.evt.tcm import Tcm
from pygama_core.lh5 import Array

SUM = {"channels": "geds", "aggregation_mode": "sum", "expression": "hit.e"}


@event_function("tests.one_per_event")
def one_per_event(hits, keys, scale=1, extra=0, field=None):
    return Array(np.arange(hits.tcm.n_events + extra) * scale + (0 if field is None else field.values))


def parse(operations, **extra):
    config = {"channels": {"geds": ["ch0000001", 2]}, "operations": operations, **extra}
    return parse_event_config(config, "evt.yaml", {"hit", "dsp"}, names={"V01": 5}, found=[1, 2, 5, 6])


def test_groups_of_names_numbers_tables_and_the_rest():
    groups = {"named": "V01", "geds": ["ch0000001", 1, 2], "rest": ["*", 9], "given": [3]}
    config = {"channels": groups, "operations": {"x": SUM | {"channels": ["named", "geds", "rest", "given"]}}}
    given = {"given": [4], "geds": []}
    parsed = parse_event_config(config, "evt.yaml", {"hit"}, given, {"V01": 5}, [1, 2, 4, 5, 6])
    assert parsed.operations[0].channels == (5, 1, 2, 9, 6, 4)


def test_needs_are_the_columns_of_the_channels_that_use_them():
    parsed = parse(
        {
            "t": SUM
            | {
                "aggregation_mode": "first_at:dsp.tp",
                "query": "hit.ok",
                "expression": "a*hit.e",
                "parameters": {"a": 1},
            },
            "x": {"expression": "evt.t"},
            "f": {
                "channels": "geds",
                "aggregation_mode": "function",
                "expression": "tests.one_per_event(scale='hit.z')",
            },
        }
    )
    columns = {"e", "ok", "z"}
    assert parsed.columns_by_tier() == {"hit": {1: columns, 2: columns}, "dsp": {1: {"tp"}, 2: {"tp"}}}


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ({}, r"evt\.yaml: operations: found {}, expected a mapping of event fields"),
        ({"x": 3}, r"operations\.x: found 3, expected a mapping with a text 'expression'"),
        ({"x": SUM | {"sort_by": "a"}}, r"operations\.x: unknown key 'sort_by'; known keys: aggregation_mode, "),
        ({"x": SUM | {"reduce": "mean"}}, r"operations\.x: reduce: found 'mean', expected one of sum, count"),
        ({"x": SUM | {"aggregation_mode": "product"}}, r"aggregation_mode: found 'product', expected one of sum, any"),
        (
            {"x": SUM | {"aggregation_mode": "first_at"}},
            r"aggregation_mode: found 'first_at', expected .*first_at:tier",
        ),
        (
            {"x": SUM | {"aggregation_mode": "keep_at_ch:hit.e"}},
            r"'keep_at_ch:hit\.e': keep_at_ch needs a field of evt",
        ),
        ({"x": SUM | {"sort": "ascend_by:hit.e"}}, r"sort: found 'ascend_by:hit\.e' with aggregation_mode sum"),
        (
            {"x": SUM | {"aggregation_mode": "gather", "sort": "hit.e"}},
            r"sort: found 'hit\.e' with .* gather, expected",
        ),
        ({"x": SUM | {"initial": "none"}}, r"initial: found 'none', expected a number, bool, np\.nan"),
        ({"x": SUM | {"dtype": "number"}}, r"dtype: 'number' is no NumPy type"),
        ({"x": SUM | {"dtype": "S4"}}, r"dtype: 'S4' is neither a number nor bool"),
        ({"x": SUM | {"channels": "spms"}}, r"channels: no channel group 'spms'; groups: geds"),
        ({"x": {"aggregation_mode": "sum", "expression": "1"}}, r"channels: missing; sum needs a channel group: geds"),
        (
            {"x": SUM | {"expression": "raw.e"}},
            r"unknown name 'raw\.e'; known are .* lower tiers \(dsp\.<column>, hit\.<",
        ),
        ({"x": SUM | {"expression": "tcm.row"}}, r"unknown name 'tcm\.row'; .* tcm\.table_key, tcm\.row_in_table"),
        ({"x": {"expression": "hit.e"}}, r"unknown name 'hit\.e'; .* lower tiers \(none without a mode\)"),
        ({"x": {"expression": "a"}}, r"unknown name 'a'; known are parameters \(none\)"),
        ({"x": SUM | {"lgdo_attrs": "keV"}}, r"operations\.x\.lgdo_attrs: found str, expected a mapping"),
    ],
)
def test_errors_name_the_key(operations, message):
    with pytest.raises(ConfigError, match=message):
        parse(operations)


def test_outputs_and_channels_are_checked():
    with pytest.raises(ConfigError, match=r"evt\.yaml: outputs: 'y' is no operation; operations: x"):
        parse({"x": SUM}, outputs=["x", "y"])
    with pytest.raises(ConfigError, match=r"evt\.yaml: unknown key 'output'; known keys: channel_mapping, channels"):
        parse({"x": SUM}, output=["x", "y"])
    with pytest.raises(ConfigError, match=r"channels\.geds: a rule {'system': 'geds'}, expected a list of channels"):
        parse({"x": SUM}, channels={"geds": {"system": "geds"}})
    with pytest.raises(ConfigError, match=r"channels\.geds: unknown channel 'V02'; write ch<rawid>, .* known: V01"):
        parse({"x": SUM}, channels={"geds": ["V02"]})


def call(text):
    return {"x": {"channels": "geds", "aggregation_mode": "function", "expression": text}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tests.one_per_event(", r"operations\.x: cannot parse the call 'tests\.one_per_event\('"),
        ("tests.one_per_event", r"found 'tests\.one_per_event', expected a call such as"),
        ("os.system(<...>, command='ls')", r"no event function 'os\.system'; registered: .*tests\.one_per_event"),
        ("tests.one_per_event(<...>, size=3)", r"one_per_event has no keyword 'size'; keywords: scale, extra"),
        (
            "tests.one_per_event(<...>, scale=a + 1)",
            r"operations\.x: scale = a \+ 1 is neither a literal nor an evt field",
        ),
    ],
)
def test_errors_of_calls(text, message):
    with pytest.raises(ConfigError, match=message):
        parse(call(text))


def test_functions_are_registered_once():
    with pytest.raises(ConfigError, match=r"event function 'tests\.one_per_event' is registered twice"):
        event_function("tests.one_per_event")(one_per_event)


def test_calls_get_literals_and_event_fields():
    tcm = Tcm(np.array([1, 1]), np.array([0, 1]), np.array([1, 2]))
    first = {"t": {"channels": "geds", "aggregation_mode": "first_at:tcm.index", "expression": "tcm.index"}}

    def run(text):
        config = parse(first | call(text))
        return build_events(config, Hits(tcm, None, config.columns_by_tier()))

    assert run("tests.one_per_event(<...>, scale=10, field=evt.t)").array("x").tolist() == [0, 11]
    with pytest.raises(EventError, match=r"operations\.x: 'tests\.one_per_event.*' gave 3 rows for 2 events"):
        run("tests.one_per_event(<...>, extra=1)")
