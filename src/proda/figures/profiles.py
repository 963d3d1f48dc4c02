"""Figures of the data stage: where the profiles are, what they show, what was left out, what drives the model."""

from __future__ import annotations

import re
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from proda.figures.captions import captioned
from proda.figures.quantities import QUANTITIES, Quantity, beyond_ends, scale_of
from proda.figures.style import CYCLE, colour_bar, draw_cells, draw_sites, map_axes
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
# Cold, mild and warm by colour, moist and dry by line: the order of `climate_groups`.
CLIMATE_STYLES = tuple(
    {"color": colour, "linestyle": line} for colour in (CYCLE[0], CYCLE[2], CYCLE[1]) for line in ("-", "--")
)
COVARIATE_SCALES = {"degC": "temperature", "g C m-2 yr-1": "npp"}  # one scale a quantity, by its unit
S2_CAPTION = (
    "Figure S2. Where the profiles are, how many layers each has and how deep it reaches. Deep profiles of many layers "
    "tell most; see which regions have few, and which only shallow ones."
)
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
    captioned(ax.figure, S2_CAPTION)
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
        `name`, `meaning`, `unit`, from `proda.data.covariate_sources.study_list`.
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
