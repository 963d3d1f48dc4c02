"""Soil carbon in time: conserved in every step, true to the analytic solution, and ending at the steady state."""

import numpy as np
import pytest
from columns import drawn_columns

from proda.errors import InputError
from proda.model.column import PAPER_COLUMN
from proda.model.operators import decay_rates, input_vector, respiration
from proda.model.steady_state import steady_state
from proda.model.transient import trajectory


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


def test_the_steady_state_stays(columns):
    theta, forcing = columns
    final = steady_state(theta, forcing)
    np.testing.assert_allclose(next(trajectory(final, theta, forcing, 365.0, 1)).pools, final, rtol=1e-12)


def test_woody_debris_follows_its_analytic_solution_with_an_error_of_first_order(columns):
    theta, forcing = columns
    k = decay_rates(theta, forcing)[0]
    final = steady_state(theta, forcing)
    exact = final[0] * -np.expm1(-k * 400.0)
    thawing = forcing.active_layer > 0.0  # elsewhere nothing enters below the top layer
    errors = []
    for n_steps in (40, 80):
        *_, last = trajectory(np.zeros_like(final), theta, forcing, 400.0 / n_steps, n_steps)
        errors.append(np.abs(last.pools[0][:, thawing] / exact[:, thawing] - 1.0).max())
    assert errors[1] < 0.01
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("days", [0.0, -1.0, np.nan])
def test_a_step_must_go_forward(columns, days):
    with pytest.raises(InputError, match="the time step is .* expected a positive number"):
        next(trajectory(np.zeros((7, 10, 5)), *columns, days, 1))
