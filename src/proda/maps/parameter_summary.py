"""Table S1: every parameter, its range, what both assimilations found of it, and how well the network predicts it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from proda.assimilation.diagnostics import gelman_rubin
from proda.learning.skill import correlations
from proda.learning.splits import TEST, TRAIN
from proda.model.parameters import PAPER_PARAMETERS


def parameter_summary(
    one_batch: xr.DataArray, sites: xr.Dataset, used: NDArray[np.bool_], network: NDArray, split: NDArray
) -> pd.DataFrame:
    """Table S1, by parameter; means and variances on the unit cube, where the prior has 0.5 and 1/12.

    Parameters
    ----------
    one_batch : xarray.DataArray
        `x` (chain, draw, parameter) of the one-batch posterior.
    sites : xarray.Dataset
        `x_mean`, `x_sd`, `rhat_gelman_rubin` (site, parameter).
    used : (n_sites,) bool
        Sites of non-negative efficiency, whose posteriors count.
    network : (n_sites, 25)
        Parameters that the network predicts.
    split : (n_sites,) str

    Returns
    -------
    pandas.DataFrame
        meaning, unit, range, default; for one-batch and for site-by-site (mean over the used sites) `mean`, `variance`,
        `Gelman-Rubin` (median over the sites); `network r` with the posterior means, of training and of test sites.
    """
    series = one_batch.transpose("parameter", "chain", "draw").values.astype(float)
    mean, sd, rhat = (
        sites[name].transpose("site", "parameter").values[used] for name in ("x_mean", "x_sd", "rhat_gelman_rubin")
    )
    x_mean, split = sites["x_mean"].transpose("site", "parameter").values, np.asarray(split, dtype=object)
    columns = {
        ("", "meaning"): PAPER_PARAMETERS.meaning,
        ("", "unit"): PAPER_PARAMETERS.unit,
        ("", "range"): [f"{row.minimum:g} to {row.maximum:g}" for row in PAPER_PARAMETERS.rows],
        ("", "default"): PAPER_PARAMETERS.default,
        ("one-batch", "mean"): series.mean(axis=(1, 2)),
        ("one-batch", "variance"): series.var(axis=(1, 2)),
        ("one-batch", "Gelman-Rubin"): gelman_rubin(series),
        ("site-by-site", "mean"): np.nanmean(mean, axis=0),
        ("site-by-site", "variance"): np.nanmean(sd**2, axis=0),
        ("site-by-site", "Gelman-Rubin"): np.nanmedian(rhat, axis=0),
    }
    for part in (TRAIN, TEST):
        rows = split == part
        columns["network r", f"{part} sites"] = correlations(network[rows], x_mean[rows])
    index = pd.Index(PAPER_PARAMETERS.names, name="parameter")
    return pd.DataFrame(columns, index=index).rename_axis(columns=[None, None])
