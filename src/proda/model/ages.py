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
"""

from typing import Any, NamedTuple

from proda.errors import InputError
from proda.model.carbon_input import carbon_input
from proda.model.checks import checked_parameters, validated
from proda.model.column import DAYS_PER_YEAR
from proda.model.configuration import PAPER, Configuration
from proda.model.forcing import AnyForcing
from proda.model.namespace import NUMPY, Namespace
from proda.model.rates import Rates, decay_and_mixing
from proda.model.steady_state import balanced_pools, soc_density


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
