"""The two assimilation stages: from the cleaned tables of a study to its posteriors on disk."""

import os
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from proda.assimilation.adaptive_metropolis import Schedule
from proda.assimilation.one_batch import OneBatch, batch_constant, one_batch_posterior
from proda.assimilation.posterior import one_batch_data, write_inference_data
from proda.assimilation.schedules import schedule
from proda.assimilation.site_by_site import SiteProblem, site_posteriors, site_problem
from proda.assimilation.site_fit import site_status
from proda.data.outcome_tables import write_site_status
from proda.data.stage import read_cleaned_study
from proda.progress import progress_bar
from proda.study import Study

ONE_BATCH, SITE_BY_SITE = "03-one-batch-assimilation", "04-site-by-site-assimilation"
ONE_BATCH_DRAWS = 5000  # a chain, at most


class SiteAssimilation(NamedTuple):
    """What site-by-site assimilation leaves behind: the problem, the posteriors and a row of outcome for each site."""

    problem: SiteProblem
    sites: xr.Dataset
    status: pd.DataFrame


def one_batch_plan(study: Study) -> Schedule:
    """The schedule of the one-batch chains, from the settings `one_batch_test_steps` and `one_batch_steps`."""
    test_steps, steps = study["one_batch_test_steps"], study["one_batch_steps"]
    return schedule(test_steps, steps, min(ONE_BATCH_DRAWS, (test_steps + steps) // 4))


def site_plan(study: Study) -> Schedule:
    """The schedule of the sites' chains, from the settings `site_test_steps`, `site_steps` and `kept_draws`."""
    return schedule(study["site_test_steps"], study["site_steps"], study["kept_draws"])


def one_batch_assimilation(study: Study) -> OneBatch:
    """Run the one-batch stage of a study and write one_batch.nc.

    Settings: chains, relative_sd, one_batch_test_steps, one_batch_steps, one_batch_B.
    """
    plan = one_batch_plan(study)
    with study.stage(ONE_BATCH) as folder:
        cleaned = read_cleaned_study(study)
        B = batch_constant(study["one_batch_B"], len(cleaned.profiles))
        with progress_bar(study["chains"] * plan.total, "one-batch", "step") as bar:
            result = one_batch_posterior(
                cleaned.profiles,
                cleaned.layers,
                cleaned.forcing,
                study.seed,
                plan,
                study["chains"],
                B,
                study["relative_sd"],
                n_workers=n_workers(),
                report=bar.update,
            )
        write_inference_data(one_batch_data(result), folder / "one_batch.nc")
    return result


def site_assimilation(study: Study) -> SiteAssimilation:
    """Run the site-by-site stage of a study and write sites.zarr and site_status.csv.

    Settings: chains, kept_draws, relative_sd, site_test_steps, site_steps, site_rhat_limit.
    """
    plan = site_plan(study)
    with study.stage(SITE_BY_SITE) as folder:
        cleaned = read_cleaned_study(study)
        problem = site_problem(cleaned.profiles, cleaned.layers, cleaned.forcing)
        with progress_bar(len(problem.profile_id), "site-by-site", "site") as bar:
            sites = site_posteriors(
                problem,
                study.seed,
                plan,
                study["chains"],
                study["kept_draws"],
                study["relative_sd"],
                n_workers=n_workers(),
                report=bar.update,
            )
        n_layers = np.bincount(problem.site, minlength=len(problem.profile_id))
        status = site_status(sites, n_layers, study["site_rhat_limit"])
        sites.to_zarr(folder / "sites.zarr", consolidated=False)
        write_site_status(status, folder / "site_status.csv")
    return SiteAssimilation(problem, sites, status)


def n_workers() -> int:
    """Threads for the samplers: the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
