"""The kinds of source that a study can name: each gives raw profiles and layers, and what drives the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import xarray as xr

from proda.data.covariate_classes import TREATMENTS
from proda.data.covariate_lists import PAPER_LIST
from proda.data.covariate_sources import Raw, in_numbers, study_cells
from proda.data.drivers import Drivers, study_drivers
from proda.data.forcing_sources import forcing_found
from proda.data.places import placed
from proda.data.profiles import ProfileTables
from proda.data.readers.archive_profiles import read_archive_profiles
from proda.data.readers.tidy_tables import read_profile_tables
from proda.data.readers.wosis_201909 import read_wosis_201909
from proda.data.readers.wosis_202312 import read_wosis_202312
from proda.data.readers.wosis_latest import read_wosis_latest
from proda.data.source_tables import check_table_names, chosen, data_folder, source_table
from proda.data.virtual import truth_dataset, virtual_continent, write_raw_profiles
from proda.data.virtual_fields import virtual_covariates
from proda.errors import InputError
from proda.study import Study


class Source(NamedTuple):
    """What a study provides before cleaning.

    Attributes
    ----------
    tables : ProfileTables
        Profiles with their places (`proda.data.places.placed`).
    drivers : Drivers
    truth : callable or None
        Cleaned profiles -> what `truth.nc` holds, with all cells.
    """

    tables: ProfileTables
    drivers: Drivers
    truth: Callable[[pd.DataFrame], xr.Dataset] | None = None


def study_source(study: Study, folder: Path) -> Source:
    """Raw profiles and drivers from the sources that the study's file names.

    Parameters
    ----------
    folder : path
        Where a study that makes its own data writes them, in `raw`.

    Raises
    ------
    InputError
        When the study names a source that there is not, or a source is not what it should be.
    """
    kind = study.source["kind"]
    check_table_names(study)
    if kind == "virtual":
        return _virtual(study, folder)
    if kind not in PROFILES:
        raise InputError(
            f"{study.file}: [source] kind is {kind!r}, expected one of {', '.join(['virtual', *PROFILES])}."
        )
    tables = PROFILES[kind](study)
    cells = study_cells(study)
    profiles = placed(tables.profiles, cells, study["nearest_cell_degrees"])
    return Source(ProfileTables(profiles, tables.layers), study_drivers(study, cells, profiles))


def _virtual(study: Study, folder: Path) -> Source:
    """The made continent of the study's seed; its raw tables are written to `folder`/raw and read back from there."""
    table = source_table(study, "covariates", {"virtual": {"classes": "one-hot"}})
    treatment = chosen(table, "classes", TREATMENTS, study, "covariates")
    continent = virtual_continent(study.seed)
    dug = write_raw_profiles(continent, study["n_profiles"], study.seed, folder / "raw")
    tables = read_profile_tables(folder / "raw")
    profiles = placed(tables.profiles, continent.cells, study["nearest_cell_degrees"])
    on_land = profiles[profiles["cell"] >= 0]
    at_sites = virtual_covariates(on_land["lon"], on_land["lat"], study.seed)
    raw = Raw(continent.covariates, at_sites, PAPER_LIST)
    covariates = in_numbers(continent.cells, raw, on_land["profile_id"], treatment)
    made = f"made, seed {study.seed}"
    found = covariates.found.assign(source=made + covariates.found["source"].str.extract(r"(, \w+)$")[0])
    drivers = Drivers(
        cells=continent.cells,
        forcing=continent.forcing,
        cell_covariates=covariates.of_cells,
        site_covariates=covariates.of_sites,
        units=covariates.units,
        comment=f"Made for the virtual study, seed {study.seed}.",
        found=pd.concat([forcing_found(made, continent.forcing), found], ignore_index=True),
    )
    return Source(
        ProfileTables(profiles, tables.layers), drivers, lambda cleaned: truth_dataset(continent, dug, cleaned)
    )


def _wosis(study: Study) -> ProfileTables:
    """From a download of WoSIS in the study's data folder, in the layout that [source] names."""
    layout = study.source.get("layout")
    if layout not in WOSIS_LAYOUTS:
        raise InputError(f"{study.file}: [source] layout is {layout!r}, expected one of {', '.join(WOSIS_LAYOUTS)}.")
    return WOSIS_LAYOUTS[layout](data_folder(study))


WOSIS_LAYOUTS = {
    "december-2023": read_wosis_202312,
    "september-2019": read_wosis_201909,
    "latest": read_wosis_latest,
}
# Where profiles and layers come from.
PROFILES: dict[str, Callable[[Study], ProfileTables]] = {
    "tidy-tables": lambda study: read_profile_tables(data_folder(study)),
    "wosis": _wosis,
    "public-archive": lambda study: read_archive_profiles(data_folder(study)).tables,
}
