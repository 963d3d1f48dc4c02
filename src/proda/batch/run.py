"""A study from end to end: every check first, then the notebooks one after the other, then the report."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from proda.assimilation.stage import SCHEDULER
from proda.batch.html import build_report
from proda.batch.lock import locked
from proda.batch.notebooks import PeakMemory, execute, kernel_of_this_python, notebook_paths
from proda.batch.run_record import RunRecord
from proda.checkpoints import forget_interrupted
from proda.errors import InputError
from proda.stages import STAGES, refuse_if_running
from proda.study import Study, repository_root


def run(
    study: Study,
    first: int = 1,
    only: int | None = None,
    notebooks: Path | None = None,
    reports: Path | None = None,
    scheduler: str = "",
    fresh: bool = False,
) -> Path:
    """Run the notebooks of ``study`` and build its HTML report.

    Parameters
    ----------
    first : number of the notebook to begin with (1 to 6); what the later ones read must be there and up to date
    only : run this notebook alone
    notebooks : folder of the notebooks; ``notebooks`` of the clone when None
    reports : folder for executed notebooks and HTML; ``reports`` of the clone when None
    scheduler : address of a Dask scheduler whose workers sample the sites
    fresh : give up what interrupted runs of these notebooks left, instead of going on from it

    Returns
    -------
    The front page of the report.

    Raises
    ------
    InputError, MissingOutput
        Before anything runs.
    NotebookFailed
        When a cell raises; the stages before it stay valid.
    """
    names = stages_to_run(first, only)
    study.require(*read_but_not_run(names))
    for name in names:
        refuse_if_running(study.out, name)
    paths = notebook_paths(notebooks or repository_root() / "notebooks", names)
    reports = reports or repository_root() / "reports"
    executed = reports / study.label
    with locked(study.out), _stopped_by_sigterm(), _scheduler_known(scheduler):
        if fresh:
            forget_interrupted(study.out, names)
        record = RunRecord(study, names)
        started = time.monotonic()
        print(
            f"{study.title}: {study.label}, notebooks {names[0][:2]} to {names[-1][:2]}, into {study.out}", flush=True
        )
        try:
            with kernel_of_this_python() as kernel:
                for name, source in paths.items():
                    _run_stage(study, name, source, executed / source.name, kernel, record)
            seconds = round(time.monotonic() - started, 1)
            record.end("complete", seconds=seconds)
            page = build_report(study, executed, html_folder(study, reports))
        except BaseException as error:
            status = "failed" if isinstance(error, Exception) else "interrupted"
            record.end(status, seconds=round(time.monotonic() - started, 1), error=_first_line(error))
            raise
    print(f"Done in {_duration(time.monotonic() - started)}. Report: {page}", flush=True)
    return page


def stages_to_run(first: int, only: int | None) -> tuple[str, ...]:
    """The names of the stages from number ``first`` on, or of number ``only`` alone."""
    names = tuple(STAGES)
    for number in (first, only):
        if number is not None and not 1 <= number <= len(names):
            raise InputError(f"there is no notebook {number}: give a number from 1 to {len(names)}")
    if only is not None and first != 1:
        raise InputError("--from and --only exclude each other: give one of them")
    return names[first - 1 :] if only is None else names[only - 1 : only]


def read_but_not_run(names: tuple[str, ...]) -> tuple[str, ...]:
    """The stages whose results ``names`` read and which are not among them."""
    read = {below for name in names for below in STAGES[name].upstream}
    return tuple(name for name in STAGES if name in read and name not in names)


def html_folder(study: Study, reports: Path) -> Path:
    """Where the report of ``study`` is: ``html`` for the study that runs by default, else a folder of its own."""
    return reports / "html" if study.label == "virtual-demo" else reports / study.label / "html"


def _run_stage(study: Study, name: str, source: Path, target: Path, kernel: str, record: RunRecord) -> None:
    started = time.monotonic()
    terminal = sys.stderr.isatty()
    number = list(STAGES).index(name) + 1
    print(f"[{number}/{len(STAGES)}] {name} ...", end="\n" if terminal else " ", flush=True)
    record.stage(name, status="running", started=datetime.now(UTC).isoformat(timespec="seconds"))
    parameters = study.opened_with
    try:
        with PeakMemory() as memory:
            execute(source, target, parameters, kernel, progress=terminal)
    except BaseException as error:
        status = "failed" if isinstance(error, Exception) else "interrupted"
        record.stage(name, status=status, error=_first_line(error), **_cost(started, memory))
        print(status, flush=True)
        raise
    record.stage(name, status="complete", **_cost(started, memory))
    print(f"{_duration(time.monotonic() - started)}, {memory.megabytes:.0f} MB at most", flush=True)


def _cost(started: float, memory: PeakMemory) -> dict[str, float]:
    return {"seconds": round(time.monotonic() - started, 1), "peak_memory_mb": memory.megabytes}


@contextmanager
def _scheduler_known(address: str) -> Iterator[None]:
    """Tell the kernels of the notebooks which Dask scheduler to use: it is no setting, for it changes no result."""
    before = os.environ.get(SCHEDULER)
    if address:
        os.environ[SCHEDULER] = address
    try:
        yield
    finally:
        if address:
            os.environ.pop(SCHEDULER, None)
            os.environ.update({SCHEDULER: before} if before is not None else {})


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the run as an error does, so that kernels are stopped and the lock is given back."""

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread, where no signal arrives
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def _first_line(error: BaseException) -> str:
    if not isinstance(error, Exception):
        return "stopped from outside"
    return (str(error).splitlines() or [type(error).__name__])[0][:500]
