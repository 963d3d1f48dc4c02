"""Large delimited files, read by columns and in chunks, from a folder or from a zip in it; a file that is not what its
header says is an error with its line, never a table with shifted columns.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.csv as arrow_csv

from proda.errors import InputError
from proda.study import suggestion

NUMBER, TEXT = pa.float64(), pa.string()
BLOCK = 16 * 2**20  # bytes in memory at a time
_LIMIT = 2**31 - 1  # characters of a field that is looked at to tell the line of an error


class DataFile(NamedTuple):
    """A file of a data folder, or a member of a zip there.

    Attributes
    ----------
    path : Path
        Of the file, or of the zip.
    member : str
        Name in the zip; empty for a plain file.
    """

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
    found: dict[str, DataFile] = {}
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    for path in paths:
        if path.suffix.lower() == ".zip":
            try:
                with zipfile.ZipFile(path) as archive:
                    members = [DataFile(path, name) for name in archive.namelist() if not name.endswith("/")]
            except zipfile.BadZipFile:
                raise InputError(
                    f"{path}: {path.stat().st_size:,} bytes, but no zip: its table of contents, at the end, "
                    "is missing. The download was cut short; download it again."
                ) from None
            found |= {file.name: file for file in members}
    return found | {path.name: DataFile(path) for path in paths if path.suffix.lower() != ".zip"}


def header(file: DataFile, delimiter: str) -> list[str]:
    """Names of the columns, from the file's first line."""
    with _reading(file), file.open() as stream:
        line = stream.readline().decode("utf-8-sig")
    return [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]


def chunks(file: DataFile, columns: Mapping[str, pa.DataType], delimiter: str) -> Iterator[pd.DataFrame]:
    """The named columns of a file, `NUMBER` as floats and `TEXT` as text, empty fields missing, a chunk at a time.

    Raises
    ------
    InputError
        When the file is empty or cut short, a column is missing, a line has more or fewer fields than the header, or a
        number is none; names the file, its line and the value.
    """
    names = header(file, delimiter)
    missing = [name for name in columns if name not in names]
    if missing:
        hint = suggestion(missing[0], names) if len(names) > 1 else f"one column only, {names}: another delimiter?"
        raise InputError(f"{file}: no column {', '.join(missing)}; {hint}. data/README.md describes the layout.")
    n_rows = 0
    with _reading(file), file.open() as stream:
        try:
            reader = arrow_csv.open_csv(
                stream,
                read_options=arrow_csv.ReadOptions(block_size=BLOCK),
                parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                convert_options=arrow_csv.ConvertOptions(
                    include_columns=list(columns), column_types=dict(columns), strings_can_be_null=True
                ),
            )
            for batch in reader:
                n_rows += batch.num_rows
                yield batch.to_pandas()
        except pa.ArrowInvalid as error:
            raise InputError(_fault(file, names, delimiter, str(error))) from None
    if not n_rows:
        raise InputError(f"{file}: the file has a header but no rows.")


class _reading:
    """Damage below the level of the table, such as a bad checksum in a zip, told as what it is."""

    def __init__(self, file: DataFile) -> None:
        self.file = file

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, trace) -> None:
        if isinstance(error, zipfile.BadZipFile | zlib.error | EOFError):
            raise InputError(f"{self.file}: the file is damaged ({error}). Download it again.") from None
        if isinstance(error, UnicodeDecodeError):
            raise InputError(f"{self.file}: the file is not UTF-8 text ({error}).") from None


def _fault(file: DataFile, names: list[str], delimiter: str, told: str) -> str:
    """What is wrong in words, with the line, from the parser's message."""
    value = re.search(r"CSV column #(\d+):.*invalid value '(.*)'", told, re.DOTALL)
    if value:
        name, text = names[int(value[1])], value[2]
        line = _line_of(file, delimiter, lambda row: len(row) > int(value[1]) and row[int(value[1])] == text)
        guess = "Are the columns of this line shifted?"
        if re.fullmatch(r"[-+]?\d+,\d+", text):
            guess = "A decimal comma? Write the file with decimal points."
        elif text.startswith("{"):
            guess = "A list of values in braces belongs in the column 'value'; the mean of it is expected here."
        return f"{file}, line {line}: {name} is {text!r}, expected a number or an empty field. {guess}"
    fields = re.search(r"Expected (\d+) columns, got (\d+)", told)
    if fields:
        line = _line_of(file, delimiter, lambda row: len(row) == int(fields[2]))
        return (
            f"{file}, line {line}: {fields[2]} fields, expected {fields[1]} as in the header: its columns are shifted. "
            "Was the file cut short, or edited by hand?"
        )
    if "Empty CSV" in told:
        return f"{file}: the file is empty; expected a header and rows."
    return f"{file}: {told}"


def _line_of(file: DataFile, delimiter: str, wanted) -> int | str:
    csv.field_size_limit(_LIMIT)
    with file.open() as stream:
        rows = csv.reader(io.TextIOWrapper(stream, "utf-8-sig", errors="replace", newline=""), delimiter=delimiter)
        for row in rows:
            if row and rows.line_num > 1 and wanted(row):
                return rows.line_num
    return "unknown"
