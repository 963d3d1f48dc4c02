"""The machine that speeds are measured on: one core of it, and the most that core can do."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from proda.compiled import kept_compiled
from proda.model.lane_type import LANES, load, store

_THREADS = Path("/proc/self/task")
ROUNDS = 100_000
ROWS = 4


@contextmanager
def one_core(turn: int = 0) -> Iterator[None]:
    """Keep all threads of this process on one core, where the system allows it (Linux): another one in every turn.

    JAX has threads of its own that cannot be told to rest once it has started. And one core may be busier than another
    with what else the machine does.
    """
    if not (hasattr(os, "sched_setaffinity") and _THREADS.is_dir()):
        yield
        return
    allowed = os.sched_getaffinity(0)
    try:
        _keep_threads_on({sorted(allowed)[turn % len(allowed)]})
        yield
    finally:
        _keep_threads_on(allowed)


def _keep_threads_on(cores: set[int]) -> None:
    for thread in _THREADS.iterdir():
        with suppress(ProcessLookupError):  # it may have ended meanwhile
            os.sched_setaffinity(int(thread.name), cores)


@kept_compiled
def multiply_and_add(numbers, rounds):
    """Replace each of `numbers`, four rows of lanes, by ``number * number + number``, `rounds` times over."""
    # Each row waits for its own last result, so several are needed to keep the units busy. Four fill the sixteen
    # registers of AVX2, and are enough for the wider ones of AVX-512.
    a, b, c, d = load(numbers, 0), load(numbers, 1), load(numbers, 2), load(numbers, 3)
    for _ in range(rounds):
        a = a * a + a
        b = b * b + b
        c = c * c + c
        d = d * d + d
    store(numbers, 0, a)
    store(numbers, 1, b)
    store(numbers, 2, c)
    store(numbers, 3, d)


def multiply_adds() -> tuple[Callable[[], None], int]:
    """A call that does nothing but independent multiplications and additions, and how many of both it does."""
    # Between -1 and 0 the numbers shrink as 1/rounds: they neither overflow nor become subnormal, which would be slow.
    numbers = np.full(ROWS * LANES, -0.5)
    return lambda: multiply_and_add(numbers, ROUNDS), 2 * ROUNDS * numbers.size
