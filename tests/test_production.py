"""Which parameters are valid when; which files belong to a cycle."""

import pytest

from pygama_core.errors import ConfigError
from pygama_core.filekey import CycleKey
from pygama_core.production import Production
from pygama_core.settings import Config

KEYS = [
    "x-p01-r001-cal-20240101T000000Z",
    "x-p01-r001-cal-20240101T010000Z",
    "x-p01-r002-cal-20240108T000000Z",
    "x-p01-r001-phy-20240102T000000Z",
    "x-p01-r000-phy-20231231T000000Z",
]


@pytest.fixture
def production():
    config = Config.model_validate({"paths": {"daq": "daq"}, "dsp": {}, "hit": {}})
    return Production(config, {CycleKey.parse(key): f"{key}.fcio" for key in KEYS})


@pytest.mark.parametrize(
    ("timestamp", "run"),
    [
        ("20240101T000000Z", "r001"),
        ("20240107T235959Z", "r001"),
        ("20240108T000000Z", "r002"),
        ("20300101T000000Z", "r002"),
    ],
)
def test_the_latest_calibration_run_is_valid(production, timestamp, run):
    assert production.parameter_files("dsp", timestamp) == [
        f"generated/par/dsp/cal/p01/{run}/x-p01-{run}-cal-par_dsp.yaml"
    ]


def test_nothing_is_valid_before_the_first_calibration(production):
    assert production.parameter_files("hit", "20231231T000000Z") == []


def test_overrides_come_last(tmp_path):
    (tmp_path / "hit").mkdir()
    (tmp_path / "hit" / "fix.yaml").write_text("V01: {}\n")
    (tmp_path / "hit" / "validity.yaml").write_text("- {valid_from: 20240103T000000Z, apply: [fix.yaml]}\n")
    paths = {"daq": "daq", "overrides": str(tmp_path)}
    config = Config.model_validate({"paths": paths, "dsp": {}, "hit": {}})
    production = Production(config, {CycleKey.parse(key): key for key in KEYS})
    assert len(production.parameter_files("hit", "20240102T000000Z")) == 1
    assert production.parameter_files("hit", "20240103T000000Z")[1:] == [str(tmp_path / "hit" / "fix.yaml")]
    assert len(production.parameter_files("dsp", "20240103T000000Z")) == 1


def test_runs_hold_their_cycles_in_time_order(production):
    assert [str(key) for key in production.run("x-p01-r001-cal")] == KEYS[:2]
    assert production.tier_file("raw", production.cycle(KEYS[3])) == (
        f"generated/tier/raw/phy/p01/r001/{KEYS[3]}-tier_raw.lh5"
    )
    assert production.daq_file(production.cycle(KEYS[0])) == f"daq/{KEYS[0]}.fcio"


def test_unknown_names_are_errors(production):
    with pytest.raises(ConfigError, match="cycle x-p01-r009-cal-20240101T000000Z has no DAQ file"):
        production.cycle("x-p01-r009-cal-20240101T000000Z")
    with pytest.raises(ConfigError, match="run x-p01-r009-cal has no DAQ files"):
        production.run("x-p01-r009-cal")
