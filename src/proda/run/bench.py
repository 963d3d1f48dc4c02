"""``python -m proda bench``: how fast the steady state and a step of the sampler are on one core of this machine."""

import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from proda.kernels import steady_state as kernels
from proda.kernels.metropolis import Schedule, new_chains, new_target, run_chains, start_chains
from proda.kernels.misfit import misfit_forms
from proda.kernels.simd import BLOCK_WIDTH, generator_states
from proda.model.configuration import CESM2, CESM2_COLUMN, MONTHS, PAPER, Configuration
from proda.model.forcing import AnyForcing, Forcing, MonthlyForcing
from proda.model.matrices import dense_steady_state
from proda.model.observation import layer_means, layer_operator
from proda.model.parameters import INNER, SHARES, physical
from proda.model.rates import jax_namespace
from proda.model.solver import soc_density, steady_state

CASES = {"10 layers": PAPER, "20 layers": replace(PAPER, column=CESM2_COLUMN), "20 layers, monthly": CESM2}
DENSE = "dense NumPy, one column at a time"
ROUNDS = 20
_CHAIN_STEPS = 1000


def bench(path: Path | None = None) -> int:
    """Print the measurements, and write them to `path` as JSON."""
    print("Compiling, which takes a minute the first time, and measuring ...", flush=True)
    table = measured()
    print(f"Least of {ROUNDS} interleaved rounds on one core, a steady state or a step of the sampler:\n")
    print(table.to_string(float_format="{:,.2f}".format))
    if path:
        record = {
            "python": platform.python_version(),
            "packages": {name: version(name) for name in ("numpy", "numba", "jax")},
            "processor": platform.machine(),
            "rounds": ROUNDS,
            "measured": {case: table.loc[case].to_dict("index") for case in CASES},
        }
        Path(path).write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return 0


def measured(cases: dict[str, Configuration] = CASES, rounds: int = ROUNDS) -> pd.DataFrame:
    """Microseconds of a steady state or step, and how many times less than the dense solve, by case and task."""
    with one_core(), threadpool_limits(1):
        calls = {(case, name): call for case, c in cases.items() for name, call in tasks(c).items()}
        for call, _ in calls.values():
            call()
        best = dict.fromkeys(calls, np.inf)
        # Interleaved, so that whatever else the machine does slows all of them down.
        for _ in range(rounds):
            for key, (call, size) in calls.items():
                started = time.perf_counter()
                call()
                best[key] = min(best[key], 1e6 * (time.perf_counter() - started) / size)
    table = pd.DataFrame({"microseconds": pd.Series(best)}).rename_axis(index=["case", "task"])
    dense = table.xs(DENSE, level="task")["microseconds"]
    return table.assign(**{"times dense NumPy": dense.reindex(table.index, level="case") / table["microseconds"]})


@contextmanager
def one_core() -> Iterator[None]:
    """Keep all threads of this process on one core, where the system allows it (Linux): JAX cannot be limited else."""

    def place_threads(cores: set[int]) -> None:
        for thread in os.listdir("/proc/self/task"):
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setaffinity(int(thread), cores)

    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    try:
        place_threads({min(allowed)})
        yield
    finally:
        place_threads(allowed)


def tasks(configuration: Configuration) -> dict[str, tuple[Callable[[], Any], int]]:
    """What is timed by name: a call, and the number of steady states or sampler steps in it."""
    import jax

    theta, forcing = bench_columns(2048, configuration)
    one_by_one = [(theta[:, k : k + 1], forcing.take(k), configuration) for k in range(10)]
    some = slice(0, 1024)
    with jax.enable_x64(True):
        on_device = jax.device_put((theta[:, some], forcing.take(some)))
        by_jax = jax.jit(lambda t, f: soc_density(steady_state(t, f, configuration, jax_namespace())))
        by_jax = by_jax.lower(*on_device).compile()

    def call_jax() -> Any:
        with jax.enable_x64(True):
            return jax.block_until_ready(by_jax(*on_device))

    # As in a sampler: many parameters at the same eight places, each with a profile of five layers of another place.
    few, site = forcing.take(slice(0, 8)), np.repeat(np.arange(8), 5)
    upper, lower = np.tile([0.0, 0.1, 0.3, 0.7, 1.2], 8), np.tile([0.1, 0.3, 0.7, 1.2, 2.0], 8)
    soc = soc_density(steady_state(np.roll(theta[:, :8], 1, axis=1), few, configuration))
    observed = layer_means(soc, site, upper, lower, configuration.column)
    operator = layer_operator(upper, lower, configuration.column)
    forms = misfit_forms(site, 8, operator, observed, np.ones(site.size), np.hypot(0.3 * observed, 2000.0))
    return {
        DENSE: (lambda: [dense_steady_state(*one) for one in one_by_one], len(one_by_one)),
        "structured NumPy": (lambda: steady_state(theta[:, some], forcing.take(some), configuration), 1024),
        "JAX": (call_jax, 1024),
        "compiled steady state": (lambda: kernels.soc_density(theta, forcing, configuration), 2048),
        "sampler step": (_chain_steps(few, forms, configuration), _CHAIN_STEPS * BLOCK_WIDTH),
    }


def bench_columns(
    n: int, configuration: Configuration = PAPER, seed: int = 1
) -> tuple[NDArray[np.float64], AnyForcing]:
    """Parameters (n_parameters, n) from the inner 98 % of the prior, forcing of n columns; half have permafrost."""
    rng, layers = np.random.default_rng(seed), configuration.column.n_layers
    npp = rng.uniform(100.0, 1200.0, n)
    temperature = np.broadcast_to(rng.uniform(270.0, 300.0, n), (layers, n)).copy()
    potential = -np.exp(rng.uniform(np.log(1e-3), np.log(1.0), (layers, n)))
    thaw = np.where(rng.random(n) < 0.5, 35.0, np.exp(rng.uniform(np.log(0.1), np.log(4.0), n)))
    forcing = Forcing(temperature, potential, thaw, npp, 0.7 * npp, 1.3 * npp)
    x = rng.uniform(INNER, 1.0 - INNER, (len(configuration.parameters), n))
    if configuration.monthly:
        season = rng.uniform(0.0, 15.0, n) * np.sin(2.0 * np.pi * np.arange(MONTHS) / MONTHS)[:, None]
        months = temperature[:, None] + season * np.exp(-configuration.column.node[:, None, None] / 2.0)
        scalars, deep = rng.uniform(0.2, 1.0, (3, *months.shape)), np.full((MONTHS, n), thaw)
        litter = np.full((4, MONTHS, n), npp / 48.0)
        forcing = MonthlyForcing(months, *scalars, deep, deep, litter, rng.integers(8, layers + 1, n))
    else:
        x[list(SHARES)] *= 0.6  # leaves a share for woody debris
    return physical(x, forcing, configuration.parameters), forcing


def _chain_steps(forcing: AnyForcing, forms: NDArray, configuration: Configuration) -> Callable[[], None]:
    plan = Schedule(_CHAIN_STEPS // 5, 3 * _CHAIN_STEPS // 10, _CHAIN_STEPS // 2, 10)
    n_parameters = len(configuration.parameters)
    target = new_target(forcing, forms, False, configuration=configuration)
    chains = new_chains(n_parameters, generator_states([(1, 1, k) for k in range(BLOCK_WIDTH)]))
    draws = np.empty((BLOCK_WIDTH, plan.n_draws, n_parameters), np.float32)
    phis = np.empty((BLOCK_WIDTH, plan.n_draws))
    # The start, hundreds of evaluations, is not timed: a chain has tens of thousands of steps.
    start_chains(chains, target)
    return lambda: run_chains(chains, target, plan, 0, plan.total, draws, phis)
