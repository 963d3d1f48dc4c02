"""A trained network with all it needs to be used: its covariates, their scaling, its parameters. Saved as two files."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.errors import InputError, MissingOutput
from proda.learning.input_shares import with_positive_cwd_share
from proda.learning.scaling import MinMaxScaling
from proda.model.parameters import INNER, PAPER_PARAMETERS

NETWORK_FILE, DESCRIPTION_FILE = "network.keras", "network.json"


class Prediction(NamedTuple):
    """Parameters at n places, with what was done to them and how far they are to be trusted.

    Attributes
    ----------
    x : (n, n_parameters)
        On the unit cube, `INNER` from its faces, with a positive share of the input left to coarse woody debris.
    clipped : (n, n_parameters) bool
        Where the network's linear output lay nearer to a face of the cube, or beyond it, and was set to that distance.
    cwd_rescaled : (n,) bool
        Where the three input shares had to be scaled down (`proda.learning.input_shares`).
    extrapolated : (n,) int
        Number of covariates outside the range of the training sites.
    """

    x: NDArray[np.float64]
    clipped: NDArray[np.bool_]
    cwd_rescaled: NDArray[np.bool_]
    extrapolated: NDArray[np.int64]


@dataclass(frozen=True)
class Predictor:
    """Covariates in their own units in, parameters on the unit cube out.

    Attributes
    ----------
    network : keras.Model
    scaling : MinMaxScaling
        What the network's input was scaled with.
    training_range : MinMaxScaling
        The range of the covariates at the training sites; beyond it a prediction is an extrapolation.
    parameters : tuple of str
    notes : dict
        Whatever else is to be known about the training; kept in network.json.
    """

    network: keras.Model
    scaling: MinMaxScaling
    training_range: MinMaxScaling
    parameters: tuple[str, ...] = PAPER_PARAMETERS.names
    notes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expected = (len(self.scaling.names), len(self.parameters))
        found = (self.network.input_shape[-1], self.network.output_shape[-1])
        if found != expected:
            raise InputError(
                f"the network takes {found[0]} covariates and gives {found[1]} parameters, its description names "
                f"{expected[0]} and {expected[1]}: {NETWORK_FILE} and {DESCRIPTION_FILE} do not belong together."
            )

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of the covariates, in the order the network takes them."""
        return self.scaling.names

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
        scaled = self.scaling.scaled(frame, source)
        raw = np.asarray(self.network.predict(scaled, batch_size=4096, verbose=0), dtype=np.float64)
        x, rescaled = with_positive_cwd_share(np.clip(raw, INNER, 1.0 - INNER))
        beyond = self.training_range.n_beyond(frame, source)
        return Prediction(x, (raw < INNER) | (raw > 1.0 - INNER), rescaled, beyond)


def save_network(predictor: Predictor, folder: str | Path) -> None:
    """Write network.keras and network.json into `folder`."""
    folder = Path(folder)
    predictor.network.save(folder / NETWORK_FILE)
    description = {
        **predictor.notes,
        "parameters": list(predictor.parameters),
        "covariates": list(predictor.covariates),
        "scaling": predictor.scaling.as_dict(),
        "training_range": predictor.training_range.as_dict(),
    }
    (folder / DESCRIPTION_FILE).write_text(json.dumps(description, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def loaded_network(folder: str | Path) -> Predictor:
    """The predictor saved in `folder`, usually a study folder.

    Raises
    ------
    MissingOutput
        When one of the two files is not there.
    InputError
        When a file cannot be read, or the two do not belong together.
    """
    folder = Path(folder)
    for name in (NETWORK_FILE, DESCRIPTION_FILE):
        if not (folder / name).is_file():
            raise MissingOutput(
                f"{folder / name} does not exist: run the stage 05-network-training of this study, or name the folder "
                "of a study that has run it."
            )
    try:
        notes = json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8"))
        names = tuple(notes.pop("covariates"))
        scaling, training_range = (_scaling(names, notes.pop(key)) for key in ("scaling", "training_range"))
        parameters = tuple(notes.pop("parameters"))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder / DESCRIPTION_FILE} does not describe a network ({type(error).__name__}: {error}); expected "
            "covariates, scaling, training_range and parameters as this package writes them. Train the network again."
        ) from error
    try:
        network = keras.saving.load_model(folder / NETWORK_FILE, compile=False)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise InputError(f"{folder / NETWORK_FILE} is not a network that Keras can load: {error}") from error
    return Predictor(network, scaling, training_range, parameters, notes)


def _scaling(names: Sequence[str], ranges: dict[str, list[float]]) -> MinMaxScaling:
    low, high = (np.array(ranges[key], dtype=np.float64) for key in ("minimum", "maximum"))
    if not low.shape == high.shape == (len(names),):
        raise ValueError(f"{low.size} minima and {high.size} maxima for {len(names)} covariates")
    return MinMaxScaling(tuple(names), low, high)
