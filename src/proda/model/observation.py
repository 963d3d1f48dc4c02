"""From layers to observed depths: the monotone piecewise cubic of Fritsch and Butland (1984), SciPy's `pchip`."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.model.configuration import PAPER_COLUMN, Column
from proda.model.rates import NUMPY, Namespace


def at_depths(soc: Any, column_index: ArrayLike, depth: ArrayLike, column: Column = PAPER_COLUMN) -> Any:
    """SOC density at depths (k,), m, of the columns `column_index`, (k,): (k,), in the unit of `soc`, (n_layers, n)."""
    index = np.asarray(column_index)
    slopes = node_slopes(soc, column)
    k, w = curve_weights(depth, column)
    values = w[0] * soc[k, index] + w[1] * soc[k + 1, index]
    return values + w[2] * slopes[k, index] + w[3] * slopes[k + 1, index]


def curve_weights(depth: ArrayLike, column: Column = PAPER_COLUMN) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Interval k, (n,), and weights w, (4, n), of depths (n,), m: a value is w . (C_k, C_k+1, slope_k, slope_k+1).

    Depths beyond the end nodes take the end node's value.
    """
    depth = np.clip(np.asarray(depth, dtype=np.float64), column.node[0], column.node[-1])
    interval = np.clip(np.searchsorted(column.node, depth, side="right") - 1, 0, column.n_layers - 2)
    h = column.spacing[interval]
    t = (depth - column.node[interval]) / h
    rise = t * t * (3.0 - 2.0 * t)
    weight = np.stack([1.0 - rise, rise, h * t * (1.0 - t) ** 2, -h * t * t * (1.0 - t)])
    return interval, weight


def node_slopes(soc: Any, column: Column = PAPER_COLUMN, namespace: Namespace = NUMPY) -> Any:
    """Slopes of the monotone curve at the nodes, (n_layers, n), unit of `soc` per m."""
    xp = namespace.xp
    h = column.spacing[:, None]
    secant = xp.diff(soc, axis=0) / h
    before, after = secant[:-1], secant[1:]
    turning = before * after <= 0.0
    w1, w2 = 2.0 * h[1:] + h[:-1], h[1:] + 2.0 * h[:-1]
    denominator = xp.where(turning, 1.0, w1 * after + w2 * before)
    # One quotient first: products of three densities, as in derivatives, leave the range of floating point.
    within = xp.where(turning, 0.0, (w1 + w2) * before * (after / denominator))
    first = _end_slope(h[0], h[1], secant[0], secant[1], xp)
    last = _end_slope(h[-1], h[-2], secant[-1], secant[-2], xp)
    return xp.concatenate([first[None], within, last[None]])


def _end_slope(h_end: NDArray, h_next: NDArray, end: Any, following: Any, xp: Any) -> Any:
    slope = ((2.0 * h_end + h_next) * end - h_end * following) / (h_end + h_next)
    slope = xp.where(slope * end <= 0.0, 0.0, slope)
    steep = (end * following <= 0.0) & (xp.abs(slope) > 3.0 * xp.abs(end))
    return xp.where(steep, 3.0 * end, slope)
