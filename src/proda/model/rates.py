"""Decay, mixing and carbon input of a column (Eq. 1 of Tao et al. 2020), for NumPy and JAX (`Namespace`)."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from proda.model import parameters
from proda.model.configuration import DAYS_PER_YEAR, PAPER, Column, Configuration
from proda.model.forcing import AnyForcing


class Namespace(NamedTuple):
    """An array module `xp` and `scan(step, carry, arrays, reverse=False)` with the meaning of `jax.lax.scan`."""

    xp: ModuleType
    scan: Callable[..., Any]


def _each(change: Callable[..., Any], *nested: Any) -> Any:
    if isinstance(nested[0], tuple):
        return tuple(_each(change, *parts) for parts in zip(*nested, strict=True))
    return change(*nested)


def _loop(step: Callable, carry: Any, arrays: Any, reverse: bool = False) -> tuple[Any, Any]:
    """`jax.lax.scan` over the leading axis of nested tuples of arrays, as a plain loop."""
    first = arrays
    while isinstance(first, tuple):
        first = first[0]
    results = []
    for j in reversed(range(len(first))) if reverse else range(len(first)):
        carry, result = step(carry, _each(lambda array, j=j: array[j], arrays))
        results.append(result)
    return carry, _each(lambda *layers: np.stack(layers), *(reversed(results) if reverse else results))


NUMPY = Namespace(np, _loop)


def sum_of_months(values: Any) -> Any:
    """Sum over the second axis, month after month: NumPy's own order depends on the columns computed beside it."""
    total = values[:, 0]
    for month in range(1, values.shape[1]):
        total = total + values[:, month]
    return total


def mean_of_months(values: Any) -> Any:
    return sum_of_months(values) / values.shape[1]


def jax_namespace() -> Namespace:
    """The namespace of JAX. Work inside ``jax.enable_x64(True)``: in 32 bits the solve keeps some five digits."""
    import jax

    return Namespace(jax.numpy, jax.lax.scan)


REFERENCE_TEMPERATURE = 298.15  # K
MIN_WATER_POTENTIAL = -25.0  # MPa; CLM itself has -10 (4.5) or -2 (5) and other floors
MIN_WATER_SCALAR = 0.25
# Least decomposition scalar: below, densities would leave the range of floating point. The deepest layers of the
# `cesm2` grid reach it where the e-folding depth is below 2.5 cm.
SLOWEST_LOG = -322.0  # about the log of 1e-140
SLOWEST = 1e-140


class Environment(NamedTuple):
    """Factors of decomposition, 1. Months are averaged as products; the annual forcing counts as one month."""

    temperature: Any  # (n_layers, months, n)
    water: Any  # (n_layers, months, n)
    oxygen: Any  # (n_layers, months, n), or the number 1
    nitrogen: Any  # (n_layers, months, n), or the number 1; limits litter alone
    depth: Any  # (n_layers, 1, n)

    def of_soil(self, namespace: Namespace = NUMPY) -> Any:
        """xi of woody debris and of the soil pools, (n_layers, n)."""
        return self._mean(self.temperature * self.water * self.oxygen, namespace)

    def of_litter(self, namespace: Namespace = NUMPY) -> Any:
        """xi of the three litter pools, (n_layers, n)."""
        return self._mean(self.temperature * self.water * self.oxygen * self.nitrogen, namespace)

    def _mean(self, product: Any, namespace: Namespace) -> Any:
        return namespace.xp.maximum(mean_of_months(product * self.depth), SLOWEST)


def limiting_water(water_potential: Any, maxpsi: Any, namespace: Namespace = NUMPY) -> Any:
    """Moisture limitation, log(minpsi/psi)/log(minpsi/maxpsi), (n_layers, n), 0.25 to 1 (Andren and Paustian 1987)."""
    xp = namespace.xp
    unlimited = water_potential >= maxpsi
    # Where decomposition is unlimited psi may be zero: any negative number keeps the logarithm finite there.
    psi = xp.where(unlimited, -1.0, water_potential)
    # At a `maxpsi` of zero, the end of its range, the ratio is as good as zero.
    scalar = xp.log(MIN_WATER_POTENTIAL / psi) / xp.log(MIN_WATER_POTENTIAL / xp.minimum(maxpsi, -1e-300))
    return xp.where(unlimited, 1.0, xp.maximum(scalar, MIN_WATER_SCALAR))


def environment(
    theta: Any, forcing: AnyForcing, configuration: Configuration = PAPER, namespace: Namespace = NUMPY
) -> Environment:
    """The factors at a place: q10^((T - 298.15)/10), in frozen soil too, water, oxygen, nitrogen, exp(-z/efolding)."""
    xp = namespace.xp
    warmth = (forcing.soil_temperature - REFERENCE_TEMPERATURE) / 10.0
    node = configuration.column.node[:, None]
    depth = xp.exp(xp.maximum(-node / theta[parameters.EFOLDING], SLOWEST_LOG))[:, None]
    if configuration.monthly:
        temperature = xp.exp(xp.log(theta[parameters.Q10]) * warmth)
        water = xp.minimum(1.0, theta[parameters.W_SCALING] * forcing.water_scalar)
        return Environment(temperature, water, forcing.oxygen_scalar, forcing.nitrogen_scalar, depth)
    temperature = xp.exp(xp.log(theta[parameters.Q10]) * warmth)[:, None]
    water = limiting_water(forcing.water_potential, theta[parameters.MAXPSI], namespace)[:, None]
    return Environment(temperature, water, 1.0, 1.0, depth)


# The `paper` configuration.
MAX_MIXING_DEPTH = 5.0  # m; no mixing below, and no cryoturbation of soil that thaws deeper
MIN_ACTIVE_LAYER = 0.01  # m; no cryoturbation where less thaws
# The `cesm2` configuration.
MAX_ACTIVE_LAYER = 2.0  # m; no cryoturbation of soil that thaws deeper
MAX_CRYOTURBATION_DEPTH = 3.0  # m


class Exchange(NamedTuple):
    """Velocity of the exchange across the bottom of each layer, (n_layers, n), m day-1; zero in the last row."""

    downward: Any  # as it enters the balance of the layer above the interface
    upward: Any  # as it enters that of the layer below: the same but for the published bottom, where it is zero


def annual_diffusivity(active_layer: Any, column: Column, namespace: Namespace = NUMPY) -> tuple[Any, Any]:
    """Diffusivity at the nodes over `diffus` and over `cryo`, two arrays (n_layers, n) between 0 and 1.

    Cryoturbation where 1 cm to 5 m thaw: full to the active layer, falling to nothing at three times its depth;
    bioturbation where more thaws. Nothing mixes below 5 m, nor, as published, where exactly 5 m thaw.
    """
    xp = namespace.xp
    z, thaw = column.node[:, None], active_layer
    above = z < MAX_MIXING_DEPTH
    frozen = (thaw > MIN_ACTIVE_LAYER) & (thaw < MAX_MIXING_DEPTH)
    fade = 1.0 - (z - thaw) / (2.0 * xp.where(frozen, thaw, 1.0))
    cryo = xp.where(frozen & above, xp.where(z < thaw, 1.0, xp.maximum(fade, 0.0)), 0.0)
    diffus = xp.where((thaw > MAX_MIXING_DEPTH) & above, 1.0, 0.0)
    return diffus, cryo


def monthly_diffusivity(
    active_layer: Any, bedrock: Any, column: Column, namespace: Namespace = NUMPY
) -> tuple[Any, Any]:
    """Diffusivity at the bottoms of the layers over `diffus` and over `cryo`, two arrays (n_layers, months, n).

    `active_layer`, (months, n), m, is the deeper of this and last year's; `bedrock`, (n,), counts layers above it.
    """
    xp = namespace.xp
    z, thaw = column.bottom[:, None, None], active_layer
    above = xp.arange(column.n_layers)[:, None, None] <= bedrock
    frozen = (thaw > 0.0) & (thaw <= MAX_ACTIVE_LAYER)
    # Below the last layer of the grid every depth is beyond the greatest depth of cryoturbation.
    below_bedrock = xp.append(xp.asarray(column.bottom), xp.inf)[bedrock]
    deepest = xp.minimum(MAX_CRYOTURBATION_DEPTH, below_bedrock)
    reach = deepest - thaw
    # Written so that it is zero at the deepest depth in any arithmetic: the division of JAX may be off by one digit.
    faded = (deepest - z) / xp.where(reach == 0.0, 1.0, reach)
    fade = xp.where(reach == 0.0, 0.0, xp.maximum(faded, 0.0))
    cryo = xp.where(frozen & above, xp.where(z < thaw, 1.0, fade), 0.0)
    diffus = xp.where((thaw > MAX_ACTIVE_LAYER) & above, 1.0, 0.0)
    return diffus, cryo


def velocities(relative: Any, column: Column, namespace: Namespace = NUMPY) -> Any:
    """Exchange velocity across interfaces, m day-1, (n_layers - 1, ...), for a diffusivity of `relative` m2 yr-1.

    The harmonic mean of the diffusivity above and below over the distance of the nodes; a zero closes the interface.
    """
    xp = namespace.xp
    upper, lower = relative[:-1], relative[1:]
    share, spacing = (
        values.reshape(-1, *(1,) * (relative.ndim - 1)) for values in (column.share_above, column.spacing)
    )
    weighted = share * lower + (1.0 - share) * upper
    return upper * lower / xp.where(weighted > 0.0, weighted, 1.0) / spacing / DAYS_PER_YEAR


class UnitExchange(NamedTuple):
    """Exchange per diffusivity of 1 m2 yr-1 by bioturbation and by cryoturbation, and what does not depend on them."""

    bioturbation: Exchange
    cryoturbation: Exchange
    residual: Exchange

    def total(self, diffus: Any, cryo: Any) -> Exchange:
        downward, upward = (
            diffus * of_diffus + cryo * of_cryo + rest
            for of_diffus, of_cryo, rest in zip(self.bioturbation, self.cryoturbation, self.residual, strict=True)
        )
        return Exchange(downward, upward)


def unit_exchange(
    forcing: AnyForcing, configuration: Configuration = PAPER, namespace: Namespace = NUMPY
) -> UnitExchange:
    """The exchange of a place per diffusivity; samplers compute it once. Monthly velocities are averaged."""
    xp, column = namespace.xp, configuration.column
    if configuration.monthly:
        bedrock = xp.asarray(forcing.bedrock)
        thaw = xp.maximum(xp.asarray(forcing.active_layer), xp.asarray(forcing.active_layer_last_year))
        relative = monthly_diffusivity(thaw, bedrock, column, namespace)
        if configuration.bottom == "published":
            return published_exchange(relative, bedrock, column, namespace)
        open_above = xp.arange(1, column.n_layers)[:, None] < bedrock
        both = (xp.where(open_above, mean_of_months(velocities(part, column, namespace)), 0.0) for part in relative)
    else:
        relative = annual_diffusivity(xp.asarray(forcing.active_layer), column, namespace)
        both = (velocities(part, column, namespace) for part in relative)
    diffus, cryo = (xp.concatenate([velocity, xp.zeros_like(velocity[:1])]) for velocity in both)
    return UnitExchange(Exchange(diffus, diffus), Exchange(cryo, cryo), Exchange(0.0, 0.0))


# Zero in the published program: m2 day-1 as a diffusivity, m day-1 as a velocity of advection.
_PROGRAM_ZERO = 1e-30


def published_exchange(relative: tuple, bedrock: Any, column: Column, namespace: Namespace = NUMPY) -> UnitExchange:
    """The exchange as in the published `cesm2` program.

    From the first bedrock layer on, a layer gets the velocity of its upper interface at its lower one too, but the
    layer below does not: carbon is lost, or made. And nothing is quite closed: diffusivity and advection are 1e-30 at
    least, weighted by the power law of Patankar (1980, Eq. 5.34), which only the reference cases show.
    """
    xp = namespace.xp
    unit = [velocities(part, column, namespace) for part in relative]
    open_above, open_below = ((relative[0] + relative[1] > 0.0)[rows] for rows in (slice(None, -1), slice(1, None)))
    share, spacing = column.share_above[:, None, None], column.spacing[:, None, None]
    weight = xp.where(open_above, 1.0 - share, xp.where(open_below, share, 1.0))
    closed = ~(open_above & open_below)
    velocity = xp.where(closed, _PROGRAM_ZERO / weight / spacing, 0.0)
    power_law = velocity * xp.maximum(1.0 - 0.1 * _PROGRAM_ZERO / xp.where(closed, velocity, 1.0), 0.0) ** 5
    upward = mean_of_months(xp.where(closed, power_law + _PROGRAM_ZERO, 0.0))
    downward, plain = mean_of_months(power_law), mean_of_months(velocity)

    nothing = xp.zeros_like(plain[:1])
    in_bedrock = xp.arange(1, column.n_layers)[:, None] > bedrock

    def with_bottom(down: Any, up: Any, above: Any) -> Exchange:
        repeated = xp.where(in_bedrock, xp.concatenate([nothing, above[:-1]]), down)
        return Exchange(xp.concatenate([repeated, nothing]), xp.concatenate([up, nothing]))

    both = (with_bottom(part, part, part) for part in map(mean_of_months, unit))
    return UnitExchange(*both, with_bottom(downward, upward, plain))


def exchange(
    theta: Any, forcing: AnyForcing, configuration: Configuration = PAPER, namespace: Namespace = NUMPY
) -> Exchange:
    """Velocity at which each layer exchanges carbon with the next one down; `theta` is (n_parameters, n)."""
    return unit_exchange(forcing, configuration, namespace).total(theta[parameters.DIFFUS], theta[parameters.CRYO])


class Rates(NamedTuple):
    """The parts of V - A K for a place and its parameters, with rows multiplied by the layers' thickness."""

    soil: Any  # (n_layers, n), m yr day-1: thickness times the decomposition scalar of woody debris and soil, over 365
    litter: Any  # (n_layers, n), m yr day-1, the same of litter
    exchange: Exchange  # of the mobile pools, m day-1
    thickness: Any  # (n_layers,), m
    turnover: Any  # (6, n), yr: woody debris, metabolic litter, cellulose and lignin litter, fast, slow, passive SOC
    passed: Any  # (9, n), 1: fl1s1, fl2s1, fl3s2, fs1s2, fs1s3, fs2s1, fs2s3, fs3s1, fcwdl2


def decay_and_mixing(
    theta: Any,
    forcing: AnyForcing,
    configuration: Configuration = PAPER,
    namespace: Namespace = NUMPY,
    factors: Environment | None = None,
) -> Rates:
    """The rates of n columns; `factors` takes the place of the environment the forcing makes."""
    factors = environment(theta, forcing, configuration, namespace) if factors is None else factors
    per_year = configuration.column.thickness[:, None] / DAYS_PER_YEAR
    return Rates(
        soil=per_year * factors.of_soil(namespace),
        litter=per_year * factors.of_litter(namespace),
        exchange=exchange(theta, forcing, configuration, namespace),
        thickness=configuration.column.thickness,
        turnover=theta[parameters.TAU_CWD : parameters.TAU_CWD + 6],
        passed=theta[parameters.FL1S1 : parameters.FCWDL2 + 1],
    )


def never_thaws(forcing: AnyForcing, configuration: Configuration = PAPER, namespace: Namespace = NUMPY) -> Any:
    """Whether all carbon enters the top layer, because the ground below stays frozen, (n,)."""
    xp = namespace.xp
    if configuration.monthly:
        return (xp.asarray(forcing.active_layer_last_year) <= 0.0).any(axis=0)
    return xp.asarray(forcing.active_layer) <= 0.0


def input_bounds(configuration: Configuration = PAPER) -> tuple[np.ndarray, np.ndarray]:
    """Depths between which each layer receives carbon, two arrays (n_layers,), cm."""
    column = configuration.column
    return tuple(100.0 * np.minimum(z, configuration.input_depth) for z in (column.top, column.bottom))


def input_profile(
    beta: Any, forcing: AnyForcing, configuration: Configuration = PAPER, namespace: Namespace = NUMPY
) -> Any:
    """Share of the carbon input that enters each layer, (n_layers, n), summing to 1 (Jackson et al. 1996)."""
    xp = namespace.xp
    top, bottom = (z[:, None] for z in input_bounds(configuration))
    within = xp.exp(top * xp.log(beta)) - xp.exp(bottom * xp.log(beta))
    share = within / within.sum(axis=0)
    only_top = (np.arange(configuration.column.n_layers) == 0).astype(float)[:, None]
    return xp.where(never_thaws(forcing, configuration, namespace), only_top, share)


def input_amounts(
    theta: Any, forcing: AnyForcing, configuration: Configuration = PAPER, namespace: Namespace = NUMPY
) -> Any:
    """Fresh carbon by kind, (4, n), g C m-2 day-1: woody debris, metabolic, cellulose and lignin litter."""
    xp = namespace.xp
    if configuration.monthly:
        return sum_of_months(xp.asarray(forcing.carbon_input)) / DAYS_PER_YEAR
    lignin, metabolic, cellulose = theta[parameters.P4LL], theta[parameters.P4ML], theta[parameters.P4CL]
    shares = xp.stack([1.0 - lignin - metabolic - cellulose, metabolic, cellulose, lignin])
    return shares * (theta[parameters.INS] * forcing.npp_mean / DAYS_PER_YEAR)


def carbon_input(
    theta: Any, forcing: AnyForcing, configuration: Configuration = PAPER, namespace: Namespace = NUMPY
) -> Any:
    """Fresh carbon per ground area by kind and layer, (4, n_layers, n), g C m-2 day-1."""
    amounts = input_amounts(theta, forcing, configuration, namespace)
    return amounts[:, None] * input_profile(theta[parameters.BETA], forcing, configuration, namespace)
