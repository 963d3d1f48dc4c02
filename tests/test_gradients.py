"""Derivatives by JAX of SOC and of its misfit, anywhere in the prior box, against central differences of NumPy's."""

from functools import cache
from typing import NamedTuple

import jax
import numpy as np
import pytest
from columns import any_columns, seasonal_forcing, temperate
from hypothesis import given
from numpy.typing import NDArray

from proda.kernels.misfit import layer_weights, misfit, misfit_forms
from proda.model.configuration import CESM2, PAPER, Column, Configuration
from proda.model.forcing import AnyForcing
from proda.model.observation import node_slopes
from proda.model.parameters import BETA, EFOLDING, INS, TAU_CWD, W_SCALING, bounds, unit_cube, with_positive_cwd_share
from proda.model.rates import MIN_WATER_SCALAR, NUMPY, SLOWEST, SLOWEST_LOG, environment, jax_namespace
from proda.model.solver import soc_density, steady_state

N = 24  # columns of every call: JAX compiles for one shape
EPS = np.finfo(float).eps
CONFIGURATIONS = pytest.mark.parametrize("configuration", [PAPER, CESM2], ids=lambda configuration: configuration.name)


class Problem(NamedTuple):
    """Parameters on the unit cube with their bounds, (n_parameters, n) each, forcing, and five observations a column
    as the forms of their misfit."""

    x: NDArray
    low: NDArray
    high: NDArray
    forcing: AnyForcing
    forms: NDArray

    def repeated(self, times: int) -> "Problem":
        index = np.tile(np.arange(self.x.shape[1]), times)
        forcing = self.forcing.take(index)
        return Problem(*(rows[:, index] for rows in self[:3]), forcing, self.forms[:, index])


def problem(x: NDArray, forcing: AnyForcing, configuration: Configuration, seed: int) -> Problem:
    rng, n = np.random.default_rng(seed), forcing.n_columns
    site = np.repeat(np.arange(n), 5)
    depth, observed = rng.uniform(0.0, 2.5, site.size), rng.lognormal(8.5, 1.0, site.size)
    forms = misfit_forms(site, n, depth, observed, layer_weights(site, depth), 0.3 * observed, configuration.column)
    return Problem(x, *bounds(forcing, configuration.parameters), forcing, forms)


def drawn(configuration: Configuration, seed: int) -> Problem:
    """Columns with any parameters from 0.01 to 0.99 of their ranges, both ends included, from polar to tropical."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.01, 0.99, (len(configuration.parameters), N))
    x = np.where(rng.random(x.shape) < 0.05, rng.choice([0.01, 0.99], x.shape), x)
    warmth = rng.uniform(-30.0, 10.0, N)
    if configuration.monthly:
        return problem(x, seasonal_forcing(N, seed).warmed(warmth), configuration, seed)
    forcing = temperate(N, seed).warmed(warmth)._replace(
        active_layer=np.where(np.arange(N) % 3, 35.0, rng.uniform(0.0, 5.0, N)),
        water_potential=-np.exp(rng.uniform(np.log(1e-4), np.log(30.0), (configuration.column.n_layers, N))),
    )  # fmt: skip
    return problem(with_positive_cwd_share(x.T, least=0.02)[0].T, forcing, configuration, seed)


def quantities(of: Problem, configuration: Configuration, namespace=NUMPY):
    """Log density of every layer, log stock, and Phi, (n_layers + 2, n)."""
    xp, column = namespace.xp, configuration.column
    theta = of.low + of.x * (of.high - of.low)
    soc = soc_density(steady_state(theta, of.forcing, configuration, namespace))
    log_stock = xp.log((column.thickness[:, None] * soc).sum(axis=0))
    # Where nothing ever thaws, no carbon gets below the first layer: its density there is zero.
    return xp.concatenate([xp.log(soc + 1e-290), log_stock[None], misfit(soc, of.forms, column, namespace)[None]])


@cache
def derivatives(configuration: Configuration):
    """Compiled once: all partial derivatives in forward mode, (n_parameters, n_layers + 2, n), and the sum of
    `quantities` over given weights in reverse mode, (n_parameters, n)."""
    # What is tested is the derivative, not the optimiser: without it compiling is faster.
    options = {"xla_backend_optimization_level": 0}

    def of_x(given: Problem):
        return lambda x: quantities(given._replace(x=x), configuration, jax_namespace())

    def forward(given: Problem):
        directions = np.eye(len(configuration.parameters))[:, :, None] * np.ones(N)
        return jax.vmap(lambda towards: jax.jvp(of_x(given), (given.x,), (towards,))[1])(directions)

    def reverse(given: Problem, weight):
        return jax.grad(lambda x: (weight * of_x(given)(x)).sum())(given.x)

    return jax.jit(forward, compiler_options=options), jax.jit(reverse, compiler_options=options)


def by_forward_mode(of: Problem, configuration: Configuration) -> NDArray:
    with jax.enable_x64(True):
        return np.asarray(derivatives(configuration)[0](of))


def step_sizes(of: Problem, configuration: Configuration) -> NDArray:
    """Steps on the unit cube, (n_parameters, n): 0.003 of the distance over which the model changes by its own size.

    The error of a fourth-order difference is of the order of 0.003^4. Everything is a rational function of turnover
    times, fractions and diffusivities, whose nearest pole lies outside the box; three parameters stand in exponents.
    """
    scale = np.minimum(of.x, 1.0 - of.x)
    theta, span = of.low + of.x * (of.high - of.low), of.high - of.low
    column = configuration.column
    for row, length in (
        (EFOLDING, theta[EFOLDING] ** 2 / column.node[-1]),
        (BETA, theta[BETA] / (100.0 * column.bottom[-1])),
    ):
        scale[row] = np.minimum(scale[row], length / span[row])
    if configuration.monthly:
        # A kink for each layer and month: a short step, so that it rarely meets one.
        scale[W_SCALING] = np.minimum(scale[W_SCALING], 0.01)
    return 0.003 * scale


class Differences(NamedTuple):
    """Central differences, their rounding error, and where they lie across a kink; (n_parameters, n_layers + 2, n)."""

    value: NDArray
    rounding: NDArray
    kink: NDArray


def limits_of_decay(of: Problem, configuration: Configuration) -> NDArray:
    """Which limits of the decomposition scalars hold, (m, n)."""
    factors = environment(of.low + of.x * (of.high - of.low), of.forcing, configuration)
    limits = (
        factors.water == 1.0, factors.water == MIN_WATER_SCALAR, factors.depth == np.exp(SLOWEST_LOG),
        factors.of_soil() == SLOWEST, factors.of_litter() == SLOWEST,
    )  # fmt: skip
    return np.concatenate([limit.reshape(-1, of.x.shape[1]) for limit in limits])


def limits_of_curve(density: NDArray, column: Column) -> NDArray:
    """Where the curve through the nodes turns, and where its slope at an end is limited, (m, n)."""
    slopes = node_slopes(density, column)
    secants = np.diff(density, axis=0) / column.spacing[:, None]
    return np.concatenate([slopes == 0.0, slopes[[0, -1]] == 3.0 * secants[[0, -1]]])


def by_differences(of: Problem, configuration: Configuration) -> Differences:
    n_parameters, n = of.x.shape
    h = step_sizes(of, configuration)
    offsets = np.eye(n_parameters)[:, :, None] * h
    places = np.stack([of.x[:, None] + multiple * offsets for multiple in (-2, -1, 1, 2, 0)], axis=1)
    around = of.repeated(5 * n_parameters)._replace(x=places.reshape(n_parameters, -1))
    values = quantities(around, configuration)
    limits = limits_of_decay(around, configuration), limits_of_curve(np.exp(values[:-2]), configuration.column)
    by_place = (limit.reshape(-1, 5, n_parameters, n) for limit in limits)
    kinked_decay, kinked_curve = ((limit != limit[:, -1:]).any(axis=(0, 1)) for limit in by_place)
    far_before, before, after, far_after, here = np.moveaxis(values.reshape(-1, 5, n_parameters, n), (1, 2), (0, 1))
    kink = np.repeat(kinked_decay[:, None], here.shape[1], axis=1)
    kink[:, -1] |= kinked_curve
    # A log density is off by its own size in units of rounding, for it comes from exponentials of numbers that large.
    # Phi is a sum of terms that cancel; the largest have the size of Phi and of the observations' own squares.
    size = 1.0 + np.abs(here)
    size[:, -1] = (here[:, -1] + 2.0 * of.forms[-1]) * size[:, :-1].max(axis=1)
    value = (far_before - 8.0 * before + 8.0 * after - far_after) / (12.0 * h[:, None])
    return Differences(value, EPS * size / h[:, None], kink)


def agree(derivative: NDArray, differences: Differences) -> NDArray:
    """Where a derivative is the difference to 1e-6, or to what the difference can tell, or where there is a kink."""
    error = np.abs(derivative - differences.value)
    return (error <= 1e-6 * np.abs(derivative) + 8.0 * differences.rounding) | differences.kink


@CONFIGURATIONS
@pytest.mark.parametrize("seed", range(4))
def test_derivatives_of_every_layer_the_stock_and_the_misfit_are_central_differences(configuration, seed):
    of = drawn(configuration, seed)
    derivative, differences = by_forward_mode(of, configuration), by_differences(of, configuration)
    assert np.isfinite(derivative).all() and agree(derivative, differences).all()
    # All this would be idle if most of it were near a kink, or lost in rounding.
    assert differences.kink[:, :-1].mean() < 0.02 and differences.kink[:, -1].mean() < 0.2
    largest = np.abs(derivative).max(axis=0)
    assert (8.0 * differences.rounding < 1e-6 * largest).mean() > 0.99


@given(any_columns())
def test_derivatives_are_central_differences_for_any_forcing(columns):
    theta, forcing = columns
    # XLA takes the least of all numbers for zero, and so a thaw of 1e-310 m for none.
    forcing = forcing._replace(active_layer=np.where(forcing.active_layer < 1e-300, 0.0, forcing.active_layer))
    three = problem(unit_cube(theta, forcing), forcing, PAPER, seed=1)
    derivative = by_forward_mode(three.repeated(N // 3), PAPER)[..., :3]
    assert np.isfinite(derivative).all() and agree(derivative, by_differences(three, PAPER)).all()


@CONFIGURATIONS
def test_an_error_of_one_in_a_hundred_thousand_would_be_noticed(configuration):
    of = drawn(configuration, seed=0)
    derivative, differences = by_forward_mode(of, configuration), by_differences(of, configuration)
    counts = (np.abs(derivative) > 1e-2 * np.abs(derivative).max(axis=0)) & ~differences.kink
    assert counts.sum() > 1000 and not agree(1.00001 * derivative, differences)[counts].any()


@CONFIGURATIONS
@pytest.mark.parametrize("seed", range(4))
def test_reverse_mode_gives_what_forward_mode_gives(configuration, seed):
    of = drawn(configuration, seed)
    derivative = by_forward_mode(of, configuration)
    weight = np.random.default_rng(seed).normal(size=derivative.shape[1:]) / np.abs(derivative).max(axis=0)
    forward = np.einsum("plc,lc->pc", derivative, weight)
    with jax.enable_x64(True):
        reverse = np.asarray(derivatives(configuration)[1](of, weight))
    np.testing.assert_array_less(np.abs(reverse - forward), 1e-10 * np.abs(forward).max(axis=0) * np.ones_like(forward))


@CONFIGURATIONS
def test_the_turnover_of_woody_debris_moves_no_soil_carbon(configuration):
    derivative = by_forward_mode(drawn(configuration, seed=5), configuration)
    assert np.abs(derivative[TAU_CWD, :-1]).max() < 1e-12


def test_every_layer_is_proportional_to_the_carbon_input():
    of = drawn(PAPER, seed=6)
    relative = (of.high - of.low)[INS] / (of.low + of.x * (of.high - of.low))[INS]
    found = by_forward_mode(of, PAPER)[INS, :-1]
    np.testing.assert_allclose(found, np.broadcast_to(relative, found.shape), rtol=1e-12)


@CONFIGURATIONS
def test_derivatives_are_finite_even_where_carbon_all_but_never_decays(configuration):
    """Densities far beyond any soil's: the gradient of one such column would spoil the sum over all the others."""
    of = drawn(configuration, seed=7)
    of.x[EFOLDING] = 0.01
    of.x[BETA, ::2] = 0.01
    weight = np.ones((configuration.column.n_layers + 2, N))
    weight[-1] = 0.0  # Phi itself, a square of such densities, can be differentiated forwards only
    with jax.enable_x64(True):
        reverse = np.asarray(derivatives(configuration)[1](of, weight))
    derivative = by_forward_mode(of, configuration)
    assert np.isfinite(derivative).all() and np.isfinite(reverse).all() and (np.abs(derivative).max(axis=0) > 0).all()
