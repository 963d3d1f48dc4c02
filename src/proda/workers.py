"""Independent tasks in parallel: on the cores of this machine, or on the workers of a Dask cluster.

What a task gives depends on its own input alone, so neither where nor in which order tasks are done matters.
"""

from __future__ import annotations

import json
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from proda.errors import InputError

SCHEDULER = "PRODA_SCHEDULER"  # environment variable: the address of a Dask scheduler, or its file
AHEAD = 4  # tasks for each worker that are handed out before the first result is taken
LEAST_AHEAD = 64  # of a cluster, which may grow with the tasks that wait


def n_workers() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def in_parallel(
    task: Callable[..., Any], jobs: Iterable[Any], *shared: Any, n: int | None = None, processes: bool = False
) -> Iterator[Iterator[Any]]:
    """The results `task(job, *shared)` in the order of `jobs`, as an iterator that ends with the block.

    `n` threads (all cores if not given) do the tasks, or as many `processes`. Where the environment variable
    PRODA_SCHEDULER names a Dask scheduler, which `python -m proda run --scheduler` sets, the workers of its cluster do:
    the task of a worker that dies is done again by another. `shared` goes to a worker once. Few more jobs are begun
    than results are taken, and none after an error. InputError when the scheduler does not answer.
    """
    n = n or n_workers()
    with ExitStack() as stack:
        if address := os.environ.get(SCHEDULER, ""):
            client = stack.enter_context(cluster_client(address))
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Sending large graph")
                # Results of tasks, unlike data that were sent, are made again when the worker that has them dies.
                shared = tuple(client.submit(partial(_given, value), pure=False) for value in shared)
            # Not an executor of Dask: that fails when a worker dies between the end of a task and its result.
            submit: Callable[..., Any] = partial(client.submit, pure=False)
            ahead = max(AHEAD * sum(client.nthreads().values()), LEAST_AHEAD)
        elif processes and n == 1:
            yield (task(job, *shared) for job in jobs)
            return
        else:
            # Spawned: a forked process would share the threads of JAX.
            pool = ProcessPoolExecutor(n, get_context("spawn")) if processes else ThreadPoolExecutor(n)
            submit, ahead = stack.enter_context(pool).submit, AHEAD * n
        yield stack.enter_context(closing(_in_order(submit, task, jobs, shared, ahead)))


def _in_order(
    submit: Callable[..., Any], task: Callable[..., Any], jobs: Iterable[Any], shared: tuple, ahead: int
) -> Iterator[Any]:
    waiting = deque()
    try:
        for job in jobs:
            # As one function, into which Dask does not look for tasks of its own.
            waiting.append(submit(partial(task, job), *shared))
            if len(waiting) == ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _given(value: Any) -> Any:
    return value


def cluster_client(address: str) -> Any:
    """A client of the Dask scheduler at `address` (such as "tcp://10.0.0.1:8786"), or of a scheduler file; close it.

    It does not become the default of the process, so what else is computed and written here stays here. An InputError
    when dask.distributed is not installed or no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(
            "--scheduler needs dask.distributed, which is not installed: pip install 'proda[cluster]', here and on the "
            "workers, or leave --scheduler out to use the cores of this machine"
        ) from error
    try:
        where = json.loads(Path(address).read_text())["address"] if address.endswith(".json") else address
        return Client(where, timeout=20, set_as_default=False)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address}: {error}. Start one (dask scheduler) with workers that see the "
            "study folder, or leave --scheduler out"
        ) from error
