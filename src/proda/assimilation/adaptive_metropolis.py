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

import numpy as np

from proda.assimilation.chain_state import KEPT_ACCEPTED, OPTIMAL_SCALE, SCALE, TEST_ACCEPTED
from proda.assimilation.lane_random import fill_normal, fill_uniform, uniform_lanes
from proda.compiled import inlined
from proda.model.lane_math import lane_exp
from proda.model.lane_type import LANES, load, square_root, store, where_less

NARROWEST = 1.0 / 40.0  # of the widest step of Eq. 7: short steps for narrow posteriors
EPSILON = 1e-6
TARGET = 0.234  # acceptance aimed at, inside the paper's window of 15-50 %
SCALE_RANGE = 20.0  # tuning may shorten the steps of Eq. 8 by this factor at most
SUBSPACE_FROM = 16  # dimensions; in fewer a quarter of the directions would often be none
HISTORY_EVERY = 4  # steps between states that enter the covariance
REFACTOR_EVERY = 200  # steps between factorisations of the covariance

_GOLDEN, _MIX_1, _MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_ROUNDER = 6755399441055744.0  # adding 1.5 x 2^52 rounds to an integer


@inlined
def wrapped(x):
    """x mod 1."""
    fraction = x - ((x + _ROUNDER) - _ROUNDER)
    return where_less(fraction, 0.0, fraction + 1.0, fraction)


@inlined
def reflected(x):
    """x folded back at 0 and at 1, for x between -1 and 2."""
    x = where_less(x, 0.0, 0.0 - x, x)
    return where_less(1.0, x, 2.0 - x, x)


@inlined
def propose_uniform(chains):
    """Eq. 7: each parameter moves by a uniform step of its own.

    The width is drawn anew for every step, between D (the paper's 5 unless it was raised) and 40 D on a log scale: wide
    posteriors are crossed by the long steps, narrow ones and steep descents need the short ones.
    """
    d = chains.x.size // LANES
    fill_uniform(chains.random, chains.deviation, d + 1)
    width = chains.widest[0] * lane_exp(load(chains.deviation, d) * np.log(NARROWEST))
    for k in range(d):
        step = width * (load(chains.deviation, k) - 0.5)
        store(chains.proposal, k, reflected(load(chains.x, k) + step))


@inlined
def moving_directions(chains):
    """Put the directions of the next step into `chains.moving`, ascending; their number.

    In many dimensions a random quarter of them, the same for all lanes: the generator (splitmix64, Steele, Lea and
    Flood 2014) belongs to the schedule and not to a chain, so a step costs a quarter as well.
    """
    d = chains.x.size // LANES
    if d < SUBSPACE_FROM:
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
def propose_normal(chains):
    """Eq. 8: a normal step with the covariance of the history, along a random quarter of its directions.

    One site's posterior is a thin curved shell in 25 dimensions. Steps in a few directions at a time can be twice as
    long, and most parameters gain a third to a half in effective draws (subspace sampling, Vrugt et al. 2009). Which
    directions move does not depend on the state, so a step is as likely as its reverse.
    """
    d, z, moving = chains.x.size // LANES, chains.deviation, chains.moving
    n = moving_directions(chains)
    fill_normal(chains.random, z, n)
    # Twice the normal number in a quarter of the directions keeps the variance of the step.
    scale = load(chains.tuning, SCALE) * (1.0 if d < SUBSPACE_FROM else 2.0)
    for k in range(d):
        store(chains.proposal, k, load(chains.x, k))
    for i in range(n):
        length = load(z, i) * scale
        for k in range(moving[i], d):
            step = load(chains.factor, k * (k + 1) // 2 + moving[i]) * length
            store(chains.proposal, k, load(chains.proposal, k) + step)
    for k in range(d):
        store(chains.proposal, k, wrapped(load(chains.proposal, k)))


@inlined
def accept(chains, phi_proposed, cooling=1.0):
    """Eq. 6: move to the proposal with probability min(1, exp(phi - phi_proposed)); 1 in the lanes that moved.

    A misfit that is infinite or not a number is never accepted. A `cooling` above 1 multiplies the difference.
    """
    phi = load(chains.phi, 0)
    ratio = lane_exp((phi - phi_proposed) * cooling)
    moved = where_less(uniform_lanes(chains.random), ratio, 1.0, 0.0)
    # Infinite minus infinite, from a start where the misfit overflows, is not a number: take any finite proposal.
    moved = where_less(phi, 1e300, moved, where_less(phi_proposed, 1e300, 1.0, 0.0))
    for k in range(chains.x.size // LANES):
        store(chains.x, k, where_less(0.5, moved, load(chains.proposal, k), load(chains.x, k)))
    store(chains.phi, 0, where_less(0.5, moved, phi_proposed, phi))
    return moved


@inlined
def tune(chains, moved, t):
    """Lengthen the steps of lanes that move too often, shorten the others (Robbins and Monro 1951)."""
    ideal = OPTIMAL_SCALE / np.sqrt(chains.x.size / LANES)
    scale = load(chains.tuning, SCALE) * lane_exp((1.0 + t) ** -0.6 * (moved - TARGET))
    scale = where_less(scale, ideal / SCALE_RANGE, ideal / SCALE_RANGE, scale)
    store(chains.tuning, SCALE, where_less(2.0 * ideal, scale, 2.0 * ideal, scale))


@inlined
def forget_history(chains):
    chains.mean[:] = 0.0
    chains.scatter[:] = 0.0
    chains.count[0] = 0


@inlined
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


@inlined
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


@inlined
def adapt(chains, moved, t, schedule):
    """Everything learned before the kept part: step lengths, and the covariance of the history."""
    since = t - schedule.test_steps
    if t == 0 and chains.count[0] > 1:
        factor_history(chains)
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
