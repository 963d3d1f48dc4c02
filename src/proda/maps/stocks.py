"""Carbon stocks: density on layers to kg C m-2 over depth intervals, and to Pg C over the land.

Published maps of soil carbon that a grid carries are here too, to compare stocks with: no covariate, no forcing and no
parameter comes from them.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.model.configuration import PAPER_COLUMN, STRATA, Column, interval_name

Interval = tuple[float, float]  # upper and lower depth, m

MAP_INTERVALS = ((0.0, 0.3), (0.0, 1.0), (0.0, 2.0))
STATISTICS = ("mean", "p05", "p50", "p95")
QUANTILES = (0.05, 0.5, 0.95)

# Tao et al. 2020, Fig. 4 and the text beside it: Pg C in 0-30, 30-100 and 100-200 cm, with 5-95 % where given.
PUBLISHED_STOCKS = {
    "default": ((158, None, None), (368, None, None), (526, None, None)),
    "one-batch": ((77, 49, 112), (52, 34, 74), (36, 24, 51)),
    "random-sampling": ((84, 11, 263), (63, 4, 197), (58, 2, 163)),
    "network": ((101, None, None), (77, None, None), (68, None, None)),
    "WISE30sec": ((98, None, None), (81, None, None), (64, None, None)),
    "SoilGrids250m": ((102, None, None), (86, None, None), (81, None, None)),
}


def overlap(intervals: ArrayLike, column: Column = PAPER_COLUMN) -> NDArray[np.float64]:
    """Thickness that each layer shares with each depth interval, (n_intervals, n_layers), m.

    Parameters
    ----------
    intervals : array_like
        (n_intervals, 2) upper and lower depth, m, positive down.
    """
    intervals = np.asarray(intervals, dtype=np.float64).reshape(-1, 2)
    if (intervals[:, 0] >= intervals[:, 1]).any() or (intervals < 0).any() or (intervals > column.bottom[-1]).any():
        raise InputError(
            f"depth intervals {intervals.tolist()} m: each must go down from an upper to a lower depth within "
            f"0 to {column.bottom[-1]:.3f} m, the depth of the {column.name!r} grid"
        )
    upper = np.maximum(intervals[:, :1], column.top)
    lower = np.minimum(intervals[:, 1:], column.bottom)
    return np.maximum(lower - upper, 0.0)


def stocks(soc: ArrayLike, intervals: ArrayLike, column: Column = PAPER_COLUMN) -> NDArray:
    """Stock in each depth interval, (n_intervals, n), kg C m-2, from density (n_layers, n), g C m-3.

    A layer's density holds for the whole of the layer, so the stock is exact for the model.
    """
    return overlap(intervals, column) @ np.asarray(soc) / 1000.0


def land_area(grid) -> NDArray[np.float64]:
    """Land in every cell, (n_cells,), m2."""
    return np.asarray(grid["cell_area"], float) * np.asarray(grid["land_fraction"], float)


def petagrams(stock: ArrayLike, area: ArrayLike) -> NDArray[np.float64]:
    """Totals (...) in Pg C of stocks (..., n_cells) in kg C m-2 over areas (n_cells,) in m2; missing cells add 0."""
    return np.nan_to_num(np.asarray(stock, float)) @ np.asarray(area, float) / 1e12


def profile_stocks(layers: pd.DataFrame, soc: ArrayLike, n_sites: int) -> NDArray[np.float64]:
    """Stock of the observed layers of every site, (n_sites,), kg C m-2, for densities (n_observed,) in g C m-3.

    Observed and modelled densities meet the same thicknesses, so gaps between the layers of a profile do not matter.

    Parameters
    ----------
    layers : pandas.DataFrame
        `site`, `upper_depth`, `lower_depth` (m).
    """
    thickness = (layers["lower_depth"] - layers["upper_depth"]).to_numpy(float)
    return np.bincount(layers["site"], weights=np.asarray(soc) * thickness, minlength=n_sites) / 1000.0


# Columns of `proda.data.readers`, which give a stock from the surface down to one depth, and the names of their maps.
_READ = {
    "soilgrids_2": "SoilGrids 2.0",
    "wise30sec": "WISE30sec",
    "hwsd_2": "HWSD 2.0",
}


def reference_stocks(grid: Any) -> dict[str, dict[Interval, NDArray]]:
    """Reference maps of a grid: name -> depth interval in m -> (n_cells,) kg C m-2, as published, nothing resampled.

    Variables are named `ref_<map>_soc_<upper>_<lower>cm_kg_m2`, as in a half-degree table, or `ref_<map>_<lower>cm`, as
    the readers of published maps name them. One with another name is left out with a warning.
    """
    references: dict[str, dict[Interval, NDArray]] = {}
    for column in (name for name in map(str, getattr(grid, "data_vars", grid)) if name.startswith("ref_")):
        named = _map_and_interval(column)
        if named is None:
            warnings.warn(
                f"{column} of the grid is not shown: expected a name such as ref_wise30sec_100cm or "
                "ref_hwsd_soc_0_100cm_kg_m2, with the depth interval",
                stacklevel=2,
            )
        else:
            name, interval = named
            references.setdefault(name, {})[interval] = np.asarray(grid[column], float)
    return {name: dict(sorted(intervals.items())) for name, intervals in references.items()}


def _map_and_interval(column: str) -> tuple[str, Interval] | None:
    for key, name in _READ.items():
        match = re.fullmatch(rf"ref_{key}_(\d+)cm", column)
        if match:
            return name, (0.0, int(match[1]) / 100)
    # The name of a map may hold numbers of its own, so the two depths are the last ones.
    match = re.fullmatch(r"ref_(\w+?)(?:_soc)?_(\d+)_(\d+)cm(?:_kg_m2)?", column)
    if match is None or int(match[2]) >= int(match[3]):
        return None
    return match[1].upper(), (int(match[2]) / 100, int(match[3]) / 100)


def reference_in(reference: dict[Interval, NDArray], interval: Interval) -> NDArray[np.float64] | None:
    """Stock of a reference in an interval, (n_cells,) kg C m-2, or None where it has none.

    The difference of two of its own intervals from the surface counts as its own.
    """
    if interval in reference:
        return reference[interval]
    upper, lower = (0.0, interval[0]), (0.0, interval[1])
    return reference[lower] - reference[upper] if upper in reference and lower in reference else None


def stock_table(maps, grid) -> pd.DataFrame:
    """Continental stocks of every method by depth, with the study's reference maps and the published values.

    Parameters
    ----------
    maps : xarray.Dataset
        `total` (parameterisation, statistic, stratum), Pg C, and `covered` (parameterisation, stratum, cell): from
        `proda.maps.prediction.maps_by_method`.
    grid : xarray.Dataset
        Cells: `cell_area`, `land_fraction`, and reference maps where the study has them.

    Returns
    -------
    pandas.DataFrame
        source ("this study", "reference map", "published"), method, interval, stock_pg, p05_pg, p95_pg, cells (that
        have a value in this interval), land_share (of the land they hold). Totals cover only these cells.
    """
    area = land_area(grid)
    rows = []

    def add(source, method, interval, numbers, has_value=None):
        mean, low, high = (np.nan if number is None else float(number) for number in numbers)
        counted = {} if has_value is None else {
            "cells": int(has_value.sum()), "land_share": float(area[has_value].sum() / area.sum())
        }  # fmt: skip
        row = {"source": source, "method": method, "interval": interval_name(interval), "stock_pg": mean}
        rows.append(row | {"p05_pg": low, "p95_pg": high} | counted)

    for method in maps["parameterisation"].values:
        for k, stratum in enumerate(STRATA):
            has_value = maps["covered"].sel(parameterisation=method).isel(stratum=k).values
            total = maps["total"].sel(parameterisation=method).isel(stratum=k)
            add("this study", str(method), stratum, [total.sel(statistic=s) for s in ("mean", "p05", "p95")], has_value)
    for name, reference in reference_stocks(grid).items():
        for stratum in [*STRATA, *(set(reference) - set(MAP_INTERVALS) - set(STRATA))]:
            values = reference_in(reference, stratum)
            if values is not None:
                add("reference map", name, stratum, (petagrams(values, area), None, None), np.isfinite(values))
        if (0.0, 1.0) in reference and (0.0, 0.3) not in reference:
            values = reference[0.0, 1.0]
            add("reference map", name, (0.0, 1.0), (petagrams(values, area), None, None), np.isfinite(values))
    for name, published in PUBLISHED_STOCKS.items():
        for stratum, numbers in zip(STRATA, published, strict=True):
            add("published", name, stratum, numbers)
    return pd.DataFrame(rows).astype({"cells": "Int64"})
