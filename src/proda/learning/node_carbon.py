"""The hybrid's control: the same networks, whose outputs are carbon itself, with no soil model between.

Whether a hybrid owes its skill to the soil model or to its networks, its lessons and their mean, only the same without
the model can tell; with the model goes the forcing, which these networks know from covariates alone. Here a network's
first ten outputs are the carbon of the ten layers, on a logarithmic scale, read at the observed depths by the curve
that reads the model's; forcing has no say, and the other outputs mean nothing.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import keras

from proda.learning.soc_layer import at_observed_depths
from proda.model.column import PAPER_COLUMN

LEAST, GREATEST = 0.01, 300.0  # kg C m-3, at 0 and 1 of the unit cube: all that is observed lies between


@keras.saving.register_keras_serializable("proda")
class NodeCarbon(keras.layers.Layer):
    """SOC at the observed depths of sites, with the inputs and the output of `proda.learning.soc_layer.SoilCarbon`.

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
