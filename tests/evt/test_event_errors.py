"""What stops an event building, and what it says."""

import numpy as np
import pytest
from event_memory import RAGGED, build

from pygama_core.errors import ConfigError, EventError, ExpressionError
from pygama_core.lh5 import Array, Table

SUM = {"channels": "geds", "aggregation_mode": "sum", "expression": "hit.e", "query": "hit.e > -2", "initial": 0}
GATHER = {"channels": "geds", "aggregation_mode": "gather", "expression": "hit.p"}


@pytest.mark.parametrize(
    ("operations", "error", "message"),
    [
        (
            {"x": SUM | {"expression": "hit.p", "query": None}},
            ConfigError,
            "operations.x: gives several values .* 'reduce'",
        ),
        ({"x": GATHER | {"query": "hit.p > 1"}}, ConfigError, r"operations\.x\.query: gives several values"),
        (
            {
                "x": {
                    "channels": "geds",
                    "aggregation_mode": "first_at:tcm.index",
                    "expression": "tcm.index",
                    "dtype": "int32",
                }
            },
            EventError,
            r"operations\.x\.dtype: 1 of 3 values do not fit int32, the first is nan; set 'initial'",
        ),
        (
            {
                "i": {"channels": "geds", "aggregation_mode": "gather", "expression": "tcm.row_in_table"},
                "x": {"aggregation_mode": "keep_at_idx:evt.i", "expression": "tcm.index"},
            },
            EventError,
            r"operations\.x: evt\.i holds 1, which is no hit of event 2; keep_at_idx needs values of tcm\.index",
        ),
        (
            {
                "i": GATHER,
                "x": {"aggregation_mode": "keep_at_idx:evt.i", "expression": "tcm.index"},
            },
            ConfigError,
            r"operations\.x: evt\.i is neither one value nor one list per event",
        ),
        (
            {"x": GATHER, "y": GATHER | {"reduce": "sum"}, "z": {"expression": "evt.x + evt.w"}, "w": SUM},
            ConfigError,
            r"operations\.z: unknown name 'evt\.w'; known are .* earlier event fields \(evt\.x, evt\.y\)",
        ),
        (
            {
                "x": GATHER | {"reduce": "sum"},
                "y": SUM | {"expression": "1", "query": None},
                "y___z": {"expression": "evt.x"},
            },
            ConfigError,
            "outputs: 'y' is a column, and a table with z; rename one",
        ),
        ({"x": GATHER | {"expression": "hit.t"}}, EventError, r"hit\.t: a table in channel 1; name one of its columns"),
        ({"x": GATHER | {"expression": "hit.m"}}, EventError, r"hit\.m: plain in some channels, ragged in others"),
        (
            {"x": GATHER | {"expression": "hit.s"}},
            EventError,
            r"hit\.s: channel 2 has float64 \(2,\), the first .* \(\)",
        ),
        ({"x": GATHER | {"expression": "hit.short"}}, EventError, r"hit: channel 1 has 1 rows, but .* points at row 1"),
        ({"x": GATHER, "y": {"expression": "evt.x[0]"}}, ExpressionError, r"operations\.y: 'evt\.x\[0\]'"),
    ],
)
def test_errors_name_the_operation(operations, error, message):
    plain, table = Array(np.zeros(2)), Table({"a": Array(np.zeros(2))})
    tables = {
        ("hit", 1): RAGGED["hit", 1] | {"t": table, "m": plain, "s": plain, "short": Array(np.zeros(1))},
        ("hit", 2): RAGGED["hit", 2] | {"m": RAGGED["hit", 2]["p"], "s": Array(np.zeros((1, 2)))},
    }
    with pytest.raises(error, match=message):
        build([[1, 2], [], [1]], tables, operations)
