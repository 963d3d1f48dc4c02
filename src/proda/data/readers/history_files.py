"""The time axis of CLM/CTSM history files: which months they hold, in order, without a gap.

CLM stamps a monthly mean with the end of its month, so the stamp of January says February; what a record covers stands
in its time bounds.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import cftime
import netCDF4
import numpy as np
from numpy.typing import NDArray

from proda.errors import InputError


class Record(NamedTuple):
    """A monthly mean.

    Attributes
    ----------
    file : Path
    position : int
        Along the file's time axis, from 0.
    year, month : int
        The month is 1 to 12.
    days : float
        Length of the month in the file's calendar.
    """

    file: Path
    position: int
    year: int
    month: int
    days: float


def history_paths(files: Path | str | Iterable[Path | str]) -> list[Path]:
    """One file, several, or all `*.nc` of a folder, as a list.

    Raises
    ------
    InputError
        When there is none or one does not exist.
    """
    if isinstance(files, str | Path):
        path = Path(files)
        paths = sorted(path.glob("*.nc")) if path.is_dir() else [path]
        if not paths:
            raise InputError(f"{path}: no *.nc file in this folder; expected history files of CLM.")
    else:
        paths = [Path(file) for file in files]
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: no such file; expected a history file of CLM.")
    if not paths:
        raise InputError("no history file given; expected at least one.")
    return paths


def opened(path: Path) -> netCDF4.Dataset:
    """A history file; values are read when asked for. netCDF4, for xarray takes ten times as long to open one.

    Raises
    ------
    InputError
        When it is no NetCDF file or is cut short.
    """
    try:
        return netCDF4.Dataset(path)
    except OSError as error:
        raise InputError(
            f"{path}: not a readable NetCDF file ({str(error).splitlines()[0]}). Broken off in transfer?"
        ) from None


def floats(values: object) -> NDArray[np.float64]:
    """What netCDF4 read, in double precision, fill values as NaN."""
    values = np.ma.asarray(values).astype(np.float64)
    return np.ma.filled(values, np.nan)


def attribute(variable: netCDF4.Variable, name: str) -> str | None:
    """An attribute of a variable, None where it has none."""
    return getattr(variable, name, None)


def records(paths: Iterable[Path]) -> list[Record]:
    """The monthly means in `paths`, in the order of time: whole years, no month missing, none twice.

    Raises
    ------
    InputError
        Names the file and the month at fault.
    """
    found = sorted((record for path in paths for record in _records_of(path)), key=lambda r: (r.year, r.month))
    for before, after in zip(found, found[1:], strict=False):
        step = 12 * (after.year - before.year) + after.month - before.month
        if step == 0:
            raise InputError(
                f"{after.file}: {after.year:04d}-{after.month:02d} is also in {before.file}; expected every month "
                "once. Files of two history streams, or a monthly file beside the one it was merged into?"
            )
        if step > 1:
            raise InputError(
                f"{after.file}: it begins {step - 1} months after {before.file.name} ends "
                f"({before.year:04d}-{before.month:02d}, then {after.year:04d}-{after.month:02d}); expected no gap. "
                "Is a file missing?"
            )
    if len(found) % 12:
        raise InputError(
            f"{found[0].file} and on: {len(found)} months from {found[0].year:04d}-{found[0].month:02d} to "
            f"{found[-1].year:04d}-{found[-1].month:02d}, expected whole years: a mean over part of a year is biased "
            "by the seasons."
        )
    return found


def _records_of(path: Path) -> list[Record]:
    with opened(path) as file:
        if "time" not in file.dimensions or "time" not in file.variables:
            raise InputError(f"{path}: no axis 'time'; it has {', '.join(file.dimensions)}.")
        time = file["time"]
        units, calendar = attribute(time, "units"), attribute(time, "calendar") or "noleap"
        if not units or " since " not in str(units):
            raise InputError(f"{path}: time is in {units!r}, expected 'days since ...'.")
        names = [attribute(time, "bounds"), "time_bounds", "time_bnds"]
        bounds = next((name for name in names if name in file.variables), None)
        if bounds is None:
            raise InputError(
                f"{path}: no time bounds (expected the variable 'time_bounds'). CLM stamps a month with its end, so "
                "without bounds January cannot be told from February. Use the original files, or add the bounds."
            )
        ends = cftime.num2date(floats(file[bounds][:]), units, calendar)
    result = []
    for position, (begin, end) in enumerate(ends):
        days = (end - begin).total_seconds() / 86400.0
        if not 27.0 < days < 32.0:
            raise InputError(f"{path}: record {position} covers {days:g} days, expected a month. Monthly means only.")
        middle = begin + (end - begin) / 2
        result.append(Record(path, position, middle.year, middle.month, days))
    if not result:
        raise InputError(f"{path}: no records along 'time'; expected monthly means.")
    return result
