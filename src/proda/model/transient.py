"""Soil carbon in time: dC/dt = u + A K C - V C, stepped implicitly.

The backward Euler step solves (I/dt + V - A K) C' = u + C/dt, the steady state's system with one more loss, so it has
the same cost and the same guarantees: it conserves carbon, never makes a pool negative, and is stable for any step.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from proda.errors import InputError
from proda.model.column import PAPER_COLUMN, Column
from proda.model.forcing import Forcing
from proda.model.steady_state import balanced_pools


def stepped(
    pools: NDArray, theta: NDArray, forcing: Forcing, days: float, column: Column = PAPER_COLUMN
) -> NDArray[np.float64]:
    """Pools one step of `days` later, (7, n_layers, n), g C m-3 (backward Euler, first order in time)."""
    if not days > 0.0:
        raise InputError(f"the time step is {days} days, expected a positive number.")
    return balanced_pools(theta, forcing, pools, 1.0 / days, column)


def trajectory(
    pools: NDArray, theta: NDArray, forcing: Forcing, days: float, n_steps: int, column: Column = PAPER_COLUMN
) -> Iterator[NDArray[np.float64]]:
    """Pools after each of `n_steps` steps of `days`, starting from `pools`, (7, n_layers, n), g C m-3."""
    for _ in range(n_steps):
        pools = stepped(pools, theta, forcing, days, column)
        yield pools
