"""What is stored of a batch of sites: their chains thinned out, and what they say of parameters and carbon."""

import numpy as np
from numpy.typing import NDArray

from proda.assimilation.diagnostics import gelman_rubin
from proda.assimilation.gev import gev_modes
from proda.assimilation.schedules import SitePlan
from proda.assimilation.site_chains import SampledSites, sampled_sites
from proda.assimilation.site_dataset import draws_per_chain, empty_arrays
from proda.assimilation.site_fit import agreement_by_site
from proda.assimilation.site_problem import SiteProblem, site_faults
from proda.model.forcing import Forcing
from proda.model.lanes import soc_density
from proda.model.observation import at_depths
from proda.model.parameters import bounds


def batch_arrays(problem: SiteProblem, seed: int, plan: SitePlan) -> dict[str, NDArray]:
    """Sample the sites of a batch: the variables of `site_dataset`, NaN at sites that cannot be sampled."""
    arrays = empty_arrays(plan, problem.n_sites)
    sound = np.flatnonzero([not fault for fault in site_faults(problem)])
    if sound.size:
        part = problem.take(sound)
        for name, values in site_summaries(part, sampled_sites(part, seed, plan), plan).items():
            arrays[name][sound] = values
    return arrays


def soc_of_draws(x: NDArray, forcing: Forcing) -> NDArray[np.float64]:
    """Modelled density of draws, (n_draws, n_layers, n_sites), g C m-3, for x (n_sites, n_draws, n_parameters)."""
    low, high = bounds(forcing)
    return soc_density(low + np.moveaxis(x, 0, -1).astype(np.float64) * (high - low), forcing)


def site_summaries(problem: SiteProblem, sampled: SampledSites, plan: SitePlan) -> dict[str, NDArray]:
    """What is stored of sampled sites, by the names of `sites.zarr`."""
    draws = sampled.draws
    n_sites, n_chains, n_draws, n_parameters = draws.shape
    series = np.ascontiguousarray(np.moveaxis(draws, -1, 1))  # site, parameter, chain, draw
    pooled = series.reshape(n_sites, n_parameters, -1)
    pick = np.linspace(0, n_draws - 1, draws_per_chain(plan)).round().astype(int)
    kept = draws[:, :, pick]
    soc = soc_of_draws(kept.reshape(n_sites, -1, n_parameters), problem.forcing)
    mean, mean_profile = pooled.mean(axis=-1, dtype=np.float64), soc.mean(axis=0)
    soc_05, soc_95 = np.quantile(soc, [0.05, 0.95], axis=0)
    modelled = at_depths(mean_profile, problem.site, problem.depth)
    fit = agreement_by_site(problem.site, problem.soc, modelled, n_sites)
    return {
        "x": kept,
        "phi": sampled.phi[:, :, pick],
        "x_mean": mean,
        "x_sd": pooled.std(axis=-1, ddof=1, dtype=np.float64),
        "x_mode": gev_modes(pooled),
        "rhat_gelman_rubin": gelman_rubin(series.astype(np.float64)),
        "rhat": sampled.mixing.rhat,
        "ess_bulk": sampled.mixing.ess_bulk,
        "ess_tail": sampled.mixing.ess_tail,
        "soc_mean": mean_profile.T,
        "soc_sd": soc.std(axis=0, ddof=1).T,
        "soc_p05": soc_05.T,
        "soc_p95": soc_95.T,
        "soc_at_mean": soc_of_draws(mean[:, None], problem.forcing)[0].T,
        "r2": fit.r2,
        "efficiency": fit.efficiency,
        "acceptance": sampled.acceptance,
        "steps": sampled.steps,
    }
