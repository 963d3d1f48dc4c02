"""The CESM2 fields of the public archive, read by slices: monthly means of a mean year on a half-degree-like grid.

A field of twenty layers is 425 MB in double precision and there are a dozen, so only the grid columns asked for are
read. The files are MATLAB's version 7.3, which is HDF5 with the axes in reverse order.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.data.readers import archive_layout as layout
from proda.data.readers.archive_arrays import existing
from proda.data.readers.grid_sampling import nearest_on_axis
from proda.errors import InputError
from proda.model.column import CESM2_COLUMN

GRID_LAT = 90.0 - layout.LAT_STEP * (np.arange(layout.N_LAT) + 0.5)
GRID_LON = -180.0 + layout.LON_STEP * (np.arange(layout.N_LON) + 0.5)
VARIABLE = "var_record_monthly_mean"
NARROWEST_BAND, WIDEST_BAND = 8, 72  # meridians; 72 of 20 layers from pole to pole are 53 MB
INPUTS = ("CWD_INPUT_ACC_VECTOR", "LITR1_INPUT_ACC_VECTOR", "LITR2_INPUT_ACC_VECTOR", "LITR3_INPUT_ACC_VECTOR")

# Name: unit, least and greatest plausible value.
FIELDS = {
    "TSOI": ("K", 180.0, 350.0),
    "W_SCALAR": ("1", 0.0, 1.0 + 1e-6),
    "O_SCALAR": ("1", 0.0, 1.0 + 1e-6),
    "FPI_vr": ("1", 0.0, 1.0 + 1e-6),
    "ALTMAX": ("m", 0.0, 100.0),
    "ALTMAX_LASTYEAR": ("m", 0.0, 100.0),
    "nbedrock": ("layers", 1.0, 25.0),
    "SOILPSI": ("MPa", -1e4, 0.0),
    "CELLSAND": ("%", 0.0, 100.0),
    **{name: ("g C m-3 month-1", -1e-6, 1e6) for name in INPUTS},
    "NPP": ("g C m-2 s-1", -1e-4, 5e-4),
    "T_SCALAR": ("1", 0.0, 10.0),
    "TOTSOMC": ("g C m-2", 0.0, 2e6),  # the run's own carbon, to compare with
}


def archive_cells(lon: ArrayLike, lat: ArrayLike) -> tuple[NDArray, NDArray]:
    """Row (from the north) and column (from the west) of the grid cell nearest to each place, from 0."""
    lon = np.asarray(lon, float)
    return nearest_on_axis(GRID_LAT, lat), nearest_on_axis(GRID_LON, np.where(lon > 180.0, lon - 360.0, lon))


def read_field(folder: Path | str, name: str, row: NDArray, column: NDArray) -> NDArray[np.float64]:
    """A field at grid cells: (12, n), or (20, 12, n) when it has layers; NaN where the model has no land.

    Raises
    ------
    InputError
        When the file is missing or no HDF5, lacks its variable, has another shape, or holds impossible values.
    """
    if name not in FIELDS:
        raise InputError(f"no field {name!r}; the reader knows: {', '.join(FIELDS)}.")
    path = existing(layout.archive_root(folder) / layout.FIELD.format(name=name))
    try:
        file = h5py.File(path)
    except OSError as error:
        raise InputError(
            f"{path}: not a readable HDF5 file ({str(error).splitlines()[0]}); expected MATLAB's version 7.3. Broken "
            "off in transfer, or saved in an older version?"
        ) from None
    with file:
        if VARIABLE not in file:
            raise InputError(f"{path}: no variable {VARIABLE!r}; it has: {', '.join(file)}.")
        stored = file[VARIABLE]
        layers = _layers(stored.shape, path)
        cells, place = np.unique(column * layout.N_LAT + row, return_inverse=True)
        values = _columns(stored, cells // layout.N_LAT, cells % layout.N_LAT, layers)[..., place]
    unit, low, high = FIELDS[name]
    bad = (values < low) | (values > high)
    if bad.any():
        raise InputError(
            f"{path}: {name} is {values[bad][0]:.4g} {unit} somewhere, expected {low:g} to {high:g} "
            f"({int(bad.sum())} of {bad.size} values are outside). Another unit, or a fill value?"
        )
    # MATLAB's axes are lat, lon, layer, month; the file's are month, layer, ...
    return values if layers is None else np.swapaxes(values, 0, 1)


def _layers(shape: tuple[int, ...], path: Path) -> int | None:
    """Number of layers to read; None for a field without."""
    if shape == (12, layout.N_LON, layout.N_LAT):
        return None
    if len(shape) == 4 and shape[0] == 12 and shape[2:] == (layout.N_LON, layout.N_LAT):
        if shape[1] >= CESM2_COLUMN.n_layers:
            return CESM2_COLUMN.n_layers
        raise InputError(f"{path}: {VARIABLE} has {shape[1]} layers, expected at least {CESM2_COLUMN.n_layers}.")
    turned = " Axes in the order of Python: written by another program?" if shape[:2] == GRID_SHAPE else ""
    raise InputError(
        f"{path}: {VARIABLE} is stored with shape {shape}, expected (12, {layout.N_LON}, {layout.N_LAT}) or "
        f"(12, layers, {layout.N_LON}, {layout.N_LAT}), MATLAB's [lat, lon, (layer,) month] in reverse.{turned}"
    )


GRID_SHAPE = (layout.N_LAT, layout.N_LON)


def _columns(stored: h5py.Dataset, lon: NDArray, lat: NDArray, layers: int | None) -> NDArray[np.float64]:
    """Values at cells, (12, [layers,] n), read a band of meridians at a time, as wide as the file's chunks."""
    result = np.empty((12, lon.size) if layers is None else (12, layers, lon.size))
    levels = () if layers is None else (slice(0, layers),)
    width = min(stored.chunks[-2], WIDEST_BAND) if stored.chunks else NARROWEST_BAND
    for band in np.unique(lon // width):
        here = np.flatnonzero(lon // width == band)
        west, north = int(lon[here].min()), int(lat[here].min())
        window = (slice(west, int(lon[here].max()) + 1), slice(north, int(lat[here].max()) + 1))
        block = stored[(slice(None), *levels, *window)]
        result[..., here] = block[..., lon[here] - west, lat[here] - north]
    return result
