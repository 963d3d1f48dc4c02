"""Forcing of both model configurations from the history files of CLM/CTSM: monthly means on a grid of lon and lat.

Nothing is converted silently: a variable in another unit, on other levels, with a gap in time or on a grid that does
not reach the places is an error that says what was found.

The time axis of CLM/CTSM history files: which months they hold, in order, without a gap.

CLM stamps a monthly mean with the end of its month, so the stamp of January says February; what a record covers stands
in its time bounds.

Fields of CLM/CTSM history files at places, a block of months at a time: never more than a few hundred megabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import cftime
import netCDF4
import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.data.findings import Finding, SourcedForcing, checked_unit, finding, findings_table
from proda.data.readers.rasters import Sampling, sampling
from proda.errors import InputError
from proda.model.configuration import CESM2, DAYS_PER_YEAR, PAPER, Column, Configuration
from proda.model.forcing import Forcing, MonthlyForcing


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


BLOCK_VALUES = 16_000_000  # values read at once, 128 MB
LEVEL_TOLERANCE = 2e-3  # of a node's depth; files hold it in single precision
LEVEL_AXES = ("levsoi", "levgrnd", "levdcmp", "levsoi_nobedrock")


class HistoryFields:
    """The monthly means of a run at places.

    Parameters
    ----------
    files : path, several, or a folder
    lon, lat : (n,), degrees
    column : Column
        The vertical grid wanted.
    method : "nearest" or "bilinear"
    vertical : "match" or "linear"
        Whether the files' levels must be those of `column`, or are interpolated to its nodes.
    """

    def __init__(self, files, lon, lat, column: Column, method: str = "nearest", vertical: str = "match"):
        if vertical not in ("match", "linear"):
            raise InputError(f"vertical is {vertical!r}, expected 'match' or 'linear'.")
        self.paths = history_paths(files)
        self.records: list[Record] = records(self._with_time())
        self.column, self.vertical = column, vertical
        first = self.records[0].file
        with opened(first) as file:
            for axis in ("lon", "lat"):
                if axis not in file.variables or file[axis].ndim != 1:
                    raise InputError(
                        f"{first}: no axis {axis!r} of one dimension; it has {', '.join(file.dimensions)}. "
                        "Unstructured output must be regridded to longitudes and latitudes first."
                    )
            self.axes = {axis: floats(file[axis][:]) for axis in ("lon", "lat")}
        self.sampling: Sampling = sampling(self.axes["lon"], self.axes["lat"], lon, lat, method, str(first))

    @property
    def years(self) -> int:
        return len(self.records) // 12

    @property
    def period(self) -> str:
        first, last = self.records[0], self.records[-1]
        return f"{first.year:04d}-{first.month:02d} to {last.year:04d}-{last.month:02d}"

    def _with_time(self) -> list[Path]:
        """Paths of the files that have a time axis; a file of constants, such as surface data, has none."""
        return [path for path in self.paths if _has_time(path)] or self.paths

    def name(self, *names: str) -> str:
        """The first of `names` that the files hold.

        Raises
        ------
        InputError
            When they hold none of them.
        """
        first = self.records[0].file
        with opened(first) as file:
            for name in names:
                if name in file.variables:
                    return name
            has = ", ".join(file.variables)
        raise InputError(f"{first}: no variable {' or '.join(names)}; it has {has}. Add it to the history output.")

    def mean(self, name: str, units: tuple[str, ...], of: Callable[[list[Record]], NDArray]) -> tuple[NDArray, str]:
        """Weighted means over time.

        Parameters
        ----------
        name : str
            A variable on (time, [level,] lat, lon).
        units : tuple of str
            The units it may be in.
        of : callable
            The records, in order -> weights (n_means, n_records).

        Returns
        -------
        values : (n_means, [n_layers,] n)
        unit : str
        """
        weights = of(self.records)
        total, unit, position = None, "", 0
        for block, unit in self._blocks(name, units):  # noqa: B007
            share = weights[:, position : position + len(block)]
            part = np.tensordot(share, np.where(np.isfinite(block), block, 0.0), axes=1)
            # A month without a value leaves the mean of which it is part without one.
            part[np.tensordot((share != 0).astype(float), ~np.isfinite(block), axes=1) > 0] = np.nan
            total = part if total is None else total + part
            position += len(block)
        return self.sampling.at_places(total), unit

    def _blocks(self, name: str, units: tuple[str, ...]) -> Iterator[tuple[NDArray, str]]:
        """Months in order, (n_months, [n_layers,] n_cells), and their unit."""
        for path, group in groupby(self.records, key=lambda record: record.file):
            positions = [record.position for record in group]
            with opened(path) as file:
                variable, unit = self._checked(file, name, units, path)
                layers = self._layers(file, variable, path)
                rows, columns = self.sampling.row, self.sampling.column
                window = (
                    *(slice(None) for _ in variable.shape[1:-2]),
                    slice(int(rows.min()), int(rows.max()) + 1),
                    slice(int(columns.min()), int(columns.max()) + 1),
                )
                size = np.prod(variable.shape[1:-2], dtype=int) * np.ptp(rows) * np.ptp(columns)
                step = max(1, BLOCK_VALUES // max(int(size), 1))
                for begin in range(0, len(positions), step):
                    chosen = variable[(_run(positions[begin : begin + step]), *window)]
                    values = floats(chosen[..., rows - rows.min(), columns - columns.min()])
                    if (np.abs(values) > 1e30).any():
                        raise InputError(
                            f"{path}: {name} holds {np.nanmax(np.abs(values)):.3g}, a fill value that the file does "
                            "not declare. Set the attribute '_FillValue'."
                        )
                    yield (values if layers is None else np.einsum("jk,tkc->tjc", layers, values)), unit

    def _checked(self, file: netCDF4.Dataset, name: str, units: tuple[str, ...], path: Path):
        if name not in file.variables:
            raise InputError(f"{path}: no variable {name}, which {self.records[0].file.name} has.")
        self._check_grid(file, path)
        variable = file[name]
        levels = [dim for dim in variable.dimensions if dim not in ("time", "lat", "lon")]
        expected = ("time", *levels, "lat", "lon")
        if variable.dimensions != expected or len(levels) > 1:
            raise InputError(
                f"{path}: {name} has dimensions {variable.dimensions}, expected (time, [level,] lat, lon). Constants, "
                "patch or column output (hist_dov2xy = .false.) cannot be used here."
            )
        return variable, checked_unit(attribute(variable, "units"), units, f"{path}: {name}")

    def _layers(self, file: netCDF4.Dataset, variable: netCDF4.Variable, path: Path) -> NDArray | None:
        """Shares of the file's levels in the layers of the column, (n_layers, n_levels); None without levels."""
        if variable.ndim == 3:
            return None
        axis = variable.dimensions[1]
        node = self.column.node
        if axis in file.variables:
            depth = floats(file[axis][:])
        elif axis in LEVEL_AXES and "levgrnd" in file.variables:
            depth = floats(file["levgrnd"][:])[: variable.shape[1]]
        else:
            raise InputError(f"{path}: no depths of {axis!r}, the levels of {variable.name}, in the file.")
        shares = np.zeros((node.size, depth.size))
        same = depth.size >= node.size and np.allclose(depth[: node.size], node, rtol=LEVEL_TOLERANCE, atol=1e-5)
        if same:
            shares[np.arange(node.size), np.arange(node.size)] = 1.0
            return shares
        if self.vertical == "match":
            raise InputError(
                f"{path}: {variable.name} has {depth.size} levels at {_depths(depth)} m, expected {node.size} or more "
                f"at {_depths(node)} m, the grid of the {self.column.name!r} configuration. Output of another version "
                "of CLM? Choose the other configuration, or interpolate with vertical='linear'."
            )
        if depth[-1] < node[-1] or (np.diff(depth) <= 0).any():
            raise InputError(f"{path}: levels {_depths(depth)} m end above {node[-1]:.3g} m or do not run downwards.")
        for layer, z in enumerate(node):
            shares[layer] = [np.interp(z, depth, unit) for unit in np.eye(depth.size)]
        return shares

    def constant(self, *names: str) -> NDArray | None:
        """A field without time, or the same at all times, at the places, (n,); None when no file holds it."""
        for path in self.paths:
            with opened(path) as file:
                for name in names:
                    if name in file.variables and {"lat", "lon"} <= set(file[name].dimensions):
                        self._check_grid(file, path)
                        values = floats(file[name][:])[..., self.sampling.row, self.sampling.column]
                        values = values.reshape(-1, values.shape[-1])
                        if not np.array_equal(values, np.repeat(values[:1], len(values), axis=0), equal_nan=True):
                            raise InputError(f"{path}: {name} changes with time, expected a constant.")
                        main = self.sampling.weight.argmax(axis=0)
                        return values[0][self.sampling.index[main, np.arange(main.size)]]
        return None

    def _check_grid(self, file: netCDF4.Dataset, path: Path) -> None:
        for axis, values in self.axes.items():
            found = floats(file[axis][:]) if axis in file.variables else np.empty(0)
            if found.shape != values.shape or not np.allclose(found, values, atol=1e-4):
                raise InputError(f"{path}: its {axis} is not that of {self.records[0].file.name}; expected one grid.")


def _has_time(path: Path) -> bool:
    with opened(path) as file:
        return "time" in file.dimensions


def _run(positions: list[int]) -> slice | list[int]:
    """Positions along time as a slice where they are one: a list is read piece by piece."""
    whole = positions[-1] - positions[0] + 1 == len(positions) and positions == sorted(positions)
    return slice(positions[0], positions[-1] + 1) if whole else positions


def _depths(depth: NDArray) -> str:
    return ", ".join(f"{z:.3g}" for z in depth[:3]) + f", ..., {depth[-1]:.3g}"


SECONDS_PER_DAY = 86400.0
MONTH_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], float)  # of CLM's 365-day year

# Per variable: unit, least and greatest plausible value, and what is likely beyond. They catch wrong units.
_PLAUSIBLE = {
    "TSOI": (180.0, 350.0, "temperatures in degrees Celsius, though 'units' says K?"),
    "SOILPSI": (-1e4, 0.0, "the potential of unsaturated soil is negative: a suction with the other sign?"),
    "ALTMAX": (0.0, 100.0, "a depth in centimetres, though 'units' says m?"),
    "ALTMAX_LASTYEAR": (0.0, 100.0, "a depth in centimetres, though 'units' says m?"),
    "NPP": (-1e-4, 5e-4, "a flux per day or year, though 'units' says per second?"),
    "W_SCALAR": (0.0, 1.0, "a percentage?"),
    "O_SCALAR": (0.0, 1.0, "a percentage?"),
    "FPI_vr": (0.0, 1.0 + 1e-6, "a percentage?"),
}
# The carbon that enters each litter pool, in the order of `MonthlyForcing.carbon_input`; names differ between versions.
_INPUTS = tuple(
    tuple(f"{pool}{ending}" for ending in ("_INPUT", "_INPUT_VECTOR", "_INPUT_ACC_VECTOR"))
    for pool in ("CWD", "LITR1", "LITR2", "LITR3")
)


def forcing_from_history(
    files,
    lon: ArrayLike,
    lat: ArrayLike,
    configuration: Configuration = PAPER,
    method: str = "nearest",
    vertical: str = "match",
    npp_multiples: tuple[float, float] | None = None,
) -> SourcedForcing:
    """Forcing of the places at `lon`, `lat` from history files.

    Parameters
    ----------
    files : path, list of paths, or a folder of `*.nc`
        Whole years of monthly means, one file or many.
    lon, lat : (n,), degrees
        Either convention of longitude.
    configuration : Configuration
        `PAPER` takes means over all months: TSOI, SOILPSI, ALTMAX, and annual NPP with its least and greatest year.
        `CESM2` takes a mean year, month by month: TSOI, W_SCALAR, O_SCALAR, FPI_vr, ALTMAX, ALTMAX_LASTYEAR, the
        inputs of woody debris and litter, and `nbedrock`.
    method : "nearest" or "bilinear"
    vertical : "match" or "linear"
        "linear" interpolates to the nodes of the configuration where the files come from another version of CLM.
    npp_multiples : (float, float), optional
        Least and greatest annual NPP as multiples of the mean, instead of those of the years in the files; needed for a
        single year.

    Raises
    ------
    InputError
        Names the file, the variable, what was found and what was expected.
    """
    fields = HistoryFields(files, lon, lat, configuration.column, method, vertical)
    forcing, findings = _monthly(fields) if configuration.monthly else _annual(fields, npp_multiples)
    comment = (
        f"CLM history files, {fields.period} ({len(fields.paths)} files): "
        f"{'mean year, month by month' if configuration.monthly else 'mean over all months'}, {method} cell"
        f"{'' if vertical == 'match' else ', levels interpolated'}."
    )
    return SourcedForcing(forcing, findings_table(findings), comment)


def _all_months(records) -> NDArray:
    days = np.array([[record.days for record in records]])
    return days / days.sum()


def _mean_year(records) -> NDArray:
    month = np.array([record.month for record in records])
    same = (month == np.arange(1, 13)[:, None]).astype(float)
    return same / same.sum(axis=1, keepdims=True)


def _single_years(records) -> NDArray:
    """Each run of twelve months a year of its own, weights in seconds."""
    year = np.arange(len(records)) // 12
    seconds = SECONDS_PER_DAY * np.array([record.days for record in records])
    return (year == np.arange(year[-1] + 1)[:, None]) * seconds


def _checked(fields: HistoryFields, name: str, unit: str, of, findings: list[Finding], note: str = "") -> NDArray:
    values, _ = fields.mean(name, (unit,), of)
    _check_plausible(fields, name, unit, values)
    findings.append(finding("CLM history", name, unit, values, note))
    return values


def _check_plausible(fields: HistoryFields, name: str, unit: str, values: NDArray) -> None:
    where = f"{fields.records[0].file} and on: {name}"
    if not np.isfinite(values).any():
        raise InputError(
            f"{where} has no value at any of the {values.shape[-1]} places: all NaN or fill values. Another domain, or "
            "a run that wrote nothing?"
        )
    low, high, guess = _PLAUSIBLE[name]
    bad = (values < low) | (values > high)
    if bad.any():
        i = tuple(int(k[0]) for k in np.nonzero(bad))
        raise InputError(
            f"{where} is {values[i]:.4g} {unit} at place {i[-1]}, expected {low:g} to {high:g} ({int(bad.sum())} of "
            f"{bad.size} values are outside): {guess}"
        )


def _annual(fields: HistoryFields, multiples: tuple[float, float] | None) -> tuple[Forcing, list[Finding]]:
    found: list[Finding] = []
    temperature = _checked(fields, "TSOI", "K", _all_months, found)[0]
    potential = _checked(fields, "SOILPSI", "MPa", _all_months, found)[0]
    thaw = _checked(fields, "ALTMAX", "m", _all_months, found)[0]
    annual, _ = fields.mean("NPP", ("g C m-2 s-1",), _single_years)
    mean = annual.mean(axis=0)
    _check_plausible(fields, "NPP", "g C m-2 s-1", mean / (SECONDS_PER_DAY * DAYS_PER_YEAR))
    if multiples is not None:
        low, high = multiples[0] * mean, multiples[1] * mean
        note = f"least and greatest year taken as {multiples[0]:g} and {multiples[1]:g} times the mean"
    elif fields.years < 2:
        raise InputError(
            f"{fields.records[0].file}: one year of NPP, but the least and the greatest year bound the carbon input. "
            "Give more years, or npp_multiples=(0.7, 1.3) or the like."
        )
    else:
        low, high = annual.min(axis=0), annual.max(axis=0)
        below = low < 0
        low = np.maximum(low, 0.0)
        note = f"{fields.years} years; least year below zero and set to zero at {int(below.sum())} places"
    for name, values in (("NPP", mean), ("NPP, least year", low), ("NPP, greatest year", high)):
        found.append(finding("CLM history", name, "g C m-2 yr-1", values, note))
    return Forcing(temperature, potential, thaw, mean, low, high), found


def _monthly(fields: HistoryFields) -> tuple[MonthlyForcing, list[Finding]]:
    found: list[Finding] = []
    n = fields.sampling.index.shape[1]
    by_layer = {}
    for name, unit in (("TSOI", "K"), ("W_SCALAR", "1"), ("O_SCALAR", "1"), ("FPI_vr", "1")):
        values = _checked(fields, name, unit, _mean_year, found)
        by_layer[name] = np.minimum(values, 1.0) if unit == "1" else values
    thaw = [_checked(fields, name, "m", _mean_year, found) for name in ("ALTMAX", "ALTMAX_LASTYEAR")]
    carbon = np.empty((4, 12, n))
    for kind, names in enumerate(_INPUTS):
        carbon[kind] = _column_input(fields, fields.name(*names), found)
    bedrock = fields.constant("nbedrock", "NBEDROCK")
    if bedrock is None:
        raise InputError(
            f"{fields.records[0].file}: no variable 'nbedrock', the number of layers above bedrock. Give the file that "
            "holds it, such as one made from the surface data, beside the history files."
        )
    found.append(finding("CLM history", "nbedrock", "layers", bedrock))
    layers, months = fields.column.n_layers, (1, 0, 2)
    deep = np.where(np.isfinite(bedrock), np.minimum(bedrock, layers), np.nan)
    climate = (by_layer[name].transpose(months) for name in ("TSOI", "W_SCALAR", "O_SCALAR", "FPI_vr"))
    return MonthlyForcing(*climate, *thaw, carbon, deep), found


def _column_input(fields: HistoryFields, name: str, found: list[Finding]) -> NDArray:
    """Column totals of a volumetric input, (12, n), g C m-2 month-1."""
    values, unit = fields.mean(name, ("g C m-3 s-1", "g C m-3 month-1"), _mean_year)
    total = np.einsum("tjn,j->tn", values, CESM2.column.thickness)
    if unit == "g C m-3 s-1":
        total *= (SECONDS_PER_DAY * MONTH_DAYS)[:, None]
    if not np.isfinite(total).any():
        raise InputError(f"{fields.records[0].file} and on: {name} has no value at any place: all NaN or fill values.")
    if (total < -1e-9).any():
        raise InputError(
            f"{fields.records[0].file} and on: {name} is negative ({np.nanmin(total):.3g} g C m-2 month-1), expected "
            "an input into the litter."
        )
    found.append(finding("CLM history", name, "g C m-2 month-1", total, f"column total of {unit}"))
    return np.maximum(total, 0.0)
