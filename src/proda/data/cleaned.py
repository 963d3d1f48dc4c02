"""The cleaned data of a study, as the later stages read them: this module imports no reader of raw sources."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import geopandas
import pandas as pd
import xarray as xr

from proda.data.covariates import read_covariates
from proda.data.forcing import read_forcing
from proda.data.grid import read_grid
from proda.data.tables import ProfileTables, existing, read_layers, read_profiles
from proda.model.forcing import Forcing
from proda.study import Study

STAGE = "01-data-cleaning"
RAW_PROFILES, RAW_LAYERS = "raw_profiles.parquet", "raw_layers.parquet"


class CleanedStudy(NamedTuple):
    """The cleaned data of a study.

    Attributes
    ----------
    profiles, layers : DataFrame
        `proda.data.tables.PROFILE_COLUMNS` and `LAYER_COLUMNS`.
    forcing : Forcing
        Of the land cells.
    site_covariates, cell_covariates : DataFrame
    grid : Dataset
        Of the land cells.
    exclusions, account : DataFrame
        As in `proda.data.cleaning.CleanedTables`.
    findings : DataFrame
        One row a variable of every source of forcing, covariates and reference maps (`proda.data.findings.Finding`).
    """

    profiles: geopandas.GeoDataFrame
    layers: pd.DataFrame
    forcing: Forcing
    site_covariates: pd.DataFrame
    cell_covariates: pd.DataFrame
    grid: xr.Dataset
    exclusions: pd.DataFrame
    account: pd.DataFrame
    findings: pd.DataFrame


def read_cleaned_study(study: Study) -> CleanedStudy:
    """The files of stage 1, checked.

    Raises
    ------
    MissingOutput
        When the stage has not been run, was interrupted, or was run with other settings.
    """
    study.require(STAGE)
    sites, cells = read_covariates(study.path("covariates.parquet"))
    exclusions = pd.read_csv(study.path("exclusions.csv"), dtype={"profile_id": str, "layer": "Int64"})
    findings = pd.read_csv(study.path("drivers.csv"), keep_default_na=False, na_values=[""], dtype={"note": object})
    return CleanedStudy(
        profiles=read_profiles(study.path("profiles.parquet")),
        layers=read_layers(study.path("layers.parquet")),
        forcing=read_forcing(study.path("forcing.nc")),
        site_covariates=sites,
        cell_covariates=cells,
        grid=read_grid(study.path("grid.nc")),
        exclusions=exclusions,
        account=pd.read_csv(study.path("cleaning.csv")),
        findings=findings.fillna({"note": ""}),
    )


def read_raw_tables(folder: Path | str) -> ProfileTables:
    """Raw profiles (profile_id, lon, lat, source, position_uncertainty, n_layers, excluded_by) and raw layers.

    Raises
    ------
    InputError
        When a file is missing.
    """
    return ProfileTables(*(pd.read_parquet(existing(Path(folder) / name)) for name in (RAW_PROFILES, RAW_LAYERS)))
