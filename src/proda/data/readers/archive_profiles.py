"""Profiles and layers of the public archive as the tidy tables that cleaning takes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from proda.data.profiles import ProfileTables
from proda.data.readers import archive_layout as layout
from proda.data.readers.archive_arrays import netcdf_table
from proda.errors import InputError


class ArchiveProfiles(NamedTuple):
    """Profiles of the archive.

    Attributes
    ----------
    tables : ProfileTables
        As every reader gives them; `profiles` has one more column, `archive_row`, the position of the profile in the
        archive's table, from 0: by it, not by the identifier, all other files of the archive are joined.
    info : DataFrame
        The archive's own columns, `archive_layout.PROFILE_COLUMNS`, indexed by `archive_row`.
    """

    tables: ProfileTables
    info: pd.DataFrame


def read_archive_profiles(folder: Path | str) -> ArchiveProfiles:
    """Profiles and layers of an unpacked archive.

    Layers keep their order; one whose depth or carbon is missing, or whose profile is not in the table, is left to
    cleaning, which counts it. Depths are turned from cm to m; carbon is in g C m-3 already, by volume, so carbon by
    mass, bulk density and pH are left out; a density that the archive estimated is told by `bulk_density_method`.

    Raises
    ------
    InputError
        When a file, a variable or its shape is not what `archive_layout` says, an identifier occurs twice, positions
        are none, or depths or carbon are in another unit.
    """
    info = read_archive_info(folder)
    profiles = pd.DataFrame(
        {
            "profile_id": _identifiers(info["profile_id"]),
            "lon": info["lon"],
            "lat": info["lat"],
            "source": "WoSIS 2019, Hugelius, Mishra",
            "land_use": None,
            "state": None,
            "year": _years(info["date"]),
            "position_uncertainty": np.nan,
            "archive_row": np.arange(len(info)),
        }
    )
    return ArchiveProfiles(ProfileTables(profiles, _layers(layout.archive_root(folder) / layout.LAYERS)), info)


def read_archive_info(folder: Path | str) -> pd.DataFrame:
    """The archive's own table of profiles: `archive_layout.PROFILE_COLUMNS`, indexed by `archive_row`.

    Raises
    ------
    InputError
        As `read_archive_profiles`.
    """
    path = layout.archive_root(folder) / layout.PROFILES
    table = netcdf_table(path, "soil_profile_info", len(layout.PROFILE_COLUMNS))
    info = pd.DataFrame(table, columns=list(layout.PROFILE_COLUMNS)).rename_axis("archive_row")
    twice = info["profile_id"].duplicated() | info["profile_id"].isna()
    if twice.any():
        row = int(np.argmax(twice))
        raise InputError(
            f"{path}: profile_id {info['profile_id'].iloc[row]:g} in row {row} (from 0) is missing or occurs a second "
            "time; layers cannot be told apart."
        )
    lon, lat = info["lon"], info["lat"]
    if lon.abs().max() > 180 or lat.abs().max() > 90:
        raise InputError(
            f"{path}: lon runs from {lon.min():g} to {lon.max():g}, lat from {lat.min():g} to {lat.max():g}; expected "
            "-180 to 180 and -90 to 90. Columns exchanged, or longitudes from 0 to 360?"
        )
    return info


def _layers(path: Path) -> pd.DataFrame:
    table = pd.DataFrame(
        netcdf_table(path, "data_soc_integrate", len(layout.LAYER_COLUMNS)), columns=list(layout.LAYER_COLUMNS)
    )
    depth, carbon = table["lower_depth"].median(), table["soc_stock"].median()
    if depth < 3.0:
        raise InputError(f"{path}: the median of lower_depth is {depth:.3g}, expected tens of cm. Depths in metres?")
    if not 200 < carbon < 2e5:
        raise InputError(
            f"{path}: the median of soc_stock is {carbon:.3g}, expected thousands of g C m-3. In kg? Multiply by 1000."
        )
    upper, lower = table["upper_depth"], table["lower_depth"]
    outside = (table["node_depth"] < np.minimum(upper, lower)) | (table["node_depth"] > np.maximum(upper, lower))
    if outside.mean() > 0.01:
        row = int(np.argmax(outside))
        raise InputError(
            f"{path}: {int(outside.sum())} of {len(table)} layers have their node outside their bounds, the first in "
            f"row {row} (from 0): {upper[row]:g} to {lower[row]:g} cm, node {table['node_depth'][row]:g}. Columns in "
            f"another order than {', '.join(layout.LAYER_COLUMNS)}?"
        )
    identifier = _identifiers(table["profile_id"])
    return pd.DataFrame(
        {
            "profile_id": identifier,
            "layer": table.groupby(identifier.to_numpy(), sort=False).cumcount() + 1,
            "upper_depth": upper / 100.0,
            "lower_depth": lower / 100.0,
            "soc": table["soc_stock"],
            "organic_carbon": np.nan,
            "bulk_density": np.nan,
            "bulk_density_method": np.where(table["is_pedo"] == 1, "ptf of the archive", None),
            "coarse_fraction": np.nan,
            "ph": np.nan,
            "litter": False,
        }
    )


def _identifiers(values: pd.Series) -> pd.Series:
    return values.map("{:.0f}".format).astype(str)


def _years(date: pd.Series) -> pd.Series:
    """Years of dates written as 20070615 or 2007; missing where they are neither."""
    year = date.where(date < 1e4, np.floor(date / 1e4))
    return year.where(year.between(1800, 2100))
