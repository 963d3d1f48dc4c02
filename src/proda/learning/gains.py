"""What one method has over another on the same withheld layers, and whether other land would have said the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError

N_RESAMPLED = 2000


def efficiency_gains(
    compared: xr.Dataset, method: str, others: Sequence[str], block: ArrayLike, seed: int
) -> pd.DataFrame:
    """Efficiency of `method` less that of others, with the interval that the choice of land leaves open.

    Layers of a profile, and profiles of a region, are not independent: whole blocks of land are drawn with replacement
    (the bootstrap of clusters), for all methods the same.

    Parameters
    ----------
    compared : Dataset
        From `proda.learning.comparison.compared_methods`.
    method, others : names of its `approach`
    block : (n_sites,) int
        From `proda.learning.folds.block_of_place`.
    seed : int

    Returns
    -------
    DataFrame
        `other`, `kind`, `gain`, `low` and `high` (its 5 to 95 %), `share` of the draws in which it is positive.

    Raises
    ------
    InputError
        When a method was not compared, or all sites lie in one block.
    """
    known = [str(name) for name in compared["approach"].values]
    unknown = [name for name in (method, *others) if name not in known]
    if unknown:
        raise InputError(f"no method {unknown[0]!r} was compared: expected names among {', '.join(known)}.")
    block = np.unique(np.asarray(block), return_inverse=True)[1]
    n_blocks = block.max(initial=-1) + 1
    if n_blocks < 2:
        raise InputError(
            f"{block.size} sites lie in {n_blocks} block(s): expected at least 2 to draw from. Take smaller blocks "
            "(network_block_km)."
        )
    drawn = np.random.default_rng(seed).multinomial(n_blocks, np.full(n_blocks, 1.0 / n_blocks), N_RESAMPLED)
    whole = np.ones((1, n_blocks))
    rows = []
    for kind in compared["kind"].values:
        here = compared.sel(kind=kind)
        for other in others:
            of_all, resampled = (
                _efficiency(here, method, block, times) - _efficiency(here, other, block, times)
                for times in (whole, drawn)
            )
            low, high = np.quantile(resampled, [0.05, 0.95])
            share = float((resampled > 0.0).mean())
            rows.append(
                {"other": other, "kind": str(kind), "gain": of_all[0], "low": low, "high": high, "share": share}
            )
    return pd.DataFrame(rows)


def _efficiency(here: xr.Dataset, method: str, block: NDArray, times: NDArray) -> NDArray[np.float64]:
    """1 - SSE/SST with every block counted as often as `times` (n_draws, n_blocks) says, (n_draws,)."""
    observed = here["observed"].values.astype(float)
    present = np.isfinite(observed)
    error = here["soc"].sel(approach=method).values - observed
    n_blocks = times.shape[1]

    def of_blocks(values: NDArray) -> NDArray:
        return times @ np.bincount(block, np.where(present, values, 0.0).sum(axis=1), n_blocks)

    count, total = of_blocks(present), of_blocks(observed)
    return 1.0 - of_blocks(error**2) / (of_blocks(observed**2) - total**2 / count)
