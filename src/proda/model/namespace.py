"""One source for NumPy and JAX: an array module and a loop over layers that both understand."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np


class Namespace(NamedTuple):
    """An array module `xp` and `scan(step, carry, arrays, reverse=False)` with the meaning of `jax.lax.scan`."""

    xp: ModuleType
    scan: Callable[..., Any]


def _loop(step: Callable, carry: Any, arrays: tuple, reverse: bool = False) -> tuple[Any, tuple]:
    """`jax.lax.scan` over the leading axis of a tuple of arrays, as a plain loop."""
    n = len(arrays[0])
    results: list = [None] * n
    for j in reversed(range(n)) if reverse else range(n):
        carry, results[j] = step(carry, tuple(array[j] for array in arrays))
    return carry, tuple(np.stack(column) for column in zip(*results, strict=True))


NUMPY = Namespace(np, _loop)


def jax_namespace() -> Namespace:
    """The namespace of JAX; imported on demand, since NumPy users need not wait for it.

    Work inside ``jax.enable_x64(True)``: in 32 bits the solve keeps some five digits.
    """
    import jax

    return Namespace(jax.numpy, jax.lax.scan)
