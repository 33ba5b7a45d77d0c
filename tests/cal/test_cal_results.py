import numpy as np
import pytest
from th228_spectra import th228

from pygama_core.cal.energy import calibrate_energy
from pygama_core.cal.pole_zero import fit_decay_time
from pygama_core.cal.results import energy_entry, pole_zero_entry, skipped_entry, write_parameters
from pygama_core.errors import CalibrationError
from pygama_core.expression import Expression
from pygama_core.par.database import read_file, read_parameters

ENERGIES = 4.0 * th228(np.random.default_rng(1), 20_000)


@pytest.fixture(scope="module")
def calibration():
    return calibrate_energy(ENERGIES)


def run(operation, **columns):
    return Expression(operation["expression"], where="test").evaluate({**columns, **operation["parameters"]})


def test_calibrated_detector(calibration, tmp_path):
    failed = CalibrationError("0 of 3 events")
    write_parameters(
        tmp_path / "par.yaml", {"V01": energy_entry({"trapEmax": calibration, "cuspEmax": failed})}, {"version": "1"}
    )
    assert read_file(tmp_path / "par.yaml").provenance == {"version": "1"}
    entry = read_parameters([tmp_path / "par.yaml"])["V01"]
    operations = entry["pars"]["operations"]
    adc = np.array([0.0, 4 * 2614.511, np.nan])
    np.testing.assert_allclose(run(operations["trapEmax_cal"], trapEmax=adc), [0, 2614.511, np.nan], rtol=1e-4)
    assert np.isnan(run(operations["cuspEmax_cal"], cuspEmax=adc)).all()
    assert run(operations["is_calibrated"], trapEmax=adc).tolist() == [True, True, False]
    assert entry["status"] == {"ecal_cuspEmax": "uncalibrated: 0 of 3 events", "ecal_trapEmax": "valid"}
    ecal = entry["results"]["ecal"]["trapEmax_cal"]
    assert ecal["eres_linear"]["Qbb_fwhm_in_keV"] == pytest.approx(calibration.qbb_fwhm[0])
    assert set(ecal["fitted_peaks"]) == set(ecal["pk_fits"])
    assert ecal["pk_fits"][2614.511]["fwhm_in_keV"] == pytest.approx(2.65, abs=0.2)


def test_uncalibrated_detector_gives_nan_and_says_so(tmp_path):
    entry = energy_entry({"trapEmax": CalibrationError("50 of 50 events")})
    write_parameters(tmp_path / "par.yaml", {"V01": entry}, {})
    entry = read_parameters([tmp_path / "par.yaml"])["V01"]
    operations = entry["pars"]["operations"]
    adc = np.array([0.0, 100.0, np.nan])
    assert np.isnan(run(operations["trapEmax_cal"], trapEmax=adc)).all()
    assert run(operations["is_calibrated"], trapEmax=adc).tolist() == [False, False, False]
    assert entry["status"] == {"ecal_trapEmax": "uncalibrated: 50 of 50 events"}
    assert entry["results"] == {"ecal": {}}


def test_without_estimators():
    with pytest.raises(CalibrationError, match="no energy estimators given"):
        energy_entry({})


def test_pole_zero_entries():
    found = fit_decay_time(np.random.default_rng(1).normal(-1e-4, 1e-6, 1000), 16.0)
    entry = pole_zero_entry(found)
    assert entry["pz"]["tau1"] == f"{found.tau:.10g}*ns"
    assert float(entry["pz"]["tau1"].removesuffix("*ns")) == pytest.approx(1.6e5, rel=1e-3)
    assert entry["status"] == {"pz": "valid"}
    assert pole_zero_entry(CalibrationError("why")) == {"status": {"pz": "failed: why"}}
    assert skipped_entry("pz", "no cal data") == {"status": {"pz": "skipped: no cal data"}}


def test_the_same_input_gives_the_same_bytes(calibration, tmp_path):
    for name in ("a.yaml", "b.yaml"):
        write_parameters(tmp_path / name, {"V01": energy_entry({"trapEmax": calibrate_energy(ENERGIES)})}, {})
    assert (tmp_path / "a.yaml").read_bytes() == (tmp_path / "b.yaml").read_bytes()
    assert "numpy" not in (tmp_path / "a.yaml").read_text()
