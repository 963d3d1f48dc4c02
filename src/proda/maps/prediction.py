"""From parameters to soil organic carbon at sites and cells, by method."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from proda.learning.folds import block_of_place
from proda.maps.cf import BEYOND
from proda.maps.draws import one_batch_draws, random_sampling_draws
from proda.maps.inputs import Inputs
from proda.maps.member_maps import soc_of_members
from proda.maps.method_maps import finite_soc, soc_of_draws, soc_of_one, soc_of_sites
from proda.maps.stocks import land_area
from proda.maps.support import observed_reach
from proda.model import lanes
from proda.model.observation import at_depths
from proda.model.parameters import default_parameters, physical

METHODS = ("default", "one-batch", "random-sampling", "site-by-site", "network", "hybrid")
AT_MEAN = "site-by-site, at mean parameters"


def maps_by_method(inputs: Inputs, n_draws: int, seed: int) -> xr.Dataset:
    """SOC maps of every method (and of the truth, where a study knows it).

    Site-by-site assimilation has values only in cells that hold used sites, the mean of those sites, and only as deep
    as these were observed (`proda.maps.support`).

    Parameters
    ----------
    n_draws : int
        Draws of the one-batch posterior and of random sampling.

    Returns
    -------
    xarray.Dataset
        As in `proda.maps.method_maps`, with a leading dimension `parameterisation` (xarray's `sel` would take `method`
        for its own argument), and `extrapolated` (parameterisation, cell): how many covariates no training site has
        had; NaN for methods that look at no covariates.

    Raises
    ------
    InputError
        If a method's SOC is not finite in some cell.
    """
    forcing, area = inputs.forcing, land_area(inputs.grid)
    sand = inputs.grid["sand_percent"].values
    own = inputs.used & np.isfinite(inputs.soc_mean).all(axis=0)
    cell, reach = inputs.sites["cell"].to_numpy(), observed_reach(inputs.layers, len(inputs.sites))
    modes = inputs.x_mode[inputs.used]
    block = block_of_place(inputs.grid["lon"], inputs.grid["lat"], inputs.block_km)
    found = {
        "default": soc_of_one(lanes.soc_density(default_parameters(forcing, sand), forcing), area),
        "one-batch": soc_of_draws(one_batch_draws(inputs.one_batch, n_draws, seed), forcing, area, "one-batch"),
        "random-sampling": soc_of_draws(
            random_sampling_draws(modes, n_draws, seed + 1), forcing, area, "random-sampling"
        ),
        "site-by-site": soc_of_sites(inputs.soc_mean[:, own], reach[own], cell[own], area),
        "network": soc_of_one(finite_soc(inputs.network_cells.T, forcing, "network, cells"), area),
        "hybrid": soc_of_members(inputs.hybrid_cells, forcing, area, inputs.hybrid_unseen, inputs.hybrid_common, block),
    }
    if inputs.truth is not None:
        found["truth"] = soc_of_one(inputs.truth["soc_cell"].transpose("layer", "cell").values, area)
    maps = xr.concat(list(found.values()), dim="parameterisation", coords="minimal", compat="override")
    beyond = {"network": inputs.network_extrapolated, "hybrid": inputs.hybrid_extrapolated}
    unasked = np.full(area.size, np.nan)
    maps[BEYOND] = ("parameterisation", "cell"), np.stack([beyond.get(name, unasked) for name in found])
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
    found["network"] = finite_soc(inputs.network_sites.T, forcing, "network, sites")
    members = [finite_soc(member.T, forcing, "hybrid, sites") for member in inputs.hybrid_sites]
    found["hybrid"] = np.mean(members, axis=0)
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
