"""Soil carbon in time, dC/dt = u(t) + A K(t) C - V C, stepped implicitly.

One backward Euler step solves (1/dt + V - A K) C' = u + C/dt: the steady state's system with one more loss, so it has
the same cost and the same guarantees. It conserves carbon, never makes a pool negative, and is stable for any step.

The second-order step is the L-stable pair of such solves by Alexander (1977, doi 10.1137/0714068), g = 1 - 1/sqrt(2):

    (1/(g dt) + V - A K) C1 = u + C/(g dt)                          forcing at t + g dt
    (1/(g dt) + V - A K) C' = u + (C + (1 - g)/g (C1 - C))/(g dt)   forcing at t + dt

It conserves carbon as exactly and is as stable, and its error falls with the square of the step; but a pool that
empties within a small part of one step can come out slightly negative. Then take a shorter step, or the first order.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from proda.errors import InputError
from proda.model.carbon_input import carbon_input
from proda.model.checks import checked_parameters, validated
from proda.model.configuration import PAPER, Configuration
from proda.model.forcing import AnyForcing
from proda.model.operators import leaked, respiration
from proda.model.steady_state import balanced_pools, decay_and_mixing

_GAMMA = 1.0 - 0.5**0.5


class Step(NamedTuple):
    """The pools after a step, and the account of the step.

    Attributes
    ----------
    days : float
        Time since the start.
    pools : (7, n_layers, n), g C m-3
    entered, respired, leaked : (n,), g C m-2
        During the step; the stock changes by entered - respired - leaked. Nothing leaks from a closed bottom.
    """

    days: float
    pools: NDArray[np.float64]
    entered: NDArray[np.float64]
    respired: NDArray[np.float64]
    leaked: NDArray[np.float64]


def trajectory(
    pools: NDArray,
    theta: NDArray,
    forcing: AnyForcing | Callable[[float], AnyForcing],
    days: float,
    n_steps: int,
    configuration: Configuration = PAPER,
    order: int = 1,
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
    order : 1 or 2
        Of the error in the length of the step.
    """
    if not days > 0.0:
        raise InputError(f"the time step is {days} days, expected a positive number.")
    if order not in (1, 2):
        raise InputError(f"order is {order}, expected 1 (backward Euler) or 2 (Alexander's pair of solves).")
    expected = (7, configuration.column.n_layers, pools.shape[-1])
    if pools.shape != expected:
        raise InputError(f"pools has shape {pools.shape}, expected {expected}: pools, layers, columns.")
    theta = checked_parameters(theta, expected[-1], configuration)
    at_all_times = None if callable(forcing) else validated(forcing, configuration)

    def forcing_at(day: float) -> AnyForcing:
        return at_all_times or validated(forcing(day), configuration, f"forcing on day {day:g}")

    for k in range(n_steps):
        pools, *account = _stepped(pools, theta, forcing_at, k * days, days, configuration, order)
        yield Step((k + 1) * days, pools, *account)


def _stepped(
    pools: NDArray,
    theta: NDArray,
    forcing: Callable,
    start: float,
    days: float,
    configuration: Configuration,
    order: int,
) -> tuple:
    share = 1.0 if order == 1 else _GAMMA
    first = _solved(pools, theta, forcing(start + share * days), share * days, configuration)
    if order == 1:
        return first[0], *(days * flux for flux in first[1:])
    held = pools + (1.0 - _GAMMA) / _GAMMA * (first[0] - pools)
    second = _solved(held, theta, forcing(start + days), share * days, configuration)
    account = (days * ((1.0 - _GAMMA) * a + _GAMMA * b) for a, b in zip(first[1:], second[1:], strict=True))
    return second[0], *account


def _solved(held: NDArray, theta: NDArray, forcing: AnyForcing, days: float, configuration: Configuration) -> tuple:
    """Pools in balance with what was held, and what enters, is respired and leaks, g C m-2 day-1."""
    source = configuration.column.thickness[:, None] / days * held
    fresh = carbon_input(theta, forcing, configuration)
    source[:4] += fresh
    pools = balanced_pools(decay_and_mixing(theta, forcing, configuration), source, 1.0 / days)
    about = pools, theta, forcing, configuration
    return pools, fresh.sum(axis=(0, 1)), respiration(*about), leaked(*about)
