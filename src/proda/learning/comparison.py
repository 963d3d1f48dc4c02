"""Every way from covariates to carbon on the same folds: at random sites and on withheld blocks of land."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import groupby
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from proda.learning.agreement import scores
from proda.learning.folds import BLOCKS, KINDS, fold_of_site
from proda.learning.material import Material
from proda.learning.methods import METHODS, Learnt, Method, Plans
from proda.learning.skill import correlations
from proda.model.parameters import PAPER_PARAMETERS

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
    material: Material,
    lon: ArrayLike,
    lat: ArrayLike,
    plans: Plans,
    plan: FoldPlan,
    progress: bool = True,
    methods: Sequence[Method] = METHODS,
) -> xr.Dataset:
    """Held-out carbon of every method at the layers of every site.

    But for `seconds` and the last digits of networks the result does not depend on the number of processes.

    Parameters
    ----------
    material : Material
    lon, lat : (n_sites,), degrees
    methods : sequence of Method
        Functions of `proda.learning.methods`, or others like them; processes have to be able to import them.

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


def _dataset(names: list, soc: dict, x: dict, at_training: dict, fold: dict, material: Material) -> xr.Dataset:
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


_SHARED: dict[str, tuple[Material, Plans]] = {}


def _results(
    tasks: list[Task], material: Material, plans: Plans, n_processes: int
) -> Iterator[tuple[Task, dict[str, Learnt]]]:
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


def _share(material: Material, plans: Plans) -> None:
    _SHARED["now"] = material, plans


def _learnt(task: Task) -> dict[str, Learnt]:
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
