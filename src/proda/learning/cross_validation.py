"""Ways from covariates to carbon, scored on the same folds: at withheld random sites and on withheld blocks of land."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from sklearn.isotonic import IsotonicRegression

from proda.errors import InputError
from proda.kernels import steady_state as kernels
from proda.learning.encoding import NUMBERS, Encoding
from proda.learning.hybrid import HybridPlan, TrainedHybrid, carbon_at_layers, trained_hybrid
from proda.learning.paper_network import Predictor, joint_loss, trained_network
from proda.learning.scores import (
    BLOCKS,
    KINDS,
    MAP,
    RANDOM,
    SITE,
    correlations,
    fold_of_site,
    nearest_training_km,
    of_method,
    scores,
)
from proda.learning.training_data import ObservedSites, TrainingData, at_layers
from proda.learning.trees import BOOSTED, FOREST, StackedTrees, Trees, fitted_trees, stacked_trees
from proda.model.configuration import STRATA, interval_name
from proda.model.parameters import CONSTRAINED_BELOW, default_parameters, prior_sd
from proda.stage import progress_bar
from proda.workers import in_parallel

DEFAULTS, DEPTH, PAPER_NETWORK = "CLM defaults", "depth alone", "network of the paper"
COVER = "depth and land cover"
POSTERIORS = "ensemble on weighted posterior means"
HYBRID, CONTROL, MEAN = "hybrid", "control without the soil model", "mean of hybrid and trees"
LAND_COVER = re.compile(r"(IGBP|igbp_land_cover)(=\d+)?")
WIDTH_90 = 1.645  # half the width of a normal 90 % interval, in standard deviations
LEAST_PAIRS = 10  # degrees of freedom within cells; with fewer all scatter is counted as error of the map
WELL_OBSERVED = 5  # profiles of a cell whose mean is compared with the map's interval


class TrainingConfig(NamedTuple):
    """How the folds are drawn and the networks trained."""

    paper: dict[str, Any]  # keyword arguments of `trained_network`, and `validation_share`
    hybrid: HybridPlan
    n_folds: int  # of each kind
    block_km: float  # side of a block
    seed: int  # of the folds and their trainings
    repeats: range = range(1)  # each draws other folds, and trains all methods on them with other seeds
    n_processes: int = 1


class MethodResult(NamedTuple):
    """Predictions of a method at the layers of the n withheld sites of a fold."""

    soc: NDArray[np.float64]  # (n, m), kg C m-3
    x: NDArray[np.float64] | None = None  # (n, n_parameters), unit cube: those behind it
    log_sd: NDArray[np.float64] | None = None  # (n, m), sd of the logarithm of carbon over an ensemble's members


@dataclass(frozen=True, eq=False)
class Fold:
    """One fold of one kind: all methods train on the rows `train` of `data`, with `seed`, and predict the others."""

    data: TrainingData
    config: TrainingConfig
    train: NDArray[np.int64]
    seed: int

    @cached_property
    def withheld(self) -> NDArray[np.int64]:
        """Rows of `data` that are predicted, ascending."""
        return np.setdiff1d(np.arange(self.data.observed.n_sites), self.train)

    @cached_property
    def sites(self) -> ObservedSites:
        """The withheld sites."""
        return self.data.observed.take(self.withheld)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Covariates of the withheld sites."""
        return self.data.frame.iloc[self.withheld]

    @cached_property
    def boosted(self) -> Trees:
        """Boosted trees on covariates and depth."""
        return fitted_trees(BOOSTED, self.data, self.train, self.seed)

    @cached_property
    def stacked(self) -> StackedTrees:
        """The boosted trees, and carbon at the training sites, for the hybrid and its control."""
        return stacked_trees(self.data, self.train, self.seed, self.boosted)


Method = Callable[[Fold], MethodResult]


def default_carbon(fold: Fold) -> MethodResult:
    """CLM's own parameters: nothing is fitted."""
    forcing, configuration = fold.sites.columns, fold.sites.configuration
    theta = default_parameters(forcing, fold.data.sand_percent[fold.withheld], configuration.parameters)
    return MethodResult(at_layers(kernels.soc_density(theta, forcing, configuration), fold.sites))


def depth_alone(fold: Fold) -> MethodResult:
    """Mean carbon of the training layers as a falling function of depth (isotonic regression), the floor."""
    seen, depth = fold.data.observed.take(fold.train), fold.sites.depth
    model = IsotonicRegression(increasing=False, out_of_bounds="clip")
    model.fit(seen.depth[seen.present], seen.soc[seen.present])
    return MethodResult(np.where(fold.sites.present, model.predict(depth.ravel()).reshape(depth.shape), 0.0))


def cover_carbon(fold: Fold) -> MethodResult:
    """Boosted trees on depth and land cover alone."""
    named = [name for name in fold.data.frame if LAND_COVER.fullmatch(name)]
    trees = fitted_trees(BOOSTED, fold.data._replace(frame=fold.data.frame[named]), fold.train, fold.seed)
    return MethodResult(trees.of_layers(fold.frame[named], fold.sites))


def paper_carbon(fold: Fold, **changed: Any) -> MethodResult:
    """The paper's network, trained on the posterior means of the sites that pass its filter, by `changed` settings."""
    data, settings = fold.data, fold.config.paper | changed
    used = fold.train[data.used[fold.train]]
    encoding = Encoding.of(data.frame.iloc[used])
    numbers = encoding.encoded(data.frame)[NUMBERS]
    order = np.random.default_rng(fold.seed).permutation(used)
    n_validation = max(1, round(settings.pop("validation_share") * order.size))
    parts = [(numbers[rows], data.x_mean[rows]) for rows in (order[n_validation:], order[:n_validation])]
    network, _ = trained_network(*parts, fold.seed, **settings)
    x = Predictor(network, encoding)(fold.frame).x
    return MethodResult(carbon_at_layers(x, fold.sites), x)


def posterior_carbon(fold: Fold) -> MethodResult:
    """The networks of the hybrid, trained on the posterior means of the sites, weighted by their precision."""
    return _of_ensemble(fold, trained_hybrid(fold.data, fold.train, fold.config.hybrid, fold.seed))


def forest_carbon(fold: Fold) -> MethodResult:
    """Random forest on covariates and depth, without a soil model."""
    return MethodResult(fitted_trees(FOREST, fold.data, fold.train, fold.seed).of_layers(fold.frame, fold.sites))


def boosted_carbon(fold: Fold) -> MethodResult:
    """Boosted trees on covariates and depth, without a soil model."""
    return MethodResult(fold.boosted.of_layers(fold.frame, fold.sites))


def hybrid_carbon(fold: Fold) -> MethodResult:
    """The hybrid of the study, trained through the soil model."""
    return _of_ensemble(fold, trained_hybrid(fold.data, fold.train, fold.config.hybrid, fold.seed, fold.stacked))


def control_carbon(fold: Fold) -> MethodResult:
    """The same networks, trees, layers and epochs as the hybrid, but the outputs are carbon itself."""
    plan = fold.config.hybrid._replace(soil_model=False, prior_weight=0.0)
    # Their outputs are no parameters.
    return _of_ensemble(fold, trained_hybrid(fold.data, fold.train, plan, fold.seed, fold.stacked))._replace(x=None)


def _of_ensemble(fold: Fold, hybrid: TrainedHybrid) -> MethodResult:
    x = hybrid.x(fold.frame, fold.sites.columns)
    members = hybrid.soc(x, fold.sites)
    log_sd = np.log(np.maximum(members, 1e-9)).std(axis=0, ddof=1)
    return MethodResult(members.mean(axis=0), x.mean(axis=0), log_sd)


CORE_METHODS: dict[str, Method] = {
    HYBRID: hybrid_carbon,
    CONTROL: control_carbon,
    BOOSTED: boosted_carbon,
    PAPER_NETWORK: paper_carbon,
    DEPTH: depth_alone,
}
OTHER_METHODS: dict[str, Method] = {
    FOREST: forest_carbon,
    POSTERIORS: posterior_carbon,
    COVER: cover_carbon,
    DEFAULTS: default_carbon,
}
CODED_DROPOUT = (0.3, 0.5, 0.5, 0.3)
# The paper's network, and as in the group's training program (nn_clm_cen.py of github.com/YuanGao-NAU/CarTrain).
CODED_NETWORKS: dict[str, Method] = {
    "as in the paper": paper_carbon,
    "dropout 0.3, 0.5, 0.5, 0.3": partial(paper_carbon, dropout=CODED_DROPOUT),
    "joint loss": partial(paper_carbon, loss=joint_loss),
    "as coded: both": partial(paper_carbon, dropout=CODED_DROPOUT, loss=joint_loss),
}
WITH_OWN = BOOSTED  # the method that is also trained with what only profiles have


def compared_methods(
    data: TrainingData,
    lon: ArrayLike,
    lat: ArrayLike,
    config: TrainingConfig,
    methods: Mapping[str, Method] = CORE_METHODS,
) -> xr.Dataset:
    """Carbon of every method at the layers of every site, by a model that had not seen the site.

    `lon`, `lat` (n_sites,) are in degrees; `methods` maps names to functions of a `Fold` that processes can import.
    Where `data` has covariates that only sites have, the method `WITH_OWN` is trained with them as well.

    The result has, for every layer of the sites in their order (`obs`): `soc` (approach, kind, repeat, obs) kg C m-3;
    `site`, `observed` kg C m-3, `depth` m; `hybrid_log_sd` (repeat, obs), over the members on withheld blocks with the
    covariates of maps. Further `x` (approach, kind, site, parameter), of repeat 0, NaN for methods without
    parameters; `fold` and `nearest_km`, the distance to the nearest training site (kind, repeat, site). `approach` has
    the coordinates `method` and `covariates` ("map" or "site").
    """
    by_covariates = {MAP: (data, dict(methods))}
    if data.site_only is not None:
        by_covariates[SITE] = data.with_site_only(), {name: methods[name] for name in methods if name == WITH_OWN}
    row = {pair: i for i, pair in enumerate((name, c) for c, (_, named) in by_covariates.items() for name in named)}
    present, lon, lat = data.observed.present, np.asarray(lon, float), np.asarray(lat, float)
    of_obs = np.nonzero(present)[0]
    n_sites, places, jobs = data.observed.n_sites, [], []
    fold, nearest = (np.zeros((len(KINDS), len(config.repeats), n_sites)) for _ in range(2))
    for kind, (again, repeat) in product(KINDS, enumerate(config.repeats)):
        drawn = fold_of_site(kind, lon, lat, config.n_folds, _seed(config.seed, kind, repeat), config.block_km)
        fold[KINDS.index(kind), again] = drawn
        for number in range(config.n_folds):
            held = drawn == number
            nearest[KINDS.index(kind), again, held] = nearest_training_km(lon[held], lat[held], lon[~held], lat[~held])
            for covariates in (name for name, (_, named) in by_covariates.items() if named):
                seed = _seed(config.seed, kind, repeat, number)
                places.append((kind, again, held, covariates))
                jobs.append((covariates, np.flatnonzero(~held), seed))
    soc = np.full((len(row), len(KINDS), len(config.repeats), of_obs.size), np.nan, np.float32)
    names = data.observed.configuration.parameters.names
    x = np.full((len(row), len(KINDS), n_sites, len(names)), np.nan, np.float32)
    log_sd = np.full(soc.shape[2:], np.nan, np.float32)
    # In the order of the folds, so that sums over them are the same to the last bit.
    with (
        in_parallel(_of_fold, jobs, by_covariates, config, n=config.n_processes, processes=True) as of_folds,
        progress_bar(len(jobs), "folds", "fold") as bar,
    ):
        for (kind, again, held, covariates), results in zip(places, of_folds, strict=True):
            k, of_held = KINDS.index(kind), held[of_obs]
            for name, result in results.items():
                soc[row[name, covariates], k, again, of_held] = result.soc[present[held]]
                if result.x is not None and config.repeats[again] == 0:
                    x[row[name, covariates], k, held] = result.x
                if (name, kind, covariates) == (HYBRID, BLOCKS, MAP):
                    log_sd[again, of_held] = result.log_sd[present[held]]
            bar.update()
    dims = ("approach", "kind", "repeat")
    return xr.Dataset(
        {
            "soc": ((*dims, "obs"), soc, {"units": "kg m-3"}),
            "x": (("approach", "kind", "site", "parameter"), x, {"units": "1"}),
            "fold": (("kind", "repeat", "site"), fold.astype(np.int16)),
            "nearest_km": (("kind", "repeat", "site"), nearest.astype(np.float32), {"units": "km"}),
            "of_site": ("obs", of_obs.astype(np.int32)),
            "observed": ("obs", data.observed.soc[present], {"units": "kg m-3"}),
            "depth": ("obs", data.observed.depth[present], {"units": "m"}),
            "hybrid_log_sd": (("repeat", "obs"), log_sd),
        },
        coords={
            "method": ("approach", [name for name, _ in row]),
            "covariates": ("approach", [covariates for _, covariates in row]),
            "kind": list(KINDS),
            "parameter": list(names),
        },
    )


def with_mean(compared: xr.Dataset) -> xr.Dataset:
    """`compared` with one method more, the mean carbon of hybrid, random forest and boosted trees."""
    mean = compared.isel(approach=[0]).assign(x=np.nan * compared["x"].isel(approach=[0]))
    parts = [of_method(compared, name)["soc"].values for name in (HYBRID, FOREST, BOOSTED)]
    mean["soc"] = mean["soc"].copy(data=np.mean(parts, axis=0)[None])
    mean = mean.assign_coords(method=("approach", [MEAN]), covariates=("approach", [MAP]))
    return joined([compared, mean], "approach")


def joined(parts: Sequence[xr.Dataset], dim: str) -> xr.Dataset:
    """Results of `compared_methods` on the same sites, of other repeats or methods; what is shared is of the first."""
    return xr.concat(parts, dim, data_vars="minimal", coords="minimal", compat="override")


def compared_networks(data: TrainingData, lon: ArrayLike, lat: ArrayLike, config: TrainingConfig) -> pd.DataFrame:
    """`CODED_NETWORKS` at withheld sites, trained on the random folds of `compared_methods`, by `network` and `repeat`.

    `r`: correlation with the posterior means, of sites that pass the paper's filter, mean over the constrained
    parameters; `efficiency` and `median_ratio` of carbon, all layers.
    """
    constrained = np.median(data.x_sd[data.used], axis=0) < CONSTRAINED_BELOW * prior_sd(
        data.observed.configuration.parameters
    )
    present, used, rows = data.observed.present, data.used, {}
    for again in config.repeats:
        fold = fold_of_site(RANDOM, lon, lat, config.n_folds, _seed(config.seed, RANDOM, again))
        folds = range(config.n_folds)
        trained = [np.flatnonzero(fold != k) for k in folds]
        seeds = [_seed(config.seed, RANDOM, again, k) for k in folds]
        jobs, by_covariates = [(MAP, *one) for one in zip(trained, seeds, strict=True)], {MAP: (data, CODED_NETWORKS)}
        with in_parallel(_of_fold, jobs, by_covariates, config, n=config.n_processes, processes=True) as of_folds:
            found = list(of_folds)
        for name in CODED_NETWORKS:
            soc, x = np.zeros(present.shape), np.zeros(data.x_mean.shape)
            for k, one in zip(folds, found, strict=True):
                soc[fold == k], x[fold == k] = one[name].soc, one[name].x
            r = correlations(x[used], data.x_mean[used])[constrained].mean()
            carbon = scores(data.observed.soc[present].astype(float), soc[present])
            rows[name, again] = {"r": r} | {key: carbon[key] for key in ("efficiency", "median_ratio")}
    return pd.DataFrame(rows).T.rename_axis(["network", "repeat"])


def _seed(seed: int, kind: str, *place: int) -> int:
    """Seed of a drawing of folds, or of the trainings of a fold, each independent of all others."""
    return int(np.random.SeedSequence([seed, KINDS.index(kind), *place]).generate_state(1)[0] % 2**31)


def _of_fold(
    job: tuple[str, NDArray[np.int64], int],
    by_covariates: Mapping[str, tuple[TrainingData, Mapping[str, Method]]],
    config: TrainingConfig,
) -> dict[str, MethodResult]:
    covariates, train, seed = job
    data, methods = by_covariates[covariates]
    with ONE_AT_A_TIME:
        fold = Fold(data, config, train, seed)
        return {name: method(fold) for name, method in methods.items()}


# Keras has one random state for a process: two threads of a worker of Dask would draw from it by turns.
ONE_AT_A_TIME = Lock()


class CellResiduals(NamedTuple):
    """Withheld cells, (n_cells,) each, and the variance of single profiles."""

    mean: NDArray[np.float64]  # logarithm of observed over predicted carbon
    n: NDArray[np.int64]  # sites
    members: NDArray[np.float64]  # variance of the members' logarithm
    block: NDArray[np.int64]
    observed: NDArray[np.float64]  # mean carbon
    predicted: NDArray[np.float64]
    within: float  # variance of single profiles


def error_on_blocks(compared: xr.Dataset, cell: NDArray, block: NDArray, seed: int) -> xr.Dataset:
    """Error of the hybrid's map about the mean carbon of a cell by stratum, from blocks of land that were withheld.

    Members that were trained on the same profiles agree more than they are right. The logarithm of observed over
    predicted carbon at site j of cell i is taken as b + c_i + e_ij: a bias, an error that the sites of a cell share,
    and the scatter of single profiles. Scatter within cells gives the variance of e, means of cells that of b + c
    (analysis of variance of one factor); only this is an error of the map.

    `cell`, `block` (n_sites,) are those of the sites of `compared`. Returns `unseen_log_variance`,
    `common_log_variance`, and `coverage` of 90 % intervals (stratum); a stratum that no profile reaches has the
    variances of the one above and no coverage. InputError when no two blocks have layers above 30 cm.
    """
    here = of_method(compared, HYBRID).sel(kind=BLOCKS)
    rows: list[tuple[float, float, float]] = []
    for upper, lower in STRATA:
        within = (compared["depth"].values >= upper) & (compared["depth"].values < lower)
        of_site = compared["of_site"].values[within]
        if rows and np.unique(block[of_site]).size < 2:
            rows.append((*rows[-1][:2], np.nan))
            continue
        found = []
        for again in range(compared.sizes["repeat"]):
            values = compared["observed"], here["soc"][again], compared["hybrid_log_sd"][again]
            means = pd.DataFrame([one.values[within] for one in values], ["observed", "predicted", "log_sd"]).T
            means = means.groupby(of_site).mean().reindex(range(cell.size))
            residuals = cell_residuals(cell, block, *(means[name] for name in means))
            found.append((unseen_variance(residuals), common_variance(residuals), coverage(residuals, seed)))
        rows.append(tuple(np.mean(found, axis=0)))
    names = ("unseen_log_variance", "common_log_variance", "coverage")
    columns = zip(names, np.transpose(rows), strict=True)
    strata = [interval_name(stratum) for stratum in STRATA]
    return xr.Dataset({name: ("stratum", values) for name, values in columns}, {"stratum": strata})


def cell_residuals(
    cell: ArrayLike, block: ArrayLike, observed: ArrayLike, predicted: ArrayLike, log_sd: ArrayLike
) -> CellResiduals:
    """Residuals of withheld sites by cell; all arguments are (n_sites,).

    `observed` and `predicted` carbon are in one unit, NaN at sites that have none; `log_sd` is over the members, of the
    logarithm of the prediction.
    """
    table = pd.DataFrame({"cell": cell, "block": block, "o": observed, "p": predicted, "v": np.square(log_sd)})
    table = table[np.isfinite(table[["o", "p", "v"]]).all(axis=1) & (table["o"] > 0) & (table["p"] > 0)]
    n_blocks = table["block"].nunique()
    if n_blocks < 2:
        raise InputError(
            f"{len(table)} withheld sites in {n_blocks} block(s): expected at least 2 blocks, to measure how wrong the "
            "map is. Take smaller blocks (network_block_km)."
        )
    table["r"] = np.log(table["o"] / table["p"])
    groups = table.groupby("cell")
    freedom = len(table) - groups.ngroups
    scatter = float(((table["r"] - groups["r"].transform("mean")) ** 2).sum())
    within = scatter / freedom if freedom >= LEAST_PAIRS else 0.0
    # The model predicts means: of a skewed scatter of that variance the logarithm lies lower by half of it.
    mean = groups["r"].mean() + within / 2.0
    columns = groups["v"].mean(), groups["block"].first(), groups["o"].mean(), groups["p"].mean()
    return CellResiduals(mean.to_numpy(), groups.size().to_numpy(), *(column.to_numpy() for column in columns), within)


def unseen_variance(residuals: CellResiduals) -> float:
    """Variance of the logarithm of a cell's mean carbon that the members do not show, bias included; 0 or more.

    With it nine in ten of the well observed cells lie in their 90 % interval; where fewer than `LEAST_PAIRS` cells are
    well observed it is the mean square of all cells' residuals beyond the members and the scatter of profiles.
    """
    well = residuals.n >= WELL_OBSERVED
    if well.sum() >= LEAST_PAIRS:
        needed = (residuals.mean / WIDTH_90) ** 2 - residuals.members
        return max(0.0, float(np.quantile(needed[well], 0.9)))
    weight = residuals.n / residuals.n.sum()
    seen = residuals.within / residuals.n + residuals.members
    return max(0.0, float(np.sum(weight * (residuals.mean**2 - seen))))


def common_variance(residuals: CellResiduals) -> float:
    """Second moment of the relative error that all land has in common, the part that does not average out in a total.

    The logarithm of the ratio of all observed to all predicted carbon, squared, plus the variance of that ratio between
    blocks (ratio of sums over clusters, Cochran 1977, section 6.3).
    """
    observed, predicted = residuals.observed, residuals.predicted
    ratio = observed.sum() / predicted.sum()
    by_block = pd.Series((observed - ratio * predicted) / observed.sum()).groupby(residuals.block).sum()
    n_blocks = len(by_block)
    return float(np.log(ratio) ** 2 + np.square(by_block).sum() * n_blocks / max(n_blocks - 1, 1))


def coverage(residuals: CellResiduals, seed: int) -> float:
    """Part of the withheld cells whose observed mean lies in the map's 90 % interval, the variance from other blocks.

    Of cells with `WELL_OBSERVED` profiles or more, since the scatter of fewer would hide the cell's mean; NaN where
    fewer than `LEAST_PAIRS` cells have as many.
    """
    blocks = np.random.default_rng(seed).permutation(np.unique(residuals.block))
    first = np.isin(residuals.block, blocks[: blocks.size // 2])
    held = np.zeros(first.size, dtype=bool)
    for half in (first, ~first):
        others = CellResiduals(*(values[~half] for values in residuals[:-1]), residuals.within)
        sd = np.sqrt(residuals.members + unseen_variance(others))
        held[half] = (np.abs(residuals.mean) <= WIDTH_90 * sd)[half]
    well = residuals.n >= WELL_OBSERVED
    return float(held[well].mean()) if well.sum() >= LEAST_PAIRS else np.nan
