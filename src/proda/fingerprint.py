"""What decides the result of a stage: settings, seed, source table, raw data and the code that the stage runs."""

import ast
import hashlib
import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from proda.stage import ALL_STAGES, file_sha256, sha256

PACKAGE = Path(__file__).parent
# These name, print and keep results; they do not compute them.
NO_RESULT = ("", "study", "stage", "fingerprint", "errors")
HASHED_WHOLE = 256 * 2**20  # bytes; a larger raw file counts by its size and time of change


def fingerprint(
    stage: str, settings: Mapping[str, Any], source: Mapping[str, Any], configuration: str, seed: int, data: Path | None
) -> dict[str, Any]:
    """What decides the result of ``stage`` beside the stages below it: values, or their SHA-256 (hex).

    Arguments as the attributes of `proda.study.Study`.
    """
    raw = data if not ALL_STAGES[stage].upstream else None
    files = {path.relative_to(raw).as_posix(): _raw_digest(path) for path in raw_files(raw)} if raw else {}
    return {
        "study": sha256({"source": source, "configuration": configuration}),
        "seed": seed,
        "settings": settings_read(stage, settings),
        "data": sha256(files),
        "code": code_digest(ALL_STAGES[stage].code),
    }


def settings_read(stage: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings on which ``stage`` depends: those that it names, and those that no stage names.

    A setting that no stage names counts for every stage: a new one can make too much stale, never too little.
    """
    named = {name for name in settings for other in ALL_STAGES.values() if _matches(name, other.settings)}
    own = ALL_STAGES[stage].settings
    return {name: value for name, value in settings.items() if name not in named or _matches(name, own)}


@cache
def code_digest(code: tuple[str, ...], package: Path = PACKAGE) -> str:
    """SHA-256 (hex) of what the code of a stage does, without docstrings and comments.

    Counts the modules and rooms in ``code`` and all that they import, anywhere in them, within the package. What
    another stage has made counts by its content: its own module is not followed.
    """
    digests: dict[str, str] = {}
    waiting = [name for entry in code for name in _modules_of(entry, package)]
    while waiting:
        name = waiting.pop()
        path = package.joinpath(*name.split(".")).with_suffix(".py")
        if name in digests or name in NO_RESULT or not path.is_file():
            continue
        digests[name], imported = _syntax(path, path.stat().st_mtime_ns)
        waiting += [item for item in imported if ".stage" not in item]
    return sha256(digests)


def _modules_of(entry: str, package: Path) -> list[str]:
    folder = package / entry.replace(".", "/")
    if not folder.is_dir():
        return [entry]
    return [f"{entry}.{path.stem}" for path in folder.glob("*.py") if path.stem != "__init__"]


def source_digest(path: Path) -> str:
    """SHA-256 (hex) of the code of a source file, without docstrings and comments."""
    return _syntax(path, path.stat().st_mtime_ns)[0]


@cache
def _syntax(path: Path, changed: int) -> tuple[str, list[str]]:
    """`source_digest` of a module, and the names in the package that it imports."""
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
