"""Bias of every method by region and by the paper's eight classes of vegetation.

Regions are the paper's in the conterminous United States, elsewhere the subregions of Natural Earth.
"""

from __future__ import annotations

from typing import NamedTuple

import geopandas
import numpy as np
import pandas as pd
import shapely
from numpy.typing import ArrayLike, NDArray

from proda.data.region import countries, is_conterminous, states
from proda.maps.stocks import profile_stocks

_EQUAL_AREA = "EPSG:5070"


class Region(NamedTuple):
    """The part of `states` between two meridians and two parallels (degrees)."""

    states: str  # names, with commas between
    west: float = -180.0
    east: float = 180.0
    south: float = -90.0
    north: float = 90.0


_NORTHEAST = (
    "Maine, New Hampshire, Vermont, Massachusetts, Rhode Island, Connecticut, New York, New Jersey, Pennsylvania"
)
_SOUTHEAST = "Delaware, Maryland, District of Columbia, Virginia, North Carolina, South Carolina, Georgia, Florida"
_LAKES = "Ohio, Indiana, Illinois, Michigan, Wisconsin, Minnesota"
_SOUTHWEST = "California, Nevada, Utah, Arizona, New Mexico"
# Those that the paper speaks of, approximately; they overlap.
REGIONS = {
    "West coast": Region("California, Oregon, Washington", east=-118.0),
    "East coast": Region(f"{_NORTHEAST}, {_SOUTHEAST}", west=-83.5),
    "Midwest": Region(f"{_LAKES}, Iowa, Missouri, North Dakota, South Dakota, Nebraska, Kansas"),
    "Great Lakes": Region(f"{_LAKES}, Pennsylvania, New York", west=-93.0, east=-76.0, south=41.0),
    "Northeast": Region(_NORTHEAST),
    "Southern Great Plains": Region("Kansas, Oklahoma, Texas, New Mexico", west=-104.0, east=-97.0, south=31.0),
    "Intermontane Plateaus": Region(
        f"{_SOUTHWEST}, Idaho, Oregon, Washington, Colorado", west=-121.0, east=-107.5, north=47.5
    ),
    "Southwest": Region(_SOUTHWEST, west=-118.0, north=38.0),
}

HIGH, LOW = "too high", "too low"

# The text beside Fig. 2 of Tao et al. 2020; the errors of the network follow no pattern there.
PUBLISHED_BIASES = {
    ("default", "West coast"): HIGH, ("default", "East coast"): HIGH, ("default", "Midwest"): LOW,
    ("one-batch", "Intermontane Plateaus"): LOW, ("one-batch", "Southern Great Plains"): LOW,
    ("one-batch", "Great Lakes"): HIGH, ("one-batch", "Northeast"): HIGH,
    ("random-sampling", "Northeast"): HIGH, ("random-sampling", "Southwest"): LOW,
}  # fmt: skip


def state_of(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.object_]:
    """Name of the state that each position (degrees) lies in, or of the nearest, for positions off the coast."""
    points = geopandas.GeoSeries(shapely.points(lon, lat), crs=4326).to_crs(_EQUAL_AREA)
    _, nearest = states().geometry.to_crs(_EQUAL_AREA).sindex.nearest(points, return_all=False)
    return states()["name"].to_numpy(object)[nearest]


def region_masks(lon: ArrayLike, lat: ArrayLike) -> dict[str, NDArray[np.bool_]]:
    """Which positions (degrees) lie in each region, name -> (n,) bool; a position may lie in several or in none."""
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    if not is_conterminous(lon, lat):
        # Natural Earth's coast leaves out some positions near the sea: the nearest country, in degrees.
        _, nearest = countries().sindex.nearest(shapely.points(lon, lat), return_all=False)
        subregion = countries()["subregion"].to_numpy(object)[nearest]
        return {name: subregion == name for name in sorted(set(subregion))}
    state = state_of(lon, lat)
    return {
        name: np.isin(state, region.states.split(", "))
        & ((region.west <= lon) & (lon < region.east))
        & ((region.south <= lat) & (lat < region.north))
        for name, region in REGIONS.items()
    }


def stock_differences(layers: pd.DataFrame, modelled: ArrayLike, n_sites: int) -> NDArray[np.float64]:
    """Modelled (g C m-3) minus observed stock of every site's layers, (n_sites,), kg C m-2; NaN without all layers."""
    observed = profile_stocks(layers, layers["soc"].to_numpy(float), n_sites)
    difference = profile_stocks(layers, np.asarray(modelled, float), n_sites) - observed
    difference[np.bincount(layers["site"], minlength=n_sites) == 0] = np.nan
    return difference


def regional_biases(
    layers: pd.DataFrame, modelled: dict[str, NDArray], sites: pd.DataFrame, chosen: NDArray[np.bool_]
) -> pd.DataFrame:
    """Mean difference of the whole-profile stocks by region, vegetation and method at the `chosen` (n_sites,) sites.

    `layers` and `modelled` are as of `proda.maps.scores.table_1`, with the bounds of the layers; every chosen site has
    a value by every method.

    By region ("all", those of `region_masks`, and the classes of vegetation) and method: n_sites; observed (mean stock,
    kg C m-2); bias (modelled minus observed); se, its standard error with the sites of one cell taken as one draw;
    published ("too high", "too low" or ""); bias_agrees, whether the bias has the published sign (missing where there
    is none).
    """
    n_sites = len(sites)
    observed = profile_stocks(layers, layers["soc"].to_numpy(float), n_sites)
    cell = sites["cell"].to_numpy()
    regions = {"all": np.ones(n_sites, bool)} | region_masks(sites["lon"], sites["lat"])
    regions |= {name: vegetation_class(sites) == name for name in CLASSES}
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
    se = float(np.sqrt(by_cell @ by_cell) / n) if by_cell.size > 1 else np.nan
    return {"observed": float(observed.mean()), "bias": float(mean), "se": se}


# IGBP classes of each class of vegetation; urban, ice, barren and water are in none.
CLASSES = {
    "Evergreen forest": (1, 2), "Deciduous forest": (3, 4), "Mixed forest": (5,), "Shrubland": (6, 7),
    "Savanna": (8, 9), "Grassland": (10,), "Wetland": (11,), "Cropland": (12, 14),
}  # fmt: skip


def vegetation_of(land_cover: ArrayLike) -> NDArray[np.object_]:
    """Vegetation of IGBP codes (n,), a name in `CLASSES` or ""."""
    names = {code: name for name, codes in CLASSES.items() for code in codes}
    return np.array([names.get(code, "") for code in np.asarray(land_cover)], dtype=object)


def vegetation_class(sites: pd.DataFrame) -> NDArray[np.object_]:
    """Vegetation of every site, (n_sites,), a name in `CLASSES` or "": that of the cell (`land_cover`, IGBP code).

    Sites that are wetlands by their own record (`land_use`) are Wetland: at half a degree hardly any cell is one.
    """
    vegetation = vegetation_of(sites["land_cover"])
    own = sites["land_use"].astype("string").str.contains("wetland", case=False, na=False)
    vegetation[own.to_numpy(bool)] = "Wetland"
    return vegetation
