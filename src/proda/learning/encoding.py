"""Covariates as networks take them: numbers scaled by their range at training sites, classes as positions in a list.

A number can also enter as the part that it fills of each of its quantile bins, 0 below the bin and 1 above
(piecewise-linear encoding, Gorishniy et al. 2022, arXiv:2203.05556): a network then bends as easily as a tree splits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.errors import InputError

NUMBERS, CLASSES = "numbers", "classes"
UNKNOWN = 0  # position of a class that no training site has
MOST_BINS, SITES_PER_BIN = 16, 100


def n_bins_of(n_sites: int) -> int:
    """Bins of every number for so many training sites; few sites cannot fill many."""
    return min(MOST_BINS, n_sites // SITES_PER_BIN)


class Shape(NamedTuple):
    """Width of `numbers`, and number of positions of each covariate that is a class, the unknown included."""

    n_numbers: int
    class_sizes: tuple[int, ...]


@dataclass(frozen=True)
class Encoding:
    """How covariates enter a network; it is saved with the network."""

    names: tuple[str, ...]  # all covariates in the order of their table
    codes: dict[str, tuple[int, ...]]  # of those that are classes: the codes of the training sites, ascending
    training_range: NDArray[np.float64]  # (2, n_numbers), least and greatest at the training sites, in their units
    scaled_by: NDArray[np.float64]  # (2, n_numbers), the values that become 0 and 1
    edges: NDArray[np.float64]  # (n_numbers, n_bins + 1), quantiles of the scaled numbers; no columns without bins
    limits: tuple[float, float] | None = None  # scaled numbers beyond these are set to them

    @classmethod
    def of(
        cls,
        frame: pd.DataFrame,
        class_names: Iterable[str] = (),
        source: str = "covariates",
        n_bins: int = 0,
        scaled_by: pd.DataFrame | None = None,
        limits: tuple[float, float] | None = None,
    ) -> Encoding:
        """The encoding with the ranges, classes and quantiles of the training sites.

        Parameters
        ----------
        frame : (n, n_covariates) DataFrame
            Covariates of the training sites.
        class_names : iterable of str
            Which columns are classes.
        source : str
            What to call the table in an error.
        scaled_by : DataFrame, optional
            Places whose ranges scale the numbers instead of those of the training sites.

        Raises
        ------
        InputError
            When there are no rows, a value is missing, a class is no whole number, or no covariate is a number.
        """
        names = tuple(str(name) for name in frame.columns)
        if frame.empty:
            raise InputError(f"{source}: no rows to take the ranges of the covariates from.")
        covariate_values(frame, names, source)
        wanted = set(class_names)
        codes = {name: _codes(frame[name].to_numpy(float), name, source) for name in names if name in wanted}
        numbers = [name for name in names if name not in codes]
        if not numbers:
            raise InputError(f"{source}: all {len(names)} covariates are classes; the network needs a number.")
        training_range = _range(frame[numbers])
        scale = training_range if scaled_by is None else _range(scaled_by[numbers])
        encoding = cls(names, codes, training_range, scale, np.empty((len(numbers), 0)), limits)
        if n_bins == 0:
            return encoding
        quantiles = np.quantile(encoding._scaled(frame), np.linspace(0.0, 1.0, n_bins + 1), axis=0).T
        return cls(names, codes, training_range, scale, quantiles, limits)

    @property
    def numbers(self) -> list[str]:
        """Names of the covariates that are numbers."""
        return [name for name in self.names if name not in self.codes]

    @property
    def shape(self) -> Shape:
        """Widths of the inputs of a network that takes these covariates."""
        width = len(self.numbers) * max(1, self.edges.shape[1])
        return Shape(width, tuple(len(codes) + 1 for codes in self.codes.values()))

    def encoded(self, frame: pd.DataFrame, source: str = "covariates") -> dict[str, NDArray]:
        """`numbers` (n, n_numbers x (1 + n_bins)) float32 and `classes` (n, n_classes) int32 of n places.

        Numbers are 0 and 1 at the ends of `scaled_by`, and 0 where these are the same; the parts that they fill of
        their bins follow, covariate by covariate.

        Raises
        ------
        InputError
            As `covariate_values`.
        """
        covariate_values(frame, self.names, source)
        numbers = self._scaled(frame)
        if self.limits is not None:
            numbers = np.clip(numbers, *self.limits)
        filled = self._filled_bins(numbers).reshape(len(frame), -1)
        return {NUMBERS: np.concatenate([numbers, filled], axis=1), CLASSES: self._positions(frame)}

    def n_beyond(self, frame: pd.DataFrame, source: str = "covariates") -> NDArray[np.int64]:
        """Number of covariates of each place outside the training range, or of another class, (n,)."""
        covariate_values(frame, self.names, source)
        values, (least, greatest) = frame[self.numbers].to_numpy(float), self.training_range
        beyond = (values < least) | (values > greatest)
        return beyond.sum(axis=1) + (self._positions(frame) == UNKNOWN).sum(axis=1)

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "covariates": list(self.names),
            "classes": {name: list(codes) for name, codes in self.codes.items()},
            "training_range": self.training_range.tolist(),
            "scaled_by": self.scaled_by.tolist(),
            "edges": self.edges.tolist(),
            "limits": self.limits,
        }

    @classmethod
    def from_dict(cls, described: dict[str, Any]) -> Encoding:
        """The encoding that `as_dict` described."""
        names = tuple(described["covariates"])
        codes = {name: tuple(int(code) for code in values) for name, values in described["classes"].items()}
        n_numbers = len(names) - len(codes)
        ranges = (np.array(described[key], float).reshape(2, n_numbers) for key in ("training_range", "scaled_by"))
        edges = np.array(described["edges"], float).reshape(n_numbers, -1)
        limits = described["limits"]
        return cls(names, codes, *ranges, edges, None if limits is None else tuple(limits))

    def _scaled(self, frame: pd.DataFrame) -> NDArray[np.float32]:
        least, greatest = self.scaled_by
        span = greatest - least
        distance = frame[self.numbers].to_numpy(float) - least
        return np.where(span > 0.0, distance / np.where(span > 0.0, span, 1.0), 0.0).astype(np.float32)

    def _filled_bins(self, numbers: NDArray) -> NDArray[np.float32]:
        """What scaled numbers (n, n_numbers) fill of their bins, (n, n_numbers, n_bins), each 0 to 1."""
        low, high = self.edges[:, :-1], self.edges[:, 1:]
        width = high - low
        # Where many sites share one value, a bin has no width and nothing to fill.
        filled = (numbers[:, :, None] - low) / np.where(width > 0.0, width, np.inf)
        return np.clip(filled, 0.0, 1.0).astype(np.float32)

    def _positions(self, frame: pd.DataFrame) -> NDArray[np.int32]:
        """Position of every place's classes, (n, n_classes), from 1; `UNKNOWN` for a class not in the list."""
        positions = np.zeros((len(frame), len(self.codes)), dtype=np.int32)
        for column, (name, known) in enumerate(self.codes.items()):
            positions[:, column] = pd.Index(known).get_indexer(frame[name]) + 1
        return positions


def covariate_values(frame: pd.DataFrame, names: Sequence[str], source: str = "covariates") -> NDArray[np.float64]:
    """The columns of `frame` as an array (n, n_covariates), once they are exactly `names`, in order and finite.

    Raises
    ------
    InputError
        When a covariate is missing, unknown or out of place, or has values that are not finite numbers.
    """
    found, names = [str(name) for name in frame.columns], list(names)
    missing = [name for name in names if name not in found]
    unknown = [name for name in found if name not in names]
    if missing or unknown:
        raise InputError(
            f"{source}: expected the {len(names)} covariates the network was trained on; "
            f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}. "
            "Give it the same covariates, or train a network on these."
        )
    if found != names:
        at = next(i for i, (a, b) in enumerate(zip(found, names, strict=False)) if a != b)
        raise InputError(
            f"{source}: covariate {at + 1} is {found[at]!r}, expected {names[at]!r}: the columns are in another order "
            "than the network was trained with. Reorder them: frame[list(names)]."
        )
    for name in names:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise InputError(f"{source}: covariate {name!r} has type {frame[name].dtype}, expected numbers.")
    values = frame.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~np.isfinite(values)
    if bad.any():
        rows = bad.sum(axis=0)
        worst = ", ".join(f"{names[i]!r} in {rows[i]} of {len(frame)} rows" for i in np.flatnonzero(rows)[:8])
        raise InputError(
            f"{source}: values are missing or infinite: {worst} (first in row {int(np.argmax(bad.any(axis=1)))}). "
            "A network needs every covariate at every place: fill them in the data stage, or leave the covariate out."
        )
    return values


def _range(frame: pd.DataFrame) -> NDArray[np.float64]:
    values = frame.to_numpy(float)
    return np.stack([values.min(axis=0), values.max(axis=0)])


def _codes(values: NDArray, name: str, source: str) -> tuple[int, ...]:
    if (values != np.round(values)).any():
        odd = values[values != np.round(values)][0]
        raise InputError(f"{source}: {name!r} is a class, but has the value {odd:g}: expected whole numbers.")
    return tuple(int(code) for code in np.unique(values))
