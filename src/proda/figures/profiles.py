"""Figures of the data stage: where the profiles are, what they show, what was left out, what drives the model."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from proda.figures.style import CYCLE, Quantity, colour_bar, draw_cells, draw_sites, map_axes
from proda.model.column import PAPER_COLUMN
from proda.model.forcing import Forcing

# IGBP classes in groups that are told apart in a figure: name and classes.
LAND_COVER_GROUPS = {
    "Evergreen and mixed forest": (1, 2, 5),
    "Deciduous forest": (3, 4),
    "Woodland and savanna": (8, 9),
    "Grassland": (10,),
    "Shrubland": (6, 7),
    "Cropland": (12, 14),
}
DEPTH_BINS = np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5, 3.8])
ENOUGH = 20  # layers in a depth bin, before a median of them is shown

_DEPTH = Quantity("Lower end of the profile (m)", "viridis_r", None)


def profile_map(profiles: pd.DataFrame, figure: Figure | None = None, position=111) -> Axes:
    """Map of the profiles, coloured by how deep they reach."""
    ax = map_axes(figure, position)
    size = float(np.clip(12_000 / len(profiles), 1.5, 14.0))
    dots = draw_sites(profiles["max_depth"], profiles, ax, _DEPTH, limits=(0.3, 2.0), size=size)
    colour_bar(dots, ax, extend="both")
    ax.set_title(f"{len(profiles):,} profiles after cleaning")
    return ax


def layer_counts(profiles: pd.DataFrame, ax: Axes) -> Axes:
    """Histogram of layers per profile, by source."""
    return _stacked(profiles, "n_layers", np.arange(1.5, 12.5), "Layers in a profile", ax)


def depth_counts(profiles: pd.DataFrame, ax: Axes) -> Axes:
    """Histogram of the depth profiles reach, by source."""
    ax = _stacked(profiles, "max_depth", np.arange(0, 3.01, 0.15), "Lower end of the profile (m)", ax)
    ax.legend(fontsize=8)
    return ax


def _stacked(profiles: pd.DataFrame, column: str, edges: np.ndarray, label: str, ax: Axes) -> Axes:
    sources = profiles["source"].astype(str)
    common = sources.value_counts().index[:5]
    groups = [*((name, sources == name) for name in common), ("others", ~sources.isin(common))]
    groups = [(name, chosen) for name, chosen in groups if chosen.any()]
    values = [profiles.loc[chosen, column].clip(upper=edges[-1] - 1e-6) for _, chosen in groups]
    ax.hist(values, bins=edges, stacked=True, label=[name for name, _ in groups], color=CYCLE[: len(groups)])
    ax.set_xlabel(f"{label}; last bar: and more")
    ax.set_ylabel("Profiles")
    return ax


def carbon_with_depth(profiles: pd.DataFrame, layers: pd.DataFrame, ax: Axes) -> Axes:
    """Median carbon density by depth for each land-cover group, with the middle half of all layers in grey."""
    soc = layers["soc"].to_numpy() / 1000.0
    bins = pd.cut(layers["depth"], DEPTH_BINS, right=False, labels=False).to_numpy()
    middle = 0.5 * (DEPTH_BINS[:-1] + DEPTH_BINS[1:])
    pooled = pd.Series(soc).groupby(bins)
    enough = pooled.size() >= ENOUGH
    low, high = (pooled.quantile(q)[enough] for q in (0.25, 0.75))
    ax.fill_betweenx(middle[low.index.astype(int)], low, high, color="#e4e4e4", label="middle half of all layers")
    cover = profiles["land_cover"].to_numpy()[layers["site"].to_numpy()]
    for i, (name, classes) in enumerate(LAND_COVER_GROUPS.items()):
        chosen = np.isin(cover, classes)
        groups = pd.Series(soc[chosen]).groupby(bins[chosen])
        median = groups.median()[groups.size() >= ENOUGH]
        if len(median):
            n_profiles = len(np.unique(layers["site"].to_numpy()[chosen]))
            at = middle[median.index.astype(int)]
            ax.plot(median, at, "o-", color=CYCLE[i], markersize=3, linewidth=1.3, label=f"{name} ({n_profiles:,})")
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_ylim(DEPTH_BINS[-2], 0)
    ax.set_xlabel("Soil organic carbon, median (kg C m$^{-3}$)")
    ax.set_ylabel("Depth (m)")
    ax.legend(fontsize=8, loc="lower right")
    return ax


def exclusion_bars(account: pd.DataFrame, of: str, ax: Axes) -> Axes:
    """What each cleaning rule took out, as a waterfall from all rows to those that are left.

    Parameters
    ----------
    account : DataFrame
        `cleaning.csv`.
    of : "profiles" or "layers"
    """
    before, after = account[f"{of}_before"].to_numpy(), account[f"{of}_after"].to_numpy()
    acting = np.flatnonzero(before > after)
    names = ["in", *account["rule"].iloc[acting], "kept"]
    left = np.array([0, *after[acting], 0])
    width = np.array([before[0], *(before - after)[acting], after[-1]])
    colours = ["#888888", *[CYCLE[1]] * len(acting), CYCLE[2]]
    ax.barh(names, width, left=left, color=colours, height=0.65)
    span = before[0] - after[-1]
    start = max(0.0, after[-1] - 1.6 * span)
    ax.set_xlim(start, before[0] + 0.55 * (before[0] - start))
    for i, (x, n) in enumerate(zip(left + width, width, strict=True)):
        sign = "" if i in (0, len(names) - 1) else "\u2212"
        ax.annotate(f"{sign}{n:,}", (x, i), (4, 0), textcoords="offset points", va="center", fontsize=8)
    ax.invert_yaxis()
    ax.set_xlabel(f"{of.capitalize()}" + (" (axis does not start at zero)" if start > 0 else ""))
    ax.xaxis.set_major_locator(plt.MaxNLocator(4))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    return ax


def forcing_maps(forcing: Forcing, grid: xr.Dataset, layer: int = 4) -> Figure:
    """Four maps of what drives the model: temperature and water potential of one layer, NPP and its range."""
    at = f"at {PAPER_COLUMN.node[layer]:.2f} m"
    shown = {
        f"Soil temperature {at}": (forcing.soil_temperature[layer] - 273.15, Quantity("\u00b0C", "RdYlBu_r", None)),
        f"Soil water potential {at}": (forcing.water_potential[layer], Quantity("MPa", "YlGnBu", None)),
        "Net primary production": (forcing.npp_mean, Quantity("g C m$^{-2}$ yr$^{-1}$", "YlGn", None)),
        "Range of annual NPP": (
            (forcing.npp_max - forcing.npp_min) / forcing.npp_mean,
            Quantity("multiple of the mean", "Purples", None),
        ),
    }
    return _maps(shown, grid)


def covariate_maps(covariates: pd.DataFrame, grid: xr.Dataset, names: ArrayLike) -> Figure:
    """Maps of some covariates at the land cells."""
    return _maps({str(name): (covariates[name], Quantity("", "viridis", None)) for name in names}, grid)


def _maps(shown: dict[str, tuple[ArrayLike, Quantity]], grid: xr.Dataset) -> Figure:
    rows = (len(shown) + 1) // 2
    figure = plt.figure(figsize=(9, 2.7 * rows))
    for i, (title, (values, quantity)) in enumerate(shown.items(), start=1):
        ax = map_axes(figure, (rows, 2, i))
        colour_bar(draw_cells(values, grid, ax, quantity), ax)
        ax.set_title(title)
    return figure
