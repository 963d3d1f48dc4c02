"""How a soil at steady state answers a change of its climate or its carbon input, and how long it takes."""

import numpy as np
from numpy.typing import NDArray

from proda.errors import InputError
from proda.model.column import DAYS_PER_YEAR
from proda.model.configuration import PAPER, Configuration
from proda.model.forcing import AnyForcing
from proda.model.steady_state import soc_density, steady_state
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
    """Soil organic carbon above bedrock after a sudden change, over what it was, (years + 1, n), 1.

    Parameters
    ----------
    theta : (n_parameters, n)
    before, after : Forcing or MonthlyForcing
        Of n columns (`Forcing.warmed`, `Forcing.fertilised`); the soil begins at the steady state of `before`.
    steps_per_year : int
        Steps of second order.
    """
    pools = steady_state(theta, before, configuration)
    days = DAYS_PER_YEAR / steps_per_year
    steps = trajectory(pools, theta, after, days, years * steps_per_year, configuration, order=2)
    yearly = [step.pools for k, step in enumerate(steps, 1) if k % steps_per_year == 0]
    thickness = configuration.soil_thickness(before)
    stocks = np.stack([(thickness * soc_density(each)).sum(axis=0) for each in (pools, *yearly)])
    return stocks / stocks[0]


def efolding_time(
    theta: NDArray, before: AnyForcing, after: AnyForcing, configuration: Configuration = PAPER
) -> NDArray[np.float64]:
    """Years until all but 1/e of the final change of the soil's carbon has happened, (n,); NaN beyond ten million.

    Steps of second order, growing by 8 % each from a month, and a straight line within the step that passes the mark.

    Raises
    ------
    InputError
        When `before` and `after` lead to the same carbon, so that there is nothing to wait for.
    """
    pools = steady_state(theta, before, configuration)
    thickness = configuration.soil_thickness(before)

    def stock(pools: NDArray) -> NDArray[np.float64]:
        return (thickness * soc_density(pools)).sum(axis=0)

    start, final = stock(pools), stock(steady_state(theta, after, configuration))
    if (np.abs(final / start - 1.0) < 1e-9).any():
        i = int(np.argmin(np.abs(final / start - 1.0)))
        raise InputError(
            f"column {i} has the same carbon before and after ({start[i] / 1e3:g} kg C m-2): its e-folding time is not "
            "defined. Change its temperature or its input."
        )
    passed = np.full(start.shape, np.nan)
    years, days, happened = 0.0, DAYS_PER_YEAR / 12.0, np.zeros_like(start)
    while np.isnan(passed).any() and years < _LONGEST:
        (step,) = trajectory(pools, theta, after, days, 1, configuration, order=2)
        now = (stock(step.pools) - start) / (final - start)
        mark = 1.0 - np.exp(-1.0)
        crossing = np.isnan(passed) & (now >= mark)
        within = (mark - happened) / np.where(crossing, now - happened, 1.0)
        passed = np.where(crossing, years + within * days / DAYS_PER_YEAR, passed)
        pools, happened, years, days = step.pools, now, years + days / DAYS_PER_YEAR, _GROWTH * days
    return passed
