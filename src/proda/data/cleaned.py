"""The cleaned data of a study, as the later stages read them: this module imports no reader of raw sources."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import geopandas
import pandas as pd
import xarray as xr

from proda.data.covariates import read_covariates
from proda.data.files import read_csv, read_layers, read_profiles, read_table, read_truth
from proda.data.forcing import read_forcing
from proda.data.grid import read_grid
from proda.data.tables import ProfileTables
from proda.model.configuration import Configuration, configuration_of
from proda.model.forcing import AnyForcing
from proda.study import Study

STAGE = "01-data-cleaning"
RAW_PROFILES, RAW_LAYERS = "raw_profiles.parquet", "raw_layers.parquet"


class CleanedStudy(NamedTuple):
    """The cleaned data of a study."""

    profiles: geopandas.GeoDataFrame  # `proda.data.tables.PROFILE_COLUMNS`
    layers: pd.DataFrame  # `proda.data.tables.LAYER_COLUMNS`
    forcing: AnyForcing  # of the land cells
    site_covariates: pd.DataFrame
    cell_covariates: pd.DataFrame
    grid: xr.Dataset  # of the land cells
    exclusions: pd.DataFrame  # as in `proda.data.cleaning.CleanedTables`
    account: pd.DataFrame
    findings: pd.DataFrame  # one row a variable of every source (`proda.data.tables.Finding`)

    @property
    def configuration(self) -> Configuration:
        """The configuration of the study."""
        return configuration_of(self.forcing)


def read_cleaned_study(study: Study) -> CleanedStudy:
    """The files of stage 1; `MissingOutput` unless the stage is complete and made with the present settings."""
    study.require(STAGE)
    return read_cleaned_files(study.out)


def read_cleaned_files(folder: Path) -> CleanedStudy:
    """The files of stage 1 in `folder`; the raw tables and the truth, which are not in the result, are checked too."""
    read_raw_tables(folder)
    read_truth(folder)
    sites, cells = read_covariates(folder / "covariates.parquet")
    return CleanedStudy(
        profiles=read_profiles(folder / "profiles.parquet"),
        layers=read_layers(folder / "layers.parquet"),
        forcing=read_forcing(folder / "forcing.nc"),
        site_covariates=sites,
        cell_covariates=cells,
        grid=read_grid(folder / "grid.nc"),
        exclusions=read_csv(folder / "exclusions.csv", {"profile_id": str, "layer": "Int64", "source": str}),
        account=read_csv(folder / "cleaning.csv"),
        findings=read_csv(folder / "drivers.csv", {"note": object}).fillna({"note": ""}),
    )


def read_raw_tables(folder: Path | str) -> ProfileTables:
    """Raw profiles (profile_id, lon, lat, source, position_uncertainty, n_layers, excluded_by) and raw layers."""
    profiles = read_table(Path(folder) / RAW_PROFILES, ("profile_id", "source"), ("lon", "lat", "excluded_by"))
    layers = read_table(Path(folder) / RAW_LAYERS, ("profile_id",), ("upper_depth", "lower_depth", "soc"))
    return ProfileTables(profiles, layers)
