"""The parameters of network or hybrid at every cell as a NetCDF file: units, ranges, CLM names, where to doubt them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.maps.cf import BEYOND, EXTRAPOLATED, PLACE, file_attributes, land_variables, raster_coordinates
from proda.maps.clm_names import COUNTERPARTS
from proda.maps.raster import raster_of, rastered
from proda.model.forcing import Forcing
from proda.model.parameters import FS1S2, PAPER_PARAMETERS, bounds, cwd_share, default_parameters, physical

# Columns of network_parameters.parquet that say how a prediction came about, and what they mean.
NOTES = {
    BEYOND: EXTRAPOLATED,
    "clipped": "number of parameters put at a bound of the prior or beyond, set inside",
    "cwd_rescaled": "whether the shares of the input were scaled down to leave some for coarse woody debris",
}
OF_NETWORK = "Parameters that the network of the paper predicts from the environment; their carbon is in soc_maps.nc."
OF_HYBRID = (
    "Parameters that the networks trained through the soil model predict from the environment, the members' mean. "
    "soc_maps.nc has the mean of the members' carbon, which is not quite the carbon of these means: for that use the "
    "members, in hybrid_parameters.nc. Parameters belong together: do not take one without the others."
)
_COMMENT = (
    "In the units of this model. valid_min and valid_max "
    "are the bounds of the prior; those of ins are the widest of any cell (its own are npp_min/npp_mean and "
    "npp_max/npp_mean). clm_name, clm_place and clm_conversion say what CLM5 calls a parameter and how to convert "
    "it; proda.maps.clm_names.clm_parameters does so."
)


def parameter_product(
    x: ArrayLike,
    forcing: Forcing,
    grid: xr.Dataset,
    title: str,
    source: str = "",
    notes: pd.DataFrame | None = None,
    whose: str = OF_NETWORK,
) -> xr.Dataset:
    """All parameters as a CF-1.8 Dataset.

    Parameters
    ----------
    x : (n_cells, 25)
        On the unit cube.
    forcing : Forcing
        Of the n cells: the bounds of `ins` are those of the cell's NPP.
    grid : xarray.Dataset
        Cells: `lon`, `lat`, `cell_area` (m2), `land_fraction`, `sand_percent`.
    notes : pandas.DataFrame, optional
        (n_cells,) with the columns of `NOTES` that there are.
    whose : str
        Sentence that begins the comment of the file: `OF_NETWORK` or `OF_HYBRID`.

    Returns
    -------
    xarray.Dataset
        A variable (lat, lon) for each parameter under its own name, float64 so that no value is rounded out of its
        valid range; `cwd_share`, what the three shares leave over; `default_fs1s2`, which follows the sand content;
        the notes; `cell_area` and `land_area_fraction`.

    Raises
    ------
    InputError
        When there are not as many rows as cells, or a value lies outside [0, 1].
    """
    x = np.asarray(x, dtype=np.float64)
    if x.shape != (grid.sizes["cell"], len(PAPER_PARAMETERS)):
        raise InputError(
            f"parameters have shape {x.shape}, expected ({grid.sizes['cell']}, {len(PAPER_PARAMETERS)}): a row for "
            "each cell of the grid, a column for each parameter"
        )
    raster = raster_of(grid)
    theta = physical(x.T, forcing)
    low, high = bounds(forcing)
    product = raster_coordinates(raster)
    noted = [name for name in NOTES if notes is not None and name in notes]
    for k, row in enumerate(PAPER_PARAMETERS.rows):
        other = COUNTERPARTS[row.name]
        attributes = {
            "long_name": row.meaning,
            "units": row.unit,
            "valid_min": low[k].min(),
            "valid_max": high[k].max(),
        }
        attributes |= {
            "default_value": row.default,
            "clm_name": other.clm or "no counterpart",
            "clm_place": other.where,
        }
        attributes |= {"clm_conversion": other.conversion or "none", "clm_note": other.note or "none"}
        attributes["clm_name_verified"] = "yes" if other.verified else "no"
        if noted:
            attributes["ancillary_variables"] = " ".join(noted)
        product[row.name] = _on(raster, theta[k], attributes)
    share = {"long_name": "share of the input to coarse woody debris: 1 - p4ll - p4ml - p4cl", "units": "1"}
    product["cwd_share"] = _on(raster, cwd_share(theta), share | {"valid_min": 0.0, "valid_max": 1.0})
    sandy = default_parameters(forcing, grid["sand_percent"].values)[FS1S2]
    product["default_fs1s2"] = _on(
        raster, sandy, {"long_name": "CLM's fs1s2 for the cell's sand content", "units": "1"}
    )
    for name in noted:
        values = notes[name].to_numpy(np.float64)
        product[name] = _on(raster, values, {"long_name": NOTES[name], "units": "1"})
    return product.assign(land_variables(grid)).assign_attrs(file_attributes(title, source, f"{whose} {_COMMENT}"))


def _on(raster, values: NDArray, attributes: dict) -> tuple:
    return ("lat", "lon"), rastered(values, raster), attributes | PLACE | {"cell_methods": "area: mean where land"}
