"""How many operations a computation takes: counted while it runs, not by reading it."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from proda.model.namespace import NUMPY, Namespace

ARITHMETIC = ("add", "subtract", "multiply", "divide", "negative")
FUNCTIONS = ("exp", "log", "power", "sqrt")


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
    return sum(counts[name] for name in ARITHMETIC)


def functions(counts: Counter[str]) -> int:
    """Exponentials, logarithms, powers and roots among `counts`."""
    return sum(counts[name] for name in FUNCTIONS)
