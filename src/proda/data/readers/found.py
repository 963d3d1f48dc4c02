"""What a source was found to hold: one row a variable, for the reader of a notebook and for a bug report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from proda.model.forcing import AnyForcing


class Finding(NamedTuple):
    """One variable of a source as it arrived at the places it was asked for.

    Attributes
    ----------
    source : str
        Name of the data set or file.
    variable, unit : str
    values, missing : int
        How many there are in all, and how many of them have no value.
    least, middle, greatest : float
        Of those that have one; the middle is the median.
    note : str
        What was chosen, converted, clipped or counted on the way.
    """

    source: str
    variable: str
    unit: str
    values: int
    missing: int
    least: float
    middle: float
    greatest: float
    note: str = ""


def finding(source: str, variable: str, unit: str, values: ArrayLike, note: str = "") -> Finding:
    """What `values` of `variable` are like."""
    values = np.asarray(values, float).ravel()
    known = values[np.isfinite(values)]
    ends = (known.min(), float(np.median(known)), known.max()) if known.size else (np.nan,) * 3
    return Finding(source, variable, unit, values.size, values.size - known.size, *map(float, ends), note)


def found_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """Findings of all sources of a study as a table."""
    return pd.DataFrame(list(findings), columns=list(Finding._fields))


class SourcedForcing(NamedTuple):
    """Forcing of some places and where it comes from.

    Attributes
    ----------
    forcing : Forcing or MonthlyForcing
        NaN at places for which the source has no value, such as the sea: `has_forcing` counts them.
    found : DataFrame
        One row a variable, `Finding`.
    comment : str
        One or two sentences for `forcing.nc`.
    """

    forcing: AnyForcing
    found: pd.DataFrame
    comment: str
