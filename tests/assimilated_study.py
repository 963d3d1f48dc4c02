"""A small virtual study whose assimilation stages can be run by another process, to be killed or refused the disk."""

from collections.abc import Callable
from pathlib import Path

from made_sites import SHORT, few_sites
from pooled_study import pooled_study, sampled

from proda.assimilation import one_batch as chain_checkpoint
from proda.assimilation import sites as site_by_site
from proda.assimilation import stage
from proda.assimilation.one_batch import ChainCheckpoint, Progress
from proda.assimilation.store import SiteStore, batch_arrays
from proda.data.stage import cleaned_study
from proda.study import Study

SETTINGS = {
    "n_profiles": 60,
    "site_test_steps": 2000,
    "site_steps": 10_000,
    "site_max_steps": 30_000,
    "kept_draws": 60,
    "one_batch_test_steps": 4000,
    "one_batch_steps": 8000,
}
STAGES = {"sites": stage.SITE_BY_SITE, "one-batch": stage.ONE_BATCH}
FILES = {"sites": ("sites.zarr", "site_status.csv"), "one-batch": ("one_batch.nc", "one_batch_formal.nc")}
RUN = {"sites": stage.site_assimilation, "one-batch": stage.one_batch_assimilation}


def study_in(out: Path) -> Study:
    return Study.open("virtual", "tiny", out=out, settings=SETTINGS)


def make_data(out: Path) -> None:
    """The stage that assimilation reads from."""
    cleaned_study(study_in(out))


def stage_files(out: Path, name: str) -> dict[str, bytes]:
    """Every file of the result of a stage, by its path."""
    tops = [out / file for file in FILES[name]]
    paths = [path for top in tops for path in ([top] if top.is_file() else sorted(top.rglob("*"))) if path.is_file()]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}


def small_steps() -> None:
    """Small batches and frequent checkpoints, so that a run of seconds has as many as one of hours."""
    site_by_site.SITES_PER_BATCH = 4
    chain_checkpoint.SECONDS_BETWEEN = 0.05


def run_stage(out: Path, name: str, tell: Callable[[str], None]) -> None:
    """What another process does: run a stage, "sites" or "one-batch", and tell what it goes on with."""
    small_steps()
    finished, read = SiteStore.finished, ChainCheckpoint.read

    def tells_finished(*given) -> bool:
        there = finished(*given)
        if there:
            tell("went on with a batch")
        return there

    def tells_read(*given) -> Progress | None:
        progress = read(*given)
        if progress is not None:
            tell(f"went on at step {progress.step}")
        return progress

    SiteStore.finished, ChainCheckpoint.read = tells_finished, tells_read
    # What is compiled the first time must not be among the moments in which a test kills.
    batch_arrays(few_sites(1), 7, SHORT)
    sampled(pooled_study(), plan=SHORT.schedule)
    study = study_in(out)
    tell("begun")
    RUN[name](study)
    tell("ended")
