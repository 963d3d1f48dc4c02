"""Fig. 3: soil organic carbon by method and depth, all on one colour scale."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from proda.figures.captions import captioned
from proda.figures.extrapolation import stipple
from proda.figures.style import METHOD_LABEL, colour_bar, draw_cells, map_axes, missing_patch
from proda.maps.references import reference_stocks
from proda.maps.stocks import MAP_INTERVALS
from proda.model.column import interval_name

CAPTION = (
    "Figure 3. Soil organic carbon to 30, 100 and 200 cm on one colour scale, a row for each method; cells hatched in "
    "grey have no value. Follow a row to see how carbon goes on with depth, and a column to see which method puts it "
    "where the observations have it."
)
MAP_CAPTION = "See where much carbon lies and where little, and whether a step in the map follows the land"
DOTTED_CAPTION = (
    "; in dotted cells some covariate lies outside what the training sites have had, and the map is an extrapolation"
)
# Two lines at most: a row of Fig. 3 is an inch high.
ROW_LABEL = METHOD_LABEL | {"site-by-site": "Observations\n(site-by-site)"}


def mapped_stocks(maps, grid) -> dict[str, NDArray]:
    """What Fig. 3 shows, from the observations down: name -> (3, n_cells), kg C m-2, NaN where missing.

    A reference is shown in the intervals that it has itself and is all NaN in the others: nothing is resampled.

    Parameters
    ----------
    maps : xarray.Dataset
        From `proda.maps.prediction.maps_by_method`.
    grid : xarray.Dataset
        With the study's reference maps.
    """
    mean = maps["stock"].sel(statistic="mean").transpose("parameterisation", "depth", "cell")
    ours = {str(name): mean.sel(parameterisation=name).values for name in mean["parameterisation"].values}
    missing = np.full(grid.sizes["cell"], np.nan)
    references = {
        f"{name} (reference)": np.stack([found.get(interval, missing) for interval in MAP_INTERVALS])
        for name, found in reference_stocks(grid).items()
    }
    first = {name: ours[name] for name in ("truth", "site-by-site") if name in ours}
    return first | references | ours


def stock_maps(stocks: dict[str, NDArray], grid, figure: Figure | None = None) -> Figure:
    """Small maps, one row a method and one column a depth interval, on one scale; missing cells hatched grey.

    A map without any value says so.

    Parameters
    ----------
    stocks : dict
        Name -> (3, n_cells), kg C m-2 in 0-30, 0-100, 0-200 cm.
    grid : xarray.Dataset
        `lon`, `lat` of the cells.
    """
    figure = figure if figure is not None else plt.figure(figsize=(8, 1.72 * len(stocks) + 0.9))
    places = figure.add_gridspec(len(stocks), len(MAP_INTERVALS))
    axes = np.empty((len(stocks), len(MAP_INTERVALS)), dtype=object)
    for row, (name, values) in enumerate(stocks.items()):
        for column, interval in enumerate(MAP_INTERVALS):
            axes[row, column] = ax = map_axes(figure, places[row, column])
            if np.isfinite(values[column]).any():
                shown = draw_cells(values[column], grid, ax, "soc_stock")
            else:
                ax.text(
                    0.5, 0.5, "no map of\nthis interval", transform=ax.transAxes, ha="center", va="center", fontsize=8,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 3}, zorder=4,
                )  # fmt: skip
            if row == 0:
                ax.set_title(interval_name(interval))
        axes[row, 0].text(
            -0.03, 0.5, ROW_LABEL.get(name, name).replace(" (", "\n("), transform=axes[row, 0].transAxes,
            rotation=90, ha="right", va="center", fontsize=9,
        )  # fmt: skip
    bar = colour_bar(shown, axes.ravel().tolist(), orientation="horizontal", shrink=0.8, aspect=50, pad=0.01)
    gaps = [np.isfinite(values) for stock in stocks.values() for values in stock]
    if any(known.any() and not known.all() for known in gaps):
        bar.ax.legend(handles=[missing_patch()], loc="lower right", bbox_to_anchor=(1.0, -4.2), fontsize=8.5)
    return captioned(figure, CAPTION)


def stock_map(values, grid, title: str, extrapolated=None, figure: Figure | None = None) -> Figure:
    """One map of stocks at the size of a page: what the README and the front page show.

    Parameters
    ----------
    values : array_like
        (n_cells,), kg C m-2.
    extrapolated : array_like, optional
        (n_cells,) covariates that no training site has had; cells with any are dotted.
    """
    figure = figure if figure is not None else plt.figure(figsize=(8, 5.4))
    ax = map_axes(figure)
    ax.set_title(title, loc="left")
    colour_bar(draw_cells(values, grid, ax, "soc_stock"), ax, orientation="horizontal", aspect=45)
    dots = stipple(extrapolated, grid, ax) if extrapolated is not None else None
    if dots is not None:
        ax.legend(handles=[dots], loc="lower left", fontsize=8.5, handletextpad=0.2, borderaxespad=0.0)
    return captioned(figure, f"{title}, kg C per square metre of land. {MAP_CAPTION}{DOTTED_CAPTION if dots else ''}.")
