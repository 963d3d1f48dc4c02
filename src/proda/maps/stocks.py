"""Carbon stocks: density on layers to kg C m-2 over depth intervals, Pg C over the land, and published maps beside.

A published map keeps its own depth intervals, to which the model's column is summed. It is another estimate, made from
much the same profiles, not the truth; no covariate, forcing or parameter comes from it.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from proda.data.region import is_conterminous
from proda.errors import InputError
from proda.model.configuration import STRATA, Column, column_of, configuration_of, interval_name
from proda.model.forcing import AnyForcing

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


def overlap(intervals: ArrayLike, column: Column) -> NDArray[np.float64]:
    """Thickness that each layer of `column` shares with each depth interval, (n_intervals, n_layers), m.

    `intervals` (n_intervals, 2) are upper and lower depth, m, positive down. Raises `InputError` if one has no
    thickness or leaves the column.
    """
    intervals = np.asarray(intervals, dtype=np.float64).reshape(-1, 2)
    upper, lower = intervals[:, :1], intervals[:, 1:]
    if ((upper >= lower) | (upper < 0) | (lower > column.bottom[-1])).any():
        raise InputError(
            f"depth intervals {intervals.tolist()} m: each must go down from an upper to a lower depth within "
            f"0 to {column.bottom[-1]:.3f} m, the depth of the column"
        )
    return np.maximum(np.minimum(lower, column.bottom) - np.maximum(upper, column.top), 0.0)


def stocks(soc: ArrayLike, intervals: ArrayLike, soil: NDArray | bool = True) -> NDArray:
    """Stock in each depth interval, (n_intervals, n), kg C m-2, from density (n_layers, n), g C m-3.

    A layer's density holds for the whole of the layer, so the stock is exact for the model. Layers that are no `soil`
    (n_layers, n), but bedrock, hold nothing.
    """
    soc = np.where(soil, soc, 0.0)
    return overlap(intervals, column_of(len(soc))) @ soc / 1000.0


def soil_layers(forcing: AnyForcing) -> NDArray[np.bool_]:
    """Where the model's layers are soil, not bedrock, (n_layers, n)."""
    return configuration_of(forcing).soil_thickness(forcing) > 0.0


def land_area(grid) -> NDArray[np.float64]:
    """Land in every cell, (n_cells,), m2."""
    return np.asarray(grid["cell_area"], float) * np.asarray(grid["land_fraction"], float)


def petagrams(stock: ArrayLike, area: ArrayLike) -> NDArray[np.float64]:
    """Totals (...) in Pg C of stocks (..., n_cells) in kg C m-2 over areas (n_cells,) in m2; missing cells add 0."""
    return np.nan_to_num(np.asarray(stock, float)) @ np.asarray(area, float) / 1e12


def profile_stocks(layers: pd.DataFrame, soc: ArrayLike, n_sites: int) -> NDArray[np.float64]:
    """Stock of the observed layers of every site, (n_sites,), kg C m-2, for densities (n_observed,) in g C m-3.

    Observed and modelled densities meet the same thicknesses (`layers`: `site`, `upper_depth`, `lower_depth`, m), so
    gaps between the layers of a profile do not matter.
    """
    thickness = (layers["lower_depth"] - layers["upper_depth"]).to_numpy(float)
    return np.bincount(layers["site"], weights=np.asarray(soc) * thickness, minlength=n_sites) / 1000.0


def stock_table(maps: xr.Dataset, grid: xr.Dataset) -> pd.DataFrame:
    """Continental stocks of every method by depth, with the reference maps of `grid`; published ones of their region.

    Columns: source ("this study", "reference map", "published"), method, interval, stock_pg, p05_pg, p95_pg, cells
    (that have a value in this interval), land_share (of the land they hold). Totals cover only these cells.
    """
    area = land_area(grid)
    rows = []

    def add(source: str, method: str, interval: Interval, numbers: tuple, has_value: NDArray | None = None) -> None:
        row = {"source": source, "method": method, "interval": interval_name(interval)}
        row |= dict(zip(("stock_pg", "p05_pg", "p95_pg"), numbers, strict=False))
        if has_value is not None:
            row |= {"cells": int(has_value.sum()), "land_share": float(area[has_value].sum() / area.sum())}
        rows.append(row)

    for method in maps["parameterisation"].values:
        ours = maps.sel(parameterisation=method)
        for k, stratum in enumerate(STRATA):
            numbers = ours["total"].isel(stratum=k).sel(statistic=["mean", "p05", "p95"]).values
            add("this study", str(method), stratum, tuple(numbers), ours["covered"].isel(stratum=k).values)
    for name, reference in reference_stocks(grid).items():
        intervals = [*STRATA, *(set(reference) - set(MAP_INTERVALS) - set(STRATA))]
        if (0.0, 1.0) in reference and (0.0, 0.3) not in reference:
            intervals.append((0.0, 1.0))
        for interval in intervals:
            values = reference_in(reference, interval)
            if values is not None:
                add("reference map", name, interval, (float(petagrams(values, area)),), np.isfinite(values))
    for name, published in PUBLISHED_STOCKS.items() if is_conterminous(grid["lon"], grid["lat"]) else ():
        for stratum, numbers in zip(STRATA, published, strict=True):
            add("published", name, stratum, numbers)
    numbers = {"stock_pg": float, "p05_pg": float, "p95_pg": float, "cells": "Int64"}
    return pd.DataFrame(rows).astype(numbers)


# Columns of `proda.data.readers`, which give a stock from the surface down to one depth, and the names of their maps.
_READ = {"soilgrids_2": "SoilGrids 2.0", "wise30sec": "WISE30sec", "hwsd_2": "HWSD 2.0"}


def reference_stocks(grid: Any) -> dict[str, dict[Interval, NDArray]]:
    """Reference maps of a grid: name -> depth interval in m -> (n_cells,) kg C m-2, as published, nothing resampled.

    Variables are named `ref_<map>_soc_<upper>_<lower>cm_kg_m2`, as in a half-degree table, or `ref_<map>_<lower>cm`, as
    the readers of published maps name them. One with another name is left out with a warning.
    """
    references: dict[str, dict[Interval, NDArray]] = {}
    for column in (name for name in map(str, getattr(grid, "data_vars", grid)) if name.startswith("ref_")):
        read = re.fullmatch(rf"ref_({'|'.join(_READ)})()_(\d+)cm", column)
        # The name of a map may hold numbers of its own, so the two depths are the last ones.
        match = read or re.fullmatch(r"ref_(\w+?)(?:_soc)?_(\d+)_(\d+)cm(?:_kg_m2)?", column)
        upper, lower = (int(match[2] or 0), int(match[3])) if match else (0, 0)
        if upper >= lower:
            warnings.warn(
                f"{column} of the grid is not shown: expected a name such as ref_wise30sec_100cm or "
                "ref_hwsd_soc_0_100cm_kg_m2, with the depth interval",
                stacklevel=2,
            )
            continue
        name = _READ[match[1]] if read else match[1].upper()
        references.setdefault(name, {})[upper / 100, lower / 100] = np.asarray(grid[column], float)
    return {name: dict(sorted(intervals.items())) for name, intervals in references.items()}


def reference_in(reference: dict[Interval, NDArray], interval: Interval) -> NDArray[np.float64] | None:
    """Stock of a reference in an interval, (n_cells,) kg C m-2, or None where it has none.

    The difference of two of its own intervals from the surface counts as its own.
    """
    if interval in reference:
        return reference[interval]
    upper, lower = (0.0, interval[0]), (0.0, interval[1])
    return reference[lower] - reference[upper] if upper in reference and lower in reference else None


def stock_in(maps: xr.Dataset, interval: Interval) -> xr.DataArray:
    """Mean stock of every method in a depth interval (m), (parameterisation, cell) kg C m-2; NaN where it has none.

    Site-by-site has only the cells with sites observed in every layer of the interval.
    """
    share = xr.DataArray(overlap([interval], column_of(maps.sizes["layer"]))[0], dims="layer")
    return (maps["soc"] * share).where(maps["soil"], 0.0).isel(layer=share.values > 0).sum(
        "layer", skipna=False
    ) / 1000.0


def weighted_scores(reference: ArrayLike, ours: ArrayLike, weight: ArrayLike) -> dict[str, float]:
    """Agreement of two maps (n,) where both have a value, weighted by land: r, and bias and rmse of ours."""
    reference, ours, weight = (np.asarray(values, float) for values in (reference, ours, weight))
    both = np.isfinite(reference) & np.isfinite(ours)
    if not both.any():
        return dict.fromkeys(("r", "bias", "rmse"), np.nan)
    reference, ours, share = reference[both], ours[both], weight[both] / weight[both].sum()
    error, a, b = ours - reference, reference - share @ reference, ours - share @ ours
    scale = np.sqrt((share @ a**2) * (share @ b**2))
    r = float(share @ (a * b) / scale) if scale > 0 else np.nan
    return {"r": r, "bias": float(share @ error), "rmse": float(np.sqrt(share @ error**2))}


def reference_scores(maps: xr.Dataset, grid: xr.Dataset) -> pd.DataFrame:
    """Every method against every reference map in the map's own depth intervals, on the cells where both have a value.

    Columns: reference, interval, method, r (of the cells, weighted by land), bias, rmse (kg C m-2), total_pg and
    reference_pg on these cells, land_share (of the land they hold).
    """
    area, rows = land_area(grid), []
    for name, intervals in reference_stocks(grid).items():
        for interval, reference in intervals.items():
            of_map = {"reference": name, "interval": interval_name(interval)}
            for ours in stock_in(maps, interval):
                both = np.isfinite(reference) & np.isfinite(ours.values)
                row = of_map | {"method": ours["parameterisation"].item()} | weighted_scores(reference, ours, area)
                row["total_pg"], row["reference_pg"] = (petagrams(x[both], area[both]) for x in (ours, reference))
                rows.append(row | {"land_share": area[both].sum() / area.sum()})
    return pd.DataFrame(rows)
