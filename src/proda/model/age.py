"""How old the carbon of a column is at steady state, and how long it stays: exactly, each moment by one more solve.

With M = V - A K, what entered between a and a + da days ago and is still there is exp(-M a) u da. Its moments over all
ages solve the system of the steady state itself,

    M C = u        M (a C) = C        M (m C) = 2 a C

(products pool by pool and layer by layer), where a is the mean and m the mean square of the age of a pool in a layer
(Rasmussen et al. 2016, doi 10.1007/s00285-016-0990-8; Metzler and Sierra 2018, doi 10.1007/s11004-017-9690-1). The
transit time, from entering the column to leaving it as CO2, has the mean C / u and the mean square 2 a C / u, both
summed over the column. It is also the age of what is respired: transit is shorter than age wherever most of the carbon
that enters leaves soon and most of what is found there is the rest.

Carbon that the `cesm2` configuration lets enter below bedrock is left out, here and in `traceability`: nothing carries
it back, and it outlasts the rest, so that a five-hundredth of the input can add a fifth to the mean age.

Why a place stores the carbon it does: carbon input times residence time, and what makes the residence time.

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
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.model.checks import checked_parameters, validated
from proda.model.configuration import DAYS_PER_YEAR, PAPER, Configuration
from proda.model.forcing import AnyForcing
from proda.model.rates import NUMPY, Environment, Namespace, Rates, carbon_input, decay_and_mixing, environment
from proda.model.solver import balanced_pools, soc_density


class Ages(NamedTuple):
    """Of n columns, yr. NaN where there is no carbon that could have an age; means over pools and layers skip it.

    Attributes
    ----------
    pool : (7, n_layers, n)
        Of each pool in each layer, in the order of `steady_state.POOLS`.
    system : (n,)
        Of all carbon in the column.
    soil : (n,)
        Of its soil organic carbon, S1 + S2 + S3.
    soil_by_layer : (n_layers, n)
        Of the soil organic carbon of each layer.
    transit : (n,)
        Transit time of the column, the age of what is respired.
    """

    pool: Any
    system: Any
    soil: Any
    soil_by_layer: Any
    transit: Any


def ages(theta: Any, forcing: AnyForcing, configuration: Configuration = PAPER, namespace: Namespace = NUMPY) -> Ages:
    """Mean ages and the mean transit time at steady state, yr.

    Parameters
    ----------
    theta : (n_parameters, n)
        Physical parameters (`parameters.physical`).
    forcing : Forcing or MonthlyForcing
        Of the same n columns.
    configuration : Configuration
        `PAPER` or `CESM2`.
    namespace : Namespace
        `NUMPY`, or `jax_namespace()` to differentiate and to run on an accelerator.

    Raises
    ------
    InputError
        When the bottom of the column leaks, or as `steady_state` does.
    """
    rates, source = compartmental_system(theta, forcing, configuration, namespace)
    return _averages(_moments(rates, source, 1, namespace), rates, source, namespace)


def age_deviations(
    theta: Any, forcing: AnyForcing, configuration: Configuration = PAPER, namespace: Namespace = NUMPY
) -> Ages:
    """Standard deviations of the ages and of the transit time at steady state, yr; arguments are those of `ages`.

    Those of the system and of the soil are of all their carbon, whatever pool and layer it lies in. They overflow, to
    infinity or NaN, where ages are beyond some 1e100 years: in columns that reach deeper than 230 e-folding depths of
    decomposition.
    """
    rates, source = compartmental_system(theta, forcing, configuration, namespace)
    moments = _moments(rates, source, 2, namespace)
    means = _averages(moments[:2], rates, source, namespace)
    squares = _averages(moments, rates, source, namespace)
    xp = namespace.xp
    return Ages(*(xp.sqrt(xp.maximum(square - mean**2, 0.0)) for square, mean in zip(squares, means, strict=True)))


def compartmental_system(
    theta: Any, forcing: AnyForcing, configuration: Configuration = PAPER, namespace: Namespace = NUMPY
) -> tuple[Rates, Any]:
    """The rates of a column that carbon leaves only as CO2, and the carbon that enters it.

    Returns
    -------
    rates : Rates
    source : (7, n_layers, n), g C m-2 day-1
        For `steady_state.balanced_pools`; nothing enters below bedrock.
    """
    if configuration.bottom != "closed":
        raise InputError(
            f"the bottom of {configuration.name!r} is {configuration.bottom!r}, expected 'closed': where carbon leaks "
            "out of the lowest soil layer, or is made there, it has neither an age nor a transit time. Use `CESM2` in "
            "place of `CESM2_AS_PUBLISHED`."
        )
    if namespace is NUMPY:
        forcing = validated(forcing, configuration)
        theta = checked_parameters(theta, forcing.n_columns, configuration)
    xp = namespace.xp
    fresh = carbon_input(theta, forcing, configuration, namespace)
    if configuration.monthly:
        layer = xp.arange(configuration.column.n_layers)[:, None]
        fresh = xp.where(layer < xp.asarray(forcing.bedrock), fresh, 0.0)
    source = xp.concatenate([fresh, xp.zeros((3, *fresh.shape[1:]))])
    return decay_and_mixing(theta, forcing, configuration, namespace), source


def stock(density: Any, rates: Rates) -> Any:
    """What a density, (n_layers, n), g C m-3, amounts to in the column, (n,), g C m-2."""
    return (rates.thickness[:, None] * density).sum(axis=0)


def _moments(rates: Rates, source: Any, order: int, namespace: Namespace) -> list:
    """Pools, and pools times the mean k-th power of their age, k = 1 ... order, g C m-3 yr^k."""
    moments = [balanced_pools(rates, source, namespace=namespace)]
    per_year = rates.thickness[:, None] / DAYS_PER_YEAR
    for k in range(1, order + 1):
        moments.append(k * balanced_pools(rates, per_year * moments[-1], namespace=namespace))
    return moments


def _averages(moments: list, rates: Rates, source: Any, namespace: Namespace) -> Ages:
    """Means of the highest power of age among the moments."""
    xp = namespace.xp

    def ratio(powers: Any, carbon: Any) -> Any:
        return xp.where(carbon > 0.0, powers / xp.where(carbon > 0.0, carbon, 1.0), xp.nan)

    pools, last, moment = moments[0], moments[-2], moments[-1]
    soil, soil_moment = soc_density(pools), soc_density(moment)
    order = len(moments) - 1
    return Ages(
        pool=ratio(moment, pools),
        system=ratio(stock(moment.sum(axis=0), rates), stock(pools.sum(axis=0), rates)),
        soil=ratio(stock(soil_moment, rates), stock(soil, rates)),
        soil_by_layer=ratio(soil_moment, soil),
        transit=ratio(order * stock(last.sum(axis=0), rates), DAYS_PER_YEAR * source.sum(axis=(0, 1))),
    )


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
