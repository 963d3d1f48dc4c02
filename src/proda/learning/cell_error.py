"""How wrong the ensemble is about the mean carbon of a cell: its members' spread, and what that does not show.

Members that learnt from the same profiles agree more than they are right. What is missing is measured where blocks of
land were withheld. The logarithm of observed over predicted carbon at site j of cell i is taken as b + c_i + e_ij: a
bias, an error that the sites of a cell share, and the scatter of single profiles. Scatter within cells gives the
variance of e, means of cells that of b + c (the analysis of variance of one factor), and only the latter is an error of
the map.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError

WIDTH_90 = 1.645
LEAST_PAIRS = 10  # degrees of freedom within cells; with fewer all scatter is counted as error of the map


class CellResiduals(NamedTuple):
    """Withheld cells, (n_cells,) each: mean logarithm of observed over predicted carbon, number of sites, variance of
    the members' logarithm, the block that the cell lies in, mean carbon as observed and as predicted; and `within`, the
    variance of single profiles."""

    mean: NDArray[np.float64]
    n: NDArray[np.int64]
    members: NDArray[np.float64]
    block: NDArray[np.int64]
    observed: NDArray[np.float64]
    predicted: NDArray[np.float64]
    within: float

    def part(self, rows: NDArray[np.bool_]) -> CellResiduals:
        """The cells `rows`."""
        return CellResiduals(*(values[rows] for values in self[:-1]), self.within)


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
    if table["block"].nunique() < 2:
        raise InputError(f"{len(table)} withheld sites in {table['block'].nunique()} block(s): expected at least 2 "
                         "blocks, to tell how wrong the map is. Take smaller blocks (network_block_km).")  # fmt: skip
    table["r"] = np.log(table["o"] / table["p"])
    groups = table.groupby("cell")
    freedom = len(table) - groups.ngroups
    scatter = float(((table["r"] - groups["r"].transform("mean")) ** 2).sum())
    within = scatter / freedom if freedom >= LEAST_PAIRS else 0.0
    # The model predicts means: of a skewed scatter of that variance the logarithm lies lower by half of it.
    found = groups.agg(
        mean=("r", "mean"),
        n=("r", "size"),
        members=("v", "mean"),
        block=("block", "first"),
        o=("o", "mean"),
        p=("p", "mean"),
    )
    found["mean"] += within / 2.0
    return CellResiduals(*(found[name].to_numpy() for name in found), within)


def unseen_variance(residuals: CellResiduals) -> float:
    """Variance of the logarithm of a cell's mean carbon that the members do not show, bias included; 0 or more."""
    weight = residuals.n / residuals.n.sum()
    seen = residuals.within / residuals.n + residuals.members
    return max(0.0, float(np.sum(weight * (residuals.mean**2 - seen))))


def common_variance(residuals: CellResiduals) -> float:
    """Second moment of the relative error that all land has in common, the part that does not average out in a total.

    The logarithm of the ratio of all observed to all predicted carbon, squared, and how well the blocks tell that ratio
    (the variance of a ratio of sums over clusters, Cochran 1977, section 6.3; a single block cannot say).
    """
    observed, predicted = residuals.observed, residuals.predicted
    ratio = observed.sum() / predicted.sum()
    by_block = pd.Series((observed - ratio * predicted) / observed.sum()).groupby(residuals.block).sum()
    n_blocks = len(by_block)
    return float(np.log(ratio) ** 2 + np.square(by_block).sum() * n_blocks / max(n_blocks - 1, 1))


def coverage(residuals: CellResiduals, seed: int) -> float:
    """Part of the withheld cells whose observed mean lies in its 90 % interval, the unseen variance from other blocks.

    The blocks are halved at random; each half is judged by what the other half says. The scatter of a cell's few
    profiles is part of the interval here, for the true mean is unknown.
    """
    blocks = np.random.default_rng(seed).permutation(np.unique(residuals.block))
    first = np.isin(residuals.block, blocks[: blocks.size // 2])
    held = np.zeros(first.size, dtype=bool)
    for judged in (first, ~first):
        variance = residuals.members + residuals.within / residuals.n + unseen_variance(residuals.part(~judged))
        held[judged] = (np.abs(residuals.mean) <= WIDTH_90 * np.sqrt(variance))[judged]
    return float(held.mean())
