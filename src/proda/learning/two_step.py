"""The ensemble taught by the posteriors of the sites: the paper's two steps, with a modern network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
from keras import ops
from numpy.typing import NDArray

from proda.learning.encoding import Shape
from proda.learning.parameter_networks import parameter_networks, rows_of_batches, start_again


class TwoStepPlan(NamedTuple):
    """How the ensemble is trained: AdamW, stopped when the validation loss has not fallen for `patience` epochs."""

    n_members: int = 4
    epochs: int = 60
    patience: int = 8
    batch_size: int = 256
    learning_rate: float = 1e-3
    dropout: float = 0.2
    weight_decay: float = 1e-3
    validation_share: float = 0.1


def posterior_loss(targets, x):
    """Weighted squared distance of parameters (b, k, 25) to (b, 25, 2) means and weights, the mean over members."""
    error = x - targets[:, None, :, 0]
    return ops.mean(targets[:, None, :, 1] * error * error)


class TwoStepTrainer:
    """Networks and optimiser, compiled once and taught as often as wanted, each time from new weights.

    Parameters
    ----------
    shape : Shape
        Of the covariates (`Encoding.shape`): what all trainings share.
    plan : TwoStepPlan
    """

    def __init__(self, shape: Shape, plan: TwoStepPlan) -> None:
        self.shape, self.plan = shape, plan
        self.networks = self._untrained(0)
        optimizer = keras.optimizers.AdamW(plan.learning_rate, weight_decay=plan.weight_decay, clipnorm=1.0)
        self.networks.compile(optimizer, loss=posterior_loss)
        # The first call compiles, and draws random numbers that no training shall miss.
        n = plan.batch_size
        blank = {tensor.name: np.zeros((n, *tensor.shape[1:]), tensor.dtype) for tensor in self.networks.inputs}
        self.networks.fit(blank, np.zeros((n, self.networks.output_shape[-1], 2), np.float32), batch_size=n, verbose=0)

    def _untrained(self, seed: int) -> keras.Model:
        return parameter_networks(self.shape, self.plan.n_members, seed, dropout=self.plan.dropout)

    def taught(self, encoded: Mapping[str, NDArray], targets: NDArray, seed: int) -> pd.DataFrame:
        """Teach `networks` anew the targets of sites; they end with the weights of the best epoch.

        Parameters
        ----------
        encoded : dict
            `Encoding.encoded` of the sites.
        targets : (n, 25, 2)
            Means and weights (`proda.learning.targets`).

        Returns
        -------
        DataFrame
            `epoch`, `loss`, `validation_loss`.
        """
        plan = self.plan
        start_again(self.networks, self._untrained(seed))
        order = np.random.default_rng(seed).permutation(len(targets))
        n_validation = max(1, round(plan.validation_share * len(targets)))
        validation, training = (
            rows[rows_of_batches(rows.size, plan.batch_size, seed)]
            for rows in (order[:n_validation], order[n_validation:])
        )
        wanted = {tensor.name for tensor in self.networks.inputs}
        inputs = {name: values for name, values in encoded.items() if name in wanted}
        history = self.networks.fit(
            {name: values[training] for name, values in inputs.items()},
            targets[training],
            validation_data=({name: values[validation] for name, values in inputs.items()}, targets[validation]),
            batch_size=plan.batch_size,
            epochs=plan.epochs,
            verbose=0,
            callbacks=[keras.callbacks.EarlyStopping("val_loss", patience=plan.patience, restore_best_weights=True)],
        ).history
        curve = pd.DataFrame({"loss": history["loss"], "validation_loss": history["val_loss"]})
        curve.insert(0, "epoch", np.arange(1, len(curve) + 1))
        return curve
