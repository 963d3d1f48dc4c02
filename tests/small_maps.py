"""Small maps as GeoTIFF and NetCDF, for the tests of their readers."""

import netCDF4
import numpy as np
import rasterio
from rasterio.transform import Affine

HOMOLOSINE = "ESRI:54052"


def geotiff(path, values, transform, nodata=None, crs="EPSG:4326", dtype=None, **options):
    """`values` (rows, columns) as a GeoTIFF; NaN is written as `nodata`."""
    values = np.asarray(values)
    dtype = np.dtype(dtype or values.dtype).name
    if nodata is not None:
        values = np.where(np.isfinite(values), values, nodata)
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = {"height": values.shape[0], "width": values.shape[1], "count": 1}
    profile = {"driver": "GTiff", "dtype": dtype, "crs": crs, "transform": transform, "nodata": nodata, **options}
    with rasterio.open(path, "w", **shape, **profile) as file:
        file.write(values.astype(dtype), 1)
    return path


def in_degrees(west, north, step, rows, columns):
    """Transform and pixel centres (lon, lat) of a map in degrees."""
    lon, lat = west + step * (np.arange(columns) + 0.5), north - step * (np.arange(rows) + 0.5)
    return Affine(step, 0, west, 0, -step, north), *np.meshgrid(lon, lat)


def netcdf(path, name, values, lon, lat):
    with netCDF4.Dataset(path, "w") as file:
        for axis, centres in (("lon", lon), ("lat", lat)):
            file.createDimension(axis, len(centres))
            file.createVariable(axis, "f8", (axis,))[:] = centres
        file.createVariable(name, "f4", ("lat", "lon"))[:] = values
    return path
