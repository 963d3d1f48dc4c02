"""How well modelled SOC agrees with observed SOC: Table 1 of the paper, for all methods on identical sites."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.learning.agreement import SCORES, scores
from proda.learning.splits import PARTS
from proda.maps.subsets import ALL, USED, site_subsets

LEARNT = ("network", "hybrid")  # methods that have seen training sites

# Tao et al. 2020, Table 1: r2, r, RMSE (kg C m-3); the network's on its training sites.
PUBLISHED_SCORES = {
    ("default", "all"): (0.32, 0.57, 15.86),
    ("one-batch", "all"): (0.43, 0.65, 11.41),
    ("site-by-site", "all"): (0.95, 0.98, 3.32),
    ("random-sampling", "all"): (0.36, 0.60, 12.39),
    ("network", "train"): (0.62, 0.79, 8.95),
}
# Fig. 2 of the paper says the same two of each method.
PUBLISHED_FIT = {method: (r2, rmse) for (method, _), (r2, _, rmse) in PUBLISHED_SCORES.items()}


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
    """Scores of every method, all layers of all sites pooled, kg C m-3 and not logged, beside the published ones.

    Parameters
    ----------
    layers : pandas.DataFrame
        Observed layers: `site`, `soc` (g C m-3).
    modelled : dict
        Method -> (n_layers,) g C m-3 at the same layers.
    used, split, cell
        See `proda.maps.subsets.site_subsets`.

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


def beside_published(table: pd.DataFrame) -> pd.DataFrame:
    """Table 1 as the paper prints it: one row a method, with the published numbers in columns of their own."""
    table = table[table["sites"] == USED]
    rows = []
    for method in dict.fromkeys(table["method"]):
        for subset in PARTS if method in LEARNT else (ALL,):
            pick = table[(table["method"] == method) & (table["subset"] == subset)]
            ours, published = (pick[pick["source"] == source] for source in ("this study", "published"))
            if ours.empty:
                continue
            name = f"{method} ({subset} sites)" if subset != ALL else method
            row = {"method": name} | ours.iloc[0][SCORES].to_dict()
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
