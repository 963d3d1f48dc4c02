"""Fields of a JSON file of reference cases, or what is wrong with them: the file, the case and the field are named."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proda.errors import InputError


def case_records(path: Path) -> dict[str, dict]:
    """The cases of a file by where they stand in it, ``"cases.json: case_000"``, each a nested dictionary with an `id`.

    Raises
    ------
    InputError
        When the file is not JSON, holds no list of cases, or a case has no name of its own.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not readable JSON ({error}). Is the file cut short?") from error
    cases = content.get("cases") if isinstance(content, dict) else None
    if not isinstance(cases, list) or not cases:
        expected = "expected at least one" if cases == [] else "expected a key 'cases' with a list of cases"
        raise InputError(f"{path}: found {_found(content)}, {expected}. Is it a file of `cesm2` cases?")
    records: dict[str, dict] = {}
    for k, case in enumerate(cases, 1):
        if not isinstance(case, dict):
            raise InputError(f"{path}: case {k} of {len(cases)} is {_short(case)}, expected a dictionary of fields.")
        where = f"{path}: {word(case, 'id', f'{path}: case {k} of {len(cases)}')}"
        if where in records:
            raise InputError(f"{where} is the name of two cases, the second is number {k}; expected one of its own.")
        records[where] = case
    return records


def word(record: dict, name: str, where: str, kind: type = str) -> Any:
    """The text (or the truth value, if `kind` is bool) in the field `name`."""
    value = _field(record, name, where)
    if not isinstance(value, kind):
        expected = {str: "text", bool: "true or false"}[kind]
        raise InputError(f"{where}: {name} is {_short(value)}, expected {expected}.")
    return value


def numbers(record: dict, name: str, shape: tuple[int, ...], where: str) -> NDArray[np.float64]:
    """The finite numbers in the field `name`, ``"octave.cpools"``, of the given shape; -1 stands for one or more."""
    value = _field(record, name, where)
    wrong = [leaf for leaf in _leaves(value) if type(leaf) not in (int, float)]
    if wrong:
        raise InputError(f"{where}: {name} holds {_short(wrong[0])}, expected numbers.")
    expected = f"expected {' x '.join('one or more' if n < 0 else str(n) for n in shape) or 'a single number'}"
    try:
        array = np.array(value, dtype=np.float64)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{where}: {name} holds rows of unequal length, or too large numbers; {expected}.") from error
    if array.ndim != len(shape) or not array.size or any(0 <= n != m for n, m in zip(shape, array.shape, strict=True)):
        found = f"{' x '.join(map(str, array.shape))} numbers" if array.ndim else "a single number"
        raise InputError(f"{where}: {name} holds {found}, {expected}.")
    if not np.isfinite(array).all():
        at = tuple(int(i[0]) + 1 for i in np.nonzero(~np.isfinite(array)))
        raise InputError(
            f"{where}: {name}{list(at) if at else ''} is {array[~np.isfinite(array)][0]:g}, expected a finite number."
        )
    return array


def whole_number(record: dict, name: str, shape: tuple[int, ...], where: str) -> int:
    """The one whole number that the field `name` repeats in an array of the given shape."""
    array = numbers(record, name, shape, where)
    if array.min() != array.max() or array.min() % 1.0:
        raise InputError(
            f"{where}: {name} holds {', '.join(f'{value:g}' for value in np.unique(array))}, expected a single whole "
            "number, the same all year."
        )
    return int(array.flat[0])


def _field(record: dict, name: str, where: str) -> Any:
    value: Any = record
    for key in name.split("."):
        if not isinstance(value, dict) or key not in value:
            raise InputError(f"{where}: no field {name!r}. Is it a complete file of `cesm2` cases?")
        value = value[key]
    return value


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def _found(content: Any) -> str:
    if isinstance(content, dict):
        if content.get("cases") == []:
            return "an empty list of cases"
        return f"the keys {', '.join(map(repr, list(content)[:5]))}" if content else "no keys"
    return {list: "an array", str: "text", type(None): "null", bool: "a truth value"}.get(type(content), "a number")


def _short(value: Any) -> str:
    """What was found, in at most forty characters."""
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
