"""One run at a time in a study folder."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from proda.errors import InputError
from proda.stages import is_alive, read_json, this_process

LOCK = ".run.lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process until the block ends. The lock of a process that is no more is taken over.

    Raises
    ------
    InputError
        When a living process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / LOCK
    mine = folder / f"{LOCK}.{os.getpid()}"
    mine.write_text(json.dumps({**this_process(), "started": datetime.now(UTC).isoformat(timespec="seconds")}))
    try:
        _take(lock, mine)
    finally:
        mine.unlink(missing_ok=True)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _take(lock: Path, mine: Path) -> None:
    for _ in range(3):
        try:
            # A link appears with its content or not at all, so no other process can read a half-written lock.
            os.link(mine, lock)
            return
        except FileExistsError:
            holder = read_json(lock) or {}
            if is_alive(holder):
                raise InputError(
                    f"another run (process {holder['pid']}, since {holder['started']}) works in {lock.parent}: "
                    "wait for it, stop it, or give another folder with --out"
                ) from None
            lock.unlink(missing_ok=True)
    raise InputError(f"{lock} cannot be taken: another run starts at the same moment; try again")
