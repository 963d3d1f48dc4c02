"""Environmental covariates: the lists of them, their values in numbers, and the file `covariates.parquet`.

`data/covariates.csv` describes every covariate that the package has a name for and gives its position in the lists
"paper" (the 60 of Tao et al. 2020), "binn" (the 60 of BINN and ScIReN, in the order of their early programs) and
"grid-table" (the columns of grid_half_degree.csv).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from proda.data.files import read_table
from proda.data.tables import checked, no_gaps, no_repeats, read_delimited, row_check, with_attributes
from proda.errors import InputError
from proda.study import repository_root

CLASS_UNIT = "class"  # a covariate of this unit is a class: its numbers are names
DEPTHS = ("0cm", "30cm", "100cm")  # at which SoilGrids covariates are taken
PLACE_COLUMNS = ("place", "profile_id", "site", "cell")
KINDS = ("continuous", "categorical")
TREATMENTS = ("one-hot", "as numbers")


class Covariate(NamedTuple):
    """A covariate."""

    name: str  # as in the columns of `covariates.parquet`
    meaning: str
    unit: str  # "class" for a category, "1" for a pure number
    kind: str  # one of `KINDS`
    source: str
    licence: str  # of the map it is read from; "not stated" where the authors give none


def _described(path: Path) -> pd.DataFrame:
    """A CSV file with the columns of `Covariate`, checked."""
    places = ("paper", "binn", "grid-table")  # in the lists
    table = read_delimited(path, (), (*Covariate._fields, *places), optional=places).fillna("")
    kind = row_check(lambda x: x.isin(KINDS), " or ".join(KINDS))
    return checked(table, {"name": [no_repeats], "kind": [kind]}, path, "line")


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
LAND_USE, OWN_SAND, OWN_CLAY = (KNOWN[name] for name in ("own_land_use", "own_sand", "own_clay"))
TOPSOIL = 0.3  # m; layers that begin above count for the own texture of a profile


def covariate_list(which: str | Path | Iterable[str]) -> tuple[Covariate, ...]:
    """A list of covariates.

    `which` is "paper", "binn" or "grid-table"; a CSV file with the columns of `Covariate`; or names from these lists.
    An InputError when a name is not known or occurs twice, or a file lacks a column or has another kind than `KINDS`.
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


class NumericCovariates(NamedTuple):
    """Covariates of sites and cells in numbers, the same columns for both; NaN where missing or of no use."""

    sites: pd.DataFrame
    cells: pd.DataFrame
    units: dict[str, str]  # of the columns
    unknown: dict[str, int]  # covariate -> number of cells of a class that no site has


def numeric_covariates(
    sites: pd.DataFrame, cells: pd.DataFrame, covariates: Sequence[Covariate], treatment: str = "one-hot"
) -> NumericCovariates:
    """Covariates in numbers.

    `sites` and `cells` have a column for each of `covariates`; more are left out. With the `treatment` "one-hot" there
    is a column of 0 and 1 for every class that a site has, and a cell of another class is missing, since a network
    cannot be trained for it; with "as numbers" the codes of classes stay numbers. An InputError when a covariate has no
    column, or a class is no whole number.
    """
    absent = [row.name for row in covariates if row.name not in sites or row.name not in cells]
    if absent:
        raise InputError(f"no values of the covariates {', '.join(absent)}; the source has {', '.join(cells)}.")
    of_sites, of_cells, units, unknown = {}, {}, {}, {}
    for row in covariates:
        at_site, at_cell = (table[row.name].to_numpy(float) for table in (sites, cells))
        if row.kind == "continuous" or treatment == "as numbers":
            of_sites[row.name], of_cells[row.name] = at_site, at_cell
            # A continuous covariate in the unit of a class is a grade, which counts as a number.
            number = "1" if row.unit == CLASS_UNIT else row.unit
            units[row.name] = CLASS_UNIT if row.kind == "categorical" else number
            continue
        codes = np.unique(at_site[np.isfinite(at_site)])
        if (codes != np.round(codes)).any():
            raise InputError(
                f"covariate {row.name!r} is a class but holds {codes[codes != np.round(codes)][0]:g}; expected whole "
                "numbers. A mean of classes? Aggregate a map of classes by majority."
            )
        unknown[row.name] = int((np.isfinite(at_cell) & ~np.isin(at_cell, codes)).sum())
        for code in codes:
            column = f"{row.name}={code:.0f}"
            of_sites[column] = np.where(np.isfinite(at_site), at_site == code, np.nan)
            of_cells[column] = np.where(np.isin(at_cell, codes), at_cell == code, np.nan)
            units[column] = "1"
    return NumericCovariates(pd.DataFrame(of_sites, sites.index), pd.DataFrame(of_cells, cells.index), units, unknown)


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


def class_of_cover(igbp: ArrayLike) -> NDArray[np.float64]:
    """Class in `CLASSES` of IGBP land cover, (n,); NaN where the code is unknown or missing."""
    return pd.Series(np.asarray(igbp, float)).map(_OF_IGBP).to_numpy(float)


def land_use_of_sites(words: pd.Series, igbp: ArrayLike) -> NDArray[np.float64]:
    """Class in `CLASSES` of every site, by the land use of its record, where known, else the land cover of its cell.

    At half a degree hardly any cell is a wetland or a town, but sites are: a class that sites and cells share keeps
    profiles of wetland soils from representing the whole cell. `words` and `igbp` are (n,), of the sites.
    """
    own = {
        word: next((float(code) for part, code in _PARTS_OF_WORDS if part in word.lower()), np.nan)
        for word in words.dropna().astype(str).unique()
    }
    by_word = words.astype("string").map(own).to_numpy(float, na_value=np.nan)
    return np.where(np.isfinite(by_word), by_word, class_of_cover(igbp))


def own_covariates(profiles: pd.DataFrame, layers: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """What only profiles have: land use (a class), sand and clay (%), each where any profile has it; (n, k).

    A profile without it takes that of its cell, NaN where the cell has none. Sand and clay are means of the layers that
    begin above `TOPSOIL`. `layers` may have `sand` and `clay`, `cells` have `land_cover` and perhaps texture.
    """
    at_cell, result = cells.iloc[profiles["cell"]].reset_index(drop=True), {}
    if profiles["land_use"].notna().any():
        words = profiles["land_use"].reset_index(drop=True)
        result[LAND_USE.name] = land_use_of_sites(words, at_cell["land_cover"])
    top = layers[layers["upper_depth"] < TOPSOIL].groupby("profile_id")
    for row, name in ((OWN_SAND, "sand"), (OWN_CLAY, "clay")):
        if name in layers and layers[name].notna().any() and f"{name}_percent" in cells:
            own = profiles["profile_id"].map(top[name].mean()).reset_index(drop=True)
            result[row.name] = own.fillna(at_cell[f"{name}_percent"])
    return pd.DataFrame(result, index=at_cell.index)


def filled_covariates(
    of_cells: pd.DataFrame, of_sites: pd.DataFrame, names: Iterable[str], cells: pd.DataFrame, cell: ArrayLike
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cells and sites, missing values of the columns `names` replaced: a cell's by the nearest one that has a value.

    A site takes the value of its `cell`. `cells` have `lon` and `lat`, degrees.
    """
    lon, lat = np.radians(cells["lon"].to_numpy()), np.radians(cells["lat"].to_numpy())
    place = np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    of_cells = of_cells.astype(float)
    for name in names:
        known = of_cells[name].notna().to_numpy()
        if known.any() and not known.all():
            _, row = cKDTree(place[known]).query(place[~known])
            of_cells.loc[~known, name] = of_cells.loc[known, name].to_numpy()[row]
    return of_cells, of_sites.fillna(of_cells.iloc[cell].reset_index(drop=True))


def has_covariates(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows have every covariate, (n,)."""
    return np.isfinite(table.to_numpy(float)).all(axis=1)


def write_covariates(
    sites: pd.DataFrame,
    cells: pd.DataFrame,
    profiles: pd.DataFrame,
    path: Path | str,
    units: Mapping[str, str],
    attributes: Mapping[str, Any],
    own: pd.DataFrame,
) -> None:
    """Write `covariates.parquet`: one row a site and one a cell, with units and the file's `attributes`.

    `sites` and `cells` have the same columns, in the order of `profiles` and of the land cells. `own` are covariates
    that only sites have; the attribute `site_only` names them.
    """
    site_keys = profiles[["profile_id", "cell"]].assign(place="site", site=np.arange(len(profiles)))
    cell_keys = pd.DataFrame({"place": "cell", "profile_id": None, "site": pd.NA, "cell": np.arange(len(cells))})
    keys = pd.concat([pd.DataFrame(part).astype({"site": "Int64"}) for part in (site_keys, cell_keys)])
    keys = keys[list(PLACE_COLUMNS)].astype({"profile_id": "string"}).reset_index(drop=True)
    table = keys.join(pd.concat([sites.join(own), cells], ignore_index=True).astype(float))
    units = {**units, **{name: KNOWN[name].unit for name in own}}
    with_attributes(table, units, {}, {**attributes, "site_only": list(own)}).to_parquet(path, index=False)


def read_covariates(path: Path | str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Covariates of the sites and of the land cells, the same for both, in their order, float, indexed from 0."""
    table = read_table(path, ("place", "cell"), ("profile_id", "site"))
    table = table.drop(columns=table.attrs.get("site_only", []))
    parts = (table[table["place"] == place].sort_values(place, ignore_index=True) for place in ("site", "cell"))
    sites, cells = (part.drop(columns=list(PLACE_COLUMNS)) for part in parts)
    for part in (sites, cells):
        checked(part, dict.fromkeys(part, [no_gaps]), path)
    return sites, cells


def site_only_covariates(path: Path | str) -> pd.DataFrame:
    """Covariates that only sites have, (n_sites, k) in their order; k may be 0. No map can be made with them."""
    table = read_table(path, ("place", "cell"), ("site",))
    sites = table[table["place"] == "site"].sort_values("site", ignore_index=True)
    return sites[table.attrs.get("site_only", [])]


def class_covariates(path: Path | str) -> tuple[str, ...]:
    """Names of the covariates of `covariates.parquet` that are classes given as numbers, in their order."""
    units = pd.read_parquet(path, columns=[]).attrs.get("units", {})
    return tuple(name for name, unit in units.items() if unit == CLASS_UNIT)
