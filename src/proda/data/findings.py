"""What a source was found to hold: one row a variable, for the reader of a notebook and for a bug report.

Units as files spell them: a variable in another unit than the reader expects is an error, never a conversion.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from proda.errors import InputError
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


def findings_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """Findings of all sources of a study as a table."""
    return pd.DataFrame(list(findings), columns=list(Finding._fields))


class SourcedForcing(NamedTuple):
    """Forcing of some places and where it comes from.

    Attributes
    ----------
    forcing : Forcing or MonthlyForcing
        NaN at places for which the source has no value, such as the sea: `has_forcing` counts them.
    findings : DataFrame
        One row a variable, `Finding`.
    comment : str
        One or two sentences for `forcing.nc`.
    """

    forcing: AnyForcing
    findings: pd.DataFrame
    comment: str


# Expected unit: other spellings of the same unit, compared without blanks, '^', '*', brackets and case.
_SPELLINGS = {
    "K": ("k", "kelvin", "degk", "kelvins"),
    "MPa": ("mpa", "megapascal"),
    "m": ("m", "meter", "meters", "metre", "metres"),
    "%": ("%", "percent", "pct"),
    "1": ("", "1", "-", "none", "unitless", "proportion", "fraction", "dimensionless"),
    "layers": ("", "1", "-", "none", "unitless", "layer", "layers", "index"),
    "g C m-2 s-1": ("gc/m2/s", "gcm-2s-1", "gm-2s-1"),
    "g C m-3 s-1": ("gc/m3/s", "gcm-3s-1", "gm-3s-1"),
    "g C m-3 month-1": ("gc/m3/month", "gc/m3/mon", "gcm-3month-1", "gcm-3mon-1"),
    "kg C m-2": ("kgc/m2", "kgcm-2", "kg/m2", "kgm-2"),
}

# What a wrong unit most likely means and what to do about it, by expected unit.
_REMEDIES = {
    "K": "Temperatures in degrees Celsius? Add 273.15",
    "MPa": "Water potential as a head in mm? Multiply by 9.80665e-6; in kPa? Divide by 1000",
    "m": "A depth in centimetres? Divide by 100",
    "g C m-2 s-1": "A flux per day? Divide by 86400; in kg? Multiply by 1000",
}


def _plain(unit: str) -> str:
    return "".join(c for c in unit.lower() if c not in " ^*()[]_.")


def same_unit(found: str, expected: str) -> bool:
    """Whether `found` is a spelling of `expected`."""
    return _plain(found) in (_plain(expected), *_SPELLINGS.get(expected, ()))


def checked_unit(found: object, expected: tuple[str, ...], where: str) -> str:
    """The one of the `expected` units that `found`, the attribute `units` of a variable, spells.

    Parameters
    ----------
    found : str or None
        None where the file has no such attribute.
    expected : tuple of str
        Units as this package writes them, for example "g C m-2 s-1".
    where : str
        File and variable, for the error.

    Raises
    ------
    InputError
        When the unit is missing or another one.
    """
    if found is None and not {"1", "layers"} & set(expected):
        raise InputError(
            f"{where} has no attribute 'units', expected {' or '.join(map(repr, expected))}. Make sure of the unit, "
            "then write it into the file."
        )
    for unit in expected:
        if same_unit("" if found is None else str(found), unit):
            return unit
    remedy = _REMEDIES.get(expected[0], "Convert the values")
    raise InputError(
        f"{where} is in {found!r}, expected {' or '.join(map(repr, expected))}. {remedy}, and set the attribute "
        f"'units' to {expected[0]!r}."
    )
