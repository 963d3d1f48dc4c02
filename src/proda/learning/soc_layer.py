"""The soil-carbon model as a layer of a network: parameters in, carbon at the observed depths out, with derivatives.

The steady state is the one of `proda.model`, on JAX, in 64 bits: in the corners of the box decomposition all but stops,
by factors that 32 bits take for zero, and the gradient of a single such column would spoil the whole batch. So whatever
uses the layer has to run inside ``jax.enable_x64(True)``; the networks around it keep their 32 bits.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras

from proda.errors import InputError
from proda.learning.input_shares import LEAST_CWD_SHARE
from proda.learning.observed_layers import GRAMS_PER_KG
from proda.model.column import PAPER_COLUMN
from proda.model.configuration import PAPER
from proda.model.forcing import Forcing
from proda.model.namespace import jax_namespace
from proda.model.observation import node_slopes
from proda.model.parameters import INS, PAPER_PARAMETERS, SHARES
from proda.model.steady_state import soc_density, steady_state

_LAYERS = PAPER_COLUMN.n_layers


def unpacked_forcing(packed: Any) -> Forcing:
    """The forcing of n columns from an array (24, n): `proda.learning.observed_layers.packed_forcing`, transposed."""
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
        Of the curve through the nodes (`proda.learning.observed_layers.ObservedSites`).
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
    arrays of `proda.learning.observed_layers.ObservedSites`; it gives (b, k, m), kg C m-3, in 32 bits.

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
