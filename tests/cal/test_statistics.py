import numpy as np
import pytest

from pygama_core.cal.statistics import robust_mode_width
from pygama_core.errors import CalibrationError


@pytest.mark.parametrize("n", [200, 3000, 100_000])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e5])
def test_gaussian_with_outliers(n, scale):
    rng = np.random.default_rng(1)
    values = rng.normal(5.0, 0.2, n)
    values[: n // 10] = rng.uniform(-100, 300, n // 10)
    values[0] = np.nan
    values[1] = np.inf
    found = robust_mode_width(rng.permutation(values) * scale)
    assert found.n_values == n - 2
    assert found.mode == pytest.approx(5.0 * scale, abs=5 * 0.2 * scale / np.sqrt(n) + 0.005 * scale)
    assert found.sigma == pytest.approx(0.2 * scale, rel=0.3 if n < 1000 else 0.1)
    assert found.mode_err == pytest.approx(1.45 * 0.2 * scale / np.sqrt(n), rel=0.5)


def test_the_mode_of_a_lopsided_distribution_is_not_its_mean():
    rng = np.random.default_rng(2)
    values = rng.normal(0.0, 1.0, 50_000)
    values[:20_000] += rng.exponential(10.0, 20_000)
    assert abs(robust_mode_width(values).mode) < 0.15
    assert np.mean(values) > 3


def test_pulls_of_the_mode():
    rng = np.random.default_rng(3)
    found = [robust_mode_width(rng.normal(0.0, 1.0, 3000)) for _ in range(100)]
    pulls = [result.mode / result.mode_err for result in found]
    assert abs(np.mean(pulls)) < 0.4
    assert 0.8 < np.std(pulls) < 1.3


@pytest.mark.parametrize(
    "values", [np.full(50, 3.0), np.r_[np.full(95, 3.0), np.full(5, 4.0)], np.repeat([2, 3, 4], [20, 80, 20])]
)
def test_discrete_values(values):
    found = robust_mode_width(values)
    assert found.mode == pytest.approx(3.0, abs=0.1)
    assert 0 <= found.sigma < 1.1


def test_too_few_values():
    with pytest.raises(CalibrationError, match="noise: 3 finite values, need at least 20"):
        robust_mode_width([1.0, 2.0, 3.0, np.nan], "noise")
