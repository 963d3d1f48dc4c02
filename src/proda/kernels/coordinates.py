"""Coordinates u in which chains move; they may stretch a side of the unit cube towards small values,

    x = (exp(a u) - 1) / (exp(a) - 1),    log dx/du = a u + constant,

the parameter's logarithm when a = log(max/min): turnover times trade off along nearly a straight ridge in these.
"""

import numpy as np
from numpy.typing import NDArray

from proda.compiled import inlined
from proda.kernels.simd import load, simd_exp
from proda.model.parameters import PAPER_PARAMETERS, ParameterTable

BOX, LOGARITHMIC = "box", "logarithmic"
# Parameters whose range begins at zero have no logarithm there. Of the values tried, 1 to 6, these gave the most
# effective draws per second on virtual and on real profiles.
_FROM_ZERO = {"efolding": 2.0, "fs1s2": 3.0, "fs1s3": 4.0, "fs2s3": 4.0}
_LOGARITHMS = ("diffus", "q10", "tau4s2", "tau4s3")


def stretches(coordinates: str, table: ParameterTable = PAPER_PARAMETERS) -> NDArray[np.float64]:
    """a of every parameter, (n_parameters,): zeros for "box"."""
    a = np.zeros(len(table))
    if coordinates == LOGARITHMIC:
        for name, value in _FROM_ZERO.items():
            a[table.index(name)] = value
        for name in _LOGARITHMS:
            row = table.rows[table.index(name)]
            a[table.index(name)] = np.log(row.maximum / row.minimum)
    return a


def stretched(x: NDArray, a: NDArray) -> NDArray[np.float64]:
    x = np.asarray(x, np.float64)
    safe = np.where(a > 0.0, a, 1.0)
    return np.where(a > 0.0, np.log1p(x * np.expm1(safe)) / safe, x)


def position(u: NDArray, coordinates: str, table: ParameterTable = PAPER_PARAMETERS) -> NDArray[np.float64]:
    """x on the unit cube, (n_parameters,), at coordinates u, the inverse of `stretched`."""
    a = stretches(coordinates, table)
    safe = np.where(a > 0.0, a, 1.0)
    return np.where(a > 0.0, np.expm1(safe * u) / np.expm1(safe), u)


def block_stretch(a: NDArray) -> NDArray[np.float64]:
    """a and 1 / (exp(a) - 1) of every parameter, (2, n_parameters)."""
    return np.stack([a, 1.0 / np.expm1(np.where(a > 0.0, a, 1.0))])


@inlined
def box_position(u, stretch, k):
    """x at coordinate `u` of parameter k; `stretch` (2, n_parameters) holds a and 1 / (exp(a) - 1)."""
    if stretch[0, k] == 0.0:
        return u
    return (simd_exp(stretch[0, k] * u) - 1.0) * stretch[1, k]


@inlined
def log_density(u, stretch):
    """sum a u, for coordinates `u` (n_parameters * BLOCK_WIDTH,): the log density of the coordinates."""
    total = load(u, 0) * 0.0
    for k in range(stretch.shape[1]):
        if stretch[0, k] > 0.0:
            total = total + stretch[0, k] * load(u, k)
    return total
