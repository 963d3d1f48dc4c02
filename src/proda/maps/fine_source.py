"""Forcing and covariates of a grid of any size, read a chunk of cells at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from proda.data.forcing import VARIABLES, has_forcing
from proda.errors import InputError
from proda.model.checks import validated
from proda.model.column import PAPER_COLUMN
from proda.model.forcing import Forcing

# Carried over into the maps where the source has them.
PLACES = {
    "lon": {"standard_name": "longitude", "units": "degrees_east"},
    "lat": {"standard_name": "latitude", "units": "degrees_north"},
    "cell_area": {"standard_name": "cell_area", "units": "m2"},
    "land_fraction": {"standard_name": "land_area_fraction", "units": "1"},
}


class Chunk(NamedTuple):
    """Cells `first` to `last` (excluded) of a source.

    Attributes
    ----------
    forcing : Forcing
        Of the cells that have all they need.
    covariates : pandas.DataFrame
        (n_known, n_covariates) of the same cells.
    lacking : (n,) int8
        0 where a cell has all it needs, 1 where forcing is missing, 2 where a covariate is.
    digest : str
        SHA-256 of everything that was read.
    """

    first: int
    last: int
    forcing: Forcing
    covariates: pd.DataFrame
    lacking: NDArray[np.int8]
    digest: str


def opened_source(source: str | Path | xr.Dataset, covariates: Sequence[str] = ()) -> xr.Dataset:
    """The source of a fine grid, opened but not read, with all its variables along `cell`.

    Parameters
    ----------
    source : path or xarray.Dataset
        A Zarr store (`.zarr`), a NetCDF file, or what xarray or Dask have opened: the variables of `forcing.nc`
        (`proda.data.forcing.VARIABLES`) on `cell`, some also on `layer`, with their units; `covariates` on `cell`.
    covariates : sequence of str

    Raises
    ------
    InputError
        When there is no such file, or a variable is missing, has other dimensions or another unit.
    """
    name = "the source" if isinstance(source, xr.Dataset) else str(source)
    if not isinstance(source, xr.Dataset):
        if not Path(source).exists():
            raise InputError(f"{source}: no such file or store")
        zarr = Path(source).suffix == ".zarr"
        source = xr.open_zarr(source, chunks=None) if zarr else xr.open_dataset(source)
    if "cell" not in source.dims:
        raise InputError(
            f"{name} has dimensions {', '.join(map(str, source.dims))}, expected `cell`. A map on lat and lon becomes "
            'one by source.stack(cell=("lat", "lon")).reset_index("cell")'
        )
    dims = {variable: set(dims) for variable, (_, dims, _) in VARIABLES.items()} | {c: {"cell"} for c in covariates}
    missing = [variable for variable in dims if variable not in source.variables]
    if missing:
        raise InputError(f"{name} has no variable {', '.join(missing)}; it has {', '.join(map(str, source.variables))}")
    for variable, expected in dims.items():
        if set(source[variable].dims) != expected:
            raise InputError(f"{name}: {variable} has dimensions {source[variable].dims}, expected {sorted(expected)}")
        unit = VARIABLES[variable][2]["units"] if variable in VARIABLES else None
        if unit is not None and source[variable].attrs.get("units") != unit:
            raise InputError(
                f"{name}: {variable} is in {source[variable].attrs.get('units')!r}, expected {unit!r}. Convert the "
                "values and set the attribute `units`"
            )
    if source.sizes["layer"] != PAPER_COLUMN.n_layers:
        raise InputError(f"{name} has {source.sizes['layer']} layers, the model {PAPER_COLUMN.n_layers}")
    kept = [*dims, *(place for place in PLACES if place in source.variables and place not in dims)]
    return source.drop_vars([variable for variable in source.variables if variable not in kept])


def read_chunk(source: xr.Dataset, covariates: Sequence[str], first: int, last: int) -> Chunk:
    """Cells `first` to `last` of a source from `opened_source`, in memory.

    Raises
    ------
    InputError
        When forcing that is there cannot be what it is said to be (`proda.model.checks`).
    """
    needed = [*VARIABLES, *(name for name in covariates if name not in VARIABLES)]
    here = source.drop_vars([name for name in source.variables if name not in needed]).isel(cell=slice(first, last))
    here = here.load()
    fields = {
        field: here[name].transpose(*dims).to_numpy().astype(np.float64) for name, (field, dims, _) in VARIABLES.items()
    }
    frame = pd.DataFrame({name: here[name].to_numpy().astype(np.float64) for name in covariates})
    frame = frame if len(covariates) else pd.DataFrame(index=range(last - first))
    total = hashlib.sha256()
    for values in (*fields.values(), frame.to_numpy(np.float64)):
        total.update(np.ascontiguousarray(values).tobytes())
    forcing = Forcing(**fields)
    lacking = np.where(has_forcing(forcing), 0, 1).astype(np.int8)
    lacking[(lacking == 0) & ~np.isfinite(frame.to_numpy(np.float64)).all(axis=1)] = 2
    known = lacking == 0
    if known.any():
        # A cell that lacks something stands in for nothing, so that a fault is told by the place of its own cell.
        filled = np.where(known, np.arange(last - first), np.argmax(known))
        validated(forcing.take(filled), source=f"forcing, columns counted from cell {first}")
    return Chunk(first, last, forcing.take(known), frame[known].reset_index(drop=True), lacking, total.hexdigest())
