"""SOC maps by method: the results of the stages before, and SOC at every cell and site with its uncertainty.

A method with draws is mapped by the mean of SOC over the draws, never by the SOC of the mean parameters. The interval
of a continental total is that of the draws' totals: the errors of cells go together, so quantiles do not add up.
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
from proda.data.files import known_truth, read_layers, read_profiles, read_site_status
from proda.data.forcing import read_forcing
from proda.data.grid import read_grid
from proda.errors import InputError
from proda.kernels.steady_state import block_places, soc_density, to_blocks
from proda.learning.cross_validation import WIDTH_90
from proda.learning.scores import block_of_place
from proda.learning.stage import read_predicted
from proda.maps.netcdf import BEYOND
from proda.maps.stocks import MAP_INTERVALS, QUANTILES, STATISTICS, land_area, petagrams, soil_layers, stocks
from proda.model.configuration import STRATA, Configuration, column_of, configuration_of, interval_name
from proda.model.forcing import AnyForcing
from proda.model.observation import LAYER_MEAN, layer_bounds, layer_means
from proda.model.parameters import INNER, cwd_share, default_parameters, physical, table_of
from proda.study import Study
from proda.workers import in_parallel

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
    forcing: AnyForcing  # of every cell
    forcing_origin: str  # where it comes from
    one_batch: NDArray  # (n_draws, n_parameters) pooled posterior draws
    x_mode: NDArray  # (n_sites, n_parameters) modes of the sites' posteriors (GEV)
    x_mean: NDArray  # (n_sites, n_parameters) means of the sites' posteriors
    x_sd: NDArray  # (n_sites, n_parameters) standard deviations of the sites' posteriors
    soc_mean: NDArray  # (n_layers, n_sites) mean SOC over the draws of each site's posterior
    used: NDArray  # (n_sites,) bool, sites of non-negative model efficiency
    network_sites: NDArray  # (n_sites, n_parameters) predicted by the network
    network_cells: NDArray  # (n_cells, n_parameters)
    network_extrapolated: NDArray  # (n_cells,) number of covariates outside the range of the training sites
    skill: pd.DataFrame  # network_skill.csv
    hybrid: xr.Dataset  # hybrid_parameters.nc
    split: NDArray  # (n_sites,) the network's "train", "validation", "test"; "unused" elsewhere
    truth: xr.Dataset | None  # `soc_site`, `soc_cell` (layer, ...) of a study with known truth

    @property
    def configuration(self) -> Configuration:
        """That of the study's model."""
        return configuration_of(self.forcing)


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
    at_sites, at_cells, skill, hybrid = read_predicted(study.out)
    names = one_batch["parameter"].values.tolist()
    return Inputs(
        sites=sites,
        layers=read_layers(study.path("layers.parquet")),
        grid=grid,
        forcing=read_forcing(study.path("forcing.nc")),
        forcing_origin=xr.load_dataset(study.path("forcing.nc")).attrs["comment"].split(":")[0].rstrip("."),
        one_batch=one_batch.values.reshape(-1, one_batch.sizes["parameter"]),
        x_mode=posterior["x_mode"].transpose("site", "parameter").values.astype(float),
        x_mean=posterior["x_mean"].transpose("site", "parameter").values.astype(float),
        x_sd=posterior["x_sd"].transpose("site", "parameter").values.astype(float),
        soc_mean=posterior["soc_mean"].transpose("layer", "site").values.astype(float),
        used=status["used_downstream"].to_numpy(bool),
        network_sites=at_sites[names].to_numpy(float),
        network_cells=at_cells[names].to_numpy(float),
        network_extrapolated=at_cells[BEYOND].to_numpy(),
        skill=skill,
        hybrid=hybrid,
        split=at_sites["split"].fillna("unused").to_numpy(str),
        truth=known_truth(study),
    )


def maps_by_method(inputs: Inputs, n_draws: int, seed: int) -> xr.Dataset:
    """SOC maps (`map_dataset`) of every method, and of the truth in a virtual study, along `parameterisation`.

    Site-by-site assimilation has values only in cells that hold used sites, the mean of those sites, and only as deep
    as these were observed. `extrapolated` (parameterisation, cell) is the number of covariates outside the range of the
    training sites, NaN for methods without covariates. One-batch and random sampling take `n_draws` parameter sets.
    Raises `InputError` if a method's SOC is not finite in some cell.
    """
    forcing, area, hybrid = inputs.forcing, land_area(inputs.grid), inputs.hybrid
    sand, configuration, soil = inputs.grid["sand_percent"].values, inputs.configuration, soil_layers(forcing)
    own = inputs.used & np.isfinite(inputs.soc_mean).all(axis=0)
    cell, deepest = inputs.sites["cell"].to_numpy(), inputs.layers.groupby("site")["lower_depth"].max()
    observed_to = deepest.reindex(range(len(cell)), fill_value=0.0).to_numpy(float)
    sampled = random_sampling_draws(inputs.x_mode[inputs.used], n_draws, seed + 1)
    block = block_of_place(inputs.grid["lon"], inputs.grid["lat"], float(hybrid.attrs["block_km"]))
    members = hybrid["x_cell"].transpose("member", "cell", "parameter").values.astype(float)
    variances = (hybrid[f"{name}_log_variance"].values for name in ("unseen", "common"))
    default = soc_density(default_parameters(forcing, sand, configuration.parameters), forcing, configuration)
    by_method = {
        "default": soc_of_one(default, area, soil),
        "one-batch": soc_of_draws(one_batch_draws(inputs.one_batch, n_draws, seed), forcing, area, "one-batch"),
        "random-sampling": soc_of_draws(sampled, forcing, area, "random-sampling"),
        "site-by-site": soc_of_sites(inputs.soc_mean[:, own], observed_to[own], cell[own], area, soil),
        "network": soc_of_one(finite_soc(inputs.network_cells.T, forcing, "network, cells"), area, soil),
        "hybrid": soc_of_members(members, forcing, area, *variances, block),
    }
    if inputs.truth is not None:
        by_method["truth"] = soc_of_one(inputs.truth["soc_cell"].transpose("layer", "cell").values, area, soil)
    maps = xr.concat(list(by_method.values()), dim="parameterisation", coords="minimal", compat="override")
    beyond = {"network": inputs.network_extrapolated, "hybrid": hybrid["extrapolated_cell"].values}
    beyond = [np.broadcast_to(beyond.get(name, np.nan), area.shape) for name in by_method]
    maps[BEYOND] = ("parameterisation", "cell"), np.array(beyond, float)
    return maps.assign_coords(parameterisation=list(by_method))


def one_batch_draws(posterior: NDArray, n_draws: int, seed: int) -> NDArray[np.float64]:
    """Draws of the pooled one-batch posterior (n_kept, d), (n_draws, d); each at most once if there are enough."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(posterior), size=n_draws, replace=len(posterior) < n_draws)
    return np.asarray(posterior, float)[chosen]


def random_sampling_draws(modes: NDArray, n_draws: int, seed: int) -> NDArray[np.float64]:
    """Draws from the distribution of all sites' modes (n_sites, d), each parameter on its own, (n_draws, d).

    As in the paper, each parameter keeps the distribution of its modes and loses its place and its relation to the
    others. A draw without a positive share for coarse woody debris is drawn anew. Sites with a missing mode are left
    out; a mode on a bound of the prior, where SOC may be undefined, counts as `INNER` from it.
    """
    modes = np.asarray(modes, float)
    modes = np.clip(modes[np.isfinite(modes).all(axis=1)], INNER, 1.0 - INNER)
    if len(modes) == 0:
        raise InputError("no site has posterior modes (x_mode in sites.zarr): random sampling has nothing to draw from")
    rng = np.random.default_rng(seed)
    columns = np.arange(modes.shape[1])
    table = table_of(modes.shape[1])
    low, high = table.minimum[:, None], table.maximum[:, None]
    draws = np.empty((n_draws, modes.shape[1]))
    invalid = np.ones(n_draws, bool)
    for _ in range(1000):
        draws[invalid] = modes[rng.integers(len(modes), size=(int(invalid.sum()), modes.shape[1])), columns]
        if not table.has_shares:
            return draws
        invalid = cwd_share(low + draws.T * (high - low)) <= 0
        if not invalid.any():
            return draws
    raise InputError(
        f"{int(invalid.sum())} of {n_draws} random-sampling draws have no positive coarse-woody-debris share after "
        "1000 tries: p4ll, p4ml and p4cl of x_mode in sites.zarr are too large"
    )


def finite_soc(x: NDArray, forcing: AnyForcing, what: str, places: NDArray | None = None) -> NDArray[np.float64]:
    """SOC (n_layers, n), g C m-3, of parameters x (d, n) or (d,) on the unit cube; `what` names them in an error.

    `places` are those of `soc_density`. The model has no steady state on some faces of the cube.
    """
    configuration = configuration_of(forcing)
    soc = soc_density(physical(x, forcing, configuration.parameters), forcing, configuration, places)
    wrong = ~np.isfinite(soc).all(axis=0)
    if wrong.any():
        first = int(np.argmax(wrong))
        here = np.reshape(x, (len(x), -1))[:, first if np.ndim(x) > 1 else 0]
        nearest = int(np.argmin(np.minimum(here, 1.0 - here)))
        raise InputError(
            f"{what}: SOC is not finite in {int(wrong.sum())} of {wrong.size} columns, first in {first}, where "
            f"{configuration.parameters.names[nearest]} = {here[nearest]:g}: run the notebook that estimates it again"
        )
    return soc


def soc_of_draws(draws: NDArray, forcing: AnyForcing, area: NDArray, what: str = "an ensemble") -> xr.Dataset:
    """The map of parameter sets (n_draws, d) on the unit cube, each used in every cell, one at a time.

    `area` (n_cells,) is the land in the cells, m2; `what` names the method in an error.
    """
    soil = soil_layers(forcing)
    mean = np.zeros(soil.shape)
    stock = np.empty((len(draws), len(MAP_INTERVALS), area.size), dtype=np.float32)
    totals = np.empty((len(draws), len(STRATA)))
    places = to_blocks(block_places(forcing, configuration_of(forcing)))
    with in_parallel(_soc_of_draw, enumerate(draws), forcing, what, places) as socs:
        for k, soc in enumerate(socs):
            mean += soc / len(draws)
            stock[k] = stocks(soc, MAP_INTERVALS, soil)
            totals[k] = petagrams(stocks(soc, STRATA, soil), area)
    return map_dataset(
        mean,
        np.stack([stocks(mean, MAP_INTERVALS, soil), *np.quantile(stock, QUANTILES, axis=0)]),
        np.stack([totals.mean(axis=0), *np.quantile(totals, QUANTILES, axis=0)]),
        soil=soil,
    )


def _soc_of_draw(numbered: tuple[int, NDArray], forcing: AnyForcing, what: str, places: NDArray) -> NDArray[np.float64]:
    k, draw = numbered
    return finite_soc(draw, forcing, f"{what}, draw {k}", places)


def soc_of_one(soc: NDArray, area: NDArray, soil: NDArray | bool = True) -> xr.Dataset:
    """The map of a method with one value in every cell, (n_layers, n_cells) g C m-3: no quantiles."""
    of_map, of_total = (stocks(soc, intervals, soil) for intervals in (MAP_INTERVALS, STRATA))
    return map_dataset(soc, of_map[None], petagrams(of_total, area)[None], soil=soil)


def soc_of_sites(
    soc: NDArray, observed_to: NDArray, cell: NDArray, area: NDArray, soil: NDArray | bool = True
) -> xr.Dataset:
    """The map of SOC at sites, (n_layers, n_sites) g C m-3: the mean of a cell's sites, to the observed depth, m."""
    at_sites = soil if soil is True else soil[:, cell]
    by_layer, stock, in_strata = (
        cell_means(where_observed(values, observed_to, least), cell, area.size)
        for values, least in (
            (soc, column_of(len(soc)).node),
            (stocks(soc, MAP_INTERVALS, at_sites), LEAST_OBSERVED_DEPTH),
            (stocks(soc, STRATA, at_sites), LEAST_OBSERVED_DEPTH),
        )
    )
    return map_dataset(by_layer, stock[None], petagrams(in_strata, area)[None], np.isfinite(in_strata), soil)


def where_observed(values: NDArray, observed_to: NDArray, least: NDArray) -> NDArray[np.float64]:
    """Values (k, n_sites) with NaN where a site was observed to less than `least` (k,), m."""
    # Depths are sums of decimal fractions: a layer that ends at 0.65 m must not miss 0.65 m by rounding.
    return np.where(observed_to >= np.asarray(least)[:, None] - 1e-9, values, np.nan)


def cell_means(values: NDArray, cell: NDArray, n_cells: int) -> NDArray[np.float64]:
    """Mean over the sites of a cell that have a value, (k, n_cells), of values (k, n_sites); NaN where none has."""
    counted = np.isfinite(values)
    sums, counts = (
        np.stack([np.bincount(cell, weights=row, minlength=n_cells) for row in rows])
        for rows in (np.where(counted, values, 0.0), counted)
    )
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def map_dataset(
    soc: NDArray, stock: NDArray, total: NDArray, covered: NDArray | None = None, soil: NDArray | bool = True
) -> xr.Dataset:
    """The map of one method.

    `soc` (layer, cell) g C m-3; `stock` (statistic, depth, cell) kg C m-2 and `total` (statistic, stratum) Pg C, the
    mean alone or all of `STATISTICS`; `covered` (stratum, cell), whether it has a value there (everywhere if not
    given); `soil` (layer, cell), whether a layer lies above bedrock.
    """
    if len(stock) == 1:
        missing = len(STATISTICS) - 1
        stock, total = (np.concatenate([a, np.full((missing, *a.shape[1:]), np.nan)]) for a in (stock, total))
    covered = np.ones((len(STRATA), soc.shape[1]), bool) if covered is None else covered
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
            "soil": (("layer", "cell"), np.broadcast_to(soil, soc.shape)),
        },
    )


def soc_of_members(
    x: NDArray, forcing: AnyForcing, area: NDArray, unseen: NDArray, common: NDArray, block: NDArray
) -> xr.Dataset:
    """The map of an ensemble whose members have parameters x (n_members, n_cells, d): mean, and the mean's error.

    The interval of a cell holds the members' spread and `unseen` (n_strata,), the variance of the logarithm of carbon
    on withheld blocks of land beyond it. Errors of the strata of a column go together, as do those of the cells of a
    `block`; those of different blocks are independent but for `common` (n_strata,), the variance of the relative error
    of all land. The 50 % quantile is the mean, about which the interval is made.
    """
    members = np.stack([finite_soc(member.T, forcing, f"hybrid, member {k}") for k, member in enumerate(x)])
    mean, soil = members.mean(axis=0), soil_layers(forcing)
    by_member = np.stack([stocks(soc, STRATA, soil) for soc in members])
    of_members = np.log(np.maximum(by_member, 1e-12)).var(axis=0, ddof=1) if len(x) > 1 else 0.0
    log_sd = np.sqrt(of_members + np.asarray(unseen, float)[:, None])
    in_strata, in_intervals = (stocks(mean, intervals, soil) for intervals in (STRATA, MAP_INTERVALS))
    within = np.array([[upper <= top and bottom <= lower for top, bottom in STRATA] for upper, lower in MAP_INTERVALS])
    relative = within @ (in_strata * log_sd) / np.maximum(within @ in_strata, 1e-12)
    spread = np.exp(WIDTH_90 * relative)
    stock = np.stack([in_intervals, in_intervals / spread, in_intervals, in_intervals * spread])
    common = np.asarray(common, float)
    of_blocks = np.sqrt(np.maximum(log_sd**2 - common[:, None], 0.0))
    by_block = np.stack([np.bincount(block, row) for row in in_strata * of_blocks * area / 1e12])
    total = petagrams(in_strata, area)
    error = np.hypot(np.sqrt((by_block**2).sum(axis=1)), np.sqrt(common) * total)
    totals = np.stack([total, np.maximum(total - WIDTH_90 * error, 0.0), total, total + WIDTH_90 * error])
    return map_dataset(mean, stock, totals, soil=soil)


def soc_at_sites(inputs: Inputs, maps: xr.Dataset) -> dict[str, NDArray]:
    """SOC profiles at the sites, method -> (n_layers, n_sites), g C m-3.

    `AT_MEAN` is SOC computed once with each site's posterior-mean parameters, the network's targets: not the mean SOC.
    """
    cell = inputs.sites["cell"].to_numpy()
    forcing = inputs.forcing.take(cell)
    by_cell = maps["soc"].transpose("parameterisation", "layer", "cell").isel(cell=cell)
    profiles = {name: by_cell.sel(parameterisation=name).values for name in ("default", "one-batch", "random-sampling")}
    known = np.isfinite(inputs.x_mean).all(axis=1)
    at_mean = np.full_like(inputs.soc_mean, np.nan)
    there, configuration = forcing.take(known), inputs.configuration
    theta = physical(inputs.x_mean[known].T, there, configuration.parameters)
    at_mean[:, known] = soc_density(theta, there, configuration)
    profiles |= {"site-by-site": inputs.soc_mean, AT_MEAN: at_mean}
    profiles["network"] = finite_soc(inputs.network_sites.T, forcing, "network, sites")
    x = inputs.hybrid["x_site"].transpose("member", "site", "parameter").values.astype(float)
    members = [finite_soc(member.T, forcing, "hybrid, sites") for member in x]
    return profiles | {"hybrid": np.mean(members, axis=0)}


def at_observed_layers(
    profiles: dict[str, NDArray], layers: pd.DataFrame, operator: str = LAYER_MEAN
) -> dict[str, NDArray]:
    """Profiles (n_layers, n_sites) at the observed layers, method -> (n_observed,), g C m-3; NaN without a profile.

    `operator` is the setting `observation_operator`.
    """
    site, (upper, lower) = layers["site"].to_numpy(), layer_bounds(layers, operator)
    at_layers = {}
    for method, soc in profiles.items():
        known = np.isfinite(soc).all(axis=0)[site]
        at_layers[method] = np.full(site.size, np.nan)
        at_layers[method][known] = layer_means(soc, site[known], upper[known], lower[known], column_of(len(soc)))
    return at_layers


def extrapolated_shares(maps: xr.Dataset, grid: xr.Dataset) -> pd.DataFrame:
    """Shares of cells, land and carbon to 1 m where a covariate is outside the range of the training sites, by method.

    `most` is the largest number of such covariates.
    """
    count = maps[BEYOND].dropna("parameterisation", how="all")
    land = xr.DataArray(land_area(grid), dims="cell")
    carbon = land * maps["stock"].sel(statistic="mean").isel(depth=MAP_INTERVALS.index((0.0, 1.0)))
    weights = {"cells": xr.ones_like(land), "land": land, "carbon": carbon}
    shares = {name: weight.where(count > 0).sum("cell") / weight.sum("cell") for name, weight in weights.items()}
    table = xr.Dataset(shares).sel(parameterisation=count["parameterisation"]).drop_vars(["statistic", "interval"])
    return table.assign(most=count.max("cell").astype(int)).to_dataframe().rename_axis("method")
