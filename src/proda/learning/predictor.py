"""A trained network with all it needs to be used: its covariates, their scaling, its parameters. Saved as two files."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.errors import InputError
from proda.learning.described_network import check_parameters, described_network, write_described
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
    description = {
        **predictor.notes,
        "parameters": list(predictor.parameters),
        "covariates": list(predictor.covariates),
        "scaling": predictor.scaling.as_dict(),
        "training_range": predictor.training_range.as_dict(),
    }
    write_described(predictor.network, description, folder, NETWORK_FILE, DESCRIPTION_FILE)


def loaded_network(folder: str | Path) -> Predictor:
    """The predictor saved in `folder`, usually a study folder.

    Raises
    ------
    MissingOutput
        When one of the two files is not there.
    InputError
        When a file cannot be read, the two do not belong together, or the parameters are not this package's.
    """
    with described_network(folder, NETWORK_FILE, DESCRIPTION_FILE) as (network, notes):
        names = tuple(notes.pop("covariates"))
        scaling, training_range = (_scaling(names, notes.pop(key)) for key in ("scaling", "training_range"))
        parameters = tuple(notes.pop("parameters"))
    check_parameters(parameters, Path(folder) / DESCRIPTION_FILE)
    return Predictor(network, scaling, training_range, parameters, notes)


def _scaling(names: Sequence[str], ranges: dict[str, list[float]]) -> MinMaxScaling:
    low, high = (np.array(ranges[key], dtype=np.float64) for key in ("minimum", "maximum"))
    if not low.shape == high.shape == (len(names),):
        raise ValueError(f"{low.size} minima and {high.size} maxima for {len(names)} covariates")
    return MinMaxScaling(tuple(names), low, high)
