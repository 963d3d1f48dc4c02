"""How fast the model and the sampler are on this machine, as ratios to a dense solve measured in the same run."""

import json
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from proda.assimilation.adaptive_metropolis import Schedule, new_chains
from proda.assimilation.lane_random import generator_states
from proda.assimilation.misfit import layer_weights, misfit_forms
from proda.assimilation.soc_chains import new_target, run_chains
from proda.assimilation.stage import n_workers
from proda.compiled import kept_compiled
from proda.model.column import PAPER_COLUMN
from proda.model.forcing import Forcing
from proda.model.lane_drivers import in_lanes, lane_grid, lane_places, lane_work
from proda.model.lane_type import LANES
from proda.model.lanes import steady_lanes
from proda.model.namespace import jax_namespace
from proda.model.observation import at_depths
from proda.model.operators import dense_steady_state, input_vector, system_matrix
from proda.model.parameters import PAPER_PARAMETERS, physical
from proda.model.steady_state import soc_density, steady_state

ROUNDS = 7
CHAIN_STEPS = 2000


def bench_columns(n: int, seed: int = 1) -> tuple[NDArray[np.float64], Forcing]:
    """Parameters (25, n) from the inner 98 % of the prior, and a forcing of n columns, one in two with permafrost."""
    rng = np.random.default_rng(seed)
    layers = PAPER_COLUMN.n_layers
    npp = rng.uniform(100.0, 1200.0, n)
    forcing = Forcing(
        np.broadcast_to(rng.uniform(270.0, 300.0, n), (layers, n)).copy(),
        -np.exp(rng.uniform(np.log(1e-3), np.log(1.0), (layers, n))),
        np.where(rng.random(n) < 0.5, 35.0, np.exp(rng.uniform(np.log(0.1), np.log(4.0), n))),
        npp,
        0.7 * npp,
        1.3 * npp,
    )
    x = rng.uniform(0.01, 0.99, (len(PAPER_PARAMETERS), n))
    x[21:24] *= 0.6  # leaves a share for woody debris
    return physical(x, forcing), forcing


@kept_compiled
def _repeat_steady_lanes(theta, place, grid, n, months, work, repeats):
    for _ in range(repeats):
        steady_lanes(theta, place, grid, n, months, work)


def _chain_run(theta: NDArray, forcing: Forcing) -> Callable[[], None]:
    """One block of chains over made profiles of five layers, `CHAIN_STEPS` steps long: test run, burn-in and kept."""
    depth, site = np.tile([0.05, 0.2, 0.5, 1.0, 1.6], LANES), np.repeat(np.arange(LANES), 5)
    some = forcing.take(slice(0, LANES))
    observed = at_depths(soc_density(steady_state(theta[:, :LANES], some)), site, depth)
    forms = misfit_forms(site, LANES, depth, observed, layer_weights(site, depth))
    plan = Schedule(CHAIN_STEPS // 5, CHAIN_STEPS // 5, 3 * CHAIN_STEPS // 5, 10)
    n_draws = plan.kept_steps // plan.thin
    states = generator_states([(1, 1, lane) for lane in range(LANES)])

    def run() -> None:
        target = new_target(some, forms, pooled=False)
        chains = new_chains(len(PAPER_PARAMETERS), states)
        draws, phis = np.empty((LANES, n_draws, len(PAPER_PARAMETERS)), np.float32), np.empty((LANES, n_draws))
        run_chains(chains, target, plan, 0, plan.total, draws, phis)

    return run


def _tasks() -> dict[str, tuple[Callable[[], Any], int]]:
    """What is timed: a call, and the number of steady states or steps in it."""
    import jax

    theta, forcing = bench_columns(2048)
    one = (theta[:, :1], forcing.take(slice(0, 1)))
    few = (theta[:, :256], forcing.take(slice(0, 256)))
    with jax.enable_x64(True):
        namespace = jax_namespace()
        solved = jax.jit(lambda theta, forcing: soc_density(steady_state(theta, forcing, namespace=namespace)))
        # The active layer decides which interfaces are open: it stays a constant of the compiled program.
        fixed = jax.jit(
            lambda t, T, psi: solved.__wrapped__(t, forcing._replace(soil_temperature=T, water_potential=psi))
        )
        on_device = jax.device_put((theta, forcing.soil_temperature, forcing.water_potential))
        fixed(*on_device).block_until_ready()

    def by_jax() -> None:
        with jax.enable_x64(True):
            fixed(*on_device).block_until_ready()

    blocks, places = in_lanes(theta[:, :LANES]), in_lanes(lane_places(forcing.take(slice(0, LANES))))
    lane_arguments = (blocks[0], places[0], lane_grid(), PAPER_COLUMN.n_layers, 0, lane_work())
    chain_run = _chain_run(theta, forcing)
    matrix, vector = system_matrix(*few), input_vector(*few)[..., None]
    return {
        "dense NumPy, assembled and solved": (lambda: [dense_steady_state(*one) for _ in range(10)], 10),
        "dense NumPy, solve alone, batched": (lambda: np.linalg.solve(matrix, vector), 256),
        "structured NumPy, batched": (lambda: steady_state(theta, forcing), 2048),
        "JAX, 64 bits, batched": (by_jax, 2048),
        "compiled, one core": (lambda: _repeat_steady_lanes(*lane_arguments, 200), 200 * LANES),
        "sampler step, one core": (chain_run, CHAIN_STEPS * LANES),
    }


def measured() -> pd.DataFrame:
    """Microseconds for each steady state or sampler step (least of several rounds), and the ratio to dense NumPy."""
    with threadpool_limits(1):
        tasks = _tasks()
        times: dict[str, list[float]] = {name: [] for name in tasks}
        for call, _ in tasks.values():
            call()
        # Interleaved, so that whatever else the machine does weighs on all of them.
        for _ in range(ROUNDS):
            for name, (call, size) in tasks.items():
                started = time.perf_counter()
                call()
                times[name].append((time.perf_counter() - started) / size * 1e6)
        workers = n_workers()
        chain_run, size = tasks["sampler step, one core"]
        whole = []
        with ThreadPoolExecutor(workers) as pool:
            for _ in range(ROUNDS):
                started = time.perf_counter()
                list(pool.map(lambda _: chain_run(), range(4 * workers)))
                whole.append((time.perf_counter() - started) / (4 * workers * size) * 1e6)
    times[f"sampler step, {workers} cores together"] = whole
    table = pd.DataFrame({"microseconds": {name: min(values) for name, values in times.items()}})
    table["per second"] = 1e6 / table["microseconds"]
    table["times dense NumPy"] = table["microseconds"].iloc[0] / table["microseconds"]
    return table


def bench(path: Path | None = None) -> int:
    """Print the table of `measured`, and write it to `path` as JSON."""
    table = measured()
    shown = pd.DataFrame(
        {
            "microseconds": table["microseconds"].map("{:.3f}".format),
            "per second": table["per second"].map("{:,.0f}".format),
            "times dense NumPy": table["times dense NumPy"].map("{:,.1f}".format),
        }
    )
    print(f"Steady states of {PAPER_COLUMN.n_layers} layers x 7 pools; least of {ROUNDS} rounds\n{shown.to_string()}")
    if path:
        record = {"python": platform.python_version(), "processor": platform.machine(), "cores": n_workers()}
        Path(path).write_text(json.dumps(record | {"measured": table.to_dict("index")}, indent=1) + "\n")
    return 0
