"""Adaptive Metropolis chains over the soil-carbon model, compiled, in SIMD blocks: both assimilation schemes run them.

A chain (Haario, Saksman and Tamminen 2001) takes uniform steps in its *test run* (Eq. 7 of Tao et al. 2020), normal
steps with the covariance of its history in the *burn-in* (Eq. 8), and goes on unchanged in the *kept* part. So that a
step is as likely as its reverse, uniform steps are reflected at the bounds, and normal ones re-enter at the opposite
bound (x mod 1); redrawing until inside, the rule of a published program, undersamples the neighbourhood of the bounds.
Chains move in the coordinates of `proda.kernels.coordinates`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from proda.compiled import inlined, kept_compiled
from proda.kernels.coordinates import BOX, block_stretch, box_position, log_density, stretches
from proda.kernels.misfit import block_misfit, first_partners
from proda.kernels.simd import (
    BLOCK_WIDTH,
    bits_of,
    doubles_of,
    fill_normal,
    fill_uniform,
    like,
    load,
    simd_exp,
    square_root,
    store,
    uniform_block,
    where_less,
)
from proda.kernels.steady_state import block_grid, block_places, block_work, steady_block, to_blocks
from proda.model.configuration import PAPER, Configuration
from proda.model.forcing import AnyForcing
from proda.model.parameters import INS, P4CL, P4LL, P4ML, bounds

PRECISION = np.float32  # of soil model and misfit in chains; coordinates, covariance and acceptance have 64 bits
WIDEST = 1.0 / 5.0  # 1/D of Eq. 7 with the paper's D
NARROWEST = 1.0 / 40.0  # of the widest step of Eq. 7: short steps for narrow posteriors
OPTIMAL_SCALE = 2.38  # s_d = 2.38^2 / d in Eq. 8
EPSILON = 1e-6  # of Eq. 8
TARGET = 0.234  # acceptance aimed at, inside the paper's window of 15-50 %
SCALE_RANGE = 20.0  # tuning may shorten the steps of Eq. 8 by this factor at most
SUBSPACE_FROM = 16  # dimensions; in fewer a quarter of the directions would often be none
HISTORY_EVERY = 8  # steps between states that enter the covariance
REFACTOR_EVERY = 200  # steps between factorisations of the covariance
MOST_DRAWS = 1000  # of a step that is drawn until it ends inside the bounds
# Each chain starts at the best of this many draws: a single one often leaves it in a corner of the box for long.
_START_DRAWS = 400
SCALE, TEST_ACCEPTED, KEPT_ACCEPTED = range(3)  # rows of `Chains.tuning`
# Which directions a step moves along is drawn from one stream for all chains, whatever their site, batch or seed.
_DIRECTIONS_SEED = 0x9E3779B97F4A7C15
_GOLDEN, _MIX_1, _MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_ROUNDER = 6755399441055744.0  # adding 1.5 x 2^52 rounds to an integer


class Schedule(NamedTuple):
    """How long the parts of a chain are, in steps, and after how many kept steps a draw is stored."""

    test_steps: int
    burn_in: int
    kept_steps: int
    thin: int

    @property
    def total(self) -> int:
        return self.test_steps + self.burn_in + self.kept_steps

    @property
    def n_draws(self) -> int:
        return self.kept_steps // self.thin


class Chains(NamedTuple):
    """The state of `BLOCK_WIDTH` chains: flat rows of blocks, one row a parameter unless stated otherwise."""

    x: NDArray[np.float64]  # in the sampler's coordinates
    proposal: NDArray[np.float64]
    phi: NDArray[np.float64]  # one row: the misfit, less the log density of the coordinates
    random: NDArray[np.uint64]  # four rows
    tuning: NDArray[np.float64]  # step length, and counts of accepted steps
    widest: NDArray[np.float64]  # 1/D of Eq. 7, a single number
    mean: NDArray[np.float64]  # of the history
    scatter: NDArray[np.float64]  # of the history: the lower triangle, a row an element
    factor: NDArray[np.float32]  # Cholesky factor of the covariance, likewise
    square: NDArray[np.float64]  # work space of the factorisation and of redrawn steps, likewise
    step: NDArray[np.float32]  # work space
    deviation: NDArray[np.float64]  # work space, two rows more
    count: NDArray[np.int64]  # states in the history, a single number
    directions: NDArray[np.uint64]  # state of the stream of directions, a single number
    moving: NDArray[np.int64]  # work space: the directions of a step, one element more


def new_chains(n_parameters: int, random: NDArray[np.uint64], scale: float = OPTIMAL_SCALE) -> Chains:
    """Chains before their first step; `random` is (4, BLOCK_WIDTH), from `generator_states`; s_d is scale^2 / d."""
    triangle = n_parameters * (n_parameters + 1) // 2
    sizes = dict(x=n_parameters, proposal=n_parameters, phi=1, tuning=3, mean=n_parameters)
    sizes |= dict(scatter=triangle, square=triangle, deviation=n_parameters + 2)
    rows = {name: np.zeros(size * BLOCK_WIDTH) for name, size in sizes.items()}
    rows["tuning"][:BLOCK_WIDTH] = scale / np.sqrt(n_parameters)
    return Chains(
        **rows,
        factor=np.zeros(triangle * BLOCK_WIDTH, np.float32),
        step=np.zeros(n_parameters * BLOCK_WIDTH, np.float32),
        random=np.ascontiguousarray(random).ravel().copy(),
        count=np.zeros(1, np.int64),
        widest=np.array([WIDEST]),
        directions=np.array([_DIRECTIONS_SEED], np.uint64),
        moving=np.zeros(n_parameters + 1, np.int64),
    )


def with_history(chains: Chains, history: NDArray[np.float64]) -> Chains:
    """Chains with the covariance of `history`, (BLOCK_WIDTH, n, n_parameters), states in the sampler's coordinates."""
    n, d = history.shape[1:]
    mean = history.mean(axis=1)
    about = history - mean[:, None]
    scatter = np.einsum("lnk,lnm->lkm", about, about)
    row, column = np.tril_indices(d)
    return chains._replace(
        mean=np.ascontiguousarray(mean.T).ravel(),
        scatter=np.ascontiguousarray(scatter[:, row, column].T).ravel(),
        count=np.array([n], np.int64),
    )


@inlined
def draw_to_keep(t, schedule):
    """Number of the draw that step `t` completes, or -1."""
    since = t - schedule.test_steps - schedule.burn_in + 1
    return since // schedule.thin - 1 if since > 0 and since % schedule.thin == 0 else -1


@inlined
def keep(chains, stretch, draw, draws, phis):
    """Write the present state to `draws`, (BLOCK_WIDTH, n_draws, n_parameters) on the unit cube, and `phis`."""
    d = stretch.shape[1]
    place = chains.deviation
    for k in range(d):
        store(place, k, box_position(load(chains.x, k), stretch, k))
    store(place, d, load(chains.phi, 0) + log_density(chains.x, stretch))
    for chain in range(BLOCK_WIDTH):
        for k in range(d):
            draws[chain, draw, k] = place[k * BLOCK_WIDTH + chain]
        phis[chain, draw] = place[d * BLOCK_WIDTH + chain]


@inlined
def wrapped(x):
    fraction = x - ((x + _ROUNDER) - _ROUNDER)
    return where_less(fraction, 0.0, fraction + 1.0, fraction)


@inlined
def reflected(x):
    """x folded back at 0 and at 1, for x between -1 and 2."""
    x = where_less(x, 0.0, 0.0 - x, x)
    return where_less(1.0, x, 2.0 - x, x)


@inlined
def propose_uniform(chains, literal, unbounded):
    """Eq. 7: each parameter takes a uniform step of its own.

    Its width is 1/D of the range, or, not `literal`, drawn anew between D and 40 D (log scale). It is reflected at the
    bounds, or `unbounded`.
    """
    d = chains.x.size // BLOCK_WIDTH
    fill_uniform(chains.random, chains.deviation, d + 1)
    narrowing = 0.0 if literal else np.log(NARROWEST)
    width = chains.widest[0] * simd_exp(load(chains.deviation, d) * narrowing)
    for k in range(d):
        end = load(chains.x, k) + width * (load(chains.deviation, k) - 0.5)
        store(chains.proposal, k, end if unbounded else reflected(end))


@inlined
def moving_directions(chains, every):
    """Put the directions of the next step, `every` or a random quarter, into `chains.moving`; their number."""
    d = chains.x.size // BLOCK_WIDTH
    if every:
        for k in range(d):
            chains.moving[k] = k
        return d
    word = chains.directions[0] + _GOLDEN
    chains.directions[0] = word
    word = (word ^ (word >> np.uint64(30))) * _MIX_1
    word = (word ^ (word >> np.uint64(27))) * _MIX_2
    word = word ^ (word >> np.uint64(31))
    n = 0
    # Each bit of the two halves together is set with probability 1/4.
    chosen = word & (word >> np.uint64(32))
    for k in range(d):
        chains.moving[n] = k  # a branch on a random bit would be mispredicted every other time
        n += np.int64((chosen >> np.uint64(k)) & np.uint64(1))
    return n


@inlined
def propose_normal(chains, literal, unbounded):
    """Eq. 8: a normal step with the covariance of the history; it re-enters at the opposite bound, or is `unbounded`.

    Unless `literal`, it goes along a random quarter of the directions (Vrugt et al. 2009). Which directions move does
    not depend on the state, so a step is as likely as its reverse.
    """
    d, z, moving = chains.x.size // BLOCK_WIDTH, chains.deviation, chains.moving
    every = literal or d < SUBSPACE_FROM
    n = moving_directions(chains, every)
    fill_normal(chains.random, z, n)
    # Twice the normal number in a quarter of the directions keeps the variance of the step.
    scale = load(chains.tuning, SCALE) * (1.0 if every else 2.0)
    step = chains.step
    step[:] = 0.0
    for i in range(n):
        length = like(step, load(z, i) * scale)
        for k in range(moving[i], d):
            store(step, k, load(step, k) + load(chains.factor, k * (k + 1) // 2 + moving[i]) * length)
    for k in range(d):
        end = load(chains.x, k) + like(chains.x, load(step, k))
        store(chains.proposal, k, end if unbounded else wrapped(end))


@inlined
def propose_inside(chains, uniform, literal):
    """A step of Eq. 7 if `uniform`, else of Eq. 8, drawn anew as a whole until it ends inside the bounds.

    A chain that is inside keeps its step and its random numbers while others of the block draw again: no chain depends
    on its neighbours. Where all `MOST_DRAWS` end outside, the proposal is no number, and the chain stays.
    """
    d, found, direction = chains.x.size // BLOCK_WIDTH, chains.square, chains.directions[0]
    outside = load(chains.x, 0) * 0.0 + 1.0
    found[: chains.x.size] = np.nan
    for _ in range(MOST_DRAWS):
        before = load(chains.random, 0), load(chains.random, 1), load(chains.random, 2), load(chains.random, 3)
        chains.directions[0] = direction
        if uniform:
            propose_uniform(chains, literal, True)
        else:
            propose_normal(chains, literal, True)
        inside = outside
        for k in range(d):
            x = load(chains.proposal, k)
            inside = where_less(x, 0.0, 0.0, where_less(1.0, x, 0.0, inside))
        for k in range(d):
            store(found, k, where_less(0.5, inside, load(chains.proposal, k), load(found, k)))
        for i in range(4):
            now = where_less(0.5, outside, doubles_of(load(chains.random, i)), doubles_of(before[i]))
            store(chains.random, i, bits_of(now))
        outside = outside - inside
        store(chains.deviation, 0, outside)
        if chains.deviation[:BLOCK_WIDTH].sum() == 0.0:
            break
    chains.proposal[:] = found[: chains.x.size]


@inlined
def accept(chains, phi_proposed, cooling=1.0):
    """Eq. 6, the difference times `cooling`: 1 for chains that moved; a misfit that is not finite is never accepted."""
    phi = load(chains.phi, 0)
    ratio = simd_exp((phi - phi_proposed) * cooling)
    moved = where_less(uniform_block(chains.random), ratio, 1.0, 0.0)
    # Infinite minus infinite, from a start where the misfit overflows, is not a number: take any finite proposal.
    moved = where_less(phi, 1e300, moved, where_less(phi_proposed, 1e300, 1.0, 0.0))
    for k in range(chains.x.size // BLOCK_WIDTH):
        store(chains.x, k, where_less(0.5, moved, load(chains.proposal, k), load(chains.x, k)))
    store(chains.phi, 0, where_less(0.5, moved, phi_proposed, phi))
    return moved


@inlined
def tune(chains, moved, t):
    """Lengthen the steps of chains that move too often, shorten the others (Robbins and Monro 1951)."""
    ideal = OPTIMAL_SCALE / np.sqrt(chains.x.size / BLOCK_WIDTH)
    scale = load(chains.tuning, SCALE) * simd_exp((1.0 + t) ** -0.6 * (moved - TARGET))
    scale = where_less(scale, ideal / SCALE_RANGE, ideal / SCALE_RANGE, scale)
    store(chains.tuning, SCALE, where_less(2.0 * ideal, scale, 2.0 * ideal, scale))


@inlined
def add_to_history(chains):
    """Update mean and scatter by the present state (Welford 1962)."""
    d = chains.x.size // BLOCK_WIDTH
    chains.count[0] += 1
    n = chains.count[0]
    for k in range(d):
        deviation = load(chains.x, k) - load(chains.mean, k)
        store(chains.mean, k, load(chains.mean, k) + deviation * (1.0 / n))
        store(chains.deviation, k, deviation)
    share = (n - 1.0) / n
    for k in range(d):
        row = k * (k + 1) // 2
        weighted = load(chains.deviation, k) * share
        for m in range(k + 1):
            store(chains.scatter, row + m, load(chains.scatter, row + m) + weighted * load(chains.deviation, m))


@inlined
def factor_history(chains):
    """Cholesky factor of cov(history) + epsilon I, chain by chain, into `chains.factor`."""
    d = chains.x.size // BLOCK_WIDTH
    per_count = 1.0 / max(chains.count[0] - 1, 1)
    factor = chains.square
    for k in range(d):
        row = k * (k + 1) // 2
        for m in range(k + 1):
            above = m * (m + 1) // 2
            value = load(chains.scatter, row + m) * per_count
            if m == k:
                value = value + EPSILON
            for i in range(m):
                value = value - load(factor, row + i) * load(factor, above + i)
            if m == k:
                # Rounding must not make a pivot negative where a chain never moved in some direction.
                value = square_root(where_less(value, EPSILON, EPSILON, value))
            else:
                value = value / load(factor, above + m)
            store(factor, row + m, value)
            store(chains.factor, row + m, value)


@inlined
def adapt(chains, moved, t, schedule, literal):
    """The adaptation before the kept part: step lengths, and the covariance of the history.

    In a `literal` chain steps have the fixed length s_d of Eq. 8, and the covariance is adapted to the end.
    """
    since = t - schedule.test_steps
    if t == 0 and chains.count[0] > 1:
        factor_history(chains)
    if since < 0:
        store(chains.tuning, TEST_ACCEPTED, load(chains.tuning, TEST_ACCEPTED) + moved)
        if 2 * t >= schedule.test_steps and t % HISTORY_EVERY == 0:
            add_to_history(chains)
        if since == -1:
            factor_history(chains)
            chains.mean[:] = 0.0
            chains.scatter[:] = 0.0
            chains.count[0] = 0
    elif literal or since < schedule.burn_in:
        if not literal:
            tune(chains, moved, since)
        if t % HISTORY_EVERY == 0:
            add_to_history(chains)
        # Until a tenth of the burn-in has passed the covariance of the test run is the better one (t_0 of Eq. 8).
        if 10 * since >= schedule.burn_in and (since % REFACTOR_EVERY == 0 or since == schedule.burn_in - 1):
            factor_history(chains)
    if since >= schedule.burn_in:
        store(chains.tuning, KEPT_ACCEPTED, load(chains.tuning, KEPT_ACCEPTED) + moved)


class Target(NamedTuple):
    """The misfit of a block of chains: blocks of `BLOCK_WIDTH` columns, their quadratic forms, and work space."""

    place: NDArray[np.float32]  # (n_blocks, rows * BLOCK_WIDTH), `block_places`
    forms: NDArray[np.float32]  # (n_blocks, rows * BLOCK_WIDTH), `misfit_forms`
    first: NDArray[np.int64]  # (2 n_layers,), `first_partners`
    # (n_blocks, 2 * BLOCK_WIDTH): least value and range of `ins`, in `cesm2` of `w_scaling` in its place
    ins: NDArray[np.float64]
    low: NDArray[np.float64]  # (n_parameters,)
    width: NDArray[np.float64]  # (n_parameters,)
    grid: NDArray[np.float64]
    n_layers: int
    months: int  # of the forcing, 0 for annual means
    pooled: bool
    stretch: NDArray[np.float64]  # (2, n_parameters), `block_stretch` of the coordinates
    annealed: bool
    literal: bool
    redrawn: bool
    scale: float
    theta: NDArray[np.float64]
    work: NDArray[np.float32]
    values: NDArray[np.float32]  # (2 n_layers * BLOCK_WIDTH,)


class Proposal(NamedTuple):
    """In which coordinates and by which steps chains move, and by which acceptance."""

    coordinates: str = BOX
    # The rule of the published programs, exp(-dPhi ln(t + 2)) at step t: the spread is a third to a half of the
    # posterior's. It serves for comparison.
    annealed: bool = False
    # Eq. 7 and 8 as they stand: fixed D and s_d, steps along all directions, a covariance that is adapted to the end.
    literal: bool = False
    redrawn: bool = False  # at the bounds, until a step ends inside, without a correction, as a published program does
    scale: float = OPTIMAL_SCALE  # root of s_d d; of a literal chain for good, of others at the beginning


DEFAULT_PROPOSAL = Proposal()


def new_target(
    forcing: AnyForcing,
    forms: NDArray,
    pooled: bool,
    proposal: Proposal = DEFAULT_PROPOSAL,
    configuration: Configuration = PAPER,
) -> Target:
    """The target of one chain for each of n columns, or, `pooled`, of one over all; `forms` are (rows, n)."""
    n = forcing.n_columns
    table = configuration.parameters
    low, high = bounds(forcing, table)
    filling = -n % BLOCK_WIDTH
    # Elements beyond the last column must not count when columns are summed.
    padded = np.pad(forms, ((0, 0), (0, filling))) if pooled else forms
    return Target(
        place=to_blocks(block_places(forcing, configuration)).astype(PRECISION),
        forms=to_blocks(padded).astype(PRECISION),
        first=first_partners(forms, 2 * configuration.column.n_layers),
        ins=to_blocks(np.stack([low[INS], high[INS] - low[INS]])),
        low=table.minimum.copy(),
        width=table.maximum - table.minimum,
        grid=block_grid(configuration),
        n_layers=configuration.column.n_layers,
        months=forcing.n_months if configuration.monthly else 0,
        pooled=pooled,
        stretch=block_stretch(stretches(proposal.coordinates, table)),
        annealed=proposal.annealed,
        literal=proposal.literal,
        redrawn=proposal.redrawn,
        scale=proposal.scale,
        theta=np.zeros(len(table) * BLOCK_WIDTH),
        work=block_work(configuration, PRECISION),
        values=np.empty(2 * configuration.column.n_layers * BLOCK_WIDTH, PRECISION),
    )


@inlined
def proposed_phi(position, target):
    """Misfit at `position`, less the log density of the coordinates; infinite where woody debris gets no carbon."""
    theta, stretch = target.theta, target.stretch
    for k in range(target.low.size):
        x = load(position, k)
        if stretch[0, k] > 0.0:
            x = like(theta, box_position(like(target.work, x), stretch, k))
        store(theta, k, target.low[k] + target.width[k] * x)
    ins = load(position, INS)  # or `w_scaling`; never stretched
    share = ins * 0.0 + 1.0
    if target.months == 0:
        share = share - load(theta, P4LL) - load(theta, P4ML) - load(theta, P4CL)
    phi = share * 0.0
    for block in range(target.place.shape[0]):
        store(theta, INS, load(target.ins[block], 0) + load(target.ins[block], 1) * ins)
        steady_block(theta, target.place[block], target.grid, target.n_layers, target.months, target.work)
        forms, grid = target.forms[block], target.grid
        phi = phi + like(theta, block_misfit(target.work, forms, target.first, grid, target.n_layers, target.values))
    if target.pooled:
        store(theta, 0, phi)
        phi = phi * 0.0 + theta[:BLOCK_WIDTH].sum()
    return where_less(0.0, share, phi - log_density(position, stretch), np.inf)


@kept_compiled
def start_chains(chains, target):
    """Dispersed starts: each chain begins at the best of its own draws, even in the sampler's coordinates."""
    best = load(chains.phi, 0) * 0.0 + np.inf
    for _ in range(_START_DRAWS):
        fill_uniform(chains.random, chains.proposal, target.low.size)
        phi = proposed_phi(chains.proposal, target)
        for k in range(target.low.size):
            store(chains.x, k, where_less(phi, best, load(chains.proposal, k), load(chains.x, k)))
        best = where_less(phi, best, phi, best)
    store(chains.phi, 0, best)


@kept_compiled
def run_chains(chains, target, schedule, begin, end, draws, phis):
    """Take steps `begin` to `end` of the schedule and `keep` the draws."""
    for t in range(begin, end):
        if target.redrawn:
            propose_inside(chains, t < schedule.test_steps, target.literal)
        elif t < schedule.test_steps:
            propose_uniform(chains, target.literal, False)
        else:
            propose_normal(chains, target.literal, False)
        cooling = np.log(t + 2.0) if target.annealed else 1.0
        moved = accept(chains, proposed_phi(chains.proposal, target), cooling)
        adapt(chains, moved, t, schedule, target.literal)
        draw = draw_to_keep(t, schedule)
        if draw >= 0:
            keep(chains, target.stretch, draw, draws, phis)
