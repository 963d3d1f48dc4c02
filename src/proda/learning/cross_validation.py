"""Every way from covariates to carbon on the same folds: at random sites and on withheld blocks of land.

The ways from covariates to carbon that are compared, each as a function of what it may learn from.

All of them see the training sites of a fold only, and give carbon at the layers of all sites; those that go through
the process model give its parameters as well.

What one method has over another on the same withheld layers, and whether other land would have said the same.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from itertools import groupby
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from proda.errors import InputError
from proda.kernels import steady_state as lanes
from proda.learning.distillation import TrainedHybrid, compile_trainers, distilled, trained_on_layers
from proda.learning.encoding import Encoding, MinMaxScaling, Shape
from proda.learning.ensemble import (
    TwoStepPlan,
    TwoStepTrainer,
    equal_targets,
    member_parameters,
    precision_targets,
    profile_targets,
)
from proda.learning.hybrid import HybridPlan
from proda.learning.paper_network import fit, paper_network
from proda.learning.scores import correlations, scores
from proda.learning.soil_layer import deviations, soc_with_spread
from proda.learning.splits import BLOCKS, KINDS, fold_of_site
from proda.learning.training_data import TrainingData, at_layers
from proda.learning.trees import BOOSTED, FOREST, DirectTrees, forest_parameters
from proda.model.parameters import INNER, PAPER_PARAMETERS, default_parameters, physical, with_positive_cwd_share

PAPER_NETWORK, WITHOUT_PRIOR = "network of the paper", "ensemble, weighted targets"
N_DEVIATIONS = 500


class TrainingConfig(NamedTuple):
    """How each kind of network is trained; `paper` holds the keyword arguments of the paper's."""

    paper: dict[str, Any]
    two_step: TwoStepPlan
    hybrid: HybridPlan


class MethodResult(NamedTuple):
    """What a method tells of all sites, and what it took to learn it.

    Attributes
    ----------
    soc : (n, m), kg C m-3
        Carbon at the layers.
    x : (n, 25), unit cube, optional
        The parameters behind it.
    log_sd : (n, m), optional
        Standard deviation of the logarithm of carbon over the members of an ensemble.
    seconds : float
        Wall time of learning, that of its teachers with it, compilation left out; NaN where nothing is learnt.
    """

    soc: NDArray[np.float64]
    x: NDArray[np.float64] | None = None
    log_sd: NDArray[np.float64] | None = None
    seconds: float = np.nan


def result_and_seconds(function: Callable, *arguments: Any) -> tuple[Any, float]:
    """What a function returns, and the seconds it took."""
    begun = perf_counter()
    found = function(*arguments)
    return found, perf_counter() - begun


def soc_of(x: NDArray, material: TrainingData) -> NDArray[np.float64]:
    """Carbon at the layers of all sites, (n, m), kg C m-3, of parameters (n, 25)."""
    soc = lanes.soc_density(physical(x.T, material.forcing), material.forcing)
    return at_layers(soc, material.observed)


def inside(x: NDArray) -> NDArray[np.float64]:
    """Parameters (n, 25) where the model has a steady state."""
    return with_positive_cwd_share(np.clip(x, INNER, 1.0 - INNER))[0]


def default_carbon(material: TrainingData, train: NDArray, plans: TrainingConfig, seed: int) -> dict[str, MethodResult]:
    """CLM's own parameters: nothing is learnt."""
    theta = default_parameters(material.forcing, material.sand_percent)
    return {"CLM defaults": MethodResult(at_layers(lanes.soc_density(theta, material.forcing), material.observed))}


def paper_two_steps(
    material: TrainingData, train: NDArray, plans: TrainingConfig, seed: int
) -> dict[str, MethodResult]:
    """The paper's network on the posterior means of the sites that pass its filter, bare and with spread."""
    taught = train[material.used[train]]
    scaling = MinMaxScaling.of(material.frame.iloc[taught])
    scaled = scaling.scaled(material.frame)
    order = np.random.default_rng(seed).permutation(taught)
    settings = dict(plans.paper)
    n_validation = max(1, round(settings.pop("validation_share") * order.size))
    network = paper_network(
        scaled.shape[1], seed=seed % 2**32, dropout=settings.pop("dropout"), learning_rate=settings.pop("learning_rate")
    )
    pairs = ((scaled[rows], material.x_mean[rows]) for rows in (order[n_validation:], order[:n_validation]))
    _, seconds = result_and_seconds(lambda: fit(network, *pairs, progress=False, **settings))
    x = inside(np.asarray(network.predict(scaled, batch_size=4096, verbose=0), float))
    return with_and_without_spread(PAPER_NETWORK, x, material, taught, seed, seconds)


def with_and_without_spread(
    name: str, x: NDArray, material: TrainingData, taught: NDArray, seed: int, seconds: float
) -> dict[str, MethodResult]:
    """Carbon at the predicted parameters, and its mean over their spread."""
    added = deviations(material.draws[taught], x[taught], N_DEVIATIONS, seed)
    spread = at_layers(soc_with_spread(x, added, material.forcing), material.observed)
    bare = MethodResult(soc_of(x, material), x, seconds=seconds)
    return {name: bare, f"{name}, with spread": bare._replace(soc=spread)}


def forest_two_steps(
    material: TrainingData, train: NDArray, plans: TrainingConfig, seed: int
) -> dict[str, MethodResult]:
    """A forest on the posterior means of the sites that pass the filter."""
    taught = train[material.used[train]]
    x, seconds = result_and_seconds(forest_parameters, material.frame, taught, material.x_mean, seed % 2**32)
    return {"forest on parameters": MethodResult(soc_of(inside(x), material), inside(x), seconds=seconds)}


def embedded_two_steps(
    material: TrainingData, train: NDArray, plans: TrainingConfig, seed: int
) -> dict[str, MethodResult]:
    """The modern ensemble in steps: classes as numbers or embedded; all sites; weighted; by what profiles say."""
    filtered, equal = train[material.used[train]], equal_targets(material.x_mean)
    weighted, told = equal.copy(), equal.copy()
    weighted[train] = precision_targets(material.x_mean[train], material.x_sd[train])
    told[train] = profile_targets(material.x_mean[train], material.x_sd[train])
    found: dict[str, MethodResult] = {}
    for name, classes, taught, targets in (
        ("ensemble, classes as numbers", (), filtered, equal),
        ("ensemble, classes embedded", material.class_names, filtered, equal),
        ("ensemble, all sites", material.class_names, train, equal),
        ("ensemble, weighted means", material.class_names, train, weighted),
        (WITHOUT_PRIOR, material.class_names, train, told),
    ):
        encoded = Encoding.of(material.frame.iloc[taught], classes).encoded(material.frame)
        # Room for the classes of all sites: one shape, and so one compilation, for all folds.
        trainer = _two_step_trainer(Encoding.of(material.frame, classes).shape, plans.two_step)
        lesson = {key: values[taught] for key, values in encoded.items()}
        _, seconds = result_and_seconds(trainer.taught, lesson, targets[taught], seed)
        x = inside(member_parameters(trainer.networks, encoded).mean(axis=0))
        found[name] = MethodResult(soc_of(x, material), x, seconds=seconds)
    last = found[WITHOUT_PRIOR]
    return found | with_and_without_spread(WITHOUT_PRIOR, last.x, material, train, seed, last.seconds)


@lru_cache(maxsize=4)
def _two_step_trainer(shape: Shape, plan: TwoStepPlan) -> TwoStepTrainer:
    return TwoStepTrainer(shape, plan)


def two_step_methods(
    material: TrainingData, train: NDArray, plans: TrainingConfig, seed: int
) -> dict[str, MethodResult]:
    """What is taught posterior means, beside the defaults, which are taught nothing."""
    methods = default_carbon, paper_two_steps, forest_two_steps, embedded_two_steps
    return {name: learnt for method in methods for name, learnt in method(material, train, plans, seed).items()}


def hybrids(material: TrainingData, train: NDArray, plans: TrainingConfig, seed: int) -> dict[str, MethodResult]:
    """End to end: the study's ensemble, a member, without its teachers, and with nothing near the posteriors."""
    alone, hybrid = _alone_and_taught(material, train, plans.hybrid, seed)
    found = {"hybrid, layers alone": alone[0]}
    found["hybrid"], found["hybrid, one member"] = hybrid
    free, seconds = result_and_seconds(trained_on_layers, material, train, plans.hybrid.of_layers_alone(), seed, 0.0)
    found["hybrid, layers alone, no prior term"] = _ensemble(free, material, seconds)[0]
    return found


def networks_without_soil_model(
    material: TrainingData, train: NDArray, plans: TrainingConfig, seed: int
) -> dict[str, MethodResult]:
    """The hybrid's control: the same networks and lessons, but their outputs are carbon itself."""
    plan = plans.hybrid._replace(soil_model=False, prior_weight=0.0)
    alone, taught = _alone_and_taught(material, train, plan, seed)
    # Their outputs are no parameters.
    return {
        "networks without the soil model, layers alone": alone[0]._replace(x=None),
        "networks without the soil model": taught[0]._replace(x=None),
    }


def _alone_and_taught(
    material: TrainingData, train: NDArray, plan: HybridPlan, seed: int
) -> tuple[tuple[MethodResult, MethodResult], tuple[MethodResult, MethodResult]]:
    """Taught by the layers alone, then by the panel: each as the ensemble and its first member."""
    compile_trainers(material, plan)
    taught, seconds = result_and_seconds(trained_on_layers, material, train, plan.of_layers_alone(), seed)
    alone = _ensemble(taught, material, seconds)
    # A study without teachers has the hybrid of layers alone.
    if plan.panel_share == 0.0:
        return alone, alone
    taught, more = result_and_seconds(distilled, material, train, plan, taught, seed)
    return alone, _ensemble(taught, material, seconds + more)


def _ensemble(hybrid: TrainedHybrid, material: TrainingData, seconds: float) -> tuple[MethodResult, MethodResult]:
    """What all members tell of all sites, and what the first does; they have learnt side by side."""
    members, x = hybrid.soc(material.frame, material.observed).astype(float), hybrid.x(material.frame)
    spread = np.log(np.maximum(members, 1e-9)).std(axis=1, ddof=1)
    return MethodResult(members.mean(axis=1), x.mean(axis=0), spread, seconds), MethodResult(
        members[:, 0], x[0], None, seconds
    )


def direct_trees(material: TrainingData, train: NDArray, plans: TrainingConfig, seed: int) -> dict[str, MethodResult]:
    """Carbon of layers from covariates and depth by trees, without a process model."""
    site, at = np.nonzero(material.observed.present)
    depth, soc = material.observed.depth[site, at], material.observed.soc[site, at]
    learns, found = np.isin(site, train), {}
    for kind in (FOREST, BOOSTED):
        trees = DirectTrees(kind, material.frame, material.class_names, seed % 2**32)
        _, seconds = result_and_seconds(trees.fit, site[learns], depth[learns], soc[learns])
        values = np.zeros(material.observed.depth.shape)
        values[site, at] = trees.predict(site, depth)
        found[f"{kind} on carbon"] = MethodResult(values, seconds=seconds)
    return found


def carbon_methods(material: TrainingData, train: NDArray, plans: TrainingConfig, seed: int) -> dict[str, MethodResult]:
    """What is taught carbon: hybrids, trees, and means of them, with the process model and without."""
    found = hybrids(material, train, plans, seed) | direct_trees(material, train, plans, seed)
    forest, boosted = (found[f"{kind} on carbon"] for kind in (FOREST, BOOSTED))
    found["mean of hybrid and forest"] = _mean_of(found["hybrid"], forest)
    found["mean of hybrid and both trees"] = _mean_of(found["hybrid"], forest, boosted)
    found["mean of forest and boosted trees"] = _mean_of(forest, boosted)
    return found


def _mean_of(*parts: MethodResult) -> MethodResult:
    return MethodResult(np.mean([part.soc for part in parts], axis=0), seconds=sum(part.seconds for part in parts))


Method = Callable[[TrainingData, NDArray, TrainingConfig, int], dict[str, MethodResult]]
METHODS: tuple[Method, ...] = (two_step_methods, carbon_methods, networks_without_soil_model)


HYBRID = "hybrid"  # the method whose error is carried to the map


class FoldPlan(NamedTuple):
    """Of how many folds, in blocks of what size, with which seed, in how many processes."""

    n_folds: int
    block_km: float
    seed: int
    n_processes: int = 1


class Task(NamedTuple):
    """One method on one fold: what a process is asked for."""

    method: Method
    kind: str
    fold: int
    train: NDArray[np.int64]
    seed: int


def compared_methods(
    material: TrainingData,
    lon: ArrayLike,
    lat: ArrayLike,
    plans: TrainingConfig,
    plan: FoldPlan,
    progress: bool = True,
    methods: Sequence[Method] = METHODS,
) -> xr.Dataset:
    """Held-out carbon of every method at the layers of every site.

    But for `seconds` and the last digits of networks the result does not depend on the number of processes.

    Parameters
    ----------
    material : TrainingData
    lon, lat : (n_sites,), degrees
    methods : sequence of Method
        Functions of `proda.learning.cross_validation`, or others like them; processes have to be able to import them.

    Returns
    -------
    Dataset
        `soc` (approach, kind, site, layer) kg C m-3, by a model that had not seen the site, NaN where no layer is;
        `train_efficiency`, `train_r2` (approach, kind), of the training sites, the mean of folds; `x` (approach, kind,
        site, parameter), NaN for methods without parameters; `fold` (kind, site); `observed` (site, layer);
        `hybrid_log_sd` (site, layer), over the members of the hybrid on withheld blocks; `seconds` (approach), what a
        fold took to learn on one core, its teachers included, the median of the folds.
    """
    fold = {kind: fold_of_site(kind, lon, lat, plan.n_folds, plan.seed, plan.block_km) for kind in KINDS}
    tasks = [
        Task(method, kind, k, np.flatnonzero(fold[kind] != k), task_seed(plan.seed, kind, k))
        for method in methods
        for kind in KINDS
        for k in range(plan.n_folds)
    ]
    n, width = material.observed.depth.shape
    soc: dict[tuple[str, str], NDArray] = {}
    x: dict[tuple[str, str], NDArray] = {}
    log_sd: dict[str, NDArray] = {}
    seconds: dict[str, list[float]] = {}
    at_training: dict[tuple[str, str], list[dict[str, float]]] = {}
    with tqdm(total=len(tasks), desc="folds", unit="fit", mininterval=2.0, file=sys.stderr, ncols=100, ascii=True,
              disable=not progress) as bar:  # fmt: skip
        for task, found in _results(tasks, material, plans, plan.n_processes):
            held = np.flatnonzero(fold[task.kind] == task.fold)
            seen = material.observed.present & (fold[task.kind] != task.fold)[:, None]
            for name, learnt in found.items():
                key = name, task.kind
                soc.setdefault(key, np.full((n, width), np.nan))[held] = learnt.soc[held]
                at_training.setdefault(key, []).append(scores(material.observed.soc[seen], learnt.soc[seen]))
                seconds.setdefault(name, []).append(learnt.seconds)
                if learnt.x is not None:
                    x.setdefault(key, np.full((n, len(PAPER_PARAMETERS)), np.nan))[held] = learnt.x[held]
                if name == HYBRID and task.kind == BLOCKS and learnt.log_sd is not None:
                    log_sd.setdefault(name, np.full((n, width), np.nan))[held] = learnt.log_sd[held]
            bar.update()
    names = list(dict.fromkeys(name for name, _ in soc))
    found = _dataset(names, soc, x, at_training, fold, material)
    spread = np.where(material.observed.present, log_sd.get(HYBRID, np.nan), np.nan)
    middle = [float(np.median(seconds[name])) for name in names]
    return found.assign(
        hybrid_log_sd=(("site", "layer"), spread.astype(np.float32)),
        seconds=("approach", middle, {"units": "s", "long_name": "wall time of learning a fold, median of the folds"}),
    )


def task_seed(seed: int, kind: str, fold: int) -> int:
    """Seed of what is drawn while learning a fold, which has nothing in common with the drawing of the folds."""
    return int(np.random.SeedSequence([seed, KINDS.index(kind), fold]).generate_state(1)[0] % 2**31)


def _dataset(names: list, soc: dict, x: dict, at_training: dict, fold: dict, material: TrainingData) -> xr.Dataset:
    present = material.observed.present
    nothing = np.full((len(present), len(PAPER_PARAMETERS)), np.nan)
    carbon = np.stack([[np.where(present, soc[name, kind], np.nan) for kind in KINDS] for name in names])
    parameters = np.stack([[x.get((name, kind), nothing) for kind in KINDS] for name in names])
    mean = {
        score: [[np.mean([found[score] for found in at_training[name, kind]]) for kind in KINDS] for name in names]
        for score in ("r2", "efficiency")
    }
    return xr.Dataset(
        {
            "soc": (("approach", "kind", "site", "layer"), carbon.astype(np.float32), {"units": "kg m-3"}),
            "x": (("approach", "kind", "site", "parameter"), parameters.astype(np.float32), {"units": "1"}),
            "train_r2": (("approach", "kind"), np.array(mean["r2"])),
            "train_efficiency": (("approach", "kind"), np.array(mean["efficiency"])),
            "fold": (("kind", "site"), np.stack([fold[kind] for kind in KINDS])),
            "observed": (("site", "layer"), np.where(present, material.observed.soc, np.nan), {"units": "kg m-3"}),
            "depth": (("site", "layer"), np.where(present, material.observed.depth, np.nan), {"units": "m"}),
        },
        coords={"approach": names, "kind": list(KINDS), "parameter": list(PAPER_PARAMETERS.names)},
    )


_SHARED: dict[str, tuple[TrainingData, TrainingConfig]] = {}


def _results(
    tasks: list[Task], material: TrainingData, plans: TrainingConfig, n_processes: int
) -> Iterator[tuple[Task, dict[str, MethodResult]]]:
    if n_processes < 2:
        _share(material, plans)
        yield from ((task, _learnt(task)) for task in tasks)
        return
    # Fresh processes: a fork would copy the threads of JAX. One core each, which two of them use better than one.
    one_core = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "KERAS_BACKEND": "jax"}
    before = {name: os.environ.get(name) for name in one_core}
    os.environ.update(one_core)
    try:
        context = multiprocessing.get_context("spawn")
        # And anew for every method: what it has compiled and kept, hundreds of megabytes, goes with its processes.
        for _, of_method in groupby(tasks, key=lambda task: task.method):
            with ProcessPoolExecutor(n_processes, context, initializer=_share, initargs=(material, plans)) as pool:
                # In their order, not as they end: sums over folds are the same to the last bit.
                waiting = [(task, pool.submit(_learnt, task)) for task in of_method]
                for task, done in waiting:
                    yield task, done.result()
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _share(material: TrainingData, plans: TrainingConfig) -> None:
    _SHARED["now"] = material, plans


def _learnt(task: Task) -> dict[str, MethodResult]:
    material, plans = _SHARED["now"]
    return task.method(material, task.train, plans, task.seed)


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
        `method`, `kind`, `r`, `r2`, `efficiency` (skill against the mean), `rmse`, `bias`, `median_ratio`, `n` layers,
        `train_r2`, `train_efficiency`, `seconds`.
    """
    chosen = np.isfinite(compared["observed"].values)
    if sites is not None:
        chosen &= np.asarray(sites, bool)[:, None]
    observed = compared["observed"].values[chosen]
    rows = []
    for method in compared["approach"].values:
        for kind in compared["kind"].values:
            here = compared.sel(approach=method, kind=kind)
            found = scores(observed, here["soc"].values[chosen])
            seen = {name: float(here[name]) for name in ("train_r2", "train_efficiency", "seconds")}
            rows.append({"method": str(method), "kind": str(kind), **found, **seen})
    table = pd.DataFrame(rows)
    on_blocks = table[table["kind"] == KINDS[1]].set_index("method")["efficiency"]
    return table.sort_values("method", key=lambda m: -m.map(on_blocks), kind="stable", ignore_index=True)


def parameter_comparison(compared: xr.Dataset, targets: ArrayLike, name: str) -> pd.DataFrame:
    """Correlation of held-out parameters with posterior means or with a known truth, one row a method, kind, parameter.

    Parameters
    ----------
    targets : (n_sites, 25), unit cube
    name : str
        Column of the correlation, such as "r_with_truth".
    """
    rows = []
    for method in compared["approach"].values:
        for kind in compared["kind"].values:
            x = compared["x"].sel(approach=method, kind=kind).values
            if np.isfinite(x).any():
                found = correlations(x, targets)
                rows += [
                    {"method": str(method), "kind": str(kind), "parameter": parameter, name: r}
                    for parameter, r in zip(PAPER_PARAMETERS.names, found, strict=True)
                ]
    return pd.DataFrame(rows)


def comparison_in_rows(table: pd.DataFrame) -> pd.DataFrame:
    """One row a method, two rows of headings: scores at training sites, random sites and blocks, and seconds a fold."""
    scored = ("r", "r2", "efficiency", "bias", "rmse", "median_ratio")
    rows = {}
    for method, part in table.groupby("method", sort=False):
        row = {("training", score): part[f"train_{score}"].mean() for score in ("r2", "efficiency")}
        for kind in KINDS:
            row |= {(kind, score): part.loc[part["kind"] == kind, score].iloc[0] for score in scored}
        row["learning", "s a fold"] = part["seconds"].iloc[0]
        rows[method] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")


N_RESAMPLED = 2000


def efficiency_gains(
    compared: xr.Dataset, method: str, others: Sequence[str], block: ArrayLike, seed: int
) -> pd.DataFrame:
    """Efficiency of `method` less that of others, with the interval that the choice of land leaves open.

    Layers of a profile, and profiles of a region, are not independent: whole blocks of land are drawn with replacement
    (the bootstrap of clusters), for all methods the same.

    Parameters
    ----------
    compared : Dataset
        From `proda.learning.cross_validation.compared_methods`.
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
        When a method was not compared, or all sites lie in one block.
    """
    known = [str(name) for name in compared["approach"].values]
    unknown = [name for name in (method, *others) if name not in known]
    if unknown:
        raise InputError(f"no method {unknown[0]!r} was compared: expected names among {', '.join(known)}.")
    block = np.unique(np.asarray(block), return_inverse=True)[1]
    n_blocks = block.max(initial=-1) + 1
    if n_blocks < 2:
        raise InputError(
            f"{block.size} sites lie in {n_blocks} block(s): expected at least 2 to draw from. Take smaller blocks "
            "(network_block_km)."
        )
    drawn = np.random.default_rng(seed).multinomial(n_blocks, np.full(n_blocks, 1.0 / n_blocks), N_RESAMPLED)
    whole = np.ones((1, n_blocks))
    rows = []
    for kind in compared["kind"].values:
        here = compared.sel(kind=kind)
        for other in others:
            of_all, resampled = (
                _efficiency(here, method, block, times) - _efficiency(here, other, block, times)
                for times in (whole, drawn)
            )
            low, high = np.quantile(resampled, [0.05, 0.95])
            share = float((resampled > 0.0).mean())
            rows.append(
                {"other": other, "kind": str(kind), "gain": of_all[0], "low": low, "high": high, "share": share}
            )
    return pd.DataFrame(rows)


def _efficiency(here: xr.Dataset, method: str, block: NDArray, times: NDArray) -> NDArray[np.float64]:
    """1 - SSE/SST with every block counted as often as `times` (n_draws, n_blocks) says, (n_draws,)."""
    observed = here["observed"].values.astype(float)
    present = np.isfinite(observed)
    error = here["soc"].sel(approach=method).values - observed
    n_blocks = times.shape[1]

    def of_blocks(values: NDArray) -> NDArray:
        return times @ np.bincount(block, np.where(present, values, 0.0).sum(axis=1), n_blocks)

    count, total = of_blocks(present), of_blocks(observed)
    return 1.0 - of_blocks(error**2) / (of_blocks(observed**2) - total**2 / count)
