"""From a regular grid of longitudes and latitudes to places: the nearest cell, or a bilinear mean of the cells around.

Longitudes may run from 0 to 360 or from -180 to 180, latitudes north or south; places may use the other convention.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError

METHODS = ("nearest", "bilinear")


class Sampling(NamedTuple):
    """Which cells of a grid are needed for some places, and how each place is made from them.

    Attributes
    ----------
    row, column : (n_cells,) int
        Indices along latitude and longitude of the cells that are read, each once.
    index : (k, n) int
        Into `row` and `column`; k is 1 (nearest) or 4 (bilinear).
    weight : (k, n)
        Sums to 1 in each place.
    """

    row: NDArray
    column: NDArray
    index: NDArray
    weight: NDArray

    def at_places(self, values: NDArray) -> NDArray:
        """Values (..., n_cells) of the cells as values (..., n) of the places.

        A cell without a value leaves its weight to the others around the place, as at a coast; a place with none of
        them is missing, never zero.
        """
        total = np.zeros((*values.shape[:-1], self.index.shape[1]))
        weight = np.zeros_like(total)
        for index, share in zip(self.index, self.weight, strict=True):
            part = values[..., index]
            known = np.isfinite(part) & (share > 0)
            total += np.where(known, share * np.where(known, part, 0.0), 0.0)
            weight += np.where(known, share, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(weight > 0, total / weight, np.nan)


def nearest_on_axis(axis: ArrayLike, values: ArrayLike, period: float | None = None) -> NDArray:
    """Index of the point of `axis` nearest to each value, the first one on ties, as argmin of the distances has it."""
    axis = np.asarray(axis, float)
    low, high, share = _neighbours(axis, np.asarray(values, float), period)
    first = np.minimum(low, high)
    return np.where(share < 0.5, low, np.where(share > 0.5, high, first))


def sampling(
    grid_lon: ArrayLike, grid_lat: ArrayLike, lon: ArrayLike, lat: ArrayLike, method: str, source: str
) -> Sampling:
    """How places at `lon`, `lat` are made from the cells of a grid.

    Parameters
    ----------
    grid_lon, grid_lat : (n_columns,), (n_rows,), degrees
        Centres of the cells, each in one direction and evenly or unevenly spaced.
    lon, lat : (n,), degrees
    method : "nearest" or "bilinear"
    source : str
        What the grid belongs to, for errors.

    Raises
    ------
    InputError
        When the axes are none, or a place lies farther outside the grid than half a cell.
    """
    if method not in METHODS:
        raise InputError(f"method is {method!r}, expected one of: {', '.join(METHODS)}.")
    grid_lon, grid_lat = _checked_axis(grid_lon, 360.0, "lon", source), _checked_axis(grid_lat, 90.0, "lat", source)
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    _check_covered(grid_lon, grid_lat, lon, lat, source)
    if method == "nearest":
        row, column = nearest_on_axis(grid_lat, lat)[None], nearest_on_axis(grid_lon, lon, 360.0)[None]
        weight = np.ones((1, lat.size))
    else:
        (south, north, up), (west, east, right) = _neighbours(grid_lat, lat), _neighbours(grid_lon, lon, 360.0)
        row, column = np.stack([south, south, north, north]), np.stack([west, east, west, east])
        weight = np.stack([(1 - up) * (1 - right), (1 - up) * right, up * (1 - right), up * right])
    used, index = np.unique(row * grid_lon.size + column, return_inverse=True)
    return Sampling(used // grid_lon.size, used % grid_lon.size, index.reshape(row.shape), weight)


def _neighbours(axis: NDArray, values: NDArray, period: float | None = None) -> tuple[NDArray, NDArray, NDArray]:
    """Indices of the axis points below and above each value, and how far along from the one to the other it lies.

    Beyond an end, or in a gap of the axis wider than its spacing, it is the nearer of the two alone.
    """
    order = np.argsort(np.mod(axis, period) if period else axis, kind="stable")
    points = np.mod(axis, period)[order] if period else axis[order]
    if period:
        values = np.mod(values, period)
        points = np.concatenate([[points[-1] - period], points, [points[0] + period]])
        order = np.concatenate([[order[-1]], order, [order[0]]])
    above = np.clip(np.searchsorted(points, values, side="left"), 1, points.size - 1)
    below = above - 1
    width = points[above] - points[below]
    share = np.clip((values - points[below]) / width, 0.0, 1.0)
    share = np.where(width > 1.5 * np.median(np.abs(np.diff(axis))) + 1e-9, np.round(share), share)
    return order[below], order[above], share


def _checked_axis(axis: ArrayLike, limit: float, name: str, source: str) -> NDArray:
    axis = np.asarray(axis, float)
    if axis.ndim != 1 or axis.size < 2:
        raise InputError(f"{source}: {name} has shape {axis.shape}, expected one axis of at least two cell centres.")
    step = np.diff(axis)
    if not np.isfinite(axis).all() or not ((step > 0).all() or (step < 0).all()):
        raise InputError(f"{source}: {name} does not run in one direction from {axis[0]:g} to {axis[-1]:g}.")
    if np.abs(axis).max() > limit + 1e-6 or (name == "lon" and np.ptp(axis) > 360.0):
        raise InputError(
            f"{source}: {name} runs from {axis.min():g} to {axis.max():g}, expected degrees, at most {limit:g}. "
            "Latitude and longitude exchanged, or metres of a projection?"
        )
    return axis


def _check_covered(grid_lon: NDArray, grid_lat: NDArray, lon: NDArray, lat: NDArray, source: str) -> None:
    missing = ~(np.isfinite(lon) & np.isfinite(lat))
    if missing.any():
        raise InputError(f"place {int(np.argmax(missing))} has no position; {source} cannot be sampled there.")
    spacing_lon, spacing_lat = (float(np.median(np.abs(np.diff(axis)))) for axis in (grid_lon, grid_lat))
    near_lon = grid_lon[nearest_on_axis(grid_lon, lon, 360.0)]
    away_lon = np.abs(np.mod(lon - near_lon + 180.0, 360.0) - 180.0)
    away_lat = np.abs(lat - grid_lat[nearest_on_axis(grid_lat, lat)])
    outside = (away_lon > spacing_lon / 2 + 1e-6) | (away_lat > spacing_lat / 2 + 1e-6)
    if outside.any():
        i = int(np.argmax(outside))
        raise InputError(
            f"{source}: the grid, lon {grid_lon.min():g} to {grid_lon.max():g}, lat {grid_lat.min():g} to "
            f"{grid_lat.max():g}, does not cover {int(outside.sum())} of {outside.size} places; the first is place "
            f"{i} at lon {lon[i]:g}, lat {lat[i]:g}. Use files of the whole domain, or leave these places out."
        )
