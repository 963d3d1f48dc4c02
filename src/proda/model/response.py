"""How a soil at steady state answers a change of its climate or its carbon input, and how long it takes."""

import numpy as np
from numpy.typing import NDArray

from proda.errors import InputError
from proda.model.column import DAYS_PER_YEAR
from proda.model.configuration import PAPER, Configuration
from proda.model.forcing import AnyForcing
from proda.model.steady_state import soc_stock, steady_state
from proda.model.transient import trajectory

_GROWTH = 1.08  # of the step: the answer slows down, and so may the stepping
_LONGEST = 1e7  # yr


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
        Steps of second order.
    """
    for name, value in {"years": years, "steps_per_year": steps_per_year}.items():
        if int(value) != value or value < 1:
            raise InputError(f"{name} is {value}, expected a whole number from 1.")
    pools = steady_state(theta, before, configuration)
    n_steps, days = int(years * steps_per_year), DAYS_PER_YEAR / steps_per_year
    steps = trajectory(pools, theta, after, days, n_steps, configuration, order=2)
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
        When `before` and `after` lead to the same carbon everywhere, so that there is nothing to wait for.
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
        (step,) = trajectory(pools, theta, after, days, 1, configuration, order=2)
        now = (soc_stock(step.pools, before, configuration) - start) / np.where(changing, change, np.inf)
        crossing = np.isnan(passed) & (now >= mark)
        within = (mark - happened) / np.where(crossing, now - happened, 1.0)
        passed = np.where(crossing, years + within * days / DAYS_PER_YEAR, passed)
        pools, happened, years, days = step.pools, now, years + days / DAYS_PER_YEAR, _GROWTH * days
    return passed
