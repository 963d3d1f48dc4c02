"""The settings of a study: defaults, replaced by the scale's, then by the user's; checked for name, type and range."""

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from proda.errors import InputError


def settings_at(
    content: Mapping[str, Any], scale: str, overrides: Mapping[str, Any], file: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every setting at ``scale`` with ``overrides`` applied, and the overrides in the settings' own types.

    Raises
    ------
    InputError
        An unknown scale or setting, or a value of the wrong type or range.
    """
    if scale not in content["scales"]:
        raise InputError(f"study {file.stem} has no scale {scale!r}: {suggestion(scale, content['scales'])}")
    defaults = content["settings"]
    at_scale = _replaced(defaults, content["scales"][scale], f"study file {file}, [scales.{scale}]")
    given = _replaced({}, overrides, f"study {file.stem}", defaults)
    return {**defaults, **at_scale, **given}, given


def suggestion(name: str, known: Iterable[str]) -> str:
    """ "did you mean 'x'? Known: ...", for the end of an error message."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return (f"did you mean {close[0]!r}? " if close else "") + "Known: " + ", ".join(names)


def _replaced(
    base: Mapping[str, Any], values: Mapping[str, Any], where: str, defaults: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """``base`` with ``values``, each converted to the type of its default."""
    defaults = base if defaults is None else defaults
    result = dict(base)
    for name, value in values.items():
        if name not in defaults:
            raise InputError(f"{where}: unknown setting {name!r}: {suggestion(name, defaults)}")
        result[name] = _converted(name, value, defaults[name], where)
    return result


def _converted(name: str, value: Any, default: Any, where: str) -> Any:
    """``value`` in the type of ``default``: text is read as TOML, 1 may stand for 1.0 and 5e4 for 50000."""
    kind = type(default)
    result = value
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        result = str(value)
    elif kind is not str and isinstance(value, str):
        try:
            result = tomllib.loads(f"value = {value.lower() if kind is bool else value}")["value"]
        except tomllib.TOMLDecodeError:
            result = value
    if kind is float and type(result) is int:
        result = float(result)
    if kind is int and type(result) is float and result.is_integer():
        result = int(result)
    if type(result) is not kind:
        raise InputError(f"{where}: {name} is {value!r}; expected {_kind_name(kind)} such as {default!r}")
    _check_range(name, result, default, where)
    return result


def _check_range(name: str, value: Any, default: Any, where: str) -> None:
    """Numbers are finite and not negative (unless the default is); shares and the dropout rate lie below 1."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if not math.isfinite(value) or (value < 0 <= default):
        raise InputError(
            f"{where}: {name} is {value!r}; expected a finite number that is not negative, such as {default!r}"
        )
    if (name.endswith("_share") or name == "dropout") and value >= 1:
        raise InputError(
            f"{where}: {name} is {value!r}; expected a share of at least 0 and below 1, such as {default!r}"
        )


def _kind_name(kind: type) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text", list: "a list"}.get(
        kind, kind.__name__
    )
