"""The CSV tables of a data folder: columns that must be there, numbers that must be numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

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


def csv_table(path: Path, columns: tuple[str, ...], numbers: tuple[str, ...]) -> pd.DataFrame:
    """A CSV table with `columns`, of which `numbers` are floats; an empty field is a missing value.

    Raises
    ------
    InputError
        When the file or a column is missing, the table is empty, or a value is no number; names file, column and line.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file. The folder must hold {PROFILES}, {LAYERS} and {GRID}.")
    try:
        table = pd.read_csv(path, dtype={"profile_id": str}, low_memory=False)
    except pd.errors.EmptyDataError:
        raise InputError(f"{path}: the file is empty; expected a header with {', '.join(columns)} and rows.") from None
    missing = [name for name in columns if name not in table]
    if missing:
        raise InputError(
            f"{path}: no column {', '.join(missing)}; it has {', '.join(table.columns)}. "
            "Rename or add the column; data/README.md describes the layout."
        )
    if not len(table):
        raise InputError(f"{path}: the table has a header but no rows; expected one row a profile, layer or cell.")
    for name in numbers:
        values = pd.to_numeric(table[name], errors="coerce")
        text = values.isna() & table[name].notna()
        if text.any():
            row = int(np.argmax(text))
            raise InputError(
                f"{path}, line {row + 2}: {name} is {table[name].iloc[row]!r}, expected a number or an empty field."
            )
        table[name] = values.astype(float)
    for name in {"profile_id", "layer"} & set(columns):
        if table[name].isna().any():
            row = int(np.argmax(table[name].isna()))
            raise InputError(f"{path}, line {row + 2}: {name} is missing; expected one in every row.")
    return table
