from pathlib import Path

import numpy as np
import pytest

from pygama_core import lh5
from pygama_core.errors import ConfigError, EventError, LH5Error
from pygama_core.evt.tcm import build_tcm_from_times
from pygama_core.lh5 import Array, Scalar, Struct, Table, VectorOfVectors
from pygama_core.tiers.hit_to_evt import hit_to_evt

CONFIG = Path(__file__).resolve().parents[2] / "config" / "evt" / "evt.yaml"
TIMESTAMPS = ["20260101T000000Z", "20260101T010000Z", "20260101T020000Z"]


def write_cycle(directory, timestamp, times, tables):
    """Write the files of one cycle: table key -> hit times; (tier, table key) -> columns."""
    cycle = {t: directory / f"demo-p02-r007-cal-{timestamp}-tier_{t}.lh5" for t in ("tcm", "dsp", "hit")}
    tcm = build_tcm_from_times({key: np.array(rows, np.int64) for key, rows in times.items()}, 0)
    with lh5.Writer(cycle["tcm"]) as out:
        out.append("hardware_tcm_1", tcm.to_table([f"ch{key}/raw" for key in times]))
    for tier in ("dsp", "hit"):
        with lh5.Writer(cycle[tier]) as out:
            for (where, key), columns in tables.items():
                if where == tier:
                    out.append(f"ch{key}/{tier}", Table(columns))
    return cycle


def energies(*values):
    return {"e": Array(np.array(values, float), {"units": "keV"})}


SIMPLE = {
    "channels": {"geds": [1, 2]},
    "operations": {
        "i": {"channels": "geds", "aggregation_mode": "gather", "expression": "tcm.index"},
        "e": {"aggregation_mode": "keep_at_idx:evt.i", "expression": "hit.e"},
        "sum": {"channels": "geds", "aggregation_mode": "sum", "expression": "hit.e"},
        "trigger___first": {"channels": "geds", "aggregation_mode": "first_at:tcm.index", "expression": "hit.e"},
    },
}


def rows(column):
    return [np.asarray(column[i]).tolist() for i in range(len(column))]


def test_cycles_follow_each_other_and_empty_ones_are_counted(tmp_path):
    cycles = [
        write_cycle(tmp_path, TIMESTAMPS[0], {1: [], 2: []}, {("hit", 1): energies(), ("hit", 2): energies()}),
        write_cycle(
            tmp_path, TIMESTAMPS[1], {1: [5, 5, 9], 2: [5]}, {("hit", 1): energies(1, 2, 3), ("hit", 2): energies(9)}
        ),
        write_cycle(tmp_path, TIMESTAMPS[2], {1: [7], 2: [8]}, {("hit", 2): energies(6)}),
    ]
    report = hit_to_evt(cycles, tmp_path / "evt.lh5", config=SIMPLE)
    evt = lh5.read(tmp_path / "evt.lh5", "evt")
    assert rows(evt["i"]) == [[0, 1, 2], [3], [4], [5]]
    np.testing.assert_equal(rows(evt["e"]), [[1.0, 2.0, 9.0], [3.0], [np.nan], [6.0]])
    assert evt["e"].attrs == {"units": "keV"}
    assert evt.array("sum").tolist() == [12.0, 3.0, 0.0, 6.0]
    trigger = evt["trigger"]
    assert trigger.array("cycle").tolist() == [b"20260101T010000Z"] * 2 + [b"20260101T020000Z"] * 2
    assert trigger.array("period").tolist() == [2] * 4
    assert trigger.array("run").tolist() == [7] * 4
    assert list(report.n_events.values()) == [0, 2, 2]
    assert str(report) == "4 events of 6 hits in 3 cycles, 1 of them without events"
    assert report.warnings == [
        "demo-p02-r007-cal-20260101T000000Z-tier_tcm.lh5: no events",
        "hit.e: hits not counted: absent in demo-p02-r007-cal-20260101T020000Z-tier_tcm.lh5: ch0000001",
    ]


def test_a_run_without_events_has_all_columns_in_their_types(tmp_path):
    empty = write_cycle(tmp_path, TIMESTAMPS[0], {1: []}, {("hit", 1): {"e": Array(np.empty(0, np.float32))}})
    hit_to_evt([empty], tmp_path / "evt.lh5", config=SIMPLE)
    evt = lh5.read(tmp_path / "evt.lh5", "evt")
    assert evt.array("sum").dtype == np.float32
    assert evt["e"].flattened_data.dtype == np.float32
    assert sorted(evt["trigger"]) == ["cycle", "first", "period", "run"]
    assert evt.n_rows == 0


def test_types_do_not_depend_on_which_cycle_has_a_channel(tmp_path):
    ragged = {"e": VectorOfVectors.from_rows([[1.0, 2.0]], np.float32)}
    cycles = [
        write_cycle(tmp_path, TIMESTAMPS[0], {1: [3]}, {}),
        write_cycle(tmp_path, TIMESTAMPS[1], {1: [3]}, {("hit", 1): ragged}),
    ]
    gather = {"channels": "geds", "aggregation_mode": "gather", "expression": "hit.e"}
    hit_to_evt(cycles, tmp_path / "evt.lh5", config={"channels": {"geds": [1]}, "operations": {"e": gather}})
    e = lh5.read(tmp_path / "evt.lh5", "evt/e")
    assert e.cumulative_length.tolist() == [0, 1]
    assert e.flattened_data.flattened_data.tolist() == [1.0, 2.0]
    assert e.flattened_data.flattened_data.dtype == np.float32


def test_names_groups_and_file_names_without_a_cycle(tmp_path):
    cycle = write_cycle(tmp_path, TIMESTAMPS[0], {1: [3], 2: [3]}, {("hit", 1): energies(4), ("hit", 2): energies(5)})
    cycle["tcm"] = cycle["tcm"].rename(tmp_path / "tcm.lh5")
    sums = {"channels": ["a", "rest"], "aggregation_mode": "gather", "expression": "hit.e"}
    config = {"channels": {"rest": ["*"]}, "operations": {"e": sums}}
    hit_to_evt([cycle], tmp_path / "evt.lh5", config=config, channels={"a": ["V02"], "rest": []}, names={"V02": 2})
    assert rows(lh5.read(tmp_path / "evt.lh5", "evt/e")) == [[5.0, 4.0]]
    assert lh5.ls(tmp_path / "evt.lh5", "evt/*") == ["evt/e"]


def test_errors_name_the_file(tmp_path):
    cycle = write_cycle(tmp_path, TIMESTAMPS[0], {1: [3]}, {("hit", 1): energies(4)})
    out = tmp_path / "evt.lh5"
    with pytest.raises(EventError, match=r"evt\.lh5: 0 cycles, of which each needs a 'tcm' file"):
        hit_to_evt([], out, config=SIMPLE)
    with pytest.raises(ConfigError, match=r"event config: operations\.e: unknown name 'hit\.e'; .* \(dsp\.<column>\)"):
        hit_to_evt([{"tcm": cycle["tcm"], "dsp": cycle["dsp"]}], out, config=SIMPLE)
    with lh5.Writer(tmp_path / "other.lh5") as writer:
        writer.write("hardware_tcm_1", Scalar(1))
        writer.write("ch1/hit", Struct({"e": Array(np.zeros(1))}))
    other = tmp_path / "other.lh5"
    with pytest.raises(EventError, match=r"other\.lh5: hardware_tcm_1 is a Scalar, expected a time coincidence map"):
        hit_to_evt([cycle | {"tcm": other}], out, config=SIMPLE)
    with pytest.raises(EventError, match=r"other\.lh5: ch1/hit is a Struct, expected a table; remake the file"):
        hit_to_evt([cycle | {"hit": other}], out, config=SIMPLE)
    with pytest.raises(LH5Error, match=r"other\.lh5: no object 'absent'"):
        hit_to_evt([cycle | {"tcm": other}], out, config=SIMPLE, tcm_name="absent")
    assert not out.exists()


def test_the_real_run_gathers_its_light_like_the_stored_events(testdata, tmp_path):
    tier = testdata / "lh5/l200-truncated/generated/tier"
    name = "ant/p13/r001/l200-p13-r001-ant-20241210T225016Z-tier"
    cycle = {t: tier / t / f"{name}_{t}.lh5" for t in ("tcm", "dsp", "hit")}
    stored = lh5.read(tier / "evt" / f"{name}_evt.lh5", "evt")
    keys = stored["spms"]["rawid"][0].tolist()
    gather = {"channels": "spms", "aggregation_mode": "gather"}
    config = {
        "operations": {
            "spms___rawid": gather | {"expression": "tcm.table_key", "dtype": "uint32"},
            "spms___hit_idx": gather | {"expression": "tcm.row_in_table", "dtype": "uint32"},
            "spms___energy": gather | {"expression": "where(hit.is_valid_hit, hit.energy_in_pe, 0)", "reduce": "sum"},
            "spms___pulses": gather | {"expression": "hit.energy_in_pe"},
            "trigger___timestamp": gather | {"aggregation_mode": "first_at:tcm.index", "expression": "hit.timestamp"},
        }
    }
    report = hit_to_evt([cycle], tmp_path / "evt.lh5", config=config, channels={"spms": keys})
    evt = lh5.read(tmp_path / "evt.lh5", "evt")
    assert report.missing == {}
    for column in ("rawid", "hit_idx"):
        np.testing.assert_array_equal(evt["spms"][column].flattened_data, stored["spms"][column].flattened_data)
        np.testing.assert_array_equal(evt["spms"][column].cumulative_length, stored["spms"][column].cumulative_length)
    for column in ("timestamp", "period", "run", "cycle"):
        np.testing.assert_array_equal(evt["trigger"].array(column), stored["trigger"].array(column))
    pulses = [lh5.read(cycle["hit"], f"ch{key}/hit/energy_in_pe") for key in keys]
    event = evt["spms"]["pulses"][11]
    for place, column in enumerate(pulses):
        np.testing.assert_array_equal(event[place], column[11])
    # stored energies are the pulses above threshold in the trigger window: never more than all valid ones
    total = np.array([row.sum() for row in (evt["spms"]["energy"][i] for i in range(50))])
    assert (stored["spms"].array("energy_sum") <= total + 1e-3).all()


def test_shipped_configuration(tmp_path):
    def geds(energy, good):
        n = len(energy)
        return {
            "timestamp": Array(np.arange(n) + 0.5, {"units": "s"}),
            "trapEmax": Array(np.array(energy, float)),
            "trapEmax_cal": Array(np.array(energy, float) / 10, {"units": "keV"}),
            "is_calibrated": Array(np.ones(n, bool)),
            "quality": Array(np.where(good, 1, 3).astype(np.uint8), {"bit_names": "is_valid_baseline,is_saturated"}),
        }

    light = {
        "timestamp": Array(np.array([0.5])),
        "energy_in_pe": VectorOfVectors.from_rows([[3.0, 9.0, 0.1]], float),
        "trigger_pos": VectorOfVectors.from_rows([[31000.0, 50000.0, 31000.0]], float),
        "is_valid_hit": VectorOfVectors.from_rows([[True, True, False]], bool),
    }
    puls = {"timestamp": Array(np.array([1.5])), "is_pulser": Array(np.array([True]))}
    times = {1: [10, 20, 30], 2: [10, 20], 3: [10], 4: [20]}
    tables = {
        ("hit", 1): geds([5000, 10, 700], [True, True, True]),
        ("hit", 2): geds([9000, 800], [True, False]),
        ("hit", 3): light,
        ("hit", 4): puls,
    }
    cycle = write_cycle(tmp_path, TIMESTAMPS[0], times, tables)
    report = hit_to_evt(
        [cycle], tmp_path / "evt.lh5", config=CONFIG, channels={"geds": [1, 2], "spms": [3], "puls": [4]}
    )
    evt = lh5.read(tmp_path / "evt.lh5", "evt")
    assert report.warnings == []
    assert rows(evt["geds"]["energy"]) == [[900.0, 500.0], [80.0], [70.0]]
    assert rows(evt["geds"]["rawid"]) == [[2, 1], [2], [1]]
    assert evt["geds"]["energy"].attrs["units"] == evt["geds"]["energy_sum"].attrs["units"] == "keV"
    assert evt["geds"]["quality"].attrs["bit_names"] == "is_valid_baseline,is_saturated"
    assert evt["geds"].array("energy_sum").tolist() == [1400.0, 80.0, 70.0]
    assert evt["geds"].array("multiplicity").tolist() == [2, 1, 1]
    assert evt["geds"].array("is_good").tolist() == [True, False, True]
    assert evt["coincident"].array("puls").tolist() == [False, True, False]
    assert evt["coincident"].array("spms").tolist() == [True, False, False]
    assert rows(evt["spms"]["energy"]) == [[3.0], [], []]
    assert evt["spms"].array("multiplicity").tolist() == [1, 0, 0]
    assert evt["trigger"].array("timestamp").tolist() == [0.5, 1.5, 2.5]


def test_shipped_configuration_without_a_channel_map(tmp_path):
    columns = {"timestamp": Array(np.array([4.0])), "trapEmax": Array(np.array([500.0]))}
    rest = {
        "trapEmax_cal": Array(np.array([np.nan])),
        "is_calibrated": Array(np.array([False])),
        "quality": Array(np.array([1], np.uint8)),
    }
    cycle = write_cycle(tmp_path, TIMESTAMPS[0], {1: [3]}, {("hit", 1): columns | rest})
    hit_to_evt([cycle], tmp_path / "evt.lh5", config=CONFIG, channels={"default": []})
    assert lh5.read(tmp_path / "evt.lh5", "evt/geds").array("multiplicity").tolist() == [1]
