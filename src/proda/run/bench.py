"""``python -m proda bench``: the speeds of `proda.run.bench` as a table to read and as JSON.

The soil columns that are timed: parameters from the prior, and a forcing made for the purpose.

What is timed: the steady state by every method the package has, its derivatives, and a step of the sampler.

The machine that speeds are measured on: one core of it, and the most that core can do.

What is timed of the JAX version: the steady state in 64 bits, and its derivatives by the parameters.

How many operations a computation takes: counted while it runs, not by reading it.

How fast the model and the sampler are on this machine, as ratios to a dense solve measured in the same run.
"""

import json
import os
import platform
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from proda.assimilation.chains import n_workers
from proda.compiled import kept_compiled
from proda.kernels.metropolis import Proposal, Schedule, new_chains, new_target, run_chains, start_chains
from proda.kernels.misfit import block_misfit, layer_weights, misfit, misfit_forms
from proda.kernels.random import generator_states
from proda.kernels.simd import BLOCK_WIDTH, load, store
from proda.kernels.steady_state import block_grid, block_months, block_places, block_work, steady_block, to_blocks
from proda.model.configuration import CESM2, CESM2_COLUMN, PAPER, Configuration
from proda.model.forcing import AnyForcing, Forcing, MonthlyForcing
from proda.model.matrices import dense_steady_state, input_vector, system_matrix
from proda.model.observation import at_depths
from proda.model.parameters import INNER, SHARES, physical
from proda.model.rates import NUMPY, Namespace, jax_namespace
from proda.model.solver import soc_density, steady_state

CASES = {
    "10 layers": PAPER,
    "20 layers": PAPER.on(CESM2_COLUMN),
    "20 layers, 12 months": CESM2,
}
_OBSERVED_DEPTHS = (0.05, 0.2, 0.5, 1.0, 1.6)  # m


class Columns(NamedTuple):
    """Columns of one configuration: physical parameters (n_parameters, n) and the forcing of the n columns."""

    theta: NDArray[np.float64]
    forcing: AnyForcing
    configuration: Configuration

    def take(self, n: int, start: int = 0) -> "Columns":
        """`n` columns from `start`, contiguous in memory."""
        chosen = slice(start, start + n)
        fields = (np.ascontiguousarray(field) for field in self.forcing.take(chosen))
        return Columns(np.ascontiguousarray(self.theta[:, chosen]), type(self.forcing)(*fields), self.configuration)


def bench_columns(
    n: int, seed: int = 1, configuration: Configuration = PAPER
) -> tuple[NDArray[np.float64], AnyForcing]:
    """Parameters (n_parameters, n) from the inner 98 % of the prior, and a forcing; half have permafrost."""
    rng = np.random.default_rng(seed)
    forcing = (_monthly_forcing if configuration.monthly else _annual_forcing)(rng, n, configuration.column.n_layers)
    x = rng.uniform(INNER, 1.0 - INNER, (len(configuration.parameters), n))
    if not configuration.monthly:
        x[list(SHARES)] *= 0.6  # leaves a share for woody debris
    return physical(x, forcing, configuration.parameters), forcing


def _annual_forcing(rng: np.random.Generator, n: int, layers: int) -> Forcing:
    npp = rng.uniform(100.0, 1200.0, n)
    return Forcing(
        np.broadcast_to(rng.uniform(270.0, 300.0, n), (layers, n)).copy(),
        -np.exp(rng.uniform(np.log(1e-3), np.log(1.0), (layers, n))),
        np.where(rng.random(n) < 0.5, 35.0, np.exp(rng.uniform(np.log(0.1), np.log(4.0), n))),
        npp,
        0.7 * npp,
        1.3 * npp,
    )


def _monthly_forcing(rng: np.random.Generator, n: int, layers: int, months: int = 12) -> MonthlyForcing:
    season = -np.cos(2.0 * np.pi * np.arange(months) / months)[:, None]
    shape = (layers, months, n)
    thaw = np.where(rng.random(n) < 0.5, 35.0, np.exp(rng.uniform(np.log(0.1), np.log(1.9), n)))
    return MonthlyForcing(
        np.broadcast_to(rng.uniform(270.0, 300.0, n) + 8.0 * season, shape).copy(),
        *(rng.uniform(0.3, 1.0, shape) for _ in range(3)),
        *(np.repeat(thaw[None], months, axis=0) for _ in range(2)),
        rng.uniform(1.0, 30.0, (4, months, n)),
        rng.integers(8, layers, n, endpoint=True),
    )


def profile_forms(columns: Columns) -> NDArray[np.float64]:
    """The misfit of every column to a profile of five layers, made with the parameters of its neighbour."""
    theta, forcing, configuration = columns
    n = theta.shape[1]
    depth, site = np.tile(_OBSERVED_DEPTHS, n), np.repeat(np.arange(n), len(_OBSERVED_DEPTHS))
    soc = soc_density(steady_state(np.roll(theta, 1, axis=1), forcing, configuration))
    observed = at_depths(soc, site, depth, configuration.column)
    return misfit_forms(site, n, depth, observed, layer_weights(site, depth), 0.3 * observed, configuration.column)


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
        steady_block(theta[block], place, grid, n, months, work)


@kept_compiled
def _misfit_blocks(theta, place, form, grid, n, months, work, total):
    for block in range(theta.shape[0]):
        steady_block(theta[block], place, grid, n, months, work)
        store(total, 0, load(total, 0) + block_misfit(work, form, grid, n))


def compiled_tasks(columns: Columns) -> list[Task]:
    """The compiled steady state, alone and with the misfit of a profile, and a whole step of the sampler.

    As a sampler has it: many parameters at the same eight places. The sampler itself takes annual forcing.
    """
    configuration, places = columns.configuration, columns.take(BLOCK_WIDTH)
    blocks = to_blocks(columns.take(_COMPILED_COLUMNS).theta)
    place = to_blocks(block_places(places.forcing, configuration))[0]
    forms = profile_forms(places)
    form = to_blocks(forms)[0]
    grid, n, months = block_grid(configuration), configuration.column.n_layers, block_months(places.forcing)

    def steady() -> Callable[[], None]:
        work = block_work(configuration)

        def call() -> None:
            for _ in range(_REPEATS):
                _steady_blocks(blocks, place, grid, n, months, work)

        return call

    def with_misfit() -> Callable[[], None]:
        work, total = block_work(configuration), np.zeros(BLOCK_WIDTH)

        def call() -> None:
            for _ in range(_REPEATS):
                _misfit_blocks(blocks, place, form, grid, n, months, work, total)

        return call

    size = _REPEATS * _COMPILED_COLUMNS
    tasks = [Task(COMPILED, BLOCK_WIDTH, size, steady), Task(EVALUATION, BLOCK_WIDTH, size, with_misfit)]
    if not configuration.monthly:
        size = _CHAIN_STEPS * BLOCK_WIDTH
        tasks.append(Task(SAMPLER, BLOCK_WIDTH, size, lambda: _chain_steps(places, forms, Proposal())))
        tasks.append(
            Task(LOGARITHMIC_SAMPLER, BLOCK_WIDTH, size, lambda: _chain_steps(places, forms, Proposal("logarithmic")))
        )
    return tasks


def _chain_steps(columns: Columns, forms: np.ndarray, moves: Proposal) -> Callable[[], None]:
    """The steps of a block of chains after its start: test run, burn-in and kept part."""
    plan = Schedule(_CHAIN_STEPS // 5, 3 * _CHAIN_STEPS // 10, _CHAIN_STEPS // 2, 10)
    n_parameters, n_draws = columns.theta.shape[0], plan.n_draws
    target = new_target(columns.forcing, forms, False, moves, columns.configuration)
    chains = new_chains(n_parameters, generator_states([(1, 1, lane) for lane in range(BLOCK_WIDTH)]))
    draws, phis = np.empty((BLOCK_WIDTH, n_draws, n_parameters), np.float32), np.empty((BLOCK_WIDTH, n_draws))
    # The start takes hundreds of evaluations, once; a chain has tens of thousands of steps.
    start_chains(chains, target)
    return lambda: run_chains(chains, target, plan, 0, plan.total, draws, phis)


_THREADS = Path("/proc/self/task")
MACHINE_ROUNDS = 100_000
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
    numbers = np.full(ROWS * BLOCK_WIDTH, -0.5)
    return lambda: multiply_and_add(numbers, MACHINE_ROUNDS), 2 * MACHINE_ROUNDS * numbers.size


JAX = "JAX"
DERIVATIVES = ("JAX, one forward derivative", "JAX, gradient of the misfit", "JAX, Jacobian")
BLOCKS = (1024, 2048, 4096)
# Derivatives keep more intermediate results, a Jacobian as many times more as there are parameters: in smaller blocks
# they stay in the processor's caches.
_DERIVATIVE_COLUMNS, _JACOBIAN_COLUMNS = 256, 64
_JAX_REPEATS, _TRIALS = 3, 6


def jax_tasks(columns: Columns, blocks: tuple[int, ...] = BLOCKS, derivatives: bool = True) -> list[Task]:
    """The steady state in blocks of the fastest size, and derivatives of the density.

    The forcing is an argument of the compiled functions as the parameters are: they serve any place.
    """
    import jax

    configuration, namespace = columns.configuration, jax_namespace()

    def soc(theta: Any, forcing: Any) -> Any:
        return soc_density(steady_state(theta, forcing, configuration, namespace))

    def directional(theta: Any, forcing: Any) -> Any:
        return jax.jvp(lambda theta: soc(theta, forcing), (theta,), (theta,))

    def total_misfit(theta: Any, forcing: Any, forms: Any) -> Any:
        # Columns do not know of one another: the gradient of the sum holds the gradient of each.
        return misfit(soc(theta, forcing), forms, configuration.column, namespace).sum()

    def jacobian(theta: Any, forcing: Any) -> Any:
        # One shift of each parameter serves all columns, so that nothing is spent on the zeros between columns.
        shift = jax.numpy.zeros_like(theta[:, 0])
        return jax.jacfwd(lambda shift: soc(theta + shift[:, None], forcing))(shift)

    def task(name: str, function: Callable, n: int, with_forms: bool = False) -> Task:
        some = columns.take(n)
        forms = (profile_forms(some),) if with_forms else ()
        with jax.enable_x64(True):
            on_device = jax.device_put((some.theta, some.forcing, *forms))
            compiled = jax.jit(function).lower(*on_device).compile()

        def call() -> Any:
            with jax.enable_x64(True):
                return [jax.block_until_ready(compiled(*on_device)) for _ in range(_JAX_REPEATS)][-1]

        return Task(name, n, _JAX_REPEATS * n, lambda: call, in_threads=name not in DERIVATIVES)

    candidates = [task(JAX, soc, n) for n in blocks]
    plain = min(candidates, key=_microseconds)
    if not derivatives:
        return [plain]
    forward, reverse, all_parameters = DERIVATIVES
    return [
        plain,
        task(forward, directional, _DERIVATIVE_COLUMNS),
        task(reverse, jax.value_and_grad(total_misfit), _DERIVATIVE_COLUMNS, with_forms=True),
        task(all_parameters, jacobian, _JACOBIAN_COLUMNS),
    ]


def _microseconds(task: Task) -> float:
    """Time of one steady state in the best of a few calls."""
    call, times = task.new_call(), []
    for turn in range(_TRIALS):
        with one_core(turn):
            started = time.perf_counter()
            call()
            times.append(time.perf_counter() - started)
    return min(times) / task.size


ARITHMETIC_UFUNCS = ("add", "subtract", "multiply", "divide", "negative")
FUNCTION_UFUNCS = ("exp", "log", "power", "sqrt")


def operation_count(function: Callable[[Any, Namespace], Any], array: ArrayLike) -> Counter[str]:
    """Element-wise operations of ``function(array, namespace)`` by NumPy's names: ``add``, ``multiply``, ``exp``.

    Operations that do not depend on `array` are not counted: what a program computes once, before it is given the
    array. An operation on arrays counts once for each element of its result, a sum of n elements n - 1 times.
    Comparisons and choices (``less``, ``maximum``) are counted under their own names; ``np.where`` is not.

    Parameters
    ----------
    function
        Takes an array and the namespace to compute in.
    """
    counts: Counter[str] = Counter()

    class Watched(np.ndarray):
        """An array whose operations are counted, and make watched arrays again."""

        def __array_ufunc__(self, ufunc, method, *inputs, out=(), **options):
            plain, into = (tuple(_plain(x) for x in arrays) for arrays in (inputs, out))
            result = getattr(ufunc, method)(*plain, **options, **({"out": into} if out else {}))
            size = np.size(result)
            counts[ufunc.__name__] += np.size(plain[0]) - size if method == "reduce" else size
            return _watched(result)

        def __array_function__(self, function, types, args, kwargs):
            return _watched(super().__array_function__(function, types, args, kwargs))

    def _plain(value: Any) -> Any:
        return value.view(np.ndarray) if isinstance(value, Watched) else value

    def _watched(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(_watched(part) for part in value)
        return np.asarray(value).view(Watched)

    def scan(step: Callable, carry: Any, arrays: Any, reverse: bool = False) -> tuple[Any, Any]:
        carry, results = NUMPY.scan(step, carry, arrays, reverse)
        return carry, _watched(results)

    function(_watched(np.array(array, dtype=np.float64)), Namespace(np, scan))
    return counts


def arithmetic(counts: Counter[str]) -> int:
    """Sums, differences, products and quotients among `counts`."""
    return sum(counts[name] for name in ARITHMETIC_UFUNCS)


def functions(counts: Counter[str]) -> int:
    """Exponentials, logarithms, powers and roots among `counts`."""
    return sum(counts[name] for name in FUNCTION_UFUNCS)


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


__all__ = ["as_record", "as_text", "bench", "bench_columns", "measured"]

_SCALES = 1.5  # faster on all cores than on one by this much: worth the other cores
# Columns of the table as they are printed: heading and format.
_SHOWN = {
    "columns at once": ("at once", "{:,.0f}"),
    "microseconds": ("microseconds", "{:,.3f}"),
    "per second": ("per second", "{:,.0f}"),
    "times dense NumPy": ("x dense NumPy", "{:,.1f}"),
    "times JAX": ("x JAX", "{:,.1f}"),
    "Gflop/s": ("Gflop/s", "{:.1f}"),
    "% of peak": ("% of peak", "{:.0f}"),
    "all cores: microseconds": ("all cores", "{:,.3f}"),
    "all cores: speedup": ("speedup", "{:.2f}"),
}


def bench(path: Path | None = None) -> int:
    """Print the measurements, and write them to `path` as JSON."""
    print("Compiling, which takes minutes the first time, and measuring ...", flush=True)
    found = measurements()
    print(as_text(found))
    if path:
        Path(path).write_text(json.dumps(as_record(found), indent=1, allow_nan=False) + "\n")
    return 0


def as_text(found: Measurements) -> str:
    """The measurements for a reader."""
    parts = [
        f"Least of {found.rounds} interleaved rounds, on one core unless said otherwise.\n"
        "x dense NumPy: how many times faster than the first row; x JAX: cost of a derivative over that of JAX alone;\n"
        f"all cores: microseconds with {found.cores} threads at the same time, and the speedup over one core."
    ]
    for case, counts in found.operations.iterrows():
        table = found.table.loc[case]
        shown = pd.DataFrame({heading: _column(table[name], form) for name, (heading, form) in _SHOWN.items()})
        operations = " and ".join(f"{count:,} {kind}" for kind, count in counts.items())
        title = f"{case}: {operations} for one steady state"
        parts.append(f"{title}\n{shown.rename_axis(None).to_string()}\n{_what_scales(table)}")
    parts.append(
        f"One core does at most {found.peak:.1f} Gflop/s of multiplications and additions (measured).\n"
        "Gflop/s and % of peak: sums, products and quotients of a steady state, not its exponentials and logarithms."
    )
    return "\n\n".join(parts)


def _column(values: pd.Series, form: str) -> pd.Series:
    return values.map(lambda value: "" if pd.isna(value) else form.format(value))


def _what_scales(table: pd.DataFrame) -> str:
    """Which tasks gain from all cores and which do not, in words."""
    speedup = table["all cores: speedup"].dropna()
    gaining = speedup >= _SCALES
    groups = {f"{_SCALES:g} times faster on all cores": speedup.index[gaining], "not": speedup.index[~gaining]}
    text = "; ".join(f"{verdict}: {', '.join(tasks)}" for verdict, tasks in groups.items() if len(tasks))
    return textwrap.fill(text, 120)


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
