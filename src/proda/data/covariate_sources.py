"""The land cells of a study and the covariates of cells and profiles, by the kinds of source that a study can name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from proda.data.covariate_classes import TREATMENTS, numeric_covariates
from proda.data.covariate_lists import GRID_TABLE_LIST, LISTS, PAPER_LIST, Covariate, covariate_frame, covariate_list
from proda.data.grid import RESOLUTION, land_cells
from proda.data.land_use import LAND_USE, class_of_cover, land_use_of_sites
from proda.data.map_covariates import covariates_of_grid, covariates_of_places, reading_plan
from proda.data.outlines import land
from proda.data.readers.archive_environment import read_grid_environment, read_site_environment
from proda.data.readers.archive_profiles import read_archive_info
from proda.data.readers.found import finding, found_table
from proda.data.readers.grid_table import grid_covariates, read_grid_table
from proda.data.source_tables import GRID_TABLE, SourceTable, chosen, data_folder, source_table
from proda.study import Study

LAND_USES = ("none", "own")
CELL_MAPS = ("IGBP", "Sand_Content_0cm")  # what `grid.nc` needs of every cell


class StudyCovariates(NamedTuple):
    """Land cells, and the covariates of cells and profiles in the form that a network takes.

    Attributes
    ----------
    cells : DataFrame
        In the columns of `grid.nc`.
    raw : DataFrame
        Of the cells, as the source has them: classes as codes.
    of_cells : DataFrame
        Of all cells; NaN where missing.
    of_sites : DataFrame
        Of the profiles on land, indexed by `profile_id`, same columns.
    units : dict
    found : DataFrame
    """

    cells: pd.DataFrame
    raw: pd.DataFrame
    of_cells: pd.DataFrame
    of_sites: pd.DataFrame
    units: dict[str, str]
    found: pd.DataFrame


class Raw(NamedTuple):
    """Covariates as a source has them.

    Attributes
    ----------
    of_cells, of_sites : DataFrame
        In the order of the cells, and of the profiles on land.
    covariates : tuple of Covariate
    land_cover, sand_percent : str
        The columns of `of_cells` that `grid.nc` takes them from; empty where the cells have them already.
    found : DataFrame or None
    """

    of_cells: pd.DataFrame
    of_sites: pd.DataFrame
    covariates: tuple[Covariate, ...]
    land_cover: str = ""
    sand_percent: str = ""
    found: pd.DataFrame | None = None


def study_cells(study: Study) -> pd.DataFrame:
    """The land cells: those of grid_half_degree.csv, or of the conterminous United States for any other source."""
    table = _table(study)
    return read_grid_table(table.folder) if table.kind == GRID_TABLE else land_cells(land())


def study_list(study: Study) -> pd.DataFrame:
    """The list of the study's covariates with meaning, unit, kind, source and licence, as its source has them."""
    if study.source["kind"] == "virtual":
        listed = covariate_frame(PAPER_LIST)
        return listed.assign(source="made, in the place of " + listed["source"], licence="none")
    table = _table(study)
    return covariate_frame(GRID_TABLE_LIST if table.kind == GRID_TABLE else _list(study, table))


def study_covariates(study: Study, cells: pd.DataFrame, profiles: pd.DataFrame) -> StudyCovariates:
    """Covariates of `cells` and of those `profiles` that lie on one (`cell` not -1).

    Raises
    ------
    InputError
        When the study's table [source.covariates] or a source is not what it should be.
    """
    table = _table(study)
    treatment = chosen(table, "classes", TREATMENTS, study, "covariates")
    placed = profiles[profiles["cell"] >= 0]
    raw = KINDS[table.kind][1](study, table, cells, placed)
    return in_numbers(cells, raw, placed["profile_id"], treatment)


def in_numbers(cells: pd.DataFrame, raw: Raw, profile_id: Iterable[str], treatment: str) -> StudyCovariates:
    """Covariates as a network takes them, and what `grid.nc` needs of the cells."""
    numeric = numeric_covariates(raw.of_sites, raw.of_cells, raw.covariates, treatment)
    of_cells = numeric.cells.reset_index(drop=True)
    if raw.land_cover:
        of_cells.loc[raw.of_cells[[raw.land_cover, raw.sand_percent]].isna().any(axis=1).to_numpy()] = np.nan
        cover, sand = (raw.of_cells[name].to_numpy() for name in (raw.land_cover, raw.sand_percent))
        cells = cells.assign(land_cover=cover, sand_percent=sand)
    found = _found(raw) if raw.found is None else raw.found
    unknown = numeric.account.set_index("covariate")["cells_unknown"]
    missing_class = found["variable"].map(unknown[unknown > 0])
    told = missing_class.map("{:.0f} cells of a class that no profile has".format).where(missing_class.notna(), "")
    notes = (found["note"].where(found["note"] == "", found["note"] + "; ") + told).where(told != "", found["note"])
    of_sites = numeric.sites.set_axis(list(profile_id))
    return StudyCovariates(cells, raw.of_cells, of_cells, of_sites, numeric.units, found.assign(note=notes))


def _found(raw: Raw) -> pd.DataFrame:
    rows = [
        finding(f"{row.source}, {of}", row.name, row.unit, values[row.name])
        for of, values in (("cells", raw.of_cells), ("sites", raw.of_sites))
        for row in raw.covariates
    ]
    return found_table(rows)


def _table(study: Study) -> SourceTable:
    return source_table(study, "covariates", {kind: defaults for kind, (defaults, _) in KINDS.items()})


def _list(study: Study, table: SourceTable) -> tuple[Covariate, ...]:
    which = table.options["list"]
    is_file = isinstance(which, str) and which not in LISTS
    return covariate_list(data_folder(study) / which if is_file else which)


def _of_grid_table(study: Study, table: SourceTable, cells: pd.DataFrame, profiles: pd.DataFrame) -> Raw:
    """A profile takes the covariates of its cell; with `land_use` "own" its own land use as well."""
    of_cells = grid_covariates(cells)
    of_sites = of_cells.iloc[profiles["cell"]].reset_index(drop=True)
    if chosen(table, "land_use", LAND_USES, study, "covariates") == "none":
        return Raw(of_cells, of_sites, GRID_TABLE_LIST)
    own = land_use_of_sites(profiles["land_use"].reset_index(drop=True), of_sites["igbp_land_cover"])
    raw = Raw(
        of_cells.assign(**{LAND_USE.name: class_of_cover(of_cells["igbp_land_cover"])}),
        of_sites.assign(**{LAND_USE.name: own.classes}),
        (*GRID_TABLE_LIST, LAND_USE),
    )
    found = _found(raw)
    told = f"{own.told} of {len(of_sites)} sites by their own word, the others by the land cover of their cell"
    unknown = f"; words not understood: {', '.join(own.not_understood)}" if own.not_understood else ""
    here = (found["variable"] == LAND_USE.name) & found["source"].str.endswith("sites")
    return raw._replace(found=found.assign(note=found["note"].where(~here, told + unknown)))


def _of_maps(study: Study, table: SourceTable, cells: pd.DataFrame, profiles: pd.DataFrame) -> Raw:
    """A profile takes the pixel it lies in, a cell the mean of its pixels or their most frequent class."""
    covariates = _list(study, table)
    needed = {row.name: row for row in (*covariates, *covariate_list(CELL_MAPS))}
    plan = reading_plan(needed.values(), table.folder)
    of_cells = covariates_of_grid(plan, cells["lon"], cells["lat"])
    of_sites = covariates_of_places(plan, profiles["lon"].to_numpy(float), profiles["lat"].to_numpy(float))
    found = [f.assign(source=f["source"] + of) for f, of in ((of_cells.found, ", cells"), (of_sites.found, ", sites"))]
    return Raw(of_cells.values, of_sites.values, covariates, *CELL_MAPS, pd.concat(found, ignore_index=True))


def _of_archive(study: Study, table: SourceTable, cells: pd.DataFrame, profiles: pd.DataFrame) -> Raw:
    """A cell takes the archive's cell nearest to its centre, when that is no farther than half a cell.

    A profile of the archive takes its own row, any other the environment of its cell.
    """
    grid = read_grid_environment(table.folder)
    away, row = cKDTree(grid[["Lon", "Lat"]].to_numpy()).query(cells[["lon", "lat"]].to_numpy(), p=np.inf)
    of_cells = grid.iloc[row].reset_index(drop=True)
    of_cells[away > RESOLUTION / 2 + 1e-6] = np.nan
    if "archive_row" in profiles:
        of_sites = read_site_environment(table.folder, read_archive_info(table.folder)).iloc[profiles["archive_row"]]
    else:
        of_sites = of_cells.iloc[profiles["cell"]]
    return Raw(of_cells, of_sites.reset_index(drop=True), _list(study, table), *CELL_MAPS)


_Reader = Callable[[Study, SourceTable, pd.DataFrame, pd.DataFrame], Raw]
# What [source.covariates] may name: its options with their defaults, and its reader.
KINDS: dict[str, tuple[dict[str, str], _Reader]] = {
    GRID_TABLE: ({"classes": "one-hot", "land_use": "none"}, _of_grid_table),
    "maps": ({"list": "paper", "classes": "one-hot"}, _of_maps),
    "public-archive": ({"list": "binn", "classes": "one-hot"}, _of_archive),
}
