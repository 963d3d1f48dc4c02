"""Soil carbon in time, dC/dt = u(t) + A K(t) C - V C, and its response to a sudden change.

Steps are the L-stable pair of implicit solves of Alexander (1977, doi 10.1137/0714068). They conserve carbon; a pool
that empties within a small part of one can come out slightly negative.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from proda.errors import InputError
from proda.model.configuration import DAYS_PER_YEAR, PAPER, Configuration, checked_parameters, validated
from proda.model.forcing import AnyForcing
from proda.model.matrices import respiration
from proda.model.rates import carbon_input, decay_and_mixing
from proda.model.solver import balanced_pools, soc_stock, steady_state

_GROWTH = 1.08  # of the step, since the response slows down
_LONGEST = 1e7  # yr
_GAMMA = 1.0 - 0.5**0.5


class Step(NamedTuple):
    """The pools after a step, and its carbon balance: with a closed bottom the stock changes by entered - respired."""

    days: float  # since the start
    pools: NDArray[np.float64]  # (7, n_layers, n), g C m-3
    entered: NDArray[np.float64]  # (n,), g C m-2 during the step
    respired: NDArray[np.float64]  # (n,), g C m-2 during the step


def trajectory(
    pools: NDArray, theta: NDArray, forcing: AnyForcing, days: float, n_steps: int, configuration: Configuration = PAPER
) -> Iterator[Step]:
    """The column after each of `n_steps` steps of `days` from `pools`, (7, n_layers, n), g C m-3.

    For a forcing that changes, call it again with the last pools. Raises an InputError as `steady_state` does, or for
    another shape of the pools or a step that is not positive.
    """
    pools = np.asarray(pools, dtype=np.float64)
    if not days > 0.0:
        raise InputError(f"the time step is {days} days, expected a positive number.")
    expected = (7, configuration.column.n_layers, forcing.n_columns)
    if pools.shape != expected:
        raise InputError(f"pools has shape {pools.shape}, expected {expected}: pools, layers, columns.")
    theta = checked_parameters(theta, forcing.n_columns, configuration)
    forcing = validated(forcing, configuration)
    rates, fresh = decay_and_mixing(theta, forcing, configuration), carbon_input(theta, forcing, configuration)

    def balanced(held: NDArray) -> NDArray[np.float64]:
        source = rates.thickness[:, None] / (_GAMMA * days) * held
        source[:4] += fresh
        return balanced_pools(rates, source, 1.0 / (_GAMMA * days))

    for k in range(1, n_steps + 1):
        between = balanced(pools)
        pools = balanced(pools + (1.0 - _GAMMA) / _GAMMA * (between - pools))
        respired = respiration((1.0 - _GAMMA) * between + _GAMMA * pools, theta, forcing, configuration)
        yield Step(k * days, pools, days * fresh.sum(axis=(0, 1)), days * respired)


def soc_response(
    theta: NDArray,
    before: AnyForcing,
    after: AnyForcing,
    years: int,
    configuration: Configuration = PAPER,
    steps_per_year: int = 1,
) -> NDArray[np.float64]:
    """Soil organic carbon above bedrock after a sudden change, over what it was, (years + 1, n), 1; NaN without carbon.

    It begins at the steady state of `before` and goes on with `after` (`Forcing.warmed`, `Forcing.fertilised`).
    """
    pools = steady_state(theta, before, configuration)
    n_steps, days = int(years * steps_per_year), DAYS_PER_YEAR / steps_per_year
    steps = trajectory(pools, theta, after, days, n_steps, configuration)
    yearly = [step.pools for k, step in enumerate(steps, 1) if k % steps_per_year == 0]
    stocks = np.stack([soc_stock(each, before, configuration) for each in (pools, *yearly)])
    return np.divide(stocks, stocks[0], out=np.full_like(stocks, np.nan), where=stocks[0] > 0.0)


def efolding_time(
    theta: NDArray, before: AnyForcing, after: AnyForcing, configuration: Configuration = PAPER, depth: float = np.inf
) -> NDArray[np.float64]:
    """Years until all but 1/e of the final change of the soil's carbon has happened, (n,); NaN where nothing changes.

    Carbon counts above `depth`, m. NaN, too, beyond ten million years. Raises an InputError when nothing changes in any
    column.
    """
    pools = steady_state(theta, before, configuration)
    start = soc_stock(pools, before, configuration, depth)
    change = soc_stock(steady_state(theta, after, configuration), before, configuration, depth) - start
    changing = np.abs(change) > 1e-9 * start
    if not changing.any():
        raise InputError(
            "the soil carbon of every column is the same before and after: there is no e-folding time. Change the "
            "temperature (`warmed`) or the carbon input (`fertilised`)."
        )
    passed = np.full(start.shape, np.nan)
    mark = 1.0 - np.exp(-1.0)
    years, days, happened = 0.0, DAYS_PER_YEAR / 12.0, np.zeros_like(start)
    while np.isnan(passed[changing]).any() and years < _LONGEST:
        (step,) = trajectory(pools, theta, after, days, 1, configuration)
        now = (soc_stock(step.pools, before, configuration, depth) - start) / np.where(changing, change, np.inf)
        crossing = np.isnan(passed) & (now >= mark)
        within = (mark - happened) / np.where(crossing, now - happened, 1.0)
        passed = np.where(crossing, years + within * days / DAYS_PER_YEAR, passed)
        pools, happened, years, days = step.pools, now, years + days / DAYS_PER_YEAR, _GROWTH * days
    return passed
