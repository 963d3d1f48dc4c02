"""The map of one method: mean SOC of every cell, stocks with the spread of the draws, and totals over the land.

A method with draws is mapped by the mean of SOC over the draws, never by the SOC of the mean parameters. The interval
of a continental total is that of the draws' totals: the errors of cells go together, so quantiles do not add up.

Each function returns a Dataset with soc (layer, cell) g C m-3; stock (statistic, depth, cell) kg C m-2; total
(statistic, stratum) Pg C; covered (stratum, cell), whether the method has a value there.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from proda.errors import InputError
from proda.maps.stocks import MAP_INTERVALS, QUANTILES, STATISTICS, petagrams, stocks
from proda.maps.support import cell_means, soc_where_reached, where_reached
from proda.model import lanes
from proda.model.column import PAPER_COLUMN, STRATA, interval_name
from proda.model.forcing import Forcing
from proda.model.parameters import PAPER_PARAMETERS, physical


def finite_soc(x: NDArray, forcing: Forcing, what: str) -> NDArray[np.float64]:
    """SOC (n_layers, n) of parameters x (25, n) or (25,) on the unit cube, g C m-3.

    Parameters
    ----------
    what : str
        What to call the parameters in an error.

    Raises
    ------
    InputError
        If SOC is not finite somewhere: the model has no steady state on some faces of the cube.
    """
    soc = lanes.soc_density(physical(x, forcing), forcing)
    wrong = ~np.isfinite(soc).all(axis=0)
    if wrong.any():
        column = int(np.argmax(wrong))
        here = np.asarray(x) if np.ndim(x) == 1 else np.asarray(x)[:, column]
        nearest = int(np.argmin(np.minimum(here, 1.0 - here)))
        raise InputError(
            f"{what}: SOC is not finite in {int(wrong.sum())} of {wrong.size} columns, first in {column}, where "
            f"{PAPER_PARAMETERS.names[nearest]} = {here[nearest]:g} is the parameter nearest to a bound of its prior; "
            "expected parameters inside the bounds. Run the notebook that found them again."
        )
    return soc


def soc_of_draws(draws: NDArray, forcing: Forcing, area: NDArray, what: str = "an ensemble") -> xr.Dataset:
    """The map of an ensemble of parameter sets, each used in every cell.

    One draw is in memory at a time, beside three stocks a cell and draw in float32 for the quantiles.

    Parameters
    ----------
    draws : numpy.ndarray
        (n_draws, 25) on the unit cube.
    forcing : Forcing
        Of n cells.
    area : numpy.ndarray
        (n,) land in the cells, m2.
    what : str
        Name of the method in an error.
    """
    mean = np.zeros((PAPER_COLUMN.n_layers, area.size))
    stock = np.empty((len(draws), len(MAP_INTERVALS), area.size), dtype=np.float32)
    totals = np.empty((len(draws), len(STRATA)))
    for k, draw in enumerate(draws):
        soc = finite_soc(draw, forcing, f"{what}, draw {k}")
        mean += soc / len(draws)
        stock[k] = stocks(soc, MAP_INTERVALS)
        totals[k] = petagrams(stocks(soc, STRATA), area)
    return map_dataset(
        mean,
        np.concatenate([stocks(mean, MAP_INTERVALS)[None], np.quantile(stock, QUANTILES, axis=0)]),
        np.concatenate([totals.mean(axis=0)[None], np.quantile(totals, QUANTILES, axis=0)]),
        np.ones((len(STRATA), area.size), bool),
    )


def soc_of_one(soc: NDArray, area: NDArray) -> xr.Dataset:
    """The map of a method with one value in every cell, (n_layers, n_cells) g C m-3: no quantiles."""
    return _without_spread(soc, stocks(soc, MAP_INTERVALS), stocks(soc, STRATA), area)


def soc_of_sites(soc: NDArray, reach: NDArray, cell: NDArray, area: NDArray) -> xr.Dataset:
    """The map of a method that knows sites only: means over the sites of a cell, as deep as these were observed.

    Parameters
    ----------
    soc : numpy.ndarray
        (n_layers, n_sites) g C m-3.
    reach : numpy.ndarray
        (n_sites,) m, from `proda.maps.support.observed_reach`.
    cell : numpy.ndarray of int
        (n_sites,)
    """
    in_intervals, in_strata = (where_reached(stocks(soc, kind), reach) for kind in (MAP_INTERVALS, STRATA))
    means = [cell_means(values, cell, area.size) for values in (soc_where_reached(soc, reach), in_intervals, in_strata)]
    return _without_spread(*means, area)


def _without_spread(soc: NDArray, in_intervals: NDArray, in_strata: NDArray, area: NDArray) -> xr.Dataset:
    stock = np.full((len(STATISTICS), *in_intervals.shape), np.nan)
    total = np.full((len(STATISTICS), len(STRATA)), np.nan)
    stock[0], total[0] = in_intervals, petagrams(in_strata, area)
    return map_dataset(soc, stock, total, np.isfinite(in_strata))


def map_dataset(soc: NDArray, stock: NDArray, total: NDArray, covered: NDArray) -> xr.Dataset:
    """The arrays of one method's map with their dimensions, units and coordinates."""
    return xr.Dataset(
        {
            "soc": (("layer", "cell"), soc, {"units": "g m-3"}),
            "stock": (("statistic", "depth", "cell"), stock.astype(float), {"units": "kg m-2"}),
            "total": (("statistic", "stratum"), total, {"units": "Pg"}),
            "covered": (("stratum", "cell"), covered),
        },
        coords={
            "statistic": list(STATISTICS),
            "interval": ("depth", [interval_name(interval) for interval in MAP_INTERVALS]),
            "stratum": [interval_name(interval) for interval in STRATA],
        },
    )
