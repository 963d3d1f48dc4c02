"""The stage: from the posteriors of the sites to parameters everywhere."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from proda.assimilation.workers import n_workers
from proda.data.profiles import read_profiles
from proda.errors import InputError
from proda.learning import splits
from proda.learning.comparison import FoldPlan, compared_methods, comparison_table
from proda.learning.folds import block_of_place
from proda.learning.hybrid_training import (
    HybridTraining,
    hybrid_plan,
    taught_rows,
    trained_hybrid,
    with_error_on_blocks,
    write_hybrid,
)
from proda.learning.inputs import Inputs, network_inputs, true_parameters
from proda.learning.material import learning_material
from proda.learning.methods import Material, Plans
from proda.learning.network import HIDDEN, fit, paper_network
from proda.learning.predictor import Prediction, Predictor, save_network
from proda.learning.scaling import MinMaxScaling
from proda.learning.skill import parameter_skill, with_truth
from proda.learning.two_step import TwoStepPlan
from proda.model.parameters import PAPER_PARAMETERS
from proda.study import Study

STAGE = "05-network-training"
SCALINGS = ("training", "grid")
PATIENCE = 25
MOST_PROCESSES = 4  # each holds JAX and the material, a gigabyte
ASSIMILATED, FILTERED = "all assimilated", "efficiency >= 0"


class NetworkTraining(NamedTuple):
    """What the stage leaves behind, as its files hold it.

    Attributes
    ----------
    curve : DataFrame
        training.csv: `epoch`, `loss`, `validation_loss`, `kept`.
    parameters : DataFrame
        network_parameters.parquet: one row for every site, then one for every cell: `place`, `profile_id`, `site`,
        `cell`, `split`, `extrapolated` (covariates beyond their range at the training sites), `cwd_rescaled`, `clipped`
        (parameters set back to the inside of the cube), and one column a parameter on the unit cube.
    skill : DataFrame
        network_skill.csv: one row a parameter, see `proda.learning.skill`.
    inputs : Inputs
    predictor : Predictor
    compared : Dataset
        folds.nc: every method on sites that it had not seen (`proda.learning.comparison`).
    hybrid : HybridTraining
        See `proda.learning.hybrid_training`.
    material : Material
        What there was to learn from.
    """

    curve: pd.DataFrame
    parameters: pd.DataFrame
    skill: pd.DataFrame
    inputs: Inputs
    predictor: Predictor
    compared: xr.Dataset
    hybrid: HybridTraining
    material: Material

    @property
    def at_sites(self) -> pd.DataFrame:
        """The rows of the sites."""
        return self.parameters[self.parameters["place"] == "site"]

    @property
    def at_cells(self) -> pd.DataFrame:
        """The rows of the cells."""
        return self.parameters[self.parameters["place"] == "cell"].reset_index(drop=True)


def network_training(study: Study, progress: bool = True) -> NetworkTraining:
    """Train the study's network, predict the parameters of all sites and cells, and write the stage's files.

    Writes network.keras, network.json, training.csv, network_parameters.parquet and network_skill.csv. Targets are the
    posterior means of the sites that are used downstream; the other sites teach nothing but are predicted too. Then
    compares methods on withheld sites and blocks (folds.nc, network_scores.csv) and trains the hybrid (hybrid.keras,
    hybrid.json, hybrid_training.csv, hybrid_parameters.nc).

    Settings: test_share, validation_share, epochs, batch_size, dropout, learning_rate; network_scaling, "training"
    (default: ranges of the training sites) or "grid" (the paper's: ranges of all cells); network_weights, "best"
    (default: the epoch with the least validation loss) or "last"; network_folds, network_block_km, hybrid_members,
    hybrid_epochs, hybrid_prior_weight.

    Raises
    ------
    MissingOutput
        When an earlier stage has not been run or is stale.
    InputError
        When tables disagree, a covariate is missing somewhere, or a setting is not valid.
    """
    with study.stage(STAGE) as folder:
        inputs = network_inputs(study)
        seed = study.seed_for(STAGE, "split")
        split = splits.random_split(inputs.used, seed, study["test_share"], study["validation_share"])
        predictor, curve = trained_predictor(study, inputs, split, progress)
        at_sites = predictor(inputs.site_covariates, "covariates.parquet, sites")
        at_cells = predictor(inputs.cell_covariates, "covariates.parquet, cells")
        parameters = _parameter_table(inputs.places, split, at_sites, at_cells)
        skill = parameter_skill(at_sites.x, split, inputs.x_mean, inputs.x_sd)
        truth = true_parameters(study)
        if truth is not None:
            skill = with_truth(skill, split, at_sites.x, at_cells.x, inputs.x_mean, truth.x_site, truth.x_cell)
        _write(folder, predictor, curve, parameters, skill)
        material, known = learning_material(study, inputs)
        places = read_profiles(study.path("profiles.parquet")).iloc[known]
        lon, lat, cell = (places[name].to_numpy() for name in ("lon", "lat", "cell"))
        plan = FoldPlan(
            study["network_folds"], study["network_block_km"], study.seed_for(STAGE, "folds") % 2**31,
            min(n_workers(), MOST_PROCESSES),
        )  # fmt: skip
        compared = compared_methods(material, lon, lat, method_plans(study, known.size), plan, progress)
        taught = taught_rows(split, known)
        hybrid = trained_hybrid(study, inputs, material, taught, study.seed_for(STAGE, "hybrid") % 2**31, progress)
        block = block_of_place(lon, lat, study["network_block_km"])
        hybrid = with_error_on_blocks(hybrid, compared, cell, block, plan.seed)
        write_hybrid(hybrid, folder)
        compared.assign_coords(site=known).to_netcdf(folder / "folds.nc")
        method_scores(compared, material.used).to_csv(folder / "network_scores.csv", index=False)
    return NetworkTraining(curve, parameters, skill, inputs, predictor, compared, hybrid, material)


def method_plans(study: Study, n_sites: int) -> Plans:
    """How the compared networks are trained, from the study's settings.

    The paper's network is stopped in the folds when it has not improved for `PATIENCE` epochs.
    """
    paper = {name: study[name] for name in ("epochs", "batch_size", "validation_share", "dropout", "learning_rate")} | {
        "kept_weights": study["network_weights"],
        "patience": PATIENCE,
    }
    return Plans(paper, TwoStepPlan(n_members=study["hybrid_members"]), hybrid_plan(study, n_sites))


def method_scores(compared: xr.Dataset, used: NDArray) -> pd.DataFrame:
    """Scores of all methods (`comparison_table`) on all sites and on those that pass the paper's filter, in `sites`."""
    parts = {ASSIMILATED: None, FILTERED: used}
    return pd.concat(
        [comparison_table(compared, rows).assign(sites=name) for name, rows in parts.items()], ignore_index=True
    )


def trained_predictor(
    study: Study, inputs: Inputs, split: NDArray, progress: bool = True
) -> tuple[Predictor, pd.DataFrame]:
    """A predictor that has learnt from the training sites of `split` only, and its learning curve.

    Neither the weights nor, by default, the scaling have seen a validation or test site; validation sites decide which
    epoch's weights are kept (with network_weights = "best").
    """
    choice = study.settings.get("network_scaling", SCALINGS[0])
    if choice not in SCALINGS:
        raise InputError(f"network_scaling is {choice!r}, expected one of: {', '.join(SCALINGS)}.")
    training_range = MinMaxScaling.of(inputs.site_covariates[split == splits.TRAIN], "covariates.parquet, sites")
    scaling = training_range if choice == "training" else MinMaxScaling.of(inputs.cell_covariates)
    seed = study.seed_for(STAGE, "network") % 2**32
    network = paper_network(
        len(scaling.names),
        len(PAPER_PARAMETERS),
        seed=seed,
        dropout=study["dropout"],
        learning_rate=study["learning_rate"],
    )
    scaled = scaling.scaled(inputs.site_covariates, "covariates.parquet, sites")
    training, validation = (
        (scaled[split == part], inputs.x_mean[split == part]) for part in (splits.TRAIN, splits.VALIDATION)
    )
    curve = fit(
        network,
        training,
        validation,
        epochs=study["epochs"],
        batch_size=study["batch_size"],
        kept_weights=study.settings.get("network_weights", "best"),
        progress=progress,
    )
    notes = {
        "study": study.label,
        "fingerprint": study.fingerprints()[STAGE],
        "seed": seed,
        "hidden": list(HIDDEN),
        "scaled_by": choice,
        "kept_epoch": int(curve.loc[curve["kept"], "epoch"].iloc[0]),
        "sites": splits.sizes(split),
    }
    return Predictor(network, scaling, training_range, PAPER_PARAMETERS.names, notes), curve


def _parameter_table(places: pd.DataFrame, split: NDArray, at_sites: Prediction, at_cells: Prediction) -> pd.DataFrame:
    parts = []
    for place, part, prediction in (("site", split, at_sites), ("cell", None, at_cells)):
        keys = places[places["place"] == place].reset_index(drop=True)
        about = keys.assign(
            split=pd.array(part if part is not None else [None] * len(keys), dtype="string"),
            extrapolated=prediction.extrapolated,
            cwd_rescaled=prediction.cwd_rescaled,
            clipped=prediction.clipped.sum(axis=1),
        )
        parts.append(pd.concat([about, pd.DataFrame(prediction.x, columns=list(PAPER_PARAMETERS.names))], axis=1))
    return pd.concat(parts, ignore_index=True)


def _write(
    folder: Path, predictor: Predictor, curve: pd.DataFrame, parameters: pd.DataFrame, skill: pd.DataFrame
) -> None:
    save_network(predictor, folder)
    curve.to_csv(folder / "training.csv", index=False)
    skill.to_csv(folder / "network_skill.csv", index=False)
    parameters.to_parquet(folder / "network_parameters.parquet", index=False)
