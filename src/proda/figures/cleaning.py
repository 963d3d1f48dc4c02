"""Figures of stage 1: the account of cleaning, where the profiles are, carbon with depth, and the forcing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray

from proda.figures import style
from proda.figures.style import CYCLE, Quantity
from proda.maps.regions import CLASSES, vegetation_of
from proda.model.configuration import configuration_of
from proda.model.forcing import AnyForcing

# Groups of IGBP classes that have a line of their own.
LAND_COVER_GROUPS = {
    "Evergreen and mixed forest": (1, 2, 5), "Deciduous forest": (3, 4), "Woodland and savanna": (8, 9),
    "Grassland": (10,), "Shrubland": (6, 7), "Cropland": (12, 14),
}  # fmt: skip
DEPTH_BINS = np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5, 3.8, 6.0, 8.6])  # m
ENOUGH = 20  # layers in a depth bin, for a median of them
# Cold, mild and warm by colour, moist and dry by line: the order of `climate_groups`.
CLIMATE_STYLES = tuple(
    {"color": colour, "linestyle": line} for colour in (CYCLE[0], CYCLE[2], CYCLE[1]) for line in ("-", "--")
)
COUNT_EDGES = [1, 2, 3, 5, 10, 20, 50, 100]
# Colours of Okabe and Ito, which are distinct with every common colour vision; forests differ in lightness.
_COLOURS = ["#00573f", "#009E73", "#9ad9c3", "#D55E00", "#E69F00", "#F0E442", "#0072B2", "#CC79A7", "#bdbdbd"]
VEGETATION_COLOUR = dict(zip([*CLASSES, "other"], _COLOURS, strict=True))


def account_figure(account: pd.DataFrame) -> Figure:
    """Profiles and layers that each rule of the `account` (cleaning.csv) excluded, from all rows to those kept."""
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.2))
    for ax, table in zip(axes, ("profiles", "layers"), strict=True):
        before, after = account[f"{table}_before"].to_numpy(), account[f"{table}_after"].to_numpy()
        acting = np.flatnonzero(before > after)
        names = ["in", *account["rule"].iloc[acting], "kept"]
        left = np.array([0, *after[acting], 0])
        width = np.array([before[0], *(before - after)[acting], after[-1]])
        colours = ["#888888", *[CYCLE[1]] * len(acting), CYCLE[2]]
        ax.barh(names, width, left=left, color=colours, height=0.65)
        span = max(before[0] - after[-1], 1)
        start = max(0.0, after[-1] - 1.6 * span)
        ax.set_xlim(start, before[0] + 0.55 * (before[0] - start))
        for i, (x, n) in enumerate(zip(left + width, width, strict=True)):
            sign = "" if i in (0, len(names) - 1) else "\u2212"
            ax.annotate(f"{sign}{n:,}", (x, i), (4, 0), textcoords="offset points", va="center", fontsize=8)
        ax.invert_yaxis()
        ax.set_xlabel(f"{table.capitalize()}" + (" (axis does not start at zero)" if start > 0 else ""))
        ax.xaxis.set_major_locator(plt.MaxNLocator(4))
        ax.xaxis.set_major_formatter("{x:,.0f}")
    return figure


def layers_map(profiles: pd.DataFrame) -> Axes:
    """Map of the profiles, coloured by their number of layers, as Fig. S2 of Tao et al. 2020."""
    ax = style.map_axes(profiles)
    scale = Quantity("Layers in the profile", "viridis_r", BoundaryNorm(np.arange(1.5, 11), 256, extend="max"))
    style.colour_bar(style.draw_sites(profiles["n_layers"], profiles, ax, scale), ax, ticks=range(2, 11), extend="max")
    ax.set_title(f"{len(profiles):,} profiles, {int(profiles['n_layers'].sum()):,} layers")
    return ax


def grid_figure(cell: ArrayLike, grid: xr.Dataset) -> Figure:
    """Maps of the number of profiles in every cell (`cell` is that of every profile) and of the cells' vegetation."""
    figure = plt.figure(figsize=(7, 7.4))
    upper, lower = (style.map_axes(grid, figure, (2, 1, row)) for row in (1, 2))
    counts = np.bincount(np.asarray(cell), minlength=grid.sizes["cell"]).astype(float)
    counts[counts == 0] = np.nan
    quantity = Quantity("Profiles in a cell", "viridis_r", BoundaryNorm(COUNT_EDGES, 256, extend="max"))
    upper.counts = style.draw_cells(counts, grid, upper, quantity)
    style.colour_bar(upper.counts, upper, extend="max", ticks=COUNT_EDGES)
    upper.set_title(f"Profiles in {grid.sizes['cell']:,} cells of {grid.attrs.get('resolution_degrees', 0.5):g}\u00b0")
    kind = vegetation_of(grid["land_cover"].values)
    kind[kind == ""] = "other"
    names = [name for name in [*CLASSES, "other"] if (kind == name).any()]
    code = np.array([names.index(name) for name in kind], float)
    colours = ListedColormap([VEGETATION_COLOUR[name] for name in names])
    norm = BoundaryNorm(np.arange(len(names) + 1) - 0.5, len(names))
    bar = style.colour_bar(
        style.draw_cells(code, grid, lower, Quantity("", colours, norm)), lower, ticks=range(len(names))
    )
    bar.ax.set_yticklabels(names)
    bar.ax.invert_yaxis()
    bar.ax.tick_params(length=0, which="both")
    lower.set_title("Vegetation of the cells")
    return figure


def carbon_figure(layers: pd.DataFrame, profiles: pd.DataFrame, forcing: AnyForcing) -> Figure:
    """Median carbon density by depth, by land cover (left) and climate (right), and the middle half of all layers."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 5), sharex=True, sharey=True)
    cover = profiles["land_cover"].to_numpy()
    covers = {name: np.isin(cover, classes) for name, classes in LAND_COVER_GROUPS.items()}
    _carbon_with_depth(layers, covers, left, [{"color": colour} for colour in CYCLE])
    _carbon_with_depth(layers, climate_groups(forcing, profiles["cell"]), right, CLIMATE_STYLES)
    left.set_ylabel("Depth (m)")
    return figure


def climate_groups(forcing: AnyForcing, cell: ArrayLike) -> dict[str, NDArray[np.bool_]]:
    """Profiles by climate, name -> (n_profiles,) bool: thirds by soil temperature, halves by moisture."""
    warmth = forcing.annual_temperature[0][np.asarray(cell)] - 273.15
    water = forcing.annual_water[0][np.asarray(cell)]
    low, high = np.quantile(warmth, [1 / 3, 2 / 3])
    moist = water > np.median(water)
    thirds = {
        f"below {low:.0f} \u00b0C": warmth <= low,
        f"{low:.0f} to {high:.0f} \u00b0C": (warmth > low) & (warmth <= high),
        f"above {high:.0f} \u00b0C": warmth > high,
    }
    return {
        f"{name}, {word}": chosen & wet
        for name, chosen in thirds.items()
        for word, wet in (("moist", moist), ("dry", ~moist))
    }


def _carbon_with_depth(
    layers: pd.DataFrame, groups: Mapping[str, NDArray], ax: Axes, styles: Sequence[dict[str, str]]
) -> None:
    soc = layers["soc"].to_numpy() / 1000.0
    site = layers["site"].to_numpy()
    bins = pd.cut(layers["depth"], DEPTH_BINS, right=False, labels=False).to_numpy()
    middle = 0.5 * (DEPTH_BINS[:-1] + DEPTH_BINS[1:])
    pooled = pd.Series(soc).groupby(bins)
    enough = pooled.size() >= ENOUGH
    low, high = (pooled.quantile(q)[enough] for q in (0.25, 0.75))
    ax.fill_betweenx(middle[low.index.astype(int)], low, high, color="#e4e4e4", label="middle half of all layers")
    for (name, members), look in zip(groups.items(), styles, strict=False):
        chosen = members[site]
        by_depth = pd.Series(soc[chosen]).groupby(bins[chosen])
        median = by_depth.median()[by_depth.size() >= ENOUGH]
        if len(median):
            label = f"{name} ({len(np.unique(site[chosen])):,})"
            ax.plot(median, middle[median.index.astype(int)], marker="o", markersize=3, label=label, **look)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_ylim(DEPTH_BINS[int(low.index.max()) + 1] if len(low) else DEPTH_BINS[-1], 0)
    ax.set_xlabel("Soil organic carbon, median (kg C m$^{-3}$)")
    ax.legend(fontsize=7.5, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)


def forcing_maps(forcing: AnyForcing, grid: xr.Dataset, layer: int = 4) -> Figure:
    """Maps of annual soil temperature and water in one layer, of the carbon input, and of the seasons where known."""
    configuration = configuration_of(forcing)
    at, warmth = f"at {configuration.column.node[layer]:.2f} m", forcing.annual_temperature[layer] - 273.15
    shown = {f"Soil temperature {at}": (warmth, "temperature")}
    if configuration.monthly:
        shown[f"Water scalar {at}"] = forcing.annual_water[layer], "scalar"
        shown["Litter fall"] = forcing.annual_input, "npp"
        swing = np.ptp(forcing.soil_temperature[layer], axis=0)
        shown[f"Warmest less coldest month {at}"] = swing, "swing"
    else:
        shown[f"Soil water potential {at}"] = forcing.annual_water[layer], "potential"
        shown["Net primary production"] = forcing.annual_input, "npp"
    figure = plt.figure(figsize=(9, 5.5))
    for i, (title, (values, quantity)) in enumerate(shown.items(), start=1):
        ax = style.map_axes(grid, figure, (2, 2, i))
        limits = style.scale_of(quantity, values).norm
        drawn = style.draw_cells(values, grid, ax, quantity, (limits.vmin, limits.vmax))
        style.colour_bar(drawn, ax, extend=style.beyond_ends(values, limits))
        ax.set_title(title, fontsize=9.5)
    return figure
