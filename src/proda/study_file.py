"""Where studies are: the clone, the TOML file of a study, and the folder of its raw tables."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from proda.errors import InputError
from proda.settings import suggestion

REQUIRED = {"title": str, "seed": int, "source": dict, "settings": dict, "scales": dict}
OPTIONAL = {"description": str, "configuration": str}
CONFIGURATIONS = ("paper", "cesm2")


def repository_root() -> Path:
    """The clone with ``data/studies`` and ``notebooks``: the one that the package lies in, else one around here.

    Raises
    ------
    InputError
        When neither is a clone of the compendium.
    """
    here = Path(__file__).resolve()
    for folder in (here.parents[2], Path.cwd(), *Path.cwd().parents):
        if (folder / "data" / "studies").is_dir() and (folder / "notebooks").is_dir():
            return folder
    raise InputError(
        f"no folder with data/studies and notebooks around {here.parents[2]} or {Path.cwd()}: "
        "install the package from a clone (pip install -e .) or change to one"
    )


def study_file(study: str | Path) -> Path:
    """The TOML file of a study, from its name or its path."""
    text = str(study)
    if text.endswith(".toml") or os.sep in text:
        path = Path(text).expanduser().resolve()
        if not path.is_file():
            raise InputError(f"study file {path} does not exist")
        return path
    shipped = {path.stem: path for path in (repository_root() / "data" / "studies").glob("*.toml")}
    if text not in shipped:
        raise InputError(f"unknown study {text!r}: {suggestion(text, shipped)}; or give the path of a TOML file")
    return shipped[text]


def data_folder(file: Path, source: Mapping[str, Any], data: str | Path) -> Path | None:
    """The folder of the raw tables: as given, else ``folder`` of the [source] table, relative to the study file."""
    if source["kind"] == "virtual":
        if str(data):
            raise InputError(f"study {file.stem} makes its own data: leave --data {data} out, or name another study")
        return None
    if not str(data) and "folder" not in source:
        raise InputError(f"study {file.stem} reads its tables from a folder: give it with --data DIR")
    folder = Path(data).expanduser().resolve() if str(data) else (file.parent / source["folder"]).resolve()
    if not folder.is_dir():
        raise InputError(
            f"data folder {folder} does not exist; give the one with the tables of {file.stem} as --data DIR"
        )
    if not any(path.is_file() for path in folder.rglob("*")):
        raise InputError(f"data folder {folder} is empty; give the one with the tables of {file.stem} as --data DIR")
    return folder


def read_study_file(path: Path) -> dict[str, Any]:
    """The content of a study file, checked for its tables.

    Raises
    ------
    InputError
        Names the file and the entry at fault.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"study file {path} is not valid TOML: {error}") from error
    for name, kind in {**REQUIRED, **OPTIONAL}.items():
        if name not in content:
            if name in REQUIRED:
                raise InputError(f"study file {path} has no {name!r}: add {_example(name, kind)}")
        elif type(content[name]) is not kind:
            raise InputError(f"study file {path}: {name} is {content[name]!r}; expected {_example(name, kind)}")
    for name in content:
        if name not in REQUIRED and name not in OPTIONAL:
            raise InputError(f"study file {path}: unknown entry {name!r}: {suggestion(name, [*REQUIRED, *OPTIONAL])}")
    if content.get("configuration", "paper") not in CONFIGURATIONS:
        raise InputError(
            f"study file {path}: configuration is {content['configuration']!r}; expected one of {CONFIGURATIONS}"
        )
    if not isinstance(content["source"].get("kind"), str):
        raise InputError(
            f'study file {path}: the [source] table has no kind: add kind = "virtual", "tidy-tables" or "wosis"'
        )
    return content


def _example(name: str, kind: type) -> str:
    return {str: f'{name} = "..."', int: f"{name} = 20200017", dict: f"a [{name}] table"}[kind]
