"""Chains over the soil-carbon model: the compiled loop that both assimilation schemes run.

Site by site, every lane is a chain of its own. For one-batch, all lanes carry the same chain and its misfit is the sum
over the columns of all cells, eight at a time.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from proda.assimilation.adaptive_metropolis import accept, adapt, propose_normal, propose_uniform
from proda.assimilation.chain_state import draw_to_keep, keep
from proda.assimilation.coordinates import BOX, box_position, log_density, stretches
from proda.assimilation.lane_random import fill_uniform
from proda.assimilation.misfit import misfit_lanes
from proda.compiled import inlined, kept_compiled
from proda.model.configuration import PAPER, Configuration
from proda.model.forcing import Forcing
from proda.model.lane_drivers import in_lanes, lane_grid, lane_places, lane_work
from proda.model.lane_type import LANES, load, spread, store, where_less
from proda.model.lanes import steady_lanes
from proda.model.parameters import INS, P4CL, P4LL, P4ML, bounds

# Each chain starts at the best of this many draws from the prior. A single draw is often so far out that the chain
# spends its test run in a corner of the box; and one draw in six leaves no carbon for woody debris.
_START_DRAWS = 400


class Target(NamedTuple):
    """What a block of chains is fitted to and how: blocks of `LANES` columns, their forms, and work space."""

    place: NDArray[np.float64]  # (n_blocks, rows * LANES), `lane_places`
    forms: NDArray[np.float64]  # (n_blocks, rows * LANES), `misfit_forms`
    ins: NDArray[np.float64]  # (n_blocks, 2 * LANES): least value and range of `ins`
    low: NDArray[np.float64]  # (n_parameters,)
    width: NDArray[np.float64]  # (n_parameters,)
    grid: NDArray[np.float64]
    n_layers: int
    pooled: bool
    stretch: NDArray[np.float64]  # (n_parameters,), of the coordinates
    annealed: bool
    theta: NDArray[np.float64]
    work: NDArray[np.float64]


class Moves(NamedTuple):
    """How chains move: in which coordinates, "box" or "logarithmic", and by which acceptance.

    `annealed` is the rule of the published programs, exp(-dPhi ln(t + 2)) at step t: the chain cools, and its spread
    comes out at a third to a half of the posterior's. It is there to be compared with.
    """

    coordinates: str = BOX
    annealed: bool = False


DEFAULT_MOVES = Moves()


def new_target(
    forcing: Forcing, forms: NDArray, pooled: bool, moves: Moves = DEFAULT_MOVES, configuration: Configuration = PAPER
) -> Target:
    """The target of chains in lanes (`pooled` false) or of one chain over all columns (`pooled` true).

    Parameters
    ----------
    forcing : Forcing
        Of n columns.
    forms : (rows, n)
        From `misfit_forms`; multiply by B of Eq. 5.1 to temper.
    """
    n = forcing.n_columns
    table = configuration.parameters
    low, high = bounds(forcing, table)
    filling = -n % LANES
    # Lanes beyond the last column must not count when columns are summed.
    padded = np.pad(forms, ((0, 0), (0, filling))) if pooled else forms
    return Target(
        place=in_lanes(lane_places(forcing, configuration)),
        forms=in_lanes(padded),
        ins=in_lanes(np.stack([low[INS], high[INS] - low[INS]])),
        low=table.minimum.copy(),
        width=table.maximum - table.minimum,
        grid=lane_grid(configuration),
        n_layers=configuration.column.n_layers,
        pooled=pooled,
        stretch=stretches(moves.coordinates, table),
        annealed=moves.annealed,
        theta=np.zeros(len(table) * LANES),
        work=lane_work(configuration),
    )


def block_of(target: Target, block: int) -> Target:
    """One block of an unpooled target, for the thread that owns it: the blocks of a thread share its work space."""
    one = slice(block, block + 1)
    return target._replace(place=target.place[one], forms=target.forms[one], ins=target.ins[one])


@inlined
def proposed_phi(position, target):
    """Misfit at `position` in every lane, less the log density of the coordinates.

    Infinite where no carbon is left for woody debris.
    """
    theta, stretch = target.theta, target.stretch
    for k in range(target.low.size):
        store(theta, k, target.low[k] + target.width[k] * box_position(load(position, k), stretch[k]))
    ins = box_position(load(position, INS), stretch[INS])
    share = 1.0 - load(theta, P4LL) - load(theta, P4ML) - load(theta, P4CL)
    phi = share * 0.0
    for block in range(target.place.shape[0]):
        store(theta, INS, load(target.ins[block], 0) + load(target.ins[block], 1) * ins)
        steady_lanes(theta, target.place[block], target.grid, target.n_layers, 0, target.work)
        phi = phi + misfit_lanes(target.work, target.forms[block], target.grid, target.n_layers)
    if target.pooled:
        store(theta, 0, phi)
        phi = spread(theta[:LANES].sum(), phi)
    return where_less(0.0, share, phi - log_density(position, stretch), np.inf)


@kept_compiled
def start_chains(chains, target):
    """Dispersed starts: each lane begins at the best of its own draws from the prior.

    The draws are even in the sampler's coordinates, which only decides where a chain begins.
    """
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
    """Take steps `begin` to `end` of the schedule; kept draws go to `draws` (LANES, n_draws, n_parameters), `phis`."""
    for t in range(begin, end):
        if t < schedule.test_steps:
            propose_uniform(chains)
        else:
            propose_normal(chains)
        cooling = np.log(t + 2.0) if target.annealed else 1.0
        moved = accept(chains, proposed_phi(chains.proposal, target), cooling)
        adapt(chains, moved, t, schedule)
        draw = draw_to_keep(t, schedule)
        if draw >= 0:
            keep(chains, target.stretch, draw, draws, phis)
