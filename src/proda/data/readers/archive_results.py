"""The group's own results in the public archive: convergence and fit of each site, and the networks' parameters.

Indices of the public archive count profiles from 1; this package counts from 0. Telling the two apart.

MATLAB wrote the lists of eligible, representative and predicted profiles, so their numbers are positions from 1 in the
table of profiles. A list from 0 that is read as one from 1 gives every profile its neighbour's result.

Which profiles and cells of the public archive the group's studies used: conditions in order, counted one by one.

The group's own results for the profiles of the public archive, by the profiles' identifiers, to compare with.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.data.readers import archive as layout
from proda.data.readers.archive import US_BOX, US_CODE, US_GRID_BOX, existing, mat_array, read_archive_profiles
from proda.errors import InputError
from proda.model.parameters import CESM2_PARAMETERS


def zero_based(indices: NDArray, n: int, path: Path, name: str, within: NDArray | None = None) -> NDArray[np.int64]:
    """Positions from 0 of indices that count from 1.

    Parameters
    ----------
    indices : array
        Flattened in the order in which they are stored.
    n : int
        Number of profiles.
    within : (n,) bool, optional
        Profiles of which all indices are expected to be some, such as the eligible ones: a list from 0 fits worse.

    Raises
    ------
    InputError
        When an index is no whole number, lies outside 1 to n, or the list fits better when it is read from 0.
    """
    values = np.asarray(indices, dtype=np.float64).ravel()
    odd = ~(np.isfinite(values) & (values == np.round(values)))
    if odd.any():
        raise InputError(f"{path}: {name} holds {values[odd][0]}, expected whole numbers: positions from 1.")
    if (values == 0).any():
        raise InputError(
            f"{path}: {name} holds 0, expected positions from 1 to {n} as MATLAB counts them. Written by a program "
            "that counts from 0? Add 1."
        )
    outside = (values < 1) | (values > n)
    if outside.any():
        raise InputError(
            f"{path}: {name} holds {values[outside][0]:g}, expected 1 to {n}, the number of profiles. Another table of "
            "profiles?"
        )
    position = values.astype(np.int64) - 1
    if within is not None:
        as_read = int(within[position].sum())
        shifted = int(within[np.minimum(position + 1, n - 1)].sum())
        if shifted > as_read:
            raise InputError(
                f"{path}: {as_read} of {position.size} indices in {name} are among the profiles expected when they "
                f"count from 1, but {shifted} when they count from 0. Add 1 to them."
            )
    return position


class SiteResults(NamedTuple):
    """Results of the group's assimilation, one row a profile of the archive.

    Attributes
    ----------
    gelman_rubin : DataFrame, (n, 21)
        By parameter, in the package's names.
    r_squared : array, (n, n_chains)
    eligible : array, (n,) bool
    representative : array, int
        Rows of the representative profiles, from 0, in the file's order, each once.
    """

    gelman_rubin: pd.DataFrame
    r_squared: NDArray
    eligible: NDArray
    representative: NDArray


class NetworkResults(NamedTuple):
    """Parameters that the group's networks predict, on the unit cube.

    Attributes
    ----------
    parameters : DataFrame
        Mean over the runs, by `archive_row` (from 0) and parameter.
    spread : DataFrame
        Standard deviation over the runs, in the same order; NaN where only one run has the site.
    runs : Series
        How many runs have each site.
    clipped : int
        Values outside 0 to 1 that were set to the nearer of the two after averaging, as the group's loader does.
    """

    parameters: pd.DataFrame
    spread: pd.DataFrame
    runs: pd.Series
    clipped: int


def read_site_results(folder: Path | str, n: int) -> SiteResults:
    """Gelman-Rubin, R2, eligible and representative profiles of an archive with `n` profiles.

    Raises
    ------
    InputError
        When a file is not as described, or indices do not count from 1.
    """
    root = layout.archive_root(folder)
    names = list(CESM2_PARAMETERS.names)
    ratio = mat_array(root / layout.GELMAN_RUBIN, "para_gr", (n, len(names)))
    # An impossible factor of zero or less marks sites that were not run.
    ratio = np.where(ratio > 0, ratio, np.nan)
    path = root / layout.ELIGIBLE
    eligible = np.zeros(n, bool)
    eligible[zero_based(_vector(path, "eligible_loc_0"), n, path, "eligible_loc_0")] = True
    path = root / layout.REPRESENTATIVE
    chosen = mat_array(path, "sample_profile_id", (100, 50))
    # Rows of MATLAB's matrix first, as the group's loader flattens it.
    position = zero_based(chosen[np.isfinite(chosen)], n, path, "sample_profile_id")
    _, first = np.unique(position, return_index=True)
    return SiteResults(
        pd.DataFrame(ratio, columns=names).rename_axis("archive_row"),
        mat_array(root / layout.R_SQUARED, "stat_r2", (n, "n")),
        eligible,
        position[np.sort(first)],
    )


def _vector(path: Path, name: str) -> NDArray:
    values = mat_array(path, name, ("n", "n"))
    if 1 not in values.shape:
        raise InputError(f"{path}: {name} has shape {values.shape}, expected one row or one column of positions.")
    return values


def read_network_results(folder: Path | str, n: int, eligible: NDArray | None = None) -> NetworkResults:
    """Mean of the nine networks' predictions, by profile.

    Parameters
    ----------
    n : int
        Number of profiles in the archive.
    eligible : (n,) bool, optional
        Tells a list of sites that counts from 0.

    Raises
    ------
    InputError
        When a run is missing, its two files differ in length, a site occurs twice in it, or indices do not count
        from 1.
    """
    root = layout.archive_root(folder)
    names = list(CESM2_PARAMETERS.names)
    total, square, runs = np.zeros((n, len(names))), np.zeros((n, len(names))), np.zeros(n, int)
    for run in layout.NETWORK_RUNS:
        path = root / layout.NETWORK.format(what="site_loc", run=run)
        site = zero_based(_csv(path, 1), n, path, "the list of sites", eligible)
        path = root / layout.NETWORK.format(what="para_result", run=run)
        values = _csv(path, len(names))
        if len(values) != site.size:
            raise InputError(
                f"{path}: {len(values)} rows of parameters for {site.size} sites; expected one row a site."
            )
        if np.unique(site).size != site.size:
            raise InputError(f"{path}: a site occurs twice in the list of run {run}; expected each once.")
        total[site] += values
        square[site] += values**2
        runs[site] += 1
    has = np.flatnonzero(runs)
    count = runs[has, None]
    mean = total[has] / count
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(np.maximum(square[has] / count - mean**2, 0.0) * count / (count - 1))
    index = pd.Index(has, name="archive_row")
    return NetworkResults(
        pd.DataFrame(mean.clip(0.0, 1.0), index, names),
        pd.DataFrame(np.where(count > 1, spread, np.nan), index, names),
        pd.Series(runs[has], index, name="runs"),
        int(((mean < 0) | (mean > 1)).sum()),
    )


def _csv(path: Path, columns: int) -> NDArray[np.float64]:
    existing(path)
    try:
        table = pd.read_csv(path, header=None)
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise InputError(f"{path}: not a table of numbers ({error}).") from None
    if table.shape[1] != columns:
        raise InputError(
            f"{path}: {table.shape[1]} columns, expected {columns}, separated by commas, without a header."
        )
    values = table.apply(pd.to_numeric, errors="coerce").to_numpy(float)
    if not np.isfinite(values).all():
        row, column = (int(i[0]) for i in np.nonzero(~np.isfinite(values)))
        raise InputError(
            f"{path}, line {row + 1}: {table.iloc[row, column]!r} in column {column + 1}, expected a number."
        )
    return values


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
