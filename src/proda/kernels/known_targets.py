"""The sampler on targets of known distribution, by its own steps and by the rules of other programs."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from proda.compiled import inlined, kept_compiled
from proda.kernels import metropolis
from proda.kernels.simd import BLOCK_WIDTH, generator_states, load, store, uniform_block, where_less

# What to do with a normal step beyond a prior bound, or how to accept one.
AS_HERE, REDRAWN, REFLECTED, ANNEALED = range(4)
RULES = {"as here": AS_HERE, "redrawn until inside": REDRAWN, "reflected": REFLECTED, "annealed acceptance": ANNEALED}


class Bent(NamedTuple):
    """A normal distribution, bent along its first axis and cut by the bounds of the unit cube."""

    mean: NDArray[np.float64]  # (d,)
    covariance: NDArray[np.float64]  # (d, d)
    bend: float = 0.0  # of the second coordinate with the square of the first

    def exact_draws(self, n: int) -> NDArray[np.float64]:
        """n independent draws, (n, d), by rejection."""
        rng, draws = np.random.default_rng(1), np.empty((0, self.mean.size))
        while len(draws) < n:
            u = rng.multivariate_normal(np.zeros(self.mean.size), self.covariance, n)
            u[:, 1] += self.bend * u[:, 0] ** 2
            x = self.mean + u
            draws = np.concatenate([draws, x[((x >= 0.0) & (x <= 1.0)).all(axis=1)]])
        return draws[:n]


_SD = np.array([0.15, 0.2, 0.2])
CUT_BY_BOUNDS = Bent(np.array([0.1, 0.05, 0.5]), np.outer(_SD, _SD) * (0.2 * np.eye(3) + 0.8))
BANANA = Bent(np.array([0.5, 0.3, 0.9]), np.diag([0.0144, 0.0009, 0.01]), bend=12.0)
KNOWN_TARGETS = {"normal cut by the bounds": CUT_BY_BOUNDS, "banana": BANANA}


@inlined
def misfit_at(x, mean, precision, bend, u):
    for k in range(mean.size):
        store(u, k, load(x, k) - mean[k])
    store(u, 1, load(u, 1) - bend * load(u, 0) * load(u, 0))
    phi = load(u, 0) * 0.0
    for k in range(mean.size):
        for m in range(mean.size):
            phi = phi + (0.5 * precision[k, m]) * load(u, k) * load(u, m)
    return phi


@inlined
def propose_by(rule, chains, u):
    """A normal step that is reflected at the bounds, or redrawn until it ends inside."""
    d, missing = u.size // BLOCK_WIDTH, load(chains.x, 0) * 0.0 + 1.0
    u[:] = chains.x
    for _ in range(12 if rule == REDRAWN else 1):
        metropolis.propose_normal(chains)
        ready = missing
        for k in range(d):
            # Where the step led before it re-entered at the opposite bound.
            x = load(chains.x, k)
            step = x + (metropolis.wrapped(load(chains.proposal, k) - x + 0.5) - 0.5)
            store(chains.proposal, k, metropolis.reflected(step) if rule == REFLECTED else step)
            ready = where_less(step, 0.0, 0.0, where_less(1.0, step, 0.0, ready)) if rule == REDRAWN else ready
        for k in range(d):
            store(u, k, where_less(0.5, ready, load(chains.proposal, k), load(u, k)))
        missing = missing - ready
    chains.proposal[:] = u


@kept_compiled
def fill_chains(chains, rule, schedule, mean, precision, bend, u, draws, phis):
    for k in range(mean.size):
        store(chains.x, k, 0.4 + 0.2 * uniform_block(chains.random))
    store(chains.phi, 0, misfit_at(chains.x, mean, precision, bend, u))
    for t in range(schedule.test_steps + schedule.burn_in + schedule.kept_steps):
        if t < schedule.test_steps:
            metropolis.propose_uniform(chains)
        elif rule == AS_HERE or rule == ANNEALED:
            metropolis.propose_normal(chains)
        else:
            propose_by(rule, chains, u)
        cooling = np.log(t + 2.0) if rule == ANNEALED else 1.0
        moved = metropolis.accept(chains, misfit_at(chains.proposal, mean, precision, bend, u), cooling)
        metropolis.adapt(chains, moved, t, schedule)
        draw = metropolis.draw_to_keep(t, schedule)
        if draw >= 0:
            metropolis.keep(chains, np.zeros(mean.size), draw, draws, phis)


def chain_draws(
    target: Bent, schedule: metropolis.Schedule, rule: int = AS_HERE, seed: int = 1
) -> tuple[NDArray, NDArray]:
    """Draws (8, n_draws, d) and misfits (8, n_draws) of eight chains on `target`, by one of `RULES`."""
    states = generator_states([(seed, k) for k in range(BLOCK_WIDTH)])
    chains, work = metropolis.new_chains(target.mean.size, states), np.empty(target.mean.size * BLOCK_WIDTH)
    draws, phis = np.empty((BLOCK_WIDTH, schedule.n_draws, target.mean.size)), np.empty((BLOCK_WIDTH, schedule.n_draws))
    precision = np.linalg.inv(target.covariance)
    fill_chains(chains, rule, schedule, target.mean, precision, target.bend, work, draws, phis)
    return draws, phis
