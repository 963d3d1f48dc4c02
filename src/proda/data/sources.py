"""The kinds of source that a study can name: each gives raw profiles and layers, and what drives the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import xarray as xr

from proda.data.drivers import Drivers, half_degree_drivers
from proda.data.profiles import ProfileTables
from proda.data.readers.tidy_tables import read_profile_tables
from proda.data.readers.wosis_201909 import read_wosis_201909
from proda.data.readers.wosis_202312 import read_wosis_202312
from proda.data.readers.wosis_latest import read_wosis_latest
from proda.data.virtual import truth_dataset, virtual_continent, write_raw_profiles
from proda.data.virtual_fields import virtual_covariates
from proda.errors import InputError
from proda.study import Study


class Source(NamedTuple):
    """What a kind of study provides before cleaning.

    Attributes
    ----------
    tables : ProfileTables
    drivers : Drivers
    truth : callable or None
        Cleaned profiles -> what `truth.nc` holds.
    """

    tables: ProfileTables
    drivers: Drivers
    truth: Callable[[pd.DataFrame], xr.Dataset] | None = None


def virtual_source(study: Study, folder: Path) -> Source:
    """The made continent of the study's seed; its raw tables are written to `folder`/raw and read back from there."""
    continent = virtual_continent(study.seed)
    dug = write_raw_profiles(continent, study["n_profiles"], study.seed, folder / "raw")
    return Source(
        tables=read_profile_tables(folder / "raw"),
        drivers=Drivers(
            cells=continent.cells,
            forcing=continent.forcing,
            cell_covariates=continent.covariates,
            site_covariates=lambda profiles: virtual_covariates(profiles["lon"], profiles["lat"], study.seed),
            comment=f"Made for the virtual study, seed {study.seed}.",
        ),
        truth=lambda profiles: truth_dataset(continent, dug, profiles),
    )


def tidy_source(study: Study, folder: Path) -> Source:
    """Profiles and layers from the tables of the study's data folder."""
    return Source(read_profile_tables(_data_folder(study)), half_degree_drivers(study))


def wosis_source(study: Study, folder: Path) -> Source:
    """Profiles and layers from a download of WoSIS in the study's data folder, in the layout that [source] names."""
    layout = study.source.get("layout")
    if layout not in WOSIS_LAYOUTS:
        raise InputError(f"{study.file}: [source] layout is {layout!r}, expected one of {', '.join(WOSIS_LAYOUTS)}.")
    return Source(WOSIS_LAYOUTS[layout](_data_folder(study)), half_degree_drivers(study))


def _data_folder(study: Study) -> Path:
    if study.data is None:
        raise InputError(f"study {study.name} reads its tables from a folder: give it with --data DIR.")
    return study.data


WOSIS_LAYOUTS = {
    "december-2023": read_wosis_202312,
    "september-2019": read_wosis_201909,
    "latest": read_wosis_latest,
}
SOURCES = {"virtual": virtual_source, "tidy-tables": tidy_source, "wosis": wosis_source}
