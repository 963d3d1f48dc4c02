"""Agreement of modelled with observed SOC: Table 1 for all methods on identical sites; findings of the paper here; the
maps of a finished study on profiles that it did not use.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from proda.data.stage import profiles_not_used
from proda.errors import InputError
from proda.learning.scores import ASSIMILATED, PARTS, SCORES, TEST, UNUSED, USED, outside_training_cells, scores
from proda.maps.regions import PUBLISHED_BIASES
from proda.maps.stocks import PUBLISHED_STOCKS
from proda.model.configuration import PAPER_COLUMN, STRATA, interval_name
from proda.model.observation import at_depths
from proda.stage import MARKER_FORM, marker_path, read_json
from proda.study import Study

ALL = "all"
NEW_CELLS = "test, new cells"
NEVER_SEEN = "never seen"
MAPS_STAGE, SOC_MAPS = "06-final-figures", "soc_maps.nc"
TRAINED = ("network", "hybrid")  # methods with training sites

# Tao et al. 2020, Table 1: r2, r, RMSE (kg C m-3); the network's on its training sites.
PUBLISHED_SCORES = {
    ("default", "all"): (0.32, 0.57, 15.86),
    ("one-batch", "all"): (0.43, 0.65, 11.41),
    ("site-by-site", "all"): (0.95, 0.98, 3.32),
    ("random-sampling", "all"): (0.36, 0.60, 12.39),
    ("network", "train"): (0.62, 0.79, 8.95),
}


def site_subsets(used: NDArray[np.bool_], split: NDArray, cell: NDArray) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """Names of filter and subset -> which sites they hold, (n_sites,) bool.

    The paper's filter (`used`) removes sites whose model efficiency at their own layers is negative. With it: "all"
    sites, the network's three parts (`split`), and "test, new cells", the test sites in a `cell` without a training
    site. Without it: "all", "unused" (what the filter removes) and "never seen" (these and the test sites), what a
    network meets at a place without a profile.
    """
    split = np.asarray(split, dtype=object)
    subsets = {(USED, ALL): used} | {(USED, part): used & (split == part) for part in PARTS}
    subsets[USED, NEW_CELLS] = used & outside_training_cells(split, cell)
    subsets[ASSIMILATED, ALL] = np.ones_like(used)
    subsets[ASSIMILATED, UNUSED] = split == UNUSED
    subsets[ASSIMILATED, NEVER_SEEN] = (split == UNUSED) | (split == TEST)
    return subsets


def table_1(
    layers: pd.DataFrame, modelled: dict[str, NDArray], used: NDArray[np.bool_], split: NDArray, cell: NDArray
) -> pd.DataFrame:
    """Scores of every method, all layers of all sites pooled, kg C m-3 and not logged, with the published ones.

    `layers` are observed: `site`, `soc` (g C m-3); `modelled` is method -> (n_layers,) g C m-3 at the same layers; the
    rest are those of `site_subsets`.

    Returns
    -------
    pandas.DataFrame
        source ("this study" or "published"), sites (the filter) and subset as in `site_subsets`, method, the `SCORES`
        (n counts layers), n_sites. Within one `sites` and `subset` every method is scored on identical layers.
    """
    site = layers["site"].to_numpy()
    observed = layers["soc"].to_numpy(float) / 1000.0
    comparable = comparable_sites(site, modelled, len(used))
    rows = []
    for (filtered, subset), member in site_subsets(used, split, cell).items():
        chosen = (comparable & member)[site]
        row = {"source": "this study", "sites": filtered, "subset": subset}
        for method, soc in modelled.items():
            numbers = scores(observed[chosen], soc[chosen] / 1000.0)
            rows.append(row | {"method": method} | numbers | {"n_sites": int((comparable & member).sum())})
    for (method, subset), numbers in PUBLISHED_SCORES.items():
        row = {"source": "published", "sites": USED, "subset": subset, "method": method}
        rows.append(row | dict(zip(("r2", "r", "rmse"), numbers, strict=True)))
    columns = ["source", "sites", "subset", "method", *SCORES, "n_sites"]
    return pd.DataFrame(rows)[columns].astype({"n": "Int64", "n_sites": "Int64"})


def comparable_sites(site: ArrayLike, modelled: dict[str, NDArray], n_sites: int) -> NDArray[np.bool_]:
    """Sites with a finite value at every observed layer by every method, (n_sites,); `site` is that of the layers."""
    finite = np.all([np.isfinite(values) for values in modelled.values()], axis=0)
    observed = np.bincount(site, minlength=n_sites)
    return (observed > 0) & (np.bincount(site, weights=finite, minlength=n_sites) == observed)


def row_name(method: str, subset: str) -> str:
    """A method in a table, with the part of the sites if it is not all."""
    return method if subset == ALL else f"{method} ({subset} sites)"


def with_published(table: pd.DataFrame) -> pd.DataFrame:
    """Table 1 as the paper prints it: one row a method, with the published numbers in columns of their own."""
    names = ["published r2", "published r", "published rmse"]
    published = pd.DataFrame.from_dict(PUBLISHED_SCORES, orient="index", columns=names)
    published.index = pd.MultiIndex.from_tuples(published.index)
    ours = table[(table["source"] == "this study") & (table["sites"] == USED)]
    parts = ours["method"].isin(TRAINED)
    ours = ours[(parts & ours["subset"].isin(PARTS)) | (~parts & (ours["subset"] == ALL))]
    order = list(dict.fromkeys(table["method"]))
    ours = ours.sort_values("method", key=lambda method: method.map(order.index), kind="stable")
    ours.index = pd.Index(map(row_name, ours["method"], ours["subset"]), name="method")
    return ours.drop(columns="method").join(published, on=[ours["method"].to_numpy(), "subset"])[[*SCORES, *names]]


def scores_on(table: pd.DataFrame, subset: str) -> pd.DataFrame:
    """Our scores of Table 1 for a subset of the sites, a row a method; with the paper's filter if it has the subset."""
    rows = table[(table["source"] == "this study") & (table["subset"] == subset)]
    rows = rows[rows["sites"] == (USED if USED in set(rows["sites"]) else ASSIMILATED)]
    return rows.set_index("method").drop(columns=["source", "sites", "subset"])


def map_scores(maps: xr.Dataset) -> pd.DataFrame:
    """Scores of every method's stock maps against the map "truth", by depth, kg C m-2: cells, interval, method, scores.

    `cells` is "all", for methods with a value in every cell, or "with sites", the cells with a value by every method.
    """
    mean = maps["stock"].sel(statistic="mean")
    everywhere = np.isfinite(mean).all(["depth", "cell"])
    with_sites = np.isfinite(mean).all("parameterisation")
    rows = []
    for cells, counted in (("all", xr.ones_like(with_sites)), ("with sites", with_sites)):
        for k, interval in enumerate(maps["interval"].values):
            chosen = mean.isel(depth=k, cell=counted.isel(depth=k).values)
            for method in maps["parameterisation"].values:
                if method != "truth" and (cells != "all" or everywhere.sel(parameterisation=method)):
                    pair = (chosen.sel(parameterisation=name).values for name in ("truth", method))
                    rows.append({"cells": cells, "interval": interval, "method": method} | scores(*pair))
    return pd.DataFrame(rows)


def readable(table: pd.DataFrame, digits: int = 2):
    """A table for a notebook: `digits` decimals, whole numbers with thousands marks, a dash where missing."""
    whole = [name for name in table if pd.api.types.is_integer_dtype(table[name])]
    formats = {name: "{:,.0f}" if name in whole else f"{{:.{digits}f}}" for name in table.select_dtypes("number")}
    return table.style.format(formats, na_rep="–")


def stocks_by_interval(table: pd.DataFrame) -> pd.DataFrame:
    """Stocks, a row a method: total by depth interval, 5 and 95 % where there are draws, and land with a value (%)."""
    names = {"stock_pg": "Pg C", "p05_pg": "5 %", "p95_pg": "95 %"}
    wide = table.pivot_table(index=["source", "method"], columns="interval", values=list(names), dropna=False)
    wide = wide.reindex(list(dict.fromkeys(zip(table["source"], table["method"], strict=True))))
    ordered = [(kind, interval) for interval in dict.fromkeys(table["interval"]) for kind in names]
    wide = wide[ordered].dropna(axis="columns", how="all")
    wide.columns = [f"{interval}: {names[kind]}" for kind, interval in wide.columns]
    return wide.assign(**{"land (%)": 100 * table.groupby(["source", "method"])["land_share"].min()})


def published_findings(table: pd.DataFrame, stocks: pd.DataFrame, regional: pd.DataFrame) -> pd.DataFrame:
    """Findings of the paper beside the same numbers here: published, here, holds ("yes", "no", "" without a number)."""
    rows = []

    def add(finding: str, published: str, here: str, holds: bool | None) -> None:
        rows.append({"finding": finding, "published": published, "here": here, "holds": holds})

    published = {method: numbers[0] for (method, _), numbers in PUBLISHED_SCORES.items()}
    order = sorted(published, key=published.__getitem__, reverse=True)
    r2 = table[(table["source"] == "this study") & (table["sites"] == USED)].set_index(["method", "subset"])["r2"]
    here = [r2[method, "train" if method in TRAINED else ALL] for method in order]
    values = " > ".join(f"{published[method]:.2f}" for method in order)
    add(f"Table 1: r2 of {' > '.join(order)}", values, ", ".join(f"{x:.2f}" for x in here), (np.diff(here) < 0).all())

    for (method, region), sign in PUBLISHED_BIASES.items():
        row = regional.loc[region, method]
        here = f"{row['bias']:+.1f} ± {2 * row['se']:.1f} kg C m-2 at {row['n_sites']:,} sites"
        add(f"Fig. 2: {method}, {region}", sign, here, row["bias_agrees"])
    methods = ["default", "one-batch", "random-sampling", "network"]
    spread = regional.drop(index="all", level="region")["bias"].groupby(level="method").std()[methods]
    finding = "Fig. 2: no regional pattern in the network's errors (standard deviation of the regional biases)"
    here = ", ".join(f"{name} {value:.1f}" for name, value in spread.items())
    add(finding, "network least", f"{here} kg C m-2", spread.idxmin() == "network")

    ours = stocks[stocks["source"] == "this study"].set_index(["method", "interval"])
    strata = [interval_name(stratum) for stratum in STRATA]
    default = ours["stock_pg"]["default"][strata]
    finding = "Fig. 4: carbon of the default increases with depth (0-30, 30-100, 100-200 cm)"
    values = " < ".join(f"{stratum[0]}" for stratum in PUBLISHED_STOCKS["default"])
    add(finding, f"{values} Pg C", ", ".join(f"{x:.0f}" for x in default) + " Pg C", (np.diff(default) > 0).all())
    width = (ours["p95_pg"] - ours["p05_pg"]) / ours["stock_pg"]
    pair = ("one-batch", "random-sampling")
    widths = {name: width[name][strata].to_numpy() for name in pair}
    published_widths = {name: [(p95 - p05) / mean for mean, p05, p95 in PUBLISHED_STOCKS[name]] for name in pair}
    words = [
        "; ".join(f"{name} {', '.join(f'{width:.1f}' for width in of_method[name])}" for name in pair)
        for of_method in (published_widths, widths)
    ]
    finding = "Fig. 4: one-batch less uncertain than random-sampling (5-95 % width over the total, by depth)"
    add(finding, *words, (widths["one-batch"] < widths["random-sampling"]).all())
    findings = pd.DataFrame(rows).set_index("finding")
    return findings.assign(holds=["" if pd.isna(holds) else "yes" if holds else "no" for holds in findings["holds"]])


class OtherProfiles(NamedTuple):
    """The maps of a study at profiles that it did not use."""

    profiles: pd.DataFrame  # cleaned; `trained`, whether the study has profiles in the cell
    layers: pd.DataFrame  # `site`, `upper_depth`, `lower_depth`, `depth` (m), `soc` (g C m-3)
    exclusions: pd.DataFrame  # as in exclusions.csv
    modelled: dict[str, NDArray]  # method -> (n_layers,) g C m-3 at the layers' middles; NaN where it has no value
    warning: str  # why the maps are not those of the present code, settings and data; empty if they are


def at_other_profiles(out: Path, data: Path) -> OtherProfiles:
    """The maps in the study folder `out` at the profiles of a folder `data` in the tidy layout that it did not use.

    Raises `InputError` where the maps are not complete, a table is not as expected, or no profile is left.
    """
    marker = read_json(marker_path(out, MAPS_STAGE)) or {}
    if marker.get("form") != MARKER_FORM or marker.get("status") != "complete":
        raise InputError(f"{out} has no complete {MAPS_STAGE}: `python -m proda status {out}` tells what to run")
    settings = marker["fingerprint"]["settings"]
    try:
        study = Study.open(**{**marker["opened_with"], "out": out})
        settings, fault = study.settings | settings, study.faults()[MAPS_STAGE]
    except InputError as error:
        fault = f"cannot be compared with its source: {error}"
    cells, densities = read_densities(out / SOC_MAPS)
    profiles, layers, exclusions, _ = profiles_not_used(data, out, cells, settings)
    cell, depth = profiles["cell"].to_numpy()[layers["site"]], layers["depth"].to_numpy(float)
    modelled = {method: at_depths(soc, cell, depth) for method, soc in densities.items()}
    return OtherProfiles(profiles, layers, exclusions, modelled, f"{MAPS_STAGE} {fault}" if fault else "")


def read_densities(path: Path) -> tuple[pd.DataFrame, dict[str, NDArray]]:
    """Centres (`lon`, `lat`) of the n cells of a file of maps, and SOC in them, method -> (n_layers, n) g C m-3."""
    try:
        density = xr.load_dataset(path)["soc_density"].transpose("parameterisation", "layer", "lat", "lon")
        if density.sizes["layer"] != PAPER_COLUMN.n_layers or density.attrs.get("units") != "kg m-3":
            raise ValueError(f"{density.sizes['layer']} layers in {density.attrs.get('units')}")
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: expected soc_density (parameterisation, layer, lat, lon), {PAPER_COLUMN.n_layers} layers in "
            f"kg m-3, found {type(error).__name__}: {error}. Run notebook 6 again, which writes it."
        ) from error
    values = 1000.0 * density.values.astype(float)
    land = np.isfinite(values).any(axis=(0, 1))
    lat, lon = np.meshgrid(density["lat"], density["lon"], indexing="ij")
    by_method = dict(zip(map(str, density["parameterisation"].values), values[:, :, land], strict=True))
    return pd.DataFrame({"lon": lon[land], "lat": lat[land]}), by_method


def other_profile_scores(other: OtherProfiles) -> pd.DataFrame:
    """Scores of every method's map (kg C m-3; n counts layers) by cells and depth of the layer's middle.

    Each method is scored where its map has a value: site-by-site on few layers, the others on the same.
    """
    site, depth = other.layers["site"].to_numpy(), other.layers["depth"].to_numpy(float)
    observed, trained = other.layers["soc"].to_numpy(float) / 1000.0, other.profiles["trained"].to_numpy(bool)[site]
    cells = {ALL: np.ones_like(trained), "with training profiles": trained, "without training profiles": ~trained}
    depths = {ALL: np.ones_like(trained)}
    depths |= {interval_name((upper, lower)): (depth >= upper) & (depth < lower) for upper, lower in STRATA}
    rows = []
    for (cell, a), (interval, b), (method, soc) in product(cells.items(), depths.items(), other.modelled.items()):
        chosen = a & b & np.isfinite(soc)
        row = {"cells": cell, "depth": interval, "method": method} | scores(observed[chosen], soc[chosen] / 1000.0)
        rows.append(row | {"n_profiles": np.unique(site[chosen]).size})
    return pd.DataFrame(rows).drop(columns="r")
