"""A map in a file, GeoTIFF or NetCDF, as blocks of numbers: missing is NaN, whatever the file marks it with.

A map at places, and a map summed up over the cells of the study's grid: means of numbers, majorities of classes.

From a regular grid of longitudes and latitudes to places: the nearest cell, or a bilinear mean of the cells around.

Longitudes may run from 0 to 360 or from -180 to 180, latitudes north or south; places may use the other convention.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import netCDF4
import numpy as np
import pandas as pd
import pyproj
import rasterio
from numpy.typing import ArrayLike, NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from proda.errors import InputError

DEGREES = pyproj.CRS.from_epsg(4326)
_LON_NAMES, _LAT_NAMES = ("lon", "longitude", "x"), ("lat", "latitude", "y")


class Raster:
    """A map of one variable; use as a context manager.

    Parameters
    ----------
    path : path
        `.nc` and `.nc4` are read as NetCDF with axes of longitude and latitude, anything else by GDAL.
    variable : str, optional
        Of a NetCDF file; not needed where there is only one on both axes.
    missing : numbers
        Stored values that mean "missing", besides those the file declares.
    valid : (float, float), optional
        Least and greatest stored value that means anything; others are missing.

    Attributes
    ----------
    shape : (rows, columns)
    transform : Affine
        From (column, row) of pixel corners to coordinates.
    crs : pyproj.CRS
    """

    def __init__(
        self,
        path: Path | str,
        variable: str | None = None,
        missing: Iterable[float] = (),
        valid: tuple[float, float] | None = None,
    ):
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"{path}: no such file; expected a map as GeoTIFF or NetCDF.")
        self.missing, self.valid = tuple(missing), valid
        self._netcdf = self.path.suffix in (".nc", ".nc4")
        try:
            self._file = netCDF4.Dataset(self.path) if self._netcdf else rasterio.open(self.path)
        except (OSError, RasterioError) as error:
            raise InputError(
                f"{path}: not a readable map ({str(error).splitlines()[0]}). Broken off in transfer?"
            ) from None
        self._source = self._file
        if self._netcdf:
            self._describe_netcdf(variable)
        else:
            self._describe_geotiff()

    def __enter__(self) -> Raster:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._source is not self._file:
            self._source.close()
        self._file.close()

    @property
    def in_degrees(self) -> bool:
        """Whether rows and columns run along latitude and longitude."""
        return self.crs.is_geographic

    def block(self, rows: slice, columns: slice) -> NDArray[np.float64]:
        """Pixels of a window, (n_rows, n_columns), missing ones NaN."""
        try:
            if self._netcdf:
                stored = self._source[self._variable][rows, columns]
                values = np.ma.filled(np.ma.asarray(stored).astype(np.float64), np.nan)
            else:
                window = Window(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
                values = self._source.read(1, window=window, masked=True).astype(np.float64).filled(np.nan)
        except (OSError, RuntimeError, RasterioError) as error:
            raise InputError(f"{self.path}: cannot be read ({str(error).splitlines()[0]}). Broken off?") from None
        for code in self.missing:
            values[values == code] = np.nan
        if self.valid is not None:
            values[(values < self.valid[0]) | (values > self.valid[1])] = np.nan
        return values

    def warp_to_degrees(self, west: float, south: float, east: float, north: float, step: float) -> None:
        """From now on be the map on pixels of `step` degrees between these bounds, each the nearest of the file's."""
        width, height = round((east - west) / step), round((north - south) / step)
        self._source = WarpedVRT(
            self._file,
            crs="EPSG:4326",
            transform=Affine(step, 0, west, 0, -step, north),
            width=width,
            height=height,
            resampling=Resampling.nearest,
            nodata=self._file.nodata,
            add_alpha=self._file.nodata is None,
        )
        self.transform, self.shape, self.crs = self._source.transform, (height, width), DEGREES

    def _describe_geotiff(self) -> None:
        file = self._file
        if file.crs is None:
            raise InputError(f"{self.path}: no coordinate reference system; the map cannot be placed. Set it first.")
        if file.count != 1:
            raise InputError(f"{self.path}: {file.count} bands, expected one. Give one file a variable.")
        if (file.scales[0], file.offsets[0]) != (1.0, 0.0):
            raise InputError(
                f"{self.path}: declares a scale of {file.scales[0]:g} and an offset of {file.offsets[0]:g}, expected "
                "none: stored values are scaled by the reader. Save it as distributed by its makers."
            )
        if file.transform.b or file.transform.d:
            raise InputError(f"{self.path}: the map is turned against north; expected rows and columns along the axes.")
        self.transform, self.shape = file.transform, file.shape
        self.crs = pyproj.CRS.from_wkt(file.crs.to_wkt())
        self._check_latitudes()

    def _describe_netcdf(self, variable: str | None) -> None:
        file = self._file
        lon = next((name for name in file.variables if name.lower() in _LON_NAMES), None)
        lat = next((name for name in file.variables if name.lower() in _LAT_NAMES), None)
        if lon is None or lat is None:
            raise InputError(f"{self.path}: no axes of longitude and latitude; it has {', '.join(file.variables)}.")
        maps = [name for name, v in file.variables.items() if v.dimensions == (lat, lon)]
        if variable is None and len(maps) != 1:
            raise InputError(f"{self.path}: maps on (lat, lon): {', '.join(maps) or 'none'}; say which variable.")
        if variable is not None and variable not in maps:
            raise InputError(
                f"{self.path}: no variable {variable!r} on (lat, lon); it has {', '.join(maps) or 'none'}."
            )
        self._variable = variable or maps[0]
        x, y = (np.asarray(file[axis][:], float) for axis in (lon, lat))
        dx, dy = ((axis[-1] - axis[0]) / (axis.size - 1) for axis in (x, y))
        for name, axis, step in ((lon, x, dx), (lat, y, dy)):
            if not np.allclose(np.diff(axis), step, rtol=1e-3):
                raise InputError(f"{self.path}: {name} is not evenly spaced; expected a regular grid.")
        self.transform = Affine(dx, 0, x[0] - dx / 2, 0, dy, y[0] - dy / 2)
        self.shape, self.crs = (y.size, x.size), DEGREES
        self._check_latitudes()

    def _check_latitudes(self) -> None:
        """Refuse a map in degrees that reaches beyond the poles by more than a pixel."""
        top, step, rows = self.transform.f, self.transform.e, self.shape[0]
        ends = sorted((top, top + rows * step))
        if self.in_degrees and (ends[0] < -90 - abs(step) or ends[1] > 90 + abs(step)):
            raise InputError(
                f"{self.path}: the map reaches from {ends[0]:g} to {ends[1]:g} degrees north, expected -90 to 90. Are "
                "longitude and latitude exchanged?"
            )

    @property
    def unit(self) -> str | None:
        """The attribute `units` of a NetCDF variable."""
        return getattr(self._file[self._variable], "units", None) if self._netcdf else None


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


def nearest_index(axis: ArrayLike, values: ArrayLike, period: float | None = None) -> NDArray[np.int64]:
    """Index of the point of `axis` nearest to each value, the first on ties; `period` 360 for longitudes."""
    away = np.abs(np.asarray(axis, float) - np.asarray(values, float)[..., None])
    return (away if period is None else np.minimum(away % period, -away % period)).argmin(axis=-1)


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
