"""Convergence diagnostics, against ArviZ and against the paper's equations written out."""

import arviz as az
import numpy as np
import pytest

from proda.kernels.diagnostics import convergence, gelman_rubin


def autoregressive(rng, n_series, n_chains, n_draws, memory):
    """Chains whose draws remember the last one, (n_series, n_chains, n_draws)."""
    x = rng.normal(size=(n_draws, n_series, n_chains))
    for t in range(1, n_draws):
        x[t] = memory * x[t - 1] + np.sqrt(1.0 - memory**2) * x[t]
    return np.moveaxis(x, 0, -1)


@pytest.fixture
def series(rng):
    """Series of many kinds: independent, slow, alternating, apart, of unlike spread, with ties, heavy-tailed."""
    kinds = [autoregressive(rng, 2, 3, 301, memory) for memory in (0.0, 0.5, 0.95, 0.99, -0.6)]
    apart = autoregressive(rng, 1, 3, 301, 0.3) + np.array([0.0, 0.5, 3.0])[:, None]
    unlike = autoregressive(rng, 1, 3, 301, 0.3) * np.array([1.0, 1.0, 4.0])[:, None]
    ties = np.round(autoregressive(rng, 1, 3, 301, 0.8), 1)
    heavy = np.exp(3.0 * autoregressive(rng, 1, 3, 301, 0.8))
    stuck = autoregressive(rng, 1, 3, 301, 0.5)
    stuck[:, 1] = 0.4
    return np.concatenate([*kinds, apart, unlike, ties, heavy, stuck])


@pytest.mark.parametrize("n_draws", [301, 300, 57, 12])
def test_rhat_bulk_and_tail_ess_are_arvizs(series, n_draws):
    draws = series[..., :n_draws]
    result = convergence(draws)
    np.testing.assert_allclose(result.rhat, [float(az.rhat(one, method="rank")) for one in draws], rtol=1e-6)
    np.testing.assert_allclose(result.ess_bulk, [float(az.ess(one, method="bulk")) for one in draws], rtol=1e-6)
    tails = [float(az.ess(one, method="tail", prob=(0.05, 0.95))) for one in draws]
    np.testing.assert_allclose(result.ess_tail, tails, rtol=1e-6)


def test_gelman_rubin_is_the_papers_equations_term_by_term(series):
    for draws, result in zip(series, gelman_rubin(series), strict=True):
        k, n = draws.shape
        mean_of = [sum(chain) / n for chain in draws]
        mean = sum(mean_of) / k
        between = n / (k - 1) * sum((m - mean) ** 2 for m in mean_of)
        within = sum((c - m) ** 2 for chain, m in zip(draws, mean_of, strict=True) for c in chain) / (k * (n - 1))
        assert result == pytest.approx(np.sqrt((within * (n - 1) / n + between / n) / within), rel=1e-10)


@pytest.mark.parametrize("value", [0.0, 0.1, 1.0 / 3.0, 0.7])
def test_a_series_that_never_moved_has_no_diagnostics(value):
    still = np.full((2, 3, 100), value)
    result = convergence(still)
    assert all(np.isnan(one).all() for one in result) and np.isnan(gelman_rubin(still)).all()


def test_chains_that_stand_still_apart_have_not_converged():
    apart = np.repeat([[0.1], [0.2], [0.3]], 100, axis=1)
    assert gelman_rubin(apart) == np.inf
    assert not convergence(apart).rhat < 1.1


@pytest.mark.parametrize("n_draws", [300, 301])
@pytest.mark.parametrize("place", [(0, 0), (2, -1), (1, 150), (slice(None), slice(None))])
def test_a_series_with_a_nan_has_no_diagnostics_and_the_others_keep_theirs(series, n_draws, place):
    draws = series[:4, :, :n_draws].astype(np.float32)
    expected = convergence(draws)
    draws[2][place] = np.nan
    for one, whole in zip(convergence(draws), expected, strict=True):
        np.testing.assert_array_equal(one, np.where(np.arange(4) == 2, np.nan, whole))
    assert np.isnan(gelman_rubin(draws)[2]) and np.isnan(az.rhat(draws[2])) and np.isnan(az.ess(draws[2]))
