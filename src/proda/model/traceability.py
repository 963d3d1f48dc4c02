"""Why a place stores the carbon it does: carbon input times residence time, and what makes the residence time.

The traceability framework (Xia et al. 2013, doi 10.1111/gcb.12172; for a soil in layers Huang et al. 2018, doi
10.1111/gcb.13948) takes a steady state apart:

    storage = input x residence time
    residence time = baseline residence time / (temperature x water x oxygen x nitrogen x depth)

The baseline is that of soil at 25 C, unlimited by water, oxygen and nitrogen, that decomposes at depth as at the
surface. It is then the same in every layer, so neither mixing nor the depth at which carbon enters has a say in it:
turnover times, transfer fractions and the kinds of litter alone make it.

A column of many layers and pools has no single factor of temperature: it is slowed where its carbon lies, which
depends on the other limits. So limits are lifted one after the other, in the order of `LIMITS` unless told otherwise,
and a factor is the residence time after over the one before: temperature is judged with all other limits in place,
depth, with the mixing that works against it, when all others are gone. The product of the factors does not depend on
the order. No factor is greater than 1 but that of temperature, where soil is warmer than 25 C: faster decomposition in
any layer shortens the residence time.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.model.ages import compartmental_system, stock
from proda.model.checks import checked_parameters, validated
from proda.model.column import DAYS_PER_YEAR
from proda.model.configuration import PAPER, Configuration
from proda.model.environment import Environment, environment
from proda.model.forcing import AnyForcing
from proda.model.rates import Rates, decay_and_mixing
from proda.model.steady_state import balanced_pools

LIMITS = Environment._fields


def traceability(
    theta: ArrayLike, forcing: AnyForcing, configuration: Configuration = PAPER, order: Sequence[str] = LIMITS
) -> xr.Dataset:
    """Storage, input, residence time, baseline residence time and the factors of n columns; dimension `column`.

    ``traceability(...).to_dataframe()`` is the table, one row for each column.

    Parameters
    ----------
    theta : (n_parameters, n)
        Physical parameters (`parameters.physical`).
    forcing : Forcing or MonthlyForcing
        Of the same n columns. Storage and input are those above bedrock (see `ages`).
    configuration : Configuration
        `PAPER`, whose factors of oxygen and nitrogen are 1, or `CESM2`.
    order : sequence of str
        In which limits are lifted.

    Raises
    ------
    InputError
        When the bottom of the column leaks, when `order` does not name each limit once, or as `steady_state` does.
    """
    entering, times = input_and_residence(theta, forcing, configuration, order)
    entering = entering / 1000.0
    factors = dict(zip(order, times[1:] / times[:-1], strict=True))

    def variable(values: NDArray, units: str, long_name: str) -> tuple:
        return "column", values, {"units": units, "long_name": long_name}

    return xr.Dataset(
        {
            "storage": variable(
                np.where(entering > 0.0, entering * times[0], 0.0), "kg C m-2", "carbon storage capacity of the column"
            ),
            "carbon_input": variable(entering, "kg C m-2 yr-1", "carbon input"),
            "residence_time": variable(times[0], "yr", "residence time of carbon"),
            "baseline_residence_time": variable(times[-1], "yr", "residence time of carbon without any limit"),
        }
        | {
            f"{limit}_factor": variable(factors[limit], "1", f"effect of {limit} on the rate of turnover")
            for limit in LIMITS
        },
        attrs={"limits_lifted_in_order": ", ".join(order)},
    )


def input_and_residence(
    theta: ArrayLike, forcing: AnyForcing, configuration: Configuration = PAPER, order: Sequence[str] = LIMITS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Carbon input, and residence times from that of the place to the baseline; arguments are those of `traceability`.

    Returns
    -------
    entering : (n,), g C m-2 yr-1
    times : (6, n), yr
        With all limits, without the first of `order`, ..., without any; NaN where no carbon enters.
    """
    if sorted(order) != sorted(LIMITS):
        raise InputError(f"order is {tuple(order)}, expected each of {LIMITS} once: limits are lifted one by one.")
    rates, source = compartmental_system(theta, forcing, configuration)
    forcing = validated(forcing, configuration)
    theta = checked_parameters(theta, forcing.n_columns, configuration)
    entering = DAYS_PER_YEAR * source.sum(axis=(0, 1))

    def residence(rates: Rates) -> NDArray[np.float64]:
        held = stock(balanced_pools(rates, source).sum(axis=0), rates)
        return np.divide(held, entering, out=np.full_like(held, np.nan), where=entering > 0.0)

    factors = environment(theta, forcing, configuration)
    times = [residence(rates)]
    for limit in order:
        # Ones of the factor's own shape: it may be the one that has layers or months.
        factors = factors._replace(**{limit: np.ones_like(getattr(factors, limit))})
        times.append(residence(decay_and_mixing(theta, forcing, configuration, factors=factors)))
    return entering, np.stack(times)
