"""The record of a run, ``run.json``: what was run, with which versions, seed and settings, where and for how long.

What a study folder holds: which stages are complete, stale, failed or interrupted.
"""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from proda.data.fetch import bytes_text
from proda.errors import InputError
from proda.stage import STAGES, attempt_path, is_alive, marker_path, read_json, this_process, unfinished, write_json
from proda.study import Study, repository_root

PACKAGES = (
    "proda",
    "numpy",
    "scipy",
    "pandas",
    "geopandas",
    "xarray",
    "zarr",
    "numba",
    "jax",
    "keras",
    "arviz",
    "matplotlib",
    "cartopy",
    "papermill",
    "sphinx",
)


class RunRecord:
    """``run.json`` of a study folder, brought up to date on disk at every event.

    The entries of stages that are not run again are kept from the earlier record.

    Parameters
    ----------
    study : the study that runs
    names : the stages that will run
    """

    def __init__(self, study: Study, names: tuple[str, ...]):
        self.path = study.path("run.json")
        earlier = (read_json(self.path) or {}).get("stages", {})
        kept = {name: earlier[name] for name in STAGES if name in earlier and name not in names}
        self.content: dict[str, Any] = {
            "status": "running",
            **this_process(),
            "started": _now(),
            "title": study.title,
            "label": study.label,
            "opened_with": study.opened_with,
            "seed": study.seed,
            "configuration": study.configuration,
            "source": study.source,
            "settings": study.settings,
            "versions": versions(),
            "revision": revision(repository_root()),
            "platform": machine(),
            "stages": kept,
        }
        write_json(self.path, self.content)

    def stage(self, name: str, **entries: Any) -> None:
        """Add ``entries`` (status, seconds, peak_memory_mb, error, ...) to the record of one stage.

        Each has the revision that it ran at: a folder may hold stages of several runs.
        """
        entries = {"revision": self.content["revision"], **entries}
        before = self.content["stages"].get(name, {})
        unordered = {**self.content["stages"], name: {**before, **entries}}
        self.content["stages"] = {key: unordered[key] for key in STAGES if key in unordered}
        write_json(self.path, self.content)

    def end(self, status: str, **entries: Any) -> None:
        """Close the record with ``status``: complete, failed or interrupted."""
        self.content.update(status=status, finished=_now(), **entries)
        write_json(self.path, self.content)


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that shape the results, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def revision(root: Path) -> dict[str, Any] | None:
    """The git commit of the clone at ``root`` and whether files differ from it; None outside git or without it."""
    if not (root / ".git").exists():
        return None
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "dirty": bool(_git(root, "status", "--porcelain"))}


def machine() -> dict[str, Any]:
    """System, processor type, cores that this process may use, and memory in GiB; nothing that names the machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": cores,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def status_text(folder: Path) -> str:
    """A table of the stages in the study folder ``folder``, with what remains to be done.

    Raises
    ------
    InputError
        When the folder does not exist or holds no study.
    """
    if not folder.is_dir():
        raise InputError(f"study folder {folder} does not exist; runs leave theirs in data/processed/<study>-<scale>")
    record = read_json(folder / "run.json") or {}
    opened_with = _opened_with(folder, record)
    lines = []
    try:
        study = Study.open(**{**opened_with, "out": folder})
        faults, note = study.faults(), ""
        lines.append(f"{study.title}: {study.label} in {folder}")
    except InputError as error:
        faults = {name: "" if marker_path(folder, name).is_file() else unfinished(folder, name) for name in STAGES}
        note = f"Whether the stages are up to date cannot be told: {error}"
        lines.append(f"{opened_with['study']}-{opened_with['scale']} in {folder}")
    lines += [_run_line(record), ""]
    lines += [_stage_line(folder, name, faults[name], record) for name in STAGES]
    undone = [number for number, name in enumerate(STAGES, start=1) if faults[name]]
    if note:
        lines += ["", note]
    elif undone:
        lines += ["", f"To complete it: {study.command('--from', str(undone[0]))}"]
    return "\n".join(lines)


def _opened_with(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `Study.open` that the latest run or stage left behind."""
    if "opened_with" in record:
        return record["opened_with"]
    paths = [
        path for name in STAGES for path in (marker_path(folder, name), attempt_path(folder, name)) if path.is_file()
    ]
    for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True):
        content = read_json(path) or {}
        if "opened_with" in content:
            return content["opened_with"]
    raise InputError(f"{folder} is not a study folder: it has no run.json and no finished stage")


def _run_line(record: dict[str, Any]) -> str:
    if not record:
        return "No batch run; its stages come from notebooks run by hand."
    state = record["status"]
    if state == "running" and not is_alive(record):
        state = "interrupted"
    end = f", {record['seconds']:.0f} s" if "seconds" in record else ""
    error = f": {record['error']}" if record.get("error") else ""
    return f"Last run: {state}, started {record['started']}{end}{error}"


def _stage_line(folder: Path, name: str, fault: str, record: dict[str, Any]) -> str:
    marker = read_json(marker_path(folder, name))
    if fault:
        return f"  {name:<30} {fault}"
    size = bytes_text(sum(item["bytes"] for item in marker["files"].values()))
    cost = record.get("stages", {}).get(name, {})
    seconds = f", notebook {cost['seconds']:.0f} s" if "seconds" in cost else ""
    failed = f"; but the notebook {cost['status']}" if cost.get("status") in ("failed", "interrupted") else ""
    return f"  {name:<30} complete, {len(marker['files'])} outputs, {size}{seconds}{failed}"
