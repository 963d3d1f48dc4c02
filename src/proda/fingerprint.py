"""What decides the result of a stage: settings, seed, source table, raw data and the code that the stage runs."""

import ast
import hashlib
import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from proda.stage import ALL_STAGES, DATA, PROJECTIONS, file_sha256, sha256

PACKAGE = Path(__file__).parent
# These name, print and keep results; they do not compute them.
NO_RESULT = ("", "study", "stage", "fingerprint", "errors", "workers")
# Modules of stage 1 that count only for a study whose [source] tables name one of these kinds. The first holds for
# every study: "half-degree-table" is what forcing and covariates are read from unless the study file names another.
SOURCE_MODULES: dict[str, tuple[str, ...]] = {
    "virtual": ("data.virtual_continent", "data.virtual_profiles"),
    "half-degree-table": ("data.readers.tidy",), "tidy-tables": ("data.readers.tidy",),
    "wosis": ("data.readers.wosis",), "public-archive": ("data.readers.archive",),
    "clm-history": ("data.readers.clm_history",), "maps": ("data.readers.rasters",),
    "references": ("data.readers.reference_maps",),
}  # fmt: skip
_OF_SOME_SOURCES = ("data.readers.", "data.virtual_")
# Tables of the repository that a stage reads.
SHIPPED = {
    DATA: ("data/covariates.csv", "data/outlines/us_states_10m.topojson", "data/outlines/countries_50m.parquet"),
    "06-final-figures": ("data/clm5_parameters.csv",),
}
HASHED_WHOLE = 256 * 2**20  # bytes; a larger raw file counts by its size and time of change


def fingerprint(
    stage: str, settings: Mapping[str, Any], source: Mapping[str, Any], configuration: str, seed: int, data: Path | None
) -> dict[str, Any]:
    """What decides the result of ``stage`` beside the stages below it: values, or their SHA-256 (hex)."""
    files = {path.relative_to(data).as_posix(): _raw_digest(path) for path in _files_read(stage, source, data)}
    files |= {f"shipped {name}": file_sha256(PACKAGE.parents[1] / name) for name in SHIPPED.get(stage, ())}
    if stage != PROJECTIONS:
        source = {name: table for name, table in source.items() if name != "projections"}
    return {
        "study": sha256({"source": source, "configuration": configuration}),
        "seed": seed,
        "settings": settings_read(stage, settings),
        "data": sha256(files),
        "code": code_digest(ALL_STAGES[stage].code, source_kinds(source) if stage == DATA else ()),
    }


def _files_read(stage: str, source: Mapping[str, Any], data: Path | None) -> list[Path]:
    """The raw files on which ``stage`` depends: yearly forcing for projections, else those that stage 1 reads."""
    folder = dict(source.get("projections", {})).get("folder", "")
    if data is None or (ALL_STAGES[stage].upstream and not (stage == PROJECTIONS and "projections" in source)):
        return []
    if stage == PROJECTIONS:
        return raw_files(data / folder)
    if source["kind"] == "virtual":
        return []
    return [path for path in raw_files(data) if not (folder and path.is_relative_to(data / folder))]


def settings_read(stage: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings on which ``stage`` depends: those that it names, and those that no stage names."""
    named = {name for name in settings for other in ALL_STAGES.values() if _matches(name, other.settings)}
    own = ALL_STAGES[stage].settings
    return {name: value for name, value in settings.items() if name not in named or _matches(name, own)}


def source_kinds(source: Mapping[str, Any]) -> tuple[str, ...]:
    """The kinds in the [source] tables of a study, with "references" where it has maps to compare with."""
    kinds = {"half-degree-table", source["kind"]} | {"references"} & set(source)
    kinds |= {table["kind"] for table in source.values() if isinstance(table, Mapping) and "kind" in table}
    return tuple(sorted(kinds))


@lru_cache(maxsize=64)
def code_digest(code: tuple[str, ...], kinds: tuple[str, ...] = (), package: Path = PACKAGE) -> str:
    """SHA-256 (hex) of what the code of a stage does, without docstrings and comments.

    Counts the modules and rooms in ``code`` and what they import from the package, of the readers only those of these
    ``kinds`` of source. What another stage has made counts by its content: its own module is not followed.
    """
    digests: dict[str, str] = {}
    waiting = [name for entry in code for name in _modules_of(entry, package)]
    of_sources = [name for kind in kinds for name in SOURCE_MODULES.get(kind, ())]
    while waiting or of_sources:
        name = waiting.pop() if waiting else of_sources.pop()
        path = package.joinpath(*name.split(".")).with_suffix(".py")
        if name in digests or name in NO_RESULT or not path.is_file():
            continue
        digests[name], imported = _syntax(path, path.stat().st_mtime_ns)
        if name.startswith(_OF_SOME_SOURCES):
            of_sources += imported
        else:
            waiting += [item for item in imported if not item.startswith(_OF_SOME_SOURCES) and ".stage" not in item]
    return sha256(digests)


def _modules_of(entry: str, package: Path) -> list[str]:
    folder = package / entry.replace(".", "/")
    if not folder.is_dir():
        return [entry]
    return [f"{entry}.{path.stem}" for path in folder.glob("*.py") if path.stem != "__init__"]


def source_digest(path: Path) -> str:
    return _syntax(path, path.stat().st_mtime_ns)[0]


@cache
def _syntax(path: Path, changed: int) -> tuple[str, list[str]]:
    """SHA-256 (hex) of a module without docstrings and comments, and the names in the package that it imports."""
    tree = ast.parse(path.read_bytes())
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            imported |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    names = sorted(name.removeprefix("proda.") for name in imported if name.startswith("proda."))
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), names


def raw_files(folder: Path) -> list[Path]:
    """The raw data files in and below ``folder``, sorted; a study folder that lies there is no raw data."""
    files = []
    for place, below, names in os.walk(folder):
        below[:] = [name for name in below if not _is_study_folder(Path(place, name))]
        files += [Path(place, name) for name in names]
    return sorted(path for path in files if path.is_file())


def _is_study_folder(folder: Path) -> bool:
    return (folder / "run.json").is_file() or any((folder / "stages").glob("*.json"))


def _raw_digest(path: Path) -> str:
    state = path.stat()
    if state.st_size > HASHED_WHOLE:
        return f"{state.st_size} bytes, changed {state.st_mtime_ns}"
    return file_sha256(path)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
