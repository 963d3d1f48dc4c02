"""Covariates as a network takes them: a class is no number, unless the study says so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.data.covariate_lists import Covariate
from proda.errors import InputError

TREATMENTS = ("one-hot", "as numbers", "as the paper did")
_IN_CELSIUS = tuple(f"BIO{i}" for i in (1, 5, 6, 8, 9, 10, 11))


class NumericCovariates(NamedTuple):
    """Covariates of sites and cells in numbers, the same columns for both.

    Attributes
    ----------
    sites, cells : DataFrame
        NaN where a value is missing or cannot be used: cleaning counts such places as "no covariates".
    account : DataFrame
        `covariate`, `columns` made of it, `sites_missing`, `cells_missing`, and in `cells_unknown` the cells of a class
        that no site has, which a network cannot have learnt.
    units : dict
        Of the columns.
    """

    sites: pd.DataFrame
    cells: pd.DataFrame
    account: pd.DataFrame
    units: dict[str, str]


def numeric_covariates(
    sites: pd.DataFrame, cells: pd.DataFrame, covariates: Iterable[Covariate], treatment: str = "one-hot"
) -> NumericCovariates:
    """Covariates in numbers.

    Parameters
    ----------
    sites, cells : DataFrame
        One column for each of `covariates`; more are left out.
    treatment : "one-hot", "as numbers" or "as the paper did"
        "one-hot": a column of 0 and 1 for every class that a site has; a cell of another class is missing.
        "as numbers": the codes of classes stay numbers, and nothing else changes.
        "as the paper did": classes stay numbers, temperatures are turned to kelvin, Drought is raised by one, and
        a place with any value below zero is missing.

    Raises
    ------
    InputError
        When a covariate has no column, a class is no whole number, or the treatment is unknown.
    """
    covariates = tuple(covariates)
    if treatment not in TREATMENTS:
        raise InputError(f"treatment of classes is {treatment!r}, expected one of: {', '.join(TREATMENTS)}.")
    for table, whose in ((sites, "sites"), (cells, "cells")):
        absent = [row.name for row in covariates if row.name not in table]
        if absent:
            raise InputError(f"covariates of the {whose}: no column {', '.join(absent)}; it has {', '.join(table)}.")
    if treatment == "as the paper did":
        return _as_the_paper_did(sites, cells, covariates)
    site_columns, cell_columns, units, rows = {}, {}, {}, []
    for row in covariates:
        at_site, at_cell = (table[row.name].to_numpy(float) for table in (sites, cells))
        unknown = 0
        if row.kind == "continuous" or treatment == "as numbers":
            made = [(row.name, at_site, at_cell)]
        else:
            classes = _classes(at_site, row.name)
            strange = np.isfinite(at_cell) & ~np.isin(at_cell, classes)
            unknown = int(strange.sum())
            at_cell = np.where(strange, np.nan, at_cell)
            made = [(f"{row.name}={code}", _is(at_site, code), _is(at_cell, code)) for code in classes]
        for name, of_sites, of_cells in made:
            site_columns[name], cell_columns[name] = of_sites, of_cells
            units[name] = "1" if name != row.name else row.unit  # a class among numbers keeps the unit "class"
        missing = [int(table[row.name].isna().sum()) for table in (sites, cells)]
        rows.append((row.name, len(made), *missing, unknown))
    return NumericCovariates(
        pd.DataFrame(site_columns, sites.index), pd.DataFrame(cell_columns, cells.index), _account(rows), units
    )


def _classes(values: NDArray, name: str) -> list[int]:
    known = values[np.isfinite(values)]
    if (known != np.round(known)).any():
        raise InputError(
            f"covariate {name!r} is a class but holds {known[known != np.round(known)][0]:g}; expected whole numbers. "
            "A mean of classes? Aggregate a map of classes by majority."
        )
    return sorted(int(code) for code in np.unique(known))


def _is(values: NDArray, code: int) -> NDArray:
    return np.where(np.isfinite(values), (values == code).astype(float), np.nan)


def _as_the_paper_did(sites: pd.DataFrame, cells: pd.DataFrame, covariates: tuple[Covariate, ...]) -> NumericCovariates:
    names = [row.name for row in covariates]
    changed = []
    for table in (sites, cells):
        table = table[names].astype(float)
        for name in set(names) & set(_IN_CELSIUS):
            table[name] += 273.15
        if "Drought" in names:
            table["Drought"] += 1.0
        table.loc[(table < 0).any(axis=1).to_numpy()] = np.nan
        changed.append(table)
    rows = [(name, 1, *(int(table[name].isna().sum()) for table in changed), 0) for name in names]
    units = {row.name: row.unit for row in covariates}
    units |= {name: "K" for name in set(names) & set(_IN_CELSIUS)}
    return NumericCovariates(*changed, _account(rows), units)


def _account(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["covariate", "columns", "sites_missing", "cells_missing", "cells_unknown"])
