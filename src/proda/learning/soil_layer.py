"""The soil model as a layer of a network: parameters in, carbon at the observed depths out, with derivatives.

The steady state is the one of `proda.model`, on JAX, in 64 bits: in the corners of the prior box decomposition all but
stops, by factors that 32 bits take for zero, and the gradient of a single such column would spoil the whole batch. So
whatever uses the layer has to run inside ``jax.enable_x64(True)``; the networks around it keep their 32 bits. The layer
of the control gives carbon without a soil model, from outputs that are the carbon of the nodes.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from numpy.typing import NDArray

from proda.errors import InputError
from proda.kernels import steady_state as lanes
from proda.learning.training_data import GRAMS_PER_KG, ObservedSites, at_layers, unpacked_forcing
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

LEAST, GREATEST = 0.01, 300.0  # kg C m-3, the control's carbon at 0 and 1: all that is observed lies between
_LAYERS = PAPER_COLUMN.n_layers


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
            raise InputError("the soil model as a layer needs 64 bits: use it inside jax.enable_x64(True).")
        n_sites, n_sets = x.shape[:2]
        x, forcing = x.astype(jnp.float64), forcing.astype(jnp.float64)
        columns = jnp.reshape(x, (n_sites * n_sets, -1)).T
        soc = soc_on_jax(columns, unpacked_forcing(jnp.repeat(forcing, n_sets, axis=0).T))
        return _at_observed_depths(soc, interval, weight, n_sets)

    def compute_output_shape(self, shapes: list) -> tuple:
        """Shape of the output from those of the four inputs."""
        return (*shapes[0][:2], shapes[2][1])


@keras.saving.register_keras_serializable("proda")
class NodeCarbon(SoilCarbon):
    """The control's layer: inputs and output of `SoilCarbon`, but forcing is not used.

    x[..., j] is the logarithm of the carbon of layer j between `LEAST` and `GREATEST`; the other outputs mean nothing.
    """

    def call(self, inputs: list) -> Any:
        x, _, interval, weight = inputs
        n_sites, n_sets = x.shape[:2]
        nodes = _node_carbon(jnp.reshape(x[..., :_LAYERS], (n_sites * n_sets, -1)).T)
        return _at_observed_depths(nodes, interval, weight, n_sets)


def carbon_at_layers(x: NDArray, sites: ObservedSites) -> NDArray[np.float64]:
    """SOC at the layers of n sites, (n, m), kg C m-3, of parameters (n, 25) set inside the prior box."""
    inside = with_positive_cwd_share(np.clip(x, INNER, 1.0 - INNER))[0]
    return at_layers(lanes.soc_density(physical(inside.T, sites.columns), sites.columns), sites)


def node_carbon_at_layers(x: NDArray, sites: ObservedSites) -> NDArray[np.float64]:
    """The same of the control's outputs x (n, 25)."""
    return at_layers(GRAMS_PER_KG * _node_carbon(x[:, :_LAYERS].T), sites)


def soc_on_jax(x: Any, forcing: Forcing) -> Any:
    """SOC density at the nodes, (n_layers, n), kg C m-3, of x (25, n) on the unit cube."""
    pools = steady_state(physical_on_jax(x, forcing), forcing, PAPER, jax_namespace())
    return soc_density(pools) / GRAMS_PER_KG


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


def _at_observed_depths(soc: Any, interval: Any, weight: Any, n_sets: int) -> Any:
    """SOC (b, n_sets, m), 32 bits, of SOC at the nodes (n_layers, b n_sets); columns of a site follow one another."""
    slope = node_slopes(soc, PAPER_COLUMN, jax_namespace())
    k, column = jnp.repeat(interval, n_sets, axis=0).T, jnp.arange(soc.shape[1])[None]
    w = jnp.transpose(jnp.repeat(weight, n_sets, axis=0), (2, 1, 0))
    values = w[0] * soc[k, column] + w[1] * soc[k + 1, column]
    values += w[2] * slope[k, column] + w[3] * slope[k + 1, column]
    return jnp.reshape(values.T, (interval.shape[0], n_sets, -1)).astype(jnp.float32)


def _node_carbon(x: Any) -> Any:
    return LEAST * (GREATEST / LEAST) ** x
