"""What the maps are made from: the files of the stages before, read, and checked to speak of the same sites."""

from __future__ import annotations

from typing import NamedTuple

import geopandas
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from proda.assimilation.posterior import read_posterior
from proda.assimilation.site_dataset import opened_sites
from proda.data.forcing import read_forcing
from proda.data.grid import read_grid
from proda.data.outcome_tables import read_site_status
from proda.data.profiles import read_layers, read_profiles
from proda.data.truth import known_truth
from proda.errors import InputError
from proda.learning.hybrid_training import PARAMETERS_FILE, read_hybrid_parameters
from proda.maps.draws import shares_of
from proda.model.forcing import Forcing
from proda.model.parameters import PAPER_PARAMETERS
from proda.study import Study


class Inputs(NamedTuple):
    """Everything the maps of a study need.

    Attributes
    ----------
    sites : geopandas.GeoDataFrame
        A row a site, with `cell` and `land_cover`.
    layers : pandas.DataFrame
        Observed layers: `site`, `depth` (m), `upper_depth`, `lower_depth` (m), `soc` (g C m-3).
    grid : xarray.Dataset
        Land cells.
    forcing : Forcing
        Of every cell.
    one_batch : numpy.ndarray
        (n_draws, 25) pooled posterior draws of the one-batch assimilation, unit cube.
    x_mode, x_mean : numpy.ndarray
        (n_sites, 25) per-site GEV modes and posterior means, unit cube.
    soc_mean : numpy.ndarray
        (10, n_sites) mean over the draws of each site's own posterior, g C m-3.
    used : numpy.ndarray of bool
        (n_sites,) sites of non-negative 1:1 efficiency.
    network_sites, network_cells : numpy.ndarray
        (n, 25) parameters the network predicts, unit cube.
    network_extrapolated : numpy.ndarray
        (n_cells,) covariates outside the range of the network's training sites.
    hybrid_sites, hybrid_cells : numpy.ndarray
        (n_members, n, 25) parameters of the hybrid's members, unit cube.
    hybrid_extrapolated : numpy.ndarray of int
        (n_cells,) covariates that no training site of the hybrid has had.
    hybrid_unseen, hybrid_common : numpy.ndarray
        (n_strata,) variance of the logarithm of a cell's carbon that the members do not show, on withheld blocks, and
        of the relative error that all land has in common.
    block_km : float
        Side of these blocks, within which errors of the hybrid's map go together.
    split : numpy.ndarray of str
        (n_sites,) the network's "train", "validation", "test"; "unused" elsewhere.
    truth : xarray.Dataset or None
        `soc_site` and `soc_cell` (layer, ...) g C m-3 of a study with known truth.
    """

    sites: geopandas.GeoDataFrame
    layers: pd.DataFrame
    grid: xr.Dataset
    forcing: Forcing
    one_batch: NDArray
    x_mode: NDArray
    x_mean: NDArray
    soc_mean: NDArray
    used: NDArray
    network_sites: NDArray
    network_cells: NDArray
    network_extrapolated: NDArray
    hybrid_sites: NDArray
    hybrid_cells: NDArray
    hybrid_extrapolated: NDArray
    hybrid_unseen: NDArray
    hybrid_common: NDArray
    block_km: float
    split: NDArray
    truth: xr.Dataset | None


def read_inputs(study: Study) -> Inputs:
    """The inputs of the maps from the study's folder.

    Raises
    ------
    MissingOutput
        If a stage before has not been run or is out of date.
    InputError
        If two files disagree about the sites or a parameter is missing.
    """
    study.require(
        "01-data-cleaning", "03-one-batch-assimilation", "04-site-by-site-assimilation", "05-network-training"
    )
    sites = read_profiles(study.path("profiles.parquet"))
    grid = read_grid(study.path("grid.nc"))
    one_batch = read_posterior(study.path("one_batch.nc"))["x"].transpose("chain", "draw", "parameter")
    posterior = opened_sites(study.path("sites.zarr"))
    ids = sites["profile_id"].to_numpy(object)
    _same_sites(ids, posterior["profile_id"].values, "sites.zarr")
    status = read_site_status(study.path("site_status.csv")).sort_values("site")
    _same_sites(ids, status["profile_id"], "site_status.csv")
    network = pd.read_parquet(study.path("network_parameters.parquet"))
    at_sites = network[network["place"] == "site"].sort_values("site")
    _same_sites(ids, at_sites["profile_id"], "network_parameters.parquet")
    at_cells = network[network["place"] == "cell"].sort_values("cell")
    if len(at_cells) != grid.sizes["cell"]:
        raise InputError(
            f"{study.path('network_parameters.parquet')}: {len(at_cells)} cells, expected the {grid.sizes['cell']} of "
            "grid.nc: run notebook 05 again"
        )
    names = list(PAPER_PARAMETERS.names)
    if not (network[names].to_numpy() >= 0).all() or (shares_of(network[names]) <= 0).any():
        raise InputError(
            f"{study.path('network_parameters.parquet')}: a place has a parameter missing or below 0, or leaves no "
            "share of the input for coarse woody debris: run notebook 05 again"
        )
    hybrid = read_hybrid_parameters(study.path(PARAMETERS_FILE))
    for place, n in (("site", len(ids)), ("cell", grid.sizes["cell"])):
        if hybrid.sizes[place] != n:
            raise InputError(
                f"{study.path(PARAMETERS_FILE)}: {hybrid.sizes[place]} {place}s, expected {n}: run notebook 05 again"
            )
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
        network_extrapolated=at_cells["extrapolated"].to_numpy(float),
        hybrid_sites=hybrid["x_site"].transpose("member", "site", "parameter").values.astype(float),
        hybrid_cells=hybrid["x_cell"].transpose("member", "cell", "parameter").values.astype(float),
        hybrid_extrapolated=hybrid["extrapolated_cell"].values,
        hybrid_unseen=hybrid["unseen_log_variance"].values.astype(float),
        hybrid_common=hybrid["common_log_variance"].values.astype(float),
        block_km=float(hybrid.attrs["block_km"]),
        split=at_sites["split"].fillna("unused").to_numpy(str),
        truth=known_truth(study),
    )


def _same_sites(expected: NDArray, found, file: str) -> None:
    found = np.array([str(name) for name in found], dtype=object)
    if found.size != expected.size:
        raise InputError(f"{file} has {found.size} sites, profiles.parquet {expected.size}: run its notebook again")
    if (found != expected).any():
        first = int(np.argmax(found != expected))
        raise InputError(
            f"{file}: site {first} is {found[first]!r}, in profiles.parquet {expected[first]!r}: run its notebook again"
        )
