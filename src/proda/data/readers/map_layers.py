"""Covariates of sites and of grid cells from public maps: file names, scale factors and plausible ranges of each
source, and an account of what is missing. data/README.md has the sources' licences.
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

_UNITS = {row.name: row.unit for row in PAPER_LIST}
_TEMPERATURE, _RAIN = (-70.0, 60.0), (0.0, 15000.0)
_BIO_RANGES = {
    **{i: _TEMPERATURE for i in (1, 5, 6, 8, 9, 10, 11)}, 2: (0.0, 40.0), 3: (0.0, 100.0), 4: (0.0, 3000.0),
    7: (0.0, 100.0), **{i: _RAIN for i in (12, 13, 14, 16, 17, 18, 19)}, 15: (0.0, 400.0),
}  # fmt: skip
_BIO_HINT = "WorldClim 1.4, whose temperatures are in tenths of a degree?"
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
_2017_HINT = "another release of SoilGrids, or a fill value that the file does not declare?"
_2_HINT = "a map that was scaled already? Stored values are integers ten or a hundred times the usual unit."

SOURCES = {
    # Fick and Hijmans (2017), doi 10.1002/joc.5086
    "WorldClim 2.1": tuple(
        Layer(f"BIO{i}", f"wc2.1_*_bio_{i}.tif", _UNITS[f"BIO{i}"], *_BIO_RANGES[i], hint=_BIO_HINT)
        for i in range(1, 20)
    ),
    # Hengl et al. (2017), doi 10.1371/journal.pone.0169748
    "SoilGrids 2017": (
        *(
            Layer(f"{name}_{depth}", f"{code}_M_{level}_*_ll.tif", unit, low, high, factor, hint=_2017_HINT)
            for name, (code, factor, _, _, unit, low, high) in _SOIL.items()
            for depth, level in _POINTS.items()
        ),
        *(
            Layer(f"Texture_USDA_{depth}", f"TEXMHT_M_{level}_*_ll.tif", "class", 1, 12, classes=True)
            for depth, level in _POINTS.items()
        ),
        Layer("Abs_Depth_to_Bedrock", "BDTICM_M_*_ll.tif", "cm", 0.0, 60000.0, hint=_2017_HINT),
        Layer("Depth_Bedrock_R", "BDRICM_M_*_ll.tif", "cm", 0.0, 250.0, hint=_2017_HINT),
        Layer("Occurrence_R_Horizon", "BDRLOG_M_*_ll.tif", "%", 0.0, 100.0, hint=_2017_HINT),
        Layer("Garde_Acid", "ACDWRB_M_ss_*_ll.tif", "grade", 0.0, 10.0, hint=_2017_HINT),
        Layer("USDA_Suborder", "TAXOUSDA_*_ll.tif", "class", 0, 254, classes=True),
        Layer("WRB_Subgroup", "TAXNWRB_*_ll.tif", "class", 0, 254, classes=True),
    ),
    # Poggio et al. (2021), doi 10.5194/soil-7-217-2021
    "SoilGrids 2.0": tuple(
        Layer(f"{name}_{depth}", f"{code}_{interval}_mean*.*", unit, low, high, factor, hint=_2_HINT)
        for name, (_, _, code, factor, unit, low, high) in _SOIL.items()
        for depth, interval in _INTERVALS.items()
    ),
    # Friedl et al. (2010), doi 10.1016/j.rse.2009.08.016. Class 0 (17 in later collections) is water and 255 is
    # unclassified: no land cover, so neither is the most frequent class of a coastal cell.
    "MODIS MCD12": (
        Layer(
            "IGBP", "*LC_Type1*.tif", "class", 1, 16, missing=(0, 17, 254, 255), classes=True,
            hint="another of the product's legends? LC_Type1 is IGBP.",
        ),
    ),
    # Beck et al. (2018), doi 10.1038/sdata.2018.214
    "Koppen-Geiger 2018": (
        Layer("Koppen_Climate_2018", "Beck_KG_V1_present_0p0083.tif", "class", 1, 30, missing=(0,), classes=True),
    ),
}  # fmt: skip
# Annual NPP of MODIS MOD17A3: tenths of a gram; above 32700 are codes for water, cities, rock and ice.
_NPP = Layer(
    "NPP", "*[Nn][Pp][Pp]*.tif", "g C m-2 yr-1", -500.0, 3200.0, 0.1, valid=(-30000.0, 32700.0),
    hint="kg, or scaled already?",
)  # fmt: skip
NPP_YEARS = tuple(range(2000, 2015))
_NPP_STATISTICS = {"NPPmean": np.mean, "NPPmax": np.max, "NPPmin": np.min}
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
    the unit of the list. NPP statistics come from one map for each of the years 2000 to 2014, with "NPP" and the year
    in their names; a place without a value in any of the years is missing.

    Parameters
    ----------
    lon, lat : (n,), degrees
    resolution : float, degrees, optional
        Of grid cells centred at `lon`, `lat`: means of numbers, the most frequent class. Without it: the pixel of each
        place.

    Raises
    ------
    InputError
        When there is no map for some covariates (names all of them), or two for one, a map has no value at any place,
        or a value is not possible.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected the maps of the covariates in it.")
    names = [row.name for row in covariates]
    layers = {row.name: _layer_of(row, folder) for row in covariates if row.name not in ("Lon", "Lat")}
    npp = [name for name, found in layers.items() if not found and name in _NPP_STATISTICS]
    npp = npp if any(folder.rglob(_NPP.pattern)) else []
    missing = [name for name, found in layers.items() if not found and name not in npp]
    if missing:
        raise InputError(
            f"{folder}: no map of {', '.join(missing)}. Put the public files there under their own names "
            f"(data/README.md), or maps of your own named like {missing[0]}.tif, or leave these out of the list of "
            "covariates."
        )
    columns, findings = {"Lon": np.asarray(lon, float), "Lat": np.asarray(lat, float)}, []
    for source, layer in filter(None, layers.values()):
        path = map_file(folder, layer.pattern, layer.name)
        columns[layer.name] = values = map_values(path, layer, lon, lat, resolution)
        note = path.name + (f", stored values times {layer.factor:g}" if layer.factor is not None else "")
        findings.append(finding(source, layer.name, layer.unit, values, note))
    if npp:
        # The year stands alone or, as AppEEARS writes it, before the day: doy2001001.
        paths = [map_file(folder, _NPP.pattern, f"NPP of {y}", rf"(?<!\d){y}(001)?(?!\d)") for y in NPP_YEARS]
        annual = np.array([map_values(path, _NPP, lon, lat, resolution) for path in paths])
        note = f"{NPP_YEARS[0]} to {NPP_YEARS[-1]}, {len(NPP_YEARS)} files"
        for name in npp:
            columns[name] = values = _NPP_STATISTICS[name](annual, axis=0)
            findings.append(finding("MODIS MOD17A3", name, _NPP.unit, values, note))
    return Covariates(pd.DataFrame(columns)[names], findings_table(findings))


def _layer_of(row: Covariate, folder: Path) -> tuple[str, Layer] | None:
    """The source and layer that a covariate is read from: the first whose file is there, else a map of one's own."""
    for source, layers in SOURCES.items():
        for layer in layers:
            if layer.name == row.name and any(folder.rglob(layer.pattern)):
                return source, layer
    for ending in ("tif", "nc"):
        if any(folder.rglob(f"{row.name}.{ending}")):
            own = Layer(row.name, f"{row.name}.{ending}", row.unit, -np.inf, np.inf, classes=row.kind == "categorical")
            return f"map of {row.name}", own
    return None


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
