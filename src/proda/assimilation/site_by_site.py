"""Site-by-site assimilation: three chains for each profile, and what is kept of them (Tao et al. 2020, section 2.3).

Chains of many sites run side by side in lanes, batch by batch on all cores. A site's chains depend on the study's seed,
the profile's id and the chain's number alone, not on the batch they run in.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from proda.assimilation.adaptive_metropolis import KEPT_ACCEPTED, Schedule, new_chains
from proda.assimilation.diagnostics import convergence, gelman_rubin
from proda.assimilation.gev import gev_modes
from proda.assimilation.lane_random import generator_states
from proda.assimilation.misfit import layer_weights, misfit_forms
from proda.assimilation.site_dataset import sites_dataset
from proda.assimilation.site_fit import agreement_by_site
from proda.assimilation.soc_chains import block_of, new_target, run_chains
from proda.model.column import PAPER_COLUMN
from proda.model.forcing import Forcing
from proda.model.lane_drivers import lane_work
from proda.model.lane_type import LANES
from proda.model.lanes import soc_density
from proda.model.observation import at_depths
from proda.model.parameters import PAPER_PARAMETERS, physical

SITES_PER_BATCH = 128


class SiteProblem(NamedTuple):
    """All that the sampler needs to know of the sites.

    Attributes
    ----------
    profile_id : sequence of str
    forcing : Forcing
        One column a site.
    site, depth, soc : (n_layers_observed,)
        Observed layers: site number, mid-depth (m) and density (g C m-3).
    """

    profile_id: Sequence[str]
    forcing: Forcing
    site: NDArray[np.int64]
    depth: NDArray[np.float64]
    soc: NDArray[np.float64]

    def part(self, first: int, last: int) -> "SiteProblem":
        """Sites `first` to `last` (excluded), renumbered from 0."""
        inside = (self.site >= first) & (self.site < last)
        return SiteProblem(
            self.profile_id[first:last],
            self.forcing.take(slice(first, last)),
            self.site[inside] - first,
            self.depth[inside],
            self.soc[inside],
        )


def site_problem(profiles: pd.DataFrame, layers: pd.DataFrame, cell_forcing: Forcing) -> SiteProblem:
    """The sites of a study: its cleaned tables, and the forcing of the cells they lie in."""
    return SiteProblem(
        profiles["profile_id"].tolist(),
        cell_forcing.take(profiles["cell"].to_numpy()),
        layers["site"].to_numpy(np.int64),
        layers["depth"].to_numpy(float),
        layers["soc"].to_numpy(float),
    )


def chain_seed(study_seed: int, profile_id: str, chain: int) -> tuple[int, int, int]:
    """What seeds one chain of one site, wherever and with whatever others it is run."""
    name = int.from_bytes(hashlib.sha256(profile_id.encode()).digest()[:8], "big")
    return study_seed, name, chain


class SampledSites(NamedTuple):
    """Chains of some sites: `draws` on the unit cube (site, chain, draw, parameter), their misfit `phi` (site, chain,
    draw), and the `acceptance` of the kept part (site, chain).
    """

    draws: NDArray[np.float32]
    phi: NDArray[np.float64]
    acceptance: NDArray[np.float64]


def sampled_sites(
    problem: SiteProblem, seed: int, schedule: Schedule, n_chains: int, relative_sd: float
) -> SampledSites:
    """Run the chains of all sites of `problem`, in lanes."""
    n_sites, n_parameters = len(problem.profile_id), len(PAPER_PARAMETERS)
    n_draws = schedule.kept_steps // schedule.thin
    weight = layer_weights(problem.site, problem.depth)
    forms = misfit_forms(problem.site, n_sites, problem.depth, problem.soc, weight, relative_sd)
    of_lane = np.repeat(np.arange(n_sites), n_chains)
    target = new_target(problem.forcing.take(of_lane), forms[:, of_lane], pooled=False)
    seeds = [chain_seed(seed, name, chain) for name in problem.profile_id for chain in range(n_chains)]
    seeds += seeds[-1:] * (-len(seeds) % LANES)
    states = generator_states(seeds)
    n_lanes = len(seeds)
    draws = np.empty((n_lanes, n_draws, n_parameters), np.float32)
    phis = np.empty((n_lanes, n_draws))
    accepted = np.empty(n_lanes)
    space = target._replace(theta=np.zeros_like(target.theta), work=lane_work())
    for block in range(n_lanes // LANES):
        lanes = slice(block * LANES, (block + 1) * LANES)
        chains = new_chains(n_parameters, states[:, lanes])
        own = block_of(target, block, space)
        run_chains(chains, own, schedule, 0, schedule.total, draws[lanes], phis[lanes])
        accepted[lanes] = chains.tuning.reshape(-1, LANES)[KEPT_ACCEPTED] / schedule.kept_steps
    used = n_sites * n_chains
    shape = (n_sites, n_chains)
    return SampledSites(
        draws[:used].reshape(*shape, n_draws, n_parameters),
        phis[:used].reshape(*shape, n_draws),
        accepted[:used].reshape(shape),
    )


def site_summaries(problem: SiteProblem, sampled: SampledSites, n_kept: int) -> dict[str, NDArray]:
    """What is stored of a batch of sites, by the names of `sites.zarr`; `n_kept` draws, spread over the chains."""
    draws = sampled.draws
    n_sites, n_chains, n_draws, n_parameters = draws.shape
    series = np.ascontiguousarray(np.moveaxis(draws, -1, 1))  # site, parameter, chain, draw
    pooled = series.reshape(n_sites, n_parameters, -1)
    mixing = convergence(series)
    pick = np.linspace(0, n_chains * n_draws - 1, n_kept).round().astype(int)
    kept = np.ascontiguousarray(np.swapaxes(pooled[..., pick], 1, 2))  # site, draw, parameter
    soc = np.empty((n_kept, PAPER_COLUMN.n_layers, n_sites))
    for k in range(n_kept):
        soc[k] = soc_density(physical(kept[:, k].T, problem.forcing), problem.forcing)
    mean_profile = soc.mean(axis=0)
    soc_05, soc_95 = np.quantile(soc, [0.05, 0.95], axis=0)
    at_mean = soc_density(physical(pooled.mean(axis=-1).T, problem.forcing), problem.forcing)
    modelled = at_depths(mean_profile, problem.site, problem.depth)
    fit = agreement_by_site(problem.site, problem.soc, modelled, n_sites)
    return {
        "x": kept,
        "x_mean": pooled.mean(axis=-1, dtype=np.float64),
        "x_sd": pooled.std(axis=-1, ddof=1, dtype=np.float64),
        "x_mode": gev_modes(pooled),
        "rhat_gelman_rubin": gelman_rubin(series.astype(np.float64)),
        "rhat": mixing.rhat,
        "ess_bulk": mixing.ess_bulk,
        "soc_mean": mean_profile.T,
        "soc_sd": soc.std(axis=0, ddof=1).T,
        "soc_p05": soc_05.T,
        "soc_p95": soc_95.T,
        "soc_at_mean": at_mean.T,
        "r2": fit.r2,
        "efficiency": fit.efficiency,
        "phi": np.median(sampled.phi, axis=-1),
        "acceptance": sampled.acceptance,
    }


def site_posteriors(
    problem: SiteProblem,
    seed: int,
    schedule: Schedule,
    n_chains: int = 3,
    n_kept: int = 500,
    relative_sd: float = 0.3,
    n_workers: int = 2,
    report: Callable[[int], None] = lambda n_sites: None,
) -> xr.Dataset:
    """Posteriors of all sites: the dataset of `sites.zarr`.

    Parameters
    ----------
    seed : int
        The study's.
    report : callable
        Told the number of sites just finished.
    """
    n_sites = len(problem.profile_id)

    def batch(first: int) -> tuple[int, dict[str, NDArray]]:
        part = problem.part(first, min(first + SITES_PER_BATCH, n_sites))
        return first, site_summaries(part, sampled_sites(part, seed, schedule, n_chains, relative_sd), n_kept)

    arrays: dict[str, NDArray] = {}
    with ThreadPoolExecutor(n_workers) as pool:
        futures = [pool.submit(batch, first) for first in range(0, n_sites, SITES_PER_BATCH)]
        try:
            for future in as_completed(futures):
                first, results = future.result()
                for name, values in results.items():
                    whole = arrays.setdefault(name, np.empty((n_sites, *values.shape[1:]), values.dtype))
                    whole[first : first + len(values)] = values
                report(len(results["r2"]))
                futures.remove(future)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return sites_dataset(arrays, problem.profile_id)
