"""What every file of the data stage says of itself: the version that wrote it, the layout, the study it belongs to.

In Parquet the stamp stands in the table's `attrs`, which pandas keeps in the file's metadata; in NetCDF it is global
attributes. A file of another version is told, one of a newer layout or of another study is an error.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow
import pyarrow.parquet
import xarray as xr

from proda import __version__
from proda.errors import InputError
from proda.study import Study

# 1: without a stamp. 2: with one, and NPP in units that UDUNITS knows. A reader takes every layout up to its own.
LAYOUT = 2


class VersionWarning(UserWarning):
    """A file was written by another version of this software; it could be read."""


class Stamp(NamedTuple):
    """`version` of the software, `layout` of the file, `study` with scale, and a digest of what it was made from."""

    version: str = ""
    layout: int = 1
    study: str = ""
    inputs: str = ""

    @property
    def attributes(self) -> dict[str, Any]:
        """As they stand in a file."""
        return {f"proda_{name}": value for name, value in self._asdict().items()}


def cf_attributes(stamp: Stamp) -> dict[str, Any]:
    """Global attributes of a NetCDF file: the stamp, and the history that CF asks for.

    No time stands in it, so that the same data make the same file.
    """
    return {**stamp.attributes, "history": f"written by proda {stamp.version} for the study {stamp.study}"}


def study_stamp(study: Study, stage: str = "01-data-cleaning") -> Stamp:
    """The stamp of the files that ``study`` writes now."""
    made_from = {name: part for name, part in study.fingerprints()[stage].items() if name != "code"}
    digest = hashlib.sha256(json.dumps(made_from, sort_keys=True, default=str).encode()).hexdigest()
    return Stamp(__version__, LAYOUT, study.label, digest[:12])


def stamped(
    table: pd.DataFrame, stamp: Stamp | None, units: Mapping[str, str], meanings: Mapping[str, str]
) -> pd.DataFrame:
    """``table`` with stamp, units and meanings of its columns as attributes, which `to_parquet` writes."""
    result = table.copy(deep=False)
    known = {name: unit for name, unit in units.items() if name in table}
    told = {name: text for name, text in meanings.items() if name in table}
    result.attrs = {**(stamp.attributes if stamp else {}), "units": known, "long_names": told}
    return result


def file_stamp(path: Path | str) -> Stamp:
    """The stamp of a Parquet or NetCDF file; that of layout 1 for a file without one.

    Raises
    ------
    InputError
        When the file cannot be read as what its name says.
    """
    path = Path(path)
    try:
        if path.suffix == ".parquet":
            found = json.loads((pyarrow.parquet.read_schema(path).metadata or {}).get(b"PANDAS_ATTRS", b"{}"))
        else:
            with xr.open_dataset(path) as file:
                found = dict(file.attrs)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise InputError(
            f"{path}: cannot be read as {'Parquet' if path.suffix == '.parquet' else 'NetCDF'}: {error}. Is it cut "
            "short? Run notebook 01-data-cleaning again, which writes it."
        ) from error
    named = {name: found[f"proda_{name}"] for name in Stamp._fields if f"proda_{name}" in found}
    return Stamp(**named)._replace(layout=int(named.get("layout", 1)))


@contextmanager
def told_if_of_another_version(path: Path | str) -> Iterator[Stamp]:
    """Read the file ``path`` in the block: what is raised there then says which version wrote the file.

    Raises
    ------
    InputError
        When the file's layout is newer than this version knows.

    Warns
    -----
    VersionWarning
        When the file could be read and was written by another version.
    """
    stamp = file_stamp(path)
    if stamp.layout > LAYOUT:
        raise InputError(
            f"{path}: written by proda {stamp.version} in layout {stamp.layout}; this is proda {__version__}, which "
            f"reads layouts up to {LAYOUT}. Update the package, or run notebook 01-data-cleaning again with this one."
        )
    told = ""
    if not stamp.version:
        told = "it carries no version: it was written by an early proda, or by other software"
    elif stamp.version != __version__:
        told = f"it was written by proda {stamp.version} in layout {stamp.layout}; this is proda {__version__}"
    try:
        yield stamp
    except InputError as error:
        raise InputError(f"{error} Mind that {told}." if told else str(error)) from None
    if told:
        warnings.warn(f"{path}: {told}. It was read, for it has what is needed.", VersionWarning, stacklevel=4)


def check_study(paths: Iterable[Path], study: Study) -> None:
    """Check that stamped files belong to ``study`` as it is opened.

    Raises
    ------
    InputError
        Names the first file of another study, and both studies.
    """
    own = study_stamp(study)
    for path in paths:
        found = file_stamp(path)
        if found.study and (found.study, found.inputs) != (own.study, own.inputs):
            raise InputError(
                f"{path} belongs to another study: it was written for {found.study} (made from {found.inputs}), this "
                f"is {own.study} (made from {own.inputs}). Give that study's own folder as --out, or write the file "
                f"anew: {study.command('--from', '1')}"
            )
