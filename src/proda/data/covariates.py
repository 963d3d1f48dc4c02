"""Environmental covariates: the lists of them, their values in numbers, and the file `covariates.parquet`.

`data/covariates.csv` describes every covariate that the package has a name for and gives its position in the lists
"paper" (the 60 of Tao et al. 2020), "binn" (the 60 of BINN and ScIReN, in the order of their early programs) and
"grid-table" (the columns of grid_half_degree.csv).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet
from numpy.typing import ArrayLike, NDArray

from proda.data.tables import checked, csv_line, existing, no_repeats, row_check, with_attributes
from proda.errors import InputError
from proda.study import repository_root

CLASS_UNIT = "class"  # a covariate of this unit is a class: its numbers are names
DEPTHS = ("0cm", "30cm", "100cm")  # at which SoilGrids covariates are taken
PLACE_COLUMNS = ("place", "profile_id", "site", "cell")
KINDS = ("continuous", "categorical")
TREATMENTS = ("one-hot", "as numbers", "as the paper did")


class Covariate(NamedTuple):
    """A covariate.

    Attributes
    ----------
    name : str
        As in the columns of `covariates.parquet`.
    meaning, unit : str
        The unit is "class" for a category and "1" for a pure number.
    kind : "continuous" or "categorical"
    source, licence : str
        Of the map it is read from; "not stated" where the authors give none.
    """

    name: str
    meaning: str
    unit: str
    kind: str
    source: str
    licence: str


def _described(path: Path) -> pd.DataFrame:
    """A CSV file with the columns of `Covariate`, checked."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    missing = [name for name in Covariate._fields if name not in table]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; it has {', '.join(table)}.")
    kind = row_check(lambda x: x.isin(KINDS), " or ".join(KINDS))
    return checked(table, {"name": [no_repeats], "kind": [kind]}, path, csv_line)


def _rows(table: pd.DataFrame) -> tuple[Covariate, ...]:
    return tuple(Covariate(*row) for row in table[list(Covariate._fields)].itertuples(index=False))


_TABLE = _described(repository_root() / "data" / "covariates.csv")
KNOWN = {row.name: row for row in _rows(_TABLE)}
LISTS = {
    name: _rows(_TABLE[_TABLE[name] != ""].sort_values(name, key=pd.to_numeric))
    for name in ("paper", "binn", "grid-table")
}
PAPER_LIST, BINN_LIST, GRID_TABLE_LIST = LISTS.values()
PAPER_COVARIATES = tuple(row.name for row in PAPER_LIST)  # "Garde_Acid" is the authors' spelling
LAND_USE = KNOWN["land_use_class"]


def covariate_list(which: str | Path | Iterable[str]) -> tuple[Covariate, ...]:
    """A list of covariates.

    Parameters
    ----------
    which : str, path or names
        "paper", "binn" or "grid-table"; a CSV file with the columns of `Covariate`; or names from these lists.

    Raises
    ------
    InputError
        When a name is not known, occurs twice, or a file lacks a column or has another kind than `KINDS`.
    """
    if isinstance(which, str) and which in LISTS:
        return LISTS[which]
    if isinstance(which, str | Path):
        if not Path(which).is_file():
            raise InputError(f"{which}: neither a list ({', '.join(LISTS)}) nor a file. Give a CSV file of covariates.")
        return _rows(_described(Path(which)))
    names = list(which)
    for i, name in enumerate(names):
        if name not in KNOWN:
            raise InputError(
                f"no description of the covariate {name!r}. Known: {', '.join(KNOWN)}. Describe others in a CSV "
                f"file with the columns {', '.join(Covariate._fields)}."
            )
        if name in names[:i]:
            raise InputError(f"covariate {name!r} occurs twice; expected each once.")
    return tuple(KNOWN[name] for name in names)


def covariate_frame(covariates: Iterable[Covariate]) -> pd.DataFrame:
    """The list as a table, one row a covariate."""
    return pd.DataFrame(list(covariates), columns=list(Covariate._fields))


_IN_CELSIUS = tuple(f"BIO{i}" for i in (1, 5, 6, 8, 9, 10, 11))


class NumericCovariates(NamedTuple):
    """Covariates of sites and cells in numbers, the same columns for both.

    Attributes
    ----------
    sites, cells : DataFrame
        NaN where a value is missing or cannot be used: cleaning counts such places as "no covariates".
    units : dict
        Of the columns.
    unknown : dict
        Covariate -> number of cells of a class that no site has, for which a network cannot be trained.
    """

    sites: pd.DataFrame
    cells: pd.DataFrame
    units: dict[str, str]
    unknown: dict[str, int]


def numeric_covariates(
    sites: pd.DataFrame, cells: pd.DataFrame, covariates: Sequence[Covariate], treatment: str = "one-hot"
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
        When a covariate has no column, or a class is no whole number.
    """
    names = [row.name for row in covariates]
    for table, whose in ((sites, "sites"), (cells, "cells")):
        absent = [name for name in names if name not in table]
        if absent:
            raise InputError(f"covariates of the {whose}: no column {', '.join(absent)}; it has {', '.join(table)}.")
    if treatment == "as the paper did":
        units = {row.name: "K" if row.name in _IN_CELSIUS else row.unit for row in covariates}
        return NumericCovariates(_as_the_paper_did(sites[names]), _as_the_paper_did(cells[names]), units, {})
    of_sites, of_cells, units, unknown = {}, {}, {}, {}
    for row in covariates:
        at_site, at_cell = (table[row.name].to_numpy(float) for table in (sites, cells))
        if row.kind == "continuous" or treatment == "as numbers":
            of_sites[row.name], of_cells[row.name], units[row.name] = at_site, at_cell, row.unit
            continue
        codes = _codes(at_site, row.name)
        strange = np.isfinite(at_cell) & ~np.isin(at_cell, codes)
        unknown[row.name] = int(strange.sum())
        at_cell = np.where(strange, np.nan, at_cell)
        for code in codes:
            column = f"{row.name}={code}"
            of_sites[column], of_cells[column], units[column] = _is(at_site, code), _is(at_cell, code), "1"
    return NumericCovariates(pd.DataFrame(of_sites, sites.index), pd.DataFrame(of_cells, cells.index), units, unknown)


def _codes(values: NDArray, name: str) -> list[int]:
    known = values[np.isfinite(values)]
    if (known != np.round(known)).any():
        raise InputError(
            f"covariate {name!r} is a class but holds {known[known != np.round(known)][0]:g}; expected whole numbers. "
            "A mean of classes? Aggregate a map of classes by majority."
        )
    return sorted(int(code) for code in np.unique(known))


def _is(values: NDArray, code: int) -> NDArray:
    return np.where(np.isfinite(values), (values == code).astype(float), np.nan)


def _as_the_paper_did(table: pd.DataFrame) -> pd.DataFrame:
    table = table.astype(float)
    table[[name for name in _IN_CELSIUS if name in table]] += 273.15
    if "Drought" in table:
        table["Drought"] += 1.0
    return table.mask((table < 0).any(axis=1))


CLASSES = {
    1: "forest", 2: "shrubland", 3: "grassland", 4: "pasture and hay", 5: "cropland", 6: "wetland", 7: "developed",
    8: "barren",
}  # fmt: skip
# The first that occurs in a word decides: a wooded wetland is a wetland, shrubs and scrub are not forest.
_PARTS_OF_WORDS = (
    ("wetland", 6), ("shrub", 2), ("scrub", 2), ("non-natural woody", 2), ("forest", 1), ("wood", 1), ("pasture", 4),
    ("hay", 4), ("crp", 4), ("crop", 5), ("cultivated", 5), ("range", 3), ("grass", 3), ("herbaceous", 3),
    ("developed", 7), ("urban", 7), ("barren", 8),
)  # fmt: skip
_OF_IGBP = {
    1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 2, 7: 2, 8: 1, 9: 3, 10: 3, 11: 6, 12: 5, 13: 7, 14: 5, 15: 8, 16: 8, 17: 6,
}  # fmt: skip


class LandUse(NamedTuple):
    """Classes of sites.

    Attributes
    ----------
    classes : (n,)
        NaN where neither the word nor the land cover has a class.
    by_word : int
        Number of sites whose class follows from their own word.
    unknown_words : tuple of str
    """

    classes: NDArray[np.float64]
    by_word: int
    unknown_words: tuple[str, ...]


def class_of_cover(igbp: ArrayLike) -> NDArray[np.float64]:
    """Class in `CLASSES` of IGBP land cover, (n,); NaN where the code is unknown or missing."""
    return pd.Series(np.asarray(igbp, float)).map(_OF_IGBP).to_numpy(float)


def land_use_of_sites(words: pd.Series, igbp: ArrayLike) -> LandUse:
    """Class of every site from the land use of its record, where known, else from the land cover of its cell.

    At half a degree hardly any cell is a wetland or a town, but sites are: a class that sites and cells share keeps
    profiles of wetland soils from representing the whole cell.

    Parameters
    ----------
    words : (n,) Series of text or missing
    igbp : (n,)
        Land cover of the sites' cells.
    """
    own = {word: _class_of_word(word) for word in words.dropna().astype(str).unique()}
    by_word = words.astype("string").map(own).to_numpy(float, na_value=np.nan)
    classes = np.where(np.isfinite(by_word), by_word, class_of_cover(igbp))
    unknown = tuple(word for word, code in own.items() if np.isnan(code))
    return LandUse(classes, int(np.isfinite(by_word).sum()), unknown)


def _class_of_word(word: str) -> float:
    lower = word.lower()
    return next((float(code) for part, code in _PARTS_OF_WORDS if part in lower), np.nan)


def has_covariates(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows have every covariate, (n,)."""
    return np.isfinite(table.to_numpy(float)).all(axis=1)


def covariate_table(sites: pd.DataFrame, cells: pd.DataFrame, profiles: pd.DataFrame) -> pd.DataFrame:
    """Covariates of sites and cells in one table, as `covariates.parquet` holds them.

    Parameters
    ----------
    sites, cells : DataFrame
        Covariates only, the same columns, in the order of the sites (rows of `profiles`) and of the land cells.
    profiles : DataFrame
        `profile_id` and `cell` of the sites.
    """
    site_keys = profiles[["profile_id", "cell"]].assign(place="site", site=np.arange(len(profiles)))
    cell_keys = pd.DataFrame({"place": "cell", "profile_id": None, "site": pd.NA, "cell": np.arange(len(cells))})
    keys = pd.concat([pd.DataFrame(part).astype({"site": "Int64"}) for part in (site_keys, cell_keys)])
    values = pd.concat([sites, cells], ignore_index=True).astype(float)
    keys = keys[list(PLACE_COLUMNS)].astype({"profile_id": "string"}).reset_index(drop=True)
    return pd.concat([keys, values], axis=1)


def write_covariates(
    table: pd.DataFrame, path: Path | str, units: Mapping[str, str], attributes: Mapping[str, Any] | None = None
) -> None:
    """Write `covariates.parquet`, with the units that are known and the file's `attributes`."""
    with_attributes(table, units, {}, attributes or {}).to_parquet(path, index=False)


def read_covariates(path: Path | str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Covariates of the sites and of the land cells, in their order, float, indexed from 0."""
    table = pd.read_parquet(existing(path))
    parts = (table[table["place"] == place].sort_values(place, ignore_index=True) for place in ("site", "cell"))
    sites, cells = (part.drop(columns=list(PLACE_COLUMNS)) for part in parts)
    return sites, cells


def class_covariates(path: Path | str) -> tuple[str, ...]:
    """Names of the covariates of `covariates.parquet` that are classes given as numbers, in their order."""
    attributes = json.loads((pyarrow.parquet.read_schema(path).metadata or {}).get(b"PANDAS_ATTRS", b"{}"))
    return tuple(name for name, unit in attributes.get("units", {}).items() if unit == CLASS_UNIT)
