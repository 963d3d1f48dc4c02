"""The six stages of a study: their order, what each reads, and what each leaves in the study folder.

A finished stage leaves a marker, ``stages/<stage>.json``; one that has begun and not ended well leaves an attempt,
``stages/<stage>.attempt.json``. When a marker is valid is decided in `proda.stage`.

What decides the result of a stage, and why a finished stage can no longer be used.

A marker is valid while

* its fingerprint (study source, seed, settings, raw data files and the source code of the package) is what it was,
* the files that the stage wrote are there, with their sizes and, unless they are large, their content, and
* every stage that it read from is valid and still holds the content that was read.

So repeating a stage with the same result leaves the later stages valid, and any other change makes them stale.

The folder of a stage in the making, and what lets an interrupted stage go on where it was.

A stage that can go on keeps its unfinished files in `.partial-<stage>` when it is interrupted, with `made_for.json`:
the fingerprint and the upstream content that they belong to. They are used by a run of the same, and by no other.

A stage while it is written: its files become the study's together, when all of them are there, or not at all.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import psutil

from proda import __version__
from proda.code_cache import source_digest
from proda.errors import InputError, ProdaError


class Stage(NamedTuple):
    """One notebook: its room, the stages whose files it reads, and name patterns of the settings that it reads."""

    room: str
    upstream: tuple[str, ...]
    settings: tuple[str, ...]


ONE_BATCH, SITE_BY_SITE = "03-one-batch-assimilation", "04-site-by-site-assimilation"

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

# Notebooks that prove or explore; none of the six reads their files, and a core notebook cites their summaries.
SUPPLEMENTS: dict[str, Stage] = {
    "S1-sampler-validation": Stage(
        "assimilation", ("01-data-cleaning",), ("sbc_*", "supplement_*", "site_*", "chains", "relative_sd")
    ),
    "S2-published-programs": Stage(
        "maps",
        ("01-data-cleaning", "03-one-batch-assimilation", "04-site-by-site-assimilation"),
        ("supplement_*", "site_*", "chains", "kept_draws", "relative_sd"),
    ),
    "S3-method-comparison": Stage(
        "learning",
        ("01-data-cleaning", "04-site-by-site-assimilation"),
        ("supplement_*", "epochs", "batch_size", "dropout", "learning_rate", "network_*", "hybrid_*"),
    ),
    "S4-parameter-interpretation": Stage(
        "learning", ("01-data-cleaning", "04-site-by-site-assimilation", "05-network-training"), ("supplement_*",)
    ),
    "S5-model-properties": Stage("maps", ("01-data-cleaning",), ("supplement_*",)),
}
ALL_STAGES = STAGES | SUPPLEMENTS


def how_to_run(name: str) -> tuple[str, str]:
    """The arguments of ``python -m proda run`` that run the stage ``name`` and, of the six, those after it."""
    if name in SUPPLEMENTS:
        return "--only", name.partition("-")[0]
    return "--from", str(list(STAGES).index(name) + 1)


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


PACKAGE = Path(__file__).parent
# From the lowest floor up. Figures and the command line show and run what these compute.
ROOMS = ("model", "kernels", "data", "assimilation", "learning", "maps")
NO_RESULT = ("__main__.py", "code_cache.py", "progress.py")  # say what is run and where compiled code is kept
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
    reads_data = data is not None and not ALL_STAGES[stage].upstream
    paths = data_files(data) if reads_data else []
    files = {path.relative_to(data).as_posix(): _digest(path) for path in paths}
    return {
        "study": _sha256(identity),
        "seed": seed,
        "settings": settings_read(stage, settings),
        "data": _sha256(files),
        "code": code_digest(ALL_STAGES[stage].room),
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
    claimed = {name for name in settings for other in ALL_STAGES.values() if _matches(name, other.settings)}
    own = ALL_STAGES[stage].settings
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
                total.update(f"{path.relative_to(package).as_posix()}\n{source_digest(path)}\n".encode())
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


CHECKPOINTS = "checkpoints"  # what only a run that goes on needs, inside the partial folder
_IDENTITY = "made_for.json"


def partial_path(out: Path, stage: str) -> Path:
    """The folder of the unfinished files of a stage."""
    return out / f".partial-{stage}"


def partial_folder(out: Path, stage: str, identity: Mapping[str, Any] | None, again: str) -> Path:
    """The folder to make the files of a stage in: an empty one, or the one that an interrupted run left.

    Parameters
    ----------
    identity : mapping or None
        `fingerprint` and `upstream` of this run; None for a stage that always begins anew.
    again : str
        The command that runs the stage, for the error.

    Raises
    ------
    InputError
        When the folder holds checkpoints of a run with other settings, data or code; nothing is touched.
    """
    folder = partial_path(out, stage)
    before = read_json(folder / CHECKPOINTS / _IDENTITY)
    if before is not None:
        reason = "it always begins anew" if identity is None else _difference(before, identity)
        if not reason:
            return folder
        if _is_anything_kept(folder):
            raise InputError(
                f"{folder} holds checkpoints of an interrupted run that cannot go on as this one: {reason}. Nothing "
                f"was overwritten. Finish that run as it was begun, or give it up: {again} --fresh"
            )
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        if identity is not None:
            write_json(folder / CHECKPOINTS / _IDENTITY, identity)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be made: {error.strerror}. Give write access to it, or another folder as --out"
        ) from error
    return folder


def _is_anything_kept(folder: Path) -> bool:
    """Whether a run could go on from something: an interrupted run that has left nothing is in nobody's way."""
    return any(path.is_file() and path.name != _IDENTITY for path in (folder / CHECKPOINTS).rglob("*"))


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In words, why a run that was made for ``before`` cannot go on as ``now``; empty when it can."""
    reason = difference(before.get("fingerprint"), now["fingerprint"])
    if not reason and before.get("upstream") != now["upstream"]:
        reason = "what it reads from has a new result since"
    return reason


def forget_interrupted(out: Path, stages: tuple[str, ...]) -> None:
    """Remove the unfinished files of these stages."""
    for stage in stages:
        shutil.rmtree(partial_path(out, stage), ignore_errors=True)


@contextmanager
def write_errors_explained(path: Path, kept: str) -> Iterator[None]:
    """Turn a refusal of the disk in the block, which writes ``path``, into an error that says what to do.

    Parameters
    ----------
    kept : what the next run finds, the end of a sentence

    Raises
    ------
    ProdaError
    """
    try:
        yield
    except OSError as error:
        raise ProdaError(
            f"{path} cannot be written: {error.strerror or error}. Make room or give write access, then run the same "
            f"command again: {kept}."
        ) from error


class Written(Protocol):
    """What there is to know of the study whose stage it is."""

    out: Path
    opened_with: dict[str, Any]

    def command(self, *extra: str) -> str:
        """The command that runs the study, with arguments after it."""


@contextmanager
def written_stage(study: Written, name: str, fingerprint: dict[str, Any], resumable: bool = False) -> Iterator[Path]:
    """A folder for the files of stage `name`, which become the study's only when the block ends well.

    See `proda.study.Study.stage`, which calls this when the stages that this one reads from are complete.

    Parameters
    ----------
    fingerprint : dict
        What decides the stage's result.

    Raises
    ------
    InputError
        When another process is at work on the stage, an interrupted run of other settings, data or code could still
        go on, or the study folder cannot be written.
    """
    refuse_if_running(study.out, name)
    started = time.time()
    marker, attempt = marker_path(study.out, name), attempt_path(study.out, name)
    before = read_json(marker) or read_json(attempt) or {}
    begun = {
        **this_process(),
        "started": _now(),
        "opened_with": study.opened_with,
        "fingerprint": fingerprint,
        # Taken now: another process may renew a stage below while this one still computes from what it has read.
        "upstream": {key: _content(study, key) for key in ALL_STAGES[name].upstream},
        "files": before.get("files", {}),
    }
    identity = {key: begun[key] for key in ("fingerprint", "upstream")} if resumable else None
    again = study.command(*how_to_run(name))
    folder = partial_folder(study.out, name, identity, again)
    try:
        write_json(attempt, begun)
        marker.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{attempt.parent} cannot be written: {error.strerror}. Give write access to it, make room, or give "
            "another folder as --out"
        ) from error
    finished = False
    try:
        yield folder
        files = inventory(folder, CHECKPOINTS)
        for old in begun["files"]:
            _remove(study.out / old)
        for path in outputs(folder, CHECKPOINTS):
            target = study.out / path.relative_to(folder)
            _remove(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
        finished = True
    except BaseException as error:
        told = f"{type(error).__name__}: {error}"[:2000] if isinstance(error, Exception) else ""
        with suppress(OSError):  # a full disk has no room for this either, and is what has to be told
            write_json(attempt, {**begun, "ended": True, "error": told})
        raise
    finally:
        if finished or not resumable:
            shutil.rmtree(folder, ignore_errors=True)
    write_json(marker, _marker(name, begun, files, started))
    attempt.unlink(missing_ok=True)


def _content(study: Written, stage: str) -> str | None:
    return (read_json(marker_path(study.out, stage)) or {}).get("content")


def _marker(name: str, begun: dict[str, Any], files: dict[str, Any], started: float) -> dict[str, Any]:
    content = hashlib.sha256(repr([(key, item["sha256"]) for key, item in sorted(files.items())]).encode())
    return {
        "stage": name,
        "version": __version__,
        **{key: begun[key] for key in ("opened_with", "fingerprint", "upstream")},
        "content": content.hexdigest(),
        "files": files,
        "seconds": round(time.time() - started, 3),
        "finished": _now(),
    }


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
