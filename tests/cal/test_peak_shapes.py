import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import erf
from scipy.stats import exponnorm

from pygama_core.cal.peak_likelihood import expected_counts
from pygama_core.cal.peak_shapes import (
    gauss_cdf,
    gauss_pdf,
    line_profile,
    step_cdf,
    step_integral,
    tail_cdf,
    tail_pdf,
)

MU, SIGMA = 100.0, 1.3
X = np.linspace(80, 110, 61)


@pytest.mark.parametrize("tau", [0.05, 0.5, 2.0, 20.0])
def test_tail_is_the_mirrored_exponentially_modified_gaussian(tau):
    other = exponnorm(tau / SIGMA, loc=-MU, scale=SIGMA)
    np.testing.assert_allclose(tail_pdf(X, MU, SIGMA, tau), other.pdf(-X), rtol=1e-7, atol=1e-14)
    np.testing.assert_allclose(tail_cdf(X, MU, SIGMA, tau), other.sf(-X), rtol=1e-6, atol=1e-12)


def test_tail_survives_extreme_arguments():
    for tau in (1e-6, 1e6):
        values = tail_pdf(np.array([-1e6, 0.0, 99.0, 1e6]), MU, SIGMA, tau)
        assert np.all(np.isfinite(values))
        assert np.all(values >= 0)
    np.testing.assert_allclose(tail_pdf(X, MU, SIGMA, 1e-5), gauss_pdf(X, MU, SIGMA), rtol=2e-4, atol=1e-9)


def test_integrals_are_integrals_of_the_densities():
    for low, high in ((90.0, 99.0), (99.0, 101.0)):
        area = quad(lambda x: float(gauss_pdf(x, MU, SIGMA)), low, high)[0]
        assert np.diff(gauss_cdf([low, high], MU, SIGMA))[0] == pytest.approx(area, rel=1e-9)
        step = quad(lambda x: 1 - 0.6 * erf((x - MU) / SIGMA / np.sqrt(2)), low, high)[0]
        assert np.diff(step_integral(np.array([low, high]), MU, SIGMA, -0.6))[0] / 1.0 == pytest.approx(step, rel=1e-9)
    assert step_cdf(110.0, (80.0, 110.0), MU, SIGMA, -0.6) == pytest.approx(1.0)
    assert step_cdf(80.0, (80.0, 110.0), MU, SIGMA, -0.6) == pytest.approx(0.0)


def test_expected_counts_is_made_of_the_shapes():
    n_sig, below, above, htail, ratio = 1000.0, 7.0, 2.0, 0.2, 1.5
    signal = (1 - htail) * gauss_cdf(X, MU, SIGMA) + htail * tail_cdf(X, MU, SIGMA, ratio * SIGMA)
    level, hstep = (below + above) / 2, (above - below) / (above + below)
    expected = np.diff(n_sig * signal + level * step_integral(X, MU, SIGMA, hstep))
    found = expected_counts(X, np.array([n_sig, MU, SIGMA, below, above, htail, ratio]))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    np.testing.assert_allclose(found[[0, -1]] / 0.5, [below, above], rtol=0.01)


@pytest.mark.parametrize(("htail", "ratio"), [(0.0, 1.0), (0.05, 1.5), (0.5, 5.0), (0.3, 0.1), (1.0, 3.0)])
def test_line_profile_is_where_the_density_says(htail, ratio):
    x = np.linspace(MU - 20, MU + 5, 500_001)
    density = (1 - htail) * gauss_pdf(x, MU, SIGMA) + htail * tail_pdf(x, MU, SIGMA, ratio * SIGMA)
    above = x[density >= density.max() / 2]
    found = line_profile(MU, SIGMA, htail, ratio * SIGMA)
    assert found.mode == pytest.approx(x[np.argmax(density)], abs=2e-4)
    assert found.fwhm == pytest.approx(above[-1] - above[0], abs=2e-4)
