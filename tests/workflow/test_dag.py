"""What would be done: dry-runs, targets, and configuration errors that name the key."""

import re

import pytest
import yaml

CYCLES = {"cal": 4, "phy": 6}


def job_counts(done) -> dict[str, int]:
    return {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", done.stdout, re.MULTILINE)}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("all_raw", {"raw_cal": 4, "raw_phy": 6, "simulate": 10}),
        ("all_tcm", {"tcm": 10}),
        ("all_dsp", {"dsp_cal": 4, "dsp_phy": 6, "par_dsp": 2}),
        ("all_hit", {"hit": 10, "par_hit": 2, "par_validity": 2}),
        ("all_evt", {"evt": 4, "hit": 10, "tcm": 10}),
    ],
)
def test_targets_of_the_built_in_experiment(snakemake, target, expected):
    counts = job_counts(snakemake("-n", target))
    assert {name: counts.get(name) for name in expected} == expected
    assert ("evt" in counts) == (target == "all_evt")


def test_selection_keeps_the_calibration_that_is_needed(snakemake):
    counts = job_counts(snakemake("-n", "all_evt", "--config", "select={runs: [r002], datatypes: [cal]}"))
    assert counts["simulate"] == 2
    assert counts["evt"] == 1


def write_config(path, **changes):
    config = {"paths": {"daq": "daq"}, "dsp": {}, "hit": {}, **changes}
    path.write_text(yaml.safe_dump(config))
    return str(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tcm": {"window": 5}}, "'window' was unexpected"),
        ({"trimings": {}}, "'trimings' was unexpected"),
        ({"tcm": {"window_ns": "long"}}, r"On instance\['tcm'\]\['window_ns'\]"),
        ({"dsp": {"geds": "missing.yaml"}}, "dsp.geds: no file 'missing.yaml'"),
        ({"paths": {"daq": "nowhere"}}, "paths.daq: .*nowhere is not a directory"),
        ({"daq": {"files": {"a": "b"}}}, r"daq.files: b not found below"),
        ({"daq": {"pattern": "{key}.fcio"}}, r"unknown fields \['key'\]"),
        ({}, "no DAQ cycle to process: 0 files below"),
    ],
)
def test_wrong_configuration_is_named(snakemake, tmp_path, changes, message):
    (tmp_path / "daq").mkdir()
    done = snakemake("-n", "--configfile", write_config(tmp_path / "c.yaml", **changes), expect=1)
    assert re.search(message, done.stdout), done.stdout


def test_user_configuration_replaces_the_demo(snakemake, tmp_path):
    run = tmp_path / "daq" / "cal" / "p01" / "r003"
    run.mkdir(parents=True)
    for name in ("x-p01-r003-cal-20240101T000000Z.fcio", "x-p01-r003-cal-20240101T010000Z.fcio.gz", "notes.txt"):
        (run / name).touch()
    counts = job_counts(snakemake("-n", "all_evt", "--configfile", write_config(tmp_path / "c.yaml")))
    assert counts["raw_cal"] == 2
    assert "simulate" not in counts


def test_schema_is_generated_from_the_settings(repository):
    from pygama_core.settings import schema_text

    path = repository / "workflow" / "schemas" / "config.schema.yaml"
    assert path.read_text() == schema_text(), "run `pygama-core schema` and commit the result"
