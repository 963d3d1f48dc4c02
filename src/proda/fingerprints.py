"""What decides the result of a stage, and why a finished stage can no longer be used.

A marker is valid while

* its fingerprint (study source, seed, settings, raw data files and the source code of the package) is what it was,
* the files that the stage wrote are there, with their sizes and, unless they are large, their content, and
* every stage that it read from is valid and still holds the content that was read.

So repeating a stage with the same result leaves the later stages valid, and any other change makes them stale.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

from proda import __version__
from proda.stages import STAGES, marker_path, measured, read_json, unfinished

PACKAGE = Path(__file__).parent
# From the lowest floor up. Figures and the command line show and run what these compute.
ROOMS = ("model", "data", "assimilation", "learning", "maps")
NO_RESULT = ("__main__.py", "code_folder.py")  # say what is run and where compiled code is kept
SHOWN = "shown_"
WHOLE_HASH_LIMIT = 256 * 2**20  # bytes; hashing more than this would be felt at every start

READ_AGAIN = 64 * 2**20  # bytes; larger files, and folders, are told apart by their size only

Fingerprint = Mapping[str, Any]


def fingerprint(
    stage: str, settings: Mapping[str, Any], identity: Mapping[str, Any], seed: int, data: Path | None
) -> dict[str, Any]:
    """Everything beside the stages below it that decides the result of ``stage``: values, or their SHA-256 (hex).

    Parameters
    ----------
    settings : every setting of the study, by name
    identity : what all stages share: source table and configuration
    data : folder of the raw tables, or None for a study that makes its own
    """
    reads_data = data is not None and not STAGES[stage].upstream
    paths = data_files(data) if reads_data else []
    files = {path.relative_to(data).as_posix(): _digest(path) for path in paths}
    return {
        "study": _sha256(identity),
        "seed": seed,
        "settings": settings_read(stage, settings),
        "data": _sha256(files),
        "code": code_digest(STAGES[stage].room),
    }


def data_files(folder: Path) -> list[Path]:
    """The raw data files in and below `folder`, sorted; the folder of a study that lies there is no raw data."""
    found = []
    for place, below, names in os.walk(folder):
        below[:] = [name for name in below if not _is_study_folder(Path(place, name))]
        found += [Path(place, name) for name in names]
    return sorted(path for path in found if path.is_file())


def _is_study_folder(folder: Path) -> bool:
    return (folder / "run.json").is_file() or any((folder / "stages").glob("*.json"))


def settings_read(stage: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings on which ``stage`` depends: those that it names, and those that no stage names.

    A setting that nobody claims counts for every stage, so a new setting can make too much stale but never too little.
    Those called ``shown_...`` decide how much a notebook shows beside its results, and count for none.
    """
    settings = {name: value for name, value in settings.items() if not name.startswith(SHOWN)}
    claimed = {name for name in settings for other in STAGES.values() if _matches(name, other.settings)}
    own = STAGES[stage].settings
    return {name: value for name, value in settings.items() if name not in claimed or _matches(name, own)}


@lru_cache(maxsize=64)
def code_digest(room: str, package: Path = PACKAGE) -> str:
    """SHA-256 (hex) of the source that ``room`` can run: its own, that of the floors below, and what all rooms share.

    A room imports only from below, so other code has no part in its results: chains that took a night stay valid when
    a map is drawn in another way.
    """
    folders = [package, *(package / name for name in ROOMS[: ROOMS.index(room) + 1])]
    total = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.glob("*.py") if folder == package else folder.rglob("*.py")):
            if path.name not in NO_RESULT:
                # Read as text, because a checkout may end its lines in its own way.
                text = path.read_text(encoding="utf-8")
                total.update(f"{path.relative_to(package).as_posix()}\n{len(text)}\n{text}".encode())
    return total.hexdigest()


def fault(out: Path, stage: str, expected: Mapping[str, Fingerprint]) -> str:
    """Why the outputs of ``stage`` cannot be used, as the end of a sentence; empty when they can.

    Parameters
    ----------
    out : the study folder
    expected : the present fingerprint of every stage
    """
    marker = read_json(marker_path(out, stage))
    if marker is None:
        return unfinished(out, stage)
    stale = difference(marker.get("fingerprint"), expected[stage])
    if stale:
        version = marker.get("version", __version__)
        return f"is stale: {stale}" + (f" (written by proda {version})" if version != __version__ else "")
    for name, recorded in marker["files"].items():
        path = out / name
        if not path.exists():
            return f"is incomplete: its file {name} is missing"
        if measured(path) != {key: recorded[key] for key in ("bytes", "files")}:
            return f"is damaged: its file {name} has changed since it was written"
        if path.is_file() and recorded["bytes"] <= READ_AGAIN and _content_now(path) != recorded["sha256"]:
            return (
                f"is damaged: its file {name} has other content than was written there, though as many bytes: is it of "
                "another study?"
            )
    for below, content in marker["upstream"].items():
        reason = fault(out, below, expected)
        if reason:
            return f"is stale: {below}, which it was made from, {reason}"
        if (read_json(marker_path(out, below)) or {}).get("content") != content:
            return f"is stale: {below} has a new result since"
    return ""


def difference(before: Any, now: Fingerprint) -> str:
    """In words, what of settings, seed, data and code is no longer what it was; empty when nothing is."""
    if not isinstance(before, dict) or set(before) != set(now):
        return "the package has changed since"  # its marker is in the form of another version
    told = []
    old, new = before["settings"], now["settings"]
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    if names:
        told.append(f"other settings ({', '.join(names)})")
    words = {"seed": "another seed", "study": "another source or configuration", "data": "other data"}
    told += [text for part, text in words.items() if before[part] != now[part]]
    reasons = [f"it was made with {' and '.join(told)}"] if told else []
    if before["code"] != now["code"]:
        reasons.append("the package has changed since")
    return ", and ".join(reasons)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _sha256(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


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


def _content_now(path: Path) -> str:
    state = path.stat()
    return _content_of(path, state.st_size, state.st_mtime_ns, state.st_ino)


@lru_cache(maxsize=256)
def _content_of(path: Path, size: int, changed: int, inode: int) -> str:
    return measured(path, content=True)["sha256"]
