"""Reader of the half-degree drivers: the table grid_half_degree.csv of a data folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from proda.data.grid import RESOLUTION, check_areas
from proda.data.readers.csv_tables import GRID, csv_table, existing_folder
from proda.data.validation import median_check
from proda.errors import InputError

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
