"""The network of the paper in a study: trained on posterior means, its parameters everywhere, its skill."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd
from numpy.typing import NDArray

from proda.errors import InputError
from proda.learning import splits
from proda.learning.inputs import Inputs, true_parameters
from proda.learning.network import HIDDEN, fit, paper_network
from proda.learning.predictor import Prediction, Predictor, save_network
from proda.learning.scaling import MinMaxScaling
from proda.learning.skill import parameter_skill, with_truth
from proda.model.parameters import PAPER_PARAMETERS
from proda.study import Study

STAGE = "05-network-training"
SCALINGS = ("training", "grid")


class PaperResults(NamedTuple):
    """What becomes of the paper's network, as its files hold it.

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
    split : (n_sites,) str
    """

    curve: pd.DataFrame
    parameters: pd.DataFrame
    skill: pd.DataFrame
    inputs: Inputs
    predictor: Predictor
    split: NDArray

    @property
    def at_sites(self) -> pd.DataFrame:
        """The rows of the sites."""
        return self.parameters[self.parameters["place"] == "site"]

    @property
    def at_cells(self) -> pd.DataFrame:
        """The rows of the cells."""
        return self.parameters[self.parameters["place"] == "cell"].reset_index(drop=True)


def paper_results(study: Study, inputs: Inputs, progress: bool = True) -> PaperResults:
    """Train the study's network of the paper and predict the parameters of all sites and cells.

    Targets are the posterior means of the sites that are used downstream; the others teach nothing but are predicted.

    Raises
    ------
    InputError
        When a setting is not valid, or too few sites are used.
    """
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
    return PaperResults(curve, parameters, skill, inputs, predictor, split)


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


def write_paper_results(results: PaperResults, folder: Path) -> None:
    """Write network.keras, network.json, training.csv, network_skill.csv and network_parameters.parquet."""
    save_network(results.predictor, folder)
    results.curve.to_csv(folder / "training.csv", index=False)
    results.skill.to_csv(folder / "network_skill.csv", index=False)
    results.parameters.to_parquet(folder / "network_parameters.parquet", index=False)
