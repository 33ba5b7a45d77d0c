import numpy as np
import pytest
from th228_spectra import TAIL_FRACTION, TAIL_LENGTH, fwhm, line

from pygama_core.cal import peak_fit
from pygama_core.cal.peak_fit import PeakFitSettings, fit_peak
from pygama_core.cal.peak_shapes import line_profile
from pygama_core.errors import CalibrationError

FEP, WINDOW = 2614.511, (2574.511, 2654.511)
SIGMA = float(fwhm(FEP)) / 2.35482


def spectrum(rng, n_sig, below=0.04, above=0.02, tail=TAIL_FRACTION):
    """A line with flat background below and above, as parts of the signal in the window."""
    return np.concatenate(
        [
            line(rng, FEP, rng.poisson(n_sig), tail),
            rng.uniform(WINDOW[0], FEP, rng.poisson(below * n_sig)),
            rng.uniform(FEP, WINDOW[1], rng.poisson(above * n_sig)),
        ]
    )


@pytest.mark.parametrize("n_sig", [600, 5000])
def test_pulls_of_position_and_fwhm(n_sig):
    truth = line_profile(FEP, SIGMA, TAIL_FRACTION, TAIL_LENGTH * SIGMA)
    rng = np.random.default_rng(7)
    fits = [fit_peak(spectrum(rng, n_sig), FEP, WINDOW) for _ in range(40)]
    position = np.array([(fit.position - truth.mode) / fit.position_err for fit in fits])
    width = np.array([(fit.fwhm - truth.fwhm) / fit.fwhm_err for fit in fits])
    assert abs(np.mean(position)) < 0.5
    assert abs(np.mean(width)) < 0.5
    assert 0.75 < np.std(position) < 1.4
    assert 0.75 < np.std(width) < 1.3
    assert np.mean([fit.p_value for fit in fits]) > 0.3


def test_high_statistics():
    truth = line_profile(FEP, SIGMA, TAIL_FRACTION, TAIL_LENGTH * SIGMA)
    fit = fit_peak(spectrum(np.random.default_rng(1), 200_000), FEP, WINDOW)
    values, errors = fit.parameters, fit.uncertainties
    assert fit.shape == "hpge_peak"
    assert abs(fit.fwhm - truth.fwhm) < 4 * fit.fwhm_err
    assert fit.fwhm_err < 0.01
    assert abs(values["mu"] - FEP) < 4 * errors["mu"]
    assert abs(values["htail"] - TAIL_FRACTION) < 4 * errors["htail"]
    assert abs(values["tau"] - TAIL_LENGTH * SIGMA) < 4 * errors["tau"]
    assert abs(values["n_sig"] - 200_000) < 4 * errors["n_sig"] + 2000
    assert values["hstep"] == pytest.approx(-1 / 3, abs=0.1)
    assert values["n_sig"] + values["n_bkg"] == pytest.approx(fit.n_counts, rel=1e-3)


def test_a_tail_the_data_do_not_support_is_dropped():
    rng = np.random.default_rng(2)
    fits = [fit_peak(spectrum(rng, 3000, tail=0.0), FEP, WINDOW) for _ in range(10)]
    assert sum(fit.shape == "gauss_on_step" for fit in fits) >= 7
    for fit in fits:
        assert fit.names[-2:] == ("n_bkg", "hstep")
        assert abs(fit.fwhm - fwhm(FEP)) < 4 * fit.fwhm_err


def test_background_at_its_limit():
    fit = fit_peak(spectrum(np.random.default_rng(3), 2000, below=0.1, above=0.0), FEP, WINDOW)
    assert "level_above" in fit.at_limit
    assert fit.parameters["hstep"] == -1
    assert fit.uncertainties["hstep"] == 0
    assert np.isfinite(fit.fwhm_err)


def test_values_outside_of_the_window_and_nan_change_nothing():
    energies = spectrum(np.random.default_rng(4), 2000)
    padded = np.r_[energies, np.nan, np.inf, 0.0, 5000.0]
    assert fit_peak(padded, FEP, WINDOW).fwhm == fit_peak(energies, FEP, WINDOW).fwhm


def test_rescaled_is_the_fit_of_scaled_energies():
    energies = spectrum(np.random.default_rng(5), 5000)
    fit = fit_peak(energies, FEP, WINDOW).rescaled(3.0, 1.001)
    other = fit_peak(3.0 + 1.001 * energies, 3 + 1.001 * FEP, fit.window)
    assert fit.position == pytest.approx(other.position, abs=0.1 * fit.position_err)
    assert fit.fwhm == pytest.approx(other.fwhm, rel=0.01)
    assert fit.uncertainties["mu"] == pytest.approx(other.uncertainties["mu"], rel=0.05)


@pytest.mark.parametrize(
    ("energies", "message"),
    [
        (np.array([]), "line at 2614.51: 0 counts between"),
        (np.full(5000, np.nan), "0 counts"),
        (np.full(99, FEP), "99 counts .* need min_signal = 100"),
        (np.random.default_rng(1).uniform(*WINDOW, 5000), "invalid fit|does not converge"),
        (np.random.default_rng(1).uniform(*WINDOW, 200), "invalid fit|does not converge"),
        (np.full(5000, FEP), "invalid fit|does not converge"),
        (WINDOW[0] + np.random.default_rng(1).exponential(5, 5000), "invalid fit|does not converge"),
    ],
)
def test_failures(energies, message):
    with pytest.raises(CalibrationError, match=message):
        fit_peak(energies, FEP, WINDOW)


def test_validity_rules_are_settings():
    energies = spectrum(np.random.default_rng(6), 2000)
    with pytest.raises(CalibrationError, match="signal counts, need min_signal = 2040"):
        fit_peak(energies, FEP, WINDOW, settings=PeakFitSettings(min_signal=2040))
    with pytest.raises(CalibrationError, match="need min_significance = 100"):
        fit_peak(energies, FEP, WINDOW, settings=PeakFitSettings(min_significance=100))
    with pytest.raises(CalibrationError, match=r"p-value .* degrees of freedom"):
        fit_peak(energies, FEP, WINDOW, settings=PeakFitSettings(min_p_value=1, max_reduced_chi2=1e-3))
    with pytest.raises(CalibrationError, match="empty window"):
        fit_peak(energies, FEP, (2.0, 1.0))


def test_no_convergence(monkeypatch):
    monkeypatch.setattr(peak_fit, "minimise", lambda *_, **__: None)
    with pytest.raises(CalibrationError, match=r"line at 2614\.51: the fit does not converge"):
        fit_peak(spectrum(np.random.default_rng(8), 2000), FEP, WINDOW)


def test_a_line_far_from_its_place_is_not_the_line():
    energies = spectrum(np.random.default_rng(9), 2000)
    with pytest.raises(CalibrationError, match="over a third of the window from"):
        fit_peak(energies, FEP - 35, WINDOW)
