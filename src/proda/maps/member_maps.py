"""The map of an ensemble whose members have parameters of their own in every cell, with the error of its means.

The interval of a cell holds the spread of the members and what they do not show, as measured on withheld blocks of land
(`proda.learning.cell_error`), on logarithms. Errors of the strata of a column are taken to go together, as are those of
the cells of a block; those of different blocks are taken as independent but for the part that all land has in common,
and so the interval of a total is narrower than the sum of those of the cells.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from proda.learning.cell_error import WIDTH_90
from proda.maps.method_maps import finite_soc, map_dataset
from proda.maps.stocks import MAP_INTERVALS, petagrams, stocks
from proda.model.column import STRATA
from proda.model.forcing import Forcing


def soc_of_members(
    x: NDArray, forcing: Forcing, area: NDArray, unseen: NDArray, common: NDArray, block: NDArray, what: str = "hybrid"
) -> xr.Dataset:
    """The map of an ensemble: the mean over its members with 5, 50 and 95 % of the mean's error.

    Parameters
    ----------
    x : numpy.ndarray
        (n_members, n_cells, 25) on the unit cube.
    forcing : Forcing
        Of the cells.
    area : numpy.ndarray
        (n_cells,) land, m2.
    unseen : numpy.ndarray
        (n_strata,) variance of the logarithm of a cell's carbon beyond the members' spread, 0 or more.
    common : numpy.ndarray
        (n_strata,) variance of the relative error that all cells have in common, which their total has in full.
    block : numpy.ndarray of int
        (n_cells,) block of every cell.

    Returns
    -------
    xarray.Dataset
        As `proda.maps.method_maps.soc_of_draws`; the 50 % quantile is the mean, about which the interval is made.
    """
    members = np.stack([finite_soc(member.T, forcing, f"{what}, member {k}") for k, member in enumerate(x)])
    mean = members.mean(axis=0)
    by_member = np.stack([stocks(soc, STRATA) for soc in members])
    of_members = np.log(np.maximum(by_member, 1e-12)).var(axis=0, ddof=1) if len(x) > 1 else 0.0
    log_sd = np.sqrt(of_members + np.asarray(unseen, float)[:, None])
    in_strata, in_intervals = stocks(mean, STRATA), stocks(mean, MAP_INTERVALS)
    within = np.array([[upper <= top and bottom <= lower for top, bottom in STRATA] for upper, lower in MAP_INTERVALS])
    relative = within @ (in_strata * log_sd) / np.maximum(within @ in_strata, 1e-12)
    spread = np.exp(WIDTH_90 * relative)
    stock = np.stack([in_intervals, in_intervals / spread, in_intervals, in_intervals * spread])
    common = np.asarray(common, float)
    of_blocks = np.sqrt(np.maximum(log_sd**2 - common[:, None], 0.0))
    total = petagrams(in_strata, area)
    error = np.hypot(_total_error(in_strata * of_blocks * area / 1e12, block), np.sqrt(common) * total)
    totals = np.stack([total, np.maximum(total - WIDTH_90 * error, 0.0), total, total + WIDTH_90 * error])
    return map_dataset(mean, stock, totals, np.ones((len(STRATA), area.size), bool))


def _total_error(error: NDArray, block: NDArray) -> NDArray[np.float64]:
    """Standard deviation of the total of every stratum, (n_strata,), Pg C.

    Of the errors (n_strata, n_cells) of cells that go together within blocks and are independent between them.
    """
    by_block = np.stack([np.bincount(block, row) for row in error])
    return np.sqrt((by_block**2).sum(axis=1))
