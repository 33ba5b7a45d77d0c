import h5py
import numpy as np
import pytest
from th228_spectra import TAIL_FRACTION, TAIL_LENGTH, fwhm, line, th228

from pygama_core.cal.energy import EnergyCalibrationSettings, calibrate_energy, fit_energy_scale
from pygama_core.cal.lines import TH228_LINES
from pygama_core.cal.peak_shapes import line_profile
from pygama_core.cal.resolution import fit_resolution
from pygama_core.errors import CalibrationError

FEP, QBB = 2614.511, 2039.061


def true_fwhm(energy):
    sigma = float(fwhm(energy)) / 2.35482
    return line_profile(energy, sigma, TAIL_FRACTION, TAIL_LENGTH * sigma).fwhm


@pytest.mark.parametrize(("n_events", "scale"), [(6000, 0.05), (6000, 20.0), (20_000, 1.0), (100_000, 8.2)])
def test_closure(n_events, scale):
    found = calibrate_energy(scale * th228(np.random.default_rng(11), n_events))
    assert found.scale.gain * scale == pytest.approx(1.0, abs=1e-4 if n_events < 1e4 else 4e-5)
    for energy, (value, error) in ((FEP, found.fep_fwhm), (QBB, found.qbb_fwhm)):
        assert abs(value - true_fwhm(energy)) < 3.5 * error
        assert error < 0.15
    for peak in found.peaks:
        if peak.fit is not None:
            assert abs(peak.residual) < 4 * peak.residual_err + 0.05


def test_pulls():
    rng = np.random.default_rng(12)
    found = [calibrate_energy(th228(rng, 20_000) * rng.uniform(0.1, 10)) for _ in range(30)]
    width = np.array([(result.qbb_fwhm[0] - true_fwhm(QBB)) / result.qbb_fwhm[1] for result in found])
    fep = np.array([(result.fep_fwhm[0] - true_fwhm(FEP)) / result.fep_fwhm[1] for result in found])
    assert abs(np.mean(width)) < 0.7
    assert 0.75 < np.std(width) < 1.3
    assert 0.75 < np.std(fep) < 1.3


def test_gain_pulls():
    rng = np.random.default_rng(13)
    settings = EnergyCalibrationSettings(scale_lines=(FEP,))
    found = [calibrate_energy(th228(rng, 6000), settings).scale for _ in range(30)]
    pulls = np.array([(scale.gain - 1.0) / np.sqrt(scale.covariance[1, 1]) for scale in found])
    assert abs(np.mean(pulls)) < 0.6  # the mode of the tailed line lies 0.018 keV below its energy
    assert 0.75 < np.std(pulls) < 1.4


def test_real_detector(testdata):
    """ch1104000 of LEGEND p03 r000, thresholds at 850 keV; reference values of the field's own fit."""
    directory = testdata / "lh5/prod-ref-l200/generated/tier/dsp/cal/p03/r000"
    with h5py.File(next(directory.glob("*.lh5"))) as file:
        dsp = {name: file["ch1104000/dsp"][name][:] for name in ("trapEmax", "cuspEmax", "trapEftp", "cuspEftp")}
    expected = {"trapEmax": (2.522, 2.261), "cuspEmax": (2.509, 2.246), "trapEftp": (2.428, 2.182)}
    for name, (at_fep, at_qbb) in expected.items():
        found = calibrate_energy(dsp[name])
        assert found.fep_fwhm[0] == pytest.approx(at_fep, abs=0.03)
        assert found.qbb_fwhm[0] == pytest.approx(at_qbb, abs=0.03)
        assert [peak.line.energy for peak in found.peaks if peak.fit] == [860.564, 1592.511, 1620.5, 2103.511, FEP]
        assert all(abs(peak.residual) < 0.3 for peak in found.peaks if peak.fit)
    with pytest.raises(CalibrationError, match="0 of 38343 events have a finite energy"):
        calibrate_energy(dsp["cuspEftp"])


def test_offset():
    energies = th228(np.random.default_rng(14), 50_000)
    found = calibrate_energy(4.0 * (energies + 3.0), EnergyCalibrationSettings(with_offset=True)).scale
    assert found.offset == pytest.approx(-3.0, abs=5 * np.sqrt(found.covariance[0, 0]) + 0.03)
    assert found.gain == pytest.approx(0.25, rel=1e-4)


def test_integer_energies():
    energies = np.round(2.0 * th228(np.random.default_rng(15), 20_000)).astype(np.int32)
    first, second = calibrate_energy(energies), calibrate_energy(energies)
    assert first.scale.gain == pytest.approx(0.5, rel=1e-4)
    assert first.scale.gain == second.scale.gain
    assert abs(first.fep_fwhm[0] - true_fwhm(FEP)) < 4 * first.fep_fwhm[1]


def test_weak_lines_are_left_out_with_their_reason():
    found = calibrate_energy(th228(np.random.default_rng(16), 3000))
    failed = {peak.line.energy: peak.failure for peak in found.peaks if peak.fit is None}
    assert 1620.5 in failed
    assert "need min_signal = 100" in failed[1620.5]
    assert all(np.isnan(peak.residual) for peak in found.peaks if peak.fit is None)


def test_a_calibration_can_be_valid_without_resolution_curve():
    lines = tuple(item.model_copy(update={"in_resolution": item.energy == FEP}) for item in TH228_LINES)
    found = calibrate_energy(th228(np.random.default_rng(17), 20_000), EnergyCalibrationSettings(lines=lines))
    assert found.resolution is None
    assert found.resolution_failure == "resolution curve: 1 valid lines, need at least 2"
    assert np.isnan(found.qbb_fwhm).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "0 of 0 events have a finite energy above 0, need min_events = 500"),
        (np.full(3000, np.nan), "0 of 3000 events"),
        (np.zeros(3000), "0 of 3000 events"),
        (th228(np.random.default_rng(1), 50), "50 of 50 events"),
        (np.random.default_rng(1).uniform(50, 3000, 20_000), "peak search: . of 8 lines recognised"),
        (
            np.r_[np.random.default_rng(1).uniform(50, 3000, 20_000), line(np.random.default_rng(2), FEP, 3000)],
            "peak search: . of 8 lines recognised",
        ),
        (th228(np.random.default_rng(1), 700), "required line without a valid fit: line at 2614.51: .* min_signal"),
    ],
)
def test_failures(values, message):
    with pytest.raises(CalibrationError, match=message):
        calibrate_energy(values)


def test_required_lines_and_number_of_lines_are_settings():
    energies = th228(np.random.default_rng(18), 3000)
    with pytest.raises(CalibrationError, match="need min_peaks = 8"):
        calibrate_energy(energies, EnergyCalibrationSettings(min_peaks=8))
    with pytest.raises(CalibrationError, match="line at 100: not in the list of lines"):
        calibrate_energy(energies, EnergyCalibrationSettings(required=(100.0,)))
    with pytest.raises(CalibrationError, match="energy scale: 0 valid lines, need at least 1"):
        calibrate_energy(energies, EnergyCalibrationSettings(scale_lines=(1620.5,)))


def test_a_threshold_next_to_a_line():
    energies = th228(np.random.default_rng(19), 30_000)
    found = calibrate_energy(energies[energies > 855.0])
    assert "the spectrum starts at 855" in next(p.failure for p in found.peaks if p.line.energy == 860.564)


@pytest.mark.parametrize("with_offset", [False, True])
def test_scale_has_the_covariance_of_weighted_least_squares(with_offset):
    rng = np.random.default_rng(20)
    energy = np.array([238.6, 583.2, 860.6, 1592.5, 2614.5])
    error = np.array([0.5, 0.1, 0.3, 0.8, 0.2])
    pedestal = 7.0 if with_offset else 0.0
    toys = [
        fit_energy_scale(energy, pedestal + 5.0 * energy + rng.normal(0, error), error, with_offset=with_offset)
        for _ in range(2000)
    ]
    values = np.array([(toy.offset, toy.gain) for toy in toys])
    np.testing.assert_allclose(values.mean(axis=0), [-pedestal / 5, 0.2], rtol=1e-3, atol=1e-12)
    np.testing.assert_allclose(np.cov(values.T), toys[0].covariance, rtol=0.15, atol=1e-20)
    assert np.mean([toy.chi2 for toy in toys]) == pytest.approx(toys[0].dof, rel=0.1)
    assert np.mean([toy.p_value for toy in toys]) == pytest.approx(0.5, abs=0.05)


def test_scale_failures():
    with pytest.raises(CalibrationError, match="1 valid lines, need at least 2"):
        fit_energy_scale(np.array([1.0]), np.array([1.0]), np.array([1.0]), with_offset=True)
    with pytest.raises(CalibrationError, match="slope is -1 ADC/keV"):
        fit_energy_scale(np.array([1.0, 2.0]), np.array([-1.0, -2.0]), np.array([1.0, 1.0]))


def test_resolution_toys():
    rng = np.random.default_rng(21)
    energy = np.array([238.6, 583.2, 727.3, 860.6, 1620.5, 2614.5])
    error = np.array([0.02, 0.02, 0.05, 0.05, 0.08, 0.03])
    curves = [fit_resolution(energy, fwhm(energy) + rng.normal(0, error), error) for _ in range(400)]
    pulls = np.array([(curve.fwhm(QBB)[0] - fwhm(QBB)) / curve.fwhm(QBB)[1] for curve in curves])
    assert abs(np.mean(pulls)) < 0.2
    assert 0.88 < np.std(pulls) < 1.12
    assert np.mean([curve.chi2 for curve in curves]) == pytest.approx(4, rel=0.15)
    assert np.isnan(curves[0].fwhm(3000.0)).all()


def test_resolution_limits():
    energy, error = np.array([500.0, 2600.0]), np.array([0.1, 0.1])
    rising = fit_resolution(energy, np.array([0.1, 3.0]), error)
    assert (rising.a, rising.covariance[0, 0]) == (0.0, 0.0)
    falling = fit_resolution(energy, np.array([3.0, 2.0]), error)
    assert falling.b == 0.0
    assert falling.a == pytest.approx(2.5**2, rel=0.01)
    exact = fit_resolution(energy, fwhm(energy), error)
    assert exact.dof == 0
    assert np.isnan(exact.p_value)
    assert (exact.a, exact.b) == (pytest.approx(1.2, rel=1e-3), pytest.approx(0.0022, rel=1e-3))
    with pytest.raises(CalibrationError, match="1 valid lines, need at least 2"):
        fit_resolution(energy[:1], error[:1], error[:1])
    with pytest.raises(CalibrationError, match="are not all finite"):
        fit_resolution(energy, np.array([np.nan, 1.0]), error)
