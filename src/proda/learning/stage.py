"""Stage 5: from the posteriors of the sites to parameters everywhere, scored at withheld sites and on withheld land."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from proda.assimilation.chains import n_workers
from proda.data.tables import read_profiles
from proda.errors import InputError
from proda.learning.cross_validation import (
    ALL_METHODS,
    FILTERED,
    PAPER_NETWORK,
    WORTH_PROCESSES,
    FoldPlan,
    Method,
    TrainingConfig,
    compared_methods,
    comparison_table,
    filtered_posterior_carbon,
)
from proda.learning.cross_validation import CORE_METHODS as CORE
from proda.learning.distillation import trained_hybrid
from proda.learning.encoding import n_bins_of
from proda.learning.hybrid import HybridPlan
from proda.learning.map_error import error_on_blocks
from proda.learning.paper_network import PaperResults, paper_results, write_paper_results
from proda.learning.predictor import HYBRID, STAGE, Prediction, Predictor, save_predictor
from proda.learning.scores import correlations
from proda.learning.splits import ASSIMILATED, BLOCKS, RANDOM, TRAIN, USED, VALIDATION, block_of_place
from proda.learning.training_data import Inputs, TrainingData, network_inputs, study_training_data
from proda.model.parameters import PAPER_PARAMETERS
from proda.study import Study

PATIENCE = 25
MOST_PROCESSES = 4  # each holds JAX and the training data, a gigabyte
PARAMETERS_FILE = "hybrid_parameters.nc"


class HybridTraining(NamedTuple):
    """The study's hybrid: hybrid_training.csv, hybrid.keras with hybrid.json, and hybrid_parameters.nc.

    `parameters` has `x_site` (member, site, parameter), `x_cell` (member, cell, parameter), `extrapolated_site`,
    `extrapolated_cell`, and the error of the map by stratum (`proda.learning.map_error.error_on_blocks`).
    """

    curve: pd.DataFrame  # epoch, loss
    predictor: Predictor
    parameters: xr.Dataset


class NetworkTraining(NamedTuple):
    """Results of the stage, as its files hold them."""

    paper: PaperResults
    compared: xr.Dataset  # folds.nc: methods at sites that they had not seen; `site` is the study's
    scores: pd.DataFrame  # network_scores.csv, from `method_scores`
    hybrid: HybridTraining
    data: TrainingData  # of the sites of `compared`


def network_training(study: Study, progress: bool = True) -> NetworkTraining:
    """Train the study's networks, predict the parameters of all sites and cells, and write the stage's files.

    Writes the files of the paper's network (`write_paper_results`), five methods on withheld sites and blocks
    (folds.nc, network_scores.csv), and the files of `HybridTraining`.

    Settings: test_share, validation_share, epochs, batch_size, dropout, learning_rate; network_scaling, "training"
    (ranges of the training sites) or "grid" (the paper's: ranges of all cells); network_weights, "best" (the epoch with
    the least validation loss) or "last"; network_folds, network_block_km, hybrid_members, hybrid_epochs,
    hybrid_prior_weight, hybrid_distillation_share.

    Raises
    ------
    MissingOutput
        When an earlier stage has not been run or is stale.
    InputError
        When tables disagree, a covariate is missing somewhere, or a setting is not valid.
    """
    with study.stage(STAGE) as folder:
        inputs = network_inputs(study)
        paper = paper_results(study, inputs, progress)
        data, known = study_training_data(study, inputs)
        hybrid = study_hybrid(study, inputs, data, training_rows(paper.split, known), progress)
        compared, places = compared_on_folds(study, data, known, CORE, progress)
        block = block_of_place(places["lon"], places["lat"], study["network_block_km"])
        error = error_on_blocks(compared, places["cell"].to_numpy(), block, fold_plan(study, known.size).seed)
        hybrid = hybrid._replace(parameters=hybrid.parameters.merge(error))
        paper = paper._replace(skill=with_folds(paper.skill, compared, data))
        scores = method_scores(compared, data.used)
        write_paper_results(paper, folder)
        compared.to_netcdf(folder / "folds.nc")
        scores.to_csv(folder / "network_scores.csv", index=False)
        write_hybrid(hybrid, folder)
    return NetworkTraining(paper, compared, scores, hybrid, data)


def method_comparison(study: Study, progress: bool = True) -> tuple[xr.Dataset, TrainingData]:
    """All methods on the folds of stage 5, with the effect of the paper's filter; nothing is written.

    Returns
    -------
    Dataset, TrainingData
        As of `proda.learning.cross_validation.compared_methods`, and what was learnt from.
    """
    data, known = study_training_data(study, network_inputs(study))
    methods = {**ALL_METHODS, FILTERED: filtered_posterior_carbon}
    return compared_on_folds(study, data, known, methods, progress)[0], data


def compared_on_folds(
    study: Study, data: TrainingData, known: NDArray[np.int64], methods: Mapping[str, Method], progress: bool = True
) -> tuple[xr.Dataset, pd.DataFrame]:
    """Methods on the study's folds, with `site` the study's, and the profiles of these sites."""
    places = read_profiles(study.path("profiles.parquet")).iloc[known]
    config, plan = training_config(study, known.size), fold_plan(study, known.size)
    compared = compared_methods(data, places["lon"], places["lat"], config, plan, progress, methods)
    return compared.assign_coords(site=known), places


def fold_plan(study: Study, n_sites: int) -> FoldPlan:
    """Of the study's settings, in as many processes as there are cores where that is worth it."""
    # Drawn anew when the hybrid and the trees had got their present form: these had been chosen on earlier folds.
    seed = study.seed_for(STAGE, "folds drawn after the trees were tuned") % 2**31
    n_processes = min(n_workers(), MOST_PROCESSES) if n_sites >= WORTH_PROCESSES else 1
    return FoldPlan(study["network_folds"], study["network_block_km"], seed, n_processes)


def training_config(study: Study, n_sites: int) -> TrainingConfig:
    """How the networks of the folds are trained; the paper's stops when it has not improved for `PATIENCE` epochs."""
    names = ("epochs", "batch_size", "validation_share", "dropout", "learning_rate")
    paper = {name: study[name] for name in names} | {"kept_weights": study["network_weights"], "patience": PATIENCE}
    return TrainingConfig(paper, hybrid_plan(study, n_sites))


def hybrid_plan(study: Study, n_sites: int) -> HybridPlan:
    """The plan of the study's settings, for so many sites."""
    plan = HybridPlan(
        n_members=study["hybrid_members"],
        epochs=study["hybrid_epochs"],
        prior_weight=study["hybrid_prior_weight"],
        distillation_share=study["hybrid_distillation_share"],
        n_bins=n_bins_of(n_sites),
    )
    return plan if plan.distillation_share > 0.0 else plan.of_layers_alone()


def study_hybrid(
    study: Study, inputs: Inputs, data: TrainingData, train: NDArray[np.int64], progress: bool = True
) -> HybridTraining:
    """The study's hybrid, trained on the rows `train` of `data`, at all sites and cells, without its map's error."""
    plan, seed = hybrid_plan(study, data.observed.n_sites), study.seed_for(STAGE, "hybrid") % 2**31
    trained = trained_hybrid(data, train, plan, seed, progress=progress)
    notes = {
        "study": study.label,
        "fingerprint": study.fingerprints()[STAGE],
        "seed": seed,
        "plan": plan._asdict(),
        "sites": int(train.size),
    }
    predictor = trained.predictor(notes)
    places = {"site": inputs.site_covariates, "cell": inputs.cell_covariates}
    predicted: dict[str, Prediction] = {
        place: predictor(frame, f"covariates.parquet, {place}s") for place, frame in places.items()
    }
    parameters = xr.Dataset(
        {f"x_{p}": (("member", p, "parameter"), one.x.astype(np.float32)) for p, one in predicted.items()}
        | {f"extrapolated_{p}": (p, one.extrapolated) for p, one in predicted.items()},
        coords={"parameter": list(PAPER_PARAMETERS.names)},
        attrs={"study": study.label, "block_km": float(study["network_block_km"])},
    )
    return HybridTraining(trained.curve, predictor, parameters)


def training_rows(split: NDArray, known: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of the training data for the hybrid: training and validation sites of the paper's network.

    So both can be scored at the same test sites, which neither has seen.
    """
    return np.flatnonzero(np.isin(np.asarray(split, dtype=object)[known], (TRAIN, VALIDATION)))


def with_folds(skill: pd.DataFrame, compared: xr.Dataset, data: TrainingData) -> pd.DataFrame:
    """`skill` with `r_random_folds` and `r_block_folds`: the paper's network at withheld sites that pass the filter."""
    x = compared["x"].sel(approach=PAPER_NETWORK)
    columns = {"r_random_folds": RANDOM, "r_block_folds": BLOCKS}
    target = data.x_mean[data.used]
    return skill.assign(**{n: correlations(x.sel(kind=kind)[data.used], target) for n, kind in columns.items()})


def method_scores(compared: xr.Dataset, used: NDArray) -> pd.DataFrame:
    """Scores of all methods (`comparison_table`) on all sites and on those that pass the paper's filter, in `sites`."""
    parts = {ASSIMILATED: None, USED: used}
    return pd.concat(
        [comparison_table(compared, rows).assign(sites=name) for name, rows in parts.items()], ignore_index=True
    )


def write_hybrid(hybrid: HybridTraining, folder: Path) -> None:
    """Write the files of the hybrid into `folder`."""
    save_predictor(hybrid.predictor, folder, HYBRID)
    hybrid.curve.to_csv(folder / "hybrid_training.csv", index=False)
    hybrid.parameters.to_netcdf(folder / PARAMETERS_FILE)


def read_hybrid_parameters(path: Path) -> xr.Dataset:
    """hybrid_parameters.nc, loaded, once its parameters are the model's.

    Raises
    ------
    InputError
        When the parameters are others.
    """
    with xr.open_dataset(path) as found:
        names = tuple(str(name) for name in found["parameter"].values)
        if names != PAPER_PARAMETERS.names:
            expected = ", ".join(PAPER_PARAMETERS.names)
            raise InputError(f"{path}: parameters are {', '.join(names)}; expected {expected}.")
        return found.load()
