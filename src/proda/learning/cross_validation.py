"""Ways from covariates to carbon, scored on the same folds: at withheld random sites and on withheld blocks of land."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from sklearn.isotonic import IsotonicRegression

from proda.errors import InputError
from proda.kernels import steady_state as kernels
from proda.learning.distillation import (
    BOOSTED,
    FOREST,
    TrainedHybrid,
    teacher_trees,
    trained_hybrid,
    trained_on_layers,
    tree_carbon,
)
from proda.learning.encoding import NUMBERS, Encoding
from proda.learning.hybrid import HybridPlan, carbon_at_layers
from proda.learning.paper_network import Predictor, trained_network
from proda.learning.scores import BLOCKS, KINDS, correlations, fold_of_site, scores
from proda.learning.training_data import TrainingData, at_layers
from proda.model.configuration import STRATA, interval_name
from proda.model.parameters import PAPER_PARAMETERS, default_parameters
from proda.stage import progress_bar

DEFAULTS, DEPTH, PAPER_NETWORK = "CLM defaults", "depth alone", "network of the paper"
POSTERIORS, FILTERED = "ensemble on posterior means", "ensemble on posterior means, filtered sites"
HYBRID, CONTROL, MEAN = "hybrid", "control without the soil model", "mean of hybrid and trees"
N_RESAMPLED = 2000
WIDTH_90 = 1.645  # half the width of a normal 90 % interval, in standard deviations
LEAST_PAIRS = 10  # degrees of freedom within cells; with fewer all scatter is counted as error of the map


class TrainingConfig(NamedTuple):
    """How the folds are drawn and the networks trained."""

    paper: dict[str, Any]  # keyword arguments of `trained_network`, and `validation_share`
    hybrid: HybridPlan
    n_folds: int  # of each kind
    block_km: float  # side of a block
    seed: int  # of the folds and their trainings
    n_processes: int = 1


class MethodResult(NamedTuple):
    """Predictions of a method at the layers of all n sites."""

    soc: NDArray[np.float64]  # (n, m), kg C m-3
    x: NDArray[np.float64] | None = None  # (n, 25), unit cube: the parameters behind it
    log_sd: NDArray[np.float64] | None = None  # (n, m), sd of the logarithm of carbon over an ensemble's members


@dataclass(frozen=True, eq=False)
class Fold:
    """One fold of one kind: all methods train on the rows `train` of `data` with the seed `seed`."""

    data: TrainingData
    config: TrainingConfig
    train: NDArray[np.int64]
    seed: int
    _results: dict = field(default_factory=dict)

    def result(self, method: Method) -> MethodResult:
        """The predictions of a method, computed once."""
        if method not in self._results:
            self._results[method] = method(self)
        return self._results[method]

    @cached_property
    def teacher_trees(self) -> list[NDArray]:
        """For the hybrid and its control, whose teachers are the same trees."""
        return teacher_trees(self.data, self.train, self.seed)


Method = Callable[[Fold], MethodResult]


def default_carbon(fold: Fold) -> MethodResult:
    """CLM's own parameters: nothing is fitted."""
    forcing = fold.data.observed.columns
    soc = kernels.soc_density(default_parameters(forcing, fold.data.sand_percent), forcing)
    return MethodResult(at_layers(soc, fold.data.observed))


def depth_alone(fold: Fold) -> MethodResult:
    """Mean carbon of the training layers as a falling function of depth (isotonic regression), the floor."""
    sites = fold.data.observed
    learns = sites.present & np.isin(np.arange(sites.n_sites), fold.train)[:, None]
    model = IsotonicRegression(increasing=False, out_of_bounds="clip").fit(sites.depth[learns], sites.soc[learns])
    return MethodResult(np.where(sites.present, model.predict(sites.depth.ravel()).reshape(sites.depth.shape), 0.0))


def paper_carbon(fold: Fold) -> MethodResult:
    """The paper's network, trained on the posterior means of the sites that pass its filter."""
    data, settings = fold.data, dict(fold.config.paper)
    used = fold.train[data.used[fold.train]]
    encoding = Encoding.of(data.frame.iloc[used])
    numbers = encoding.encoded(data.frame)[NUMBERS]
    order = np.random.default_rng(fold.seed).permutation(used)
    n_validation = max(1, round(settings.pop("validation_share") * order.size))
    parts = [(numbers[rows], data.x_mean[rows]) for rows in (order[n_validation:], order[:n_validation])]
    network, _ = trained_network(*parts, fold.seed, **settings)
    x = Predictor(network, encoding)(data.frame).x
    return MethodResult(carbon_at_layers(x, data.observed), x)


def posterior_carbon(fold: Fold, filtered: bool = False) -> MethodResult:
    """The networks of the hybrid, trained on the posterior means of all or the filtered sites, by their precision."""
    train = fold.train[fold.data.used[fold.train]] if filtered else fold.train
    plan = fold.config.hybrid.of_layers_alone()
    return _of_ensemble(fold, trained_on_layers(fold.data, train, plan, fold.seed, posteriors_only=True))


def forest_carbon(fold: Fold) -> MethodResult:
    """Random forest on covariates and depth, without a soil model."""
    return _of_trees(fold, FOREST)


def boosted_carbon(fold: Fold) -> MethodResult:
    """Boosted trees on covariates and depth, without a soil model."""
    return _of_trees(fold, BOOSTED)


def _of_trees(fold: Fold, kind: str) -> MethodResult:
    data = fold.data
    train = np.isin(np.arange(data.observed.n_sites), fold.train)
    return MethodResult(tree_carbon(kind, data.frame, data.class_names, data.observed, train, fold.seed))


def hybrid_carbon(fold: Fold) -> MethodResult:
    """The hybrid of the study, trained through the soil model."""
    return _of_hybrid(fold, fold.config.hybrid)


def control_carbon(fold: Fold) -> MethodResult:
    """The same networks, targets and epochs as the hybrid, but the outputs are carbon itself."""
    # Their outputs are no parameters.
    return _of_hybrid(fold, fold.config.hybrid._replace(soil_model=False, prior_weight=0.0))._replace(x=None)


def mean_carbon(fold: Fold) -> MethodResult:
    """Mean of hybrid, random forest and boosted trees."""
    parts = [fold.result(method).soc for method in (hybrid_carbon, forest_carbon, boosted_carbon)]
    return MethodResult(np.mean(parts, axis=0))


def _of_hybrid(fold: Fold, plan: HybridPlan) -> MethodResult:
    trees = fold.teacher_trees if plan.distillation_share > 0.0 else None
    return _of_ensemble(fold, trained_hybrid(fold.data, fold.train, plan, fold.seed, trees))


def _of_ensemble(fold: Fold, hybrid: TrainedHybrid) -> MethodResult:
    members = hybrid.soc(fold.data.frame, fold.data.observed)
    log_sd = np.log(np.maximum(members, 1e-9)).std(axis=0, ddof=1)
    return MethodResult(members.mean(axis=0), hybrid.x(fold.data.frame).mean(axis=0), log_sd)


CORE_METHODS: dict[str, Method] = {
    HYBRID: hybrid_carbon,
    CONTROL: control_carbon,
    FOREST: forest_carbon,
    PAPER_NETWORK: paper_carbon,
    DEFAULTS: default_carbon,
}
ALL_METHODS: dict[str, Method] = {
    **CORE_METHODS,
    BOOSTED: boosted_carbon,
    MEAN: mean_carbon,
    POSTERIORS: posterior_carbon,
    FILTERED: partial(posterior_carbon, filtered=True),
    DEPTH: depth_alone,
}


def compared_methods(
    data: TrainingData,
    lon: ArrayLike,
    lat: ArrayLike,
    config: TrainingConfig,
    progress: bool = True,
    methods: Mapping[str, Method] = CORE_METHODS,
) -> xr.Dataset:
    """Carbon of every method at the layers of every site, by a model that had not seen the site.

    `lon`, `lat` (n_sites,) are in degrees; `methods` maps names to functions of a `Fold` that processes can import. The
    result has `soc` (approach, kind, site, layer) kg C m-3, NaN where no layer is; `train_efficiency` (approach, kind),
    of the training sites, the mean of folds; `x` (approach, kind, site, parameter), NaN for methods without parameters;
    `fold` (kind, site); `observed`, `depth` (site, layer); `hybrid_log_sd` (site, layer), over the members on withheld
    blocks.
    """
    n = config.n_folds
    fold = {kind: fold_of_site(kind, lon, lat, n, config.seed, config.block_km) for kind in KINDS}
    places = [(kind, number, fold[kind] == number) for kind in KINDS for number in range(n)]
    folds = [Fold(data, config, np.flatnonzero(~held), _seed(config.seed, *place)) for *place, held in places]
    present, shape = data.observed.present, (len(methods), len(KINDS), *data.observed.depth.shape)
    soc, x = np.full(shape, np.nan, np.float32), np.full((*shape[:3], len(PAPER_PARAMETERS)), np.nan, np.float32)
    log_sd, seen = np.full(shape[2:], np.nan, np.float32), np.zeros(shape[:2])
    results = _by_fold(folds, methods, config.n_processes)
    bar = progress_bar(len(folds), "folds", "fold") if progress else None
    for (kind, _, held), of_fold in zip(places, results, strict=True):
        k, layers, trained = KINDS.index(kind), held[:, None] & present, ~held[:, None] & present
        for i, (name, result) in enumerate(of_fold.items()):
            soc[i, k][layers] = result.soc[layers]
            seen[i, k] += scores(data.observed.soc[trained], result.soc[trained])["efficiency"] / n
            if result.x is not None:
                x[i, k, held] = result.x[held]
            if name == HYBRID and kind == BLOCKS:
                log_sd[layers] = result.log_sd[layers]
        if bar is not None:
            bar.update()
    if bar is not None:
        bar.close()
    layer, score = ("site", "layer"), ("approach", "kind")
    return xr.Dataset(
        {
            "soc": ((*score, *layer), soc, {"units": "kg m-3"}),
            "x": ((*score, "site", "parameter"), x, {"units": "1"}),
            "train_efficiency": (score, seen),
            "fold": (("kind", "site"), np.stack(list(fold.values()))),
            "observed": (layer, np.where(present, data.observed.soc, np.nan), {"units": "kg m-3"}),
            "depth": (layer, np.where(present, data.observed.depth, np.nan), {"units": "m"}),
            "hybrid_log_sd": (layer, log_sd),
        },
        coords={"approach": list(methods), "kind": list(KINDS), "parameter": list(PAPER_PARAMETERS.names)},
    )


def _seed(seed: int, kind: str, fold: int) -> int:
    """Seed of the trainings of a fold, independent of the seed that the folds were drawn with."""
    return int(np.random.SeedSequence([seed, KINDS.index(kind), fold]).generate_state(1)[0] % 2**31)


def _by_fold(folds: list[Fold], methods: Mapping[str, Method], n_processes: int) -> Iterator[dict[str, MethodResult]]:
    """The results of each fold in their order, so that sums over folds are the same to the last bit."""
    if n_processes == 1:
        yield from map(_of_fold, folds, repeat(methods))
        return
    # Spawned: a forked process would share the threads of JAX.
    with ProcessPoolExecutor(n_processes, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_of_fold, folds, repeat(methods))


def _of_fold(fold: Fold, methods: Mapping[str, Method]) -> dict[str, MethodResult]:
    return {name: fold.result(method) for name, method in methods.items()}


def comparison_table(compared: xr.Dataset, sites: ArrayLike | None = None) -> pd.DataFrame:
    """Scores of every method on every kind of fold, all held-out layers pooled, kg C m-3, the best on blocks first.

    `compared` is from `compared_methods`; `sites` (n_sites,) bool are those to score, by default all. The columns are
    `method`, `kind`, those of `proda.learning.scores.scores`, `train_efficiency`.
    """
    chosen = np.isfinite(compared["observed"].values)
    if sites is not None:
        chosen &= np.asarray(sites, bool)[:, None]
    rows = []
    for method in compared["approach"].values:
        for kind in compared["kind"].values:
            here = compared.sel(approach=method, kind=kind)
            found = scores(compared["observed"].values[chosen], here["soc"].values[chosen])
            seen = float(here["train_efficiency"])
            rows.append({"method": str(method), "kind": str(kind), **found, "train_efficiency": seen})
    table = pd.DataFrame(rows)
    on_blocks = table[table["kind"] == BLOCKS].set_index("method")["efficiency"]
    return table.sort_values("method", key=lambda m: -m.map(on_blocks), kind="stable", ignore_index=True)


def parameter_comparison(compared: xr.Dataset, targets: ArrayLike) -> pd.DataFrame:
    """`method`, `kind`, `parameter`, `r`: correlation of held-out parameters with targets (n_sites, 25), unit cube."""
    parts = []
    for method in compared["approach"].values:
        for kind in compared["kind"].values:
            x = compared["x"].sel(approach=method, kind=kind).values
            if np.isfinite(x).any():
                part = {"method": method, "kind": kind, "parameter": PAPER_PARAMETERS.names}
                parts.append(pd.DataFrame({**part, "r": correlations(x, targets)}))
    return pd.concat(parts, ignore_index=True)


def efficiency_gains(
    compared: xr.Dataset, method: str, others: Sequence[str], block: ArrayLike, seed: int
) -> pd.DataFrame:
    """Efficiency of `method` less that of others, with the interval that the choice of land leaves open.

    Layers of a profile, and profiles of a region, are not independent: whole blocks of land (`block_of_place`) are
    drawn with replacement (the bootstrap of clusters), for all methods the same. The columns are `other`, `kind`,
    `gain`, `low` and `high` (its 5 to 95 %), `share` of the draws in which it is positive.
    """
    block = np.unique(np.asarray(block), return_inverse=True)[1]
    n_blocks = block.max() + 1
    drawn = np.random.default_rng(seed).multinomial(n_blocks, np.full(n_blocks, 1.0 / n_blocks), N_RESAMPLED)
    rows = []
    for kind in compared["kind"].values:
        here = compared.sel(kind=kind)
        for other in others:
            whole, resampled = (
                _efficiency(here, method, block, times) - _efficiency(here, other, block, times)
                for times in (np.ones((1, n_blocks)), drawn)
            )
            low, high = np.quantile(resampled, [0.05, 0.95])
            row = {"other": other, "kind": str(kind), "gain": whole[0], "low": low, "high": high}
            rows.append({**row, "share": float((resampled > 0.0).mean())})
    return pd.DataFrame(rows)


def _efficiency(here: xr.Dataset, method: str, block: NDArray, times: NDArray) -> NDArray[np.float64]:
    """Efficiency with every block counted as often as `times` (n_draws, n_blocks) gives, (n_draws,)."""
    observed = here["observed"].values.astype(float)
    present = np.isfinite(observed)
    error = here["soc"].sel(approach=method).values - observed
    n_blocks = times.shape[1]

    def of_blocks(values: NDArray) -> NDArray:
        return times @ np.bincount(block, np.where(present, values, 0.0).sum(axis=1), n_blocks)

    count, total = of_blocks(present), of_blocks(observed)
    return 1.0 - of_blocks(error**2) / (of_blocks(observed**2) - total**2 / count)


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
    here = compared.sel(approach=HYBRID, kind=BLOCKS)
    rows: list[tuple[float, float, float]] = []
    for upper, lower in STRATA:
        within = (compared["depth"] >= upper) & (compared["depth"] < lower)
        values = (compared["observed"], here["soc"], compared["hybrid_log_sd"])
        means = [one.where(within).mean("layer").values for one in values]
        if rows and np.unique(block[np.isfinite(means[0])]).size < 2:
            rows.append((*rows[-1][:2], np.nan))
            continue
        residuals = cell_residuals(cell, block, *means)
        rows.append((unseen_variance(residuals), common_variance(residuals), coverage(residuals, seed)))
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
    """Variance of the logarithm of a cell's mean carbon that the members do not show, bias included; 0 or more."""
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
    """Part of the withheld cells whose observed mean lies in its 90 % interval, the unseen variance from other blocks.

    The scatter of a cell's few profiles is part of the interval here, for the true mean is unknown.
    """
    blocks = np.random.default_rng(seed).permutation(np.unique(residuals.block))
    first = np.isin(residuals.block, blocks[: blocks.size // 2])
    held = np.zeros(first.size, dtype=bool)
    for half in (first, ~first):
        others = CellResiduals(*(values[~half] for values in residuals[:-1]), residuals.within)
        variance = residuals.members + residuals.within / residuals.n + unseen_variance(others)
        held[half] = (np.abs(residuals.mean) <= WIDTH_90 * np.sqrt(variance))[half]
    return float(held.mean())
