"""The sampler on targets whose distribution is known, by its own steps and by the rules of other programs.

A normal distribution that the bounds of the prior cut off shows what a rule does there; one that is bent, how chains
follow a curved posterior.
"""

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from proda.compiled import kept_compiled
from proda.kernels.metropolis import (
    Schedule,
    accept,
    adapt,
    box_position,
    draw_to_keep,
    keep,
    log_density,
    new_chains,
    propose_normal,
    propose_uniform,
    reflected,
    wrapped,
)
from proda.kernels.random import generator_states, uniform_block
from proda.kernels.simd import BLOCK_WIDTH, load, store, where_less

RIGHT, UNIFORM_STEPS, CLIPPED, REFLECTED, REDRAWN, ANNEALED = range(6)
# What to do with a normal step beyond a bound, or how to accept one.
RULES = {"as here": RIGHT, "redrawn until inside": REDRAWN, "reflected": REFLECTED, "annealed acceptance": ANNEALED}


class Bent(NamedTuple):
    """A normal distribution, bent along its first axis and cut by the bounds of the unit cube and by two other limits.

    The misfit is no number where the first coordinate exceeds `nan_above`, infinite where the last exceeds `inf_above`.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    bend: float = 0.0
    nan_above: float = 2.0
    inf_above: float = 2.0

    def exact_draws(self, n: int, seed: int = 1) -> NDArray[np.float64]:
        """n independent draws, (n, d), by rejection."""
        rng = np.random.default_rng(seed)
        found = np.empty((0, self.mean.size))
        while len(found) < n:
            u = rng.multivariate_normal(np.zeros(self.mean.size), self.covariance, n)
            u[:, 1] += self.bend * u[:, 0] ** 2
            x = self.mean + u
            inside = ((x >= 0.0) & (x <= 1.0)).all(axis=1)
            found = np.concatenate([found, x[inside & (x[:, 0] <= self.nan_above) & (x[:, -1] <= self.inf_above)]])
        return found[:n]


def _covariance(sd: list[float], correlation: float) -> NDArray[np.float64]:
    return np.outer(sd, sd) * np.where(np.eye(len(sd), dtype=bool), 1.0, correlation)


CUT_BY_BOUNDS = Bent(np.array([0.1, 0.05, 0.5]), _covariance([0.15, 0.2, 0.2], 0.8))
BANANA = Bent(np.array([0.5, 0.3, 0.9]), _covariance([0.12, 0.03, 0.1], 0.0), bend=12.0)
KNOWN_TARGETS = {"normal cut by the bounds": CUT_BY_BOUNDS, "banana": BANANA}


@nb.njit(error_model="numpy")
def energy_at(position, mean, precision, bend, nan_above, inf_above, stretch, u):
    """Misfit at a position in the sampler's coordinates, less their log density."""
    d = mean.size
    for k in range(d):
        store(u, k, box_position(load(position, k), stretch[k]))
    first, last = load(u, 0), load(u, d - 1)
    for k in range(d):
        store(u, k, load(u, k) - mean[k])
    store(u, 1, load(u, 1) - bend * load(u, 0) * load(u, 0))
    phi = load(u, 0) * 0.0
    for k in range(d):
        for m in range(d):
            phi = phi + (0.5 * precision[k, m]) * load(u, k) * load(u, m)
    phi = where_less(nan_above, first, np.nan, phi)
    return where_less(inf_above, last, np.inf, phi) - log_density(position, stretch)


@nb.njit(error_model="numpy")
def unwrapped(chains, k):
    """Where the normal step led before it re-entered at the opposite bound."""
    x = load(chains.x, k)
    return x + (wrapped(load(chains.proposal, k) - x + 0.5) - 0.5)


@nb.njit(error_model="numpy")
def propose_wrongly(chains, rule, u):
    """Clip the normal step at the bounds, reflect it there, or redraw it until it ends inside."""
    d = chains.x.size // BLOCK_WIDTH
    if rule == REDRAWN:
        missing = load(chains.x, 0) * 0.0 + 1.0
        for k in range(d):
            store(u, k, load(chains.x, k))
        for _ in range(12):
            propose_normal(chains)
            ready = missing
            for k in range(d):
                raw = unwrapped(chains, k)
                ready = where_less(raw, 0.0, 0.0, where_less(1.0, raw, 0.0, ready))
            for k in range(d):
                store(u, k, where_less(0.5, ready, unwrapped(chains, k), load(u, k)))
            missing = missing - ready
        for k in range(d):
            store(chains.proposal, k, load(u, k))
        return
    propose_normal(chains)
    for k in range(d):
        raw = unwrapped(chains, k)
        clipped = where_less(raw, 0.0, 0.0, where_less(1.0, raw, 1.0, raw))
        store(chains.proposal, k, reflected(raw) if rule == REFLECTED else clipped)


@kept_compiled
def fill_chains(chains, rule, schedule, mean, precision, bend, nan_above, inf_above, stretch, u, draws, phis):
    limits = bend, nan_above, inf_above, stretch, u
    for k in range(mean.size):
        store(chains.x, k, 0.4 + 0.2 * uniform_block(chains.random))
    store(chains.phi, 0, energy_at(chains.x, mean, precision, *limits))
    for t in range(schedule.test_steps + schedule.burn_in + schedule.kept_steps):
        if t < schedule.test_steps or rule == UNIFORM_STEPS:
            propose_uniform(chains)
        elif rule == RIGHT or rule == ANNEALED:
            propose_normal(chains)
        else:
            propose_wrongly(chains, rule, u)
        cooling = np.log(t + 2.0) if rule == ANNEALED else 1.0
        moved = accept(chains, energy_at(chains.proposal, mean, precision, *limits), cooling)
        adapt(chains, moved, t, schedule)
        draw = draw_to_keep(t, schedule)
        if draw >= 0:
            keep(chains, stretch, draw, draws, phis)


def chain_draws(
    target: Bent, schedule: Schedule, rule: int = RIGHT, seed: int = 1, stretch: NDArray | None = None
) -> tuple[NDArray, NDArray]:
    """Draws (2 BLOCK_WIDTH, n_draws, d) and misfits (2 BLOCK_WIDTH, n_draws) of chains on `target`.

    Parameters
    ----------
    rule : int
        One of `RULES`.
    stretch : (d,), optional
        Of the coordinates; the unit cube if left out.
    """
    d = target.mean.size
    draws, phis = np.empty((2, BLOCK_WIDTH, schedule.n_draws, d)), np.empty((2, BLOCK_WIDTH, schedule.n_draws))
    limits = float(target.bend), float(target.nan_above), float(target.inf_above)
    precision, stretch = np.linalg.inv(target.covariance), np.zeros(d) if stretch is None else stretch
    for half in range(2):
        chains = new_chains(d, generator_states([(seed, half * BLOCK_WIDTH + k) for k in range(BLOCK_WIDTH)]))
        work = np.empty(d * BLOCK_WIDTH)
        fill_chains(chains, rule, schedule, target.mean, precision, *limits, stretch, work, draws[half], phis[half])
    return draws.reshape(-1, schedule.n_draws, d), phis.reshape(-1, schedule.n_draws)
