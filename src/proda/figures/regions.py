"""The regions that the paper speaks of, and how far each method is off in them."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from proda.figures.captions import captioned
from proda.figures.style import ALBERS, CYCLE, INK, METHOD_COLOUR, METHOD_LABEL, map_axes
from proda.maps.regional_bias import HIGH
from proda.maps.regions import REGIONS, region_shapes

REGIONS_CAPTION = (
    "The regions of the next figure, groups of states cut by meridians and parallels. They overlap, and differ much in "
    "size: see how much land a name stands for."
)
BIAS_CAPTION = (
    "Mean of modelled minus observed stock of the profiles in each region, with two standard errors; beside a region's "
    "name the number of its sites. Triangles point to the side that the paper names, filled where ours lies there. A "
    "method without a pattern has its points in one vertical line."
)


def region_map(name: str, ax: Axes) -> Axes:
    """One region filled on the map of the states."""
    shape = region_shapes().to_crs(ALBERS.proj4_init)[name]
    parts = [np.asarray(part.exterior.coords)[:, :2] for part in getattr(shape, "geoms", [shape])]
    ax.add_collection(PolyCollection(parts, facecolor=CYCLE[5], linewidth=0, zorder=2), autolim=False)
    ax.set_title(name, fontsize=9.5)
    return ax


def regions_figure(figure: Figure | None = None) -> Figure:
    """Small maps of all regions, which overlap."""
    columns = 4
    rows = -(-len(REGIONS) // columns)
    figure = figure if figure is not None else plt.figure(figsize=(8.4, 1.65 * rows))
    for i, name in enumerate(REGIONS, start=1):
        region_map(name, map_axes(figure, (rows, columns, i)))
    return captioned(figure, REGIONS_CAPTION)


def bias_points(table: pd.DataFrame, method: str, ax: Axes) -> Axes:
    """Mean bias of one method by region, with two standard errors, and a triangle that points to the side published.

    The triangle stands at the right edge and is filled where our bias lies on that side of zero.

    Parameters
    ----------
    table : DataFrame
        From `proda.maps.regional_bias.regional_biases`.
    """
    rows = table.xs(method, level="method")
    place = np.arange(len(rows))
    colour = METHOD_COLOUR.get(method, INK)
    ax.axvline(0.0, color=INK, lw=0.8)
    ax.axhline(0.5, color="#c4c4c4", lw=0.8)
    ax.errorbar(rows["bias"], place, xerr=2 * rows["se"], fmt="o", ms=4.5, color=colour, lw=1.2, zorder=3)
    for y, row in zip(place, rows.itertuples(), strict=True):
        if row.published:
            high = row.published == HIGH
            agrees = bool(row.bias_agrees) if not pd.isna(row.bias_agrees) else False
            ax.plot(
                0.95, y, ">" if high else "<", transform=ax.get_yaxis_transform(), ms=6.5,
                mec=INK, mfc=INK if agrees else "white", zorder=4,
            )  # fmt: skip
    ax.set_title(METHOD_LABEL.get(method, method), fontsize=9.5)
    ax.set(ylim=(len(rows) - 0.5, -0.5))
    ax.set_yticks(place, [f"{name} ({n:,})" for name, n in zip(rows.index, rows["n_sites"], strict=True)])
    ax.tick_params(axis="y", length=0)
    return ax


def regional_bias_figure(table: pd.DataFrame, figure: Figure | None = None) -> Figure:
    """`bias_points` of every method side by side with common axes; beside a region's name the number of its sites."""
    methods = list(dict.fromkeys(table.index.get_level_values("method")))
    figure = figure if figure is not None else plt.figure(figsize=(9, 3.9))
    axes = figure.subplots(1, len(methods), sharex=True, sharey=True, squeeze=False)[0]
    for method, ax in zip(methods, axes, strict=True):
        bias_points(table, method, ax)
    # Room for the triangles beside the farthest bar.
    reach = 1.3 * float((table["bias"].abs() + 2 * table["se"].fillna(0.0)).max())
    axes[0].set_xlim(-reach, reach)
    axes[0].xaxis.set_major_locator(MaxNLocator(3, symmetric=True))
    figure.supxlabel(
        "Modelled minus observed stock of the profiles, mean and two standard errors (kg C m$^{-2}$)", fontsize=9.5
    )
    marks = {
        "published: this way, and so is ours": plt.Line2D([], [], marker=">", ls="", mfc=INK, mec=INK, ms=7),
        "published: this way, but not ours": plt.Line2D([], [], marker=">", ls="", mfc="white", mec=INK, ms=7),
    }
    figure.legend(marks.values(), marks, loc="outside upper center", ncols=2, fontsize=8.5)
    return captioned(figure, BIAS_CAPTION)
