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

# Words of the table's two rows of headings as parts of one name in the file.
SHORT = {
    "one-batch": "one_batch",
    "site-by-site": "sites",
    "Gelman-Rubin": "rhat",
    "network r": "network_r",
    f"{TRAIN} sites": TRAIN,
    f"{TEST} sites": TEST,
}
FILE_COLUMNS = (
    "parameter", "meaning", "unit", "minimum", "maximum", "default",
    "one_batch_mean", "one_batch_variance", "one_batch_rhat", "sites_mean", "sites_variance", "sites_rhat",
    f"network_r_{TRAIN}", f"network_r_{TEST}",
)  # fmt: skip


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


def summary_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Table S1 as `table_s1.csv` has it: one row of names, the range as two numbers, `parameter` the first column.

    Parameters
    ----------
    table : pandas.DataFrame
        From `parameter_summary`.

    Returns
    -------
    pandas.DataFrame
        `FILE_COLUMNS`. `unit` is that of minimum, maximum and default; means and variances are on the unit cube.
    """
    found = table.rename(columns=SHORT).set_axis(
        ["_".join(filter(None, names)) for names in table.rename(columns=SHORT).columns], axis=1
    )
    found = found.assign(minimum=PAPER_PARAMETERS.minimum, maximum=PAPER_PARAMETERS.maximum)
    return found.reset_index()[list(FILE_COLUMNS)]
