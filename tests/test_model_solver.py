"""The steady state anywhere in the prior box of both configurations: carbon balance, bounds, scaling, derivatives."""

import jax
import numpy as np
import pytest
from columns import any_columns, any_months, drawn_columns, seasonal_columns, seasonal_forcing
from hypothesis import assume, given
from hypothesis import strategies as st

from proda.model import matrices
from proda.model.configuration import CESM2, CESM2_AS_PUBLISHED, PAPER, PAPER_COLUMN
from proda.model.parameters import BETA, EFOLDING, PAPER_PARAMETERS, bounds
from proda.model.rates import NUMPY, carbon_input, decay_and_mixing, jax_namespace
from proda.model.solver import balanced_pools, m_matrix_inverse, soc_density, soc_stock, steady_state

ROW = {name: k for k, name in enumerate(PAPER_PARAMETERS.names)}
COLUMN = CESM2.column
BOTH = pytest.mark.parametrize("configuration", [CESM2, CESM2_AS_PUBLISHED], ids=lambda c: c.bottom)


def stock(density):
    """Carbon of the columns, (n,), g C m-2."""
    return np.tensordot(PAPER_COLUMN.thickness, density, axes=(0, -2))


@given(any_columns())
def test_what_enters_a_column_leaves_it_as_carbon_dioxide_and_no_pool_is_negative(columns):
    theta, forcing = columns
    pools = steady_state(theta, forcing)
    assert pools.shape == (7, 10, 3) and np.isfinite(pools).all() and (pools >= 0.0).all()
    entering = PAPER_COLUMN.thickness @ matrices.input_vector(theta, forcing).reshape(-1, 7, 10).sum(axis=1).T
    np.testing.assert_allclose(matrices.respiration(pools, theta, forcing), entering, rtol=1e-12)


def dense_uncertainty(pools, theta, forcing):
    """Skeel's (1979) condition number, max(M^-1 |M| C) / max(C) at the solution C, times the rounding error, (n,)."""
    matrix = matrices.system_matrix(theta, forcing)
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
    error = np.abs(matrices.dense_steady_state(theta, forcing) - pools).max(axis=(0, 1)) / pools.max(axis=(0, 1))
    assert (error[reliable] <= 1e-10).all()


def test_a_stock_reaches_to_its_depth_or_to_bedrock():
    theta, forcing = drawn_columns(5, seed=3)
    pools, top = steady_state(theta, forcing), PAPER_COLUMN.top
    np.testing.assert_allclose(soc_stock(pools, forcing), stock(soc_density(pools)), rtol=1e-13)
    shallow = soc_stock(pools, forcing, depth=0.5 * (top[4] + top[5]))
    whole = soc_density(pools)[:4] * PAPER_COLUMN.thickness[:4, None]
    half = 0.5 * soc_density(pools)[4] * PAPER_COLUMN.thickness[4]
    np.testing.assert_allclose(shallow, whole.sum(axis=0) + half, rtol=1e-12)
    seasons = seasonal_forcing(3)
    pools = np.ones((7, 20, 3))
    np.testing.assert_allclose(soc_stock(pools, seasons, CESM2), 3.0 * CESM2.column.bottom[[11, 8, 19]], rtol=1e-12)


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


@given(any_months())
def test_in_the_cesm2_configuration_what_enters_leaves_as_carbon_dioxide(columns):
    theta, forcing = columns
    entering = carbon_input(theta, forcing, CESM2).sum(axis=(0, 1))
    np.testing.assert_allclose(entering, forcing.carbon_input.sum(axis=(0, 1)) / 365.0, rtol=1e-12)
    pools = steady_state(theta, forcing, CESM2)
    np.testing.assert_allclose(matrices.respiration(pools, theta, forcing, CESM2), entering, rtol=1e-12)


@given(any_months())
def test_what_the_published_bottom_loses_or_makes_closes_the_balance(columns):
    theta, forcing = columns
    pools = steady_state(theta, forcing, CESM2_AS_PUBLISHED)
    mixing = matrices.mixing_matrix(theta, forcing, CESM2_AS_PUBLISHED)
    moved = np.einsum("jkn,pkn,j->pn", mixing, pools[1:], COLUMN.thickness)
    entering, respired = (
        carbon_input(theta, forcing, CESM2).sum(axis=(0, 1)),
        matrices.respiration(pools, theta, forcing, CESM2),
    )
    # Where the bottom makes carbon, respiration and loss may both be far larger than the input.
    size = entering + respired + np.abs(moved).sum(axis=0)
    assert (np.abs(respired + moved.sum(axis=0) - entering) <= 1e-11 * size).all()


@BOTH
@given(columns=any_months(), month=st.integers(0, 11))
def test_twelve_equal_months_are_their_annual_mean(configuration, columns, month):
    theta, forcing = columns
    *climate, bedrock = forcing
    one = [values[..., month : month + 1, :] for values in climate]
    *climate, entering = (np.repeat(values, 12, axis=-2) for values in one)
    equal = type(forcing)(*climate, entering / 12.0, bedrock)
    # As in `steady_state`, which refuses forcing of one month.
    single = type(forcing)(*one, bedrock)
    fresh = carbon_input(theta, single, configuration, NUMPY)
    source = np.concatenate([fresh, np.zeros((3, *fresh.shape[1:]))])
    pools = balanced_pools(decay_and_mixing(theta, single, configuration, NUMPY), source)
    np.testing.assert_allclose(steady_state(theta, equal, configuration), pools, rtol=1e-11, atol=1e-200)


def above_bedrock(forcing):
    return np.arange(COLUMN.n_layers)[:, None] < forcing.bedrock


@given(any_months())
def test_nothing_crosses_the_bedrock(columns):
    theta, forcing = columns
    v, above = matrices.mixing_matrix(theta, forcing, CESM2), above_bedrock(forcing)
    assert not v[above[:, None] & ~above[None]].any() and not v[~above[:, None] & above[None]].any()
    pools = steady_state(theta, forcing, CESM2)
    respired = (
        -matrices.transfer_matrix(theta).sum(axis=0)[:, None] * matrices.decay_rates(theta, forcing, CESM2) * pools
    )
    leaving = (COLUMN.thickness[:, None] * respired).sum(axis=0)
    entering = carbon_input(theta, forcing, CESM2).sum(axis=0)
    for part in (above, ~above):
        np.testing.assert_allclose((leaving * part).sum(0), (entering * part).sum(0), rtol=1e-12, atol=1e-200)


@pytest.mark.parametrize("configuration", [PAPER, CESM2], ids=lambda c: c.name)
def test_derivatives_are_finite_and_central_differences_and_the_same_in_both_modes(configuration, rng):
    n, n_parameters = 24, len(configuration.parameters)
    _, forcing = drawn_columns(n, seed=2) if configuration is PAPER else seasonal_columns(n, seed=2)
    x = rng.uniform(0.1, 0.6, (n_parameters, n))
    # Where decomposition nearly stops, densities are far beyond any soil's; their gradient must not spoil a sum.
    x[[EFOLDING, BETA], -1] = 0.01
    low, high = bounds(forcing, configuration.parameters)

    def log_density(x, namespace=NUMPY):
        soc = soc_density(steady_state(low + x * (high - low), forcing, configuration, namespace))
        return namespace.xp.log(soc + 1e-290)

    weight, step = rng.normal(size=(configuration.column.n_layers, n)), rng.normal(size=x.shape)
    quickly = {"xla_backend_optimization_level": 0}  # of compiling
    with jax.enable_x64(True):
        jnp = jax_namespace()
        forward = jax.jit(lambda x: jax.jvp(lambda x: log_density(x, jnp), (x,), (step,))[1], compiler_options=quickly)
        reverse = jax.jit(jax.grad(lambda x: (weight * log_density(x, jnp)).sum()), compiler_options=quickly)
        along, gradient = np.asarray(forward(x)), np.asarray(reverse(x))
    assert np.isfinite(along).all() and np.isfinite(gradient).all()
    np.testing.assert_allclose((gradient * step).sum(axis=0), (weight * along).sum(axis=0), rtol=1e-9)
    h = 1e-5
    far_before, before, after, far_after = (log_density(x + k * h * step)[:, :-1] for k in (-2, -1, 1, 2))
    differences = (far_before - 8.0 * before + 8.0 * after - far_after) / (12.0 * h)
    error = np.abs(along[:, :-1] - differences) / np.abs(along[:, :-1]).max(axis=0)
    # The kink of a limit may lie within a step.
    assert (error < 1e-6).mean() > 0.98
