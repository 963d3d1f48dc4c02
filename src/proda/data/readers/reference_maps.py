"""Published maps of soil organic carbon to compare with: SoilGrids and HWSD, stocks in kg m-2 of grid cells.

A stock to a depth is the sum over the map's own layers; a layer that ends below the depth gives the share above it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.data.grid import RESOLUTION
from proda.data.readers.found import Finding, finding, found_table
from proda.data.readers.gridded_covariates import check_values, map_file
from proda.data.readers.gridded_sources import Layer
from proda.data.readers.raster import Raster
from proda.data.readers.raster_values import cell_means
from proda.data.readers.units import checked_unit

DEPTHS = (0.3, 1.0, 2.0)  # m
Depths = Iterable[float]

# Layers of SoilGrids, bounds in m.
_LAYERS = ((0.0, 0.05), (0.05, 0.15), (0.15, 0.3), (0.3, 0.6), (0.6, 1.0), (1.0, 2.0))
_GREATEST = 1000.0  # kg m-2; two metres of peat hold some 200


class ReferenceMap(NamedTuple):
    """Stocks of a published map.

    Attributes
    ----------
    stocks : DataFrame
        One row a cell, one column a depth, `ref_<map>_<depth in cm>cm`, kg m-2; NaN where the map has no value.
    found : DataFrame
        One row a column, `proda.data.readers.found.Finding`.
    """

    stocks: pd.DataFrame
    found: pd.DataFrame


def reference_map(name: str, citation: str, stocks: dict[float, NDArray], notes: dict[float, str]) -> ReferenceMap:
    """Stocks by depth (m) as a `ReferenceMap`, columns as `grid.nc` and the maps' scores expect them."""
    columns = {f"ref_{name}_{round(100 * depth)}cm": values for depth, values in stocks.items()}
    found: list[Finding] = [
        finding(citation, column, "kg m-2", values, notes.get(depth, ""))
        for (column, values), depth in zip(columns.items(), stocks, strict=True)
    ]
    return ReferenceMap(pd.DataFrame(columns), found_table(found))


def soilgrids_2_stocks(
    folder: Path | str, lon: ArrayLike, lat: ArrayLike, depths: Depths = DEPTHS, resolution: float = RESOLUTION
) -> ReferenceMap:
    """SoilGrids 2.0 (Poggio et al. 2021, doi 10.5194/soil-7-217-2021; CC BY 4.0), from its organic carbon density.

    Parameters
    ----------
    folder : path
        Holds `ocd_0-5cm_mean.tif` and on to 100-200 cm, as far down as the depths need: stored as hg m-3.
    lon, lat : (n,), degrees
        Centres of the cells.
    depths : m
    """
    density = {}
    for top, bottom in _LAYERS[: _needed(depths)]:
        name = f"ocd_{round(100 * top)}-{round(100 * bottom)}cm"
        layer = Layer(name, f"{name}_mean*.*", "kg m-3", 0.0, 300.0, 0.1)
        density[top, bottom] = _cells(folder, layer, lon, lat, resolution, "in kg m-3 already? The map stores hg m-3.")
    stocks = {depth: sum(d * _overlap(*bounds, depth) for bounds, d in density.items()) for depth in depths}
    return reference_map("soilgrids_2", "SoilGrids 2.0", stocks, dict.fromkeys(stocks, "ocd, hg m-3 times 0.1"))


def soilgrids_2017_stocks(
    folder: Path | str, lon: ArrayLike, lat: ArrayLike, depths: Depths = DEPTHS, resolution: float = RESOLUTION
) -> ReferenceMap:
    """SoilGrids 2017 (Hengl et al. 2017, doi 10.1371/journal.pone.0169748; ODbL 1.0), from the stocks of its layers.

    Parameters as in `soilgrids_2_stocks`; the files are `OCSTHA_M_sd1_*_ll.tif` to `sd6`, in t ha-1.
    """
    layers = {}
    for i, (top, bottom) in enumerate(_LAYERS[: _needed(depths)], start=1):
        layer = Layer(f"OCSTHA sd{i}", f"OCSTHA_M_sd{i}_*_ll.tif", "kg m-2", 0.0, _GREATEST, 0.1)
        layers[top, bottom] = _cells(folder, layer, lon, lat, resolution, "in another unit than t ha-1?")
    stocks = {
        depth: sum(s * _overlap(*bounds, depth) / (bounds[1] - bounds[0]) for bounds, s in layers.items())
        for depth in depths
    }
    return reference_map("soilgrids_2017", "SoilGrids 2017", stocks, dict.fromkeys(stocks, "OCSTHA, t ha-1 times 0.1"))


def hwsd_stocks(folder: Path | str, lon: ArrayLike, lat: ArrayLike, resolution: float = RESOLUTION) -> ReferenceMap:
    """HWSD 1.2 as regridded by Wieder et al. (2014, doi 10.3334/ORNLDAAC/1247): 0 to 30 and 0 to 100 cm.

    Parameters
    ----------
    folder : path
        Holds `AWT_T_SOC.nc4` (0 to 30 cm) and `AWT_S_SOC.nc4` (30 to 100 cm), kg m-2 on 0.05 degree, -1 where missing.
    """
    parts = {}
    for name, variable in (("AWT_T_SOC", "SUM_t_c_12"), ("AWT_S_SOC", "SUM_s_c_1")):
        path = map_file(folder, f"{name}.nc4", "organic carbon of HWSD")
        with Raster(path, variable, valid=(0.0, 1e30)) as raster:
            if raster.unit is not None:
                checked_unit(raster.unit, ("kg C m-2",), f"{path}: {variable}")
            values = cell_means(raster, lon, lat, resolution)
        check_values(values, Layer(name, "", "kg m-2", 0.0, _GREATEST), path, "in t ha-1 or g m-2?")
        parts[name] = values
    top = parts["AWT_T_SOC"]
    return reference_map("hwsd", "HWSD 1.2, regridded", {0.3: top, 1.0: top + parts["AWT_S_SOC"]}, {})


def _cells(folder: Path | str, layer: Layer, lon: ArrayLike, lat: ArrayLike, resolution: float, hint: str) -> NDArray:
    path = map_file(folder, layer.pattern, layer.name)
    with Raster(path) as raster:
        values = cell_means(raster, lon, lat, resolution) * layer.factor
    check_values(values, layer, path, hint)
    return values


def _needed(depths: Depths) -> int:
    """How many layers reach down to the greatest depth."""
    return 1 + int(np.searchsorted([bottom for _, bottom in _LAYERS], max(depths) - 1e-9))


def _overlap(top: float, bottom: float, depth: float) -> float:
    return max(0.0, min(bottom, depth) - top)
