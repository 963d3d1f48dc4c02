"""Figures of the matrix model: its grids, its pools with depth, and what a solve costs."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from proda.model.column import PAPER_COLUMN, Column
from proda.model.steady_state import POOLS

POOL_COLOUR = dict(
    zip(POOLS, ["#8c6d31", "#b5cf6b", "#8ca252", "#637939", "#9ecae1", "#3182bd", "#08306b"], strict=True)
)
POOL_LABEL = dict(
    zip(
        POOLS,
        [
            "Woody debris",
            "Metabolic litter",
            "Cellulose litter",
            "Lignin litter",
            "Fast SOC",
            "Slow SOC",
            "Passive SOC",
        ],
        strict=True,
    )
)


def grid_figure(ax: Axes, column: Column = PAPER_COLUMN) -> Axes:
    """Layers as bands and nodes as points, depth downwards."""
    for j, (top, bottom) in enumerate(zip(column.top, column.bottom, strict=True)):
        ax.axhspan(top, bottom, color="#e5d8c3" if j % 2 else "#cbb592", lw=0)
    ax.plot(np.full(column.n_layers, 0.5), column.node, "o", ms=3.5, color="#333333")
    # Numbers stand where there is room for them.
    apart = np.diff(column.node, prepend=column.node[0]) > 0.035 * column.bottom[-1]
    for j in np.flatnonzero(apart):
        ax.annotate(f"{j + 1}", (0.56, column.node[j]), va="center", fontsize=8)
    ax.set(xlim=(0, 1), ylim=(column.bottom[-1], 0), xticks=[], ylabel="Depth (m)", title="Layers and nodes")
    return ax


def pool_profiles(pools: NDArray, ax: Axes, column: Column = PAPER_COLUMN) -> Axes:
    """Carbon density of the seven pools of one column against depth, (7, n_layers), g C m-3, on a log axis."""
    for pool, density in zip(POOLS, pools / 1000.0, strict=True):
        ax.plot(
            np.where(density > 1e-6, density, np.nan),
            column.node,
            "o-",
            ms=3,
            color=POOL_COLOUR[pool],
            label=POOL_LABEL[pool],
        )
    ax.set(xscale="log", ylim=(column.bottom[-1], 0), xlabel="Carbon (kg C m$^{-3}$)", ylabel="Depth (m)")
    ax.set_title("Pools at steady state")
    ax.legend(fontsize=8)
    return ax


def cost_figure(table: pd.DataFrame, ax: Axes) -> Axes:
    """Time of a steady state or a sampler step by method on a log axis, and how many times faster than the first row.

    Parameters
    ----------
    table : DataFrame
        `batch.speed.measured(quick=True)`, or one case of its whole table: indexed by task, with the columns
        `microseconds` and `times dense NumPy`.
    """
    order = table.iloc[::-1]
    time, ratio = order["microseconds"], order["times dense NumPy"]
    rows = range(len(order))
    ax.set_yticks(rows, order.index)
    ax.hlines(rows, time.min() / 2, time, color="#cccccc", lw=1.5, zorder=1)
    ax.scatter(time, rows, s=32, color=["#888888" if "dense" in task else "#0072B2" for task in order.index])
    for i, (t, r) in enumerate(zip(time, ratio, strict=True)):
        label = f"{t:.3g} µs, {f'{r:,.0f}' if r >= 10 else f'{r:.2g}'} x"
        ax.annotate(label, (t, i), (7, 0), textcoords="offset points", va="center", fontsize=8.5)
    ax.set(xscale="log", xlim=(time.min() / 2, time.max() * 20), ylim=(-0.6, len(order) - 0.4))
    ax.set_xlabel("Microseconds for one steady state or step on one core (x: times faster than the first row)")
    ax.tick_params(axis="y", length=0)
    return ax
