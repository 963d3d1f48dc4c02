"""Figures of the account of cleaning: what came in, which rule took what, from whom and where, and densities used.

Figures of the data stage: where the profiles are, what they show, what was left out, what drives the model.

Fig. S1: the cells of the grid, how many profiles each of them has, and what grows there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from proda.data.bulk_density import PEDOTRANSFER, estimated_density
from proda.figures.style import (
    CYCLE,
    INK,
    QUANTITIES,
    Quantity,
    beyond_ends,
    colour_bar,
    draw_cells,
    draw_sites,
    map_axes,
    scale_of,
)
from proda.maps.regions import CLASSES, vegetation_of
from proda.model.configuration import PAPER_COLUMN
from proda.model.forcing import Forcing

KEPT = "#5f6d78"
MANY_SOURCES = 7  # named in a figure; the others are added up
NAMED_RULES = 5  # with a colour of their own on the map


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
    span = max(before[0] - after[-1], 1)
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


def account_by_source(by_source: pd.DataFrame, of: str) -> pd.DataFrame:
    """Rows that came in, that each acting rule took, and that are kept, one column a source, small ones as "others".

    Parameters
    ----------
    by_source : DataFrame
        `cleaning_by_source.csv`.
    of : "profiles" or "layers"
    """
    begun = by_source.groupby("source")[["profiles_before", "layers_before"]].first()
    begun = begun.sort_values("profiles_before", ascending=False)[f"{of}_before"]
    named = list(begun.index[:MANY_SOURCES])
    source = by_source["source"].where(by_source["source"].isin(named), "others")
    lost = by_source.assign(source=source, lost=by_source[f"{of}_before"] - by_source[f"{of}_after"])
    lost = lost.pivot_table(index="rule", columns="source", values="lost", aggfunc="sum", sort=False)
    lost = lost[lost.sum(axis=1) > 0]
    came = begun.groupby(begun.index.where(begun.index.isin(named), "others"), sort=False).sum()
    order = [*named, *(["others"] if "others" in came.index else [])]
    came, lost = came[order], lost[order]
    table = pd.concat([came.to_frame("in").T, lost, (came - lost.sum()).to_frame("kept").T])
    return table.rename_axis(None, axis=1).astype(int)


def account_tables(by_source: pd.DataFrame) -> Figure:
    """`account_table` of profiles above that of layers."""
    rows = [len(account_by_source(by_source, of)) for of in ("profiles", "layers")]
    figure, axes = plt.subplots(2, 1, figsize=(9.5, 2.2 + 0.28 * sum(rows)), height_ratios=rows)
    account_table(by_source, "profiles", axes[0])
    account_table(by_source, "layers", axes[1])
    return figure


def account_table(by_source: pd.DataFrame, of: str, ax: Axes) -> Axes:
    """`account_by_source` as a table of numbers, shaded by the share of a source's own rows that a rule took."""
    table = account_by_source(by_source, of)
    counts = table.to_numpy()
    share = counts / np.maximum(counts[0], 1)
    share[[0, -1]] = np.nan
    ax.imshow(share, cmap="Oranges", norm=LogNorm(1e-3, 1.0), aspect="auto")
    for (row, column), n in np.ndenumerate(counts):
        dark = share[row, column] > 0.08
        ax.text(column, row, f"{n:,}" if n else "\u2013", ha="center", va="center", fontsize=7.5,
                color="white" if dark else INK, weight="bold" if row in (0, len(counts) - 1) else "normal")  # fmt: skip
    ax.set_xticks(
        range(table.shape[1]), [name.replace("_", " ") for name in table], rotation=30, ha="right", fontsize=8
    )
    ax.set_yticks(range(len(table)), table.index, fontsize=8)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_title(of.capitalize())
    return ax


def kept_and_lost(profiles: pd.DataFrame, grid) -> Figure:
    """Map of raw profiles, those kept in grey and the others by the rule that took them; the whole world if they reach
    far beyond the study's grid.

    Parameters
    ----------
    profiles : DataFrame
        `raw_profiles.parquet`.
    grid : Dataset
        `lon`, `lat` of the land cells.
    """
    rule = profiles["excluded_by"].fillna("kept").astype(object)
    here = profiles["lon"].between(-126, -66) & profiles["lat"].between(24, 50)
    beyond = int((~here).sum())
    wide = beyond > 0.01 * len(profiles)
    figure = plt.figure(figsize=(7.5, 4.9 + 3.6 * wide))
    ax = map_axes(figure, (2, 1, 1) if wide else 111)
    size = float(np.clip(25_000 / max(here.sum(), 1), 1.6, 9.0))
    counts = rule[here & (rule != "kept")].value_counts()
    named = list(counts.index[:NAMED_RULES])
    groups = [
        ("kept", KEPT, size),
        *((name, colour, 2.2 * size) for name, colour in zip(named, CYCLE[1:], strict=False)),
    ]
    shown = rule.where(rule.isin(["kept", *named]), "other rules")
    if (shown[here] == "other rules").any():
        groups.append(("other rules", CYCLE[0], 2.2 * size))
    for name, colour, area in groups:
        chosen = here & (shown == name)
        dots = draw_sites(colour, profiles[chosen], ax, size=area)
        dots.set_label(f"{name} ({chosen.sum():,})")
    ax.set_title(f"{(rule == 'kept').sum():,} profiles kept, {(rule != 'kept').sum():,} left out")
    if beyond:
        ax.plot([], [], " ", label=f"not on this map ({beyond:,})")
    larger = 2.0 if size < 3 else 1.2
    ax.legend(fontsize=8, loc="lower left", bbox_to_anchor=(-0.02, -0.08), ncols=2, markerscale=larger).set_zorder(5)
    if wide:
        _world(profiles, grid, figure.add_subplot(2, 1, 2))
    return figure


def _world(profiles: pd.DataFrame, grid, ax: Axes) -> None:
    known = profiles["lon"].between(-180, 180) & profiles["lat"].between(-90, 90)
    west, east = float(np.min(grid["lon"])) - 0.25, float(np.max(grid["lon"])) + 0.25
    south, north = float(np.min(grid["lat"])) - 0.25, float(np.max(grid["lat"])) + 0.25
    _, _, _, image = ax.hist2d(
        profiles["lon"][known], profiles["lat"][known], bins=[np.arange(-180, 181, 2), np.arange(-60, 85, 2)],
        norm=LogNorm(), cmin=1, cmap="viridis_r",
    )  # fmt: skip
    ax.add_patch(Rectangle((west, south), east - west, north - south, fill=False, edgecolor=CYCLE[1], linewidth=1.4))
    ax.annotate("the study's grid", (west, south), (0, -10), textcoords="offset points", color=CYCLE[1], fontsize=8)
    ax.set(xlabel="Longitude (\u00b0E)", ylabel="Latitude (\u00b0N)", aspect="equal", title="All profiles as they came")
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, pad=0.02, aspect=28)
    bar.set_label("Profiles in 2\u00b0 x 2\u00b0")


def density_against_carbon(layers: pd.DataFrame, rule: str, ax: Axes) -> Axes:
    """Measured bulk densities against organic carbon, and what the published functions make of that carbon.

    Parameters
    ----------
    layers : DataFrame
        `raw_layers.parquet`.
    rule : str
        The study's `bulk_density_rule`, drawn thick.
    """
    estimated = layers["density_source"].fillna("").str.startswith("estimated")
    known = layers[layers["bulk_density"].between(0.02, 2.65) & (layers["organic_carbon"] > 0) & ~estimated]
    if len(known):
        bins = ax.hexbin(
            known["organic_carbon"], known["bulk_density"], xscale="log", gridsize=55, mincnt=1, bins="log",
            cmap="Greys", extent=(-0.5, np.log10(580), 0, 2.2), linewidths=0,
        )  # fmt: skip
        bar = ax.figure.colorbar(bins, ax=ax, shrink=0.8, pad=0.02, aspect=28)
        bar.set_label("Measured layers")
    carbon = np.geomspace(0.5, 580, 300)
    for name, colour in zip(PEDOTRANSFER, CYCLE, strict=False):
        chosen = name == rule
        density, sd = estimated_density(carbon, name)
        ax.plot(
            carbon, density, color=colour, lw=2.6 if chosen else 1.2, label=name + (" (this study)" if chosen else "")
        )
        if chosen:
            ax.fill_between(carbon, density * (1 - sd), density * (1 + sd), color=colour, alpha=0.18, linewidth=0)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set(xlim=(0.5, 580), ylim=(0, 2.2), xlabel="Organic carbon (g kg$^{-1}$)", ylabel="Bulk density (g cm$^{-3}$)")
    ax.legend(fontsize=8, loc="lower left")
    return ax


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
# Cold, mild and warm by colour, moist and dry by line: the order of `climate_groups`.
CLIMATE_STYLES = tuple(
    {"color": colour, "linestyle": line} for colour in (CYCLE[0], CYCLE[2], CYCLE[1]) for line in ("-", "--")
)
COVARIATE_SCALES = {"degC": "temperature", "g C m-2 yr-1": "npp"}  # one scale a quantity, by its unit
ENOUGH = 20  # layers in a depth bin, before a median of them is shown

_LAYERS = Quantity("Layers in the profile", "viridis_r", BoundaryNorm(np.arange(1.5, 11), 256, extend="max"))
_DEPTH = Quantity("Lower end of the profile (m)", "viridis_r", None)


def profile_map(profiles: pd.DataFrame, figure: Figure | None = None, position=111) -> Axes:
    """Map of the profiles, coloured by how deep they reach."""
    ax = map_axes(figure, position)
    size = float(np.clip(12_000 / len(profiles), 1.5, 14.0))
    dots = draw_sites(profiles["max_depth"], profiles, ax, _DEPTH, limits=(0.3, 2.0), size=size)
    colour_bar(dots, ax, extend="both")
    ax.set_title(f"{len(profiles):,} profiles after cleaning")
    return ax


def layers_map(profiles: pd.DataFrame, figure: Figure | None = None, position=111) -> Axes:
    """Map of the profiles, coloured by how many layers they have, as in Fig. S2 of Tao et al. 2020."""
    ax = map_axes(figure, position)
    size = float(np.clip(12_000 / len(profiles), 1.5, 14.0))
    dots = draw_sites(profiles["n_layers"], profiles, ax, _LAYERS, size=size)
    colour_bar(dots, ax, ticks=range(2, 11), extend="max")
    ax.set_title(f"{len(profiles):,} profiles, {int(profiles['n_layers'].sum()):,} layers")
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


def land_cover_groups(profiles: pd.DataFrame) -> dict[str, np.ndarray]:
    """Which profiles are of each group of `LAND_COVER_GROUPS`, name -> (n_profiles,) bool."""
    cover = profiles["land_cover"].to_numpy()
    return {name: np.isin(cover, classes) for name, classes in LAND_COVER_GROUPS.items()}


def climate_groups(forcing: Forcing, cell: ArrayLike) -> dict[str, np.ndarray]:
    """Which profiles are cold, mild or warm and moist or dry, name -> (n_profiles,) bool.

    The ends of the classes are thirds of the profiles by soil temperature and halves by soil water potential, so every
    study has all six; their names give the values.
    """
    warmth = forcing.soil_temperature[0][np.asarray(cell)] - 273.15
    psi = forcing.water_potential[0][np.asarray(cell)]
    low, high = np.quantile(warmth, [1 / 3, 2 / 3])
    middle = np.median(psi)
    thirds = {
        f"below {low:.0f} \u00b0C": warmth <= low,
        f"{low:.0f} to {high:.0f} \u00b0C": (warmth > low) & (warmth <= high),
        f"above {high:.0f} \u00b0C": warmth > high,
    }
    return {
        f"{name}, {word}": chosen & wet
        for name, chosen in thirds.items()
        for word, wet in (("moist", psi > middle), ("dry", psi <= middle))
    }


def carbon_with_depth(
    layers: pd.DataFrame, groups: dict[str, np.ndarray], ax: Axes, styles: Sequence[dict[str, str]] = ()
) -> Axes:
    """Median carbon density by depth for each group of profiles, with the middle half of all layers in grey.

    Parameters
    ----------
    layers : DataFrame
        `layers.parquet`.
    groups : dict
        Name -> (n_profiles,) bool, as of `land_cover_groups`.
    styles : sequence of dict, optional
        How to draw the groups, in their order, such as `CLIMATE_STYLES`; a colour for each otherwise.
    """
    soc = layers["soc"].to_numpy() / 1000.0
    site = layers["site"].to_numpy()
    bins = pd.cut(layers["depth"], DEPTH_BINS, right=False, labels=False).to_numpy()
    middle = 0.5 * (DEPTH_BINS[:-1] + DEPTH_BINS[1:])
    pooled = pd.Series(soc).groupby(bins)
    enough = pooled.size() >= ENOUGH
    low, high = (pooled.quantile(q)[enough] for q in (0.25, 0.75))
    ax.fill_betweenx(middle[low.index.astype(int)], low, high, color="#e4e4e4", label="middle half of all layers")
    for i, (name, members) in enumerate(groups.items()):
        chosen = members[site]
        by_depth = pd.Series(soc[chosen]).groupby(bins[chosen])
        median = by_depth.median()[by_depth.size() >= ENOUGH]
        if len(median):
            n_profiles = len(np.unique(site[chosen]))
            at = middle[median.index.astype(int)]
            style = styles[i] if styles else {"color": CYCLE[i]}
            ax.plot(median, at, marker="o", markersize=3, linewidth=1.3, label=f"{name} ({n_profiles:,})", **style)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_ylim(DEPTH_BINS[-2], 0)
    ax.set_xlabel("Soil organic carbon, median (kg C m$^{-3}$)")
    ax.set_ylabel("Depth (m)")
    ax.legend(fontsize=7.5, loc="lower right")
    return ax


def forcing_maps(forcing: Forcing, grid: xr.Dataset, layer: int = 4, figure: Figure | None = None) -> Figure:
    """Maps of what drives the model: temperature and water potential of one layer, NPP, and its range if it varies."""
    at = f"at {PAPER_COLUMN.node[layer]:.2f} m"
    shown = {
        f"Soil temperature {at}": (forcing.soil_temperature[layer] - 273.15, "temperature"),
        f"Soil water potential {at}": (forcing.water_potential[layer], "potential"),
        "Net primary production": (forcing.npp_mean, "npp"),
    }
    spread = (forcing.npp_max - forcing.npp_min) / forcing.npp_mean
    if np.ptp(spread) > 1e-6 * np.max(spread):  # where it is an assumption it is one number
        shown["Range of annual NPP"] = spread, Quantity("multiple of the mean", "viridis_r", None)
    return _maps(shown, grid, figure)


def covariate_maps(
    covariates: pd.DataFrame, grid: xr.Dataset, names: ArrayLike, listed: pd.DataFrame, figure: Figure | None = None
) -> Figure:
    """Maps of some covariates at the land cells, each under its meaning and with its unit.

    Parameters
    ----------
    covariates : (n_cells,) DataFrame
    listed : DataFrame
        `name`, `meaning`, `unit`, from `proda.data.sources.study_list`.
    """
    known = listed.set_index("name")
    shown = {}
    for name in map(str, names):
        meaning, unit = known.loc[name, ["meaning", "unit"]] if name in known.index else (name, "1")
        scale = COVARIATE_SCALES.get(unit)
        powers = re.sub(r"(?<=[a-zA-Z])(-?\d)", r"$^{\1}$", unit)
        quantity = QUANTITIES[scale] if scale else Quantity("" if unit == "1" else powers, "viridis_r", None)
        # A name such as pH keeps its small letter.
        title = meaning if meaning[1:2].isupper() else f"{meaning[0].upper()}{meaning[1:]}"
        shown[f"{title}\n({name})"] = covariates[name], quantity
    return _maps(shown, grid, figure)


def _maps(shown: dict[str, tuple[ArrayLike, str | Quantity]], grid: xr.Dataset, figure: Figure | None = None) -> Figure:
    rows = (len(shown) + 1) // 2
    figure = figure if figure is not None else plt.figure(figsize=(9, 2.75 * rows))
    for i, (title, (values, quantity)) in enumerate(shown.items(), start=1):
        ax = map_axes(figure, (rows, 2, i))
        # Panels of one quantity have one scale; those of a quantity with a fixed scale the same in every figure.
        alike = np.concatenate([np.asarray(other, float) for other, known in shown.values() if known == quantity])
        limits = scale_of(quantity, alike).norm
        drawn = draw_cells(values, grid, ax, quantity, (limits.vmin, limits.vmax))
        colour_bar(drawn, ax, extend=beyond_ends(values, limits))
        ax.set_title(title, fontsize=9.5)
    return figure


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
    return figure
