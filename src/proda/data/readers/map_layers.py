"""Covariates of sites and of grid cells from public maps: file names, scale factors, plausible ranges and licences of
each source, and an account of what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from proda.data.covariates import PAPER_LIST, Covariate
from proda.data.findings import finding, findings_table
from proda.data.readers.rasters import Layer, map_values
from proda.errors import InputError


class GriddedSource(NamedTuple):
    """A data set: the layers that are read from it, and what is likely when a value is not plausible (`hint`)."""

    name: str
    citation: str
    licence: str
    layers: tuple[Layer, ...]
    hint: str = ""


_UNITS = {row.name: row.unit for row in PAPER_LIST}
_TEMPERATURE, _RAIN = (-70.0, 60.0), (0.0, 15000.0)
_BIO_RANGES = {
    **{i: _TEMPERATURE for i in (1, 5, 6, 8, 9, 10, 11)}, 2: (0.0, 40.0), 3: (0.0, 100.0), 4: (0.0, 3000.0),
    7: (0.0, 100.0), **{i: _RAIN for i in (12, 13, 14, 16, 17, 18, 19)}, 15: (0.0, 400.0),
}  # fmt: skip
WORLDCLIM = GriddedSource(
    "WorldClim 2.1",
    "Fick and Hijmans (2017), doi 10.1002/joc.5086",
    "not established here for version 2.1 (earlier ones: free for academic use, not to be handed on)",
    tuple(Layer(f"BIO{i}", f"wc2.1_*_bio_{i}.tif", _UNITS[f"BIO{i}"], *_BIO_RANGES[i]) for i in range(1, 20)),
    "WorldClim 1.4, whose temperatures are in tenths of a degree?",
)

# Covariate: (code in the file names of 2017, factor; code in those of SoilGrids 2.0, factor; unit, least, greatest).
_SOIL = {
    "Bulk_Density": ("BLDFIE", None, "bdod", 10.0, "kg m-3", 50.0, 2800.0),
    "CEC": ("CECSOL", None, "cec", 0.1, "cmol(+) kg-1", 0.0, 250.0),
    "Clay_Content": ("CLYPPT", None, "clay", 0.1, "%", 0.0, 100.0),
    "Coarse_Fragments_v": ("CRFVOL", None, "cfvo", 0.1, "%", 0.0, 100.0),
    "pH_Water": ("PHIHOX", 0.1, "phh2o", 0.1, "pH", 2.0, 12.0),
    "Sand_Content": ("SNDPPT", None, "sand", 0.1, "%", 0.0, 100.0),
    "Silt_Content": ("SLTPPT", None, "silt", 0.1, "%", 0.0, 100.0),
    "SWC_v_Wilting_Point": ("WWP", None, "wv1500", 0.1, "%", 0.0, 100.0),
}
# SoilGrids 2017 predicts at seven depths, of which 0, 30 and 100 cm are these; 2.0 predicts for intervals, of which the
# ones that begin at these depths are taken.
_POINTS = {"0cm": "sl1", "30cm": "sl4", "100cm": "sl6"}
_INTERVALS = {"0cm": "0-5cm", "30cm": "30-60cm", "100cm": "100-200cm"}
SOILGRIDS_2017 = GriddedSource(
    "SoilGrids 2017",
    "Hengl et al. (2017), doi 10.1371/journal.pone.0169748",
    "ODbL 1.0",
    (
        *(
            Layer(f"{name}_{depth}", f"{code}_M_{level}_*_ll.tif", unit, low, high, factor)
            for name, (code, factor, _, _, unit, low, high) in _SOIL.items()
            for depth, level in _POINTS.items()
        ),
        *(
            Layer(f"Texture_USDA_{depth}", f"TEXMHT_M_{level}_*_ll.tif", "class", 1, 12, classes=True)
            for depth, level in _POINTS.items()
        ),
        Layer("Abs_Depth_to_Bedrock", "BDTICM_M_*_ll.tif", "cm", 0.0, 60000.0),
        Layer("Depth_Bedrock_R", "BDRICM_M_*_ll.tif", "cm", 0.0, 250.0),
        Layer("Occurrence_R_Horizon", "BDRLOG_M_*_ll.tif", "%", 0.0, 100.0),
        Layer("Garde_Acid", "ACDWRB_M_ss_*_ll.tif", "grade", 0.0, 10.0),
        Layer("USDA_Suborder", "TAXOUSDA_*_ll.tif", "class", 0, 254, classes=True),
        Layer("WRB_Subgroup", "TAXNWRB_*_ll.tif", "class", 0, 254, classes=True),
    ),
    "another release of SoilGrids, or a fill value that the file does not declare?",
)
SOILGRIDS_2 = GriddedSource(
    "SoilGrids 2.0",
    "Poggio et al. (2021), doi 10.5194/soil-7-217-2021",
    "CC BY 4.0",
    tuple(
        Layer(f"{name}_{depth}", f"{code}_{interval}_mean*.*", unit, low, high, factor)
        for name, (_, _, code, factor, unit, low, high) in _SOIL.items()
        for depth, interval in _INTERVALS.items()
    ),
    "a map that was scaled already? Stored values are integers ten or a hundred times the usual unit.",
)
# Class 0 (17 in later collections) is water and 255 is unclassified: no land cover, so neither wins a coastal cell.
IGBP = GriddedSource(
    "MODIS MCD12",
    "Friedl et al. (2010), doi 10.1016/j.rse.2009.08.016",
    "no restriction on reuse (NASA LP DAAC)",
    (Layer("IGBP", "*LC_Type1*.tif", "class", 1, 16, missing=(0, 17, 254, 255), classes=True),),
    "another of the product's legends? LC_Type1 is IGBP.",
)
KOPPEN = GriddedSource(
    "Koppen-Geiger 2018",
    "Beck et al. (2018), doi 10.1038/sdata.2018.214",
    "CC BY 4.0",
    (Layer("Koppen_Climate_2018", "Beck_KG_V1_present_0p0083.tif", "class", 1, 30, missing=(0,), classes=True),),
)
SOURCES = {source.name: source for source in (WORLDCLIM, SOILGRIDS_2017, SOILGRIDS_2, IGBP, KOPPEN)}

# Annual NPP of MODIS: tenths of a gram; above 32700 are codes for water, cities, rock and ice.
_NPP = Layer(
    "NPP", "", "g C m-2 yr-1", -500.0, 3200.0, factor=0.1, valid=(-30000.0, 32700.0), hint="kg, or scaled already?"
)
NPP_YEARS = tuple(range(2000, 2015))
_NPP_STATISTICS = ("NPPmean", "NPPmax", "NPPmin")
_BESIDE = (".xml", ".ovr", ".tfw", ".msk", ".md5", ".sha256")  # what stands beside a map under its name


class Covariates(NamedTuple):
    """Covariates read from maps.

    Attributes
    ----------
    values : DataFrame
        One row a place, one column a covariate; NaN where the map has no value, never zero.
    findings : DataFrame
        One row a covariate: how many values are missing, and the range of the others.
    """

    values: pd.DataFrame
    findings: pd.DataFrame


def covariates_from_maps(
    covariates: Iterable[Covariate], folder: Path | str, lon: ArrayLike, lat: ArrayLike, resolution: float | None = None
) -> Covariates:
    """Covariates from the maps below `folder`, in the order of the list, NaN where a map has no value.

    A covariate that no public map in the folder has is read from a map of one's own, `<name>.tif` or `<name>.nc`, in
    the unit of the list.

    Parameters
    ----------
    lon, lat : (n,), degrees
    resolution : float, degrees, optional
        Of grid cells centred at `lon`, `lat`: means of numbers, the most frequent class. Without it: the pixel of each
        place.

    Raises
    ------
    InputError
        When there is no map for some covariates (names all of them), or a value is not possible.
    """
    names = [row.name for row in covariates]
    sources, npp = _maps_of(covariates, Path(folder))
    parts = [covariates_at(source, folder, lon, lat, wanted, resolution) for source, wanted in sources]
    if npp:
        annual = npp_at(folder, lon, lat, resolution=resolution)
        parts.append(Covariates(annual.values[npp], annual.findings[annual.findings["variable"].isin(npp)]))
    position = pd.DataFrame({"Lon": np.asarray(lon, float), "Lat": np.asarray(lat, float)})
    values = pd.concat([*(part.values for part in parts), position], axis=1)
    findings = pd.concat([part.findings for part in parts], ignore_index=True) if parts else findings_table([])
    return Covariates(values[names], findings)


def _maps_of(covariates: Iterable[Covariate], folder: Path) -> tuple[list[tuple[GriddedSource, list[str]]], list[str]]:
    """The source of maps of each covariate, and which of them are statistics of annual NPP."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected the maps of the covariates in it.")
    has_npp = any(folder.rglob("*[Nn][Pp][Pp]*.tif"))
    sources: dict[str, tuple[GriddedSource, list[str]]] = {}
    npp, missing = [], []
    for row in covariates:
        source = _source_of(row, folder)
        if source is not None:
            sources.setdefault(source.name, (source, []))[1].append(row.name)
        elif row.name in _NPP_STATISTICS and has_npp:
            npp.append(row.name)
        elif row.name not in ("Lon", "Lat"):
            missing.append(row.name)
    if missing:
        raise InputError(
            f"{folder}: no map of {', '.join(missing)}. Put the public files there under their own names "
            f"(data/README.md), or maps of your own named like {missing[0]}.tif, or leave these out of the list of "
            "covariates."
        )
    return list(sources.values()), npp


def _source_of(row: Covariate, folder: Path) -> GriddedSource | None:
    for source in SOURCES.values():
        for layer in source.layers:
            if layer.name == row.name and any(folder.rglob(layer.pattern)):
                return source
    for ending in ("tif", "nc"):
        if any(folder.rglob(f"{row.name}.{ending}")):
            own = Layer(row.name, f"{row.name}.{ending}", row.unit, -np.inf, np.inf, classes=row.kind == "categorical")
            return GriddedSource(f"map of {row.name}", row.source, row.licence, (own,))
    return None


def covariates_at(
    source: GriddedSource,
    folder: Path | str,
    lon: ArrayLike,
    lat: ArrayLike,
    names: Iterable[str],
    resolution: float | None = None,
) -> Covariates:
    """Covariates of places, the pixel each lies in, or of grid cells, means of numbers and the most frequent class.

    Parameters
    ----------
    folder : path
        Holds the map files, anywhere below.
    lon, lat : (n,), degrees
    names : covariates of the source
    resolution : float, degrees, optional
        Edge of the cells whose centres `lon`, `lat` are; places without it.

    Raises
    ------
    InputError
        When a file is missing, there are two for one covariate, a map has no value at any place, or a value is beyond
        what the covariate can be.
    """
    layers = {layer.name: layer._replace(hint=source.hint) for layer in source.layers}
    columns, findings = {}, []
    for layer in (layers[name] for name in names):
        path = map_file(folder, layer.pattern, layer.name)
        columns[layer.name] = values = map_values(path, layer, lon, lat, resolution)
        note = path.name + (f", stored values times {layer.factor:g}" if layer.factor is not None else "")
        findings.append(finding(source.name, layer.name, layer.unit, values, note))
    return Covariates(pd.DataFrame(columns), findings_table(findings))


def npp_at(
    folder: Path | str,
    lon: ArrayLike,
    lat: ArrayLike,
    years: Iterable[int] = NPP_YEARS,
    resolution: float | None = None,
) -> Covariates:
    """MODIS NPP of places or grid cells, mean, greatest and least year: `NPPmean`, `NPPmax`, `NPPmin`, g C m-2 yr-1.

    A place without a value in any of the years is missing.

    Parameters
    ----------
    folder : path
        Holds one map a year, GeoTIFFs with "NPP" and the year in their names (MOD17A3 as distributed: stored values are
        tenths of g C m-2 yr-1, those above 32700 codes for land without vegetation).
    resolution : float, degrees, optional
        As in `covariates_at`.

    Raises
    ------
    InputError
        When a year is missing or there twice, or values are beyond what NPP can be.
    """
    years = tuple(years)
    # The year stands alone or, as AppEEARS writes it, before the day: doy2001001.
    paths = [map_file(folder, "*[Nn][Pp][Pp]*.tif", f"NPP of {y}", rf"(?<!\d){y}(001)?(?!\d)") for y in years]
    stack = np.array([map_values(path, _NPP, lon, lat, resolution) for path in paths])
    columns = {"NPPmean": stack.mean(axis=0), "NPPmax": stack.max(axis=0), "NPPmin": stack.min(axis=0)}
    note = f"{years[0]} to {years[-1]}, {len(years)} files"
    findings = [finding("MODIS MOD17A3", name, _NPP.unit, values, note) for name, values in columns.items()]
    return Covariates(pd.DataFrame(columns), findings_table(findings))


def map_file(folder: Path | str, pattern: str, what: str, with_text: str = "") -> Path:
    """The one file below `folder` whose name fits `pattern` and holds the regular expression `with_text`.

    A GeoTIFF goes before a .vrt; quality layers are no maps.

    Raises
    ------
    InputError
        When there is none, or more than one.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected the maps in it.")
    paths = sorted(path for path in folder.rglob(pattern) if path.suffix not in _BESIDE and "_QC" not in path.name)
    paths = [path for path in paths if re.search(with_text, path.name)]
    paths = [path for path in paths if path.suffix != ".vrt"] if len(paths) > 1 else paths
    if len(paths) != 1:
        has = f"{len(paths)} files: {', '.join(path.name for path in paths[:3])}" if paths else "none"
        raise InputError(f"{folder}: {what} is read from one file named like {pattern}; there are {has}.")
    return paths[0]
