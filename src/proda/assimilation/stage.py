"""The two assimilation stages: from the cleaned tables of a study to its posteriors on disk."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from proda.assimilation.chains import n_workers, schedule, site_plan
from proda.assimilation.one_batch import OneBatch, batch_constant, one_batch_posterior
from proda.assimilation.problem import SiteProblem, site_faults, site_problem
from proda.assimilation.results import one_batch_data, write_inference_data
from proda.assimilation.sites import site_posteriors
from proda.assimilation.store import STORE, opened_sites, site_status
from proda.data.cleaned import CleanedStudy, read_cleaned_study
from proda.data.tables import write_site_status
from proda.kernels.metropolis import Proposal, Schedule
from proda.progress import progress_bar
from proda.stage import CHECKPOINTS, ONE_BATCH, SITE_BY_SITE
from proda.study import Study

ONE_BATCH_DRAWS = 5000  # a chain, at most
SCHEDULER = "PRODA_SCHEDULER"  # environment variable: the address of a Dask scheduler
# B of Eq. 5.1 at both ends: the formal posterior, and one profile's worth of information.
EXTREMES = {"one_batch_formal.nc": "1", "one_batch_single.nc": "1/n"}


class OneBatches(NamedTuple):
    """The one-batch posterior with the study's B, and those with B = 1 and B = 1/n."""

    result: OneBatch
    formal: OneBatch
    single: OneBatch


class SiteAssimilation(NamedTuple):
    """What site-by-site assimilation leaves behind: the problem, the posteriors and a row of outcome for each site."""

    problem: SiteProblem
    sites: xr.Dataset
    status: pd.DataFrame


def one_batch_plan(study: Study) -> Schedule:
    """The schedule of the one-batch chains, from the settings `one_batch_test_steps` and `one_batch_steps`."""
    test_steps, steps = study["one_batch_test_steps"], study["one_batch_steps"]
    return schedule(test_steps, steps, min(ONE_BATCH_DRAWS, (test_steps + steps) // 4))


def one_batch_assimilation(study: Study) -> OneBatches:
    """Run the one-batch stage of a study and write one_batch.nc, and beside it what other constants B would give.

    Settings: chains, relative_sd, one_batch_test_steps, one_batch_steps, one_batch_B, one_batch_coordinates.
    """
    plan = one_batch_plan(study)
    with study.stage(ONE_BATCH, resumable=True) as folder:
        cleaned = read_cleaned_study(study)
        n = len(cleaned.profiles)
        main = batch_constant(study["one_batch_B"], n)
        extremes = {name: batch_constant(word, n) for name, word in EXTREMES.items()}
        wanted = {"one_batch.nc": main, **{name: B for name, B in extremes.items() if B != main}}
        with progress_bar(len(wanted) * study["chains"] * plan.total, "one-batch", "step") as bar:
            # Side by side, so that three chains on two cores do not leave one of them waiting for the last.
            share = max(1, n_workers() // len(wanted))
            with ThreadPoolExecutor(len(wanted)) as pool:
                runs = {}
                for name, B in wanted.items():
                    saved = folder / CHECKPOINTS / Path(name).stem
                    runs[name] = pool.submit(_one_batch, study, cleaned, plan, B, share, bar.update, saved)
                found = {name: run.result() for name, run in runs.items()}
        for name, result in found.items():
            write_inference_data(one_batch_data(result), folder / name)
    result = found["one_batch.nc"]
    return OneBatches(result, *(found.get(name, result) for name in EXTREMES))


def _one_batch(
    study: Study, cleaned: CleanedStudy, plan: Schedule, B: float, workers: int, report, checkpoints: Path
) -> OneBatch:
    return one_batch_posterior(
        cleaned.profiles,
        cleaned.layers,
        cleaned.forcing,
        study.seed,
        plan,
        study["chains"],
        B,
        study["relative_sd"],
        Proposal(study["one_batch_coordinates"]),
        n_workers=workers,
        report=report,
        checkpoints=checkpoints,
    )


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
            sites = site_posteriors(
                problem,
                study.seed,
                plan,
                folder,
                folder / CHECKPOINTS,
                {name: cleaned.profiles[name].to_numpy() for name in ("lon", "lat")},
                n_workers=n_workers(),
                scheduler=os.environ.get(SCHEDULER, ""),
                report=bar.update,
            )
        n_layers = np.bincount(problem.site, minlength=problem.n_sites)
        status = site_status(sites, n_layers, site_faults(problem), plan, problem.forms()[-1])
        write_site_status(status, folder / "site_status.csv")
    return SiteAssimilation(problem, opened_sites(study.path(STORE)), status)
