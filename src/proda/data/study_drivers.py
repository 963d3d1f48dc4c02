"""What drives the model and informs the network on the study's grid, from land-model output and maps, or the archive.

Each function gives the land cells, their forcing and the covariates of cells and profiles in the form that stage 1
takes, and an account of what every source was found to hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from proda.data.covariate_classes import numeric_covariates
from proda.data.covariate_lists import BINN_LIST, PAPER_LIST, Covariate, covariate_list
from proda.data.forcing_sources import forcing_from, with_npp
from proda.data.grid import RESOLUTION, land_cells
from proda.data.map_covariates import covariates_of_grid, covariates_of_places, reading_plan
from proda.data.outlines import land
from proda.data.readers.archive_environment import read_grid_environment, read_site_environment
from proda.data.readers.archive_profiles import ArchiveProfiles
from proda.data.readers.found import finding, found_table
from proda.data.reference_sources import references_of_grid
from proda.errors import InputError
from proda.model.configuration import PAPER, Configuration
from proda.model.forcing import AnyForcing

_CELL_MAPS = covariate_list(["IGBP", "Sand_Content_0cm"])  # what `grid.nc` needs of every cell


class StudyDrivers(NamedTuple):
    """What drives the model and informs the network.

    Attributes
    ----------
    cells : DataFrame
        Land cells in the columns of `grid.nc`.
    forcing : Forcing or MonthlyForcing
        Of all cells; NaN where a cell has none.
    cell_covariates : DataFrame
        Of all cells; NaN where missing.
    site_covariates : callable
        Profiles (`profile_id`) -> their covariates, same columns.
    comment : str
        Where the forcing comes from.
    found : DataFrame
        One row a variable of every source, with what is missing.
    """

    cells: pd.DataFrame
    forcing: AnyForcing
    cell_covariates: pd.DataFrame
    site_covariates: Callable[[pd.DataFrame], pd.DataFrame]
    comment: str
    found: pd.DataFrame


def map_drivers(
    profiles: pd.DataFrame,
    maps: Path | str,
    history: Path | str,
    covariates: Iterable[Covariate] = PAPER_LIST,
    treatment: str = "one-hot",
    configuration: Configuration = PAPER,
    **history_options,
) -> StudyDrivers:
    """Drivers from a folder of maps and CLM history files.

    Parameters
    ----------
    profiles : DataFrame
        Raw: `profile_id`, `lon`, `lat`.
    maps : path
        Folder of the covariates' maps; it must also hold land cover (IGBP) and sand, which every cell has. Published
        maps of organic carbon in it become the columns `ref_*` of the cells.
    history : path
        A history file or a folder of them.
    covariates : list of Covariate
    treatment : "one-hot" or "as the paper did"
        Of classes, see `numeric_covariates`.
    **history_options
        Of `forcing_from`: method, vertical, npp_multiples.
    """
    covariates = tuple(covariates)
    cells = land_cells(land())
    lon, lat = cells["lon"].to_numpy(), cells["lat"].to_numpy()
    needed = tuple({row.name: row for row in (*covariates, *_CELL_MAPS)}.values())
    plan = reading_plan(needed, maps)
    of_cells = covariates_of_grid(plan, lon, lat)
    references = references_of_grid(maps, lon, lat)
    near = _near(profiles, lon, lat)
    of_sites = covariates_of_places(plan, *(profiles.loc[near, name].to_numpy(float) for name in ("lon", "lat")))
    forcing = forcing_from("clm-history", history, lon, lat, configuration, **history_options)
    parts = [forcing.found, references.found]
    parts += [f.assign(source=f["source"] + of) for f, of in ((of_cells.found, ", cells"), (of_sites.found, ", sites"))]
    at_sites = of_sites.values.set_axis(profiles.loc[near, "profile_id"])
    found = pd.concat(parts, ignore_index=True)
    cells = cells.join(references.stocks)
    return _drivers(cells, forcing.forcing, of_cells.values, at_sites, covariates, treatment, forcing.comment, found)


def archive_drivers(
    folder: Path | str,
    archive: ArchiveProfiles,
    covariates: Iterable[Covariate] = BINN_LIST,
    treatment: str = "one-hot",
    configuration: Configuration = PAPER,
) -> StudyDrivers:
    """Drivers from the unpacked public archive: CESM2 forcing, and the environment of its sites and of its world grid.

    A land cell takes the environment of the archive's cell nearest to its centre, when that is no farther than half a
    cell. In the `paper` configuration NPP and its least and greatest year are those of MODIS in the environment, as in
    the paper, and missing where they are.

    Parameters
    ----------
    folder : path
        The unpacked archive.
    archive : ArchiveProfiles
        Read from it.
    """
    covariates = tuple(covariates)
    cells = land_cells(land())
    lon, lat = cells["lon"].to_numpy(), cells["lat"].to_numpy()
    grid = read_grid_environment(folder)
    away, row = cKDTree(grid[["Lon", "Lat"]].to_numpy()).query(np.column_stack([lon, lat]), p=np.inf)
    of_cells = grid.iloc[row].reset_index(drop=True)
    of_cells[away > RESOLUTION / 2 + 1e-6] = np.nan
    of_sites = read_site_environment(folder, archive.info)
    of_sites = of_sites.set_axis(archive.tables.profiles["profile_id"])
    near = _near(archive.tables.profiles, lon, lat)
    sourced = forcing_from("public-archive", folder, lon, lat, configuration)
    forcing, comment = sourced.forcing, sourced.comment
    if not configuration.monthly:
        forcing = with_npp(forcing, of_cells["NPPmean"], of_cells["NPPmin"], of_cells["NPPmax"])
        comment = comment.split("; annual NPP")[0] + "; NPP of MODIS, as in the archive's environment."
    found = [finding("environment of the archive, cells", c.name, c.unit, of_cells[c.name]) for c in covariates]
    inside = of_sites[near]
    found += [finding("environment of the archive, sites", c.name, c.unit, inside[c.name]) for c in covariates]
    found = pd.concat([sourced.found, found_table(found)], ignore_index=True)
    return _drivers(cells, forcing, of_cells, inside, covariates, treatment, comment, found)


def _near(profiles: pd.DataFrame, lon: NDArray, lat: NDArray) -> NDArray[np.bool_]:
    """Which profiles lie in the box around the cells, or within two cells of it."""
    inside = np.ones(len(profiles), bool)
    for name, centres in (("lon", lon), ("lat", lat)):
        inside &= profiles[name].between(centres.min() - 2 * RESOLUTION, centres.max() + 2 * RESOLUTION).to_numpy()
    if not inside.any():
        raise InputError(
            f"none of {len(profiles)} profiles lies between longitudes {lon.min():g} and {lon.max():g} and latitudes "
            f"{lat.min():g} and {lat.max():g}. Longitudes and latitudes exchanged?"
        )
    return inside


def _drivers(
    cells: pd.DataFrame,
    forcing: AnyForcing,
    of_cells: pd.DataFrame,
    of_sites: pd.DataFrame,
    covariates: tuple[Covariate, ...],
    treatment: str,
    comment: str,
    found: pd.DataFrame,
) -> StudyDrivers:
    """`of_sites` is indexed by `profile_id`; a profile that is not in it has no covariates."""
    numeric = numeric_covariates(of_sites, of_cells, covariates, treatment)
    known = of_cells[[row.name for row in _CELL_MAPS]].notna().all(axis=1).to_numpy()
    cell_covariates = numeric.cells.reset_index(drop=True)
    cell_covariates.loc[~known] = np.nan
    cells = cells.assign(land_cover=of_cells["IGBP"].to_numpy(), sand_percent=of_cells["Sand_Content_0cm"].to_numpy())

    def site_covariates(profiles: pd.DataFrame) -> pd.DataFrame:
        return numeric.sites.reindex(profiles["profile_id"]).reset_index(drop=True)

    return StudyDrivers(cells, forcing, cell_covariates, site_covariates, comment, found)
