"""The CSV tables of a data folder: columns that must be there, numbers that must be numbers."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from proda.data.validation import checked, csv_line, table_schema
from proda.errors import InputError

PROFILES, LAYERS, GRID = "profiles.csv", "layers.csv", "grid_half_degree.csv"


def existing_folder(folder: Path | str) -> Path:
    """`folder` as a path.

    Raises
    ------
    InputError
        When it does not exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder. Give the folder with {PROFILES}, {LAYERS} and {GRID} as --data DIR."
        )
    return folder


def csv_table(
    path: Path,
    columns: tuple[str, ...],
    numbers: tuple[str, ...],
    rules: Mapping[str, Mapping[str, Any]] | None = None,
    optional: tuple[str, ...] = (),
) -> pd.DataFrame:
    """A CSV table with `columns`, of which `numbers` are floats; an empty field is a missing value.

    Parameters
    ----------
    rules : what else holds of a column, as for `proda.data.validation.table_schema`
    optional : columns of numbers that need not be there; what stands in them is checked as in the others

    Raises
    ------
    InputError
        When the file or a column is missing, the table is empty, a line has more or fewer fields than the header, a
        value is no number, or a rule is broken; names file, column and line.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file. The folder must hold {PROFILES}, {LAYERS} and {GRID}.")
    check_fields(path)
    try:
        table = pd.read_csv(path, dtype={"profile_id": str}, low_memory=False)
    except pd.errors.EmptyDataError:
        raise InputError(f"{path}: the file is empty; expected a header with {', '.join(columns)} and rows.") from None
    basic = {name: {"dtype": float} if name in numbers else {} for name in columns}
    basic |= {name: {"dtype": float, "required": False} for name in optional}
    columns = (*columns, *optional)
    keys = {name: {"nullable": False} for name in columns if name in ("profile_id", "layer")}
    merged = {name: {**basic[name], **keys.get(name, {}), **(rules or {}).get(name, {})} for name in columns}
    schema = table_schema(
        dict.fromkeys(columns, ""),
        merged,
        columns_remedy="Rename or add the column; data/README.md describes the layout.",
        empty_remedy="Expected one row a profile, layer or cell.",
    )
    return checked(table, schema, path, csv_line)


def check_fields(path: Path) -> None:
    """Refuse lines with more or fewer fields than the header, which pandas fills up or shifts without a word.

    Raises
    ------
    InputError
        Names the file and the first such line; when the file is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream)
            names = next(rows, [])
            for row in rows:
                if row and len(names) > 1 and len(row) != len(names):
                    raise InputError(
                        f"{path}, line {rows.line_num}: {len(row)} fields, expected {len(names)} as in the header: its "
                        "columns are shifted. A decimal comma, a comma in a text without quotes, or a line cut short?"
                    )
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error}). Save the file as UTF-8.") from None
