"""Fields of CLM/CTSM history files at places, a block of months at a time: never more than a few hundred megabytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import netCDF4
import numpy as np
from numpy.typing import NDArray

from proda.data.readers.grid_sampling import Sampling, sampling
from proda.data.readers.history_files import Record, attribute, floats, history_paths, opened, records
from proda.data.readers.units import checked_unit
from proda.errors import InputError
from proda.model.column import Column

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
