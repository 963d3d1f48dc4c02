"""What all NetCDF products share: the raster as CF coordinates with bounds, cell areas, attributes of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

import proda
from proda.maps.raster import Raster, raster_of, rastered

CONVENTIONS = "CF-1.8"
PAPER = "Tao et al. 2020, Frontiers in Big Data 3:17, https://doi.org/10.3389/fdata.2020.00017"
# The software can say under which terms it may be used; for the data of a study only their owners can.
LICENCE = "made with software under the MIT licence; the maps carry the terms of the data that the study was made from"
FILL = np.float32(9.96921e36)
# One name and one long name wherever a map says where its method had to extrapolate.
BEYOND = "extrapolated"
EXTRAPOLATED = "number of covariates, numbers or classes, that no training site has had: above 0, extrapolated"
PLACE = {"grid_mapping": "crs", "cell_measures": "area: cell_area"}
_DEGREES = {"lat": ("latitude", "degrees_north", "Y"), "lon": ("longitude", "degrees_east", "X")}


def raster_coordinates(raster: Raster) -> xr.Dataset:
    """`lat`, `lon`, their bounds (which carry no attributes of their own, as CF asks) and the grid mapping `crs`."""
    coords = {
        name: (name, getattr(raster, name), {
            "standard_name": standard, "units": units, "axis": axis, "bounds": f"{name}_bounds"
        })
        for name, (standard, units, axis) in _DEGREES.items()
    }  # fmt: skip
    crs = {"grid_mapping_name": "latitude_longitude", "semi_major_axis": 6378137.0}
    crs |= {"inverse_flattening": 298.257223563, "longitude_of_prime_meridian": 0.0, "long_name": "WGS 84"}
    return xr.Dataset(
        {
            "lat_bounds": (("lat", "bounds"), raster.lat_bounds),
            "lon_bounds": (("lon", "bounds"), raster.lon_bounds),
            "crs": ((), np.int32(0), crs),
        },
        coords=coords,
    )


def vertical(name: str, depth: ArrayLike, meaning: str) -> tuple[str, ArrayLike, dict[str, str]]:
    """A coordinate of depths in m, positive down, whose bounds are `<name>_bounds`."""
    attributes = {"standard_name": "depth", "long_name": meaning, "units": "m", "positive": "down", "axis": "Z"}
    return name, depth, attributes | {"bounds": f"{name}_bounds"}


def land_variables(grid: xr.Dataset) -> xr.Dataset:
    """`cell_area` (m2) and `land_area_fraction` of a grid's cells on their raster, (lat, lon)."""
    raster = raster_of(grid)
    area = {"standard_name": "cell_area", "units": "m2", "long_name": "area of the cell, land and water"}
    land = {"standard_name": "land_area_fraction", "units": "1", "long_name": "share of the cell that is land"}
    return xr.Dataset({
        "cell_area": (("lat", "lon"), rastered(grid["cell_area"].values, raster), area),
        "land_area_fraction": (("lat", "lon"), rastered(grid["land_fraction"].values, raster), land | PLACE),
    })  # fmt: skip


def file_attributes(title: str, source: str, comment: str) -> dict[str, Any]:
    """Global attributes of a product."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "Conventions": CONVENTIONS,
        "title": title,
        "source": source or "CLM soil-carbon matrix model, 10 layers x 7 pools, steady state",
        "references": PAPER,
        "history": f"{now} written by proda {proda.__version__}, notebook 06-final-figures",
        "license": LICENCE,
        "comment": comment,
    }


def write_product(product: xr.Dataset, path: str | Path, labels: Sequence[str] = ()) -> Path:
    """Path of the written NetCDF-4 file: compressed, and without fill values where CF allows none (coordinates).

    Parameters
    ----------
    labels : sequence of str
        Dimensions that are numbered by words. They are written as arrays of characters: a coordinate variable of CF is
        numeric, and a string variable of that name stops its checkers. xarray reads them back as an index.
    """
    encoding: dict[str, dict[str, Any]] = {str(name): {"_FillValue": None} for name in product.variables}
    for name, variable in product.data_vars.items():
        if "lat" in variable.dims and "bounds" not in variable.dims:
            kind = "f4" if variable.dtype == np.float32 else "f8" if variable.dtype.kind == "f" else variable.dtype.str
            encoding[str(name)] = {"zlib": True, "complevel": 4, "dtype": kind}
            encoding[str(name)]["_FillValue"] = FILL.astype(kind) if kind in ("f4", "f8") else None
    for label in labels:
        encoding[label] = {"dtype": "S1"}
    product.to_netcdf(path, engine="netcdf4", encoding=encoding)
    return Path(path)


def quantile_meanings(what: str, over: str) -> Mapping[str, str]:
    """Long names of mean, 5, 50 and 95 % of `what`."""
    return {
        "mean": f"{what}, mean {over}",
        "p05": f"{what}, 5 % quantile {over}",
        "p50": f"{what}, median {over}",
        "p95": f"{what}, 95 % quantile {over}",
    }
