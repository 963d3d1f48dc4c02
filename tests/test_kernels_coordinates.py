"""Positions and their coordinates belong together, and the density is the derivative."""

import numpy as np

from proda.compiled import kept_compiled
from proda.kernels import coordinates
from proda.kernels.simd import BLOCK_WIDTH, load, store
from proda.model.parameters import PAPER_PARAMETERS

A = np.array([0.0, 0.5, 1.5, 3.0, 5.0])


@kept_compiled
def fill_positions(u, stretch, out, density):
    for k in range(stretch.shape[1]):
        store(out, k, coordinates.box_position(load(u, k), stretch, k))
    store(density, 0, coordinates.log_density(u, stretch))


def positions(u, stretch):
    """Positions on the unit cube, (n, d), and log densities, (n,), of coordinates u (n, d)."""
    n, d = u.shape
    x, density = np.empty((n, d)), np.empty(n)
    for first in range(0, n, BLOCK_WIDTH):
        rows = u[np.minimum(np.arange(first, first + BLOCK_WIDTH), n - 1)]
        out, total = np.empty(d * BLOCK_WIDTH), np.empty(BLOCK_WIDTH)
        fill_positions(np.ascontiguousarray(rows.T).ravel(), coordinates.block_stretch(stretch), out, total)
        used = min(BLOCK_WIDTH, n - first)
        x[first : first + used] = out.reshape(d, BLOCK_WIDTH).T[:used]
        density[first : first + used] = total[:used]
    return x, density


def test_a_position_comes_back_from_its_coordinates_and_the_bounds_stay_where_they_are(rng):
    x = np.concatenate([rng.random((200, A.size)), np.zeros((1, A.size)), np.ones((1, A.size)), np.full((1, 5), 1e-6)])
    u = coordinates.stretched(x, A)
    assert u.min() >= 0.0 and u.max() <= 1.0 + 1e-15
    np.testing.assert_allclose(positions(u, A)[0], x, rtol=0, atol=2e-12)
    np.testing.assert_array_equal(u[:, 0], x[:, 0])
    assert (u[:200, 1:] > x[:200, 1:]).all(), "small values take more room"
    back = positions(rng.random((200, A.size)), A)[0]
    np.testing.assert_allclose(positions(coordinates.stretched(back, A), A)[0], back, rtol=0, atol=2e-12)


def test_the_density_is_the_derivative_of_the_position(rng):
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


def test_the_logarithmic_coordinate_of_a_turnover_time_is_its_logarithm():
    a = coordinates.stretches(coordinates.LOGARITHMIC)
    for name in ("tau4s2", "tau4s3", "q10", "diffus"):
        k = PAPER_PARAMETERS.index(name)
        row = PAPER_PARAMETERS.rows[k]
        x = np.zeros((5, 25))
        x[:, k] = np.linspace(0.0, 1.0, 5)
        value = row.minimum + x[:, k] * (row.maximum - row.minimum)
        expected = np.log(value / row.minimum) / np.log(row.maximum / row.minimum)
        np.testing.assert_allclose(coordinates.stretched(x, a)[:, k], expected, rtol=0, atol=1e-12)
    assert not coordinates.stretches(coordinates.BOX).any() and 0 < (a > 0.0).sum() < 25
