"""How fast the model and the sampler are on this machine, as ratios to a dense solve measured in the same run."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from proda.assimilation.workers import n_workers
from proda.batch.bench_columns import CASES, Columns, bench_columns
from proda.batch.bench_jax import BLOCKS, DERIVATIVES, JAX, jax_tasks
from proda.batch.bench_tasks import COMPILED, DENSE, STRUCTURED, Task, compiled_tasks, numpy_tasks
from proda.batch.machine import multiply_adds, one_core
from proda.batch.operation_count import arithmetic, functions, operation_count
from proda.model.configuration import Configuration
from proda.model.steady_state import soc_density, steady_state

ROUNDS = 20
ARITHMETIC, FUNCTIONS = "sums, products and quotients", "exponentials and logarithms"
_BY_STRUCTURE = (STRUCTURED, JAX, COMPILED)


class Measurements(NamedTuple):
    """What a run of the benchmark found.

    Attributes
    ----------
    table : DataFrame
        Indexed by case and task. `columns at once`; on one core `microseconds` for each steady state, derivative or
        sampler step, `per second`, `times dense NumPy` (how many times faster than the dense solve one column at a
        time), `times JAX` (cost of a derivative as a multiple of the plain evaluation), `Gflop/s` and `% of peak`
        (sums, products and quotients of a steady state); on all cores together `all cores: microseconds` and
        `all cores: speedup` over one core.
    operations : DataFrame
        Indexed by case: operations of one steady state that depend on its parameters.
    peak : float, Gflop/s
        Multiplications and additions of one core.
    cores, rounds : int
    """

    table: pd.DataFrame
    operations: pd.DataFrame
    peak: float
    cores: int
    rounds: int


def measurements(quick: bool = False, rounds: int = ROUNDS) -> Measurements:
    """Times of every task, each the least of several rounds; if `quick` of the first case only, as in `measured`."""
    cases = dict(list(CASES.items())[:1]) if quick else CASES
    cores = n_workers()
    with threadpool_limits(1):
        tasks = {(case, task.name): task for case, c in cases.items() for task in _tasks(c, quick)}
        peak_call, peak_size = multiply_adds()
        everything = {"peak": Task("peak", 1, peak_size, lambda: peak_call), **tasks}
        for task in everything.values():
            task.new_call()()
        alone = _least_times(everything, rounds)
        shared = {key: task for key, task in tasks.items() if task.in_threads and cores > 1 and not quick}
        together = _least_times(shared, rounds, cores)
    operations = pd.DataFrame({case: _operations(c) for case, c in cases.items()}).T
    return Measurements(_table(tasks, alone, together, operations), operations, 1e-3 / alone["peak"], cores, rounds)


def measured(quick: bool = False) -> pd.DataFrame:
    """The table of `measurements`; if `quick`, ten layers on one core without derivatives, indexed by task alone."""
    table = measurements(quick).table
    return table.loc[next(iter(CASES))].dropna(axis=1, how="all") if quick else table


def _tasks(configuration: Configuration, quick: bool) -> list[Task]:
    columns = Columns(*bench_columns(max(BLOCKS), configuration=configuration), configuration)
    by_jax = jax_tasks(columns, BLOCKS[:1], derivatives=False) if quick else jax_tasks(columns)
    return [*numpy_tasks(columns), *by_jax, *compiled_tasks(columns)]


def _least_times(tasks: dict[Any, Task], rounds: int, threads: int = 1) -> dict[Any, float]:
    """Microseconds of each task's steady states in its best round, on one core or in several threads at a time."""
    best = dict.fromkeys(tasks, np.inf)
    with ThreadPoolExecutor(threads) as pool:
        # Interleaved, so that whatever else the machine does weighs on all of them.
        for turn in range(rounds):
            with one_core(turn) if threads == 1 else nullcontext():
                for key, task in tasks.items():
                    calls = [task.new_call() for _ in range(threads)]
                    started = time.perf_counter()
                    others = [pool.submit(call) for call in calls[1:]]
                    calls[0]()
                    for other in others:
                        other.result()
                    best[key] = min(best[key], (time.perf_counter() - started) / (threads * task.size) * 1e6)
    return best


def _operations(configuration: Configuration) -> dict[str, int]:
    theta, forcing = bench_columns(1, configuration=configuration)
    counts = operation_count(
        lambda theta, namespace: soc_density(steady_state(theta, forcing, configuration, namespace)), theta
    )
    return {ARITHMETIC: arithmetic(counts), FUNCTIONS: functions(counts)}


def _table(tasks: dict, alone: dict, together: dict, operations: pd.DataFrame) -> pd.DataFrame:
    rows = {}
    for (case, name), task in tasks.items():
        time_alone, time_together = alone[case, name], together.get((case, name), np.nan)
        solved = operations.loc[case, ARITHMETIC] if name in _BY_STRUCTURE else np.nan
        rows[case, name] = {
            "columns at once": task.at_once,
            "microseconds": time_alone,
            "per second": 1e6 / time_alone,
            "times dense NumPy": alone[case, DENSE] / time_alone,
            "times JAX": time_alone / alone[case, JAX] if name in DERIVATIVES else np.nan,
            "Gflop/s": 1e-3 * solved / time_alone,
            "% of peak": 100.0 * solved / time_alone * alone["peak"],
            "all cores: microseconds": time_together,
            "all cores: speedup": time_alone / time_together,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index=["case", "task"])
