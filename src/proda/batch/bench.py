"""How fast the model and the sampler are on this machine, as ratios to a dense solve measured in the same run."""

import json
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from proda.assimilation.stage import n_workers
from proda.batch.bench_columns import CASES, Columns, bench_columns
from proda.batch.bench_jax import BLOCKS, DERIVATIVES, JAX, jax_tasks
from proda.batch.bench_tasks import COMPILED, DENSE, STRUCTURED, Task, compiled_tasks, numpy_tasks
from proda.batch.machine import multiply_adds, one_core
from proda.batch.operation_count import arithmetic, functions, operation_count
from proda.compiled import cache_folder
from proda.model.configuration import Configuration
from proda.model.steady_state import soc_density, steady_state

__all__ = ["Measurements", "bench", "bench_columns", "measured", "measurements"]

ROUNDS = 15
_BY_STRUCTURE = (STRUCTURED, JAX, COMPILED)
_FORMATS = {
    "at once": "{:,.0f}", "microseconds": "{:,.3f}", "per second": "{:,.0f}", "times dense NumPy": "{:,.1f}",
    "times JAX": "{:,.1f}", "Gflop/s": "{:.1f}", "% of peak": "{:.0f}",
    "all cores: microseconds": "{:,.3f}", "speedup": "{:.2f}",
}  # fmt: skip


class Measurements(NamedTuple):
    """What a run of the benchmark found.

    Attributes
    ----------
    table : DataFrame
        Rows: case and task. Columns: columns computed at once; on one core microseconds for each steady state or
        sampler step, their number per second, how many times faster than the dense solve one column at a time, and for
        derivatives the cost as a multiple of the plain evaluation; sums, products and quotients a second; and on all
        cores together the microseconds and how many times faster than on one.
    operations : DataFrame
        Rows: cases. Operations in one steady state: sums, products and quotients, and exponentials and logarithms.
    peak : float, Gflop/s
        Multiplications and additions of one core.
    cores : int
    rounds : int
    """

    table: pd.DataFrame
    operations: pd.DataFrame
    peak: float
    cores: int
    rounds: int


def measured(quick: bool = False) -> pd.DataFrame:
    """The table of `measurements`; if `quick` that of the first case on one core without derivatives, by task alone."""
    table = measurements(quick).table
    return table.loc[next(iter(CASES))].dropna(axis=1, how="all") if quick else table


def measurements(quick: bool = False, rounds: int = ROUNDS) -> Measurements:
    """Times of every task, each the least of several rounds."""
    cases = dict(list(CASES.items())[:1]) if quick else CASES
    with threadpool_limits(1):
        tasks = {(case, task.name): task for case, c in cases.items() for task in _tasks(c, quick)}
        peak_call, peak_size = multiply_adds()
        peak = Task("peak", 1, peak_size, lambda: peak_call)
        for task in (peak, *tasks.values()):
            task.new_call()()
        with one_core():
            alone = _least_times({"peak": peak, **tasks}, rounds, 1)
        cores = n_workers()
        shared = {key: task for key, task in tasks.items() if task.in_threads and cores > 1 and not quick}
        together = _least_times(shared, rounds, cores)
    operations = pd.DataFrame({case: _operations(c) for case, c in cases.items()}).T
    return Measurements(_table(tasks, alone, together, operations), operations, 1e-3 / alone["peak"], cores, rounds)


def _tasks(configuration: Configuration, quick: bool) -> list[Task]:
    columns = Columns(*bench_columns(max(BLOCKS), configuration=configuration), configuration)
    by_jax = jax_tasks(columns, BLOCKS[:1], derivatives=False) if quick else jax_tasks(columns)
    return [*numpy_tasks(columns), *by_jax, *compiled_tasks(columns)]


def _least_times(tasks: dict[Any, Task], rounds: int, threads: int) -> dict[Any, float]:
    """Microseconds of each task's steady states in the best of its rounds, in several threads at the same time."""
    best = dict.fromkeys(tasks, np.inf)
    with ThreadPoolExecutor(threads) as pool:
        # Interleaved, so that whatever else the machine does weighs on all of them.
        for _ in range(rounds):
            for key, task in tasks.items():
                calls = [task.new_call() for _ in range(threads)]
                started = time.perf_counter()
                _run_together(calls, pool)
                best[key] = min(best[key], (time.perf_counter() - started) / (threads * task.size) * 1e6)
    return best


def _run_together(calls: list[Callable[[], Any]], pool: ThreadPoolExecutor) -> None:
    if len(calls) == 1:
        calls[0]()
    else:
        list(pool.map(lambda call: call(), calls))


def _operations(configuration: Configuration) -> dict[str, int]:
    """Operations of one steady state that depend on its parameters; the forcing's share is computed once a place."""
    theta, forcing = bench_columns(1, configuration=configuration)
    counts = operation_count(
        lambda theta, namespace: soc_density(steady_state(theta, forcing, configuration, namespace)), theta
    )
    return {"sums, products and quotients": arithmetic(counts), "exponentials and logarithms": functions(counts)}


def _table(tasks: dict, alone: dict, together: dict, operations: pd.DataFrame) -> pd.DataFrame:
    rows = {}
    for (case, name), task in tasks.items():
        time_alone, time_together = alone[case, name], together.get((case, name), np.nan)
        solved = operations.loc[case, "sums, products and quotients"] if name in _BY_STRUCTURE else np.nan
        rows[case, name] = {
            "at once": task.at_once,
            "microseconds": time_alone,
            "per second": 1e6 / time_alone,
            "times dense NumPy": alone[case, DENSE] / time_alone,
            "times JAX": time_alone / alone[case, JAX] if name in DERIVATIVES else np.nan,
            "Gflop/s": 1e-3 * solved / time_alone,
            "% of peak": 100.0 * solved / time_alone * alone["peak"],
            "all cores: microseconds": time_together,
            "speedup": time_alone / time_together,
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.rename_axis(index=["case", "task"])


def bench(path: Path | None = None) -> int:
    """Print what `measurements` finds, and write it to `path` as JSON."""
    _let_jax_keep_what_it_compiles()
    found = measurements()
    print(as_text(found))
    if path:
        Path(path).write_text(json.dumps(as_record(found), indent=1, allow_nan=False) + "\n")
    return 0


def _let_jax_keep_what_it_compiles() -> None:
    import jax

    jax.config.update("jax_compilation_cache_dir", str(cache_folder().parent / "compiled-jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def as_text(found: Measurements) -> str:
    """The measurements for a reader."""
    lines = [
        f"Microseconds for one steady state (or derivative, or sampler step): least of {found.rounds} interleaved rounds."
        " 'times dense NumPy' compares with",
        "the first row of the case, 'times JAX' is the cost of a derivative as a multiple of the plain evaluation.",
    ]
    for case, counts in found.operations.iterrows():
        shown = found.table.loc[case].rename(columns=lambda name: name.replace("all cores", f"{found.cores} cores"))
        for name, form in _FORMATS.items():
            name = name.replace("all cores", f"{found.cores} cores")
            shown[name] = shown[name].map(lambda value, form=form: "" if np.isnan(value) else form.format(value))
        lines += ["", f"{case}: {', '.join(f'{count:,} {kind}' for kind, count in counts.items())}", shown.to_string()]
    lines += [
        "",
        f"One core multiplies and adds {found.peak:.1f} Gflop/s at most (measured). Gflop/s and % of peak count the "
        "sums, products and quotients",
        "of a steady state, not its exponentials and logarithms.",
    ]
    return "\n".join(lines)


def as_record(found: Measurements) -> dict[str, Any]:
    """The measurements for a program: nested dictionaries of numbers, None where nothing was measured."""
    table = found.table.astype(object).where(found.table.notna(), None)
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("numpy", "numba", "jax")},
        "processor": platform.machine(),
        "cores": found.cores,
        "rounds": found.rounds,
        "peak Gflop/s of one core": found.peak,
        "operations": found.operations.to_dict("index"),
        "measured": {case: table.loc[case].to_dict("index") for case in found.operations.index},
    }
