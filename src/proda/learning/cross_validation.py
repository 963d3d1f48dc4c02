"""Ways from covariates to carbon, scored on the same folds: at withheld random sites and on withheld blocks of land.

A method sees the training sites of a fold only and predicts carbon at the layers of all sites; one that goes through
the soil model also predicts its parameters.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from sklearn.isotonic import IsotonicRegression

from proda.errors import InputError
from proda.kernels import steady_state as lanes
from proda.learning.distillation import TrainedHybrid, teacher_trees, trained_hybrid, trained_on_layers
from proda.learning.encoding import NUMBERS, Encoding
from proda.learning.hybrid import HybridPlan
from proda.learning.paper_network import fit, paper_network, restart
from proda.learning.predictor import Predictor, rows_of_batches
from proda.learning.scores import correlations, scores
from proda.learning.soil_layer import carbon_at_layers
from proda.learning.splits import BLOCKS, KINDS, fold_of_site
from proda.learning.training_data import TrainingData, at_layers
from proda.learning.trees import BOOSTED, FOREST, tree_carbon
from proda.model.parameters import PAPER_PARAMETERS, default_parameters
from proda.stage import progress_bar

DEFAULTS, DEPTH, PAPER_NETWORK = "CLM defaults", "depth alone", "network of the paper"
POSTERIORS, FILTERED = "ensemble on posterior means", "ensemble on posterior means, filtered sites"
HYBRID, CONTROL, MEAN = "hybrid", "control without the soil model", "mean of hybrid and trees"
N_RESAMPLED = 2000
WORTH_PROCESSES = 1000  # sites; with fewer a process takes longer to start and compile than to train


class TrainingConfig(NamedTuple):
    """How the networks are trained; `paper` holds the keyword arguments of the paper's."""

    paper: dict[str, Any]
    hybrid: HybridPlan


class FoldPlan(NamedTuple):
    """Number of folds of each kind, side of a block, seed, and number of processes."""

    n_folds: int
    block_km: float
    seed: int
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
    kind: str = ""
    number: int = 0
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
    soc = lanes.soc_density(default_parameters(forcing, fold.data.sand_percent), forcing)
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
    sizes = {"dropout": settings.pop("dropout"), "learning_rate": settings.pop("learning_rate")}
    network = _compiled_paper_network(numbers.shape[1], settings["batch_size"], **sizes)
    untrained = paper_network(numbers.shape[1], seed=fold.seed % 2**32, **sizes)
    restart(network, untrained, network.optimizer)
    keras.utils.set_random_seed(fold.seed % 2**32)  # of the order of the batches
    # Whole batches, filled up with sites drawn again: one compilation serves all folds.
    parts = [
        rows[rows_of_batches(rows.size, settings["batch_size"], fold.seed)]
        for rows in (order[n_validation:], order[:n_validation])
    ]
    fit(network, *((numbers[rows], data.x_mean[rows]) for rows in parts), progress=False, **settings)
    x = Predictor(network, encoding)(data.frame).x
    return MethodResult(carbon_at_layers(x, data.observed), x)


@lru_cache(maxsize=2)
def _compiled_paper_network(n_covariates: int, batch_size: int, dropout: float, learning_rate: float) -> keras.Model:
    network = paper_network(n_covariates, seed=0, dropout=dropout, learning_rate=learning_rate)
    # The first call draws random numbers that no training shall miss.
    nothing = np.zeros((batch_size, n_covariates)), np.zeros((batch_size, len(PAPER_PARAMETERS)))
    fit(network, nothing, nothing, epochs=1, batch_size=batch_size, progress=False)
    return network


def posterior_carbon(fold: Fold) -> MethodResult:
    """The networks of the hybrid, trained on the posterior means of all sites, weighted by their precision."""
    plan = fold.config.hybrid.of_layers_alone()
    return _of_ensemble(fold, trained_on_layers(fold.data, fold.train, plan, fold.seed, posteriors_only=True))


def filtered_posterior_carbon(fold: Fold) -> MethodResult:
    """The same, trained only on the sites that pass the paper's filter."""
    plan, train = fold.config.hybrid.of_layers_alone(), fold.train[fold.data.used[fold.train]]
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
    plan = fold.config.hybrid
    trees = fold.teacher_trees if plan.distillation_share > 0.0 else None
    return _of_ensemble(fold, trained_hybrid(fold.data, fold.train, plan, fold.seed, trees))


def control_carbon(fold: Fold) -> MethodResult:
    """The same networks, targets and epochs as the hybrid, but the outputs are carbon itself."""
    plan = fold.config.hybrid._replace(soil_model=False, prior_weight=0.0)
    trees = fold.teacher_trees if plan.distillation_share > 0.0 else None
    # Their outputs are no parameters.
    return _of_ensemble(fold, trained_hybrid(fold.data, fold.train, plan, fold.seed, trees))._replace(x=None)


def mean_carbon(fold: Fold) -> MethodResult:
    """Mean of hybrid, random forest and boosted trees."""
    parts = [fold.result(method).soc for method in (hybrid_carbon, forest_carbon, boosted_carbon)]
    return MethodResult(np.mean(parts, axis=0))


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
    DEPTH: depth_alone,
}


def compared_methods(
    data: TrainingData,
    lon: ArrayLike,
    lat: ArrayLike,
    config: TrainingConfig,
    plan: FoldPlan,
    progress: bool = True,
    methods: Mapping[str, Method] = CORE_METHODS,
) -> xr.Dataset:
    """Carbon of every method at the layers of every site, by a model that had not seen the site.

    Parameters
    ----------
    data : TrainingData
    lon, lat : (n_sites,), degrees
    methods : dict
        Name -> function of a `Fold`; processes have to be able to import them.

    Returns
    -------
    Dataset
        `soc` (approach, kind, site, layer) kg C m-3, NaN where no layer is; `train_efficiency`, `train_r2` (approach,
        kind), of the training sites, the mean of folds; `x` (approach, kind, site, parameter), NaN for methods without
        parameters; `fold` (kind, site); `observed`, `depth` (site, layer); `hybrid_log_sd` (site, layer), over the
        members of the hybrid on withheld blocks.
    """
    fold = {kind: fold_of_site(kind, lon, lat, plan.n_folds, plan.seed, plan.block_km) for kind in KINDS}
    folds = [
        Fold(data, config, np.flatnonzero(fold[kind] != k), fold_seed(plan.seed, kind, k), kind, k)
        for kind in KINDS
        for k in range(plan.n_folds)
    ]
    present, shape = data.observed.present, (len(methods), len(KINDS), *data.observed.depth.shape)
    soc, x = np.full(shape, np.nan, np.float32), np.full((*shape[:3], len(PAPER_PARAMETERS)), np.nan, np.float32)
    log_sd, seen = np.full(shape[2:], np.nan, np.float32), np.zeros((2, *shape[:2]))
    bar = progress_bar(len(folds), "folds", "fold") if progress else None
    for one, of_fold in _results(folds, methods, plan.n_processes):
        k, held = KINDS.index(one.kind), fold[one.kind] == one.number
        layers, trained = held[:, None] & present, ~held[:, None] & present
        for i, (name, result) in enumerate(of_fold.items()):
            soc[i, k][layers] = result.soc[layers]
            found = scores(data.observed.soc[trained], result.soc[trained])
            seen[:, i, k] += np.array([found["r2"], found["efficiency"]]) / plan.n_folds
            if result.x is not None:
                x[i, k, held] = result.x[held]
            if name == HYBRID and one.kind == BLOCKS and result.log_sd is not None:
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
            "train_r2": (score, seen[0]),
            "train_efficiency": (score, seen[1]),
            "fold": (("kind", "site"), np.stack(list(fold.values()))),
            "observed": (layer, np.where(present, data.observed.soc, np.nan), {"units": "kg m-3"}),
            "depth": (layer, np.where(present, data.observed.depth, np.nan), {"units": "m"}),
            "hybrid_log_sd": (layer, log_sd),
        },
        coords={"approach": list(methods), "kind": list(KINDS), "parameter": list(PAPER_PARAMETERS.names)},
    )


def fold_seed(seed: int, kind: str, fold: int) -> int:
    """Seed of the trainings of a fold, independent of the seed that the folds were drawn with."""
    return int(np.random.SeedSequence([seed, KINDS.index(kind), fold]).generate_state(1)[0] % 2**31)


def _results(
    folds: Sequence[Fold], methods: Mapping[str, Method], n_processes: int
) -> Iterator[tuple[Fold, dict[str, MethodResult]]]:
    if n_processes < 2:
        yield from ((fold, _of_fold(fold, methods)) for fold in folds)
        return
    # Fresh processes of one core each: a fork would copy the threads of JAX.
    one_core = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "KERAS_BACKEND": "jax"}
    before = {name: os.environ.get(name) for name in one_core}
    os.environ.update(one_core)
    try:
        with ProcessPoolExecutor(n_processes, multiprocessing.get_context("spawn")) as pool:
            # In their order, not as they end: sums over folds are the same to the last bit.
            waiting = [(fold, pool.submit(_of_fold, fold, methods)) for fold in folds]
            yield from ((fold, done.result()) for fold, done in waiting)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _of_fold(fold: Fold, methods: Mapping[str, Method]) -> dict[str, MethodResult]:
    return {name: fold.result(method) for name, method in methods.items()}


def comparison_table(compared: xr.Dataset, sites: ArrayLike | None = None) -> pd.DataFrame:
    """Scores of every method on every kind of fold, all held-out layers pooled, kg C m-3, the best on blocks first.

    Parameters
    ----------
    compared : Dataset
        From `compared_methods`.
    sites : (n_sites,) bool, optional
        Score these sites only, such as those that pass the paper's filter.

    Returns
    -------
    DataFrame
        `method`, `kind`, `r`, `r2`, `efficiency`, `rmse`, `bias`, `median_ratio`, `n` layers, `train_r2`,
        `train_efficiency`.
    """
    chosen = np.isfinite(compared["observed"].values)
    if sites is not None:
        chosen &= np.asarray(sites, bool)[:, None]
    rows = []
    for method in compared["approach"].values:
        for kind in compared["kind"].values:
            here = compared.sel(approach=method, kind=kind)
            found = scores(compared["observed"].values[chosen], here["soc"].values[chosen])
            seen = {name: float(here[name]) for name in ("train_r2", "train_efficiency")}
            rows.append({"method": str(method), "kind": str(kind), **found, **seen})
    table = pd.DataFrame(rows)
    on_blocks = table[table["kind"] == BLOCKS].set_index("method")["efficiency"]
    return table.sort_values("method", key=lambda m: -m.map(on_blocks), kind="stable", ignore_index=True)


def parameter_comparison(compared: xr.Dataset, targets: ArrayLike) -> pd.DataFrame:
    """Correlation of held-out parameters with posterior means or a known truth: `method`, `kind`, `parameter`, `r`.

    Parameters
    ----------
    targets : (n_sites, 25), unit cube
    """
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

    Layers of a profile, and profiles of a region, are not independent: whole blocks of land are drawn with replacement
    (the bootstrap of clusters), for all methods the same.

    Parameters
    ----------
    compared : Dataset
        From `compared_methods`.
    method, others : names of its `approach`
    block : (n_sites,) int
        From `proda.learning.splits.block_of_place`.
    seed : int

    Returns
    -------
    DataFrame
        `other`, `kind`, `gain`, `low` and `high` (its 5 to 95 %), `share` of the draws in which it is positive.

    Raises
    ------
    InputError
        When all sites lie in one block.
    """
    block = np.unique(np.asarray(block), return_inverse=True)[1]
    n_blocks = block.max(initial=-1) + 1
    if n_blocks < 2:
        raise InputError(
            f"{block.size} sites lie in {n_blocks} block(s): expected at least 2 to draw from. Take smaller blocks "
            "(network_block_km)."
        )
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
