"""The half-degree grid of land cells, the outline it is made from, and the cell in which each profile lies."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import shapely
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from proda.data.tables import existing
from proda.errors import InputError
from proda.study import repository_root

RESOLUTION = 0.5  # degrees
EARTH_RADIUS = 6_371_007.2  # m; the sphere with the area of the WGS84 ellipsoid
AREA_TOLERANCE = 0.02  # relative; areas on the ellipsoid and on the sphere differ by under 1 %
OUTLINES = "data/outlines/us_states_10m.topojson"
_ELSEWHERE = {"02", "15", "60", "66", "69", "72", "78"}  # FIPS codes outside the conterminous states
_ATTRIBUTES = {
    "lon": {"standard_name": "longitude", "units": "degrees_east", "long_name": "longitude of the cell centre"},
    "lat": {"standard_name": "latitude", "units": "degrees_north", "long_name": "latitude of the cell centre"},
    "land_fraction": {"standard_name": "land_area_fraction", "units": "1"},
    "cell_area": {"standard_name": "cell_area", "units": "m2", "long_name": "area of the whole cell, land and water"},
    "land_cover": {"units": "1", "long_name": "IGBP land-cover class"},
    "sand_percent": {"long_name": "sand in the top soil, by mass", "units": "%"},
}


def cell_area(lat: ArrayLike, resolution: float = RESOLUTION) -> NDArray:
    """Area of grid cells centred at `lat` (degrees) on the sphere, m2."""
    half = np.radians(resolution / 2)
    return EARTH_RADIUS**2 * 2 * half * (np.sin(np.radians(lat) + half) - np.sin(np.radians(lat) - half))


def check_areas(cells, place: Callable[[int], str], area: str = "cell_area", resolution: float = RESOLUTION) -> None:
    """Check that every cell has a share of land and the area that its latitude gives it.

    Parameters
    ----------
    cells : Dataset or DataFrame
        `lat`, `land_fraction` and the column `area`, m2.
    place : callable
        Row -> its name in the error.

    Raises
    ------
    InputError
        Names the first row at fault, its value and what was expected.
    """
    fraction, given, lat = (np.asarray(cells[name], float) for name in ("land_fraction", area, "lat"))
    bad = ~((fraction > 0) & (fraction <= 1))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{place(row)}: land_fraction is {fraction[row]:g}, expected above 0 and at most 1. In percent? Divide by "
            "100. A cell without land, or of unknown land, is left out of the table."
        )
    expected = cell_area(lat, resolution)
    bad = ~(np.abs(given / expected - 1) <= AREA_TOLERANCE)
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{place(row)}: {area} is {given[row]:.4g}, expected {expected[row]:.4g} m2 within "
            f"{100 * AREA_TOLERANCE:g} %, the area of a whole cell of {resolution:g} degrees at latitude {lat[row]:g}, "
            "land and water. Give m2, and the share of land as land_fraction."
        )


def land_cells(land: shapely.Geometry, min_fraction: float = 0.25, resolution: float = RESOLUTION) -> pd.DataFrame:
    """Cells of which at least `min_fraction` is land: lon, lat, land_fraction, cell_area (m2), south to north.

    Fractions are of areas in degrees, which within one cell of half a degree differ from true ones by under 0.5 %.
    """
    west, south, east, north = np.floor(np.array(land.bounds) / resolution) * resolution
    centre = resolution / 2
    lat, lon = np.meshgrid(
        np.arange(south, north + resolution, resolution) + centre,
        np.arange(west, east + resolution, resolution) + centre,
        indexing="ij",
    )
    lon, lat = lon.ravel(), lat.ravel()
    boxes = shapely.box(lon - centre, lat - centre, lon + centre, lat + centre)
    shapely.prepare(land)
    fraction = shapely.contains_properly(land, boxes).astype(float)
    edge = (fraction == 0) & shapely.intersects(land, boxes)
    fraction[edge] = shapely.area(shapely.intersection(boxes[edge], land)) / resolution**2
    kept = fraction >= min_fraction
    return pd.DataFrame(
        {
            "lon": lon[kept],
            "lat": lat[kept],
            "land_fraction": fraction[kept].round(4),
            "cell_area": cell_area(lat[kept], resolution),
        }
    )


def cells_at(lon: ArrayLike, lat: ArrayLike, grid, tolerance: float = 0.5) -> tuple[NDArray, NDArray]:
    """Land cell of each position, and how far outside that cell the position lies.

    Parameters
    ----------
    lon, lat : (n,), degrees
    grid : Dataset or DataFrame
        `lon`, `lat` of the land cells' centres.
    tolerance : float, degrees
        A position in the sea or a lake takes the nearest land cell if that cell's edge is no farther than this.

    Returns
    -------
    cell : (n,) int
        0-based index; -1 where no land cell is within the tolerance or the position is missing.
    distance : (n,), degrees
        To the nearest land cell's edge, the greater of the two coordinate differences; 0 inside; NaN if missing.
    """
    position = np.column_stack([np.asarray(lon, float), np.asarray(lat, float)])
    cell = np.full(len(position), -1)
    distance = np.full(len(position), np.nan)
    known = np.isfinite(position).all(axis=1)
    tree = cKDTree(np.column_stack([np.asarray(grid["lon"], float), np.asarray(grid["lat"], float)]))
    # In the maximum norm the nearest centre is the centre of the cell a position lies in.
    away, nearest = tree.query(position[known], p=np.inf)
    distance[known] = np.maximum(away - RESOLUTION / 2, 0.0)
    cell[known] = np.where(distance[known] <= tolerance, nearest, -1)
    return cell, distance


def grid_dataset(cells: pd.DataFrame) -> xr.Dataset:
    """The table of land cells as the dataset that `grid.nc` holds, with units; `ref_*` columns are maps in kg m-2."""
    references = [name for name in cells if name.startswith("ref_")]
    grid = xr.Dataset({name: ("cell", cells[name].to_numpy()) for name in (*_ATTRIBUTES, *references)})
    grid["land_cover"] = grid["land_cover"].astype(int)
    for name, attributes in _ATTRIBUTES.items():
        grid[name].attrs |= attributes
    for name in references:
        grid[name].attrs |= {"units": "kg m-2", "long_name": f"published map, for comparison only: {name[4:]}"}
    title = "Land cells of the study"
    return grid.set_coords(["lon", "lat"]).assign_attrs(
        Conventions="CF-1.11", title=title, resolution_degrees=RESOLUTION
    )


def read_grid(path: Path | str) -> xr.Dataset:
    """`grid.nc` of a study folder, in memory."""
    return xr.load_dataset(existing(path))


@cache
def states() -> geopandas.GeoDataFrame:
    """The 48 conterminous states and the District of Columbia: `id` (FIPS code), `name`, geometry (EPSG:4326)."""
    path = repository_root() / OUTLINES
    shapes = geopandas.read_file(path, layer="states", engine="pyogrio").set_crs(4326, allow_override=True)
    shapes = shapes[~shapes["id"].isin(_ELSEWHERE)].sort_values("id", ignore_index=True)
    # Quantised topology leaves self-touching rings; a buffer of zero rebuilds them.
    return shapes.set_geometry(shapes.geometry.buffer(0))


@cache
def land() -> shapely.Geometry:
    """All conterminous states as one geometry, longitude and latitude in degrees."""
    return states().geometry.union_all()


def placed(profiles: pd.DataFrame, cells: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """`profiles` with `in_domain`, `cell` (-1 off the land) and `distance` (degrees) to the nearest land cell.

    Parameters
    ----------
    tolerance : float, degrees
        How far off the land a profile still takes the nearest land cell.

    Raises
    ------
    InputError
        When more profiles lie on the land with longitude and latitude exchanged, or none does.
    """
    cell, distance = cells_at(profiles["lon"], profiles["lat"], cells, tolerance)
    _check_not_exchanged(profiles, cell, cells, tolerance)
    reach = RESOLUTION / 2 + tolerance
    box = {name: (cells[name].min() - reach, cells[name].max() + reach) for name in ("lon", "lat")}
    inside = profiles["lon"].between(*box["lon"]) & profiles["lat"].between(*box["lat"])
    return profiles.assign(in_domain=inside.to_numpy(), cell=cell, distance=distance)


def _check_not_exchanged(profiles: pd.DataFrame, cell: NDArray, cells: pd.DataFrame, tolerance: float) -> None:
    """Refuse positions of which more fall on the land when longitude and latitude change places."""
    if (cell >= 0).mean() > 0.5:
        return
    exchanged, _ = cells_at(profiles["lat"], profiles["lon"], cells, tolerance)
    if (exchanged >= 0).sum() > (cell >= 0).sum():
        raise InputError(
            f"{(cell >= 0).sum():,} of {len(cell):,} profiles lie on the study's land cells, and "
            f"{(exchanged >= 0).sum():,} would with longitude and latitude exchanged; "
            f"the first is at lon {profiles['lon'].iloc[0]:g}, lat {profiles['lat'].iloc[0]:g}. Exchange the two "
            "columns in the source."
        )
    if not (cell >= 0).any():
        box = {name: f"{cells[name].min():g} to {cells[name].max():g}" for name in ("lon", "lat")}
        there = {name: f"{profiles[name].min():g} to {profiles[name].max():g}" for name in ("lon", "lat")}
        raise InputError(
            f"none of {len(cell):,} profiles lies on a land cell of the study: cells reach from lon {box['lon']}, lat "
            f"{box['lat']}; profiles from lon {there['lon']}, lat {there['lat']}. Give a grid that covers the profiles."
        )
