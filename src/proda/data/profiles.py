"""The tidy tables of soil profiles and their layers: columns, units, order; how they are written and read back."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import geopandas
import numpy as np
import pandas as pd

from proda.data.stamps import Stamp, stamped, told_if_of_another_version
from proda.data.validation import checked, median_check, row_check, row_with, table_schema, whole_check
from proda.errors import InputError

# Cleaned tables: column and what it means.
PROFILE_COLUMNS = {
    "profile_id": "identifier, unique",
    "lon": "longitude, degrees east (WGS84)",
    "lat": "latitude, degrees north (WGS84)",
    "source": "collection the profile comes from",
    "land_use": "land use in the source's own words, or missing",
    "state": "state in the source's own words, or missing",
    "year": "year of sampling, or missing",
    "cell": "0-based index of the land cell whose forcing the profile takes",
    "land_cover": "IGBP class of that cell",
    "n_layers": "layers left after cleaning",
    "max_depth": "lower bound of the deepest layer, m",
}
LAYER_COLUMNS = {
    "profile_id": "identifier of the profile",
    "site": "0-based row of the profile in profiles.parquet",
    "layer": "0-based number of the layer, top down",
    "upper_depth": "upper bound, m, positive down",
    "lower_depth": "lower bound, m, positive down",
    "depth": "mid-depth, m, positive down",
    "soc": "organic carbon per volume of soil, g C m-3",
    "kind": "mineral, organic (120 g kg-1 of carbon or more), litter, or unknown where carbon by mass is not given",
    "density_relative_sd": "relative standard deviation of soc from an estimated bulk density; 0 where it was measured",
}

KINDS = ("mineral", "organic", "litter", "unknown")
UNITS = {
    "lon": "degrees_east",
    "lat": "degrees_north",
    "max_depth": "m",
    "upper_depth": "m",
    "lower_depth": "m",
    "depth": "m",
    "soc": "g m-3",
    "density_relative_sd": "1",
}
_AGAIN = "Run notebook 01-data-cleaning again."
_EMPTY = "See exclusions.csv beside it for what cleaning took out."
_INDEX = {"checks": whole_check(0), "nullable": False, "remedy": _AGAIN}
_KEY = {"nullable": False, "remedy": _AGAIN}

PROFILES = table_schema(
    PROFILE_COLUMNS,
    {
        "profile_id": {**_KEY, "unique": True},
        "lon": {"dtype": float, "checks": row_check(lambda x: x.between(-180, 180), "-180 to 180", _AGAIN), **_KEY},
        "lat": {"dtype": float, "checks": row_check(lambda x: x.between(-90, 90), "-90 to 90", _AGAIN), **_KEY},
        "source": _KEY,
        "year": {"dtype": float},
        "cell": _INDEX,
        "land_cover": _INDEX,
        "n_layers": {**_INDEX, "checks": whole_check(1)},
        "max_depth": {"dtype": float, "checks": row_check(lambda x: x > 0, "above 0 m", _AGAIN), **_KEY},
    },
    columns_remedy=_AGAIN,
    empty_remedy=_EMPTY,
)
LAYERS = table_schema(
    LAYER_COLUMNS,
    {
        "profile_id": _KEY,
        "site": _INDEX,
        "layer": _INDEX,
        "upper_depth": {"dtype": float, "checks": row_check(lambda x: x >= 0, "0 m or deeper", _AGAIN), **_KEY},
        "lower_depth": {"dtype": float, "checks": row_check(lambda x: x > 0, "below the surface, m", _AGAIN), **_KEY},
        "depth": {"dtype": float, **_KEY},
        "soc": {
            "dtype": float,
            "checks": [
                row_check(lambda x: (x > 0) & np.isfinite(x), "a positive number of g C m-3", _AGAIN),
                median_check(200, np.inf, "g C m-3, thousands", "Carbon in kg m-3? Multiply by 1,000."),
            ],
            **_KEY,
        },
        "kind": {"checks": row_check(lambda x: x.isin(KINDS), f"one of: {', '.join(KINDS)}", _AGAIN), **_KEY},
        "density_relative_sd": {
            "dtype": float,
            "checks": row_check(lambda x: (x >= 0) & np.isfinite(x), "0 or above", _AGAIN),
            **_KEY,
        },
    },
    checks=[
        row_check(lambda t: t["lower_depth"] > t["upper_depth"], "lower_depth is not below upper_depth", _AGAIN),
        row_check(
            lambda t: (t["site"] * 1e3 + t["depth"]).diff().fillna(0.0) >= 0,
            "out of order, expected rows sorted by site and depth",
            _AGAIN,
        ),
    ],
    columns_remedy=_AGAIN,
    empty_remedy=_EMPTY,
)


class ProfileTables(NamedTuple):
    """Profiles and layers as a reader delivers them, before cleaning.

    Attributes
    ----------
    profiles : DataFrame
        `profile_id` (unique), `lon`, `lat`, `source`, `land_use`, `state`, `year`, `position_uncertainty` (m, missing
        where unknown).
    layers : DataFrame
        `profile_id`, `layer` (the source's own number), `upper_depth`, `lower_depth` (m), `soc` (g C m-3; missing
        where there is carbon by mass but no density to turn it into carbon by volume), `organic_carbon` (g kg-1),
        `bulk_density` (g cm-3, of the fine earth), `bulk_density_method`, `coarse_fraction` (of volume), `ph`
        (in water), `litter`.
        `proda.data.bulk_density.with_soc_density` adds `kind`, `density_source` and `density_relative_sd`.
    """

    profiles: pd.DataFrame
    layers: pd.DataFrame


def write_profiles(profiles: pd.DataFrame, path: Path | str, stamp: Stamp | None = None) -> None:
    """Write profiles as GeoParquet, points in EPSG:4326, with units, and with the study's stamp if given."""
    points = geopandas.points_from_xy(profiles["lon"], profiles["lat"], crs=4326)
    text = {name: "string" for name in ("profile_id", "source", "land_use", "state")}
    table = geopandas.GeoDataFrame(profiles[list(PROFILE_COLUMNS)].astype(text).reset_index(drop=True), geometry=points)
    stamped(table, stamp, UNITS, PROFILE_COLUMNS).to_parquet(path, index=False)


def write_layers(layers: pd.DataFrame, path: Path | str, stamp: Stamp | None = None) -> None:
    """Write layers as Parquet, with units, and with the study's stamp if given."""
    stamped(layers, stamp, UNITS, LAYER_COLUMNS).to_parquet(path, index=False)


def read_profiles(path: Path | str) -> geopandas.GeoDataFrame:
    """`profiles.parquet` of a study folder, one row a site.

    Raises
    ------
    InputError
        When the file or a column is missing, the table is empty, an identifier occurs twice, or a value is none that
        cleaning leaves.
    """
    path = _existing(path)
    with told_if_of_another_version(path):
        return checked(geopandas.read_parquet(path), PROFILES, path)


def read_layers(path: Path | str) -> pd.DataFrame:
    """`layers.parquet` of a study folder, sorted by site and depth.

    Raises
    ------
    InputError
        When the file or a column is missing, the table is empty or unsorted, or carbon is not positive or is in
        another unit than g C m-3.
    """
    path = _existing(path)
    with told_if_of_another_version(path):
        layers = pd.read_parquet(path)
        return checked(layers, LAYERS, path, row_with(layers, ["profile_id", "layer"]))


def _existing(path: Path | str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run notebook 01-data-cleaning, which writes it.")
    return path
