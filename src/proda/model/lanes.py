"""The steady state compiled, sixteen columns abreast: the fast path of samplers and maps.

The algebra is that of `steady_state`, where it stands as matrices: read it first. Here every number is `Lanes`, one
value for each of sixteen columns, so what follows reads like the computation of a single column. Layers that are needed
again on the way up are kept in the rows of a work array; everything else stays in registers.
"""

import numba as nb
import numpy as np
from numpy.typing import NDArray

from proda.compiled import kept_compiled
from proda.model.column import DAYS_PER_YEAR, PAPER_COLUMN, Column
from proda.model.fluxes import (
    MAX_INPUT_DEPTH,
    MIN_WATER_POTENTIAL,
    MIN_WATER_SCALAR,
    REFERENCE_TEMPERATURE,
    unit_exchange,
)
from proda.model.forcing import Forcing
from proda.model.lane_math import inverse_power, lane_exp, lane_log
from proda.model.lane_type import LANES, load, store, where_less
from proda.model.parameters import PAPER_PARAMETERS

(DIFFUS, CRYO, Q10, EFOLDING, _, TAU_L1, TAU_L2L3, TAU_S1, TAU_S2, TAU_S3, FL1S1, FL2S1, FL3S2, FS1S2, FS1S3, FS2S1,
 FS2S3, FS3S1, FCWDL2, INS, BETA, P4LL, P4ML, P4CL, MAXPSI) = range(len(PAPER_PARAMETERS))  # fmt: skip

# What a place contributes: six groups of n_layers rows, then two single rows (`lane_places`).
WARMTH, DRYNESS, POTENTIAL, BY_ANIMALS, BY_FROST = range(5)
NPP, FROZEN = 0, 1
# The work array: groups of n_layers rows. The result is the first group.
SOC, DECAY, EXCHANGE, INPUT, PIVOT_L1, PIVOT_L2L3, SUPPLY1, SUPPLY2, SUPPLY3 = range(9)
INVERSE = 9  # nine groups


@nb.njit(error_model="numpy")
def fill_drivers(theta, place, grid, n, w):
    """Decay scalar times thickness, exchange velocity and carbon input of every layer, into `w`."""
    log_q10, log_beta = lane_log(load(theta, Q10)), lane_log(load(theta, BETA))
    per_efolding, maxpsi = 1.0 / load(theta, EFOLDING), load(theta, MAXPSI)
    per_dryness = 1.0 / lane_log(MIN_WATER_POTENTIAL / maxpsi)
    diffus, cryo = load(theta, DIFFUS), load(theta, CRYO)
    remaining = log_beta * 0.0 + 1.0
    entering = log_beta * 0.0
    above = 0.0
    for j in range(n):
        node, thickness, top, bottom = grid[j], grid[n + j], grid[2 * n + j], grid[3 * n + j]
        limited = load(place, DRYNESS * n + j) * per_dryness
        limited = where_less(limited, MIN_WATER_SCALAR, MIN_WATER_SCALAR, limited)
        water = where_less(load(place, POTENTIAL * n + j), maxpsi, limited, 1.0)
        warmth_and_depth = lane_exp(log_q10 * load(place, WARMTH * n + j) - node * per_efolding)
        store(w, DECAY * n + j, thickness * water * warmth_and_depth)
        store(w, EXCHANGE * n + j, diffus * load(place, BY_ANIMALS * n + j) + cryo * load(place, BY_FROST * n + j))
        if top != above:
            remaining = lane_exp(top * log_beta)
        above = bottom
        passed_on = lane_exp(bottom * log_beta)
        entering = entering + (remaining - passed_on)
        store(w, INPUT * n + j, remaining - passed_on)
        remaining = passed_on
    total = load(theta, INS) * load(place, 5 * n + NPP)
    frozen = load(place, 5 * n + FROZEN)
    spread = (1.0 - frozen) * total / entering
    for j in range(n):
        share = load(w, INPUT * n + j) * spread
        store(w, INPUT * n + j, share + frozen * total if j == 0 else share)


@nb.njit(error_model="numpy")
def fill_litter(theta, n, w):
    """What the litter pools hand to the fast and the slow soil pool in every layer, into `w`."""
    rate_l1, rate_l23 = 1.0 / load(theta, TAU_L1), 1.0 / load(theta, TAU_L2L3)
    lignin, metabolic, cellulose = load(theta, P4LL), load(theta, P4ML), load(theta, P4CL)
    woody, to_cellulose = 1.0 - lignin - metabolic - cellulose, load(theta, FCWDL2)
    cellulose = cellulose + to_cellulose * woody
    lignin = lignin + (1.0 - to_cellulose) * woody
    nothing = rate_l1 * 0.0
    loss_above_l1, loss_above_l23 = nothing, nothing
    down_l1, down_l2, down_l3 = nothing, nothing, nothing
    for j in range(n):
        decay, exchange, fresh = load(w, DECAY * n + j), load(w, EXCHANGE * n + j), load(w, INPUT * n + j)
        loss_l1, loss_l23 = decay * rate_l1 + loss_above_l1, decay * rate_l23 + loss_above_l23
        pivot_l1, pivot_l23 = loss_l1 + exchange, loss_l23 + exchange
        # One division for two reciprocals.
        both = 1.0 / (pivot_l1 * pivot_l23)
        per_l1, per_l23 = both * pivot_l23, both * pivot_l1
        l1, l2, l3 = fresh * metabolic + down_l1, fresh * cellulose + down_l2, fresh * lignin + down_l3
        passed_l1, passed_l23 = exchange * per_l1, exchange * per_l23
        loss_above_l1, loss_above_l23 = passed_l1 * loss_l1, passed_l23 * loss_l23
        down_l1, down_l2, down_l3 = passed_l1 * l1, passed_l23 * l2, passed_l23 * l3
        store(w, PIVOT_L1 * n + j, per_l1)
        store(w, PIVOT_L2L3 * n + j, per_l23)
        store(w, SUPPLY1 * n + j, l1)
        store(w, SUPPLY2 * n + j, l2)
        store(w, SUPPLY3 * n + j, l3)
    l1_to_s1, l2_to_s1 = rate_l1 * load(theta, FL1S1), rate_l23 * load(theta, FL2S1)
    l3_to_s2 = rate_l23 * load(theta, FL3S2)
    l1, l2, l3 = nothing, nothing, nothing
    for j in range(n - 1, -1, -1):
        decay, exchange = load(w, DECAY * n + j), load(w, EXCHANGE * n + j)
        per_l1, per_l23 = load(w, PIVOT_L1 * n + j), load(w, PIVOT_L2L3 * n + j)
        l1 = (load(w, SUPPLY1 * n + j) + exchange * l1) * per_l1
        l2 = (load(w, SUPPLY2 * n + j) + exchange * l2) * per_l23
        l3 = (load(w, SUPPLY3 * n + j) + exchange * l3) * per_l23
        store(w, SUPPLY1 * n + j, decay * (l1_to_s1 * l1 + l2_to_s1 * l2))
        store(w, SUPPLY2 * n + j, decay * l3_to_s2 * l3)


@nb.njit(error_model="numpy")
def fill_soc(theta, n, w):
    """Soil organic carbon of every layer, g C m-3, into the first rows of `w`."""
    rate1, rate2, rate3 = 1.0 / load(theta, TAU_S1), 1.0 / load(theta, TAU_S2), 1.0 / load(theta, TAU_S3)
    t12, t13 = rate2 * load(theta, FS2S1), rate3 * load(theta, FS3S1)
    t21, t31, t32 = rate1 * load(theta, FS1S2), rate1 * load(theta, FS1S3), rate2 * load(theta, FS2S3)
    respired1, respired2, respired3 = rate1 - t21 - t31, rate2 - t12 - t32, rate3 - t13
    zero = rate1 * 0.0
    b12, b13, b21, b23, b31, b32 = zero, zero, zero, zero, zero, zero
    lost_above1, lost_above2, lost_above3 = zero, zero, zero
    down1, down2, down3, exchange_above = zero, zero, zero, zero
    for j in range(n):
        decay, exchange = load(w, DECAY * n + j), load(w, EXCHANGE * n + j)
        a12, a13, a21 = decay * t12 + b12, decay * t13 + b13, decay * t21 + b21
        a23, a31, a32 = b23, decay * t31 + b31, decay * t32 + b32
        lost1, lost2 = decay * respired1 + lost_above1, decay * respired2 + lost_above2
        lost3 = decay * respired3 + lost_above3
        # The inverse of the block, cofactor by cofactor (`steady_state.m_matrix_inverse`), brought near 1 by a power of
        # two: far down, where decomposition all but stops, products of three rates would vanish.
        unit = inverse_power(decay * rate1 + exchange + exchange_above)
        a12, a13, a21, a23, a31, a32 = a12 * unit, a13 * unit, a21 * unit, a23 * unit, a31 * unit, a32 * unit
        r1, r2, r3 = (lost1 + exchange) * unit, (lost2 + exchange) * unit, (lost3 + exchange) * unit
        d1, d2, d3 = r1 + a21 + a31, r2 + a12 + a32, r3 + a13 + a23
        c11 = (r2 + a12) * d3 + a32 * (r3 + a13)
        c22 = (r1 + a21) * d3 + a31 * (r3 + a23)
        c33 = (r1 + a31) * d2 + a21 * (r2 + a32)
        c12, c13 = a12 * d3 + a13 * a32, a12 * a23 + a13 * d2
        c21, c23 = a21 * d3 + a23 * a31, a23 * d1 + a21 * a13
        c31, c32 = a31 * d2 + a32 * a21, a32 * d1 + a31 * a12
        scale = unit / (r1 * c11 + r2 * c21 + r3 * c31)
        p11, p12, p13 = c11 * scale, c12 * scale, c13 * scale
        p21, p22, p23 = c21 * scale, c22 * scale, c23 * scale
        p31, p32, p33 = c31 * scale, c32 * scale, c33 * scale
        s1, s2, s3 = load(w, SUPPLY1 * n + j) + down1, load(w, SUPPLY2 * n + j) + down2, down3
        held1 = p11 * s1 + p12 * s2 + p13 * s3
        held2 = p21 * s1 + p22 * s2 + p23 * s3
        held3 = p31 * s1 + p32 * s2 + p33 * s3
        down1, down2, down3 = exchange * held1, exchange * held2, exchange * held3
        exchange_above = exchange
        twice = exchange * exchange
        b12, b13, b21, b23, b31, b32 = twice * p12, twice * p13, twice * p21, twice * p23, twice * p31, twice * p32
        lost_above1 = exchange * (p11 * lost1 + p21 * lost2 + p31 * lost3)
        lost_above2 = exchange * (p12 * lost1 + p22 * lost2 + p32 * lost3)
        lost_above3 = exchange * (p13 * lost1 + p23 * lost2 + p33 * lost3)
        store(w, SUPPLY1 * n + j, held1)
        store(w, SUPPLY2 * n + j, held2)
        store(w, SUPPLY3 * n + j, held3)
        row = INVERSE * n + 9 * j
        store(w, row, p11), store(w, row + 1, p12), store(w, row + 2, p13)
        store(w, row + 3, p21), store(w, row + 4, p22), store(w, row + 5, p23)
        store(w, row + 6, p31), store(w, row + 7, p32), store(w, row + 8, p33)
    s1, s2, s3 = zero, zero, zero
    for j in range(n - 1, -1, -1):
        exchange = load(w, EXCHANGE * n + j)
        up1, up2, up3 = exchange * s1, exchange * s2, exchange * s3
        row = INVERSE * n + 9 * j
        s1 = load(w, SUPPLY1 * n + j) + load(w, row) * up1 + load(w, row + 1) * up2 + load(w, row + 2) * up3
        s2 = load(w, SUPPLY2 * n + j) + load(w, row + 3) * up1 + load(w, row + 4) * up2 + load(w, row + 5) * up3
        s3 = load(w, SUPPLY3 * n + j) + load(w, row + 6) * up1 + load(w, row + 7) * up2 + load(w, row + 8) * up3
        store(w, SOC * n + j, s1 + s2 + s3)


@nb.njit(error_model="numpy")
def steady_lanes(theta, place, grid, n, w):
    """Put the SOC of `LANES` columns at steady state, g C m-3, into the first n rows of `w`.

    Parameters
    ----------
    theta : (25 * LANES,)
        Physical parameters, a row of lanes each.
    place : ((5 * n + 2) * LANES,)
        One block of `lane_places`.
    grid : (4 * n,)
        From `lane_grid`.
    n : int
        Number of layers.
    w : (18 * n * LANES,)
        From `lane_work`; every thread needs its own.
    """
    fill_drivers(theta, place, grid, n, w)
    fill_litter(theta, n, w)
    fill_soc(theta, n, w)


def lane_work(column: Column = PAPER_COLUMN) -> NDArray[np.float64]:
    """A work array for `steady_lanes`."""
    return np.zeros((INVERSE + 9) * column.n_layers * LANES)


def lane_grid(column: Column = PAPER_COLUMN) -> NDArray[np.float64]:
    """The column as `steady_lanes` reads it: node (m), thickness/365 (m yr day-1), bounds of the input (cm)."""
    top, bottom = (100.0 * np.minimum(z, MAX_INPUT_DEPTH) for z in (column.top, column.bottom))
    return np.concatenate([column.node, column.thickness / DAYS_PER_YEAR, top, bottom])


def in_lanes(rows: NDArray) -> NDArray[np.float64]:
    """Columns side by side in blocks, (n_blocks, n_rows * LANES), the last block filled up with its last column."""
    n_rows, n = rows.shape
    n_blocks = -(-n // LANES)
    filled = np.pad(rows, ((0, 0), (0, n_blocks * LANES - n)), mode="edge")
    return np.ascontiguousarray(filled.reshape(n_rows, n_blocks, LANES).swapaxes(0, 1)).reshape(n_blocks, -1)


def lane_places(forcing: Forcing, column: Column = PAPER_COLUMN) -> NDArray[np.float64]:
    """What the forcing contributes to `steady_lanes`, (5 * n_layers + 2, n)."""
    closed = np.zeros((1, forcing.n_columns))
    # Saturated soil (zero potential) is never limited: any finite dryness will do.
    dryness = np.log(MIN_WATER_POTENTIAL / np.minimum(forcing.water_potential, -1e-12))
    by_animals, by_frost = unit_exchange(forcing.active_layer, column)
    return np.concatenate([
        (forcing.soil_temperature - REFERENCE_TEMPERATURE) / 10.0,
        dryness,
        forcing.water_potential,
        by_animals, closed,
        by_frost, closed,
        [forcing.npp_mean / DAYS_PER_YEAR],
        [np.asarray(forcing.active_layer) <= 0.0],
    ])  # fmt: skip


@kept_compiled
def _fill_soc_blocks(theta, place, grid, n, w, soc):
    for block in range(theta.shape[0]):
        steady_lanes(theta[block], place[block], grid, n, w)
        soc[block, :] = w[: n * LANES]


def soc_density(theta: NDArray, forcing: Forcing, column: Column = PAPER_COLUMN) -> NDArray[np.float64]:
    """Soil organic carbon at steady state, (n_layers, n), g C m-3: `steady_state.soc_density`, compiled.

    `theta` holds the physical parameters, (25, n), `forcing` the same n columns.
    """
    theta = np.asarray(theta, dtype=np.float64)
    blocks, places = in_lanes(theta), in_lanes(lane_places(forcing, column))
    soc = np.empty((blocks.shape[0], column.n_layers * LANES))
    _fill_soc_blocks(blocks, places, lane_grid(column), column.n_layers, lane_work(column), soc)
    by_layer = soc.reshape(-1, column.n_layers, LANES).swapaxes(0, 1)
    return by_layer.reshape(column.n_layers, -1)[:, : theta.shape[1]]
