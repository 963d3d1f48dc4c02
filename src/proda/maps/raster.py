"""Land cells in a list and the regular longitude-latitude raster they sit on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from proda.errors import InputError


class Raster(NamedTuple):
    """A regular raster and the place of every cell in it.

    Attributes
    ----------
    lat, lon : numpy.ndarray
        Centres of the rows (south to north) and columns (west to east), degrees.
    row, column : numpy.ndarray of int
        (n_cells,) place of each cell.
    resolution : float
        Width and height of a cell, degrees.
    """

    lat: np.ndarray
    lon: np.ndarray
    row: np.ndarray
    column: np.ndarray
    resolution: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.lat.size, self.lon.size

    @property
    def lat_bounds(self) -> np.ndarray:
        """Edges of the rows, (n_rows, 2), degrees north."""
        return _bounds(self.lat, self.resolution)

    @property
    def lon_bounds(self) -> np.ndarray:
        """Edges of the columns, (n_columns, 2), degrees east."""
        return _bounds(self.lon, self.resolution)


def _bounds(centres: np.ndarray, resolution: float) -> np.ndarray:
    return np.stack([centres - resolution / 2, centres + resolution / 2], axis=1)


def raster_of(grid) -> Raster:
    """Smallest raster that holds every cell of a grid.

    Parameters
    ----------
    grid : xarray.Dataset or pandas.DataFrame
        `lon` and `lat` of the cell centres, degrees; `resolution_degrees` in its attributes (0.5 if absent).

    Raises
    ------
    InputError
        If two cells share a place or a centre lies off the raster.
    """
    lon, lat = np.asarray(grid["lon"], float), np.asarray(grid["lat"], float)
    resolution = float(getattr(grid, "attrs", {}).get("resolution_degrees", 0.5))
    if lon.size == 0:
        raise InputError("the grid has no cells: it needs at least one lon, lat pair")
    row, rows = _places(lat, resolution, "lat")
    column, columns = _places(lon, resolution, "lon")
    if np.unique(row * columns.size + column).size != lon.size:
        raise InputError(f"two cells of the grid share a {resolution} degree place: every cell must be listed once")
    return Raster(rows, columns, row, column, resolution)


def _places(centres: np.ndarray, resolution: float, name: str) -> tuple[np.ndarray, np.ndarray]:
    steps = (centres - centres.min()) / resolution
    place = np.rint(steps).astype(int)
    worst = int(np.argmax(np.abs(steps - place)))
    if abs(steps[worst] - place[worst]) > 1e-3:
        raise InputError(
            f"{name} of cell {worst} is {centres[worst]}, not a multiple of {resolution} degrees from {centres.min()}: "
            "set resolution_degrees in the grid's attributes, or list cell centres"
        )
    return place, centres.min() + resolution * np.arange(place.max() + 1)


def rastered(values: np.ndarray, raster: Raster) -> np.ndarray:
    """Values (..., n_cells) on the raster, (..., n_rows, n_columns), NaN where no cell is."""
    values = np.asarray(values)
    out = np.full((*values.shape[:-1], *raster.shape), np.nan, dtype=np.result_type(values.dtype, np.float32))
    out[..., raster.row, raster.column] = values
    return out
