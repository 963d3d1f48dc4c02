"""The tables [source.forcing], [source.covariates] and [source.references] of a study file: what each says, checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from proda.errors import InputError
from proda.settings import suggestion
from proda.study import Study

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
