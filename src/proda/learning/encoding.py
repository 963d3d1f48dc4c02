"""Covariates as an embedding network takes them: numbers between 0 and 1, and classes as positions in a list.

A number can be told in pieces as well: how much of each of its quantile bins it has filled, 0 below the bin and 1 above
(piecewise-linear encoding, Gorishniy et al. 2022, arXiv:2203.05556). A network bends as easily where most sites are
as a tree splits there; with the bare number it has to learn a steep slope first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.errors import InputError
from proda.learning.scaling import MinMaxScaling, covariate_values

NUMBERS, CLASSES = "numbers", "classes"
UNKNOWN = 0  # position of a class that no training site has
MOST_BINS, SITES_PER_BIN = 16, 100  # of a number that is told in pieces


def n_bins_of(n_sites: int) -> int:
    """Bins into which the numbers of so many training sites are told; few sites cannot fill many."""
    return min(MOST_BINS, n_sites // SITES_PER_BIN)


class Shape(NamedTuple):
    """Width of `numbers`, and number of positions of each covariate that is a class, the unknown included."""

    n_numbers: int
    class_sizes: tuple[int, ...]


@dataclass(frozen=True)
class Encoding:
    """How covariates enter the network; it travels with it.

    Attributes
    ----------
    names : tuple of str
        All covariates in the order of their table.
    scaling : MinMaxScaling
        Of those that are numbers.
    codes : dict
        Of those that are classes: name -> the codes that the training sites have, ascending.
    edges : (n_numbers, n_bins + 1) array
        Quantiles of the scaled numbers of the training sites; no bins, no columns.
    """

    names: tuple[str, ...]
    scaling: MinMaxScaling
    codes: dict[str, tuple[int, ...]]
    edges: NDArray[np.float64]

    @classmethod
    def of(
        cls, frame: pd.DataFrame, class_names: Iterable[str], source: str = "covariates", n_bins: int = 0
    ) -> Encoding:
        """The encoding whose ranges, classes and quantiles are those of `frame`.

        Parameters
        ----------
        frame : (n, n_covariates) DataFrame
            Of the training sites.
        class_names : iterable of str
            Which columns are classes.
        n_bins : int
            Bins in which every number is told beside its value.

        Raises
        ------
        InputError
            When a class is no whole number, or no covariate is a number.
        """
        names = tuple(str(name) for name in frame.columns)
        covariate_values(frame, names, source)
        wanted = set(class_names)
        codes = {}
        for name in names:
            if name not in wanted:
                continue
            values = frame[name].to_numpy(float)
            if (values != np.round(values)).any():
                odd = values[values != np.round(values)][0]
                raise InputError(f"{source}: {name!r} is a class, but has the value {odd:g}: expected whole numbers.")
            codes[name] = tuple(int(code) for code in np.unique(values))
        numbers = [name for name in names if name not in codes]
        if not numbers:
            raise InputError(f"{source}: all {len(names)} covariates are classes; the network needs a number among "
                             "them.")  # fmt: skip
        scaling = MinMaxScaling.of(frame[numbers], source)
        edges = np.empty((len(numbers), 0))
        if n_bins > 0:
            edges = np.quantile(scaling.scaled(frame[numbers], source), np.linspace(0.0, 1.0, n_bins + 1), axis=0).T
        return cls(names, scaling, codes, edges)

    @property
    def shape(self) -> Shape:
        """What networks for these covariates have to have room for."""
        width = len(self.scaling.names) * max(1, self.edges.shape[1])
        return Shape(width, tuple(len(codes) + 1 for codes in self.codes.values()))

    def encoded(self, frame: pd.DataFrame, source: str = "covariates") -> dict[str, NDArray]:
        """`numbers` (n, n_numbers x (1 + n_bins)) float32 and `classes` (n, n_classes) int32 of the places of `frame`.

        Numbers are 0 at the training sites' minimum and 1 at their maximum, and are held to -0.5 to 1.5: what lies
        farther out says no more than that it does. What they fill of their bins follows, covariate by covariate.

        Raises
        ------
        InputError
            As `proda.learning.scaling.covariate_values`.
        """
        covariate_values(frame, self.names, source)
        numbers = np.clip(self.scaling.scaled(frame[list(self.scaling.names)], source), -0.5, 1.5)
        filled = self._filled_bins(numbers).reshape(len(frame), -1)
        return {NUMBERS: np.concatenate([numbers, filled], axis=1), CLASSES: self._positions(frame)}

    def _filled_bins(self, numbers: NDArray) -> NDArray[np.float32]:
        """What scaled numbers (n, n_numbers) fill of their bins, (n, n_numbers, n_bins), each 0 to 1."""
        low, high = self.edges[:, :-1], self.edges[:, 1:]
        width = high - low
        # Where many sites share one value, a bin has no width and nothing to tell.
        filled = (numbers[:, :, None] - low) / np.where(width > 0.0, width, np.inf)
        return np.clip(filled, 0.0, 1.0).astype(np.float32)

    def _positions(self, frame: pd.DataFrame) -> NDArray[np.int32]:
        """Position of every place's classes, (n, n_classes), from 1; `UNKNOWN` for a class not in the list."""
        positions = np.zeros((len(frame), len(self.codes)), dtype=np.int32)
        for column, (name, known) in enumerate(self.codes.items()):
            values, table = frame[name].to_numpy(float), np.asarray(known, float)
            at = np.clip(np.searchsorted(table, values), 0, len(table) - 1)
            positions[:, column] = np.where(table[at] == values, at + 1, UNKNOWN)
        return positions

    def n_beyond(self, frame: pd.DataFrame, source: str = "covariates") -> NDArray[np.int64]:
        """Number of covariates of each place that no training site has had: out of range, or of another class, (n,)."""
        covariate_values(frame, self.names, source)
        beyond = self.scaling.n_beyond(frame[list(self.scaling.names)], source)
        return beyond + (self._positions(frame) == UNKNOWN).sum(axis=1)

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "covariates": list(self.names),
            "numbers": {"names": list(self.scaling.names), **self.scaling.as_dict(), "edges": self.edges.tolist()},
            "classes": {name: list(codes) for name, codes in self.codes.items()},
        }

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Encoding:
        """The encoding that `as_dict` described."""
        numbers = told["numbers"]
        scaling = MinMaxScaling(tuple(numbers["names"]), np.array(numbers["minimum"]), np.array(numbers["maximum"]))
        codes = {name: tuple(int(code) for code in values) for name, values in told["classes"].items()}
        return cls(
            tuple(told["covariates"]), scaling, codes, np.array(numbers["edges"], float).reshape(len(scaling.names), -1)
        )
