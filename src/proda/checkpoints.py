"""The folder of a stage in the making, and what lets an interrupted stage go on where it was.

A stage that can go on keeps its unfinished files in `.partial-<stage>` when it is interrupted, with `made_for.json`:
the fingerprint and the upstream content that they belong to. They are used by a run of the same, and by no other.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proda.errors import InputError, ProdaError
from proda.fingerprints import difference
from proda.stages import read_json, write_json

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
def refusal_told(path: Path, kept: str) -> Iterator[None]:
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
