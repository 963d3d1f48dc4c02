"""A trained ensemble with all it needs to be used: encoding of covariates, names, notes. Saved as two files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.errors import InputError
from proda.learning.described_network import check_parameters, described_network, write_described
from proda.learning.encoding import Encoding
from proda.learning.input_shares import with_positive_cwd_share
from proda.learning.parameter_networks import member_parameters
from proda.model.parameters import PAPER_PARAMETERS

NETWORKS_FILE, DESCRIPTION_FILE = "hybrid.keras", "hybrid.json"


class EnsemblePrediction(NamedTuple):
    """Parameters of every member, (n_members, n, 25), unit cube, and how many covariates were never met, (n,)."""

    x: NDArray[np.float64]
    extrapolated: NDArray[np.int64]


@dataclass(frozen=True)
class HybridPredictor:
    """Covariates in their own units in, parameters of every member out.

    Attributes
    ----------
    networks : keras.Model
        `proda.learning.parameter_networks`; plain Keras loads them.
    encoding : Encoding
    notes : dict
        Whatever else is to be known about the training; kept in hybrid.json.
    parameters : tuple of str
    """

    networks: keras.Model
    encoding: Encoding
    notes: dict[str, Any] = field(default_factory=dict)
    parameters: tuple[str, ...] = PAPER_PARAMETERS.names

    def __post_init__(self) -> None:
        shapes = {tensor.name: tensor.shape[-1] for tensor in self.networks.inputs}
        expected = {"numbers": self.encoding.shape.n_numbers}
        if self.encoding.codes:
            expected["classes"] = len(self.encoding.codes)
        n_parameters = self.networks.output_shape[-1]
        if shapes != expected or n_parameters != len(self.parameters):
            raise InputError(
                f"the networks take {shapes} and give {n_parameters} parameters, their description names {expected} "
                f"and {len(self.parameters)}: {NETWORKS_FILE} and {DESCRIPTION_FILE} do not belong together."
            )

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of the covariates, in the order of their table."""
        return self.encoding.names

    @property
    def n_members(self) -> int:
        return int(self.networks.output_shape[1])

    def __call__(self, frame: pd.DataFrame, source: str = "covariates") -> EnsemblePrediction:
        """Parameters at the places of `frame`, which has the covariates of the training, all of them, in their order.

        Raises
        ------
        InputError
            When the covariates are others, in another order, or missing at some place.
        """
        x = member_parameters(self.networks, self.encoding.encoded(frame, source))
        inside = np.stack([with_positive_cwd_share(member)[0] for member in x])
        return EnsemblePrediction(inside, self.encoding.n_beyond(frame, source))


def save_hybrid(predictor: HybridPredictor, folder: str | Path) -> None:
    """Write hybrid.keras and hybrid.json into `folder`."""
    told = {**predictor.notes, "parameters": list(predictor.parameters), "encoding": predictor.encoding.as_dict()}
    write_described(predictor.networks, told, folder, NETWORKS_FILE, DESCRIPTION_FILE)


def loaded_hybrid(folder: str | Path) -> HybridPredictor:
    """The ensemble saved in `folder`, usually a study folder.

    Raises
    ------
    MissingOutput
        When one of the two files is not there.
    InputError
        When a file cannot be read, the two do not belong together, or the parameters are not this package's.
    """
    with described_network(folder, NETWORKS_FILE, DESCRIPTION_FILE) as (networks, notes):
        encoding, parameters = Encoding.from_dict(notes.pop("encoding")), tuple(notes.pop("parameters"))
    check_parameters(parameters, Path(folder) / DESCRIPTION_FILE)
    return HybridPredictor(networks, encoding, notes, parameters)
