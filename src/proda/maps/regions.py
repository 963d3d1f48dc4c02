"""Bias of every method by region and by vegetation.

The regions are those that the paper speaks of, as groups of states cut by meridians and parallels: approximations,
since physiographic regions do not end at state borders and the paper draws no borders for "around the Great Lakes".
They overlap, since its statements do. Vegetation has the paper's eight kinds, from the grid's IGBP classes and the
sites' own records.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import geopandas
import numpy as np
import pandas as pd
import shapely
from numpy.typing import ArrayLike, NDArray

from proda.data import grid as outlines
from proda.errors import InputError
from proda.maps.scores import comparable_sites
from proda.maps.stocks import profile_stocks

_EQUAL_AREA = "EPSG:5070"
_NORTHEAST = (
    "Maine", "New Hampshire", "Vermont", "Massachusetts", "Rhode Island", "Connecticut", "New York", "New Jersey",
    "Pennsylvania",
)  # fmt: skip


class Region(NamedTuple):
    """The part of `states` between two meridians and two parallels (degrees)."""

    states: tuple[str, ...]
    west: float = -180.0
    east: float = 180.0
    south: float = -90.0
    north: float = 90.0


REGIONS = {
    "West coast": Region(("California", "Oregon", "Washington"), east=-118.0),
    "East coast": Region(
        (
            *_NORTHEAST, "Delaware", "Maryland", "District of Columbia", "Virginia", "North Carolina", "South Carolina",
            "Georgia", "Florida",
        ),
        west=-83.5,
    ),
    "Midwest": Region(
        (
            "Ohio", "Indiana", "Illinois", "Michigan", "Wisconsin", "Minnesota", "Iowa", "Missouri", "North Dakota",
            "South Dakota", "Nebraska", "Kansas",
        )
    ),
    "Great Lakes": Region(
        ("Minnesota", "Wisconsin", "Michigan", "Illinois", "Indiana", "Ohio", "Pennsylvania", "New York"),
        west=-93.0, east=-76.0, south=41.0,
    ),
    "Northeast": Region(_NORTHEAST),
    "Southern Great Plains": Region(("Kansas", "Oklahoma", "Texas", "New Mexico"), west=-104.0, east=-97.0, south=31.0),
    "Intermontane Plateaus": Region(
        ("Nevada", "Utah", "Arizona", "Idaho", "Oregon", "Washington", "California", "Colorado", "New Mexico"),
        west=-121.0, east=-107.5, north=47.5,
    ),
    "Southwest": Region(("California", "Nevada", "Utah", "Arizona", "New Mexico"), west=-118.0, north=38.0),
}  # fmt: skip


def state_of(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.object_]:
    """Name of the state that each position (degrees) lies in, or of the nearest, for positions off the coast.

    Raises
    ------
    InputError
        If a position is missing.
    """
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    missing = ~(np.isfinite(lon) & np.isfinite(lat))
    if missing.any():
        raise InputError(f"position {int(np.argmax(missing))} has no longitude or latitude: it lies in no state")
    states = outlines.states()
    shapes = states.geometry.to_crs(_EQUAL_AREA)
    points = geopandas.GeoSeries(shapely.points(lon, lat), crs=4326).to_crs(_EQUAL_AREA)
    which, state = shapes.sindex.nearest(points, return_all=False)
    names = np.empty(lon.size, dtype=object)
    names[which] = states["name"].to_numpy()[state]
    return names


def region_masks(lon: ArrayLike, lat: ArrayLike) -> dict[str, NDArray[np.bool_]]:
    """Which positions (degrees) lie in each region, name -> (n,) bool; a position may lie in several or in none."""
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    state = state_of(lon, lat)
    return {
        name: np.isin(state, region.states)
        & (lon >= region.west)
        & (lon < region.east)
        & (lat >= region.south)
        & (lat < region.north)
        for name, region in REGIONS.items()
    }


HIGH, LOW = "too high", "too low"

# The text beside Fig. 2 of Tao et al. 2020; the errors of the network follow no pattern there.
PUBLISHED_BIASES = {
    ("default", "West coast"): HIGH,
    ("default", "East coast"): HIGH,
    ("default", "Midwest"): LOW,
    ("one-batch", "Intermontane Plateaus"): LOW,
    ("one-batch", "Southern Great Plains"): LOW,
    ("one-batch", "Great Lakes"): HIGH,
    ("one-batch", "Northeast"): HIGH,
    ("random-sampling", "Northeast"): HIGH,
    ("random-sampling", "Southwest"): LOW,
}


def stock_differences(layers: pd.DataFrame, modelled: ArrayLike, n_sites: int) -> NDArray[np.float64]:
    """Modelled minus observed stock of the observed layers of every site, (n_sites,), kg C m-2.

    NaN at sites without layers; a site that lacks a modelled layer is NaN, not partly counted.

    Parameters
    ----------
    layers : pandas.DataFrame
        `site`, `upper_depth`, `lower_depth` (m), `soc` (g C m-3).
    modelled : array_like
        (n_layers,) g C m-3.
    """
    observed = profile_stocks(layers, layers["soc"].to_numpy(float), n_sites)
    difference = profile_stocks(layers, np.asarray(modelled, float), n_sites) - observed
    difference[np.bincount(layers["site"], minlength=n_sites) == 0] = np.nan
    return difference


def regional_biases(
    layers: pd.DataFrame, modelled: dict[str, NDArray], sites: pd.DataFrame, used: NDArray[np.bool_]
) -> pd.DataFrame:
    """Mean difference of the whole-profile stocks by region and method, on the same used sites for all methods.

    Parameters
    ----------
    layers, modelled
        As of `proda.maps.scores.table_1`, with the bounds of the layers.
    sites : pandas.DataFrame
        `lon`, `lat` (degrees), `cell`.
    used : (n_sites,) bool

    Returns
    -------
    pandas.DataFrame
        By region (and "all") and method: n_sites; observed (mean stock, kg C m-2); bias (modelled minus observed);
        se, its standard error with the sites of one cell taken as one draw; published ("too high", "too low" or "");
        bias_agrees, whether the bias has the published sign (missing where nothing is published).
    """
    n_sites = len(sites)
    chosen = comparable_sites(layers["site"], modelled, n_sites) & used
    observed = profile_stocks(layers, layers["soc"].to_numpy(float), n_sites)
    cell = sites["cell"].to_numpy()
    regions = {"all": np.ones(n_sites, bool)} | region_masks(sites["lon"], sites["lat"])
    differences = {method: stock_differences(layers, soc, n_sites) for method, soc in modelled.items()}
    rows = []
    for region, inside in regions.items():
        here = inside & chosen
        for method, difference in differences.items():
            row = {"region": region, "method": method, "n_sites": int(here.sum())}
            rows.append(row | _bias(difference[here], observed[here], cell[here]))
    table = pd.DataFrame(rows).set_index(["region", "method"])
    table["published"] = [PUBLISHED_BIASES.get((method, region), "") for region, method in table.index]
    known = (table["published"] != "") & table["bias"].notna()
    table["bias_agrees"] = ((table["bias"] > 0) == (table["published"] == HIGH)).astype("boolean").where(known)
    return table


def _bias(difference: NDArray, observed: NDArray, cell: NDArray) -> dict[str, float]:
    n = difference.size
    if n == 0:
        return dict.fromkeys(("observed", "bias", "se"), np.nan)
    mean = difference.mean()
    # Sites of one cell share climate, forcing and often the surveyor: their errors are not independent.
    by_cell = np.bincount(np.unique(cell, return_inverse=True)[1], weights=difference - mean)
    return {
        "observed": float(observed.mean()),
        "bias": float(mean),
        "se": float(np.sqrt(by_cell @ by_cell) / n) if by_cell.size > 1 else np.nan,
    }


# IGBP classes of each kind; urban, ice, barren and water are in none.
CLASSES = {
    "Evergreen forest": (1, 2),
    "Deciduous forest": (3, 4),
    "Mixed forest": (5,),
    "Shrubland": (6, 7),
    "Savanna": (8, 9),
    "Grassland": (10,),
    "Wetland": (11,),
    "Cropland": (12, 14),
}


def vegetation_of(land_cover: ArrayLike) -> NDArray[np.object_]:
    """Kind of vegetation of IGBP codes (n,), a name in `CLASSES` or ""."""
    code = np.asarray(land_cover)
    vegetation = np.full(code.size, "", dtype=object)
    for name, codes in CLASSES.items():
        vegetation[np.isin(code, codes)] = name
    return vegetation


def recorded_wetland(sites: Any) -> NDArray[np.bool_]:
    """Sites that are wetlands by their own record (`land_use`), (n_sites,)."""
    if "land_use" not in sites:
        return np.zeros(len(sites), bool)
    words = pd.Series(sites["land_use"]).astype("string")
    return words.str.contains("wetland", case=False, na=False).to_numpy(bool)


def vegetation_class(sites: pd.DataFrame) -> NDArray[np.object_]:
    """Vegetation of every site, (n_sites,), a name in `CLASSES` or "".

    The class of the half-degree cell, except for sites that are wetlands by their own record: at half a degree hardly
    any cell is one.

    Parameters
    ----------
    sites : pandas.DataFrame
        `land_cover` (IGBP code of the cell) and, if known, `land_use` (the source's own class).
    """
    vegetation = vegetation_of(sites["land_cover"])
    vegetation[recorded_wetland(sites)] = "Wetland"
    return vegetation


def vegetation_biases(
    layers: pd.DataFrame, modelled: dict[str, NDArray], sites: pd.DataFrame, used: NDArray[np.bool_]
) -> pd.DataFrame:
    """Mean modelled minus observed SOC by vegetation (rows) and method (columns), kg C m-3, on the same used sites.

    Parameters
    ----------
    layers, modelled, used
        As of `proda.maps.scores.table_1`.
    sites : pandas.DataFrame
        See `vegetation_class`.
    """
    site = layers["site"].to_numpy()
    chosen = (comparable_sites(site, modelled, len(sites)) & used)[site]
    observed = layers["soc"].to_numpy(float)
    errors = pd.DataFrame({method: (soc - observed)[chosen] / 1e3 for method, soc in modelled.items()})
    means = errors.groupby(vegetation_class(sites)[site[chosen]]).mean()
    return means.reindex([name for name in CLASSES if name in means.index]).rename_axis("vegetation")
