"""How well modelled carbon agrees with observed carbon: the scores that every table of the study uses.

How well the network knows each parameter, beside how much the profiles could tell about it in the first place.

How much of a map of parameters lies at the walls of the prior box, where carbon no longer tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.learning.splits import BLOCKS, PARTS, RANDOM, TEST, UNUSED
from proda.model.parameters import CONSTRAINED_BELOW, PAPER_PARAMETERS, prior_sd

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
        r : correlation; r2 : its square, what the paper calls R2; efficiency : 1 - SSE/SST about the 1:1 line, the
        skill against the mean of the observations; rmse and bias (modelled minus observed) in the unit of the input;
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
    return {
        "r": r, "r2": r**2, "efficiency": efficiency, "rmse": rmse, "bias": bias, "median_ratio": ratio, "n": n
    }  # fmt: skip


# A correlation with the truth of at least this much counts as recovered (it explains a quarter of the variance): a
# convention of the report.
RECOVERED_FROM = 0.5

# What the paper says of its own network (Tao et al. 2020, beside Fig. S6).
PUBLISHED = {
    "well": ("efolding", "fs1s2", "fs1s3", "fs2s3"),
    "not": ("tau4l2l3", "tau4l1", "fs2s1", "fs3s1"),
}

HEADINGS = {
    "r_train": "r, training",
    "r_validation": "r, validation",
    "r_test": "r, test",
    "r_random_folds": "r, random folds",
    "r_block_folds": "r, blocks",
    "efficiency_test": "efficiency, test",
    "rmse_test": "RMSE, test",
    "sd_ratio": "posterior sd / prior sd",
    "truth_r_assimilated": "r with truth: posterior means, test",
    "truth_r_test": "r with truth: network, test",
    "truth_r_map": "r with truth: network, map",
}


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
    names: tuple[str, ...] = PAPER_PARAMETERS.names,
) -> pd.DataFrame:
    """One row a parameter: what the network's predictions have in common with the site-by-site posteriors.

    Parameters
    ----------
    predicted : (n, n_parameters)
        The network's parameters at all sites, unit cube.
    split : (n,) str
        Part of every site.
    x_mean, x_sd : (n, n_parameters)
        Posterior mean and standard deviation of every site, unit cube.

    Returns
    -------
    DataFrame
        `parameter`; `r_train`, `r_validation`, `r_test` (correlation with the posterior means); `efficiency_test`, the
        skill against the mean of the test sites; `rmse_test` (unit cube); `sd_ratio`, the median over the sites in use
        of posterior sd / prior sd (1: the profile tells nothing); and `constrained`, whether that is below
        `CONSTRAINED_BELOW`.
    """
    predicted, x_mean, x_sd = (np.asarray(values, dtype=np.float64) for values in (predicted, x_mean, x_sd))
    split = np.asarray(split, dtype=object)
    table = pd.DataFrame({"parameter": names})
    for part in PARTS:
        table[f"r_{part}"] = correlations(predicted[split == part], x_mean[split == part])
    squared, spread = ((predicted - x_mean)[split == TEST] ** 2).mean(axis=0), x_mean[split == TEST].var(axis=0)
    table["efficiency_test"] = 1.0 - squared / np.where(spread > 0.0, spread, np.nan)
    table["rmse_test"] = np.sqrt(squared)
    table["sd_ratio"] = np.median(x_sd[split != UNUSED], axis=0) / prior_sd()
    table["constrained"] = table["sd_ratio"] < CONSTRAINED_BELOW
    return table


def with_truth(
    skill: pd.DataFrame,
    split: ArrayLike,
    predicted_sites: ArrayLike,
    predicted_cells: ArrayLike,
    x_mean: ArrayLike,
    true_sites: ArrayLike,
    true_cells: ArrayLike,
) -> pd.DataFrame:
    """`skill` with correlations with the true parameters of a virtual study.

    Parameters
    ----------
    skill : DataFrame
        From `parameter_skill`.
    predicted_sites, x_mean, true_sites : (n_sites, n_parameters)
    predicted_cells, true_cells : (n_cells, n_parameters)

    Returns
    -------
    DataFrame
        With `truth_r_test` (network, test sites), `truth_r_assimilated` (posterior means, the same sites),
        `truth_r_map` (network, all cells; NaN where the truth is the same in all), and `recovered`, whether
        `truth_r_map` is at least 0.5.
    """
    test = np.asarray(split, dtype=object) == TEST
    predicted_test, mean_test, true_test = (np.asarray(v)[test] for v in (predicted_sites, x_mean, true_sites))
    truth_r_map = correlations(predicted_cells, true_cells)
    return skill.assign(
        truth_r_test=correlations(predicted_test, true_test),
        truth_r_assimilated=correlations(mean_test, true_test),
        truth_r_map=truth_r_map,
        recovered=truth_r_map >= RECOVERED_FROM,
    )


def with_folds(skill: pd.DataFrame, x_by_kind: Mapping[str, ArrayLike], x_mean: ArrayLike) -> pd.DataFrame:
    """`skill` with the correlations of parameters told by networks that had not seen the site, or its block of land.

    Parameters
    ----------
    skill : DataFrame
        From `parameter_skill`.
    x_by_kind : dict
        Kind of fold (`proda.learning.splits.KINDS`) -> held-out parameters of the sites, (n, n_parameters).
    x_mean : (n, n_parameters)
        Posterior means of the same sites.

    Returns
    -------
    DataFrame
        With `r_random_folds` and `r_block_folds`.
    """
    columns = {RANDOM: "r_random_folds", BLOCKS: "r_block_folds"}
    return skill.assign(**{columns[kind]: correlations(x, x_mean) for kind, x in x_by_kind.items()})


def readable(skill: pd.DataFrame) -> pd.DataFrame:
    """`skill` with headings for people and two decimals, the best predicted parameter first."""
    kept = skill.sort_values("r_test", ascending=False).set_index("parameter")
    return kept[[name for name in HEADINGS if name in kept]].round(2).rename(columns=HEADINGS)


def with_published(skill: pd.DataFrame) -> pd.DataFrame:
    """Parameters that the paper's own network predicted well, or not, with what ours does, the paper's best first.

    Returns
    -------
    DataFrame
        `parameter`, `paper` ("well" or "not"), `r_test`, `rank` of that among the parameters (1: the best), `sd_ratio`.
    """
    ranked = skill.assign(rank=skill["r_test"].rank(ascending=False, na_option="bottom").astype(int))
    by_name = ranked.set_index("parameter")
    parts = [by_name.loc[list(names)].assign(paper=verdict) for verdict, names in PUBLISHED.items()]
    return pd.concat(parts).reset_index()[["parameter", "paper", "r_test", "rank", "sd_ratio"]]


def listed(skill: pd.DataFrame, column: str, value: bool) -> str:
    """Names of the parameters whose `column` is `value`, comma-separated, "none" when there are none."""
    return ", ".join(f"`{name}`" for name in skill.loc[skill[column] == value, "parameter"]) or "none"


NEAR = 0.02  # of a parameter's range


def shares_near_bounds(x: NDArray, within: float = NEAR) -> pd.DataFrame:
    """Part of all predictions that lie within `within` of the lower and of the upper bound, the most at a wall first.

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
