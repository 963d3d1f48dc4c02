"""The record of a run, ``run.json``: what was run, with which versions and settings, for how long; and the status."""

import os
import platform
import subprocess
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from proda.errors import InputError
from proda.stage import ALL_STAGES, STAGES, how_to_run, is_locked, marker_path, now, read_json, write_json
from proda.study import Study, repository_root

# Those that shape the results.
PACKAGES = (
    *("proda", "numpy", "scipy", "pandas", "geopandas", "xarray", "zarr", "numba", "jax", "keras", "scikit-learn"),
    *("arviz", "matplotlib", "cartopy", "papermill", "sphinx"),
)


class RunRecord:
    """``run.json`` of a study folder; of stages not among ``names``, the entries of the earlier record are kept."""

    def __init__(self, study: Study, names: tuple[str, ...]):
        self.path = study.path("run.json")
        earlier = (read_json(self.path) or {}).get("stages", {})
        self.content: dict[str, Any] = {
            "status": "running",
            "pid": os.getpid(),
            "started": now(),
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
            "stages": {name: earlier[name] for name in ALL_STAGES if name in earlier and name not in names},
        }
        write_json(self.path, self.content)

    def stage(self, name: str, **entries: Any) -> None:
        """Add ``entries`` (status, seconds, error, ...) and the revision that it ran at to the record of one stage."""
        stages = self.content["stages"]
        stages[name] = {**stages.get(name, {}), "revision": self.content["revision"], **entries}
        self.content["stages"] = {key: stages[key] for key in ALL_STAGES if key in stages}
        write_json(self.path, self.content)

    def end(self, status: str, **entries: Any) -> None:
        """Close the record with ``status``: complete, failed or interrupted."""
        self.content.update(status=status, finished=now(), **entries)
        write_json(self.path, self.content)


def versions() -> dict[str, str]:
    """The versions of Python and of the installed ones of `PACKAGES`."""
    result = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            result[name] = metadata.version(name)
    return result


def revision(root: Path) -> dict[str, Any] | None:
    """The git commit of the clone at ``root`` and whether files differ from it; None outside git or without it."""
    commit = _git(root, "rev-parse", "HEAD") if (root / ".git").exists() else None
    return commit and {"commit": commit, "dirty": bool(_git(root, "status", "--porcelain"))}


def machine() -> dict[str, Any]:
    """Nothing that names the machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = {"system": platform.system(), "processor": platform.machine()}
    return {**system, "cores": cores, "memory_gib": round(memory, 1)}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def status_text(folder: Path) -> str:
    """A table of the stages in the study folder ``folder``, with the command that completes it."""
    record = read_json(folder / "run.json") or {}
    markers = [marker for name in ALL_STAGES if "opened_with" in (marker := read_json(marker_path(folder, name)) or {})]
    record = record if {"opened_with", "status", "started"} <= set(record) else {}
    latest = record or max(markers, key=lambda item: item.get("started", ""), default=None)
    if latest is None:
        raise InputError(
            f"{folder} holds no study: no run.json and no stage that can be read; runs leave theirs in "
            "data/processed/<study>-<scale>"
        )
    try:
        study = Study.open(**{**latest["opened_with"], "out": folder})
    except (InputError, TypeError) as error:  # a TypeError for arguments of another version
        whole = ", ".join(marker["stage"] for marker in markers if marker.get("status") == "complete")
        raise InputError(
            f"{folder} holds a study (recorded as complete: {whole or 'nothing'}) that cannot be opened here. Copied "
            "from elsewhere, or of an earlier version? Its files can be read; to go on, name its study file and data: "
            f"python -m proda run --study FILE --data DIR --out {folder} ({error})"
        ) from None
    faults = study.faults()
    lines = [f"{study.title}: {study.label} in {folder}", _run_line(folder, record), ""]
    lines += [_stage_line(folder, name, faults[name], record) for name in ALL_STAGES]
    if record and not markers:
        lines += ["", "Its folder 'stages' is missing. Copied without it? Nothing counts as complete without it."]
    undone = next((name for name in STAGES if faults[name]), None)
    lines += ["", f"To complete it: {study.command(*how_to_run(undone))}"] if undone else []
    return "\n".join(lines)


def _run_line(folder: Path, record: dict[str, Any]) -> str:
    if not record:
        unread = (folder / "run.json").exists()
        return "Its run.json cannot be read." if unread else "Its stages come from notebooks run by hand."
    stopped = record["status"] == "running" and not is_locked(folder, "run")
    end = f", {record['seconds']:.0f} s" if "seconds" in record else ""
    error = f": {record['error']}" if record.get("error") else ""
    return f"Last run: {'interrupted' if stopped else record['status']}, started {record['started']}{end}{error}"


def _stage_line(folder: Path, name: str, fault: str, record: dict[str, Any]) -> str:
    if fault:
        return f"  {name:<30} {fault}"
    files = (read_json(marker_path(folder, name)) or {})["files"]
    size = sum(item["bytes"] for item in files.values()) / 1e6
    cost = record.get("stages", {}).get(name, {})
    seconds = f", notebook {cost['seconds']:.0f} s" if "seconds" in cost else ""
    failed = f"; but the notebook {cost['status']}" if cost.get("status") in ("failed", "interrupted") else ""
    return f"  {name:<30} complete, {len(files)} outputs, {size:.1f} MB{seconds}{failed}"
