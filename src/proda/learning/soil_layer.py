"""The soil-carbon model as a layer of a network: parameters in, carbon at the observed depths out, with derivatives.

The steady state is the one of `proda.model`, on JAX, in 64 bits: in the corners of the box decomposition all but stops,
by factors that 32 bits take for zero, and the gradient of a single such column would spoil the whole batch. So whatever
uses the layer has to run inside ``jax.enable_x64(True)``; the networks around it keep their 32 bits.

The hybrid's control: the same networks, whose outputs are carbon itself, with no soil model between.

Whether a hybrid owes its skill to the soil model or to its networks, its lessons and their mean, only the same without
the model can tell; with the model goes the forcing, which these networks know from covariates alone. Here a network's
first ten outputs are the carbon of the ten layers, on a logarithmic scale, read at the observed depths by the curve
that reads the model's; forcing has no say, and the other outputs mean nothing.

Carbon from predicted parameters with their spread: the mean of carbon is not carbon at the mean of the parameters.

Where parameters multiply and their posterior correlates, carbon at the mean parameters is far off (by a factor of two
on real profiles). So a prediction is given the spread it has: to the predicted parameters of a place are added
deviations of posterior draws from the prediction at the draws' own sites, each a whole vector, which keeps the
correlations. They hold both what a profile leaves open and what covariates do not tell.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.kernels import steady_state as lanes
from proda.learning.training_data import GRAMS_PER_KG
from proda.model.configuration import PAPER, PAPER_COLUMN
from proda.model.forcing import Forcing
from proda.model.observation import node_slopes
from proda.model.parameters import (
    INNER,
    INS,
    LEAST_CWD_SHARE,
    PAPER_PARAMETERS,
    SHARES,
    physical,
    with_positive_cwd_share,
)
from proda.model.rates import jax_namespace
from proda.model.solver import soc_density, steady_state

_LAYERS = PAPER_COLUMN.n_layers


def unpacked_forcing(packed: Any) -> Forcing:
    """The forcing of n columns from an array (24, n): `proda.learning.training_data.packed_forcing`, transposed."""
    return Forcing(packed[:_LAYERS], packed[_LAYERS : 2 * _LAYERS], *packed[2 * _LAYERS :])


def physical_on_jax(x: Any, forcing: Forcing) -> Any:
    """Physical parameters (25, n) of x (25, n) on the unit cube, the CWD share kept positive as in `input_shares`."""
    rows = jnp.arange(len(PAPER_PARAMETERS))[:, None]
    low = jnp.where(rows == INS, forcing.npp_min / forcing.npp_mean, PAPER_PARAMETERS.minimum[:, None])
    high = jnp.where(rows == INS, forcing.npp_max / forcing.npp_mean, PAPER_PARAMETERS.maximum[:, None])
    above = x * (high - low)
    is_share = jnp.isin(rows, jnp.array(SHARES))
    room = 1.0 - LEAST_CWD_SHARE - PAPER_PARAMETERS.minimum[list(SHARES)].sum()
    factor = jnp.minimum(1.0, room / jnp.where(is_share, above, 0.0).sum(axis=0))
    return low + jnp.where(is_share, factor, 1.0) * above


def soc_on_jax(x: Any, forcing: Forcing) -> Any:
    """SOC density at the nodes, (n_layers, n), kg C m-3, of x (25, n) on the unit cube."""
    pools = steady_state(physical_on_jax(x, forcing), forcing, PAPER, jax_namespace())
    return soc_density(pools) / GRAMS_PER_KG


def at_observed_depths(soc: Any, interval: Any, weight: Any, n_sets: int) -> Any:
    """SOC at the observed depths of b sites, (b, n_sets, m), 32 bits, of SOC at the nodes of `n_sets` columns a site.

    Parameters
    ----------
    soc : (n_layers, b n_sets)
        The columns of a site follow one another.
    interval : (b, m), weight : (b, m, 4)
        Of the curve through the nodes (`proda.learning.training_data.ObservedSites`).
    """
    slope = node_slopes(soc, PAPER_COLUMN, jax_namespace())
    k, column = jnp.repeat(interval, n_sets, axis=0).T, jnp.arange(soc.shape[1])[None]
    w = jnp.transpose(jnp.repeat(weight, n_sets, axis=0), (2, 1, 0))
    values = w[0] * soc[k, column] + w[1] * soc[k + 1, column]
    values += w[2] * slope[k, column] + w[3] * slope[k + 1, column]
    return jnp.reshape(values.T, (interval.shape[0], n_sets, -1)).astype(jnp.float32)


@keras.saving.register_keras_serializable("proda")
class SoilCarbon(keras.layers.Layer):
    """SOC at the observed depths of sites, of several parameter sets each.

    ``layer([x, forcing, interval, weight])`` takes x (b, k, 25) on the unit cube, k sets for each of b sites, and the
    arrays of `proda.learning.training_data.ObservedSites`; it gives (b, k, m), kg C m-3, in 32 bits.

    Raises
    ------
    InputError
        When called outside of ``jax.enable_x64(True)``.
    """

    def call(self, inputs: list) -> Any:
        x, forcing, interval, weight = inputs
        if not jax.config.jax_enable_x64:
            raise InputError("the soil model as a layer needs 64 bits: build, train and use it inside "
                             "jax.enable_x64(True).")  # fmt: skip
        n_sites, n_sets = x.shape[:2]
        x, forcing = x.astype(jnp.float64), forcing.astype(jnp.float64)
        columns = jnp.reshape(x, (n_sites * n_sets, -1)).T
        soc = soc_on_jax(columns, unpacked_forcing(jnp.repeat(forcing, n_sets, axis=0).T))
        return at_observed_depths(soc, interval, weight, n_sets)

    def compute_output_shape(self, shapes: list) -> tuple:
        """Shape of the output from those of the four inputs."""
        return (*shapes[0][:2], shapes[2][1])


LEAST, GREATEST = 0.01, 300.0  # kg C m-3, at 0 and 1 of the unit cube: all that is observed lies between


@keras.saving.register_keras_serializable("proda")
class NodeCarbon(keras.layers.Layer):
    """SOC at the observed depths of sites, with the inputs and the output of `proda.learning.soil_layer.SoilCarbon`.

    ``layer([x, forcing, interval, weight])`` takes x (b, k, 25) between 0 and 1, k sets for each of b sites, of which
    x[..., j] is the logarithm of the carbon of layer j between `LEAST` and `GREATEST`; it gives (b, k, m), kg C m-3.
    """

    def call(self, inputs: list) -> Any:
        x, _, interval, weight = inputs
        n_sites, n_sets = x.shape[:2]
        at_nodes = jnp.reshape(x[..., : PAPER_COLUMN.n_layers], (n_sites * n_sets, -1)).T
        soc = LEAST * (GREATEST / LEAST) ** at_nodes
        return at_observed_depths(soc, interval, weight, n_sets)

    def compute_output_shape(self, shapes: list) -> tuple:
        """Shape of the output from those of the four inputs."""
        return (*shapes[0][:2], shapes[2][1])


def deviations(draws: ArrayLike, predicted: ArrayLike, n: int, seed: int) -> NDArray[np.float64]:
    """`n` deviations of posterior draws from the prediction at their sites, (n, 25), from as many sites as there are.

    Parameters
    ----------
    draws : (n_sites, n_draws, 25)
        Posterior draws of the training sites, unit cube.
    predicted : (n_sites, 25)
        What the network says at these sites.
    """
    draws, predicted = np.asarray(draws, float), np.asarray(predicted, float)
    if draws.ndim != 3 or draws.shape[::2] != predicted.shape:
        raise InputError(f"draws {draws.shape} and predictions {predicted.shape}: expected (n_sites, n_draws, 25) and "
                         "(n_sites, 25) of the same sites.")  # fmt: skip
    rng = np.random.default_rng(seed)
    site = np.resize(rng.permutation(len(draws)), n)
    return draws[site, rng.integers(0, draws.shape[1], n)] - predicted[site]


def soc_with_spread(x: ArrayLike, deviation: ArrayLike, forcing: Forcing) -> NDArray[np.float64]:
    """Mean SOC over the deviations at every place, (n_layers, n_places), g C m-3.

    Parameters
    ----------
    x : (n_places, 25)
        Predicted parameters, unit cube.
    deviation : (k, 25)
        Added one after another to all places; what leaves the box is set back to `INNER` from its face.
    forcing : Forcing
        Of every place.
    """
    total = np.zeros((np.shape(forcing.soil_temperature)[0], len(np.asarray(x))))
    deviation = np.atleast_2d(np.asarray(deviation, float))
    for added in deviation:
        inside, _ = with_positive_cwd_share(np.clip(np.asarray(x, float) + added, INNER, 1.0 - INNER))
        total += lanes.soc_density(physical(inside.T, forcing), forcing)
    return total / len(deviation)
