"""Soil carbon in time compiled, eight columns at a time: the steps of `proda.model.transient`; read that first.

The two implicit solves of a step have one matrix, which is eliminated once, as in `proda.kernels.steady_state`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.compiled import inlined, kept_compiled
from proda.errors import InputError
from proda.kernels.simd import BLOCK_WIDTH, load, store
from proda.kernels.steady_state import (
    AMOUNT,
    DECAY,
    DOWNWARD,
    INPUT,
    LITTER_DECAY,
    UPWARD,
    block_grid,
    block_places,
    block_work,
    fill_annual_drivers,
    fill_monthly_drivers,
    m_matrix_inverse,
    to_blocks,
)
from proda.model import parameters
from proda.model.configuration import DAYS_PER_YEAR, PAPER, Configuration
from proda.model.forcing import AnyForcing

# The eliminated matrix: groups of n_layers rows, the inverses last, nine rows a layer.
PER_CWD, PER_L1, PER_L23, INVERSE = range(4)
N_FACTORS = INVERSE + 9
_GAMMA = 1.0 - 0.5**0.5


@inlined
def fill_factors(theta, n, months, grid, per_day, w, f):
    """Eliminate V - A K + s with s of `per_day`, day-1, into `f`, from the drivers in `w`."""
    litter, upwards = (LITTER_DECAY, UPWARD) if months else (DECAY, DOWNWARD)
    rate_cwd = 1.0 / load(theta, parameters.TAU_CWD)
    rate_l1, rate_l23 = 1.0 / load(theta, parameters.TAU_L1), 1.0 / load(theta, parameters.TAU_L2L3)
    rate1, rate2 = 1.0 / load(theta, parameters.TAU_S1), 1.0 / load(theta, parameters.TAU_S2)
    rate3 = 1.0 / load(theta, parameters.TAU_S3)
    t12, t13 = rate2 * load(theta, parameters.FS2S1), rate3 * load(theta, parameters.FS3S1)
    t21, t31 = rate1 * load(theta, parameters.FS1S2), rate1 * load(theta, parameters.FS1S3)
    t32 = rate2 * load(theta, parameters.FS2S3)
    respired1, respired2, respired3 = rate1 - t21 - t31, rate2 - t12 - t32, rate3 - t13
    zero = rate1 * 0.0
    above_l1, above_l23, upward_above = zero, zero, zero
    b12, b13, b21, b23, b31, b32 = zero, zero, zero, zero, zero, zero
    above1, above2, above3 = zero, zero, zero
    for j in range(n):
        decay, of_litter = load(w, DECAY * n + j), load(w, litter * n + j)
        downward, upward = load(w, DOWNWARD * n + j), load(w, upwards * n + j)
        held = DAYS_PER_YEAR * grid[n + j] * per_day
        store(f, PER_CWD * n + j, 1.0 / (decay * rate_cwd + held))
        loss_l1, loss_l23 = of_litter * rate_l1 + held + above_l1, of_litter * rate_l23 + held + above_l23
        per_l1, per_l23 = 1.0 / (loss_l1 + downward), 1.0 / (loss_l23 + downward)
        above_l1, above_l23 = upward * per_l1 * loss_l1, upward * per_l23 * loss_l23
        store(f, PER_L1 * n + j, per_l1)
        store(f, PER_L23 * n + j, per_l23)
        a12, a13, a21 = decay * t12 + b12, decay * t13 + b13, decay * t21 + b21
        a23, a31, a32 = b23, decay * t31 + b31, decay * t32 + b32
        lost1, lost2 = decay * respired1 + held + above1, decay * respired2 + held + above2
        lost3 = decay * respired3 + held + above3
        r1, r2, r3 = lost1 + downward, lost2 + downward, lost3 + downward
        (p11, p12, p13), (p21, p22, p23), (p31, p32, p33) = m_matrix_inverse(
            a12, a13, a21, a23, a31, a32, r1, r2, r3, decay * rate1 + held + downward + upward_above
        )
        upward_above = upward
        twice = upward * downward
        b12, b13, b21, b23, b31, b32 = twice * p12, twice * p13, twice * p21, twice * p23, twice * p31, twice * p32
        above1 = upward * (p11 * lost1 + p21 * lost2 + p31 * lost3)
        above2 = upward * (p12 * lost1 + p22 * lost2 + p32 * lost3)
        above3 = upward * (p13 * lost1 + p23 * lost2 + p33 * lost3)
        row = INVERSE * n + 9 * j
        store(f, row, p11), store(f, row + 1, p12), store(f, row + 2, p13)
        store(f, row + 3, p21), store(f, row + 4, p22), store(f, row + 5, p23)
        store(f, row + 6, p31), store(f, row + 7, p32), store(f, row + 8, p33)


@inlined
def fill_pools(theta, n, months, grid, per_day, w, f, held, pools):
    """Pools C of (V - A K + s) C = u + s `held`, each (7 n rows), g C m-3, into `pools`."""
    litter, upwards = (LITTER_DECAY, UPWARD) if months else (DECAY, DOWNWARD)
    rate_cwd, to_cellulose = 1.0 / load(theta, parameters.TAU_CWD), load(theta, parameters.FCWDL2)
    rate_l1, rate_l23 = 1.0 / load(theta, parameters.TAU_L1), 1.0 / load(theta, parameters.TAU_L2L3)
    woody, metabolic = load(w, AMOUNT * n), load(w, AMOUNT * n + 1)
    cellulose, lignin = load(w, AMOUNT * n + 2), load(w, AMOUNT * n + 3)
    zero = rate_l1 * 0.0
    down1, down2, down3 = zero, zero, zero
    for j in range(n):
        fresh, kept = load(w, INPUT * n + j), DAYS_PER_YEAR * grid[n + j] * per_day
        cwd = (fresh * woody + kept * load(held, j)) * load(f, PER_CWD * n + j)
        store(pools, j, cwd)
        passed = load(w, DECAY * n + j) * rate_cwd * cwd
        upward = load(w, upwards * n + j)
        source1 = fresh * metabolic + kept * load(held, n + j) + down1
        source2 = fresh * cellulose + to_cellulose * passed + kept * load(held, 2 * n + j) + down2
        source3 = fresh * lignin + (1.0 - to_cellulose) * passed + kept * load(held, 3 * n + j) + down3
        down1 = upward * load(f, PER_L1 * n + j) * source1
        per_l23 = upward * load(f, PER_L23 * n + j)
        down2, down3 = per_l23 * source2, per_l23 * source3
        store(pools, n + j, source1), store(pools, 2 * n + j, source2), store(pools, 3 * n + j, source3)
    below1, below2, below3 = zero, zero, zero
    for j in range(n - 1, -1, -1):
        downward, per_l23 = load(w, DOWNWARD * n + j), load(f, PER_L23 * n + j)
        below1 = (load(pools, n + j) + downward * below1) * load(f, PER_L1 * n + j)
        below2 = (load(pools, 2 * n + j) + downward * below2) * per_l23
        below3 = (load(pools, 3 * n + j) + downward * below3) * per_l23
        store(pools, n + j, below1), store(pools, 2 * n + j, below2), store(pools, 3 * n + j, below3)
    l1_to_s1, l2_to_s1 = rate_l1 * load(theta, parameters.FL1S1), rate_l23 * load(theta, parameters.FL2S1)
    l3_to_s2 = rate_l23 * load(theta, parameters.FL3S2)
    down1, down2, down3 = zero, zero, zero
    for j in range(n):
        of_litter, kept = load(w, litter * n + j), DAYS_PER_YEAR * grid[n + j] * per_day
        fast = of_litter * (l1_to_s1 * load(pools, n + j) + l2_to_s1 * load(pools, 2 * n + j))
        slow = of_litter * l3_to_s2 * load(pools, 3 * n + j)
        s1 = fast + kept * load(held, 4 * n + j) + down1
        s2, s3 = slow + kept * load(held, 5 * n + j) + down2, kept * load(held, 6 * n + j) + down3
        row, upward = INVERSE * n + 9 * j, load(w, upwards * n + j)
        held1 = load(f, row) * s1 + load(f, row + 1) * s2 + load(f, row + 2) * s3
        held2 = load(f, row + 3) * s1 + load(f, row + 4) * s2 + load(f, row + 5) * s3
        held3 = load(f, row + 6) * s1 + load(f, row + 7) * s2 + load(f, row + 8) * s3
        down1, down2, down3 = upward * held1, upward * held2, upward * held3
        store(pools, 4 * n + j, held1), store(pools, 5 * n + j, held2), store(pools, 6 * n + j, held3)
    s1, s2, s3 = zero, zero, zero
    for j in range(n - 1, -1, -1):
        downward, row = load(w, DOWNWARD * n + j), INVERSE * n + 9 * j
        up1, up2, up3 = downward * s1, downward * s2, downward * s3
        s1 = load(pools, 4 * n + j) + load(f, row) * up1 + load(f, row + 1) * up2 + load(f, row + 2) * up3
        s2 = load(pools, 5 * n + j) + load(f, row + 3) * up1 + load(f, row + 4) * up2 + load(f, row + 5) * up3
        s3 = load(pools, 6 * n + j) + load(f, row + 6) * up1 + load(f, row + 7) * up2 + load(f, row + 8) * up3
        store(pools, 4 * n + j, s1), store(pools, 5 * n + j, s2), store(pools, 6 * n + j, s3)


@inlined
def respiration_of(theta, n, months, w, pools):
    """CO2 of the pools, g C m-2 day-1: what is not transferred of all that decays."""
    litter = LITTER_DECAY if months else DECAY
    rate_l1, rate_l23 = 1.0 / load(theta, parameters.TAU_L1), 1.0 / load(theta, parameters.TAU_L2L3)
    of_l1, of_l2 = (1.0 - load(theta, parameters.FL1S1)) * rate_l1, (1.0 - load(theta, parameters.FL2S1)) * rate_l23
    of_l3 = (1.0 - load(theta, parameters.FL3S2)) * rate_l23
    of_s1 = (1.0 - load(theta, parameters.FS1S2) - load(theta, parameters.FS1S3)) / load(theta, parameters.TAU_S1)
    of_s2 = (1.0 - load(theta, parameters.FS2S1) - load(theta, parameters.FS2S3)) / load(theta, parameters.TAU_S2)
    of_s3 = (1.0 - load(theta, parameters.FS3S1)) / load(theta, parameters.TAU_S3)
    total = rate_l1 * 0.0
    for j in range(n):
        of_litter = of_l1 * load(pools, n + j) + of_l2 * load(pools, 2 * n + j) + of_l3 * load(pools, 3 * n + j)
        of_soil = of_s1 * load(pools, 4 * n + j) + of_s2 * load(pools, 5 * n + j) + of_s3 * load(pools, 6 * n + j)
        total = total + load(w, litter * n + j) * of_litter + load(w, DECAY * n + j) * of_soil
    return total


@inlined
def fill_stocks(n, grid, shares, first, pools, out):
    """Soil carbon in every interval, then all carbon, g C m-2, into the rows of `out` from `first` on."""
    zero, n_intervals = load(pools, 0) * 0.0, shares.size // (n * BLOCK_WIDTH)
    for i in range(n_intervals):
        stock = zero
        for j in range(n):
            soc = load(pools, 4 * n + j) + load(pools, 5 * n + j) + load(pools, 6 * n + j)
            stock = stock + load(shares, i * n + j) * soc
        store(out, first + i, stock)
    everything = zero
    for j in range(n):
        layer = zero
        for pool in range(7):
            layer = layer + load(pools, pool * n + j)
        everything = everything + DAYS_PER_YEAR * grid[n + j] * layer
    store(out, first + n_intervals, everything)


@kept_compiled
def _fill_trajectories(theta, places, grid, shares, n, months, days, w, f, pools, out):
    n_rows = shares.shape[1] // (n * BLOCK_WIDTH) + 3
    held, solved, mean = np.zeros_like(pools), np.zeros_like(pools), np.zeros_like(pools)
    for block in range(theta.shape[0]):
        pools[:] = 0.0
        for step in range(places.shape[0]):
            if months:
                fill_monthly_drivers(theta[block], places[step, block], grid, n, months, w)
            else:
                fill_annual_drivers(theta[block], places[step, block], grid, n, w)
            # The first is the steady state, an implicit step without end.
            length = days if step else 0.0
            per_day = 1.0 / (_GAMMA * days) if step else 0.0
            fill_factors(theta[block], n, months, grid, per_day, w, f)
            held[:] = pools
            for stage in range(2):
                fill_pools(theta[block], n, months, grid, per_day, w, f, held, solved)
                for i in range(pools.size):
                    if stage == 0:
                        mean[i] = (1.0 - _GAMMA) * solved[i]
                        held[i] = pools[i] + (1.0 - _GAMMA) / _GAMMA * (solved[i] - pools[i])
                    else:
                        mean[i] += _GAMMA * solved[i]
                        pools[i] = solved[i]
            first = step * n_rows
            entering = load(w, AMOUNT * n) + load(w, AMOUNT * n + 1) + load(w, AMOUNT * n + 2) + load(w, AMOUNT * n + 3)
            fill_stocks(n, grid, shares[block], first, pools, out[block])
            store(out[block], first + n_rows - 2, length * entering)
            store(out[block], first + n_rows - 1, length * respiration_of(theta[block], n, months, w, mean))


class Trajectories(NamedTuple):
    """Carbon of n columns in time, g C m-2; between two times all of it changes by entered - respired."""

    soil: NDArray[np.float64]  # (n_times, n_intervals, n), soil organic carbon
    everything: NDArray[np.float64]  # (n_times, n), all seven pools of the column
    entered: NDArray[np.float64]  # (n_times, n), since the time before
    respired: NDArray[np.float64]  # (n_times, n), since the time before


def pathway_places(forcings: Sequence[AnyForcing], configuration: Configuration = PAPER) -> NDArray[np.float64]:
    """What a pathway contributes to `trajectories`: its steady state's forcing, then that of every step."""
    return np.stack([to_blocks(block_places(forcing, configuration)) for forcing in forcings])


def trajectories(
    theta: NDArray, places: NDArray, days: float, shares: ArrayLike, configuration: Configuration = PAPER
) -> Trajectories:
    """Carbon from the steady state of the first of `places` on, after each step of `days` under one of the others.

    `theta` is (n_parameters, n), `places` are of `pathway_places`, and `shares`, (n_intervals, n_layers, n) or the same
    in all columns, (n_intervals, n_layers), m, is the thickness that layers share with depth intervals
    (`proda.maps.stocks.overlap`). Raises an InputError for another shape or a step that is not positive; values are not
    checked (`checked_parameters`, `validated`).
    """
    theta, shares = np.asarray(theta, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    shares = shares if shares.ndim == 3 else np.repeat(shares[..., None], theta.shape[1], axis=-1)
    n, blocks = configuration.column.n_layers, to_blocks(theta)
    expected = len(configuration.parameters), n
    if (len(theta), shares.shape[1]) != expected or places.shape[1] != len(blocks) or not days > 0:
        raise InputError(
            f"theta has shape {theta.shape}, shares {shares.shape}, the pathway {places.shape[1]} blocks of "
            f"{BLOCK_WIDTH} columns, the step {days} days; the {configuration.name!r} configuration takes "
            f"{expected[0]} parameters and {expected[1]} layers, as many columns in all, and a positive step."
        )
    of_blocks = to_blocks(shares.reshape(-1, theta.shape[1]))
    n_rows, rows = len(shares) + 3, places.shape[2] // BLOCK_WIDTH
    # The rows of monthly forcing: those that do not depend on months, then four groups of months x n_layers.
    months = round((rows - (6 * n + 5)) / (4 * n)) if configuration.monthly else 0
    out = np.zeros((len(blocks), len(places) * n_rows * BLOCK_WIDTH))
    factors, pools = np.empty(N_FACTORS * n * BLOCK_WIDTH), np.empty(7 * n * BLOCK_WIDTH)
    work, grid = block_work(configuration), block_grid(configuration)
    _fill_trajectories(blocks, places, grid, of_blocks, n, months, float(days), work, factors, pools, out)
    by_row = out.reshape(-1, len(places), n_rows, BLOCK_WIDTH).transpose(1, 2, 0, 3)
    by_row = by_row.reshape(len(places), n_rows, -1)[..., : theta.shape[1]]
    return Trajectories(by_row[:, :-3], *(by_row[:, row] for row in (-3, -2, -1)))
