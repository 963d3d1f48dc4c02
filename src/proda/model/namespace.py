"""One source for NumPy and JAX: an array module and a loop over layers that both understand."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np


class Namespace(NamedTuple):
    """An array module `xp` and `scan(step, carry, arrays, reverse=False)` with the meaning of `jax.lax.scan`."""

    xp: ModuleType
    scan: Callable[..., Any]


def _each(nested: Any, change: Callable[[Any], Any]) -> Any:
    """`change` of every array in nested tuples."""
    return tuple(_each(part, change) for part in nested) if isinstance(nested, tuple) else change(nested)


def _loop(step: Callable, carry: Any, arrays: Any, reverse: bool = False) -> tuple[Any, Any]:
    """`jax.lax.scan` over the leading axis of nested tuples of arrays, as a plain loop."""
    first = arrays
    while isinstance(first, tuple):
        first = first[0]
    n, results = len(first), None

    def put(at: Any, result: Any, j: int) -> Any:
        if isinstance(result, tuple):
            return tuple(put(a, r, j) for a, r in zip(at, result, strict=True))
        at[j] = result
        return at

    for j in reversed(range(n)) if reverse else range(n):
        carry, result = step(carry, _each(arrays, lambda array, j=j: array[j]))
        if results is None:
            results = _each(result, lambda array: np.empty((n, *np.shape(array))))
        put(results, result, j)
    return carry, results


NUMPY = Namespace(np, _loop)


def sum_of_months(values: Any) -> Any:
    """Sum over the second axis, month after month.

    The order in which NumPy's own sums add depends on how many columns lie in memory and how; a chain must not depend,
    in its last digit, on the columns computed beside it.
    """
    total = values[:, 0]
    for month in range(1, values.shape[1]):
        total = total + values[:, month]
    return total


def mean_of_months(values: Any) -> Any:
    """Mean over the second axis: see `sum_of_months`."""
    return sum_of_months(values) / values.shape[1]


def jax_namespace() -> Namespace:
    """The namespace of JAX; imported on demand, since NumPy users need not wait for it.

    Work inside ``jax.enable_x64(True)``: in 32 bits the solve keeps some five digits.
    """
    import jax

    return Namespace(jax.numpy, jax.lax.scan)
