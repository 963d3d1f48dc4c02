"""A network of Keras beside the JSON file that says what it is for: two files that belong together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras

from proda.errors import InputError, MissingOutput, ProdaError
from proda.model.parameters import INS, PAPER_PARAMETERS

TABLE = "parameter_table"
OF_PLACE = ("NPPmin/NPPmean of the place", "NPPmax/NPPmean of the place")


def write_described(
    network: keras.Model, description: Mapping[str, Any], folder: str | Path, network_file: str, description_file: str
) -> None:
    """Write both files into `folder`; the table of parameters that the outputs are positions in goes with them."""
    folder = Path(folder)
    network.save(folder / network_file)
    text = json.dumps({**description, TABLE: parameter_table()}, indent=1, allow_nan=False)
    (folder / description_file).write_text(text + "\n", encoding="utf-8")


def parameter_table() -> list[dict[str, Any]]:
    """Name, unit and range of every parameter; a range that is each place's own is told in words.

    What a network gives is a position between `minimum` (0) and `maximum` (1).
    """
    rows: list[dict[str, Any]] = []
    for at, row in enumerate(PAPER_PARAMETERS.rows):
        low, high = OF_PLACE if at == INS else (row.minimum, row.maximum)
        rows.append({"name": row.name, "unit": row.unit, "minimum": low, "maximum": high})
    return rows


@contextmanager
def described_network(
    folder: str | Path, network_file: str, description_file: str
) -> Iterator[tuple[keras.Model, dict[str, Any]]]:
    """The network and its description, which the block reads; what it does not find there is told as an error of it.

    Raises
    ------
    MissingOutput
        When one of the two files is not there.
    InputError
        When one cannot be read, or the description lacks what the block looks for.
    """
    folder = Path(folder)
    for name in (network_file, description_file):
        if not (folder / name).is_file():
            raise MissingOutput(
                f"{folder / name} does not exist: run the stage 05-network-training of this study, or name the folder "
                "of a study that has run it."
            )
    try:
        network = keras.saving.load_model(folder / network_file, compile=False)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise InputError(f"{folder / network_file} is not a network that Keras can load: {error}") from error
    try:
        description = json.loads((folder / description_file).read_text(encoding="utf-8"))
        check_ranges(description.pop(TABLE), folder / description_file)
        yield network, description
    except ProdaError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder / description_file} does not describe a network ({type(error).__name__}: {error}); expected what "
            "this package writes beside it. Train the network again."
        ) from error


def check_ranges(told: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Raise `InputError` unless the ranges that a network was trained with are this package's."""
    known = {row["name"]: row for row in parameter_table()}
    for row in told:
        expected = known.get(row["name"])
        # Other names are told by `check_parameters`, which knows their order too.
        if expected is not None and dict(row) != expected:
            was, now = ("{minimum} to {maximum} {unit}".format(**each) for each in (row, expected))
            raise InputError(
                f"{path}: the range of {row['name']} is {was}, expected {now}: the network's parameters would be "
                "read on another scale than they were learnt on. Train it again with this version."
            )


def check_parameters(parameters: Sequence[str], path: Path) -> None:
    """Raise `InputError` unless a network tells the parameters of this package's table, in its order."""
    if tuple(parameters) != PAPER_PARAMETERS.names:
        raise InputError(
            f"{path}: parameters are {', '.join(parameters)}; expected {', '.join(PAPER_PARAMETERS.names)}, in this "
            "order. Train it again with this version."
        )
