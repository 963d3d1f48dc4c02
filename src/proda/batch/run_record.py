"""The record of a run, ``run.json``: what was run, with which versions, seed and settings, where and for how long."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from proda.stages import STAGES, read_json, this_process, write_json
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
