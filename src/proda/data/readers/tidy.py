"""Reader of soil profiles: the tables profiles.csv and layers.csv of a data folder.

Columns in other units than expected are an error before anything is computed; single odd rows are cleaning's business.

The CSV tables of a data folder: columns that must be there, numbers that must be numbers.

Reader of the half-degree drivers: the table grid_half_degree.csv of a data folder.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from proda.data.grid import RESOLUTION, check_areas
from proda.data.tables import ProfileTables, checked, csv_line, median_check, row_check, table_schema
from proda.errors import InputError

PROFILES, LAYERS, GRID = "profiles.csv", "layers.csv", "grid_half_degree.csv"


def existing_folder(folder: Path | str) -> Path:
    """`folder` as a path.

    Raises
    ------
    InputError
        When it does not exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder. Give the folder with {PROFILES}, {LAYERS} and {GRID} as --data DIR."
        )
    return folder


def csv_table(
    path: Path,
    columns: tuple[str, ...],
    numbers: tuple[str, ...],
    rules: Mapping[str, Mapping[str, Any]] | None = None,
    optional: tuple[str, ...] = (),
) -> pd.DataFrame:
    """A CSV table with `columns`, of which `numbers` are floats; an empty field is a missing value.

    Parameters
    ----------
    rules : what else holds of a column, as for `proda.data.tables.table_schema`
    optional : columns of numbers that need not be there; what stands in them is checked as in the others

    Raises
    ------
    InputError
        When the file or a column is missing, the table is empty, a line has more or fewer fields than the header, a
        value is no number, or a rule is broken; names file, column and line.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file. The folder must hold {PROFILES}, {LAYERS} and {GRID}.")
    check_fields(path)
    try:
        table = pd.read_csv(path, dtype={"profile_id": str}, low_memory=False)
    except pd.errors.EmptyDataError:
        raise InputError(f"{path}: the file is empty; expected a header with {', '.join(columns)} and rows.") from None
    basic = {name: {"dtype": float} if name in numbers else {} for name in columns}
    basic |= {name: {"dtype": float, "required": False} for name in optional}
    columns = (*columns, *optional)
    keys = {name: {"nullable": False} for name in columns if name in ("profile_id", "layer")}
    merged = {name: {**basic[name], **keys.get(name, {}), **(rules or {}).get(name, {})} for name in columns}
    schema = table_schema(
        dict.fromkeys(columns, ""),
        merged,
        columns_remedy="Rename or add the column; data/README.md describes the layout.",
        empty_remedy="Expected one row a profile, layer or cell.",
    )
    return checked(table, schema, path, csv_line)


def check_fields(path: Path) -> None:
    """Refuse lines with more or fewer fields than the header, which pandas fills up or shifts without a word.

    Raises
    ------
    InputError
        Names the file and the first such line; when the file is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream)
            names = next(rows, [])
            for row in rows:
                if row and len(names) > 1 and len(row) != len(names):
                    raise InputError(
                        f"{path}, line {rows.line_num}: {len(row)} fields, expected {len(names)} as in the header: its "
                        "columns are shifted. A decimal comma, a comma in a text without quotes, or a line cut short?"
                    )
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error}). Save the file as UTF-8.") from None


_PROFILE_COLUMNS = ("profile_id", "lon", "lat", "source")
_PROFILE_OPTIONAL = ("land_use", "state", "year")
_UNCERTAINTY = "coord_uncertainty_km"
_LAYER_COLUMNS = ("profile_id", "layer", "upper_depth_m", "lower_depth_m", "soc_kg_m3")
_LAYER_OPTIONAL = ("oc_percent", "bulk_density_g_cm3", "coarse_fraction", "ph")
_EXCHANGED = "Subtract 360 from lon, or exchange the columns lon and lat."
_PROFILE_RULES = {
    "profile_id": {"unique": True, "remedy": "Its layers cannot be told apart: give every profile its own identifier."},
    "lon": {"checks": median_check(-np.inf, 180, "degrees east", _EXCHANGED)},
    "lat": {"checks": median_check(-90, 90, "degrees north", _EXCHANGED)},
}
_LAYER_RULES = {
    "lower_depth_m": {
        "checks": [
            median_check(-np.inf, 5, "m", "Depths in centimetres? Divide upper_depth_m and lower_depth_m by 100."),
            median_check(0, np.inf, "m", "Depths are positive down: change the signs of both bounds."),
        ]
    },
    "oc_percent": {
        "checks": row_check(lambda x: x <= 100, "at most 100 % of the mass", "In g per kg? Divide by 10."),
    },
    "bulk_density_g_cm3": {
        "checks": median_check(0.02, 3, "g per cm3", "In kg per m3? Divide by 1,000."),
    },
    "coarse_fraction": {
        "checks": row_check(lambda x: (x >= 0) & (x <= 1), "0 to 1", "Volume in percent? Divide by 100."),
    },
    "ph": {
        "checks": row_check(lambda x: (x >= 0) & (x <= 14), "0 to 14", "pH x 10? Divide by 10; missing: leave empty.")
    },
}
# kg m-3, of all layers of a study. The least of any state in the public profiles is 2.8: below 1 stands percent.
LEAST_MEDIAN, GREATEST_MEDIAN = 1.0, 200.0
# Soil with as much carbon (% of mass) is lighter than this (g cm-3): of 1,339 such layers of the public profiles the
# middle one has 0.39, and 0.91 in the densest source; with carbon in g per kg under the name of percent it is 1.38.
_RICH, _LIGHT, _ENOUGH = 8.0, 1.15, 10


def read_profile_tables(folder: Path | str) -> ProfileTables:
    """Profiles and layers of a folder in the package's names and units (m, g C m-3), otherwise as they are.

    A missing `soc_kg_m3` is computed as oc_percent x 10 x bulk_density_g_cm3 x (1 - coarse_fraction) where the first
    two are there; it stays missing elsewhere, for `proda.data.bulk_density` to estimate where the study says so.

    Raises
    ------
    InputError
        When the folder, a file or a column is missing, a table is empty, a value is no number, an identifier occurs
        twice, or a column is in another unit than its name says.
    """
    folder = existing_folder(folder)
    path = folder / PROFILES
    profiles = csv_table(path, _PROFILE_COLUMNS, ("lon", "lat"), _PROFILE_RULES, optional=("year", _UNCERTAINTY))
    for name in _PROFILE_OPTIONAL:
        if name not in profiles:
            profiles[name] = np.nan if name == "year" else None
    profiles["position_uncertainty"] = 1000.0 * _optional(profiles, _UNCERTAINTY)
    return ProfileTables(
        profiles[[*_PROFILE_COLUMNS, *_PROFILE_OPTIONAL, "position_uncertainty"]], _layers(folder / LAYERS)
    )


def _layers(path: Path) -> pd.DataFrame:
    _check_not_by_mass(path)
    layers = csv_table(path, _LAYER_COLUMNS, _LAYER_COLUMNS[1:], _LAYER_RULES, optional=_LAYER_OPTIONAL)
    soc = layers["soc_kg_m3"]
    if {"oc_percent", "bulk_density_g_cm3"} <= set(layers):
        computed = _density(layers)
        _check_density_unit(path, soc, computed, layers["oc_percent"])
        soc = soc.fillna(computed)
    _check_percent(path, _optional(layers, "oc_percent"), _optional(layers, "bulk_density_g_cm3"))
    _check_median(path, soc)
    return pd.DataFrame(
        {
            "profile_id": layers["profile_id"],
            "layer": layers["layer"].astype(int),
            "upper_depth": layers["upper_depth_m"],
            "lower_depth": layers["lower_depth_m"],
            "soc": soc * 1000.0,
            "organic_carbon": 10.0 * _optional(layers, "oc_percent"),
            "bulk_density": _optional(layers, "bulk_density_g_cm3"),
            "bulk_density_method": layers.get("bd_method", pd.Series(None, layers.index, dtype=object)),
            "coarse_fraction": _optional(layers, "coarse_fraction"),
            "ph": _optional(layers, "ph"),
            "litter": False,
        }
    )


def _optional(table: pd.DataFrame, name: str) -> pd.Series:
    """A column of numbers that need not be there; NaN where it is not."""
    return table.get(name, pd.Series(np.nan, table.index)).astype(float)


def _density(layers: pd.DataFrame) -> pd.Series:
    """Carbon by volume, kg m-3, from carbon by mass (%), bulk density (g cm-3) and the share of coarse fragments."""
    coarse = _optional(layers, "coarse_fraction").fillna(0.0)
    return layers["oc_percent"] * 10.0 * layers["bulk_density_g_cm3"] * (1.0 - coarse)


def _check_not_by_mass(path: Path) -> None:
    """Say what to do when carbon is given by mass under its own name, before a missing column is reported."""
    names = list(pd.read_csv(path, nrows=0)) if path.is_file() else []
    by_mass = [name for name in names if name.lower() in ("soc_g_kg", "orgc_g_kg", "oc_g_kg", "soc_gkg")]
    if by_mass and "soc_kg_m3" not in names:
        raise InputError(
            f"{path}: carbon is in column {by_mass[0]!r} (g per kg of soil), expected soc_kg_m3 (kg per m3 of soil). "
            "Multiply g/kg by bulk density in g cm-3 and by (1 - coarse fraction)."
        )


def _check_density_unit(path: Path, soc: pd.Series, computed: pd.Series, percent: pd.Series) -> None:
    both = (soc > 0) & (computed > 0)
    if both.sum() < 10:
        return
    ratio = soc[both] / computed[both]
    # Bulk densities scatter about 1 g cm-3, so a median alone may not tell g per kg from kg per m3: compare the fits.
    by_mass = np.log(soc[both] / (10.0 * percent[both])).abs().median() < np.log(ratio).abs().median()
    if 0.9 <= ratio.median() <= 1.1 and not by_mass:
        return
    raise InputError(
        f"{path}: soc_kg_m3 is {ratio.median():.3g} times oc_percent x 10 x bulk_density_g_cm3 x (1 - coarse_fraction) "
        f"(median of {int(both.sum())} layers), expected 1 in every layer: values in "
        f"{'g per kg of soil' if by_mass else 'another unit'}? Give kg C per m3 of soil."
    )


def _check_percent(path: Path, percent: pd.Series, density: pd.Series) -> None:
    """Tell grams per kilogram under the name of percent: organic matter holds some 58 % carbon, and it is light."""
    if percent.count() >= _ENOUGH and percent.quantile(0.98) > 60:
        raise InputError(
            f"{path}: two layers in a hundred have oc_percent above {percent.quantile(0.98):.3g}, expected at most 60: "
            "values in g per kg? Divide by 10."
        )
    rich = density[(percent >= _RICH) & (density > 0)]
    if len(rich) >= _ENOUGH and rich.median() > _LIGHT:
        raise InputError(
            f"{path}: the {len(rich)} layers with oc_percent of {_RICH:g} and above have a median bulk density of "
            f"{rich.median():.3g} g per cm3, expected below {_LIGHT:g}: oc_percent in g per kg? Divide by 10."
        )


def _check_median(path: Path, soc: pd.Series) -> None:
    """Say which unit is likely when the middle one of all layers holds more or less carbon than soils do."""
    middle = soc.median()  # NaN where no layer has carbon, which cleaning accounts for
    if middle < LEAST_MEDIAN or middle > GREATEST_MEDIAN:
        guess = "g per m3? Divide by 1000"
        if middle < LEAST_MEDIAN:
            guess = "g per cm3? Multiply by 1000" if middle < 0.1 else "percent of the mass? That is oc_percent"
        raise InputError(
            f"{path}: the median of soc_kg_m3 is {middle:.3g}, expected {LEAST_MEDIAN:g} to {GREATEST_MEDIAN:g} "
            f"kg per m3 of soil: values in {guess}."
        )


_COVARIATES = (
    "mean_annual_temperature_degC", "precipitation_mm_yr", "npp_gC_m2_yr", "clm5_npp_gC_m2_yr", "sand_fraction",
    "clay_fraction", "water_wilting_m3_m3", "water_field_capacity_m3_m3", "water_saturation_m3_m3",
    "igbp_land_cover", "koppen_class",
)  # fmt: skip
_GRID_COLUMNS = ("lon", "lat", "land_fraction", "cell_area_m2", *_COVARIATES)

_GRID_RULES = {
    name: {"checks": median_check(low, high, unit, remedy)}
    for name, low, high, unit, remedy in (
        ("mean_annual_temperature_degC", -40, 45, "degrees Celsius", "Temperatures in kelvin? Subtract 273.15."),
        (
            "precipitation_mm_yr",
            50,
            8000,
            "mm a year",
            "Rain per day, in metres or in inches? Give mm a year.",
        ),
        ("npp_gC_m2_yr", 5, 3000, "g C m-2 a year", "NPP in kg or per second? Give g C per square metre and year."),
        ("sand_fraction", 0, 1, "", "Sand in percent? Divide by 100."),
        ("clay_fraction", 0, 1, "", "Clay in percent? Divide by 100."),
        ("cell_area_m2", 1e6, 1e11, "m2", "Areas in square kilometres? Multiply by 1e6."),
    )
}


def read_grid_table(folder: Path | str) -> pd.DataFrame:
    """Drivers of the half-degree land cells with names as in the package and the covariates under their own names.

    Returns
    -------
    DataFrame
        lon, lat, land_fraction, cell_area (m2), land_cover, air_temperature (degrees Celsius), precipitation
        (mm yr-1), npp (g C m-2 yr-1), sand_percent, clay_percent, `ref_*` (kg m-2) and the columns of
        `grid_covariates`.

    Raises
    ------
    InputError
        When the file or a column is missing, the table is empty, a column is in another unit than its name says, or a
        cell is not one of the half-degree grid in position, area or share of land.
    """
    path = existing_folder(folder) / GRID
    grid = csv_table(path, _GRID_COLUMNS, numbers=_GRID_COLUMNS, rules=_GRID_RULES)
    _check_positions(path, grid)
    check_areas(grid, lambda row: f"{path}, line {row + 2}", "cell_area_m2")
    return grid.assign(
        cell_area=grid["cell_area_m2"],
        land_cover=grid["igbp_land_cover"],
        air_temperature=grid["mean_annual_temperature_degC"],
        precipitation=grid["precipitation_mm_yr"],
        npp=grid["npp_gC_m2_yr"],
        sand_percent=100.0 * grid["sand_fraction"],
        clay_percent=100.0 * grid["clay_fraction"],
    )


def _check_positions(path: Path, grid: pd.DataFrame) -> None:
    poleward = grid["lat"].abs() > 90
    if poleward.any():
        row = int(np.argmax(poleward))
        raise InputError(
            f"{path}, line {row + 2}: lat is {grid['lat'].iloc[row]:g}, expected -90 to 90. Are lon and lat exchanged?"
        )
    steps = (grid[["lon", "lat"]] - RESOLUTION / 2) / RESOLUTION
    off = ((steps - steps.round()).abs() > 1e-3).any(axis=1) | steps.isna().any(axis=1)
    twice = grid.duplicated(["lon", "lat"])
    for bad, expected in ((off, "centres of half-degree cells, such as -100.25, 40.75"), (twice, "every cell once")):
        if bad.any():
            row = int(np.argmax(bad))
            lon, lat = grid.loc[row, ["lon", "lat"]]
            raise InputError(f"{path}, line {row + 2}: the cell is at {lon:g}, {lat:g}; expected {expected}.")


def grid_covariates(grid: pd.DataFrame) -> pd.DataFrame:
    """The driver columns of the grid table: climate, NPP, texture, water retention and classes.

    Reference maps are what results are compared with, so they are no covariates; neither is land use, which only
    sites have, nor longitude and latitude, with which a network could learn places instead of causes.
    """
    return grid[list(_COVARIATES)].astype(float)
