"""Forcing of both model configurations from history files of CLM and CTSM: monthly means on longitudes and latitudes.

Each place takes the nearest cell. Files are read one by one, for xarray opens many as one with dask only.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import cftime
import netCDF4
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.data.readers.rasters import nearest_index
from proda.data.tables import Finding, SourcedForcing, check_range, checked_unit, finding, findings_table
from proda.errors import InputError
from proda.model.configuration import CESM2, PAPER, Column, Configuration
from proda.model.forcing import Forcing, MonthlyForcing

SECONDS_PER_DAY = 86400.0
MONTH_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], float)  # of CLM's 365-day year
LEVEL_TOLERANCE = 2e-3  # of a node's depth; files hold it in single precision
# Per variable: unit, least and greatest plausible value of a month and level, and what is likely beyond.
_PLAUSIBLE = {
    "TSOI": ("K", 180.0, 350.0, "temperatures in degrees Celsius, though 'units' is K?"),
    "SOILPSI": ("MPa", -20.0, 0.0, "CLM's potentials are -15 to 0 MPa: a suction with the other sign, or in kPa?"),
    "ALTMAX": ("m", 0.0, 100.0, "a depth in centimetres, though 'units' is m?"),
    "ALTMAX_LASTYEAR": ("m", 0.0, 100.0, "a depth in centimetres, though 'units' is m?"),
    "NPP": ("g C m-2 s-1", -1e-4, 5e-4, "a flux per day or year, though 'units' is per second?"),
    "W_SCALAR": ("1", 0.0, 1.0, "a percentage?"),
    "O_SCALAR": ("1", 0.0, 1.0, "a percentage?"),
    "FPI_vr": ("1", 0.0, 1.0 + 1e-6, "a percentage?"),
    "litter input": ("g C m-2 month-1", -1e-9, 1e5, "a loss, or another unit than in 'units'?"),
    "nbedrock": ("layers", 0.0, 50.0, "a depth in m or cm?"),
}
# The carbon that enters each litter pool, in the order of `MonthlyForcing.carbon_input`; names differ between versions.
_INPUTS = tuple(
    tuple(f"{pool}{ending}" for ending in ("_INPUT", "_INPUT_VECTOR", "_INPUT_ACC_VECTOR"))
    for pool in ("CWD", "LITR1", "LITR2", "LITR3")
)


def forcing_from_history(
    files: Path | str,
    lon: ArrayLike,
    lat: ArrayLike,
    configuration: Configuration = PAPER,
    vertical: str = "match",
    npp_multiples: tuple[float, float] | None = None,
) -> SourcedForcing:
    """Forcing of the places at `lon`, `lat` (degrees) from a history file or a folder of `*.nc`: whole years of months.

    `PAPER` takes means over all months: TSOI, SOILPSI, ALTMAX, and annual NPP with its least and greatest year. `CESM2`
    takes a mean year, month by month: TSOI, W_SCALAR, O_SCALAR, FPI_vr, ALTMAX, ALTMAX_LASTYEAR, the inputs of woody
    debris and litter, and `nbedrock`. A variable in another unit or on other levels, missing or doubled months, and a
    grid that does not cover the places are an `InputError`. With `vertical` "linear", not "match", files of another
    version of CLM are interpolated to the nodes of the configuration. `npp_multiples`, least and greatest annual NPP as
    multiples of the mean, are needed for a single year.
    """
    history = _History(files, lon, lat, configuration.column, vertical)
    forcing = _monthly(history) if configuration.monthly else _annual(history, npp_multiples)
    months = " to ".join(_month_name(history.months, row) for row in (0, -1))
    mean = "mean year, month by month" if configuration.monthly else "mean over all months"
    levels = "" if vertical == "match" else ", levels interpolated"
    comment = f"CLM history files, {months} ({len(history.paths)} files): {mean}, nearest cell{levels}."
    return SourcedForcing(forcing, findings_table(history.findings), comment)


def _annual(history: _History, multiples: tuple[float, float] | None) -> Forcing:
    days = history.months["days"].to_numpy()
    names = ("TSOI", "SOILPSI", "ALTMAX")
    history.require(*((name,) for name in (*names, "NPP")))
    temperature, potential, thaw = (
        history.found(name, np.average(history.series(name)[0], axis=0, weights=days)) for name in names
    )
    annual = history.series("NPP")[0] * SECONDS_PER_DAY * days[:, None]
    annual = history.at_places(annual.reshape(-1, 12, annual.shape[-1]).sum(axis=1))  # every twelve months a year
    mean = annual.mean(axis=0)
    if multiples is not None:
        low, high = multiples[0] * mean, multiples[1] * mean
        note = f"least and greatest year taken as {multiples[0]:g} and {multiples[1]:g} times the mean"
    elif len(annual) < 2:
        raise InputError(
            f"{history.first}: one year of NPP has no least and greatest. Give more, or npp = 'multiples'."
        )
    else:
        low, high = annual.min(axis=0), annual.max(axis=0)
        note = f"{len(annual)} years; least year below zero and set to zero at {int((low < 0).sum())} places"
        low = np.maximum(low, 0.0)
    for name, values in (("NPP", mean), ("NPP, least year", low), ("NPP, greatest year", high)):
        history.findings.append(finding("CLM history", name, "g C m-2 yr-1", values, note))
    return Forcing(temperature, potential, thaw, mean, low, high)


def _monthly(history: _History) -> MonthlyForcing:
    month = history.months["month"].to_numpy()

    def mean_year(series: NDArray) -> NDArray:
        return np.stack([series[month == m].mean(axis=0) for m in range(1, 13)])

    names = ("TSOI", "W_SCALAR", "O_SCALAR", "FPI_vr", "ALTMAX", "ALTMAX_LASTYEAR")
    history.require(*((name,) for name in names), *_INPUTS)
    *layered, thaw, thaw_last_year = (history.found(name, mean_year(history.series(name)[0])) for name in names)
    carbon = []
    for names in _INPUTS:
        series, name, unit = history.series(*names, units=("g C m-3 s-1", "g C m-3 month-1"))
        series = np.where(np.isnan(series[:, :1]), np.nan, np.nan_to_num(series))  # below bedrock nothing enters
        total = np.einsum("tjn,j->tn", series, CESM2.column.thickness)
        total = total * (SECONDS_PER_DAY * MONTH_DAYS)[month - 1, None] if unit.endswith("s-1") else total
        history.check("litter input", total, name)
        total = history.at_places(mean_year(total))
        history.findings.append(finding("CLM history", name, "g C m-2 month-1", total, f"column total of {unit}"))
        carbon.append(np.maximum(total, 0.0))
    bedrock = history.bedrock()
    deep = np.where(np.isfinite(bedrock), np.minimum(bedrock, history.column.n_layers), np.nan)
    temperature, *scalars = (_filled_below(values.transpose(1, 0, 2), deep) for values in layered)
    return MonthlyForcing(
        temperature, *(np.minimum(x, 1.0) for x in scalars), thaw, thaw_last_year, np.stack(carbon), deep
    )


def _filled_below(values: NDArray, bedrock: NDArray) -> NDArray:
    """Values (n_layers, 12, n), where they are missing below bedrock those of the layer above: no carbon is there."""
    for layer in range(1, len(values)):
        gap = np.isnan(values[layer]) & (layer >= bedrock)
        values[layer] = np.where(gap, values[layer - 1], values[layer])
    return values


class _History:
    def __init__(self, files, lon: ArrayLike, lat: ArrayLike, column: Column, vertical: str) -> None:
        self.column, self.vertical = column, vertical
        self.paths = sorted(Path(files).glob("*.nc")) if Path(files).is_dir() else [Path(files)]
        if not self.paths:
            raise InputError(f"{files}: no *.nc file; expected history files of CLM.")
        self.months = _months(self.paths)
        self.first: Path = self.months["file"].iloc[0]
        self.findings: list[Finding] = []
        with _opened(self.first) as file:
            self.axes, self.variables = _axes(file, self.first), set(file.variables)
        cells, self._place = np.unique(_nearest_cells(*self.axes, lon, lat, self.first), return_inverse=True)
        self._row, self._column = np.divmod(cells, self.axes[0].size)

    def at_places(self, values: NDArray) -> NDArray:
        return values[..., self._place]

    def require(self, *variables: tuple[str, ...]) -> None:
        """An InputError for the variables, each under one of several names, that the first file lacks."""
        absent = [names[0] for names in variables if not self.variables & set(names)]
        if absent:
            raise InputError(
                f"{self.first}: no variable {', '.join(absent)}. CLM may not write it by default: add hist_fincl1 = "
                f"{', '.join(map(repr, absent))} to user_nl_clm and run again, or give the files of the stream with it."
            )

    def found(self, name: str, of_cells: NDArray) -> NDArray:
        values = self.at_places(of_cells)
        self.findings.append(finding("CLM history", name, _PLAUSIBLE[name][0], values))
        return values

    def check(self, quantity: str, values: NDArray, name: str = "") -> None:
        unit, low, high, guess = _PLAUSIBLE[quantity]
        check_range(values, unit, low, high, f"{self.first} and on: {name or quantity}", guess)

    def series(self, *names: str, units: tuple[str, ...] = ()) -> tuple[NDArray[np.float64], str, str]:
        """A variable in the order of time, (n_months, [n_layers,] n_cells), its name and unit, of those allowed."""
        name = next(name for name in names if name in self.variables)
        units = units or (_PLAUSIBLE[name][0],)
        parts = []
        of_file = (self.months["file"] != self.months["file"].shift()).cumsum()
        for _, months in self.months.groupby(of_file):
            path, positions = months["file"].iloc[0], months["position"].to_numpy()
            with _opened(path) as file:
                same = all(
                    axis.shape == expected.shape and np.allclose(axis, expected, atol=1e-4)
                    for axis, expected in zip(_axes(file, path), self.axes, strict=True)
                )
                if name not in file.variables or not same:
                    raise InputError(f"{path}: no variable {name} on the grid of {self.first.name}. Of another run?")
                variable = file[name]
                unit = checked_unit(getattr(variable, "units", None), units, f"{path}: {name}")
                units = (unit,)
                levels, shares = self._levels(file, variable, path)
                for begin in range(0, len(positions), 12):
                    parts.append(self._cells(variable, positions[begin : begin + 12], levels))
        values = np.concatenate(parts)
        if name in _PLAUSIBLE:
            self.check(name, values)
        if shares is not None:
            gaps = np.einsum("jk,tkc->tjc", shares > 0, np.isnan(values))
            values = np.where(gaps, np.nan, np.einsum("jk,tkc->tjc", shares, np.nan_to_num(values)))
        some = np.isnan(values) & ~np.isnan(values).all(axis=0)
        if some.any():
            month = int(np.argmax(some.reshape(len(some), -1).any(axis=1)))
            raise InputError(
                f"{self.months['file'].iloc[month]}: {name} is missing in {_month_name(self.months, month)} at "
                f"{some[month].mean():.2%} of the levels and places, which have it in other months. A file broken off?"
            )
        return values, name, unit

    def _cells(self, variable: netCDF4.Variable, positions: NDArray, levels: NDArray) -> NDArray:
        each = (positions, levels, self._row, self._column) if levels.size else (positions, self._row, self._column)
        window = tuple(slice(int(x.min()), int(x.max()) + 1) for x in each)
        months, *level, rows, columns = (x - part.start for x, part in zip(each, window, strict=True))
        block = _floats(variable[window])[months]
        return (block[:, level[0]] if level else block)[..., rows, columns]

    def _levels(self, file: netCDF4.Dataset, variable: netCDF4.Variable, path: Path) -> tuple[NDArray, NDArray | None]:
        """Which levels to read, top down, none without any, and their shares in the layers if they are interpolated."""
        method = re.search(r"time: (?!mean)\w+", getattr(variable, "cell_methods", ""))
        if method:
            raise InputError(
                f"{path}: {variable.name} has cell_methods {method[0]!r}, expected 'time: mean'. Leave instantaneous "
                "output (h0i) and extremes out."
            )
        levels = [name for name in variable.dimensions if name not in ("time", "lat", "lon")]
        if variable.dimensions != ("time", *levels, "lat", "lon") or len(levels) > 1:
            raise InputError(
                f"{path}: {variable.name} has dimensions {variable.dimensions}, expected (time, [level,] lat, lon); "
                "constants and output of patches or columns cannot be used."
            )
        if not levels:
            return np.zeros(0, int), None
        # CLM writes its decomposition levels as an axis without a variable in some versions.
        axis = levels[0] if levels[0] in file.variables else "levgrnd"
        if axis not in file.variables or not levels[0].startswith("lev"):
            raise InputError(f"{path}: no depths of {levels[0]!r}, the levels of {variable.name}, in the file.")
        # Files may count depth upwards, or levels from the lowest.
        depth, node = np.abs(_floats(file[axis][:]))[: variable.shape[1]], self.column.node
        order = np.argsort(depth, kind="stable")
        depth = depth[order]
        if depth.size >= node.size and np.allclose(depth[: node.size], node, rtol=LEVEL_TOLERANCE, atol=1e-5):
            return order[: node.size], None
        if depth[0] in (0, 1) and (np.diff(depth) == 1).all():
            raise InputError(
                f"{path}: {axis} numbers the levels of {variable.name} from {depth[0]:g} to {depth[-1]:g}, expected "
                "their depths in m, as CLM writes them."
            )
        checked_unit(getattr(file[axis], "units", None), ("m",), f"{path}: {axis}")
        if self.vertical == "match" or depth[-1] < node[-1] or (np.diff(depth) <= 0).any():
            raise InputError(
                f"{path}: {variable.name} has {depth.size} levels from {depth[0]:.3g} to {depth[-1]:.3g} m, expected "
                f"the {node.size} from {node[0]:.3g} to {node[-1]:.3g} m of the {self.column.name!r} configuration. "
                "Output of another version of CLM? Where its levels reach as deep, set vertical = 'linear'."
            )
        used = int(np.searchsorted(depth, node[-1])) + 1
        return order[:used], np.array([np.interp(node, depth[:used], unit) for unit in np.eye(used)]).T

    def bedrock(self) -> NDArray:
        """Number of layers above bedrock at the places, (n,), from any of the files."""
        for path in self.paths:
            with _opened(path) as file:
                name = next((name for name in ("nbedrock", "NBEDROCK") if name in file.variables), None)
                if name is not None:
                    values = _floats(file[name][:])[..., self._row, self._column]
                    bedrock = self.at_places(values.reshape(-1, self._row.size)[0])
                    self.check("nbedrock", bedrock)
                    self.findings.append(finding("CLM history", "nbedrock", "layers", bedrock))
                    return bedrock
        raise InputError(
            f"{self.first}: no variable 'nbedrock', the number of layers above bedrock. Put a file that holds it, such "
            "as one made from the surface data, beside the history files."
        )


def _opened(path: Path) -> netCDF4.Dataset:
    try:
        return netCDF4.Dataset(path)
    except OSError as error:
        raise InputError(f"{path}: not a readable NetCDF file ({error}). Broken off in transfer?") from None


def _floats(values: object) -> NDArray[np.float64]:
    return np.ma.filled(np.ma.asarray(values).astype(np.float64), np.nan)


def _months(paths: list[Path]) -> pd.DataFrame:
    """File, position along its axis of time, year, month and length in days of every monthly mean, in order of time."""
    rows = [row for path in paths for row in _months_of(path)]
    months = pd.DataFrame(rows, columns=["file", "position", "year", "month", "days"])
    months = months.sort_values(["year", "month"], kind="stable", ignore_index=True)
    irregular = (12 * months["year"] + months["month"]).diff().iloc[1:] != 1
    if irregular.any():
        i = int(np.argmax(irregular))
        before, after = (f"{_month_name(months, k)} ({months['file'].iloc[k]})" for k in (i, i + 1))
        raise InputError(
            f"{before} is followed by {after}, expected every month once and no gap. A missing file, or files of two "
            "history streams?"
        )
    if len(months) % 12 or not len(months):
        raise InputError(
            f"{paths[0]} and on: {len(months)} monthly means along an axis 'time', expected whole years: seasons bias "
            "the mean over part of a year."
        )
    return months


def _month_name(months: pd.DataFrame, row: int) -> str:
    return f"{months['year'].iloc[row]:04d}-{months['month'].iloc[row]:02d}"


def _months_of(path: Path) -> list[tuple[Path, int, int, int, float]]:
    """Months of a file, by the middle of the time bounds; none where it has no axis of time, as surface data."""
    with _opened(path) as file:
        if "time" not in file.dimensions or "time" not in file.variables:
            return []
        time = file["time"]
        names = (getattr(time, "bounds", None), "time_bounds", "time_bnds")
        bounds = next((file[name] for name in names if name in file.variables), None)
        if bounds is None:
            raise InputError(
                f"{path}: no variable 'time_bounds', so the month of a mean is not known. Instantaneous output (h0i)? "
                "Leave these files out."
            )
        # xarray may write bounds in other units than the axis.
        units = getattr(bounds, "units", getattr(time, "units", ""))
        calendar = getattr(bounds, "calendar", getattr(time, "calendar", "noleap"))
        edges, at = _floats(bounds[:]), _floats(time[:])
        if not (np.isfinite(edges).all() and np.isfinite(at).all()):
            raise InputError(f"{path}: 'time' or its bounds are missing in a record. Broken off in transfer?")
        try:
            intervals = cftime.num2date(edges, units, calendar)
            stamps = cftime.num2date(at, getattr(time, "units", units), getattr(time, "calendar", "noleap"))
        except ValueError as error:
            raise InputError(f"{path}: time is in {units!r}, expected 'days since ...' ({error}).") from None
    months, day = [], timedelta(days=1)
    for position, ((begin, end), stamp) in enumerate(zip(intervals, stamps, strict=True)):
        first, here, last = (x.timetuple()[:4] for x in (begin - day, stamp, end + day))  # of any two calendars
        if not first <= here <= last:
            raise InputError(
                f"{path}: record {position} is at {stamp}, outside its time bounds {begin} to {end}. Do the bounds "
                "count from another day or in another unit than 'time'? Write their own attribute 'units'."
            )
        days = (end - begin).total_seconds() / SECONDS_PER_DAY
        if not 27.0 < days < 32.0:
            raise InputError(f"{path}: record {position} covers {days:g} days, expected a month. Monthly means only.")
        middle = begin + (end - begin) / 2
        months.append((path, position, middle.year, middle.month, days))
    return months


def _axes(file: netCDF4.Dataset, path: Path) -> tuple[NDArray, NDArray]:
    for axis in ("lon", "lat"):
        dims = file[axis].dimensions if axis in file.variables else ()
        if dims != (axis,) or file[axis].size < 2:
            raise InputError(
                f"{path}: no axis {axis!r} of two points or more; it has {', '.join(file.dimensions)}. Output of an "
                "unstructured grid or a single point? Regrid it to longitudes and latitudes, as with ncremap."
            )
    return _floats(file["lon"][:]), _floats(file["lat"][:])


def _nearest_cells(grid_lon: NDArray, grid_lat: NDArray, lon: ArrayLike, lat: ArrayLike, path: Path) -> NDArray:
    """Row times the number of columns plus column of the cell of each place, which is no farther than half a cell."""
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    row, column = nearest_index(grid_lat, lat), nearest_index(grid_lon, lon, 360.0)
    half_lon, half_lat = (float(np.median(np.abs(np.diff(axis)))) / 2 + 1e-6 for axis in (grid_lon, grid_lat))
    away = np.abs(np.mod(lon - grid_lon[column] + 180.0, 360.0) - 180.0)
    outside = ~((away <= half_lon) & (np.abs(lat - grid_lat[row]) <= half_lat))
    if outside.any():
        i = int(np.argmax(outside))
        raise InputError(
            f"{path}: the grid, lon {grid_lon.min():g} to {grid_lon.max():g}, lat {grid_lat.min():g} to "
            f"{grid_lat.max():g}, does not cover {int(outside.sum())} of {outside.size} places; the first is place "
            f"{i} at lon {lon[i]:g}, lat {lat[i]:g}."
        )
    return row * grid_lon.size + column
