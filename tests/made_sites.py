"""Sites and studies that are sampled in a moment: profiles that are the model's own, and a small virtual study."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr
from columns import drawn_columns, seasonal_columns, seasonal_forcing

from proda.assimilation import one_batch, stage, store
from proda.assimilation.chains import SitePlan, SiteProblem
from proda.assimilation.one_batch import OneBatch, Progress, one_batch_posterior
from proda.assimilation.store import SiteStore, batch_arrays, site_posteriors
from proda.kernels import steady_state as kernels
from proda.kernels.metropolis import Schedule
from proda.kernels.misfit import layer_weights
from proda.model.configuration import PAPER, Configuration, configuration_of
from proda.model.observation import at_depths
from proda.model.parameters import physical
from proda.study import Study

DEPTH = np.array([0.03, 0.12, 0.3, 0.6, 1.0, 1.6])
SHORT = SitePlan(Schedule(200, 200, 300, 10), n_kept=30)


def made_problem(theta: np.ndarray, forcing, relative_sd: float = 0.3) -> SiteProblem:
    """Sites with these parameters (n_parameters, n), physical, observed without error at `DEPTH`."""
    n, configuration = forcing.n_columns, configuration_of(forcing)
    site, depth = np.repeat(np.arange(n), DEPTH.size), np.tile(DEPTH, n)
    soc = at_depths(kernels.soc_density(theta, forcing, configuration), site, depth, configuration.column)
    names = [f"P{k}" for k in range(n)]
    return SiteProblem(names, forcing, site, depth, depth, soc, relative_sd * soc, layer_weights(site, depth))


def true_columns(configuration: Configuration, n: int, seed: int = 11):
    """Parameters well inside the prior box, physical, and the forcing of n sites, on soil deeper than `DEPTH`."""
    if not configuration.monthly:
        return drawn_columns(n, seed=seed, low=0.2, high=0.8)
    forcing = seasonal_forcing(n, seed)
    x = np.random.default_rng(seed + 1000).uniform(0.2, 0.8, (len(configuration.parameters), n))
    forcing = forcing._replace(bedrock=np.maximum(forcing.bedrock, 12))
    return physical(x, forcing, configuration.parameters), forcing


def few_sites(n: int, seed: int = 11, configuration: Configuration = PAPER) -> SiteProblem:
    """`n` sites with parameters well inside the prior box."""
    return made_problem(*true_columns(configuration, n, seed))


def posteriors_in(folder: Path, problem: SiteProblem, plan: SitePlan = SHORT, seed: int = 7, **how) -> xr.Dataset:
    """`site_posteriors` with the store and its marks below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return site_posteriors(problem, seed, plan, folder, folder / "checkpoints", **{"n_workers": 1, **how})


def store_bytes(folder: Path) -> dict[str, bytes]:
    """Every file of `sites.zarr` in `folder`, by its path."""
    made = folder / "sites.zarr"
    return {path.relative_to(made).as_posix(): path.read_bytes() for path in made.rglob("*") if path.is_file()}


# One-batch: 30 profiles in some of 40 cells.
POOLED_PLAN = Schedule(500, 500, 800, 8)
N_CELLS, N_PROFILES = 40, 30


def pooled_problem(
    times: int = 1, relative_sd: float = 0.3, configuration: Configuration = PAPER
) -> tuple[SiteProblem, np.ndarray]:
    """30 profiles, several in one cell, with 30 % error, and the cell of each.

    `times` repeats them: as many times the information, in the same cells.
    """
    rng = np.random.default_rng(2)
    columns = seasonal_columns if configuration.monthly else drawn_columns
    theta, forcing = columns(N_CELLS, seed=21, low=0.3, high=0.7)
    cell = rng.integers(0, 25, N_PROFILES)
    n_layers = rng.integers(2, 7, N_PROFILES)
    site = np.repeat(np.arange(N_PROFILES), n_layers)
    depth = np.concatenate([np.sort(rng.uniform(0.02, 2.0, n)) for n in n_layers])
    soc = kernels.soc_density(theta, forcing, configuration)
    soc = at_depths(soc, cell[site], depth, configuration.column) * rng.lognormal(0.0, 0.3, site.size)
    names = [f"P{k}" for k in range(N_PROFILES)]
    sd = np.hypot(relative_sd * soc, 1.0)  # of hardly any carbon as well
    one = SiteProblem(names, forcing.take(cell), site, depth, depth, soc, sd, layer_weights(site, depth))
    every = np.tile(np.arange(N_PROFILES), times)
    return one.take(every), cell[every]


def pooled_draws(study: tuple[SiteProblem, np.ndarray], B: float = 1.0 / N_PROFILES, **how) -> OneBatch:
    """`one_batch_posterior` of `pooled_problem`, with a short plan."""
    return one_batch_posterior(
        *study, how.pop("seed", 3), how.pop("plan", POOLED_PLAN), how.pop("n_chains", 3), B, **how
    )


# A small virtual study whose assimilation stages can be run, and killed, in another process.
SETTINGS = {
    "n_profiles": 60,
    "site_test_steps": 2000,
    "site_steps": 10_000,
    "site_max_steps": 30_000,
    "kept_draws": 60,
    "one_batch_test_steps": 4000,
    "one_batch_steps": 40_000,
    "one_batch_B": "1/n",
}
STAGES = {"sites": stage.SITE_BY_SITE, "one-batch": stage.ONE_BATCH}
FILES = {"sites": ("sites.zarr", "site_status.csv"), "one-batch": ("one_batch.nc", "one_batch_formal.nc")}
RUN = {"sites": stage.site_assimilation, "one-batch": stage.one_batch_assimilation}


def study_in(out: Path, study: str = "virtual") -> Study:
    """The small study in the folder `out`."""
    return Study.open(study, "tiny", out=out, settings=SETTINGS)


def stage_files(out: Path, name: str) -> dict[str, bytes]:
    """Every file of the result of a stage, by its path."""
    tops = [out / file for file in FILES[name]]
    paths = [path for top in tops for path in ([top] if top.is_file() else sorted(top.rglob("*"))) if path.is_file()]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}


def run_stage(out: Path, study: str, name: str, send: Callable[[str], None]) -> None:
    """Run a stage, "sites" or "one-batch", in small steps, and send what it goes on with."""
    store.SITES_PER_BATCH = 4
    one_batch.SECONDS_BETWEEN = 0.05
    finished, saved_chain = SiteStore.finished, one_batch.saved_chain

    def sending_finished(*given) -> bool:
        there = finished(*given)
        if there:
            send("went on with a batch")
        return there

    def sending_saved(*given) -> Progress | None:
        progress = saved_chain(*given)
        if progress is not None:
            send(f"went on at step {progress.step}")
        return progress

    SiteStore.finished, one_batch.saved_chain = sending_finished, sending_saved
    # What is compiled the first time must not be among the moments in which a test kills.
    batch_arrays(few_sites(1), 7, SHORT)
    pooled_draws(pooled_problem(), plan=SHORT.schedule)
    opened = study_in(out, study)
    send("begun")
    RUN[name](opened)
    send("ended")
