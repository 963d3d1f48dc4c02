"""Maps as CF-1.8 NetCDF files: SOC and parameters of the methods on the regular raster, and files for ILAMB (Collier et
al. 2018, doi 10.1029/2018MS001354), whose totals are of whole cells: along coasts they are above `stocks.csv`.

`data/clm5_parameters.csv` has each parameter's counterpart in CLM5, one number for the whole globe (Lawrence et al.
2018 and the source of CTSM). CLM's water scalar has no floor of 0.25, its litter decomposes by nitrogen too, and carbon
comes in where its plants drop it: the same parameters need not give the same carbon.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

import proda
from proda.data.files import checked_variables, unreadable_named
from proda.data.grid import resolution_of
from proda.data.region import continuous
from proda.errors import InputError
from proda.maps.stocks import MAP_INTERVALS
from proda.model.configuration import DAYS_PER_YEAR, column_of, configuration_of
from proda.model.forcing import AnyForcing
from proda.model.parameters import bounds, physical
from proda.study import repository_root

METHOD = "parameterisation"
SOC_CONTENT = "soil_mass_content_of_carbon"
LAYER_CONTENT = "carbon_mass_content_of_soil_layer"
LEVELS = {"mean": "", "p05": "_p05", "p50": "_p50", "p95": "_p95"}
MEANINGS = {"mean": "mean", "p05": "5 % quantile", "p50": "median", "p95": "95 % quantile"}
BEYOND = "extrapolated"  # the variable's name in every file of maps
EXTRAPOLATED = "number of covariates outside the range (or classes) of the training sites: above 0, extrapolated"
PLACE = {"grid_mapping": "crs", "cell_measures": "area: cell_area"}
FILL = np.float32(9.96921e36)
EPOCH = "1850-01-01"
# CMIP's variable and the lower depth of its interval, m.
VARIABLES = {
    "cSoil": (2.0, "carbon mass in the soil from 0 to 2 m"),
    "cSoilAbove1m": (1.0, "carbon mass in the soil from 0 to 1 m"),
}


class Raster(NamedTuple):
    """A regular raster and the place of every cell in it."""

    lat: NDArray  # centres of the rows, south to north, degrees
    lon: NDArray  # centres of the columns, west to east, degrees
    row: NDArray  # (n_cells,) place of each cell
    column: NDArray
    resolution: float  # width and height of a cell, degrees

    def bounds(self, axis: str) -> NDArray[np.float64]:
        """Edges of the rows ("lat") or columns ("lon"), (n, 2), degrees."""
        centres = getattr(self, axis)
        return np.stack([centres - self.resolution / 2, centres + self.resolution / 2], axis=1)


def raster_of(grid) -> Raster:
    """Smallest raster that holds every cell of a grid: `lon`, `lat` of the centres, degrees.

    Their distance is the attribute `resolution_degrees` (0.5 if absent); across the antimeridian longitudes go on
    beyond 180. Raises `InputError` if two cells share a place
    or a centre lies off the raster.
    """
    resolution = resolution_of(grid)
    places, centres = [], []
    for name, degrees in (("lat", np.asarray(grid["lat"], float)), ("lon", continuous(grid["lon"]))):
        steps = (degrees - degrees.min()) / resolution
        place = np.rint(steps).astype(int)
        worst = int(np.argmax(np.abs(steps - place)))
        if abs(steps[worst] - place[worst]) > 1e-3:
            raise InputError(
                f"{name} of cell {worst} is {degrees[worst]}, not a multiple of {resolution} degrees from "
                f"{degrees.min()}: set resolution_degrees in the grid's attributes, or list cell centres"
            )
        places.append(place)
        centres.append(degrees.min() + resolution * np.arange(place.max() + 1))
    if len(np.unique(places, axis=1).T) != len(place):
        raise InputError(f"two cells of the grid share a {resolution} degree place: every cell must be listed once")
    return Raster(*centres, *places, resolution)


def rastered(values: ArrayLike, raster: Raster) -> NDArray:
    """Values (..., n_cells) on the raster, (..., n_rows, n_columns), NaN where no cell is."""
    values = np.asarray(values)
    shape = (*values.shape[:-1], raster.lat.size, raster.lon.size)
    out = np.full(shape, np.nan, dtype=np.result_type(values.dtype, np.float32))
    out[..., raster.row, raster.column] = values
    return out


def raster_dataset(grid: xr.Dataset, title: str, source: str, comment: str) -> xr.Dataset:
    """`lat`, `lon`, their bounds, the grid mapping `crs`, `cell_area` (m2), `land_area_fraction`, global attributes."""
    raster = raster_of(grid)
    crs = {"grid_mapping_name": "latitude_longitude", "semi_major_axis": 6378137.0}
    crs |= {"inverse_flattening": 298.257223563, "longitude_of_prime_meridian": 0.0, "long_name": "WGS 84"}
    area = {"standard_name": "cell_area", "units": "m2", "long_name": "area of the cell, land and water"}
    land = {"standard_name": "land_area_fraction", "units": "1", "long_name": "share of the cell that is land"}
    product = xr.Dataset(attrs=file_attributes(title, source, comment))
    axes = {"lat": ("latitude", "degrees_north", "Y"), "lon": ("longitude", "degrees_east", "X")}
    for name, (standard, units, axis) in axes.items():
        attributes = {"standard_name": standard, "units": units, "axis": axis, "bounds": f"{name}_bounds"}
        product = product.assign_coords({name: (name, getattr(raster, name), attributes)})
        product[f"{name}_bounds"] = ((name, "bounds"), raster.bounds(name))
    product["crs"] = ((), np.int32(0), crs)
    product["cell_area"] = (("lat", "lon"), rastered(grid["cell_area"], raster), area)
    product["land_area_fraction"] = (("lat", "lon"), rastered(grid["land_fraction"], raster), land | PLACE)
    return product


def vertical(name: str, depth: ArrayLike, meaning: str) -> tuple[str, ArrayLike, dict[str, str]]:
    """A coordinate of depths in m, positive down, whose bounds are `<name>_bounds`."""
    attributes = {"standard_name": "depth", "long_name": meaning, "units": "m", "positive": "down", "axis": "Z"}
    return name, depth, attributes | {"bounds": f"{name}_bounds"}


def file_attributes(title: str, source: str, comment: str, by: str = "notebook 06-final-figures") -> dict[str, Any]:
    """Global attributes of a product that the program `by` wrote."""
    return {
        "Conventions": "CF-1.8",
        "title": title,
        "source": source or "CLM soil-carbon matrix model, 7 pools in every layer, steady state",
        "references": "Tao et al. 2020, Frontiers in Big Data 3:17, https://doi.org/10.3389/fdata.2020.00017",
        "history": f"written by proda {proda.__version__}, {by}",  # no time: the same maps are the same file
        # The terms of the software are ours to state, those of a study's data are their owners'.
        "license": "made with software under the MIT licence; the maps carry the terms of the study's data",
        "comment": comment,
    }


def write_product(product: xr.Dataset, path: str | Path, whole: bool = True) -> None:
    """Write a compressed NetCDF-4 file, without fill values where CF allows none (coordinates), and `read_maps` it."""
    encoding: dict[str, dict[str, Any]] = {str(name): {"_FillValue": None} for name in product.variables}
    for name, variable in product.variables.items():
        if {"lat", "lon"} <= set(variable.dims):
            fill = FILL.astype(variable.dtype)
            encoding[str(name)] = {"zlib": True, "complevel": 4, "dtype": variable.dtype.str[1:], "_FillValue": fill}
        elif variable.dtype.kind == "U":
            # A coordinate variable of CF is numeric, so labels are characters; xarray reads them back as an index.
            encoding[str(name)] = {"dtype": "S1"}
    product.to_netcdf(path, engine="netcdf4", encoding=encoding)
    read_maps(Path(path), whole)


def read_maps(path: Path, whole: bool = True) -> xr.Dataset:
    """A file of maps, in memory.

    An `InputError` unless every map of it has a value on all land (if `whole`), or, of quantiles and `extrapolated`,
    nowhere. Maps of the method "site-by-site" have gaps.
    """
    with unreadable_named(path):
        maps = xr.load_dataset(path)
    land = np.isfinite(checked_variables(maps, {"cell_area": ("lat", "lon")}, path, gaps=["cell_area"])["cell_area"])
    for name, values in maps.data_vars.items():
        if not {"lat", "lon"} <= set(values.dims) or not whole:
            continue
        if METHOD in values.dims:
            values = values.sel({METHOD: values[METHOD] != "site-by-site"})
        known = (np.isfinite(values) & land).sum(["lat", "lon"])
        none = str(name).endswith(tuple(filter(None, LEVELS.values()))) or name == BEYOND
        wrong = (known < land.sum()) & ~((known == 0) & none)
        if wrong.any():
            raise InputError(
                f"{path}: {name} has a value in {int(known.where(wrong).min()):,} of {int(land.sum()):,} land cells, "
                "expected one in every cell."
            )
    return maps


_SOC_COMMENT = (
    "Per area of land: a cell's carbon is the content times cell_area times land_area_fraction. The standard name "
    "soil_mass_content_of_carbon is used for the content from the surface down to the depth that depth_bounds gives. "
    "CF has no standard name for a density of carbon: soc_density times the layer's thickness is "
    "carbon_mass_content_of_soil_layer; both are zero below bedrock. "
    "Methods without draws have no quantiles. The site-by-site method has values "
    "only in cells that hold sites, and only as deep as these were observed: at least 15, 65 and 150 cm for the "
    "intervals to 30, 100 and 200 cm. extrapolated counts the covariates of network and hybrid outside the range "
    "of their training sites; it is missing for the other methods, which use no covariates."
)


def soc_product(maps: xr.Dataset, grid: xr.Dataset, title: str, source: str = "") -> xr.Dataset:
    """The maps of all methods (`proda.maps.maps_by_method`) on the cells of `grid` as a CF-1.8 Dataset.

    `soil_mass_content_of_carbon` (parameterisation, depth, lat, lon), kg m-2 of land, with its quantiles `_p05`,
    `_p50`, `_p95` (missing for methods with one value a cell; `depth=1.0` is 0 to 1 m); by model layer
    (parameterisation, layer, lat, lon) `soc_density`, kg m-3, and `carbon_mass_content_of_soil_layer`, kg m-2;
    `extrapolated` (parameterisation, lat, lon), number of covariates outside the range of the training sites;
    `cell_area`, `land_area_fraction`.
    """
    raster, column = raster_of(grid), column_of(maps.sizes["layer"])
    intervals, layers = np.array(MAP_INTERVALS), np.stack([column.top, column.bottom], axis=1)
    methods = (METHOD, maps[METHOD].values.astype(str), {"long_name": "method that set the model's parameters"})
    product = raster_dataset(grid, title, source, _SOC_COMMENT).assign_coords(
        parameterisation=methods,
        depth=vertical("depth", intervals[:, 1], "lower depth of the interval"),
        layer=vertical("layer", column.node, "depth of the layer's node"),
    )
    product["depth_bounds"] = (("depth", "bounds"), intervals)
    product["layer_bounds"] = (("layer", "bounds"), layers)

    def add(name: str, dims: tuple[str, ...], values: NDArray, units: str, long_name: str, **attributes: str) -> None:
        attributes |= PLACE | {"units": units, "long_name": long_name}
        product[name] = ((METHOD, *dims, "lat", "lon"), rastered(values.astype("f4"), raster), attributes)

    over_draws = "over the method's parameter draws"
    of_hybrid = "(hybrid: of the error of its mean, which stands for its median)"
    summed = "sum area: mean where land"
    for statistic, suffix in LEVELS.items():
        stock = maps["stock"].sel(statistic=statistic).transpose(METHOD, "depth", "cell").values
        attributes = {"standard_name": SOC_CONTENT, "cell_methods": f"depth: {summed}"}
        long_name = f"soil organic carbon, {MEANINGS[statistic]} {over_draws} {of_hybrid}"
        add(SOC_CONTENT + suffix, ("depth",), stock, "kg m-2", long_name, **attributes)
    quantiles = [SOC_CONTENT + suffix for suffix in LEVELS.values() if suffix]
    product[SOC_CONTENT].attrs["ancillary_variables"] = " ".join([*quantiles, BEYOND])
    density = maps["soc"].where(maps["soil"], 0.0).transpose(METHOD, "layer", "cell").values / 1000.0
    content = density * column.thickness[:, None]
    attributes = {"ancillary_variables": BEYOND, "cell_methods": "layer: mean area: mean where land"}
    long_name = f"soil organic carbon per volume of soil, mean {over_draws}"
    add("soc_density", ("layer",), density, "kg m-3", long_name, **attributes)
    attributes |= {"standard_name": LAYER_CONTENT, "cell_methods": f"layer: {summed}"}
    long_name = f"soil organic carbon of a layer, mean {over_draws}"
    add(LAYER_CONTENT, ("layer",), content, "kg m-2", long_name, **attributes)
    add(BEYOND, (), maps[BEYOND].transpose(METHOD, "cell").values, "1", EXTRAPOLATED)
    return product


def observed_period(years: pd.Series) -> tuple[int, int]:
    """First and last year that the profiles stand for: 5 and 95 % of their dates; 1960 to 2020 without any date."""
    known = pd.Series(years, dtype=float).dropna()
    if known.empty:
        return 1960, 2020
    return int(np.floor(known.quantile(0.05))), int(np.floor(known.quantile(0.95)))


def csoil_product(
    maps: xr.Dataset, grid: xr.Dataset, method: str, period: tuple[int, int], title: str, source: str = ""
) -> xr.Dataset:
    """The map of one method for ILAMB: `cSoil` and `cSoilAbove1m` (time, lat, lon), kg m-2 of land, and quantiles.

    `period` is the first and the last year, both whole, that the map stands for; other arguments as of `soc_product`.
    """
    comment = (
        f"By {method}. Steady state under mean forcing; time is the period of the observed profiles. Per area of "
        "land: totals are sums over cell_area times land_area_fraction; ILAMB itself takes whole cells, so that its "
        "totals are higher along coasts. Per method one file: read as variable cSoil (0 to 2 m) or cSoilAbove1m."
    )
    raster = raster_of(grid)
    days = [float((pd.Timestamp(year, 1, 1) - pd.Timestamp(EPOCH)).days) for year in (period[0], period[1] + 1)]
    attributes = {"standard_name": "time", "long_name": "middle of the years of the observed profiles", "axis": "T"}
    attributes |= {"units": f"days since {EPOCH} 00:00:00", "calendar": "standard", "bounds": "time_bounds"}
    product = raster_dataset(grid, title, source, comment).assign_coords(time=("time", [sum(days) / 2], attributes))
    product["time_bounds"] = (("time", "bounds"), [days])
    stock = maps["stock"].sel({METHOD: method})
    lower = [interval[1] for interval in MAP_INTERVALS]
    for name, (depth, meaning) in VARIABLES.items():
        for statistic, suffix in LEVELS.items():
            values = stock.sel(statistic=statistic).isel(depth=lower.index(depth)).values
            if statistic != "mean" and not np.isfinite(values).any():
                continue
            attributes = {"standard_name": SOC_CONTENT, "units": "kg m-2", "long_name": f"{meaning}, {statistic}"}
            attributes |= PLACE | {"cell_methods": "area: mean where land time: mean"}
            product[name + suffix] = (("time", "lat", "lon"), rastered(values.astype("f4")[None], raster), attributes)
    return product


def write_csoil(
    maps: xr.Dataset, grid: xr.Dataset, period: tuple[int, int], folder: Path, title: str, source: str = ""
) -> None:
    """Write `cSoil_<method>.nc` for every method, and `proda.cfg`, a configuration that `ilamb-run` takes as it is.

    Its paths are those under `$ILAMB_ROOT` once the folder has been copied to `DATA/cSoil/PRODA`.
    """
    folder.mkdir(exist_ok=True)
    # ILAMB stops at a variable (h2) that stands in no section (h1).
    lines = ["[h1: Ecosystem and Carbon Cycle]", "", "[h2: Soil Carbon]"]
    lines += ['variable       = "cSoil"', 'alternate_vars = "cSoilAbove1m"', ""]
    for method in map(str, maps[METHOD].values):
        name = f"cSoil_{method}.nc"
        product = csoil_product(maps, grid, method, period, f"{title}, {method}", source)
        write_product(product, folder / name, whole=method != "site-by-site")
        lines += [f"[PRODA-{method}]", f'source     = "DATA/cSoil/PRODA/{name}"', 'table_unit = "Pg"']
        lines += ['plot_unit  = "kg m-2"', "space_mean = False", "skip_rmse  = True", ""]
    (folder / "proda.cfg").write_text("\n".join(lines), encoding="utf-8")


def century_normalisation(q10: ArrayLike) -> NDArray[np.float64]:
    """CLM's factor on all decomposition rates, which its turnover times take in order to give this model's rates.

    CLM scales the rates so that its Q10 meets CENTURY's temperature function at 15 C (`normalize_q10_to_century_tfunc`,
    true unless changed): (c(15) / c(30)) / q10^((15 - 25) / 10), c(t) = 11.75 + 29.7 / pi atan(0.031 pi (t - 15.4)).
    """
    cold, warm = (11.75 + 29.7 / np.pi * np.arctan(np.pi * 0.031 * (t - 15.4)) for t in (15.0, 30.0))
    return cold / warm * np.asarray(q10, dtype=np.float64)


# Formulas of the table, as functions of a value and of all parameters. The shares of the carbon that leaves the slow
# pool on each path, 0.42 / 0.45 and 0.03 / 0.45, are constants in CLM's code.
_CONVERSIONS = {
    "same": lambda x, _: x,
    "/ 31536000 s yr-1": lambda x, _: x / (86400.0 * DAYS_PER_YEAR),
    "times century_normalisation(q10)": lambda x, ours: x * (century_normalisation(1.0) * ours["q10"]),
    "1 - value": lambda x, _: 1.0 - x,
    "1 - value / (0.42 / 0.45)": lambda x, _: 1.0 - x / (0.42 / 0.45),
    "1 - value / (0.03 / 0.45)": lambda x, _: 1.0 - x / (0.03 / 0.45),
    "value / (p4ll + p4ml + p4cl)": lambda x, ours: x / (ours["p4ll"] + ours["p4ml"] + ours["p4cl"]),
}


def counterpart_table() -> pd.DataFrame:
    """CLM5's counterpart of every parameter, by `parameter`.

    Columns: `clm` (variables of CLM5, with spaces between; empty where it has none), `unit`, `where` they are read,
    `conversion`, `verified` (whether the name was read in CTSM's source; otherwise it is inferred), `note`.
    """
    path = repository_root() / "data" / "clm5_parameters.csv"
    return pd.read_csv(path, index_col="parameter", dtype=str, keep_default_na=False)


def clm_parameters(maps: xr.Dataset) -> xr.Dataset:
    """The parameters of `parameter_maps.nc`, or of a mean of it, under CLM5's names and in its units.

    CLM reads one number of each: `clm_parameters(maps.weighted(land).mean())`, or a mean over cells of interest. Values
    are not cut to what CLM can take: `rf_s2s3_bgc` may be below 0.
    """
    converted = {}
    for row in counterpart_table().itertuples():
        if row.Index not in maps:  # a parameter of the other configuration
            continue
        comment = f"from {row.Index}: {row.conversion}. {row.note}".strip(" .")
        meaning = maps[row.Index].attrs.get("long_name", row.Index)
        for name in row.clm.split():
            value = _CONVERSIONS[row.conversion](maps[row.Index], maps).drop_attrs()
            converted[name] = value.assign_attrs(units=row.unit, long_name=meaning, comment=comment)
    converted["cwd_flig"] = (1.0 - converted["cwd_fcel"]).assign_attrs(converted["cwd_fcel"].attrs)
    return xr.Dataset(converted)


OF_NETWORK = "Parameters that the network of the paper predicts from the environment; their carbon is in soc_maps.nc."
OF_HYBRID = (
    "Parameters that the networks trained through the soil model predict from the environment, the members' mean. "
    "soc_maps.nc has the mean of the members' carbon, which is not quite the carbon of these means: for that use the "
    "members, in hybrid_parameters.nc. Parameters belong together: do not take one without the others."
)
_PARAMETER_COMMENT = (
    "In the units of this model. valid_min and valid_max are the bounds of the prior; those of ins, if there is one, "
    "are the widest of any cell (its own are npp_min/npp_mean and npp_max/npp_mean). clm_name, clm_place and "
    "clm_conversion are the name in CLM5, its place and how to convert it; proda.maps.clm_parameters does so."
)


def parameter_product(
    x: ArrayLike,
    forcing: AnyForcing,
    grid: xr.Dataset,
    title: str,
    source: str,
    extrapolated: NDArray,
    whose: str = OF_NETWORK,
) -> xr.Dataset:
    """All parameters as a CF-1.8 Dataset: a variable (lat, lon) for each, in physical units, and `extrapolated`.

    `x` (n_cells, d) is on the unit cube; `extrapolated` (n_cells,) is the number of covariates outside the range of
    the training sites; `whose` begins the comment of the file.
    """
    raster, table = raster_of(grid), configuration_of(forcing).parameters
    theta = physical(np.asarray(x, dtype=np.float64).T, forcing, table)
    low, high = bounds(forcing, table)
    product = raster_dataset(grid, title, source, f"{whose} {_PARAMETER_COMMENT}")

    def add(name: str, values: NDArray, long_name: str, units: str = "1", **attributes: Any) -> None:
        attributes |= PLACE | {"long_name": long_name, "units": units, "cell_methods": "area: mean where land"}
        # float64, so that no value is rounded out of its valid range.
        product[name] = (("lat", "lon"), rastered(values.astype(np.float64), raster), attributes)

    counterparts = counterpart_table().loc[list(table.names)]
    for k, (row, other) in enumerate(zip(table.rows, counterparts.itertuples(), strict=True)):
        attributes = {"valid_min": low[k].min(), "valid_max": high[k].max(), "default_value": row.default}
        attributes |= {"clm_name": other.clm.replace(" ", ", ") or "no counterpart", "clm_place": other.where}
        attributes |= {"clm_conversion": other.conversion, "clm_note": other.note or "none"}
        attributes["ancillary_variables"] = BEYOND
        add(row.name, theta[k], row.meaning, row.unit, **attributes)
    add(BEYOND, np.asarray(extrapolated), EXTRAPOLATED)
    return product
