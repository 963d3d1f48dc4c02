"""Simulation-based calibration (Talts et al. 2018) of the whole site-by-site path.

Draw parameters from the prior, make a profile from them with the error that the likelihood assumes, and sample its
posterior: over many such profiles the rank of the true value among the posterior's draws is uniform for every
parameter, and an interval of 90 % holds the truth nine times in ten. Any mistake in misfit, prior, sampler or
diagnostics bends the ranks. What is true of the likelihood need not be true of the paper's use of it: its standard
deviations follow the noisy observation and its weights of 10 claim more than the laboratory knows. Both can be
simulated here.

Coverage at layers that the chains have not seen: one layer of each profile is withheld and predicted.

How often the intervals of the sites hold the truth, where the truth is known.

How far the ranks of a calibration may stray from uniform: a band for all points and all parameters at once.

The empirical distribution function of n ranks is binomial at every point. A band that each point leaves with a small
probability gamma is left somewhere by far more often; gamma is made small enough that all of them together stay inside
with the probability asked for (Saeilynoja, Buerkner and Vehtari 2022, doi 10.1007/s11222-022-10090-6), here over the
points of several parameters, taken as independent.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import binom

from proda.assimilation.chains import SitePlan, sampled_by_workers, schedule
from proda.assimilation.problem import SiteProblem
from proda.assimilation.store import soc_of_draws
from proda.data.tables import known_truth
from proda.kernels.metropolis import Proposal
from proda.kernels.misfit import layer_weights
from proda.model.configuration import PAPER_COLUMN
from proda.model.forcing import Forcing
from proda.model.observation import at_depths
from proda.model.parameters import PAPER_PARAMETERS, SHARES
from proda.study import Study

N_RANKED = 99  # draws of a posterior that the truth is ranked among
_N_INTERVAL = 500  # draws that an interval is made of, at most: of a hundred, quantiles of 90 % would hold 88 %
# Long enough that most posteriors yield more independent draws than are ranked.
PLAN = SitePlan(
    schedule(2000, 18_000, 250), 3, Proposal("logarithmic"), rhat_limit=1.05, ess_limit=100.0, max_steps=150_000
)
AS_ASSUMED, AS_IN_PAPER = "as the likelihood assumes", "as in the paper"


class Calibration(NamedTuple):
    """What calibration found of n simulated profiles.

    Attributes
    ----------
    ranks : (n, n_parameters)
        Number of `N_RANKED` posterior draws below the truth.
    layers : DataFrame
        One row for every observed layer: `site`, `depth` (m), `end` (the shallowest or the deepest of its profile),
        `truth` (g C m-3), `low` and `high`, the 5 % and 95 % quantiles of the posterior, and `inside`.
    ess : (n,)
        Least effective sample size, bulk or tail, of the parameters of a profile.
    converged : (n,) bool
        Whether the chains met the limits of their plan. Chains know a profile and not the truth behind it, so ranks are
        as uniform over any choice of profiles that goes by the chains.
    """

    ranks: NDArray[np.int64]
    layers: pd.DataFrame
    ess: NDArray[np.float64]
    converged: NDArray[np.bool_]


def prior_draws(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draws from the prior on the unit cube, (n, 25): uniform where a share of the input is left for woody debris."""
    low, width = PAPER_PARAMETERS.minimum, PAPER_PARAMETERS.maximum - PAPER_PARAMETERS.minimum
    rows = list(SHARES)
    found = np.empty((0, len(PAPER_PARAMETERS)))
    while len(found) < n:
        x = rng.random((2 * n, len(PAPER_PARAMETERS)))
        found = np.concatenate([found, x[(low[rows] + width[rows] * x[:, rows]).sum(axis=1) < 1.0]])
    return found[:n]


def simulated_profiles(
    like: SiteProblem, x: NDArray, choice: str, relative_sd: float, rng: np.random.Generator
) -> tuple[SiteProblem, NDArray[np.float64]]:
    """Profiles with the places, depths and weights of those in `like`, made with parameters x (n_sites, 25).

    "as the likelihood assumes": a normal error of standard deviation sigma over the root of the weight, where sigma is
    known beforehand: `relative_sd` of a high density for the place (`high_density`; a typical one would leave some
    truths a million times above their error, where no chain of this length arrives). "as in the paper": an error of
    `relative_sd` of the true value, fitted with that share of the value observed.

    Returns
    -------
    SiteProblem, and the true profiles (n_layers, n_sites), g C m-3.
    """
    soc = soc_of_draws(x[:, None], like.forcing)[0]
    truth = at_depths(soc, like.site, like.depth)
    weight = layer_weights(like.site, like.depth)
    if choice == AS_ASSUMED:
        sd = relative_sd * high_density(like, rng)
        observed = truth + sd / np.sqrt(weight) * rng.standard_normal(truth.size)
    else:
        # Gamma variates: unbiased, proportional, and no observation is negative.
        observed = truth * rng.gamma(relative_sd**-2, relative_sd**2, truth.size)
        sd = relative_sd * observed
    return like._replace(soc=observed, sd=sd, weight=weight), soc


def high_density(like: SiteProblem, rng: np.random.Generator, n: int = 200) -> NDArray[np.float64]:
    """The density that one draw of the prior in ten exceeds, at every observed layer of `like`, (k,), g C m-3."""
    draws = np.broadcast_to(prior_draws(n, rng), (like.n_sites, n, len(PAPER_PARAMETERS)))
    return soc_quantiles(draws, like.forcing, like.site, like.depth, (0.9,))[0]


def calibration(
    like: SiteProblem, seed: int, plan: SitePlan = PLAN, choice: str = AS_ASSUMED, relative_sd: float = 0.3
) -> Calibration:
    """Simulate and sample one profile for each site of `like`.

    Parameters
    ----------
    like : SiteProblem
        Gives the places and the depths.
    plan : SitePlan
        Its chains should reach an effective sample size of some hundreds: ranks are taken of thinned draws.
    """
    rng = np.random.default_rng([seed, 4])
    x = prior_draws(like.n_sites, rng)
    problem, truth = simulated_profiles(like, x, choice, relative_sd, rng)
    names = [f"simulated {k}" for k in range(like.n_sites)]
    sampled = sampled_by_workers(problem._replace(profile_id=names), seed, plan)
    draws = sampled.draws.reshape(like.n_sites, -1, x.shape[1])
    pick = np.linspace(0, draws.shape[1] - 1, N_RANKED).round().astype(int)
    ranks = (draws[:, pick] < x[:, None]).sum(axis=1)
    ess = np.fmin(sampled.mixing.ess_bulk, sampled.mixing.ess_tail).min(axis=-1)
    some = np.unique(np.linspace(0, draws.shape[1] - 1, _N_INTERVAL).round().astype(int))
    return Calibration(ranks, _layer_intervals(problem, truth, draws[:, some]), ess, sampled.converged(plan))


def _layer_intervals(problem: SiteProblem, truth: NDArray, draws: NDArray) -> pd.DataFrame:
    """The 90 % interval of modelled carbon at every observed layer, and whether the truth lies in it."""
    low, high = soc_quantiles(draws, problem.forcing, problem.site, problem.depth)
    true_soc = at_depths(truth, problem.site, problem.depth)
    table = pd.DataFrame({"site": problem.site, "depth": problem.depth, "truth": true_soc, "low": low, "high": high})
    by_site = table.groupby("site")["depth"]
    table["end"] = (table["depth"] == by_site.transform("min")) | (table["depth"] == by_site.transform("max"))
    return table.assign(inside=(table["low"] <= table["truth"]) & (table["truth"] <= table["high"]))


def soc_quantiles(
    draws: NDArray, forcing: Forcing, site: NDArray, depth: NDArray, levels: tuple[float, float] = (0.05, 0.95)
) -> NDArray[np.float64]:
    """Quantiles over draws (n_sites, n_draws, 25) of modelled density at observed layers, (n_levels, n), g C m-3."""
    soc = soc_of_draws(draws, forcing)
    return np.quantile([at_depths(one, site, depth) for one in soc], levels, axis=0)


LEAST_LAYERS = 3  # two are left to be fitted
DEPTHS = (0.0, 0.3, 1.0, 3.8)  # m, bounds of the table
PAPER_WEIGHTS, EQUAL_WEIGHTS = "weights of Eq. 5.2", "equal weights"


def withheld_layers(problem: SiteProblem, seed: int) -> NDArray[np.bool_]:
    """One layer of every site with at least `LEAST_LAYERS`, drawn at random, (n_layers_observed,)."""
    rng = np.random.default_rng([seed, 6])
    key = rng.random(problem.site.size)
    order = np.lexsort((key, problem.site))
    first = np.ones(order.size, bool)
    first[1:] = problem.site[order][1:] != problem.site[order][:-1]
    chosen = np.zeros(order.size, bool)
    chosen[order[first]] = True
    return chosen & (np.bincount(problem.site, minlength=problem.n_sites)[problem.site] >= LEAST_LAYERS)


def withheld_predictions(
    problem: SiteProblem,
    seed: int,
    plan: SitePlan,
    weights: str = PAPER_WEIGHTS,
    true_soc: NDArray | None = None,
) -> pd.DataFrame:
    """90 % intervals at withheld layers, from the posterior of each profile's other layers.

    Parameters
    ----------
    problem : SiteProblem
        Of sites with at least `LEAST_LAYERS` observed layers; others have no row.
    weights : str
        Those of Eq. 5.2, taken anew of the layers that are left, or one for each.
    true_soc : (n_layers, n_sites), optional
        True profiles, g C m-3, where they are known.

    Returns
    -------
    DataFrame
        A row for each withheld layer: `site`, `depth` (m), `observed` (g C m-3), `low` and `high` of the modelled
        density, `observation_inside` (the 5-95 % interval of modelled density, with an error of the same share of it
        as the observation's sd is of the observation, holds the observation), and, where the truth is known, `truth`
        and `truth_inside` (that of the modelled density holds the true one).
    """
    out = withheld_layers(problem, seed)
    sites = np.unique(problem.site[out])
    left = problem.layers(~out).take(sites)
    weight = layer_weights(left.site, left.depth) if weights == PAPER_WEIGHTS else np.ones(left.site.size)
    left = left._replace(weight=weight)
    sampled = sampled_by_workers(left, seed, plan)
    draws = sampled.draws.reshape(sites.size, -1, sampled.draws.shape[-1])
    draws = draws[:, np.linspace(0, draws.shape[1] - 1, 500).round().astype(int)]
    held = problem.layers(out).take(sites)
    modelled = np.stack([at_depths(one, held.site, held.depth) for one in soc_of_draws(draws, held.forcing)])
    relative = held.sd / held.soc
    error = np.random.default_rng([seed, 7]).gamma(relative**-2, relative**2, modelled.shape)
    low, high = np.quantile(modelled, (0.05, 0.95), axis=0)
    below, above = np.quantile(modelled * error, (0.05, 0.95), axis=0)
    table = pd.DataFrame({"site": sites[held.site], "depth": held.depth, "observed": held.soc})
    table["low"], table["high"] = low, high
    table["observation_inside"] = (below <= held.soc) & (held.soc <= above)
    if true_soc is not None:
        table["truth"] = at_depths(true_soc[:, sites], held.site, held.depth)
        table["truth_inside"] = (table["low"] <= table["truth"]) & (table["truth"] <= table["high"])
    return table


def coverage_by_depth(table: pd.DataFrame) -> pd.DataFrame:
    """Share of intervals that hold what they should, by depth, and the number of layers; the last row is all depths."""
    names = [name for name in ("truth_inside", "observation_inside", "inside") if name in table]
    bins = pd.cut(table["depth"], DEPTHS, right=False)
    labels = {interval: f"{100 * interval.left:.0f}-{100 * interval.right:.0f} cm" for interval in bins.cat.categories}
    by_depth = table.groupby(bins.cat.rename_categories(labels), observed=True)[names].mean()
    by_depth["layers"] = table.groupby(bins.cat.rename_categories(labels), observed=True).size()
    by_depth.loc["all"] = [*table[names].mean(), len(table)]
    return by_depth.astype({"layers": int}).rename_axis("depth")


class Coverage(NamedTuple):
    """Share of nodes with the true density inside the 90 % interval: nodes nearest to the first or the last observed
    layer of a profile, which carry the weight of 10, and the nodes between them.
    """

    near_ends: float
    between: float


def interval_coverage(study: Study, problem: SiteProblem, sites: xr.Dataset) -> Coverage | None:
    """Coverage of the 90 % intervals of SOC at the sites of a virtual study; None for a study of real profiles."""
    truth = known_truth(study)
    if truth is None:
        return None
    true_soc = truth["soc_site"].transpose("site", "layer").to_numpy()
    hit = (sites["soc_p05"].to_numpy() <= true_soc) & (true_soc <= sites["soc_p95"].to_numpy())
    ends, between = observed_nodes(problem)
    return Coverage(float(hit[ends].mean()), float(hit[between].mean()))


def observed_nodes(problem: SiteProblem) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Nodes nearest to the first and the last layer of each site, and those between, (n_sites, n_layers) each."""
    n_sites, node = len(problem.profile_id), PAPER_COLUMN.node
    nearest = np.abs(np.log(problem.depth[:, None] / node)).argmin(axis=1)
    first, last = np.full(n_sites, node.size), np.full(n_sites, -1)
    np.minimum.at(first, problem.site, nearest)
    np.maximum.at(last, problem.site, nearest)
    layer = np.arange(node.size)
    ends = (layer == first[:, None]) | (layer == last[:, None])
    return ends, (layer > first[:, None]) & (layer < last[:, None])


_SIMULATIONS = 20_000
_SEED = 20200017


class RankBand(NamedTuple):
    """At the points z (k,) the ECDF of all parameters lies between `low` and `high` (k,), with that probability."""

    z: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def rank_ecdf(ranks: NDArray, n_ranked: int) -> NDArray[np.float64]:
    """Share of ranks (n, ...) that are at most 0, 1, ... n_ranked - 1, (n_ranked, ...)."""
    return np.stack([(ranks <= k).mean(axis=0) for k in range(n_ranked)])


@lru_cache
def rank_band(n: int, n_ranked: int, n_parameters: int, probability: float = 0.95) -> RankBand:
    """The band for the ranks of n simulations among `n_ranked` draws, simultaneous over `n_parameters`."""
    z = np.arange(1, n_ranked + 1) / (n_ranked + 1.0)
    rng = np.random.default_rng(_SEED)
    counts = rng.multinomial(n, np.full(n_ranked + 1, 1.0 / (n_ranked + 1)), size=_SIMULATIONS)
    below = counts.cumsum(axis=1)[:, :-1]
    k = np.arange(n + 1)[:, None]
    # Probability of a count as far out as k or farther, by point.
    tail = 2.0 * np.minimum(binom.cdf(k, n, z), binom.sf(k - 1, n, z))
    least = tail[below, np.arange(n_ranked)].min(axis=1)
    # All parameters stay inside with the probability that one does, to their number.
    gamma = np.quantile(least, 1.0 - probability ** (1.0 / n_parameters))
    low, high = binom.ppf(gamma / 2.0, n, z) / n, binom.ppf(1.0 - gamma / 2.0, n, z) / n
    return RankBand(z, low, high)


def outside_band(ranks: NDArray, n_ranked: int, probability: float = 0.95) -> NDArray[np.bool_]:
    """Which parameters leave the band somewhere, (n_parameters,), for ranks (n, n_parameters)."""
    band = rank_band(len(ranks), n_ranked, ranks.shape[1], probability)
    ecdf = rank_ecdf(ranks, n_ranked)
    return ((ecdf < band.low[:, None]) | (ecdf > band.high[:, None])).any(axis=0)
