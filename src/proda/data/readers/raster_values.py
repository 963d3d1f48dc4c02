"""A map at places, and a map summed up over the cells of the study's grid: means of numbers, majorities of classes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyproj
from numpy.typing import ArrayLike, NDArray

from proda.data.readers.raster import DEGREES, Raster

TILE = 512  # pixels; places are read tile by tile
STRIP_PIXELS = 8_000_000
FINEST = 120  # pixels along the edge of a cell when a projected map is brought to degrees


def values_at(raster: Raster, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.float64]:
    """The pixel each place lies in, (n,); NaN where the map has none or no value."""
    row, column = _pixels(raster, np.asarray(lon, float), np.asarray(lat, float))
    inside = (row >= 0) & (row < raster.shape[0]) & (column >= 0) & (column < raster.shape[1])
    result = np.full(row.size, np.nan)
    chosen = np.flatnonzero(inside)
    tile = (row[chosen] // TILE) * (raster.shape[1] // TILE + 1) + column[chosen] // TILE
    order = np.argsort(tile, kind="stable")
    for group in np.split(chosen[order], np.flatnonzero(np.diff(tile[order])) + 1):
        if group.size:
            top, left = int(row[group].min()), int(column[group].min())
            block = raster.block(slice(top, int(row[group].max()) + 1), slice(left, int(column[group].max()) + 1))
            result[group] = block[row[group] - top, column[group] - left]
    return result


def cell_means(raster: Raster, lon: ArrayLike, lat: ArrayLike, resolution: float) -> NDArray[np.float64]:
    """Mean over the pixels with a value in each cell, weighted by area, (n,); NaN in a cell without any.

    Parameters
    ----------
    lon, lat : (n,), degrees
        Centres of cells of a regular grid of `resolution` degrees. A map coarser than the cells gives each the pixel
        its centre lies in.
    """
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    if _coarser(raster, resolution):
        return values_at(raster, lon, lat)
    total, weight = np.zeros(lon.size), np.zeros(lon.size)
    for cell, value, area in _pixels_in_cells(raster, lon, lat, resolution):
        total += np.bincount(cell, value * area, lon.size)
        weight += np.bincount(cell, area, lon.size)
    with np.errstate(invalid="ignore"):
        return np.where(weight > 0, total / weight, np.nan)


def cell_majorities(raster: Raster, lon: ArrayLike, lat: ArrayLike, resolution: float) -> NDArray[np.float64]:
    """The most frequent class in each cell, the lowest on ties, (n,); NaN in a cell without any."""
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    if _coarser(raster, resolution):
        return values_at(raster, lon, lat)
    cell, code, pixels = _code_counts(raster, lon, lat, resolution)
    result = np.full(lon.size, np.nan)
    order = np.lexsort((-code, pixels, cell))  # the last of each cell has most pixels and, on ties, the lowest code
    last = np.flatnonzero(np.diff(np.append(cell[order], -1)))
    result[cell[order][last]] = code[order][last]
    return result


def cell_code_shares(
    raster: Raster, lon: ArrayLike, lat: ArrayLike, resolution: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Which codes each cell holds and how many pixels of each: cell, code, pixels, all (n_pairs,).

    In a map coarser than the cells it is the code at each cell's centre, one pixel.
    """
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    if _coarser(raster, resolution):
        value = values_at(raster, lon, lat)
        known = np.flatnonzero(np.isfinite(value))
        return known, np.round(value[known]).astype(np.int64), np.ones(known.size)
    return _code_counts(raster, lon, lat, resolution)


def _code_counts(raster: Raster, lon: NDArray, lat: NDArray, resolution: float) -> tuple[NDArray, NDArray, NDArray]:
    """Cell, code and pixels of every pair that occurs, sorted by cell and code."""
    parts = []
    for cell, value, _ in _pixels_in_cells(raster, lon, lat, resolution):
        pair = pd.Series(1, pd.MultiIndex.from_arrays([cell, np.round(value).astype(np.int64)]))
        parts.append(pair.groupby(level=[0, 1]).sum())
    if not parts:
        return np.empty(0, int), np.empty(0, int), np.empty(0)
    counts = pd.concat(parts).groupby(level=[0, 1]).sum()
    cell, code = (counts.index.get_level_values(i).to_numpy(np.int64) for i in (0, 1))
    return cell, code, counts.to_numpy(float)


def _coarser(raster: Raster, resolution: float) -> bool:
    return raster.in_degrees and max(abs(raster.transform.a), abs(raster.transform.e)) > resolution


def _pixels(raster: Raster, lon: NDArray, lat: NDArray) -> tuple[NDArray, NDArray]:
    """Row and column of each place, possibly outside the map; -1 for a place that the projection does not know."""
    if raster.in_degrees:
        x, y = raster.transform.c + np.mod(lon - raster.transform.c, 360.0), lat
    else:
        x, y = pyproj.Transformer.from_crs(DEGREES, raster.crs, always_xy=True).transform(lon, lat)
    known = np.isfinite(x) & np.isfinite(y)
    column = np.where(known, np.floor((np.where(known, x, 0) - raster.transform.c) / raster.transform.a), -1)
    row = np.where(known, np.floor((np.where(known, y, 0) - raster.transform.f) / raster.transform.e), -1)
    return row.astype(np.int64), column.astype(np.int64)


def _pixels_in_cells(
    raster: Raster, lon: NDArray, lat: NDArray, resolution: float
) -> Iterator[tuple[NDArray, NDArray, NDArray]]:
    """Cell, value and relative area of the pixels whose centres lie in a cell, a strip of the map at a time."""
    half = resolution / 2
    west, east, south, north = lon.min() - half, lon.max() + half, lat.min() - half, lat.max() + half
    if not raster.in_degrees:
        metres = max(abs(raster.transform.a), abs(raster.transform.e))
        along = int(np.clip(round(resolution * 111_320.0 / metres), 1, FINEST))
        raster.warp_to_degrees(west, south, east, north, resolution / along)
    a, c, e, f = raster.transform.a, raster.transform.c, raster.transform.e, raster.transform.f
    cells = np.full((round((north - south) / resolution), round((east - west) / resolution)), -1)
    cells[((lat - south) / resolution).astype(int), ((lon - west) / resolution).astype(int)] = np.arange(lon.size)

    pixel_lon = west + np.mod(c + a * (np.arange(raster.shape[1]) + 0.5) - west, 360.0)
    pixel_lat = f + e * (np.arange(raster.shape[0]) + 0.5)
    rows = np.flatnonzero((pixel_lat > south) & (pixel_lat < north))
    columns = np.flatnonzero(pixel_lon < east)
    if not rows.size or not columns.size:
        return
    runs = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    for run in runs:
        x = np.minimum(((pixel_lon[run] - west) / resolution).astype(int), cells.shape[1] - 1)
        step = max(1, STRIP_PIXELS // run.size)
        for begin in range(0, rows.size, step):
            strip = rows[begin : begin + step]
            y = np.minimum(((pixel_lat[strip] - south) / resolution).astype(int), cells.shape[0] - 1)
            cell = cells[np.ix_(y, x)]
            if (cell < 0).all():
                continue
            block = raster.block(slice(strip[0], strip[-1] + 1), slice(run[0], run[-1] + 1))
            area = np.broadcast_to(np.cos(np.radians(pixel_lat[strip]))[:, None], block.shape)
            used = (cell >= 0) & np.isfinite(block)
            yield cell[used], block[used], area[used]
