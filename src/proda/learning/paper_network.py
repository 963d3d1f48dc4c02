"""The paper's network (Tao et al. 2020, section 2.5), and networks that are saved and used with their covariates.

Dense layers of 256, 512, 512 and 256 units with ReLU, each followed by dropout, and a linear output, trained by
Adadelta on the posterior means of the sites that pass the paper's filter. A network is saved as two files that belong
together: ``.keras``, and ``.json`` with the covariates, their scaling and the ranges of the parameters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from pickle import UnpicklingError
from random import Random
from typing import Any, NamedTuple

import joblib
import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.errors import InputError, MissingOutput
from proda.learning.encoding import NUMBERS, Encoding
from proda.learning.scores import TRAIN, UNUSED, VALIDATION, parameter_skill, random_split
from proda.learning.training_data import Inputs, true_parameters
from proda.learning.trees import CarbonInputs
from proda.model.forcing import AnyForcing
from proda.model.parameters import INNER, ParameterTable, table_of, with_positive_cwd_share
from proda.study import Study

HIDDEN = (256, 512, 512, 256)
Dropout = float | tuple[float, ...]  # part of the units silenced in a step, of all hidden layers or of each
NETWORK, HYBRID = "network", "hybrid"  # names of the files without their endings
STAGE = "05-network-training"
BATCH = 1024  # places that are predicted at once


class Prediction(NamedTuple):
    """Parameters at n places; of an ensemble with its members as the first axis."""

    x: NDArray[np.float64]  # (n, d), unit cube, `INNER` from its faces, with a positive share for woody debris
    clipped: NDArray[np.bool_]  # like x: where the output lay nearer to a face of the cube, or beyond it
    cwd_rescaled: NDArray[np.bool_]  # (n,): where the input shares were scaled down (`with_positive_cwd_share`)
    extrapolated: NDArray[np.int64]  # (n,) covariates outside the range, or of another class, than at training sites


@dataclass(frozen=True)
class Predictor:
    """Predicts parameters from the covariates that the network was trained with, and refuses any others."""

    network: keras.Model  # output (b, n_parameters), or (b, n_members, n_parameters) of an ensemble
    encoding: Encoding
    notes: dict[str, Any] = field(default_factory=dict)  # about the training; kept in the .json file
    carbon: CarbonInputs | None = None  # what the hybrid takes beside the covariates

    @property
    def table(self) -> ParameterTable:
        """The parameters that are predicted."""
        return table_of(self.network.output_shape[-1])

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of the covariates, in the order of their table."""
        return self.encoding.names

    def __call__(
        self, frame: pd.DataFrame, forcing: AnyForcing | None = None, source: str = "covariates"
    ) -> Prediction:
        """Parameters at the places of `frame`, called `source` in errors; the hybrid needs their `forcing` as well.

        InputError when the covariates are others than the network's, in another order, or missing at some place, or
        when the forcing is not that of as many places.
        """
        self.encoding.check(frame, source)
        if self.carbon is not None and (forcing is None or forcing.n_columns != len(frame)):
            found = "none" if forcing is None else f"that of {forcing.n_columns} places"
            raise InputError(
                f"{source}: expected the forcing of the {len(frame)} places, found {found}: the parameters of the "
                "hybrid depend on it. Call predictor(frame, forcing) with that of the soil model's run, for cells "
                "of a study proda.data.read_forcing(study.path('forcing.nc')).take(cells)."
            )
        raw = self.output(frame, forcing)
        x, rescaled = with_positive_cwd_share(np.clip(raw, INNER, 1.0 - INNER).reshape(-1, raw.shape[-1]))
        clipped = (raw < INNER - 1e-6) | (raw > 1.0 - INNER + 1e-6)
        return Prediction(
            x.reshape(raw.shape), clipped, rescaled.reshape(raw.shape[:-1]), self.encoding.n_beyond(frame)
        )

    def output(self, frame: pd.DataFrame, forcing: AnyForcing | None) -> NDArray[np.float64]:
        """What the network gives at n places, (n, d), or (n_members, n, d) of an ensemble; nothing is checked."""
        encoded = self.encoding.encoded(frame)
        if self.carbon is not None:
            encoded = self.carbon.added(encoded, self.carbon.trees.at_depths(frame), forcing)
        return network_output(self.network, encoded)


def network_output(network: keras.Model, encoded: dict[str, NDArray]) -> NDArray[np.float64]:
    """What a network gives for `Encoding.encoded` of n places, (n, d), or (n_members, n, d) of an ensemble."""
    n = len(encoded[NUMBERS])
    rows = rows_of_batches(n, BATCH)
    inputs = [encoded[tensor.name][rows] for tensor in network.inputs]
    raw = network.predict(inputs if len(inputs) > 1 else inputs[0], batch_size=BATCH, verbose=0)[:n]
    return np.asarray(raw if raw.ndim == 2 else np.swapaxes(raw, 0, 1), dtype=np.float64)


def rows_of_batches(n: int, batch_size: int, seed: int | None = None) -> NDArray[np.int64]:
    """Rows 0 to n - 1, then some of them again until whole batches are full: one shape is one compilation."""
    more = -n % batch_size
    again = np.random.default_rng(seed).integers(0, n, more) if seed is not None else np.arange(more) % n
    return np.concatenate([np.arange(n), again])


def save_predictor(predictor: Predictor, folder: str | Path, name: str) -> None:
    """Write `name`.keras, .json and, if there are trees, `name`_trees.joblib; `name` is `NETWORK` or `HYBRID`."""
    folder = Path(folder)
    predictor.network.save(folder / f"{name}.keras")
    described = {**predictor.notes, "encoding": predictor.encoding.as_dict(), "trees": predictor.carbon is not None}
    described["parameters"] = _parameter_ranges(predictor.table)
    (folder / f"{name}.json").write_text(json.dumps(described, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    if predictor.carbon is not None:
        joblib.dump(predictor.carbon, folder / f"{name}_trees.joblib", compress=3)


def loaded_network(folder: str | Path) -> Predictor:
    """The paper's network saved in `folder`, usually a study folder; errors as of `loaded_predictor`."""
    return loaded_predictor(folder, NETWORK)


def loaded_hybrid(folder: str | Path) -> Predictor:
    """The ensemble of the hybrid saved in `folder`, usually a study folder; errors as of `loaded_predictor`."""
    return loaded_predictor(folder, HYBRID)


def loaded_predictor(folder: str | Path, name: str) -> Predictor:
    """The predictor that `save_predictor` wrote.

    MissingOutput when a file is not there; InputError when one cannot be read, or the parameters are not this
    package's.
    """
    network_file, description_file = (Path(folder) / f"{name}.{ending}" for ending in ("keras", "json"))
    for path in (network_file, description_file):
        if not path.is_file():
            raise MissingOutput(f"{path} does not exist: run the stage {STAGE} of this study, or name another folder.")
    try:
        network = keras.saving.load_model(network_file, compile=False)
        notes = json.loads(description_file.read_text(encoding="utf-8"))
        parameters, encoding = notes.pop("parameters"), Encoding.from_dict(notes.pop("encoding"))
        # Unpacked, since earlier versions wrote the trees alone.
        carbon = CarbonInputs(*joblib.load(Path(folder) / f"{name}_trees.joblib")) if notes.pop("trees") else None
    except (ValueError, OSError, KeyError, TypeError, AttributeError, ImportError, EOFError, UnpicklingError) as error:
        raise InputError(
            f"{network_file} and the files beside it are not a network of this version ({type(error).__name__}: "
            f"{error}): train it again."
        ) from error
    predictor = Predictor(network, encoding, notes, carbon)
    for row, expected in zip(parameters, _parameter_ranges(predictor.table), strict=False):
        if row != expected:
            raise InputError(
                f"{description_file}: a parameter is {row}, expected {expected}: the network's outputs would be read "
                "as other parameters or on another scale. Train it again with this version."
            )
    return predictor


def _parameter_ranges(table: ParameterTable) -> list[list[Any]]:
    """Name, unit, and the values of the table that are 0 and 1 on the unit cube."""
    return [[row.name, row.unit, row.minimum, row.maximum] for row in table.rows]


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
    predictor: Predictor  # trained on all sites in use, that of the map
    split: NDArray  # (n_sites,) str

    def at(self, place: str) -> pd.DataFrame:
        """The rows of all places of one kind, "site" or "cell"."""
        return self.parameters[self.parameters["place"] == place].reset_index(drop=True)


def paper_split(study: Study, inputs: Inputs) -> NDArray[np.object_]:
    """The paper's random split of the sites in use, (n_sites,) strings (`proda.learning.scores.random_split`)."""
    return random_split(inputs.used, study.seed_for(STAGE, "split"), study["test_share"], study["validation_share"])


def paper_results(study: Study, inputs: Inputs) -> PaperResults:
    """Train the paper's network on the sites in use downstream; predict the parameters of all sites and cells.

    Sites are predicted by the network that was trained on the training sites of the split, as in the paper. What is
    mapped and saved is trained on all sites in use, for as many epochs as that network kept.
    """
    split = paper_split(study, inputs)
    of_split, curve = trained_predictor(study, inputs, split)
    epochs = int(curve.loc[curve["kept"], "epoch"].iloc[0])
    everywhere = np.where(split == UNUSED, UNUSED, TRAIN).astype(object)
    predictor, _ = trained_predictor(study, inputs, everywhere, epochs)
    parts = []
    for place, frame, used in (("site", inputs.site_covariates, of_split), ("cell", inputs.cell_covariates, predictor)):
        found = used(frame, source=f"covariates.parquet, {place}s")
        about = inputs.places[inputs.places["place"] == place].assign(
            split=pd.array(split if place == "site" else [None] * len(frame), dtype="string"),
            extrapolated=found.extrapolated,
            cwd_rescaled=found.cwd_rescaled,
            clipped=found.clipped.sum(axis=1),
        )
        x = pd.DataFrame(found.x, columns=list(used.table.names))
        parts.append(pd.concat([about.reset_index(drop=True), x], axis=1))
    at_sites, at_cells = (part[list(predictor.table.names)].to_numpy() for part in parts)
    skill = parameter_skill(at_sites, split, inputs.x_mean, inputs.x_sd, true_parameters(study), at_cells)
    return PaperResults(curve, pd.concat(parts, ignore_index=True), skill, inputs, predictor, split)


def trained_predictor(
    study: Study, inputs: Inputs, split: NDArray, epochs: int | None = None
) -> tuple[Predictor, pd.DataFrame]:
    """A predictor trained on the training sites of `split`, and its curve; nothing depends on test sites.

    With `epochs` it is trained for as many, and the last weights are kept: no site is needed for validation.
    """
    by_grid = inputs.cell_covariates if study["network_scaling"] == "grid" else None
    encoding = Encoding.of(inputs.site_covariates[split == TRAIN], scaled_by=by_grid)
    seed = study.seed_for(STAGE, "network") % 2**32
    numbers = encoding.encoded(inputs.site_covariates)[NUMBERS]
    training, validation = ((numbers[split == part], inputs.x_mean[split == part]) for part in (TRAIN, VALIDATION))
    settings = paper_settings(study)
    if epochs is not None:
        settings |= {"epochs": epochs, "kept_weights": "last"}
        validation = tuple(values[: settings["batch_size"]] for values in training)
    network, curve = trained_network(training, validation, seed, **settings)
    notes = {
        "study": study.label,
        "seed": seed,
        "hidden": list(HIDDEN),
        "kept_epoch": int(curve.loc[curve["kept"], "epoch"].iloc[0]),
        "sites": pd.Series(split).value_counts().to_dict(),
    }
    return Predictor(copied(network), encoding, notes), curve


def joint_loss(x: Any, predicted: Any) -> Any:
    """The loss of the group's training program: mean squared error and mean absolute relative error."""
    ops = keras.ops
    return 500.0 * ops.mean((x - predicted) ** 2, axis=-1) + 5.0 * ops.mean(ops.abs(x - predicted) / x, axis=-1)


def paper_settings(study: Study) -> dict[str, Any]:
    """Keyword arguments of `trained_network` from the settings of a study."""
    names = ("epochs", "batch_size", "dropout", "learning_rate")
    return {name: study[name] for name in names} | {"kept_weights": study["network_weights"]}


def write_paper_results(results: PaperResults, folder: Path) -> None:
    """Write network.keras, network.json, training.csv, network_skill.csv and network_parameters.parquet."""
    save_predictor(results.predictor, folder, NETWORK)
    results.curve.to_csv(folder / "training.csv", index=False)
    results.skill.to_csv(folder / "network_skill.csv", index=False)
    results.parameters.to_parquet(folder / "network_parameters.parquet", index=False)


def trained_network(
    training: tuple[NDArray, NDArray],
    validation: tuple[NDArray, NDArray],
    seed: int,
    *,
    epochs: int,
    batch_size: int = 64,
    dropout: Dropout = 0.2,
    learning_rate: float = 1.0,
    loss: str | Callable = "mse",
    hidden: Sequence[int] = HIDDEN,
    kept_weights: str = "best",
    patience: int | None = None,
) -> tuple[keras.Model, pd.DataFrame]:
    """The paper's network, trained, and its learning curve; the network is trained anew at the next call.

    `training` and `validation` are scaled covariates (n, n_covariates) and targets (n, d) on the unit cube;
    `learning_rate` is that of Adadelta (with the 0.001 of Keras 3 instead of its inventor's 1.0 nothing is learnt
    here). `kept_weights` are those of the epoch with the least validation loss ("best", which stops after `patience`
    epochs without improvement if given) or the "last".

    The curve has `epoch` (from 1), `loss` (training, with dropout at work), `validation_loss` (without), and `kept`
    (bool), true in the row of the epoch whose weights the network has. InputError when the loss is no longer a finite
    number.
    """
    shape = training[0].shape[1], training[1].shape[1], tuple(hidden), dropout
    network = _compiled_network(*shape, batch_size, learning_rate, loss)
    restart(network, paper_network(*shape, seed), network.optimizer)
    keras.utils.set_random_seed(seed)  # of the order of the batches
    callbacks: list[keras.callbacks.Callback] = []
    if kept_weights == "best":
        # Patience as long as the training never stops early, it only brings the best weights back at the end.
        stopping = keras.callbacks.EarlyStopping("val_loss", patience=patience or epochs, restore_best_weights=True)
        callbacks.append(stopping)
    parts = []
    for part in (training, validation):
        rows = rows_of_batches(len(part[0]), batch_size, seed)
        parts.append(tuple(np.asarray(values, dtype=np.float32)[rows] for values in part))
    history = network.fit(
        *parts[0], validation_data=parts[1], epochs=epochs, batch_size=batch_size, verbose=0, callbacks=callbacks
    ).history
    curve = pd.DataFrame({"loss": history["loss"], "validation_loss": history["val_loss"]})
    curve.insert(0, "epoch", np.arange(1, len(curve) + 1))
    finite_loss(curve["loss"] + curve["validation_loss"], "try a smaller learning_rate.")
    kept = int(curve["validation_loss"].idxmin()) if kept_weights == "best" else len(curve) - 1
    return network, curve.assign(kept=np.arange(len(curve)) == kept)


def paper_network(
    n_covariates: int, n_parameters: int, hidden: Sequence[int], dropout: Dropout, seed: int
) -> keras.Model:
    """An untrained network; its output is clipped only where it is used, for a clipped output would stop learning."""
    keras.utils.set_random_seed(seed)
    seeds = layer_seeds(seed)
    layers: list[Any] = [keras.Input((n_covariates,), name=NUMBERS)]
    rates = np.broadcast_to(dropout, len(hidden))
    for i, (units, rate) in enumerate(zip(hidden, rates, strict=True), start=1):
        start = keras.initializers.GlorotUniform(next(seeds))
        layers += [
            keras.layers.Dense(units, activation="relu", kernel_initializer=start, name=f"hidden_{i}"),
            keras.layers.Dropout(float(rate), seed=next(seeds), name=f"dropout_{i}"),
        ]
    start = keras.initializers.GlorotUniform(next(seeds))
    output = keras.layers.Dense(n_parameters, kernel_initializer=start, name="parameters")
    return keras.Sequential([*layers, output], name="proda")


def layer_seeds(seed: int) -> Iterator[int]:
    """A seed for each layer; Keras would take them from the process's generator, from which Dask's threads draw too."""
    draws = Random(seed)
    while True:
        yield draws.randint(1, 10**9)


@lru_cache(maxsize=4)  # of `compared_networks`, by turns in each fold
def _compiled_network(
    n_covariates: int,
    n_parameters: int,
    hidden: tuple[int, ...],
    dropout: Dropout,
    batch_size: int,
    rate: float,
    loss: str | Callable,
) -> keras.Model:
    network = paper_network(n_covariates, n_parameters, hidden, dropout, seed=0)
    network.compile(optimizer=keras.optimizers.Adadelta(learning_rate=rate), loss=loss)
    # The first call draws random numbers that no training shall miss.
    nothing = np.zeros((batch_size, n_covariates)), np.ones((batch_size, n_parameters))
    network.fit(*nothing, validation_data=nothing, batch_size=batch_size, verbose=0)
    return network


def restart(network: keras.Model, untrained: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
    """Give a compiled network the values of an untrained one, and clear its optimiser but for the learning rate."""
    # Also the states of the generators behind dropout; an untrained model has none of an optimiser.
    n = len(untrained.variables)
    for own, new in zip(network.variables[:n], untrained.variables, strict=True):
        own.assign(new)
    for variable in optimizer.variables:
        if "learning_rate" not in variable.path:
            variable.assign(np.zeros(variable.shape, variable.dtype))


def copied(network: keras.Model) -> keras.Model:
    """A copy that the next training of `network` leaves as it is."""
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


def finite_loss(loss: pd.Series, remedy: str) -> None:
    """Refuse the losses of the epochs when one is no finite number."""
    if not np.isfinite(loss).all():
        raise InputError(f"the loss is not a finite number from epoch {np.argmin(np.isfinite(loss)) + 1}: {remedy}")
