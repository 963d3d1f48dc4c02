"""The steady state anywhere in the prior box: carbon balance, bounds, scaling, and agreement of all its versions."""

import jax
import numpy as np
import pytest
from columns import any_columns, drawn_columns, seasonal_forcing
from hypothesis import assume, given
from hypothesis import strategies as st

from proda.kernels import steady_state as lanes
from proda.kernels.simd import BLOCK_WIDTH
from proda.kernels.steady_state import to_blocks
from proda.model.configuration import CESM2, PAPER_COLUMN
from proda.model.matrices import dense_steady_state, input_vector, respiration, system_matrix
from proda.model.parameters import PAPER_PARAMETERS
from proda.model.rates import jax_namespace
from proda.model.solver import m_matrix_inverse, soc_density, soc_stock, steady_state

ROW = {name: k for k, name in enumerate(PAPER_PARAMETERS.names)}


def fresh_carbon(theta, forcing):
    """What enters the columns, (n,), g C m-2 day-1, by the textbook's vector u."""
    return PAPER_COLUMN.thickness @ input_vector(theta, forcing).reshape(-1, 7, 10).sum(axis=1).T


def stock(density):
    """Carbon of the columns, (n,), g C m-2."""
    return np.tensordot(PAPER_COLUMN.thickness, density, axes=(0, -2))


@given(any_columns())
def test_what_enters_a_column_leaves_it_as_carbon_dioxide(columns):
    theta, forcing = columns
    pools = steady_state(theta, forcing)
    np.testing.assert_allclose(respiration(pools, theta, forcing), fresh_carbon(theta, forcing), rtol=1e-12)


@given(any_columns())
def test_pools_are_finite_and_never_negative(columns):
    pools = steady_state(*columns)
    assert pools.shape == (7, 10, 3) and np.isfinite(pools).all() and (pools >= 0.0).all()


@given(any_columns())
def test_the_compiled_model_agrees_with_numpy_everywhere(columns):
    density = soc_density(steady_state(*columns))
    np.testing.assert_allclose(lanes.soc_density(*columns), density, rtol=1e-10, atol=1e-200)


@given(any_columns(), st.floats(0.1, 1.3))
def test_pools_are_proportional_to_npp(columns, factor):
    theta, forcing = columns
    more = forcing.fertilised(factor)
    np.testing.assert_allclose(
        steady_state(theta, more), factor * steady_state(theta, forcing), rtol=1e-11, atol=1e-200
    )


@given(any_columns(), st.floats(1.001, 2.0))
def test_slower_passive_carbon_means_more_soil_carbon(columns, factor):
    theta, forcing = columns
    forcing = forcing._replace(soil_temperature=np.repeat(forcing.soil_temperature[:1], 10, axis=0))
    slower = theta.copy()
    slower[ROW["tau4s3"]] *= factor
    before, after = steady_state(theta, forcing), steady_state(slower, forcing)
    assert (after[6] >= before[6] * (1.0 - 1e-12)).all()
    assert (stock(soc_density(after)) > stock(soc_density(before))).all()


@given(any_columns(), st.sampled_from([("tau4cwd", [0]), ("tau4l1", [1]), ("tau4l2l3", [2, 3])]), st.floats(1.001, 2.0))
def test_slower_litter_means_more_of_it(columns, slowed, factor):
    theta, forcing = columns
    name, pools = slowed
    slower = theta.copy()
    slower[ROW[name]] *= factor
    before, after = (stock(steady_state(t, forcing)[pools].sum(axis=0)) for t in (theta, slower))
    assert (after > before * (1.0 - 1e-12)).all()


@given(any_columns(), st.sampled_from(["tau4s1", "tau4s2", "tau4s3"]), st.floats(1.001, 2.0))
def test_without_mixing_a_slower_soil_pool_means_more_carbon_in_every_layer(columns, name, factor):
    theta, forcing = columns
    still = forcing._replace(active_layer=np.full(3, 0.005))
    slower = theta.copy()
    slower[ROW[name]] *= factor
    before, after = soc_density(steady_state(theta, still)), soc_density(steady_state(slower, still))
    assert (after >= before * (1.0 - 1e-12)).all() and (after[0] > before[0]).all()


@given(any_columns(n=5), st.integers(1, 4))
def test_a_column_does_not_know_of_its_neighbours_in_the_batch(columns, cut):
    theta, forcing = columns
    parts = (slice(0, cut), slice(cut, 5))
    apart = [steady_state(theta[:, part], forcing.take(part)) for part in parts]
    # Not to the last bit: NumPy takes exponentials of whole vectors and of their remainders by different code.
    np.testing.assert_allclose(np.concatenate(apart, axis=-1), steady_state(theta, forcing), rtol=1e-12)


def dense_uncertainty(pools, theta, forcing):
    """What double precision may cost a dense solution, relative to its largest pool, (n,).

    The condition number of Skeel (1979), max(M^-1 |M| C) / max(C) at the solution C = `pools`, times the rounding
    error: unlike the usual condition number it does not count that pools differ in size. V - A K is an M-matrix, so its
    inverse is not negative, and M^-1 |M| C is itself the solution of the system for another right-hand side.
    """
    matrix = system_matrix(theta, forcing)
    flat = np.moveaxis(pools, -1, 0).reshape(matrix.shape[0], -1, 1)
    turned_over = np.linalg.solve(matrix, np.abs(matrix) @ flat)
    return np.finfo(float).eps * np.abs(turned_over).max(axis=(1, 2)) / flat.max(axis=(1, 2))


@given(any_columns())
def test_the_dense_solve_agrees_where_it_is_well_conditioned(columns):
    theta, forcing = columns
    pools = steady_state(theta, forcing)
    with np.errstate(all="ignore"):
        reliable = dense_uncertainty(pools, theta, forcing) < 1e-11
    assume(reliable.any())
    error = np.abs(dense_steady_state(theta, forcing) - pools).max(axis=(0, 1)) / pools.max(axis=(0, 1))
    assert (error[reliable] <= 1e-10).all()


@pytest.fixture(scope="module")
def columns():
    return drawn_columns(37, seed=3)


@pytest.mark.parametrize("cuts", [[1], [16], [5, 20], list(range(1, 37))], ids=str)
def test_the_compiled_result_of_a_column_does_not_depend_on_its_neighbours(columns, cuts):
    theta, forcing = columns
    parts = np.split(np.arange(37), cuts)
    apart = [lanes.soc_density(theta[:, part], forcing.take(part)) for part in parts]
    np.testing.assert_array_equal(np.concatenate(apart, axis=1), lanes.soc_density(theta, forcing))


def test_a_stock_reaches_to_its_depth_or_to_bedrock(columns):
    theta, forcing = columns
    pools, top = steady_state(theta, forcing), PAPER_COLUMN.top
    np.testing.assert_allclose(soc_stock(pools, forcing), stock(soc_density(pools)), rtol=1e-13)
    shallow = soc_stock(pools, forcing, depth=0.5 * (top[4] + top[5]))
    whole = soc_density(pools)[:4] * PAPER_COLUMN.thickness[:4, None]
    half = 0.5 * soc_density(pools)[4] * PAPER_COLUMN.thickness[4]
    np.testing.assert_allclose(shallow, whole.sum(axis=0) + half, rtol=1e-12)
    seasons = seasonal_forcing(3)
    pools = np.ones((7, 20, 3))
    np.testing.assert_allclose(soc_stock(pools, seasons, CESM2), 3.0 * CESM2.column.bottom[[11, 8, 19]], rtol=1e-12)


def test_blocks_of_lanes_are_filled_up_with_their_last_column():
    rows = np.arange(6.0).reshape(2, 3)
    blocks = to_blocks(rows)
    assert blocks.shape == (1, 2 * BLOCK_WIDTH)
    np.testing.assert_array_equal(blocks[0, :BLOCK_WIDTH], [0, 1, 2] + [2] * (BLOCK_WIDTH - 3))


def test_numpy_jax_and_compiled_agree_on_random_draws(columns):
    theta, forcing = columns
    density = soc_density(steady_state(*columns))
    with jax.enable_x64(True):
        compiled = jax.jit(lambda theta: soc_density(steady_state(theta, forcing, namespace=jax_namespace())))
        by_jax = np.asarray(compiled(theta))
    np.testing.assert_allclose(by_jax, density, rtol=1e-10)
    np.testing.assert_allclose(lanes.soc_density(*columns), density, rtol=1e-10)


def test_the_inverse_of_an_m_matrix_keeps_its_digits_where_elimination_loses_them(rng):
    rates, leak = 10.0 ** rng.uniform(-6, 0, (6, 100)), 10.0 ** rng.uniform(-14, -8, (3, 100))
    inverse = np.array(m_matrix_inverse(rates, leak))
    assert (inverse > 0.0).all()
    # Column sums of the matrix are the leaks: the inverse must give them back one, whatever the cancellation.
    np.testing.assert_allclose(np.einsum("jn,jin->in", leak, inverse), 1.0, rtol=1e-13)
    a12, a13, a21, a23, a31, a32 = rates
    matrix = np.array([[leak[0] + a21 + a31, -a12, -a13], [-a21, leak[1] + a12 + a32, -a23],
                       [-a31, -a32, leak[2] + a13 + a23]])  # fmt: skip
    easy = leak.min(axis=0) > 1e-10
    product = np.einsum("ijn,jkn->nik", matrix, inverse)[easy]
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(3), product.shape), atol=1e-5)
