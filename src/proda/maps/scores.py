"""How well modelled SOC agrees with observed SOC: Table 1 of the paper, for all methods on identical sites."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.learning.scores import ASSIMILATED, PARTS, SCORES, TEST, UNUSED, USED, outside_training_cells, scores

ALL = "all"
NEW_CELLS = "test, new cells"
NEVER_SEEN = "never seen"


def site_subsets(
    used: NDArray[np.bool_], split: NDArray | None = None, cell: NDArray | None = None
) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """Names of filter and subset -> which sites they hold, (n_sites,) bool.

    The paper's filter removes sites by the fit to their own layers. With it: "all" sites, the network's three parts,
    and "test, new cells", the test sites in cells without a training site. Without it: "all", "unused" (what the filter
    removes) and "never seen" (these and the test sites), what a network meets at a place without a profile.

    Parameters
    ----------
    used : numpy.ndarray of bool
        (n_sites,) whether the model efficiency (NSE) at the site's own layers is not negative.
    split : numpy.ndarray of str, optional
        (n_sites,) "train", "validation", "test" or "unused"; without it there is only "all".
    cell : numpy.ndarray of int, optional
        (n_sites,) grid cell; without it there are no new cells.
    """
    subsets = {(USED, ALL): used}
    if split is not None:
        split = np.asarray(split, dtype=object)
        subsets |= {(USED, part): used & (split == part) for part in PARTS}
        if cell is not None:
            subsets[USED, NEW_CELLS] = used & outside_training_cells(split, cell)
    subsets[ASSIMILATED, ALL] = np.ones_like(used)
    if split is not None:
        subsets[ASSIMILATED, UNUSED] = split == UNUSED
        subsets[ASSIMILATED, NEVER_SEEN] = (split == UNUSED) | (split == TEST)
    return subsets


TRAINED = ("network", "hybrid")  # methods with training sites

# Tao et al. 2020, Table 1: r2, r, RMSE (kg C m-3); the network's on its training sites.
PUBLISHED_SCORES = {
    ("default", "all"): (0.32, 0.57, 15.86),
    ("one-batch", "all"): (0.43, 0.65, 11.41),
    ("site-by-site", "all"): (0.95, 0.98, 3.32),
    ("random-sampling", "all"): (0.36, 0.60, 12.39),
    ("network", "train"): (0.62, 0.79, 8.95),
}


def comparable_sites(site: ArrayLike, modelled: dict[str, NDArray], n_sites: int) -> NDArray[np.bool_]:
    """Sites that have a finite value at every observed layer by every method, (n_sites,).

    Parameters
    ----------
    site : array_like of int
        (n_layers,) site of every observed layer.
    modelled : dict
        Method -> (n_layers,).
    """
    finite = np.all([np.isfinite(values) for values in modelled.values()], axis=0)
    observed = np.bincount(site, minlength=n_sites)
    return (observed > 0) & (np.bincount(site, weights=finite, minlength=n_sites) == observed)


def table_1(
    layers: pd.DataFrame,
    modelled: dict[str, NDArray],
    used: NDArray[np.bool_],
    split: NDArray | None = None,
    cell: NDArray | None = None,
) -> pd.DataFrame:
    """Scores of every method, all layers of all sites pooled, kg C m-3 and not logged, with the published ones.

    Parameters
    ----------
    layers : pandas.DataFrame
        Observed layers: `site`, `soc` (g C m-3).
    modelled : dict
        Method -> (n_layers,) g C m-3 at the same layers.
    used, split, cell
        See `proda.maps.scores.site_subsets`.

    Returns
    -------
    pandas.DataFrame
        source ("this study" or "published"), sites (the filter) and subset as in `site_subsets`, method, the `SCORES`
        (n counts layers), n_sites. Within one `sites` and `subset` every method is scored on identical layers.
    """
    site = layers["site"].to_numpy()
    observed = layers["soc"].to_numpy(float) / 1000.0
    comparable = comparable_sites(site, modelled, used.size)
    rows = []
    for (sites, subset), member in site_subsets(used, split, cell).items():
        chosen = (comparable & member)[site]
        for method, values in modelled.items():
            row = {"source": "this study", "sites": sites, "subset": subset, "method": method}
            numbers = scores(observed[chosen], values[chosen] / 1000.0)
            rows.append(row | numbers | {"n_sites": int((comparable & member).sum())})
    for (method, subset), (r2, r, rmse) in PUBLISHED_SCORES.items():
        row = {"source": "published", "sites": USED, "subset": subset, "method": method}
        rows.append(row | {"r2": r2, "r": r, "rmse": rmse})
    columns = ["source", "sites", "subset", "method", *SCORES, "n_sites"]
    return pd.DataFrame(rows)[columns].astype({"n": "Int64", "n_sites": "Int64"})


def row_name(method: str, subset: str) -> str:
    """A method in a table, with the part of the sites if it is not all."""
    return method if subset == ALL else f"{method} ({subset} sites)"


def with_published(table: pd.DataFrame) -> pd.DataFrame:
    """Table 1 as the paper prints it: one row a method, with the published numbers in columns of their own."""
    table = table[table["sites"] == USED]
    rows = []
    for method in dict.fromkeys(table["method"]):
        for subset in PARTS if method in TRAINED else (ALL,):
            pick = table[(table["method"] == method) & (table["subset"] == subset)]
            ours, published = (pick[pick["source"] == source] for source in ("this study", "published"))
            if ours.empty:
                continue
            row = {"method": row_name(method, subset)} | ours.iloc[0][SCORES].to_dict()
            for score in ("r2", "r", "rmse"):
                row[f"published {score}"] = published[score].iloc[0] if len(published) else np.nan
            rows.append(row)
    return pd.DataFrame(rows).set_index("method")


def map_scores(maps, reference: str = "truth") -> pd.DataFrame:
    """Scores of every method's stock maps against one of the maps, by depth, kg C m-2.

    Parameters
    ----------
    maps : xarray.Dataset
        `stock` (parameterisation, statistic, depth, cell), with `reference` among the parameterisations.

    Returns
    -------
    pandas.DataFrame
        cells ("all" for methods with a value in every cell; "with sites" scores all methods on the cells that have a
        value by every method, which for an interval means sites observed deep enough), interval (of depth), method,
        and the scores.
    """
    mean = maps["stock"].sel(statistic="mean")
    everywhere = np.isfinite(mean).all(["depth", "cell"])
    with_sites = np.isfinite(mean).all("parameterisation").transpose("depth", "cell").values
    rows = []
    for cells, masks in (("all", np.ones_like(with_sites)), ("with sites", with_sites)):
        for k, interval in enumerate(maps["interval"].values):
            chosen = mean.isel(depth=k, cell=masks[k])
            for method in maps["parameterisation"].values:
                if method != reference and (cells != "all" or everywhere.sel(parameterisation=method)):
                    pair = chosen.sel(parameterisation=reference).values, chosen.sel(parameterisation=method).values
                    rows.append({"cells": cells, "interval": interval, "method": method} | scores(*pair))
    return pd.DataFrame(rows)


def readable(table: pd.DataFrame, digits: int = 2):
    """A table for a notebook: `digits` decimals, whole numbers with thousands marks, a dash where missing."""
    whole = [name for name in table if pd.api.types.is_integer_dtype(table[name])]
    formats = {name: "{:,.0f}" if name in whole else f"{{:.{digits}f}}" for name in table.select_dtypes("number")}
    return table.style.format(formats, na_rep="–")


def scores_on(table: pd.DataFrame, subset: str, sites: str = "") -> pd.DataFrame:
    """Our scores of Table 1 for one subset of the sites, a row a method.

    With the paper's filter of sites for the subsets that have it, unless `sites` names a filter (`site_subsets`).
    """
    rows = table[(table["source"] == "this study") & (table["subset"] == subset)]
    sites = sites or (USED if USED in set(rows["sites"]) else ASSIMILATED)
    return rows[rows["sites"] == sites].set_index("method").drop(columns=["source", "sites", "subset"])


def stocks_by_interval(table: pd.DataFrame) -> pd.DataFrame:
    """Stocks with a row a method and columns by depth interval: the total and, where there are draws, 5 and 95 %.

    The last two columns are the shares of the land with a value, in the intervals where they are largest and smallest.
    """
    values = ["stock_pg", "p05_pg", "p95_pg"]
    wide = table.pivot_table(index=["source", "method"], columns="interval", values=values, dropna=False)
    wide = wide.reindex(list(dict.fromkeys(zip(table["source"], table["method"], strict=True))))
    names = {"stock_pg": "Pg C", "p05_pg": "5 %", "p95_pg": "95 %"}
    ordered = [(kind, interval) for interval in dict.fromkeys(table["interval"]) for kind in names]
    wide = wide[ordered].dropna(axis="columns", how="all")
    wide.columns = [f"{interval}: {names[kind]}" for kind, interval in wide.columns]
    land = table.groupby(["source", "method"])["land_share"].agg(["max", "min"]).mul(100)
    return wide.assign(**{"most land (%)": land["max"], "least land (%)": land["min"]})
