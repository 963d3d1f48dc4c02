"""The two assimilation stages: from the cleaned tables of a study to its posteriors on disk."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
import zarr

from proda.assimilation.chains import (
    ErrorModel,
    SiteProblem,
    error_model,
    schedule,
    site_faults,
    site_plan,
    site_problem,
)
from proda.assimilation.one_batch import OneBatch, batch_constant, one_batch_posterior
from proda.assimilation.results import one_batch_tree, read_posterior
from proda.assimilation.sbc import error_of_withheld
from proda.assimilation.store import STORE, check_sites, opened_sites, site_posteriors, site_status
from proda.data.cleaned import CleanedStudy, read_cleaned_study
from proda.data.files import read_site_status
from proda.kernels.metropolis import Proposal, Schedule
from proda.stage import CHECKPOINTS, ONE_BATCH, SITE_BY_SITE, progress_bar
from proda.study import Study
from proda.workers import n_workers

ONE_BATCH_DRAWS = 5000  # a chain, at most
ERROR_SITES = 200  # whose withheld layers an estimated error is taken from


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
    test_steps, steps, literal = study["one_batch_test_steps"], study["one_batch_steps"], study["sampler"] == "paper"
    return schedule(test_steps, steps, min(ONE_BATCH_DRAWS, (test_steps + steps) // 4), literal)


def one_batch_assimilation(study: Study) -> OneBatchAssimilation:
    """Run the one-batch stage of a study and write one_batch.nc, and one_batch_formal.nc unless the study's B is 1.

    Settings: chains, sampler, observation_*, relative_sd, one_batch_*.
    """
    plan, n_chains = one_batch_plan(study), study["chains"]
    with study.stage(ONE_BATCH, resumable=True) as folder:
        cleaned = read_cleaned_study(study)
        error = error_model(study.settings, cleaned.layers["soc"].std() / 1000.0)
        estimated = error if study["observation_error"] == "estimated" else None
        problem = site_problem(cleaned.profiles, cleaned.layers, cleaned.forcing, error)
        constants = {"one_batch.nc": batch_constant(study["one_batch_B"], problem.n_sites), "one_batch_formal.nc": 1.0}
        if constants["one_batch.nc"] == 1.0:
            del constants["one_batch_formal.nc"]
        # Side by side, so that three chains on two cores do not leave one of them waiting for the last.
        workers = max(1, n_workers() // len(constants))
        proposal = Proposal(study["one_batch_coordinates"], literal=study["sampler"] == "paper")
        with progress_bar(len(constants) * n_chains * plan.total, "one-batch", "step") as bar:

            def run(name: str) -> OneBatch:
                how = n_chains, constants[name], proposal, workers, bar.update, folder / CHECKPOINTS / Path(name).stem
                return one_batch_posterior(problem, cleaned.profiles["cell"], study.seed, plan, *how, estimated)

            with ThreadPoolExecutor(len(constants)) as pool:
                results = dict(zip(constants, pool.map(run, constants), strict=True))
        for name, result in results.items():
            one_batch_tree(result).to_netcdf(folder / name)
            read_posterior(folder / name)
    result = results["one_batch.nc"]
    return OneBatchAssimilation(problem, result, results.get("one_batch_formal.nc", result))


def site_assimilation(study: Study) -> SiteAssimilation:
    """Run the site-by-site stage of a study and write sites.zarr and site_status.csv.

    Settings: chains, kept_draws, sampler, observation_*, relative_sd, floor_kg_m3, site_*. An estimated error is that
    of layers withheld at some sites.
    """
    plan = site_plan(study.settings)
    with study.stage(SITE_BY_SITE, resumable=True) as folder:
        cleaned = read_cleaned_study(study)
        error = site_error(study, cleaned)
        problem = site_problem(cleaned.profiles, cleaned.layers, cleaned.forcing, error)
        with progress_bar(problem.n_sites, "site-by-site", "site") as bar:
            places = {name: cleaned.profiles[name].to_numpy() for name in ("lon", "lat")}
            how = folder / CHECKPOINTS, places, n_workers(), bar.update
            sites = site_posteriors(problem, study.seed, plan, folder, *how)
        attrs = {"error_relative": error.relative, "error_floor_kg_m3": error.floor, "weights": error.weights}
        zarr.open_group(folder / STORE, mode="r+").attrs.update(attrs)
        n_layers = np.bincount(problem.site, minlength=problem.n_sites)
        status = site_status(sites, n_layers, site_faults(problem), plan, problem.forms()[-1])
        status.to_csv(folder / "site_status.csv", index=False)
        check_sites(folder / STORE, read_site_status(folder / "site_status.csv"))
    return SiteAssimilation(problem, opened_sites(study.path(STORE)), status)


def site_error(study: Study, cleaned: CleanedStudy) -> ErrorModel:
    """The error of an observation in site-by-site assimilation; estimated if the study says so."""
    error = error_model(study.settings)
    if study["observation_error"] != "estimated":
        return error
    problem = site_problem(cleaned.profiles, cleaned.layers, cleaned.forcing, error)
    usable = np.flatnonzero([not fault for fault in site_faults(problem)])
    n = min(ERROR_SITES, usable.size)
    some = problem.take(np.sort(np.random.default_rng(study.seed_for("error")).permutation(usable)[:n]))
    return error_of_withheld(some, study.seed, site_plan(study.settings)._replace(max_steps=0), error)
