"""Fig. S4, and what B decides: how wide the interval of a cell's stock is, on the map and over all cells."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from proda.figures.captions import captioned
from proda.figures.quantities import Quantity
from proda.figures.style import CYCLE, METHOD_LABEL, colour_bar, draw_cells, label_plainly, map_axes

CAPTION = (
    "Figure S4. How wide the 5-95 % interval of a cell's stock to one metre is, in percent of its mean, on maps and as "
    "histograms with their medians, all on one logarithmic scale. Compare the methods with each other, and within a "
    "map the places where the interval is wide with those where it is narrow."
)


def relative_width(maps: xr.Dataset, depth: str = "0-100 cm") -> NDArray[np.float64]:
    """Width of the 5-95 % interval of the stock of every cell over its mean, (n_cells,), percent.

    Parameters
    ----------
    maps : Dataset
        From `proda.maps.method_maps.soc_of_draws`.
    """
    stock = maps["stock"].isel(depth=int(np.flatnonzero(maps["interval"].values == depth)[0]))
    width = stock.sel(statistic="p95") - stock.sel(statistic="p05")
    return 100.0 * (width / stock.sel(statistic="mean")).to_numpy()


def widths_by_method(maps: xr.Dataset, depth: str = "0-100 cm") -> dict[str, NDArray[np.float64]]:
    """`relative_width` of every method that has quantiles in some cell, label of the method -> (n_cells,) percent.

    Parameters
    ----------
    maps : Dataset
        From `proda.maps.prediction.maps_by_method`.
    """
    widths = {
        str(name): relative_width(maps.sel(parameterisation=name), depth) for name in maps["parameterisation"].values
    }
    return {METHOD_LABEL.get(name, name): width for name, width in widths.items() if np.isfinite(width).any()}


def width_figure(widths: Mapping[str, NDArray], grid: xr.Dataset, figure: Figure | None = None) -> Figure:
    """Maps of widths side by side on one logarithmic scale, with their histograms below; cells without one are hatched.

    Parameters
    ----------
    widths : mapping
        Name -> (n_cells,) percent, from `relative_width`.
    """
    every = np.concatenate([width[np.isfinite(width)] for width in widths.values()])
    low, high = max(np.quantile(every, 0.005), 1e-3), np.quantile(every, 0.995)
    norm = LogNorm(low, max(high, 1.01 * low))
    figure = figure if figure is not None else plt.figure(figsize=(8.4, 4.3))
    places = figure.add_gridspec(2, len(widths), height_ratios=(2.4, 1))
    axes, below = [], None
    for column, (name, width) in enumerate(widths.items()):
        axes.append(map_axes(figure, places[0, column]))
        axes[-1].set_title(name)
        shown = draw_cells(width, grid, axes[-1], Quantity("", "viridis", norm))
        below = figure.add_subplot(places[1, column], sharex=below)
        finite = width[np.isfinite(width)]
        below.hist(finite, bins=np.geomspace(low, high, 60), color=CYCLE[0])
        below.set(xscale="log", xlabel="Width over the mean (%)")
        label_plainly(below.xaxis, finely=norm.vmax < 4 * norm.vmin)
        below.axvline(np.median(finite), color=CYCLE[1], lw=1.2, label=f"median {np.median(finite):.0f} %")
        below.legend(fontsize=8.5)
        if column == 0:
            below.set_ylabel("Cells")
    bar = colour_bar(shown, axes, "Width over the mean (%)", extend="both", aspect=18)
    label_plainly(bar.ax.yaxis, finely=norm.vmax < 10 * norm.vmin)
    return captioned(figure, CAPTION)
