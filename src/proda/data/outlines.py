"""Outlines of the conterminous United States, shipped with the repository: nothing is asked of the network."""

from __future__ import annotations

from functools import cache

import geopandas
import shapely

from proda.errors import InputError
from proda.study import repository_root

OUTLINES = "data/outlines/us_states_10m.topojson"

# FIPS codes of what the Census lists as states but which lies outside the conterminous domain.
_ELSEWHERE = {"02", "15", "60", "66", "69", "72", "78"}


@cache
def states() -> geopandas.GeoDataFrame:
    """The 48 conterminous states and the District of Columbia: `id` (FIPS code), `name`, geometry (EPSG:4326).

    Raises
    ------
    InputError
        When the outlines are missing from the repository.
    """
    path = repository_root() / OUTLINES
    if not path.is_file():
        raise InputError(f"{path}: not found. The state outlines come with the repository: restore the file.")
    shapes = geopandas.read_file(path, layer="states", engine="pyogrio").set_crs(4326, allow_override=True)
    shapes = shapes[~shapes["id"].isin(_ELSEWHERE)].sort_values("id", ignore_index=True)
    # Quantised topology leaves self-touching rings; a buffer of zero rebuilds them.
    return shapes.set_geometry(shapes.geometry.buffer(0))


@cache
def land() -> shapely.Geometry:
    """All conterminous states as one geometry, longitude and latitude in degrees."""
    return states().geometry.union_all()
