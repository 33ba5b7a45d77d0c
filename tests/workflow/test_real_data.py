"""The public DAQ files from the DAQ to events, against the golden values of the format sheets."""

import numpy as np
import pytest
import yaml

from pygama_core import lh5

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def production(tmp_path_factory, repository, testdata, run_snakemake):
    """Return a function that runs one of the real configurations once and gives its `generated` directory."""
    made = {}

    def run(name, daq):
        if name not in made:
            directory = tmp_path_factory.mktemp(name)
            config = yaml.safe_load((repository / "config" / f"{name}.yaml").read_text())
            config["paths"] = {"daq": str(daq), "generated": "generated"}
            (directory / "my.yaml").write_text(yaml.safe_dump(config))
            run_snakemake("all_evt", "--configfile", "my.yaml", directory=directory)
            made[name] = directory / "generated"
        return made[name]

    return run


# configuration, DAQ directory, run, datatype, events, waveforms, sum of all samples, first timestamp
GOLDEN = [
    ("real-th228", "fcio", "bench-p01-r001-cal", 1000, 1000, 24249924008, 1537868606.8168504),
    ("real-l200", "", "l200-p06-r007-cal", 2, 246, 30708246173, 1690316548.395336),
    ("real-l200", "", "l200-p00-r000-phy", 12, 67, 9299719129, 1652986635.9839299),
    ("real-l200", "", "l200-p13-r007-aph", 1, 61, 946781452, None),
]


@pytest.mark.parametrize(("name", "daq", "run", "n_events", "n_waveforms", "total", "first"), GOLDEN)
def test_daq_to_events(production, testdata, name, daq, run, n_events, n_waveforms, total, first):
    generated = production(name, testdata / daq)
    _, period, number, datatype = run.split("-")
    directory = f"{datatype}/{period}/{number}"
    raw = next((generated / "tier/raw" / directory).glob("*.lh5"))
    tables = lh5.ls(raw, "ch*/raw")
    columns = [lh5.read(raw, table, columns=["timestamp", "waveform/values"]) for table in tables]
    assert sum(table.n_rows for table in columns) == n_waveforms
    assert sum(int(table["waveform"].array("values").sum(dtype=np.int64)) for table in columns) == total
    if first is not None:
        assert min(table.array("timestamp").min() for table in columns if table.n_rows) == first
    hit = next((generated / "tier/hit" / directory).glob("*.lh5"))
    assert sum(lh5.n_rows(hit, table) for table in lh5.ls(hit, "ch*/hit")) == n_waveforms
    evt = lh5.read(generated / f"tier/evt/{directory}/{run}-tier_evt.lh5", "evt")
    assert evt.n_rows == n_events
    assert not evt["geds"]["is_calibrated"].flattened_data.any()


def test_uncalibrated_runs_say_why(production, testdata):
    generated = production("real-th228", testdata / "fcio")
    path = generated / "par/hit/cal/p01/r001/bench-p01-r001-cal-par_hit.yaml"
    status = yaml.safe_load(path.read_text())["ch0000000"]["status"]["ecal_trapEmax"]
    assert status.startswith("uncalibrated: ")
    evt = lh5.read(generated / "tier/evt/cal/p01/r001/bench-p01-r001-cal-tier_evt.lh5", "evt")
    assert np.all(np.isnan(evt["geds"]["energy"].flattened_data))


def test_decay_time_is_found_in_real_waveforms(production, testdata):
    generated = production("real-th228", testdata / "fcio")
    path = generated / "par/dsp/cal/p01/r001/bench-p01-r001-cal-par_dsp.yaml"
    entry = yaml.safe_load(path.read_text())["ch0000000"]
    assert entry["status"]["pz"] == "valid"
    assert 20e3 < float(entry["pz"]["tau1"].removesuffix("*ns")) < 1e6


def test_daq_files_are_untouched(production, testdata):
    production("real-th228", testdata / "fcio")
    assert sorted(path.name for path in (testdata / "fcio").iterdir()) == [
        "l200-p06-r007-cal-20230725T202227Z.fcio",
        "th228.fcio",
    ]
