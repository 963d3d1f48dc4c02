"""The kinds of source that a study can name: each gives raw profiles and layers, and what drives the model.

Any list of covariates from a folder of maps: the public sources it recognises, and maps of one's own.

The tables [source.forcing], [source.covariates] and [source.references] of a study file: what each says, checked.

The land cells of a study and the covariates of cells and profiles, by the kinds of source that a study can name.

The forcing of a study's land cells, by the kinds of source that a study can name.

Published maps of soil organic carbon to compare a study's results with, as columns of its grid.

What drives the model and informs the network on the land cells of a study, gathered from where its file says.
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
from proda.data.findings import SourcedForcing, finding, findings_table
from proda.data.forcing import VARIABLES, surrogate_forcing
from proda.data.grid import RESOLUTION, land, land_cells, placed
from proda.data.tables import ProfileTables
from proda.errors import InputError
from proda.model.configuration import PAPER
from proda.model.forcing import Forcing
from proda.study import Study, suggestion

if TYPE_CHECKING:
    from proda.data.readers.map_layers import Covariates, GriddedSource
    from proda.data.readers.reference_maps import ReferenceMap

NPP = ("NPPmean", "NPPmax", "NPPmin")


class Plan(NamedTuple):
    """Where the covariates of a list come from.

    Attributes
    ----------
    covariates : tuple of Covariate
    folder : Path
    sources : dict
        Source -> the covariates that are read from it.
    npp : tuple of str
        Those that are statistics of annual NPP.
    """

    covariates: tuple[Covariate, ...]
    folder: Path
    sources: dict[str, tuple[GriddedSource, list[str]]]
    npp: tuple[str, ...]


def reading_plan(covariates: Iterable[Covariate], folder: Path | str) -> Plan:
    """Which map each covariate is read from.

    A covariate that no public source has, or none in the folder, is read from a map of one's own, `<name>.tif` or
    `<name>.nc`, in the unit of the list.

    Raises
    ------
    InputError
        When there is no map for some covariates: all of them are named.
    """
    folder, covariates = Path(folder), tuple(covariates)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected the maps of the covariates in it.")
    annual = any(folder.rglob("*[Nn][Pp][Pp]*.tif"))
    sources: dict[str, tuple[GriddedSource, list[str]]] = {}
    homeless = []
    for row in covariates:
        source = _source_of(row, folder)
        if source is None and (row.name in ("Lon", "Lat") or (row.name in NPP and annual)):
            continue
        if source is None:
            homeless.append(row.name)
        else:
            sources.setdefault(source.name, (source, []))[1].append(row.name)
    if homeless:
        raise InputError(
            f"{folder}: no map of {', '.join(homeless)}. Put the public files there under their own names (README of "
            f"the folder data), or maps of your own named like {homeless[0]}.tif, or leave these out of the list of "
            "covariates."
        )
    placed = {name for _, found in sources.values() for name in found}
    npp = tuple(row.name for row in covariates if row.name in NPP and row.name not in placed)
    return Plan(covariates, folder, sources, npp)


def _source_of(row: Covariate, folder: Path) -> GriddedSource | None:
    from proda.data.readers.map_layers import SOURCES, GriddedSource, Layer

    for source in SOURCES.values():
        for layer in source.layers:
            if layer.name == row.name and any(folder.rglob(layer.pattern)):
                return source
    for ending in ("tif", "nc"):
        if any(folder.rglob(f"{row.name}.{ending}")):
            own = Layer(row.name, f"{row.name}.{ending}", row.unit, -np.inf, np.inf, classes=row.kind == "categorical")
            return GriddedSource(f"map of {row.name}", row.source, row.licence, (own,))
    return None


def covariates_of_places(plan: Plan, lon: ArrayLike, lat: ArrayLike) -> Covariates:
    """Covariates of places, in the order of the list, NaN where a map has no value."""
    from proda.data.readers.map_layers import NPP_YEARS, covariates_at, npp_at

    return _collected(
        plan, lon, lat, lambda source, names: covariates_at(source, plan.folder, lon, lat, names),
        lambda: npp_at(plan.folder, lon, lat, NPP_YEARS),
    )  # fmt: skip


def covariates_of_grid(plan: Plan, lon: ArrayLike, lat: ArrayLike, resolution: float = RESOLUTION) -> Covariates:
    """Covariates of grid cells, in the order of the list: means of numbers, the most frequent class."""
    from proda.data.readers.map_layers import NPP_YEARS, covariates_of_cells, npp_of_cells

    return _collected(
        plan, lon, lat, lambda source, names: covariates_of_cells(source, plan.folder, lon, lat, names, resolution),
        lambda: npp_of_cells(plan.folder, lon, lat, NPP_YEARS, resolution),
    )  # fmt: skip


def _collected(
    plan: Plan,
    lon: ArrayLike,
    lat: ArrayLike,
    from_source: Callable[[GriddedSource, list[str]], Covariates],
    from_npp: Callable[[], Covariates],
) -> Covariates:
    from proda.data.readers.map_layers import Covariates

    parts = [from_source(source, names) for source, names in plan.sources.values()]
    if plan.npp:
        npp = from_npp()
        wanted = npp.findings[npp.findings["variable"].isin(plan.npp)]
        parts.append(Covariates(npp.values[list(plan.npp)], wanted))
    values = pd.concat([part.values for part in parts], axis=1) if parts else pd.DataFrame(index=range(np.size(lon)))
    values["Lon"], values["Lat"] = np.asarray(lon, float), np.asarray(lat, float)
    names = [row.name for row in plan.covariates]
    found = pd.concat([part.findings for part in parts], ignore_index=True) if parts else pd.DataFrame()
    return Covariates(values[names], found)


GRID_TABLE = "half-degree-table"  # grid_half_degree.csv in the data folder: where all comes from unless a study says
TABLES = ("forcing", "covariates", "references")


class SourceTable(NamedTuple):
    """One of the tables.

    Attributes
    ----------
    kind : str
    folder : Path
        The data folder, or the folder or file below it that the table names.
    options : dict
        Every option of the kind, as given or by default.
    """

    kind: str
    folder: Path
    options: dict[str, Any]


def source_table(study: Study, name: str, kinds: Mapping[str, Mapping[str, Any]]) -> SourceTable:
    """The table [source.`name`] of the study's file.

    Parameters
    ----------
    kinds : {kind: {option: default}}
        The first kind is that of a study without the table. Every kind but `GRID_TABLE` may name a `folder` as well.

    Raises
    ------
    InputError
        When the kind or an option is unknown, an option is of another type, or the folder is not there.
    """
    where = f"{study.file}: [source.{name}]"
    given = study.source.get(name, {})
    if not isinstance(given, Mapping):
        raise InputError(f"{where} is {given!r}, expected a table, such as kind = {next(iter(kinds))!r}.")
    kind = given.get("kind", next(iter(kinds)))
    if kind not in kinds:
        raise InputError(f"{where} kind is {kind!r}, expected one of {', '.join(kinds)}.")
    defaults = dict(kinds[kind]) if kind == GRID_TABLE else {"folder": "", **kinds[kind]}
    options = {key: value for key, value in given.items() if key != "kind"}
    for key, value in options.items():
        if key not in defaults:
            raise InputError(f"{where}: {kind} has no option {key!r}: {suggestion(key, ['kind', *defaults])}")
        # A list may stand where its name may.
        if not isinstance(value, type(defaults[key])) and not (key == "list" and isinstance(value, list)):
            raise InputError(f"{where}: {key} is {value!r}, expected text, such as {defaults[key]!r}.")
    options = {**defaults, **options}
    return SourceTable(kind, _below(study, options.pop("folder", ""), where), options)


def chosen(table: SourceTable, option: str, choices: tuple[str, ...], study: Study, name: str) -> str:
    """The value of an option that is one of `choices`.

    Raises
    ------
    InputError
        When it is none of them.
    """
    value = table.options[option]
    if value not in choices:
        raise InputError(f"{study.file}: [source.{name}] {option} is {value!r}, expected one of {', '.join(choices)}.")
    return value


def data_folder(study: Study) -> Path:
    """The folder of the study's raw files.

    Raises
    ------
    InputError
        When it has none.
    """
    if study.data is None:
        raise InputError(f"study {study.name} reads its tables from a folder: give it with --data DIR.")
    return study.data


def check_table_names(study: Study) -> None:
    """Refuse a table in [source] that is none of `TABLES`, such as one with a slip in its name."""
    for name, value in study.source.items():
        if isinstance(value, Mapping) and name not in TABLES:
            raise InputError(f"{study.file}: unknown table [source.{name}]: {suggestion(name, TABLES)}")


def _below(study: Study, folder: str, where: str) -> Path:
    if study.data is None:
        return Path()  # a study that makes its own data
    path = study.data / folder
    if not path.resolve().is_relative_to(study.data.resolve()):
        # What lies elsewhere could change without the study becoming stale.
        raise InputError(f"{where}: folder {folder!r} is not below the data folder {study.data}. Move it there.")
    if not path.exists():
        raise InputError(f"{where}: no {folder!r} in the data folder {study.data}.")
    return path


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
    findings : DataFrame
    """

    cells: pd.DataFrame
    raw: pd.DataFrame
    of_cells: pd.DataFrame
    of_sites: pd.DataFrame
    units: dict[str, str]
    findings: pd.DataFrame


class Raw(NamedTuple):
    """Covariates as a source has them.

    Attributes
    ----------
    of_cells, of_sites : DataFrame
        In the order of the cells, and of the profiles on land.
    covariates : tuple of Covariate
    land_cover, sand_percent : str
        The columns of `of_cells` that `grid.nc` takes them from; empty where the cells have them already.
    findings : DataFrame or None
    """

    of_cells: pd.DataFrame
    of_sites: pd.DataFrame
    covariates: tuple[Covariate, ...]
    land_cover: str = ""
    sand_percent: str = ""
    findings: pd.DataFrame | None = None


def study_cells(study: Study) -> pd.DataFrame:
    """The land cells: those of grid_half_degree.csv, or of the conterminous United States for any other source."""
    from proda.data.readers.tidy import read_grid_table

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
    raw = COVARIATE_KINDS[table.kind][1](study, table, cells, placed)
    return in_numbers(cells, raw, placed["profile_id"], treatment)


def in_numbers(cells: pd.DataFrame, raw: Raw, profile_id: Iterable[str], treatment: str) -> StudyCovariates:
    """Covariates as a network takes them, and what `grid.nc` needs of the cells."""
    numeric = numeric_covariates(raw.of_sites, raw.of_cells, raw.covariates, treatment)
    of_cells = numeric.cells.reset_index(drop=True)
    if raw.land_cover:
        of_cells.loc[raw.of_cells[[raw.land_cover, raw.sand_percent]].isna().any(axis=1).to_numpy()] = np.nan
        cover, sand = (raw.of_cells[name].to_numpy() for name in (raw.land_cover, raw.sand_percent))
        cells = cells.assign(land_cover=cover, sand_percent=sand)
    found = _found(raw) if raw.findings is None else raw.findings
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
    return findings_table(rows)


def _table(study: Study) -> SourceTable:
    return source_table(study, "covariates", {kind: defaults for kind, (defaults, _) in COVARIATE_KINDS.items()})


def _list(study: Study, table: SourceTable) -> tuple[Covariate, ...]:
    which = table.options["list"]
    is_file = isinstance(which, str) and which not in LISTS
    return covariate_list(data_folder(study) / which if is_file else which)


def _of_grid_table(study: Study, table: SourceTable, cells: pd.DataFrame, profiles: pd.DataFrame) -> Raw:
    """A profile takes the covariates of its cell; with `land_use` "own" its own land use as well."""
    from proda.data.readers.tidy import grid_covariates

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
    return raw._replace(findings=found.assign(note=found["note"].where(~here, told + unknown)))


def _of_maps(study: Study, table: SourceTable, cells: pd.DataFrame, profiles: pd.DataFrame) -> Raw:
    """A profile takes the pixel it lies in, a cell the mean of its pixels or their most frequent class."""
    covariates = _list(study, table)
    needed = {row.name: row for row in (*covariates, *covariate_list(CELL_MAPS))}
    plan = reading_plan(needed.values(), table.folder)
    of_cells = covariates_of_grid(plan, cells["lon"], cells["lat"])
    of_sites = covariates_of_places(plan, profiles["lon"].to_numpy(float), profiles["lat"].to_numpy(float))
    found = [
        f.assign(source=f["source"] + of) for f, of in ((of_cells.findings, ", cells"), (of_sites.findings, ", sites"))
    ]
    return Raw(of_cells.values, of_sites.values, covariates, *CELL_MAPS, pd.concat(found, ignore_index=True))


def _of_archive(study: Study, table: SourceTable, cells: pd.DataFrame, profiles: pd.DataFrame) -> Raw:
    """A cell takes the archive's cell nearest to its centre, when that is no farther than half a cell.

    A profile of the archive takes its own row, any other the environment of its cell.
    """
    from proda.data.readers.archive import read_grid_environment, read_site_environment

    grid = read_grid_environment(table.folder)
    away, row = cKDTree(grid[["Lon", "Lat"]].to_numpy()).query(cells[["lon", "lat"]].to_numpy(), p=np.inf)
    of_cells = grid.iloc[row].reset_index(drop=True)
    of_cells[away > RESOLUTION / 2 + 1e-6] = np.nan
    if "archive_row" in profiles:
        of_sites = read_site_environment(table.folder).iloc[profiles["archive_row"]]
    else:
        of_sites = of_cells.iloc[profiles["cell"]]
    return Raw(of_cells, of_sites.reset_index(drop=True), _list(study, table), *CELL_MAPS)


_CovariateReader = Callable[[Study, SourceTable, pd.DataFrame, pd.DataFrame], Raw]
# What [source.covariates] may name: its options with their defaults, and its reader.
COVARIATE_KINDS: dict[str, tuple[dict[str, str], _CovariateReader]] = {
    GRID_TABLE: ({"classes": "one-hot", "land_use": "none"}, _of_grid_table),
    "maps": ({"list": "paper", "classes": "one-hot"}, _of_maps),
    "public-archive": ({"list": "binn", "classes": "one-hot"}, _of_archive),
}


SURROGATE_COMMENT = (
    "Derived from annual climate and texture, not from a land model: soil temperature = air temperature + "
    "{offset:g} K (Soil Survey Staff 1999); water potential from evaporation after Turc (1954), an assumed "
    "bucket that evaporates in proportion to its filling, and the retention curve of Clapp and Hornberger (1978) with "
    "Cosby et al. (1984); no permafrost; annual NPP assumed to range from {low:g} to {high:g} times its mean."
)
_NPP = ("NPPmean", "NPPmin", "NPPmax")


def study_forcing(study: Study, covariates: StudyCovariates) -> SourcedForcing:
    """Forcing of the study's cells, annual means for the `paper` configuration, which is the one that studies run.

    Raises
    ------
    InputError
        When the study's table [source.forcing] or the source is not what it should be.
    """
    table = source_table(study, "forcing", {kind: defaults for kind, (defaults, _) in FORCING_KINDS.items()})
    sourced = FORCING_KINDS[table.kind][1](study, table, covariates.cells)
    if table.options.get("npp") != "covariates":
        return sourced
    missing = [name for name in _NPP if name not in covariates.raw]
    if missing:
        raise InputError(
            f"{study.file}: [source.forcing] npp is 'covariates', but they lack {', '.join(missing)}. Add them to the "
            "list of covariates, or choose another npp."
        )
    mean, least, greatest = (covariates.raw[name].to_numpy(float) for name in _NPP)
    forcing = with_npp(sourced.forcing, mean, least, greatest)
    note = "in place of the model's; missing where the three are not in order"
    names = (("npp_mean", "NPPmean"), ("npp_min", "NPPmin"), ("npp_max", "NPPmax"))
    rows = [finding("NPP of the covariates", name, "g C m-2 yr-1", getattr(forcing, of), note) for of, name in names]
    found = pd.concat([sourced.findings, findings_table(rows)], ignore_index=True)
    return SourcedForcing(forcing, found, f"{sourced.comment} NPP, and its least and greatest year, of the covariates.")


def with_npp(forcing: Forcing, mean: ArrayLike, least: ArrayLike, greatest: ArrayLike) -> Forcing:
    """`forcing` with another NPP, such as that of MODIS, all (n,), g C m-2 yr-1.

    A column whose NPP is missing in the other source, or not in the order least, mean, greatest, has none: NaN, never
    the old one. A least year below zero counts as zero, for carbon input is not negative.
    """
    mean, least, greatest = (np.asarray(values, float) for values in (mean, least, greatest))
    for name, values in (("mean", mean), ("least", least), ("greatest", greatest)):
        if values.shape != (forcing.n_columns,):
            raise InputError(f"{name} NPP has shape {values.shape}, expected ({forcing.n_columns},), one a column.")
    low = np.maximum(least, 0.0)
    known = (low <= mean) & (mean <= greatest) & (low < greatest)
    return forcing._replace(
        npp_mean=np.where(known, mean, np.nan),
        npp_min=np.where(known, low, np.nan),
        npp_max=np.where(known, greatest, np.nan),
    )


def forcing_found(source: str, forcing: Forcing) -> pd.DataFrame:
    """What forcing that was made, not read, holds: one row a variable of `forcing.nc`."""
    rows = [
        finding(source, name, attributes["units"], getattr(forcing, field))
        for name, (field, _, attributes) in VARIABLES.items()
    ]
    return findings_table(rows)


def _multiples(study: Study) -> tuple[float, float]:
    return study["npp_min_multiple"], study["npp_max_multiple"]


def _from_grid_table(study: Study, table: SourceTable, cells: pd.DataFrame) -> SourcedForcing:
    """Derived from the climate and the texture that the table has at the cells; NaN at a cell that it does not have."""
    from proda.data.readers.tidy import read_grid_table

    place = ["lon", "lat"]
    grid = read_grid_table(table.folder).round(dict.fromkeys(place, 3)).set_index(place)
    at_cells = grid.reindex(pd.MultiIndex.from_frame(cells[place].round(3))).reset_index()
    (low, high), offset = _multiples(study), study["soil_minus_air_temperature"]
    forcing = surrogate_forcing(at_cells, low, high, offset)
    comment = SURROGATE_COMMENT.format(offset=offset, low=low, high=high)
    return SourcedForcing(forcing, forcing_found("derived from grid_half_degree.csv", forcing), comment)


def _from_history(study: Study, table: SourceTable, cells: pd.DataFrame) -> SourcedForcing:
    from proda.data.readers.clm_history import forcing_from_history

    npp = chosen(table, "npp", ("years", "multiples", "covariates"), study, "forcing")
    # A single year has no least and greatest; where NPP of the covariates follows, those of the run do not matter.
    multiples = None if npp == "years" else _multiples(study)
    method, vertical = (table.options[name] for name in ("method", "vertical"))
    return forcing_from_history(table.folder, cells["lon"], cells["lat"], PAPER, method, vertical, multiples)


def _from_archive(study: Study, table: SourceTable, cells: pd.DataFrame) -> SourcedForcing:
    from proda.data.readers.archive import archive_forcing

    chosen(table, "npp", ("covariates", "multiples"), study, "forcing")
    return archive_forcing(table.folder, cells["lon"], cells["lat"], PAPER, _multiples(study))


_ForcingReader = Callable[[Study, SourceTable, pd.DataFrame], SourcedForcing]
# What [source.forcing] may name: its options with their defaults, and its reader.
FORCING_KINDS: dict[str, tuple[dict[str, str], _ForcingReader]] = {
    GRID_TABLE: ({}, _from_grid_table),
    "clm-history": ({"method": "nearest", "vertical": "match", "npp": "years"}, _from_history),
    "public-archive": ({"npp": "covariates"}, _from_archive),
}


def _reference_readers() -> dict[str, Callable[..., ReferenceMap]]:
    """The file by which each map is recognised: its reader, which names any other file that is missing."""
    from proda.data.readers import reference_maps as maps

    return {
        "ocd_0-5cm_mean*.*": maps.soilgrids_2_stocks,
        "OCSTHA_M_sd1_*_ll.tif": maps.soilgrids_2017_stocks,
        maps.WISE_MAP: maps.wise30sec_stocks,
        "AWT_T_SOC.nc4": maps.hwsd_stocks,
        maps.HWSD2_MAP: maps.hwsd2_stocks,
    }


def study_references(study: Study, cells: pd.DataFrame) -> ReferenceMap:
    """Stocks of `cells` from the maps in the folder of [source.references]; none for a study without that table.

    The columns `ref_*` of grid_half_degree.csv are in the cells already.

    Raises
    ------
    InputError
        When the folder holds none of the maps, or one that is not what it should be.
    """
    from proda.data.readers.reference_maps import ReferenceMap

    if "references" not in study.source:
        return ReferenceMap(pd.DataFrame(index=cells.index), findings_table([]))
    table = source_table(study, "references", {"maps": {}})
    maps = references_of_grid(table.folder, cells["lon"], cells["lat"])
    if maps.stocks.empty:
        raise InputError(
            f"{table.folder}: no map to compare with, as [source.references] of {study.file} says; expected files "
            f"named like {', '.join(_reference_readers())}."
        )
    return maps


def references_of_grid(
    folder: Path | str, lon: ArrayLike, lat: ArrayLike, resolution: float = RESOLUTION
) -> ReferenceMap:
    """Stocks of the cells centred at `lon`, `lat` (degrees) from all maps below `folder`; no columns without any."""
    from proda.data.readers.reference_maps import ReferenceMap

    maps = [
        reader(folder, lon, lat, resolution=resolution)
        for pattern, reader in _reference_readers().items()
        if any(Path(folder).rglob(pattern))
    ]
    if not maps:
        return ReferenceMap(pd.DataFrame(index=range(len(lon))), findings_table([]))
    return ReferenceMap(
        pd.concat([each.stocks for each in maps], axis=1),
        pd.concat([each.findings for each in maps], ignore_index=True),
    )


class Drivers(NamedTuple):
    """What drives the model and informs the network, at the land cells.

    Attributes
    ----------
    cells : DataFrame
        Land cells in the columns of `grid.nc`.
    forcing : Forcing
        Of all cells; NaN where a cell has none.
    cell_covariates : DataFrame
        Of all cells; NaN where missing.
    site_covariates : DataFrame
        Of the profiles on land, indexed by `profile_id`, same columns.
    units : dict
        Of the covariates.
    comment : str
        Where the forcing comes from.
    findings : DataFrame
        One row a variable of every source (`proda.data.findings.Finding`), with what is missing.
    """

    cells: pd.DataFrame
    forcing: Forcing
    cell_covariates: pd.DataFrame
    site_covariates: pd.DataFrame
    units: dict[str, str]
    comment: str
    findings: pd.DataFrame

    def covariates_of(self, profile_id: Iterable[str]) -> pd.DataFrame:
        """Covariates of profiles, in their order; NaN for one that has none."""
        return self.site_covariates.reindex(list(profile_id)).reset_index(drop=True)


def study_drivers(study: Study, cells: pd.DataFrame, profiles: pd.DataFrame) -> Drivers:
    """Drivers of `cells` and `profiles` from the sources that the study's file names.

    Parameters
    ----------
    cells : DataFrame
        `proda.data.sources.study_cells`.
    profiles : DataFrame
        Raw, with `cell` (`proda.data.grid.placed`).
    """
    covariates = study_covariates(study, cells, profiles)
    forcing = study_forcing(study, covariates)
    references = study_references(study, cells)
    return Drivers(
        cells=covariates.cells.join(references.stocks),
        forcing=forcing.forcing,
        cell_covariates=covariates.of_cells,
        site_covariates=covariates.of_sites,
        units=covariates.units,
        comment=forcing.comment,
        findings=pd.concat([forcing.findings, covariates.findings, references.findings], ignore_index=True),
    )


class Source(NamedTuple):
    """What a study provides before cleaning.

    Attributes
    ----------
    tables : ProfileTables
        Profiles with their places (`proda.data.grid.placed`).
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
    from proda.data.readers.tidy import read_profile_tables
    from proda.data.virtual_continent import virtual_covariates
    from proda.data.virtual_profiles import truth_dataset, virtual_continent, write_raw_profiles

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
    found = covariates.findings.assign(source=made + covariates.findings["source"].str.extract(r"(, \w+)$")[0])
    drivers = Drivers(
        cells=continent.cells,
        forcing=continent.forcing,
        cell_covariates=covariates.of_cells,
        site_covariates=covariates.of_sites,
        units=covariates.units,
        comment=f"Made for the virtual study, seed {study.seed}.",
        findings=pd.concat([forcing_found(made, continent.forcing), found], ignore_index=True),
    )
    return Source(
        ProfileTables(profiles, tables.layers), drivers, lambda cleaned: truth_dataset(continent, dug, cleaned)
    )


def _wosis(study: Study) -> ProfileTables:
    """From a download of WoSIS in the study's data folder, in the layout that [source] names."""
    from proda.data.readers.wosis import read_wosis_201909, read_wosis_202312, read_wosis_latest

    layouts = {"december-2023": read_wosis_202312, "september-2019": read_wosis_201909, "latest": read_wosis_latest}
    layout = study.source.get("layout")
    if layout not in layouts:
        raise InputError(f"{study.file}: [source] layout is {layout!r}, expected one of {', '.join(layouts)}.")
    return layouts[layout](data_folder(study))


def _tidy_tables(study: Study) -> ProfileTables:
    from proda.data.readers.tidy import read_profile_tables

    return read_profile_tables(data_folder(study))


def _archive(study: Study) -> ProfileTables:
    from proda.data.readers.archive import read_archive_profiles

    return read_archive_profiles(data_folder(study))


# Where profiles and layers come from.
PROFILES: dict[str, Callable[[Study], ProfileTables]] = {
    "tidy-tables": _tidy_tables,
    "wosis": _wosis,
    "public-archive": _archive,
}
