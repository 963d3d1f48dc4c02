"""Running a study: every check first, then its notebooks one after the other by papermill, then the HTML report."""

import base64
import io
import logging
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from PIL import Image

from proda.errors import InputError, ProdaError
from proda.run.record import RunRecord
from proda.run.report import build_report, check_packages
from proda.stage import (
    ALL_STAGES,
    SITE_BY_SITE,
    STAGES,
    SUPPLEMENTS,
    check_writable,
    is_locked,
    locked,
    now,
    partial_path,
    read_json,
    write_json,
)
from proda.study import Study, repository_root
from proda.workers import SCHEDULER

LEAST_ROOM, BYTES_PER_DRAW = 1e8, 104  # bytes: of tables, maps and pages; of 25 parameters and a misfit
KERNEL = "proda-run"
KERNEL_ENVIRONMENT = {
    "KERAS_BACKEND": "jax",
    # Batched small solves are 10 to 25 times slower with two threads.
    "OPENBLAS_NUM_THREADS": "1",
    # Else a backend chosen for the terminal would take the figures from the notebook.
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}
# An IPython kernel that writes, when it ends, its processor time and that of its children (s), and the peak of the
# resident memory of the largest of these processes (MB; on Linux at least that of the process that started it).
KERNEL_PROGRAM = """
import json, os, resource, sys
from ipykernel.kernelapp import IPKernelApp
def write_cost(result, path=os.environ["PRODA_KERNEL_COST"]):
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(one.ru_utime + one.ru_stime for one in used)
    memory = max(one.ru_maxrss for one in used) * (1 if sys.platform == "darwin" else 1024) / 1e6
    json.dump({"cpu_seconds": round(seconds, 1), "peak_memory_mb": round(memory, 1)}, open(path, "w"))
kernel = IPKernelApp.instance()
kernel.initialize()
# After each cell: a kernel that is slow to end is killed before it could write.
kernel.shell.events.register("post_run_cell", write_cost)
kernel.start()
"""


class NotebookFailed(ProdaError):
    """A cell raised an error, or its kernel died."""


def run(
    study: Study,
    first: int = 1,
    only: str = "",
    supplement: bool = False,
    notebooks: Path | None = None,
    reports: Path | None = None,
    scheduler: str = "",
    fresh: bool = False,
) -> Path:
    """Run the notebooks of ``study``, build its HTML report, and give its first page.

    Arguments as the options of ``python -m proda run``. The folders ``notebooks`` and ``reports`` (executed notebooks
    and HTML) are those of the clone when None. Raises InputError or MissingOutput before anything runs, and
    NotebookFailed when a cell raises; the stages before it stay valid.
    """
    folder = notebooks or repository_root() / "notebooks"
    names = stages_to_run(first, only, supplement, folder)
    study.require(*read_but_not_run(names))
    for name in names:
        if is_locked(study.out, name):
            raise InputError(f"{name} is being run in {study.out} by another process: wait for it, or stop it")
    reports = reports or repository_root() / "reports"
    check_writable(study.out, "--out", needed_bytes(study, names))
    check_writable(reports, "--reports")
    check_packages()
    executed = reports / study.label
    with locked(study.out, "run"):
        if fresh:
            for name in names:
                shutil.rmtree(partial_path(study.out, name), ignore_errors=True)
        record, begun = RunRecord(study, names), time.monotonic()
        print(f"{study.title}: {study.label}, {len(names)} notebooks, into {study.out}", flush=True)
        try:
            with kernel_of_this_python(scheduler) as kernel:
                for number, name in enumerate(names, start=1):
                    print(f"[{number}/{len(names)}] {name} ...", end=" ", flush=True)
                    _run_stage(study, name, folder / f"{name}.ipynb", executed / f"{name}.ipynb", kernel, record)
            record.end("complete", seconds=round(time.monotonic() - begun, 1))
            # The study that runs by default has the place that the README names.
            place = reports if study.label == "virtual-demo" else executed
            page = build_report(study, executed, place / "html")
        except BaseException as error:
            record.end(_status(error), seconds=round(time.monotonic() - begun, 1), error=_first_line(error))
            raise
    print(f"Done in {_duration(time.monotonic() - begun)}. Report: {page}", flush=True)
    return page


def needed_bytes(study: Study, names: tuple[str, ...]) -> float:
    """About the size of the results of the stages ``names``: most are the draws of all parameters at every site."""
    lists = study.data.rglob("*profiles*.[ct]sv") if study.data else ()
    lines = sum(path.read_bytes().count(b"\n") for path in lists)
    n_profiles = study["n_profiles"] if study.source["kind"] == "virtual" else lines
    draws = n_profiles * study["kept_draws"] * BYTES_PER_DRAW
    return LEAST_ROOM + (draws if SITE_BY_SITE in names else 0.0)


def stages_to_run(first: int, only: str, supplement: bool, folder: Path) -> tuple[str, ...]:
    """The stages from number ``first`` on, or ``only`` one (5 or S3); with ``supplement``, those after the six."""
    if only and (first != 1 or supplement):
        raise InputError("--only excludes --from and --supplement: give one of them")
    names = tuple(STAGES)[max(first - 1, 0) :]
    if only:
        names = tuple(name for name in ALL_STAGES if name.partition("-")[0].lstrip("0") == only.upper().lstrip("0"))
    if not names or first < 1:
        known = f"1 to {len(STAGES)}, or --only 7, S1 to S5"
        raise InputError(f"there is no notebook {only or first}: give a number from {known}")
    for name in names:
        if not (folder / f"{name}.ipynb").is_file():
            raise InputError(f"notebook {folder / name}.ipynb does not exist: restore it from the repository")
    return names + tuple(name for name in SUPPLEMENTS if supplement and (folder / f"{name}.ipynb").is_file())


def read_but_not_run(names: tuple[str, ...]) -> tuple[str, ...]:
    """The stages whose results ``names`` read and which are not among them."""
    read = {below for name in names for below in ALL_STAGES[name].upstream}
    return tuple(name for name in STAGES if name in read and name not in names)


def _run_stage(study: Study, name: str, source: Path, target: Path, kernel: str, record: RunRecord) -> None:
    begun = time.monotonic()
    record.stage(name, status="running", started=now())
    try:
        cost = execute(source, target, study.opened_with, kernel)
    except BaseException as error:
        seconds = round(time.monotonic() - begun, 1)
        record.stage(name, status=_status(error), error=_first_line(error), seconds=seconds)
        print(_status(error), flush=True)
        raise
    record.stage(name, status="complete", seconds=round(time.monotonic() - begun, 1), **cost)
    memory = f", {cost['peak_memory_mb']:.0f} MB at most" if cost else ""
    print(f"{_duration(time.monotonic() - begun)}{memory}", flush=True)


@contextmanager
def kernel_of_this_python(scheduler: str = "") -> Iterator[str]:
    """The name of a kernel that runs this very interpreter: those installed on a machine need not have the package."""
    before = os.environ.get("JUPYTER_PATH")
    with tempfile.TemporaryDirectory(prefix="proda-kernel-") as folder:
        environment = KERNEL_ENVIRONMENT | {"PRODA_KERNEL_COST": str(Path(folder, "cost.json"))}
        specification = {
            # The kernel's own warnings are about this machine, not about the notebook.
            "argv": [sys.executable, "-c", KERNEL_PROGRAM, "-f", "{connection_file}", "--log-level=CRITICAL"],
            "display_name": "Python 3",
            "language": "python",
            "env": environment | ({SCHEDULER: scheduler} if scheduler else {}),
        }
        write_json(Path(folder, "kernels", KERNEL, "kernel.json"), specification)
        os.environ["JUPYTER_PATH"] = folder + (os.pathsep + before if before else "")
        try:
            yield KERNEL
        finally:
            del os.environ["JUPYTER_PATH"]
            os.environ.update({"JUPYTER_PATH": before} if before is not None else {})


def execute(source: Path, target: Path, parameters: dict[str, Any], kernel: str) -> dict[str, float]:
    """Run the notebook ``source``, write the executed copy, and give the ``cpu_seconds`` and ``peak_memory_mb``.

    The copy is ``target`` only when every cell has run, else ``<name>.failed.ipynb`` with the error in it.
    """
    # Imported late: papermill takes a second, which mistyped arguments need not wait for.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import papermill

    partial, failed = target.with_name(f".{target.stem}.part.ipynb"), target.with_suffix(".failed.ipynb")
    cost = Path(os.environ["JUPYTER_PATH"].split(os.pathsep)[0], "cost.json")
    terminal = sys.stderr.isatty()
    target.parent.mkdir(parents=True, exist_ok=True)
    for old in (target, failed, cost):
        old.unlink(missing_ok=True)
    try:
        papermill.execute_notebook(
            source,
            partial,
            parameters=parameters,
            kernel_name=kernel,
            cwd=source.parent,
            progress_bar=terminal,
            coalesce_streams=True,  # a progress bar is kept as it stood last
            stderr_file=sys.stderr if terminal else None,
        )
    except BaseException as error:
        _keep(partial, failed)
        if not isinstance(error, Exception):
            # It would report the kernel that is stopped now as an error of its own.
            logging.getLogger("asyncio").disabled = True
            raise
        where, reason = source.name, f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        if isinstance(error, papermill.PapermillExecutionError):
            where, reason = f"{where}, cell {error.cell_index + 1}", f"{error.ename}: {error.evalue}"
        elif type(error).__name__ == "DeadKernelError":
            reason = "its Python process died, most often for want of memory: take a smaller scale"
        raise NotebookFailed(f"{where}: {reason}\nWhat has run, with the error, is in {failed}") from error
    _keep(partial, target)
    return read_json(cost) or {}


def _keep(partial: Path, target: Path) -> None:
    """Move an executed notebook to its place, with smaller images and without what papermill adds to its metadata."""
    if not partial.is_file():
        return
    notebook = nbformat.read(partial, as_version=4)
    notebook.metadata.pop("papermill", None)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = _with_palette(output.data["image/png"])
    partial.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    partial.replace(target)


def _with_palette(png: str) -> str:
    """A PNG image (base64) in 256 colours, a third of its size: maps with thousands of cells are large."""
    smaller = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB").quantize(256).save(smaller, "PNG")
    return base64.b64encode(smaller.getvalue()).decode()


def _status(error: BaseException) -> str:
    return "failed" if isinstance(error, Exception) else "interrupted"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def _first_line(error: BaseException) -> str:
    if not isinstance(error, Exception):
        return "stopped from outside"
    return (str(error).splitlines() or [type(error).__name__])[0][:500]
