"""Stage 5: from the posteriors of the sites to parameters everywhere, scored at withheld sites and on withheld land."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from proda.data.files import read_csv, read_dataset, read_profiles, read_table
from proda.data.forcing import read_forcing
from proda.learning.cross_validation import (
    CORE_METHODS,
    ONE_AT_A_TIME,
    OTHER_METHODS,
    PAPER_NETWORK,
    Method,
    TrainingConfig,
    compared_methods,
    compared_networks,
    error_on_blocks,
    joined,
    with_mean,
)
from proda.learning.hybrid import HybridPlan, trained_hybrid
from proda.learning.paper_network import (
    HYBRID,
    STAGE,
    PaperResults,
    Prediction,
    Predictor,
    copied,
    loaded_hybrid,
    loaded_network,
    paper_results,
    paper_settings,
    paper_split,
    save_predictor,
    write_paper_results,
)
from proda.learning.scores import (
    BLOCKS,
    RANDOM,
    TRAIN,
    VALIDATION,
    block_of_place,
    correlations,
    of_method,
    score_table,
)
from proda.learning.training_data import Inputs, TrainingData, network_inputs, study_training_data
from proda.learning.trees import stacked_trees
from proda.stage import progress_bar
from proda.study import Study
from proda.workers import in_parallel, n_workers

PATIENCE = 25  # epochs after which the paper's network of a fold stops when it has not improved
MOST_PROCESSES = 4  # each holds JAX and the training data, a gigabyte
WORTH_PROCESSES = 1000  # sites; with fewer a process takes longer to start and compile than to train
LEAST_REPEATS = 5  # of the comparison of all methods
PARAMETERS_FILE = "hybrid_parameters.nc"
# Variables with a number everywhere, and their dimensions, of hybrid_parameters.nc and folds.nc.
PREDICTED = {
    "x_site": ("member", "site", "parameter"),
    "x_cell": ("member", "cell", "parameter"),
    "extrapolated_cell": ("cell",),
    "unseen_log_variance": ("stratum",),
    "common_log_variance": ("stratum",),
}
FOLDS = {"soc": ("approach", "kind", "repeat", "obs"), "fold": ("kind", "repeat", "site")}
FOLDS |= dict.fromkeys(("observed", "depth", "of_site"), ("obs",))


class HybridTraining(NamedTuple):
    """The study's hybrid: hybrid_training.csv, hybrid.keras with its other files, and hybrid_parameters.nc.

    `parameters` has `x_site` (member, site, parameter), `x_cell` (member, cell, parameter), `extrapolated_site`,
    `extrapolated_cell`, and the error of the map by stratum (`proda.learning.cross_validation.error_on_blocks`).
    """

    curve: pd.DataFrame  # epoch, loss
    predictor: Predictor
    parameters: xr.Dataset


class NetworkTraining(NamedTuple):
    """Results of the stage, as its files hold them."""

    paper: PaperResults
    compared: xr.Dataset  # folds.nc: methods at sites that they had not seen; `site` is the study's
    scores: pd.DataFrame  # network_scores.csv, from `proda.learning.cross_validation.score_table`
    hybrid: HybridTraining
    data: TrainingData  # of the sites of `compared`


def network_training(study: Study) -> NetworkTraining:
    """Train the study's networks, predict the parameters of all sites and cells, and write the stage's files.

    These are those of `write_paper_results`, of five methods on withheld sites and blocks (folds.nc,
    network_scores.csv), and of `HybridTraining`. MissingOutput when an earlier stage has not been run or is stale;
    InputError when tables disagree, a covariate is missing somewhere, or a setting is not valid.
    """
    with study.stage(STAGE) as folder:
        inputs = network_inputs(study)
        data, known = study_training_data(study, inputs)
        compared, places = compared_on_folds(study, data, known, CORE_METHODS, range(study["score_repeats"]))
        paper, hybrid = study_networks(study, inputs, data, known)
        block = block_of_place(places["lon"], places["lat"], study["network_block_km"])
        error = error_on_blocks(compared, places["cell"].to_numpy(), block, _fold_seed(study))
        hybrid = hybrid._replace(parameters=hybrid.parameters.merge(error))
        x, target = of_method(compared, PAPER_NETWORK)["x"][:, data.used], data.x_mean[data.used]
        columns = {"r_random_folds": RANDOM, "r_block_folds": BLOCKS}
        skill = {name: correlations(x.sel(kind=kind), target) for name, kind in columns.items()}
        paper = paper._replace(skill=paper.skill.assign(**skill))
        results = NetworkTraining(paper, compared, score_table(compared), hybrid, data)
        write_training(results, folder)
    return results


def write_training(results: NetworkTraining, folder: Path) -> None:
    """Write the files of the stage, and open each as it will be used: an `InputError` names one that is not whole."""
    write_paper_results(results.paper, folder)
    results.compared.to_netcdf(folder / "folds.nc")
    results.scores.to_csv(folder / "network_scores.csv", index=False)
    save_predictor(results.hybrid.predictor, folder, HYBRID)
    results.hybrid.curve.to_csv(folder / "hybrid_training.csv", index=False)
    results.hybrid.parameters.to_netcdf(folder / PARAMETERS_FILE)
    read_predicted(folder)
    read_dataset(folder / "folds.nc", FOLDS, notebook=STAGE)
    for load in (loaded_network, loaded_hybrid):
        load(folder)


class Predicted(NamedTuple):
    """The files of the stage that maps are made from."""

    sites: pd.DataFrame  # rows of network_parameters.parquet, in their order
    cells: pd.DataFrame
    skill: pd.DataFrame  # network_skill.csv
    hybrid: xr.Dataset  # hybrid_parameters.nc


def read_predicted(folder: Path) -> Predicted:
    """What the networks predicted, from a study folder; an `InputError` names the file and what it lacks."""
    hybrid = read_dataset(folder / PARAMETERS_FILE, PREDICTED, notebook=STAGE)
    whole = ("place", "cell", "extrapolated", *hybrid["parameter"].values)
    table = read_table(folder / "network_parameters.parquet", whole, ("site", "split"), notebook=STAGE)
    parts = (table[table["place"] == place].sort_values(place) for place in ("site", "cell"))
    skill = read_table(folder / "network_skill.csv", ("parameter",), ("r_test", "sd_ratio"), read_csv, STAGE)
    return Predicted(*parts, skill, hybrid)


def method_comparison(study: Study) -> tuple[xr.Dataset, TrainingData]:
    """All methods on folds (`compared_methods`), and what was learnt from; nothing is written.

    Folds are drawn at least `LEAST_REPEATS` times; what stage 5 has found on the first of them is taken from it.
    """
    data, known = study_training_data(study, network_inputs(study))
    core = read_dataset(study.path("folds.nc"), FOLDS, notebook=STAGE)
    n = max(LEAST_REPEATS, study["score_repeats"])
    if more := range(core.sizes["repeat"], n):
        core = joined([core, compared_on_folds(study, data, known, CORE_METHODS, more)[0]], "repeat")
    others, _ = compared_on_folds(study, data, known, OTHER_METHODS, range(n))
    return with_mean(joined([core, others], "approach")), data


def coded_networks(study: Study) -> pd.DataFrame:
    """`compared_networks` on the random folds of stage 5, drawn at least twice; nothing is written."""
    data, known = study_training_data(study, network_inputs(study))
    config = training_config(study, known.size)._replace(repeats=range(max(2, study["score_repeats"])))
    places = read_profiles(study.path("profiles.parquet")).iloc[known]
    return compared_networks(data, places["lon"], places["lat"], config)


def compared_on_folds(
    study: Study, data: TrainingData, known: NDArray[np.int64], methods: Mapping[str, Method], repeats: range
) -> tuple[xr.Dataset, pd.DataFrame]:
    """Methods on the study's folds, with `site` the study's, and the profiles of these sites."""
    places = read_profiles(study.path("profiles.parquet")).iloc[known]
    config = training_config(study, known.size)._replace(repeats=repeats)
    compared = compared_methods(data, places["lon"], places["lat"], config, methods)
    return compared.assign_coords(site=known), places


def training_config(study: Study, n_sites: int) -> TrainingConfig:
    """Folds and trainings of the study's settings, in as many processes as there are cores where that is worth it."""
    return TrainingConfig(
        paper={**paper_settings(study), "validation_share": study["validation_share"], "patience": PATIENCE},
        hybrid=hybrid_plan(study),
        n_folds=study["network_folds"],
        block_km=study["network_block_km"],
        seed=_fold_seed(study),
        n_processes=min(n_workers(), MOST_PROCESSES) if n_sites >= WORTH_PROCESSES else 1,
    )


def _fold_seed(study: Study) -> int:
    # Drawn anew when the methods had got their present form: these had been chosen on earlier folds.
    return study.seed_for(STAGE, "folds drawn after the hybrid got map covariates") % 2**31


def hybrid_plan(study: Study) -> HybridPlan:
    """The plan of the study's settings."""
    return HybridPlan(
        n_members=study["hybrid_members"],
        epochs=study["hybrid_epochs"],
        prior_weight=study["hybrid_prior_weight"],
        distillation_share=study["hybrid_distillation_share"],
    )


def study_networks(
    study: Study, inputs: Inputs, data: TrainingData, known: NDArray[np.int64]
) -> tuple[PaperResults, HybridTraining]:
    """The study's networks: the paper's, and the hybrid; the error of the hybrid's map is not in it.

    The hybrid at sites is trained on all but the test sites of the paper's network, so both have seen the same sites;
    that of the map on all of them.
    """
    jobs = [None, ("site", training_rows(paper_split(study, inputs), known)), ("cell", np.arange(known.size))]
    n, found = training_config(study, known.size).n_processes, []
    with (
        in_parallel(_trained, jobs, study, inputs, data, n=n, processes=True) as done,
        progress_bar(len(jobs), "networks", "network") as bar,
    ):
        for one in done:
            found.append(one)
            bar.update()
    paper, (_, _, of_sites), (curve, predictor, of_cells) = found
    variables = {}
    for place, predicted in (("site", of_sites), ("cell", of_cells)):
        variables[f"x_{place}"] = (("member", place, "parameter"), predicted.x.astype(np.float32))
        variables[f"extrapolated_{place}"] = (place, predicted.extrapolated)
    parameters = xr.Dataset(
        variables,
        coords={"parameter": list(predictor.table.names)},
        attrs={
            "study": study.label,
            "block_km": float(study["network_block_km"]),
            "comment": "x_site is of networks trained without the test sites of the paper's network, x_cell of "
            "networks trained on all sites.",
        },
    )
    return paper, HybridTraining(curve, predictor, parameters)


def _trained(
    job: tuple[str, NDArray[np.int64]] | None, study: Study, inputs: Inputs, data: TrainingData
) -> PaperResults | tuple[pd.DataFrame, Predictor, Prediction]:
    """The paper's network, or the hybrid trained on rows of `data`: curve, predictor, and its parameters at a place."""
    with ONE_AT_A_TIME:
        if job is None:
            return paper_results(study, inputs)
        (place, rows), plan, seed = job, hybrid_plan(study), study.seed_for(STAGE, "hybrid") % 2**31
        trained = trained_hybrid(data, rows, plan, seed, stacked_trees(data, rows, seed))
        notes = {"study": study.label, "seed": seed, "plan": plan._asdict(), "sites": int(rows.size)}
        predictor = Predictor(copied(trained.trainer.networks), trained.encoding, notes, trained.carbon)
        frame = inputs.site_covariates if place == "site" else inputs.cell_covariates
        cell = inputs.places.loc[inputs.places["place"] == place, "cell"]
        forcing = read_forcing(study.path("forcing.nc")).take(cell.to_numpy())
        return trained.curve, predictor, predictor(frame, forcing, f"covariates.parquet, {place}s")


def training_rows(split: NDArray, known: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of the training data that are no test sites of the paper's network."""
    return np.flatnonzero(np.isin(split[known], (TRAIN, VALIDATION)))
