"""Figures that compare ways to assimilate, and that show what they cost."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from proda.figures.style import CYCLE, INK


def variants_figure(table: pd.DataFrame, columns: Mapping[str, str]) -> Figure:
    """Some columns of a table, a panel each, its rows as points beside the first one's.

    Parameters
    ----------
    table : DataFrame
        A row for each variant, the reference first.
    columns : mapping
        Column -> label of its axis.
    """
    rows = np.arange(len(table))
    figure, axes = plt.subplots(
        1, len(columns), figsize=(1.8 * len(columns) + 1.8, 0.42 * len(table) + 1.0), sharey=True
    )
    for ax, (name, label) in zip(np.atleast_1d(axes), columns.items(), strict=True):
        value = table[name].to_numpy(float)
        ax.axvline(value[0], color=INK, lw=0.8, ls=":")
        ax.hlines(rows, value[0], value, color="#c4c4c4", lw=1.5, zorder=1)
        ax.scatter(value, rows, s=30, color=[CYCLE[0], *[CYCLE[1]] * (len(rows) - 1)], zorder=2)
        ax.set(xlabel=label, ylim=(len(rows) - 0.5, -0.5))
        ax.margins(x=0.2)
        ax.set_yticks(rows, table.index)
    return figure


def cost_axes(cost: pd.DataFrame, varied: str, ax: Axes) -> Axes:
    """Seconds against the number of sites or steps, and the straight line nearest to them.

    Parameters
    ----------
    cost : DataFrame
        From `proda.assimilation.cost.cost_table`.
    """
    table = cost[cost["varied"] == varied].sort_values(varied)
    ends = np.array([0.0, 1.05 * table[varied].max()])
    if len(table) > 1:
        slope, start = np.polyfit(table[varied], table["seconds"], 1)
        ax.plot(ends, start + slope * ends, color=INK, lw=0.8, ls="--", label="straight line")
    ax.plot(table[varied], table["seconds"], "o", color=CYCLE[0], label="measured")
    other = {"sites": "steps", "steps": "sites"}[varied]
    ax.set(
        xlim=(0, None), ylim=(0, None), xlabel={"sites": "Sites", "steps": "Steps of a chain"}[varied], ylabel="Seconds"
    )
    ax.set_title(f"{table[other].iloc[0]:,} {other}")
    ax.legend(fontsize=8.5)
    return ax
