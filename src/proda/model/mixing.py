"""How layers exchange carbon: diffusivities of frost and of animals, and the velocities they make between layers."""

from typing import Any, NamedTuple

from proda.model.column import DAYS_PER_YEAR, Column
from proda.model.configuration import PAPER, Configuration
from proda.model.forcing import AnyForcing
from proda.model.namespace import NUMPY, Namespace, mean_of_months
from proda.model.parameters import CRYO, DIFFUS

# The `paper` configuration.
MAX_MIXING_DEPTH = 5.0  # m; nothing mixes below, and soil that thaws deeper is not churned by frost
MIN_ACTIVE_LAYER = 0.01  # m; thinner thaw does not churn
# The `cesm2` configuration.
MAX_ACTIVE_LAYER = 2.0  # m; soil that thaws deeper is not churned by frost
MAX_CHURNING_DEPTH = 3.0  # m


class Exchange(NamedTuple):
    """Velocity of the exchange across the bottom of each layer, (n_layers, n), m day-1; zero in the last row.

    Attributes
    ----------
    downward
        As it enters the balance of the layer above the interface.
    upward
        As it enters the balance of the layer below it: the same but for the published leaking bottom, where it is zero.
    """

    downward: Any
    upward: Any


def annual_diffusivity(active_layer: Any, column: Column, namespace: Namespace = NUMPY) -> tuple[Any, Any]:
    """Diffusivity at the nodes over `diffus` and over `cryo`, two arrays (n_layers, n) between 0 and 1.

    Soil that thaws deeper than 1 cm and less deep than 5 m is churned by frost: fully down to the active layer, then
    falling linearly to nothing at three times its depth. Soil that thaws deeper than 5 m is mixed by animals and roots.
    Nothing mixes below 5 m, nor, as published, where the active layer is 5 m to the digit.
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

    Parameters
    ----------
    active_layer : (months, n), m
        The deeper of this and last year's.
    bedrock : (n,)
        Number of layers above bedrock. Nothing is mixed below the layer after it.
    """
    xp = namespace.xp
    z, thaw = column.bottom[:, None, None], active_layer
    above = xp.arange(column.n_layers)[:, None, None] <= bedrock
    frozen = (thaw > 0.0) & (thaw <= MAX_ACTIVE_LAYER)
    # Below the last layer of the grid every depth is beyond the greatest churning depth.
    below_bedrock = xp.append(xp.asarray(column.bottom), xp.inf)[bedrock]
    deepest = xp.minimum(MAX_CHURNING_DEPTH, below_bedrock)
    reach = deepest - thaw
    # Written so that it is zero at the deepest depth in any arithmetic: the division of JAX may be off by one digit.
    faded = (deepest - z) / xp.where(reach == 0.0, 1.0, reach)
    fade = xp.where(reach == 0.0, 0.0, xp.maximum(faded, 0.0))
    cryo = xp.where(frozen & above, xp.where(z < thaw, 1.0, fade), 0.0)
    diffus = xp.where((thaw > MAX_ACTIVE_LAYER) & above, 1.0, 0.0)
    return diffus, cryo


def velocities(relative: Any, column: Column, namespace: Namespace = NUMPY) -> Any:
    """Exchange velocity across the interfaces for a diffusivity of `relative` m2 yr-1, m day-1.

    The harmonic mean of the diffusivity above and below over the distance of the nodes; (n_layers, ...) becomes
    (n_layers - 1, ...). A zero on either side closes the interface.
    """
    xp = namespace.xp
    upper, lower = relative[:-1], relative[1:]
    share, spacing = (
        values.reshape(-1, *(1,) * (relative.ndim - 1)) for values in (column.share_above, column.spacing)
    )
    weighted = share * lower + (1.0 - share) * upper
    return upper * lower / xp.where(weighted > 0.0, weighted, 1.0) / spacing / DAYS_PER_YEAR


class UnitExchange(NamedTuple):
    """What a place contributes to the exchange: for `diffus` = 1, for `cryo` = 1 m2 yr-1, and whatever they are."""

    by_animals: Exchange
    by_frost: Exchange
    residual: Exchange

    def total(self, diffus: Any, cryo: Any) -> Exchange:
        """The exchange at these diffusivities, m2 yr-1."""
        downward, upward = (
            diffus * animals + cryo * frost + rest
            for animals, frost, rest in zip(self.by_animals, self.by_frost, self.residual, strict=True)
        )
        return Exchange(downward, upward)


def unit_exchange(
    forcing: AnyForcing, configuration: Configuration = PAPER, namespace: Namespace = NUMPY
) -> UnitExchange:
    """The exchange of a place over its parameters; samplers compute it once. Monthly velocities are averaged."""
    xp, column = namespace.xp, configuration.column
    if configuration.monthly:
        bedrock = xp.asarray(forcing.bedrock)
        thaw = xp.maximum(xp.asarray(forcing.active_layer), xp.asarray(forcing.active_layer_last_year))
        relative = monthly_diffusivity(thaw, bedrock, column, namespace)
        if configuration.bottom == "published":
            return UnitExchange(*(Exchange(*pair) for pair in published_exchange(relative, bedrock, column, namespace)))
        open_above = xp.arange(1, column.n_layers)[:, None] < bedrock
        both = (xp.where(open_above, mean_of_months(velocities(part, column, namespace)), 0.0) for part in relative)
    else:
        relative = annual_diffusivity(xp.asarray(forcing.active_layer), column, namespace)
        both = (velocities(part, column, namespace) for part in relative)
    animals, frost = (xp.concatenate([velocity, xp.zeros_like(velocity[:1])]) for velocity in both)
    return UnitExchange(Exchange(animals, animals), Exchange(frost, frost), Exchange(0.0, 0.0))


def exchange(
    theta: Any, forcing: AnyForcing, configuration: Configuration = PAPER, namespace: Namespace = NUMPY
) -> Exchange:
    """Velocity at which each layer exchanges carbon with the next one down; `theta` is (n_parameters, n)."""
    return unit_exchange(forcing, configuration, namespace).total(theta[DIFFUS], theta[CRYO])


# What the published program takes for zero: m2 day-1 as a diffusivity, m day-1 as a velocity of advection.
NEXT_TO_NOTHING = 1e-30


def published_exchange(relative: tuple, bedrock: Any, column: Column, namespace: Namespace = NUMPY) -> tuple:
    """The exchange as the published `cesm2` program has it: ((down, up) by animals, by frost, and residual).

    It differs from the closed bottom in two ways. From the first bedrock layer on, a layer gets the velocity of its
    upper interface at its lower one too, which the layer below does not know of: carbon is lost, or made. And nothing
    is quite closed: diffusivity and advection are 1e-30 at least, weighted by the power law of Patankar (1980, Eq.
    5.34). This changes no number anyone would look at; the reference cases, compared in every pool, show it.
    """
    xp = namespace.xp
    unit = [velocities(part, column, namespace) for part in relative]
    open_above, open_below = ((relative[0] + relative[1] > 0.0)[rows] for rows in (slice(None, -1), slice(1, None)))
    share, spacing = column.share_above[:, None, None], column.spacing[:, None, None]
    weight = xp.where(open_above, 1.0 - share, xp.where(open_below, share, 1.0))
    closed = ~(open_above & open_below)
    velocity = xp.where(closed, NEXT_TO_NOTHING / weight / spacing, 0.0)
    power_law = velocity * xp.maximum(1.0 - 0.1 * NEXT_TO_NOTHING / xp.where(closed, velocity, 1.0), 0.0) ** 5
    upward = mean_of_months(xp.where(closed, power_law + NEXT_TO_NOTHING, 0.0))
    downward, plain = mean_of_months(power_law), mean_of_months(velocity)

    nothing = xp.zeros_like(plain[:1])
    in_bedrock = xp.arange(1, column.n_layers)[:, None] > bedrock

    def ended(down: Any, up: Any, above: Any) -> tuple:
        repeated = xp.where(in_bedrock, xp.concatenate([nothing, above[:-1]]), down)
        return xp.concatenate([repeated, nothing]), xp.concatenate([up, nothing])

    by_animals, by_frost = (ended(part, part, part) for part in map(mean_of_months, unit))
    return by_animals, by_frost, ended(downward, upward, plain)
