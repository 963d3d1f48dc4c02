"""The region of a study, the outlines that ship with the repository, and the equal-area projection of an extent."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import geopandas
import numpy as np
import pandas as pd
import shapely
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.study import Study, repository_root, suggestion

STATES = "data/outlines/us_states_10m.topojson"
COUNTRIES = "data/outlines/countries_50m.parquet"
CONTERMINOUS, WORLD = "conterminous-us", "world"  # the land of a study that names no region, and all but Antarctica
RESOLUTION = 0.5  # degrees, unless a study names another
_ELSEWHERE = {"02", "15", "60", "66", "69", "72", "78"}  # FIPS codes outside the conterminous states
_US_BOX = (-125.5, 24.0, -66.0, 50.0)  # west, south, east, north of the conterminous states
_US_ALBERS = "+proj=aea +lat_1=29.5 +lat_2=45.5 +lat_0=23 +lon_0=-96 +datum=NAD83 +units=m"  # EPSG:5070
_NAMES = ("name", "iso_a3", "continent", "subregion")
_ENTRIES = ("land", "outline", "box", "resolution", "sha256")


class Region(NamedTuple):
    """The land of a study."""

    name: str
    land: shapely.Geometry  # longitude and latitude in degrees, -180 to 180
    resolution: float  # side of a land cell, degrees


def study_region(study: Study) -> Region:
    """The region that the [region] table of the study's file names; without one, the conterminous United States.

    `land` is a country, continent or subregion of Natural Earth (name or ISO code), "world", "conterminous-us", or a
    list of them; or `outline` is a file of polygons. `box`, [west, south, east, north] in degrees, cuts it; west > east
    crosses the antimeridian. Raises an InputError for anything else, an outline without a declared coordinate system,
    and a region without land.
    """
    where, table = f"{study.file}: [region]", study.region
    for entry in table:
        if entry not in _ENTRIES:
            raise InputError(f"{where}: unknown entry {entry!r}: {suggestion(entry, _ENTRIES[:-1])}")
    if "land" in table and "outline" in table:
        raise InputError(f"{where} names both land and outline: give one of them, and a box to cut it")
    resolution = table.get("resolution", RESOLUTION)
    parts = 180 / resolution if isinstance(resolution, int | float) and 0.05 <= resolution <= 10 else 0.5
    if abs(parts - round(parts)) > 1e-6:
        raise InputError(f"{where} resolution is {resolution!r}, expected a part of 180 degrees from 0.05 to 10")
    names = table.get("land", WORLD if table else CONTERMINOUS)
    names = [names] if isinstance(names, str) else names
    if "outline" in table:
        land, names = outline_of(study.file.parent / table["outline"]), [Path(table["outline"]).stem]
    elif isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        land = shapely.union_all([named_land(name, where) for name in names])
    else:
        raise InputError(f'{where} land is {names!r}, expected a name or a list of names, such as ["France", "Spain"]')
    if "box" in table:
        land = shapely.intersection(land, box(table["box"], where))
    if land.area == 0:
        raise InputError(f"{where}: there is no land of {', '.join(names)} in the box {table.get('box')}")
    return Region(", ".join(names), land, float(resolution))


def box(corners: Any, where: str) -> shapely.Geometry:
    """[west, south, east, north], degrees, as a geometry: two boxes where it crosses the antimeridian."""
    numbers = isinstance(corners, list) and [type(x) for x in corners if type(x) in (int, float)]
    west, south, east, north = corners if numbers and len(numbers) == len(corners) == 4 else [np.nan] * 4
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90 and west != east):
        raise InputError(
            f"{where} box is {corners!r}, expected [west, south, east, north] in degrees, longitudes from -180 to 180, "
            "latitudes from -90 to 90, south below north; west is greater than east only across the antimeridian"
        )
    if west < east:
        return shapely.box(west, south, east, north)
    return shapely.union(shapely.box(west, south, 180, north), shapely.box(-180, south, east, north))


def named_land(name: str, where: str) -> shapely.Geometry:
    """The land of a name as of `study_region`; `where` begins the InputError for an unknown one."""
    if name in (CONTERMINOUS, WORLD):
        return conterminous_land() if name == CONTERMINOUS else world_land()
    shapes = countries()
    chosen = np.any([shapes[column].str.casefold() == name.casefold() for column in _NAMES], axis=0)
    if not chosen.any():
        known = [CONTERMINOUS, WORLD, *sorted({*shapes["continent"], *shapes["subregion"], *shapes["name"]})]
        raise InputError(f"{where}: no land is called {name!r}: {suggestion(name, known)}")
    return shapes.geometry[chosen].union_all()


def outline_of(path: Path) -> shapely.Geometry:
    """The polygons of a file that GDAL reads, brought to longitude and latitude.

    Raises an InputError when the file cannot be read, declares no coordinate system or holds no polygon.
    """
    try:
        shapes = geopandas.read_file(path).geometry
    except Exception as error:  # GDAL has many
        raise InputError(f"{path}: no outline can be read ({error}). Give GeoJSON, GeoPackage or a shapefile") from None
    if shapes.crs is None:
        raise InputError(
            f"{path} declares no coordinate system, so that its numbers may be degrees or metres: add the .prj "
            "file, or write it again with geopandas: shapes.set_crs(EPSG code).to_file(...)"
        )
    shapes = shapes[shapes.geom_type.isin(["Polygon", "MultiPolygon"])].to_crs(4326)
    land = shapely.make_valid(shapes.union_all())
    west, south, east, north = land.bounds if not land.is_empty else [np.nan] * 4
    if not (-180.001 <= west < east <= 180.001 and -90.001 <= south < north <= 90.001):
        raise InputError(
            f"{path}: expected polygons of longitudes from -180 to 180 and latitudes from -90 to 90 degrees, found "
            f"{len(shapes)} polygons, lon {west:g} to {east:g}, lat {south:g} to {north:g}"
        )
    return land


@cache
def countries() -> geopandas.GeoDataFrame:
    """Countries without their large lakes: `name`, `iso_a3`, `continent`, `subregion`, geometry (EPSG:4326)."""
    return geopandas.read_parquet(repository_root() / COUNTRIES)


@cache
def _all_states() -> geopandas.GeoDataFrame:
    path = repository_root() / STATES
    shapes = geopandas.read_file(path, layer="states", engine="pyogrio").set_crs(4326, allow_override=True)
    # Quantised topology leaves self-touching rings; a buffer of zero rebuilds them.
    return shapes.set_geometry(shapes.geometry.buffer(0)).sort_values("id", ignore_index=True)


@cache
def states() -> geopandas.GeoDataFrame:
    """The 48 conterminous states and the District of Columbia: `id` (FIPS code), `name`, geometry (EPSG:4326)."""
    return _all_states()[~_all_states()["id"].isin(_ELSEWHERE)].reset_index(drop=True)


@cache
def conterminous_land() -> shapely.Geometry:
    return states().geometry.union_all()


@cache
def world_land() -> shapely.Geometry:
    return countries().geometry[countries()["continent"] != "Antarctica"].union_all()


@cache
def borders() -> geopandas.GeoSeries:
    """All countries, the United States by state, for maps."""
    abroad = countries().geometry[countries()["iso_a3"] != "USA"]
    return pd.concat([abroad, _all_states().geometry], ignore_index=True)


def continuous(lon: ArrayLike) -> NDArray[np.float64]:
    """Longitudes, degrees, from 0 to 360 where these span less than half as much: across the antimeridian."""
    lon = np.asarray(lon, float)
    eastward = np.mod(lon, 360.0)
    return eastward if 2 * np.ptp(eastward) < np.ptp(lon) else lon


def is_conterminous(lon: ArrayLike, lat: ArrayLike) -> bool:
    """Whether all places lie about the conterminous United States, the region of Tao et al. 2020."""
    west, south, east, north = _US_BOX
    return bool(np.all((lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)))


def equal_area(lon: ArrayLike, lat: ArrayLike) -> str:
    """The equal-area projection, for PROJ, of the extent of places (degrees).

    Albers conic in middle latitudes, Lambert azimuthal about a pole, across the equator and for wide regions, Equal
    Earth for more than a hemisphere.
    """
    lon, lat = continuous(np.asarray(lon)[np.isfinite(lon)]), np.asarray(lat)[np.isfinite(lat)]
    if is_conterminous(lon, lat):
        return _US_ALBERS
    (west, east), (south, north) = ((np.floor(x.min()), np.ceil(x.max())) for x in (lon, lat))
    middle, centre, height = (west + east) / 2, (south + north) / 2, north - south
    if height > 110 or east - west > 180 and abs(centre) < 50:
        return f"+proj=eqearth +lon_0={middle if east - west < 300 else 0:g} +datum=WGS84 +units=m"
    if abs(centre) > 65 or south < -5 < 5 < north or abs(centre) < 10 or height > 60:
        pole = 90 * np.sign(centre) if east - west > 180 else centre
        return f"+proj=laea +lat_0={pole:g} +lon_0={middle:g} +datum=WGS84 +units=m"
    parallels = f"+lat_1={south + height / 6:g} +lat_2={north - height / 6:g}"
    return f"+proj=aea {parallels} +lat_0={centre:g} +lon_0={middle:g} +datum=WGS84 +units=m"
