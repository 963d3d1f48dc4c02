"""Stage 1 of a study as one call: from raw sources to the tidy files that every later stage reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import geopandas
import numpy as np
import pandas as pd
import xarray as xr

from proda.data.cleaning import cleaned
from proda.data.covariates import covariate_table, has_covariates, read_covariates, write_covariates
from proda.data.forcing import forcing_dataset, has_forcing, read_forcing, surrogate_forcing
from proda.data.grid import cells_at, grid_dataset, read_grid
from proda.data.outcome_tables import read_exclusions, write_exclusions
from proda.data.profiles import LAYER_COLUMNS, ProfileTables, read_layers, read_profiles, write_layers, write_profiles
from proda.data.readers.grid_table import grid_covariates, read_grid_table
from proda.data.readers.tidy_tables import read_profile_tables
from proda.data.stamps import cf_attributes, check_study, study_stamp
from proda.data.virtual import truth_dataset, virtual_continent, write_raw_profiles
from proda.data.virtual_fields import virtual_covariates
from proda.errors import InputError
from proda.model.forcing import Forcing
from proda.study import Study

STAGE = "01-data-cleaning"
STAMPED = ("profiles.parquet", "layers.parquet", "forcing.nc", "covariates.parquet", "grid.nc")

SURROGATE_COMMENT = (
    "Derived from annual climate and texture, not from a land model: soil temperature = air temperature + "
    "{offset:g} K (Soil Survey Staff 1999); water potential from evaporation after Turc (1954), an assumed "
    "bucket that evaporates in proportion to its filling, and the retention curve of Clapp and Hornberger (1978) with "
    "Cosby et al. (1984); no permafrost; annual NPP assumed to range from {low:g} to {high:g} times its mean."
)


class Source(NamedTuple):
    """What a kind of study provides before cleaning.

    Attributes
    ----------
    tables : ProfileTables
    cells : DataFrame
        Land cells in the columns of `grid.nc`.
    forcing : Forcing
        Of all cells; NaN where a cell has none.
    cell_covariates : DataFrame
        Of all cells; NaN where missing.
    site_covariates : callable
        Profiles (with `cell`, an index into `cells`) -> their covariates, same columns.
    comment : str
        Where the forcing comes from.
    truth : callable or None
        Cleaned profiles -> what `truth.nc` holds.
    """

    tables: ProfileTables
    cells: pd.DataFrame
    forcing: Forcing
    cell_covariates: pd.DataFrame
    site_covariates: Callable[[pd.DataFrame], pd.DataFrame]
    comment: str
    truth: Callable[[pd.DataFrame], xr.Dataset] | None = None


class CleanedStudy(NamedTuple):
    """The tidy data of a study, as stage 1 left them in its folder.

    Attributes
    ----------
    profiles, layers : DataFrame
        `proda.data.profiles.PROFILE_COLUMNS` and `LAYER_COLUMNS`.
    forcing : Forcing
        Of the land cells.
    site_covariates, cell_covariates : DataFrame
    grid : Dataset
        Of the land cells.
    exclusions, account : DataFrame
        As in `proda.data.cleaning.CleanedTables`.
    """

    profiles: geopandas.GeoDataFrame
    layers: pd.DataFrame
    forcing: Forcing
    site_covariates: pd.DataFrame
    cell_covariates: pd.DataFrame
    grid: xr.Dataset
    exclusions: pd.DataFrame
    account: pd.DataFrame


def virtual_source(study: Study, folder: Path) -> Source:
    """The made continent of the study's seed; its raw tables are written to `folder`/raw and read back from there."""
    continent = virtual_continent(study.seed)
    dug = write_raw_profiles(continent, study["n_profiles"], study.seed, folder / "raw")
    return Source(
        tables=read_profile_tables(folder / "raw"),
        cells=continent.cells,
        forcing=continent.forcing,
        cell_covariates=continent.covariates,
        site_covariates=lambda profiles: virtual_covariates(profiles["lon"], profiles["lat"], study.seed),
        comment=f"Made for the virtual study, seed {study.seed}.",
        truth=lambda profiles: truth_dataset(continent, dug, profiles),
    )


def tidy_source(study: Study, folder: Path) -> Source:
    """Tables of the study's data folder, with forcing derived from the climate and texture of the land cells."""
    if study.data is None:
        raise InputError(f"study {study.name} reads its tables from a folder: give it with --data DIR.")
    grid = read_grid_table(study.data)
    low, high, offset = (study[k] for k in ("npp_min_multiple", "npp_max_multiple", "soil_minus_air_temperature"))
    covariates = grid_covariates(grid)
    return Source(
        tables=read_profile_tables(study.data),
        cells=grid,
        forcing=surrogate_forcing(grid, low, high, offset),
        cell_covariates=covariates,
        site_covariates=lambda profiles: covariates.iloc[profiles["cell"].to_numpy()].reset_index(drop=True),
        comment=SURROGATE_COMMENT.format(offset=offset, low=low, high=high),
    )


SOURCES = {"virtual": virtual_source, "tidy-tables": tidy_source}


def cleaned_study(study: Study) -> CleanedStudy:
    """Run stage 1: read or make the raw data, clean them, write the study's tidy files, return what was written.

    Raises
    ------
    InputError
        When the study's kind is unknown, or a source is not what it should be.
    """
    kind = study.source.get("kind")
    if kind not in SOURCES:
        raise InputError(f"{study.file}: [source] kind is {kind!r}, expected one of {', '.join(SOURCES)}.")
    with study.stage(STAGE) as folder:
        source = SOURCES[kind](study, folder)
        usable = has_forcing(source.forcing) & has_covariates(source.cell_covariates)
        if not usable.any():
            raise InputError(f"{study.data or study.file}: no land cell has climate, NPP and all covariates.")
        result = cleaned(_placed(source, study["nearest_cell_degrees"]), study.settings)

        profiles, layers = _numbered(result.profiles, result.layers)
        site_covariates = source.site_covariates(profiles)
        # Cells without forcing or covariates have no place in a map; the cells left are numbered anew.
        profiles["cell"] = (np.cumsum(usable) - 1)[profiles["cell"].to_numpy()]
        cells = source.cells[usable].reset_index(drop=True)
        profiles["land_cover"] = cells["land_cover"].to_numpy(int)[profiles["cell"].to_numpy()]
        cell_covariates = source.cell_covariates[usable].reset_index(drop=True)

        stamp = study_stamp(study, STAGE)
        write_profiles(profiles, folder / "profiles.parquet", stamp)
        write_layers(layers, folder / "layers.parquet", stamp)
        forcing = forcing_dataset(source.forcing.take(usable), cells["lon"], cells["lat"], source.comment)
        forcing.assign_attrs(cf_attributes(stamp)).to_netcdf(folder / "forcing.nc")
        covariates = covariate_table(site_covariates, cell_covariates, profiles)
        write_covariates(covariates, folder / "covariates.parquet", stamp)
        grid = grid_dataset(cells).assign_attrs(cells_left_out=int((~usable).sum()), **cf_attributes(stamp))
        grid.to_netcdf(folder / "grid.nc")
        write_exclusions(result.exclusions, folder / "exclusions.csv")
        result.account.to_csv(folder / "cleaning.csv", index=False)
        if source.truth is not None:
            source.truth(profiles).assign_attrs(cf_attributes(stamp)).to_netcdf(folder / "truth.nc")
    return read_cleaned_study(study)


def _placed(source: Source, tolerance: float) -> ProfileTables:
    """Raw tables with the land cell of every profile and whether it has what the model and the network need."""
    profiles = source.tables.profiles
    cell, distance = cells_at(profiles["lon"], profiles["lat"], source.cells, tolerance)
    forced = np.append(has_forcing(source.forcing), True)[cell]  # cell -1, off the land, is another rule's business
    placed = profiles.assign(cell=cell, distance=distance, has_forcing=forced, has_covariates=True)
    on_land = (cell >= 0) & forced
    complete = has_covariates(source.site_covariates(placed[on_land])) & has_covariates(
        source.cell_covariates.iloc[cell[on_land]]
    )
    placed.loc[on_land, "has_covariates"] = complete
    return ProfileTables(placed, source.tables.layers)


def _numbered(profiles: pd.DataFrame, layers: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cleaned tables in the columns and the order of the study's files: sites by identifier, layers top down."""
    profiles = profiles.sort_values("profile_id", ignore_index=True)
    site = pd.Series(profiles.index, profiles["profile_id"])
    layers = layers.assign(
        site=layers["profile_id"].map(site),
        depth=0.5 * (layers["upper_depth"] + layers["lower_depth"]),
    ).sort_values(["site", "depth"], kind="stable", ignore_index=True)
    layers["layer"] = layers.groupby("site").cumcount()
    by_site = layers.groupby("site")
    profiles = profiles.assign(n_layers=by_site.size(), max_depth=by_site["lower_depth"].max())
    return profiles, layers[list(LAYER_COLUMNS)]


def raw_tables(study: Study) -> ProfileTables:
    """Profiles and layers of a study as they came, before cleaning."""
    return read_profile_tables(study.data if study.data is not None else study.path("raw"))


def read_cleaned_study(study: Study) -> CleanedStudy:
    """The files of stage 1, checked.

    Raises
    ------
    MissingOutput
        When the stage has not been run, was interrupted, or was run with other settings.
    """
    study.require(STAGE)
    check_study([study.path(name) for name in STAMPED], study)
    sites, cells = read_covariates(study.path("covariates.parquet"))
    return CleanedStudy(
        profiles=read_profiles(study.path("profiles.parquet")),
        layers=read_layers(study.path("layers.parquet")),
        forcing=read_forcing(study.path("forcing.nc")),
        site_covariates=sites,
        cell_covariates=cells,
        grid=read_grid(study.path("grid.nc")),
        exclusions=read_exclusions(study.path("exclusions.csv")),
        account=pd.read_csv(study.path("cleaning.csv")),
    )
