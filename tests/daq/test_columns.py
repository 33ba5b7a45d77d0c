import numpy as np
import pytest

from pygama_core.daq.columns import Column, Record
from pygama_core.daq.fcio.events import EVENT, EVENT_HEADER
from pygama_core.daq.fcio.fsp import EVENT as FSP_EVENT
from pygama_core.daq.fcio.fsp import STATUS as FSP_STATUS
from pygama_core.daq.fcio.status import STATUS
from pygama_core.daq.orca.run import RUN
from pygama_core.errors import DecodeError

PAIR = Record("Pair", (Column("x", "<i4", "a number", "ns"), Column("v", "<u2", "a list", ragged=True)))


def test_table_has_declared_types_and_attributes():
    table = PAIR.table({"x": [1, 2], "v": (np.arange(3), np.array([1, 3]))})
    assert table.array("x").dtype == np.int32
    assert table["x"].attrs == {"units": "ns", "description": "a number"}
    assert table["v"][1].tolist() == [1, 2]


def test_columns_given_must_be_those_declared():
    with pytest.raises(DecodeError, match=r"record Pair: columns given and declared differ: \['v', 'y'\]"):
        PAIR.table({"x": [1], "y": [2]})


def test_unknown_column_is_an_error():
    with pytest.raises(DecodeError, match="no column 'z'; columns: x, v"):
        PAIR["z"]
    assert PAIR["x"].unit == "ns"


def test_row_shape_must_be_the_declared_one():
    with pytest.raises(DecodeError, match=r"column x: rows of shape \(3,\), declared \(2,\)"):
        Column("x", "<i4", "", shape=(2,)).build(np.zeros((1, 3)))


@pytest.mark.parametrize("record", [EVENT, EVENT_HEADER, STATUS, FSP_EVENT, FSP_STATUS, RUN], ids=lambda r: r.name)
def test_every_column_is_described_and_unique(record):
    names = [column.name for column in record.columns]
    assert len(set(names)) == len(names)
    assert all(column.doc for column in record.columns)
    assert record.empty().n_rows == 0
    assert all(f"| {name} |" in record.markdown() for name in names)


def test_event_record_has_the_columns_of_the_format():
    assert len(EVENT.columns) + 1 == 33  # with the waveform
