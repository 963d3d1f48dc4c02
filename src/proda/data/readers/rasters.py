"""Values of a map, GeoTIFF or NetCDF, at places and over the cells of the study's grid.

Stored values become numbers in the unit of the layer, missing ones NaN, before anything is averaged, and a value that
the layer cannot have is an error. Over a cell, a map is read on pixels that divide the cell, each the nearest of the
map's own; a projected map is brought to them by GDAL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyproj
import rasterio
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.transform import Affine
from rasterio.warp import reproject, transform_bounds
from rasterio.windows import Window
from scipy.stats import mode

from proda.errors import InputError

DEGREES = "EPSG:4326"
TILE = 512  # pixels; places are read tile by tile
FINEST = 240  # pixels along the edge of a cell, at most; 250 m in half a degree
_LON_NAMES, _LAT_NAMES = ("lon", "longitude", "x"), ("lat", "latitude", "y")


class Layer(NamedTuple):
    """One variable of a map file.

    Attributes
    ----------
    name : str
        The covariate.
    pattern : str
        Of the file's name, for `Path.glob`; resolution and ending may vary.
    unit : str
    least, greatest : float
        Plausible, in that unit.
    factor : float, optional
        From the whole numbers that the file stores to `unit`; None takes the scale and offset that the file declares.
    missing : tuple
        Stored values that mean "missing" besides the declared one.
    classes : bool
        Whether the values are classes, which have majorities and no means.
    valid : (float, float), optional
        Least and greatest stored value that is no code for "missing".
    hint : str
        What is likely when a value is not plausible.
    """

    name: str
    pattern: str
    unit: str
    least: float
    greatest: float
    factor: float | None = None
    missing: tuple[float, ...] = ()
    classes: bool = False
    valid: tuple[float, float] | None = None
    hint: str = ""


def map_values(
    path: Path | str,
    layer: Layer,
    lon: ArrayLike,
    lat: ArrayLike,
    resolution: float | None = None,
    convert: Callable[[NDArray], NDArray] | None = None,
) -> NDArray[np.float64]:
    """Values of a map in the layer's unit, (n,); NaN where it has none.

    Parameters
    ----------
    lon, lat : (n,), degrees
        Of places, or centres of the cells of a regular grid.
    resolution : float, degrees, optional
        Edge of the cells. A cell takes the mean over its pixels with a value, by area, or the most frequent class, the
        lowest on ties. Without it a place takes the pixel it lies in.
    convert : callable, optional
        Stored values -> values in the layer's unit, in the place of the layer's factor.

    Raises
    ------
    InputError
        When the file is no map that can be placed on the globe, holds no value at any place, or one that the layer
        cannot have.
    """
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    try:
        with _opened(Path(path)) as file:
            if resolution is None:
                values = _cleaned(path, layer, file, _at_places(file, lon, lat), convert)
            else:
                values = _over_cells(path, layer, file, lon, lat, resolution, convert)
    except RasterioError as error:
        raise InputError(f"{path}: cannot be read as a map ({error}). Broken off in transfer?") from None
    if not np.isfinite(values).any():
        raise InputError(
            f"{path}: {layer.name} has no value at any of the {values.size} places. A map of another region, or "
            "longitudes and latitudes exchanged?"
        )
    return values


def nearest_index(axis: ArrayLike, values: ArrayLike, period: float | None = None) -> NDArray[np.int64]:
    """Index of the point of `axis` nearest to each value, the first on ties; `period` 360 for longitudes."""
    away = np.abs(np.asarray(axis, float) - np.asarray(values, float)[..., None])
    return (away if period is None else np.minimum(away % period, -away % period)).argmin(axis=-1)


@contextmanager
def _opened(path: Path) -> Iterator[rasterio.DatasetReader]:
    """The map as a rasterio dataset, once it has one band, axes along north and a place on the globe."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a map as GeoTIFF or NetCDF.")
    with ExitStack() as stack:
        memory = stack.enter_context(_from_netcdf(path)) if path.suffix in (".nc", ".nc4") else None
        file = stack.enter_context(memory.open() if memory else rasterio.open(path))
        if file.crs is None:
            raise InputError(f"{path}: no coordinate reference system; the map cannot be placed. Set it first.")
        if file.count != 1:
            raise InputError(f"{path}: {file.count} bands, expected one. Give one file a variable.")
        if file.transform.b or file.transform.d:
            raise InputError(f"{path}: the map is turned against north; expected rows and columns along the axes.")
        top, step = file.transform.f, file.transform.e
        low, high = sorted((top, top + file.height * step))
        if file.crs.is_geographic and (low < -90 - abs(step) or high > 90 + abs(step)):
            raise InputError(
                f"{path}: the map reaches from {low:g} to {high:g} degrees north, expected -90 to 90. Are longitude "
                "and latitude exchanged?"
            )
        yield file


def _from_netcdf(path: Path) -> MemoryFile:
    """The one variable of a NetCDF file on longitude and latitude as a GeoTIFF in memory."""
    try:
        with xr.open_dataset(path, decode_times=False, engine="netcdf4") as content:
            names = {axis.lower(): axis for axis in map(str, content.variables)}
            lon, lat = (next((names[n] for n in known if n in names), "") for known in (_LON_NAMES, _LAT_NAMES))
            maps = [str(name) for name in content.data_vars if lon and content[name].dims == (lat, lon)]
            if len(maps) != 1:
                raise InputError(
                    f"{path}: {len(maps)} variables on (latitude, longitude) {maps}, expected one. Give one file a "
                    "variable."
                )
            values = content[maps[0]].to_numpy().astype(np.float64)
            x, y = (content[axis].to_numpy().astype(float) for axis in (lon, lat))
    except OSError as error:
        raise InputError(f"{path}: cannot be read as a NetCDF map ({error}). Broken off in transfer?") from None
    dx, dy = ((axis[-1] - axis[0]) / (axis.size - 1) for axis in (x, y))
    if not (np.allclose(np.diff(x), dx, rtol=1e-3) and np.allclose(np.diff(y), dy, rtol=1e-3)):
        raise InputError(f"{path}: longitudes or latitudes are not evenly spaced; expected a regular grid.")
    profile = {"driver": "GTiff", "height": y.size, "width": x.size, "count": 1, "dtype": "float64", "nodata": np.nan}
    memory = MemoryFile()
    with memory.open(**profile, crs=DEGREES, transform=Affine(dx, 0, x[0] - dx / 2, 0, dy, y[0] - dy / 2)) as file:
        file.write(values, 1)
    return memory


def _cleaned(path: Path | str, layer: Layer, file: rasterio.DatasetReader, stored: NDArray, convert) -> NDArray:
    """Stored values in the layer's unit, codes for "missing" as NaN."""
    stored = np.where(np.isin(stored, layer.missing), np.nan, stored)
    if layer.valid is not None:
        stored = np.where((stored < layer.valid[0]) | (stored > layer.valid[1]), np.nan, stored)
    if convert is not None:
        values = convert(stored)
    elif layer.factor is None:
        values = stored * file.scales[0] + file.offsets[0]
    elif np.issubdtype(file.dtypes[0], np.floating):
        raise InputError(
            f"{path}: {layer.name} is stored as {file.dtypes[0]}, expected whole numbers that times {layer.factor:g} "
            f"are in {layer.unit}. Scaled already, or resampled? Bring it to {layer.unit} and name it {layer.name}.tif."
        )
    else:
        values = stored * layer.factor
    bad = (values < layer.least) | (values > layer.greatest)
    if bad.any():
        raise InputError(
            f"{path}: {layer.name} is {values[bad][0]:g} {layer.unit} in a pixel, expected {layer.least:g} to "
            f"{layer.greatest:g} ({int(bad.sum())} of {values.size} pixels). Hint: "
            f"{layer.hint or 'a fill value that the file does not declare?'}"
        )
    return values


def _pixels(file: rasterio.DatasetReader, lon: NDArray, lat: NDArray) -> tuple[NDArray, NDArray]:
    """Row and column of the pixels that positions in degrees lie in; -1, or beyond the last, where the map has none."""
    if file.crs.is_geographic:
        x, y = file.transform.c + np.mod(lon - file.transform.c, 360.0), lat
    else:
        x, y = pyproj.Transformer.from_crs(DEGREES, file.crs.to_wkt(), always_xy=True).transform(lon, lat)
    known = np.isfinite(x) & np.isfinite(y)
    row, column = _row_column(file, np.where(known, x, 0.0), np.where(known, y, 0.0))
    return np.where(known, row, -1), np.where(known, column, -1)


def _row_column(file: rasterio.DatasetReader, x: NDArray, y: NDArray) -> tuple[NDArray, NDArray]:
    t = file.transform
    return tuple(np.floor(part).astype(np.int64) for part in ((y - t.f) / t.e, (x - t.c) / t.a))


def _at_places(file: rasterio.DatasetReader, lon: NDArray, lat: NDArray) -> NDArray:
    """Stored values of the pixels that places lie in, read a tile at a time; NaN beyond the map."""
    row, column = _pixels(file, lon, lat)
    inside = np.flatnonzero((row >= 0) & (row < file.height) & (column >= 0) & (column < file.width))
    tile = row[inside] // TILE * file.width + column[inside] // TILE
    result = np.full(row.size, np.nan)
    for group in pd.Series(inside).groupby(tile).groups.values():
        here = inside[group]
        window = Window.from_slices(
            (row[here].min(), row[here].max() + 1), (column[here].min(), column[here].max() + 1)
        )
        result[here] = _read(file, window)[row[here] - row[here].min(), column[here] - column[here].min()]
    return result


def _read(file: rasterio.DatasetReader, window: Window) -> NDArray:
    return file.read(1, window=window, masked=True).astype(np.float64).filled(np.nan)


def _over_cells(path, layer: Layer, file, lon: NDArray, lat: NDArray, resolution: float, convert) -> NDArray:
    """Means or majorities of cells, a row of cells at a time."""
    west, north = lon.min() - resolution / 2, lat.max() + resolution / 2
    row, column = (np.floor(x / resolution).astype(np.int64) for x in (north - lat, lon - west))
    n_columns = int(column.max()) + 1
    metres = 1.0 if file.crs.is_geographic else 111_320.0
    pixel = max(abs(file.transform.a), abs(file.transform.e)) / metres
    along = int(np.clip(round(resolution / pixel), 1, FINEST))  # pixels along the edge of a cell
    fine_lon = west + resolution / along * (np.arange(n_columns * along) + 0.5)
    result = np.full(lon.size, np.nan)
    for strip in np.unique(row):
        here = np.flatnonzero(row == strip)
        fine_lat = north - resolution * strip - resolution / along * (np.arange(along) + 0.5)
        stored = _on_fine_pixels(file, fine_lon, fine_lat, resolution / along)
        cells = stored.reshape(along, n_columns, along)[:, column[here]]
        cells = _cleaned(path, layer, file, cells, convert)
        if layer.classes:
            known = np.isfinite(cells).any(axis=(0, 2))
            result[here[known]] = mode(cells[:, known], axis=(0, 2), nan_policy="omit").mode
        else:
            area = np.broadcast_to(np.cos(np.radians(fine_lat))[:, None, None], cells.shape)
            known = np.isfinite(cells)
            with np.errstate(invalid="ignore"):
                total = np.where(known, cells * area, 0.0).sum(axis=(0, 2))
                result[here] = total / np.where(known, area, 0.0).sum(axis=(0, 2))
    return result


def _on_fine_pixels(file: rasterio.DatasetReader, lon: NDArray, lat: NDArray, step: float) -> NDArray:
    """Stored values of the pixels nearest to the points of a grid of `lon` and `lat`, (lat.size, lon.size)."""
    if file.crs.is_geographic:
        (row, _), (_, column) = _pixels(file, lon[:1], lat), _pixels(file, lon, lat[:1])
    else:
        bounds = (lon[0] - step, lat[-1] - step, lon[-1] + step, lat[0] + step)
        left, bottom, right, top = transform_bounds(DEGREES, file.crs, *bounds, densify_pts=99)
        row, column = _row_column(file, np.array([left, right]), np.array([top, bottom]))
    window = Window.from_slices(
        (max(row.min(), 0), max(min(row.max() + 1, file.height), 0)),
        (max(column.min(), 0), max(min(column.max() + 1, file.width), 0)),
    )
    result = np.full((lat.size, lon.size), np.nan)
    if window.height <= 0 or window.width <= 0:
        return result
    block = _read(file, window)
    if file.crs.is_geographic:
        rows, columns = row - window.row_off, column - window.col_off
        in_rows, in_columns = (rows >= 0) & (rows < window.height), (columns >= 0) & (columns < window.width)
        result[np.ix_(in_rows, in_columns)] = block[np.ix_(rows[in_rows], columns[in_columns])]
        return result
    reproject(
        block,
        result,
        src_transform=rasterio.windows.transform(window, file.transform),
        src_crs=file.crs,
        src_nodata=np.nan,
        dst_transform=Affine(step, 0, lon[0] - step / 2, 0, -step, lat[0] + step / 2),
        dst_crs=DEGREES,
        dst_nodata=np.nan,
        resampling=Resampling.nearest,
    )
    return result
