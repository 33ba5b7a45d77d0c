import numpy as np
import pytest

from pygama_core import lh5
from pygama_core.errors import EventError
from pygama_core.lh5 import Array, Table
from pygama_core.tiers.build_tcm import build_tcm


def fpga(times, timestamp=None):
    """Return a raw table at times [ns]."""
    times = np.asarray(times, np.int64)
    columns = {
        "ts_pps": Array((times // 10**9).astype(np.int32)),
        "ts_ticks": Array((times % 10**9 // 4).astype(np.int32)),
        "timestamp": Array(times / 1e9 if timestamp is None else np.asarray(timestamp, float), {"units": "s"}),
    }
    return Table(columns)


def clock(timestamp):
    return Table({"timestamp": Array(np.asarray(timestamp, float))})


@pytest.fixture
def run(tmp_path):
    def run(tables, window_ns=0, **options):
        with lh5.Writer(tmp_path / "raw.lh5") as out:
            for name, table in tables.items():
                out.append(name, table)
        reports = build_tcm(tmp_path / "raw.lh5", tmp_path / "tcm.lh5", window_ns=window_ns, **options)
        return reports, {report.name: lh5.read(tmp_path / "tcm.lh5", report.name) for report in reports}

    return run


def events(table):
    keys, rows = table["table_key"], table["row_in_table"]
    return [list(zip(keys[i].tolist(), rows[i].tolist(), strict=True)) for i in range(len(keys))]


@pytest.mark.parametrize("cycle", ["20230322T160139Z", "20230322T170202Z"])
def test_real_physics_cycle_equals_the_stored_map(testdata, tmp_path, cycle):
    tier = testdata / "lh5/prod-ref-l200/generated/tier"
    name = f"phy/p03/r001/l200-p03-r001-phy-{cycle}"
    (report,) = build_tcm(tier / f"raw/{name}-tier_raw.lh5", tmp_path / "tcm.lh5", window_ns=0)
    assert (report.clock, report.n_channels, report.n_hits, report.n_events, report.n_coincident) == (
        "fpga",
        6,
        60,
        10,
        10,
    )
    assert report.warnings == []
    built = lh5.read(tmp_path / "tcm.lh5", "hardware_tcm_1")
    stored = lh5.read(tier / f"tcm/{name}-tier_tcm.lh5", "hardware_tcm_1")
    assert built.attrs == stored.attrs
    for column in ("table_key", "row_in_table"):
        np.testing.assert_array_equal(built[column].flattened_data, stored[column].flattened_data)
        np.testing.assert_array_equal(built[column].cumulative_length, stored[column].cumulative_length)


def test_same_input_gives_the_same_bytes(run, tmp_path):
    tables = {"ch0000001/raw": fpga([0, 100, 5000]), "ch0000002/raw": fpga([4, 5000])}
    run(tables)
    first = (tmp_path / "tcm.lh5").read_bytes()
    run(tables)
    assert (tmp_path / "tcm.lh5").read_bytes() == first


def test_ticks_keep_hits_apart_that_float_seconds_cannot(run):
    start = 1_700_000_000 * 10**9
    (report,), tcm = run({"ch0000001/raw": fpga([start]), "ch0000002/raw": fpga([start + 4])})
    assert report.clock == "fpga"
    assert events(tcm["hardware_tcm_1"]) == [[(1, 0)], [(2, 0)]]
    assert report.warnings == ["hardware_tcm_1: no event has more than one hit; is the window of 0 ns too short?"]


def test_a_restarted_clock_falls_back_to_timestamps(run):
    tables = {
        "ch0000001/raw": fpga([1000, 2000, 1000], [10.0, 11.0, 12.0]),
        "ch0000002/raw": fpga([1000], [12.0]),
    }
    (report,), tcm = run(tables)
    assert report.clock == "timestamp"
    assert events(tcm["hardware_tcm_1"]) == [[(1, 0)], [(1, 1)], [(1, 2), (2, 0)]]


def test_timestamps_are_used_where_a_channel_has_nothing_else(run):
    tables = {"ch0000001/raw": fpga([0], [1.5]), "ch0000002/raw": clock([1.5 + 3e-7, np.nan, 1.5, 9.0])}
    (report,), tcm = run(tables, 500)
    assert report.clock == "timestamp"
    assert events(tcm["hardware_tcm_1"]) == [[(1, 0), (2, 2), (2, 0)], [(2, 3)]]
    assert report.n_without_time == {"ch0000002/raw": 1}
    assert report.n_unsorted == {"ch0000002/raw": 1}
    assert report.warnings == [
        "hardware_tcm_1: ch0000002/raw: 1 hits without a time left out",
        "hardware_tcm_1: ch0000002/raw: 1 hits out of time order, sorted",
    ]


@pytest.mark.parametrize("tables", [{}, {"ch0000001/raw": fpga([]), "ch0000002/raw": fpga([])}])
def test_empty_files_and_channels_give_an_empty_map(run, tables):
    (report,), tcm = run(tables)
    assert (report.n_channels, report.n_empty_channels, report.n_hits, report.n_events) == (
        len(tables),
        len(tables),
        0,
        0,
    )
    assert events(tcm["hardware_tcm_1"]) == []
    assert tcm["hardware_tcm_1"].attrs["tables"] == str(list(tables))


def test_each_system_has_its_window_and_table(run):
    tables = {"ch1000001/raw": fpga([0, 1000]), "ch1000002/raw": fpga([8]), "ch2000001/raw": fpga([4, 1000])}
    reports, tcm = run(tables, {1: 100, 2: 2000})
    assert [(r.name, r.window_ns, r.n_events) for r in reports] == [
        ("hardware_tcm_1", 100, 2),
        ("hardware_tcm_2", 2000, 1),
    ]
    assert events(tcm["hardware_tcm_1"]) == [[(1000001, 0), (1000002, 0)], [(1000001, 1)]]
    assert events(tcm["hardware_tcm_2"]) == [[(2000001, 0), (2000001, 1)]]


@pytest.mark.parametrize(
    ("tables", "window_ns", "options", "message"),
    [
        (
            {"ch1000001/raw": fpga([0])},
            {2: 100},
            {},
            r"raw\.lh5: FlashCam id 1 has no coincidence window; .* for 2\. Add",
        ),
        (
            {"ch0000001/raw": Table({"x": Array(np.zeros(1))})},
            0,
            {},
            "ch0000001/raw has neither ts_pps and ts_ticks nor",
        ),
        ({"chan/raw": fpga([0])}, 0, {}, "table 'chan/raw' has no number, which would be its table key"),
        (
            {"ch1/raw": fpga([0]), "ch01/raw": fpga([0])},
            0,
            {},
            "tables 'ch01/raw' and 'ch1/raw' have the same number 1",
        ),
        (
            {"ch1/raw": clock([0]), "ch2/raw": Table({k: v for k, v in fpga([0]).items() if k != "timestamp"})},
            0,
            {},
            "ch2/raw: has no timestamp, but other tables of hardware_tcm_1 have no integer clock",
        ),
    ],
)
def test_errors_name_the_table(run, tables, window_ns, options, message):
    with pytest.raises(EventError, match=message):
        run(tables, window_ns, **options)
