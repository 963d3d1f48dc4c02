"""The two assimilation stages: from the cleaned tables of a study to its posteriors on disk."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from proda.assimilation.chains import SiteProblem, n_workers, schedule, site_faults, site_plan, site_problem
from proda.assimilation.one_batch import OneBatch, batch_constant, one_batch_posterior
from proda.assimilation.results import one_batch_tree
from proda.assimilation.sites import site_posteriors
from proda.assimilation.store import STORE, opened_sites, site_status
from proda.data.cleaned import read_cleaned_study
from proda.kernels.metropolis import Proposal, Schedule
from proda.stage import CHECKPOINTS, ONE_BATCH, SITE_BY_SITE, progress_bar
from proda.study import Study

ONE_BATCH_DRAWS = 5000  # a chain, at most
SCHEDULER = "PRODA_SCHEDULER"  # environment variable: the address of a Dask scheduler


class OneBatchAssimilation(NamedTuple):
    """What the one-batch stage yields."""

    problem: SiteProblem
    result: OneBatch  # with the study's B
    formal: OneBatch  # with B = 1


class SiteAssimilation(NamedTuple):
    """What the site-by-site stage yields."""

    problem: SiteProblem
    sites: xr.Dataset  # `sites.zarr`
    status: pd.DataFrame  # `site_status.csv`: a row of outcome for each site


def one_batch_plan(study: Study) -> Schedule:
    """The schedule of the one-batch chains, from the settings `one_batch_test_steps` and `one_batch_steps`."""
    test_steps, steps = study["one_batch_test_steps"], study["one_batch_steps"]
    return schedule(test_steps, steps, min(ONE_BATCH_DRAWS, (test_steps + steps) // 4))


def one_batch_assimilation(study: Study) -> OneBatchAssimilation:
    """Run the one-batch stage of a study and write one_batch.nc, and one_batch_formal.nc unless the study's B is 1.

    Settings: chains, relative_sd, one_batch_test_steps, one_batch_steps, one_batch_B, one_batch_coordinates.
    """
    plan, n_chains = one_batch_plan(study), study["chains"]
    with study.stage(ONE_BATCH, resumable=True) as folder:
        cleaned = read_cleaned_study(study)
        problem = site_problem(cleaned.profiles, cleaned.layers, cleaned.forcing, study["relative_sd"])
        constants = {"one_batch.nc": batch_constant(study["one_batch_B"], problem.n_sites), "one_batch_formal.nc": 1.0}
        if constants["one_batch.nc"] == 1.0:
            del constants["one_batch_formal.nc"]
        # Side by side, so that three chains on two cores do not leave one of them waiting for the last.
        workers = max(1, n_workers() // len(constants))
        proposal = Proposal(study["one_batch_coordinates"])
        with progress_bar(len(constants) * n_chains * plan.total, "one-batch", "step") as bar:

            def run(name: str) -> OneBatch:
                how = n_chains, constants[name], proposal, workers, bar.update, folder / CHECKPOINTS / Path(name).stem
                return one_batch_posterior(problem, cleaned.profiles["cell"], study.seed, plan, *how)

            with ThreadPoolExecutor(len(constants)) as pool:
                results = dict(zip(constants, pool.map(run, constants), strict=True))
        for name, result in results.items():
            one_batch_tree(result).to_netcdf(folder / name)
    result = results["one_batch.nc"]
    return OneBatchAssimilation(problem, result, results.get("one_batch_formal.nc", result))


def site_assimilation(study: Study) -> SiteAssimilation:
    """Run the site-by-site stage of a study and write sites.zarr and site_status.csv.

    Settings: chains, kept_draws, relative_sd, site_*. The batches run on a Dask cluster when the environment variable
    PRODA_SCHEDULER holds the address of its scheduler, which `python -m proda run --scheduler` sets.
    """
    plan = site_plan(study.settings)
    with study.stage(SITE_BY_SITE, resumable=True) as folder:
        cleaned = read_cleaned_study(study)
        problem = site_problem(cleaned.profiles, cleaned.layers, cleaned.forcing, study["relative_sd"])
        with progress_bar(problem.n_sites, "site-by-site", "site") as bar:
            places = {name: cleaned.profiles[name].to_numpy() for name in ("lon", "lat")}
            how = folder / CHECKPOINTS, places, n_workers(), os.environ.get(SCHEDULER, ""), bar.update
            sites = site_posteriors(problem, study.seed, plan, folder, *how)
        n_layers = np.bincount(problem.site, minlength=problem.n_sites)
        status = site_status(sites, n_layers, site_faults(problem), plan, problem.forms()[-1])
        status.to_csv(folder / "site_status.csv", index=False)
    return SiteAssimilation(problem, opened_sites(study.path(STORE)), status)
