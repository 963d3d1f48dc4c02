"""The table of environmental covariates: one row a site, one row a land cell, the same columns for both.

Lists of environmental covariates: what each is, its unit, where it comes from, and whether it is a class.

Covariates as a network takes them: a class is no number, unless the study says so.

Land use of sites in one set of classes, whatever words their collections use; of cells from their land cover.

At half a degree hardly any cell is a wetland or a town, but sites are. A class that both sites and cells have lets a
network learn the difference at sites, and keeps a collection of wetland soils from standing for the whole cell.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet
from numpy.typing import ArrayLike, NDArray

from proda.data.tables import Stamp, checked, row_check, stamped, table_schema, version_checked
from proda.errors import InputError

CLASS_UNIT = "class"  # a covariate of this unit is a class: its numbers are names
PLACE_COLUMNS = ("place", "profile_id", "site", "cell")
DEPTHS = ("0cm", "30cm", "100cm")


def _triple(name: str) -> tuple[str, ...]:
    return tuple(f"{name}_{depth}" for depth in DEPTHS)


# The 60 covariates of Tao et al. 2020; a triple stands at 0, 30 and 100 cm; "Garde_Acid" is the authors' spelling.
PAPER_COVARIATES = (
    "IGBP", "Climate", "Soil_Type", "NPPmean", "NPPmax", "NPPmin", "Veg_Cover",
    *(f"BIO{i}" for i in range(1, 20)),
    "Abs_Depth_to_Bedrock", *_triple("Bulk_Density"), *_triple("CEC"), *_triple("Clay_Content"),
    *_triple("Coarse_Fragments_v"), "Depth_Bedrock_R", "Garde_Acid", "Occurrence_R_Horizon", *_triple("pH_Water"),
    *_triple("Sand_Content"), *_triple("Silt_Content"), *_triple("SWC_v_Wilting_Point"), *_triple("Texture_USDA"),
    "USDA_Suborder", "WRB_Subgroup", "Drought",
)  # fmt: skip


def has_covariates(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows have every covariate, (n,)."""
    return np.isfinite(table.to_numpy(float)).all(axis=1)


def covariate_table(sites: pd.DataFrame, cells: pd.DataFrame, profiles: pd.DataFrame) -> pd.DataFrame:
    """Covariates of sites and cells in one table, as `covariates.parquet` holds them.

    Parameters
    ----------
    sites, cells : DataFrame
        Covariates only, in the order of the sites (rows of `profiles`) and of the land cells.
    profiles : DataFrame
        `profile_id` and `cell` of the sites.

    Raises
    ------
    InputError
        When the columns differ, the sites are not those of `profiles`, or a value is missing.
    """
    if list(sites) != list(cells):
        odd = sorted(set(sites) ^ set(cells))
        raise InputError(f"covariates: sites and cells have different columns: {', '.join(odd) or 'another order'}.")
    if len(sites) != len(profiles):
        raise InputError(f"covariates: {len(sites)} rows for {len(profiles)} sites; expected one row a site.")
    site_keys = pd.DataFrame(
        {
            "place": "site",
            "profile_id": profiles["profile_id"].to_numpy(),
            "site": np.arange(len(profiles)),
            "cell": profiles["cell"].to_numpy(),
        }
    )
    cell_keys = pd.DataFrame({"place": "cell", "profile_id": None, "site": pd.NA, "cell": np.arange(len(cells))})
    keys = pd.concat([site_keys.astype({"site": "Int64"}), cell_keys.astype({"site": "Int64"})], ignore_index=True)
    values = pd.concat([sites, cells], ignore_index=True).astype(float)
    table = pd.concat([keys.astype({"profile_id": "string"}), values], axis=1)
    _check_values(table, "covariates")
    return table


def _check_values(table: pd.DataFrame, source: str) -> None:
    remedy = "Fill it in the source, or leave the place out: cleaning counts it as 'no covariates'."
    finite = {"dtype": float, "checks": row_check(np.isfinite, "a finite number"), "nullable": False, "remedy": remedy}
    names = [name for name in table if name not in PLACE_COLUMNS]
    schema = table_schema(
        dict.fromkeys(("place", *names), ""),
        {"place": {"checks": row_check(lambda x: x.isin(["site", "cell"]), "site or cell"), "nullable": False}}
        | dict.fromkeys(names, finite),
    )

    def where(row: int) -> str:
        who = table.iloc[row]
        return f"site {who['site']} (profile {who['profile_id']})" if who["place"] == "site" else f"cell {who['cell']}"

    checked(table, schema, source, where)


def write_covariates(
    table: pd.DataFrame, path: Path | str, stamp: Stamp | None = None, units: Mapping[str, str] | None = None
) -> None:
    """Write `covariates.parquet`, with the units that are known, and with the study's stamp if given."""
    stamped(table, stamp, units or {}, {}).to_parquet(path, index=False)


def read_covariates(path: Path | str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Covariates of the sites and of the land cells.

    Returns
    -------
    sites, cells : DataFrame
        Covariate columns only, float, indexed 0..n-1 in the order of the sites and of the cells.

    Raises
    ------
    InputError
        When the file is missing, lacks a column, has no covariates, or a value is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run notebook 01-data-cleaning, which writes it.")
    with version_checked(path):
        return _sites_and_cells(pd.read_parquet(path), path)


def _sites_and_cells(table: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    missing = [name for name in PLACE_COLUMNS if name not in table]
    names = [name for name in table if name not in PLACE_COLUMNS]
    if missing or not names:
        what = f"no column {', '.join(missing)}" if missing else "no covariate columns"
        raise InputError(f"{path}: {what}; it has: {', '.join(table.columns)}.")
    _check_values(table, str(path))
    parts = []
    for place in ("site", "cell"):
        part = table[table["place"] == place].sort_values(place)
        if list(part[place]) != list(range(len(part))):
            raise InputError(f"{path}: rows of place {place!r} are not numbered 0 to {len(part) - 1} without gaps.")
        parts.append(part[names].reset_index(drop=True).astype(float))
    return parts[0], parts[1]


def class_covariates(path: Path | str) -> tuple[str, ...]:
    """Names of the covariates of `covariates.parquet` that are classes given as numbers, in their order."""
    found = json.loads((pyarrow.parquet.read_schema(path).metadata or {}).get(b"PANDAS_ATTRS", b"{}"))
    return tuple(name for name, unit in found.get("units", {}).items() if unit == CLASS_UNIT)


KINDS = ("continuous", "categorical")


class Covariate(NamedTuple):
    """One covariate.

    Attributes
    ----------
    name : str
        As in the columns of `covariates.parquet`.
    meaning, unit : str
        The unit is "class" for a category and "1" for a pure number.
    kind : "continuous" or "categorical"
    source, licence : str
        Of the map it is read from; "not stated" where the authors do not say.
    """

    name: str
    meaning: str
    unit: str
    kind: str
    source: str
    licence: str


_WORLDCLIM = (
    "WorldClim 2.1 (Fick and Hijmans 2017, doi 10.1002/joc.5086)",
    "not established here for version 2.1 (earlier ones: free for academic use, not to be handed on)",
)
_SOILGRIDS = ("SoilGrids250m 2017 (Hengl et al. 2017, doi 10.1371/journal.pone.0169748)", "ODbL 1.0")
_BEDROCK = ("SoilGrids 2017, depth to bedrock (Shangguan et al. 2017, doi 10.1002/2016MS000686)", "ODbL 1.0")
_MODIS_NPP = (
    "MODIS MOD17A3, annual, 2000 to 2014 (Running et al. 2004)",
    "not established here for the files of NTSG (MODIS data of the LP DAAC: no restriction on reuse)",
)
_IGBP = (
    "MODIS MCD12, IGBP classes (Friedl et al. 2010, doi 10.1016/j.rse.2009.08.016)",
    "no restriction on reuse (NASA LP DAAC)",
)
_KOPPEN = ("Koppen-Geiger classes (Beck et al. 2018, doi 10.1038/sdata.2018.214)", "CC BY 4.0")
_ESA = ("ESA CCI land cover (ESA 2017)", "free with citation")
_CESM2 = ("CESM2 run of the public archive (Tao et al. 2023, doi 10.1038/s41586-023-06042-3)", "not stated")
_UNSTATED = ("not stated", "not stated")

_BIO_MEANINGS = (
    ("annual mean temperature", "degC"), ("mean diurnal range", "K"), ("isothermality, BIO2/BIO7 x 100", "%"),
    ("temperature seasonality, standard deviation x 100", "0.01 K"),
    ("maximum temperature of the warmest month", "degC"),
    ("minimum temperature of the coldest month", "degC"), ("annual range of temperature, BIO5 - BIO6", "K"),
    ("mean temperature of the wettest quarter", "degC"), ("mean temperature of the driest quarter", "degC"),
    ("mean temperature of the warmest quarter", "degC"), ("mean temperature of the coldest quarter", "degC"),
    ("annual precipitation", "mm"), ("precipitation of the wettest month", "mm"),
    ("precipitation of the driest month", "mm"), ("precipitation seasonality, coefficient of variation", "%"),
    ("precipitation of the wettest quarter", "mm"), ("precipitation of the driest quarter", "mm"),
    ("precipitation of the warmest quarter", "mm"), ("precipitation of the coldest quarter", "mm"),
)  # fmt: skip
_TRIPLES = {
    "Bulk_Density": ("bulk density of the fine earth", "kg m-3", "continuous"),
    "CEC": ("cation exchange capacity", "cmol(+) kg-1", "continuous"),
    "Clay_Content": ("clay in the fine earth, by mass", "%", "continuous"),
    "Coarse_Fragments_v": ("coarse fragments, by volume", "%", "continuous"),
    "pH_Water": ("pH in water", "pH", "continuous"),
    "Sand_Content": ("sand in the fine earth, by mass", "%", "continuous"),
    "Silt_Content": ("silt in the fine earth, by mass", "%", "continuous"),
    "SWC_v_Wilting_Point": ("soil water capacity until the wilting point, by volume", "%", "continuous"),
    "Texture_USDA": ("texture class, USDA", "class", "categorical"),
}


def _all() -> dict[str, Covariate]:
    rows = [
        Covariate("IGBP", "land cover", "class", "categorical", *_IGBP),
        Covariate(
            "Climate", "class of climate, in a coding the authors do not state", "class", "categorical", *_UNSTATED
        ),
        Covariate(
            "Soil_Type", "class of soil, in a coding the authors do not state", "class", "categorical", *_UNSTATED
        ),
        Covariate("NPPmean", "net primary production, mean year", "g C m-2 yr-1", "continuous", *_MODIS_NPP),
        Covariate("NPPmax", "net primary production, greatest year", "g C m-2 yr-1", "continuous", *_MODIS_NPP),
        Covariate("NPPmin", "net primary production, least year", "g C m-2 yr-1", "continuous", *_MODIS_NPP),
        Covariate(
            "Veg_Cover", "vegetation cover, by a measure the authors do not state", "1", "continuous", *_UNSTATED
        ),
        Covariate("Abs_Depth_to_Bedrock", "absolute depth to bedrock", "cm", "continuous", *_BEDROCK),
        Covariate("Depth_Bedrock_R", "depth to the R horizon, up to 200 cm", "cm", "continuous", *_BEDROCK),
        Covariate(
            "Garde_Acid", "grade of acidity of the subsoil (the authors' spelling)", "grade", "continuous", *_SOILGRIDS
        ),
        Covariate("Occurrence_R_Horizon", "probability of an R horizon within 200 cm", "%", "continuous", *_BEDROCK),
        Covariate("USDA_Suborder", "suborder of USDA soil taxonomy", "class", "categorical", *_SOILGRIDS),
        Covariate("WRB_Subgroup", "subgroup of the World Reference Base", "class", "categorical", *_SOILGRIDS),
        Covariate("Drought", "drought index, by a measure the authors do not state", "1", "continuous", *_UNSTATED),
        Covariate("Lon", "longitude", "degrees_east", "continuous", "position", "none"),
        Covariate("Lat", "latitude", "degrees_north", "continuous", "position", "none"),
        Covariate("ESA_Land_Cover", "land cover", "class", "categorical", *_ESA),
        Covariate("Elevation", "height above the sea", "m", "continuous", *_UNSTATED),
        Covariate("Koppen_Climate_2018", "class of climate", "class", "categorical", *_KOPPEN),
        Covariate("cesm2_npp", "net primary production", "as in the archive", "continuous", *_CESM2),
        Covariate("cesm2_npp_std", "its standard deviation", "as in the archive", "continuous", *_CESM2),
        Covariate("cesm2_vegc", "carbon in vegetation", "as in the archive", "continuous", *_CESM2),
        Covariate("nbedrock", "layers above bedrock", "layers", "continuous", *_CESM2),
    ]
    for i, (meaning, unit) in enumerate(_BIO_MEANINGS, start=1):
        rows.append(Covariate(f"BIO{i}", meaning, unit, "continuous", *_WORLDCLIM))
    for name, (meaning, unit, kind) in _TRIPLES.items():
        rows += [
            Covariate(f"{name}_{depth}", f"{meaning}, at {depth[:-2]} cm", unit, kind, *_SOILGRIDS) for depth in DEPTHS
        ]
    return {row.name: row for row in rows}


def _triples(*names: str) -> list[str]:
    return [f"{name}_{depth}" for name in names for depth in DEPTHS]


# The 60 of BINN and ScIReN, in the order of their early programs.
BINN_COVARIATES = (
    "Lon", "Lat", "ESA_Land_Cover", *(f"BIO{i}" for i in range(1, 20)), "Abs_Depth_to_Bedrock",
    *_triples("Bulk_Density", "CEC", "Clay_Content", "Coarse_Fragments_v"), "Garde_Acid", "Occurrence_R_Horizon",
    *_triples("pH_Water", "Sand_Content", "Silt_Content", "SWC_v_Wilting_Point", "Texture_USDA"), "USDA_Suborder",
    "WRB_Subgroup", "Elevation", "Koppen_Climate_2018", "cesm2_npp", "cesm2_npp_std", "cesm2_vegc", "nbedrock",
)  # fmt: skip
_KNOWN = _all()
PAPER_LIST = tuple(_KNOWN[name] for name in PAPER_COVARIATES)
BINN_LIST = tuple(_KNOWN[name] for name in BINN_COVARIATES)
# The columns that `readers.grid_table.grid_covariates` gives; data/README.md says whose they are.
_OWNERS = ("grid_half_degree.csv", "of its makers")
GRID_TABLE_LIST = (
    Covariate("mean_annual_temperature_degC", "annual mean temperature", "degC", "continuous", *_OWNERS),
    Covariate("precipitation_mm_yr", "annual precipitation", "mm yr-1", "continuous", *_OWNERS),
    Covariate("npp_gC_m2_yr", "net primary production", "g C m-2 yr-1", "continuous", *_OWNERS),
    Covariate("clm5_npp_gC_m2_yr", "net primary production of a CLM5 run", "g C m-2 yr-1", "continuous", *_OWNERS),
    Covariate("sand_fraction", "sand, by mass", "1", "continuous", *_OWNERS),
    Covariate("clay_fraction", "clay, by mass", "1", "continuous", *_OWNERS),
    Covariate("water_wilting_m3_m3", "water content at the wilting point", "m3 m-3", "continuous", *_OWNERS),
    Covariate("water_field_capacity_m3_m3", "water content at field capacity", "m3 m-3", "continuous", *_OWNERS),
    Covariate("water_saturation_m3_m3", "water content at saturation", "m3 m-3", "continuous", *_OWNERS),
    Covariate("igbp_land_cover", "land cover, IGBP", "class", "categorical", *_OWNERS),
    Covariate("koppen_class", "class of climate", "class", "categorical", *_OWNERS),
)
LISTS = {"paper": PAPER_LIST, "binn": BINN_LIST, "grid-table": GRID_TABLE_LIST}


def covariate_list(which: str | Path | Iterable[str]) -> tuple[Covariate, ...]:
    """A list of covariates.

    Parameters
    ----------
    which : str, path or names
        "paper" or "binn"; a CSV file with the columns of `Covariate`; or names from these lists.

    Raises
    ------
    InputError
        When a name is not known, occurs twice, or a file lacks a column or names another kind than `KINDS`.
    """
    if isinstance(which, str) and which in LISTS:
        return LISTS[which]
    if isinstance(which, str | Path):
        rows = _from_csv(Path(which))
    else:
        names = list(which)
        unknown = [name for name in names if name not in _KNOWN]
        if unknown:
            raise InputError(
                f"no description of the covariate {unknown[0]!r}. Known: {', '.join(_KNOWN)}. Describe others in a CSV "
                f"file with the columns {', '.join(Covariate._fields)}."
            )
        rows = [_KNOWN[name] for name in names]
    twice = pd.Series([row.name for row in rows]).duplicated()
    if twice.any():
        raise InputError(f"covariate {rows[int(twice.to_numpy().argmax())].name!r} occurs twice; expected each once.")
    return tuple(rows)


def _from_csv(path: Path) -> list[Covariate]:
    if not path.is_file():
        raise InputError(f"{path}: neither a list ({', '.join(LISTS)}) nor a file. Give a CSV file of covariates.")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    missing = [name for name in Covariate._fields if name not in table]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; it has: {', '.join(table.columns)}.")
    bad = ~table["kind"].isin(KINDS)
    if bad.any():
        row = int(bad.to_numpy().argmax())
        raise InputError(f"{path}, line {row + 2}: kind is {table['kind'].iloc[row]!r}, expected {' or '.join(KINDS)}.")
    return [Covariate(*row) for row in table[list(Covariate._fields)].itertuples(index=False)]


def covariate_frame(covariates: Iterable[Covariate]) -> pd.DataFrame:
    """The list as a table, one row a covariate."""
    return pd.DataFrame(list(covariates), columns=list(Covariate._fields))


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


LAND_USE = Covariate(
    "land_use_class",
    "land use: the profile's own word where it has one, else the land cover of its cell",
    "class",
    "categorical",
    "profiles.csv and grid_half_degree.csv",
    "of its makers",
)
CLASSES = {
    1: "forest", 2: "shrubland", 3: "grassland", 4: "pasture and hay", 5: "cropland", 6: "wetland", 7: "developed",
    8: "barren",
}  # fmt: skip
# The first that occurs in a word decides: a wooded wetland is a wetland, shrubs and scrub are no forest.
_PARTS_OF_WORDS = (
    ("wetland", 6), ("shrub", 2), ("scrub", 2), ("non-natural woody", 2), ("forest", 1), ("wood", 1), ("pasture", 4),
    ("hay", 4), ("crp", 4), ("crop", 5), ("cultivated", 5), ("range", 3), ("grass", 3), ("herbaceous", 3),
    ("developed", 7), ("urban", 7), ("barren", 8),
)  # fmt: skip
_OF_IGBP = {
    1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 2, 7: 2, 8: 1, 9: 3, 10: 3, 11: 6, 12: 5, 13: 7, 14: 5, 15: 8, 16: 8, 17: 6,
}  # fmt: skip


class LandUse(NamedTuple):
    """Classes of sites, (n,), NaN where neither word nor cover tell; how many their own word told; words unknown."""

    classes: NDArray[np.float64]
    told: int
    not_understood: tuple[str, ...]


def class_of_cover(igbp: ArrayLike) -> NDArray[np.float64]:
    """Class in `CLASSES` of IGBP land cover, (n,); NaN where the code is unknown or missing."""
    return pd.Series(np.asarray(igbp, float)).map(_OF_IGBP).to_numpy(float)


def land_use_of_sites(words: pd.Series, igbp: ArrayLike) -> LandUse:
    """Class of every site from its own word, where that is understood, else from the land cover of its cell.

    Parameters
    ----------
    words : (n,) Series of text or missing
    igbp : (n,)
        Land cover of the sites' cells.
    """
    own = {word: _class_of_word(word) for word in words.dropna().astype(str).unique()}
    said = words.astype("string").map(own).to_numpy(float, na_value=np.nan)
    found = np.where(np.isfinite(said), said, class_of_cover(igbp))
    return LandUse(found, int(np.isfinite(said).sum()), tuple(word for word, code in own.items() if np.isnan(code)))


def _class_of_word(word: str) -> float:
    lower = word.lower()
    return next((float(code) for part, code in _PARTS_OF_WORDS if part in lower), np.nan)
