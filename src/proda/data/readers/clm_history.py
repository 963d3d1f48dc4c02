"""Forcing of both model configurations from the history files of CLM/CTSM: monthly means on a grid of lon and lat.

Nothing is converted silently: a variable in another unit, on other levels, with a gap in time or on a grid that does
not reach the places is an error that says what was found.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.data.readers.found import Finding, SourcedForcing, finding, found_table
from proda.data.readers.history_fields import HistoryFields
from proda.errors import InputError
from proda.model.column import DAYS_PER_YEAR
from proda.model.configuration import CESM2, PAPER, Configuration
from proda.model.forcing import Forcing, MonthlyForcing

SECONDS_PER_DAY = 86400.0
MONTH_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], float)  # of CLM's 365-day year

# Per variable: unit, least and greatest plausible value, and what is likely beyond. They catch wrong units.
_PLAUSIBLE = {
    "TSOI": (180.0, 350.0, "temperatures in degrees Celsius, though 'units' says K?"),
    "SOILPSI": (-1e4, 0.0, "the potential of unsaturated soil is negative: a suction with the other sign?"),
    "ALTMAX": (0.0, 100.0, "a depth in centimetres, though 'units' says m?"),
    "ALTMAX_LASTYEAR": (0.0, 100.0, "a depth in centimetres, though 'units' says m?"),
    "NPP": (-1e-4, 5e-4, "a flux per day or year, though 'units' says per second?"),
    "W_SCALAR": (0.0, 1.0, "a percentage?"),
    "O_SCALAR": (0.0, 1.0, "a percentage?"),
    "FPI_vr": (0.0, 1.0 + 1e-6, "a percentage?"),
}
# The carbon that enters each litter pool, in the order of `MonthlyForcing.carbon_input`; names differ between versions.
_INPUTS = tuple(
    tuple(f"{pool}{ending}" for ending in ("_INPUT", "_INPUT_VECTOR", "_INPUT_ACC_VECTOR"))
    for pool in ("CWD", "LITR1", "LITR2", "LITR3")
)


def forcing_from_history(
    files,
    lon: ArrayLike,
    lat: ArrayLike,
    configuration: Configuration = PAPER,
    method: str = "nearest",
    vertical: str = "match",
    npp_multiples: tuple[float, float] | None = None,
) -> SourcedForcing:
    """Forcing of the places at `lon`, `lat` from history files.

    Parameters
    ----------
    files : path, list of paths, or a folder of `*.nc`
        Whole years of monthly means, one file or many.
    lon, lat : (n,), degrees
        Either convention of longitude.
    configuration : Configuration
        `PAPER` takes means over all months: TSOI, SOILPSI, ALTMAX, and annual NPP with its least and greatest year.
        `CESM2` takes a mean year, month by month: TSOI, W_SCALAR, O_SCALAR, FPI_vr, ALTMAX, ALTMAX_LASTYEAR, the
        inputs of woody debris and litter, and `nbedrock`.
    method : "nearest" or "bilinear"
    vertical : "match" or "linear"
        "linear" interpolates to the nodes of the configuration where the files come from another version of CLM.
    npp_multiples : (float, float), optional
        Least and greatest annual NPP as multiples of the mean, instead of those of the years in the files; needed for a
        single year.

    Raises
    ------
    InputError
        Names the file, the variable, what was found and what was expected.
    """
    fields = HistoryFields(files, lon, lat, configuration.column, method, vertical)
    forcing, findings = _monthly(fields) if configuration.monthly else _annual(fields, npp_multiples)
    comment = (
        f"CLM history files, {fields.period} ({len(fields.paths)} files): "
        f"{'mean year, month by month' if configuration.monthly else 'mean over all months'}, {method} cell"
        f"{'' if vertical == 'match' else ', levels interpolated'}."
    )
    return SourcedForcing(forcing, found_table(findings), comment)


def _all_months(records) -> NDArray:
    days = np.array([[record.days for record in records]])
    return days / days.sum()


def _mean_year(records) -> NDArray:
    month = np.array([record.month for record in records])
    same = (month == np.arange(1, 13)[:, None]).astype(float)
    return same / same.sum(axis=1, keepdims=True)


def _single_years(records) -> NDArray:
    """Each run of twelve months a year of its own, weights in seconds."""
    year = np.arange(len(records)) // 12
    seconds = SECONDS_PER_DAY * np.array([record.days for record in records])
    return (year == np.arange(year[-1] + 1)[:, None]) * seconds


def _checked(fields: HistoryFields, name: str, unit: str, of, findings: list[Finding], note: str = "") -> NDArray:
    values, _ = fields.mean(name, (unit,), of)
    _check_plausible(fields, name, unit, values)
    findings.append(finding("CLM history", name, unit, values, note))
    return values


def _check_plausible(fields: HistoryFields, name: str, unit: str, values: NDArray) -> None:
    where = f"{fields.records[0].file} and on: {name}"
    if not np.isfinite(values).any():
        raise InputError(
            f"{where} has no value at any of the {values.shape[-1]} places: all NaN or fill values. Another domain, or "
            "a run that wrote nothing?"
        )
    low, high, guess = _PLAUSIBLE[name]
    bad = (values < low) | (values > high)
    if bad.any():
        i = tuple(int(k[0]) for k in np.nonzero(bad))
        raise InputError(
            f"{where} is {values[i]:.4g} {unit} at place {i[-1]}, expected {low:g} to {high:g} ({int(bad.sum())} of "
            f"{bad.size} values are outside): {guess}"
        )


def _annual(fields: HistoryFields, multiples: tuple[float, float] | None) -> tuple[Forcing, list[Finding]]:
    found: list[Finding] = []
    temperature = _checked(fields, "TSOI", "K", _all_months, found)[0]
    potential = _checked(fields, "SOILPSI", "MPa", _all_months, found)[0]
    thaw = _checked(fields, "ALTMAX", "m", _all_months, found)[0]
    annual, _ = fields.mean("NPP", ("g C m-2 s-1",), _single_years)
    mean = annual.mean(axis=0)
    _check_plausible(fields, "NPP", "g C m-2 s-1", mean / (SECONDS_PER_DAY * DAYS_PER_YEAR))
    if multiples is not None:
        low, high = multiples[0] * mean, multiples[1] * mean
        note = f"least and greatest year taken as {multiples[0]:g} and {multiples[1]:g} times the mean"
    elif fields.years < 2:
        raise InputError(
            f"{fields.records[0].file}: one year of NPP, but the least and the greatest year bound the carbon input. "
            "Give more years, or npp_multiples=(0.7, 1.3) or the like."
        )
    else:
        low, high = annual.min(axis=0), annual.max(axis=0)
        below = low < 0
        low = np.maximum(low, 0.0)
        note = f"{fields.years} years; least year below zero and set to zero at {int(below.sum())} places"
    for name, values in (("NPP", mean), ("NPP, least year", low), ("NPP, greatest year", high)):
        found.append(finding("CLM history", name, "g C m-2 yr-1", values, note))
    return Forcing(temperature, potential, thaw, mean, low, high), found


def _monthly(fields: HistoryFields) -> tuple[MonthlyForcing, list[Finding]]:
    found: list[Finding] = []
    n = fields.sampling.index.shape[1]
    by_layer = {}
    for name, unit in (("TSOI", "K"), ("W_SCALAR", "1"), ("O_SCALAR", "1"), ("FPI_vr", "1")):
        values = _checked(fields, name, unit, _mean_year, found)
        by_layer[name] = np.minimum(values, 1.0) if unit == "1" else values
    thaw = [_checked(fields, name, "m", _mean_year, found) for name in ("ALTMAX", "ALTMAX_LASTYEAR")]
    carbon = np.empty((4, 12, n))
    for kind, names in enumerate(_INPUTS):
        carbon[kind] = _column_input(fields, fields.name(*names), found)
    bedrock = fields.constant("nbedrock", "NBEDROCK")
    if bedrock is None:
        raise InputError(
            f"{fields.records[0].file}: no variable 'nbedrock', the number of layers above bedrock. Give the file that "
            "holds it, such as one made from the surface data, beside the history files."
        )
    found.append(finding("CLM history", "nbedrock", "layers", bedrock))
    layers, months = fields.column.n_layers, (1, 0, 2)
    deep = np.where(np.isfinite(bedrock), np.minimum(bedrock, layers), np.nan)
    climate = (by_layer[name].transpose(months) for name in ("TSOI", "W_SCALAR", "O_SCALAR", "FPI_vr"))
    return MonthlyForcing(*climate, *thaw, carbon, deep), found


def _column_input(fields: HistoryFields, name: str, found: list[Finding]) -> NDArray:
    """Column totals of a volumetric input, (12, n), g C m-2 month-1."""
    values, unit = fields.mean(name, ("g C m-3 s-1", "g C m-3 month-1"), _mean_year)
    total = np.einsum("tjn,j->tn", values, CESM2.column.thickness)
    if unit == "g C m-3 s-1":
        total *= (SECONDS_PER_DAY * MONTH_DAYS)[:, None]
    if not np.isfinite(total).any():
        raise InputError(f"{fields.records[0].file} and on: {name} has no value at any place: all NaN or fill values.")
    if (total < -1e-9).any():
        raise InputError(
            f"{fields.records[0].file} and on: {name} is negative ({np.nanmin(total):.3g} g C m-2 month-1), expected "
            "an input into the litter."
        )
    found.append(finding("CLM history", name, "g C m-2 month-1", total, f"column total of {unit}"))
    return np.maximum(total, 0.0)
