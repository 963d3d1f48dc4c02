"""An ensemble of networks from covariates to parameters, as one Keras model: the successor of the paper's network.

What differs from the paper's (`proda.learning.network`): classes of land cover or climate are embedded instead of read
as numbers; the output is a sigmoid and thereby inside the prior box; and several members, each with its own weights,
are trained side by side in one compiled step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from proda.learning.encoding import CLASSES, NUMBERS, UNKNOWN, Shape
from proda.model.parameters import INNER, PAPER_PARAMETERS

HIDDEN = (128, 128)
WIDEST_EMBEDDING = 6


def parameter_networks(
    shape: Shape, n_members: int, seed: int, hidden: Sequence[int] = HIDDEN, dropout: float = 0.1
) -> keras.Model:
    """Untrained networks, inputs `numbers` and `classes` of `Encoding.encoded`, output (b, n_members, 25).

    The output is on the unit cube, `INNER` from its faces, and begins at the middle of the box.
    """
    keras.utils.set_random_seed(seed % 2**32)
    numbers = keras.Input((shape.n_numbers,), name=NUMBERS)
    inputs = {NUMBERS: numbers}
    if shape.class_sizes:
        inputs[CLASSES] = keras.Input((len(shape.class_sizes),), name=CLASSES, dtype="int32")
    members = [_member(inputs, shape, member, hidden, dropout) for member in range(n_members)]
    x = members[0] if n_members == 1 else keras.layers.Concatenate(axis=1, name="members")(members)
    return keras.Model(inputs, x, name="parameter_networks")


def _member(inputs: dict[str, Any], shape: Shape, member: int, hidden: Sequence[int], dropout: float) -> Any:
    parts = [inputs[NUMBERS]]
    for column, size in enumerate(shape.class_sizes):
        code = inputs[CLASSES][:, column]
        width = min(WIDEST_EMBEDDING, (size + 1) // 2)
        embedded = keras.layers.Embedding(size, width, name=f"class_{member}_{column}")(code)
        # No training site teaches what an unknown class means: it adds nothing, instead of the noise of a start value.
        parts.append(embedded * ops.cast(ops.not_equal(code, UNKNOWN), "float32")[:, None])
    flow = keras.layers.Concatenate(name=f"covariates_{member}")(parts) if len(parts) > 1 else parts[0]
    for i, units in enumerate(hidden, start=1):
        flow = keras.layers.Dense(units, activation="relu", name=f"hidden_{member}_{i}")(flow)
        flow = keras.layers.Dropout(dropout, name=f"dropout_{member}_{i}")(flow)
    n_parameters = len(PAPER_PARAMETERS)
    start = keras.initializers.RandomNormal(stddev=0.01, seed=member)
    flow = keras.layers.Dense(
        n_parameters, activation="sigmoid", kernel_initializer=start, name=f"parameters_{member}"
    )(flow)
    inside = keras.layers.Rescaling(1.0 - 2.0 * INNER, offset=INNER, name=f"inside_{member}")(flow)
    return keras.layers.Reshape((1, n_parameters), name=f"member_{member}")(inside)


def member_parameters(networks: keras.Model, encoded: Mapping[str, NDArray]) -> NDArray[np.float64]:
    """Parameters of every member, (n_members, n, 25), unit cube.

    Parameters
    ----------
    encoded : dict
        `Encoding.encoded` of n places.
    """
    wanted = {tensor.name for tensor in networks.inputs}
    n = len(next(iter(encoded.values())))
    rows = rows_of_batches(n, 4096)
    inputs = {name: values[rows] for name, values in encoded.items() if name in wanted}
    return np.swapaxes(networks.predict(inputs, batch_size=4096, verbose=0)[:n], 0, 1).astype(np.float64)


def rows_of_batches(n: int, batch_size: int, seed: int | None = None) -> NDArray[np.int64]:
    """Rows 0 to n - 1, then some of them again until whole batches are full: one shape is one compilation."""
    more = -n % batch_size
    again = np.random.default_rng(seed).integers(0, n, more) if seed is not None else np.arange(more) % n
    return np.concatenate([np.arange(n), again])


def start_again(model: keras.Model, untrained: keras.Model) -> None:
    """Give a compiled model the values of an untrained one, and its optimiser none of its memory."""
    assign_variables(model, untrained)
    forget(model)


def assign_variables(model: keras.Model, other: keras.Model) -> None:
    """Give `model` the values of `other`: weights, and the states of the generators behind dropout, which are none."""
    n = len(other.variables)
    for own, new in zip(model.variables[:n], other.variables, strict=True):
        own.assign(new)


def forget(model: keras.Model) -> None:
    """Take from the optimiser of a compiled model what it has gathered, all but its learning rate."""
    for variable in model.optimizer.variables:
        if "learning_rate" not in variable.path:
            variable.assign(np.zeros(variable.shape, variable.dtype))
