"""The six stages of a study: their order, what each reads, and what makes a finished one out of date.

A finished stage leaves a marker, ``stages/<stage>.json`` in the study folder. It is valid while

* the fingerprint of its inputs (study source, seed, the settings that it reads, the raw data files, and the
  fingerprints of the stages below it) is what it was,
* the files that it wrote are there, with their sizes, and
* every stage that it read from still holds the content that was read.

So repeating a stage with the same result leaves the later stages valid, and any other change makes them stale.
"""

import hashlib
import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import psutil

WHOLE_HASH_LIMIT = 256 * 2**20  # bytes; hashing more than this would be felt at every start


class Stage(NamedTuple):
    """One notebook: the stages whose files it reads, and name patterns of the settings that it reads itself."""

    upstream: tuple[str, ...]
    settings: tuple[str, ...]


STAGES: dict[str, Stage] = {
    "01-data-cleaning": Stage((), ()),
    "02-matrix-model-validation": Stage(("01-data-cleaning",), ("validation_cells",)),
    "03-one-batch-assimilation": Stage(("01-data-cleaning",), ("one_batch_*", "chains", "kept_draws", "relative_sd")),
    "04-site-by-site-assimilation": Stage(("01-data-cleaning",), ("site_*", "chains", "kept_draws", "relative_sd")),
    "05-network-training": Stage(
        ("01-data-cleaning", "04-site-by-site-assimilation"),
        ("epochs", "batch_size", "dropout", "learning_rate", "test_share", "validation_share", "network_*"),
    ),
    "06-final-figures": Stage(
        (
            "01-data-cleaning",
            "03-one-batch-assimilation",
            "04-site-by-site-assimilation",
            "05-network-training",
        ),
        ("map_*",),
    ),
}


def stage_numbered(number: int) -> str:
    """The name of stage ``number`` (1 to 6)."""
    return tuple(STAGES)[number - 1]


def settings_read(stage: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings on which ``stage`` depends: those that it names, and those that no stage names.

    A setting that nobody claims counts for every stage, so a new setting can make too much stale but never too little.
    """
    claimed = {name for name in settings for other in STAGES.values() if _matches(name, other.settings)}
    own = STAGES[stage].settings
    return {name: value for name, value in settings.items() if name not in claimed or _matches(name, own)}


def fingerprint(stage: str, settings: Mapping[str, Any], identity: Mapping[str, Any], data: Path | None) -> str:
    """SHA-256 (hex) of everything that decides the result of ``stage``.

    Parameters
    ----------
    settings : every setting of the study, by name
    identity : what all stages share: source table, configuration, seed
    data : folder of the raw tables, or None for a study that makes its own
    """
    below = {name: fingerprint(name, settings, identity, data) for name in STAGES[stage].upstream}
    parts: dict[str, Any] = {
        "stage": stage,
        "identity": identity,
        "settings": settings_read(stage, settings),
        "upstream": below,
    }
    if not below and data is not None:
        parts["data"] = {path.name: _digest(path) for path in sorted(data.iterdir()) if path.is_file()}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def inventory(folder: Path) -> dict[str, dict[str, Any]]:
    """The outputs below ``folder`` as ``{relative path: {"bytes", "files", "sha256"}}``; a ``.zarr`` folder is one."""
    return {path.relative_to(folder).as_posix(): measured(path, content=True) for path in outputs(folder)}


def outputs(folder: Path) -> list[Path]:
    """The files below ``folder`` in order of name, each ``.zarr`` folder standing for all that it holds."""
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
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


def fault(out: Path, stage: str, expected: Mapping[str, str]) -> str:
    """Why the outputs of ``stage`` cannot be used, as the end of a sentence; empty when they can.

    Parameters
    ----------
    out : the study folder
    expected : the present fingerprint of every stage
    """
    marker = read_json(marker_path(out, stage))
    if marker is None:
        return unfinished(out, stage)
    if marker.get("fingerprint") != expected[stage]:
        return "is stale: it was made with other settings, another seed or other data"
    for name, recorded in marker["files"].items():
        path = out / name
        if not path.exists():
            return f"is incomplete: its file {name} is missing"
        if measured(path) != {key: recorded[key] for key in ("bytes", "files")}:
            return f"is damaged: its file {name} has changed since it was written"
    for below, content in marker["upstream"].items():
        reason = fault(out, below, expected)
        if reason:
            return f"is stale: {below}, which it was made from, {reason}"
        if (read_json(marker_path(out, below)) or {}).get("content") != content:
            return f"is stale: {below} has a new result since"
    return ""


def unfinished(out: Path, stage: str) -> str:
    """Why ``stage`` has no marker, as the end of a sentence."""
    attempt = read_json(attempt_path(out, stage))
    if attempt is None:
        return "has not been run"
    if attempt.get("error"):
        return f"failed: {attempt['error']}"
    running = is_alive(attempt) and not attempt.get("ended")
    return "is running" if running else f"was interrupted (started {attempt.get('started')})"


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
    partial.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
    partial.replace(path)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _digest(path: Path) -> str:
    """SHA-256 of a raw data file; of its size and time of change when reading it all would take too long."""
    state = path.stat()
    return _file_digest(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _file_digest(path: Path, size: int, changed: int) -> str:
    if size > WHOLE_HASH_LIMIT:
        return f"{size} bytes, changed {changed}"
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
