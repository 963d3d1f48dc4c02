"""The paper's network (Tao et al. 2020, section 2.5): from covariates to the parameters of the soil-carbon model."""

import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from proda.errors import InputError

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
