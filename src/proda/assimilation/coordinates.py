"""The coordinates in which chains take their steps: the unit cube of the prior, or one stretched towards small values.

Turnover times, temperature sensitivity and the fractions that feed the slow pools act on soil carbon as factors: what
the layers tell is their product, which is a bent ridge on the unit cube and nearly a straight one for their logarithms.
A coordinate u stretches its side of the cube by

    x = (exp(a u) - 1) / (exp(a) - 1),    log dx/du = a u + constant,

the logarithm of the parameter itself when a = log(max/min), and the plain cube in the limit a = 0. The posterior on the
cube is that of the misfit Phi; in the coordinates u it is that of Phi - sum a u. The samples are the same, only the way
there is shorter. u lies between 0 and 1 like x, so steps come back in through the opposite wall as before.
"""

import numpy as np
from numpy.typing import NDArray

from proda.compiled import inlined
from proda.model.lane_math import lane_exp
from proda.model.lane_type import load
from proda.model.parameters import PAPER_PARAMETERS, ParameterTable

BOX, LOGARITHMIC = "box", "logarithmic"
# Parameters whose range begins at zero have no logarithm there; exp(a) is the ratio of steps at both ends. Of the
# values tried, 1 to 6, these gave the most effective draws per second on virtual and on real profiles.
_FROM_ZERO = {"efolding": 2.0, "fs1s2": 3.0, "fs1s3": 4.0, "fs2s3": 4.0}
_LOGARITHMS = ("diffus", "q10", "tau4s2", "tau4s3")


def stretches(coordinates: str, table: ParameterTable = PAPER_PARAMETERS) -> NDArray[np.float64]:
    """a of every parameter, (n_parameters,): zeros for "box", the table above for "logarithmic"."""
    a = np.zeros(len(table))
    if coordinates == LOGARITHMIC:
        for name, value in _FROM_ZERO.items():
            a[table.index(name)] = value
        for name in _LOGARITHMS:
            row = table.rows[table.index(name)]
            a[table.index(name)] = np.log(row.maximum / row.minimum)
    return a


def stretched(x: NDArray, a: NDArray) -> NDArray[np.float64]:
    """u of positions x (..., n_parameters) on the unit cube."""
    x = np.asarray(x, np.float64)
    safe = np.where(a > 0.0, a, 1.0)
    return np.where(a > 0.0, np.log1p(x * np.expm1(safe)) / safe, x)


@inlined
def box_position(u, a):
    """Lanes of x at coordinate `u`, for one parameter's stretch `a`, a scalar."""
    if a == 0.0:
        return u
    return (lane_exp(a * u) - 1.0) * (1.0 / (np.exp(a) - 1.0))


@inlined
def log_density(u, stretch):
    """sum a u of every lane, for coordinates `u` (n_parameters * LANES,): what the change of them takes off Phi."""
    total = load(u, 0) * 0.0
    for k in range(stretch.size):
        if stretch[k] > 0.0:
            total = total + stretch[k] * load(u, k)
    return total
