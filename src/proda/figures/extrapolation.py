"""Where a map is an extrapolation: how many covariates of a cell no training site has had."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from proda.figures.captions import captioned
from proda.figures.quantities import Quantity
from proda.figures.style import ALBERS, METHOD_LABEL, PLATE, colour_bar, draw_cells, map_axes
from proda.maps.stocks import land_area

# The least number of each class. Cells without are pale, so that the others are what one sees.
CLASSES = {"none": 0, "1": 1, "2": 2, "3-4": 3, "5-9": 5, "10 or more": 10}
COLOURS = ("#f2f0e6", *(plt.get_cmap("viridis_r")(share) for share in (0.2, 0.4, 0.6, 0.8, 1.0)))
CAPTION = (
    "How many covariates of a cell, numbers or classes, no training site of the method has had. Pale cells lie within "
    "what it has learnt from; the darker a cell, the more of it is extrapolated. Look whether such cells lie together, "
    "in a climate or a landscape without profiles: there the map is a guess, whatever its interval says."
)
STIPPLED = "dotted: a covariate that no training site has had"


def extrapolation_maps(counts: Mapping[str, NDArray], grid: xr.Dataset, figure: Figure | None = None) -> Figure:
    """Maps of the number of covariates that no training site has had, side by side on one scale.

    Parameters
    ----------
    counts : mapping
        Method -> (n_cells,), from `proda.maps.extrapolation.extrapolated_cells`.
    grid : xarray.Dataset
        Cells: `lon`, `lat`, `cell_area` (m2), `land_fraction`.
    """
    figure = figure if figure is not None else plt.figure(figsize=(4.3 * len(counts), 3.75))
    scale = Quantity("", ListedColormap(COLOURS), BoundaryNorm(np.arange(len(CLASSES) + 1) - 0.5, len(CLASSES)))
    area, axes = land_area(grid), []
    for column, (name, count) in enumerate(counts.items(), start=1):
        axes.append(map_axes(figure, (1, len(counts), column)))
        land = area[count > 0].sum() / area.sum()
        axes[-1].set_title(f"{METHOD_LABEL.get(name, name)}: {land:.0%} of the land extrapolated")
        shown = draw_cells(np.digitize(count, list(CLASSES.values())) - 1.0, grid, axes[-1], scale)
    label = "Covariates of the cell that no training site has had"
    bar = colour_bar(shown, axes, label, orientation="horizontal", ticks=range(len(CLASSES)), aspect=45)
    bar.ax.set_xticklabels(CLASSES)
    bar.ax.tick_params(length=0, which="both")
    return captioned(figure, CAPTION)


def stipple(count: ArrayLike, grid: xr.Dataset, ax: Axes) -> Line2D | None:
    """Dots in the cells of a map that are extrapolated, and their entry of a legend; None where no cell is.

    Parameters
    ----------
    count : (n_cells,)
        Covariates that no training site has had.
    ax : matplotlib.axes.Axes
        From `proda.figures.style.map_axes`.
    """
    beyond = np.asarray(count) > 0
    if not beyond.any():
        return None
    lon, lat = (np.asarray(grid[name], float)[beyond] for name in ("lon", "lat"))
    points = ALBERS.transform_points(PLATE, lon, lat)
    ax.stippled = ax.scatter(points[:, 0], points[:, 1], s=2.0, c="black", linewidths=0, zorder=2.8)
    return Line2D([], [], marker=".", ls="", ms=4, c="black", label=STIPPLED)
