"""How fast a place lets pools decay: temperature, water, oxygen, nitrogen and depth, and the decay rates they make."""

from typing import Any, NamedTuple

from proda.model.configuration import PAPER, Configuration
from proda.model.forcing import AnyForcing
from proda.model.namespace import NUMPY, Namespace, mean_of_months
from proda.model.parameters import EFOLDING, MAXPSI, Q10, W_SCALING

REFERENCE_TEMPERATURE = 298.15  # K
MIN_WATER_POTENTIAL = -25.0  # MPa; CLM itself has -10 (4.5) or -2 (5) and other floors
MIN_WATER_SCALAR = 0.25
# Decomposition never stops altogether: carbon that would last longer than this leaves the range of floating point
# before it decays. The deepest layers of the `cesm2` grid reach it where the e-folding depth is below 2.5 cm.
SLOWEST_LOG = -322.0  # about the log of 1e-140
SLOWEST = 1e-140


class Environment(NamedTuple):
    """Factors of decomposition. Months are averaged as products; the annual forcing counts as one month.

    Attributes
    ----------
    temperature, water, oxygen : (n_layers, months, n), 1
        Oxygen may be the number 1.
    nitrogen : (n_layers, months, n), 1
        Limits litter alone; may be the number 1.
    depth : (n_layers, 1, n), 1
    """

    temperature: Any
    water: Any
    oxygen: Any
    nitrogen: Any
    depth: Any

    def of_soil(self, namespace: Namespace = NUMPY) -> Any:
        """xi of woody debris and of the soil pools, (n_layers, n)."""
        return self._mean(self.temperature * self.water * self.oxygen, namespace)

    def of_litter(self, namespace: Namespace = NUMPY) -> Any:
        """xi of the three litter pools, (n_layers, n)."""
        return self._mean(self.temperature * self.water * self.oxygen * self.nitrogen, namespace)

    def _mean(self, product: Any, namespace: Namespace) -> Any:
        return namespace.xp.maximum(mean_of_months(product * self.depth), SLOWEST)


def limiting_water(water_potential: Any, maxpsi: Any, namespace: Namespace = NUMPY) -> Any:
    """Moisture limitation by water potential, (n_layers, n), 0.25 to 1 (form of Andren and Paustian 1987).

    ``log(minpsi/psi) / log(minpsi/maxpsi)``, 1 where the soil is wetter than `maxpsi`, never below 0.25.
    """
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
    """The factors at a place: q10^((T - 298.15)/10), in frozen soil too, water, oxygen, nitrogen, exp(-z/efolding).

    Parameters
    ----------
    theta : (n_parameters, n)
        Physical parameters.
    forcing : Forcing or MonthlyForcing
        As the configuration takes it.
    """
    xp = namespace.xp
    warmth = (forcing.soil_temperature - REFERENCE_TEMPERATURE) / 10.0
    node = configuration.column.node[:, None]
    depth = xp.exp(xp.maximum(-node / theta[EFOLDING], SLOWEST_LOG))[:, None]
    if configuration.monthly:
        temperature = xp.exp(xp.log(theta[Q10]) * warmth)
        water = xp.minimum(1.0, theta[W_SCALING] * forcing.water_scalar)
        return Environment(temperature, water, forcing.oxygen_scalar, forcing.nitrogen_scalar, depth)
    temperature = xp.exp(xp.log(theta[Q10]) * warmth)[:, None]
    water = limiting_water(forcing.water_potential, theta[MAXPSI], namespace)[:, None]
    return Environment(temperature, water, 1.0, 1.0, depth)
