"""The paper's network (Tao et al. 2020, section 2.5): from covariates to the parameters of the soil-carbon model.

A network of Keras beside the JSON file that says what it is for: two files that belong together.

A trained network with all it needs to be used: its covariates, their scaling, its parameters. Saved as two files.

The network of the paper in a study: trained on posterior means, its parameters everywhere, its skill.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from proda.errors import InputError, MissingOutput, ProdaError
from proda.learning import splits
from proda.learning.encoding import MinMaxScaling
from proda.learning.scores import parameter_skill, with_truth
from proda.learning.training_data import Inputs, true_parameters
from proda.model.parameters import INNER, INS, PAPER_PARAMETERS, with_positive_cwd_share
from proda.study import Study

HIDDEN = (256, 512, 512, 256)
KEPT_WEIGHTS = ("best", "last")


def paper_network(
    n_covariates: int,
    n_parameters: int = 25,
    *,
    seed: int,
    hidden: Sequence[int] = HIDDEN,
    dropout: float = 0.2,
    learning_rate: float = 1.0,
) -> keras.Model:
    """An untrained network with reproducible weights, compiled for the mean squared error.

    Dense layers of 256, 512, 512 and 256 units with ReLU, each followed by dropout, and a linear output. The output is
    clipped to the unit cube only where it is used, not here: a clipped output has no gradient and would stop learning.

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
    layers: list[Any] = [keras.Input((n_covariates,), name="covariates")]
    for i, units in enumerate(hidden, start=1):
        layers += [
            keras.layers.Dense(units, activation="relu", name=f"hidden_{i}"),
            keras.layers.Dropout(dropout, name=f"dropout_{i}"),
        ]
    layers.append(keras.layers.Dense(n_parameters, name="parameters"))
    network = keras.Sequential(layers, name="proda")
    network.compile(optimizer=keras.optimizers.Adadelta(learning_rate=learning_rate), loss="mse")
    return network


class Progress(keras.callbacks.Callback):
    """One line of plain text, updated in place: epochs done, rate, time left and both losses.

    Plain `tqdm` on purpose: its notebook variant needs widgets, which an executed notebook's HTML does not have. At
    most twenty updates, seconds apart, keep the output of an executed notebook short.
    """

    def on_train_begin(self, logs: dict | None = None) -> None:
        epochs = self.params["epochs"]
        self.bar = tqdm(
            total=epochs,
            desc="training",
            unit="epoch",
            miniters=max(1, epochs // 20),
            mininterval=2.0,
            maxinterval=60.0,
            file=sys.stderr,
            ncols=100,
            ascii=True,
        )

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs = logs or {}
        names = {"loss": "loss", "val_loss": "validation"}
        shown = {name: f"{logs[key]:.4g}" for key, name in names.items() if key in logs}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update()

    def on_train_end(self, logs: dict | None = None) -> None:
        self.bar.close()


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
    epochs, batch_size : int
    kept_weights : "best" or "last"
        Which weights the network ends with: those of the epoch with the least validation loss, or the last ones.
    patience : int, optional
        With "best": stop once the validation loss has not fallen for this many epochs; never by default, as the paper.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    DataFrame
        `epoch` (from 1), `loss` (training, with dropout at work), `validation_loss` (without), and `kept` (bool), true
        in the row of the epoch whose weights the network has.

    Raises
    ------
    InputError
        When a target is not a finite number in [0, 1], a setting is not valid, or the loss is lost to NaN.
    """
    if kept_weights not in KEPT_WEIGHTS:
        raise InputError(f"kept_weights is {kept_weights!r}, expected one of: {', '.join(KEPT_WEIGHTS)}.")
    if epochs < 1 or batch_size < 1:
        raise InputError(f"epochs is {epochs} and batch_size {batch_size}, expected 1 or more of each.")
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
        callbacks.append(
            keras.callbacks.EarlyStopping("val_loss", patience=patience or epochs, restore_best_weights=True)
        )
    as_float32 = [tuple(np.asarray(a, dtype=np.float32) for a in pair) for pair in (training, validation)]
    history = network.fit(
        *as_float32[0],
        validation_data=as_float32[1],
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


TABLE = "parameter_table"
OF_PLACE = ("NPPmin/NPPmean of the place", "NPPmax/NPPmean of the place")


def write_described(
    network: keras.Model, description: Mapping[str, Any], folder: str | Path, network_file: str, description_file: str
) -> None:
    """Write both files into `folder`; the table of parameters that the outputs are positions in goes with them."""
    folder = Path(folder)
    network.save(folder / network_file)
    text = json.dumps({**description, TABLE: parameter_table()}, indent=1, allow_nan=False)
    (folder / description_file).write_text(text + "\n", encoding="utf-8")


def parameter_table() -> list[dict[str, Any]]:
    """Name, unit and range of every parameter; a range that is each place's own is told in words.

    What a network gives is a position between `minimum` (0) and `maximum` (1).
    """
    rows: list[dict[str, Any]] = []
    for at, row in enumerate(PAPER_PARAMETERS.rows):
        low, high = OF_PLACE if at == INS else (row.minimum, row.maximum)
        rows.append({"name": row.name, "unit": row.unit, "minimum": low, "maximum": high})
    return rows


@contextmanager
def described_network(
    folder: str | Path, network_file: str, description_file: str
) -> Iterator[tuple[keras.Model, dict[str, Any]]]:
    """The network and its description, which the block reads; what it does not find there is told as an error of it.

    Raises
    ------
    MissingOutput
        When one of the two files is not there.
    InputError
        When one cannot be read, or the description lacks what the block looks for.
    """
    folder = Path(folder)
    for name in (network_file, description_file):
        if not (folder / name).is_file():
            raise MissingOutput(
                f"{folder / name} does not exist: run the stage 05-network-training of this study, or name the folder "
                "of a study that has run it."
            )
    try:
        network = keras.saving.load_model(folder / network_file, compile=False)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise InputError(f"{folder / network_file} is not a network that Keras can load: {error}") from error
    try:
        description = json.loads((folder / description_file).read_text(encoding="utf-8"))
        check_ranges(description.pop(TABLE), folder / description_file)
        yield network, description
    except ProdaError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder / description_file} does not describe a network ({type(error).__name__}: {error}); expected what "
            "this package writes beside it. Train the network again."
        ) from error


def check_ranges(told: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Raise `InputError` unless the ranges that a network was trained with are this package's."""
    known = {row["name"]: row for row in parameter_table()}
    for row in told:
        expected = known.get(row["name"])
        # Other names are told by `check_parameters`, which knows their order too.
        if expected is not None and dict(row) != expected:
            was, now = ("{minimum} to {maximum} {unit}".format(**each) for each in (row, expected))
            raise InputError(
                f"{path}: the range of {row['name']} is {was}, expected {now}: the network's parameters would be "
                "read on another scale than they were learnt on. Train it again with this version."
            )


def check_parameters(parameters: Sequence[str], path: Path) -> None:
    """Raise `InputError` unless a network tells the parameters of this package's table, in its order."""
    if tuple(parameters) != PAPER_PARAMETERS.names:
        raise InputError(
            f"{path}: parameters are {', '.join(parameters)}; expected {', '.join(PAPER_PARAMETERS.names)}, in this "
            "order. Train it again with this version."
        )


NETWORK_FILE, DESCRIPTION_FILE = "network.keras", "network.json"


class Prediction(NamedTuple):
    """Parameters at n places, with what was done to them and how far they are to be trusted.

    Attributes
    ----------
    x : (n, n_parameters)
        On the unit cube, `INNER` from its faces, with a positive share of the input left to coarse woody debris.
    clipped : (n, n_parameters) bool
        Where the network's linear output lay nearer to a face of the cube, or beyond it, and was set to that distance.
    cwd_rescaled : (n,) bool
        Where the three input shares had to be scaled down (`proda.model.parameters`).
    extrapolated : (n,) int
        Number of covariates outside the range of the training sites.
    """

    x: NDArray[np.float64]
    clipped: NDArray[np.bool_]
    cwd_rescaled: NDArray[np.bool_]
    extrapolated: NDArray[np.int64]


@dataclass(frozen=True)
class Predictor:
    """Covariates in their own units in, parameters on the unit cube out.

    Attributes
    ----------
    network : keras.Model
    scaling : MinMaxScaling
        What the network's input was scaled with.
    training_range : MinMaxScaling
        The range of the covariates at the training sites; beyond it a prediction is an extrapolation.
    parameters : tuple of str
    notes : dict
        Whatever else is to be known about the training; kept in network.json.
    """

    network: keras.Model
    scaling: MinMaxScaling
    training_range: MinMaxScaling
    parameters: tuple[str, ...] = PAPER_PARAMETERS.names
    notes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expected = (len(self.scaling.names), len(self.parameters))
        found = (self.network.input_shape[-1], self.network.output_shape[-1])
        if found != expected:
            raise InputError(
                f"the network takes {found[0]} covariates and gives {found[1]} parameters, its description names "
                f"{expected[0]} and {expected[1]}: {NETWORK_FILE} and {DESCRIPTION_FILE} do not belong together."
            )

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of the covariates, in the order the network takes them."""
        return self.scaling.names

    def __call__(self, frame: pd.DataFrame, source: str = "covariates") -> Prediction:
        """Parameters at the places of `frame`.

        Parameters
        ----------
        frame : (n, n_covariates) DataFrame
            The network's covariates, all of them, in its order, without gaps.
        source : str
            What to call the table in an error.

        Raises
        ------
        InputError
            When the covariates are others, in another order, or missing at some place.
        """
        scaled = self.scaling.scaled(frame, source)
        raw = np.asarray(self.network.predict(scaled, batch_size=4096, verbose=0), dtype=np.float64)
        x, rescaled = with_positive_cwd_share(np.clip(raw, INNER, 1.0 - INNER))
        beyond = self.training_range.n_beyond(frame, source)
        return Prediction(x, (raw < INNER) | (raw > 1.0 - INNER), rescaled, beyond)


def save_network(predictor: Predictor, folder: str | Path) -> None:
    """Write network.keras and network.json into `folder`."""
    description = {
        **predictor.notes,
        "parameters": list(predictor.parameters),
        "covariates": list(predictor.covariates),
        "scaling": predictor.scaling.as_dict(),
        "training_range": predictor.training_range.as_dict(),
    }
    write_described(predictor.network, description, folder, NETWORK_FILE, DESCRIPTION_FILE)


def loaded_network(folder: str | Path) -> Predictor:
    """The predictor saved in `folder`, usually a study folder.

    Raises
    ------
    MissingOutput
        When one of the two files is not there.
    InputError
        When a file cannot be read, the two do not belong together, or the parameters are not this package's.
    """
    with described_network(folder, NETWORK_FILE, DESCRIPTION_FILE) as (network, notes):
        names = tuple(notes.pop("covariates"))
        scaling, training_range = (_scaling(names, notes.pop(key)) for key in ("scaling", "training_range"))
        parameters = tuple(notes.pop("parameters"))
    check_parameters(parameters, Path(folder) / DESCRIPTION_FILE)
    return Predictor(network, scaling, training_range, parameters, notes)


def _scaling(names: Sequence[str], ranges: dict[str, list[float]]) -> MinMaxScaling:
    low, high = (np.array(ranges[key], dtype=np.float64) for key in ("minimum", "maximum"))
    if not low.shape == high.shape == (len(names),):
        raise ValueError(f"{low.size} minima and {high.size} maxima for {len(names)} covariates")
    return MinMaxScaling(tuple(names), low, high)


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
        network_skill.csv: one row a parameter, see `proda.learning.scores`.
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
