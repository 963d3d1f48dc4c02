"""Fig. S1: the cells of the grid, how many profiles each of them has, and what grows there."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from proda.figures.captions import captioned
from proda.figures.quantities import Quantity
from proda.figures.style import colour_bar, draw_cells, map_axes
from proda.maps.vegetation import CLASSES, vegetation_of

CAPTION = (
    "Figure S1. Above: profiles in every cell of the grid, hatched where there is none. Below: the vegetation of the "
    "cells. See how few cells have many profiles, and which vegetation lies in land without any."
)
COUNT_EDGES = [1, 2, 3, 5, 10, 20, 50, 100]
# Colours of Okabe and Ito, which are distinct with every common colour vision; forests differ in lightness.
VEGETATION_COLOUR = {
    "Evergreen forest": "#00573f",
    "Deciduous forest": "#009E73",
    "Mixed forest": "#9ad9c3",
    "Shrubland": "#D55E00",
    "Savanna": "#E69F00",
    "Grassland": "#F0E442",
    "Wetland": "#0072B2",
    "Cropland": "#CC79A7",
    "other": "#bdbdbd",
}


def profiles_in_cells(cell: ArrayLike, grid: xr.Dataset, ax: Axes) -> Axes:
    """Map of the number of profiles in every cell; a cell without one is hatched grey.

    Parameters
    ----------
    cell : (n_sites,) int
        Cell of every profile.
    ax : Axes
        From `proda.figures.style.map_axes`.
    """
    counts = np.bincount(np.asarray(cell), minlength=grid.sizes["cell"]).astype(float)
    counts[counts == 0] = np.nan
    quantity = Quantity("Profiles in a cell", "viridis_r", BoundaryNorm(COUNT_EDGES, 256, extend="max"))
    ax.counts = draw_cells(counts, grid, ax, quantity)
    colour_bar(ax.counts, ax, extend="max", ticks=COUNT_EDGES)
    return ax


def vegetation_map(grid: xr.Dataset, ax: Axes) -> Axes:
    """Map of the vegetation of every cell, the kinds that occur named at its bar."""
    kind = vegetation_of(grid["land_cover"].values)
    kind[kind == ""] = "other"
    names = [name for name in [*CLASSES, "other"] if (kind == name).any()]
    code = np.array([names.index(name) for name in kind], float)
    colours = ListedColormap([VEGETATION_COLOUR[name] for name in names])
    norm = BoundaryNorm(np.arange(len(names) + 1) - 0.5, len(names))
    bar = colour_bar(draw_cells(code, grid, ax, Quantity("", colours, norm)), ax, ticks=range(len(names)))
    bar.ax.set_yticklabels(names)
    bar.ax.invert_yaxis()
    bar.ax.tick_params(length=0, which="both")
    return ax


def grid_figure(cell: ArrayLike, grid: xr.Dataset, figure: Figure | None = None) -> Figure:
    """Both maps, one above the other."""
    figure = figure if figure is not None else plt.figure(figsize=(7, 7.4))
    upper, lower = (map_axes(figure, (2, 1, row)) for row in (1, 2))
    size = float(grid.attrs.get("resolution_degrees", 0.5))
    profiles_in_cells(cell, grid, upper).set_title(f"Profiles in {grid.sizes['cell']:,} cells of {size:g}°")
    vegetation_map(grid, lower).set_title("Vegetation of the cells")
    return captioned(figure, CAPTION)
