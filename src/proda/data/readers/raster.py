"""A map in a file, GeoTIFF or NetCDF, as blocks of numbers: missing is NaN, whatever the file marks it with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import netCDF4
import numpy as np
import pyproj
import rasterio
from numpy.typing import NDArray
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
