"""The tidy tables of a data folder: profiles.csv, layers.csv and the half-degree drivers of grid_half_degree.csv.
data/README.md describes the columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from proda.data.forcing import NO_PERMAFROST
from proda.data.grid import AREA_TOLERANCE, cell_area
from proda.data.region import RESOLUTION
from proda.data.tables import (
    Check,
    ProfileTables,
    check_identifiers,
    checked,
    median_check,
    no_gaps,
    no_repeats,
    read_delimited,
    row_check,
)
from proda.errors import InputError

PROFILES, LAYERS, GRID = "profiles.csv", "layers.csv", "grid_half_degree.csv"
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
    "soc_kg_m3": (1, 200, "kg per m3 of soil", "In g per m3? Divide by 1000. In % of mass? That is oc_percent."),
    "bulk_density_g_cm3": (0.02, 3, "g per cm3", "In kg per m3? Divide by 1,000."),
    "mean_annual_temperature_degC": (-40, 45, "degrees Celsius", "Temperatures in kelvin? Subtract 273.15."),
    "precipitation_mm_yr": (50, 8000, "mm a year", "Rain per day, in metres or in inches? Give mm a year."),
    "npp_gC_m2_yr": (5, 3000, "g C m-2 a year", "NPP in kg or per second? Give g C per square metre and year."),
    "sand_fraction": (0, 1, "of the mass", "Sand in percent? Divide by 100."),
    "clay_fraction": (0, 1, "of the mass", "Clay in percent? Divide by 100."),
    "cell_area_m2": (1e6, 1e11, "m2", "Areas in square kilometres? Multiply by 1e6."),
    "active_layer_m": (0.05, 100, "m", "In centimetres? Divide by 100."),
}
# Least and greatest value of a row; beyond is no unit but a fill value.
_RANGES = {
    **dict.fromkeys(("coord_uncertainty_km", "oc_percent", "bulk_density_g_cm3"), (0, np.inf)), "year": (1700, 2100),
    "mean_annual_temperature_degC": (-70, 60), "precipitation_mm_yr": (0, 15000), "igbp_land_cover": (0, 17),
    **dict.fromkeys(("npp_gC_m2_yr", "clm5_npp_gC_m2_yr"), (-500, 5000)), "koppen_class": (0, 100),
    **dict.fromkeys(("sand_fraction", "clay_fraction"), (0, 1)),
    **dict.fromkeys((name for name in _COVARIATES if name.startswith("water_")), (0, 1)),
}  # fmt: skip


def _within(low: float, high: float) -> Check:
    remedy = "A fill value? Leave the field empty."
    expected = f"{low:g} to {high:g}" if np.isfinite(high) else f"at least {low:g}"
    return row_check(lambda x: x.between(low, high), expected, remedy)


_LAND = "In percent? Divide by 100. A cell without land, or of unknown land, is left out of the table."
_CHECKS = {name: [median_check(*row)] for name, row in _MEDIANS.items()} | {
    "source": [no_gaps],
    "layer": [no_gaps, row_check(lambda x: x % 1 == 0, "a whole number", "Number the layers anew, from 1.")],
    "oc_percent": [row_check(lambda x: x <= 100, "at most 100 % of the mass", "In g per kg? Divide by 10.")],
    "coarse_fraction": [row_check(lambda x: x.between(0, 1), "0 to 1", "Volume in percent? Divide by 100.")],
    **dict.fromkeys(("sand_percent", "clay_percent"), [row_check(lambda x: x.between(0, 100), "0 to 100")]),
    "ph": [row_check(lambda x: x.between(0, 14), "0 to 14", "pH x 10? Divide by 10; missing: leave empty.")],
    "land_fraction": [no_gaps, row_check(lambda x: (x > 0) & (x <= 1), "above 0 and at most 1", _LAND)],
}
_CHECKS |= {name: [*_CHECKS.get(name, ()), _within(*ends)] for name, ends in _RANGES.items()}
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
    tables = ProfileTables(profiles[columns].reset_index(drop=True), layers.reset_index(drop=True))
    check_identifiers(tables, f"{folder}: {PROFILES}, {LAYERS}")
    return tables


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
    off = ((steps - steps.round()).abs() > 1e-3).any(axis=1) | steps.isna().any(axis=1)
    off |= (grid["lat"].abs() > 90) | (grid["lon"].abs() > 180)
    for bad, expected in (
        (off, "lon and lat of centres of half-degree cells, such as -100.25, 40.75"),
        (grid.duplicated(["lon", "lat"]), "every cell once"),
    ):
        if bad.any():
            row = int(np.argmax(bad))
            lon, lat = grid[["lon", "lat"]].iloc[row]
            raise InputError(f"{file}, line {grid.index[row]}: the cell is at {lon:g}, {lat:g}; expected {expected}.")
    whole = cell_area(grid["lat"].to_numpy())
    right = (grid["cell_area_m2"] / whole - 1).abs() <= AREA_TOLERANCE
    expected = f"{whole[np.argmin(right)]:.4g} m2 within {100 * AREA_TOLERANCE:g} %, that of a half-degree cell"
    remedy = "Land and water, at its latitude. Give m2, and the share of land as land_fraction."
    checked(grid, {"cell_area_m2": [no_gaps, row_check(lambda _: right, expected, remedy)]}, file, "line")
    return grid.reset_index(drop=True).assign(
        cell_area=lambda t: t["cell_area_m2"],
        land_cover=lambda t: t["igbp_land_cover"],
        air_temperature=lambda t: t["mean_annual_temperature_degC"],
        precipitation=lambda t: t["precipitation_mm_yr"],
        npp=lambda t: t["npp_gC_m2_yr"],
        active_layer=lambda t: t["active_layer_m"].fillna(NO_PERMAFROST),
        sand_percent=lambda t: 100.0 * t["sand_fraction"],
        clay_percent=lambda t: 100.0 * t["clay_fraction"],
    )


def grid_covariates(grid: pd.DataFrame) -> pd.DataFrame:
    """The driver columns of the grid table; not longitude and latitude: a network could learn places from them."""
    return grid[list(_COVARIATES)].astype(float)


def _table(folder: Path | str, name: str, numbers, texts=(), optional=(), prefix=None, **checks) -> pd.DataFrame:
    """A table whose columns pass `_CHECKS`; optional columns that it lacks are empty."""
    file = Path(folder) / name
    if not file.is_file():
        raise InputError(
            f"{file}: no such file. Give the folder with {name} as --data DIR, or name folders below it in the study "
            "file: [source] folders, [source.forcing] folder."
        )
    table = read_delimited(file, numbers, texts, optional, prefix)
    checks |= {name: [_within(0, 1000)] for name in table if prefix and name.startswith(prefix)}  # maps in kg m-2
    table = checked(table, _CHECKS | checks, file, "line")
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
