"""Which profiles of the public archive the group's studies used: the conditions in order, with a count after each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.data.readers.archive_layout import US_BOX, US_CODE
from proda.data.readers.archive_results import NetworkResults, SiteResults

GELMAN_RUBIN_LIMIT = 1.05


class Selection(NamedTuple):
    """Profiles chosen.

    Attributes
    ----------
    rows : array, int
        Rows of the archive's table of profiles, from 0, ascending.
    account : DataFrame
        `condition`, `profiles_before`, `profiles_after`, in order.
    """

    rows: NDArray
    account: pd.DataFrame


def us_selection(info: pd.DataFrame, results: SiteResults, networks: NetworkResults | None = None) -> Selection:
    """Profiles of the conterminous United States that the group's programs keep.

    Parameters
    ----------
    info : DataFrame
        `ArchiveProfiles.info`.
    results, networks
        The group's own; without `networks` the last condition is left out.
    """
    west, east, south, north = US_BOX
    inside = info["lon"].between(west, east) & info["lat"].between(south, north)
    conditions = {
        f"country code {US_CODE}": (info["country_code"] == US_CODE).to_numpy(),
        "inside the box of the conterminous United States": inside.to_numpy(),
        f"mean Gelman-Rubin factor below {GELMAN_RUBIN_LIMIT:g}": (
            results.gelman_rubin.mean(axis=1, skipna=False) < GELMAN_RUBIN_LIMIT
        ).to_numpy(),
        "mean R2 above 0": results.r_squared.mean(axis=1) > 0,
        "in the list of eligible profiles": results.eligible,
    }
    if networks is not None:
        conditions["predicted by the networks"] = np.isin(np.arange(len(info)), networks.parameters.index)
    kept, rows = np.ones(len(info), bool), []
    for condition, holds in conditions.items():
        before = int(kept.sum())
        kept = kept & holds
        rows.append((condition, before, int(kept.sum())))
    account = pd.DataFrame(rows, columns=["condition", "profiles_before", "profiles_after"])
    return Selection(np.flatnonzero(kept), account)
