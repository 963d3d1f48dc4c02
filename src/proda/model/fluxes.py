"""What drives a column: how fast its pools decay, how they mix, and where fresh carbon enters."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from proda.model.column import DAYS_PER_YEAR, PAPER_COLUMN, Column
from proda.model.forcing import Forcing
from proda.model.namespace import NUMPY, Namespace

REFERENCE_TEMPERATURE = 298.15  # K
MIN_WATER_POTENTIAL = -25.0  # MPa; CLM itself has -10 (4.5) or -2 (5) and other floors
MIN_WATER_SCALAR = 0.25
MAX_MIXING_DEPTH = 5.0  # m; nothing mixes below
MIN_ACTIVE_LAYER = 0.01  # m; thinner thaw does not churn
MAX_INPUT_DEPTH = 3.8  # m; carbon enters above


def water_scalar(water_potential: Any, maxpsi: Any, namespace: Namespace = NUMPY) -> Any:
    """Moisture limitation of decomposition, 0.25 to 1 (Tao et al. 2020; form of Andren and Paustian 1987).

    ``log(minpsi/psi) / log(minpsi/maxpsi)``, 1 where the soil is wetter than `maxpsi`, never below 0.25.
    """
    xp = namespace.xp
    unlimited = water_potential >= maxpsi
    # Where decomposition is unlimited psi may be zero: any negative number keeps the logarithm finite there.
    psi = xp.where(unlimited, -1.0, water_potential)
    scalar = xp.log(MIN_WATER_POTENTIAL / psi) / xp.log(MIN_WATER_POTENTIAL / maxpsi)
    return xp.where(unlimited, 1.0, xp.maximum(scalar, MIN_WATER_SCALAR))


def decomposition_scalar(
    theta: Any, forcing: Forcing, column: Column = PAPER_COLUMN, namespace: Namespace = NUMPY
) -> Any:
    """xi, by which all base rates are multiplied: temperature x water x depth, (n_layers, n).

    Temperature is q10^((T - 298.15)/10), in frozen soil too; depth is exp(-z/efolding). The oxygen and nitrogen
    scalars of the `paper` configuration are 1.
    """
    xp = namespace.xp
    q10, efolding, maxpsi = theta[2], theta[3], theta[24]
    warmth = (forcing.soil_temperature - REFERENCE_TEMPERATURE) / 10.0
    exponent = xp.log(q10) * warmth - column.node[:, None] / efolding
    return xp.exp(exponent) * water_scalar(forcing.water_potential, maxpsi, namespace)


def relative_diffusivity(active_layer: NDArray, column: Column = PAPER_COLUMN) -> tuple[NDArray, NDArray]:
    """Diffusivity at the nodes over `diffus` and over `cryo`, two arrays (n_layers, n) between 0 and 1.

    Soil that thaws no deeper than 5 m is churned by frost: fully down to the active layer, then falling linearly to
    nothing at three times its depth. Soil that thaws deeper is mixed by animals and roots. Nothing mixes below 5 m.
    """
    z = column.node[:, None]
    thaw = np.asarray(active_layer, dtype=np.float64)[None, :]
    above = z < MAX_MIXING_DEPTH
    frozen = (thaw > MIN_ACTIVE_LAYER) & (thaw < MAX_MIXING_DEPTH)
    fade = 1.0 - (z - thaw) / (2.0 * np.where(frozen, thaw, 1.0))
    cryo = np.where(frozen & above, np.where(z < thaw, 1.0, np.maximum(fade, 0.0)), 0.0)
    diffus = np.where((thaw > MAX_MIXING_DEPTH) & above, 1.0, 0.0)
    return diffus, cryo


def _conductance(relative: NDArray, column: Column) -> NDArray:
    """Harmonic mean of the diffusivity across each interface over the node distance, (n_layers - 1, n), m-1."""
    upper, lower = relative[:-1], relative[1:]
    share = ((column.bottom[:-1] - column.node[:-1]) / column.spacing)[:, None]
    weighted = share * lower + (1.0 - share) * upper
    # A zero on either side closes the interface.
    return upper * lower / np.where(weighted > 0.0, weighted, 1.0) / column.spacing[:, None]


def unit_exchange(active_layer: NDArray, column: Column = PAPER_COLUMN) -> tuple[NDArray, NDArray]:
    """Exchange velocity between neighbouring layers for `diffus` = 1 and for `cryo` = 1 m2 yr-1.

    Two arrays (n_layers - 1, n), m day-1. They depend on the place alone, so samplers compute them once.
    """
    diffus, cryo = relative_diffusivity(active_layer, column)
    return _conductance(diffus, column) / DAYS_PER_YEAR, _conductance(cryo, column) / DAYS_PER_YEAR


def exchange_velocity(theta: Any, forcing: Forcing, column: Column = PAPER_COLUMN) -> Any:
    """Velocity at which each layer exchanges carbon with the next one down, (n_layers - 1, n), m day-1."""
    by_animals, by_frost = unit_exchange(forcing.active_layer, column)
    return theta[0] * by_animals + theta[1] * by_frost


def input_profile(beta: Any, active_layer: Any, column: Column = PAPER_COLUMN, namespace: Namespace = NUMPY) -> Any:
    """Share of the carbon input that enters each layer, (n_layers, n), summing to 1 (Jackson et al. 1996).

    Everything enters the top layer where the ground never thaws (`active_layer` = 0).
    """
    xp = namespace.xp
    top, bottom = (100.0 * np.minimum(z, MAX_INPUT_DEPTH)[:, None] for z in (column.top, column.bottom))
    within = xp.exp(top * xp.log(beta)) - xp.exp(bottom * xp.log(beta))
    share = within / within.sum(axis=0)
    only_top = (np.arange(column.n_layers) == 0).astype(float)[:, None]
    return xp.where(xp.asarray(active_layer) > 0.0, share, only_top)


def carbon_input(theta: Any, forcing: Forcing, column: Column = PAPER_COLUMN, namespace: Namespace = NUMPY) -> Any:
    """Fresh carbon per ground area by kind, (4, n_layers, n), g C m-2 day-1: CWD, metabolic, cellulose, lignin."""
    xp = namespace.xp
    lignin, metabolic, cellulose = theta[21], theta[22], theta[23]
    shares = xp.stack([1.0 - lignin - metabolic - cellulose, metabolic, cellulose, lignin])
    daily = theta[19] * forcing.npp_mean / DAYS_PER_YEAR
    profile = input_profile(theta[20], forcing.active_layer, column, namespace)
    return shares[:, None] * (daily * profile)
