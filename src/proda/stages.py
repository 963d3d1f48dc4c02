"""The six stages of a study: their order, what each reads, and what each leaves in the study folder.

A finished stage leaves a marker, ``stages/<stage>.json``; one that has begun and not ended well leaves an attempt,
``stages/<stage>.attempt.json``. When a marker is valid is decided in `proda.fingerprints`.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from proda.errors import InputError


class Stage(NamedTuple):
    """One notebook: its room, the stages whose files it reads, and name patterns of the settings that it reads."""

    room: str
    upstream: tuple[str, ...]
    settings: tuple[str, ...]


STAGES: dict[str, Stage] = {
    "01-data-cleaning": Stage("data", (), ()),
    "02-matrix-model-validation": Stage("assimilation", ("01-data-cleaning",), ()),
    "03-one-batch-assimilation": Stage("assimilation", ("01-data-cleaning",), ("one_batch_*", "chains", "relative_sd")),
    "04-site-by-site-assimilation": Stage(
        "assimilation", ("01-data-cleaning",), ("site_*", "chains", "kept_draws", "relative_sd")
    ),
    "05-network-training": Stage(
        "learning",
        ("01-data-cleaning", "04-site-by-site-assimilation"),
        ("epochs", "batch_size", "dropout", "learning_rate", "test_share", "validation_share", "network_*", "hybrid_*"),
    ),
    "06-final-figures": Stage(
        "maps",
        (
            "01-data-cleaning",
            "03-one-batch-assimilation",
            "04-site-by-site-assimilation",
            "05-network-training",
        ),
        ("map_*",),
    ),
}


def inventory(folder: Path, without: str = "") -> dict[str, dict[str, Any]]:
    """The outputs below ``folder`` as ``{relative path: {"bytes", "files", "sha256"}}``; a ``.zarr`` folder is one."""
    return {path.relative_to(folder).as_posix(): measured(path, content=True) for path in outputs(folder, without)}


def outputs(folder: Path, without: str = "") -> list[Path]:
    """The files below ``folder`` in order of name, each ``.zarr`` folder standing for all that it holds.

    What is called ``without`` in ``folder`` itself is left out.
    """
    found: list[Path] = []
    for path in sorted(item for item in folder.iterdir() if item.name != without):
        if path.is_dir() and path.suffix != ".zarr":
            found += outputs(path)
        else:
            found.append(path)
    return found


def measured(path: Path, content: bool = False) -> dict[str, Any]:
    """Size in bytes and number of files of one output, with the SHA-256 of its names and bytes if ``content``."""
    files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    result: dict[str, Any] = {"bytes": sum(item.stat().st_size for item in files), "files": len(files)}
    if content:
        total = hashlib.sha256()
        for item in files:
            total.update(item.relative_to(path).as_posix().encode())
            with item.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
        result["sha256"] = total.hexdigest()
    return result


def unfinished(out: Path, stage: str) -> str:
    """Why ``stage`` has no marker, as the end of a sentence."""
    attempt = read_json(attempt_path(out, stage))
    if attempt is None:
        return "has not been run"
    if attempt.get("error"):
        return f"failed: {attempt['error']}"
    running = is_alive(attempt) and not attempt.get("ended")
    return "is running" if running else f"was interrupted (started {attempt.get('started')})"


def refuse_if_running(out: Path, stage: str) -> None:
    """Check that no other process is at work on ``stage``; this one may begin it again.

    Raises
    ------
    InputError
        Names the process and since when it works.
    """
    attempt = read_json(attempt_path(out, stage)) or {}
    if is_alive(attempt) and not attempt.get("ended") and attempt["pid"] != this_process()["pid"]:
        raise InputError(
            f"{stage} is being run in {out} by another process ({attempt['pid']}, since {attempt.get('started')}): "
            "wait for it, stop it (if it is a notebook, shut down its kernel), or give another folder as out"
        )


def marker_path(out: Path, stage: str) -> Path:
    """The file that says that ``stage`` is finished; written last."""
    return out / "stages" / f"{stage}.json"


def attempt_path(out: Path, stage: str) -> Path:
    """The file that says that ``stage`` was begun; removed when it is finished."""
    return out / "stages" / f"{stage}.attempt.json"


def this_process() -> dict[str, Any]:
    """What identifies this process: its id, and when it began because ids are used again."""
    return {"pid": psutil.Process().pid, "process_start": psutil.Process().create_time()}


def is_alive(record: Mapping[str, Any]) -> bool:
    """Whether the process that `this_process` described in ``record`` still runs."""
    try:
        return abs(psutil.Process(record["pid"]).create_time() - record["process_start"]) < 1.0
    except (psutil.Error, KeyError, TypeError, ValueError):
        return False


def read_json(path: Path) -> dict[str, Any] | None:
    """The content of a JSON file; None when it is missing or cut short."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return content if isinstance(content, dict) else None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` so that a reader sees the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{psutil.Process().pid}.part")
    try:
        partial.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
