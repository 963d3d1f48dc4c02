"""How wrong the hybrid's map is about the mean carbon of a cell: its members' spread, and what that does not show.

Members that were trained on the same profiles agree more than they are right. What is missing is measured where blocks
of land were withheld. The logarithm of observed over predicted carbon at site j of cell i is taken as b + c_i + e_ij: a
bias, an error that the sites of a cell share, and the scatter of single profiles. Scatter within cells gives the
variance of e, means of cells that of b + c (analysis of variance of one factor); only this is an error of the map.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.learning.splits import BLOCKS
from proda.model.configuration import STRATA, interval_name

WIDTH_90 = 1.645  # half the width of a normal 90 % interval, in standard deviations
LEAST_PAIRS = 10  # degrees of freedom within cells; with fewer all scatter is counted as error of the map


class CellResiduals(NamedTuple):
    """Withheld cells, (n_cells,) each, and the variance of single profiles."""

    mean: NDArray[np.float64]  # logarithm of observed over predicted carbon
    n: NDArray[np.int64]  # sites
    members: NDArray[np.float64]  # variance of the members' logarithm
    block: NDArray[np.int64]
    observed: NDArray[np.float64]  # mean carbon
    predicted: NDArray[np.float64]
    within: float  # variance of single profiles

    def part(self, rows: NDArray[np.bool_]) -> CellResiduals:
        """The cells `rows`."""
        return CellResiduals(*(values[rows] for values in self[:-1]), self.within)


def error_on_blocks(compared: xr.Dataset, cell: NDArray, block: NDArray, seed: int) -> xr.Dataset:
    """Error of the hybrid's map by stratum, from blocks of land that were withheld.

    Parameters
    ----------
    compared : Dataset
        From `proda.learning.cross_validation.compared_methods`.
    cell, block : (n_sites,) int
        Of its sites.
    seed : int
        Of the halves of the blocks for the coverage.

    Returns
    -------
    Dataset
        `unseen_log_variance`, `common_log_variance`, and `coverage` of 90 % intervals (stratum); a stratum that no
        profile reaches has the variances of the one above and no coverage.

    Raises
    ------
    InputError
        When no two blocks have layers above 30 cm.
    """
    here, depth = compared.sel(approach="hybrid", kind=BLOCKS), compared["depth"].values
    rows: list[tuple[float, float, float]] = []
    for upper, lower in STRATA:
        within = (depth >= upper) & (depth < lower)
        values = (compared["observed"], here["soc"], compared["hybrid_log_sd"])
        means = [_mean(one.values, within) for one in values]
        if rows and np.unique(block[np.isfinite(means[0])]).size < 2:
            rows.append((*rows[-1][:2], np.nan))
            continue
        residuals = cell_residuals(cell, block, *means)
        rows.append((unseen_variance(residuals), common_variance(residuals), coverage(residuals, seed)))
    names = ("unseen_log_variance", "common_log_variance", "coverage")
    columns = zip(names, np.transpose(rows), strict=True)
    strata = [interval_name(stratum) for stratum in STRATA]
    return xr.Dataset({name: ("stratum", values) for name, values in columns}, {"stratum": strata})


def cell_residuals(
    cell: ArrayLike, block: ArrayLike, observed: ArrayLike, predicted: ArrayLike, log_sd: ArrayLike
) -> CellResiduals:
    """Residuals of withheld sites by cell.

    Parameters
    ----------
    cell, block : (n_sites,) int
    observed, predicted : (n_sites,)
        Such as the mean of the layers above 30 cm, in one unit; NaN at sites that have none.
    log_sd : (n_sites,)
        Standard deviation over the members of the logarithm of the prediction.

    Raises
    ------
    InputError
        When there are no two blocks to compare.
    """
    table = pd.DataFrame({"cell": cell, "block": block, "o": observed, "p": predicted, "v": np.square(log_sd)})
    table = table[np.isfinite(table[["o", "p", "v"]]).all(axis=1) & (table["o"] > 0) & (table["p"] > 0)]
    n_blocks = table["block"].nunique()
    if n_blocks < 2:
        raise InputError(
            f"{len(table)} withheld sites in {n_blocks} block(s): expected at least 2 blocks, to measure how wrong the "
            "map is. Take smaller blocks (network_block_km)."
        )
    table["r"] = np.log(table["o"] / table["p"])
    groups = table.groupby("cell")
    freedom = len(table) - groups.ngroups
    scatter = float(((table["r"] - groups["r"].transform("mean")) ** 2).sum())
    within = scatter / freedom if freedom >= LEAST_PAIRS else 0.0
    # The model predicts means: of a skewed scatter of that variance the logarithm lies lower by half of it.
    mean = groups["r"].mean() + within / 2.0
    columns = groups["v"].mean(), groups["block"].first(), groups["o"].mean(), groups["p"].mean()
    return CellResiduals(mean.to_numpy(), groups.size().to_numpy(), *(column.to_numpy() for column in columns), within)


def unseen_variance(residuals: CellResiduals) -> float:
    """Variance of the logarithm of a cell's mean carbon that the members do not show, bias included; 0 or more."""
    weight = residuals.n / residuals.n.sum()
    seen = residuals.within / residuals.n + residuals.members
    return max(0.0, float(np.sum(weight * (residuals.mean**2 - seen))))


def common_variance(residuals: CellResiduals) -> float:
    """Second moment of the relative error that all land has in common, the part that does not average out in a total.

    The logarithm of the ratio of all observed to all predicted carbon, squared, plus the variance of that ratio between
    blocks (ratio of sums over clusters, Cochran 1977, section 6.3).
    """
    observed, predicted = residuals.observed, residuals.predicted
    ratio = observed.sum() / predicted.sum()
    by_block = pd.Series((observed - ratio * predicted) / observed.sum()).groupby(residuals.block).sum()
    n_blocks = len(by_block)
    return float(np.log(ratio) ** 2 + np.square(by_block).sum() * n_blocks / max(n_blocks - 1, 1))


def coverage(residuals: CellResiduals, seed: int) -> float:
    """Part of the withheld cells whose observed mean lies in its 90 % interval, the unseen variance from other blocks.

    The blocks are halved at random, and each half has the unseen variance of the other. The scatter of a cell's few
    profiles is part of the interval here, for the true mean is unknown.
    """
    blocks = np.random.default_rng(seed).permutation(np.unique(residuals.block))
    first = np.isin(residuals.block, blocks[: blocks.size // 2])
    held = np.zeros(first.size, dtype=bool)
    for half in (first, ~first):
        variance = residuals.members + residuals.within / residuals.n + unseen_variance(residuals.part(~half))
        held[half] = (np.abs(residuals.mean) <= WIDTH_90 * np.sqrt(variance))[half]
    return float(held.mean())


def _mean(values: NDArray, within: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean over the layers `within` of every site, NaN where there are none."""
    count = within.sum(axis=1)
    total = np.where(within, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
