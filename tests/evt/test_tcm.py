import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygama_core import lh5
from pygama_core.errors import EventError
from pygama_core.evt.tcm import Tcm, build_tcm_from_times, fpga_time, unix_time

TIMES = st.lists(st.integers(0, 60), max_size=12)


def events_of(tcm):
    starts = np.concatenate([[0], tcm.cumulative_length[:-1]]) if tcm.n_events else []
    hits = list(zip(tcm.table_key.tolist(), tcm.row_in_table.tolist(), strict=True))
    return [hits[a:b] for a, b in zip(starts, tcm.cumulative_length, strict=True)]


@given(st.dictionaries(st.integers(0, 5), TIMES, max_size=4), st.integers(0, 8))
def test_events_are_split_where_the_gap_to_the_previous_hit_exceeds_the_window(times, window):
    hits = sorted((t, key, row) for key, rows in times.items() for row, t in enumerate(rows))
    expected: list[list[tuple[int, int]]] = []
    previous = None
    for time, key, row in hits:
        if previous is None or time - previous > window:
            expected.append([])
        expected[-1].append((key, row))
        previous = time
    tcm = build_tcm_from_times({key: np.array(rows, np.int64) for key, rows in times.items()}, window)
    assert events_of(tcm) == expected
    assert tcm.n_coincident == sum(len(event) > 1 for event in expected)
    assert tcm.table_key.dtype == tcm.row_in_table.dtype == tcm.cumulative_length.dtype == np.int64


def test_hits_without_a_time_keep_the_row_numbers_of_the_others():
    times = {7: np.array([10, 0, 30])}
    tcm = build_tcm_from_times(times, 0, {7: np.array([True, False, True])})
    assert events_of(tcm) == [[(7, 0)], [(7, 2)]]


def test_negative_window_is_an_error():
    with pytest.raises(EventError, match="window is -1 ns, expected 0 or more"):
        build_tcm_from_times({}, -1)


def test_fpga_time_is_exact_beyond_float64():
    pps, ticks = np.array([2_000_000_000], np.int32), np.array([249_999_999], np.int32)
    assert fpga_time(pps, ticks).tolist() == [2_000_000_000 * 10**9 + 999_999_996]


def test_unix_time_marks_what_is_no_time():
    time, valid = unix_time(np.array([1.5, np.nan, np.inf, 1679504527.25, -0.25]))
    assert time[valid].tolist() == [1_500_000_000, 1679504527_250_000_000, -250_000_000]
    assert valid.tolist() == [True, False, False, True, True]


def test_table_round_trip_names_all_tables():
    tcm = build_tcm_from_times({1: np.array([0, 5]), 2: np.array([5])}, 0)
    table = tcm.to_table(["ch1/raw", "ch2/raw", "ch3/raw"])
    assert table.attrs == {"tables": "['ch1/raw', 'ch2/raw', 'ch3/raw']", "hash_func": r"\d+"}
    assert events_of(Tcm.from_table(table, "here")) == [[(1, 0)], [(1, 1), (2, 0)]]


def test_other_tables_are_no_map():
    with pytest.raises(EventError, match=r"here: no time coincidence map: found columns a, expected .* table_key"):
        Tcm.from_table(lh5.Table({"a": lh5.Array(np.arange(3))}), "here")
    keys = lh5.VectorOfVectors(np.arange(3), np.array([1, 3]))
    rows = lh5.VectorOfVectors(np.arange(3), np.array([2, 3]))
    with pytest.raises(EventError, match="here: table_key and row_in_table have different lengths"):
        Tcm.from_table(lh5.Table({"table_key": keys, "row_in_table": rows}), "here")


@pytest.mark.parametrize("cycle", ["20230318T012144Z", "20230318T012228Z"])
def test_event_numbers_group_the_hits_of_a_calibration_like_the_stored_map(testdata, cycle):
    tier = testdata / "lh5/prod-ref-l200/generated/tier"
    raw = tier / f"raw/cal/p03/r001/l200-p03-r001-cal-{cycle}-tier_raw.lh5"
    stored = lh5.read(str(raw).replace("raw", "tcm"), "hardware_tcm_1")
    numbers = {int(c[2:]): lh5.read(raw, f"{c}/raw/eventnumber").values.astype(np.int64) for c in lh5.ls(raw, "ch*")}
    built = build_tcm_from_times(numbers, 0).to_table(lh5.ls(raw, "ch*/raw"))
    assert built.attrs == stored.attrs
    for column in ("table_key", "row_in_table"):
        np.testing.assert_array_equal(built[column].flattened_data, stored[column].flattened_data)
        np.testing.assert_array_equal(built[column].cumulative_length, stored[column].cumulative_length)
