"""Covariates as networks take them: numbers scaled by their range at training sites, classes as positions in a list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.errors import InputError

NUMBERS, CLASSES = "numbers", "classes"
UNKNOWN = 0  # position of a class that no training site has


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
    limits: tuple[float, float] | None = None  # scaled numbers beyond these are set to them

    @classmethod
    def of(
        cls,
        frame: pd.DataFrame,
        class_names: Iterable[str] = (),
        scaled_by: pd.DataFrame | None = None,
        limits: tuple[float, float] | None = None,
    ) -> Encoding:
        """The encoding with the ranges and classes of the training sites, `frame`.

        The columns `class_names` are classes, as whole numbers; the ranges of `scaled_by`, if given, scale the numbers.
        """
        codes = {name: tuple(np.unique(frame[name]).astype(int).tolist()) for name in frame if name in set(class_names)}
        numbers = [name for name in frame if name not in codes]
        training_range, scale = (
            np.stack([places[numbers].min(), places[numbers].max()]).astype(float)
            for places in (frame, frame if scaled_by is None else scaled_by)
        )
        return cls(tuple(frame), codes, training_range, scale, limits)

    @property
    def numbers(self) -> list[str]:
        """Names of the covariates that are numbers."""
        return [name for name in self.names if name not in self.codes]

    @property
    def shape(self) -> Shape:
        """Widths of the inputs of a network that takes these covariates."""
        return Shape(len(self.numbers), tuple(len(codes) + 1 for codes in self.codes.values()))

    def encoded(self, frame: pd.DataFrame) -> dict[str, NDArray]:
        """`numbers` (n, n_numbers) float32 and `classes` (n, n_classes) int32 of n places.

        Numbers are 0 and 1 at the ends of `scaled_by`, and 0 where these are the same.
        """
        numbers = self._scaled(frame)
        if self.limits is not None:
            numbers = np.clip(numbers, *self.limits)
        return {NUMBERS: numbers, CLASSES: self._positions(frame)}

    def n_beyond(self, frame: pd.DataFrame) -> NDArray[np.int64]:
        """Number of covariates of each place outside the training range, or of another class, (n,)."""
        values, (least, greatest) = frame[self.numbers].to_numpy(float), self.training_range
        beyond = (values < least) | (values > greatest)
        return beyond.sum(axis=1) + (self._positions(frame) == UNKNOWN).sum(axis=1)

    def check(self, frame: pd.DataFrame, source: str) -> None:
        """Refuse a table that does not have exactly these covariates, in their order, as finite numbers."""
        missing = [name for name in self.names if name not in frame]
        unknown = [str(name) for name in frame if name not in self.names]
        if tuple(frame) != self.names:
            raise InputError(
                f"{source}: expected the {len(self.names)} covariates that the network was trained on, in its order; "
                f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}. Take "
                "frame[list(predictor.covariates)], or train a network on these."
            )
        bad = ~np.isfinite(frame.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float, na_value=np.nan))
        if bad.any():
            row, column = (int(i[0]) for i in np.nonzero(bad))
            raise InputError(
                f"{source}: {self.names[column]!r} is {str(frame.iloc[row, column])!r} in row {row}; {bad.sum()} "
                "values are not finite numbers, and a network needs every covariate at every place: fill them, or "
                "leave the places out."
            )

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, described: dict[str, Any]) -> Encoding:
        """The encoding that `as_dict` described."""
        names, limits = tuple(described["names"]), described["limits"]
        codes = {name: tuple(values) for name, values in described["codes"].items()}
        n_numbers = len(names) - len(codes)
        ranges = (np.array(described[key], float).reshape(2, n_numbers) for key in ("training_range", "scaled_by"))
        return cls(names, codes, *ranges, None if limits is None else tuple(limits))

    def _scaled(self, frame: pd.DataFrame) -> NDArray[np.float32]:
        least, greatest = self.scaled_by
        span = greatest - least
        distance = frame[self.numbers].to_numpy(float) - least
        return np.where(span > 0.0, distance / np.where(span > 0.0, span, 1.0), 0.0).astype(np.float32)

    def _positions(self, frame: pd.DataFrame) -> NDArray[np.int32]:
        """Position of every place's classes, (n, n_classes), from 1; `UNKNOWN` for a class not in the list."""
        columns = [pd.Index(codes).get_indexer(frame[name]) + 1 for name, codes in self.codes.items()]
        return np.array(columns, dtype=np.int32).reshape(len(columns), len(frame)).T
