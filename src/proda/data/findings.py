"""Summary of what each source contains, one row a variable, and the check of its units.

A variable in another unit than the reader expects is an error, never converted.
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
    """One variable of a source at the places of the study."""

    source: str  # name of the data set or file
    variable: str
    unit: str
    values: int  # number of places
    missing: int  # of them without a value
    least: float
    middle: float  # median
    greatest: float
    note: str = ""  # what was chosen, converted, clipped or counted


def finding(source: str, variable: str, unit: str, values: ArrayLike, note: str = "") -> Finding:
    """Number, range and median of `values` of `variable`."""
    values = np.asarray(values, float).ravel()
    known = values[np.isfinite(values)]
    ends = (known.min(), float(np.median(known)), known.max()) if known.size else (np.nan,) * 3
    return Finding(source, variable, unit, values.size, values.size - known.size, *map(float, ends), note)


def findings_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """Findings as a table, one row a variable."""
    return pd.DataFrame(list(findings), columns=list(Finding._fields))


class SourcedForcing(NamedTuple):
    """Forcing of some places and where it comes from."""

    forcing: AnyForcing  # NaN at places for which the source has no value, such as the sea
    findings: pd.DataFrame
    comment: str  # one or two sentences for `forcing.nc`


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

# What another unit probably is and what to do about it, by expected unit.
_REMEDIES = {
    "K": "Temperatures in degrees Celsius? Add 273.15",
    "MPa": "Water potential as a head in mm? Multiply by 9.80665e-6; in kPa? Divide by 1000",
    "m": "A depth in centimetres? Divide by 100",
    "g C m-2 s-1": "A flux per day? Divide by 86400; in kg? Multiply by 1000",
}


def _plain(unit: str) -> str:
    return "".join(c for c in unit.lower() if c not in " ^*()[]_.")


def checked_unit(unit: object, expected: tuple[str, ...], where: str) -> str:
    """The one of the `expected` units that `unit`, the attribute `units` of a variable, spells.

    Parameters
    ----------
    unit : str or None
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
    known = " or ".join(map(repr, expected))
    if unit is None and not {"1", "layers"} & set(expected):
        raise InputError(
            f"{where} has no attribute 'units', expected {known}. Make sure of the unit, then write it into the file."
        )
    plain = _plain("" if unit is None else str(unit))
    for name in expected:
        if plain in (_plain(name), *_SPELLINGS.get(name, ())):
            return name
    remedy = _REMEDIES.get(expected[0], "Convert the values")
    raise InputError(
        f"{where} is in {unit!r}, expected {known}. {remedy}, and set the attribute 'units' to {expected[0]!r}."
    )
