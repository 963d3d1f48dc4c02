"""Our maps against published ones: agreement in space and totals by depth.

A reference is compared over its own depth intervals: the model's column is summed to these, and the reference is never
resampled. It is another estimate, made from much the same profiles, not the truth.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from proda.maps.stocks import MAP_INTERVALS, Interval, land_area, overlap, petagrams, reference_in, reference_stocks
from proda.model.configuration import interval_name

INTERVALS = ((0.0, 0.3), (0.3, 1.0), (0.0, 1.0), (1.0, 2.0), (0.0, 2.0))


def stock_in(maps: xr.Dataset, interval: Interval) -> dict[str, NDArray[np.float64]]:
    """Mean stock of every method in one depth interval (m), method -> (n_cells,) kg C m-2; NaN where it has none.

    In an interval that does not begin at the surface, site-by-site has the cells whose sites were observed in every
    layer of it: fewer than in the table of stocks, where the middle of a stratum is enough.

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


def weighted_scores(reference: ArrayLike, ours: ArrayLike, weight: ArrayLike) -> dict[str, float]:
    """Agreement of two maps, each cell weighted by its land: r, bias and rmse (ours minus reference), ratio of sums.

    Parameters
    ----------
    reference, ours, weight : array_like
        (n,) finite.
    """
    reference, ours, weight = (np.asarray(values, float) for values in (reference, ours, weight))
    if weight.sum() == 0:
        return dict.fromkeys(("r", "bias", "rmse", "ratio"), np.nan)
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
    own = {interval for stocks in references.values() for interval in stocks}
    for interval in [*INTERVALS, *sorted(own - set(INTERVALS))]:
        known = {name: reference_in(stocks, interval) for name, stocks in references.items()}
        known = {name: values for name, values in known.items() if values is not None}
        ours = stock_in(maps, interval) if known else {}
        for name, reference in known.items():
            others = {f"{other} (reference)": values for other, values in known.items() if other != name}
            for method, values in {**ours, **others}.items():
                both = np.isfinite(reference) & np.isfinite(values)
                rows.append(
                    {
                        "reference": name,
                        "interval": interval_name(interval),
                        "method": method,
                        **weighted_scores(reference[both], values[both], area[both]),
                        "total_pg": float(petagrams(values[both], area[both])),
                        "reference_pg": float(petagrams(reference[both], area[both])),
                        "cells": int(both.sum()),
                        "land_share": float(area[both].sum() / area.sum()),
                    }
                )
    return pd.DataFrame(rows)
