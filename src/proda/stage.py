"""The stages of a study: what each reads, when its files can still be used, and how they are written.

A stage leaves its files in the study folder together with a marker, ``stages/<stage>.json``, which is written last.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, SoftFileLock, Timeout
from tqdm import tqdm

from proda import __version__
from proda.errors import InputError, ProdaError


class Stage(NamedTuple):
    """One notebook: rooms and modules of its code, the stages that it reads, name patterns of the settings it reads."""

    code: tuple[str, ...]
    upstream: tuple[str, ...]
    settings: tuple[str, ...]


DATA, ONE_BATCH, SITE_BY_SITE = "01-data-cleaning", "03-one-batch-assimilation", "04-site-by-site-assimilation"
NETWORK, PROJECTIONS = "05-network-training", "07-projections"
_TRAINING_SETTINGS = ("epochs", "batch_size", "dropout", "learning_rate", "validation_share")
_NETWORK_SETTINGS = (*_TRAINING_SETTINGS, "network_*", "hybrid_*", "score_repeats")
_ERROR_SETTINGS = ("chains", "sampler", "observation_*", "relative_sd")
_SITE_SETTINGS = ("site_*", "kept_draws", "floor_kg_m3", *_ERROR_SETTINGS)

STAGES: dict[str, Stage] = {
    DATA: Stage(("data.stage",), (), ("npp_*", "soil_minus_*")),
    "02-matrix-model-validation": Stage(("model", "kernels.misfit", "data.cleaned"), (DATA,), ()),
    ONE_BATCH: Stage(("assimilation.stage",), (DATA,), ("one_batch_*", *_ERROR_SETTINGS)),
    SITE_BY_SITE: Stage(("assimilation.stage",), (DATA,), _SITE_SETTINGS),
    NETWORK: Stage(("learning.stage",), (DATA, SITE_BY_SITE), (*_NETWORK_SETTINGS, "test_share")),
    "06-final-figures": Stage(("maps.stage",), (DATA, ONE_BATCH, SITE_BY_SITE, NETWORK), ("map_*", "observation_*")),
}

# Notebooks that prove or explore; none of the six reads their files, and a core notebook cites their summaries.
SUPPLEMENTS: dict[str, Stage] = {
    PROJECTIONS: Stage(("maps.projections",), (DATA, ONE_BATCH, SITE_BY_SITE, NETWORK), ("projection_*",)),
    "S1-sampler-validation": Stage(("assimilation",), (DATA,), ("sbc_*", "supplement_*", *_SITE_SETTINGS)),
    "S2-published-programs": Stage(
        ("assimilation", "learning"),
        (DATA, ONE_BATCH, SITE_BY_SITE),
        ("supplement_*", "one_batch_*", *_SITE_SETTINGS, *_NETWORK_SETTINGS),
    ),
    "S3-method-comparison": Stage(("learning",), (DATA, SITE_BY_SITE, NETWORK), ("supplement_*", *_NETWORK_SETTINGS)),
    "S4-parameter-interpretation": Stage(("model", "learning"), (DATA, SITE_BY_SITE, NETWORK), ("supplement_*",)),
    "S5-model-properties": Stage(("model", "maps"), (DATA,), ("supplement_*",)),
}
ALL_STAGES = STAGES | SUPPLEMENTS

MARKER_FORM = 2  # of the markers that this version writes; those of version 0.1 have none
CHECKPOINTS = "checkpoints"  # folder in the partial folder for what serves only a resumed run
_IDENTITY = "made_for.json"
_KEPT = "nothing was computed yet"
_MARKER_ENTRIES = {"version", "opened_with", "fingerprint", "upstream", "files"}  # of a complete stage


def unfinished(out: Path, stage: str) -> str:
    """Why ``stage`` in ``out`` is not complete, as the end of a sentence; empty when it is, with whatever settings."""
    path = marker_path(out, stage)
    marker = read_json(path)
    if marker is None and not path.exists():
        return "has not been run"
    if marker is not None and marker.get("form") != MARKER_FORM:
        return f"was written by proda {marker.get('version', '0.1')}, whose results proda {__version__} does not read"
    if marker is None or (marker.get("status") == "complete" and not _MARKER_ENTRIES <= set(marker)):
        return f"has a record that cannot be read, {path.relative_to(out)}"
    if marker.get("status") == "complete":
        return ""
    if is_locked(out, stage):
        return "is running"
    error = marker.get("error")
    return f"failed: {error}" if error else f"was interrupted (started {marker.get('started')})"


def fault(out: Path, stage: str, expected: Mapping[str, Mapping[str, Any]]) -> str:
    """Why the files of ``stage`` in ``out`` cannot be used, as the end of a sentence; empty when they can."""
    reason, marker = unfinished(out, stage), read_json(marker_path(out, stage))
    if reason or marker is None:
        return reason
    stale = difference(marker["fingerprint"], expected[stage])
    if stale:
        other = f" (written by proda {marker['version']})" if marker["version"] != __version__ else ""
        return f"is stale: {stale}{other}"
    for name, recorded in marker["files"].items():
        if not (out / name).exists():
            return f"is incomplete: its file {name} is missing"
        if _content_of(out / name) != recorded["sha256"]:
            return f"is damaged: its file {name} has changed since it was written; is it of another study?"
    for below, content in marker["upstream"].items():
        reason = fault(out, below, expected)
        if reason:
            return f"is stale: {below}, which it was made from, {reason}"
        if _stage_content(out, below) != content:
            return f"is stale: {below} has a new result since"
    return ""


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In words, what of settings, seed, data and code is no longer what it was; empty when nothing is."""
    old, new = before["settings"], now["settings"]
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    parts = [f"other settings ({', '.join(names)})"] if names else []
    words = {"seed": "another seed", "study": "another source or configuration", "data": "other data"}
    parts += [text for part, text in words.items() if before[part] != now[part]]
    reasons = [f"it was made with {' and '.join(parts)}"] if parts else []
    if before["code"] != now["code"]:
        reasons.append("the package has changed since")
    return ", and ".join(reasons)


def how_to_run(name: str) -> tuple[str, str]:
    """The arguments of ``python -m proda run`` that run the stage ``name`` and, of the six, those after it."""
    if name in SUPPLEMENTS:
        return "--only", name.partition("-")[0]
    return "--from", str(list(STAGES).index(name) + 1)


def marker_path(out: Path, stage: str) -> Path:
    return out / "stages" / f"{stage}.json"


def _stage_content(out: Path, stage: str) -> str | None:
    return (read_json(marker_path(out, stage)) or {}).get("content")


@contextmanager
def written_stage(study: Any, name: str, fingerprint: dict[str, Any], resumable: bool = False) -> Iterator[Path]:
    """`Study.stage` of this `proda.study.Study`, when the stages that this one reads from are complete."""
    marker, started = marker_path(study.out, name), time.time()
    with locked(study.out, name):
        begun = {
            "form": MARKER_FORM,
            "version": __version__,
            "stage": name,
            "status": "begun",
            "pid": os.getpid(),
            "started": now(),
            "opened_with": study.opened_with,
            "fingerprint": fingerprint,
            # Read now: a stage below may be run again while this one computes from what it has read.
            "upstream": {below: _stage_content(study.out, below) for below in ALL_STAGES[name].upstream},
            "files": (read_json(marker) or {}).get("files", {}),
        }
        identity = {key: begun[key] for key in ("fingerprint", "upstream")} if resumable else None
        folder = _partial_folder(study.out, name, identity, study.command(*how_to_run(name)))
        with write_errors_explained(marker, _KEPT):
            write_json(marker, begun)
        try:
            yield folder
            for path in _results(folder):
                _read_back(path)
            files = {
                path.relative_to(folder).as_posix(): {
                    "bytes": sum(file.stat().st_size for file in _files_of(path)),
                    "sha256": _content_of(path),
                }
                for path in _results(folder)
            }
            for old in (study.out / file for file in {*begun["files"], *files}):
                if old.is_dir():
                    shutil.rmtree(old)
                else:
                    old.unlink(missing_ok=True)
            for file in files:
                (study.out / file).parent.mkdir(parents=True, exist_ok=True)
                os.replace(folder / file, study.out / file)
        except BaseException as error:
            if not resumable:
                shutil.rmtree(folder, ignore_errors=True)
            text = f"{type(error).__name__}: {error}"[:2000] if isinstance(error, Exception) else ""
            with suppress(OSError):  # a full disk, whose error is the one to report
                write_json(marker, {**begun, "status": "ended", "error": text})
            raise
        shutil.rmtree(folder, ignore_errors=True)
        # How the same trees are pickled depends on the process that fitted them; what they predict is in other files.
        numbers = sorted((key, item["sha256"]) for key, item in files.items() if not key.endswith(".joblib"))
        content = sha256(numbers)
        seconds = round(time.time() - started, 3)
        done = {"status": "complete", "finished": now(), "seconds": seconds, "content": content, "files": files}
        write_json(marker, {**begun, **done})


@contextmanager
def locked(out: Path, name: str) -> Iterator[None]:
    """Hold stage ``name`` of the study folder ``out`` (or "run", the folder) for this process until the block ends."""
    path = _lock_path(out, name)
    with write_errors_explained(path, _KEPT):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            try:
                lock.acquire(blocking=False)
            except OSError as error:
                if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
                    raise
                # A file system without locks: the file itself is one, which a killed run leaves for the next to remove.
                lock = SoftFileLock(path.with_suffix(".lock.pid"))
                lock.acquire(blocking=False)
        except Timeout:
            holder = read_json(out / "run.json" if name == "run" else marker_path(out, name)) or {}
            raise InputError(
                f"{'a study' if name == 'run' else name} is being run in {out} by another process "
                f"({holder.get('pid')}, since {holder.get('started')}): wait for it, stop it (a notebook: shut down "
                "its kernel), or give another folder as --out"
            ) from None
    try:
        yield
    finally:
        lock.release()


def is_locked(out: Path, name: str) -> bool:
    """Whether a process is at work on stage ``name`` of ``out``, or on a "run"."""
    # Not so in a folder that this process may only read.
    if not os.access(_lock_path(out, name), os.W_OK):
        return False
    try:
        with locked(out, name):
            return False
    except InputError:
        return True


def _lock_path(out: Path, name: str) -> Path:
    return out / "stages" / f"{name}.lock"


def partial_path(out: Path, stage: str) -> Path:
    return out / f".partial-{stage}"


def _partial_folder(out: Path, stage: str, identity: Mapping[str, Any] | None, again: str) -> Path:
    """An empty folder for the files of a stage, or the one that an interrupted run with the same identity left."""
    folder = partial_path(out, stage)
    before = read_json(folder / CHECKPOINTS / _IDENTITY)
    if before is not None:
        reason = "it cannot be resumed"
        if identity is not None:
            reason = difference(before["fingerprint"], identity["fingerprint"])
            if not reason and before["upstream"] != identity["upstream"]:
                reason = "what it reads from has a new result since"
        if not reason:
            return folder
        if any(path.is_file() and path.name != _IDENTITY for path in (folder / CHECKPOINTS).rglob("*")):
            raise InputError(
                f"{folder} holds checkpoints of an interrupted run that this one cannot go on from: {reason}. Nothing "
                f"was overwritten. Finish that run as it was begun, or give it up: {again} --fresh"
            )
    shutil.rmtree(folder, ignore_errors=True)
    with write_errors_explained(folder, _KEPT):
        folder.mkdir(parents=True)
        if identity is not None:
            write_json(folder / CHECKPOINTS / _IDENTITY, identity)
    return folder


def _results(folder: Path) -> Iterator[Path]:
    """The files below ``folder`` but its checkpoints, in order of name; a ``.zarr`` folder is one."""
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or path.suffix == ".zarr":
            yield path
        elif path.name != CHECKPOINTS:
            yield from _results(path)


def _read_back(path: Path) -> None:
    """Read a file that a stage has left; a ProdaError when it is cut short. Its own reader knows what must be in it."""
    import pandas as pd
    import xarray as xr

    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".nc": xr.load_dataset}
    try:
        if path.suffix == ".csv" and not path.read_bytes().endswith(b"\n"):
            raise ValueError("its last line does not end")
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix in readers:
            readers[path.suffix](path)
    except (OSError, ValueError, RuntimeError) as error:
        raise ProdaError(f"{path.name} cannot be read back after it was written ({error}). Run it again.") from error


def _files_of(path: Path) -> list[Path]:
    return sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]


def _content_of(path: Path) -> str:
    """SHA-256 (hex) of the names and contents of one output: of its numbers, not of wall times and dates."""
    return sha256([(item.relative_to(path).as_posix(), _result_sha256(item)) for item in _files_of(path)])


def _result_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file; a Keras file counts without its date, and what is named seconds does not count."""
    if path.suffix == ".keras":
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as file:
            names = sorted({*file.namelist()} - {"metadata.json"})
            return sha256([(name, hashlib.sha256(file.read(name)).hexdigest()) for name in names])
    elif path.suffix == ".json" and (content := read_json(path)) is not None:
        return sha256({name: value for name, value in content.items() if "second" not in name})
    elif path.suffix == ".csv":
        with path.open("rb") as stream:
            if b"seconds" in stream.readline():
                return ""
    return file_sha256(path)


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file; read again only when it has changed."""
    state = path.stat()
    return _file_sha256(path, state.st_size, state.st_mtime_ns, state.st_ino)


@cache
def _file_sha256(path: Path, size: int, changed: int, inode: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def read_json(path: Path) -> dict[str, Any] | None:
    """The content of a JSON file; None when it cannot be read or is cut short."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` so that a reader sees the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        partial.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def write_errors_explained(path: Path, kept: str) -> Iterator[None]:
    """Turn a refusal of the disk to write ``path`` into a `ProdaError` with the remedy and what is ``kept``."""
    try:
        yield
    except OSError as error:
        raise ProdaError(
            f"{path} cannot be written: {error.strerror or error}. Make room or give write access, then run the same "
            f"command again: {kept}."
        ) from error


def check_writable(folder: Path, option: str, needed: float = 0.0) -> None:
    """An InputError unless files can be written to `folder`, the value of an `option`, with `needed` bytes of room."""
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(path))
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
    except OSError as error:
        reason = f"{place}: {error.strerror or error}. Give another folder, or write access"
        raise InputError(f"{option} {folder} cannot be written: {reason}") from None
    if free < needed:
        raise InputError(
            f"{option} {folder} has room for {free / 1e9:.2g} GB, and the results take some {needed / 1e9:.2g} GB: "
            "make room, or give another folder"
        )


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def progress_bar(total: int | None, description: str, unit: str) -> tqdm:
    """A bar on standard error, updated in place every few seconds; ``total`` is None where it is not known."""
    # Plain tqdm: its notebook variant needs widgets, which the HTML of an executed notebook does not have.
    look = {"mininterval": 2.0, "maxinterval": 60.0, "ncols": 100, "ascii": True, "unit_scale": unit == "step"}
    return tqdm(total=total, desc=description, unit=unit, **look)
