"""The tidy tables of soil profiles and their layers: columns, units, order; how they are written and read back."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import geopandas
import numpy as np
import pandas as pd

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
        `bulk_density` (g cm-3, of the fine earth), `bulk_density_method`, `coarse_fraction` (of volume), `litter`.
        `proda.data.bulk_density.with_soc_density` adds `kind`, `density_source` and `density_relative_sd`.
    """

    profiles: pd.DataFrame
    layers: pd.DataFrame


def write_profiles(profiles: pd.DataFrame, path: Path | str) -> None:
    """Write profiles as GeoParquet, points in EPSG:4326."""
    points = geopandas.points_from_xy(profiles["lon"], profiles["lat"], crs=4326)
    text = {name: "string" for name in ("profile_id", "source", "land_use", "state")}
    table = geopandas.GeoDataFrame(profiles[list(PROFILE_COLUMNS)].astype(text).reset_index(drop=True), geometry=points)
    table.to_parquet(path, index=False)


def read_profiles(path: Path | str) -> geopandas.GeoDataFrame:
    """`profiles.parquet` of a study folder, one row a site.

    Raises
    ------
    InputError
        When the file or a column is missing, the table is empty, or an identifier occurs twice.
    """
    path = _existing(path)
    profiles = geopandas.read_parquet(path)
    _check_columns(profiles, PROFILE_COLUMNS, path)
    twice = profiles["profile_id"].duplicated()
    if twice.any():
        raise InputError(f"{path}: profile {profiles['profile_id'][twice].iloc[0]!r} occurs twice; expected once.")
    return profiles


def read_layers(path: Path | str) -> pd.DataFrame:
    """`layers.parquet` of a study folder, sorted by site and depth.

    Raises
    ------
    InputError
        When the file or a column is missing, the table is empty or unsorted, or carbon is not positive or is in
        another unit than g C m-3.
    """
    path = _existing(path)
    layers = pd.read_parquet(path)
    _check_columns(layers, LAYER_COLUMNS, path)
    bad = ~(layers["soc"].to_numpy(float) > 0) | ~np.isfinite(layers["depth"].to_numpy(float))
    if bad.any():
        row = layers[bad].iloc[0]
        raise InputError(
            f"{path}: profile {row['profile_id']}, layer {row['layer']}: soc {row['soc']} g C m-3 at depth "
            f"{row['depth']} m, expected a positive number at a known depth. Run the cleaning again."
        )
    if layers["soc"].median() < 200:
        raise InputError(
            f"{path}: the median of soc is {layers['soc'].median():.3g}, expected thousands of g C m-3. "
            "Carbon in kg m-3? Multiply by 1,000."
        )
    order = layers["site"].to_numpy() * 1e3 + layers["depth"].to_numpy()
    if (np.diff(order) < 0).any():
        row = int(np.argmax(np.diff(order) < 0)) + 1
        raise InputError(f"{path}: row {row} is out of order; expected rows sorted by site and depth.")
    return layers


def _existing(path: Path | str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run notebook 01-data-cleaning, which writes it.")
    return path


def _check_columns(table: pd.DataFrame, columns: dict[str, str], path: Path) -> None:
    missing = [name for name in columns if name not in table]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; it has: {', '.join(table.columns)}.")
    if not len(table):
        raise InputError(f"{path}: the table is empty. See exclusions.csv beside it for what cleaning took out.")
