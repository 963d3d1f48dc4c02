"""SOC maps as a NetCDF file that follows the CF conventions, on the regular raster, for other programs to read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import xarray as xr

import proda
from proda.maps.raster import raster_of, rastered
from proda.maps.stocks import MAP_INTERVALS
from proda.model.column import PAPER_COLUMN

SOC_CONTENT = "soil_mass_content_of_carbon"
DOI = "https://doi.org/10.3389/fdata.2020.00017"
_LEVELS = {"mean": "", "p05": "_p05", "p50": "_p50", "p95": "_p95"}
_MEANING = {
    "mean": "soil organic carbon, mean over the method's parameter draws",
    "p05": "soil organic carbon, 5 % quantile over the method's parameter draws",
    "p50": "soil organic carbon, median over the method's parameter draws",
    "p95": "soil organic carbon, 95 % quantile over the method's parameter draws",
}


def soc_product(maps: xr.Dataset, grid: xr.Dataset, title: str, source: str = "") -> xr.Dataset:
    """The maps of all methods as a CF-1.8 Dataset.

    Parameters
    ----------
    maps : xarray.Dataset
        From `proda.maps.prediction.maps_by_method`.
    grid : xarray.Dataset
        Cells: `lon`, `lat`, `cell_area` (m2), `land_fraction`.
    title, source : str
        Global attributes: what the file is, and which study made it.

    Returns
    -------
    xarray.Dataset
        `soil_mass_content_of_carbon` (parameterisation, depth, lat, lon), kg m-2 of land, with its quantiles `_p05`,
        `_p50`, `_p95` (missing for methods with one value a cell); `soc_density` (parameterisation, layer, lat, lon),
        kg m-3; `cell_area`, `land_area_fraction`. Select an interval by its lower depth: `depth=1.0` is 0 to 1 m.
    """
    raster = raster_of(grid)
    product = _coordinates(maps, raster)
    place = {"grid_mapping": "crs", "cell_measures": "area: cell_area"}
    for statistic, suffix in _LEVELS.items():
        stock = rastered(maps["stock"].sel(statistic=statistic).values, raster)
        attributes = {"standard_name": SOC_CONTENT, "units": "kg m-2", "long_name": _MEANING[statistic]} | place
        attributes["cell_methods"] = "depth: sum area: mean where land"
        product[SOC_CONTENT + suffix] = (("parameterisation", "depth", "lat", "lon"), stock.astype("f4"), attributes)
    product[SOC_CONTENT].attrs["ancillary_variables"] = " ".join(SOC_CONTENT + s for s in _LEVELS.values() if s)
    density = rastered(maps["soc"].values / 1000.0, raster).astype("f4")
    product["soc_density"] = (
        ("parameterisation", "layer", "lat", "lon"), density,
        {"units": "kg m-3", "long_name": "soil organic carbon per volume of soil, mean over parameter draws"} | place
        | {"cell_methods": "layer: mean area: mean where land"},
    )  # fmt: skip
    product["cell_area"] = (
        ("lat", "lon"), rastered(grid["cell_area"].values, raster),
        {"standard_name": "cell_area", "units": "m2", "long_name": "area of the cell, land and water"},
    )  # fmt: skip
    product["land_area_fraction"] = (
        ("lat", "lon"), rastered(grid["land_fraction"].values, raster),
        {"standard_name": "land_area_fraction", "units": "1", "long_name": "share of the cell that is land"} | place,
    )  # fmt: skip
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return product.assign_attrs({
        "Conventions": "CF-1.8",
        "title": title,
        "source": source or "CLM soil-carbon matrix model, 10 layers x 7 pools, steady state",
        "references": f"Tao et al. 2020, Frontiers in Big Data 3:17, {DOI}",
        "history": f"{now} written by proda {proda.__version__}, notebook 06-final-figures",
        "comment": "Per area of land: a cell's carbon is the content times cell_area times land_area_fraction. Methods "
        "without draws have no quantiles. The site-by-site method has values only in cells that hold sites, and only "
        "as deep as these were observed: at least 15, 65 and 150 cm for the intervals to 30, 100 and 200 cm.",
    })  # fmt: skip


def _coordinates(maps: xr.Dataset, raster) -> xr.Dataset:
    """Coordinates with their bounds; bounds carry no attributes of their own, as CF asks."""
    down = {"units": "m", "positive": "down", "standard_name": "depth", "axis": "Z"}
    intervals, layers = np.array(MAP_INTERVALS), np.stack([PAPER_COLUMN.top, PAPER_COLUMN.bottom], axis=1)
    degrees = {"lat": ("latitude", "degrees_north", "Y"), "lon": ("longitude", "degrees_east", "X")}
    horizontal = {
        name: (name, getattr(raster, name), {
            "standard_name": standard, "units": units, "axis": axis, "bounds": f"{name}_bounds"
        })
        for name, (standard, units, axis) in degrees.items()
    }  # fmt: skip
    return xr.Dataset(
        {
            "lat_bounds": (("lat", "bounds"), raster.lat_bounds),
            "lon_bounds": (("lon", "bounds"), raster.lon_bounds),
            "depth_bounds": (("depth", "bounds"), intervals),
            "layer_bounds": (("layer", "bounds"), layers),
            "crs": ((), np.int32(0), {
                "grid_mapping_name": "latitude_longitude", "semi_major_axis": 6378137.0,
                "inverse_flattening": 298.257223563, "long_name": "WGS 84",
            }),
        },
        coords=horizontal | {
            "parameterisation": ("parameterisation", maps["parameterisation"].values.astype(str), {
                "long_name": "how the model's parameters were found"
            }),
            "depth": ("depth", intervals[:, 1], down | {
                "bounds": "depth_bounds", "long_name": "lower depth of the interval"
            }),
            "layer": ("layer", PAPER_COLUMN.node, down | {
                "bounds": "layer_bounds", "long_name": "depth of the layer's node"
            }),
        },
    )  # fmt: skip


def write_product(product: xr.Dataset, path: str | Path) -> Path:
    """Path of the written NetCDF-4 file: compressed, and without fill values where CF allows none (coordinates)."""
    encoding: dict[str, dict] = {name: {"_FillValue": None} for name in product.variables}
    for name, variable in product.data_vars.items():
        if "lat" in variable.dims and "bounds" not in variable.dims:
            encoding[str(name)] = {"zlib": True, "complevel": 4, "_FillValue": np.float32(9.96921e36)}
            encoding[str(name)]["dtype"] = "f4" if variable.dtype == np.float32 else "f8"
    del encoding["parameterisation"]
    product.to_netcdf(path, engine="netcdf4", encoding=encoding)
    return Path(path)
