"""The steady state of `proda.model.solver` compiled, sixteen columns at a time; read that first.

Every number is a `SimdBlock`. Layers that are needed again on the way up are kept in the rows of a work array; its
precision, and that of the places, is that of the solution: 64 bits, or 32 in chains, where twice as many numbers fit
into a register and no posterior notices the difference (docs/performance.md).
"""

import numpy as np
from numpy.typing import DTypeLike, NDArray

from proda.compiled import inlined, kept_compiled
from proda.errors import InputError
from proda.kernels.simd import (
    BLOCK_WIDTH,
    exp_and_expm1,
    inverse_power,
    like,
    load,
    simd_exp,
    simd_log,
    store,
    where_less,
)
from proda.model import parameters, rates
from proda.model.configuration import DAYS_PER_YEAR, PAPER, Configuration
from proda.model.forcing import AnyForcing, Forcing

# The work array: groups of n_layers rows, the result first. Then the inverses, nine rows a layer, and four amounts.
SOC, DECAY, LITTER_DECAY, DOWNWARD, UPWARD, INPUT = range(6)
PIVOT_L1, PIVOT_L2L3, SUPPLY1, SUPPLY2, SUPPLY3, INVERSE = range(6, 12)
AMOUNT = INVERSE + 9
# A place: groups of n_layers rows, then single rows. With annual forcing the single rows are NPP and whether all carbon
# enters the top layer; with monthly forcing four amounts of carbon stand in place of NPP, and four groups of
# months x n_layers rows follow.
BIOTURBATION, CRYOTURBATION, WARMTH, DRYNESS, POTENTIAL = range(5)
BIOTURBATION_UP, CRYOTURBATION_UP, REST_DOWN, REST_UP = range(2, 6)
MONTHLY_WARMTH, WETNESS, OXYGEN, NITROGEN = range(4)


def block_work(configuration: Configuration = PAPER, dtype: DTypeLike = np.float64) -> NDArray[np.floating]:
    """A work array for `steady_block`."""
    return np.zeros((AMOUNT * configuration.column.n_layers + 4) * BLOCK_WIDTH, dtype)


def block_grid(configuration: Configuration = PAPER) -> NDArray[np.float64]:
    """Node (m), thickness/365 (m yr day-1) and bounds of the input (cm) of every layer, (4 n_layers,)."""
    column = configuration.column
    return np.concatenate([column.node, column.thickness / DAYS_PER_YEAR, *rates.input_bounds(configuration)])


def to_blocks(rows: NDArray) -> NDArray[np.float64]:
    """Rows (n_rows, n) in blocks, (n_blocks, n_rows * BLOCK_WIDTH), the last one filled up with the last column."""
    n_rows, n = rows.shape
    n_blocks = -(-n // BLOCK_WIDTH)
    filled = np.pad(rows, ((0, 0), (0, n_blocks * BLOCK_WIDTH - n)), mode="edge")
    return np.ascontiguousarray(filled.reshape(n_rows, n_blocks, BLOCK_WIDTH).swapaxes(0, 1)).reshape(n_blocks, -1)


def block_places(forcing: AnyForcing, configuration: Configuration = PAPER) -> NDArray[np.float64]:
    """What the forcing contributes to `steady_block`, (rows, n)."""
    bio, cryo, rest = rates.unit_exchange(forcing, configuration)
    warmth = (forcing.soil_temperature - rates.REFERENCE_TEMPERATURE) / 10.0
    only_top = [rates.never_thaws(forcing, configuration)]
    if isinstance(forcing, Forcing):
        # Saturated soil (zero potential) is never limited: any finite dryness will do.
        dryness = np.log(rates.MIN_WATER_POTENTIAL / np.minimum(forcing.water_potential, -1e-12))
        npp = [forcing.npp_mean / DAYS_PER_YEAR]
        return np.concatenate([bio.downward, cryo.downward, warmth, dryness, forcing.water_potential, npp, only_top])
    rest = (np.broadcast_to(values, bio.downward.shape) for values in rest)
    amounts = rates.input_amounts(None, forcing, configuration)
    monthly = [warmth, forcing.water_scalar, forcing.oxygen_scalar, forcing.nitrogen_scalar]
    return np.concatenate(
        [bio.downward, cryo.downward, bio.upward, cryo.upward, *rest, amounts, only_top]
        + [values.reshape(-1, forcing.n_columns) for values in monthly]
    )


@inlined
def parameter(theta, k, w):
    """Row k of the parameters in the precision of `w`."""
    return like(w, load(theta, k))


@inlined
def fill_annual_drivers(theta, place, grid, n, w):
    """Decay and exchange of every layer, and the carbon input, into `w`: the `paper` configuration."""
    log_q10 = like(w, simd_log(load(theta, parameters.Q10)))
    per_efolding, maxpsi = like(w, 1.0 / load(theta, parameters.EFOLDING)), load(theta, parameters.MAXPSI)
    dryness = simd_log(rates.MIN_WATER_POTENTIAL / where_less(maxpsi, -1e-300, maxpsi, -1e-300))
    per_dryness, maxpsi = like(w, 1.0 / dryness), like(w, maxpsi)
    diffus, cryo = parameter(theta, parameters.DIFFUS, w), parameter(theta, parameters.CRYO, w)
    for j in range(n):
        node, thickness = grid[j], grid[n + j]
        limited = load(place, DRYNESS * n + j) * per_dryness
        limited = where_less(limited, rates.MIN_WATER_SCALAR, rates.MIN_WATER_SCALAR, limited)
        water = where_less(load(place, POTENTIAL * n + j), maxpsi, limited, 1.0)
        depth = node * per_efolding
        depth = where_less(-rates.SLOWEST_LOG, depth, -rates.SLOWEST_LOG, depth)
        warmth_and_depth = simd_exp(log_q10 * load(place, WARMTH * n + j) - depth)
        store(w, DECAY * n + j, thickness * water * warmth_and_depth)
        store(
            w, DOWNWARD * n + j, diffus * load(place, BIOTURBATION * n + j) + cryo * load(place, CRYOTURBATION * n + j)
        )
    fill_input_profile(theta, load(place, 5 * n + 1), grid, n, w)
    total = load(theta, parameters.INS) * like(theta, load(place, 5 * n))
    lignin, metabolic = load(theta, parameters.P4LL), load(theta, parameters.P4ML)
    cellulose = load(theta, parameters.P4CL)
    store(w, AMOUNT * n, (1.0 - lignin - metabolic - cellulose) * total)
    store(w, AMOUNT * n + 1, metabolic * total)
    store(w, AMOUNT * n + 2, cellulose * total)
    store(w, AMOUNT * n + 3, lignin * total)


@inlined
def fill_monthly_drivers(theta, place, grid, n, months, w):
    """Decay and exchange of every layer, and the carbon input, into `w`: the `cesm2` configuration."""
    log_q10 = like(w, simd_log(load(theta, parameters.Q10)))
    per_efolding = like(w, 1.0 / load(theta, parameters.EFOLDING))
    w_scaling = parameter(theta, parameters.W_SCALING, w)
    diffus, cryo = parameter(theta, parameters.DIFFUS, w), parameter(theta, parameters.CRYO, w)
    amount = 6 * n
    by_month, group = amount + 5, n * months
    slowest = simd_exp(log_q10 * 0.0 + np.log(rates.SLOWEST))  # or as slow as 32 bits can hold
    for j in range(n):
        node, thickness = grid[j], grid[n + j]
        soil, litter = log_q10 * 0.0, log_q10 * 0.0
        for month in range(months):
            row = by_month + j * months + month
            water = w_scaling * load(place, row + WETNESS * group)
            water = where_less(water, 1.0, water, 1.0)
            warmth = simd_exp(log_q10 * load(place, row + MONTHLY_WARMTH * group))
            scalar = warmth * water * load(place, row + OXYGEN * group)
            soil = soil + scalar
            litter = litter + scalar * load(place, row + NITROGEN * group)
        depth = node * per_efolding
        depth = simd_exp(where_less(-rates.SLOWEST_LOG, depth, rates.SLOWEST_LOG, depth * -1.0)) * (1.0 / months)
        soil, litter = soil * depth, litter * depth
        store(w, DECAY * n + j, where_less(soil, slowest, slowest, soil) * thickness)
        store(w, LITTER_DECAY * n + j, where_less(litter, slowest, slowest, litter) * thickness)
        bioturbation, cryoturbation = load(place, BIOTURBATION * n + j), load(place, CRYOTURBATION * n + j)
        store(w, DOWNWARD * n + j, diffus * bioturbation + cryo * cryoturbation + load(place, REST_DOWN * n + j))
        bioturbation, cryoturbation = load(place, BIOTURBATION_UP * n + j), load(place, CRYOTURBATION_UP * n + j)
        store(w, UPWARD * n + j, diffus * bioturbation + cryo * cryoturbation + load(place, REST_UP * n + j))
    fill_input_profile(theta, load(place, amount + 4), grid, n, w)
    for kind in range(4):
        store(w, AMOUNT * n + kind, load(place, amount + kind))


@inlined
def fill_input_profile(theta, only_top, grid, n, w):
    """Share of the carbon input that enters every layer, into `w`; where `only_top` is 1 all enters the top layer."""
    log_beta = like(w, simd_log(load(theta, parameters.BETA)))
    remaining = log_beta * 0.0 + 1.0
    entering = log_beta * 0.0
    above = 0.0
    for j in range(n):
        top, bottom = grid[2 * n + j], grid[3 * n + j]
        if top != above:  # on the grid as the original tabulates it layers do not quite touch
            remaining = simd_exp(top * log_beta)
        above = bottom
        # Not the difference of two powers of beta, which near 1 is left with few digits.
        passed_on, less_one = exp_and_expm1((bottom - top) * log_beta)
        share = remaining * less_one * -1.0
        entering = entering + share
        store(w, INPUT * n + j, share)
        remaining = remaining * passed_on
    spread = (1.0 - only_top) / entering
    for j in range(n):
        share = load(w, INPUT * n + j) * spread
        store(w, INPUT * n + j, share + only_top if j == 0 else share)


@inlined
def fill_litter(theta, n, months, w):
    """Input of the fast and the slow soil pool from litter in every layer, into `w`."""
    # With annual forcing litter decays as soil does, and what is mixed down is mixed up.
    litter, upwards = (LITTER_DECAY, UPWARD) if months else (DECAY, DOWNWARD)
    rate_l1, rate_l23 = 1.0 / parameter(theta, parameters.TAU_L1, w), 1.0 / parameter(theta, parameters.TAU_L2L3, w)
    woody, to_cellulose = load(w, AMOUNT * n), parameter(theta, parameters.FCWDL2, w)
    metabolic = load(w, AMOUNT * n + 1)
    cellulose = load(w, AMOUNT * n + 2) + to_cellulose * woody
    lignin = load(w, AMOUNT * n + 3) + (1.0 - to_cellulose) * woody
    nothing = rate_l1 * 0.0
    loss_above_l1, loss_above_l23 = nothing, nothing
    down_l1, down_l2, down_l3 = nothing, nothing, nothing
    for j in range(n):
        decay, fresh = load(w, litter * n + j), load(w, INPUT * n + j)
        downward, upward = load(w, DOWNWARD * n + j), load(w, upwards * n + j)
        loss_l1, loss_l23 = decay * rate_l1 + loss_above_l1, decay * rate_l23 + loss_above_l23
        pivot_l1, pivot_l23 = loss_l1 + downward, loss_l23 + downward
        per_l1, per_l23 = 1.0 / pivot_l1, 1.0 / pivot_l23
        l1, l2, l3 = fresh * metabolic + down_l1, fresh * cellulose + down_l2, fresh * lignin + down_l3
        passed_l1, passed_l23 = upward * per_l1, upward * per_l23
        loss_above_l1, loss_above_l23 = passed_l1 * loss_l1, passed_l23 * loss_l23
        down_l1, down_l2, down_l3 = passed_l1 * l1, passed_l23 * l2, passed_l23 * l3
        store(w, PIVOT_L1 * n + j, per_l1)
        store(w, PIVOT_L2L3 * n + j, per_l23)
        store(w, SUPPLY1 * n + j, l1)
        store(w, SUPPLY2 * n + j, l2)
        store(w, SUPPLY3 * n + j, l3)
    l1_to_s1, l2_to_s1 = (
        rate_l1 * parameter(theta, parameters.FL1S1, w),
        rate_l23 * parameter(theta, parameters.FL2S1, w),
    )
    l3_to_s2 = rate_l23 * parameter(theta, parameters.FL3S2, w)
    l1, l2, l3 = nothing, nothing, nothing
    for j in range(n - 1, -1, -1):
        decay, downward = load(w, litter * n + j), load(w, DOWNWARD * n + j)
        per_l1, per_l23 = load(w, PIVOT_L1 * n + j), load(w, PIVOT_L2L3 * n + j)
        l1 = (load(w, SUPPLY1 * n + j) + downward * l1) * per_l1
        l2 = (load(w, SUPPLY2 * n + j) + downward * l2) * per_l23
        l3 = (load(w, SUPPLY3 * n + j) + downward * l3) * per_l23
        store(w, SUPPLY1 * n + j, decay * (l1_to_s1 * l1 + l2_to_s1 * l2))
        store(w, SUPPLY2 * n + j, decay * l3_to_s2 * l3)


@inlined
def m_matrix_inverse(a12, a13, a21, a23, a31, a32, r1, r2, r3, size):
    """Rows of the inverse of a block with off-diagonal elements -a and column sums r (`solver.m_matrix_inverse`).

    Cofactor by cofactor, brought near 1 by a power of two of about `size`: far down, where decomposition is extremely
    slow, products of three rates would vanish.
    """
    unit = inverse_power(size)
    a12, a13, a21, a23, a31, a32 = a12 * unit, a13 * unit, a21 * unit, a23 * unit, a31 * unit, a32 * unit
    r1, r2, r3 = r1 * unit, r2 * unit, r3 * unit
    d1, d2, d3 = r1 + a21 + a31, r2 + a12 + a32, r3 + a13 + a23
    c11 = (r2 + a12) * d3 + a32 * (r3 + a13)
    c22 = (r1 + a21) * d3 + a31 * (r3 + a23)
    c33 = (r1 + a31) * d2 + a21 * (r2 + a32)
    c12, c13 = a12 * d3 + a13 * a32, a12 * a23 + a13 * d2
    c21, c23 = a21 * d3 + a23 * a31, a23 * d1 + a21 * a13
    c31, c32 = a31 * d2 + a32 * a21, a32 * d1 + a31 * a12
    scale = unit / (r1 * c11 + r2 * c21 + r3 * c31)
    return (
        (c11 * scale, c12 * scale, c13 * scale),
        (c21 * scale, c22 * scale, c23 * scale),
        (c31 * scale, c32 * scale, c33 * scale),
    )


@inlined
def fill_soc(theta, n, months, w):
    """Soil organic carbon of every layer, g C m-3, into the first rows of `w`."""
    upwards = UPWARD if months else DOWNWARD
    rate1, rate2, rate3 = (
        1.0 / parameter(theta, parameters.TAU_S1, w),
        1.0 / parameter(theta, parameters.TAU_S2, w),
        1.0 / parameter(theta, parameters.TAU_S3, w),
    )
    t12, t13 = rate2 * parameter(theta, parameters.FS2S1, w), rate3 * parameter(theta, parameters.FS3S1, w)
    t21, t31, t32 = (
        rate1 * parameter(theta, parameters.FS1S2, w),
        rate1 * parameter(theta, parameters.FS1S3, w),
        rate2 * parameter(theta, parameters.FS2S3, w),
    )
    respired1, respired2, respired3 = rate1 - t21 - t31, rate2 - t12 - t32, rate3 - t13
    zero = rate1 * 0.0
    b12, b13, b21, b23, b31, b32 = zero, zero, zero, zero, zero, zero
    lost_above1, lost_above2, lost_above3 = zero, zero, zero
    down1, down2, down3, upward_above = zero, zero, zero, zero
    for j in range(n):
        decay = load(w, DECAY * n + j)
        downward, upward = load(w, DOWNWARD * n + j), load(w, upwards * n + j)
        a12, a13, a21 = decay * t12 + b12, decay * t13 + b13, decay * t21 + b21
        a23, a31, a32 = b23, decay * t31 + b31, decay * t32 + b32
        lost1, lost2 = decay * respired1 + lost_above1, decay * respired2 + lost_above2
        lost3 = decay * respired3 + lost_above3
        r1, r2, r3 = lost1 + downward, lost2 + downward, lost3 + downward
        (p11, p12, p13), (p21, p22, p23), (p31, p32, p33) = m_matrix_inverse(
            a12, a13, a21, a23, a31, a32, r1, r2, r3, decay * rate1 + downward + upward_above
        )
        s1, s2, s3 = load(w, SUPPLY1 * n + j) + down1, load(w, SUPPLY2 * n + j) + down2, down3
        held1 = p11 * s1 + p12 * s2 + p13 * s3
        held2 = p21 * s1 + p22 * s2 + p23 * s3
        held3 = p31 * s1 + p32 * s2 + p33 * s3
        down1, down2, down3 = upward * held1, upward * held2, upward * held3
        upward_above = upward
        twice = upward * downward
        b12, b13, b21, b23, b31, b32 = twice * p12, twice * p13, twice * p21, twice * p23, twice * p31, twice * p32
        lost_above1 = upward * (p11 * lost1 + p21 * lost2 + p31 * lost3)
        lost_above2 = upward * (p12 * lost1 + p22 * lost2 + p32 * lost3)
        lost_above3 = upward * (p13 * lost1 + p23 * lost2 + p33 * lost3)
        store(w, SUPPLY1 * n + j, held1)
        store(w, SUPPLY2 * n + j, held2)
        store(w, SUPPLY3 * n + j, held3)
        row = INVERSE * n + 9 * j
        store(w, row, p11), store(w, row + 1, p12), store(w, row + 2, p13)
        store(w, row + 3, p21), store(w, row + 4, p22), store(w, row + 5, p23)
        store(w, row + 6, p31), store(w, row + 7, p32), store(w, row + 8, p33)
    s1, s2, s3 = zero, zero, zero
    for j in range(n - 1, -1, -1):
        downward = load(w, DOWNWARD * n + j)
        up1, up2, up3 = downward * s1, downward * s2, downward * s3
        row = INVERSE * n + 9 * j
        s1 = load(w, SUPPLY1 * n + j) + load(w, row) * up1 + load(w, row + 1) * up2 + load(w, row + 2) * up3
        s2 = load(w, SUPPLY2 * n + j) + load(w, row + 3) * up1 + load(w, row + 4) * up2 + load(w, row + 5) * up3
        s3 = load(w, SUPPLY3 * n + j) + load(w, row + 6) * up1 + load(w, row + 7) * up2 + load(w, row + 8) * up3
        store(w, SOC * n + j, s1 + s2 + s3)


@inlined
def steady_block(theta, place, grid, n, months, w):
    """Put the SOC of `BLOCK_WIDTH` columns at steady state, g C m-3, into the first n rows of `w`, from `block_work`.

    `theta` has a row for each physical parameter, `place` is one block of `block_places`; 0 `months` is annual forcing.
    """
    if months:
        fill_monthly_drivers(theta, place, grid, n, months, w)
    else:
        fill_annual_drivers(theta, place, grid, n, w)
    fill_litter(theta, n, months, w)
    fill_soc(theta, n, months, w)


@kept_compiled
def _fill_soc_blocks(theta, place, grid, n, months, w, soc):
    for block in range(theta.shape[0]):
        steady_block(theta[block], place[block], grid, n, months, w)
        soc[block, :] = w[: n * BLOCK_WIDTH]


def soc_density(
    theta: NDArray, forcing: AnyForcing, configuration: Configuration = PAPER, places: NDArray | None = None
) -> NDArray[np.float64]:
    """Soil organic carbon at steady state, (..., n_layers, n), g C m-3, compiled, for theta (..., n_parameters, n).

    `places`, for many calls with one forcing, are the blocks of `block_places`, which take longer than the rest. Raises
    an InputError for another shape or forcing. Values are not checked (`checked_parameters`, `validated`).
    """
    theta = np.asarray(theta, dtype=np.float64)
    expected = (len(configuration.parameters), forcing.n_columns)
    if theta.shape[-2:] != expected or not isinstance(forcing, configuration.forcing):
        raise InputError(
            f"theta has shape {theta.shape}, the forcing is a {type(forcing).__name__} of {expected[1]} columns; the "
            f"{configuration.name!r} configuration takes {expected} and a {configuration.forcing.__name__}."
        )
    n, months = configuration.column.n_layers, forcing.n_months if configuration.monthly else 0
    places = to_blocks(block_places(forcing, configuration)) if places is None else places
    grid = block_grid(configuration)
    work, soc = block_work(configuration), np.empty((places.shape[0], n * BLOCK_WIDTH))
    result = np.empty((*theta.shape[:-2], n, theta.shape[-1]))
    for index in np.ndindex(theta.shape[:-2]):
        _fill_soc_blocks(to_blocks(theta[index]), places, grid, n, months, work, soc)
        by_layer = soc.reshape(-1, n, BLOCK_WIDTH).swapaxes(0, 1)
        result[index] = by_layer.reshape(n, -1)[:, : theta.shape[-1]]
    return result
