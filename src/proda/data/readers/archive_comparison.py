"""The group's own results for the profiles of the public archive, by the profiles' identifiers, to compare with."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from proda.data.readers.archive_profiles import read_archive_profiles
from proda.data.readers.archive_results import read_network_results, read_site_results
from proda.data.readers.archive_selection import us_selection


class GroupResults(NamedTuple):
    """What the group's programs found and kept.

    Attributes
    ----------
    sites : DataFrame
        One row a profile of the archive, by `profile_id`: `archive_row` (from 0), `lon`, `lat` (degrees),
        `gelman_rubin` (mean over the 21 parameters) and `r2` (mean over the chains) of its assimilation, whether it is
        `eligible`, `representative`, and `kept` in the United States.
    parameters : DataFrame
        Means of the nine networks' predictions on the unit cube, by `profile_id` and parameter of CESM2; the profiles
        that they predict only.
    account : DataFrame
        `condition`, `profiles_before`, `profiles_after`: how the profiles kept came about.
    """

    sites: pd.DataFrame
    parameters: pd.DataFrame
    account: pd.DataFrame


def group_results(folder: Path | str) -> GroupResults:
    """The group's results in an unpacked archive anywhere below `folder`.

    Raises
    ------
    InputError
        When a file is missing or not as described, or indices do not count from 1.
    """
    profiles, info = read_archive_profiles(folder)
    results = read_site_results(folder, len(info))
    networks = read_network_results(folder, len(info), results.eligible)
    chosen = us_selection(info, results, networks)
    row = np.arange(len(info))
    identifier = profiles.profiles["profile_id"].to_numpy()
    sites = pd.DataFrame(
        {
            "archive_row": row,
            "lon": info["lon"].to_numpy(),
            "lat": info["lat"].to_numpy(),
            "gelman_rubin": results.gelman_rubin.mean(axis=1, skipna=False).to_numpy(),
            "r2": results.r_squared.mean(axis=1),
            "eligible": results.eligible,
            "representative": np.isin(row, results.representative),
            "kept": np.isin(row, chosen.rows),
        },
        index=pd.Index(identifier, name="profile_id"),
    )
    parameters = networks.parameters.set_axis(identifier[networks.parameters.index]).rename_axis("profile_id")
    return GroupResults(sites, parameters, chosen.account)
