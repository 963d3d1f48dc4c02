"""Soil carbon in time, dC/dt = u(t) + A K(t) C - V C, stepped implicitly, and its response to a sudden change.

A backward Euler step solves (1/dt + V - A K) C' = u + C/dt: the steady state's system with one more loss, at the same
cost. The second-order step is the L-stable pair of such solves by Alexander (1977, doi 10.1137/0714068),
g = 1 - 1/sqrt(2):

    (1/(g dt) + V - A K) C1 = u + C/(g dt)                          forcing at t + g dt
    (1/(g dt) + V - A K) C' = u + (C + (1 - g)/g (C1 - C))/(g dt)   forcing at t + dt

It conserves carbon and is stable for any step, and its error falls with the square of the step; but a pool that empties
within a small part of one step can come out slightly negative. Then take a shorter step.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from proda.errors import InputError
from proda.model.checks import checked_parameters, validated
from proda.model.configuration import DAYS_PER_YEAR, PAPER, Configuration
from proda.model.forcing import AnyForcing
from proda.model.rates import Rates, carbon_input, decay_and_mixing
from proda.model.solver import balanced_pools, soc_stock, steady_state

_GAMMA = 1.0 - 0.5**0.5
_GROWTH = 1.08  # of the step, since the response slows down
_LONGEST = 1e7  # yr


class Step(NamedTuple):
    """The pools after a step, and the carbon balance of the step.

    Attributes
    ----------
    days : float
        Time since the start.
    pools : (7, n_layers, n), g C m-3
    entered, respired : (n,), g C m-2
        During the step; the stock changes by entered - respired, unless the bottom of the column leaks.
    """

    days: float
    pools: NDArray[np.float64]
    entered: NDArray[np.float64]
    respired: NDArray[np.float64]


def trajectory(
    pools: NDArray,
    theta: NDArray,
    forcing: AnyForcing | Callable[[float], AnyForcing],
    days: float,
    n_steps: int,
    configuration: Configuration = PAPER,
) -> Iterator[Step]:
    """The column after each of `n_steps` steps of `days`.

    Parameters
    ----------
    pools : (7, n_layers, n), g C m-3
        To start from.
    theta : (n_parameters, n)
    forcing : Forcing, MonthlyForcing, or a function of the days since the start that returns one
        Of the same n columns. A function of time may have one month (`MonthlyForcing.in_month`).
    days : float
        Length of a step, from a day to years.
    """
    pools = np.asarray(pools, dtype=np.float64)
    if not days > 0.0:
        raise InputError(f"the time step is {days} days, expected a positive number.")
    expected = (7, configuration.column.n_layers, pools.shape[-1] if pools.ndim else 0)
    if pools.shape != expected:
        raise InputError(f"pools has shape {pools.shape}, expected {expected}: pools, layers, columns.")
    theta = checked_parameters(theta, expected[-1], configuration)

    def drivers(forcing: AnyForcing, source: str) -> tuple[Rates, NDArray]:
        checked = validated(forcing, configuration, source)
        if checked.n_columns != expected[-1]:
            raise InputError(f"{source} has {checked.n_columns} columns, and the pools have {expected[-1]}.")
        return decay_and_mixing(theta, checked, configuration), carbon_input(theta, checked, configuration)

    constant = None if callable(forcing) else drivers(forcing, "forcing")

    def drivers_at(day: float) -> tuple[Rates, NDArray]:
        return constant or drivers(forcing(day), f"forcing on day {day:g}")

    for k in range(n_steps):
        start = k * days
        between, *early = _balanced(pools, *drivers_at(start + _GAMMA * days), _GAMMA * days)
        held = pools + (1.0 - _GAMMA) / _GAMMA * (between - pools)
        pools, *late = _balanced(held, *drivers_at(start + days), _GAMMA * days)
        entered, respired = (days * ((1.0 - _GAMMA) * a + _GAMMA * b) for a, b in zip(early, late, strict=True))
        yield Step((k + 1) * days, pools, entered, respired)


def _balanced(held: NDArray, rates: Rates, fresh: NDArray, days: float) -> tuple[NDArray, NDArray, NDArray]:
    """Pools in balance with what was held, and what enters and is respired meanwhile, g C m-2 day-1."""
    source = rates.thickness[:, None] / days * held
    source[:4] += fresh
    pools = balanced_pools(rates, source, 1.0 / days)
    return pools, fresh.sum(axis=(0, 1)), rates.respired(pools)


def soc_response(
    theta: NDArray,
    before: AnyForcing,
    after: AnyForcing,
    years: int,
    configuration: Configuration = PAPER,
    steps_per_year: int = 1,
) -> NDArray[np.float64]:
    """Soil organic carbon above bedrock after a sudden change, over what it was, (years + 1, n), 1; NaN without carbon.

    Parameters
    ----------
    theta : (n_parameters, n)
    before, after : Forcing or MonthlyForcing
        Of n columns (`Forcing.warmed`, `Forcing.fertilised`); the soil begins at the steady state of `before`.
    steps_per_year : int
    """
    pools = steady_state(theta, before, configuration)
    n_steps, days = int(years * steps_per_year), DAYS_PER_YEAR / steps_per_year
    steps = trajectory(pools, theta, after, days, n_steps, configuration)
    yearly = [step.pools for k, step in enumerate(steps, 1) if k % steps_per_year == 0]
    stocks = np.stack([soc_stock(each, before, configuration) for each in (pools, *yearly)])
    return np.divide(stocks, stocks[0], out=np.full_like(stocks, np.nan), where=stocks[0] > 0.0)


def efolding_time(
    theta: NDArray, before: AnyForcing, after: AnyForcing, configuration: Configuration = PAPER
) -> NDArray[np.float64]:
    """Years until all but 1/e of the final change of the soil's carbon has happened, (n,).

    NaN where nothing changes (no carbon input, say), and beyond ten million years. Steps are of second order and grow
    by 8 % each from a month; within the step that passes the mark the change is taken as a straight line.

    Raises
    ------
    InputError
        When `before` and `after` lead to the same carbon everywhere, so that there is no response.
    """
    pools = steady_state(theta, before, configuration)
    start = soc_stock(pools, before, configuration)
    change = soc_stock(steady_state(theta, after, configuration), before, configuration) - start
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
        now = (soc_stock(step.pools, before, configuration) - start) / np.where(changing, change, np.inf)
        crossing = np.isnan(passed) & (now >= mark)
        within = (mark - happened) / np.where(crossing, now - happened, 1.0)
        passed = np.where(crossing, years + within * days / DAYS_PER_YEAR, passed)
        pools, happened, years, days = step.pools, now, years + days / DAYS_PER_YEAR, _GROWTH * days
    return passed
