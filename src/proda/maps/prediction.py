"""SOC maps by method: read what the stages before wrote, compute SOC at every cell and site, with its uncertainty.

A method with draws is mapped by the mean of SOC over the draws, never by the SOC of the mean parameters. The interval
of a continental total is that of the draws' totals: the errors of cells go together, so quantiles do not add up.

Below its lowest observed layer a site's own posterior is not constrained by data (single cells observed_to more than
1,000 kg m-2 between 1 and 2 m), so site-by-site estimates are mapped to the observed depth only.

The map of one method is a Dataset with soc (layer, cell) g C m-3; stock (statistic, depth, cell) kg C m-2; total
(statistic, stratum) Pg C; covered (stratum, cell), whether the method has a value there.
"""

from __future__ import annotations

from typing import NamedTuple

import geopandas
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from proda.assimilation.results import read_posterior
from proda.assimilation.store import opened_sites
from proda.data.forcing import read_forcing
from proda.data.grid import read_grid
from proda.data.tables import known_truth, read_layers, read_profiles, read_site_status
from proda.errors import InputError
from proda.kernels import steady_state as lanes
from proda.learning.cross_validation import WIDTH_90
from proda.learning.scores import block_of_place
from proda.learning.stage import PARAMETERS_FILE
from proda.maps.netcdf import BEYOND
from proda.maps.parameter_maps import NOTES
from proda.maps.stocks import MAP_INTERVALS, QUANTILES, STATISTICS, land_area, petagrams, stocks
from proda.model.configuration import PAPER_COLUMN, STRATA, interval_name
from proda.model.forcing import Forcing
from proda.model.observation import at_depths
from proda.model.parameters import INNER, PAPER_PARAMETERS, cwd_share, default_parameters, physical
from proda.study import Study

METHODS = ("default", "one-batch", "random-sampling", "site-by-site", "network", "hybrid")
AT_MEAN = "site-by-site, at mean parameters"
# A site counts in a stratum whose middle its lowest observed layer reaches, and in an interval from the surface down
# if it counts in the stratum at the bottom of it: 15, 65 and 150 cm.
LEAST_OBSERVED_DEPTH = np.array([(upper + lower) / 2 for upper, lower in STRATA])


class Inputs(NamedTuple):
    """Everything the maps of a study need; parameters on the unit cube, SOC in g C m-3."""

    sites: geopandas.GeoDataFrame  # a row a site, with `cell` and `land_cover`
    layers: pd.DataFrame  # observed: site, depth, upper_depth, lower_depth (m), soc
    grid: xr.Dataset  # land cells
    forcing: Forcing  # of every cell
    one_batch: NDArray  # (n_draws, 25) pooled posterior draws
    x_mode: NDArray  # (n_sites, 25) modes of the sites' posteriors (GEV)
    x_mean: NDArray  # (n_sites, 25) means of the sites' posteriors
    soc_mean: NDArray  # (10, n_sites) mean SOC over the draws of each site's posterior
    used: NDArray  # (n_sites,) bool, sites of non-negative model efficiency
    network_sites: NDArray  # (n_sites, 25) predicted by the network
    network_cells: NDArray  # (n_cells, 25)
    network_notes: pd.DataFrame  # (n_cells,) notes on the prediction, `proda.maps.parameter_maps.NOTES`
    hybrid_sites: NDArray  # (n_members, n_sites, 25) predicted by the hybrid's members
    hybrid_cells: NDArray  # (n_members, n_cells, 25)
    hybrid_extrapolated: NDArray  # (n_cells,) number of covariates outside the range of the hybrid's training sites
    hybrid_unseen: NDArray  # (n_strata,) variance of a cell's log carbon beyond the members' spread (withheld blocks)
    hybrid_common: NDArray  # (n_strata,) variance of the relative error that all land has in common
    block_km: float  # side of these blocks, within which errors of the hybrid's map go together
    split: NDArray  # (n_sites,) the network's "train", "validation", "test"; "unused" elsewhere
    truth: xr.Dataset | None  # `soc_site`, `soc_cell` (layer, ...) of a study with known truth


def read_inputs(study: Study) -> Inputs:
    """The inputs of the maps from the study's folder; `MissingOutput` where a stage before is not up to date."""
    study.require(
        "01-data-cleaning", "03-one-batch-assimilation", "04-site-by-site-assimilation", "05-network-training"
    )
    sites = read_profiles(study.path("profiles.parquet"))
    grid = read_grid(study.path("grid.nc"))
    one_batch = read_posterior(study.path("one_batch.nc"))["x"].transpose("chain", "draw", "parameter")
    posterior = opened_sites(study.path("sites.zarr"))
    status = read_site_status(study.path("site_status.csv")).sort_values("site")
    network = pd.read_parquet(study.path("network_parameters.parquet"))
    at_sites = network[network["place"] == "site"].sort_values("site")
    at_cells = network[network["place"] == "cell"].sort_values("cell")
    names = list(PAPER_PARAMETERS.names)
    hybrid = xr.load_dataset(study.path(PARAMETERS_FILE))
    return Inputs(
        sites=sites,
        layers=read_layers(study.path("layers.parquet")),
        grid=grid,
        forcing=read_forcing(study.path("forcing.nc")),
        one_batch=one_batch.values.reshape(-1, one_batch.sizes["parameter"]),
        x_mode=posterior["x_mode"].transpose("site", "parameter").values.astype(float),
        x_mean=posterior["x_mean"].transpose("site", "parameter").values.astype(float),
        soc_mean=posterior["soc_mean"].transpose("layer", "site").values.astype(float),
        used=status["used_downstream"].to_numpy(bool),
        network_sites=at_sites[names].to_numpy(float),
        network_cells=at_cells[names].to_numpy(float),
        network_notes=at_cells.filter(items=NOTES).reset_index(drop=True),
        hybrid_sites=hybrid["x_site"].transpose("member", "site", "parameter").values.astype(float),
        hybrid_cells=hybrid["x_cell"].transpose("member", "cell", "parameter").values.astype(float),
        hybrid_extrapolated=hybrid["extrapolated_cell"].values,
        hybrid_unseen=hybrid["unseen_log_variance"].values.astype(float),
        hybrid_common=hybrid["common_log_variance"].values.astype(float),
        block_km=float(hybrid.attrs["block_km"]),
        split=at_sites["split"].fillna("unused").to_numpy(str),
        truth=known_truth(study),
    )


def _woody_debris_share(x: NDArray) -> NDArray[np.float64]:
    """Share of the carbon input to coarse woody debris, (n,), of x (n, 25) on the unit cube, in any forcing."""
    low, high = PAPER_PARAMETERS.minimum[:, None], PAPER_PARAMETERS.maximum[:, None]
    return cwd_share(low + np.asarray(x, float).T * (high - low))


def one_batch_draws(posterior: NDArray, n_draws: int, seed: int) -> NDArray[np.float64]:
    """Random draws of the pooled one-batch posterior, (n_draws, 25), each at most once if there are enough.

    Parameters
    ----------
    posterior : numpy.ndarray
        (n_kept, 25), unit cube.
    """
    if len(posterior) == 0:
        raise InputError("one_batch.nc holds no draws: run notebook 03 again")
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(posterior), size=n_draws, replace=len(posterior) < n_draws)
    return np.asarray(posterior, float)[chosen]


def random_sampling_draws(modes: NDArray, n_draws: int, seed: int) -> NDArray[np.float64]:
    """Draws from the distribution of all sites' modes, each parameter on its own, (n_draws, 25).

    As in the paper, each parameter keeps the distribution of its modes and loses its place and its relation to the
    others. A draw without a positive share for coarse woody debris is drawn anew. A mode on a bound of the prior, where
    SOC may be undefined, counts as `INNER` from it.

    Parameters
    ----------
    modes : numpy.ndarray
        (n_sites, 25) modes of the sites' posteriors, unit cube; sites with a missing mode are left out.

    Raises
    ------
    InputError
        If no site has modes, or (nearly) no combination of them is valid.
    """
    modes = np.asarray(modes, float)
    modes = np.clip(modes[np.isfinite(modes).all(axis=1)], INNER, 1.0 - INNER)
    if len(modes) == 0:
        raise InputError("no site has posterior modes (x_mode in sites.zarr): random sampling has nothing to draw from")
    rng = np.random.default_rng(seed)
    columns = np.arange(modes.shape[1])
    draws = modes[rng.integers(len(modes), size=(n_draws, modes.shape[1])), columns]
    for _ in range(1000):
        invalid = _woody_debris_share(draws) <= 0
        if not invalid.any():
            return draws
        again = rng.integers(len(modes), size=(int(invalid.sum()), modes.shape[1]))
        draws[invalid] = modes[again, columns]
    raise InputError(
        f"{int(invalid.sum())} of {n_draws} random-sampling draws have no positive coarse-woody-debris share after "
        "1000 tries: p4ll, p4ml and p4cl of x_mode in sites.zarr are too large"
    )


def observed_depth(layers: pd.DataFrame, n_sites: int) -> NDArray[np.float64]:
    """Lower bound of the lowest observed layer of every site, (n_sites,), m; 0 where nothing was observed.

    Parameters
    ----------
    layers : pandas.DataFrame
        `site`, `lower_depth` (m).
    """
    observed_to = np.zeros(n_sites)
    np.maximum.at(observed_to, layers["site"].to_numpy(), layers["lower_depth"].to_numpy(float))
    return observed_to


def where_observed(values: NDArray, observed_to: NDArray, least: NDArray = LEAST_OBSERVED_DEPTH) -> NDArray[np.float64]:
    """Values (k, n_sites) with NaN where a site was observed to less than `least` (k,), m."""
    # Depths are sums of decimal fractions: a layer that ends at 0.65 m must not miss 0.65 m by rounding.
    return np.where(observed_to >= np.asarray(least)[:, None] - 1e-9, values, np.nan)


def cell_means(values: NDArray, cell: NDArray, n_cells: int) -> NDArray[np.float64]:
    """Mean over the sites of a cell, (k, n_cells), of values (k, n_sites); NaN sites do not count.

    NaN in cells where no site counts.
    """
    values = np.asarray(values, float)
    counted = np.isfinite(values)
    counts = np.stack([np.bincount(cell, weights=row, minlength=n_cells) for row in counted])
    sums = np.stack([np.bincount(cell, weights=row, minlength=n_cells) for row in np.where(counted, values, 0.0)])
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def finite_soc(x: NDArray, forcing: Forcing, what: str) -> NDArray[np.float64]:
    """SOC (n_layers, n) of parameters x (25, n) or (25,) on the unit cube, g C m-3; `what` names them in an error.

    Raises
    ------
    InputError
        If SOC is not finite somewhere: the model has no steady state on some faces of the cube.
    """
    soc = lanes.soc_density(physical(x, forcing), forcing)
    wrong = ~np.isfinite(soc).all(axis=0)
    if wrong.any():
        column = int(np.argmax(wrong))
        here = np.broadcast_to(np.asarray(x).reshape(len(x), -1), (len(x), wrong.size))[:, column]
        nearest = int(np.argmin(np.minimum(here, 1.0 - here)))
        raise InputError(
            f"{what}: SOC is not finite in {int(wrong.sum())} of {wrong.size} columns, first in {column}, where "
            f"{PAPER_PARAMETERS.names[nearest]} = {here[nearest]:g} is the parameter nearest to a bound of its prior; "
            "expected parameters inside the bounds. Run the notebook that estimates them again."
        )
    return soc


def soc_of_draws(draws: NDArray, forcing: Forcing, area: NDArray, what: str = "an ensemble") -> xr.Dataset:
    """The map of an ensemble of parameter sets, each used in every cell.

    One draw is in memory at a time, and three stocks a cell and draw in float32 for the quantiles.

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


def soc_of_sites(soc: NDArray, observed_to: NDArray, cell: NDArray, area: NDArray) -> xr.Dataset:
    """The map of a method with values at sites only: means over the sites of a cell, as deep as these were observed.

    Parameters
    ----------
    soc : numpy.ndarray
        (n_layers, n_sites) g C m-3.
    observed_to : numpy.ndarray
        (n_sites,) m, from `proda.maps.prediction.observed_depth`.
    cell : numpy.ndarray of int
        (n_sites,)
    """
    observed = (
        where_observed(soc, observed_to, PAPER_COLUMN.node),
        where_observed(stocks(soc, MAP_INTERVALS), observed_to),
        where_observed(stocks(soc, STRATA), observed_to),
    )
    return _without_spread(*(cell_means(values, cell, area.size) for values in observed), area)


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


def soc_of_members(
    x: NDArray, forcing: Forcing, area: NDArray, unseen: NDArray, common: NDArray, block: NDArray, what: str = "hybrid"
) -> xr.Dataset:
    """The map of an ensemble whose members have parameters of their own in every cell: mean, and the mean's error.

    The interval of a cell holds the members' spread and the error measured on withheld blocks of land, on logarithms.
    Errors of the strata of a column go together, as do those of the cells of a block; those of different blocks are
    independent but for the part that all land has in common, so the interval of a total is narrower than the sum of
    those of the cells.

    Parameters
    ----------
    x : numpy.ndarray
        (n_members, n_cells, 25) on the unit cube.
    forcing : Forcing
        Of the cells.
    area : numpy.ndarray
        (n_cells,) land, m2.
    unseen : numpy.ndarray
        (n_strata,) variance of the logarithm of a cell's carbon beyond the members' spread, 0 or more.
    common : numpy.ndarray
        (n_strata,) variance of the relative error that all cells have in common, which their total has in full.
    block : numpy.ndarray of int
        (n_cells,) block of every cell.

    Returns
    -------
    xarray.Dataset
        As `proda.maps.prediction.soc_of_draws`; the 50 % quantile is the mean, about which the interval is made.
    """
    members = np.stack([finite_soc(member.T, forcing, f"{what}, member {k}") for k, member in enumerate(x)])
    mean = members.mean(axis=0)
    by_member = np.stack([stocks(soc, STRATA) for soc in members])
    of_members = np.log(np.maximum(by_member, 1e-12)).var(axis=0, ddof=1) if len(x) > 1 else 0.0
    log_sd = np.sqrt(of_members + np.asarray(unseen, float)[:, None])
    in_strata, in_intervals = stocks(mean, STRATA), stocks(mean, MAP_INTERVALS)
    within = np.array([[upper <= top and bottom <= lower for top, bottom in STRATA] for upper, lower in MAP_INTERVALS])
    relative = within @ (in_strata * log_sd) / np.maximum(within @ in_strata, 1e-12)
    spread = np.exp(WIDTH_90 * relative)
    stock = np.stack([in_intervals, in_intervals / spread, in_intervals, in_intervals * spread])
    common = np.asarray(common, float)
    of_blocks = np.sqrt(np.maximum(log_sd**2 - common[:, None], 0.0))
    total = petagrams(in_strata, area)
    error = np.hypot(_total_error(in_strata * of_blocks * area / 1e12, block), np.sqrt(common) * total)
    totals = np.stack([total, np.maximum(total - WIDTH_90 * error, 0.0), total, total + WIDTH_90 * error])
    return map_dataset(mean, stock, totals, np.ones((len(STRATA), area.size), bool))


def _total_error(error: NDArray, block: NDArray) -> NDArray[np.float64]:
    """Standard deviation of totals, (n_strata,), of errors (n_strata, n_cells) that add up within blocks only."""
    by_block = np.stack([np.bincount(block, row) for row in error])
    return np.sqrt((by_block**2).sum(axis=1))


def maps_by_method(inputs: Inputs, n_draws: int, seed: int) -> xr.Dataset:
    """SOC maps of every method, and of the truth in a virtual study.

    Site-by-site assimilation has values only in cells that hold used sites, the mean of those sites, and only as deep
    as these were observed.

    Parameters
    ----------
    n_draws : int
        Draws of the one-batch posterior and of random sampling.

    Returns
    -------
    xarray.Dataset
        The maps of the methods along `parameterisation` (xarray's `sel` has an argument `method` of its own), and
        `extrapolated` (parameterisation, cell): the number of covariates outside the range of the training sites; NaN
        for methods without covariates.

    Raises
    ------
    InputError
        If a method's SOC is not finite in some cell.
    """
    forcing, area = inputs.forcing, land_area(inputs.grid)
    sand = inputs.grid["sand_percent"].values
    own = inputs.used & np.isfinite(inputs.soc_mean).all(axis=0)
    cell, observed_to = inputs.sites["cell"].to_numpy(), observed_depth(inputs.layers, len(inputs.sites))
    modes = inputs.x_mode[inputs.used]
    block = block_of_place(inputs.grid["lon"], inputs.grid["lat"], inputs.block_km)
    by_method = {
        "default": soc_of_one(lanes.soc_density(default_parameters(forcing, sand), forcing), area),
        "one-batch": soc_of_draws(one_batch_draws(inputs.one_batch, n_draws, seed), forcing, area, "one-batch"),
        "random-sampling": soc_of_draws(
            random_sampling_draws(modes, n_draws, seed + 1), forcing, area, "random-sampling"
        ),
        "site-by-site": soc_of_sites(inputs.soc_mean[:, own], observed_to[own], cell[own], area),
        "network": soc_of_one(finite_soc(inputs.network_cells.T, forcing, "network, cells"), area),
        "hybrid": soc_of_members(inputs.hybrid_cells, forcing, area, inputs.hybrid_unseen, inputs.hybrid_common, block),
    }
    if inputs.truth is not None:
        by_method["truth"] = soc_of_one(inputs.truth["soc_cell"].transpose("layer", "cell").values, area)
    maps = xr.concat(list(by_method.values()), dim="parameterisation", coords="minimal", compat="override")
    beyond = {"network": inputs.network_notes[BEYOND].to_numpy(float), "hybrid": inputs.hybrid_extrapolated}
    none = np.full(area.size, np.nan)
    maps[BEYOND] = ("parameterisation", "cell"), np.stack([beyond.get(name, none) for name in by_method])
    return maps.assign_coords(parameterisation=list(by_method)).assign_attrs(draws=n_draws)


def soc_at_sites(inputs: Inputs, maps: xr.Dataset) -> dict[str, NDArray]:
    """SOC profiles at the sites, method -> (n_layers, n_sites), g C m-3.

    Sites of one cell share its forcing, so a method with the same parameters everywhere gives each its cell's profile.
    `AT_MEAN` is SOC computed once with each site's posterior-mean parameters, the network's targets: not the mean SOC.
    """
    cell = inputs.sites["cell"].to_numpy()
    forcing = inputs.forcing.take(cell)
    by_cell = maps["soc"].transpose("parameterisation", "layer", "cell").isel(cell=cell)
    profiles = {name: by_cell.sel(parameterisation=name).values for name in ("default", "one-batch", "random-sampling")}
    known = np.isfinite(inputs.x_mean).all(axis=1)
    at_mean = np.full_like(inputs.soc_mean, np.nan)
    at_mean[:, known] = lanes.soc_density(physical(inputs.x_mean[known].T, forcing.take(known)), forcing.take(known))
    profiles["site-by-site"] = inputs.soc_mean
    profiles[AT_MEAN] = at_mean
    profiles["network"] = finite_soc(inputs.network_sites.T, forcing, "network, sites")
    members = [finite_soc(member.T, forcing, "hybrid, sites") for member in inputs.hybrid_sites]
    profiles["hybrid"] = np.mean(members, axis=0)
    return profiles


def at_observed_depths(profiles: dict[str, NDArray], layers) -> dict[str, NDArray]:
    """Profiles (n_layers, n_sites) at the observed depths, method -> (n_observed,), g C m-3; NaN without a profile.

    Parameters
    ----------
    layers : pandas.DataFrame
        `site` and `depth` (m) of the observed layers.
    """
    site, depth = layers["site"].to_numpy(), layers["depth"].to_numpy(float)
    at_layers = {}
    for method, soc in profiles.items():
        known = np.isfinite(soc).all(axis=0)[site]
        at_layers[method] = np.full(site.size, np.nan)
        at_layers[method][known] = at_depths(np.ascontiguousarray(soc), site[known], depth[known])
    return at_layers


def extrapolated_cells(maps: xr.Dataset) -> dict[str, NDArray[np.float64]]:
    """Number of covariates outside the range of the training sites, (n_cells,), of every method with covariates.

    Parameters
    ----------
    maps : xarray.Dataset
        From `proda.maps.prediction.maps_by_method`.
    """
    counts = {str(name): maps[BEYOND].sel(parameterisation=name).values for name in maps["parameterisation"].values}
    return {name: count for name, count in counts.items() if np.isfinite(count).any()}


def extrapolated_shares(maps: xr.Dataset, grid: xr.Dataset, depth: str = "0-100 cm") -> pd.DataFrame:
    """Cells, land and carbon where at least one covariate is outside the range of the training sites.

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
