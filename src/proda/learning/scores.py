"""Which sites are withheld from training, and how well carbon and parameters are predicted there.

A withheld block of land has no neighbours among the training sites: its score holds for land without profiles (Roberts
et al. 2017, doi 10.1111/ecog.02881). "Efficiency" is the Nash-Sutcliffe model efficiency everywhere (Nash and Sutcliffe
1970, doi 10.1016/0022-1694(70)90255-6): 1 for perfect agreement, 0 for a prediction no better than the mean of the
observations.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyproj
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from proda.data.grid import EARTH_RADIUS
from proda.data.region import equal_area
from proda.errors import InputError
from proda.learning.training_data import Truth
from proda.model.configuration import STRATA, interval_name
from proda.model.parameters import CONSTRAINED_BELOW, prior_sd, table_of

TRAIN, VALIDATION, TEST, UNUSED = "train", "validation", "test", "unused"
PARTS = (TRAIN, VALIDATION, TEST)
# Which sites a score is taken over: those that pass the paper's filter, or all that have a posterior.
USED, ASSIMILATED = "efficiency >= 0", "all assimilated"
RANDOM, BLOCKS = "random", "blocks"  # sites drawn one by one, or whole blocks of land
KINDS = (RANDOM, BLOCKS)
# Which covariates a method takes: those of maps, which every place has, or also those of the profile itself.
MAP, SITE = "map", "site"
# A correlation with the truth of at least this much counts as recovered (it explains a quarter of the variance): a
# convention of the report.
RECOVERED_FROM = 0.5
# Which parameters the paper's own network predicted well, and not (Tao et al. 2020, beside Fig. S6).
PUBLISHED = dict.fromkeys(("efolding", "fs1s2", "fs1s3", "fs2s3"), "well") | dict.fromkeys(
    ("tau4l2l3", "tau4l1", "fs2s1", "fs3s1"), "not"
)
# m: narrow enough that the trend within a bin adds little to the variance, wide enough to hold several profiles.
DEPTH_BINS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0)
NEAR = 0.02  # of a parameter's range
SCORES = ["r2", "r", "efficiency", "rmse", "bias", "median_ratio", "n"]
SHOWN_SCORES = ["efficiency", "r2", "bias", "rmse", "median_ratio", "n"]  # of methods on folds


def random_split(
    usable: ArrayLike, seed: int, test_share: float = 0.2, validation_share: float = 0.2
) -> NDArray[np.object_]:
    """Part of every site, (n,) strings: "train", "validation", "test", or "unused" where `usable` is False.

    The paper's split (Tao et al. 2020, section 2.5): sites are drawn at random without regard to where they lie, so
    test skill holds for new sites among the known ones. `test_share` is of the usable sites, `validation_share` of the
    *remaining* ones, 0 to 1. InputError when a part would be left empty.
    """
    usable = np.asarray(usable, dtype=bool)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(usable))
    n_test = round(order.size * test_share)
    n_validation = round((order.size - n_test) * validation_share)
    n_train = order.size - n_test - n_validation
    if min(n_train, n_validation, n_test) < 1:
        raise InputError(
            f"{order.size} of {usable.size} sites are usable, and test_share {test_share:g} and validation_share "
            f"{validation_share:g} leave {n_train} to train, {n_validation} to validate and {n_test} to test, expected "
            "at least 1 each: use a study or a scale with more profiles, or look in site_status.csv why so few sites "
            "are used downstream."
        )
    split = np.full(usable.size, UNUSED, dtype=object)
    split[order] = np.repeat([TEST, VALIDATION, TRAIN], [n_test, n_validation, n_train])
    return split


def outside_training_cells(split: ArrayLike, cell: ArrayLike) -> NDArray[np.bool_]:
    """Test sites in a grid cell without a training site, (n,) bool; others may have the covariates of one."""
    split, cell = np.asarray(split, dtype=object), np.asarray(cell)
    return (split == TEST) & ~np.isin(cell, cell[split == TRAIN])


def block_of_place(lon: ArrayLike, lat: ArrayLike, block_km: float = 400.0) -> NDArray[np.int64]:
    """Number, (n,) from 0, of the square of `block_km` of each place, on an equal-area map."""
    to_map = pyproj.Transformer.from_crs("EPSG:4326", equal_area(lon, lat), always_xy=True)
    metres = to_map.transform(np.asarray(lon, float), np.asarray(lat, float))
    squares = np.floor(np.stack(metres, axis=1) / (1000.0 * block_km)).astype(np.int64)
    return np.unique(squares, axis=0, return_inverse=True)[1].ravel()


def fold_of_site(
    kind: str, lon: ArrayLike, lat: ArrayLike, n_folds: int, seed: int, block_km: float = 400.0
) -> NDArray[np.int64]:
    """Fold of every site, (n,), 0 to n_folds - 1, of the kind `RANDOM` or `BLOCKS`; `lon`, `lat` (n,) in degrees.

    Of blocks, the one with most sites is dealt first, each to the fold with fewest sites so far; chance decides among
    blocks of one size. InputError when there are fewer sites or blocks than folds.
    """
    n, rng = np.size(lon), np.random.default_rng(seed)
    unit = np.arange(n) if kind == RANDOM else block_of_place(lon, lat, block_km)
    size = np.bincount(unit)
    if n_folds > size.size:
        what = "sites" if kind == RANDOM else f"blocks of {block_km:g} km"
        raise InputError(
            f"{n_folds} folds of {n} sites in {size.size} {what}: expected no more folds than there are of these. Take "
            "fewer folds (network_folds) or smaller blocks (network_block_km)."
        )
    if kind == RANDOM:
        return rng.permutation(np.arange(n) % n_folds)
    fold_of_block, held = np.empty(size.size, dtype=np.int64), np.zeros(n_folds)
    chance = rng.permutation(size.size)
    for block in chance[np.argsort(-size[chance], kind="stable")]:
        fold_of_block[block] = np.argmin(held)
        held[fold_of_block[block]] += size[block]
    return fold_of_block[unit]


def scores(observed: ArrayLike, modelled: ArrayLike) -> dict[str, float]:
    """Agreement of two sets of numbers, (n,) each, finite, in one unit.

    r: correlation; r2: its square, what the paper calls R2; efficiency: Nash-Sutcliffe, 1 - SSE/SST; rmse and bias
    (modelled minus observed) in the unit of the input; median_ratio: median of modelled over observed, where something
    is observed; n. NaN where fewer than two numbers or no variation leave a score without meaning.
    """
    observed, modelled = np.asarray(observed, float), np.asarray(modelled, float)
    n = observed.size
    error = modelled - observed
    spread = observed - observed.mean() if n else observed
    total = float(spread @ spread)
    r = efficiency = np.nan
    if n > 1 and total > 0.0:
        fluctuation = modelled - modelled.mean()
        scale = np.sqrt(total * float(fluctuation @ fluctuation))
        r = float(spread @ fluctuation) / scale if scale > 0 else np.nan
        efficiency = 1.0 - float(error @ error) / total
    rmse, bias = (float(np.sqrt(np.mean(error**2))), float(error.mean())) if n else (np.nan, np.nan)
    some = observed > 0
    ratio = float(np.median(modelled[some] / observed[some])) if some.any() else np.nan
    return dict(r=r, r2=r**2, efficiency=efficiency, rmse=rmse, bias=bias, median_ratio=ratio, n=n)


def correlations(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Pearson correlation column by column of finite pairs of rows (n, n_columns); NaN where a column does not vary."""
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
    split: NDArray,
    x_mean: NDArray,
    x_sd: NDArray,
    truth: Truth | None = None,
    predicted_cells: ArrayLike | None = None,
) -> pd.DataFrame:
    """One row a parameter: agreement of the network's predictions with the site-by-site posteriors, and with a truth.

    `predicted`, `x_mean`, `x_sd` are (n, n_parameters), `split` (n,), unit cube; `truth`, of a virtual study, needs
    `predicted_cells` (n_cells, n_parameters).

    The columns are `parameter`; `r_train`, `r_validation`, `r_test` (correlation with the posterior means); `sd_ratio`,
    the median over the sites in use of posterior sd / prior sd; `constrained`, whether that is below
    `CONSTRAINED_BELOW`; `paper`, how well the paper's network predicted it ("well", "not", or nothing). With a truth
    also `truth_r_test` (network, test sites), `truth_r_assimilated` (posterior means, the same sites), `truth_r_map`
    (network, all cells; NaN where the truth is the same in all), and `recovered`, whether that is at least
    `RECOVERED_FROM`.
    """
    predicted, test = np.asarray(predicted, dtype=np.float64), split == TEST
    of_model = table_of(predicted.shape[1])
    table = pd.DataFrame({"parameter": of_model.names})
    for part in PARTS:
        table[f"r_{part}"] = correlations(predicted[split == part], x_mean[split == part])
    table["sd_ratio"] = np.median(x_sd[split != UNUSED], axis=0) / prior_sd(of_model)
    table["constrained"] = table["sd_ratio"] < CONSTRAINED_BELOW
    table["paper"] = [PUBLISHED.get(name, "") for name in of_model.names]
    if truth is not None:
        table["truth_r_test"] = correlations(predicted[test], truth.x_site[test])
        table["truth_r_assimilated"] = correlations(x_mean[test], truth.x_site[test])
        table["truth_r_map"] = correlations(predicted_cells, truth.x_cell)
        table["recovered"] = table["truth_r_map"] >= RECOVERED_FROM
    return table


def shares_near_bounds(x: NDArray) -> pd.DataFrame:
    """Part of predictions x (..., d), unit cube, within `NEAR` of the `lower`, `upper` or `either` bound, sorted."""
    flat = x.reshape(-1, x.shape[-1])
    table = pd.DataFrame(
        {"lower": (flat <= NEAR).mean(axis=0), "upper": (flat >= 1.0 - NEAR).mean(axis=0)},
        index=pd.Index(table_of(x.shape[-1]).names, name="parameter"),
    )
    return table.assign(either=table.sum(axis=1)).sort_values("either", ascending=False)


def noise_ceiling(layers: pd.DataFrame, profiles: pd.DataFrame, edges: ArrayLike = DEPTH_BINS) -> pd.DataFrame:
    """The efficiency that the best predictor from grid cell and depth could reach: 1 - within / total variance.

    Within is the variance of carbon among profiles of one cell and depth bin (bounds `edges`, m), by an analysis of
    variance in which a single profile, or several layers of one, count for nothing; bins weigh by their layers, and one
    without two profiles in any cell takes the mean of the others. `layers` have site, depth (m), soc; `profiles`, by
    site, have cell and source.

    The table has source and depth (stratum), "all" or one; ceiling, NaN where no two profiles share a cell and a bin;
    se, by a jackknife over cells; n layers.
    """
    site, depth = layers["site"].to_numpy(), layers["depth"].to_numpy(float)
    y = layers["soc"].to_numpy(float) - layers["soc"].mean()
    data = pd.DataFrame({"cell": profiles["cell"].to_numpy()[site], "bin": np.digitize(depth, edges), "site": site})
    data = data.assign(n=1.0, y=y, y2=y**2)
    source = profiles["source"].to_numpy(str)[site]
    groups = {("all", "all"): np.ones(len(y), bool)} | {(name, "all"): source == name for name in np.unique(source)}
    groups |= {("all", interval_name((low, high))): (depth >= low) & (depth < high) for low, high in STRATA}
    rows = [(*names, *_ceiling(data[of]), int(of.sum())) for names, of in groups.items() if of.any()]
    return pd.DataFrame(rows, columns=["source", "depth", "ceiling", "se", "n"])


def _ceiling(data: pd.DataFrame) -> tuple[float, float]:
    by_profile = data.groupby(["cell", "bin", "site"])[["n", "y", "y2"]].sum()
    own = by_profile["n"] * by_profile["y2"] - by_profile["y"] ** 2
    group = by_profile.assign(own=own, pairs=by_profile["n"] ** 2).groupby(level=["cell", "bin"]).sum()
    # Squared differences of all pairs of layers, less those of pairs within one profile.
    group["within"] = (group["n"] * group["y2"] - group["y"] ** 2 - group["own"]) / group["n"]
    group["freedom"] = group["n"] - group["pairs"] / group["n"]
    names = ["n", "y", "y2", "within", "freedom"]
    wide = group.pivot_table(index="cell", columns="bin", values=names, fill_value=0.0)
    sums = [wide[name].to_numpy() for name in names]

    def efficiency(n: NDArray, y: NDArray, y2: NDArray, within: NDArray, freedom: NDArray) -> NDArray:
        known = freedom > 0.5  # one pair has at least 1
        noise = n * np.divide(within, freedom, out=np.zeros_like(within), where=known)
        n, y, y2, of_known = n.sum(axis=-1), y.sum(axis=-1), y2.sum(axis=-1), (n * known).sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return 1.0 - noise.sum(axis=-1) / of_known / (y2 / n - (y / n) ** 2)

    without_one = efficiency(*(values.sum(axis=0) - values for values in sums))
    se = np.sqrt((len(without_one) - 1) * without_one.var())
    return float(efficiency(*(values.sum(axis=0) for values in sums))), float(se)


def nearest_training_km(lon: ArrayLike, lat: ArrayLike, lon_train: ArrayLike, lat_train: ArrayLike) -> NDArray:
    """Distance on the sphere to the nearest training site, (n,) km; positions in degrees."""

    def on_sphere(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.float64]:
        lon, lat = np.radians(np.asarray(lon, float)), np.radians(np.asarray(lat, float))
        return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)

    chord = cKDTree(on_sphere(lon_train, lat_train)).query(on_sphere(lon, lat))[0]
    return 2.0 * EARTH_RADIUS / 1000.0 * np.arcsin(np.minimum(chord / 2.0, 1.0))


def skill_by_distance(
    observed: ArrayLike, predicted: ArrayLike, distance: ArrayLike, edges: tuple[float, ...] = (10, 25, 50, 100, 200)
) -> pd.DataFrame:
    """`scores` of layers (n,) by the distance (n,), km, to the nearest training site: `distance_km`, the `SCORES`."""
    observed, predicted = np.asarray(observed, float), np.asarray(predicted, float)
    bands = pd.cut(np.asarray(distance, float), (0.0, *edges, np.inf), right=False)
    rows = [scores(observed[bands == band], predicted[bands == band]) for band in bands.categories]
    return pd.DataFrame(rows, pd.Index(bands.categories.astype(str), name="distance_km"))[SCORES].reset_index()


def score_table(compared: xr.Dataset, sites: ArrayLike | None = None) -> pd.DataFrame:
    """Scores of every method, all withheld layers of a repeat pooled, kg C m-3.

    `compared` is from `proda.learning.cross_validation.compared_methods`; `sites` (n_sites,) bool are those to score,
    by default all. The columns are `method`, `kind`, `covariates`, `repeat`, and `SHOWN_SCORES`.
    """
    counted = np.ones(compared.sizes["obs"], bool)
    if sites is not None:
        counted = np.asarray(sites, bool)[compared["of_site"].values]
    observed, soc = compared["observed"].values[counted], compared["soc"].values[..., counted]
    names = compared["method"].values, compared["covariates"].values
    rows = []
    for i, k, again in np.ndindex(soc.shape[:3]):
        found = scores(observed, soc[i, k, again])
        place = {"method": names[0][i], "kind": KINDS[k], "covariates": names[1][i], "repeat": again}
        rows.append(place | {name: found[name] for name in SHOWN_SCORES})
    return pd.DataFrame(rows).sort_values(["covariates", "kind", "repeat"], kind="stable", ignore_index=True)


def mean_scores(table: pd.DataFrame) -> pd.DataFrame:
    """Means over the repeats of `score_table`, a row a kind of covariates and method, the best on blocks first.

    The columns are (score, kind of fold); `se` is the standard error of the efficiency over the repeats.
    """
    place = ["covariates", "method"], "kind"
    names = [name for name in SHOWN_SCORES if name != "n"]
    means = table.pivot_table(names, *place)
    error = table.pivot_table("efficiency", *place, aggfunc="sem", dropna=False)
    wide = pd.concat({names[0]: means[names[0]], "se": error, **{name: means[name] for name in names[1:]}}, axis=1)
    wide = wide.dropna(how="all").sort_values(("efficiency", BLOCKS), ascending=False)
    return wide.sort_index(level="covariates", sort_remaining=False, kind="stable")


def score_differences(table: pd.DataFrame, method: str, covariates: str = MAP) -> pd.DataFrame:
    """Efficiency of `method` less that of every other method, on the same folds: means over the repeats.

    The columns are `other`, `kind`, `difference`, `se` (standard error over the repeats, NaN for one), `repeats`. The
    land itself is not drawn anew: on other land the difference may be another.
    """
    here = table[table["covariates"] == covariates].pivot_table("efficiency", ["kind", "repeat"], "method", sort=False)
    difference = here.drop(columns=method).rsub(here[method], axis=0).reset_index()
    long = difference.melt(["kind", "repeat"], var_name="other").groupby(["other", "kind"], sort=False)["value"]
    return long.agg(difference="mean", se="sem", repeats="count").reset_index()


def parameter_comparison(compared: xr.Dataset, targets: ArrayLike) -> pd.DataFrame:
    """`method`, `kind`, `parameter`, `r`: correlation of held-out parameters with targets (n_sites, d), unit cube."""
    parts = []
    for i in np.flatnonzero(compared["covariates"].values == MAP):
        for k, kind in enumerate(KINDS):
            x = compared["x"].values[i, k]
            if np.isfinite(x).any():
                part = {"method": compared["method"].values[i], "kind": kind, "parameter": compared["parameter"].values}
                parts.append(pd.DataFrame({**part, "r": correlations(x, targets)}))
    return pd.concat(parts, ignore_index=True)


def of_method(compared: xr.Dataset, method: str, covariates: str = MAP) -> xr.Dataset:
    """The results of one method with one kind of covariates."""
    chosen = (compared["method"] == method) & (compared["covariates"] == covariates)
    return compared.isel(approach=int(np.flatnonzero(chosen)[0]))


def skill_of_method(compared: xr.Dataset, method: str) -> pd.DataFrame:
    """`skill_by_distance` of withheld layers, each once a repeat and kind of fold, with the covariates of maps."""
    here = of_method(compared, method)
    distance = here["nearest_km"].values[..., here["of_site"].values]
    observed = np.broadcast_to(here["observed"].values, distance.shape)
    return skill_by_distance(observed.ravel(), here["soc"].values.ravel(), distance.ravel())


def scores_beside_ceiling(
    compared: xr.Dataset, layers: pd.DataFrame, profiles: pd.DataFrame, method: str
) -> pd.DataFrame:
    """`noise_ceiling` of all profiles, and beside it the efficiency of a method, the mean over the repeats, by kind."""
    table, here = noise_ceiling(layers, profiles), of_method(compared, method)
    of_site, depth = here["of_site"].values, here["depth"].values
    source = profiles["source"].to_numpy(str)[here["site"].values[of_site]]
    strata = {interval_name((low, high)): (depth >= low) & (depth < high) for low, high in STRATA}
    observed, soc = here["observed"].values, here["soc"].values
    for k, kind in enumerate(KINDS):
        efficiency = []
        for row in table.itertuples():
            chosen = ((source == row.source) | (row.source == "all")) & strata.get(row.depth, True)
            found = [scores(observed[chosen], once[chosen])["efficiency"] for once in soc[k]]
            efficiency.append(np.mean(found))
        table[kind] = efficiency
    return table
