"""The half-degree grid of land cells, the outline it is made from, and the cell in which each profile lies."""

from __future__ import annotations

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


def cell_area(lat: ArrayLike) -> NDArray:
    """Area of half-degree cells centred at `lat` (degrees) on the sphere, m2."""
    half = np.radians(RESOLUTION / 2)
    return EARTH_RADIUS**2 * 2 * half * (np.sin(np.radians(lat) + half) - np.sin(np.radians(lat) - half))


def land_cells(land: shapely.Geometry, min_fraction: float = 0.25) -> pd.DataFrame:
    """Cells of which at least `min_fraction` is land: lon, lat, land_fraction, cell_area (m2), south to north.

    Fractions are of areas in degrees, which within one cell of half a degree differ from true ones by under 0.5 %.
    """
    west, south, east, north = np.floor(np.array(land.bounds) / RESOLUTION) * RESOLUTION
    half = RESOLUTION / 2
    lat, lon = np.meshgrid(
        np.arange(south, north + RESOLUTION, RESOLUTION) + half,
        np.arange(west, east + RESOLUTION, RESOLUTION) + half,
        indexing="ij",
    )
    lon, lat = lon.ravel(), lat.ravel()
    boxes = shapely.box(lon - half, lat - half, lon + half, lat + half)
    shapely.prepare(land)
    fraction = shapely.contains_properly(land, boxes).astype(float)
    edge = (fraction == 0) & shapely.intersects(land, boxes)
    fraction[edge] = shapely.area(shapely.intersection(boxes[edge], land)) / RESOLUTION**2
    cells = pd.DataFrame({"lon": lon, "lat": lat, "land_fraction": fraction.round(4), "cell_area": cell_area(lat)})
    return cells[fraction >= min_fraction].reset_index(drop=True)


def cells_at(lon: ArrayLike, lat: ArrayLike, grid, tolerance: float = 0.5) -> tuple[NDArray, NDArray]:
    """Land cell of each position, and how far outside that cell the position lies.

    Positions `lon`, `lat` (n,) and centres of the land cells in `grid` are in degrees. A position in the sea or a lake
    takes the nearest land cell if that cell's edge is no farther than the `tolerance`, degrees. The cell, (n,), is a
    0-based index, -1 where no land cell is so near or the position is missing; the distance, (n,) degrees, is the
    greater coordinate difference to the nearest land cell's edge, 0 inside and NaN if missing.
    """
    position = np.column_stack([np.asarray(lon, float), np.asarray(lat, float)])
    cell = np.full(len(position), -1)
    distance = np.full(len(position), np.nan)
    known = np.isfinite(position).all(axis=1)
    centre = np.column_stack([np.asarray(grid["lon"], float), np.asarray(grid["lat"], float)])
    # Cells at 180 degrees lie on both sides of it.
    seam = np.flatnonzero(np.abs(centre[:, 0]) > 180.0 - RESOLUTION - tolerance)
    beyond = centre[seam] - np.column_stack([360.0 * np.sign(centre[seam, 0]), np.zeros(seam.size)])
    # In the maximum norm the nearest centre is the centre of the cell a position lies in.
    away, nearest = cKDTree(np.concatenate([centre, beyond])).query(position[known], p=np.inf)
    nearest = np.append(np.arange(len(centre)), seam)[nearest]
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
    attributes = {"Conventions": "CF-1.11", "title": "Land cells of the study", "resolution_degrees": RESOLUTION}
    return grid.set_coords(["lon", "lat"]).assign_attrs(attributes)


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

    A profile off the land takes the nearest land cell within the `tolerance`, degrees. An InputError when more profiles
    lie on the land with longitude and latitude exchanged, or none does.
    """
    cell, distance = cells_at(profiles["lon"], profiles["lat"], cells, tolerance)
    on_land = (cell >= 0).sum()
    if on_land <= 0.5 * len(cell):
        exchanged = (cells_at(profiles["lat"], profiles["lon"], cells, tolerance)[0] >= 0).sum()
        if exchanged > on_land:
            raise InputError(
                f"{on_land:,} of {len(cell):,} profiles lie on the study's land cells, and {exchanged:,} would with "
                f"longitude and latitude exchanged; the first is at lon {profiles['lon'].iloc[0]:g}, lat "
                f"{profiles['lat'].iloc[0]:g}. Exchange the two columns in the source."
            )
    if not on_land:
        ends = [f"{name} {x[name].min():g} to {x[name].max():g}" for x in (cells, profiles) for name in ("lon", "lat")]
        raise InputError(
            f"none of {len(cell):,} profiles lies on a land cell of the study: cells reach from {ends[0]}, {ends[1]}; "
            f"profiles from {ends[2]}, {ends[3]}. Give profiles and a grid of the same land."
        )
    reach = RESOLUTION / 2 + tolerance
    box = {name: (cells[name].min() - reach, cells[name].max() + reach) for name in ("lon", "lat")}
    inside = profiles["lon"].between(*box["lon"]) & profiles["lat"].between(*box["lat"])
    # A profile beyond 180 degrees may have a cell on the other side.
    return profiles.assign(in_domain=inside.to_numpy() | (cell >= 0), cell=cell, distance=distance)
