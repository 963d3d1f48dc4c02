"""The chains of sites: for the steps of their plan, or until they have converged.

The chains of eight sites run side by side in SIMD blocks. A site's chains depend on the study's seed, the profile's id
and the chain's number alone, so the sites beside it, their order and the number of cores do not matter.
"""

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from proda.assimilation.problem import SiteProblem
from proda.errors import InputError
from proda.kernels.diagnostics import Convergence, convergence
from proda.kernels.metropolis import (
    DEFAULT_PROPOSAL,
    KEPT_ACCEPTED,
    Proposal,
    Schedule,
    Target,
    new_chains,
    new_target,
    run_chains,
    start_chains,
    stretched,
    stretches,
    with_history,
)
from proda.kernels.random import generator_states
from proda.kernels.simd import BLOCK_WIDTH
from proda.kernels.steady_state import to_blocks
from proda.model.parameters import PAPER_PARAMETERS

LEAST_BURN_IN = 100


class SitePlan(NamedTuple):
    """How the chains of a site are run.

    Attributes
    ----------
    schedule : Schedule
    n_chains : int
    proposal : Proposal
    accepted_only : bool
        Keep only states that a step arrived at, as the published programs do: waiting times are lost.
    rhat_limit, ess_limit : float
        A site has converged when the rank-normalised R-hat of every parameter is at most, and its bulk and tail
        effective sample sizes are at least these.
    max_steps : int
        Chains of a site that has not converged go on, up to this many steps each; 0 to take the schedule as it is.
    n_kept : int
        Draws stored of a site, all chains together.
    """

    schedule: Schedule
    n_chains: int = 3
    proposal: Proposal = DEFAULT_PROPOSAL
    accepted_only: bool = False
    rhat_limit: float = 1.05
    ess_limit: float = 400.0
    max_steps: int = 0
    n_kept: int = 500


def site_plan(settings: Mapping[str, Any]) -> SitePlan:
    """The plan of site-by-site assimilation, from the settings of a study (`Study.settings`, or the study itself)."""
    return SitePlan(
        schedule=schedule(settings["site_test_steps"], settings["site_steps"], settings["kept_draws"]),
        n_chains=settings["chains"],
        proposal=Proposal(settings["site_coordinates"], settings["site_acceptance"] == "annealed"),
        accepted_only=settings["site_kept_states"] == "accepted",
        rhat_limit=settings["site_rhat_limit"],
        ess_limit=settings["site_ess_limit"],
        max_steps=settings["site_max_steps"],
        n_kept=settings["kept_draws"],
    )


def schedule(test_steps: int, steps: int, draws: int) -> Schedule:
    """A schedule that keeps the second half of all steps, thinned to at most `draws` a chain.

    Parameters
    ----------
    test_steps : int
        Length of the test run (Eq. 7).
    steps : int
        Length of the formal run (Eq. 8): what is not kept of it is burn-in.
    draws : int
        Number of states to store for a chain.

    Raises
    ------
    InputError
        When the formal run leaves no room for a burn-in, or fewer kept steps than draws.
    """
    kept = (test_steps + steps) // 2
    burn_in = steps - kept
    if burn_in < LEAST_BURN_IN or kept < draws:
        raise InputError(
            f"{test_steps} test and {steps} formal steps leave {burn_in} steps of burn-in and {kept} kept "
            f"steps for {draws} draws; expected at least {LEAST_BURN_IN} and {draws}: raise the number of formal steps."
        )
    thin = kept // draws
    # Steps that would not complete a draw belong to the burn-in.
    return Schedule(test_steps, steps - thin * draws, thin * draws, thin)


def lengthened(first: Schedule, times: int) -> Schedule:
    """A later round of a site that has not converged: `times` the kept steps of the first for as many draws.

    The burn-in, a quarter as long, lets the chains settle with the covariance of their history together.
    """
    kept = times * first.kept_steps
    return Schedule(0, kept // 4, kept, times * first.thin)


_LONGEST_LEAP = 16.0  # times that a round may be longer than the last: a short round gives a vague estimate of mixing


class SampledSites(NamedTuple):
    """Chains of some sites.

    `draws` on the unit cube (site, chain, draw, parameter), their misfit `phi` (site, chain, draw), the `acceptance` of
    the kept part (site, chain), the number of `steps` of each chain (site,), and the `mixing` of every parameter,
    fields (site, parameter).
    """

    draws: NDArray[np.float32]
    phi: NDArray[np.float64]
    acceptance: NDArray[np.float64]
    steps: NDArray[np.int64]
    mixing: Convergence

    def converged(self, plan: SitePlan) -> NDArray[np.bool_]:
        """Whether every parameter of a site meets the limits of the plan, (site,)."""
        good = self.mixing.rhat <= plan.rhat_limit
        good &= (self.mixing.ess_bulk >= plan.ess_limit) & (self.mixing.ess_tail >= plan.ess_limit)
        return good.all(axis=-1)


class _Ends(NamedTuple):
    """Where chains stand: coordinates (n_parameters, n_lanes), phi (1, n_lanes) and random state (4, n_lanes)."""

    x: NDArray[np.float64]
    phi: NDArray[np.float64]
    random: NDArray[np.uint64]


def chain_seed(study_seed: int, profile_id: str, chain: int) -> tuple[int, int, int]:
    """The seed of one chain of one site, wherever and with whatever others it is run."""
    name = int.from_bytes(hashlib.sha256(profile_id.encode()).digest()[:8], "big")
    return study_seed, name, chain


def sampled_sites(problem: SiteProblem, seed: int, plan: SitePlan) -> SampledSites:
    """Run the chains of all sites of `problem`.

    With `plan.max_steps` the chains of sites that have not converged go on, round after round: each round is as many
    times longer as the effective sample size of the last suggests, begins with the covariance of all chains of the
    site, and replaces the draws. A site is given up when no longer round fits into `max_steps`.
    """
    seeds = [chain_seed(seed, name, chain) for name in problem.profile_id for chain in range(plan.n_chains)]
    start = _Ends(np.empty(0), np.empty(0), generator_states(seeds))
    sampled, ends = _round(problem, plan, plan.schedule, start)
    times = np.ones(problem.n_sites, np.int64)
    while plan.max_steps:
        growth = _growth(sampled, plan, times)
        if not growth.any():
            break
        times *= np.maximum(growth, 1)
        for length in np.unique(times[growth > 0]):
            chosen = np.flatnonzero((growth > 0) & (times == length))
            lanes = (chosen[:, None] * plan.n_chains + np.arange(plan.n_chains)).ravel()
            this = lengthened(plan.schedule, length)
            part = _Ends(*(rows[:, lanes] for rows in ends))
            longer, part = _round(problem.take(chosen), plan, this, part, sampled.draws[chosen])
            for whole, values in zip((*sampled[:3], *sampled.mixing), (*longer[:3], *longer.mixing), strict=True):
                whole[chosen] = values
            sampled.steps[chosen] += this.total
            for rows, values in zip(ends, part, strict=True):
                rows[:, lanes] = values
    return sampled


def _growth(sampled: SampledSites, plan: SitePlan, times: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many times longer the next round of each site is, a power of two, (n_sites,); 0 where there is none."""
    mixing = sampled.mixing
    ess = np.nan_to_num(np.fmin(mixing.ess_bulk, mixing.ess_tail).min(axis=-1), nan=1.0)
    # R-hat needs more than an ESS of 400 to come below 1.01 in all parameters.
    wanted = 2.0 * max(plan.ess_limit, 400.0) / np.maximum(ess, 1.0)
    growth = np.exp2(np.floor(np.log2(np.clip(wanted, 2.0, _LONGEST_LEAP)))).astype(np.int64)
    growth[sampled.converged(plan)] = 0
    for k in np.flatnonzero(growth):
        left = plan.max_steps - sampled.steps[k]
        while growth[k] > 1 and lengthened(plan.schedule, times[k] * growth[k]).total > left:
            growth[k] //= 2
    return np.where(growth > 1, growth, 0)


def _round(
    problem: SiteProblem, plan: SitePlan, schedule: Schedule, ends: _Ends, before: NDArray | None = None
) -> tuple[SampledSites, _Ends]:
    """One run of the schedule for all sites: from where the chains stand, with the covariance of the draws `before`."""
    n_sites, d, n_chains = problem.n_sites, len(PAPER_PARAMETERS), plan.n_chains
    of_lane = np.repeat(np.arange(n_sites), n_chains)
    forms = problem.forms()[:, of_lane]
    target = new_target(problem.forcing.take(of_lane), forms, pooled=False, proposal=plan.proposal)
    n_lanes, n_draws = of_lane.size, schedule.n_draws
    draws = np.empty((n_lanes, n_draws, d), np.float32)
    phis, accepted = np.empty((n_lanes, n_draws)), np.empty(n_lanes)
    x, phi, random = np.empty((d, n_lanes)), np.empty((1, n_lanes)), np.empty((4, n_lanes), np.uint64)
    history = None
    if before is not None:
        history = stretched(before, stretches(plan.proposal.coordinates)).reshape(n_sites, -1, d)
    filled = _Ends(*(to_blocks(rows) if rows.size else rows for rows in ends))
    for block, first in enumerate(range(0, n_lanes, BLOCK_WIDTH)):
        used = slice(first, min(first + BLOCK_WIDTH, n_lanes))
        count = used.stop - first
        chains = new_chains(d, filled.random[block])
        own = target._replace(**{name: getattr(target, name)[[block]] for name in ("place", "forms", "ins")})
        if history is None:
            start_chains(chains, own)
        else:
            lanes = of_lane[np.minimum(np.arange(first, first + BLOCK_WIDTH), n_lanes - 1)]
            chains = with_history(chains, history[lanes])
            chains.x[:], chains.phi[:] = filled.x[block], filled.phi[block]
        draws[used], phis[used] = (kept[:count] for kept in _kept(chains, own, schedule, plan.accepted_only))
        for rows, now in ((x, chains.x), (phi, chains.phi), (random, chains.random)):
            rows[:, used] = now.reshape(-1, BLOCK_WIDTH)[:, :count]
        accepted[used] = chains.tuning.reshape(-1, BLOCK_WIDTH)[KEPT_ACCEPTED, :count] / schedule.kept_steps
    draws = draws.reshape(n_sites, n_chains, n_draws, d)
    mixing = convergence(np.moveaxis(draws, -1, 1))
    steps = np.full(n_sites, schedule.total)
    shape = (n_sites, n_chains)
    sampled = SampledSites(draws, phis.reshape(*shape, n_draws), accepted.reshape(shape), steps, mixing)
    return sampled, _Ends(x, phi, random)


def _kept(chains, target: Target, schedule: Schedule, accepted_only: bool) -> tuple[NDArray, NDArray]:
    """Draws (BLOCK_WIDTH, n_draws, n_parameters) and their misfits, of one block."""
    every = schedule._replace(thin=1) if accepted_only else schedule
    d = target.low.size
    draws, phis = np.empty((BLOCK_WIDTH, every.n_draws, d), np.float32), np.empty((BLOCK_WIDTH, every.n_draws))
    run_chains(chains, target, every, 0, every.total, draws, phis)
    if not accepted_only:
        return draws, phis
    chosen = np.empty((BLOCK_WIDTH, schedule.n_draws), np.int64)
    for lane in range(BLOCK_WIDTH):
        moved = np.flatnonzero((np.diff(draws[lane], axis=0) != 0.0).any(axis=-1)) + 1
        # A chain that hardly moves has fewer such states than draws: they are then stored more than once.
        among = moved if moved.size else np.zeros(1, np.int64)
        chosen[lane] = among[np.linspace(0, among.size - 1, schedule.n_draws).round().astype(int)]
    return np.take_along_axis(draws, chosen[..., None], axis=1), np.take_along_axis(phis, chosen, axis=1)


# Few sites go on after the first rounds, and their chains fill SIMD blocks the better the more sites a part has.
_LEAST, _MOST = 32, 128


def n_workers() -> int:
    """Threads for the samplers: the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def sampled_by_workers(problem: SiteProblem, seed: int, plan: SitePlan) -> SampledSites:
    """`sampled_sites` of all sites of `problem`, part by part, on all cores; the same to the last bit."""
    size = min(max(-(-problem.n_sites // (2 * n_workers())), _LEAST), _MOST)
    parts = [problem.part(first, min(first + size, problem.n_sites)) for first in range(0, problem.n_sites, size)]
    with ThreadPoolExecutor(n_workers()) as pool:
        sampled = list(pool.map(lambda part: sampled_sites(part, seed, plan), parts))
    arrays = (np.concatenate(values) for values in zip(*(one[:4] for one in sampled), strict=True))
    mixing = Convergence(*(np.concatenate(values) for values in zip(*(one.mixing for one in sampled), strict=True)))
    return SampledSites(*arrays, mixing)
