"""The coordinates of the sampler: there and back, the density of the prior in them, and the same posterior in both."""

import numpy as np
import pytest
from made_sites import few_sites
from scipy.integrate import quad

from proda.assimilation.chains import SitePlan, sampled_sites
from proda.compiled import kept_compiled
from proda.kernels.metropolis import (
    BOX,
    LOGARITHMIC,
    Proposal,
    Schedule,
    box_position,
    log_density,
    stretched,
    stretches,
)
from proda.kernels.simd import BLOCK_WIDTH, load, store
from proda.model.parameters import PAPER_PARAMETERS

A = np.array([0.0, 0.5, 1.5, 3.0, 5.0])


@kept_compiled
def fill_positions(u, stretch, out, density):
    for k in range(stretch.size):
        store(out, k, box_position(load(u, k), stretch[k]))
    store(density, 0, log_density(u, stretch))


def positions(u, stretch):
    """Positions on the unit cube, (n, d), and log densities, (n,), of coordinates u (n, d)."""
    n, d = u.shape
    x, density = np.empty((n, d)), np.empty(n)
    for first in range(0, n, BLOCK_WIDTH):
        rows = u[np.minimum(np.arange(first, first + BLOCK_WIDTH), n - 1)]
        out, total = np.empty(d * BLOCK_WIDTH), np.empty(BLOCK_WIDTH)
        fill_positions(np.ascontiguousarray(rows.T).ravel(), stretch, out, total)
        used = min(BLOCK_WIDTH, n - first)
        x[first : first + used] = out.reshape(d, BLOCK_WIDTH).T[:used]
        density[first : first + used] = total[:used]
    return x, density


def test_a_position_comes_back_from_its_coordinates_and_the_walls_stay_where_they_are(rng):
    x = np.concatenate([rng.random((200, A.size)), np.zeros((1, A.size)), np.ones((1, A.size)), np.full((1, 5), 1e-6)])
    u = stretched(x, A)
    assert u.min() >= 0.0 and u.max() <= 1.0 + 1e-15
    np.testing.assert_allclose(positions(u, A)[0], x, rtol=0, atol=2e-12)
    np.testing.assert_array_equal(u[:, 0], x[:, 0])
    assert (u[:200, 1:] > x[:200, 1:]).all(), "small values take more room"
    back = positions(rng.random((200, A.size)), A)[0]
    np.testing.assert_allclose(positions(stretched(back, A), A)[0], back, rtol=0, atol=2e-12)


def test_the_density_is_the_derivative_of_the_position_and_integrates_to_one(rng):
    u, step = rng.uniform(0.01, 0.99, (100, A.size)), 1e-5
    density = positions(u, A)[1]
    logarithm = np.zeros(100)
    for k in range(A.size):
        away = np.zeros(A.size)
        away[k] = step
        logarithm += np.log((positions(u + away, A)[0] - positions(u - away, A)[0])[:, k] / (2.0 * step))
    # Up to the constant that no acceptance depends on: the logarithm of a / (exp(a) - 1).
    constant = np.log(A[1:] / np.expm1(A[1:])).sum()
    np.testing.assert_allclose(density + constant, logarithm, rtol=0, atol=1e-7)
    for a in A[1:]:
        one = np.array([a])
        total, _ = quad(lambda u, one=one: np.exp(positions(np.array([[u]]), one)[1][0]), 0.0, 1.0)
        assert total * a / np.expm1(a) == pytest.approx(1.0, rel=1e-10)


def test_the_logarithmic_coordinate_of_a_turnover_time_is_its_logarithm():
    a = stretches(LOGARITHMIC)
    for name in ("tau4s2", "tau4s3", "q10", "diffus"):
        k = PAPER_PARAMETERS.index(name)
        row = PAPER_PARAMETERS.rows[k]
        x = np.zeros((5, 25))
        x[:, k] = np.linspace(0.0, 1.0, 5)
        value = row.minimum + x[:, k] * (row.maximum - row.minimum)
        expected = np.log(value / row.minimum) / np.log(row.maximum / row.minimum)
        np.testing.assert_allclose(stretched(x, a)[:, k], expected, rtol=0, atol=1e-12)
    assert not stretches(BOX).any() and 0 < (a > 0.0).sum() < 25


def test_the_posterior_of_sites_is_the_same_in_either_coordinates():
    """Two hundred means and spreads that differ by no more than their Monte Carlo errors."""
    problem = few_sites(8)
    plan = SitePlan(Schedule(3000, 20_000, 100_000, 100))
    box, other = (sampled_sites(problem, 7, plan._replace(moves=Proposal(name))) for name in (BOX, LOGARITHMIC))
    assert min(box.mixing.ess_bulk.min(), other.mixing.ess_bulk.min()) > 150.0
    mean, sd = (np.stack([f(one.draws.astype(float), axis=(1, 2)) for one in (box, other)]) for f in (np.mean, np.std))
    error = np.sqrt((sd**2 / [box.mixing.ess_bulk, other.mixing.ess_bulk]).sum(axis=0))
    z = (mean[0] - mean[1]) / error
    assert np.sqrt((z**2).mean()) < 1.3 and np.abs(z).max() < 4.5
    np.testing.assert_allclose(sd[0] / sd[1], 1.0, rtol=0, atol=0.15)
    # Without the density the draws would be those of another prior: far outside these errors.
    shift = np.abs(mean[0] - mean[1]).mean(axis=0)
    assert shift.max() < 0.03
