"""The paper's network (Tao et al. 2020, section 2.5): from covariates to the parameters of the soil-carbon model.

Dense layers of 256, 512, 512 and 256 units with ReLU, each followed by dropout, and a linear output, trained by
Adadelta on the posterior means of the sites that pass the paper's filter.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.errors import InputError
from proda.learning import splits
from proda.learning.encoding import NUMBERS, Encoding
from proda.learning.predictor import NETWORK, STAGE, Prediction, Predictor, save_predictor
from proda.learning.scores import parameter_skill
from proda.learning.training_data import Inputs, true_parameters
from proda.model.parameters import PAPER_PARAMETERS
from proda.stage import progress_bar
from proda.study import Study

HIDDEN = (256, 512, 512, 256)


class PaperResults(NamedTuple):
    """Training and predictions of the paper's network, as its files hold them.

    `parameters` (network_parameters.parquet) has one row for every site, then one for every cell: `place`,
    `profile_id`, `site`, `cell`, `split`, `extrapolated` (covariates beyond their range at the training sites),
    `cwd_rescaled`, `clipped` (parameters set back to the inside of the cube), and a column a parameter, unit cube.
    """

    curve: pd.DataFrame  # training.csv: epoch, loss, validation_loss, kept
    parameters: pd.DataFrame
    skill: pd.DataFrame  # network_skill.csv, see `proda.learning.scores.parameter_skill`
    inputs: Inputs
    predictor: Predictor
    split: NDArray  # (n_sites,) str

    def at(self, place: str) -> pd.DataFrame:
        """The rows of all places of one kind, "site" or "cell"."""
        return self.parameters[self.parameters["place"] == place].reset_index(drop=True)


def paper_results(study: Study, inputs: Inputs, progress: bool = True) -> PaperResults:
    """Train the study's network of the paper and predict the parameters of all sites and cells.

    Targets are the posterior means of the sites that are used downstream; the others are predicted only.

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
    skill = parameter_skill(at_sites.x, split, inputs.x_mean, inputs.x_sd, true_parameters(study), at_cells.x)
    return PaperResults(curve, parameters, skill, inputs, predictor, split)


def trained_predictor(
    study: Study, inputs: Inputs, split: NDArray, progress: bool = True
) -> tuple[Predictor, pd.DataFrame]:
    """A predictor that was trained on the training sites of `split`, and its learning curve.

    Neither the weights nor, by default, the scaling depend on validation or test sites; validation sites decide which
    epoch's weights are kept (with network_weights = "best").
    """
    by_grid = inputs.cell_covariates if study["network_scaling"] == "grid" else None
    train = inputs.site_covariates[split == splits.TRAIN]
    encoding = Encoding.of(train, source="covariates.parquet, sites", scaled_by=by_grid)
    seed = study.seed_for(STAGE, "network") % 2**32
    network = paper_network(
        len(encoding.names), seed=seed, dropout=study["dropout"], learning_rate=study["learning_rate"]
    )
    numbers = encoding.encoded(inputs.site_covariates, "covariates.parquet, sites")[NUMBERS]
    training, validation = (
        (numbers[split == part], inputs.x_mean[split == part]) for part in (splits.TRAIN, splits.VALIDATION)
    )
    curve = fit(
        network,
        training,
        validation,
        epochs=study["epochs"],
        batch_size=study["batch_size"],
        kept_weights=study["network_weights"],
        progress=progress,
    )
    notes = {
        "study": study.label,
        "fingerprint": study.fingerprints()[STAGE],
        "seed": seed,
        "hidden": list(HIDDEN),
        "kept_epoch": int(curve.loc[curve["kept"], "epoch"].iloc[0]),
        "sites": splits.sizes(split),
    }
    return Predictor(network, encoding, notes), curve


def write_paper_results(results: PaperResults, folder: Path) -> None:
    """Write network.keras, network.json, training.csv, network_skill.csv and network_parameters.parquet."""
    save_predictor(results.predictor, folder, NETWORK)
    results.curve.to_csv(folder / "training.csv", index=False)
    results.skill.to_csv(folder / "network_skill.csv", index=False)
    results.parameters.to_parquet(folder / "network_parameters.parquet", index=False)


def paper_network(
    n_covariates: int,
    n_parameters: int = len(PAPER_PARAMETERS),
    *,
    seed: int,
    hidden: Sequence[int] = HIDDEN,
    dropout: float = 0.2,
    learning_rate: float = 1.0,
) -> keras.Model:
    """An untrained network with reproducible weights, compiled for the mean squared error.

    The output is clipped to the unit cube only where it is used: a clipped output has no gradient and would stop
    learning.

    Parameters
    ----------
    n_covariates, n_parameters : int
        Width of input and output.
    seed : int
        Sets the generators of Python, NumPy and Keras: weights, dropout and the order of the batches follow from it.
    dropout : float
        Part of the units silenced in each training step, 0 to 1.
    learning_rate : float
        Of Adadelta. Its inventor's and older Keras' value is 1.0; with the 0.001 of Keras 3 nothing is learnt here.
    """
    keras.utils.set_random_seed(seed)
    layers: list[Any] = [keras.Input((n_covariates,), name=NUMBERS)]
    for i, units in enumerate(hidden, start=1):
        layers += [
            keras.layers.Dense(units, activation="relu", name=f"hidden_{i}"),
            keras.layers.Dropout(dropout, name=f"dropout_{i}"),
        ]
    layers.append(keras.layers.Dense(n_parameters, name="parameters"))
    network = keras.Sequential(layers, name="proda")
    network.compile(optimizer=keras.optimizers.Adadelta(learning_rate=learning_rate), loss="mse")
    return network


def restart(network: keras.Model, untrained: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
    """Give a compiled network the values of an untrained one, and clear its optimiser but for the learning rate.

    One compiled program then serves many trainings, each the same as that of a new network.
    """
    # Also the states of the generators behind dropout; an untrained model has none of an optimiser.
    n = len(untrained.variables)
    for own, new in zip(network.variables[:n], untrained.variables, strict=True):
        own.assign(new)
    for variable in optimizer.variables:
        if "learning_rate" not in variable.path:
            variable.assign(np.zeros(variable.shape, variable.dtype))


def fit(
    network: keras.Model,
    training: tuple[NDArray, NDArray],
    validation: tuple[NDArray, NDArray],
    *,
    epochs: int,
    batch_size: int = 64,
    kept_weights: str = "best",
    patience: int | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train `network` in place and return its learning curve.

    Parameters
    ----------
    training, validation : (covariates (n, n_covariates), targets (n, n_parameters))
        Scaled covariates and parameters on the unit cube.
    kept_weights : "best" or "last"
        Which weights the network ends with: those of the epoch with the least validation loss, or the last ones.
    patience : int, optional
        With "best": stop once the validation loss has not fallen for this many epochs; never by default, as the paper.

    Returns
    -------
    DataFrame
        `epoch` (from 1), `loss` (training, with dropout at work), `validation_loss` (without), and `kept` (bool), true
        in the row of the epoch whose weights the network has.

    Raises
    ------
    InputError
        When a target is not a finite number in [0, 1], or the loss is no longer a finite number.
    """
    for part, (_, targets) in (("training", training), ("validation", validation)):
        bad = ~((targets >= 0.0) & (targets <= 1.0))
        if bad.any():
            row, column = (int(i[0]) for i in np.nonzero(bad))
            raise InputError(
                f"{part} target {column} of row {row} is {targets[row, column]:g}, expected 0 to 1: posterior means "
                "on the unit cube. A site whose chains failed must not be used downstream (site_status.csv)."
            )
    callbacks: list[keras.callbacks.Callback] = [Progress()] if progress else []
    if kept_weights == "best":
        # Patience as long as the training never stops early, it only brings the best weights back at the end.
        stopping = keras.callbacks.EarlyStopping("val_loss", patience=patience or epochs, restore_best_weights=True)
        callbacks.append(stopping)
    training, validation = (tuple(np.asarray(a, dtype=np.float32) for a in pair) for pair in (training, validation))
    history = network.fit(
        *training,
        validation_data=validation,
        epochs=epochs,
        batch_size=batch_size,
        verbose=0,
        callbacks=callbacks,
    ).history
    curve = pd.DataFrame({"loss": history["loss"], "validation_loss": history["val_loss"]})
    curve.insert(0, "epoch", np.arange(1, len(curve) + 1))
    if not np.isfinite(curve[["loss", "validation_loss"]].to_numpy()).all():
        first = int(curve.loc[~np.isfinite(curve["loss"] + curve["validation_loss"]), "epoch"].iloc[0])
        raise InputError(f"the loss is not a finite number from epoch {first}: try a smaller learning_rate.")
    kept = int(curve["validation_loss"].idxmin()) if kept_weights == "best" else len(curve) - 1
    return curve.assign(kept=np.arange(len(curve)) == kept)


class Progress(keras.callbacks.Callback):
    """One line of plain text, updated in place: epochs done, rate, time left and losses."""

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.bar = progress_bar(self.params["epochs"], "training", "epoch")

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        names = {"loss": "loss", "val_loss": "validation"}
        self.bar.set_postfix({name: f"{logs[key]:.4g}" for key, name in names.items() if key in logs}, refresh=False)
        self.bar.update()

    def on_train_end(self, logs: dict | None = None) -> None:
        self.bar.close()


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
