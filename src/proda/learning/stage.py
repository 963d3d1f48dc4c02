"""The stage: from the posteriors of the sites to parameters everywhere, and what that is worth on unseen land."""

from typing import NamedTuple

import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from proda.assimilation.chains import n_workers
from proda.data.tables import read_profiles
from proda.learning.cross_validation import PAPER_NETWORK, FoldPlan, TrainingConfig, compared_methods, comparison_table
from proda.learning.ensemble import TwoStepPlan
from proda.learning.hybrid_training import (
    HybridTraining,
    hybrid_plan,
    trained_hybrid,
    training_rows,
    with_error_on_blocks,
    write_hybrid,
)
from proda.learning.paper_network import STAGE, PaperResults, paper_results, write_paper_results
from proda.learning.scores import with_folds
from proda.learning.splits import ASSIMILATED, KINDS, USED, block_of_place
from proda.learning.training_data import TrainingData, network_inputs, study_training_data
from proda.study import Study

PATIENCE = 25
MOST_PROCESSES = 4  # each holds JAX and the material, a gigabyte


class NetworkTraining(NamedTuple):
    """What the stage leaves behind, as its files hold it.

    Attributes
    ----------
    paper : PaperResults
        The paper's network (`proda.learning.paper_network`).
    compared : Dataset
        folds.nc: every method on sites that it had not seen (`proda.learning.cross_validation`); `site` is the study's.
    hybrid : HybridTraining
        See `proda.learning.hybrid_training`.
    material : TrainingData
        What there was to learn from: the sites of `compared`.
    """

    paper: PaperResults
    compared: xr.Dataset
    hybrid: HybridTraining
    material: TrainingData


def network_training(study: Study, progress: bool = True) -> NetworkTraining:
    """Train the study's networks, predict the parameters of all sites and cells, and write the stage's files.

    Writes the files of the paper's network (`write_paper_results`); compares methods on withheld sites and blocks
    (folds.nc, network_scores.csv); trains the hybrid (`write_hybrid`).

    Settings: test_share, validation_share, epochs, batch_size, dropout, learning_rate; network_scaling, "training"
    (default: ranges of the training sites) or "grid" (the paper's: ranges of all cells); network_weights, "best"
    (default: the epoch with the least validation loss) or "last"; network_folds, network_block_km, hybrid_members,
    hybrid_epochs, hybrid_prior_weight, hybrid_distillation_share.

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
        material, known = study_training_data(study, inputs)
        places = read_profiles(study.path("profiles.parquet")).iloc[known]
        lon, lat, cell = (places[name].to_numpy() for name in ("lon", "lat", "cell"))
        plan = fold_plan(study)
        compared = compared_methods(material, lon, lat, method_plans(study, known.size), plan, progress)
        compared = compared.assign_coords(site=known)
        # Of the sites that pass the filter, as the other correlations beside them.
        held_out = {kind: compared["x"].sel(approach=PAPER_NETWORK, kind=kind)[material.used].values for kind in KINDS}
        paper = paper._replace(skill=with_folds(paper.skill, held_out, material.x_mean[material.used]))
        write_paper_results(paper, folder)
        compared.to_netcdf(folder / "folds.nc")
        method_scores(compared, material.used).to_csv(folder / "network_scores.csv", index=False)
        seed = study.seed_for(STAGE, "hybrid") % 2**31
        hybrid = trained_hybrid(study, inputs, material, training_rows(paper.split, known), seed, progress)
        block = block_of_place(lon, lat, study["network_block_km"])
        hybrid = with_error_on_blocks(hybrid, compared, cell, block, plan.seed)
        write_hybrid(hybrid, folder)
    return NetworkTraining(paper, compared, hybrid, material)


def fold_plan(study: Study) -> FoldPlan:
    """Of the study's settings, in as many processes as there are cores, but no more than `MOST_PROCESSES`."""
    # Drawn anew when the hybrid and the trees had got their present form: earlier folds had a say in that.
    seed = study.seed_for(STAGE, "folds drawn after the trees were tuned") % 2**31
    return FoldPlan(study["network_folds"], study["network_block_km"], seed, min(n_workers(), MOST_PROCESSES))


def method_plans(study: Study, n_sites: int) -> TrainingConfig:
    """How the compared networks are trained, from the study's settings.

    The paper's network is stopped in the folds when it has not improved for `PATIENCE` epochs.
    """
    paper = {name: study[name] for name in ("epochs", "batch_size", "validation_share", "dropout", "learning_rate")} | {
        "kept_weights": study["network_weights"],
        "patience": PATIENCE,
    }
    return TrainingConfig(paper, TwoStepPlan(n_members=study["hybrid_members"]), hybrid_plan(study, n_sites))


def method_scores(compared: xr.Dataset, used: NDArray) -> pd.DataFrame:
    """Scores of all methods (`comparison_table`) on all sites and on those that pass the paper's filter, in `sites`."""
    parts = {ASSIMILATED: None, USED: used}
    return pd.concat(
        [comparison_table(compared, rows).assign(sites=name) for name, rows in parts.items()], ignore_index=True
    )
