"""The virtual study: a made continent on the real outline of the conterminous United States, with a known truth."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from proda.data.grid import land_cells
from proda.data.outlines import land
from proda.data.virtual_faults import n_spoiled, with_faults
from proda.data.virtual_fields import virtual_covariates, virtual_forcing
from proda.data.virtual_profiles import RELATIVE_SD, Pits, pits
from proda.data.virtual_truth import true_parameters
from proda.model.column import PAPER_COLUMN
from proda.model.forcing import Forcing
from proda.model.parameters import PAPER_PARAMETERS, physical
from proda.model.steady_state import soc_density, steady_state


class VirtualContinent(NamedTuple):
    """Land cells with their covariates and forcing.

    Attributes
    ----------
    cells : DataFrame
        The columns of `grid.nc`.
    covariates : DataFrame
        The 60 of the paper, at the cells' centres.
    forcing : Forcing
        Of the cells.
    """

    cells: pd.DataFrame
    covariates: pd.DataFrame
    forcing: Forcing


def virtual_continent(seed: int) -> VirtualContinent:
    """The made continent of a seed: about 3,370 half-degree land cells."""
    cells = land_cells(land())
    covariates = virtual_covariates(cells["lon"], cells["lat"], seed)
    cells = cells.assign(land_cover=covariates["IGBP"].astype(int), sand_percent=covariates["Sand_Content_0cm"])
    return VirtualContinent(cells, covariates, virtual_forcing(covariates))


def write_raw_profiles(
    continent: VirtualContinent, n_profiles: int, seed: int, folder: Path, relative_sd: float = RELATIVE_SD
) -> Pits:
    """Dig the pits, plant the faults, write profiles.csv, layers.csv and planted_faults.csv into `folder`.

    Parameters
    ----------
    n_profiles : int
        Profiles that are sound, or nearly so; those spoiled beyond use come on top.
    seed : int
        Of the study: the files are the same whenever they are made again.

    Returns
    -------
    Pits
        All pits before faults were planted, with their true parameters.
    """
    dug = pits(n_profiles + n_spoiled(n_profiles), continent.cells, continent.forcing, seed, relative_sd)
    profiles, layers, planted = with_faults(dug.profiles, dug.layers, n_profiles, seed)
    folder.mkdir(parents=True, exist_ok=True)
    profiles.to_csv(folder / "profiles.csv", index=False)
    layers.to_csv(folder / "layers.csv", index=False, float_format="%.7g")
    planted.to_csv(folder / "planted_faults.csv", index=False)
    return dug


def truth_dataset(continent: VirtualContinent, dug: Pits, profiles: pd.DataFrame) -> xr.Dataset:
    """The truth at the cleaned sites and at the land cells, as `truth.nc` holds it.

    At a site it includes the site's noise; at a cell it is what the covariates alone give.

    Parameters
    ----------
    profiles : DataFrame
        Cleaned, `profile_id` in the order of the sites.
    """
    row = pd.Series(np.arange(len(dug.profiles)), dug.profiles["profile_id"]).loc[profiles["profile_id"]].to_numpy()
    x_cell = true_parameters(continent.covariates)
    soc_cell = soc_density(steady_state(physical(x_cell, continent.forcing), continent.forcing))
    cube = {"units": "1", "long_name": "true parameter, position between its bounds"}
    density = {"units": "g m-3", "long_name": "true soil organic carbon per volume of soil"}
    return xr.Dataset(
        {
            "x_site": (("parameter", "site"), dug.x[:, row], cube),
            "x_cell": (("parameter", "cell"), x_cell, cube),
            "soc_site": (("layer", "site"), dug.soc[:, row], density),
            "soc_cell": (("layer", "cell"), soc_cell, density),
        },
        {
            "parameter": list(PAPER_PARAMETERS.names),
            "node_depth": ("layer", PAPER_COLUMN.node, {"standard_name": "depth", "units": "m", "positive": "down"}),
            "profile_id": ("site", profiles["profile_id"].to_numpy(dtype=object)),
            "lon": ("cell", continent.cells["lon"].to_numpy(), {"standard_name": "longitude", "units": "degrees_east"}),
            "lat": ("cell", continent.cells["lat"].to_numpy(), {"standard_name": "latitude", "units": "degrees_north"}),
        },
        {"Conventions": "CF-1.11", "title": "True parameters and carbon of the virtual study"},
    )
