"""Figures of the matrices of the carbon balance, and of what a dense solution of them is worth."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.image import AxesImage

from proda.figures.model import POOL_COLOUR, POOL_LABEL
from proda.figures.style import CYCLE, INK
from proda.model.column import DAYS_PER_YEAR


def transfer_figure(operators: xr.Dataset, ax: Axes, column: int = 0) -> Axes:
    """Where the carbon that leaves a pool goes, in percent: the matrix A, and what is respired as a last row.

    `operators` is that of `model.operators.labelled_operators`.
    """
    a = operators["A"].isel(column=column).transpose("pool", "donor").values
    names = list(operators["pool"].values)
    passed = np.vstack([np.where(a > 0.0, a, 0.0), -a.sum(axis=0)])
    ax.imshow(passed, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for i, j in np.argwhere(passed > 5e-4):
        share = 100.0 * passed[i, j]
        colour = "white" if share > 60.0 else INK
        ax.annotate(f"{share:.3g}", (j, i), ha="center", va="center", fontsize=8.5, color=colour)
    ax.axhline(len(names) - 0.5, color=INK, lw=1)
    ax.set(xticks=range(len(names)), xticklabels=names, yticks=range(len(names) + 1), yticklabels=[*names, "CO$_2$"])
    ax.set(xlabel="Carbon that decays in", ylabel="goes to", title="$A$: transfer (%)")
    return ax


def decay_figure(operators: xr.Dataset, ax: Axes, column: int = 0) -> Axes:
    """Time a pool takes to decay in each layer, one over K, in years, against depth."""
    rates, depth = operators["K"].isel(column=column), operators["node_depth"].values
    for pool in operators["pool"].values[[0, 1, 2, 4, 5, 6]]:
        label = "Cellulose, lignin litter" if pool == "L2" else POOL_LABEL[pool]
        years = 1.0 / (DAYS_PER_YEAR * rates.sel(pool=pool).values)
        ax.plot(years, depth, "o-", ms=2.5, color=POOL_COLOUR[pool], label=label)
    ax.set(xscale="log", xlabel="Years to decay", ylabel="Depth (m)", title="$K$: decay")
    ax.invert_yaxis()
    ax.legend(fontsize=7.5)
    return ax


def mixing_figure(operators: xr.Dataset, ax: Axes, column: int = 0) -> AxesImage:
    """Size of the elements of V, day-1; a row gives to and takes from its neighbours. The image, for `colour_bar`."""
    v = operators["V"].isel(column=column).transpose("layer", "neighbour").values
    size = np.abs(np.where(v == 0.0, np.nan, v))
    # Where nothing mixes the scale has no ends.
    ends = (np.nanmin(size), np.nanmax(size)) if np.isfinite(size).any() else (1e-7, 1e-3)
    image = ax.imshow(size, cmap="cividis", norm=LogNorm(*ends))
    number = np.arange(0, len(v), 1 if len(v) <= 10 else 4)
    ax.set(xticks=number, yticks=number, xticklabels=number + 1, yticklabels=number + 1)
    ax.set(xlabel="Layer", ylabel="Layer", title="$V$: mixing")
    image.set_label("Size of the element (day$^{-1}$)")
    return image


def dense_error_figure(errors: pd.DataFrame, ax: Axes) -> Axes:
    """Worst relative error of a dense solution in any pool against the e-folding depth of decomposition.

    Parameters
    ----------
    errors : DataFrame
        One row for each draw: `efolding` (m), `error` (1), `singular` (whether the matrix is singular to double
        precision) and `configuration`.
    """
    for colour, (name, each) in zip(CYCLE, errors.groupby("configuration", sort=False), strict=False):
        for singular, part in each.groupby("singular"):
            style = {"marker": "x", "s": 14, "lw": 0.8} if singular else {"marker": "o", "s": 9, "lw": 0}
            label = f"{name}, {'singular' if singular else 'regular'} ({len(part) / len(each):.0%})"
            error = np.maximum(part["error"], 1e-16)
            ax.scatter(part["efolding"], error, color=colour, alpha=0.6, label=label, **style)
    ax.set(xscale="log", yscale="log", xlabel="e-folding depth of decomposition (m)")
    ax.set_ylabel("Worst relative error of a pool")
    ax.legend(fontsize=8, loc="upper right", frameon=True)
    return ax
