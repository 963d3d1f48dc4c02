"""From parameters to soil organic carbon at sites and cells, by method.

A method with draws is mapped by the mean of SOC over the draws, never by the SOC of the mean parameters. The interval
of a continental total is that of the draws' totals: the errors of cells go together, so quantiles do not add up.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from proda.maps.draws import one_batch_draws, random_sampling_draws
from proda.maps.inputs import Inputs
from proda.maps.stocks import MAP_INTERVALS, QUANTILES, STATISTICS, STRATA, interval_name, land_area, petagrams, stocks
from proda.model import lanes
from proda.model.column import PAPER_COLUMN
from proda.model.forcing import Forcing
from proda.model.observation import at_depths
from proda.model.parameters import default_parameters, physical

METHODS = ("default", "one-batch", "random-sampling", "site-by-site", "network")
AT_MEAN = "site-by-site, at mean parameters"


def soc_of_draws(draws: NDArray, forcing: Forcing, area: NDArray) -> xr.Dataset:
    """SOC of an ensemble of parameter sets, each used in every cell.

    One draw is in memory at a time, beside three stocks a cell and draw in float32 for the quantiles.

    Parameters
    ----------
    draws : numpy.ndarray
        (n_draws, 25) on the unit cube.
    forcing : Forcing
        Of n cells.
    area : numpy.ndarray
        (n,) land in the cells, m2.

    Returns
    -------
    xarray.Dataset
        soc (layer, cell) g C m-3, the mean over draws; stock (statistic, depth, cell) kg C m-2;
        total (statistic, stratum) Pg C.
    """
    mean = np.zeros((PAPER_COLUMN.n_layers, area.size))
    stock = np.empty((len(draws), len(MAP_INTERVALS), area.size), dtype=np.float32)
    totals = np.empty((len(draws), len(STRATA)))
    for k, draw in enumerate(draws):
        soc = lanes.soc_density(physical(draw, forcing), forcing)
        mean += soc / len(draws)
        stock[k] = stocks(soc, MAP_INTERVALS)
        totals[k] = petagrams(stocks(soc, STRATA), area)
    return _dataset(
        mean,
        np.concatenate([stocks(mean, MAP_INTERVALS)[None], np.quantile(stock, QUANTILES, axis=0)]),
        np.concatenate([totals.mean(axis=0)[None], np.quantile(totals, QUANTILES, axis=0)]),
    )


def soc_of_one(soc: NDArray, area: NDArray) -> xr.Dataset:
    """The same Dataset as `soc_of_draws` for a method with one value a cell (n_layers, n_cells): no quantiles."""
    stock = np.full((len(STATISTICS), len(MAP_INTERVALS), area.size), np.nan)
    total = np.full((len(STATISTICS), len(STRATA)), np.nan)
    stock[0], total[0] = stocks(soc, MAP_INTERVALS), petagrams(stocks(soc, STRATA), area)
    return _dataset(soc, stock, total)


def _dataset(soc: NDArray, stock: NDArray, total: NDArray) -> xr.Dataset:
    return xr.Dataset(
        {
            "soc": (("layer", "cell"), soc, {"units": "g m-3"}),
            "stock": (("statistic", "depth", "cell"), stock.astype(float), {"units": "kg m-2"}),
            "total": (("statistic", "stratum"), total, {"units": "Pg"}),
        },
        coords={
            "statistic": list(STATISTICS),
            "interval": ("depth", [interval_name(interval) for interval in MAP_INTERVALS]),
            "stratum": [interval_name(interval) for interval in STRATA],
        },
    )


def cell_means(values: NDArray, cell: NDArray, n_cells: int) -> NDArray[np.float64]:
    """Mean over the sites of a cell, (n_layers, n_cells), NaN in cells without sites, of values (n_layers, n_sites)."""
    counts = np.bincount(cell, minlength=n_cells)
    sums = np.stack([np.bincount(cell, weights=row, minlength=n_cells) for row in values])
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def maps_by_method(inputs: Inputs, n_draws: int, seed: int) -> xr.Dataset:
    """SOC maps of every method (and of the truth, where a study knows it).

    Site-by-site assimilation has values only in cells that hold used sites: the mean of those sites.

    Parameters
    ----------
    n_draws : int
        Draws of the one-batch posterior and of random sampling.

    Returns
    -------
    xarray.Dataset
        As `soc_of_draws`, with a leading dimension `parameterisation` (xarray's `sel` would take `method` for its own
        argument).
    """
    forcing, area = inputs.forcing, land_area(inputs.grid)
    sand = inputs.grid["sand_percent"].values
    own = inputs.used & np.isfinite(inputs.soc_mean).all(axis=0)
    cell = inputs.sites["cell"].to_numpy()
    found = {
        "default": soc_of_one(lanes.soc_density(default_parameters(forcing, sand), forcing), area),
        "one-batch": soc_of_draws(one_batch_draws(inputs.one_batch, n_draws, seed), forcing, area),
        "random-sampling": soc_of_draws(
            random_sampling_draws(inputs.x_mode[inputs.used], n_draws, seed + 1), forcing, area
        ),
        "site-by-site": soc_of_one(cell_means(inputs.soc_mean[:, own], cell[own], area.size), area),
        "network": soc_of_one(lanes.soc_density(physical(inputs.network_cells.T, forcing), forcing), area),
    }
    if inputs.truth is not None:
        found["truth"] = soc_of_one(inputs.truth["soc_cell"].transpose("layer", "cell").values, area)
    maps = xr.concat(list(found.values()), dim="parameterisation", coords="minimal", compat="override")
    return maps.assign_coords(parameterisation=list(found)).assign_attrs(draws=n_draws)


def soc_at_sites(inputs: Inputs, maps: xr.Dataset) -> dict[str, NDArray]:
    """SOC profiles at the sites, method -> (n_layers, n_sites), g C m-3.

    Sites of one cell share its forcing, so a method with the same parameters everywhere gives each its cell's profile.
    `AT_MEAN` is SOC computed once with each site's posterior-mean parameters, the network's targets: not the mean SOC.
    """
    cell = inputs.sites["cell"].to_numpy()
    forcing = inputs.forcing.take(cell)
    by_cell = maps["soc"].transpose("parameterisation", "layer", "cell").isel(cell=cell)
    found = {name: by_cell.sel(parameterisation=name).values for name in ("default", "one-batch", "random-sampling")}
    known = np.isfinite(inputs.x_mean).all(axis=1)
    at_mean = np.full_like(inputs.soc_mean, np.nan)
    at_mean[:, known] = lanes.soc_density(physical(inputs.x_mean[known].T, forcing.take(known)), forcing.take(known))
    found["site-by-site"] = inputs.soc_mean
    found[AT_MEAN] = at_mean
    found["network"] = lanes.soc_density(physical(inputs.network_sites.T, forcing), forcing)
    return found


def at_observed_depths(profiles: dict[str, NDArray], layers) -> dict[str, NDArray]:
    """Profiles (n_layers, n_sites) at the observed depths, method -> (n_observed,), g C m-3; NaN without a profile.

    Parameters
    ----------
    layers : pandas.DataFrame
        `site` and `depth` (m) of the observed layers.
    """
    site, depth = layers["site"].to_numpy(), layers["depth"].to_numpy(float)
    found = {}
    for method, soc in profiles.items():
        known = np.isfinite(soc).all(axis=0)[site]
        found[method] = np.full(site.size, np.nan)
        found[method][known] = at_depths(np.ascontiguousarray(soc), site[known], depth[known])
    return found
