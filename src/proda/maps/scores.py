"""Agreement of modelled with observed SOC: Table 1 for all methods on identical sites; findings of the paper here; the
maps of a finished study on profiles that it did not use.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from proda.data.region import RESOLUTION, is_conterminous
from proda.data.stage import profiles_not_used
from proda.errors import InputError
from proda.learning.scores import ASSIMILATED, PARTS, SCORES, TEST, UNUSED, USED, outside_training_cells, scores
from proda.learning.scores import PUBLISHED as PUBLISHED_SKILL
from proda.maps.prediction import AT_MEAN, Inputs
from proda.maps.regions import CLASSES, PUBLISHED_BIASES, REGIONS
from proda.model.configuration import CONFIGURATIONS, STRATA, column_of, interval_name
from proda.model.observation import layer_means
from proda.stage import marker_path, read_json, unfinished
from proda.study import Study

ALL = "all"
NEW_CELLS = "test, new cells"
NEVER_SEEN = "never seen"
MAPS_STAGE, SOC_MAPS = "06-final-figures", "soc_maps.nc"
N_LAYERS = [each.column.n_layers for each in CONFIGURATIONS.values()]
TRAINED = ("network", "hybrid")  # methods with training sites

# Tao et al. 2020, Table 1: r2, r, RMSE (kg C m-3); the network's on its training sites.
PUBLISHED_SCORES = {
    ("default", "all"): (0.32, 0.57, 15.86),
    ("one-batch", "all"): (0.43, 0.65, 11.41),
    ("site-by-site", "all"): (0.95, 0.98, 3.32),
    ("random-sampling", "all"): (0.36, 0.60, 12.39),
    ("network", "train"): (0.62, 0.79, 8.95),
}
_PUBLISHED = pd.DataFrame(PUBLISHED_SCORES, index=["r2", "r", "rmse"]).T
# Mean posterior variance over the sites on the unit scale above 0.06 and at most 0.04, in the text beside Fig. S5.
PUBLISHED_ABOVE, PUBLISHED_AT_MOST = ("tau4l2l3", "tau4l1", "fs2s1"), ("tau4s2", "tau4s3", "efolding")


def site_subsets(used: NDArray[np.bool_], split: NDArray, cell: NDArray) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """Names of filter and subset -> which sites they hold, (n_sites,) bool.

    The paper's filter (`used`) removes sites whose own assimilation has a negative efficiency. With it: "all" sites,
    the network's three parts (`split`), and "test, new cells", the test sites in a `cell` without a training site.
    Without it: "all", "unused" (what the filter removes) and "never seen" (these and the test sites).
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

    Columns: source ("this study" or "published"), sites (the filter) and subset as in `site_subsets`, method, the
    `SCORES` (n counts layers), n_sites. Within one `sites` and `subset` every method is scored on identical layers.
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
    published = _PUBLISHED.add_prefix("published ")
    ours = table[(table["source"] == "this study") & (table["sites"] == USED)]
    parts = ours["method"].isin(TRAINED)
    ours = ours[(parts & ours["subset"].isin(PARTS)) | (~parts & (ours["subset"] == ALL))]
    order = list(dict.fromkeys(table["method"]))
    ours = ours.sort_values("method", key=lambda method: method.map(order.index), kind="stable")
    ours.index = pd.Index(map(row_name, ours["method"], ours["subset"]), name="method")
    return ours.drop(columns="method").join(published, on=[ours["method"].to_numpy(), "subset"])[[*SCORES, *published]]


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


def published_findings(
    inputs: Inputs, modelled: dict[str, NDArray], table: pd.DataFrame, stocks: pd.DataFrame, regional: pd.DataFrame
) -> pd.DataFrame:
    """Statements of the paper beside the same numbers here, by finding: where, published, here, holds, because.

    `holds` is "yes", "no" or "" (not decided here); `because` gives the numbers and the facts of this study that
    explain why it is not "yes". None for a region outside the paper's. `modelled` and the tables are those of stage 6.
    """
    columns = ["where", "finding", "published", "here", "holds", "because"]
    if not is_conterminous(inputs.grid["lon"], inputs.grid["lat"]):
        return pd.DataFrame(columns=columns).set_index("finding")
    ours = table[(table["source"] == "this study") & (table["sites"] == USED)].set_index(["method", "subset"])
    published, scored = _PUBLISHED.droplevel(1), ours.loc[list(PUBLISHED_SCORES)].droplevel("subset")
    facts = {
        "default": f"not a run of CLM5; forcing: {inputs.forcing_origin}",
        "one-batch": "the error of an observation is proportional to it",
        "random-sampling": "each parameter is drawn independently",
        "network": f"carbon at the sites' mean parameters has a bias of {ours.loc[(AT_MEAN, ALL), 'bias']:+.1f}",
        "site-by-site": "fitted to the same layers",
    }
    numbers = "{}: bias {bias:+.1f} kg C m-3, median modelled over observed {median_ratio:.2f} ({})"
    why = {name: numbers.format(name, fact, **scored.loc[name]) for name, fact in facts.items()}
    order, methods, pair = published["r2"].sort_values(ascending=False).index, list(facts)[:4], list(facts)[1:3]
    ordered, off = np.diff(scored["r2"][order]) < 0, scored["bias"].abs()
    stocks = stocks.assign(width=(stocks["p95_pg"] - stocks["p05_pg"]) / stocks["stock_pg"])
    stocks = stocks.pivot_table(["stock_pg", "width"], ["source", "interval"], "method", sort=False)
    printed, here = stocks.loc["published"], stocks.loc["this study"]
    stratum = pd.cut(inputs.layers["depth"], [0.0, *(lower for _, lower in STRATA)], right=False)
    pairs = pd.DataFrame({"modelled": modelled["default"], "observed": inputs.layers["soc"]})
    means = pairs[inputs.used[inputs.layers["site"]]].dropna().groupby(stratum, observed=True).mean()
    ratio = (means["modelled"] / means["observed"]).to_numpy()
    bias = regional.pivot_table("bias", "region", "method", dropna=False)[methods]
    spread, by_class = bias.loc[list(REGIONS)].std(), bias.loc[list(CLASSES)].dropna()
    low = (by_class < 0).sum()
    rows = [
        ("Table 1", "order of the methods by r2", _listed(published["r2"][order]), _listed(scored["r2"][order]),
         ordered.all(), order[:-1][~ordered]),
        ("Table 1", "the network has the least RMSE (kg C m-3)", _listed(published["rmse"][methods], 1),
         _listed(scored["rmse"][methods], 1), scored["rmse"][methods].idxmin() == "network", ["network"]),
        ("Abstract", "one-batch and random-sampling reduce the overestimate of the default (Pg C to 2 m)",
         *(_listed(of["stock_pg"].sum()[methods[:3]], 0) for of in (printed, here)),
         scored["bias"]["default"] > off[pair].max(), methods[: 3 if scored["bias"]["default"] > 0 else 1]),
        ("Fig. 4", "the default overestimates, increasingly with depth (0-30, 30-100, 100-200 cm)",
         *(f"{_row(of['stock_pg']['default'], 0)} Pg C ({_row(ratios)} times {other})" for of, ratios, other in (
             (printed, printed["stock_pg"]["default"] / printed["stock_pg"]["WISE30sec"], "WISE30sec"),
             (here, ratio, "the observed layers"))),
         ratio[0] > 1 and (np.diff(ratio) > 0).all(), ["default"]),
        ("Fig. 4", "one-batch less uncertain than random-sampling (5-95 % width over the total, by depth)",
         *("; ".join(f"{name} {_row(of['width'][name])}" for name in pair) for of in (printed, here)),
         (here["width"]["one-batch"] < here["width"]["random-sampling"]).all(), pair),
        *((where, finding, "network least", _listed(of, 1), of.idxmin() == "network", [of.idxmin(), "network"])
          for where, finding, of in (
              ("Fig. 2", "no regional pattern in the network's errors (sd of the regional biases, kg C m-2)", spread),
              ("Fig. 5", "the network is least biased by vegetation (mean absolute bias, kg C m-2)",
               by_class.abs().mean()))),
        *(("Fig. 5", f"{name} too low in at least five vegetation classes", "5 of 8",
           f"{low[name]} of {len(by_class)} ({by_class[name].min():+.1f} to {by_class[name].max():+.1f} kg C m-2)",
           low[name] >= 5, [name]) for name in pair),
    ]  # fmt: skip
    for (method, region), sign in PUBLISHED_BIASES.items():
        row, everywhere = regional.loc[region, method], regional.loc[("all", method), "bias"]
        number = f"{row['bias']:+.1f} ± {2 * row['se']:.1f} kg C m-2 at {row['n_sites']:,} sites"
        because = facts[method] if row["bias"] * everywhere > 0 else "profiles and forcing are not the paper's"
        verdict, because = row["bias_agrees"], f"{everywhere:+.1f} over all sites; {because}"
        if not abs(row["bias"]) >= 2 * row["se"]:
            verdict, because = None, "within two standard errors of zero"
        rows.append(("Fig. 2", f"{method}, {region}", sign, number, verdict, because))
    findings = pd.DataFrame(rows + _parameter_findings(inputs), columns=columns).set_index("finding")
    findings["holds"] = ["" if pd.isna(holds) else "yes" if holds else "no" for holds in findings["holds"]]
    reasons = [text if isinstance(text, str) else "; ".join(map(why.get, text)) for text in findings["because"]]
    findings["because"] = np.where(findings["holds"] == "yes", "", reasons)
    return findings.sort_values("where", kind="stable")


def _parameter_findings(inputs: Inputs) -> list[tuple]:
    """The rows of `published_findings` on parameters."""
    skill, modes, draws = inputs.skill.set_index("parameter"), inputs.x_mode[inputs.used], inputs.one_batch
    densities = [[np.histogram(x[np.isfinite(x)], 25, (0, 1), density=True)[0] for x in of.T] for of in (modes, draws)]
    overlap = np.median(np.minimum(*np.array(densities)).mean(axis=1))
    narrower = np.median(draws.std(axis=0) / np.nanstd(modes, axis=0))
    because = f"its sd is {narrower:.2f} of that between sites, median of {draws.shape[1]} parameters"
    finding = "one-batch posterior and the sites' most likely values alike (median overlap of densities at least 0.5)"
    rows = [("Fig. S5", finding, "similar shapes", f"{overlap:.2f}", overlap >= 0.5, because)]
    names = inputs.configuration.parameters.names
    variance, r = pd.Series(np.nanmean(inputs.x_sd**2, axis=0), names), skill["r_test"]
    well, badly = ([name for name, rating in PUBLISHED_SKILL.items() if rating == kind] for kind in ("well", "not"))
    middle = f"the median of {len(names)} parameters, {r.median():.2f}"
    for where, finding, published, chosen, values, bound, above in (
        ("Fig. S5", "mean posterior variance", "above 0.06", PUBLISHED_ABOVE, variance, 0.06, True),
        ("Fig. S5", "mean posterior variance", "at most 0.04", PUBLISHED_AT_MOST, variance, 0.04, False),
        ("Fig. S6", f"predicted well (r at test sites above {middle})", "well", well, r, r.median(), True),
        ("Fig. S6", f"predicted badly (r at test sites below {middle})", "not well", badly, r, r.median(), False),
    ):
        here = values[[name for name in chosen if name in names]]
        wrong = here.index[(here > bound) != above]
        because = f"posterior sd over the prior's, median of the sites: {_listed(skill['sd_ratio'][wrong])}"
        rows.append((where, f"{finding}: {', '.join(here.index)}", published, _row(here, 3), not len(wrong), because))
    return rows


def _row(values: Iterable[float], digits: int = 1) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)


def _listed(values: pd.Series, digits: int = 2) -> str:
    return ", ".join(f"{name} {value:.{digits}f}" for name, value in values.items())


class OtherProfiles(NamedTuple):
    """The maps of a study at profiles that it did not use."""

    profiles: pd.DataFrame  # cleaned; `trained`, whether the study has profiles in the cell
    layers: pd.DataFrame  # `site`, `upper_depth`, `lower_depth`, `depth` (m), `soc` (g C m-3)
    exclusions: pd.DataFrame  # as in exclusions.csv
    modelled: dict[str, NDArray]  # method -> (n_layers,) g C m-3, means of the layers; NaN where it has no value
    warning: str  # why the maps are not those of the present code, settings and data; empty if they are


def at_other_profiles(out: Path, data: Path) -> OtherProfiles:
    """The maps in the study folder `out` at the profiles of a folder `data` in the tidy layout that it did not use.

    Raises `InputError` where the maps are not complete, a table is not as expected, or no profile is left.
    """
    marker, reason = read_json(marker_path(out, MAPS_STAGE)), unfinished(out, MAPS_STAGE)
    if reason or marker is None:
        raise InputError(f"{MAPS_STAGE} in {out} {reason}: `python -m proda status {out}` shows what to run")
    settings = marker["fingerprint"]["settings"]
    try:
        study = Study.open(**{**marker["opened_with"], "out": out})
        settings, fault = study.settings | settings, study.faults()[MAPS_STAGE]
    except InputError as error:
        fault = f"cannot be compared with its source: {error}"
    cells, densities = read_densities(out / SOC_MAPS)
    profiles, layers, exclusions, _ = profiles_not_used(data, out, cells, settings)
    cell = profiles["cell"].to_numpy()[layers["site"]]
    upper, lower = (layers[name].to_numpy(float) for name in ("upper_depth", "lower_depth"))
    modelled = {method: layer_means(soc, cell, upper, lower, column_of(len(soc))) for method, soc in densities.items()}
    return OtherProfiles(profiles, layers, exclusions, modelled, f"{MAPS_STAGE} {fault}" if fault else "")


def read_densities(path: Path) -> tuple[pd.DataFrame, dict[str, NDArray]]:
    """Centres (`lon`, `lat`) of the n cells of a file of maps, and SOC in them, method -> (n_layers, n) g C m-3."""
    try:
        maps = xr.load_dataset(path)
        density = maps["soc_density"].transpose("parameterisation", "layer", "lat", "lon")
        resolution = float(np.ptp(maps["lat_bounds"].values[0])) if "lat_bounds" in maps else RESOLUTION
        if density.sizes["layer"] not in N_LAYERS or density.attrs.get("units") != "kg m-3":
            raise ValueError(f"{density.sizes['layer']} layers in {density.attrs.get('units')}")
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: expected soc_density (parameterisation, layer, lat, lon), {' or '.join(map(str, N_LAYERS))} "
            f"layers in kg m-3, found {type(error).__name__}: {error}. Run notebook 6 again, which writes it."
        ) from error
    values = 1000.0 * density.values.astype(float)
    land = np.isfinite(values).any(axis=(0, 1))
    lat, lon = np.meshgrid(density["lat"], density["lon"], indexing="ij")
    by_method = dict(zip(map(str, density["parameterisation"].values), values[:, :, land], strict=True))
    cells = pd.DataFrame({"lon": np.mod(lon[land] + 180.0, 360.0) - 180.0, "lat": lat[land]})
    cells.attrs["resolution_degrees"] = resolution
    return cells, by_method


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
