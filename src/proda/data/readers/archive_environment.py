"""The environment of sites and grid cells in the public archive, and the ranges it was scaled by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from proda.data.readers import archive_layout as layout
from proda.data.readers.archive_arrays import mat_array
from proda.errors import InputError


def read_site_environment(folder: Path | str, info: pd.DataFrame) -> pd.DataFrame:
    """The 81 columns of EnvInfo, row i that of profile i of the archive.

    Parameters
    ----------
    info : DataFrame
        `ArchiveProfiles.info`: the rows are compared with it, for the file is joined by position.

    Raises
    ------
    InputError
        When the file is not as described, or its rows are not those of `info` in the same order.
    """
    path = layout.archive_root(folder) / layout.SITE_ENVIRONMENT
    values = mat_array(path, "EnvInfo", (len(info), len(layout.ENVIRONMENT_COLUMNS)))
    table = pd.DataFrame(values, columns=list(layout.ENVIRONMENT_COLUMNS)).rename_axis("archive_row")
    for theirs, ours, tolerance in (("ProfileID", "profile_id", 0.5), ("Lon", "lon", 0.01), ("Lat", "lat", 0.01)):
        differs = (table[theirs] - info[ours].to_numpy()).abs() > tolerance
        if differs.any():
            row = int(np.argmax(differs))
            raise InputError(
                f"{path}: {theirs} is {table[theirs].iloc[row]:g} in row {row} (from 0), but {info[ours].iloc[row]:g} "
                f"in the table of profiles ({int(differs.sum())} rows differ). Files of two versions, rows shifted by "
                "one, or columns in another order?"
            )
    return table


def read_grid_environment(folder: Path | str) -> pd.DataFrame:
    """The 77 columns of EnvInfo for the cells of the world grid: Lon, Lat, Date, ... nbedrock.

    Raises
    ------
    InputError
        When the file is not as described or positions are none.
    """
    path = layout.archive_root(folder) / layout.GRID_ENVIRONMENT
    names = layout.GRID_ENVIRONMENT_COLUMNS
    table = pd.DataFrame(mat_array(path, "EnvInfo", ("n", len(names))), columns=list(names))
    if not (table["Lon"].abs() <= 180).all() or not (table["Lat"].abs() <= 90).all():
        raise InputError(
            f"{path}: the first two columns are no longitudes and latitudes; expected {', '.join(names[:3])}."
        )
    return table


def read_scaling(folder: Path | str) -> pd.DataFrame:
    """Least and greatest value of each environment column, by which the archive's networks scaled them.

    The file's variable is called `col_max_min`, but its first column is the least value.

    Returns
    -------
    DataFrame
        `minimum`, `maximum`, by column name; NaN for a column that is not scaled.

    Raises
    ------
    InputError
        When the file is not as described, or a least value is above the greatest: the columns are exchanged.
    """
    path = layout.archive_root(folder) / layout.SCALING
    values = mat_array(path, "col_max_min", (len(layout.ENVIRONMENT_COLUMNS), 2))
    ranges = pd.DataFrame(values, index=list(layout.ENVIRONMENT_COLUMNS), columns=["minimum", "maximum"])
    turned = ranges["minimum"] > ranges["maximum"]
    if turned.any():
        raise InputError(
            f"{path}: {ranges.index[turned][0]} has {ranges['minimum'][turned].iloc[0]:g} before "
            f"{ranges['maximum'][turned].iloc[0]:g} ({int(turned.sum())} columns); expected the least value first, "
            "whatever the name of the variable says."
        )
    return ranges


def scaled(table: pd.DataFrame, ranges: pd.DataFrame) -> pd.DataFrame:
    """Environment columns as the archive's networks take them: (x - least) / (greatest - least), clipped to 0 and 1.

    The first three columns of EnvInfo and those without a range stay as they are, and so does a missing value.
    """
    result = table.copy()
    bounded = ranges.index[3:][np.isfinite(ranges.iloc[3:]).all(axis=1)]
    for name in bounded.intersection(table.columns):
        low, high = ranges.loc[name]
        width = high - low
        result[name] = ((table[name] - low) / width).clip(0.0, 1.0) if width > 0 else table[name] * 0.0
    return result
