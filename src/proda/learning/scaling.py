"""Covariates between 0 and 1: the min-max scaling that belongs to a network and travels with it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.errors import InputError


def covariate_values(frame: pd.DataFrame, names: Sequence[str], source: str = "covariates") -> NDArray[np.float64]:
    """The columns of `frame` as an array (n, n_covariates), once they are exactly `names`, in order and finite.

    Parameters
    ----------
    frame : (n, n_covariates) DataFrame
        One row a place, one column a covariate.
    names : sequence of str
        The expected columns.
    source : str
        What to call the table in an error.

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


@dataclass(frozen=True)
class MinMaxScaling:
    """The range of every covariate, and the map that takes it to 0 to 1.

    Attributes
    ----------
    names : tuple of str, (n_covariates,)
    minimum, maximum : (n_covariates,), each in its covariate's unit
    """

    names: tuple[str, ...]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]

    @classmethod
    def of(cls, frame: pd.DataFrame, source: str = "covariates") -> "MinMaxScaling":
        """The scaling whose ranges are those of `frame`."""
        if frame.empty:
            raise InputError(f"{source}: no rows to take the ranges of the covariates from.")
        values = covariate_values(frame, [str(name) for name in frame.columns], source)
        return cls(tuple(str(name) for name in frame.columns), values.min(axis=0), values.max(axis=0))

    def scaled(self, frame: pd.DataFrame, source: str = "covariates") -> NDArray[np.float32]:
        """Covariates as the network takes them, (n, n_covariates): 0 at the minimum, 1 at the maximum.

        A place beyond the range gets values below 0 or above 1; a covariate without a range (the same everywhere) is 0.
        """
        span = self.maximum - self.minimum
        distance = covariate_values(frame, self.names, source) - self.minimum
        return np.where(span > 0.0, distance / np.where(span > 0.0, span, 1.0), 0.0).astype(np.float32)

    def n_beyond(self, frame: pd.DataFrame, source: str = "covariates") -> NDArray[np.int64]:
        """Number of covariates of each place that lie outside the range, (n,)."""
        values = covariate_values(frame, self.names, source)
        return ((values < self.minimum) | (values > self.maximum)).sum(axis=1)

    def as_dict(self) -> dict[str, list[float]]:
        """Minima and maxima as lists of numbers, for JSON."""
        return {"minimum": self.minimum.tolist(), "maximum": self.maximum.tolist()}
