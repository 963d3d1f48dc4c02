"""Where network and hybrid met what no training site has had, and how much land and carbon that is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from proda.maps.cf import BEYOND
from proda.maps.stocks import land_area


def extrapolated_cells(maps: xr.Dataset) -> dict[str, NDArray[np.float64]]:
    """Covariates that no training site has had, (n_cells,), of every method that looks at covariates.

    Parameters
    ----------
    maps : xarray.Dataset
        From `proda.maps.prediction.maps_by_method`.
    """
    counts = {str(name): maps[BEYOND].sel(parameterisation=name).values for name in maps["parameterisation"].values}
    return {name: count for name, count in counts.items() if np.isfinite(count).any()}


def extrapolated_shares(maps: xr.Dataset, grid: xr.Dataset, depth: str = "0-100 cm") -> pd.DataFrame:
    """What lies in cells with at least one covariate that no training site has had.

    Parameters
    ----------
    grid : xarray.Dataset
        Cells: `cell_area` (m2), `land_fraction`.
    depth : str
        The interval whose carbon is counted.

    Returns
    -------
    pandas.DataFrame
        By method: `cells`, `land` and `carbon`, shares of all, and `most`, the largest number of such covariates.
    """
    area, rows = land_area(grid), {}
    stock = maps["stock"].sel(statistic="mean").isel(depth=int(np.flatnonzero(maps["interval"].values == depth)[0]))
    for name, count in extrapolated_cells(maps).items():
        beyond, carbon = count > 0, area * stock.sel(parameterisation=name).values
        shares = {"cells": beyond.mean(), "land": area[beyond].sum() / area.sum()}
        rows[name] = shares | {"carbon": np.nansum(carbon[beyond]) / np.nansum(carbon), "most": int(count.max())}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")
