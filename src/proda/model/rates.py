"""The rates at which a column decays and mixes: Eq. 1 of Tao et al. 2020 as the structured solution wants it."""

from typing import Any, NamedTuple

from proda.model.column import DAYS_PER_YEAR
from proda.model.configuration import PAPER, Configuration
from proda.model.environment import Environment, environment
from proda.model.forcing import AnyForcing
from proda.model.mixing import Exchange, exchange
from proda.model.namespace import NUMPY, Namespace
from proda.model.parameters import FCWDL2, FL1S1, TAU_CWD


class Rates(NamedTuple):
    """What a place and its parameters make of V - A K, with rows multiplied by the layers' thickness.

    Attributes
    ----------
    soil, litter : (n_layers, n), m yr day-1
        Thickness times the decomposition scalar over 365, of woody debris and soil, and of litter: divided by a
        turnover time in years it is the velocity of decay.
    exchange : Exchange
        Of the mobile pools, m day-1.
    thickness : (n_layers,), m
    turnover : (6, n), yr
        Of woody debris, metabolic litter, cellulose and lignin litter, fast, slow and passive SOC.
    passed : (9, n), 1
        Fractions fl1s1, fl2s1, fl3s2, fs1s2, fs1s3, fs2s1, fs2s3, fs3s1, fcwdl2.
    """

    soil: Any
    litter: Any
    exchange: Exchange
    thickness: Any
    turnover: Any
    passed: Any

    def respired(self, pools: Any) -> Any:
        """Carbon leaving as CO2, (n,), g C m-2 day-1: what is not passed on of all that decays in `pools`."""
        _, tau_l1, tau_l23, tau_s1, tau_s2, tau_s3 = self.turnover
        fl1s1, fl2s1, fl3s2, fs1s2, fs1s3, fs2s1, fs2s3, fs3s1, _ = self.passed
        _, l1, l2, l3, s1, s2, s3 = pools
        of_litter = (1.0 - fl1s1) / tau_l1 * l1 + ((1.0 - fl2s1) * l2 + (1.0 - fl3s2) * l3) / tau_l23
        of_fast, of_slow = (1.0 - fs1s2 - fs1s3) / tau_s1 * s1, (1.0 - fs2s1 - fs2s3) / tau_s2 * s2
        of_passive = (1.0 - fs3s1) / tau_s3 * s3
        return (self.litter * of_litter + self.soil * (of_fast + of_slow + of_passive)).sum(axis=0)

    def leaked(self, pools: Any) -> Any:
        """Carbon lost (made, where negative) by exchange that is not mutual, (n,), g C m-2 day-1: see `Exchange`."""
        downward, upward = self.exchange
        differences = pools[1:, :-1] - pools[1:, 1:]
        return ((downward - upward)[:-1] * differences).sum(axis=(0, 1))


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
        turnover=theta[TAU_CWD : TAU_CWD + 6],
        passed=theta[FL1S1 : FCWDL2 + 1],
    )
