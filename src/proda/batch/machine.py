"""The machine that speeds are measured on: one core of it, and the most that core can do."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from proda.compiled import kept_compiled
from proda.model.lane_type import LANES, load, store

_THREADS = Path("/proc/self/task")
_ROUNDS = 20_000
_CHAINS = 3
_PER_CHAIN = 2  # a multiplication and an addition


@contextmanager
def one_core() -> Iterator[None]:
    """Keep all threads of this process on one core, where the system allows it (Linux).

    JAX has threads of its own that cannot be told to rest once it has started.
    """
    if not (hasattr(os, "sched_setaffinity") and _THREADS.is_dir()):
        yield
        return
    allowed = os.sched_getaffinity(0)
    try:
        _keep_threads_on({max(allowed)})
        yield
    finally:
        _keep_threads_on(allowed)


def _keep_threads_on(cores: set[int]) -> None:
    for thread in _THREADS.iterdir():
        with suppress(ProcessLookupError):  # it may have ended meanwhile
            os.sched_setaffinity(int(thread.name), cores)


@kept_compiled
def _multiply_and_add(numbers, factor, term, rounds):
    # Each chain waits for its own last result, so several are needed to keep the units busy; more than three would not
    # fit into the sixteen registers of AVX2.
    a, b, c = load(numbers, 0), load(numbers, 1), load(numbers, 2)
    for _ in range(rounds):
        a = a * factor + term
        b = b * factor + term
        c = c * factor + term
    store(numbers, 0, a)
    store(numbers, 1, b)
    store(numbers, 2, c)


def multiply_adds() -> tuple[Callable[[], None], int]:
    """A call that does nothing but independent multiplications and additions, and how many of both it does."""
    numbers = np.ones(_CHAINS * LANES)

    def call() -> None:
        # The numbers stay at 1: subnormal ones would be slow.
        _multiply_and_add(numbers, 0.5, 0.5, _ROUNDS)

    return call, _ROUNDS * _CHAINS * _PER_CHAIN * LANES
