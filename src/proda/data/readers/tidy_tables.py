"""Reader of tidy tables: a folder with profiles.csv, layers.csv and, for real studies, grid_half_degree.csv.

Columns in other units than expected are an error before anything is computed; single odd rows are cleaning's business.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from proda.data.grid import RESOLUTION
from proda.data.profiles import ProfileTables
from proda.errors import InputError

PROFILES, LAYERS, GRID = "profiles.csv", "layers.csv", "grid_half_degree.csv"

_PROFILE_COLUMNS = ("profile_id", "lon", "lat", "source")
_PROFILE_OPTIONAL = ("land_use", "state", "year")
_LAYER_COLUMNS = ("profile_id", "layer", "upper_depth_m", "lower_depth_m", "soc_kg_m3")
_COVARIATES = (
    "mean_annual_temperature_degC", "precipitation_mm_yr", "npp_gC_m2_yr", "clm5_npp_gC_m2_yr", "sand_fraction",
    "clay_fraction", "water_wilting_m3_m3", "water_field_capacity_m3_m3", "water_saturation_m3_m3",
    "igbp_land_cover", "koppen_class",
)  # fmt: skip
_GRID_COLUMNS = ("lon", "lat", "land_fraction", "cell_area_m2", *_COVARIATES)

# column: (least and greatest plausible median, what is likely when it lies beyond, what to do)
_GRID_MEDIANS = {
    "mean_annual_temperature_degC": (-40.0, 45.0, "temperatures in kelvin?", "Subtract 273.15."),
    "precipitation_mm_yr": (50.0, 8000.0, "precipitation per day, in metres or in inches?", "Give mm per year."),
    "npp_gC_m2_yr": (5.0, 3000.0, "NPP in kg or per second?", "Give g C per square metre and year."),
    "sand_fraction": (0.0, 1.0, "sand in percent?", "Divide by 100."),
    "clay_fraction": (0.0, 1.0, "clay in percent?", "Divide by 100."),
    "cell_area_m2": (1e6, 1e11, "areas in square kilometres?", "Multiply by 1e6."),
}


def read_profile_tables(folder: Path | str) -> ProfileTables:
    """Profiles and layers of a folder in the package's names and units (m, g C m-3), otherwise as they are.

    A missing `soc_kg_m3` is computed as oc_percent x 10 x bulk_density_g_cm3 x (1 - coarse_fraction) where the first
    two are there; it stays missing elsewhere.

    Raises
    ------
    InputError
        When the folder, a file or a column is missing, a table is empty, a value is no number, an identifier occurs
        twice, or a column is in another unit than its name says.
    """
    folder = _existing_folder(folder)
    path = folder / PROFILES
    profiles = _table(path, _PROFILE_COLUMNS, numbers=("lon", "lat"))
    twice = profiles["profile_id"].duplicated()
    if twice.any():
        row = int(np.argmax(twice))
        raise InputError(
            f"{path}, line {row + 2}: profile_id {profiles['profile_id'].iloc[row]!r} occurs a second time; layers "
            "cannot be told apart. Give every profile its own identifier."
        )
    if profiles["lon"].median() > 180 or abs(profiles["lat"].median()) > 90:
        raise InputError(
            f"{path}: the median position is lon {profiles['lon'].median():g}, lat {profiles['lat'].median():g}; "
            "expected lon -180 to 180 and lat -90 to 90, degrees. Subtract 360 from lon, or exchange the columns."
        )
    for name in _PROFILE_OPTIONAL:
        if name not in profiles:
            profiles[name] = np.nan if name == "year" else None
    profiles["year"] = pd.to_numeric(profiles["year"], errors="coerce")
    return ProfileTables(profiles[[*_PROFILE_COLUMNS, *_PROFILE_OPTIONAL]], _layers(folder / LAYERS))


def _layers(path: Path) -> pd.DataFrame:
    _check_not_by_mass(path)
    layers = _table(path, _LAYER_COLUMNS, numbers=("layer", "upper_depth_m", "lower_depth_m", "soc_kg_m3"))
    middle = layers["lower_depth_m"].median()
    if middle > 5.0:
        raise InputError(
            f"{path}: the median of lower_depth_m is {middle:.3g}, expected under 5 m. Depths in centimetres? "
            "Divide upper_depth_m and lower_depth_m by 100."
        )
    soc = layers["soc_kg_m3"]
    if {"oc_percent", "bulk_density_g_cm3"} <= set(layers):
        computed = _density(layers)
        _check_density_unit(path, soc, computed, pd.to_numeric(layers["oc_percent"], errors="coerce"))
        soc = soc.fillna(computed)
    return pd.DataFrame(
        {
            "profile_id": layers["profile_id"],
            "layer": layers["layer"].astype(int),
            "upper_depth": layers["upper_depth_m"],
            "lower_depth": layers["lower_depth_m"],
            "soc": soc * 1000.0,
        }
    )


def _density(layers: pd.DataFrame) -> pd.Series:
    """Carbon by volume, kg m-3, from carbon by mass (%), bulk density (g cm-3) and the share of coarse fragments."""
    coarse = pd.to_numeric(layers.get("coarse_fraction", pd.Series(0.0, layers.index)), errors="coerce").fillna(0.0)
    carbon = pd.to_numeric(layers["oc_percent"], errors="coerce")
    density = pd.to_numeric(layers["bulk_density_g_cm3"], errors="coerce")
    return carbon * 10.0 * density * (1.0 - coarse)


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
        When the file or a column is missing, the table is empty, or a column is in another unit than its name says.
    """
    path = _existing_folder(folder) / GRID
    grid = _table(path, _GRID_COLUMNS, numbers=_GRID_COLUMNS)
    for name, (low, high, guess, remedy) in _GRID_MEDIANS.items():
        middle = grid[name].median()
        if not low <= middle <= high:
            raise InputError(
                f"{path}: the median of {name} is {middle:.4g}, expected {low:g} to {high:g}: {guess} {remedy}"
            )
    _check_cells(path, grid)
    return grid.assign(
        cell_area=grid["cell_area_m2"],
        land_cover=grid["igbp_land_cover"],
        air_temperature=grid["mean_annual_temperature_degC"],
        precipitation=grid["precipitation_mm_yr"],
        npp=grid["npp_gC_m2_yr"],
        sand_percent=100.0 * grid["sand_fraction"],
        clay_percent=100.0 * grid["clay_fraction"],
    )


def _check_cells(path: Path, grid: pd.DataFrame) -> None:
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


def _existing_folder(folder: Path | str) -> Path:
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder. Give the folder with {PROFILES}, {LAYERS} and {GRID} as --data DIR."
        )
    return folder


def _table(path: Path, columns: tuple[str, ...], numbers: tuple[str, ...]) -> pd.DataFrame:
    """A CSV table with `columns`, of which `numbers` are floats; an empty field is a missing value."""
    if not path.is_file():
        raise InputError(f"{path}: no such file. The folder must hold {PROFILES}, {LAYERS} and {GRID}.")
    try:
        table = pd.read_csv(path, dtype={"profile_id": str}, low_memory=False)
    except pd.errors.EmptyDataError:
        raise InputError(f"{path}: the file is empty; expected a header with {', '.join(columns)} and rows.") from None
    missing = [name for name in columns if name not in table]
    if missing:
        raise InputError(
            f"{path}: no column {', '.join(missing)}; it has {', '.join(table.columns)}. "
            "Rename or add the column; data/README.md describes the layout."
        )
    if not len(table):
        raise InputError(f"{path}: the table has a header but no rows; expected one row a profile, layer or cell.")
    for name in numbers:
        values = pd.to_numeric(table[name], errors="coerce")
        text = values.isna() & table[name].notna()
        if text.any():
            row = int(np.argmax(text))
            raise InputError(
                f"{path}, line {row + 2}: {name} is {table[name].iloc[row]!r}, expected a number or an empty field."
            )
        table[name] = values.astype(float)
    for name in {"profile_id", "layer"} & set(columns):
        if table[name].isna().any():
            row = int(np.argmax(table[name].isna()))
            raise InputError(f"{path}, line {row + 2}: {name} is missing; expected one in every row.")
    return table
