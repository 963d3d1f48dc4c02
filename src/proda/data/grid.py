"""The grid of land cells, and the cell in which each profile lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from proda.data.files import read_dataset
from proda.data.region import RESOLUTION, continuous
from proda.errors import InputError

EARTH_RADIUS = 6_371_007.2  # m; the sphere with the area of the WGS84 ellipsoid
AREA_TOLERANCE = 0.02  # relative; areas on the ellipsoid and on the sphere differ by under 1 %
_ATTRIBUTES = {
    "lon": {"standard_name": "longitude", "units": "degrees_east", "long_name": "longitude of the cell centre"},
    "lat": {"standard_name": "latitude", "units": "degrees_north", "long_name": "latitude of the cell centre"},
    "land_fraction": {"standard_name": "land_area_fraction", "units": "1"},
    "cell_area": {"standard_name": "cell_area", "units": "m2", "long_name": "area of the whole cell, land and water"},
    "land_cover": {"units": "1", "long_name": "IGBP land-cover class"},
    "sand_percent": {"long_name": "sand in the top soil, by mass", "units": "%"},
}


def resolution_of(grid: Any) -> float:
    """Side of the cells of a grid, degrees: its attribute `resolution_degrees`."""
    return float(getattr(grid, "attrs", {}).get("resolution_degrees", RESOLUTION))


def cell_area(lat: ArrayLike, resolution: float = RESOLUTION) -> NDArray:
    """Area of cells of `resolution` degrees centred at `lat` (degrees) on the sphere, m2."""
    half = np.radians(resolution / 2)
    return EARTH_RADIUS**2 * 2 * half * (np.sin(np.radians(lat) + half) - np.sin(np.radians(lat) - half))


def land_cells(land: shapely.Geometry, resolution: float = RESOLUTION, min_fraction: float = 0.25) -> pd.DataFrame:
    """Cells of which at least `min_fraction` is land: lon, lat, land_fraction, cell_area (m2), south to north.

    Fractions are of areas in degrees, which within one cell of half a degree differ from true ones by under 0.5 %. The
    attribute `resolution_degrees` of the table is the `resolution`.
    """
    west, south, east, north = np.floor(np.array(land.bounds) / resolution + 1e-9) * resolution
    half = resolution / 2
    lat, lon = np.meshgrid(
        np.arange(south, min(north + half, 90.0 - half), resolution) + half,
        np.arange(west, min(east + half, 180.0 - half), resolution) + half,
        indexing="ij",
    )
    lon, lat = lon.ravel(), lat.ravel()
    boxes = shapely.box(lon - half, lat - half, lon + half, lat + half)
    parts, tree, fraction = np.array(_pieces(land)), shapely.STRtree(boxes), np.zeros(lon.size)
    fraction[tree.query(parts, predicate="contains_properly")[1]] = 1.0
    part, cell = tree.query(parts, predicate="intersects")
    part, cell = part[edge := fraction[cell] == 0], cell[edge]
    np.add.at(fraction, cell, shapely.area(shapely.intersection(boxes[cell], parts[part])) / resolution**2)
    area = cell_area(lat, resolution)
    cells = pd.DataFrame({"lon": lon, "lat": lat, "land_fraction": fraction.round(4), "cell_area": area})
    cells = cells[fraction >= min_fraction].reset_index(drop=True)
    if cells.empty:
        west, south, east, north = land.bounds
        raise InputError(
            f"no cell of {resolution:g} degrees has {min_fraction:.0%} of land in the region, lon {west:g} to "
            f"{east:g}, lat {south:g} to {north:g}: choose a larger region or smaller cells ([region] resolution)"
        )
    cells.attrs["resolution_degrees"] = resolution
    return cells


def _pieces(land: shapely.Geometry, most: int = 300) -> list[shapely.Geometry]:
    """The land in parts of few corners each: an intersection of a cell with all of it would walk along every coast."""
    if shapely.get_num_coordinates(land) <= most:
        return [land]
    parts = list(shapely.get_parts(land))
    if len(parts) == 1:
        west, south, east, north = land.bounds
        x, y = (west + east) / 2, (south + north) / 2
        halves = ((west, south, x, north), (x, south, east, north))
        if north - south > east - west:
            halves = ((west, south, east, y), (west, y, east, north))
        parts = [shapely.intersection(land, shapely.box(*half)) for half in halves]
    return [piece for part in parts for piece in _pieces(part, most)]


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
    centres = np.column_stack([np.mod(np.asarray(grid["lon"], float), 360.0), np.asarray(grid["lat"], float)])
    position[:, 0] = np.mod(position[:, 0], 360.0)
    tree = cKDTree(centres, boxsize=[360.0, 0.0])
    # In the maximum norm the nearest centre is the centre of the cell a position lies in.
    away, nearest = tree.query(position[known], p=np.inf)
    distance[known] = np.maximum(away - resolution_of(grid) / 2, 0.0)
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
    attributes = {"Conventions": "CF-1.11", "title": "Land cells of the study"}
    attributes["resolution_degrees"] = resolution_of(cells)
    return grid.set_coords(["lon", "lat"]).assign_attrs(attributes)


def read_grid(path: Path | str) -> xr.Dataset:
    """`grid.nc` of a study folder, in memory."""
    return read_dataset(path, dict.fromkeys(_ATTRIBUTES, ("cell",)))


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
    reach, lon = resolution_of(cells) / 2 + tolerance, continuous(cells["lon"])
    middle, half_width = (lon.min() + lon.max()) / 2, np.ptp(lon) / 2 + reach
    inside = np.abs(np.mod(profiles["lon"] - middle + 180.0, 360.0) - 180.0) <= half_width
    inside &= profiles["lat"].between(cells["lat"].min() - reach, cells["lat"].max() + reach)
    return profiles.assign(in_domain=inside.to_numpy(), cell=cell, distance=distance)
