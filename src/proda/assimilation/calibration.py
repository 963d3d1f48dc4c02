"""Simulation-based calibration (Talts et al. 2018) of the whole site-by-site path.

Draw parameters from the prior, make a profile from them with the error that the likelihood assumes, and sample its
posterior: over many such profiles the rank of the true value among the posterior's draws is uniform for every
parameter, and an interval of 90 % holds the truth nine times in ten. Any mistake in misfit, prior, sampler or
diagnostics bends the ranks. What is true of the likelihood need not be true of the paper's use of it: its standard
deviations follow the noisy observation and its weights of 10 claim more than the laboratory knows. Both can be
simulated here.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.assimilation.misfit import layer_weights
from proda.assimilation.schedules import SitePlan, schedule
from proda.assimilation.site_problem import SiteProblem
from proda.assimilation.site_summaries import soc_of_draws
from proda.assimilation.soc_chains import Moves
from proda.assimilation.workers import sampled_by_workers
from proda.model.forcing import Forcing
from proda.model.observation import at_depths
from proda.model.parameters import PAPER_PARAMETERS, SHARES

N_RANKED = 99  # draws of a posterior that the truth is ranked among
_N_INTERVAL = 500  # draws that an interval is made of, at most: of a hundred, quantiles of 90 % would hold 88 %
# Long enough that most posteriors yield more independent draws than are ranked.
PLAN = SitePlan(
    schedule(2000, 18_000, 250), 3, Moves("logarithmic"), rhat_limit=1.05, ess_limit=100.0, max_steps=150_000
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
