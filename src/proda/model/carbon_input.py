"""Where fresh carbon enters a column, and as what."""

from typing import Any

import numpy as np

from proda.model.column import DAYS_PER_YEAR
from proda.model.configuration import PAPER, Configuration
from proda.model.forcing import AnyForcing
from proda.model.namespace import NUMPY, Namespace, sum_of_months
from proda.model.parameters import BETA, INS, P4CL, P4LL, P4ML


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
    """Fresh carbon by kind, (4, n), g C m-2 day-1: woody debris, metabolic, cellulose and lignin litter.

    The `paper` configuration shares out ``ins`` x mean NPP; the `cesm2` configuration sums twelve months of CLM's own.
    """
    xp = namespace.xp
    if configuration.monthly:
        return sum_of_months(xp.asarray(forcing.carbon_input)) / DAYS_PER_YEAR
    lignin, metabolic, cellulose = theta[P4LL], theta[P4ML], theta[P4CL]
    shares = xp.stack([1.0 - lignin - metabolic - cellulose, metabolic, cellulose, lignin])
    return shares * (theta[INS] * forcing.npp_mean / DAYS_PER_YEAR)


def carbon_input(
    theta: Any, forcing: AnyForcing, configuration: Configuration = PAPER, namespace: Namespace = NUMPY
) -> Any:
    """Fresh carbon per ground area by kind and layer, (4, n_layers, n), g C m-2 day-1."""
    amounts = input_amounts(theta, forcing, configuration, namespace)
    return amounts[:, None] * input_profile(theta[BETA], forcing, configuration, namespace)
