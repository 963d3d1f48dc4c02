"""The maps that covariates come from: file names, scale factors, plausible ranges and licences of each public source.

Stored numbers times `factor` are in the unit of the covariate. A value beyond the plausible range is an error: it is a
wrong factor, another version of the map or a fill value that the file does not declare.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from proda.data.covariate_lists import PAPER_LIST
from proda.errors import InputError


class Layer(NamedTuple):
    """One covariate in one map file.

    Attributes
    ----------
    name : str
        The covariate.
    pattern : str
        Of the file's name, for `Path.glob`; resolution and ending may vary.
    unit : str
    least, greatest : float
        Plausible, in that unit.
    factor : float
    missing : tuple
        Stored values that mean "missing" besides the declared one.
    classes : bool
        Whether the values are classes, which have majorities and no means.
    """

    name: str
    pattern: str
    unit: str
    least: float
    greatest: float
    factor: float = 1.0
    missing: tuple[float, ...] = ()
    classes: bool = False


class GriddedSource(NamedTuple):
    """A data set.

    Attributes
    ----------
    name, citation, licence : str
    layers : tuple of Layer
    hint : str
        What is likely when a value is not plausible.
    """

    name: str
    citation: str
    licence: str
    layers: tuple[Layer, ...]
    hint: str = ""

    def layer(self, name: str) -> Layer:
        """The layer of a covariate."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise InputError(f"{self.name} has no {name!r}; it has: {', '.join(layer.name for layer in self.layers)}.")


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
    "Bulk_Density": ("BLDFIE", 1.0, "bdod", 10.0, "kg m-3", 50.0, 2800.0),
    "CEC": ("CECSOL", 1.0, "cec", 0.1, "cmol(+) kg-1", 0.0, 250.0),
    "Clay_Content": ("CLYPPT", 1.0, "clay", 0.1, "%", 0.0, 100.0),
    "Coarse_Fragments_v": ("CRFVOL", 1.0, "cfvo", 0.1, "%", 0.0, 100.0),
    "pH_Water": ("PHIHOX", 0.1, "phh2o", 0.1, "pH", 2.0, 12.0),
    "Sand_Content": ("SNDPPT", 1.0, "sand", 0.1, "%", 0.0, 100.0),
    "Silt_Content": ("SLTPPT", 1.0, "silt", 0.1, "%", 0.0, 100.0),
    "SWC_v_Wilting_Point": ("WWP", 1.0, "wv1500", 0.1, "%", 0.0, 100.0),
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


def implausible(values: np.ndarray, layer: Layer) -> np.ndarray:
    """Which values lie beyond what the layer can hold; a missing one does not."""
    return (values < layer.least) | (values > layer.greatest)
