"""The tidy tables of a data folder: profiles.csv, layers.csv and the half-degree drivers of grid_half_degree.csv.
data/README.md describes the columns.
"""

from __future__ import annotations

import csv
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.csv

from proda.data.forcing import NO_PERMAFROST
from proda.data.grid import AREA_TOLERANCE, cell_area
from proda.data.region import RESOLUTION
from proda.data.tables import ProfileTables, checked, csv_line, median_check, no_gaps, no_repeats, row_check
from proda.errors import InputError

PROFILES, LAYERS, GRID = "profiles.csv", "layers.csv", "grid_half_degree.csv"
_MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"]
_PROFILE_OPTIONAL = ("land_use", "state", "year", "coord_uncertainty_km")
_LAYER_COLUMNS = ("layer", "upper_depth_m", "lower_depth_m", "soc_kg_m3")
_LAYER_OPTIONAL = ("oc_percent", "bulk_density_g_cm3", "coarse_fraction", "ph", "sand_percent", "clay_percent")
_COVARIATES = (
    "mean_annual_temperature_degC", "precipitation_mm_yr", "npp_gC_m2_yr", "clm5_npp_gC_m2_yr", "sand_fraction",
    "clay_fraction", "water_wilting_m3_m3", "water_field_capacity_m3_m3", "water_saturation_m3_m3",
    "igbp_land_cover", "koppen_class",
)  # fmt: skip

_EXCHANGED = "Subtract 360 from lon, or exchange the columns lon and lat."
# Least and greatest median of a column, its unit and what to do.
_MEDIANS = {
    "lon": (-180, 180, "degrees east", _EXCHANGED),
    "lat": (-90, 90, "degrees north", _EXCHANGED),
    "lower_depth_m": (0, 5, "m", "In centimetres? Divide both bounds by 100. Positive upwards? Change signs."),
    # The least median of any state in the public profiles is 2.8.
    "soc_kg_m3": (
        1,
        200,
        "kg per m3 of soil",
        "In g per m3? Divide by 1000. In % of the mass? That is oc_percent.",
    ),
    "bulk_density_g_cm3": (0.02, 3, "g per cm3", "In kg per m3? Divide by 1,000."),
    "mean_annual_temperature_degC": (-40, 45, "degrees Celsius", "Temperatures in kelvin? Subtract 273.15."),
    "precipitation_mm_yr": (50, 8000, "mm a year", "Rain per day, in metres or in inches? Give mm a year."),
    "npp_gC_m2_yr": (5, 3000, "g C m-2 a year", "NPP in kg or per second? Give g C per square metre and year."),
    "sand_fraction": (0, 1, "of the mass", "Sand in percent? Divide by 100."),
    "clay_fraction": (0, 1, "of the mass", "Clay in percent? Divide by 100."),
    "cell_area_m2": (1e6, 1e11, "m2", "Areas in square kilometres? Multiply by 1e6."),
    "active_layer_m": (0.05, 100, "m", "In centimetres? Divide by 100."),
}
_LAND = "In percent? Divide by 100. A cell without land, or of unknown land, is left out of the table."
_CHECKS = {name: [median_check(*row)] for name, row in _MEDIANS.items()} | {
    "layer": [no_gaps, row_check(lambda x: x % 1 == 0, "a whole number")],
    "oc_percent": [row_check(lambda x: x <= 100, "at most 100 % of the mass", "In g per kg? Divide by 10.")],
    "coarse_fraction": [row_check(lambda x: x.between(0, 1), "0 to 1", "Volume in percent? Divide by 100.")],
    **dict.fromkeys(("sand_percent", "clay_percent"), [row_check(lambda x: x.between(0, 100), "0 to 100")]),
    "ph": [row_check(lambda x: x.between(0, 14), "0 to 14", "pH x 10? Divide by 10; missing: leave empty.")],
    "land_fraction": [no_gaps, row_check(lambda x: (x > 0) & (x <= 1), "above 0 and at most 1", _LAND)],
}
# Soil with as much carbon (% of mass) is lighter than this (g cm-3): of 1,339 such layers of the public profiles the
# median is 0.39, and 0.91 in the densest source; with carbon in g per kg under the name of percent it is 1.38.
_RICH, _LIGHT, _ENOUGH = 8.0, 1.15, 10


def read_profile_tables(folder: Path | str) -> ProfileTables:
    """Profiles and layers of a folder in the package's names and units (m, g C m-3), otherwise as they are.

    A missing `soc_kg_m3` is computed as oc_percent x 10 x bulk_density_g_cm3 x (1 - coarse_fraction) where the first
    two are there. A missing file or column, a value that is no number, an identifier that occurs twice, and a column in
    another unit than in its name are an `InputError`.
    """
    texts, numbers = ("profile_id", "source", "land_use", "state"), ("lon", "lat", "year", "coord_uncertainty_km")
    profiles = _table(folder, PROFILES, numbers, texts, _PROFILE_OPTIONAL, profile_id=[no_gaps, no_repeats])
    profiles["position_uncertainty"] = 1000.0 * profiles["coord_uncertainty_km"]
    columns = ["profile_id", "lon", "lat", "source", "land_use", "state", "year", "position_uncertainty"]
    numbers, optional = (*_LAYER_COLUMNS, *_LAYER_OPTIONAL), (*_LAYER_OPTIONAL, "bd_method")
    layers = _table(folder, LAYERS, numbers, ("profile_id", "bd_method"), optional, profile_id=[no_gaps])
    soc, percent, density = (layers[name] for name in ("soc_kg_m3", "oc_percent", "bulk_density_g_cm3"))
    computed = percent * 10.0 * density * (1.0 - layers["coarse_fraction"].fillna(0.0))
    _check_carbon(Path(folder) / LAYERS, soc, computed, percent, density)
    layers = pd.DataFrame(
        {
            "profile_id": layers["profile_id"],
            "layer": layers["layer"].astype(int),
            "upper_depth": layers["upper_depth_m"],
            "lower_depth": layers["lower_depth_m"],
            "soc": soc.fillna(computed) * 1000.0,
            "organic_carbon": 10.0 * percent,
            "bulk_density": density,
            "bulk_density_method": layers["bd_method"],
            "coarse_fraction": layers["coarse_fraction"],
            "ph": layers["ph"],
            "sand": layers["sand_percent"],
            "clay": layers["clay_percent"],
            "litter": False,
        }
    )
    return ProfileTables(profiles[columns], layers)


def read_collections(folders: Sequence[Path]) -> ProfileTables:
    """Profiles and layers of several folders, one after the other, as `read_profile_tables` gives them.

    An identifier that two of them share is an `InputError`.
    """
    each = [read_profile_tables(folder) for folder in folders]
    profiles = pd.concat([tables.profiles for tables in each], ignore_index=True)
    names, of = profiles["profile_id"], np.repeat([str(x / PROFILES) for x in folders], [len(x.profiles) for x in each])
    if (twice := names.duplicated()).any():
        name = names[twice].iloc[0]
        raise InputError(
            f"profile_id {name!r} stands in {' and in '.join(of[names == name])} ({twice.sum():,} identifiers in all), "
            "expected in one collection. Put the collection's name before its identifiers, in both of its tables."
        )
    return ProfileTables(profiles, pd.concat([tables.layers for tables in each], ignore_index=True))


def read_grid_table(folder: Path | str) -> pd.DataFrame:
    """Drivers of the half-degree land cells with names as in the package and the covariates under their own names.

    Columns are lon, lat, land_fraction, cell_area (m2), land_cover, air_temperature (degrees Celsius), precipitation
    (mm yr-1), npp (g C m-2 yr-1), active_layer (m; 35 where not given), sand_percent, clay_percent, `ref_*`
    (kg m-2) and those of `grid_covariates`. Errors are those of `read_profile_tables`, and a cell that is none of the
    half-degree grid.
    """
    needed, optional = ("lon", "lat", "land_fraction", "cell_area_m2", *_COVARIATES), ("active_layer_m",)
    grid = _table(folder, GRID, (*needed, *optional), optional=optional, prefix="ref_")
    file = Path(folder) / GRID
    steps = (grid[["lon", "lat"]] - RESOLUTION / 2) / RESOLUTION
    off = ((steps - steps.round()).abs() > 1e-3).any(axis=1) | steps.isna().any(axis=1) | (grid["lat"].abs() > 90)
    for bad, expected in (
        (off, "lon and lat of centres of half-degree cells, such as -100.25, 40.75"),
        (grid.duplicated(["lon", "lat"]), "every cell once"),
    ):
        if bad.any():
            row = int(np.argmax(bad))
            lon, lat = grid.loc[row, ["lon", "lat"]]
            raise InputError(f"{file}, {csv_line(row)}: the cell is at {lon:g}, {lat:g}; expected {expected}.")
    whole = cell_area(grid["lat"].to_numpy())
    right = (grid["cell_area_m2"] / whole - 1).abs() <= AREA_TOLERANCE
    expected = f"{whole[np.argmin(right)]:.4g} m2 within {100 * AREA_TOLERANCE:g} %, that of a half-degree cell"
    remedy = "Land and water, at its latitude. Give m2, and the share of land as land_fraction."
    checked(grid, {"cell_area_m2": [no_gaps, row_check(lambda _: right, expected, remedy)]}, file, csv_line)
    return grid.assign(
        cell_area=grid["cell_area_m2"],
        land_cover=grid["igbp_land_cover"],
        air_temperature=grid["mean_annual_temperature_degC"],
        precipitation=grid["precipitation_mm_yr"],
        npp=grid["npp_gC_m2_yr"],
        active_layer=grid["active_layer_m"].fillna(NO_PERMAFROST),
        sand_percent=100.0 * grid["sand_fraction"],
        clay_percent=100.0 * grid["clay_fraction"],
    )


def grid_covariates(grid: pd.DataFrame) -> pd.DataFrame:
    """The driver columns of the grid table; not longitude and latitude: a network could learn places from them."""
    return grid[list(_COVARIATES)].astype(float)


def read_delimited(
    file: Path | zipfile.Path,
    numbers: Sequence[str],
    texts: Sequence[str] = (),
    optional: Sequence[str] = (),
    prefix: str | None = None,
) -> pd.DataFrame:
    """Columns of a text table, `numbers` as floats and `texts` as they stand, missing where a field is empty or NA.

    A name that ends in ".tsv" stands for tabs and no quotes, any other for commas. The `optional` columns need not be
    there; columns of numbers whose names begin with `prefix` are read too. A table that is not whole, or has no number
    where one is expected, is an `InputError` with the line.
    """
    separator = "\t" if file.name.endswith(".tsv") else ","
    names: list[str] = []
    try:
        with file.open("rb") as stream:
            names = next(csv.reader([stream.readline().decode("utf-8-sig")], delimiter=separator), [])
        missing = [name for name in (*texts, *numbers) if name not in names and name not in optional]
        if missing:
            raise InputError(
                f"{file}: no column {', '.join(missing)}; it has {', '.join(names) or 'none'}, separated by "
                f"{separator!r}. data/README.md describes the layout."
            )
        kinds = {name: pyarrow.string() for name in texts if name in names}
        kinds |= {name: pyarrow.float64() for name in numbers if name in names}
        kinds |= {name: pyarrow.float64() for name in names if prefix and name.startswith(prefix)}
        with file.open("rb") as stream:
            how = (
                pyarrow.csv.ReadOptions(use_threads=False),  # for the row in an error
                pyarrow.csv.ParseOptions(delimiter=separator, quote_char=False if separator == "\t" else '"'),
                pyarrow.csv.ConvertOptions(
                    column_types=kinds, include_columns=list(kinds), null_values=_MISSING, strings_can_be_null=True
                ),
            )
            table = pyarrow.csv.read_csv(stream, *how).to_pandas()
    except (pyarrow.ArrowException, UnicodeDecodeError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(f"{file}{_fault(str(error), names)}") from None
    for name in (name for name in texts if name in table):
        if separator == "\t":  # quotes around a whole field, as some fields of WoSIS 2019 have
            table[name] = table[name].str.strip('"')
        elif (open_quote := table[name].str.contains("\n", na=False)).any():
            raise InputError(f"{file}, {csv_line(int(np.argmax(open_quote)))}: a quote is not closed in {name}.")
    return table


def _fault(error: str, names: list[str]) -> str:
    if match := re.search(r"column #(\d+): Row #(\d+): .* to double: invalid value '(.*)'", error):
        column, line, text = match.groups()
        return (
            f", line {line}: {names[int(column)]} is {text!r}, expected a number or an empty field. A decimal comma? "
            "Write a point. A list in braces? Give one number."
        )
    if match := re.search(r"Row #(\d+): (Expected .*)", error, flags=re.DOTALL):
        line, text = match.groups()
        return f", line {line}: {text[:200]!r}. A comma or a quote in a text, a decimal comma, or a line cut short?"
    return f": not a whole table in UTF-8 ({error}). Save it as UTF-8, or download it again."


def _table(folder: Path | str, name: str, numbers, texts=(), optional=(), prefix=None, **checks) -> pd.DataFrame:
    """A table whose columns pass `_CHECKS`; optional columns that it lacks are empty."""
    file = Path(folder) / name
    if not file.is_file():
        raise InputError(
            f"{file}: no such file. Give the folder with {name} as --data DIR, or name folders below it in the study "
            "file: [source] folders, [source.forcing] folder."
        )
    table = read_delimited(file, numbers, texts, optional, prefix)
    table = checked(table, _CHECKS | checks, file, csv_line)
    table = table.assign(**{name: np.nan for name in numbers if name not in table})
    return table.assign(**{name: None for name in texts if name not in table})


def _check_carbon(file: Path, soc: pd.Series, computed: pd.Series, percent: pd.Series, density: pd.Series) -> None:
    """Refuse carbon by volume in another unit than that by mass gives, and g per kg under the name of percent."""
    both = (soc > 0) & (computed > 0)
    ratio = soc[both] / computed[both]
    # Bulk densities scatter about 1 g cm-3, so the median cannot separate g per kg from kg per m3: compare the fits.
    by_mass = np.log(soc[both] / (10.0 * percent[both])).abs().median() < np.log(ratio).abs().median()
    if len(ratio) >= _ENOUGH and (by_mass or not 0.9 <= ratio.median() <= 1.1):
        raise InputError(
            f"{file}: soc_kg_m3 is {ratio.median():.3g} times oc_percent x 10 x bulk_density_g_cm3 x (1 - "
            f"coarse_fraction) (median of {len(ratio)} layers), expected 1 in every layer: values in "
            f"{'g per kg of soil' if by_mass else 'another unit'}? Give kg C per m3 of soil."
        )
    # Organic matter holds some 58 % carbon, and it is light.
    if percent.count() >= _ENOUGH and percent.quantile(0.98) > 60:
        raise InputError(
            f"{file}: two layers in a hundred have oc_percent above {percent.quantile(0.98):.3g}, expected at most 60: "
            "values in g per kg? Divide by 10."
        )
    rich = density[(percent >= _RICH) & (density > 0)]
    if len(rich) >= _ENOUGH and rich.median() > _LIGHT:
        raise InputError(
            f"{file}: the {len(rich)} layers with oc_percent of {_RICH:g} and above have a median bulk density of "
            f"{rich.median():.3g} g per cm3, expected below {_LIGHT:g}: oc_percent in g per kg? Divide by 10."
        )
