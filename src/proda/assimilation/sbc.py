"""Tests of the sampler and of its error model, on known targets, simulated profiles and withheld layers.

Simulation-based calibration (Talts et al. 2018, arXiv 1804.06788): draw parameters from the prior, simulate a profile
with the error that the likelihood assumes, and sample its posterior. Over many profiles the rank of the true value
among the draws is uniform for every parameter, and 90 % intervals hold the truth nine times in ten; any mistake in
misfit, prior, sampler or diagnostics bends the ranks.
"""

import time
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import binom, ks_2samp

from proda.assimilation.chains import ERROR_BOUNDS, ErrorModel, SitePlan, SiteProblem, sampled_by_workers, schedule
from proda.assimilation.store import soc_of_draws
from proda.compiled import inlined, kept_compiled
from proda.kernels import metropolis
from proda.kernels.coordinates import BOX, LOGARITHMIC
from proda.kernels.metropolis import Proposal, Schedule
from proda.kernels.simd import BLOCK_WIDTH, generator_states, load, store, uniform_block
from proda.model.parameters import SHARES, ParameterTable

N_RANKED = 99  # draws of a posterior that the truth is ranked among
_N_INTERVAL = 500  # draws of an interval, at most: of a hundred, quantiles of 90 % would hold 88 %
# The sampler of the paper, of single profiles.
PAPER_PLAN = SitePlan(schedule(20_000, 30_000, 500, literal=True), proposal=Proposal(literal=True), one_chain=True)
AS_ASSUMED, AS_IN_PAPER = "as the likelihood assumes", "as in the paper"
LEAST_LAYERS = 3  # of a profile with a withheld layer: two are left to be fitted
DEPTHS = {"0-30 cm": (0.0, 0.3), "30-100 cm": (0.3, 1.0), "below 100 cm": (1.0, np.inf), "all": (0.0, np.inf)}  # m
KNOWN_SCHEDULE = Schedule(5_000, 15_000, 200_000, 200)
PROPOSALS = {"the paper's: unit cube": Proposal(BOX), "logarithmic coordinates": Proposal(LOGARITHMIC)}


class SimulatedCalibration(NamedTuple):
    """The result of simulation-based calibration with n profiles; ranks of the converged ones are uniform as well."""

    ranks: NDArray[np.int64]  # (n, n_parameters), number of the `N_RANKED` posterior draws below the truth
    layers: pd.DataFrame  # observed layers: `site`, `depth` (m), whether the truth is `inside` the 90 % interval
    # (n,), whether the chains met the limits of their plan, or, where one chain is the posterior, one was accepted.
    converged: NDArray[np.bool_]


def simulated_calibration(
    like: SiteProblem, seed: int, plan: SitePlan, error: ErrorModel, choice: str = AS_ASSUMED
) -> SimulatedCalibration:
    """Simulate and sample one profile for each site of `like`, which gives the places and the depths.

    `choice` names the errors, `AS_ASSUMED` or `AS_IN_PAPER`: see `simulated_profiles`.
    """
    rng = np.random.default_rng([seed, 4])
    x = prior_draws(like.n_sites, rng, like.configuration.parameters)
    problem, truth = simulated_profiles(like, x, choice, error, rng)
    names = [f"simulated {k}" for k in range(like.n_sites)]
    sampled = sampled_by_workers(problem._replace(profile_id=names), seed, plan)
    draws, chain = sampled.posterior(plan, names)
    draws = draws.reshape(like.n_sites, -1, x.shape[1])
    ranks = (_thinned(draws, N_RANKED) < x[:, None]).sum(axis=1)
    low, high = np.quantile(modelled_soc(_thinned(draws, _N_INTERVAL), problem), (0.05, 0.95), axis=0)
    truth = problem.modelled(truth)
    inside = (low <= truth) & (truth <= high)
    layers = pd.DataFrame({"site": problem.site, "depth": problem.depth, "inside": inside})
    return SimulatedCalibration(ranks, layers, chain >= 0 if plan.one_chain else sampled.converged(plan))


def prior_draws(n: int, rng: np.random.Generator, table: ParameterTable) -> NDArray[np.float64]:
    """Draws from the prior on the unit cube, (n, n_parameters): uniform where a share is left for woody debris."""
    low, width = table.minimum, table.maximum - table.minimum
    rows = list(SHARES) if table.has_shares else []
    draws = np.empty((0, len(table)))
    while len(draws) < n:
        x = rng.random((2 * n, len(table)))
        draws = np.concatenate([draws, x[(low[rows] + width[rows] * x[:, rows]).sum(axis=1) < 1.0]])
    return draws[:n]


def simulated_profiles(
    like: SiteProblem, x: NDArray, choice: str, error: ErrorModel, rng: np.random.Generator
) -> tuple[SiteProblem, NDArray[np.float64]]:
    """Profiles like those in `like`, simulated from x (n_sites, n_parameters), and the true ones (n_layers, n_sites).

    "as the likelihood assumes": a normal error of standard deviation sigma over the root of the weight, where sigma is
    known beforehand: that of `error` for the density that one draw of the prior in ten exceeds there (a typical density
    would leave some truths a million times above their error, where no chain of this length arrives). "as in the
    paper": an error of `error.relative` of the true value, fitted with that share of the value observed.
    """
    soc = soc_of_draws(x[:, None], like.forcing)[0]
    truth = like.modelled(soc)
    weight = error.weight(like.site, like.depth)
    if choice == AS_ASSUMED:
        of_prior = prior_draws(200, rng, like.configuration.parameters)
        draws = np.broadcast_to(of_prior, (like.n_sites, 200, x.shape[1]))
        sd = error.sd(np.quantile(modelled_soc(draws, like), 0.9, axis=0))
        observed = truth + sd / np.sqrt(weight) * rng.standard_normal(truth.size)
    else:
        # Gamma variates: unbiased, proportional, and no observation is negative.
        observed = truth * rng.gamma(error.relative**-2, error.relative**2, truth.size)
        sd = error.relative * observed
    return like._replace(soc=observed, sd=sd, weight=weight), soc


def modelled_soc(draws: NDArray, problem: SiteProblem) -> NDArray[np.float64]:
    """Density at the observed layers, (n_draws, k), g C m-3, of draws (n_sites, n_draws, parameter)."""
    return np.stack([problem.modelled(one) for one in soc_of_draws(draws, problem.forcing)])


def _thinned(draws: NDArray, n: int) -> NDArray:
    """At most `n` of the draws (n_sites, n_draws, parameter), evenly spaced."""
    return draws[:, np.unique(np.linspace(0, draws.shape[1] - 1, n).round().astype(int))]


def withheld_predictions(
    problem: SiteProblem, seed: int, plan: SitePlan, error: ErrorModel, true_soc: NDArray | None = None
) -> pd.DataFrame:
    """90 % intervals at one layer of each profile, drawn at random, from the posterior of its other layers.

    Sites with fewer than `LEAST_LAYERS` observed layers have no row. `error` gives weights and standard deviations;
    `true_soc` (n_layers, n_sites) are true profiles, g C m-3, if known.

    By withheld layer: `site`, `depth` (m), `observation_inside` (the interval of modelled density, with the error that
    an observation of that density would have, holds the observation), and, where it is known, `truth_inside` (that of
    the modelled density holds the true one).
    """
    sites, held, draws = _without_a_layer(problem, seed, plan, error)
    modelled = modelled_soc(draws, held)
    noise = error.sd(modelled) * np.random.default_rng([seed, 7]).standard_normal(modelled.shape)
    low, high = np.quantile(np.maximum(modelled + noise, 0.0), (0.05, 0.95), axis=0)
    table = pd.DataFrame({"site": sites[held.site], "depth": held.depth})
    table["observation_inside"] = (low <= held.soc) & (held.soc <= high)
    if true_soc is not None:
        low, high = np.quantile(modelled, (0.05, 0.95), axis=0)
        truth = held.modelled(true_soc[:, sites])
        table["truth_inside"] = (low <= truth) & (truth <= high)
    return table


def _without_a_layer(
    problem: SiteProblem, seed: int, plan: SitePlan, error: ErrorModel
) -> tuple[NDArray, SiteProblem, NDArray]:
    """The sites that have enough layers, one withheld layer of each, and draws given the others (n_sites, n, k)."""
    enough = np.bincount(problem.site, minlength=problem.n_sites)[problem.site] >= LEAST_LAYERS
    key = pd.Series(np.random.default_rng([seed, 6]).random(problem.site.size))
    out = enough & (key.groupby(problem.site).transform("min") == key).to_numpy()
    sites = np.unique(problem.site[out])
    left, held = (problem.layers(rows).take(sites) for rows in (~out, out))
    left = left._replace(sd=error.sd(left.soc), weight=error.weight(left.site, left.depth))
    draws, _ = sampled_by_workers(left, seed, plan).posterior(plan, left.profile_id)
    return sites, held, _thinned(draws.reshape(sites.size, -1, draws.shape[-1]), _N_INTERVAL)


def error_of_withheld(
    problem: SiteProblem, seed: int, plan: SitePlan, first: ErrorModel, rounds: int = 3
) -> ErrorModel:
    """The relative part and the floor under which withheld layers are most likely, given the others of their profiles.

    Each round samples the posteriors with the error of the last one, beginning with `first`, and maximises the
    likelihood of the withheld layers, Student's t with the variance of the modelled density and of the error.
    """
    error = first
    for _ in range(rounds):
        _, held, draws = _without_a_layer(problem, seed, plan, error)
        modelled = modelled_soc(draws, held)
        mean, spread, away = modelled.mean(axis=0), modelled.var(axis=0), held.soc - modelled.mean(axis=0)

        def loss(logs: NDArray, mean: NDArray = mean, spread: NDArray = spread, away: NDArray = away) -> float:
            variance = spread + ErrorModel(*np.exp(logs)).sd(mean) ** 2
            # Student's t with 4 degrees of freedom: a few layers far off shall not decide.
            return float((5.0 * np.log1p(away**2 / (4.0 * variance)) + np.log(variance)).mean())

        begin = np.log(np.clip([error.relative, error.floor], *ERROR_BOUNDS.T))
        found = minimize(loss, begin, method="Nelder-Mead", bounds=np.log(ERROR_BOUNDS)).x
        error = error._replace(relative=float(np.exp(found[0])), floor=float(np.exp(found[1])))
    return error


def coverage_by_depth(table: pd.DataFrame) -> pd.DataFrame:
    """Share of intervals that hold what they should (columns `..inside`) and number of `layers`, by depth."""
    names = [name for name in ("truth_inside", "observation_inside", "inside") if name in table]
    rows = {}
    for label, (top, bottom) in DEPTHS.items():
        here = table[(table["depth"] >= top) & (table["depth"] < bottom)]
        rows[label] = {**here[names].mean(), "layers": len(here)}
    by_depth = pd.DataFrame.from_dict(rows, orient="index").rename_axis("depth")
    return by_depth[by_depth["layers"] > 0].astype({"layers": int})


@lru_cache
def rank_band(n: int, n_parameters: int) -> tuple[NDArray, NDArray, NDArray]:
    """Points z (k,) and the band, `low` and `high`, that holds the ECDF of the ranks of n simulations there.

    The ECDF of n ranks is binomial at every point. A band that each point leaves with a small probability gamma is left
    somewhere by far more often; gamma is chosen so that all points of all parameters, taken as independent, stay inside
    with a probability of 95 % (Saeilynoja, Buerkner and Vehtari 2022, doi 10.1007/s11222-022-10090-6).
    """
    z = np.arange(1, N_RANKED + 1) / (N_RANKED + 1.0)
    rng = np.random.default_rng(20200017)
    counts = rng.multinomial(n, np.full(N_RANKED + 1, 1.0 / (N_RANKED + 1)), size=20_000)
    below = counts.cumsum(axis=1)[:, :-1]
    k = np.arange(n + 1)[:, None]
    # Probability of a count as far out as k or farther, by point.
    tail = 2.0 * np.minimum(binom.cdf(k, n, z), binom.sf(k - 1, n, z))
    least = tail[below, np.arange(N_RANKED)].min(axis=1)
    # All parameters stay inside with the probability that one does, to their number.
    gamma = np.quantile(least, 1.0 - 0.95 ** (1.0 / n_parameters))
    low, high = binom.ppf(gamma / 2.0, n, z) / n, binom.ppf(1.0 - gamma / 2.0, n, z) / n
    return z, low, high


def rank_ecdf(ranks: NDArray) -> NDArray[np.float64]:
    """Share of ranks (n, ...) that are at most 0, 1, ... `N_RANKED` - 1, (N_RANKED, ...)."""
    return np.stack([(ranks <= k).mean(axis=0) for k in range(N_RANKED)])


def outside_band(ranks: NDArray) -> NDArray[np.bool_]:
    """Which parameters leave the 95 % band somewhere, (n_parameters,), for ranks (n, n_parameters)."""
    _, low, high = rank_band(*ranks.shape)
    ecdf = rank_ecdf(ranks)
    return ((ecdf < low[:, None]) | (ecdf > high[:, None])).any(axis=0)


def proposals_table(problem: SiteProblem, seed: int, plan: SitePlan) -> pd.DataFrame:
    """Cost and mixing of the chains of all sites with each kind of proposal, at equal numbers of steps.

    By kind of proposal, medians over sites: `worst ESS` (bulk or tail, of any parameter), `worst R-hat`, `worst ESS per
    second` of sampling one site, and the greatest `difference of means / sd` from the posterior of the first kind.
    """
    rows, reference = {}, None
    for name, proposal in PROPOSALS.items():
        begun = time.perf_counter()
        sampled = sampled_by_workers(problem, seed, plan._replace(proposal=proposal))
        seconds = time.perf_counter() - begun
        worst = np.fmin(sampled.mixing.ess_bulk, sampled.mixing.ess_tail).min(axis=1)
        mean, sd = (f(sampled.draws, axis=(1, 2), dtype=float) for f in (np.mean, np.std))
        reference = reference or (mean, sd)
        rows[name] = {
            "worst ESS": np.median(worst),
            "worst R-hat": np.median(sampled.mixing.rhat.max(axis=1)),
            "worst ESS per second": np.median(worst) * problem.n_sites / seconds,
            "difference of means / sd": np.median(np.abs((mean - reference[0]) / reference[1]).max(axis=1)),
        }
    return pd.DataFrame(rows).T


# What to do with a normal step beyond a prior bound, or how to accept one.
AS_HERE, LITERAL, REDRAWN, REFLECTED, ANNEALED = range(5)
RULES = {
    "as here": AS_HERE,
    "literal Eq. 7 and 8": LITERAL,
    "redrawn until inside": REDRAWN,
    "reflected": REFLECTED,
    "annealed acceptance": ANNEALED,
}


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
    """Phi of a bent normal distribution at x, (n_parameters * BLOCK_WIDTH,); `u` of that size is overwritten."""
    for k in range(mean.size):
        store(u, k, load(x, k) - mean[k])
    store(u, 1, load(u, 1) - bend * load(u, 0) * load(u, 0))
    phi = load(u, 0) * 0.0
    for k in range(mean.size):
        for m in range(mean.size):
            phi = phi + (0.5 * precision[k, m]) * load(u, k) * load(u, m)
    return phi


@kept_compiled
def fill_chains(chains, rule, schedule, mean, precision, bend, u, draws, phis):
    """Run a block of chains by a rule; kept draws (BLOCK_WIDTH, n_draws, n_parameters) and misfits are filled in."""
    for k in range(mean.size):
        store(chains.x, k, 0.4 + 0.2 * uniform_block(chains.random))
    store(chains.phi, 0, misfit_at(chains.x, mean, precision, bend, u))
    for t in range(schedule.test_steps + schedule.burn_in + schedule.kept_steps):
        if rule == REDRAWN:
            metropolis.propose_inside(chains, t < schedule.test_steps, False)
        elif t < schedule.test_steps:
            metropolis.propose_uniform(chains, rule == LITERAL, False)
        else:
            metropolis.propose_normal(chains, rule == LITERAL, rule == REFLECTED)
        if rule == REFLECTED:
            for k in range(mean.size):
                store(chains.proposal, k, metropolis.reflected(load(chains.proposal, k)))
        cooling = np.log(t + 2.0) if rule == ANNEALED else 1.0
        moved = metropolis.accept(chains, misfit_at(chains.proposal, mean, precision, bend, u), cooling)
        metropolis.adapt(chains, moved, t, schedule, rule == LITERAL)
        draw = metropolis.draw_to_keep(t, schedule)
        if draw >= 0:
            metropolis.keep(chains, np.zeros((2, mean.size)), draw, draws, phis)


def chain_draws(target: Bent, schedule: Schedule, rule: int = AS_HERE, seed: int = 1) -> tuple[NDArray, NDArray]:
    """Draws (8, n_draws, d) and misfits (8, n_draws) of eight chains on `target`, by one of `RULES`."""
    states = generator_states([(seed, k) for k in range(BLOCK_WIDTH)])
    chains, work = metropolis.new_chains(target.mean.size, states), np.empty(target.mean.size * BLOCK_WIDTH)
    draws, phis = np.empty((BLOCK_WIDTH, schedule.n_draws, target.mean.size)), np.empty((BLOCK_WIDTH, schedule.n_draws))
    precision = np.linalg.inv(target.covariance)
    fill_chains(chains, rule, schedule, target.mean, precision, target.bend, work, draws, phis)
    return draws, phis


def known_targets_table(schedule: Schedule = KNOWN_SCHEDULE) -> pd.DataFrame:
    """How far chains on targets of known distribution are from it, by the rule at the bounds and for accepting.

    By target and rule, the worst of its coordinates: `error of the mean` (in true standard deviations), `sd / true sd`,
    and the greatest `distance of distributions` (Kolmogorov-Smirnov, 0 to 1).
    """
    rows = {}
    for name, target in KNOWN_TARGETS.items():
        exact = target.exact_draws(200_000)
        mean, sd = exact.mean(axis=0), exact.std(axis=0)
        for rule, number in RULES.items():
            draws = chain_draws(target, schedule, number)[0].reshape(-1, mean.size)
            ratio = draws.std(axis=0) / sd
            distances = [ks_2samp(draws[:, k], exact[:, k]).statistic for k in range(mean.size)]
            rows[name, rule] = {
                "error of the mean": np.abs((draws.mean(axis=0) - mean) / sd).max(),
                "sd / true sd": ratio[np.abs(ratio - 1.0).argmax()],
                "distance of distributions": max(distances),
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["target", "rule"])
