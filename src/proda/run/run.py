"""A study from end to end: every check first, then the notebooks one after the other, then the report.

One run at a time in a study folder.

One notebook, executed by papermill in a kernel process of its own.
"""

import json
import os
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import psutil

from proda.assimilation.stage import SCHEDULER
from proda.errors import InputError, ProdaError
from proda.run.record import RunRecord
from proda.run.report import build_report
from proda.stage import STAGES, forget_interrupted, is_alive, read_json, refuse_if_running, this_process, write_json
from proda.study import Study, repository_root

LOCK = ".run.lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process until the block ends. The lock of a process that is no more is taken over.

    Raises
    ------
    InputError
        When a living process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / LOCK
    mine = folder / f"{LOCK}.{os.getpid()}"
    mine.write_text(json.dumps({**this_process(), "started": datetime.now(UTC).isoformat(timespec="seconds")}))
    try:
        _take(lock, mine)
    finally:
        mine.unlink(missing_ok=True)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _take(lock: Path, mine: Path) -> None:
    for _ in range(3):
        try:
            # A link appears with its content or not at all, so no other process can read a half-written lock.
            os.link(mine, lock)
            return
        except FileExistsError:
            holder = read_json(lock) or {}
            if is_alive(holder):
                raise InputError(
                    f"another run (process {holder['pid']}, since {holder['started']}) works in {lock.parent}: "
                    "wait for it, stop it, or give another folder with --out"
                ) from None
            lock.unlink(missing_ok=True)
    raise InputError(f"{lock} cannot be taken: another run starts at the same moment; try again")


KERNEL = "proda-batch"
KERNEL_ENVIRONMENT = {
    "KERAS_BACKEND": "jax",
    # Batched small solves are 10 to 25 times slower with two threads.
    "OPENBLAS_NUM_THREADS": "1",
    # Else a backend chosen for the terminal would take the figures from the notebook.
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}


class NotebookFailed(ProdaError):
    """A cell raised an error, or its kernel died."""


def notebook_paths(folder: Path, names: tuple[str, ...]) -> dict[str, Path]:
    """The notebook of each stage in ``folder``.

    Raises
    ------
    InputError
        Names the first that is missing.
    """
    paths = {name: folder / f"{name}.ipynb" for name in names}
    for path in paths.values():
        if not path.is_file():
            raise InputError(f"notebook {path} does not exist: restore it from the repository")
    return paths


@contextmanager
def kernel_of_this_python() -> Iterator[str]:
    """The name of a kernel that runs this very interpreter, for as long as the block lasts.

    The kernels that are installed on a machine need not have the package.
    """
    before = os.environ.get("JUPYTER_PATH")
    with tempfile.TemporaryDirectory(prefix="proda-kernel-") as folder:
        # What JAX has compiled in one process serves the others of the run.
        programs = {"JAX_COMPILATION_CACHE_DIR": os.environ.get("JAX_COMPILATION_CACHE_DIR", str(Path(folder, "jax")))}
        specification = {
            # Its warnings are about itself (how it talks to this process on this machine), not about the notebook.
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=ERROR"],
            "display_name": "Python 3",
            "language": "python",
            "env": KERNEL_ENVIRONMENT | programs,
        }
        write_json(Path(folder, "kernels", KERNEL, "kernel.json"), specification)
        os.environ["JUPYTER_PATH"] = folder + (os.pathsep + before if before else "")
        try:
            yield KERNEL
        finally:
            if before is None:
                del os.environ["JUPYTER_PATH"]
            else:
                os.environ["JUPYTER_PATH"] = before


def execute(source: Path, target: Path, parameters: dict[str, Any], kernel: str, progress: bool = False) -> None:
    """Run the notebook ``source`` and leave the executed copy at ``target``, only when every cell has run.

    After an error the copy, with the error in it, is ``<name>.failed.ipynb`` beside it (``<name>.interrupted.ipynb``
    when the run was stopped) and no file ``target`` exists.

    Parameters
    ----------
    parameters : values for the cell tagged "parameters"
    kernel : name of a Jupyter kernel
    progress : show the cells' progress, and what they write to stderr, in the terminal

    Raises
    ------
    NotebookFailed
        Names the notebook, the cell and the error.
    """
    # Imported late: papermill takes a second, which mistyped arguments need not wait for.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import papermill

    partial = target.with_name(f".{target.stem}.part.ipynb")
    failed, interrupted = (target.with_suffix(f".{word}.ipynb") for word in ("failed", "interrupted"))
    target.parent.mkdir(parents=True, exist_ok=True)
    for old in (target, failed, interrupted):
        old.unlink(missing_ok=True)
    try:
        papermill.execute_notebook(
            source,
            partial,
            parameters=parameters,
            kernel_name=kernel,
            cwd=source.parent,
            progress_bar=progress,
            stderr_file=sys.stderr if progress else None,
        )
    except papermill.PapermillExecutionError as error:
        _tidy(partial, failed)
        raise NotebookFailed(
            f"{source.name}, cell {error.cell_index + 1}: {error.ename}: {error.evalue}\n"
            f"The notebook with the error is {failed}"
        ) from error
    except (KeyboardInterrupt, SystemExit):
        _tidy(partial, interrupted)
        raise
    except Exception as error:
        _tidy(partial, failed)
        raise NotebookFailed(f"{source.name}: {_reason(error)}\nWhat had run is in {failed}") from error
    _tidy(partial, target)


class PeakMemory:
    """The largest memory of this process's children together, sampled while the block lasts.

    Pages that processes share, such as those of libraries, count once where the system tells (PSS, Linux).

    with PeakMemory() as memory: ...
    memory.megabytes
    """

    interval = 0.5  # s
    # The system walks through all pages of a process to tell its PSS, a tenth of a second a gigabyte while the process
    # has to wait. Its resident memory costs nothing: PSS is asked for when that has grown by this share.
    growth = 0.01

    def __enter__(self) -> "PeakMemory":
        self.megabytes = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.megabytes = round(self.megabytes, 1)

    def _sample(self) -> None:
        parent, asked = psutil.Process(), 0.0
        while not self._stop.wait(self.interval):
            children = parent.children(recursive=True)
            resident = sum(_bytes(child, "rss") for child in children)
            if resident > asked * (1.0 + self.growth):
                asked = resident
                self.megabytes = max(self.megabytes, sum(_bytes(child, "pss") for child in children) / 1e6)


def _bytes(process: psutil.Process, kind: str) -> int:
    """Resident memory of a process ("rss"), or its share of it ("pss") where the system tells; 0 when it is gone."""
    try:
        memory = process.memory_info() if kind == "rss" else process.memory_full_info()
    except psutil.Error:
        return 0
    return getattr(memory, kind, memory.rss)


def _tidy(partial: Path, target: Path) -> None:
    """Move an executed notebook to its place, without the folders and kernel that papermill writes into it."""
    if not partial.is_file():
        return
    notebook = nbformat.read(partial, as_version=4)
    notebook.metadata.pop("papermill", None)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    partial.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    partial.replace(target)


def _reason(error: Exception) -> str:
    if type(error).__name__ == "DeadKernelError":
        return "its Python process died, most often for want of memory: close other programs or take a smaller scale"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:500]}"


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
