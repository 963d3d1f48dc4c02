"""Adaptive Metropolis on the unit cube (Haario, Saksman and Tamminen 2001; Eq. 6-8 of Tao et al. 2020), in lanes.

A chain has three parts. The *test run* takes uniform steps (Eq. 7) and yields a first covariance. The *burn-in* takes
normal steps with the covariance of its own history (Eq. 8). The *kept* part goes on with the covariance and step length
reached there, unchanged: an ordinary Metropolis chain, exact without any argument about vanishing adaptation.

At the walls every step must be as likely as its reverse, so that the acceptance of Eq. 6 needs no correction. The
uniform steps of the test run, uncorrelated between parameters, are reflected, which lets a chain leave a corner that it
ran into on its way down. The normal steps of the formal run are correlated, and reflection would no longer be
symmetric: they come back in through the opposite wall (x mod 1), which is symmetric for a step of any shape. Redrawing
until inside, as the published programs do, thins out the neighbourhood of the walls.
"""

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from proda.assimilation.lane_random import normal_pair_lanes, two_where_set, uniform_lanes, word_lanes
from proda.model.lane_math import lane_exp
from proda.model.lane_type import LANES, load, square_root, store, where_less

WIDEST, NARROWEST = 1.0 / 5.0, 1.0 / 200.0  # 1/D of Eq. 7: the paper's D = 5, and short steps for narrow posteriors
OPTIMAL_SCALE = 2.38  # s_d = 2.38^2 / d in Eq. 8
EPSILON = 1e-6
TARGET = 0.234  # acceptance aimed at, inside the paper's window of 15-50 %
SCALE_RANGE = 20.0  # tuning may shorten the steps of Eq. 8 by this factor at most
SUBSPACE_FROM = 16  # dimensions; in fewer a quarter of the directions would often be none
HISTORY_EVERY = 4  # steps between states that enter the covariance
REFACTOR_EVERY = 200  # steps between factorisations of the covariance
SCALE, TEST_ACCEPTED, KEPT_ACCEPTED = range(3)

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


class Chains(NamedTuple):
    """The state of `LANES` chains: flat rows of lanes, one row a parameter unless said otherwise."""

    x: NDArray[np.float64]
    proposal: NDArray[np.float64]
    phi: NDArray[np.float64]  # one row
    random: NDArray[np.uint64]  # four rows
    tuning: NDArray[np.float64]  # step length, and counts of accepted steps
    mean: NDArray[np.float64]  # of the history
    scatter: NDArray[np.float64]  # of the history: the lower triangle, a row an element
    factor: NDArray[np.float64]  # Cholesky factor of the covariance, likewise
    deviation: NDArray[np.float64]
    count: NDArray[np.int64]  # states in the history, a single number


def new_chains(n_parameters: int, random: NDArray[np.uint64]) -> Chains:
    """Chains before their first step; `random` is (4, LANES), from `generator_states`."""
    triangle = n_parameters * (n_parameters + 1) // 2
    sizes = dict(x=n_parameters, proposal=n_parameters, phi=1, tuning=3, mean=n_parameters)
    sizes |= dict(scatter=triangle, factor=triangle, deviation=n_parameters)
    rows = {name: np.zeros(size * LANES) for name, size in sizes.items()}
    rows["tuning"][:LANES] = OPTIMAL_SCALE / np.sqrt(n_parameters)
    return Chains(**rows, random=np.ascontiguousarray(random).ravel().copy(), count=np.zeros(1, np.int64))


@nb.njit
def wrapped(x):
    """x mod 1."""
    fraction = x - ((x + _ROUNDER) - _ROUNDER)
    return where_less(fraction, 0.0, fraction + 1.0, fraction)


@nb.njit
def reflected(x):
    """x folded back at 0 and at 1, for x between -1 and 2."""
    x = where_less(x, 0.0, 0.0 - x, x)
    return where_less(1.0, x, 2.0 - x, x)


@nb.njit
def propose_uniform(chains):
    """Eq. 7: each parameter moves by a uniform step of its own.

    The width is drawn anew for every step, between D = 5 and D = 200 on a log scale: wide posteriors are crossed by the
    long steps, narrow ones and steep descents need the short ones, and no tuning can lead it astray.
    """
    width = WIDEST * lane_exp(uniform_lanes(chains.random) * np.log(NARROWEST / WIDEST))
    for k in range(chains.x.size // LANES):
        step = width * (uniform_lanes(chains.random) - 0.5)
        store(chains.proposal, k, reflected(load(chains.x, k) + step))


@nb.njit
def propose_normal(chains):
    """Eq. 8: a normal step with the covariance of the history, along a random quarter of its directions.

    One site's posterior is a thin curved shell in 25 dimensions. Steps in a few directions at a time can be twice as
    long, and most parameters gain a third to a half in effective draws (subspace sampling, Vrugt et al. 2009). Which
    directions move does not depend on the state, so a step is as likely as its reverse.
    """
    d = chains.x.size // LANES
    z = chains.deviation
    for k in range(0, d - 1, 2):
        first, second = normal_pair_lanes(chains.random)
        store(z, k, first), store(z, k + 1, second)
    if d % 2:
        first, second = normal_pair_lanes(chains.random)
        store(z, d - 1, first)
    if d >= SUBSPACE_FROM:
        # Each bit of this word is set with probability 1/4; twice the normal number keeps its variance.
        moving = word_lanes(chains.random) & word_lanes(chains.random)
        for k in range(d):
            store(z, k, load(z, k) * two_where_set(moving, k))
    scale = load(chains.tuning, SCALE)
    for k in range(d):
        row = k * (k + 1) // 2
        step = load(chains.factor, row) * load(z, 0)
        for m in range(1, k + 1):
            step = step + load(chains.factor, row + m) * load(z, m)
        store(chains.proposal, k, wrapped(load(chains.x, k) + scale * step))


@nb.njit
def accept(chains, phi_proposed):
    """Eq. 6: move to the proposal with probability min(1, exp(phi - phi_proposed)); 1 in the lanes that moved.

    A misfit that is infinite or not a number is never accepted.
    """
    phi = load(chains.phi, 0)
    ratio = lane_exp(phi - phi_proposed)
    moved = where_less(uniform_lanes(chains.random), ratio, 1.0, 0.0)
    # Infinite minus infinite, from a start where the misfit overflows, is not a number: take any finite proposal.
    moved = where_less(phi, 1e300, moved, where_less(phi_proposed, 1e300, 1.0, 0.0))
    for k in range(chains.x.size // LANES):
        store(chains.x, k, where_less(0.5, moved, load(chains.proposal, k), load(chains.x, k)))
    store(chains.phi, 0, where_less(0.5, moved, phi_proposed, phi))
    return moved


@nb.njit
def tune(chains, moved, t):
    """Lengthen the steps of lanes that move too often, shorten the others (Robbins and Monro 1951)."""
    ideal = OPTIMAL_SCALE / np.sqrt(chains.x.size / LANES)
    scale = load(chains.tuning, SCALE) * lane_exp((1.0 + t) ** -0.6 * (moved - TARGET))
    scale = where_less(scale, ideal / SCALE_RANGE, ideal / SCALE_RANGE, scale)
    store(chains.tuning, SCALE, where_less(2.0 * ideal, scale, 2.0 * ideal, scale))


@nb.njit
def forget_history(chains):
    chains.mean[:] = 0.0
    chains.scatter[:] = 0.0
    chains.count[0] = 0


@nb.njit
def add_to_history(chains):
    """Update mean and scatter by the present state (Welford 1962)."""
    d = chains.x.size // LANES
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


@nb.njit
def factor_history(chains):
    """Cholesky factor of cov(history) + epsilon I, lane by lane, into `chains.factor`."""
    d = chains.x.size // LANES
    per_count = 1.0 / max(chains.count[0] - 1, 1)
    factor = chains.factor
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


@nb.njit
def adapt(chains, moved, t, schedule):
    """Everything learned before the kept part: step lengths, and the covariance of the history."""
    since = t - schedule.test_steps
    if since < 0:
        store(chains.tuning, TEST_ACCEPTED, load(chains.tuning, TEST_ACCEPTED) + moved)
        if 2 * t >= schedule.test_steps and t % HISTORY_EVERY == 0:
            add_to_history(chains)
        if since == -1:
            factor_history(chains)
            forget_history(chains)
    elif since < schedule.burn_in:
        tune(chains, moved, since)
        if t % HISTORY_EVERY == 0:
            add_to_history(chains)
        # Until a tenth of the burn-in has passed the test run knows better (t_0 of Eq. 8).
        if 10 * since >= schedule.burn_in and (since % REFACTOR_EVERY == 0 or since == schedule.burn_in - 1):
            factor_history(chains)
    else:
        store(chains.tuning, KEPT_ACCEPTED, load(chains.tuning, KEPT_ACCEPTED) + moved)


@nb.njit
def keep(chains, draw, draws, phis):
    """Write the present state of every lane to `draws`, (LANES, n_draws, n_parameters), and `phis`."""
    d = chains.x.size // LANES
    for lane in range(LANES):
        for k in range(d):
            draws[lane, draw, k] = chains.x[k * LANES + lane]
        phis[lane, draw] = chains.phi[lane]


@nb.njit
def draw_to_keep(t, schedule):
    """Number of the draw that step `t` completes, or -1."""
    since = t - schedule.test_steps - schedule.burn_in + 1
    return since // schedule.thin - 1 if since > 0 and since % schedule.thin == 0 else -1
