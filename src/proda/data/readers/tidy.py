"""The tidy tables of a data folder: profiles.csv, layers.csv and the half-degree drivers of grid_half_degree.csv.

Columns in other units than in their names are an error before anything is computed; single odd rows are left to
cleaning. data/README.md describes the columns.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from proda.data.grid import RESOLUTION, check_areas
from proda.data.readers.delimited import DataFile, read_delimited
from proda.data.tables import ProfileTables, checked, csv_line, median_check, row_check, table_schema
from proda.errors import InputError

PROFILES, LAYERS, GRID = "profiles.csv", "layers.csv", "grid_half_degree.csv"
_UNCERTAINTY = "coord_uncertainty_km"
_EXCHANGED = "Subtract 360 from lon, or exchange the columns lon and lat."
_PROFILE_RULES = {
    "profile_id": {
        "unique": True,
        "nullable": False,
        "remedy": "Its layers cannot be assigned to one profile: give every profile its own identifier.",
    },
    "lon": {"checks": median_check(-np.inf, 180, "degrees east", _EXCHANGED)},
    "lat": {"checks": median_check(-90, 90, "degrees north", _EXCHANGED)},
}
_LAYER_COLUMNS = ("layer", "upper_depth_m", "lower_depth_m", "soc_kg_m3")
_LAYER_OPTIONAL = ("oc_percent", "bulk_density_g_cm3", "coarse_fraction", "ph")
_LAYER_RULES = {
    "profile_id": {"nullable": False},
    "layer": {"nullable": False, "checks": row_check(lambda x: x % 1 == 0, "a whole number")},
    "lower_depth_m": {
        "checks": [
            median_check(-np.inf, 5, "m", "Depths in centimetres? Divide upper_depth_m and lower_depth_m by 100."),
            median_check(0, np.inf, "m", "Depths are positive down: change the signs of both bounds."),
        ]
    },
    "oc_percent": {"checks": row_check(lambda x: x <= 100, "at most 100 % of the mass", "In g per kg? Divide by 10.")},
    "bulk_density_g_cm3": {"checks": median_check(0.02, 3, "g per cm3", "In kg per m3? Divide by 1,000.")},
    "coarse_fraction": {
        "checks": row_check(lambda x: (x >= 0) & (x <= 1), "0 to 1", "Volume in percent? Divide by 100."),
    },
    "ph": {
        "checks": row_check(lambda x: (x >= 0) & (x <= 14), "0 to 14", "pH x 10? Divide by 10; missing: leave empty.")
    },
}
# kg m-3, of all layers of a study. The least median of any state in the public profiles is 2.8: values in percent are
# below 1.
LEAST_MEDIAN, GREATEST_MEDIAN = 1.0, 200.0
# Soil with as much carbon (% of mass) is lighter than this (g cm-3): of 1,339 such layers of the public profiles the
# median is 0.39, and 0.91 in the densest source; with carbon in g per kg under the name of percent it is 1.38.
_RICH, _LIGHT, _ENOUGH = 8.0, 1.15, 10

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
        ("precipitation_mm_yr", 50, 8000, "mm a year", "Rain per day, in metres or in inches? Give mm a year."),
        ("npp_gC_m2_yr", 5, 3000, "g C m-2 a year", "NPP in kg or per second? Give g C per square metre and year."),
        ("sand_fraction", 0, 1, "", "Sand in percent? Divide by 100."),
        ("clay_fraction", 0, 1, "", "Clay in percent? Divide by 100."),
        ("cell_area_m2", 1e6, 1e11, "m2", "Areas in square kilometres? Multiply by 1e6."),
    )
}


def read_profile_tables(folder: Path | str) -> ProfileTables:
    """Profiles and layers of a folder in the package's names and units (m, g C m-3), otherwise as they are.

    A missing `soc_kg_m3` is computed as oc_percent x 10 x bulk_density_g_cm3 x (1 - coarse_fraction) where the first
    two are there; it stays missing elsewhere, for `proda.data.bulk_density` to estimate where the study asks for it.

    Raises
    ------
    InputError
        When the folder, a file or a column is missing, a table is empty, a value is no number, an identifier occurs
        twice, or a column is in another unit than in its name.
    """
    texts = ("profile_id", "source", "land_use", "state")
    profiles = _table(
        _file(folder, PROFILES), ("lon", "lat", "year", _UNCERTAINTY), texts, _PROFILE_RULES,
        optional=("land_use", "state", "year", _UNCERTAINTY),
    )  # fmt: skip
    profiles["position_uncertainty"] = 1000.0 * _optional(profiles, _UNCERTAINTY)
    profiles["year"] = _optional(profiles, "year")
    for name in ("land_use", "state"):
        if name not in profiles:
            profiles[name] = None
    columns = ["profile_id", "lon", "lat", "source", "land_use", "state", "year", "position_uncertainty"]
    return ProfileTables(profiles[columns], _layers(_file(folder, LAYERS)))


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
        When the file or a column is missing, the table is empty, a column is in another unit than in its name, or a
        cell is not one of the half-degree grid in position, area or share of land.
    """
    file = _file(folder, GRID)
    grid = _table(file, _GRID_COLUMNS, (), _GRID_RULES, others=True)
    _check_positions(file, grid)
    check_areas(grid, lambda row: f"{file}, {csv_line(row)}", "cell_area_m2")
    return grid.assign(
        cell_area=grid["cell_area_m2"],
        land_cover=grid["igbp_land_cover"],
        air_temperature=grid["mean_annual_temperature_degC"],
        precipitation=grid["precipitation_mm_yr"],
        npp=grid["npp_gC_m2_yr"],
        sand_percent=100.0 * grid["sand_fraction"],
        clay_percent=100.0 * grid["clay_fraction"],
    )


def grid_covariates(grid: pd.DataFrame) -> pd.DataFrame:
    """The driver columns of the grid table: climate, NPP, texture, water retention and classes.

    Reference maps are what results are compared with, so they are no covariates; neither is land use, which only
    sites have, nor longitude and latitude, from which a network could learn places instead of causes.
    """
    return grid[list(_COVARIATES)].astype(float)


def _file(folder: Path | str, name: str) -> DataFile:
    path = Path(folder) / name
    if not path.is_file():
        raise InputError(f"{path}: no such file. Give the folder with {PROFILES}, {LAYERS} and {GRID} as --data DIR.")
    return DataFile(path)


def _table(file: DataFile, numbers, texts, rules, optional=(), others=False) -> pd.DataFrame:
    """The columns of a table, once the rules on its columns hold."""
    table = read_delimited(file, numbers, texts, optional, others=others)
    names = [name for name in (*texts, *numbers) if name in table]
    schema = table_schema(dict.fromkeys(names, ""), {name: rules[name] for name in names if name in rules})
    return checked(table, schema, file, csv_line)


def _layers(file: DataFile) -> pd.DataFrame:
    _check_not_by_mass(file)
    numbers, optional = (*_LAYER_COLUMNS, *_LAYER_OPTIONAL), (*_LAYER_OPTIONAL, "bd_method")
    layers = _table(file, numbers, ("profile_id", "bd_method"), _LAYER_RULES, optional)
    soc = layers["soc_kg_m3"]
    if {"oc_percent", "bulk_density_g_cm3"} <= set(layers):
        computed = _density(layers)
        _check_density_unit(file, soc, computed, layers["oc_percent"])
        soc = soc.fillna(computed)
    _check_percent(file, _optional(layers, "oc_percent"), _optional(layers, "bulk_density_g_cm3"))
    _check_median(file, soc)
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


def _check_not_by_mass(file: DataFile) -> None:
    """Carbon by mass under its own name, before a missing column is reported."""
    with file.open() as stream:
        names = stream.readline().decode("utf-8", "replace").strip().split(",")
    by_mass = [name for name in names if name.lower() in ("soc_g_kg", "orgc_g_kg", "oc_g_kg", "soc_gkg")]
    if by_mass and "soc_kg_m3" not in names:
        raise InputError(
            f"{file}: carbon is in column {by_mass[0]!r} (g per kg of soil), expected soc_kg_m3 (kg per m3 of soil). "
            "Multiply g/kg by bulk density in g cm-3 and by (1 - coarse fraction)."
        )


def _check_density_unit(file: DataFile, soc: pd.Series, computed: pd.Series, percent: pd.Series) -> None:
    both = (soc > 0) & (computed > 0)
    if both.sum() < 10:
        return
    ratio = soc[both] / computed[both]
    # Bulk densities scatter about 1 g cm-3, so the median cannot separate g per kg from kg per m3: compare the fits.
    by_mass = np.log(soc[both] / (10.0 * percent[both])).abs().median() < np.log(ratio).abs().median()
    if 0.9 <= ratio.median() <= 1.1 and not by_mass:
        return
    raise InputError(
        f"{file}: soc_kg_m3 is {ratio.median():.3g} times oc_percent x 10 x bulk_density_g_cm3 x (1 - coarse_fraction) "
        f"(median of {int(both.sum())} layers), expected 1 in every layer: values in "
        f"{'g per kg of soil' if by_mass else 'another unit'}? Give kg C per m3 of soil."
    )


def _check_percent(file: DataFile, percent: pd.Series, density: pd.Series) -> None:
    """Grams per kilogram under the name of percent: organic matter holds some 58 % carbon, and it is light."""
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


def _check_median(file: DataFile, soc: pd.Series) -> None:
    """Which unit is likely when the median layer holds more or less carbon than soils do."""
    middle = soc.median()  # NaN where no layer has carbon, which cleaning accounts for
    if middle < LEAST_MEDIAN or middle > GREATEST_MEDIAN:
        guess = "g per m3? Divide by 1000"
        if middle < LEAST_MEDIAN:
            guess = "g per cm3? Multiply by 1000" if middle < 0.1 else "percent of the mass? That is oc_percent"
        raise InputError(
            f"{file}: the median of soc_kg_m3 is {middle:.3g}, expected {LEAST_MEDIAN:g} to {GREATEST_MEDIAN:g} "
            f"kg per m3 of soil: values in {guess}."
        )


def _check_positions(file: DataFile, grid: pd.DataFrame) -> None:
    poleward = grid["lat"].abs() > 90
    if poleward.any():
        row = int(np.argmax(poleward))
        raise InputError(
            f"{file}, {csv_line(row)}: lat is {grid['lat'].iloc[row]:g}, expected -90 to 90. Are lon and lat exchanged?"
        )
    steps = (grid[["lon", "lat"]] - RESOLUTION / 2) / RESOLUTION
    off = ((steps - steps.round()).abs() > 1e-3).any(axis=1) | steps.isna().any(axis=1)
    twice = grid.duplicated(["lon", "lat"])
    for bad, expected in ((off, "centres of half-degree cells, such as -100.25, 40.75"), (twice, "every cell once")):
        if bad.any():
            row = int(np.argmax(bad))
            lon, lat = grid.loc[row, ["lon", "lat"]]
            raise InputError(f"{file}, {csv_line(row)}: the cell is at {lon:g}, {lat:g}; expected {expected}.")
