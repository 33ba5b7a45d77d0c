import math
from pathlib import Path

import numpy as np
import pytest

from pygama_core import lh5
from pygama_core.errors import ConfigError
from pygama_core.hit.config import load_mapping, parse_hit_config
from pygama_core.hit.operations import plan_hit, run_hit
from pygama_core.lh5 import Array, Table, VectorOfVectors
from pygama_core.tiers.dsp_to_hit import dsp_to_hit

CONFIGS = Path(__file__).resolve().parents[2] / "config" / "hit"
GEDS = {
    "outputs": ["e_cal", "ok"],
    "operations": {
        "e_cal": {
            "expression": "a + b*e",
            "parameters": {"a": math.nan, "b": math.nan},
            "lgdo_attrs": {"units": "keV"},
        },
        "ok": {"expression": "lq < 1", "optional": True},
    },
}


@pytest.fixture
def dsp_file(tmp_path):
    path = tmp_path / "dsp.lh5"
    with lh5.Writer(path) as out:
        out.append("ch0000001/dsp", Table({"e": Array(np.arange(3.0))}))
        out.append("ch0000002/dsp", Table({"e": Array(np.empty(0)), "lq": Array(np.empty(0))}))
        out.append("ch0000003/dsp", Table({"p": VectorOfVectors.from_rows([[1.0, 2.0], []], float)}))
        out.append("ch0000004/dsp", Table({"e": Array(np.zeros(1))}))
    return path


def test_every_channel_is_made_or_named(dsp_file, tmp_path):
    hit_file = tmp_path / "hit.lh5"
    parameters = {
        "ch0000001": {
            "pars": {"operations": {"e_cal": {"parameters": {"a": 1.0, "b": 2.0}}}},
            "results": {"fwhm": 2.5},
        },
        "ch0000004": {"operations": {"e_cal": {"expression": "a + b*missing"}}},
        "ch0000009": {},
    }
    configs = {"ch0000003": {"operations": {"pe": {"expression": "2*p"}}}, "ch000000[124]": GEDS}
    report = dsp_to_hit(dsp_file, hit_file, configs=configs, parameters=parameters)
    assert lh5.ls(hit_file, "ch*/*") == ["ch0000001/hit", "ch0000002/hit", "ch0000003/hit"]
    energy = lh5.read(hit_file, "ch0000001/hit/e_cal")
    assert energy.values.tolist() == [1.0, 3.0, 5.0]
    assert energy.attrs == {"units": "keV"}
    assert lh5.read(hit_file, "ch0000003/hit/pe").flattened_data.tolist() == [2.0, 4.0]
    assert sorted(lh5.read(hit_file, "ch0000002/hit")) == ["e_cal", "ok"]
    assert report.n_rows == {"ch0000001": 3, "ch0000002": 0, "ch0000003": 2}
    assert report.uncalibrated == {"ch0000002": ("e_cal.a", "e_cal.b")}
    assert report.skipped == {"ch0000001": {"ok": "lq is absent"}}
    assert report.without_parameters == ("ch0000002", "ch0000003")
    assert report.absent == ("ch0000009",)
    assert "operations.e_cal: ch0000004/dsp: 'missing' in" in report.failed["ch0000004"]
    assert [text[:21] for text in report.warnings] == [
        "ch0000004: left out: ",
        "ch0000009: parameters",
        "ch0000002: uncalibrat",
        "ch0000001: ok skipped",
    ]


def test_channels_without_a_configuration_are_named(dsp_file, tmp_path):
    report = dsp_to_hit(dsp_file, tmp_path / "hit.lh5", configs={"ch0000001": GEDS})
    assert report.not_configured == ("ch0000002", "ch0000003", "ch0000004")
    assert report.warnings[0] == "ch0000002: left out: no hit configuration"


def test_a_missing_configuration_stops_before_anything_is_written(dsp_file, tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        dsp_to_hit(dsp_file, tmp_path / "hit.lh5", configs={"*": tmp_path / "none.yaml"})
    assert not (tmp_path / "hit.lh5").exists()


def test_a_real_cycle_is_recomputed(testdata, tmp_path):
    tier = testdata / "lh5/prod-ref-l200/generated/tier"
    name = "phy/p03/r001/l200-p03-r001-phy-20230322T170202Z-tier"
    dsp, stored = tier / f"dsp/{name}_dsp.lh5", tier / f"hit/{name}_hit.lh5"
    linear = lh5.read(dsp, "ch1084803/dsp/cuspEmax").values.astype(float)
    config = {
        "outputs": ["timestamp", "energy", "energy_in_pe", "is_valid_hit"],
        "operations": {
            "energy": {"expression": "a + b*cuspEmax", "parameters": {"a": -0.5, "b": 0.15}, "optional": True},
            "energy_in_pe": {"expression": "a*energies + b", "parameters": {"a": 1.0, "b": 0.0}, "optional": True},
            "is_valid_hit": {"expression": "energy_in_pe > 0.5", "optional": True},
        },
    }
    report = dsp_to_hit(dsp, tmp_path / "hit.lh5", configs={"*": config})
    assert report.n_rows == dict.fromkeys([t[:9] for t in lh5.ls(stored, "ch*/hit")], 10)
    np.testing.assert_array_equal(lh5.read(tmp_path / "hit.lh5", "ch1084803/hit/energy").values, linear * 0.15 - 0.5)
    pulses = lh5.read(tmp_path / "hit.lh5", "ch1057600/hit")
    np.testing.assert_array_equal(pulses.array("is_valid_hit"), pulses.array("energy_in_pe") > 0.5)
    for table in lh5.ls(stored, "ch*/hit"):
        time = lh5.read(tmp_path / "hit.lh5", f"{table}/timestamp")
        np.testing.assert_array_equal(time.values, lh5.read(stored, f"{table}/timestamp").values)
        assert time.attrs == {"units": "s"}


def run_config(name, columns):
    parsed = parse_hit_config(load_mapping(CONFIGS / f"{name}.yaml", "")[1], f"{name}.yaml")
    n_rows = len(next(iter(columns.values())))
    plan = plan_hit(parsed, columns, "ch1/dsp")
    return plan, run_hit(plan, columns, n_rows, "ch1/dsp")


def test_geds_configuration_tells_pulses_apart():
    # a good pulse, a restless baseline, an overflow, a discharge, a negative pulse, noise
    columns = {
        "timestamp": [0.0, 1, 2, 3, 4, 5],
        "eventnumber": [0, 1, 2, 3, 4, 5],
        "bl_mean": [15000.0] * 6,
        "bl_std": [8.0, 8, 8, 8, 8, 8],
        "bl_slope": [0.0, -0.9, 0, 0, 0, 0],
        "wf_max": [25000.0, 25000, 65520, 15030, 15030, 15030],
        "wf_min": [14970.0, 14970, 14970, 0, 10000, 14965],
        "n_sat_hi": [0, 0, 9, 0, 0, 0],
        "n_sat_lo": [0, 0, 0, 9, 0, 0],
        "trapEmax": [10000.0, 10000, 50000, 0, 0, 5],
        "A_max": [500.0, 500, 500, 1, 1, 1],
    }
    plan, table = run_config("geds", {name: Array(np.array(values)) for name, values in columns.items()})
    assert table.array("quality").tolist() == [1, 0, 3, 13, 9, 1]
    assert table.array("is_good").tolist() == [True, False, False, False, False, True]
    assert table["quality"].attrs["bit_names"] == "is_valid_baseline,is_saturated,is_discharge,is_negative"
    assert np.isnan(table.array("trapEmax_cal")).all()
    assert not table.array("is_calibrated").any()
    assert table.array("AoE")[0] == 0.05
    assert set(plan.skipped) == {"dt_eff", "tp_0_est"}


def test_pulser_and_light_configurations():
    columns = {"timestamp": Array(np.arange(2.0)), "trapTmax": Array(np.array([2.0, 5000.0]))}
    assert run_config("puls", columns)[1].array("is_pulser").tolist() == [False, True]
    ragged = {name: VectorOfVectors.from_rows([[], [20.0, 60.0]], float) for name in ("energies", "trigger_pos")}
    _, table = run_config("spms", {"timestamp": columns["timestamp"], **ragged})
    assert [table["is_valid_hit"][i].tolist() for i in range(2)] == [[], [False, True]]


def test_a_configuration_that_suits_no_channel_is_an_error(dsp_file, tmp_path):
    with pytest.raises(ConfigError, match=r"all 4 channels of hit config '\*' fail; the first: .*missing"):
        dsp_to_hit(dsp_file, tmp_path / "hit.lh5", configs={"*": {"operations": {"y": {"expression": "2*missing"}}}})
    with pytest.raises(ConfigError, match=r"none of its 4 channels .*there are configurations for no channel"):
        dsp_to_hit(dsp_file, tmp_path / "hit.lh5", configs={})
    assert not (tmp_path / "hit.lh5").exists()
