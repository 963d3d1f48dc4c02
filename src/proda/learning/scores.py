"""How well modelled carbon agrees with observed carbon, and predicted parameters with those of the sites.

"Efficiency" is the Nash-Sutcliffe model efficiency (NSE) everywhere: one less the sum of squared errors over the sum of
squares about the mean of the observations (Nash and Sutcliffe 1970, doi 10.1016/0022-1694(70)90255-6). It is 1 for
perfect agreement and 0 for a prediction no better than the mean of the observations.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.learning.splits import PARTS, TEST, UNUSED
from proda.learning.training_data import Truth
from proda.model.parameters import CONSTRAINED_BELOW, PAPER_PARAMETERS, prior_sd

# A correlation with the truth of at least this much counts as recovered (it explains a quarter of the variance): a
# convention of the report.
RECOVERED_FROM = 0.5
# Which parameters the paper's own network predicted well, and not (Tao et al. 2020, beside Fig. S6).
PUBLISHED = dict.fromkeys(("efolding", "fs1s2", "fs1s3", "fs2s3"), "well") | dict.fromkeys(
    ("tau4l2l3", "tau4l1", "fs2s1", "fs3s1"), "not"
)
NEAR = 0.02  # of a parameter's range
SCORES = ["r2", "r", "efficiency", "rmse", "bias", "median_ratio", "n"]


def scores(observed: ArrayLike, modelled: ArrayLike) -> dict[str, float]:
    """Agreement of two sets of numbers in one unit.

    Parameters
    ----------
    observed, modelled : array_like
        (n,) each, finite.

    Returns
    -------
    dict
        r : correlation; r2 : its square, what the paper calls R2; efficiency : Nash-Sutcliffe, 1 - SSE/SST; rmse and
        bias (modelled minus observed) in the unit of the input;
        median_ratio : median of modelled over observed, which shows a common factor that r2 does not see and that the
        few largest values do not decide (pairs with nothing observed are left out); n. NaN where fewer than two
        numbers or no variation leave a score without meaning.
    """
    observed, modelled = np.asarray(observed, float), np.asarray(modelled, float)
    if observed.shape != modelled.shape:
        raise InputError(f"{observed.shape} observed and {modelled.shape} modelled values: every value needs its pair")
    n = observed.size
    error = modelled - observed
    spread = observed - observed.mean() if n else observed
    total = float(spread @ spread)
    if n < 2 or total == 0:
        r = efficiency = np.nan
    else:
        fluctuation = modelled - modelled.mean()
        scale = np.sqrt(total * float(fluctuation @ fluctuation))
        r = float(spread @ fluctuation) / scale if scale > 0 else np.nan
        efficiency = 1.0 - float(error @ error) / total
    rmse, bias = (float(np.sqrt(np.mean(error**2))), float(error.mean())) if n else (np.nan, np.nan)
    some = observed > 0
    ratio = float(np.median(modelled[some] / observed[some])) if some.any() else np.nan
    return dict(r=r, r2=r**2, efficiency=efficiency, rmse=rmse, bias=bias, median_ratio=ratio, n=n)


def correlations(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Pearson correlation of every column of `a` with that of `b`, (n_columns,); NaN where a column does not vary.

    Parameters
    ----------
    a, b : (n, n_columns)
        Rows with a value that is not finite in either are left out, column by column.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    result = np.full(a.shape[1], np.nan)
    for column in range(a.shape[1]):
        both = np.isfinite(a[:, column]) & np.isfinite(b[:, column])
        first, second = a[both, column], b[both, column]
        if first.size > 2 and np.ptp(first) > 0.0 and np.ptp(second) > 0.0:
            result[column] = np.corrcoef(first, second)[0, 1]
    return result


def parameter_skill(
    predicted: ArrayLike,
    split: ArrayLike,
    x_mean: ArrayLike,
    x_sd: ArrayLike,
    truth: Truth | None = None,
    predicted_cells: ArrayLike | None = None,
) -> pd.DataFrame:
    """One row a parameter: agreement of the network's predictions with the site-by-site posteriors, and with a truth.

    Parameters
    ----------
    predicted : (n, 25)
        The network's parameters at all sites, unit cube.
    split : (n,) str
        Part of every site.
    x_mean, x_sd : (n, 25)
        Posterior mean and standard deviation of every site, unit cube.
    truth : Truth, optional
        Of a virtual study; needs `predicted_cells`, (n_cells, 25).

    Returns
    -------
    DataFrame
        `parameter`; `r_train`, `r_validation`, `r_test` (correlation with the posterior means); `efficiency_test` and
        `rmse_test` (unit cube); `sd_ratio`, the median over the sites in use of posterior sd / prior sd (1: the profile
        does not constrain it); `constrained`, whether that is below `CONSTRAINED_BELOW`; `paper`, how well the paper's
        network predicted it ("well", "not", or nothing where the paper names it not). With a truth also `truth_r_test`
        (network, test sites), `truth_r_assimilated` (posterior means, the same sites), `truth_r_map` (network, all
        cells; NaN where the truth is the same in all), and `recovered`, whether that is at least `RECOVERED_FROM`.
    """
    predicted, x_mean, x_sd = (np.asarray(values, dtype=np.float64) for values in (predicted, x_mean, x_sd))
    split = np.asarray(split, dtype=object)
    table = pd.DataFrame({"parameter": PAPER_PARAMETERS.names})
    for part in PARTS:
        table[f"r_{part}"] = correlations(predicted[split == part], x_mean[split == part])
    test = split == TEST
    squared, spread = ((predicted - x_mean)[test] ** 2).mean(axis=0), x_mean[test].var(axis=0)
    table["efficiency_test"] = 1.0 - squared / np.where(spread > 0.0, spread, np.nan)
    table["rmse_test"] = np.sqrt(squared)
    table["sd_ratio"] = np.median(x_sd[split != UNUSED], axis=0) / prior_sd()
    table["constrained"] = table["sd_ratio"] < CONSTRAINED_BELOW
    table["paper"] = [PUBLISHED.get(name, "") for name in PAPER_PARAMETERS.names]
    if truth is not None:
        table["truth_r_test"] = correlations(predicted[test], truth.x_site[test])
        table["truth_r_assimilated"] = correlations(x_mean[test], truth.x_site[test])
        table["truth_r_map"] = correlations(predicted_cells, truth.x_cell)
        table["recovered"] = table["truth_r_map"] >= RECOVERED_FROM
    return table


def shares_near_bounds(x: NDArray, within: float = NEAR) -> pd.DataFrame:
    """Part of all predictions that lie within `within` of the lower and of the upper bound, the most first.

    Parameters
    ----------
    x : (..., 25)
        Parameters on the unit cube.

    Returns
    -------
    DataFrame
        Index `parameter`; `lower`, `upper`, `either`, 0 to 1.
    """
    flat = x.reshape(-1, x.shape[-1])
    table = pd.DataFrame(
        {"lower": (flat <= within).mean(axis=0), "upper": (flat >= 1.0 - within).mean(axis=0)},
        index=pd.Index(PAPER_PARAMETERS.names, name="parameter"),
    )
    return table.assign(either=table.sum(axis=1)).sort_values("either", ascending=False)
