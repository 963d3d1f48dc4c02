"""The tables of a study as they came, kept beside the cleaned ones: what was lost, where, and how carbon was known."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from proda.data.profiles import LAYER_COLUMNS, PROFILE_COLUMNS, UNITS, ProfileTables
from proda.data.stamps import Stamp, stamped, told_if_of_another_version
from proda.errors import InputError

_UNITS = UNITS | {
    "position_uncertainty": "m",
    "organic_carbon": "g kg-1",
    "bulk_density": "g cm-3",
    "coarse_fraction": "1",
    "ph": "1",
}
PROFILES, LAYERS = "raw_profiles.parquet", "raw_layers.parquet"
_LAYER_COLUMNS = [
    "profile_id", "layer", "upper_depth", "lower_depth", "soc", "organic_carbon", "bulk_density", "coarse_fraction",
    "ph", "kind", "density_source", "density_relative_sd",
]  # fmt: skip


def write_raw_tables(tables: ProfileTables, exclusions: pd.DataFrame, folder: Path, stamp: Stamp | None = None) -> None:
    """Write raw profiles, with the rule that took each out as `excluded_by`, and raw layers, with units and stamp.

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
    stamped(profiles.astype(text), stamp, _UNITS, PROFILE_COLUMNS).to_parquet(folder / PROFILES, index=False)
    words = dict.fromkeys(("profile_id", "kind", "density_source"), "string")
    layers = tables.layers[_LAYER_COLUMNS].astype(words)
    meanings = LAYER_COLUMNS | {"layer": "the source's own number"}
    stamped(layers, stamp, _UNITS, meanings).to_parquet(folder / LAYERS, index=False)


def read_raw_tables(folder: Path | str) -> ProfileTables:
    """Raw profiles (profile_id, lon, lat, source, position_uncertainty, n_layers, excluded_by) and raw layers.

    Raises
    ------
    InputError
        When a file is missing.
    """
    return ProfileTables(*(_read(Path(folder) / name) for name in (PROFILES, LAYERS)))


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run notebook 01-data-cleaning, which writes it.")
    with told_if_of_another_version(path):
        return pd.read_parquet(path)
