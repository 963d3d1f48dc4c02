"""Our maps against published ones: agreement in space, totals by depth and by land cover, means by latitude.

A reference is compared over its own depth intervals: the model's column is summed to these, and the reference is never
resampled. It is another estimate, made from much the same profiles, not the truth.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from proda.maps.regions import CLASSES, vegetation_of
from proda.maps.stocks import MAP_INTERVALS, Interval, land_area, overlap, petagrams, reference_stocks
from proda.model.configuration import interval_name

LEAST_BAND = 0.1  # of the median land of a band of latitude
COMPARED = ((0.0, 0.3), (0.3, 1.0), (0.0, 1.0), (1.0, 2.0), (0.0, 2.0))


def stock_in(maps: xr.Dataset, interval: Interval) -> dict[str, NDArray[np.float64]]:
    """Mean stock of every method in one depth interval (m), method -> (n_cells,) kg C m-2; NaN where it has none.

    In an interval that does not begin at the surface, site-by-site has the cells whose sites reach every layer of it:
    fewer than in the table of stocks, where the middle of a stratum is enough.

    Parameters
    ----------
    maps : xarray.Dataset
        From `proda.maps.prediction.maps_by_method`.
    """
    if interval in MAP_INTERVALS:
        stock = maps["stock"].sel(statistic="mean").isel(depth=MAP_INTERVALS.index(interval))
        stock = stock.transpose("parameterisation", "cell").values
    else:
        share = overlap([interval])[0]
        reached = share > 0
        soc = maps["soc"].transpose("parameterisation", "layer", "cell").values[:, reached]
        stock = np.einsum("l,mlc->mc", share[reached], soc) / 1000.0
    return dict(zip(map(str, maps["parameterisation"].values), stock, strict=True))


def reference_in(maps: dict[Interval, NDArray], interval: Interval) -> NDArray[np.float64] | None:
    """Stock of a reference in an interval, (n_cells,) kg C m-2, or None where it has none.

    The difference of two of its own intervals from the surface counts as its own.
    """
    if interval in maps:
        return maps[interval]
    upper, lower = (0.0, interval[0]), (0.0, interval[1])
    return maps[lower] - maps[upper] if upper in maps and lower in maps else None


def weighted_scores(reference: ArrayLike, ours: ArrayLike, weight: ArrayLike) -> dict[str, float]:
    """Agreement of two maps, each cell weighted by its land: r, bias and rmse (ours minus reference), ratio of sums.

    Parameters
    ----------
    reference, ours, weight : array_like
        (n,) finite.
    """
    reference, ours, weight = (np.asarray(values, float) for values in (reference, ours, weight))
    nothing = {"r": np.nan, "bias": np.nan, "rmse": np.nan, "ratio": np.nan}
    if weight.sum() == 0:
        return nothing
    share = weight / weight.sum()
    means = share @ reference, share @ ours
    a, b = reference - means[0], ours - means[1]
    scale = np.sqrt((share @ a**2) * (share @ b**2))
    error = ours - reference
    return {
        "r": float(share @ (a * b) / scale) if scale > 0 else np.nan,
        "bias": float(share @ error),
        "rmse": float(np.sqrt(share @ error**2)),
        "ratio": float(means[1] / means[0]) if means[0] > 0 else np.nan,
    }


def reference_scores(maps: xr.Dataset, grid: xr.Dataset) -> pd.DataFrame:
    """Every method (and every other reference) against every reference, by depth, on the cells where both have a value.

    Returns
    -------
    pandas.DataFrame
        reference, interval, method, r (of the cells, weighted by land), bias, rmse (kg C m-2), ratio of the totals,
        total_pg and reference_pg on these cells, cells, land_share. No row where a reference has no such interval.
    """
    area, references = land_area(grid), reference_stocks(grid)
    rows = []
    own = {interval for found in references.values() for interval in found}
    for interval in [*COMPARED, *sorted(own - set(COMPARED))]:
        known = {name: reference_in(found, interval) for name, found in references.items()}
        known = {name: values for name, values in known.items() if values is not None}
        ours = stock_in(maps, interval) if known else {}
        for name, reference in known.items():
            others = {f"{other} (reference)": values for other, values in known.items() if other != name}
            for method, values in {**ours, **others}.items():
                both = np.isfinite(reference) & np.isfinite(values)
                row = {"reference": name, "interval": interval_name(interval), "method": method}
                rows.append(
                    row
                    | weighted_scores(reference[both], values[both], area[both])
                    | {
                        "total_pg": float(petagrams(values[both], area[both])),
                        "reference_pg": float(petagrams(reference[both], area[both])),
                        "cells": int(both.sum()),
                        "land_share": float(area[both].sum() / area.sum()),
                    }
                )
    return pd.DataFrame(rows)


def scores_in_words(table: pd.DataFrame) -> pd.DataFrame:
    """`reference_scores` for a reader: indexed by reference, interval and method, with units in the headings."""
    headings = {
        "r": "r",
        "bias": "bias (kg m-2)",
        "rmse": "RMSE (kg m-2)",
        "ratio": "ours / reference",
        "total_pg": "ours (Pg C)",
        "reference_pg": "reference (Pg C)",
        "land_share": "of the land (%)",
    }
    table = table.assign(land_share=100 * table["land_share"]).set_index(["reference", "interval", "method"])
    return table[list(headings)].rename(columns=headings)


def reference_inventory(grid: xr.Dataset) -> pd.DataFrame:
    """What references there are, by name: which depth intervals they have, and on how much of the land (%).

    "none" says that a reference has no map of an interval.
    """
    area = land_area(grid)
    references = reference_stocks(grid)
    own = {interval for found in references.values() for interval in found}
    intervals = [*MAP_INTERVALS, *sorted(own - set(MAP_INTERVALS))]
    rows = {
        name: {
            interval_name(interval): f"{100 * area[np.isfinite(found[interval])].sum() / area.sum():.0f} % of the land"
            if interval in found
            else "none"
            for interval in intervals
        }
        for name, found in references.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("reference")


def maps_to_compare(maps: xr.Dataset, grid: xr.Dataset, interval: Interval) -> dict[str, NDArray[np.float64]]:
    """References and then the methods that have a value in every cell, name -> (n_cells,) kg C m-2 in one interval."""
    known = {f"{name} (reference)": reference_in(found, interval) for name, found in reference_stocks(grid).items()}
    ours = {name: values for name, values in stock_in(maps, interval).items() if np.isfinite(values).all()}
    return {name: values for name, values in known.items() if values is not None} | ours


def totals_by_land_cover(maps: xr.Dataset, grid: xr.Dataset, interval: Interval = (0.0, 1.0)) -> pd.DataFrame:
    """Pg C by vegetation of the cells, a column for every method and reference, on the cells where all have a value.

    The column `land` is the land these cells hold, million km2; cells of no kind of vegetation are in "other".
    """
    shown = maps_to_compare(maps, grid, interval)
    both = np.all([np.isfinite(values) for values in shown.values()], axis=0)
    kind, area = vegetation_of(grid["land_cover"].values), land_area(grid)
    kind[kind == ""] = "other"
    rows = {}
    for name in [*CLASSES, "other"]:
        chosen = both & (kind == name)
        if chosen.any():
            pg = {method: float(petagrams(values[chosen], area[chosen])) for method, values in shown.items()}
            rows[name] = {"land": float(area[chosen].sum() / 1e12), **pg}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("vegetation")
    table.loc["all"] = table.sum()
    return table


def zonal_means(maps: xr.Dataset, grid: xr.Dataset, interval: Interval = (0.0, 1.0)) -> pd.DataFrame:
    """Mean stock by latitude, kg C m-2 of land, a column for every method and reference that covers the land.

    Bands are a degree wide, or as wide as a cell; the index is their middle. A band with less than a tenth of the
    median band's land has no value: a mean of three cells at the end of a continent says nothing of its latitude.
    """
    step = max(1.0, float(grid.attrs.get("resolution_degrees", 1.0)))
    shown = maps_to_compare(maps, grid, interval)
    area, lat = land_area(grid), np.asarray(grid["lat"], float)
    band = np.floor(lat / step).astype(int)
    first = band.min()
    all_land = np.bincount(band - first, weights=area)
    enough = all_land >= LEAST_BAND * np.median(all_land[all_land > 0])
    means = {}
    for name, values in shown.items():
        weight = np.where(np.isfinite(values), area, 0.0)
        land = np.bincount(band - first, weights=weight)
        carbon = np.bincount(band - first, weights=weight * np.nan_to_num(values))
        means[name] = np.divide(carbon, land, out=np.full(land.size, np.nan), where=enough & (land > 0))
    index = pd.Index((first + np.arange(band.max() - first + 1) + 0.5) * step, name="latitude")
    return pd.DataFrame(means, index=index)
