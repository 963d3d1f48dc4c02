"""The sources that a study file names: profiles, covariates, forcing and reference maps, one function a kind.

Every function imports the reader that it uses, so that a change of a reader concerns only the studies that it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from proda.data.covariates import (
    GRID_TABLE_LIST,
    LAND_USE,
    LISTS,
    PAPER_LIST,
    TREATMENTS,
    Covariate,
    class_of_cover,
    covariate_frame,
    covariate_list,
    land_use_of_sites,
    numeric_covariates,
)
from proda.data.forcing import VARIABLES, surrogate_forcing
from proda.data.grid import RESOLUTION, land, land_cells, placed
from proda.data.tables import ProfileTables, SourcedForcing, finding, findings_table
from proda.errors import InputError
from proda.model.configuration import PAPER
from proda.model.forcing import Forcing
from proda.study import Study, suggestion

if TYPE_CHECKING:
    from proda.data.readers.reference_maps import ReferenceMap

GRID_TABLE = "half-degree-table"  # grid_half_degree.csv in the data folder: the default of forcing and covariates
TABLES = ("forcing", "covariates", "references")
CELL_MAPS = ("IGBP", "Sand_Content_0cm")  # land cover and sand of `grid.nc`, where covariates come from maps
NPP = {"mean": "NPPmean", "min": "NPPmin", "max": "NPPmax"}


class Source(NamedTuple):
    """The data of a study before cleaning."""

    tables: ProfileTables  # profiles with their cells (`proda.data.grid.placed`)
    cells: pd.DataFrame  # land cells in the columns of `grid.nc`
    forcing: Forcing  # of all cells; NaN where a cell has none
    comment: str  # where the forcing comes from
    cell_covariates: pd.DataFrame  # of all cells; NaN where missing
    site_covariates: pd.DataFrame  # of the profiles on land, indexed by `profile_id`, same columns
    units: dict[str, str]  # of the covariates
    findings: pd.DataFrame  # one row a variable of every source (`proda.data.tables.Finding`)
    truth: Callable[[pd.DataFrame], xr.Dataset] | None = None  # cleaned profiles -> `truth.nc`, with all cells


def study_source(study: Study, folder: Path) -> Source:
    """Raw profiles and drivers from the sources that the study's file names.

    Parameters
    ----------
    folder : path
        A study that makes its own data writes them to `raw` in it.

    Raises
    ------
    InputError
        When the study names an unknown source, or a source is not as expected.
    """
    from proda.data.readers.tidy import read_grid_table

    kind = study.source["kind"]
    for name, value in study.source.items():
        if isinstance(value, Mapping) and name not in TABLES:
            raise InputError(f"{study.file}: unknown table [source.{name}]: {suggestion(name, TABLES)}")
    if kind == "virtual":
        return _virtual(study, folder)
    if kind not in PROFILE_KINDS:
        kinds = ", ".join(["virtual", *PROFILE_KINDS])
        raise InputError(f"{study.file}: [source] kind is {kind!r}, expected one of {kinds}.")
    tables, table = PROFILE_KINDS[kind](study), _covariate_table(study)
    # Any other source of covariates covers the conterminous United States.
    cells = read_grid_table(table.folder) if table.kind == GRID_TABLE else land_cells(land())
    tables = tables._replace(profiles=placed(tables.profiles, cells, study["nearest_cell_degrees"]))
    on_land = tables.profiles[tables.profiles["cell"] >= 0]
    covariates = COVARIATE_KINDS[table.kind][1](study, table, cells, on_land)
    if covariates.land_cover is not None:
        cells = cells.assign(land_cover=covariates.land_cover, sand_percent=covariates.sand_percent)
    forcing = study_forcing(study, cells, covariates.of_cells)
    source = _source(tables, cells, forcing, covariates, table.options["classes"])
    references = study_references(study, cells)
    if references is None:
        return source
    findings = pd.concat([source.findings, references.findings], ignore_index=True)
    return source._replace(cells=cells.join(references.stocks), findings=findings)


def study_list(study: Study) -> pd.DataFrame:
    """The list of the study's covariates: name, meaning, unit, kind, source and licence."""
    if study.source["kind"] == "virtual":
        listed = covariate_frame(PAPER_LIST)
        return listed.assign(source="synthetic, in place of " + listed["source"], licence="none")
    table = _covariate_table(study)
    return covariate_frame(GRID_TABLE_LIST if table.kind == GRID_TABLE else _list(study, table))


class SourceTable(NamedTuple):
    """A table [source.forcing], [source.covariates] or [source.references] of a study file."""

    kind: str
    folder: Path  # the data folder, or the folder or file below it that the table names
    options: dict[str, Any]  # every option of the kind, as given or by default


def source_table(study: Study, name: str, kinds: Mapping[str, Mapping[str, Any]]) -> SourceTable:
    """The table [source.`name`] of the study's file.

    Parameters
    ----------
    kinds : {kind: {option: default, or tuple of choices whose first is the default}}
        The first kind is the default. Every kind but `GRID_TABLE` may name a `folder` as well.

    Raises
    ------
    InputError
        When the kind or an option is unknown, an option has an unknown value, or the folder does not exist.
    """
    where = f"{study.file}: [source.{name}]"
    given = study.source.get(name, {})
    if not isinstance(given, Mapping):
        raise InputError(f"{where} is {given!r}, expected a table, such as kind = {next(iter(kinds))!r}.")
    kind = given.get("kind", next(iter(kinds)))
    if kind not in kinds:
        raise InputError(f"{where} kind is {kind!r}, expected one of {', '.join(kinds)}.")
    allowed = dict(kinds[kind]) if kind == GRID_TABLE else {"folder": "", **kinds[kind]}
    options = {option: choices[0] if isinstance(choices, tuple) else choices for option, choices in allowed.items()}
    for option, value in given.items():
        if option == "kind":
            continue
        if option not in allowed:
            raise InputError(f"{where}: {kind} has no option {option!r}: {suggestion(option, ['kind', *allowed])}")
        if isinstance(allowed[option], tuple) and value not in allowed[option]:
            raise InputError(f"{where} {option} is {value!r}, expected one of {', '.join(allowed[option])}.")
        if not isinstance(value, str) and not (option == "list" and isinstance(value, list)):
            raise InputError(f"{where}: {option} is {value!r}, expected text, such as {options[option]!r}.")
        options[option] = value
    return SourceTable(kind, _below(study, options.pop("folder", ""), where), options)


def _below(study: Study, folder: str, where: str) -> Path:
    if study.data is None:
        return Path()  # a study that makes its own data
    path = study.data / folder
    if not path.resolve().is_relative_to(study.data.resolve()):
        # Files elsewhere could change without the study becoming stale.
        raise InputError(f"{where}: folder {folder!r} is not below the data folder {study.data}. Move it there.")
    if not path.exists():
        raise InputError(f"{where}: no {folder!r} in the data folder {study.data}.")
    return path


# Profiles and layers


def _tidy_tables(study: Study) -> ProfileTables:
    from proda.data.readers.tidy import read_profile_tables

    return read_profile_tables(study.data)


def _wosis(study: Study) -> ProfileTables:
    from proda.data.readers.wosis import read_wosis_201909, read_wosis_202312, read_wosis_latest

    layouts = {"december-2023": read_wosis_202312, "september-2019": read_wosis_201909, "latest": read_wosis_latest}
    layout = study.source.get("layout")
    if layout not in layouts:
        raise InputError(f"{study.file}: [source] layout is {layout!r}, expected one of {', '.join(layouts)}.")
    return layouts[layout](study.data)


def _archive(study: Study) -> ProfileTables:
    from proda.data.readers.archive import read_archive_profiles

    return read_archive_profiles(study.data)


PROFILE_KINDS: dict[str, Callable[[Study], ProfileTables]] = {
    "tidy-tables": _tidy_tables,
    "wosis": _wosis,
    "public-archive": _archive,
}


def _virtual(study: Study, folder: Path) -> Source:
    """The synthetic continent of the study's seed; its raw tables are written to `folder`/raw and read from there."""
    from proda.data.readers.tidy import read_profile_tables
    from proda.data.virtual_continent import virtual_covariates
    from proda.data.virtual_profiles import truth_dataset, virtual_continent, write_raw_profiles

    table = source_table(study, "covariates", {"virtual": {"classes": TREATMENTS}})
    continent = virtual_continent(study.seed)
    dug = write_raw_profiles(continent, study["n_profiles"], study.seed, folder / "raw")
    tables = read_profile_tables(folder / "raw")
    tables = tables._replace(profiles=placed(tables.profiles, continent.cells, study["nearest_cell_degrees"]))
    on_land = tables.profiles[tables.profiles["cell"] >= 0]
    at_sites = virtual_covariates(on_land["lon"], on_land["lat"], study.seed)
    made = f"synthetic, seed {study.seed}"
    findings = _covariate_findings(continent.covariates, at_sites, PAPER_LIST, made)
    covariates = RawCovariates(continent.covariates, at_sites, PAPER_LIST, findings)
    comment = f"Made for the virtual study, seed {study.seed}."
    forcing = SourcedForcing(continent.forcing, _forcing_findings(made, continent.forcing), comment)
    source = _source(tables, continent.cells, forcing, covariates, table.options["classes"])
    return source._replace(truth=lambda cleaned: truth_dataset(continent, dug, cleaned))


# Covariates


class RawCovariates(NamedTuple):
    """Covariates as a source has them: classes as codes."""

    of_cells: pd.DataFrame  # in the order of the cells
    of_sites: pd.DataFrame  # in the order of the profiles on land
    covariates: tuple[Covariate, ...]
    findings: pd.DataFrame
    land_cover: pd.Series | None = None  # of the cells, for `grid.nc`, unless the cells have it already
    sand_percent: pd.Series | None = None


def _source(
    tables: ProfileTables, cells: pd.DataFrame, forcing: SourcedForcing, raw: RawCovariates, treatment: str
) -> Source:
    """The source of a study, its covariates in numbers."""
    numeric = numeric_covariates(raw.of_sites, raw.of_cells, raw.covariates, treatment)
    of_cells = numeric.cells.reset_index(drop=True)
    of_cells[cells[["land_cover", "sand_percent"]].isna().any(axis=1).to_numpy()] = np.nan
    on_land = tables.profiles.loc[tables.profiles["cell"] >= 0, "profile_id"]
    unknown = raw.findings["variable"].map(numeric.unknown).fillna(0).astype(int)
    texts = unknown.map(lambda n: f"{n} cells of a class that no profile has" if n else "")
    notes = (raw.findings["note"] + "; " + texts).str.strip("; ")
    return Source(
        tables=tables,
        cells=cells,
        forcing=forcing.forcing,
        comment=forcing.comment,
        cell_covariates=of_cells,
        site_covariates=numeric.sites.set_axis(list(on_land)),
        units=numeric.units,
        findings=pd.concat([forcing.findings, raw.findings.assign(note=notes)], ignore_index=True),
    )


def _covariate_findings(
    of_cells: pd.DataFrame, of_sites: pd.DataFrame, covariates: Iterable[Covariate], source: str = ""
) -> pd.DataFrame:
    return findings_table(
        finding(f"{source or row.source}, {places}", row.name, row.unit, values[row.name])
        for places, values in (("cells", of_cells), ("sites", of_sites))
        for row in covariates
    )


def _covariate_table(study: Study) -> SourceTable:
    return source_table(study, "covariates", {kind: options for kind, (options, _) in COVARIATE_KINDS.items()})


def _list(study: Study, table: SourceTable) -> tuple[Covariate, ...]:
    which = table.options["list"]
    is_file = isinstance(which, str) and which not in LISTS
    return covariate_list(study.data / which if is_file else which)


def _of_grid_table(study: Study, table: SourceTable, cells: pd.DataFrame, profiles: pd.DataFrame) -> RawCovariates:
    """A profile takes the covariates of its cell; with `land_use` "own" its own land use as well."""
    from proda.data.readers.tidy import grid_covariates

    of_cells = grid_covariates(cells)
    of_sites = of_cells.iloc[profiles["cell"]].reset_index(drop=True)
    if table.options["land_use"] == "none":
        return RawCovariates(
            of_cells, of_sites, GRID_TABLE_LIST, _covariate_findings(of_cells, of_sites, GRID_TABLE_LIST)
        )
    own = land_use_of_sites(profiles["land_use"].reset_index(drop=True), of_sites["igbp_land_cover"])
    of_cells = of_cells.assign(**{LAND_USE.name: class_of_cover(of_cells["igbp_land_cover"])})
    of_sites = of_sites.assign(**{LAND_USE.name: own.classes})
    covariates = (*GRID_TABLE_LIST, LAND_USE)
    findings = _covariate_findings(of_cells, of_sites, covariates)
    note = f"{own.by_word} of {len(of_sites)} sites by the land use of their record, the others by that of their cell"
    note += f"; unknown words: {', '.join(own.unknown_words)}" if own.unknown_words else ""
    here = (findings["variable"] == LAND_USE.name) & findings["source"].str.endswith("sites")
    return RawCovariates(of_cells, of_sites, covariates, findings.assign(note=findings["note"].where(~here, note)))


def _of_maps(study: Study, table: SourceTable, cells: pd.DataFrame, profiles: pd.DataFrame) -> RawCovariates:
    """A profile takes the pixel it lies in, a cell the mean of its pixels or their most frequent class."""
    from proda.data.readers.rasters import covariates_from_maps

    covariates = _list(study, table)
    needed = tuple({row.name: row for row in (*covariates, *covariate_list(CELL_MAPS))}.values())
    of_cells = covariates_from_maps(needed, table.folder, cells["lon"], cells["lat"], RESOLUTION)
    of_sites = covariates_from_maps(needed, table.folder, profiles["lon"], profiles["lat"])
    findings = [
        each.findings.assign(source=each.findings["source"] + places)
        for each, places in ((of_cells, ", cells"), (of_sites, ", sites"))
    ]
    cover, sand = (of_cells.values[name] for name in CELL_MAPS)
    return RawCovariates(
        of_cells.values, of_sites.values, covariates, pd.concat(findings, ignore_index=True), cover, sand
    )


def _of_archive(study: Study, table: SourceTable, cells: pd.DataFrame, profiles: pd.DataFrame) -> RawCovariates:
    """A cell takes the archive's cell nearest to its centre, when that is no farther than half a cell.

    A profile of the archive takes its own row, any other the environment of its cell.
    """
    from proda.data.readers.archive import read_grid_environment, read_site_environment

    grid = read_grid_environment(table.folder)
    away, row = cKDTree(grid[["Lon", "Lat"]].to_numpy()).query(cells[["lon", "lat"]].to_numpy(), p=np.inf)
    of_cells = grid.iloc[row].reset_index(drop=True)
    of_cells[away > RESOLUTION / 2 + 1e-6] = np.nan
    if "archive_row" in profiles:
        of_sites = read_site_environment(table.folder).iloc[profiles["archive_row"]].reset_index(drop=True)
    else:
        of_sites = of_cells.iloc[profiles["cell"]].reset_index(drop=True)
    covariates = _list(study, table)
    cover, sand = (of_cells[name] for name in CELL_MAPS)
    findings = _covariate_findings(of_cells, of_sites, [row for row in covariates if row.name in of_cells])
    return RawCovariates(of_cells, of_sites, covariates, findings, cover, sand)


_CovariateReader = Callable[[Study, SourceTable, pd.DataFrame, pd.DataFrame], RawCovariates]
# The kinds of [source.covariates]: their options, and the function that reads them.
COVARIATE_KINDS: dict[str, tuple[dict[str, Any], _CovariateReader]] = {
    GRID_TABLE: ({"classes": TREATMENTS, "land_use": ("none", "own")}, _of_grid_table),
    "maps": ({"list": "paper", "classes": TREATMENTS}, _of_maps),
    "public-archive": ({"list": "binn", "classes": TREATMENTS}, _of_archive),
}


# Forcing

SURROGATE_COMMENT = (
    "Derived from annual climate and texture, not from a land model: soil temperature = air temperature + "
    "{offset:g} K (Soil Survey Staff 1999); water potential from evaporation after Turc (1954), an assumed "
    "bucket that evaporates in proportion to its filling, and the retention curve of Clapp and Hornberger (1978) with "
    "Cosby et al. (1984); no permafrost; annual NPP assumed to range from {low:g} to {high:g} times its mean."
)


def study_forcing(study: Study, cells: pd.DataFrame, covariates: pd.DataFrame) -> SourcedForcing:
    """Forcing of the study's cells, annual means of the `paper` configuration.

    Parameters
    ----------
    covariates : DataFrame
        Of the cells, as their source has them: NPP, where the study's forcing takes that of the covariates.

    Raises
    ------
    InputError
        When the study's table [source.forcing] or the source is not as expected.
    """
    table = source_table(study, "forcing", {kind: options for kind, (options, _) in FORCING_KINDS.items()})
    sourced = FORCING_KINDS[table.kind][1](study, table, cells)
    if table.options.get("npp") != "covariates":
        return sourced
    missing = [name for name in NPP.values() if name not in covariates]
    if missing:
        raise InputError(
            f"{study.file}: [source.forcing] npp is 'covariates', but they lack {', '.join(missing)}. Add them to the "
            "list of covariates, or choose another npp."
        )
    forcing = with_npp(sourced.forcing, *(covariates[name].to_numpy(float) for name in NPP.values()))
    note = "in place of the model's; missing where the three are not in order"
    findings = findings_table(
        finding("NPP of the covariates", name, "g C m-2 yr-1", getattr(forcing, f"npp_{statistic}"), note)
        for statistic, name in NPP.items()
    )
    return SourcedForcing(
        forcing,
        pd.concat([sourced.findings, findings], ignore_index=True),
        f"{sourced.comment} NPP, and its least and greatest year, of the covariates.",
    )


def with_npp(forcing: Forcing, mean: ArrayLike, least: ArrayLike, greatest: ArrayLike) -> Forcing:
    """`forcing` with another NPP, such as that of MODIS, all (n,), g C m-2 yr-1.

    Where the other NPP is missing, or not in the order least, mean, greatest, the result is NaN. A least year below
    zero counts as zero, since carbon input is not negative.
    """
    mean, least, greatest = (np.asarray(values, float) for values in (mean, least, greatest))
    low = np.maximum(least, 0.0)
    known = (low <= mean) & (mean <= greatest) & (low < greatest)
    return forcing._replace(
        npp_mean=np.where(known, mean, np.nan),
        npp_min=np.where(known, low, np.nan),
        npp_max=np.where(known, greatest, np.nan),
    )


def _forcing_findings(source: str, forcing: Forcing) -> pd.DataFrame:
    return findings_table(
        finding(source, name, attributes["units"], getattr(forcing, field))
        for name, (field, _, attributes) in VARIABLES.items()
    )


def _multiples(study: Study) -> tuple[float, float]:
    return study["npp_min_multiple"], study["npp_max_multiple"]


def _from_grid_table(study: Study, table: SourceTable, cells: pd.DataFrame) -> SourcedForcing:
    """Derived from the climate and texture of the table at the cells; NaN at a cell that the table lacks."""
    from proda.data.readers.tidy import read_grid_table

    place = ["lon", "lat"]
    grid = read_grid_table(table.folder).round(dict.fromkeys(place, 3)).set_index(place)
    at_cells = grid.reindex(pd.MultiIndex.from_frame(cells[place].round(3))).reset_index()
    (low, high), offset = _multiples(study), study["soil_minus_air_temperature"]
    forcing = surrogate_forcing(at_cells, low, high, offset)
    comment = SURROGATE_COMMENT.format(offset=offset, low=low, high=high)
    return SourcedForcing(forcing, _forcing_findings("derived from grid_half_degree.csv", forcing), comment)


def _from_history(study: Study, table: SourceTable, cells: pd.DataFrame) -> SourcedForcing:
    from proda.data.readers.clm_history import forcing_from_history

    # A single year has no least and greatest; where NPP of the covariates follows, those of the run do not matter.
    multiples = None if table.options["npp"] == "years" else _multiples(study)
    return forcing_from_history(table.folder, cells["lon"], cells["lat"], PAPER, table.options["vertical"], multiples)


def _from_archive(study: Study, table: SourceTable, cells: pd.DataFrame) -> SourcedForcing:
    from proda.data.readers.archive import archive_forcing

    return archive_forcing(table.folder, cells["lon"], cells["lat"], PAPER, _multiples(study))


_ForcingReader = Callable[[Study, SourceTable, pd.DataFrame], SourcedForcing]
# The kinds of [source.forcing]: their options, and the function that reads them.
FORCING_KINDS: dict[str, tuple[dict[str, Any], _ForcingReader]] = {
    GRID_TABLE: ({}, _from_grid_table),
    "clm-history": (
        {
            "vertical": ("match", "linear"),
            "npp": ("years", "multiples", "covariates"),
        },
        _from_history,
    ),
    "public-archive": ({"npp": ("covariates", "multiples")}, _from_archive),
}


# Reference maps


def study_references(study: Study, cells: pd.DataFrame) -> ReferenceMap | None:
    """Stocks of `cells` from the maps in the folder of [source.references]; None for a study without that table.

    The columns `ref_*` of grid_half_degree.csv are in the cells already.

    Raises
    ------
    InputError
        When the folder holds none of the maps, or one that is not as expected.
    """
    from proda.data.readers import reference_maps as maps

    if "references" not in study.source:
        return None
    folder = source_table(study, "references", {"maps": {}}).folder
    # The file by which each map is recognised; its reader names any other that is missing.
    readers = {
        "ocd_0-5cm_mean*.*": maps.soilgrids_2_stocks,
        maps.WISE_MAP: maps.wise30sec_stocks,
        maps.HWSD2_MAP: maps.hwsd2_stocks,
    }
    made = [reader(folder, cells["lon"], cells["lat"]) for name, reader in readers.items() if any(folder.rglob(name))]
    if not made:
        raise InputError(
            f"{folder}: no reference map for [source.references] of {study.file}; expected files named like "
            f"{', '.join(readers)}."
        )
    return maps.ReferenceMap(
        pd.concat([each.stocks for each in made], axis=1),
        pd.concat([each.findings for each in made], ignore_index=True),
    )
