"""Soil carbon in time: conserved in every step, true to exact solutions, and ending at the steady state."""

import numpy as np
import pytest
from columns import drawn_columns, seasonal_forcing, temperate
from scipy.linalg import expm

from proda.errors import InputError
from proda.model.configuration import CESM2, PAPER_COLUMN
from proda.model.matrices import system_matrix
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
    before = 2.0 * steady_state(theta, forcing)[:, ::-1]
    for step in trajectory(before, theta, forcing, days, 5):
        gained = step.entered - step.respired
        scale = stock(before) + stock(step.pools) + step.entered
        assert (np.abs(stock(step.pools) - stock(before) - gained) <= 1e-12 * scale).all()
        before = step.pools


def test_growing_from_bare_ground_arrives_at_the_steady_state_which_stays(columns):
    theta, forcing = columns
    final = steady_state(theta, forcing)
    *_, last = trajectory(np.zeros_like(final), theta, forcing, 365.0 * 2e4, 150)
    # Where almost nothing mixes in, what little carbon there is takes longer.
    np.testing.assert_allclose(last.pools, final, rtol=1e-8, atol=1e-12 * final.max())
    *_, last = trajectory(final, theta, forcing, 30.0, 3)
    np.testing.assert_allclose(last.pools, final, rtol=1e-10, atol=1e-12 * final.max())


def test_halving_the_step_divides_the_error_by_four(columns):
    theta, forcing = columns
    final = steady_state(theta, forcing)
    matrix = system_matrix(theta, forcing)
    start = 0.5 * final
    flat = np.moveaxis(start - final, -1, 0).reshape(len(matrix), -1)
    left = [expm(-2000.0 * m) @ v for m, v in zip(matrix, flat, strict=True)]
    exact = final + np.moveaxis(np.reshape(left, (len(matrix), 7, -1)), 0, -1)
    errors = []
    for n_steps in (100, 200):
        *_, last = trajectory(start, theta, forcing, 2000.0 / n_steps, n_steps)
        errors.append(np.abs(last.pools - exact).max() / exact.max())
    assert errors[1] < 1e-4 and errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"days": -1.0}, r"the time step is -1.0 days, expected a positive number"),
        ({"pools": np.zeros((7, 20, 5))}, r"pools has shape \(7, 20, 5\), expected \(7, 10, 5\)"),
        ({"forcing": temperate(5).warmed(-273.15)}, r"soil_temperature.*Add 273"),
    ],
    ids=["days", "pools", "forcing"],
)
def test_what_is_wrong_with_a_run_is_reported(columns, change, message):
    theta, forcing = columns
    arguments = {"pools": np.zeros((7, 10, 5)), "theta": theta, "forcing": forcing, "days": 10.0} | change
    with pytest.raises(InputError, match=message):
        list(trajectory(**arguments, n_steps=3))


@pytest.fixture(scope="module")
def single_pool():
    """Soil carbon that is one pool in one layer: litter passes at once, nothing moves, nothing is transferred."""
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


def test_warming_costs_carbon_in_both_configurations():
    theta, forcing = drawn_columns(3, seed=5)
    assert (soc_response(theta, forcing, forcing.warmed(2.0), 20)[-1] < 1.0).all()
    seasons = seasonal_forcing(3)
    x = np.random.default_rng(6).uniform(0.2, 0.8, (len(CESM2.parameters), 3))
    theta = physical(x, seasons, CESM2.parameters)
    warm = soc_response(theta, seasons, seasons.warmed(2.0), 20, CESM2)
    fed = soc_response(theta, seasons, seasons.fertilised(1.1), 20, CESM2)
    assert (warm[-1] < 1.0).all() and (fed[-1] > 1.0).all() and (fed[-1] < 1.1).all()


def test_the_efolding_time_of_a_single_pool_is_its_turnover_time(single_pool):
    theta, forcing, tau = single_pool
    np.testing.assert_allclose(efolding_time(theta, forcing, forcing.fertilised(1.1)), tau, rtol=5e-3)
    np.testing.assert_allclose(efolding_time(theta, forcing, forcing.fertilised(0.5)), tau, rtol=5e-3)


def test_without_a_change_there_is_no_efolding_time():
    theta, forcing = drawn_columns(2, seed=5)
    with pytest.raises(InputError, match=r"every column is the same before and after"):
        efolding_time(theta, forcing, forcing)
