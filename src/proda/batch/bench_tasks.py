"""What is timed: the steady state by every method the package has, its derivatives, and a step of the sampler."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from proda.assimilation.chain_state import Schedule, new_chains
from proda.assimilation.lane_random import generator_states
from proda.assimilation.misfit import misfit_lanes
from proda.assimilation.soc_chains import Moves, new_target, run_chains, start_chains
from proda.batch.bench_columns import Columns, profile_forms
from proda.compiled import kept_compiled
from proda.model.lane_drivers import in_lanes, lane_grid, lane_months, lane_places, lane_work
from proda.model.lane_type import LANES, load, store
from proda.model.lanes import steady_lanes
from proda.model.operators import dense_steady_state, input_vector, system_matrix
from proda.model.steady_state import steady_state

DENSE = "dense NumPy, one column at a time"
STRUCTURED = "structured NumPy"
COMPILED = "compiled steady state"
EVALUATION = "compiled steady state and misfit"
SAMPLER = "sampler step"
LOGARITHMIC_SAMPLER = "sampler step, logarithmic coordinates"
_ONE_BY_ONE = 10
_DENSE_AT_ONCE, _STRUCTURED_AT_ONCE, _COMPILED_COLUMNS = 256, 1024, 2048
_REPEATS = 8
_CHAIN_STEPS = 1000


class Task(NamedTuple):
    """Something to time.

    Attributes
    ----------
    name : str
    at_once : int
        Columns that are computed together.
    size : int
        Steady states, or steps, in one call.
    new_call : callable
        Returns the call to time, with work space of its own: one for each thread.
    in_threads : bool
        Whether it is also timed on all cores.
    """

    name: str
    at_once: int
    size: int
    new_call: Callable[[], Callable[[], Any]]
    in_threads: bool = True


def numpy_tasks(columns: Columns) -> list[Task]:
    """The textbook's dense solve, its parts, many of it at once, and the structured solve."""
    singles = [columns.take(1, k) for k in range(_ONE_BY_ONE)]
    few, many = columns.take(_DENSE_AT_ONCE), columns.take(_STRUCTURED_AT_ONCE)
    assembled = [(system_matrix(*single), input_vector(*single)[..., None]) for single in singles]

    def task(name: str, at_once: int, size: int, call: Callable[[], Any], in_threads: bool = True) -> Task:
        return Task(name, at_once, size, lambda: call, in_threads)

    return [
        task(DENSE, 1, _ONE_BY_ONE, lambda: [dense_steady_state(*single) for single in singles]),
        task(
            "dense NumPy, assembling alone", 1, _ONE_BY_ONE,
            lambda: [(system_matrix(*single), input_vector(*single)) for single in singles], in_threads=False,
        ),
        task(
            "dense NumPy, solving alone", 1, _ONE_BY_ONE,
            lambda: [np.linalg.solve(*system) for system in assembled], in_threads=False,
        ),
        task("dense NumPy, batched", _DENSE_AT_ONCE, _DENSE_AT_ONCE, lambda: dense_steady_state(*few)),
        task(STRUCTURED, _STRUCTURED_AT_ONCE, _STRUCTURED_AT_ONCE, lambda: steady_state(*many)),
    ]  # fmt: skip


@kept_compiled
def _steady_blocks(theta, place, grid, n, months, work):
    for block in range(theta.shape[0]):
        steady_lanes(theta[block], place, grid, n, months, work)


@kept_compiled
def _misfit_blocks(theta, place, form, grid, n, months, work, total):
    for block in range(theta.shape[0]):
        steady_lanes(theta[block], place, grid, n, months, work)
        store(total, 0, load(total, 0) + misfit_lanes(work, form, grid, n))


def compiled_tasks(columns: Columns) -> list[Task]:
    """The compiled steady state, alone and with the misfit of a profile, and a whole step of the sampler.

    As a sampler has it: many parameters at the same eight places. The sampler itself takes annual forcing.
    """
    configuration, places = columns.configuration, columns.take(LANES)
    blocks = in_lanes(columns.take(_COMPILED_COLUMNS).theta)
    place = in_lanes(lane_places(places.forcing, configuration))[0]
    forms = profile_forms(places)
    form = in_lanes(forms)[0]
    grid, n, months = lane_grid(configuration), configuration.column.n_layers, lane_months(places.forcing)

    def steady() -> Callable[[], None]:
        work = lane_work(configuration)

        def call() -> None:
            for _ in range(_REPEATS):
                _steady_blocks(blocks, place, grid, n, months, work)

        return call

    def with_misfit() -> Callable[[], None]:
        work, total = lane_work(configuration), np.zeros(LANES)

        def call() -> None:
            for _ in range(_REPEATS):
                _misfit_blocks(blocks, place, form, grid, n, months, work, total)

        return call

    size = _REPEATS * _COMPILED_COLUMNS
    tasks = [Task(COMPILED, LANES, size, steady), Task(EVALUATION, LANES, size, with_misfit)]
    if not configuration.monthly:
        size = _CHAIN_STEPS * LANES
        tasks.append(Task(SAMPLER, LANES, size, lambda: _chain_steps(places, forms, Moves())))
        tasks.append(Task(LOGARITHMIC_SAMPLER, LANES, size, lambda: _chain_steps(places, forms, Moves("logarithmic"))))
    return tasks


def _chain_steps(columns: Columns, forms: np.ndarray, moves: Moves) -> Callable[[], None]:
    """The steps of a block of chains after its start: test run, burn-in and kept part."""
    plan = Schedule(_CHAIN_STEPS // 5, 3 * _CHAIN_STEPS // 10, _CHAIN_STEPS // 2, 10)
    n_parameters, n_draws = columns.theta.shape[0], plan.n_draws
    target = new_target(columns.forcing, forms, False, moves, columns.configuration)
    chains = new_chains(n_parameters, generator_states([(1, 1, lane) for lane in range(LANES)]))
    draws, phis = np.empty((LANES, n_draws, n_parameters), np.float32), np.empty((LANES, n_draws))
    # The start takes hundreds of evaluations, once; a chain has tens of thousands of steps.
    start_chains(chains, target)
    return lambda: run_chains(chains, target, plan, 0, plan.total, draws, phis)
