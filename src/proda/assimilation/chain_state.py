"""The state of a block of chains, how long they run, and what is kept of them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from proda.assimilation.coordinates import box_position, log_density
from proda.compiled import inlined
from proda.model.lane_type import LANES, load, store

WIDEST = 1.0 / 5.0  # 1/D of Eq. 7 with the paper's D
OPTIMAL_SCALE = 2.38  # s_d = 2.38^2 / d in Eq. 8
SCALE, TEST_ACCEPTED, KEPT_ACCEPTED = range(3)  # rows of `Chains.tuning`
# Which directions a step moves along is drawn from one stream for all chains, whatever their site, batch or seed.
_DIRECTIONS_SEED = 0x9E3779B97F4A7C15


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
    """The state of `LANES` chains: flat rows of lanes, one row a parameter unless said otherwise."""

    x: NDArray[np.float64]  # in the sampler's coordinates (`proda.assimilation.coordinates`)
    proposal: NDArray[np.float64]
    phi: NDArray[np.float64]  # one row: the misfit, less the log density of the coordinates
    random: NDArray[np.uint64]  # four rows
    tuning: NDArray[np.float64]  # step length, and counts of accepted steps
    widest: NDArray[np.float64]  # 1/D of Eq. 7, a single number
    mean: NDArray[np.float64]  # of the history
    scatter: NDArray[np.float64]  # of the history: the lower triangle, a row an element
    factor: NDArray[np.float64]  # Cholesky factor of the covariance, likewise
    deviation: NDArray[np.float64]  # work space, two rows more
    count: NDArray[np.int64]  # states in the history, a single number
    directions: NDArray[np.uint64]  # state of the stream of directions, a single number
    moving: NDArray[np.int64]  # work space: the directions of a step, one element more


def new_chains(n_parameters: int, random: NDArray[np.uint64]) -> Chains:
    """Chains before their first step; `random` is (4, LANES), from `generator_states`."""
    triangle = n_parameters * (n_parameters + 1) // 2
    sizes = dict(x=n_parameters, proposal=n_parameters, phi=1, tuning=3, mean=n_parameters)
    sizes |= dict(scatter=triangle, factor=triangle, deviation=n_parameters + 2)
    rows = {name: np.zeros(size * LANES) for name, size in sizes.items()}
    rows["tuning"][:LANES] = OPTIMAL_SCALE / np.sqrt(n_parameters)
    return Chains(
        **rows,
        random=np.ascontiguousarray(random).ravel().copy(),
        count=np.zeros(1, np.int64),
        widest=np.array([WIDEST]),
        directions=np.array([_DIRECTIONS_SEED], np.uint64),
        moving=np.zeros(n_parameters + 1, np.int64),
    )


def with_history(chains: Chains, history: NDArray[np.float64]) -> Chains:
    """Chains that have learned from `history`, (LANES, n, n_parameters), states in the sampler's coordinates."""
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
    """Write the present state of every lane to `draws`, (LANES, n_draws, n_parameters) on the unit cube, and `phis`."""
    d = stretch.size
    place = chains.deviation
    for k in range(d):
        store(place, k, box_position(load(chains.x, k), stretch[k]))
    store(place, d, load(chains.phi, 0) + log_density(chains.x, stretch))
    for lane in range(LANES):
        for k in range(d):
            draws[lane, draw, k] = place[k * LANES + lane]
        phis[lane, draw] = place[d * LANES + lane]
