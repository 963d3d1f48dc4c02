"""End to end: the network's parameters go through the soil-carbon model, and the loss is on carbon itself.

The two-step method teaches a network the mean of each site's posterior, one parameter at a time. Carbon at the mean of
the parameters is not the mean of carbon, and most parameters of one profile are hardly known. Here the loss is on the
carbon of the layers, and nothing stands between it and the covariates but the model (as in biogeochemistry-informed
neural networks, Xu et al. 2025, arXiv:2502.00672): the gradient of the misfit goes through the steady state, one
compiled step for all members of the ensemble. A prior term holds the parameters near the posteriors of their sites,
and a panel of teachers may tell what part of an observed layer is scatter of its profile, and what other land holds
(`proda.learning.distillation`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import keras
import numpy as np
import pandas as pd
from keras import ops
from numpy.typing import NDArray

from proda.errors import InputError
from proda.learning.encoding import Shape
from proda.learning.ensemble import (
    assign_variables,
    forget,
    member_parameters,
    parameter_networks,
    posterior_loss,
    rows_of_batches,
)
from proda.learning.paper_network import Progress
from proda.learning.soil_layer import NodeCarbon, SoilCarbon
from proda.learning.training_data import ObservedSites

ABSENT = -1.0  # in place of an observation where a site has fewer layers
SOC, PARAMETERS = "soc", "parameters"
WHOLE = ("classes", "interval")  # inputs that are whole numbers


class HybridPlan(NamedTuple):
    """How the ensemble is trained.

    Attributes
    ----------
    n_members : int
    epochs : int
    batch_size : int
        Fewer are taken where an epoch would have less than some thirty steps (`proda.learning.distillation`).
    learning_rate : float
        Of AdamW at its greatest: it rises within the first tenth of the epochs and falls to zero along a cosine.
    huber_delta : float, kg C m-3
        Beyond this error the loss grows linearly: organic layers would decide everything else.
    prior_weight : float
        Of the term towards the posterior means of the sites, (kg C m-3)2; 0 for none. A part of it holds what a panel
        teaches near the parameters of the first teacher (`proda.learning.distillation`).
    panel_share : float
        Of what a panel of teachers tells of a site's carbon in its targets, 0 to 1; who trains mixes them
        (`proda.learning.distillation.distillation_targets`).
    n_bins : int
        Bins in which every number is told beside its value (`proda.learning.encoding`).
    hidden : tuple of int
        Units of the hidden layers of a member.
    dropout, weight_decay : float
    soil_model : bool
        Whether outputs are parameters that go through the soil model; without it they are the carbon of its layers
        (`proda.learning.soil_layer`), the control.
    """

    n_members: int = 4
    epochs: int = 70
    batch_size: int = 256
    learning_rate: float = 4e-3
    huber_delta: float = 60.0
    prior_weight: float = 300.0
    panel_share: float = 0.85
    n_bins: int = 16
    hidden: tuple[int, ...] = (256, 256, 256)
    dropout: float = 0.0
    weight_decay: float = 1e-4
    soil_model: bool = True

    def of_layers_alone(self) -> HybridPlan:
        """The plan without teachers: dropout, plain numbers and fewer steps leave the scatter of profiles alone."""
        epochs = min(self.epochs, 30)
        return self._replace(panel_share=0.0, n_bins=0, epochs=epochs, dropout=0.2, learning_rate=2e-3)


class HybridTrainer:
    """Networks, model and optimiser, compiled once and trained as often as wanted, each time from new weights.

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
        x = self.networks(of_networks)
        with jax.enable_x64(True):
            carbon = SoilCarbon if plan.soil_model else NodeCarbon
            soc = carbon(name=SOC)([x, *columns.values()])
        named = keras.layers.Identity(name=PARAMETERS)(x)
        self.model = keras.Model({**of_networks, **columns}, {SOC: soc, PARAMETERS: named}, name="hybrid")
        optimizer = keras.optimizers.AdamW(plan.learning_rate, weight_decay=plan.weight_decay, clipnorm=1.0)
        self.model.compile(
            optimizer,
            loss={SOC: layer_loss(plan.huber_delta), PARAMETERS: posterior_loss},
        )
        self._compile_with_nothing(n_layers)

    def _compile_with_nothing(self, n_layers: int) -> None:
        """Train on one batch without observations: the first call draws random numbers that no training shall miss."""
        n = self.plan.batch_size
        shapes = {tensor.name: tensor.shape[1:] for tensor in self.model.inputs}
        blank = {name: np.zeros((n, *shape), "int32" if name in WHOLE else "float32") for name, shape in shapes.items()}
        nothing = np.zeros((n, self.networks.output_shape[-1], 2), np.float32)
        with jax.enable_x64(True):
            observed = np.full((n, n_layers), ABSENT, np.float32)
            self.model.fit(blank, {SOC: observed, PARAMETERS: nothing}, batch_size=n, verbose=0)

    def _untrained(self, seed: int) -> keras.Model:
        plan = self.plan
        return parameter_networks(self.shape, plan.n_members, seed, hidden=plan.hidden, dropout=plan.dropout)

    def trained(
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
        targets : (n, 25, 2), optional
            Mean and weight of every parameter of every site (`proda.learning.ensemble`), for the prior term.
        prior_weight : float, optional
            Another than the plan's.

        Raises
        ------
        InputError
            When the loss is lost to NaN.
        """
        plan = self.plan
        assign_variables(self.networks, self._untrained(seed))
        forget(self.model)
        rows = rows_of_batches(sites.n_sites, plan.batch_size, seed)
        observed = np.where(sites.present, sites.soc, ABSENT)
        # What fills up the last batch counts nothing, and spares a second compilation for a batch of another size.
        observed = np.where(np.arange(rows.size)[:, None] < sites.n_sites, observed[rows], ABSENT)
        prior_weight = plan.prior_weight if prior_weight is None else prior_weight
        if targets is None or prior_weight == 0.0:
            targets = np.zeros((sites.n_sites, self.networks.output_shape[-1], 2), np.float32)
        # Within the targets, so that one compilation serves every weight.
        targets = targets * np.array([1.0, prior_weight], np.float32)
        inputs = {name: values[rows] for name, values in {**encoded, **sites.model_inputs}.items()}
        steps = keras.callbacks.LearningRateScheduler(lambda epoch: rate_of_epoch(epoch, plan))
        with jax.enable_x64(True):
            history = self.model.fit(
                inputs,
                {SOC: observed, PARAMETERS: targets[rows]},
                batch_size=plan.batch_size,
                epochs=plan.epochs,
                verbose=0,
                callbacks=[steps, *([Progress()] if progress else [])],
            ).history
        loss = np.asarray(history["loss"])
        if not np.isfinite(loss).all():
            first = int(np.argmax(~np.isfinite(loss))) + 1
            raise InputError(
                f"the hybrid's loss is not a finite number from epoch {first}: look for a number that is missing or "
                "impossible in forcing.nc at a training site; if none is, take a smaller HybridPlan.learning_rate."
            )
        return pd.DataFrame({"epoch": np.arange(1, loss.size + 1), "loss": loss})

    def soc(self, encoded: Mapping[str, NDArray], sites: ObservedSites) -> NDArray[np.float32]:
        """SOC of the trained members at the layers of sites, (n, n_members, m), kg C m-3."""
        rows = rows_of_batches(sites.n_sites, 1024)
        inputs = {name: values[rows] for name, values in {**encoded, **sites.model_inputs}.items()}
        with jax.enable_x64(True):
            return self.model.predict(inputs, batch_size=1024, verbose=0)[SOC][: sites.n_sites]

    def parameters(self, encoded: Mapping[str, NDArray]) -> NDArray[np.float64]:
        """Parameters of the trained members, (n_members, n, 25), unit cube."""
        return member_parameters(self.networks, encoded)


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
