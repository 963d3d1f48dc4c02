"""From nodes to observations: the monotone piecewise cubic of Fritsch and Butland (1984), SciPy's `pchip`.

Values of the curve, and its means over layers, are linear in the densities and the slopes at the nodes.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.model.configuration import PAPER_COLUMN, Column
from proda.model.rates import NUMPY, Namespace

MID_DEPTH, LAYER_MEAN = "mid-depth", "layer-mean"  # what is compared with an observed layer


def at_depths(soc: Any, column_index: ArrayLike, depth: ArrayLike, column: Column = PAPER_COLUMN) -> Any:
    """SOC density at depths (k,), m, of the columns `column_index`, (k,): (k,), in the unit of `soc`, (n_layers, n)."""
    index = np.asarray(column_index)
    slopes = node_slopes(soc, column)
    k, w = curve_weights(depth, column)
    values = w[0] * soc[k, index] + w[1] * soc[k + 1, index]
    return values + w[2] * slopes[k, index] + w[3] * slopes[k + 1, index]


def layer_means(
    soc: ArrayLike, column_index: ArrayLike, upper: ArrayLike, lower: ArrayLike, column: Column = PAPER_COLUMN
) -> NDArray[np.float64]:
    """Mean SOC density of layers from `upper` to `lower` (k,), m, of the columns `column_index`, (k,), unit of `soc`.

    Where both bounds are the same it is the density at that depth.
    """
    nodes, operator = node_values(np.asarray(soc), column), layer_operator(upper, lower, column).T
    # A profile may be missing below the layers.
    return np.where(operator != 0.0, operator * nodes[:, np.asarray(column_index)], 0.0).sum(axis=0)


def layer_bounds(layers: Mapping[str, ArrayLike], operator: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds, m, between which the modelled mean is compared with each layer; both its middle for "mid-depth".

    `operator` is the setting `observation_operator`.
    """
    names = ("upper_depth", "lower_depth") if operator == LAYER_MEAN else ("depth", "depth")
    upper, lower = (np.asarray(layers[name], np.float64) for name in names)
    return upper, lower


def node_values(soc: NDArray, column: Column = PAPER_COLUMN) -> NDArray[np.float64]:
    """Density and slope of the curve at every node, one after the other, (2 n_layers, n), of `soc` (n_layers, n)."""
    return np.stack([soc, node_slopes(soc, column)], axis=1).reshape(2 * len(soc), -1)


def layer_operator(upper: ArrayLike, lower: ArrayLike, column: Column = PAPER_COLUMN) -> NDArray[np.float64]:
    """Weights of `node_values` in the mean of layers from `upper` to `lower` (k,), m, (k, 2 n_layers).

    Where both bounds are the same they give the density at that depth. Beyond the end nodes the curve is constant.
    """
    upper, lower = np.asarray(upper, np.float64), np.asarray(lower, np.float64)
    rows, thickness = np.arange(upper.size), lower - upper
    at_depth = np.zeros((upper.size, 2 * column.n_layers))
    interval, weight = curve_weights(upper, column)
    for offset, w in zip((0, 2, 1, 3), weight, strict=True):
        at_depth[rows, 2 * interval + offset] = w
    thin = thickness <= 0.0
    integral = _integrals_from_top(lower, column) - _integrals_from_top(upper, column)
    return np.where(thin[:, None], at_depth, integral / np.where(thin, 1.0, thickness)[:, None])


def _integrals_from_top(depth: NDArray, column: Column) -> NDArray[np.float64]:
    """Weights of `node_values` in the integral of the curve from 0 to `depth` (k,), (k, 2 n_layers)."""
    h, node = column.spacing, column.node
    t = np.clip((depth[:, None] - node[:-1]) / h, 0.0, 1.0)
    rise = t**3 - 0.5 * t**4
    weight = np.zeros((depth.size, 2 * column.n_layers))
    weight[:, 0:-2:2] += h * (t - rise)
    weight[:, 2::2] += h * rise
    weight[:, 1:-2:2] += h**2 * (t**2 / 2.0 - 2.0 * t**3 / 3.0 + t**4 / 4.0)
    weight[:, 3::2] -= h**2 * (t**3 / 3.0 - t**4 / 4.0)
    weight[:, 0] += np.minimum(depth, node[0])
    weight[:, -2] += np.maximum(depth - node[-1], 0.0)
    return weight


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
