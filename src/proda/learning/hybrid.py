"""The hybrid: networks whose parameters go through the soil-carbon model, with the loss on carbon itself.

The paper's network is trained on the mean of each site's posterior, one parameter at a time; carbon at the mean of the
parameters is not the mean of carbon, and most parameters of one profile are hardly constrained. Here the loss is on the
carbon of the layers, as in biogeochemistry-informed neural networks (Xu et al. 2025, arXiv:2502.00672): its gradient
goes through the steady state, in one compiled step for all members of the ensemble. A prior term holds the parameters
near the posterior means of their sites. Members have classes embedded and a sigmoid onto the prior box at their end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import keras
import numpy as np
import pandas as pd
from keras import ops
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.learning.encoding import CLASSES, NUMBERS, UNKNOWN, Shape
from proda.learning.paper_network import Progress, restart
from proda.learning.predictor import rows_of_batches
from proda.learning.soil_layer import NodeCarbon, SoilCarbon
from proda.learning.training_data import ObservedSites
from proda.model.parameters import INNER, PAPER_PARAMETERS, prior_sd

ABSENT = -1.0  # in place of an observation where a site has fewer layers
SOC, PARAMETERS = "soc", "parameters"
WIDEST_EMBEDDING = 6
LIMITS = (-0.5, 1.5)  # of scaled numbers: how far a covariate lies outside the training range is not used beyond these
# Posteriors of two profiles at one place differ: a target is never surer than sites differ from one another, as a part
# of the prior's variance (a choice; it only caps the weights).
BETWEEN_SITES = 0.25


class HybridPlan(NamedTuple):
    """How the ensemble is trained, by AdamW."""

    n_members: int = 4
    epochs: int = 70
    batch_size: int = 256  # fewer where an epoch would have less than thirty steps (`proda.learning.distillation`)
    learning_rate: float = 4e-3  # at its greatest: it rises in the first tenth of the epochs, then falls as a cosine
    huber_delta: float = 60.0  # kg C m-3: beyond it the loss grows linearly, or organic layers would decide all else
    prior_weight: float = 300.0  # (kg C m-3)2, of the term towards the posterior means of the sites; 0 for none
    distillation_share: float = 0.85  # of the teacher ensemble in the target of a site's layer, 0 to 1
    n_bins: int = 16  # of every number (`proda.learning.encoding`)
    hidden: tuple[int, ...] = (256, 256, 256)  # units of the hidden layers of a member
    dropout: float = 0.0
    weight_decay: float = 1e-4
    soil_model: bool = True  # False: outputs are the carbon of layers, the control (`soil_layer.NodeCarbon`)

    def of_layers_alone(self) -> HybridPlan:
        """The plan without teachers: dropout, plain numbers and fewer steps keep the scatter of profiles out."""
        epochs = min(self.epochs, 30)
        return self._replace(distillation_share=0.0, n_bins=0, epochs=epochs, dropout=0.2, learning_rate=2e-3)


class HybridTrainer:
    """Networks, soil model and optimiser, compiled once and trained as often as wanted, each time from new weights.

    Parameters
    ----------
    shape : Shape
        Of the covariates (`Encoding.shape`): what all trainings share.
    n_layers : int
        Width of `ObservedSites`.
    plan : HybridPlan
    """

    def __init__(self, shape: Shape, n_layers: int, plan: HybridPlan) -> None:
        self.plan, self.shape = plan, shape
        self.networks = self._untrained(0)
        columns = {
            "forcing": keras.Input((24,), name="forcing"),
            "interval": keras.Input((n_layers,), name="interval", dtype="int32"),
            "weight": keras.Input((n_layers, 4), name="weight"),
        }
        of_networks = {tensor.name: tensor for tensor in self.networks.inputs}
        x = self.networks(list(of_networks.values()))
        with jax.enable_x64(True):
            carbon = SoilCarbon if plan.soil_model else NodeCarbon
            soc = carbon(name=SOC)([x, *columns.values()])
        named = keras.layers.Identity(name=PARAMETERS)(x)
        self.model = keras.Model({**of_networks, **columns}, {SOC: soc, PARAMETERS: named}, name="hybrid")
        optimizer = keras.optimizers.AdamW(plan.learning_rate, weight_decay=plan.weight_decay, clipnorm=1.0)
        self.model.compile(optimizer, loss={SOC: layer_loss(plan.huber_delta), PARAMETERS: posterior_loss})
        self._compile_with_nothing(n_layers)

    def train(
        self,
        encoded: Mapping[str, NDArray],
        sites: ObservedSites,
        seed: int,
        targets: NDArray | None = None,
        prior_weight: float | None = None,
        progress: bool = False,
    ) -> pd.DataFrame:
        """Train `networks` anew on these sites and return the learning curve: `epoch`, `loss`.

        Parameters
        ----------
        encoded : dict
            `Encoding.encoded` of the sites.
        sites : ObservedSites
            Layers that are not `present` do not count.
        targets : (n, 25, 2), optional
            Mean and weight of every parameter of every site for the prior term, as of `precision_targets`.
        prior_weight : float, optional
            Another than the plan's.

        Raises
        ------
        InputError
            When the loss is no longer a finite number.
        """
        plan = self.plan
        restart(self.networks, self._untrained(seed), self.model.optimizer)
        rows = rows_of_batches(sites.n_sites, plan.batch_size, seed)
        # What fills up the last batch does not count, and spares a compilation for a batch of another size.
        counts = (np.arange(rows.size) < sites.n_sites)[:, None]
        observed = np.where(counts & sites.present[rows], sites.soc[rows], ABSENT)
        prior_weight = plan.prior_weight if prior_weight is None else prior_weight
        if targets is None:
            targets = np.zeros((sites.n_sites, len(PAPER_PARAMETERS), 2), np.float32)
        # Within the targets, so that one compilation serves every weight.
        targets = targets * np.array([1.0, prior_weight], np.float32)
        inputs = {tensor.name: {**encoded, **sites.model_inputs}[tensor.name][rows] for tensor in self.model.inputs}
        rates = keras.callbacks.LearningRateScheduler(lambda epoch: rate_of_epoch(epoch, plan))
        with jax.enable_x64(True):
            history = self.model.fit(
                inputs,
                {SOC: observed, PARAMETERS: targets[rows]},
                batch_size=plan.batch_size,
                epochs=plan.epochs,
                verbose=0,
                callbacks=[rates, *([Progress()] if progress else [])],
            ).history
        loss = np.asarray(history["loss"])
        if not np.isfinite(loss).all():
            first = int(np.argmax(~np.isfinite(loss))) + 1
            raise InputError(
                f"the hybrid's loss is not a finite number from epoch {first}: look for a number that is missing or "
                "impossible in forcing.nc at a training site; if none is, take a smaller HybridPlan.learning_rate."
            )
        return pd.DataFrame({"epoch": np.arange(1, loss.size + 1), "loss": loss})

    def _compile_with_nothing(self, n_layers: int) -> None:
        """Train on one batch without observations: the first call draws random numbers that no training shall miss."""
        n = self.plan.batch_size
        blank = {tensor.name: np.zeros((n, *tensor.shape[1:]), tensor.dtype) for tensor in self.model.inputs}
        nothing = np.zeros((n, len(PAPER_PARAMETERS), 2), np.float32)
        with jax.enable_x64(True):
            observed = np.full((n, n_layers), ABSENT, np.float32)
            self.model.fit(blank, {SOC: observed, PARAMETERS: nothing}, batch_size=n, verbose=0)

    def _untrained(self, seed: int) -> keras.Model:
        plan = self.plan
        return parameter_networks(self.shape, plan.n_members, seed, plan.hidden, plan.dropout)


def rate_of_epoch(epoch: int, plan: HybridPlan) -> float:
    """Learning rate of an epoch (from 0): a linear rise, then half a cosine down to nearly zero."""
    rise = max(1, plan.epochs // 10)
    if epoch < rise:
        return plan.learning_rate * (epoch + 1) / rise
    done = (epoch - rise) / max(1, plan.epochs - rise)
    return plan.learning_rate * max(0.5 * (1.0 + np.cos(np.pi * done)), 0.01)


def layer_loss(delta: float) -> Any:
    """Huber's loss of the observed layers, the mean over layers and members; where `ABSENT` stands nothing counts."""

    def loss(observed: Any, modelled: Any) -> Any:
        present = ops.cast(observed >= 0.0, "float32")[:, None, :]
        error = ops.abs(present * (modelled - observed[:, None, :]))
        each = ops.where(error < delta, 0.5 * error * error, delta * (error - 0.5 * delta))
        return ops.sum(each) / ops.maximum(ops.sum(present) * modelled.shape[1], 1.0)

    return loss


def posterior_loss(targets: Any, x: Any) -> Any:
    """Weighted squared distance of parameters (b, k, 25) to (b, 25, 2) means and weights, the mean over members."""
    error = x - targets[:, None, :, 0]
    return ops.mean(targets[:, None, :, 1] * error * error)


def precision_targets(x_mean: ArrayLike, x_sd: ArrayLike) -> NDArray[np.float32]:
    """Posterior means, weighted by their precision, (n, 25, 2).

    The weight is 1/(s2 + v), with s2 the posterior variance and v the variance between sites (`BETWEEN_SITES` of the
    prior's), scaled to a mean of 1.

    Parameters
    ----------
    x_mean, x_sd : (n, 25)
        Posterior mean and standard deviation, unit cube.
    """
    weight = 1.0 / (np.asarray(x_sd) ** 2 + BETWEEN_SITES * prior_sd() ** 2)
    return np.stack([x_mean, weight / weight.mean()], axis=-1).astype(np.float32)


def equal_targets(x: ArrayLike) -> NDArray[np.float32]:
    """Parameters x (n, 25), all with weight 1, (n, 25, 2)."""
    return np.stack([x, np.ones_like(x)], axis=-1).astype(np.float32)


def parameter_networks(shape: Shape, n_members: int, seed: int, hidden: tuple[int, ...], dropout: float) -> keras.Model:
    """Untrained networks, inputs `numbers` and `classes` of `Encoding.encoded`, output (b, n_members, 25).

    The output is on the unit cube, `INNER` from its faces, and begins at the middle of the box.
    """
    keras.utils.set_random_seed(seed % 2**32)
    inputs = [keras.Input((shape.n_numbers,), name=NUMBERS)]
    if shape.class_sizes:
        inputs.append(keras.Input((len(shape.class_sizes),), name=CLASSES, dtype="int32"))
    members = [_member(inputs, shape, member, hidden, dropout) for member in range(n_members)]
    x = members[0] if n_members == 1 else keras.layers.Concatenate(axis=1, name="members")(members)
    return keras.Model(inputs, x, name="parameter_networks")


def _member(inputs: list[Any], shape: Shape, member: int, hidden: tuple[int, ...], dropout: float) -> Any:
    parts = inputs[:1]
    for column, size in enumerate(shape.class_sizes):
        code = inputs[1][:, column]
        width = min(WIDEST_EMBEDDING, (size + 1) // 2)
        embedded = keras.layers.Embedding(size, width, name=f"class_{member}_{column}")(code)
        # Of an unknown class nothing is learnt: it adds nothing, instead of the noise of a start value.
        parts.append(embedded * ops.cast(ops.not_equal(code, UNKNOWN), "float32")[:, None])
    flow = keras.layers.Concatenate(name=f"covariates_{member}")(parts) if len(parts) > 1 else parts[0]
    for i, units in enumerate(hidden, start=1):
        flow = keras.layers.Dense(units, activation="relu", name=f"hidden_{member}_{i}")(flow)
        flow = keras.layers.Dropout(dropout, name=f"dropout_{member}_{i}")(flow)
    n_parameters = len(PAPER_PARAMETERS)
    start = keras.initializers.RandomNormal(stddev=0.01, seed=member)
    output = keras.layers.Dense(
        n_parameters, activation="sigmoid", kernel_initializer=start, name=f"parameters_{member}"
    )(flow)
    inside = keras.layers.Rescaling(1.0 - 2.0 * INNER, offset=INNER, name=f"inside_{member}")(output)
    return keras.layers.Reshape((1, n_parameters), name=f"member_{member}")(inside)
