"""Tables in text files, plain or in a zip, read by columns and in chunks.

pandas fills up lines that are too short and lets an unbalanced quote swallow the lines that follow. Here both are
errors with their line, as is a text in a column of numbers: as many rows are read as the file has lines.
"""

from __future__ import annotations

import csv
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pandas as pd

from proda.errors import InputError
from proda.study import suggestion

CHUNK = 200_000  # rows in memory at a time
_MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None")  # in a column of numbers; a text may be "NA"


class DataFile(NamedTuple):
    """A file of a data folder; `member` is its name in the zip `path`, or empty for a plain file."""

    path: Path
    member: str = ""

    def __str__(self) -> str:
        return f"{self.path}, {self.member}" if self.member else str(self.path)

    @property
    def name(self) -> str:
        """The file's own name, without folders."""
        return (self.member or self.path.name).rsplit("/", 1)[-1]

    def open(self) -> BinaryIO:
        """A stream of the file's bytes."""
        return zipfile.ZipFile(self.path).open(self.member) if self.member else self.path.open("rb")


def data_files(folder: Path) -> dict[str, DataFile]:
    """The files of a folder and of the zips in it by name; a plain file comes before one of the same name in a zip.

    Raises
    ------
    InputError
        When a zip cannot be opened.
    """
    members: dict[str, DataFile] = {}
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    for path in paths:
        if path.suffix.lower() == ".zip":
            try:
                with zipfile.ZipFile(path) as archive:
                    files = [DataFile(path, name) for name in archive.namelist() if not name.endswith("/")]
            except zipfile.BadZipFile:
                raise InputError(
                    f"{path}: {path.stat().st_size:,} bytes, but no whole zip file. The download was cut short; "
                    "download it again."
                ) from None
            members |= {file.name: file for file in files}
    return members | {path.name: DataFile(path) for path in paths if path.suffix.lower() != ".zip"}


def read_delimited(
    file: DataFile,
    numbers: Sequence[str],
    texts: Sequence[str] = (),
    optional: Sequence[str] = (),
    any_of: Sequence[str] = (),
    others: bool = False,
) -> pd.DataFrame:
    """Columns of a table, `numbers` as floats and `texts` as they stand, missing where a field is empty.

    Parameters
    ----------
    file : DataFile
        Separated by tabs and without quotes when its name ends in ".tsv", else by commas.
    optional : names
        Those of `numbers` and `texts` that need not be there.
    any_of : names
        Keep only rows in which one of these columns has a value.
    others : bool
        Whether to give all other columns too, in the types that pandas sees in them.

    Raises
    ------
    InputError
        Names the file and the line: it is empty, damaged or not UTF-8, a column is missing, a line has more or fewer
        fields than the header or a quote that is not closed in it, or a number is none.
    """
    separator = "\t" if file.name.endswith(".tsv") else ","
    with _readable(file):
        names = _checked_lines(file, separator)
        missing = [name for name in (*numbers, *texts) if name not in names and name not in optional]
        if missing:
            hint = suggestion(missing[0], names) if len(names) > 1 else f"one column only, {names}: another separator?"
            raise InputError(f"{file}: no column {', '.join(missing)}; {hint}. data/README.md describes the layout.")
        kinds = {name: float for name in numbers if name in names} | {name: str for name in texts if name in names}
        options = {
            "sep": separator,
            "names": names,
            "header": 0,
            "quoting": csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL,
            "usecols": None if others else list(kinds),
            "keep_default_na": False,
            "na_values": {name: [""] if kinds.get(name) is str else list(_MISSING) for name in names},
            "encoding": "utf-8-sig",
        }
        parts = []
        with file.open() as stream:
            try:
                for chunk in pd.read_csv(stream, dtype=kinds, chunksize=CHUNK, **options):
                    if separator == "\t":  # quotes around a whole field, as some fields of WoSIS 2019 have
                        chunk = chunk.assign(**{name: chunk[name].str.strip('"') for name in texts if name in kinds})
                    parts.append(chunk[chunk[list(any_of)].notna().any(axis=1)] if any_of else chunk)
            except (UnicodeDecodeError, pd.errors.ParserError):
                raise
            except ValueError as error:
                raise InputError(_no_number(file, list(kinds), list(numbers), options) or f"{file}: {error}") from None
    table = pd.concat(parts, ignore_index=True)
    if not len(table) and not any_of:
        raise InputError(f"{file}: the table is empty: it has a header but no rows.")
    return table


@contextmanager
def _readable(file: DataFile) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, pd.errors.ParserError) as error:
        raise InputError(f"{file}: the file is damaged ({error}). Download it again.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 text ({error}). Save the file as UTF-8.") from None


def _checked_lines(file: DataFile, separator: str) -> list[str]:
    """Names of the columns, once every line has as many fields as the header."""
    names: list[str] = []
    mark = separator.encode()
    with file.open() as stream:
        for number, line in enumerate(stream, start=1):
            quoted = separator == "," and b'"' in line
            if quoted and line.count(b'"') % 2:
                raise InputError(
                    f"{file}, line {number}: a quote is not closed in its line, so the rows that follow would be read "
                    "as text. Close or remove it, and write every field in one line."
                )
            if not names:
                names = [name.strip() for name in next(csv.reader([line.decode("utf-8-sig")], delimiter=separator))]
            elif len(names) > 1 and line.strip(b"\r\n"):
                n = len(next(csv.reader([line.decode("utf-8-sig")]))) if quoted else line.count(mark) + 1
                if n != len(names):
                    raise InputError(
                        f"{file}, line {number}: {n} fields, expected {len(names)} as in the header: its columns are "
                        "shifted. A decimal comma, a comma in a text without quotes, or a line cut short?"
                    )
    if not names:
        raise InputError(f"{file}: the file is empty; expected a header and rows.")
    if len(set(names)) < len(names):
        raise InputError(f"{file}: a column occurs twice in the header {', '.join(names)}; expected each once.")
    return names


def _no_number(file: DataFile, columns: list[str], numbers: list[str], options: dict) -> str:
    """The message for the first text in a column of numbers."""
    with file.open() as stream:
        for chunk in pd.read_csv(stream, dtype=dict.fromkeys(columns, str), chunksize=CHUNK, **options):
            for name in (name for name in numbers if name in chunk):
                wrong = pd.to_numeric(chunk[name], errors="coerce").isna() & chunk[name].notna()
                if wrong.any():
                    row = int(np.argmax(wrong))
                    text, guess = str(chunk[name].iloc[row]), "Are the columns of this line shifted?"
                    if re.fullmatch(r"[-+]?\d+,\d+", text.strip()):
                        guess = "A decimal comma? Write a point."
                    elif text.startswith("{"):
                        guess = "Values in braces are a list; give one number, such as WoSIS has in value_avg."
                    line = int(chunk.index[row]) + 2
                    return f"{file}, line {line}: {name} is {text!r}, expected a number or an empty field. {guess}"
    return ""
