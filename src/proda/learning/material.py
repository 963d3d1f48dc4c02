"""What a study's sites offer to learn from, gathered from its files."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.assimilation.site_dataset import opened_sites
from proda.data.covariates import class_covariates
from proda.data.forcing import read_forcing
from proda.data.grid import read_grid
from proda.data.profiles import read_layers, read_profiles
from proda.learning.inputs import Inputs
from proda.learning.lessons import Land, land_of, told_cells
from proda.learning.observed_layers import ObservedSites, observed_sites
from proda.model.forcing import Forcing
from proda.study import Study

N_DRAWS = 20  # of each site's posterior: enough for the spread of predictions, which pools sites


class Material(NamedTuple):
    """What there is to learn from, of n sites.

    Attributes
    ----------
    frame : DataFrame, (n, n_covariates)
    class_names : tuple of str
    observed : ObservedSites
    forcing : Forcing
        Of the sites.
    sand_percent : (n,), %
    x_mean, x_sd : (n, 25), draws : (n, n_draws, 25)
        Of the posteriors, unit cube.
    used : (n,) bool
        Sites of non-negative 1:1 efficiency, the paper's filter.
    land : Land
        Cells (`proda.learning.lessons.told_cells`), where there is nothing but covariates and forcing.
    """

    frame: pd.DataFrame
    class_names: tuple[str, ...]
    observed: ObservedSites
    forcing: Forcing
    sand_percent: NDArray[np.float64]
    x_mean: NDArray[np.float64]
    x_sd: NDArray[np.float64]
    draws: NDArray[np.float32]
    used: NDArray[np.bool_]
    land: Land


def learning_material(study: Study, inputs: Inputs) -> tuple[Material, NDArray[np.int64]]:
    """Material of the sites that have a posterior, and which sites of the study these are, ascending.

    Parameters
    ----------
    inputs : Inputs
        From `proda.learning.inputs.network_inputs`, which has found the files to agree.
    """
    known = np.flatnonzero(np.isfinite(inputs.x_mean).all(axis=1) & np.isfinite(inputs.x_sd).all(axis=1))
    profiles = read_profiles(study.path("profiles.parquet"))
    layers = read_layers(study.path("layers.parquet"))
    cell = profiles["cell"].to_numpy()[known]
    of_cells = read_forcing(study.path("forcing.nc"))
    forcing = of_cells.take(cell)
    row = np.full(len(profiles), -1)
    row[known] = np.arange(known.size)
    layers = layers[row[layers["site"].to_numpy()] >= 0]
    layers = layers.assign(site=row[layers["site"].to_numpy()])
    with opened_sites(study.path("sites.zarr")) as sites:
        x = sites["x"].transpose("site", "chain", "draw", "parameter")
        step = max(1, x.sizes["draw"] * x.sizes["chain"] // N_DRAWS)
        draws = x.isel(site=known, draw=slice(None, None, step)).to_numpy()
    grid, observed = read_grid(study.path("grid.nc")), observed_sites(layers, known.size, forcing)
    told = told_cells(len(inputs.cell_covariates), known.size)
    material = Material(
        frame=inputs.site_covariates.iloc[known].reset_index(drop=True),
        class_names=class_covariates(study.path("covariates.parquet")),
        observed=observed,
        forcing=forcing,
        sand_percent=grid["sand_percent"].to_numpy()[cell],
        x_mean=inputs.x_mean[known],
        x_sd=inputs.x_sd[known],
        draws=draws.reshape(known.size, -1, draws.shape[-1]),
        used=inputs.used[known],
        land=land_of(inputs.cell_covariates.iloc[told], of_cells.take(told), observed.soc.shape[1]),
    )
    return material, known
