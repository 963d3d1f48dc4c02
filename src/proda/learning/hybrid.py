"""The hybrid: networks whose parameters go through the soil-carbon model, with the loss on carbon itself.

As in biogeochemistry-informed neural networks (Xu et al. 2025, arXiv:2502.00672) the gradient goes through the steady
state, in one compiled step for all members; a prior term holds the parameters near the posterior means of their sites.
Beside the covariates the networks take the carbon of boosted trees at ten depths (stacking, Wolpert 1992, doi
10.1016/S0893-6080(05)80023-1) and its ratio to that of the soil model with parameters in the middle of the prior box,
since parameters have to make up for the forcing of the place. The carbon of a layer is mixed with that of the trees
(distillation, Hinton et al. 2015, arXiv:1503.02531), which lacks the scatter of single profiles; trees of a training
site have not seen it. The soil model runs in 64 bits (``jax.enable_x64(True)``): in the corners of the prior box
decomposition all but stops, and one such column would spoil the gradient of the batch; the networks keep their 32 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pandas as pd
from keras import ops
from numpy.typing import ArrayLike, NDArray

from proda.kernels import steady_state as kernels
from proda.learning.encoding import CLASSES, NUMBERS, UNKNOWN, Encoding, Shape
from proda.learning.paper_network import Predictor, finite_loss, layer_seeds, restart, rows_of_batches
from proda.learning.training_data import (
    GRAMS_PER_KG,
    ObservedSites,
    TrainingData,
    at_layers,
    n_numbers,
    unpacked_forcing,
)
from proda.learning.trees import N_CARBON, CarbonInputs, StackedTrees, carbon_numbers
from proda.model.configuration import Configuration
from proda.model.forcing import AnyForcing
from proda.model.observation import node_slopes
from proda.model.parameters import (
    INNER,
    INS,
    LEAST_CWD_SHARE,
    SHARES,
    ParameterTable,
    physical,
    prior_sd,
    table_of,
    with_positive_cwd_share,
)
from proda.model.rates import jax_namespace
from proda.model.solver import soc_density, steady_state

LEAST, GREATEST = 0.01, 300.0  # kg C m-3, the control's carbon at 0 and 1: all that is observed lies between
ABSENT = -1.0  # in place of an observation where a site has fewer layers
SOC, PARAMETERS = "soc", "parameters"
WIDEST_EMBEDDING = 6
MOST_LAYERS = 24  # of a site that are learnt from: few have more, and the arrays are as wide as the richest site
HIDDEN = (128, 128)  # units of the hidden layers of a member
LIMITS = (-0.5, 1.5)  # of scaled numbers: how far a covariate lies outside the training range is not used beyond these
HUBER_DELTA = 60.0  # kg C m-3: beyond it the loss grows linearly, or organic layers would decide all else
WEIGHT_DECAY = 1e-4
# Posteriors of two profiles at one place differ: a target is never surer than sites differ from one another, as a part
# of the prior's variance (a choice; it only caps the weights).
BETWEEN_SITES = 0.25


class HybridPlan(NamedTuple):
    """How the ensemble is trained, by AdamW."""

    n_members: int = 3
    epochs: int = 30
    batch_size: int = 64  # fewer where an epoch would have less than thirty steps
    learning_rate: float = 4e-3  # at its greatest: it rises in the first tenth of the epochs, then falls as a cosine
    prior_weight: float = 10.0  # (kg C m-3)2, of the term towards the posterior means of the sites; 0 for none
    distillation_share: float = 0.85  # of the trees in the carbon of a layer, 0 to 1
    soil_model: bool = True  # False: outputs are the carbon of layers, the control


def carbon_at_layers(x: NDArray, sites: ObservedSites) -> NDArray[np.float64]:
    """SOC at the layers of n sites, (n, m), kg C m-3, of parameters (n, n_parameters) set inside the prior box."""
    inside, columns = with_positive_cwd_share(np.clip(x, INNER, 1.0 - INNER))[0], sites.columns
    theta = physical(inside.T, columns, sites.configuration.parameters)
    return at_layers(kernels.soc_density(theta, columns, sites.configuration), sites)


def node_carbon_at_layers(x: NDArray, sites: ObservedSites) -> NDArray[np.float64]:
    """The same of the control's outputs x (n, n_parameters)."""
    return at_layers(GRAMS_PER_KG * node_carbon(x.T, None, sites.configuration), sites)


def node_carbon(x: Any, forcing: Any, configuration: Configuration) -> Any:
    """The control's SOC at the nodes, (n_layers, n), kg C m-3, `LEAST` to `GREATEST`, of its outputs (n_parameters, n).

    Both configurations have more parameters than layers.
    """
    return LEAST * (GREATEST / LEAST) ** x[: configuration.column.n_layers]


def soc_on_jax(x: Any, forcing: Any, configuration: Configuration) -> Any:
    """The model's SOC at the nodes, (n_layers, n), kg C m-3, of x (n_parameters, n), unit cube, and packed forcing."""
    columns = unpacked_forcing(forcing.astype(jnp.float64), configuration)
    theta = physical_on_jax(x.astype(jnp.float64), columns, configuration.parameters)
    return soc_density(steady_state(theta, columns, configuration, jax_namespace())) / GRAMS_PER_KG


def physical_on_jax(x: Any, forcing: AnyForcing, table: ParameterTable) -> Any:
    """Physical parameters of x (n_parameters, n) on the unit cube, the CWD share kept positive as in `input_shares`."""
    rows, low, high = jnp.arange(len(table))[:, None], table.minimum[:, None], table.maximum[:, None]
    if not table.has_shares:
        return low + x * (high - low)
    low = jnp.where(rows == INS, forcing.npp_min / forcing.npp_mean, low)
    high = jnp.where(rows == INS, forcing.npp_max / forcing.npp_mean, high)
    above = x * (high - low)
    is_share = jnp.isin(rows, jnp.array(SHARES))
    room = 1.0 - LEAST_CWD_SHARE - table.minimum[list(SHARES)].sum()
    factor = jnp.minimum(1.0, room / jnp.where(is_share, above, 0.0).sum(axis=0))
    return low + jnp.where(is_share, factor, 1.0) * above


class SoilCarbon(keras.layers.Layer):
    """SOC of the observed layers of b sites, (b, k, m), kg C m-3, of k parameter sets each.

    ``layer([x, forcing, operator])`` takes x (b, k, n_parameters) on the unit cube and the arrays of
    `proda.learning.training_data.ObservedSites`; `at_nodes` is `soc_on_jax` or `node_carbon`.
    """

    def __init__(
        self, at_nodes: Callable[[Any, Any, Configuration], Any], configuration: Configuration, **of_layer: Any
    ) -> None:
        super().__init__(**of_layer)
        self.at_nodes, self.configuration = at_nodes, configuration

    def call(self, inputs: list) -> Any:
        x, forcing, operator = inputs
        n_sites, n_sets = x.shape[:2]
        of_sets = jnp.reshape(x, (n_sites * n_sets, -1)).T, jnp.repeat(forcing, n_sets, axis=0).T
        soc = self.at_nodes(*of_sets, self.configuration)
        slope = node_slopes(soc, self.configuration.column, jax_namespace())
        nodes = jnp.stack([soc, slope], axis=1).reshape(2 * len(soc), n_sites, n_sets)
        return jnp.einsum("bmv,vbk->bkm", operator, nodes).astype(jnp.float32)

    def compute_output_shape(self, shapes: list) -> tuple:
        return (*shapes[0][:2], shapes[2][1])


class HybridTrainer:
    """Networks, soil model and optimiser, compiled once and trained as often as wanted, each time from new weights.

    `shape` is that of the encoded covariates, `n_layers` the width of `ObservedSites`.
    """

    def __init__(self, shape: Shape, n_layers: int, plan: HybridPlan, configuration: Configuration) -> None:
        self.plan, self.shape, self.n_parameters = plan, shape, len(configuration.parameters)
        self.networks = self._untrained(0)
        columns = {
            "forcing": keras.Input((n_numbers(configuration),), name="forcing"),
            "operator": keras.Input((n_layers, 2 * configuration.column.n_layers), name="operator"),
        }
        of_networks = {tensor.name: tensor for tensor in self.networks.inputs}
        x = self.networks(list(of_networks.values()))
        at_nodes = soc_on_jax if plan.soil_model else node_carbon
        soc = SoilCarbon(at_nodes, configuration, name=SOC)([x, *columns.values()])
        named = keras.layers.Identity(name=PARAMETERS)(x)
        self.model = keras.Model({**of_networks, **columns}, {SOC: soc, PARAMETERS: named}, name="hybrid")
        optimizer = keras.optimizers.AdamW(plan.learning_rate, weight_decay=WEIGHT_DECAY, clipnorm=1.0)
        self.model.compile(optimizer, loss={SOC: layer_loss, PARAMETERS: posterior_loss})
        # Train on one batch without observations: the first call draws random numbers that no training shall miss.
        n = plan.batch_size
        blank = {tensor.name: np.zeros((n, *tensor.shape[1:]), tensor.dtype) for tensor in self.model.inputs}
        nothing = np.full((n, n_layers), ABSENT, np.float32), np.zeros((n, self.n_parameters, 2), np.float32)
        with jax.enable_x64(True):
            self.model.fit(blank, dict(zip((SOC, PARAMETERS), nothing, strict=True)), batch_size=n, verbose=0)

    def train(
        self, encoded: Mapping[str, NDArray], sites: ObservedSites, seed: int, targets: NDArray, prior_weight: float
    ) -> pd.DataFrame:
        """Train `networks` anew on these sites and return the learning curve: `epoch`, `loss`.

        `targets` (n, n_parameters, 2) are mean and weight of every parameter of every site for the prior term, as of
        `precision_targets`; `prior_weight`, (kg C m-3)2, is 0 for none. InputError when the loss is no longer a finite
        number.
        """
        plan = self.plan
        restart(self.networks, self._untrained(seed), self.model.optimizer)
        rows = rows_of_batches(sites.n_sites, plan.batch_size, seed)
        # What fills up the last batch does not count, and spares a compilation for a batch of another size.
        counts = (np.arange(rows.size) < sites.n_sites)[:, None]
        observed = np.where(counts & sites.present[rows], sites.soc[rows], ABSENT)
        # The weight is within the targets, so that one compilation serves every weight.
        targets = targets * np.array([1.0, prior_weight], np.float32)
        arrays = {**encoded, "forcing": sites.forcing, "operator": sites.operator}
        rates = keras.callbacks.LearningRateScheduler(lambda epoch: rate_of_epoch(epoch, plan))
        with jax.enable_x64(True):
            history = self.model.fit(
                {tensor.name: arrays[tensor.name][rows] for tensor in self.model.inputs},
                {SOC: observed, PARAMETERS: targets[rows]},
                batch_size=plan.batch_size,
                epochs=plan.epochs,
                verbose=0,
                callbacks=[rates],
            ).history
        curve = pd.DataFrame({"epoch": np.arange(1, plan.epochs + 1), "loss": history["loss"]})
        finite_loss(curve["loss"], "look for impossible numbers in forcing.nc at the training sites.")
        return curve

    def _untrained(self, seed: int) -> keras.Model:
        return parameter_networks(self.shape, self.plan.n_members, seed, self.n_parameters)


class TrainedHybrid(NamedTuple):
    """A trainer with its trained networks (until it is used again), how covariates enter them, and the curve."""

    trainer: HybridTrainer
    encoding: Encoding
    curve: pd.DataFrame  # epoch, loss
    carbon: CarbonInputs | None  # what the networks take beside the covariates

    def x(self, frame: pd.DataFrame, forcing: AnyForcing) -> NDArray[np.float64]:
        """Outputs of the members at n places, (n_members, n, d), unit cube: parameters, but for the control."""
        return Predictor(self.trainer.networks, self.encoding, carbon=self.carbon).output(frame, forcing)

    def soc(self, x: NDArray, sites: ObservedSites) -> NDArray[np.float64]:
        """SOC at the layers of n sites, (n_members, n, m), kg C m-3, of their outputs `x`."""
        carbon = carbon_at_layers if self.trainer.plan.soil_model else node_carbon_at_layers
        return np.stack([carbon(member, sites) for member in x])


def trained_hybrid(
    data: TrainingData, train: NDArray[np.int64], plan: HybridPlan, seed: int, stacked: StackedTrees | None = None
) -> TrainedHybrid:
    """Networks trained on the rows `train` of `data`: layers and posteriors of the sites.

    `stacked` is `proda.learning.trees.stacked_trees` of these rows; without it posteriors alone are learnt from.
    """
    encoding = Encoding.of(data.frame.iloc[train], data.class_names, limits=LIMITS)
    # Room for the classes of all sites: one shape, and so one compilation, for all folds.
    shape = Encoding.of(data.frame, data.class_names).shape
    if stacked is not None:
        shape = shape._replace(n_numbers=shape.n_numbers + N_CARBON)
    # A power of two, 16 at least, that leaves some thirty steps or more in an epoch.
    batch_size = int(np.clip(2 ** int(np.log2(max(data.observed.n_sites, 2) / 30)), 16, plan.batch_size))
    settings = plan._replace(batch_size=batch_size, prior_weight=0.0, distillation_share=0.0)
    trainer = _trainer(shape, min(data.observed.soc.shape[1], MOST_LAYERS), settings, data.observed.configuration)
    sites, targets = data.observed.take(train), precision_targets(data.x_mean[train], data.x_sd[train])
    encoded, carbon = encoding.encoded(data.frame.iloc[train]), None
    if stacked is None:
        sites = sites._replace(present=np.zeros_like(sites.present))
    else:
        mixed = plan.distillation_share * stacked.of_layers + (1.0 - plan.distillation_share) * sites.soc
        sites = sites._replace(soc=mixed.astype(np.float32))
        numbers = carbon_numbers(stacked.at_depths, sites.columns)
        carbon = CarbonInputs(stacked.trees, np.stack([numbers.min(axis=0), numbers.max(axis=0)]))
        encoded = carbon.added(encoded, stacked.at_depths, sites.columns)
    curve = trainer.train(encoded, sites.at_most(MOST_LAYERS), seed, targets, plan.prior_weight)
    return TrainedHybrid(trainer, encoding, curve, carbon)


@lru_cache(maxsize=4)
def _trainer(shape: Shape, n_layers: int, plan: HybridPlan, configuration: Configuration) -> HybridTrainer:
    return HybridTrainer(shape, n_layers, plan, configuration)


def rate_of_epoch(epoch: int, plan: HybridPlan) -> float:
    """Learning rate of an epoch (from 0): a linear rise, then half a cosine down to nearly zero."""
    rise = max(1, plan.epochs // 10)
    if epoch < rise:
        return plan.learning_rate * (epoch + 1) / rise
    done = (epoch - rise) / max(1, plan.epochs - rise)
    return plan.learning_rate * max(0.5 * (1.0 + np.cos(np.pi * done)), 0.01)


def layer_loss(observed: Any, modelled: Any) -> Any:
    """Huber's loss of the observed layers, the mean over layers and members; where `ABSENT` stands nothing counts."""
    present = ops.cast(observed >= 0.0, "float32")[:, None, :]
    error = ops.abs(present * (modelled - observed[:, None, :]))
    each = ops.where(error < HUBER_DELTA, 0.5 * error * error, HUBER_DELTA * (error - 0.5 * HUBER_DELTA))
    return ops.sum(each) / ops.maximum(ops.sum(present) * modelled.shape[1], 1.0)


def posterior_loss(targets: Any, x: Any) -> Any:
    """Weighted squared distance of parameters (b, k, d) to (b, d, 2) means and weights, the mean over members."""
    error = x - targets[:, None, :, 0]
    return ops.mean(targets[:, None, :, 1] * error * error)


def precision_targets(x_mean: ArrayLike, x_sd: ArrayLike) -> NDArray[np.float32]:
    """Posterior means (n, d), unit cube, and weights 1/(variance + that between sites) of mean 1, (n, d, 2)."""
    x_sd = np.asarray(x_sd)
    weight = 1.0 / (x_sd**2 + BETWEEN_SITES * prior_sd(table_of(x_sd.shape[-1])) ** 2)
    return np.stack([x_mean, weight / weight.mean()], axis=-1).astype(np.float32)


def parameter_networks(shape: Shape, n_members: int, seed: int, n_parameters: int) -> keras.Model:
    """Untrained networks: `Encoding.encoded` -> (b, n_members, n_parameters), unit cube, that begin at its middle."""
    keras.utils.set_random_seed(seed % 2**32)
    inputs = [keras.Input((shape.n_numbers,), name=NUMBERS)]
    if shape.class_sizes:
        inputs.append(keras.Input((len(shape.class_sizes),), name=CLASSES, dtype="int32"))
    seeds = layer_seeds(seed % 2**32)
    members = [_member(inputs, shape, member, n_parameters, seeds) for member in range(n_members)]
    return keras.Model(inputs, keras.layers.Concatenate(axis=1, name="members")(members), name="parameter_networks")


def _member(inputs: list[Any], shape: Shape, member: int, n_parameters: int, seeds: Iterator[int]) -> Any:
    parts = inputs[:1]
    for column, size in enumerate(shape.class_sizes):
        code = inputs[1][:, column]
        width = min(WIDEST_EMBEDDING, (size + 1) // 2)
        start = keras.initializers.RandomUniform(seed=next(seeds))
        embedded = keras.layers.Embedding(size, width, start, name=f"class_{member}_{column}")(code)
        # Of an unknown class nothing is learnt: it adds nothing, instead of the noise of a start value.
        parts.append(embedded * ops.cast(ops.not_equal(code, UNKNOWN), "float32")[:, None])
    flow = keras.layers.Concatenate(name=f"covariates_{member}")(parts) if len(parts) > 1 else parts[0]
    for i, units in enumerate(HIDDEN, start=1):
        start = keras.initializers.GlorotUniform(next(seeds))
        flow = keras.layers.Dense(units, "silu", kernel_initializer=start, name=f"hidden_{member}_{i}")(flow)
    start = keras.initializers.RandomNormal(stddev=0.01, seed=member)
    output = keras.layers.Dense(n_parameters, "sigmoid", kernel_initializer=start, name=f"parameters_{member}")(flow)
    inside = keras.layers.Rescaling(1.0 - 2.0 * INNER, offset=INNER, name=f"inside_{member}")(output)
    return keras.layers.Reshape((1, n_parameters), name=f"member_{member}")(inside)
