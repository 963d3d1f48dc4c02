"""Modes of generalized extreme-value distributions fitted to draws."""

import numpy as np
import pytest
from scipy import stats

from proda.assimilation.store import fitted_gev, gev_modes


def true_mode(k, location, scale):
    """Mode of SciPy's distribution, on a grid."""
    x = np.linspace(location - 4.0 * scale, location + 4.0 * scale, 80_001)
    return x[stats.genextreme.pdf(x, k, location, scale).argmax()]


@pytest.mark.parametrize("k", [-0.3, -0.1, 0.0, 0.1, 0.3, 0.6])
def test_the_mode_of_scipys_distribution_is_recovered(k):
    draws = stats.genextreme.rvs(k, 0.5, 0.05, size=(20, 5000), random_state=np.random.default_rng(3))
    modes = gev_modes(draws)
    assert modes.shape == (20,)
    assert np.abs(modes - true_mode(k, 0.5, 0.05)).max() < 0.12 * 0.05
    assert abs(modes.mean() - true_mode(k, 0.5, 0.05)) < 0.02 * 0.05


@pytest.mark.parametrize("k", [-0.2, 0.0, 0.2, 0.5])
def test_location_scale_and_shape_are_recovered_with_scipys_sign(k):
    draws = stats.genextreme.rvs(k, 0.4, 0.1, size=200_000, random_state=np.random.default_rng(4))
    fit = fitted_gev(draws)
    assert fit.location == pytest.approx(0.4, abs=0.002)
    assert fit.scale == pytest.approx(0.1, abs=0.002)
    assert fit.shape == pytest.approx(k, abs=0.015)


def test_many_series_are_fitted_as_each_alone(rng):
    draws = rng.beta(2.0, 3.0, (4, 5, 300))
    together = gev_modes(draws)
    assert together.shape == (4, 5)
    np.testing.assert_allclose(together[2, 3], gev_modes(draws[2, 3]), rtol=1e-12)


def test_a_bell_shaped_posterior_has_its_mode_near_its_mean_and_a_skewed_one_below(rng):
    assert gev_modes(rng.normal(0.5, 0.05, 20_000)) == pytest.approx(0.5, abs=0.01)
    assert gev_modes(rng.beta(2.0, 8.0, 20_000)) == pytest.approx(1.0 / 8.0, abs=0.03)


def test_a_mode_stays_within_the_prior(rng):
    modes = gev_modes(np.stack([rng.beta(0.3, 3.0, 2000), rng.beta(3.0, 0.3, 2000), rng.random(2000)]))
    assert ((modes >= 0.0) & (modes <= 1.0)).all()
    assert modes[1] > 0.9


def test_a_series_that_never_moved_has_its_value_as_mode():
    assert gev_modes(np.full(500, 0.3)) == pytest.approx(0.3, abs=1e-9)
