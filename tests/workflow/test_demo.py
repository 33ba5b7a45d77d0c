"""The built-in experiment from nothing to events, compared with its truth; then what a change redoes."""

import numpy as np
import pytest
import yaml
from production import copy_config
from test_dag import job_counts

from pygama_core import lh5

pytestmark = pytest.mark.workflow
FEP = 2614.511
DETECTORS = ("V01", "V02", "V03", "V04", "V05")


@pytest.fixture(scope="module")
def demo(tmp_path_factory, repository, run_snakemake):
    directory = tmp_path_factory.mktemp("demo")
    copy_config(repository, directory)
    run_snakemake("all_evt", directory=directory)
    return directory


def evt_file(demo, datatype, run):
    return demo / f"generated/tier/evt/{datatype}/p01/{run}/demo-p01-{run}-{datatype}-tier_evt.lh5"


def truth_files(demo, datatype, run):
    return sorted((demo / f"generated/daq/{datatype}/p01/{run}").glob("*-truth.lh5"))


def test_second_call_has_nothing_to_do(demo, run_snakemake):
    assert "Nothing to be done" in run_snakemake("all_evt", directory=demo).stdout


@pytest.mark.parametrize("run", ["r001", "r002"])
@pytest.mark.parametrize("datatype", ["cal", "phy"])
def test_every_recorded_event_is_there(demo, datatype, run):
    evt = lh5.read(evt_file(demo, datatype, run), "evt")
    n_recorded = 0
    for path in truth_files(demo, datatype, run):
        events = lh5.read(path, "truth/events")
        n_recorded += np.count_nonzero(~events.array("is_discarded").astype(bool))
    assert evt.n_rows == n_recorded
    timestamps = evt["trigger"].array("timestamp")
    assert np.all(np.diff(timestamps) > 0)


@pytest.mark.parametrize("run", ["r001", "r002"])
def test_pole_zero_constants_equal_the_amplifiers(demo, run):
    parameters = yaml.safe_load((demo / f"generated/par/dsp/cal/p01/{run}/demo-p01-{run}-cal-par_dsp.yaml").read_text())
    for name in DETECTORS:
        truth = lh5.read(truth_files(demo, "cal", run)[0], f"truth/detectors/{name}")["tau"].value
        found = float(parameters[name]["pz"]["tau1"].removesuffix("*ns"))
        assert parameters[name]["status"]["pz"] == "valid"
        assert found == pytest.approx(truth, rel=5e-4)


@pytest.mark.parametrize("run", ["r001", "r002"])
def test_resolution_equals_the_simulated_one(demo, run):
    parameters = yaml.safe_load((demo / f"generated/par/hit/cal/p01/{run}/demo-p01-{run}-cal-par_hit.yaml").read_text())
    pulls = []
    for name in DETECTORS:
        truth = lh5.read(truth_files(demo, "cal", run)[0], f"truth/detectors/{name}")["fwhm_2614"].value
        assert parameters[name]["status"]["ecal_trapEmax"] == "valid"
        curve = parameters[name]["results"]["ecal"]["trapEmax_cal"]["eres_linear"]
        found, error = curve["FEP_fwhm_in_keV"], curve["FEP_fwhm_err_in_keV"]
        # electronics noise, at most 0.5 keV FWHM, comes on top of the detector's own resolution
        expected = np.hypot(truth, 0.3)
        pulls.append((found - expected) / np.hypot(error, 0.05))
        print(f"{run} {name}: FWHM at {FEP} keV {found:.3f} +- {error:.3f} keV, simulated {truth:.3f} keV")
    assert np.max(np.abs(pulls)) < 4
    assert abs(np.mean(pulls)) < 1.5


def test_full_energy_peak_is_where_it_belongs(demo):
    for run in ("r001", "r002"):
        evt = lh5.read(evt_file(demo, "cal", run), "evt")
        single = evt["geds"].array("multiplicity") == 1
        energies = evt["geds"]["energy"].rows(single).flattened_data
        peak = energies[np.abs(energies - FEP) < 3]
        assert len(peak) > 1000
        assert np.median(peak) == pytest.approx(FEP, abs=0.15)


def test_pulser_is_tagged_in_every_event(demo):
    for datatype, run in (("cal", "r001"), ("phy", "r002")):
        evt = lh5.read(evt_file(demo, datatype, run), "evt")
        is_pulser = []
        for path in truth_files(demo, datatype, run):
            events = lh5.read(path, "truth/events")
            recorded = ~events.array("is_discarded").astype(bool)
            is_pulser.append(events.array("type")[recorded] == 1)
        np.testing.assert_array_equal(evt["coincident"].array("puls"), np.concatenate(is_pulser))


def test_energies_of_physics_runs_use_the_calibration_before(demo):
    evt = lh5.read(evt_file(demo, "phy", "r002"), "evt")
    pulser = evt["geds"]["energy"].rows(evt["coincident"].array("puls")).flattened_data
    assert np.median(pulser) == pytest.approx(2800, abs=1)
    assert np.all(evt["geds"]["is_calibrated"].flattened_data)


def test_absent_detector_is_missing_in_its_cycle_only(demo):
    directory = demo / "generated/tier/hit/cal/p01/r002"
    found = {path.name: lh5.exists(path, "ch1104004/hit") for path in directory.glob("*.lh5")}
    assert sorted(found.values()) == [False, True]


def test_outputs_say_what_made_them(demo):
    for path in (demo / "generated/tier").rglob("*.lh5"):
        provenance = lh5.read(path, "provenance")
        assert provenance["version"].value
        assert provenance["inputs"].value


def test_one_tier_of_one_run(demo, run_snakemake):
    target = str(evt_file(demo, "phy", "r001").relative_to(demo))
    assert job_counts(run_snakemake("-n", target, "-R", "hit", directory=demo)) == {"hit": 3, "evt": 1, "total": 4}
    assert job_counts(run_snakemake("-n", target, "-R", "dsp_phy", directory=demo)) == {
        "dsp_phy": 3,
        "hit": 3,
        "evt": 1,
        "total": 7,
    }


def test_changed_configuration_redoes_what_depends_on_it(demo, run_snakemake):
    path = demo / "config/dsp/geds.yaml"
    text = path.read_text()
    path.touch()
    assert "Nothing to be done" in run_snakemake("-n", "all_evt", directory=demo).stdout
    path.write_text(text + "# changed\n")
    try:
        counts = job_counts(run_snakemake("-n", "all_evt", directory=demo))
    finally:
        path.write_text(text)
    assert {name: counts.get(name) for name in ("dsp_cal", "dsp_phy", "par_hit", "hit", "evt")} == {
        "dsp_cal": 4,
        "dsp_phy": 6,
        "par_hit": 2,
        "hit": 10,
        "evt": 4,
    }
    assert not {"simulate", "raw_cal", "raw_phy", "tcm", "par_dsp"} & set(counts)


def test_lost_file_is_made_again(demo, run_snakemake):
    path = next((demo / "generated/tier/tcm/phy/p01/r001").glob("*.lh5"))
    before = path.read_bytes()
    path.unlink()
    evt_file(demo, "phy", "r001").unlink()
    counts = job_counts(run_snakemake("all_evt", directory=demo))
    assert counts == {"tcm": 1, "evt": 1, "all_evt": 1, "total": 3}
    assert path.read_bytes() == before
