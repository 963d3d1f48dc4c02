"""What the published programs do otherwise than the paper says, and what each difference changes on the same sites.

What over- and under-estimates cost in the misfit of the assimilations: why one set for all is drawn to low carbon.

With s_i = rho x_i (Eq. 5.2 of Tao et al. 2020) the cost of a layer is w_i (z_i / x_i - 1)^2 / (2 rho^2). An
under-estimate ends at w_i / (2 rho^2), however much carbon is missing; an over-estimate has no end.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.assimilation.chains import SitePlan, sampled_by_workers, site_plan
from proda.assimilation.problem import SiteProblem, site_problem
from proda.assimilation.store import agreement_by_site, soc_of_draws
from proda.data.cleaned import read_cleaned_study
from proda.kernels.metropolis import Proposal
from proda.kernels.misfit import layer_weights
from proda.kernels.steady_state import soc_density
from proda.learning.paper_network import trained_predictor
from proda.learning.scores import correlations, scores
from proda.learning.splits import TEST, random_split
from proda.learning.training_data import network_inputs
from proda.maps.scores import comparable_sites
from proda.model.observation import at_depths
from proda.model.parameters import physical, prior_sd
from proda.study import Study


class Variant(NamedTuple):
    """One way to assimilate: error of an observation, acceptance, and which states are kept."""

    relative_sd: float
    annealed: bool = False
    accepted_only: bool = False


VARIANTS = {
    "as the paper says": Variant(0.3),
    "60 % error": Variant(0.6),
    "annealed acceptance": Variant(0.3, annealed=True),
    "accepted draws only": Variant(0.3, accepted_only=True),
    "as coded: all three": Variant(0.6, annealed=True, accepted_only=True),
}


def as_coded_comparison(study: Study, n_sites: int) -> pd.DataFrame:
    """Assimilate and learn from the same sites by every variant; the study's settings decide all the rest.

    Returns
    -------
    DataFrame
        By variant: `sd ratio`, posterior over prior standard deviation, mean over parameters and median over sites;
        `SOC sd / mean`, spread over the draws of the modelled density, median over sites and nodes; `acceptance`;
        `sites used`; Table 1 of the site-by-site line, of all layers of the sites that all variants use
        (`r2`, `efficiency`, `RMSE`, kg C m-3) and of the network at test sites (`network r2`, ...); and the network's
        mean correlation with the posterior means of the test sites, `network r of parameters`.
    """
    cleaned, inputs = read_cleaned_study(study), network_inputs(study)
    sound = np.flatnonzero(np.isfinite(inputs.x_mean).all(axis=1))
    picked = np.sort(np.random.default_rng([study.seed, 8]).permutation(sound)[:n_sites])
    rows, found = {}, {}
    for name, variant in VARIANTS.items():
        problem = site_problem(cleaned.profiles, cleaned.layers, cleaned.forcing, variant.relative_sd).take(picked)
        found[name] = _assimilated(problem, study.seed, _plan(study, variant))
    used = np.all([one["efficiency"] >= 0.0 for one in found.values()], axis=0)
    split = random_split(used, study.seed_for("as-coded"), study["test_share"], study["validation_share"])
    layer_used = used[problem.site]
    for name, one in found.items():
        own = inputs._replace(
            site_covariates=inputs.site_covariates.iloc[picked], x_mean=one["mean"], x_sd=one["sd"], used=used
        )
        predictor, _ = trained_predictor(study, own, split, progress=False)
        x = predictor(own.site_covariates).x
        predicted = at_depths(soc_density(physical(x.T, problem.forcing), problem.forcing), problem.site, problem.depth)
        fitted = _table_1(problem.soc, one["modelled"], layer_used)
        network = _table_1(problem.soc, predicted, (split == TEST)[problem.site])
        skill = np.nanmean(correlations(x[split == TEST], one["mean"][split == TEST]))
        rows[name] = {
            "sd ratio": np.median((one["sd"] / prior_sd()).mean(axis=1)),
            "SOC sd / mean": np.median(one["spread"]),
            "acceptance": np.median(one["acceptance"]),
            "sites used": int((one["efficiency"] >= 0.0).sum()),
            **fitted,
            **{f"network {key}": value for key, value in network.items()},
            "network r of parameters": skill,
        }
    return pd.DataFrame(rows).T


def _plan(study: Study, variant: Variant) -> SitePlan:
    plan = site_plan(study.settings)
    moves = Proposal(plan.moves.coordinates, variant.annealed)
    return plan._replace(moves=moves, accepted_only=variant.accepted_only, max_steps=0)


def _assimilated(problem: SiteProblem, seed: int, plan: SitePlan) -> dict[str, NDArray]:
    sampled = sampled_by_workers(problem, seed, plan)
    n_sites, n_chains, n_draws, d = sampled.draws.shape
    draws = sampled.draws.reshape(n_sites, -1, d).astype(float)
    some = draws[:, np.linspace(0, n_chains * n_draws - 1, plan.n_kept).round().astype(int)]
    soc = soc_of_draws(some, problem.forcing)
    modelled = at_depths(soc.mean(axis=0), problem.site, problem.depth)
    fit = agreement_by_site(problem.site, problem.soc, modelled, n_sites)
    return {
        "mean": draws.mean(axis=1),
        "sd": draws.std(axis=1, ddof=1),
        "acceptance": sampled.acceptance.mean(axis=1),
        "spread": soc.std(axis=0, ddof=1) / soc.mean(axis=0),
        "modelled": modelled,
        "efficiency": fit.efficiency,
    }


def _table_1(observed: NDArray, modelled: NDArray, chosen: NDArray) -> dict[str, float]:
    found = scores(observed[chosen] / 1000.0, modelled[chosen] / 1000.0)
    return {"r2": found["r2"], "efficiency": found["efficiency"], "RMSE": found["rmse"]}


def most_for_too_little(relative_sd: float) -> float:
    """Cost of a layer of weight 1 that the model leaves without any carbon, the most an under-estimate can cost."""
    return 1.0 / (2.0 * relative_sd**2)


def misfit_by_sign(
    layers: pd.DataFrame, modelled: dict[str, NDArray], used: NDArray[np.bool_], relative_sd: float
) -> pd.DataFrame:
    """The misfit of every method split by its sign, on the same used sites for all.

    Parameters
    ----------
    layers : pandas.DataFrame
        Observed layers: `site`, `depth` (m), `soc` (g C m-3, positive).
    modelled : dict
        Method -> (n_layers,) g C m-3.
    used : numpy.ndarray of bool
        (n_sites,)
    relative_sd : float
        Standard deviation of an observation over its value.

    Returns
    -------
    pandas.DataFrame
        By method: the share of layers with too much carbon (%), and what too much and too little carbon add to the
        mean of the misfit over all layers (1; weighted as in the assimilation).
    """
    site, observed = layers["site"].to_numpy(), layers["soc"].to_numpy(float)
    chosen = (comparable_sites(site, modelled, used.size) & used)[site] & (observed > 0)
    weight = layer_weights(site, layers["depth"].to_numpy(float))[chosen]
    rows = {}
    for method, soc in modelled.items():
        ratio = np.asarray(soc, float)[chosen] / observed[chosen]
        cost, high = weight * (ratio - 1.0) ** 2 * most_for_too_little(relative_sd), ratio > 1.0
        rows[method] = {
            "layers too high (%)": 100.0 * high.mean(),
            "misfit, too high": cost[high].sum() / cost.size,
            "misfit, too low": cost[~high].sum() / cost.size,
            "misfit": cost.mean(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")
