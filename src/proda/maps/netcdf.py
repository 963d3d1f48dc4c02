"""SOC maps as NetCDF files for other programs: CF-1.8 on the regular raster, and one file a method for ILAMB.

ILAMB (Collier et al. 2018, doi 10.1029/2018MS001354) takes CF files with CMIP's variable names, finds time, latitude
and longitude by the names of the dimensions, and the period from the bounds of time (ilamb.org, "Formatting a Benchmark
Dataset"). Its soil carbon is `cSoil`, here 0 to 2 m as in its data set of HWSD v2, or `cSoilAbove1m`. ILAMB 2.7.3 reads
these files as benchmarks and as models. Its totals are of whole cells: along coasts they are above `stocks.csv`, which
counts land only.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

import proda
from proda.errors import InputError
from proda.maps.stocks import MAP_INTERVALS
from proda.model.configuration import PAPER_COLUMN


class Raster(NamedTuple):
    """A regular raster and the place of every cell in it."""

    lat: np.ndarray  # centres of the rows, south to north, degrees
    lon: np.ndarray  # centres of the columns, west to east, degrees
    row: np.ndarray  # (n_cells,) place of each cell
    column: np.ndarray
    resolution: float  # width and height of a cell, degrees

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
    shape = (*values.shape[:-1], raster.lat.size, raster.lon.size)
    out = np.full(shape, np.nan, dtype=np.result_type(values.dtype, np.float32))
    out[..., raster.row, raster.column] = values
    return out


FILL = np.float32(9.96921e36)
BEYOND = "extrapolated"  # the variable's name in every file of maps
EXTRAPOLATED = "number of covariates outside the range (or classes) of the training sites: above 0, extrapolated"
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


def file_attributes(title: str, source: str, comment: str, by: str = "notebook 06-final-figures") -> dict[str, Any]:
    """Global attributes of a product that the program `by` wrote."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    # The terms of the software are ours to state, those of a study's data are their owners'.
    licence = "made with software under the MIT licence; the maps carry the terms of the study's data"
    return {
        "Conventions": "CF-1.8",
        "title": title,
        "source": source or "CLM soil-carbon matrix model, 10 layers x 7 pools, steady state",
        "references": "Tao et al. 2020, Frontiers in Big Data 3:17, https://doi.org/10.3389/fdata.2020.00017",
        "history": f"{now} written by proda {proda.__version__}, {by}",
        "license": licence,
        "comment": comment,
    }


def write_product(product: xr.Dataset, path: str | Path, labels: Sequence[str] = ()) -> Path:
    """Path of the written NetCDF-4 file: compressed, and without fill values where CF allows none (coordinates).

    Parameters
    ----------
    labels : sequence of str
        Dimensions with text coordinates. They are written as arrays of characters: a coordinate variable of CF is
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


def quantile_meanings(over: str) -> dict[str, str]:
    """Long names of mean, 5, 50 and 95 % of soil organic carbon `over` something."""
    names = {"mean": "mean", "p05": "5 % quantile", "p50": "median", "p95": "95 % quantile"}
    return {statistic: f"soil organic carbon, {name} {over}" for statistic, name in names.items()}


SOC_CONTENT = "soil_mass_content_of_carbon"
LAYER_CONTENT = "carbon_mass_content_of_soil_layer"
LEVELS = {"mean": "", "p05": "_p05", "p50": "_p50", "p95": "_p95"}
METHOD = "parameterisation"
_COMMENT = (
    "Per area of land: a cell's carbon is the content times cell_area times land_area_fraction. The standard name "
    "soil_mass_content_of_carbon is used for the content from the surface down to the depth that depth_bounds gives. "
    "CF has no standard name for a density of carbon: soc_density times the layer's thickness is "
    "carbon_mass_content_of_soil_layer. Methods without draws have no quantiles. The site-by-site method has values "
    "only in cells that hold sites, and only as deep as these were observed: at least 15, 65 and 150 cm for the "
    "intervals to 30, 100 and 200 cm. extrapolated counts the covariates of network and hybrid outside the range "
    "of their training sites; it is missing for the other methods, which use no covariates."
)


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
        `_p50`, `_p95` (missing for methods with one value a cell); by model layer (parameterisation, layer, lat, lon)
        `soc_density`, kg m-3, and `carbon_mass_content_of_soil_layer`, kg m-2; `extrapolated` (parameterisation, lat,
        lon), number of covariates outside the range of the training sites; `cell_area`, `land_area_fraction`.
        Select an interval by its lower depth: `depth=1.0` is 0 to 1 m.
    """
    raster = raster_of(grid)
    intervals, layers = np.array(MAP_INTERVALS), np.stack([PAPER_COLUMN.top, PAPER_COLUMN.bottom], axis=1)
    product = raster_coordinates(raster).assign_coords({
        METHOD: (METHOD, maps[METHOD].values.astype(str), {"long_name": "method that set the model's parameters"}),
        "depth": vertical("depth", intervals[:, 1], "lower depth of the interval"),
        "layer": vertical("layer", PAPER_COLUMN.node, "depth of the layer's node"),
    })  # fmt: skip
    product["depth_bounds"] = (("depth", "bounds"), intervals)
    product["layer_bounds"] = (("layer", "bounds"), layers)
    over = "over the method's parameter draws (hybrid: of the error of its mean, which stands for its median)"
    meaning = quantile_meanings(over)
    for statistic, suffix in LEVELS.items():
        stock = rastered(maps["stock"].sel(statistic=statistic).values, raster)
        attributes = {"standard_name": SOC_CONTENT, "units": "kg m-2", "long_name": meaning[statistic]} | PLACE
        attributes["cell_methods"] = "depth: sum area: mean where land"
        product[SOC_CONTENT + suffix] = ((METHOD, "depth", "lat", "lon"), stock.astype("f4"), attributes)
    ancillary = [*(SOC_CONTENT + suffix for suffix in LEVELS.values() if suffix), BEYOND]
    product[SOC_CONTENT].attrs["ancillary_variables"] = " ".join(ancillary)
    density = maps["soc"].transpose(METHOD, "layer", "cell").values / 1000.0
    over_draws = "mean over the method's parameter draws"
    product["soc_density"] = (
        (METHOD, "layer", "lat", "lon"), rastered(density, raster).astype("f4"),
        {"units": "kg m-3", "long_name": f"soil organic carbon per volume of soil, {over_draws}"} | PLACE
        | {"cell_methods": "layer: mean area: mean where land"},
    )  # fmt: skip
    content = density * PAPER_COLUMN.thickness[:, None]
    attributes = {"standard_name": LAYER_CONTENT, "units": "kg m-2"} | PLACE
    attributes |= {"long_name": f"soil organic carbon of a layer, {over_draws}"}
    product[LAYER_CONTENT] = (
        (METHOD, "layer", "lat", "lon"), rastered(content, raster).astype("f4"),
        attributes | {"cell_methods": "layer: sum area: mean where land"},
    )  # fmt: skip
    for name in ("soc_density", LAYER_CONTENT):
        product[name].attrs["ancillary_variables"] = BEYOND
    beyond = rastered(maps[BEYOND].transpose(METHOD, "cell").values, raster).astype("f4")
    product[BEYOND] = (METHOD, "lat", "lon"), beyond, {"long_name": EXTRAPOLATED, "units": "1"} | PLACE
    return product.assign(land_variables(grid)).assign_attrs(file_attributes(title, source, _COMMENT))


EPOCH = "1850-01-01"
# CMIP's variable and the lower depth of its interval, m.
VARIABLES = {"cSoil": (2.0, "carbon mass in the soil from 0 to 2 m"),
             "cSoilAbove1m": (1.0, "carbon mass in the soil from 0 to 1 m")}  # fmt: skip


def observed_period(years: pd.Series) -> tuple[int, int]:
    """First and last year that the profiles stand for: 5 and 95 % of their dates; 1960 to 2020 without any date."""
    known = pd.Series(years, dtype=float).dropna()
    if known.empty:
        return 1960, 2020
    return int(np.floor(known.quantile(0.05))), int(np.floor(known.quantile(0.95)))


def csoil_product(
    maps: xr.Dataset, grid: xr.Dataset, method: str, period: tuple[int, int], title: str, source: str = ""
) -> xr.Dataset:
    """The map of one method as a Dataset for ILAMB.

    Parameters
    ----------
    maps : xarray.Dataset
        From `proda.maps.prediction.maps_by_method`.
    grid : xarray.Dataset
        Cells: `lon`, `lat`, `cell_area` (m2), `land_fraction`.
    period : tuple of int
        First and last year, both whole, that the map stands for.

    Returns
    -------
    xarray.Dataset
        `cSoil` and `cSoilAbove1m` (time, lat, lon), kg m-2 of land, at one time with bounds; quantiles `_p05`, `_p50`,
        `_p95` where the method has draws; cells without a value are missing.
    """
    raster = raster_of(grid)
    bounds = [float((pd.Timestamp(year, 1, 1) - pd.Timestamp(EPOCH)).days) for year in (period[0], period[1] + 1)]
    attributes = {"standard_name": "time", "long_name": "middle of the years of the observed profiles", "axis": "T"}
    attributes |= {"units": f"days since {EPOCH} 00:00:00", "calendar": "standard", "bounds": "time_bounds"}
    product = raster_coordinates(raster).assign_coords(time=("time", [sum(bounds) / 2], attributes))
    product["time_bounds"] = (("time", "bounds"), [bounds])
    stock = maps["stock"].sel({METHOD: method})
    lower = [interval[1] for interval in MAP_INTERVALS]
    for name, (depth, meaning) in VARIABLES.items():
        for statistic, suffix in LEVELS.items():
            values = stock.sel(statistic=statistic).isel(depth=lower.index(depth)).values
            if statistic != "mean" and not np.isfinite(values).any():
                continue
            attributes = {"standard_name": SOC_CONTENT, "units": "kg m-2", "long_name": f"{meaning}, {statistic}"}
            attributes |= PLACE | {"cell_methods": "area: mean where land time: mean"}
            product[name + suffix] = (("time", "lat", "lon"), rastered(values, raster).astype("f4")[None], attributes)
    comment = (
        f"By {method}. Steady state under mean forcing; time is the period of the observed profiles. Per area of "
        "land: totals are sums over cell_area times land_area_fraction; ILAMB itself takes whole cells, so that its "
        "totals are higher along coasts. Per method one file: read as variable cSoil (0 to 2 m) or cSoilAbove1m."
    )
    return product.assign(land_variables(grid)).assign_attrs(file_attributes(title, source, comment))


def write_csoil(
    maps: xr.Dataset, grid: xr.Dataset, period: tuple[int, int], folder: Path, title: str, source: str = ""
) -> list[Path]:
    """The files written into `folder`: `cSoil_<method>.nc` for every method, and `proda.cfg`, which names them.

    `proda.cfg` is a configuration that `ilamb-run` takes as it is; its paths are those under `$ILAMB_ROOT` once the
    folder has been copied to `DATA/cSoil/PRODA`. In a larger configuration it goes under a section (h1) of that.
    """
    folder.mkdir(exist_ok=True)
    # ILAMB stops at a variable (h2) that stands in no section (h1).
    written, lines = [], ["[h1: Ecosystem and Carbon Cycle]", "", "[h2: Soil Carbon]"]
    lines += ['variable       = "cSoil"', 'alternate_vars = "cSoilAbove1m"', ""]
    for method in map(str, maps[METHOD].values):
        name = f"cSoil_{method}.nc"
        product = csoil_product(maps, grid, method, period, f"{title}, {method}", source)
        written.append(write_product(product, folder / name))
        lines += [f"[PRODA-{method}]", f'source     = "DATA/cSoil/PRODA/{name}"', 'table_unit = "Pg"']
        lines += ['plot_unit  = "kg m-2"', "space_mean = False", "skip_rmse  = True", ""]
    configuration = folder / "proda.cfg"
    configuration.write_text("\n".join(lines), encoding="utf-8")
    return [*written, configuration]
