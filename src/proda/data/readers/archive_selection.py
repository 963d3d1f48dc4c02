"""Which profiles and cells of the public archive the group's studies used: conditions in order, counted one by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.data.readers.archive_layout import US_BOX, US_CODE, US_GRID_BOX
from proda.data.readers.archive_results import NetworkResults, SiteResults

GELMAN_RUBIN_LIMIT = 1.05


class Selection(NamedTuple):
    """Profiles or cells chosen.

    Attributes
    ----------
    rows : array, int
        Rows of the archive's table, from 0, ascending.
    account : DataFrame
        `condition`, `profiles_before`, `profiles_after` (or `cells_...`), in order.
    """

    rows: NDArray
    account: pd.DataFrame


def us_selection(
    info: pd.DataFrame, results: SiteResults, networks: NetworkResults | None = None, complete: NDArray | None = None
) -> Selection:
    """Profiles of the conterminous United States that the group's programs keep.

    Parameters
    ----------
    info : DataFrame
        `ArchiveProfiles.info`.
    results, networks
        The group's own; without `networks` their condition is left out.
    complete : (n,) bool, optional
        Which profiles have every covariate and all forcing, the last condition.
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
    if complete is not None:
        conditions["every covariate and all forcing"] = np.asarray(complete, bool)
    return _selection(conditions, len(info), "profiles")


def us_grid_selection(
    grid: pd.DataFrame, sites: pd.DataFrame, names: Iterable[str], categorical: Iterable[str]
) -> Selection:
    """Cells of the world grid that the group's programs predict for the conterminous United States.

    Parameters
    ----------
    grid, sites : DataFrame
        Their environment; `sites` those that a network has seen.
    names, categorical : names of columns
        Covariates, and those of them that are classes: a cell whose class number is above the greatest of the sites has
        no place in the network's table of classes.
    """
    west, east, south, north = US_GRID_BOX
    conditions = {
        "inside the box of the conterminous United States": (
            grid["Lon"].between(west, east) & grid["Lat"].between(south, north)
        ).to_numpy(),
        "every covariate": grid[list(names)].notna().all(axis=1).to_numpy(),
        "no class beyond those of the sites": (grid[list(categorical)] <= sites[list(categorical)].max())
        .all(axis=1)
        .to_numpy(),
    }
    return _selection(conditions, len(grid), "cells")


def _selection(conditions: dict[str, NDArray], n: int, what: str) -> Selection:
    kept, rows = np.ones(n, bool), []
    for condition, holds in conditions.items():
        before = int(kept.sum())
        kept = kept & holds
        rows.append((condition, before, int(kept.sum())))
    account = pd.DataFrame(rows, columns=["condition", f"{what}_before", f"{what}_after"])
    return Selection(np.flatnonzero(kept), account)
