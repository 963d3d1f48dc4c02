"""A trained network with what it takes to use it: covariates in their own units in, parameters of the soil model out.

One network of the paper, or an ensemble of the hybrid. Each is saved as two files that belong together: ``.keras``, and
``.json`` with the covariates, their scaling and the ranges of the parameters.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.errors import InputError, MissingOutput
from proda.learning.encoding import NUMBERS, Encoding
from proda.model.parameters import INNER, INS, PAPER_PARAMETERS, with_positive_cwd_share

NETWORK, HYBRID = "network", "hybrid"  # names of the files without their endings
STAGE = "05-network-training"
BATCH = 1024  # places that are predicted at once


class Prediction(NamedTuple):
    """Parameters at n places; of an ensemble with its members as the first axis."""

    x: NDArray[np.float64]  # (n, 25), unit cube, `INNER` from its faces, with a positive share for woody debris
    clipped: NDArray[np.bool_]  # like x: where the output lay nearer to a face of the cube, or beyond it
    cwd_rescaled: NDArray[np.bool_]  # (n,): where the input shares were scaled down (`with_positive_cwd_share`)
    extrapolated: NDArray[np.int64]  # (n,) covariates outside the range, or of another class, than at training sites


@dataclass(frozen=True)
class Predictor:
    """Predicts parameters from the covariates that the network was trained with, and refuses any others."""

    network: keras.Model  # output (b, 25), or (b, n_members, 25) of an ensemble
    encoding: Encoding
    notes: dict[str, Any] = field(default_factory=dict)  # about the training; kept in the .json file

    def __post_init__(self) -> None:
        shape = self.encoding.shape
        expected = [shape.n_numbers, *([len(shape.class_sizes)] if shape.class_sizes else []), len(PAPER_PARAMETERS)]
        widths = [tensor.shape[-1] for tensor in (*self.network.inputs, *self.network.outputs)]
        if widths != expected:
            raise InputError(
                f"the network has inputs and output of width {widths}, its description names {expected}: the .keras "
                "and the .json file do not belong together."
            )

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of the covariates, in the order of their table."""
        return self.encoding.names

    def __call__(self, frame: pd.DataFrame, source: str = "covariates") -> Prediction:
        """Parameters at the places of `frame`.

        Parameters
        ----------
        frame : (n, n_covariates) DataFrame
            The network's covariates, all of them, in its order, without gaps.
        source : str
            What to call the table in an error.

        Raises
        ------
        InputError
            When the covariates are others, in another order, or missing at some place.
        """
        raw = network_output(self.network, self.encoding.encoded(frame, source))
        x, rescaled = with_positive_cwd_share(np.clip(raw, INNER, 1.0 - INNER).reshape(-1, raw.shape[-1]))
        clipped = (raw < INNER - 1e-6) | (raw > 1.0 - INNER + 1e-6)
        return Prediction(
            x.reshape(raw.shape), clipped, rescaled.reshape(raw.shape[:-1]), self.encoding.n_beyond(frame, source)
        )


def network_output(network: keras.Model, encoded: dict[str, NDArray]) -> NDArray[np.float64]:
    """What a network gives for `Encoding.encoded` of n places, (n, 25), or (n_members, n, 25) of an ensemble."""
    n = len(encoded[NUMBERS])
    rows = rows_of_batches(n, BATCH)
    inputs = [encoded[tensor.name][rows] for tensor in network.inputs]
    raw = network.predict(inputs if len(inputs) > 1 else inputs[0], batch_size=BATCH, verbose=0)[:n]
    return np.asarray(raw if raw.ndim == 2 else np.swapaxes(raw, 0, 1), dtype=np.float64)


def rows_of_batches(n: int, batch_size: int, seed: int | None = None) -> NDArray[np.int64]:
    """Rows 0 to n - 1, then some of them again until whole batches are full: one shape is one compilation."""
    more = -n % batch_size
    again = np.random.default_rng(seed).integers(0, n, more) if seed is not None else np.arange(more) % n
    return np.concatenate([np.arange(n), again])


def save_predictor(predictor: Predictor, folder: str | Path, name: str) -> None:
    """Write `name`.keras and `name`.json into `folder`; `name` is `NETWORK` or `HYBRID`."""
    folder = Path(folder)
    predictor.network.save(folder / f"{name}.keras")
    described = {**predictor.notes, "encoding": predictor.encoding.as_dict(), "parameter_table": parameter_table()}
    (folder / f"{name}.json").write_text(json.dumps(described, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def loaded_network(folder: str | Path) -> Predictor:
    """The paper's network saved in `folder`, usually a study folder; errors as of `loaded_predictor`."""
    return loaded_predictor(folder, NETWORK)


def loaded_hybrid(folder: str | Path) -> Predictor:
    """The ensemble of the hybrid saved in `folder`, usually a study folder; errors as of `loaded_predictor`."""
    return loaded_predictor(folder, HYBRID)


def loaded_predictor(folder: str | Path, name: str) -> Predictor:
    """The predictor that `save_predictor` wrote.

    Raises
    ------
    MissingOutput
        When one of the two files is not there.
    InputError
        When a file cannot be read, the two do not belong together, or the parameters are not this package's.
    """
    network_file, description_file = (Path(folder) / f"{name}.{ending}" for ending in ("keras", "json"))
    for path in (network_file, description_file):
        if not path.is_file():
            raise MissingOutput(
                f"{path} does not exist: run the stage {STAGE} of this study, or name the folder of a study that has "
                "run it."
            )
    try:
        network = keras.saving.load_model(network_file, compile=False)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise InputError(f"{network_file} is not a network that Keras can load: {error}") from error
    try:
        notes = json.loads(description_file.read_text(encoding="utf-8"))
        table, encoding = notes.pop("parameter_table"), Encoding.from_dict(notes.pop("encoding"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{description_file} does not describe a network ({type(error).__name__}: {error}); expected what this "
            "package writes beside it. Train the network again."
        ) from error
    for row, expected in zip(table, parameter_table(), strict=False):
        if row != expected:
            raise InputError(
                f"{description_file}: a parameter is {row}, expected {expected}: the network's outputs would be read "
                "as other parameters or on another scale. Train it again with this version."
            )
    return Predictor(network, encoding, notes)


def parameter_table() -> list[dict[str, Any]]:
    """Name, unit and range of every parameter: an output is a position between `minimum` (0) and `maximum` (1)."""
    rows: list[dict[str, Any]] = []
    for at, row in enumerate(PAPER_PARAMETERS.rows):
        of_place = ("NPPmin/NPPmean of the place", "NPPmax/NPPmean of the place")
        low, high = of_place if at == INS else (row.minimum, row.maximum)
        rows.append({"name": row.name, "unit": row.unit, "minimum": low, "maximum": high})
    return rows
