"""Lists of environmental covariates: what each is, its unit, where it comes from, and whether it is a class."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from proda.data.covariates import DEPTHS, PAPER_COVARIATES
from proda.errors import InputError

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


def _triple(*names: str) -> list[str]:
    return [f"{name}_{depth}" for name in names for depth in DEPTHS]


# The 60 of BINN and ScIReN, in the order of their early programs.
BINN_COVARIATES = (
    "Lon", "Lat", "ESA_Land_Cover", *(f"BIO{i}" for i in range(1, 20)), "Abs_Depth_to_Bedrock",
    *_triple("Bulk_Density", "CEC", "Clay_Content", "Coarse_Fragments_v"), "Garde_Acid", "Occurrence_R_Horizon",
    *_triple("pH_Water", "Sand_Content", "Silt_Content", "SWC_v_Wilting_Point", "Texture_USDA"), "USDA_Suborder",
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
