"""Soil carbon in time: conserved in every step, true to exact solutions, and ending at the steady state."""

import numpy as np
import pytest
from columns import any_columns, drawn_columns, seasonal_forcing, temperate
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

from proda.errors import InputError
from proda.model.configuration import CESM2, CESM2_AS_PUBLISHED, PAPER_COLUMN
from proda.model.matrices import input_vector, respiration, system_matrix
from proda.model.parameters import PAPER_PARAMETERS, default_parameters, physical
from proda.model.rates import environment
from proda.model.solver import steady_state
from proda.model.transient import efolding_time, soc_response, trajectory

ROW = {name: k for k, name in enumerate(PAPER_PARAMETERS.names)}


@pytest.fixture(scope="module")
def columns():
    theta, forcing = drawn_columns(5, seed=7, low=0.3, high=0.9)
    return theta, forcing._replace(active_layer=np.array([35.0, 2.0, 0.3, 0.0, 35.0]))


def stock(pools):
    return (pools * PAPER_COLUMN.thickness[:, None]).sum(axis=(0, 1))


@pytest.mark.parametrize("days", [0.1, 30.0, 365.0, 1e5])
def test_each_step_changes_the_stock_by_what_enters_less_what_is_respired(columns, days):
    theta, forcing = columns
    entering = PAPER_COLUMN.thickness @ input_vector(theta, forcing).reshape(5, 7, 10).sum(axis=1).T
    before = 2.0 * steady_state(theta, forcing)[:, ::-1]
    for step in trajectory(before, theta, forcing, days, 5):
        pools = step.pools
        gained = days * (entering - respiration(pools, theta, forcing))
        scale = stock(before) + stock(pools) + days * entering
        assert (np.abs(stock(pools) - stock(before) - gained) <= 1e-12 * scale).all()
        assert (pools >= 0.0).all()
        before = pools


def test_growing_from_bare_ground_arrives_at_the_steady_state_from_below(columns):
    theta, forcing = columns
    final = steady_state(theta, forcing)
    path = [step.pools for step in trajectory(np.zeros_like(final), theta, forcing, 365.0 * 2e4, 150)]
    stocks = np.array([stock(pools) for pools in path])
    assert (np.diff(stocks, axis=0) >= -1e-9 * stocks[-1]).all()
    # Where almost nothing mixes in, what little carbon there is takes longer.
    np.testing.assert_allclose(path[-1], final, rtol=1e-8, atol=1e-12 * final.max())


@pytest.mark.parametrize("days", [0.0, -1.0, np.nan])
def test_a_step_must_go_forward(columns, days):
    with pytest.raises(InputError, match="the time step is .* expected a positive number"):
        next(trajectory(np.zeros((7, 10, 5)), *columns, days, 1))


@pytest.fixture(scope="module")
def seasonal():
    forcing = seasonal_forcing(3)
    x = np.random.default_rng(12).uniform(0.3, 0.9, (len(CESM2.parameters), 3))
    return physical(x, forcing, CESM2.parameters), forcing


def dense_solution(start, theta, forcing, days):
    """Pools after `days` by the matrix exponential of the whole system, (7, n_layers, n)."""
    final = steady_state(theta, forcing)
    matrix = system_matrix(theta, forcing)
    flat = np.moveaxis(start - final, -1, 0).reshape(len(matrix), -1)
    left = [expm(-m * days) @ v for m, v in zip(matrix, flat, strict=True)]
    return final + np.moveaxis(np.reshape(left, (len(matrix), 7, -1)), 0, -1)


@pytest.mark.parametrize(("order", "gain"), [(1, 2.0), (2, 4.0)])
def test_halving_the_step_divides_the_error_by_two_or_by_four(columns, order, gain):
    theta, forcing = columns
    start = 0.5 * steady_state(theta, forcing)
    exact = dense_solution(start, theta, forcing, 2000.0)
    errors = []
    for n_steps in (100, 200):
        *_, last = trajectory(start, theta, forcing, 2000.0 / n_steps, n_steps, order=order)
        errors.append(np.abs(last.pools - exact).max() / exact.max())
    assert errors[1] < (1e-2 if order == 1 else 1e-4)
    assert errors[0] / errors[1] == pytest.approx(gain, rel=0.1)


@pytest.mark.parametrize("configuration", [CESM2, CESM2_AS_PUBLISHED], ids=lambda c: c.bottom)
@pytest.mark.parametrize("order", [1, 2])
def test_a_year_of_changing_months_is_balanced(seasonal, configuration, order):
    theta, forcing = seasonal
    thickness = configuration.column.thickness[:, None]
    before = steady_state(theta, forcing, configuration)
    entered = 0.0
    months = trajectory(
        before, theta, lambda day: forcing.in_month(int(day / 365.0 * 12.0) % 12), 5.0, 73, configuration, order
    )
    for step in months:
        gained = step.entered - step.respired - step.leaked
        change = ((step.pools - before) * thickness).sum(axis=(0, 1))
        np.testing.assert_array_less(np.abs(change - gained), 1e-12 * (before * thickness).sum(axis=(0, 1)))
        assert (step.leaked == 0.0).all() == (configuration.bottom == "closed")
        before, entered = step.pools, entered + step.entered
    assert step.days == pytest.approx(365.0)
    np.testing.assert_allclose(entered, forcing.carbon_input.sum(axis=(0, 1)), rtol=0.02)


def test_the_seasons_vary_around_the_steady_state_of_the_mean_year(seasonal):
    theta, forcing = seasonal
    mean = steady_state(theta, forcing, CESM2)
    pools = mean
    for _ in range(8):
        year = list(
            trajectory(pools, theta, lambda day: forcing.in_month(int(day / 365 * 12) % 12), 365 / 24, 24, CESM2, 2)
        )
        pools = year[-1].pools
    soil = np.array([step.pools[4:].sum(axis=0) for step in year])
    # Soil carbon turns over too slowly to follow the seasons far.
    np.testing.assert_allclose(soil.mean(axis=0)[:3], mean[4:].sum(axis=0)[:3], rtol=0.1)
    fresh = np.array([step.pools[1, 0] for step in year])
    assert (fresh.max(axis=0) > 1.05 * fresh.min(axis=0)).all()


@pytest.mark.parametrize("days", [1.0, 30.0, 365.0])
@pytest.mark.parametrize("order", [1, 2])
def test_the_steady_state_stays_at_any_step(columns, days, order):
    theta, forcing = columns
    final = steady_state(theta, forcing)
    *_, last = trajectory(final, theta, forcing, days, 3, order=order)
    np.testing.assert_allclose(last.pools, final, rtol=1e-10, atol=1e-12 * final.max())


@given(any_columns(), st.floats(1.0, 365.0))
def test_the_first_order_never_makes_a_pool_negative(columns, days):
    theta, forcing = columns
    step = next(trajectory(np.zeros((7, 10, 3)), theta, forcing, days, 1))
    assert (step.pools >= 0.0).all() and np.isfinite(step.pools).all()
    stock = (step.pools * PAPER_COLUMN.thickness[:, None]).sum(axis=(0, 1))
    np.testing.assert_allclose(stock, step.entered - step.respired, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": 3}, r"order is 3, expected 1 .* or 2"),
        ({"pools": np.zeros((7, 20, 5))}, r"pools has shape \(7, 20, 5\), expected \(7, 10, 5\)"),
        ({"forcing": lambda day: temperate(5).warmed(-273.15 * (day > 20))}, r"forcing on day 30: soil_temp.*Add 273"),
    ],
    ids=["order", "pools", "forcing"],
)
def test_what_is_wrong_with_a_run_is_reported(columns, change, message):
    theta, forcing = columns
    arguments = {"pools": np.zeros((7, 10, 5)), "theta": theta, "forcing": forcing} | change
    with pytest.raises(InputError, match=message):
        list(trajectory(**arguments, days=10.0, n_steps=3))


@pytest.fixture(scope="module")
def single_pool():
    """Soil carbon that is one pool in one layer: litter passes at once, nothing moves, nothing is handed on."""
    forcing = temperate(4)._replace(active_layer=np.zeros(4))
    theta = default_parameters(forcing, 50.0)
    for name in ("fl3s2", "fs1s2", "fs1s3", "fs2s1", "fs2s3", "fs3s1"):
        theta[ROW[name]] = 0.0
    theta[ROW["fcwdl2"]], theta[ROW["tau4cwd"]] = 1.0, 1e-4
    theta[ROW["tau4l1"]] = theta[ROW["tau4l2l3"]] = 1e-4
    theta[ROW["tau4s1"]] = [0.5, 5.0, 50.0, 90.0]
    years = theta[ROW["tau4s1"]] / environment(theta, forcing).of_soil()[0]
    return theta, forcing, years


def test_a_single_pool_responds_exponentially(single_pool):
    theta, forcing, tau = single_pool
    response = soc_response(theta, forcing, forcing.fertilised(1.1), 50, steps_per_year=12)
    exact = 1.0 - 0.1 * np.expm1(-np.arange(51)[:, None] / tau)
    np.testing.assert_allclose(response, exact, atol=2e-5)


def test_the_efolding_time_of_a_single_pool_is_its_turnover_time(single_pool):
    theta, forcing, tau = single_pool
    np.testing.assert_allclose(efolding_time(theta, forcing, forcing.fertilised(1.1)), tau, rtol=5e-3)
    np.testing.assert_allclose(efolding_time(theta, forcing, forcing.fertilised(0.5)), tau, rtol=5e-3)


def test_the_response_to_input_grows_towards_the_size_of_the_input_in_its_efolding_time():
    theta, forcing = drawn_columns(3, seed=4, low=0.4, high=0.8)
    time = efolding_time(theta, forcing, forcing.fertilised(1.1))
    response = soc_response(theta, forcing, forcing.fertilised(1.1), 100)
    assert (np.diff(response, axis=0) > 0.0).all() and (response[-1] < 1.1).all()
    assert ((response[-1] > 1.1 - 0.1 / np.e) == (time < 100.0)).all()


def test_warming_costs_carbon_in_both_configurations():
    theta, forcing = drawn_columns(3, seed=5)
    assert (soc_response(theta, forcing, forcing.warmed(2.0), 20)[-1] < 1.0).all()
    seasons = seasonal_forcing(3)
    x = np.random.default_rng(6).uniform(0.2, 0.8, (len(CESM2.parameters), 3))
    theta = physical(x, seasons, CESM2.parameters)
    warm = soc_response(theta, seasons, seasons.warmed(2.0), 20, CESM2)
    fed = soc_response(theta, seasons, seasons.fertilised(1.1), 20, CESM2)
    assert (warm[-1] < 1.0).all() and (fed[-1] > 1.0).all() and (fed[-1] < 1.1).all()


def test_without_a_change_there_is_no_efolding_time():
    theta, forcing = drawn_columns(2, seed=5)
    with pytest.raises(InputError, match=r"every column is the same before and after"):
        efolding_time(theta, forcing, forcing)
