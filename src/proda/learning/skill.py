"""How well the network knows each parameter, beside how much the profiles could tell about it in the first place."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.assimilation.prior import CONSTRAINED_BELOW, prior_sd
from proda.learning.folds import BLOCKS, RANDOM
from proda.learning.splits import PARTS, TEST, UNUSED
from proda.model.parameters import PAPER_PARAMETERS

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
        Kind of fold (`proda.learning.folds.KINDS`) -> held-out parameters of the sites, (n, n_parameters).
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


def beside_published(skill: pd.DataFrame) -> pd.DataFrame:
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
