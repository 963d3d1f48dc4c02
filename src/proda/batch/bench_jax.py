"""What is timed of the JAX version: the steady state in 64 bits, and its derivatives by the parameters."""

import time
from collections.abc import Callable
from typing import Any

from proda.assimilation.misfit import misfit
from proda.batch.bench_columns import Columns, profile_forms
from proda.batch.bench_tasks import Task
from proda.batch.machine import one_core
from proda.model.namespace import jax_namespace
from proda.model.steady_state import soc_density, steady_state

JAX = "JAX"
DERIVATIVES = ("JAX, one forward derivative", "JAX, gradient of the misfit", "JAX, Jacobian")
BLOCKS = (1024, 2048, 4096)
# Derivatives keep more intermediate results, a Jacobian as many times more as there are parameters: in smaller blocks
# they stay in the processor's caches.
_DERIVATIVE_COLUMNS, _JACOBIAN_COLUMNS = 256, 64
_REPEATS, _TRIALS = 3, 6


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
                return [jax.block_until_ready(compiled(*on_device)) for _ in range(_REPEATS)][-1]

        return Task(name, n, _REPEATS * n, lambda: call, in_threads=name not in DERIVATIVES)

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
