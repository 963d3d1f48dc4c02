"""The sites that are sampled, and their chains: for the steps of a plan, or until they have converged.

The chains of eight sites run side by side in SIMD blocks. A site's chains depend on the study's seed, the profile's id
and the chain's number alone, so the sites beside it, their order and the number of cores do not matter.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.kernels import coordinates, metropolis
from proda.kernels.diagnostics import Convergence, convergence
from proda.kernels.metropolis import KEPT_ACCEPTED, Chains, Proposal, Schedule, Target
from proda.kernels.misfit import layer_weights, misfit_forms
from proda.kernels.simd import BLOCK_WIDTH, generator_states
from proda.kernels.steady_state import to_blocks
from proda.model.configuration import Configuration, configuration_of
from proda.model.forcing import AnyForcing
from proda.model.observation import MID_DEPTH, layer_bounds, layer_means, layer_operator
from proda.model.parameters import CRYO, TAU_CWD
from proda.model.rates import unit_exchange
from proda.workers import in_parallel, n_workers

LEAST_BURN_IN = 100
ACCEPTED = 0.15, 0.50  # the paper's window of the share of accepted steps
_OF_LAYERS = "upper", "lower", "soc", "sd", "weight"


class SiteProblem(NamedTuple):
    """The sites, and the layers observed there, arrays (n_layers_observed,)."""

    profile_id: Sequence[str]
    forcing: AnyForcing  # one column a site
    site: NDArray[np.int64]  # number of the layer's site
    upper: NDArray[np.float64]  # bounds of the layer, m; the same number twice for the density at that depth
    lower: NDArray[np.float64]
    soc: NDArray[np.float64]  # observed density, g C m-3
    sd: NDArray[np.float64]  # its standard deviation, g C m-3
    weight: NDArray[np.float64]  # in Eq. 5.2

    @property
    def n_sites(self) -> int:
        return len(self.profile_id)

    @property
    def configuration(self) -> Configuration:
        """That of the model whose forcing the sites have."""
        return configuration_of(self.forcing)

    @property
    def depth(self) -> NDArray[np.float64]:
        """Middle of every layer, m."""
        return 0.5 * (self.upper + self.lower)

    def modelled(self, soc: NDArray) -> NDArray[np.float64]:
        """Density at the observed layers, (k,), of the profiles `soc` (n_layers, n_sites) at the sites."""
        return layer_means(soc, self.site, self.upper, self.lower, self.configuration.column)

    def take(self, sites: ArrayLike) -> "SiteProblem":
        """The sites of these numbers, in this order, renumbered from 0; one that is named twice becomes two sites."""
        sites = np.asarray(sites, np.int64)
        rows = [np.flatnonzero(self.site == k) for k in sites]
        return SiteProblem(
            [self.profile_id[k] for k in sites],
            self.forcing.take(sites),
            np.repeat(np.arange(sites.size), [row.size for row in rows]),
            *(getattr(self, name)[np.concatenate(rows)] for name in _OF_LAYERS),
        )

    def part(self, first: int, last: int) -> "SiteProblem":
        """Sites `first` to `last` (excluded), renumbered from 0."""
        return self.take(np.arange(first, min(last, self.n_sites)))

    def layers(self, inside: NDArray[np.bool_]) -> "SiteProblem":
        """The same sites with some of their layers; the weights stay what they were."""
        return self._replace(**{name: getattr(self, name)[inside] for name in ("site", *_OF_LAYERS)})

    def forms(self) -> NDArray[np.float64]:
        """The misfit of every site as a quadratic form (`misfit_forms`)."""
        operator = layer_operator(self.upper, self.lower, self.configuration.column)
        return misfit_forms(self.site, self.n_sites, operator, self.soc, self.weight, self.sd)


PAPER_WEIGHTS, EQUAL_WEIGHTS, BY_PROFILE = "weights of Eq. 5.2", "equal weights", "equal weights of profiles"


class ErrorModel(NamedTuple):
    """The error of an observed density x, and how it is compared with the model.

    The standard deviation is sd^2 = (relative x)^2 + floor^2; Tao et al. 2020 have a relative error of 0.3 alone.
    """

    relative: float = 0.3
    floor: float = 0.0  # kg C m-3
    weights: str = PAPER_WEIGHTS
    operator: str = MID_DEPTH  # as in the paper, or the modelled mean over the layer

    def sd(self, soc: NDArray) -> NDArray[np.float64]:
        """Standard deviation of densities `soc`, unit g C m-3."""
        return np.hypot(self.relative * soc, 1000.0 * self.floor)

    def weight(self, site: NDArray, depth: NDArray) -> NDArray[np.float64]:
        """Weights of layers at `depth` (k,), m, of the profiles `site`."""
        if self.weights == PAPER_WEIGHTS:
            return layer_weights(site, depth)
        return np.ones(site.size) if self.weights == EQUAL_WEIGHTS else 1.0 / np.bincount(site)[site]


PAPER_ERROR = ErrorModel()
ERROR_BOUNDS = np.array([[0.01, 2.0], [0.05, 50.0]])  # of an estimated relative part and floor (kg C m-3)


def error_model(settings: Mapping[str, Any], spread: float | None = None) -> ErrorModel:
    """The error model of a study, from its settings; with `spread`, kg C m-3, that of one-batch.

    To one set of parameters the variation between sites is an error as well: its floor is a multiple of the standard
    deviation of all densities, and profiles count equally, since all layers of a profile deviate together.
    """
    relative, operator = settings["relative_sd"], settings["observation_operator"]
    if settings["observation_error"] == "relative":
        return ErrorModel(relative, operator=operator)
    if spread is not None:
        return ErrorModel(relative, settings["one_batch_floor"] * spread, BY_PROFILE, operator)
    return ErrorModel(relative, settings["floor_kg_m3"], EQUAL_WEIGHTS, operator)


def site_problem(
    profiles: pd.DataFrame, layers: pd.DataFrame, cell_forcing: AnyForcing, error: ErrorModel = PAPER_ERROR
) -> SiteProblem:
    """The sites of a study, from its cleaned tables and the forcing of its cells.

    To the standard deviation of `error` the column `density_relative_sd`, where there is one, adds in quadrature: the
    uncertainty of a density computed from an estimated bulk density.
    """
    (upper, lower), soc = layer_bounds(layers, error.operator), layers["soc"].to_numpy(float)
    of_density = layers["density_relative_sd"].to_numpy(float) if "density_relative_sd" in layers else 0.0
    site, sd = layers["site"].to_numpy(np.int64), np.hypot(error.sd(soc), of_density * soc)
    weight = error.weight(site, layers["depth"].to_numpy(float))
    forcing = cell_forcing.take(profiles["cell"].to_numpy())
    return SiteProblem(profiles["profile_id"].tolist(), forcing, site, upper, lower, soc, sd, weight)


def site_faults(problem: SiteProblem) -> list[str]:
    """Why a site cannot be sampled, a text for each; empty for a site that can."""
    faults = [""] * problem.n_sites

    def note(site: int, fault: str) -> None:
        faults[site] = faults[site] or fault

    for name, values in problem.forcing._asdict().items():
        of_layers = np.reshape(values, (-1, problem.n_sites))
        for k in np.flatnonzero(~np.isfinite(of_layers).all(axis=0)):
            note(k, f"{name} of the forcing is {of_layers[~np.isfinite(of_layers[:, k]), k][0]}")
    entering = problem.forcing.annual_input
    for k in np.flatnonzero(entering <= 0.0):
        note(k, f"carbon input of the forcing is {entering[k]:g}: nothing enters the soil")
    if problem.configuration.monthly:
        above = np.full(problem.n_sites, np.inf)
        np.minimum.at(above, problem.site, problem.depth)
        rock = problem.configuration.soil_thickness(problem.forcing).sum(axis=0)
        for k in np.flatnonzero(np.isfinite(above) & (above > rock)):
            note(k, f"bedrock of the forcing at {rock[k]:g} m lies above its first observed layer at {above[k]:g} m")
    number_in_site = pd.Series(problem.site).groupby(problem.site).cumcount().to_numpy() + 1
    for name in _OF_LAYERS:
        values = getattr(problem, name)
        good = np.isfinite(values) & (values >= 0.0 if name == "upper" else values > 0.0)
        for row in np.flatnonzero(~good):
            note(problem.site[row], f"{name} of observed layer {number_in_site[row]} is {values[row]:g}")
    for k in np.flatnonzero(np.bincount(problem.site, minlength=problem.n_sites) == 0):
        note(k, "it has no observed layer")
    with np.errstate(all="ignore"):
        finite = np.isfinite(problem.forms()).all(axis=0)
    for k in np.flatnonzero(~finite):
        note(k, "the misfit of its layers is not a finite number")
    return faults


class SitePlan(NamedTuple):
    """How the chains of a site are run, and when they have converged."""

    schedule: Schedule
    n_chains: int = 3
    proposal: Proposal = metropolis.DEFAULT_PROPOSAL
    accepted_only: bool = False  # keep only states that a step arrived at, as the published programs do
    rhat_limit: float = 1.05  # the greatest rank-normalised R-hat of a parameter
    ess_limit: float = 400.0  # the least effective sample size of a parameter, bulk or tail
    max_steps: int = 0  # chains that have not converged go on, up to this many steps each; 0: the schedule alone
    n_kept: int = 500  # draws stored of a site, all chains together
    one_chain: bool = False  # moments and carbon are those of one chain, drawn among those in the `ACCEPTED` window


def site_plan(settings: Mapping[str, Any]) -> SitePlan:
    """The plan of site-by-site assimilation, from the settings of a study."""
    literal = settings["sampler"] == "paper"
    return SitePlan(
        schedule(settings["site_test_steps"], settings["site_steps"], settings["kept_draws"], literal),
        settings["chains"],
        Proposal(settings["site_coordinates"], literal=literal),
        one_chain=literal,
        rhat_limit=settings["site_rhat_limit"],
        ess_limit=settings["site_ess_limit"],
        max_steps=settings["site_max_steps"],
        n_kept=settings["kept_draws"],
    )


def schedule(test_steps: int, steps: int, draws: int, literal: bool = False) -> Schedule:
    """A schedule that keeps the second half of all steps, or of the formal run, thinned to at most `draws` a chain.

    The test run (Eq. 7) has `test_steps`, the formal run (Eq. 8) `steps`: what is not kept of it is burn-in; as in the
    paper, `literal`, that is its first half. An InputError when that leaves no burn-in, or fewer kept steps than draws.
    """
    kept = steps // 2 if literal else (test_steps + steps) // 2
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


def inert_parameters(forcing: AnyForcing) -> NDArray[np.bool_]:
    """Which parameters cannot change the soil carbon of n columns, (n, n_parameters).

    The turnover time of coarse woody debris holds back no carbon at steady state, and without frost there is no
    cryoturbation.
    """
    configuration = configuration_of(forcing)
    inert = np.zeros((forcing.n_columns, len(configuration.parameters)), bool)
    inert[:, TAU_CWD] = True
    inert[:, CRYO] = ~(unit_exchange(forcing, configuration)[1].downward > 0.0).any(axis=0)
    return inert


def with_inert_from_prior(draws: NDArray, inert: NDArray, entropy: Sequence[Sequence[int]]) -> NDArray:
    """Draws (n, chain, draw, parameter) of n targets with their `inert` parameters replaced by draws of the prior.

    Data say nothing about these; a chain would only add its own error. `entropy` seeds each target.
    """
    for own, fixed, seed in zip(draws, inert, entropy, strict=True):
        own[..., fixed] = np.random.default_rng(seed).random((*own.shape[:-1], fixed.sum()))
    return draws


def one_of_accepted(acceptance: NDArray, entropy: Sequence[int]) -> int:
    """One of the chains whose `acceptance` (n_chains,) lies in `ACCEPTED`, at random; -1 where none does."""
    inside = np.flatnonzero((acceptance >= ACCEPTED[0]) & (acceptance <= ACCEPTED[1]))
    return int(np.random.default_rng(entropy).choice(inside)) if inside.size else -1


class SampledSites(NamedTuple):
    """Chains of some sites."""

    draws: NDArray[np.float32]  # (site, chain, draw, parameter), on the unit cube
    phi: NDArray[np.float64]  # (site, chain, draw), their misfit
    acceptance: NDArray[np.float64]  # (site, chain), of the kept part
    steps: NDArray[np.int64]  # (site,), of each chain
    mixing: Convergence  # fields (site, parameter)

    def converged(self, plan: SitePlan) -> NDArray[np.bool_]:
        """Whether every parameter of a site meets the limits of the plan, (site,)."""
        good = self.mixing.rhat <= plan.rhat_limit
        good &= (self.mixing.ess_bulk >= plan.ess_limit) & (self.mixing.ess_tail >= plan.ess_limit)
        return good.all(axis=-1)

    def posterior(self, plan: SitePlan, profile_id: Sequence[str]) -> tuple[NDArray, NDArray]:
        """Draws of the posterior, (site, chain, draw, parameter), and the one chain they are of, (site,).

        That is -1 where they are of all chains, and, with `plan.one_chain`, where none was accepted: the draws are then
        those of the first.
        """
        if not plan.one_chain:
            return self.draws, np.full(len(self.draws), -1)
        pairs = zip(self.acceptance, profile_id, strict=True)
        chosen = np.array([one_of_accepted(accepted, (*name.encode(), 98)) for accepted, name in pairs])
        return np.take_along_axis(self.draws, np.maximum(chosen, 0)[:, None, None, None], axis=1), chosen


def sampled_sites(problem: SiteProblem, seed: int, plan: SitePlan) -> SampledSites:
    """Run the chains of all sites of `problem`.

    With `plan.max_steps` the chains of sites that have not converged go on, round after round: each round is as many
    times longer as the effective sample size of the last suggests, begins with the covariance of all chains of the
    site, and replaces the draws. A site is given up when no longer round fits into `max_steps`.
    """
    names = [int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") for name in problem.profile_id]
    seeds = [(seed, name, chain) for name in names for chain in range(plan.n_chains)]
    inert = inert_parameters(problem.forcing) & (not plan.proposal.literal), [(seed, name, 99) for name in names]
    sampled, ends = _round(problem, plan, plan.schedule, inert, {"random": generator_states(seeds)})
    times = np.ones(problem.n_sites, np.int64)
    while plan.max_steps:
        growth = _growth(sampled, plan, times)
        if not growth.any():
            break
        times *= np.maximum(growth, 1)
        for length in np.unique(times[growth > 0]):
            chosen = np.flatnonzero((growth > 0) & (times == length))
            chains = (chosen[:, None] * plan.n_chains + np.arange(plan.n_chains)).ravel()
            this = lengthened(plan.schedule, length)
            part = {name: rows[:, chains] for name, rows in ends.items()}
            free = inert[0][chosen], [inert[1][k] for k in chosen]
            longer, part = _round(problem.take(chosen), plan, this, free, part, sampled.draws[chosen])
            for whole, values in zip((*sampled[:3], *sampled.mixing), (*longer[:3], *longer.mixing), strict=True):
                whole[chosen] = values
            sampled.steps[chosen] += this.total
            for name, rows in part.items():
                ends[name][:, chains] = rows
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
    problem: SiteProblem,
    plan: SitePlan,
    schedule: Schedule,
    inert: tuple[NDArray, Sequence],
    ends: Mapping[str, NDArray],
    before: NDArray | None = None,
) -> tuple[SampledSites, dict[str, NDArray]]:
    """One run of the schedule for all sites, and where their chains end: fields of `Chains`, (rows, all chains).

    `inert` are the last arguments of `with_inert_from_prior`. With draws `before` the chains go on from their `ends`,
    with the covariance of these draws.
    """
    of_chain = np.repeat(np.arange(problem.n_sites), plan.n_chains)
    of_chains, configuration = (problem.forcing.take(of_chain), problem.forms()[:, of_chain]), problem.configuration
    target = metropolis.new_target(*of_chains, False, plan.proposal, configuration)
    begin = {name: to_blocks(rows) for name, rows in ends.items()}
    if before is not None:
        stretches = coordinates.stretches(plan.proposal.coordinates, configuration.parameters)
        history = coordinates.stretched(before, stretches).reshape(problem.n_sites, -1, target.low.size)
        of_block = np.pad(of_chain, (0, -of_chain.size % BLOCK_WIDTH), mode="edge").reshape(-1, BLOCK_WIDTH)
    done, kept = [], []
    for block in range(len(target.place)):
        chains = metropolis.new_chains(target.low.size, begin["random"][block], target.scale)
        own = target._replace(**{name: getattr(target, name)[[block]] for name in ("place", "forms", "ins")})
        if before is None:
            metropolis.start_chains(chains, own)
        else:
            chains = metropolis.with_history(chains, history[of_block[block]])
            chains.x[:], chains.phi[:] = begin["x"][block], begin["phi"][block]
        kept.append(_kept(chains, own, schedule, plan.accepted_only))
        done.append(chains)

    def by_chain(name: str) -> NDArray:
        rows = [getattr(chains, name).reshape(-1, BLOCK_WIDTH) for chains in done]
        return np.concatenate(rows, axis=1)[:, : of_chain.size]

    shape = problem.n_sites, plan.n_chains
    draws, phis = (np.concatenate(rows)[: of_chain.size] for rows in zip(*kept, strict=True))
    draws, phis = with_inert_from_prior(draws.reshape(*shape, *draws.shape[1:]), *inert), phis.reshape(*shape, -1)
    accepted = by_chain("tuning")[KEPT_ACCEPTED].reshape(shape) / schedule.kept_steps
    mixing = convergence(np.moveaxis(draws, -1, 1))
    sampled = SampledSites(draws, phis, accepted, np.full(problem.n_sites, schedule.total), mixing)
    return sampled, {name: by_chain(name) for name in ("x", "phi", "random")}


def _kept(chains: Chains, target: Target, schedule: Schedule, accepted_only: bool) -> tuple[NDArray, NDArray]:
    """Draws (BLOCK_WIDTH, n_draws, n_parameters) and their misfits, of one block."""
    every = schedule._replace(thin=1) if accepted_only else schedule
    d = target.low.size
    draws, phis = np.empty((BLOCK_WIDTH, every.n_draws, d), np.float32), np.empty((BLOCK_WIDTH, every.n_draws))
    metropolis.run_chains(chains, target, every, 0, every.total, draws, phis)
    if not accepted_only:
        return draws, phis
    chosen = np.empty((BLOCK_WIDTH, schedule.n_draws), np.int64)
    for chain in range(BLOCK_WIDTH):
        moved = np.flatnonzero((np.diff(draws[chain], axis=0) != 0.0).any(axis=-1)) + 1
        # A chain that hardly moves has fewer such states than draws: they are then stored more than once.
        among = moved if moved.size else np.zeros(1, np.int64)
        chosen[chain] = among[np.linspace(0, among.size - 1, schedule.n_draws).round().astype(int)]
    return np.take_along_axis(draws, chosen[..., None], axis=1), np.take_along_axis(phis, chosen, axis=1)


# Few sites go on after the first rounds, and their chains fill SIMD blocks the better the more sites a part has.
_LEAST, _MOST = 32, 128


def sampled_by_workers(problem: SiteProblem, seed: int, plan: SitePlan) -> SampledSites:
    """`sampled_sites` of all sites of `problem`, part by part, on all cores; the same to the last bit."""
    size = min(max(-(-problem.n_sites // (2 * n_workers())), _LEAST), _MOST)
    parts = [problem.part(first, first + size) for first in range(0, problem.n_sites, size)]
    with in_parallel(sampled_sites, parts, seed, plan) as done:
        sampled = list(done)
    arrays = (np.concatenate(values) for values in zip(*(one[:4] for one in sampled), strict=True))
    mixing = Convergence(*(np.concatenate(values) for values in zip(*(one.mixing for one in sampled), strict=True)))
    return SampledSites(*arrays, mixing)
