"""The tables of a study as they came, kept beside the cleaned ones: what was lost, where, and how carbon was known."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from proda.data.profiles import ProfileTables
from proda.errors import InputError

PROFILES, LAYERS = "raw_profiles.parquet", "raw_layers.parquet"
_LAYER_COLUMNS = [
    "profile_id", "layer", "upper_depth", "lower_depth", "soc", "organic_carbon", "bulk_density", "coarse_fraction",
    "kind", "density_source", "density_relative_sd",
]  # fmt: skip


def write_raw_tables(tables: ProfileTables, exclusions: pd.DataFrame, folder: Path) -> None:
    """Write raw profiles, with the rule that took each out as `excluded_by`, and raw layers.

    Parameters
    ----------
    tables : ProfileTables
        After `proda.data.bulk_density.with_soc_density`.
    exclusions : DataFrame
        As in `proda.data.cleaning.CleanedTables`.
    """
    whole = exclusions[exclusions["layer"].isna()]
    rule = pd.Series(whole["rule"].to_numpy(object), whole["profile_id"].to_numpy(object), dtype=object)
    text = dict.fromkeys(("profile_id", "source", "excluded_by"), "string")
    profiles = tables.profiles[["profile_id", "lon", "lat", "source", "position_uncertainty"]]
    profiles = profiles.assign(
        n_layers=profiles["profile_id"].map(tables.layers["profile_id"].value_counts()).fillna(0).astype(int),
        excluded_by=profiles["profile_id"].map(rule),
    )
    profiles.astype(text).to_parquet(folder / PROFILES, index=False)
    words = dict.fromkeys(("profile_id", "kind", "density_source"), "string")
    tables.layers[_LAYER_COLUMNS].astype(words).to_parquet(folder / LAYERS, index=False)


def read_raw_tables(folder: Path | str) -> ProfileTables:
    """Raw profiles (profile_id, lon, lat, source, position_uncertainty, n_layers, excluded_by) and raw layers.

    Raises
    ------
    InputError
        When a file is missing.
    """
    paths = [Path(folder) / name for name in (PROFILES, LAYERS)]
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: no such file. Run notebook 01-data-cleaning, which writes it.")
    return ProfileTables(*map(pd.read_parquet, paths))
