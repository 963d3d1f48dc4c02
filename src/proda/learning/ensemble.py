"""An ensemble of networks from covariates to parameters, as one Keras model: the successor of the paper's network.

What differs from the paper's: classes of land cover or climate are embedded instead of read
as numbers; the output is a sigmoid and thereby inside the prior box; and several members, each with its own weights,
are trained side by side in one compiled step.

The ensemble taught by the posteriors of the sites: the paper's two steps, with a modern network.

What a site teaches a network: the mean of its posterior, or what its profile alone has said, and how surely.

The mean of a posterior lies between what the profile says and the middle of the prior, the nearer to the latter the
less the profile says. A network taught such means with equal weights learns the prior where profiles are silent. The
prior can be taken out again: with a posterior of mean m and variance s2 and a prior of mean m0 and variance s02, both
taken as normal, the profile alone has the precision t = 1/s2 - 1/s02 and says (m/s2 - m0/s02)/t.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
from keras import ops
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.learning.encoding import CLASSES, NUMBERS, UNKNOWN, Shape
from proda.model.parameters import INNER, PAPER_PARAMETERS, prior_sd

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
            Means and weights (`proda.learning.ensemble`).

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


PRIOR_MEAN = 0.5
# Two profiles at one place have posteriors that differ: a target is never surer than sites differ from one another,
# as a part of the prior's variance (a choice; it only caps the weights).
BETWEEN_SITES = 0.25
# A profile that says next to nothing can say it far outside the box; its small weight goes with it.
FARTHEST = 1.0


def equal_targets(x_mean: ArrayLike) -> NDArray[np.float32]:
    """Posterior means, all with weight 1: the paper's targets, (n, 25, 2)."""
    x_mean = _checked(x_mean, "x_mean")
    return np.stack([x_mean, np.ones_like(x_mean)], axis=-1).astype(np.float32)


def precision_targets(x_mean: ArrayLike, x_sd: ArrayLike) -> NDArray[np.float32]:
    """Posterior means, weighted by their precision, (n, 25, 2): the prior stays in the mean, and in its weight.

    The weight is 1/(s2 + v), with v the variance between sites (`BETWEEN_SITES`), scaled to a mean of 1.

    Parameters
    ----------
    x_mean, x_sd : (n, 25)
        Posterior mean and standard deviation, unit cube.
    """
    x_mean, x_sd = _checked_pair(x_mean, x_sd)
    weight = 1.0 / (x_sd**2 + BETWEEN_SITES * prior_sd() ** 2)
    return np.stack([x_mean, weight / weight.mean()], axis=-1).astype(np.float32)


def profile_targets(x_mean: ArrayLike, x_sd: ArrayLike) -> NDArray[np.float32]:
    """What the profiles alone say, and weights, (n, 25, 2): the prior is taken out of every posterior.

    The weight is 1/(1/t + v), with t the precision of the profile and v the variance between sites (`BETWEEN_SITES`),
    scaled so that its mean is 1 over all sites and parameters. A parameter whose posterior is as wide as its prior, or
    wider, has weight 0 and stands at the prior's mean.

    Parameters
    ----------
    x_mean, x_sd : (n, 25)
        Posterior mean and standard deviation, unit cube.
    """
    x_mean, x_sd = _checked_pair(x_mean, x_sd)
    of_prior = prior_sd() ** 2
    variance = np.maximum(x_sd**2, 1e-6 * of_prior)
    precision = np.maximum(1.0 / variance - 1.0 / of_prior, 0.0)
    told = precision > 1e-9 / of_prior
    safe = np.where(told, precision, 1.0)
    said = np.where(told, (x_mean / variance - PRIOR_MEAN / of_prior) / safe, PRIOR_MEAN)
    said = np.clip(said, PRIOR_MEAN - FARTHEST, PRIOR_MEAN + FARTHEST)
    weight = np.where(told, 1.0 / (1.0 / safe + BETWEEN_SITES * of_prior), 0.0)
    mean = weight.mean()
    if mean <= 0.0:
        raise InputError(f"no parameter of the {len(x_mean)} sites is narrower than its prior: nothing can be learnt.")
    return np.stack([said, weight / mean], axis=-1).astype(np.float32)


def _checked_pair(x_mean: ArrayLike, x_sd: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x_mean, x_sd = _checked(x_mean, "x_mean"), _checked(x_sd, "x_sd")
    if x_mean.shape != x_sd.shape or (x_sd < 0.0).any():
        raise InputError(f"x_sd of shape {x_sd.shape} with least value {x_sd.min():g} for x_mean {x_mean.shape}: "
                         "expected one standard deviation, not negative, for every mean.")  # fmt: skip
    return x_mean, x_sd


def _checked(values: ArrayLike, what: str) -> NDArray[np.float64]:
    values = np.asarray(values, dtype=np.float64)
    bad = ~np.isfinite(values)
    if values.ndim != 2 or bad.any():
        where = f"is not finite for site {int(np.argmax(bad.any(axis=1)))}" if values.ndim == 2 else "has no rows"
        raise InputError(f"{what}, shape {values.shape}, {where}: expected (n_sites, 25) finite numbers. Leave out "
                         "sites whose chains failed (site_status.csv).")  # fmt: skip
    return values
