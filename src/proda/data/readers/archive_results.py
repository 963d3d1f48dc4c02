"""The group's own results in the public archive: convergence and fit of each site, and the networks' parameters."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.data.readers import archive_layout as layout
from proda.data.readers.archive_arrays import existing, mat_array
from proda.data.readers.archive_indices import zero_based
from proda.errors import InputError
from proda.model.parameters import CESM2_PARAMETERS


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
