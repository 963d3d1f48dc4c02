"""What drives the columns of the compiled steady state: rows of lanes that say how a place decays, mixes and is fed.

`lane_places` holds what does not depend on the parameters, computed once; the two compiled functions make of it and the
parameters what `environment`, `mixing` and `carbon_input` say in arrays.
"""

import numpy as np
from numpy.typing import NDArray

from proda.compiled import inlined
from proda.model.carbon_input import input_amounts, input_bounds, never_thaws
from proda.model.column import DAYS_PER_YEAR
from proda.model.configuration import PAPER, Configuration
from proda.model.environment import (
    MIN_WATER_POTENTIAL,
    MIN_WATER_SCALAR,
    REFERENCE_TEMPERATURE,
    SLOWEST,
    SLOWEST_LOG,
)
from proda.model.forcing import AnyForcing, Forcing
from proda.model.lane_math import lane_exp, lane_log
from proda.model.lane_type import LANES, load, store, where_less
from proda.model.mixing import unit_exchange
from proda.model.parameters import BETA, CRYO, DIFFUS, EFOLDING, INS, MAXPSI, P4CL, P4LL, P4ML, Q10, W_SCALING

# The work array: groups of n_layers rows, the result first. Then the inverses, nine rows a layer, and four amounts.
(SOC, DECAY, LITTER_DECAY, DOWNWARD, UPWARD, INPUT, PIVOT_L1, PIVOT_L2L3, SUPPLY1, SUPPLY2, SUPPLY3, INVERSE) = range(
    12
)
AMOUNT = INVERSE + 9
# A place: groups of n_layers rows, then single rows. With annual forcing the single rows are NPP and whether all carbon
# enters the top layer; with monthly forcing four amounts of carbon stand in place of NPP, and four groups of
# months x n_layers rows follow.
BY_ANIMALS, BY_FROST, WARMTH, DRYNESS, POTENTIAL = range(5)
ANIMALS_UP, FROST_UP, REST_DOWN, REST_UP = range(2, 6)
MONTHLY_WARMTH, WETNESS, OXYGEN, NITROGEN = range(4)


def lane_work(configuration: Configuration = PAPER) -> NDArray[np.float64]:
    """A work array for `steady_lanes`."""
    return np.zeros((AMOUNT * configuration.column.n_layers + 4) * LANES)


def lane_months(forcing: AnyForcing) -> int:
    """Number of months, zero for annual forcing, as `steady_lanes` wants to know it."""
    return 0 if isinstance(forcing, Forcing) else forcing.n_months


def lane_grid(configuration: Configuration = PAPER) -> NDArray[np.float64]:
    """The column as the compiled functions read it: node (m), thickness/365 (m yr day-1), bounds of the input (cm)."""
    column = configuration.column
    return np.concatenate([column.node, column.thickness / DAYS_PER_YEAR, *input_bounds(configuration)])


def in_lanes(rows: NDArray) -> NDArray[np.float64]:
    """Columns side by side in blocks, (n_blocks, n_rows * LANES), the last block filled up with its last column."""
    n_rows, n = rows.shape
    n_blocks = -(-n // LANES)
    filled = np.pad(rows, ((0, 0), (0, n_blocks * LANES - n)), mode="edge")
    return np.ascontiguousarray(filled.reshape(n_rows, n_blocks, LANES).swapaxes(0, 1)).reshape(n_blocks, -1)


def lane_places(forcing: AnyForcing, configuration: Configuration = PAPER) -> NDArray[np.float64]:
    """What the forcing contributes to `steady_lanes`, (rows, n)."""
    animals, frost, rest = unit_exchange(forcing, configuration)
    warmth = (forcing.soil_temperature - REFERENCE_TEMPERATURE) / 10.0
    only_top = [never_thaws(forcing, configuration)]
    if isinstance(forcing, Forcing):
        # Saturated soil (zero potential) is never limited: any finite dryness will do.
        dryness = np.log(MIN_WATER_POTENTIAL / np.minimum(forcing.water_potential, -1e-12))
        npp = [forcing.npp_mean / DAYS_PER_YEAR]
        return np.concatenate(
            [animals.downward, frost.downward, warmth, dryness, forcing.water_potential, npp, only_top]
        )
    shape = animals.downward.shape
    groups = [
        animals.downward,
        frost.downward,
        animals.upward,
        frost.upward,
        *(np.broadcast_to(r, shape) for r in rest),
    ]
    amounts = input_amounts(None, forcing, configuration)
    monthly = [warmth, forcing.water_scalar, forcing.oxygen_scalar, forcing.nitrogen_scalar]
    return np.concatenate([*groups, amounts, only_top, *(values.reshape(-1, forcing.n_columns) for values in monthly)])


@inlined
def fill_annual_drivers(theta, place, grid, n, w):
    """Decay and exchange of every layer, and the carbon input, into `w`: the `paper` configuration."""
    log_q10 = lane_log(load(theta, Q10))
    per_efolding, maxpsi = 1.0 / load(theta, EFOLDING), load(theta, MAXPSI)
    per_dryness = 1.0 / lane_log(MIN_WATER_POTENTIAL / where_less(maxpsi, -1e-300, maxpsi, -1e-300))
    diffus, cryo = load(theta, DIFFUS), load(theta, CRYO)
    for j in range(n):
        node, thickness = grid[j], grid[n + j]
        limited = load(place, DRYNESS * n + j) * per_dryness
        limited = where_less(limited, MIN_WATER_SCALAR, MIN_WATER_SCALAR, limited)
        water = where_less(load(place, POTENTIAL * n + j), maxpsi, limited, 1.0)
        depth = node * per_efolding
        depth = where_less(-SLOWEST_LOG, depth, -SLOWEST_LOG, depth)
        warmth_and_depth = lane_exp(log_q10 * load(place, WARMTH * n + j) - depth)
        store(w, DECAY * n + j, thickness * water * warmth_and_depth)
        store(w, DOWNWARD * n + j, diffus * load(place, BY_ANIMALS * n + j) + cryo * load(place, BY_FROST * n + j))
    fill_input_profile(theta, load(place, 5 * n + 1), grid, n, w)
    total = load(theta, INS) * load(place, 5 * n)
    lignin, metabolic, cellulose = load(theta, P4LL), load(theta, P4ML), load(theta, P4CL)
    store(w, AMOUNT * n, (1.0 - lignin - metabolic - cellulose) * total)
    store(w, AMOUNT * n + 1, metabolic * total)
    store(w, AMOUNT * n + 2, cellulose * total)
    store(w, AMOUNT * n + 3, lignin * total)


@inlined
def fill_monthly_drivers(theta, place, grid, n, months, w):
    """Decay and exchange of every layer, and the carbon input, into `w`: the `cesm2` configuration."""
    log_q10, w_scaling = lane_log(load(theta, Q10)), load(theta, W_SCALING)
    per_efolding = 1.0 / load(theta, EFOLDING)
    diffus, cryo = load(theta, DIFFUS), load(theta, CRYO)
    amount = 6 * n
    by_month, group = amount + 5, n * months
    for j in range(n):
        node, thickness = grid[j], grid[n + j]
        soil, litter = log_q10 * 0.0, log_q10 * 0.0
        for month in range(months):
            row = by_month + j * months + month
            water = w_scaling * load(place, row + WETNESS * group)
            water = where_less(water, 1.0, water, 1.0)
            warmth = lane_exp(log_q10 * load(place, row + MONTHLY_WARMTH * group))
            scalar = warmth * water * load(place, row + OXYGEN * group)
            soil = soil + scalar
            litter = litter + scalar * load(place, row + NITROGEN * group)
        depth = node * per_efolding
        depth = lane_exp(where_less(-SLOWEST_LOG, depth, SLOWEST_LOG, depth * -1.0)) * (1.0 / months)
        soil, litter = soil * depth, litter * depth
        store(w, DECAY * n + j, where_less(soil, SLOWEST, SLOWEST, soil) * thickness)
        store(w, LITTER_DECAY * n + j, where_less(litter, SLOWEST, SLOWEST, litter) * thickness)
        animals, frost = load(place, BY_ANIMALS * n + j), load(place, BY_FROST * n + j)
        store(w, DOWNWARD * n + j, diffus * animals + cryo * frost + load(place, REST_DOWN * n + j))
        animals, frost = load(place, ANIMALS_UP * n + j), load(place, FROST_UP * n + j)
        store(w, UPWARD * n + j, diffus * animals + cryo * frost + load(place, REST_UP * n + j))
    fill_input_profile(theta, load(place, amount + 4), grid, n, w)
    for kind in range(4):
        store(w, AMOUNT * n + kind, load(place, amount + kind))


@inlined
def fill_input_profile(theta, only_top, grid, n, w):
    """Share of the carbon input that enters every layer, into `w`; lanes where `only_top` is 1 feed the top layer."""
    log_beta = lane_log(load(theta, BETA))
    remaining = log_beta * 0.0 + 1.0
    entering = log_beta * 0.0
    above = 0.0
    for j in range(n):
        top, bottom = grid[2 * n + j], grid[3 * n + j]
        if top != above:  # on the grid as the original tabulates it layers do not quite touch
            remaining = lane_exp(top * log_beta)
        above = bottom
        passed_on = lane_exp(bottom * log_beta)
        entering = entering + (remaining - passed_on)
        store(w, INPUT * n + j, remaining - passed_on)
        remaining = passed_on
    spread = (1.0 - only_top) / entering
    for j in range(n):
        share = load(w, INPUT * n + j) * spread
        store(w, INPUT * n + j, share + only_top if j == 0 else share)
