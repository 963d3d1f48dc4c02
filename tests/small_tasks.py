"""Tasks for workers; in a module of their own, which a process imports in a moment."""

import os
import signal
import time
from pathlib import Path

import numpy as np


def scaled(job: int, factors: np.ndarray, folder: Path, deadly: set[int]) -> float:
    """The sum of the factors times `job`; the first time that a `deadly` one is begun it kills its process."""
    begun = folder / f"{job}"
    with begun.open("a") as file:
        file.write(f"{os.getpid()}\n")
    if job in deadly and len(begun.read_text().split()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return job * float(factors.sum())


def failing(job: int, folder: Path) -> None:
    (folder / f"{job}").touch()
    time.sleep(0.01)
    if job == 2:
        raise ValueError("of job 2")
