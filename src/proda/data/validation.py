"""Tables against their schemas (pandera); errors in the words of this package: file, row, value, expected, remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors

from proda.errors import InputError

Place = Callable[[int], str]
_TWICE = (SchemaErrorReason.SERIES_CONTAINS_DUPLICATES, SchemaErrorReason.DUPLICATES)
_NO_NUMBER = (SchemaErrorReason.DATATYPE_COERCION, SchemaErrorReason.WRONG_DATATYPE)


def row_check(
    passes: Callable[[pd.Series], pd.Series], expected: str, remedy: str = "", missing_pass: bool = True
) -> pa.Check:
    """A check of every value of a column, or with a schema's ``checks`` of every row of a table.

    Parameters
    ----------
    passes : callable
        Values -> which are as they should be, same shape.
    expected : str
        What they should be; ends "..., expected".
    remedy : str
        What to do, a sentence.
    missing_pass : bool
        Whether a missing value is none of this check's business.
    """
    return pa.Check(passes, name="row", error=expected, description=remedy, ignore_na=missing_pass)


def whole_check(least: int) -> pa.Check:
    """A check that every value is a whole number from `least` on."""
    return row_check(lambda x: (x >= least) & (x % 1 == 0), f"a whole number, {least} or above")


def median_check(low: float, high: float, unit: str, remedy: str) -> pa.Check:
    """A check of the middle one of all values: another unit shows there, where single odd values do not."""

    def passes(values: pd.Series) -> bool:
        middle = pd.to_numeric(values, errors="coerce").median()
        return bool(np.isnan(middle) or low <= middle <= high)

    if np.isinf(low) or np.isinf(high):
        expected = f"{'at most' if np.isinf(low) else 'at least'} {high if np.isinf(low) else low:g} {unit}"
    else:
        expected = f"{low:g} to {high:g} {unit}"
    return pa.Check(passes, name="median", error=expected.strip(), description=remedy)


def table_schema(
    columns: Mapping[str, str],
    rules: Mapping[str, Mapping[str, Any]],
    checks: Sequence[pa.Check] = (),
    columns_remedy: str = "",
    empty_remedy: str = "",
) -> pa.DataFrameSchema:
    """A schema of the columns ``{name: meaning}``; further columns are nobody's business.

    Parameters
    ----------
    rules : {name: arguments of pandera's Column}
        A column without an entry may hold anything, and gaps. ``remedy`` is what to do about gaps and repeats.
    checks : of whole rows
    columns_remedy, empty_remedy : what to do when a column or every row is missing, a sentence
    """
    made = {}
    for name, meaning in columns.items():
        rule = {"nullable": True, **rules.get(name, {})}
        remedy = {"remedy": rule.pop("remedy", "")}
        coerce = rule.get("dtype") not in (None, bool)  # every text is true to bool()
        made[name] = pa.Column(description=meaning, coerce=coerce, metadata=remedy, **rule)
    return pa.DataFrameSchema(made, list(checks), metadata={"columns": columns_remedy, "empty": empty_remedy})


def checked(
    table: pd.DataFrame, schema: pa.DataFrameSchema, source: Path | str, place: Place | None = None
) -> pd.DataFrame:
    """``table`` as ``schema`` has it, columns in the schema's types.

    Parameters
    ----------
    source : the file, for the error
    place : row position -> where that row stands, for the error; "row 3" when None

    Raises
    ------
    InputError
        For the first thing that is wrong: missing columns, no rows, then column by column.
    """
    remedies = schema.metadata or {}
    missing = [name for name, column in schema.columns.items() if column.required and name not in table]
    if missing:
        has = f"it has {', '.join(map(str, table.columns))}. {remedies.get('columns', '')}"
        raise InputError(f"{source}: no column {', '.join(missing)}; {has}".strip())
    if not len(table):
        told = f"the table is empty: it has a header but no rows. {remedies.get('empty', '')}"
        raise InputError(f"{source}: {told}".strip())
    numbered = table.reset_index(drop=True)
    try:
        valid = schema.validate(numbered, lazy=True)
    except SchemaErrors as errors:
        faults = sorted(errors.schema_errors, key=lambda error: _rank(error, list(schema.columns)))
        raise InputError(_message(faults[0], numbered, str(source), place or "row {}".format)) from None
    return valid.set_axis(table.index)


def row_with(table: pd.DataFrame, names: Sequence[str]) -> Place:
    """Row position -> "row 7 (profile a, layer 0)", from the columns ``names`` without their "_id"."""

    def place(row: int) -> str:
        who = ", ".join(f"{name.removesuffix('_id')} {table[name].iloc[row]}" for name in names if name in table)
        return f"row {row} ({who})" if who else f"row {row}"

    return place


def csv_line(row: int) -> str:
    """Where a row stands in a CSV file with one line of header."""
    return f"line {row + 2}"


def _rank(error: SchemaError, columns: list[str]) -> tuple[int, int, int]:
    """Order in which faults are told: wrong kinds of value, then gaps and repeats, then checks; in order of columns."""
    name = getattr(error.schema, "name", None)
    position = columns.index(name) if name in columns else len(columns)
    kinds = (_NO_NUMBER, (SchemaErrorReason.SERIES_CONTAINS_NULLS,), _TWICE)
    kind = next((i for i, reasons in enumerate(kinds) if error.reason_code in reasons), len(kinds))
    return kind, position, 0 if getattr(error.check, "name", "") == "row" else 1


def _message(error: SchemaError, table: pd.DataFrame, source: str, place: Place) -> str:
    name, check = getattr(error.schema, "name", None), error.check
    if getattr(check, "name", "") == "median":
        middle = pd.to_numeric(table[name], errors="coerce").median()
        return f"{source}: the median of {name} is {middle:.4g}, expected {check.error}. {check.description}".strip()
    rows = _rows(error, table, name)
    where, more = f"{source}, {place(rows[0])}", f" ({len(rows)} rows in all)" if len(rows) > 1 else ""
    if name is None or name not in table:
        return f"{where}: {check.error}{more}. {check.description or ''}".strip()
    value = table[name].iloc[rows[0]]
    shown = f"{value:.10g}" if isinstance(value, (float, np.floating)) else repr(value)
    remedy = (error.schema.metadata or {}).get("remedy", "")
    if error.reason_code is SchemaErrorReason.SERIES_CONTAINS_NULLS:
        return f"{where}: {name} is missing{more}, expected one in every row. {remedy}".strip()
    if error.reason_code in _TWICE:
        return f"{where}: {name} {shown} occurs a second time, expected once{more}. {remedy}".strip()
    if error.reason_code in _NO_NUMBER:
        kind = "True or False" if "bool" in str(error.schema.dtype) else "a number"
        empty = " or an empty field" if error.schema.nullable else ""
        return f"{where}: {name} is {shown}, expected {kind}{empty}{more}. {_guess(value) or remedy}".strip()
    return f"{where}: {name} is {shown}, expected {check.error}{more}. {check.description or remedy}".strip()


def _guess(value: object) -> str:
    """What a text that should be a number probably is, and what to do."""
    text = str(value).strip()
    if re.fullmatch(r"[-+]?\d+,\d+", text):
        return "A decimal comma? Write a point."
    if text.startswith("{"):
        return "Values in braces are a list; give one number, such as WoSIS has in its column value_avg."
    return ""


def _rows(error: SchemaError, table: pd.DataFrame, name: str | None) -> list[int]:
    """Positions of the rows at fault, in order; of values that repeat, those after the first."""
    if error.reason_code in _TWICE and name is not None:
        return np.flatnonzero(table[name].duplicated()).tolist()
    cases = error.failure_cases
    index = cases["index"].dropna() if isinstance(cases, pd.DataFrame) and "index" in cases else []
    return sorted({int(row) for row in index}) or [0]
