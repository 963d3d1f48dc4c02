"""Our maps against published ones: where they differ, and how both change with latitude."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from proda.figures.captions import captioned
from proda.figures.style import INK, METHOD_COLOUR, METHOD_LABEL, colour_bar, draw_cells, map_axes, missing_patch
from proda.maps.reference_comparison import reference_in, stock_in, weighted_scores
from proda.maps.references import Interval, reference_stocks
from proda.maps.stocks import land_area
from proda.model.column import interval_name

BIAS_CAPTION = (
    "Stock of a method minus that of a reference map, cell by cell: red where the method has more carbon, blue where "
    "less, white where both agree. A map of one colour differs in the amount, a map of both in the pattern."
)
ZONAL_CAPTION = (
    "Mean stock by latitude on a logarithmic axis, for three depth intervals: black lines are reference maps or the "
    "truth, coloured ones the methods. Lines side by side differ in the amount; see where they turn differently."
)
DASHES = ("-", "--", ":", "-.")


def reference_bias_maps(
    maps: xr.Dataset, grid: xr.Dataset, methods: tuple[str, ...], interval: Interval = (0.0, 1.0),
    figure: Figure | None = None,
) -> Figure:  # fmt: skip
    """Maps of our stock minus a reference's, by method and reference, on one scale centred at zero.

    The scale ends where 95 % of all differences lie; r is that of the cells, weighted by their land.

    Parameters
    ----------
    maps : xarray.Dataset
        From `proda.maps.prediction.maps_by_method`.
    interval : (float, float)
        Depth in m; references without it are left out.
    """
    area, ours = land_area(grid), stock_in(maps, interval)
    found = {name: reference_in(stocks, interval) for name, stocks in reference_stocks(grid).items()}
    references = {name: stock for name, stock in found.items() if stock is not None}
    panels = {(m, name): ours[m] - stock for m in methods for name, stock in references.items()}
    every = np.concatenate([np.abs(values[np.isfinite(values)]) for values in panels.values()])
    reach = float(np.quantile(every, 0.95)) if every.size else 1.0
    n = max(len(references), 2)
    rows = -(-len(panels) // n)
    figure = figure if figure is not None else plt.figure(figsize=(3.4 * n + 0.4, 2.4 * rows + 0.8))
    axes = []
    for k, ((method, name), values) in enumerate(panels.items(), start=1):
        axes.append(map_axes(figure, (rows, n, k)))
        shown = draw_cells(values, grid, axes[-1], "difference", limits=(-reach, reach))
        both = np.isfinite(values)
        found = weighted_scores(references[name][both], ours[method][both], area[both])
        axes[-1].set_title(
            f"{METHOD_LABEL.get(method, method)} minus {name}\n"
            f"r {found['r']:.2f}, bias {found['bias']:+.1f} kg C m$^{{-2}}$",
            fontsize=9,
        )
    label = f"Ours minus reference, {interval_name(interval)} (kg C m$^{{-2}}$)"
    bar = colour_bar(shown, axes, label, orientation="horizontal", extend="both", shrink=0.7, aspect=40)
    if not all(np.isfinite(values).all() for values in panels.values()):
        bar.ax.legend(handles=[missing_patch()], loc="center left", bbox_to_anchor=(1.05, 0.5), fontsize=8.5)
    return captioned(figure, BIAS_CAPTION)


def zonal_profile(zonal: pd.DataFrame, ax: Axes) -> Axes:
    """Mean stock against latitude: references as black lines, methods in their colours.

    Parameters
    ----------
    zonal : DataFrame
        From `proda.maps.reference_comparison.zonal_means`.
    """
    n_references = 0
    for name in zonal:
        if name.endswith("(reference)") or name == "truth":
            look = {"color": INK, "lw": 2.0, "ls": DASHES[n_references % len(DASHES)]}
            n_references += 1
        else:
            look = {"color": METHOD_COLOUR.get(name), "lw": 1.6}
        ax.plot(zonal[name], zonal.index, label=METHOD_LABEL.get(name, name), **look)
    ax.set(xscale="log", xlabel="Stock (kg C m$^{-2}$ of land)", ylabel="Latitude (°N)")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter("")
    ax.grid(axis="x", which="both", color="#e9e9e9", lw=0.6)
    return ax


def zonal_figure(zonal: dict[str, pd.DataFrame], figure: Figure | None = None) -> Figure:
    """`zonal_profile` for several depth intervals side by side with common axes.

    Parameters
    ----------
    zonal : dict
        Name of the interval -> table.
    """
    figure = figure if figure is not None else plt.figure(figsize=(8.4, 4.4))
    axes = figure.subplots(1, len(zonal), sharex=True, sharey=True, squeeze=False)[0]
    marks: dict = {}
    for (name, table), ax in zip(zonal.items(), axes, strict=True):
        zonal_profile(table, ax).set_title(name)
        ax.label_outer()
        marks |= dict(zip(*ax.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(marks.values(), marks, loc="outside lower center", ncols=4, fontsize=8.5)
    return captioned(figure, ZONAL_CAPTION)
