"""Ages and transit times: closed formulas, the dense solution, identities of compartmental systems, and a response."""

import jax
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
from columns import any_columns, drawn_columns, seasonal_forcing, temperate
from hypothesis import given
from hypothesis import strategies as st

from proda.errors import InputError
from proda.figures.model import age_profiles
from proda.model.age import age_deviations, ages
from proda.model.configuration import CESM2, CESM2_AS_PUBLISHED, PAPER
from proda.model.matrices import decay_rates, respiration, system_matrix
from proda.model.parameters import PAPER_PARAMETERS, default_parameters, physical
from proda.model.rates import NUMPY, carbon_input, jax_namespace
from proda.model.solver import POOLS, steady_state
from proda.model.transient import trajectory

ROW = {name: k for k, name in enumerate(PAPER_PARAMETERS.names)}
CWD, L1, L2, L3, S1, S2, S3 = range(len(POOLS))
HARDLY_THAWING = 0.005  # m: nothing mixes, but carbon enters every layer


def stock(pools, configuration=PAPER):
    return (pools * configuration.column.thickness[:, None]).sum(axis=(0, 1))


@pytest.fixture(scope="module")
def columns():
    """With no permafrost, churned deeply and thinly, never thawed, and unmixed."""
    theta, forcing = drawn_columns(5, seed=7, low=0.3, high=0.9)
    return theta, forcing._replace(active_layer=np.array([35.0, 2.0, 0.3, 0.0, HARDLY_THAWING]))


@pytest.fixture(scope="module")
def seasonal():
    forcing = seasonal_forcing(3)
    x = np.random.default_rng(12).uniform(0.3, 0.9, (len(CESM2.parameters), 3))
    return physical(x, forcing, CESM2.parameters), forcing


@pytest.fixture(scope="module")
def unmixed():
    """Columns without mixing, and the mean time that carbon stays in each pool of each layer, yr."""
    theta, forcing = drawn_columns(4, seed=5)
    forcing = forcing._replace(active_layer=np.full(4, HARDLY_THAWING))
    return theta, forcing, 1.0 / (365.0 * decay_rates(theta, forcing))


def test_woody_debris_is_as_old_as_it_takes_to_decay_and_so_is_the_spread_of_its_age(columns):
    theta, forcing = columns
    stay = 1.0 / (365.0 * decay_rates(theta, forcing)[CWD])
    thawing = forcing.active_layer > 0.0
    np.testing.assert_allclose(ages(*columns).pool[CWD][:, thawing], stay[:, thawing], rtol=1e-12)
    np.testing.assert_allclose(age_deviations(*columns).pool[CWD][:, thawing], stay[:, thawing], rtol=1e-12)


def test_without_mixing_litter_has_the_age_of_its_decay_and_of_the_debris_it_came_from(unmixed):
    theta, forcing, stay = unmixed
    found = ages(theta, forcing).pool
    np.testing.assert_allclose(found[L1], stay[L1], rtol=1e-12)
    woody, _, cellulose, _ = carbon_input(theta, forcing)
    from_debris = theta[ROW["fcwdl2"]] * woody
    np.testing.assert_allclose(found[L2], stay[L2] + from_debris / (from_debris + cellulose) * stay[CWD], rtol=1e-12)


def test_along_a_chain_of_pools_without_feedback_the_ages_and_their_variances_add_up(unmixed):
    theta, forcing, stay = unmixed
    theta = theta.copy()
    theta[[ROW[name] for name in ("fl2s1", "fl3s2", "fs2s1", "fs3s1", "fs1s3")]] = 0.0
    mean, deviation = ages(theta, forcing).pool, age_deviations(theta, forcing).pool
    for end in range(1, 5):
        chain = [L1, S1, S2, S3][:end]
        np.testing.assert_allclose(mean[chain[-1]], stay[chain].sum(axis=0), rtol=1e-12)
        np.testing.assert_allclose(deviation[chain[-1]] ** 2, (stay[chain] ** 2).sum(axis=0), rtol=1e-11)


@pytest.mark.parametrize("configuration", [PAPER, CESM2], ids=lambda c: c.name)
def test_the_dense_inverse_gives_the_same_ages(request, configuration):
    theta, forcing = request.getfixturevalue("columns" if configuration is PAPER else "seasonal")
    n = forcing.n_columns
    pools = steady_state(theta, forcing, configuration)
    inverse = np.linalg.inv(system_matrix(theta, forcing, configuration))
    held = np.moveaxis(pools, -1, 0).reshape(n, -1, 1)
    aged = inverse @ held
    squared = 2.0 * inverse @ aged
    mean, deviation = ages(theta, forcing, configuration).pool, age_deviations(theta, forcing, configuration).pool

    def divided(values):
        return np.moveaxis((values / np.where(held > 0.0, held, np.nan)).reshape(n, 7, -1), 0, -1)

    has_age = np.isfinite(mean)
    dense_mean = divided(aged) / 365.0
    np.testing.assert_allclose(mean[has_age], dense_mean[has_age], rtol=1e-9)
    dense_deviation = np.sqrt(divided(squared) / 365.0**2 - dense_mean**2)
    np.testing.assert_allclose(deviation[has_age], dense_deviation[has_age], rtol=1e-9)


@given(any_columns())
def test_what_is_respired_is_as_old_as_carbon_takes_to_pass_through(columns):
    pools, found = steady_state(*columns), ages(*columns)
    of_age = respiration(pools * np.nan_to_num(found.pool), *columns)
    np.testing.assert_allclose(of_age / respiration(pools, *columns), found.transit, rtol=1e-11)


@given(any_columns())
def test_transit_time_and_input_make_the_stock(columns):
    entering = 365.0 * carbon_input(*columns).sum(axis=(0, 1))
    np.testing.assert_allclose(ages(*columns).transit * entering, stock(steady_state(*columns)), rtol=1e-12)


@given(any_columns())
def test_carbon_has_a_positive_age_wherever_there_is_carbon_and_means_are_weighted_by_it(columns):
    pools, found = steady_state(*columns), ages(*columns)
    np.testing.assert_array_equal(np.isnan(found.pool), pools == 0.0)
    assert (found.pool[pools > 0.0] > 0.0).all()
    aged = pools * np.nan_to_num(found.pool)
    np.testing.assert_allclose(found.system, stock(aged) / stock(pools), rtol=1e-12)
    np.testing.assert_allclose(found.soil, stock(aged[S1:]) / stock(pools[S1:]), rtol=1e-12)
    soil = pools[S1:].sum(axis=0)
    expected = np.where(soil > 0.0, aged[S1:].sum(axis=0) / np.where(soil > 0.0, soil, 1.0), np.nan)
    np.testing.assert_allclose(found.soil_by_layer, expected, rtol=1e-12)


@given(any_columns(), st.floats(0.01, 1.3))
def test_ages_do_not_depend_on_how_much_carbon_enters(columns, factor):
    theta, forcing = columns
    for before, after in zip(ages(theta, forcing), ages(theta, forcing.fertilised(factor)), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-11)


@given(any_columns())
def test_when_everything_goes_twice_as_fast_ages_halve(columns):
    theta, forcing = columns
    fast = theta.copy()
    fast[ROW["tau4cwd"] : ROW["tau4s3"] + 1] *= 0.5
    fast[[ROW["diffus"], ROW["cryo"]]] *= 2.0
    for slow, quick in zip(ages(theta, forcing), ages(fast, forcing), strict=True):
        np.testing.assert_allclose(quick, 0.5 * slow, rtol=1e-11)


@given(any_columns(least_efolding=0.05))
def test_the_spread_of_ages_is_finite_and_scales_as_they_do(columns):
    theta, forcing = columns
    slow = theta.copy()
    slow[ROW["tau4cwd"] : ROW["tau4s3"] + 1] *= 2.0
    slow[[ROW["diffus"], ROW["cryo"]]] *= 0.5
    for mean, quick, late in zip(
        *(ages(*columns), age_deviations(*columns), age_deviations(slow, forcing)), strict=True
    ):
        np.testing.assert_array_equal(np.isfinite(quick), np.isfinite(mean))
        np.testing.assert_allclose(late, 2.0 * quick, rtol=1e-7)


def test_without_mixing_age_grows_with_depth_as_decomposition_slows(unmixed):
    theta, forcing, _ = unmixed
    theta, forcing = (
        theta.copy(),
        forcing._replace(soil_temperature=np.full((10, 4), 283.0), water_potential=np.full((10, 4), -0.05)),
    )
    # What enters has the same composition everywhere, so only the pace differs.
    deeper = np.exp(PAPER.column.node[:, None] / theta[ROW["efolding"]])
    found = ages(theta, forcing)
    for age in (*found.pool, found.soil_by_layer):
        assert (np.diff(age, axis=0) > 0.0).all()
        np.testing.assert_allclose(age / age[0], deeper / deeper[0], rtol=1e-11)


def test_in_ground_that_never_thaws_carbon_without_age_spoils_no_mean(columns):
    found, spread = ages(*columns), age_deviations(*columns)
    frozen = 3
    for values in (found, spread):
        assert np.isnan(values.pool[:, 1:, frozen]).all() and np.isfinite(values.pool[:, 0, frozen]).all()
        assert np.isfinite([values.system, values.soil, values.transit]).all()


@pytest.fixture(scope="module")
def response():
    """Years, and the share of the response to 10 % more input that is still to come: many growing steps."""
    forcing = temperate(3)._replace(active_layer=np.array([35.0, 2.0, 0.5]))
    theta = default_parameters(forcing, 50.0)
    start = pools = steady_state(theta, forcing)
    days, days_since, to_come = 0.1, [0.0], [np.ones(3)]
    while days < 5e8:
        pools = next(trajectory(pools, theta, forcing.fertilised(1.1), days, 1, order=2)).pools
        days_since.append(days_since[-1] + days)
        to_come.append(1.0 - stock(pools - start) / (0.1 * stock(start)))
        days *= 1.1
    return theta, forcing, np.array(days_since) / 365.0, np.array(to_come)


def test_the_age_of_a_column_is_the_time_its_response_to_more_input_takes(response):
    theta, forcing, years, to_come = response
    assert np.abs(to_come[-1]).max() < 1e-6
    found = np.trapezoid(to_come, years, axis=0)
    np.testing.assert_allclose(found, ages(theta, forcing).system, rtol=0.002)


def test_the_spread_of_ages_is_in_the_time_course_of_that_response(response):
    theta, forcing, years, to_come = response
    square = 2.0 * np.trapezoid(to_come * years[:, None], years, axis=0)
    mean = ages(theta, forcing).system
    np.testing.assert_allclose(np.sqrt(square - mean**2), age_deviations(theta, forcing).system, rtol=0.005)


def test_the_spread_of_transit_times_follows_from_the_mean_age(columns):
    found, spread = ages(*columns), age_deviations(*columns)
    np.testing.assert_allclose(spread.transit**2 + found.transit**2, 2.0 * found.system * found.transit, rtol=1e-12)


def test_in_the_cesm2_configuration_carbon_counts_down_to_bedrock(seasonal):
    theta, forcing = seasonal
    found = ages(theta, forcing, CESM2)
    above = np.arange(20)[:, None] < forcing.bedrock
    assert (np.isfinite(found.pool) == above).all()
    pools = steady_state(theta, forcing, CESM2) * above
    entering = 365.0 * (carbon_input(theta, forcing, CESM2) * above).sum(axis=(0, 1))
    np.testing.assert_allclose(found.transit * entering, stock(pools, CESM2), rtol=1e-12)
    of_age = respiration(pools * np.nan_to_num(found.pool), theta, forcing, CESM2)
    np.testing.assert_allclose(of_age / respiration(pools, theta, forcing, CESM2), found.transit, rtol=1e-12)


@pytest.mark.parametrize("of", [ages, age_deviations], ids=lambda of: of.__name__)
def test_a_column_that_leaks_has_no_ages(seasonal, of):
    with pytest.raises(InputError, match=r"the bottom of 'cesm2' is 'published', expected 'closed'.*Use `CESM2`"):
        of(*seasonal, CESM2_AS_PUBLISHED)


def test_jax_finds_the_same_ages_and_how_they_change_even_beside_pools_without_carbon(columns):
    theta, forcing = columns

    def total(theta, namespace=NUMPY):
        found = ages(theta, forcing, namespace=namespace)
        return found.system + namespace.xp.nansum(found.pool, axis=(0, 1)), found

    def of_all_columns(theta):
        values, found = total(theta, jax_namespace())
        return values.sum(), found

    with jax.enable_x64(True):
        (_, by_jax), gradient = jax.jit(jax.value_and_grad(of_all_columns, has_aux=True))(theta)
        by_jax, gradient = [np.asarray(values) for values in by_jax], np.asarray(gradient)
    for found, expected in zip(by_jax, ages(theta, forcing), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)
    for name in ("efolding", "tau4s3", "cryo"):
        step = np.zeros((25, 1))
        step[ROW[name]] = 1e-5 * PAPER_PARAMETERS.maximum[ROW[name]]
        difference = total(theta + step)[0] - total(theta - step)[0]
        np.testing.assert_allclose(2.0 * gradient[ROW[name]] * step[ROW[name]], difference, rtol=1e-5, atol=1e-9)


def test_the_figure_of_ages_draws_each_pool_where_there_is_carbon(columns):
    found, frozen = ages(*columns), 3
    ax = age_profiles(found.pool[..., frozen], plt.figure().add_subplot(), soil=found.soil_by_layer[..., frozen])
    ax.figure.draw_without_rendering()
    *pools, soil = [line.get_xdata() for line in ax.lines]
    np.testing.assert_array_equal(pools, found.pool[..., frozen])
    assert [np.isfinite(years).sum() for years in (*pools, soil)] == [1] * 8 and ax.get_xscale() == "log"
    plt.close(ax.figure)
