"""A stage while it is written: its files become the study's together, when all of them are there, or not at all."""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from proda import __version__, stages
from proda.checkpoints import CHECKPOINTS, partial_folder
from proda.errors import InputError


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
    stages.refuse_if_running(study.out, name)
    started = time.time()
    marker, attempt = stages.marker_path(study.out, name), stages.attempt_path(study.out, name)
    before = stages.read_json(marker) or stages.read_json(attempt) or {}
    begun = {
        **stages.this_process(),
        "started": _now(),
        "opened_with": study.opened_with,
        "fingerprint": fingerprint,
        # Taken now: another process may renew a stage below while this one still computes from what it has read.
        "upstream": {key: _content(study, key) for key in stages.STAGES[name].upstream},
        "files": before.get("files", {}),
    }
    identity = {key: begun[key] for key in ("fingerprint", "upstream")} if resumable else None
    again = study.command("--from", str(list(stages.STAGES).index(name) + 1))
    folder = partial_folder(study.out, name, identity, again)
    try:
        stages.write_json(attempt, begun)
        marker.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{attempt.parent} cannot be written: {error.strerror}. Give write access to it, make room, or give "
            "another folder as --out"
        ) from error
    finished = False
    try:
        yield folder
        files = stages.inventory(folder, CHECKPOINTS)
        for old in begun["files"]:
            _remove(study.out / old)
        for path in stages.outputs(folder, CHECKPOINTS):
            target = study.out / path.relative_to(folder)
            _remove(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
        finished = True
    except BaseException as error:
        told = f"{type(error).__name__}: {error}"[:2000] if isinstance(error, Exception) else ""
        with suppress(OSError):  # a full disk has no room for this either, and is what has to be told
            stages.write_json(attempt, {**begun, "ended": True, "error": told})
        raise
    finally:
        if finished or not resumable:
            shutil.rmtree(folder, ignore_errors=True)
    stages.write_json(marker, _marker(name, begun, files, started))
    attempt.unlink(missing_ok=True)


def _content(study: Written, stage: str) -> str | None:
    return (stages.read_json(stages.marker_path(study.out, stage)) or {}).get("content")


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
