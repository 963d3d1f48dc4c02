"""Mean ages, transit times and the traceability of the carbon of a column at steady state.

With M = V - A K, M C = u and M (a C) = C give the mean age a (Metzler and Sierra 2018, doi 10.1007/s11004-017-9690-1).
Traceability (Xia et al. 2013, doi 10.1111/gcb.12172): storage = input x residence time, and residence time = that at
25 C without any limit / (temperature x water x oxygen x nitrogen x depth), lifted in the order of `LIMITS`. Carbon
that enters below bedrock in the `cesm2` configuration is left out: nothing carries it back, and it outlasts the rest.
"""

from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.model.configuration import DAYS_PER_YEAR, PAPER, Configuration, checked_parameters, validated
from proda.model.forcing import AnyForcing
from proda.model.rates import Environment, Rates, carbon_input, decay_and_mixing, environment
from proda.model.solver import balanced_pools, soc_density

LIMITS = Environment._fields


class Ages(NamedTuple):
    """Mean ages of n columns, yr. NaN where there is no carbon; means over pools and layers skip it."""

    pool: NDArray[np.float64]  # (7, n_layers, n), of each pool in each layer, in the order of `POOLS`
    system: NDArray[np.float64]  # (n,), of all carbon in the column
    soil: NDArray[np.float64]  # (n,), of its soil organic carbon, S1 + S2 + S3
    soil_by_layer: NDArray[np.float64]  # (n_layers, n), of the soil organic carbon of each layer
    transit: NDArray[np.float64]  # (n,), mean transit time of the column, the mean age of what is respired


def ages(theta: ArrayLike, forcing: AnyForcing, configuration: Configuration = PAPER) -> Ages:
    """Mean ages and the mean transit time at steady state, yr, for physical parameters theta, (n_parameters, n).

    Raises an InputError when the bottom of the column leaks, or as `steady_state` does.
    """
    rates, source, *_ = _closed_column(theta, forcing, configuration)
    pools = balanced_pools(rates, source)
    aged = balanced_pools(rates, rates.thickness[:, None] / DAYS_PER_YEAR * pools)

    def ratio(aged: NDArray, carbon: NDArray) -> NDArray[np.float64]:
        return np.divide(aged, carbon, out=np.full_like(carbon, np.nan), where=carbon > 0.0)

    soil, soil_aged = soc_density(pools), soc_density(aged)
    stock = _stock(pools.sum(axis=0), rates)
    return Ages(
        pool=ratio(aged, pools),
        system=ratio(_stock(aged.sum(axis=0), rates), stock),
        soil=ratio(_stock(soil_aged, rates), _stock(soil, rates)),
        soil_by_layer=ratio(soil_aged, soil),
        transit=ratio(stock, DAYS_PER_YEAR * source.sum(axis=(0, 1))),
    )


def traceability(theta: ArrayLike, forcing: AnyForcing, configuration: Configuration = PAPER) -> xr.Dataset:
    """Storage, input, residence times and factors of n columns, by `column`; arguments and errors as in `ages`."""
    rates, source, theta, forcing = _closed_column(theta, forcing, configuration)
    entering = DAYS_PER_YEAR * source.sum(axis=(0, 1))

    def residence(rates: Rates) -> NDArray[np.float64]:
        held = _stock(balanced_pools(rates, source).sum(axis=0), rates)
        return np.divide(held, entering, out=np.full_like(held, np.nan), where=entering > 0.0)

    factors = environment(theta, forcing, configuration)
    times = [residence(rates)]
    for limit in LIMITS:
        # Ones of the factor's own shape, which may be the one with layers or months.
        factors = factors._replace(**{limit: np.ones_like(getattr(factors, limit))})
        times.append(residence(decay_and_mixing(theta, forcing, configuration, factors=factors)))

    storage = np.where(entering > 0.0, entering / 1000.0 * times[0], 0.0)
    variables = {
        "storage": (storage, "kg C m-2", "carbon storage capacity of the column"),
        "carbon_input": (entering / 1000.0, "kg C m-2 yr-1", "carbon input"),
        "residence_time": (times[0], "yr", "residence time of carbon"),
        "baseline_residence_time": (times[-1], "yr", "residence time of carbon without any limit"),
    }
    for limit, before, after in zip(LIMITS, times[:-1], times[1:], strict=True):
        variables[f"{limit}_factor"] = (after / before, "1", f"effect of {limit} on the rate of turnover")
    about = {name: {"units": units, "long_name": meaning} for name, (_, units, meaning) in variables.items()}
    return xr.Dataset({name: ("column", values, about[name]) for name, (values, *_) in variables.items()})


def _closed_column(
    theta: ArrayLike, forcing: AnyForcing, configuration: Configuration
) -> tuple[Rates, NDArray[np.float64], NDArray[np.float64], AnyForcing]:
    """Rates, carbon input above bedrock, (7, n_layers, n), g C m-2 day-1, and the checked parameters and forcing."""
    if configuration.bottom != "closed":
        raise InputError(
            f"the bottom of {configuration.name!r} is {configuration.bottom!r}, expected 'closed': where carbon leaks "
            "out of the lowest soil layer, or is made there, it has neither an age nor a transit time. Use `CESM2` in "
            "place of `CESM2_AS_PUBLISHED`."
        )
    forcing = validated(forcing, configuration)
    theta = checked_parameters(theta, forcing.n_columns, configuration)
    fresh = carbon_input(theta, forcing, configuration)
    if configuration.monthly:
        fresh = np.where(np.arange(configuration.column.n_layers)[:, None] < forcing.bedrock, fresh, 0.0)
    source = np.concatenate([fresh, np.zeros((3, *fresh.shape[1:]))])
    return decay_and_mixing(theta, forcing, configuration), source, theta, forcing


def _stock(density: NDArray, rates: Rates) -> NDArray[np.float64]:
    """Carbon in the column, (n,), g C m-2, of a density, (n_layers, n), g C m-3."""
    return (rates.thickness[:, None] * density).sum(axis=0)
