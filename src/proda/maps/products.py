"""SOC maps as a NetCDF file that follows the CF conventions, on the regular raster, for other programs to read."""

from __future__ import annotations

import numpy as np
import xarray as xr

from proda.maps.cf import (
    BEYOND,
    EXTRAPOLATED,
    PLACE,
    file_attributes,
    land_variables,
    quantile_meanings,
    raster_coordinates,
    vertical,
)
from proda.maps.raster import Raster, raster_of, rastered
from proda.maps.stocks import MAP_INTERVALS
from proda.model.column import PAPER_COLUMN

SOC_CONTENT = "soil_mass_content_of_carbon"
LAYER_CONTENT = "carbon_mass_content_of_soil_layer"
LEVELS = {"mean": "", "p05": "_p05", "p50": "_p50", "p95": "_p95"}
METHOD = "parameterisation"
_OVER = "over the method's parameter draws (hybrid: of the error of its mean, which stands for its median)"
_COMMENT = (
    "Per area of land: a cell's carbon is the content times cell_area times land_area_fraction. The standard name "
    "soil_mass_content_of_carbon is used for the content from the surface down to the depth that depth_bounds gives. "
    "CF has no standard name for a density of carbon: soc_density times the layer's thickness is "
    "carbon_mass_content_of_soil_layer. Methods without draws have no quantiles. The site-by-site method has values "
    "only in cells that hold sites, and only as deep as these were observed: at least 15, 65 and 150 cm for the "
    "intervals to 30, 100 and 200 cm. extrapolated says where network and hybrid met what no training site has had; it "
    "is missing for the other methods, which look at no covariates."
)


def soc_product(maps: xr.Dataset, grid: xr.Dataset, title: str, source: str = "") -> xr.Dataset:
    """The maps of all methods as a CF-1.8 Dataset.

    Parameters
    ----------
    maps : xarray.Dataset
        From `proda.maps.prediction.maps_by_method`.
    grid : xarray.Dataset
        Cells: `lon`, `lat`, `cell_area` (m2), `land_fraction`.
    title, source : str
        Global attributes: what the file is, and which study made it.

    Returns
    -------
    xarray.Dataset
        `soil_mass_content_of_carbon` (parameterisation, depth, lat, lon), kg m-2 of land, with its quantiles `_p05`,
        `_p50`, `_p95` (missing for methods with one value a cell); by model layer (parameterisation, layer, lat, lon)
        `soc_density`, kg m-3, and `carbon_mass_content_of_soil_layer`, kg m-2; `extrapolated` (parameterisation, lat,
        lon), how many covariates no training site has had; `cell_area`, `land_area_fraction`.
        Select an interval by its lower depth: `depth=1.0` is 0 to 1 m.
    """
    raster = raster_of(grid)
    product = _coordinates(maps, raster)
    meaning = quantile_meanings("soil organic carbon", _OVER)
    for statistic, suffix in LEVELS.items():
        stock = rastered(maps["stock"].sel(statistic=statistic).values, raster)
        attributes = {"standard_name": SOC_CONTENT, "units": "kg m-2", "long_name": meaning[statistic]} | PLACE
        attributes["cell_methods"] = "depth: sum area: mean where land"
        product[SOC_CONTENT + suffix] = ((METHOD, "depth", "lat", "lon"), stock.astype("f4"), attributes)
    beside = [*(SOC_CONTENT + suffix for suffix in LEVELS.values() if suffix), BEYOND]
    product[SOC_CONTENT].attrs["ancillary_variables"] = " ".join(beside)
    density = maps["soc"].transpose(METHOD, "layer", "cell").values / 1000.0
    over_draws = "mean over the method's parameter draws"
    product["soc_density"] = (
        (METHOD, "layer", "lat", "lon"), rastered(density, raster).astype("f4"),
        {"units": "kg m-3", "long_name": f"soil organic carbon per volume of soil, {over_draws}"} | PLACE
        | {"cell_methods": "layer: mean area: mean where land"},
    )  # fmt: skip
    content = density * PAPER_COLUMN.thickness[:, None]
    attributes = {"standard_name": LAYER_CONTENT, "units": "kg m-2"} | PLACE
    attributes |= {"long_name": f"soil organic carbon of a layer, {over_draws}"}
    product[LAYER_CONTENT] = (
        (METHOD, "layer", "lat", "lon"), rastered(content, raster).astype("f4"),
        attributes | {"cell_methods": "layer: sum area: mean where land"},
    )  # fmt: skip
    for name in ("soc_density", LAYER_CONTENT):
        product[name].attrs["ancillary_variables"] = BEYOND
    beyond = rastered(maps[BEYOND].transpose(METHOD, "cell").values, raster).astype("f4")
    product[BEYOND] = (METHOD, "lat", "lon"), beyond, {"long_name": EXTRAPOLATED, "units": "1"} | PLACE
    return product.assign(land_variables(grid)).assign_attrs(file_attributes(title, source, _COMMENT))


def _coordinates(maps: xr.Dataset, raster: Raster) -> xr.Dataset:
    intervals, layers = np.array(MAP_INTERVALS), np.stack([PAPER_COLUMN.top, PAPER_COLUMN.bottom], axis=1)
    method = {"long_name": "how the model's parameters were found"}
    product = raster_coordinates(raster).assign(
        depth_bounds=(("depth", "bounds"), intervals), layer_bounds=(("layer", "bounds"), layers)
    )
    return product.assign_coords({
        METHOD: (METHOD, maps[METHOD].values.astype(str), method),
        "depth": vertical("depth", intervals[:, 1], "lower depth of the interval"),
        "layer": vertical("layer", PAPER_COLUMN.node, "depth of the layer's node"),
    })  # fmt: skip
