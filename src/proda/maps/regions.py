"""Regions of the conterminous United States that the paper speaks of: groups of states cut by meridians and parallels.

They are approximations: physiographic regions do not end at the borders of states, and the paper draws no borders for
"around the Great Lakes". They overlap, since its statements do.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import geopandas
import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from proda.data import outlines
from proda.errors import InputError

_EQUAL_AREA = "EPSG:5070"
_NORTHEAST = (
    "Maine", "New Hampshire", "Vermont", "Massachusetts", "Rhode Island", "Connecticut", "New York", "New Jersey",
    "Pennsylvania",
)  # fmt: skip


class Region(NamedTuple):
    """Parts of `states` between two meridians and two parallels (degrees)."""

    states: tuple[str, ...]
    west: float = -180.0
    east: float = 180.0
    south: float = -90.0
    north: float = 90.0

    @property
    def words(self) -> str:
        """The region in words: its states, and where they are cut."""
        cuts = [
            f"{where} {abs(limit):g}°{letter}"
            for where, limit, whole, letter in (
                ("east of", self.west, -180.0, "W"),
                ("west of", self.east, 180.0, "W"),
                ("north of", self.south, -90.0, "N"),
                ("south of", self.north, 90.0, "N"),
            )
            if limit != whole
        ]
        return "; ".join([", ".join(self.states), " and ".join(cuts)] if cuts else [", ".join(self.states)])


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
    found = np.empty(lon.size, dtype=object)
    found[which] = states["name"].to_numpy()[state]
    return found


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


@cache
def region_shapes() -> geopandas.GeoSeries:
    """The outline of every region, by name, longitude and latitude in degrees."""
    states = outlines.states().set_index("name").geometry
    return geopandas.GeoSeries(
        {
            name: shapely.intersection(
                states[list(region.states)].union_all(),
                shapely.box(region.west, region.south, region.east, region.north),
            )
            for name, region in REGIONS.items()
        },
        crs=4326,
    )
