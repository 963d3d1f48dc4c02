"""The sources that a study file names: profiles, covariates, forcing and reference maps.

Every function imports the reader that it uses, so that none is loaded that a study does not need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from scipy.spatial import cKDTree

from proda.data.covariates import (
    GRID_TABLE_LIST,
    LISTS,
    PAPER_LIST,
    TREATMENTS,
    Covariate,
    covariate_list,
    filled_covariates,
    numeric_covariates,
    own_covariates,
)
from proda.data.forcing import VARIABLES, surrogate_forcing
from proda.data.grid import cells_at, land_cells, placed, resolution_of
from proda.data.region import RESOLUTION, study_region
from proda.data.tables import ProfileTables, SourcedForcing, finding, findings_table
from proda.errors import InputError
from proda.model.configuration import CONFIGURATIONS, Configuration
from proda.model.forcing import AnyForcing, Forcing
from proda.study import Study, is_removed, suggestion

GRID_TABLE = "half-degree-table"  # grid_half_degree.csv: the default of forcing and covariates
CELL_MAPS = ("IGBP", "Sand_Content_0cm")  # land cover and sand of `grid.nc`, for a study without that table
OWN_POSITION, OF_CELL = "at their own position", "of their cell"  # values of sites
PROFILE_KINDS = ("virtual", "tidy-tables", "wosis", "public-archive")
# The kinds of the other tables of [source], the first of them the default, with their options: a default, or choices
# of which the first is the default. Every kind may name a `folder` as well.
_OPTIONS = {"classes": TREATMENTS, "missing": ("exclude", "nearest")}
TABLES: dict[str, dict[str, dict[str, str | tuple[str, ...]]]] = {
    "covariates": {
        GRID_TABLE: _OPTIONS,
        "maps": {**_OPTIONS, "list": "paper"},
        "public-archive": {**_OPTIONS, "list": "binn"},
    },
    "forcing": {
        GRID_TABLE: {},
        "clm-history": {"vertical": ("match", "linear"), "npp": ("years", "multiples", "covariates")},
        "public-archive": {"npp": ("covariates", "multiples")},
    },
    "references": {"maps": {}},
    "projections": {"yearly-forcing": {}},
}


class Source(NamedTuple):
    """The data of a study before cleaning."""

    tables: ProfileTables  # profiles with their cells (`proda.data.grid.placed`)
    cells: pd.DataFrame  # land cells in the columns of `grid.nc`
    forcing: AnyForcing  # of all cells; NaN where a cell has none
    comment: str  # where the forcing comes from
    cell_covariates: pd.DataFrame  # of all cells; NaN where missing
    site_covariates: pd.DataFrame  # of the profiles on land, indexed by `profile_id`, same columns
    own_covariates: pd.DataFrame  # of the same profiles, what no cell has; may be without columns
    units: dict[str, str]  # of the covariates
    findings: pd.DataFrame  # one row a variable of every source (`proda.data.tables.Finding`)
    truth: Callable[[pd.DataFrame], xr.Dataset] | None = None  # cleaned profiles -> `truth.nc`, with all cells


def study_source(study: Study, folder: Path) -> Source:
    """Raw profiles and drivers from the sources that the study's file names.

    A study that makes its own data writes them to `raw` in `folder`. An InputError when the study names an unknown
    source, or a source is not as expected.
    """
    from proda.data.readers.tidy import read_grid_table

    kind = study.source["kind"]
    if kind not in PROFILE_KINDS:
        raise InputError(f"{study.file}: [source] kind is {kind!r}, expected one of {', '.join(PROFILE_KINDS)}.")
    for name, value in study.source.items():
        if isinstance(value, Mapping) and name not in TABLES:
            raise InputError(f"{study.file}: unknown table [source.{name}]: {suggestion(name, TABLES)}")
        if name in TABLES and not isinstance(value, Mapping):
            raise InputError(f"{study.file}: [source] {name} is {value!r}, expected a table [source.{name}].")
    if kind == "virtual":
        return _virtual(study, folder)
    tables, table = _profiles(study, kind), source_table(study, "covariates")
    with_grid = next((t for t in (table, source_table(study, "forcing")) if t.kind == GRID_TABLE), None)
    cells = _cells(study, read_grid_table(with_grid.folder) if with_grid else None)
    tables = tables._replace(profiles=placed(tables.profiles, cells, study["nearest_cell_degrees"]))
    read_covariates = {GRID_TABLE: _of_grid_table, "maps": _of_maps, "public-archive": _of_archive}[table.kind]
    on_land = tables.profiles[tables.profiles["cell"] >= 0]
    covariates = _by_rule(study, table, read_covariates(study, table, cells, on_land), on_land["cell"])
    forcing = study_forcing(study, covariates.cells, covariates.of_cells)
    own = own_covariates(on_land, tables.layers, covariates.cells)
    source = _source(tables, forcing, covariates, table.options["classes"], own)
    if "references" not in study.source:
        return source
    stocks, findings = _references(study, cells)
    return source._replace(
        cells=source.cells.assign(**stocks), findings=pd.concat([source.findings, findings], ignore_index=True)
    )


def _cells(study: Study, table: pd.DataFrame | None) -> pd.DataFrame:
    """The land cells of the study's region: those of a half-degree `table`, all of it where no region is named."""
    if table is not None and not study.region:
        return table
    region = study_region(study)
    cells = land_cells(region.land, region.resolution)
    if table is None:
        return cells
    if region.resolution != RESOLUTION:
        raise InputError(
            f"{study.file}: [region] resolution is {region.resolution:g} degrees, but the cells of "
            f"grid_half_degree.csv have {RESOLUTION:g}: leave it out, or take covariates and forcing from maps"
        )
    inside = cells_at(table["lon"], table["lat"], cells, 0.0)[0] >= 0
    if not inside.any():
        raise InputError(f"{study.file}: no cell of grid_half_degree.csv lies in the region of {region.name}")
    return table[inside].reset_index(drop=True)


def study_list(study: Study) -> pd.DataFrame:
    """The list of the study's covariates: name, meaning, unit, kind, source and licence."""
    if study.source["kind"] == "virtual":
        listed = pd.DataFrame(PAPER_LIST)
        return listed.assign(source="synthetic, in place of " + listed["source"], licence="none")
    table = source_table(study, "covariates")
    return pd.DataFrame(GRID_TABLE_LIST if table.kind == GRID_TABLE else _list(study, table))


class SourceTable(NamedTuple):
    """A table [source.covariates], [source.forcing] or [source.references] of a study file."""

    kind: str
    folder: Path  # the data folder, or the folder or file below it that the table names
    options: dict[str, Any]  # every option of the kind, as given or by default


def source_table(study: Study, name: str) -> SourceTable:
    """The table [source.`name`] of the study's file.

    An InputError when the kind or an option is unknown, an option has an unknown value, or there is no such folder.
    """
    where = f"{study.file}: [source.{name}]"
    made = study.source["kind"] == "virtual" and name != "projections"  # a study that makes its own data has no folder
    kinds = {"virtual": _OPTIONS} if made else TABLES[name]
    given = dict(study.source.get(name, {}))
    kind = given.pop("kind", next(iter(kinds)))
    if kind not in kinds:
        raise InputError(f"{where} kind is {kind!r}, expected one of {', '.join(kinds)}.")
    allowed = {"folder": "", **kinds[kind]}
    options = {option: choices[0] if isinstance(choices, tuple) else choices for option, choices in allowed.items()}
    for option, value in given.items():
        if option not in allowed and is_removed(option, value, where):
            continue
        if option not in allowed:
            raise InputError(f"{where}: {kind} has no option {option!r}: {suggestion(option, ['kind', *allowed])}")
        choices = allowed[option]
        if isinstance(choices, tuple) and value not in choices:
            raise InputError(f"{where} {option} is {value!r}, expected one of {', '.join(choices)}.")
        if not isinstance(value, str | list if option == "list" else str):
            raise InputError(f"{where}: {option} is {value!r}, expected text, such as {options[option]!r}.")
        options[option] = value
    folder = options.pop("folder")
    return SourceTable(kind, Path() if made else _below_data(study, folder, where), options)


def _below_data(study: Study, folder: str, where: str) -> Path:
    path = study.data / folder
    if not (path.exists() and path.resolve().is_relative_to(study.data.resolve())):
        # Files elsewhere could change without the study becoming stale.
        raise InputError(
            f"{where}: no {folder!r} in the data folder {study.data}, expected a path below it. Give the folder that "
            "holds it as --data DIR, or change the study file; your-region is for one folder with the three tables."
        )
    return path


def _profiles(study: Study, kind: str) -> ProfileTables:
    if kind == "tidy-tables":
        from proda.data.readers.tidy import read_collections

        where, folders = f"{study.file}: [source] folders", study.source.get("folders", [""])
        if not (isinstance(folders, list) and folders and all(isinstance(name, str) for name in folders)):
            raise InputError(f'{where} is {folders!r}, expected a list of folders, such as ["first", "second"].')
        return read_collections([_below_data(study, name, where) for name in folders])
    if kind == "public-archive":
        from proda.data.readers.archive import read_archive_profiles

        return read_archive_profiles(study.data)
    from proda.data.readers.wosis import read_wosis_201909, read_wosis_202312, read_wosis_latest

    layouts = {"december-2023": read_wosis_202312, "september-2019": read_wosis_201909, "latest": read_wosis_latest}
    layout = study.source.get("layout")
    if layout not in layouts:
        raise InputError(f"{study.file}: [source] layout is {layout!r}, expected one of {', '.join(layouts)}.")
    return layouts[layout](study.data)


def _virtual(study: Study, folder: Path) -> Source:
    """The synthetic continent of the study's seed; its raw tables are written to `folder`/raw and read from there."""
    from proda.data.readers.tidy import read_profile_tables
    from proda.data.virtual_continent import virtual_covariates
    from proda.data.virtual_profiles import truth_dataset, virtual_continent, write_raw_profiles

    continent = virtual_continent(study_region(study), study.seed, study_configuration(study))
    dug = write_raw_profiles(continent, study["n_profiles"], study.seed, folder / "raw")
    tables = read_profile_tables(folder / "raw")
    tables = tables._replace(profiles=placed(tables.profiles, continent.cells, study["nearest_cell_degrees"]))
    on_land = tables.profiles[tables.profiles["cell"] >= 0]
    at_sites = virtual_covariates(on_land["lon"], on_land["lat"], study.seed)
    made = f"synthetic, seed {study.seed}"
    findings = _covariate_findings(continent.covariates, at_sites, PAPER_LIST, OWN_POSITION, made)
    covariates = RawCovariates(continent.cells, continent.covariates, at_sites, PAPER_LIST, findings)
    comment = f"Made for the virtual study, seed {study.seed}."
    forcing = SourcedForcing(continent.forcing, _forcing_findings(made, continent.forcing), comment)
    classes = source_table(study, "covariates").options["classes"]
    # The words of these profiles repeat a covariate: nothing of their own.
    source = _source(tables, forcing, covariates, classes, pd.DataFrame(index=range(len(on_land))))
    return source._replace(truth=lambda cleaned: truth_dataset(continent, dug, cleaned))


class RawCovariates(NamedTuple):
    """Covariates as a source has them: classes as codes."""

    cells: pd.DataFrame  # the land cells, with `land_cover` and `sand_percent`
    of_cells: pd.DataFrame  # in the order of the cells
    of_sites: pd.DataFrame  # in the order of the profiles on land
    covariates: Sequence[Covariate]
    findings: pd.DataFrame


def _by_rule(study: Study, table: SourceTable, raw: RawCovariates, cell: pd.Series) -> RawCovariates:
    """`raw` with missing values treated as the option `missing` states, and the number of those filled in the notes.

    `cell` are those of the sites.
    """
    names = [row.name for row in raw.covariates if row.name in raw.of_cells]
    nearest = table.options["missing"] == "nearest"
    for places, values in {"sites": raw.of_sites, "cells": raw.of_cells}.items():
        share = values[names].isna().mean()
        # A map of a region leaves cells out, unless these would be filled.
        if share.max() > 1 / 3 and (nearest or places == "sites"):
            raise InputError(
                f"{study.file}: [source.covariates]: {share.idxmax()} is missing at {share.max():.0%} of "
                f"{len(values):,} {places}, expected at most a third. Leave it out of the list of covariates, or give "
                "a map that covers them."
            )
    if nearest:
        names += [name for name in CELL_MAPS if name in raw.of_cells and name not in names]
        of_cells, of_sites = filled_covariates(raw.of_cells, raw.of_sites, names, raw.cells, cell)
        count = raw.findings["missing"].map("{:,} of the nearest cell with a value".format)
        notes = (raw.findings["note"] + "; " + count.where(raw.findings["missing"] > 0, "")).str.strip("; ")
        raw = raw._replace(of_cells=of_cells, of_sites=of_sites, findings=raw.findings.assign(note=notes))
    if "land_cover" in raw.cells:
        return raw
    cover, sand = (raw.of_cells[name] for name in CELL_MAPS)
    return raw._replace(cells=raw.cells.assign(land_cover=cover, sand_percent=sand))


def _source(
    tables: ProfileTables, forcing: SourcedForcing, raw: RawCovariates, treatment: str, own: pd.DataFrame
) -> Source:
    """The source of a study, its covariates in numbers."""
    numeric = numeric_covariates(raw.of_sites, raw.of_cells, raw.covariates, treatment)
    of_cells = numeric.cells.reset_index(drop=True)
    of_cells[raw.cells[["land_cover", "sand_percent"]].isna().any(axis=1).to_numpy()] = np.nan
    on_land = tables.profiles.loc[tables.profiles["cell"] >= 0, "profile_id"]
    unknown = raw.findings["variable"].map(numeric.unknown).fillna(0).astype(int)
    texts = unknown.map(lambda n: f"{n} cells of a class that no profile has" if n else "")
    notes = (raw.findings["note"] + "; " + texts).str.strip("; ")
    return Source(
        tables=tables,
        cells=raw.cells,
        forcing=forcing.forcing,
        comment=forcing.comment,
        cell_covariates=of_cells,
        site_covariates=numeric.sites.set_axis(list(on_land)),
        own_covariates=own.set_axis(list(on_land)),
        units=numeric.units,
        findings=pd.concat([forcing.findings, raw.findings.assign(note=notes)], ignore_index=True),
    )


def _covariate_findings(
    of_cells: pd.DataFrame, of_sites: pd.DataFrame, covariates: Sequence[Covariate], origin: str, source: str = ""
) -> pd.DataFrame:
    return findings_table(
        finding(f"{source or row.source}, {places}", row.name, row.unit, values[row.name], note)
        for places, values, note in (("cells", of_cells, ""), ("sites", of_sites, f"all {origin}"))
        for row in covariates
    )


def _list(study: Study, table: SourceTable) -> tuple[Covariate, ...]:
    which = table.options["list"]
    is_file = isinstance(which, str) and which not in LISTS
    return covariate_list(study.data / which if is_file else which)


def _of_grid_table(study: Study, table: SourceTable, cells: pd.DataFrame, profiles: pd.DataFrame) -> RawCovariates:
    """A profile takes the covariates of its cell."""
    from proda.data.readers.tidy import grid_covariates

    of_cells = grid_covariates(cells)
    of_sites = of_cells.iloc[profiles["cell"]].reset_index(drop=True)
    findings = _covariate_findings(of_cells, of_sites, GRID_TABLE_LIST, OF_CELL)
    return RawCovariates(cells, of_cells, of_sites, GRID_TABLE_LIST, findings)


def _of_maps(study: Study, table: SourceTable, cells: pd.DataFrame, profiles: pd.DataFrame) -> RawCovariates:
    """A cell takes the mean of its pixels or their most frequent class.

    A profile takes the pixel it lies in, where that has a value and its position is known to better than its side, else
    the value of its cell.
    """
    from proda.data.readers.rasters import covariates_from_maps

    covariates = _list(study, table)
    more = covariate_list(() if "land_cover" in cells else CELL_MAPS)
    needed = tuple({row.name: row for row in (*covariates, *more)}.values())
    of_cells = covariates_from_maps(needed, table.folder, cells["lon"], cells["lat"], resolution_of(cells))
    uncertainty = profiles["position_uncertainty"].fillna(0.0) / 1000.0
    own = covariates_from_maps(needed, table.folder, profiles["lon"], profiles["lat"], uncertainty=uncertainty).values
    of_sites = own.fillna(of_cells.values.iloc[profiles["cell"]].reset_index(drop=True))
    at_sites = [
        finding(
            f"{row.source}, sites", row.variable, row.unit, of_sites[row.variable],
            f"{own[row.variable].count():,} {OWN_POSITION}, "
            f"{of_sites[row.variable].count() - own[row.variable].count():,} {OF_CELL}",
        )
        for row in of_cells.findings.itertuples()
    ]  # fmt: skip
    of_both = [of_cells.findings.assign(source=of_cells.findings["source"] + ", cells"), findings_table(at_sites)]
    return RawCovariates(cells, of_cells.values, of_sites, covariates, pd.concat(of_both, ignore_index=True))


def _of_archive(study: Study, table: SourceTable, cells: pd.DataFrame, profiles: pd.DataFrame) -> RawCovariates:
    """A cell takes the archive's cell nearest to its centre, when that is no farther than half a cell.

    A profile of the archive takes its own row, any other the environment of its cell.
    """
    from proda.data.readers.archive import read_grid_environment, read_site_environment

    grid = read_grid_environment(table.folder)
    away, row = cKDTree(grid[["Lon", "Lat"]].to_numpy()).query(cells[["lon", "lat"]].to_numpy(), p=np.inf)
    of_cells = grid.iloc[row].reset_index(drop=True)
    of_cells[away > RESOLUTION / 2 + 1e-6] = np.nan
    if own := "archive_row" in profiles:
        of_sites = read_site_environment(table.folder).iloc[profiles["archive_row"]].reset_index(drop=True)
    else:
        of_sites = of_cells.iloc[profiles["cell"]].reset_index(drop=True)
    covariates = _list(study, table)
    covered = [row for row in covariates if row.name in of_cells]
    findings = _covariate_findings(of_cells, of_sites, covered, OWN_POSITION if own else OF_CELL)
    return RawCovariates(cells, of_cells, of_sites, covariates, findings)


SURROGATE_COMMENT = (
    "Derived from annual climate and texture, not from a land model: soil temperature = air temperature + "
    "{offset:g} K (Soil Survey Staff 1999); water potential from evaporation after Turc (1954), an assumed "
    "bucket that evaporates in proportion to its filling, and the retention curve of Clapp and Hornberger (1978) with "
    "Cosby et al. (1984); no permafrost but where the table has an active layer; annual NPP assumed to range from "
    "{low:g} to {high:g} times its mean."
)


def study_configuration(study: Study) -> Configuration:
    """The configuration of the model that the study's file names."""
    return CONFIGURATIONS[study.configuration]


def study_forcing(study: Study, cells: pd.DataFrame, covariates: pd.DataFrame) -> SourcedForcing:
    """Forcing of the study's cells in its configuration; `covariates` may hold the NPP of `paper`.

    An InputError when the study's table [source.forcing] or the source is not as expected.
    """
    from proda.data.readers.tidy import read_grid_table

    table, configuration = source_table(study, "forcing"), study_configuration(study)
    npp = table.options.get("npp")
    if configuration.monthly:
        if table.kind == GRID_TABLE:
            raise InputError(
                f"{study.file}: configuration {configuration.name!r} takes monthly forcing, and that of {GRID_TABLE} "
                "is annual. Give [source.forcing] kind 'clm-history' or 'public-archive', or set configuration 'paper'."
            )
        if "npp" in study.source["forcing"]:
            raise InputError(
                f"{study.file}: [source.forcing] npp is {npp!r}, but in configuration {configuration.name!r} carbon "
                "enters as the litter fall of the land model: leave npp out."
            )
        npp = None
    multiples = low, high = study["npp_min_multiple"], study["npp_max_multiple"]
    if table.kind == GRID_TABLE:  # NaN at a cell that the table lacks
        place, offset = ["lon", "lat"], study["soil_minus_air_temperature"]
        grid = read_grid_table(table.folder).round(dict.fromkeys(place, 3)).set_index(place)
        at_cells = grid.reindex(pd.MultiIndex.from_frame(cells[place].round(3))).reset_index()
        forcing = surrogate_forcing(at_cells, low, high, offset)
        comment = SURROGATE_COMMENT.format(offset=offset, low=low, high=high)
        return SourcedForcing(forcing, _forcing_findings("derived from grid_half_degree.csv", forcing), comment)
    if table.kind == "clm-history":
        from proda.data.readers.clm_history import forcing_from_history

        # A single year has no least and greatest; where NPP of the covariates follows, those of the run do not matter.
        ends = None if npp == "years" else multiples
        sourced = forcing_from_history(
            table.folder, cells["lon"], cells["lat"], configuration, table.options["vertical"], ends
        )
    else:
        from proda.data.readers.archive import archive_forcing

        sourced = archive_forcing(table.folder, cells["lon"], cells["lat"], configuration, multiples)
    if npp != "covariates":
        return sourced
    missing = [name for name in ("NPPmean", "NPPmin", "NPPmax") if name not in covariates]
    if missing:
        raise InputError(
            f"{study.file}: [source.forcing] npp is 'covariates', but they lack {', '.join(missing)}. Add them to the "
            "list of covariates, or choose another npp."
        )
    comment = f"{sourced.comment} NPP, and its least and greatest year, of the covariates."
    return sourced._replace(forcing=with_npp(sourced.forcing, covariates), comment=comment)


def with_npp(forcing: Forcing, covariates: pd.DataFrame) -> Forcing:
    """`forcing` with the NPP of covariates, such as that of MODIS: `NPPmean`, `NPPmin`, `NPPmax`, g C m-2 yr-1.

    Where that is missing, or not in the order least, mean, greatest, the result is NaN. A least year below zero counts
    as zero, since carbon input is not negative.
    """
    mean, least, greatest = (covariates[name].to_numpy(float) for name in ("NPPmean", "NPPmin", "NPPmax"))
    least = np.maximum(least, 0.0)
    known = (least <= mean) & (mean <= greatest) & (least < greatest)
    mean, least, greatest = (np.where(known, values, np.nan) for values in (mean, least, greatest))
    return forcing._replace(npp_mean=mean, npp_min=least, npp_max=greatest)


def _forcing_findings(source: str, forcing: AnyForcing) -> pd.DataFrame:
    return findings_table(
        finding(source, name, attributes["units"], getattr(forcing, field))
        for name, (field, _, attributes) in VARIABLES[type(forcing)].items()
    )


def _references(study: Study, cells: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Stocks of `cells` from the maps in the folder of [source.references], and the findings of them.

    The columns `ref_*` of grid_half_degree.csv are in the cells already.
    """
    from proda.data.readers import reference_maps as maps

    folder = source_table(study, "references").folder
    # The file by which each map is recognised; its reader names any other that is missing.
    readers = {
        "ocd_0-5cm_mean*.*": maps.soilgrids_2_stocks,
        maps.WISE_MAP: maps.wise30sec_stocks,
        maps.HWSD2_MAP: maps.hwsd2_stocks,
    }
    places = cells["lon"], cells["lat"], resolution_of(cells)
    made = [reader(folder, *places) for name, reader in readers.items() if any(folder.rglob(name))]
    if not made:
        raise InputError(
            f"{folder}: no reference map for [source.references] of {study.file}; expected files named like "
            f"{', '.join(readers)}."
        )
    findings = pd.concat([each.findings for each in made], ignore_index=True)
    return pd.concat([each.stocks for each in made], axis=1), findings
