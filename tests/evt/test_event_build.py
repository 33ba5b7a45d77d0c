"""Every mode against its definition in plain Python, on sparse random events with repeated and absent channels."""

import math

import numpy as np
import pytest
from event_memory import CHANNELS, RAGGED, build
from hypothesis import given, settings
from hypothesis import strategies as st

from pygama_core.lh5 import Array

ENERGIES = st.one_of(st.integers(-3, 9).map(float), st.just(math.nan))


@st.composite
def sparse_events(draw):
    """Return events as lists of channels (a channel may come twice) and (key, row) -> energy, time."""
    events = draw(st.lists(st.lists(st.integers(1, 4), max_size=5), max_size=6))
    values = {}
    for key in range(1, 5):
        n = sum(event.count(key) for event in events)
        energy = draw(st.lists(ENERGIES, min_size=n, max_size=n))
        time = draw(st.lists(ENERGIES, min_size=n, max_size=n))
        values[key] = (energy, time)
    return events, values


def tables_of(values, without=()):
    return {
        ("hit", key): {"e": Array(np.array(energy)), "t": Array(np.array(time))}
        for key, (energy, time) in values.items()
        if key not in without
    }


def hits_of(events, values, *, channels=CHANNELS, absent=()):
    """Return for each event its hits as (energy, time, key, row, index), in the order of the channels."""
    seen: dict[int, int] = {}
    index, result = 0, []
    for event in events:
        hits = []
        for key in event:
            row = seen.get(key, 0)
            seen[key] = row + 1
            if key in channels and key not in absent:
                hits.append((values[key][0][row], values[key][1][row], key, row, index))
            index += 1
        result.append(sorted(hits, key=lambda hit: (channels.index(hit[2]), hit[4])))
    return result


def rows(column):
    return [np.asarray(column[i]).tolist() for i in range(len(column))]


def same(found, expected):
    np.testing.assert_equal(found.tolist() if isinstance(found, np.ndarray) else found, expected)


SUM = {"channels": "geds", "aggregation_mode": "sum", "expression": "hit.e", "query": "hit.e > -2", "initial": 0}


@given(sparse_events())
def test_sum(data):
    events, values = data
    table, _ = build(
        events, tables_of(values), {"x": SUM, "n": SUM | {"expression": "hit.e > c", "parameters": {"c": 2}}}
    )
    hits = [[h for h in event if h[0] > -2] for event in hits_of(events, values)]
    same(table.array("x"), [math.fsum(h[0] for h in event) for event in hits])
    same(table.array("n"), [sum(h[0] > 2 for h in event) for event in hits])
    assert table.array("n").dtype == np.int64


@given(sparse_events())
def test_sum_keeps_nan(data):
    events, values = data
    table, _ = build(events, tables_of(values), {"x": {k: v for k, v in SUM.items() if k not in ("query", "initial")}})
    same(table.array("x"), [sum(h[0] for h in event) for event in hits_of(events, values)])


@given(sparse_events(), st.booleans())
def test_any_and_all(data, initial):
    events, values = data
    block = {"channels": "geds", "expression": "hit.e > 2", "query": "hit.t > 0", "initial": initial}
    table, _ = build(
        events,
        tables_of(values),
        {"any": block | {"aggregation_mode": "any"}, "all": block | {"aggregation_mode": "all"}},
    )
    hits = hits_of(events, values)
    passing = [[h for h in event if h[1] > 0] for event in hits]
    same(table.array("any"), [initial or any(h[0] > 2 for h in event) for event in passing])
    same(table.array("all"), [initial and all(h[0] > 2 and h[1] > 0 for h in event) for event in hits])


@pytest.mark.parametrize(("mode", "sign"), [("first_at", 1), ("last_at", -1)])
@given(data=sparse_events())
def test_first_and_last(mode, sign, data):
    events, values = data
    block = {"channels": "geds", "aggregation_mode": f"{mode}:hit.t", "query": "hit.e == hit.e", "expression": "hit.e"}
    index = block | {"expression": "tcm.index", "initial": -1}
    table, _ = build(events, tables_of(values), {"x": block, "i": index}, first_index=100)
    expected = []
    for event in hits_of(events, values):
        passing = [h for h in event if not math.isnan(h[0]) and not math.isnan(h[1])]
        expected.append(min(passing, key=lambda h: sign * h[1]) if passing else None)
    same(table.array("x"), [math.nan if h is None else h[0] for h in expected])
    same(table.array("i"), [-1 if h is None else h[4] + 100 for h in expected])


@pytest.mark.parametrize(("sort", "sign"), [(None, 0), ("ascend_by:hit.t", 1), ("descend_by:hit.t", -1)])
@given(data=sparse_events())
def test_gather_keeps_nan_and_repeated_channels(sort, sign, data):
    events, values = data
    block = {"channels": "geds", "aggregation_mode": "gather", "query": "hit.e < 8", "sort": sort}
    table, _ = build(
        events, tables_of(values), {"t": block | {"expression": "hit.t"}, "k": block | {"expression": "tcm.table_key"}}
    )
    expected = [[h for h in event if h[0] < 8] for event in hits_of(events, values)]
    if sign:
        expected = [
            sorted(event, key=lambda h: (math.isnan(h[1]), 0 if math.isnan(h[1]) else sign * h[1]))
            for event in expected
        ]
    same(rows(table["t"]), [[h[1] for h in event] for event in expected])
    same(rows(table["k"]), [[h[2] for h in event] for event in expected])


@given(sparse_events())
def test_keep_at_index_and_channel(data):
    events, values = data
    operations = {
        "i": {"channels": "geds", "aggregation_mode": "gather", "expression": "tcm.index", "query": "hit.e > 0"},
        "e": {"aggregation_mode": "keep_at_idx:evt.i", "expression": "hit.e"},
        "row": {"aggregation_mode": "keep_at_idx:evt.i", "expression": "tcm.row_in_table", "query": "hit.e > 4"},
        "k": {"aggregation_mode": "keep_at_idx:evt.i", "expression": "tcm.table_key"},
        "at": {"aggregation_mode": "keep_at_ch:evt.k", "expression": "hit.t", "query": "hit.e > 4"},
        "top": {
            "channels": "geds",
            "aggregation_mode": "last_at:hit.e",
            "expression": "tcm.index",
            "initial": "np.nan",
        },
        "e_top": {"aggregation_mode": "keep_at_idx:evt.top", "expression": "hit.e"},
        "two": {"channels": "two", "aggregation_mode": "keep_at_idx:evt.i", "expression": "hit.e", "initial": 99},
    }
    table, _ = build(events, tables_of(values), operations, first_index=7)
    hits = hits_of(events, values)
    positive = [[h for h in event if h[0] > 0] for event in hits]
    same(rows(table["i"]), [[h[4] + 7 for h in event] for event in positive])
    same(rows(table["e"]), [[h[0] for h in event] for event in positive])
    same(rows(table["row"]), [[h[3] if h[0] > 4 else -1 for h in event] for event in positive])
    first = [{h[2]: h[1] for h in reversed(event) if h[0] > 4} for event in hits]  # the first hit of a channel wins
    same(
        rows(table["at"]), [[at.get(h[2], math.nan) for h in event] for event, at in zip(positive, first, strict=True)]
    )
    finite = [[h[0] for h in event if not math.isnan(h[0])] for event in hits]
    same(table.array("e_top"), [max(event, default=math.nan) for event in finite])
    same(rows(table["two"]), [[h[0] if h[2] == 2 else 99 for h in event] for event in positive])


@given(sparse_events())
def test_channels_without_a_column_do_not_count_and_are_named(data):
    events, values = data
    table, hits = build(events, tables_of(values, without=[1]), {"x": SUM})
    expected = [[h[0] for h in event if h[0] > -2] for event in hits_of(events, values, absent=[1])]
    same(table.array("x"), [math.fsum(event) for event in expected])
    assert hits.missing == ({("hit", 1): {"e"}} if any(1 in event for event in events) else {})


@given(sparse_events())
@settings(max_examples=30)
def test_excluded_channels_do_not_count(data):
    events, values = data
    table, _ = build(events, tables_of(values), {"x": SUM | {"exclude_channels": "two"}})
    same(
        table.array("x"),
        [math.fsum(h[0] for h in event if h[0] > -2 and h[2] != 2) for event in hits_of(events, values)],
    )


def test_keep_at_follows_the_channels_of_its_field():
    operations = {
        "i": {"channels": "two", "aggregation_mode": "gather", "expression": "tcm.index"},
        "e": {"aggregation_mode": "keep_at_idx:evt.i", "expression": "hit.e"},
    }
    table, hits = build([[1, 2]], {("hit", 2): {"e": Array(np.array([4.0]))}}, operations)
    assert rows(table["e"]) == [[4.0]]
    assert hits.missing == {}


def test_ragged_columns_reduce_or_gather_to_lists_of_lists():
    block = {"channels": "geds", "aggregation_mode": "gather", "expression": "hit.p"}
    operations = {
        "pulses": block,
        "sum": block | {"reduce": "sum"},
        "count": block | {"reduce": "count"},
        "max": block | {"reduce": "max"},
        "above": block | {"expression": "hit.p > 1", "reduce": "any"},
        "total": {"expression": "evt.sum", "reduce": "sum"},
        "n": {"expression": "evt.pulses", "reduce": "count"},
        "lit": {"expression": "evt.pulses * evt.n"},
        "called": {
            "channels": "geds",
            "aggregation_mode": "function",
            "expression": "pygama.evt.modules.spms.gather_pulse_data(<...>, observable='hit.p')",
        },
        "keys": {
            "channels": "geds",
            "aggregation_mode": "function",
            "expression": "pygama_core.evt.functions.gather_tcm_data(<...>, tcm_field='table_key')",
        },
    }
    table, _ = build([[1, 2], [], [1]], RAGGED, operations)
    assert [
        [inner.tolist() for inner in (event[i] for i in range(len(event)))]
        for event in (table["pulses"][i] for i in range(3))
    ] == [[[1.0, 2.0], [5.0]], [], [[]]]
    assert table["pulses"].attrs == table["sum"].attrs == {"units": "pe"}
    assert table["called"].cumulative_length.tolist() == table["pulses"].cumulative_length.tolist()
    assert rows(table["keys"]) == [[1, 2], [], [1]]
    assert rows(table["sum"]) == [[3.0, 5.0], [], [0.0]]
    assert rows(table["count"]) == [[2, 1], [], [0]]
    same(rows(table["max"]), [[2.0, 5.0], [], [math.nan]])
    assert rows(table["above"]) == [[True, True], [], [False]]
    assert table.array("total").tolist() == [8.0, 0.0, 0.0]
    assert table.array("n").tolist() == [3, 0, 0]
    assert table["lit"].flattened_data.flattened_data.tolist() == [3.0, 6.0, 15.0]


def test_no_channel_has_the_column():
    operations = {
        "any": {"channels": "geds", "aggregation_mode": "any", "expression": "hit.absent > 1"},
        "list": {"channels": "geds", "aggregation_mode": "gather", "expression": "hit.absent"},
        "none": {"channels": "none", "aggregation_mode": "sum", "expression": "hit.e", "initial": 0},
    }
    table, hits = build([[1], [2, 2]], tables_of({1: ([1.0], [1.0]), 2: ([1.0] * 2, [1.0] * 2)}), operations)
    assert table.array("any").tolist() == [False, False]
    assert rows(table["list"]) == [[], []]
    assert table.array("none").tolist() == [0, 0]
    assert hits.missing == {("hit", 1): {"absent"}, ("hit", 2): {"absent"}}


def test_event_expressions_queries_types_and_nesting():
    operations = {
        "geds___e": SUM
        | {"lgdo_attrs": {"units": "keV", "hdf5_settings": {"compression": "gzip"}}, "description": "sum"},
        "geds___twice": {
            "expression": "a*evt.geds.e",
            "parameters": {"a": 2},
            "query": "evt.geds___e > 1",
            "initial": 0,
        },
        "geds___n": {"expression": "evt.geds___twice", "dtype": "uint16"},
        "flag": SUM | {"aggregation_mode": "any", "expression": "evt.geds___e > 1", "query": "evt.geds.e > hit.e - 1"},
    }
    events, values = [[1, 2], [3], []], {1: ([4.0], [0.0]), 2: ([3.0], [0.0]), 3: ([1.0], [0.0])}
    table, _ = build(events, tables_of(values), operations, outputs=["geds___twice", "geds___e", "geds___n", "flag"])
    assert list(table) == ["flag", "geds"]
    assert table["geds"].array("twice").tolist() == [14.0, 0.0, 0.0]
    assert table["geds"].array("n").dtype == np.uint16
    assert table["geds"]["e"].attrs == {"units": "keV", "description": "sum"}
    assert table.array("flag").tolist() == [True, False, False]


def test_attributes_of_a_single_column_are_passed_on():
    bits = Array(np.array([3, 1], np.uint8), {"bit_names": "a,b", "description": "flags"})
    operations = {
        "q": {"channels": "geds", "aggregation_mode": "gather", "expression": "hit.q", "description": "of each hit"},
        "q2": {"aggregation_mode": "keep_at_ch:evt.k", "expression": "hit.q", "channels": "geds", "initial": 0},
    }
    first = {
        "k": {"channels": "geds", "aggregation_mode": "first_at:tcm.index", "expression": "tcm.table_key", "initial": 0}
    }
    table, _ = build([[1], [1]], {("hit", 1): {"q": bits}}, first | operations)
    assert table["q"].attrs == {"bit_names": "a,b", "description": "of each hit"}
    assert table["q2"].attrs == bits.attrs
    assert table.array("q2").dtype == np.uint8


def test_first_cycle_type_is_kept():
    events = [[1, 2]]
    tables = {("hit", 1): {"e": Array(np.zeros(1, np.float32))}, ("hit", 2): {"e": Array(np.zeros(1, np.float64))}}
    table, _ = build(events, tables, {"x": {"channels": "geds", "aggregation_mode": "gather", "expression": "hit.e"}})
    assert table["x"].flattened_data.dtype == np.float64
