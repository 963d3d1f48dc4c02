"""SOC stocks on a grid of any size, chunk by chunk, in bounded memory.

A million cells with a hundred draws each are a hundred million steady states: a minute or two of compiled columns, but
more than fits in memory. Cells are taken a chunk at a time, by as many threads as there are cores; each reads its
forcing and covariates, gets its parameters, runs the model and writes its region of a Zarr store.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import xarray as xr
import zarr
from numpy.typing import ArrayLike, NDArray

from proda.assimilation.chains import n_workers
from proda.data.forcing import VARIABLES, has_forcing
from proda.errors import InputError
from proda.kernels import steady_state as lanes
from proda.maps.netcdf import BEYOND, EXTRAPOLATED, LEVELS, SOC_CONTENT, file_attributes, quantile_meanings, vertical
from proda.maps.stocks import MAP_INTERVALS, QUANTILES, overlap
from proda.model.configuration import PAPER_COLUMN, validated
from proda.model.forcing import Forcing
from proda.model.parameters import PAPER_PARAMETERS, bounds
from proda.stage import progress_bar

if TYPE_CHECKING:  # Keras takes seconds to import, and fixed draws need none of it
    from proda.learning.paper_network import Predictor

CHUNK = 4096  # cells: with 100 draws each some 100 MB a thread
STATUS = ("has_a_value", "forcing_is_missing", "a_covariate_is_missing", "carbon_is_not_finite")
_AT_ONCE = 20  # draws that go through the compiled model together
# Carried over into the maps where the source has them.
_PLACES = {
    "lon": {"standard_name": "longitude", "units": "degrees_east"},
    "lat": {"standard_name": "latitude", "units": "degrees_north"},
    "cell_area": {"standard_name": "cell_area", "units": "m2"},
    "land_fraction": {"standard_name": "land_area_fraction", "units": "1"},
}


class MapDraws(NamedTuple):
    """Parameters of a chunk of cells, and where they are an extrapolation."""

    x: NDArray[np.float64]  # (n_draws, 25, n) on the unit cube, or (n_draws, 25, 1) where they hold in every cell
    extrapolated: NDArray[np.float64]  # (n,) number of covariates outside the range of the training sites, or NaN


# Takes the covariates (n, n_covariates) of a chunk, gives `MapDraws`, or their `x` alone. Its attribute `covariates`
# names the columns that it needs; without one it needs none.
MapPredictor: TypeAlias = Callable[[pd.DataFrame], MapDraws | NDArray[np.float64]]


class FixedDraws:
    """Parameters (n_draws, 25) on the unit cube that hold everywhere, such as draws of the one-batch posterior."""

    covariates: tuple[str, ...] = ()

    def __init__(self, draws: ArrayLike) -> None:
        self.draws = np.atleast_2d(np.asarray(draws, dtype=np.float64))[:, :, None]

    def __call__(self, covariates: pd.DataFrame) -> NDArray[np.float64]:
        return self.draws


class NetworkDraws:
    """Parameters predicted by the paper's network or the hybrid: `proda.learning.loaded_network`, `loaded_hybrid`.

    Each member of the hybrid is a draw: the quantiles of a fine map are the members' spread alone, which is narrower
    than their error on withheld land.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor, self.covariates, self._one_at_a_time = predictor, predictor.covariates, Lock()

    def __call__(self, covariates: pd.DataFrame) -> MapDraws:
        # Keras keeps the function that it compiled in the network: two threads would both compile it.
        with self._one_at_a_time:
            prediction = self.predictor(covariates)
        x = prediction.x if prediction.x.ndim == 3 else prediction.x[None]
        return MapDraws(np.swapaxes(x, 1, 2), prediction.extrapolated.astype(float))


def fine_maps(
    source: str | Path | xr.Dataset,
    predictor: MapPredictor,
    store: str | Path,
    *,
    chunk: int = CHUNK,
    workers: int | None = None,
    title: str = "Soil organic carbon",
) -> xr.Dataset:
    """Stocks of 0-30, 0-100 and 0-200 cm on the cells of `source`: mean, 5, 50 and 95 % over the draws of `predictor`.

    Parameters
    ----------
    source : path or xarray.Dataset
        Zarr store, NetCDF file or opened dataset with the forcing on `cell` (variables and units of `forcing.nc`) and
        the covariates of the predictor. Best stored in chunks along `cell` of some ten thousand. `lon`, `lat`,
        `cell_area` (m2), `land_fraction` are carried over.
    predictor : callable
        Takes the covariates of n cells, a DataFrame, and gives parameters (n_draws, 25, n) on the unit cube, or
        (n_draws, 25, 1) that hold everywhere, alone or in `MapDraws`: `FixedDraws`, `NetworkDraws`, or your own
        function, with an attribute `covariates` that names its columns. It is called by several threads.
    store : path
        Zarr store to make. It has this name only when it is whole; until then it is `<store>.partial`.
    chunk : int
        Cells at a time, and of the store's chunks; does not change the values.
    workers : int, optional
        Threads; all cores unless given.
    title : str
        Title of the store.

    Returns
    -------
    xarray.Dataset
        The store, opened: `soil_mass_content_of_carbon` (depth, cell), kg m-2, with `_p05`, `_p50`, `_p95` (missing
        with a single draw); `extrapolated` (cell), number of covariates outside the range of the training sites, NaN
        for a predictor without covariates; and `status` (cell): 0 where there is a value, else why not. How many cells
        have which status, and how many are extrapolated, is in its attributes.

    Raises
    ------
    InputError
        When the source lacks a variable or has another unit, the predictor gives something else, or the store exists.

    Examples
    --------
    >>> network = NetworkDraws(loaded_network(study.out))                               # doctest: +SKIP
    >>> maps = fine_maps("one_kilometre.zarr", network, "soc_1km.zarr")                 # doctest: +SKIP
    >>> maps["soil_mass_content_of_carbon"].sel(depth=1.0)                              # doctest: +SKIP
    """
    if chunk < 1:
        raise InputError(f"chunk is {chunk}, expected at least one cell")
    covariates = tuple(getattr(predictor, "covariates", ()))
    cells, path = opened_source(source, covariates), Path(store)
    if path.exists():
        raise InputError(f"{path} exists: give another name, or remove it first")
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    n = cells.sizes["cell"]
    _write_empty(cells, partial, min(chunk, n))

    def write_chunk(first: int) -> tuple[NDArray[np.int64], int]:
        region = slice(first, min(first + chunk, n))
        part = chunk_maps(cells.isel(cell=region), covariates, predictor, first)
        part.to_zarr(partial, region={"cell": region}, mode="r+", consolidated=False)
        extrapolated = (part[BEYOND].values > 0) & (part["status"].values == 0)
        return np.bincount(part["status"], minlength=len(STATUS)), int(extrapolated.sum())

    counts, n_extrapolated = np.zeros(len(STATUS), int), 0
    with ThreadPoolExecutor(workers or n_workers()) as pool, progress_bar(n, "fine maps", "cell") as bar:
        running = [pool.submit(write_chunk, first) for first in range(0, n, chunk)]
        try:
            for done in as_completed(running):
                of_chunk, beyond = done.result()
                counts, n_extrapolated = counts + of_chunk, n_extrapolated + beyond
                bar.update(int(of_chunk.sum()))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    comment = "Per area of land: a cell's carbon is the content times cell_area times land_fraction."
    attributes = file_attributes(title, "", comment, "fine_maps")
    attributes |= {f"cells_{name}": int(count) for name, count in zip(STATUS, counts, strict=True)}
    zarr.open_group(partial, mode="r+").attrs.update(attributes | {"cells_extrapolated": n_extrapolated})
    partial.rename(path)
    return xr.open_zarr(path, consolidated=False)


def opened_source(source: str | Path | xr.Dataset, covariates: Sequence[str] = ()) -> xr.Dataset:
    """The source of `fine_maps`, opened but not read: forcing, covariates and places, all along `cell`.

    Raises
    ------
    InputError
        When there is no such file, or a variable is missing, has other dimensions or another unit.
    """
    name = "the source" if isinstance(source, xr.Dataset) else str(source)
    if not isinstance(source, xr.Dataset):
        if not Path(source).exists():
            raise InputError(f"{source}: no such file or store")
        is_zarr = Path(source).suffix == ".zarr"
        source = xr.open_zarr(source, chunks=None) if is_zarr else xr.open_dataset(source)
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
    return source.drop_vars([variable for variable in source.variables if variable not in (*dims, *_PLACES)])


def _write_empty(cells: xr.Dataset, path: Path, chunk: int) -> None:
    """A store with places and metadata, whose maps are filled chunk by chunk."""
    n, intervals = cells.sizes["cell"], np.array(MAP_INTERVALS)
    maps = cells[[name for name in _PLACES if name in cells.variables]].load().drop_encoding()
    maps = maps.reset_coords().set_coords([name for name in ("lon", "lat") if name in maps.variables])
    for name in maps.variables:
        maps[name].attrs = _PLACES[str(name)]
    maps["depth_bounds"] = (("depth", "bounds"), intervals)
    maps = maps.assign_coords(depth=vertical("depth", intervals[:, 1], "lower depth of the interval"))
    meaning = quantile_meanings("over the draws of the parameters")
    # Broadcast values take no memory, and chunks that hold the fill value alone are not written.
    missing, zero = np.broadcast_to(np.float32(np.nan), (len(intervals), n)), np.broadcast_to(np.int8(0), n)
    for statistic, suffix in LEVELS.items():
        attributes = {"standard_name": SOC_CONTENT, "units": "kg m-2", "long_name": meaning[statistic]}
        attributes["ancillary_variables"] = f"{BEYOND} status"
        maps[SOC_CONTENT + suffix] = (("depth", "cell"), missing, attributes)
    maps[BEYOND] = ("cell", missing[0], {"long_name": EXTRAPOLATED, "units": "1"})
    flags = {"long_name": "whether a cell has a value, and why not", "flag_meanings": " ".join(STATUS)}
    maps["status"] = ("cell", zero, flags | {"flag_values": list(range(len(STATUS)))})
    encoding = {
        str(name): {"chunks": tuple(chunk if dim == "cell" else variable.sizes[dim] for dim in variable.dims)}
        for name, variable in maps.variables.items()
        if "cell" in variable.dims
    }
    maps.to_zarr(path, mode="w", consolidated=False, encoding=encoding)


def chunk_maps(cells: xr.Dataset, covariates: Sequence[str], predictor: MapPredictor, first: int = 0) -> xr.Dataset:
    """The maps of a chunk of the cells of `opened_source`; `first` is its place in the source, for messages.

    Raises
    ------
    InputError
        When the forcing of a cell is out of its range, or by the predictor (`checked_draws`).
    """
    cells = cells.drop_vars([name for name in cells.variables if name not in (*VARIABLES, *covariates)]).load()
    fields = {field: cells[name].transpose(*dims) for name, (field, dims, _) in VARIABLES.items()}
    forcing = Forcing(**{field: values.to_numpy().astype(np.float64) for field, values in fields.items()})
    n = cells.sizes["cell"]
    frame = pd.DataFrame({name: cells[name].to_numpy().astype(np.float64) for name in covariates}, index=range(n))
    status = np.where(has_forcing(forcing), 0, 1).astype(np.int8)
    status[(status == 0) & frame.isna().any(axis=1).to_numpy()] = 2
    known = status == 0
    stock = np.full((len(LEVELS), len(MAP_INTERVALS), n), np.nan, "f4")
    extrapolated = np.full(n, np.nan, "f4")
    if known.any():
        # A cell that lacks something gets the values of another, so that a fault is reported at its own place.
        filled = np.where(known, np.arange(n), np.argmax(known))
        validated(forcing.take(filled), source=f"forcing, columns counted from cell {first}")
        x, extrapolated[known] = checked_draws(predictor(frame[known].reset_index(drop=True)), int(known.sum()))
        statistics = stock_statistics(x, forcing.take(known))
        finite = np.isfinite(statistics[0]).all(axis=0)
        stock[:, :, known] = np.where(finite, statistics, np.nan)
        status[np.flatnonzero(known)[~finite]] = STATUS.index("carbon_is_not_finite")
    maps = {SOC_CONTENT + suffix: (("depth", "cell"), stock[k]) for k, suffix in enumerate(LEVELS.values())}
    return xr.Dataset(maps | {BEYOND: ("cell", extrapolated), "status": ("cell", status)})


def checked_draws(draws: MapDraws | ArrayLike, n_cells: int) -> MapDraws:
    """The result of a predictor for so many cells, with `extrapolated` NaN if it gave parameters alone.

    Raises
    ------
    InputError
        When parameters have another shape or lie outside [0, 1], or `extrapolated` is not a count for every cell.
    """
    x, extrapolated = draws if isinstance(draws, MapDraws) else (draws, np.full(n_cells, np.nan))
    x, extrapolated = np.asarray(x, dtype=np.float64), np.asarray(extrapolated, dtype=np.float64)
    n = len(PAPER_PARAMETERS)
    if extrapolated.shape != (n_cells,) or (extrapolated < 0).any():
        raise InputError(
            f"the predictor gave `extrapolated` of shape {extrapolated.shape}, its least value "
            f"{np.min(extrapolated, initial=0):g}; expected a count of 0 or more for each of {n_cells} cells. "
            "Give MapDraws(x, counts), or x alone"
        )
    if x.ndim != 3 or x.shape[0] == 0 or x.shape[1] != n or x.shape[2] not in (1, n_cells):
        raise InputError(f"the predictor gave parameters of shape {x.shape}, expected (n_draws, {n}, {n_cells} or 1)")
    outside = ~((x >= 0.0) & (x <= 1.0))
    if outside.any():
        draw, row, cell = (int(i[0]) for i in np.nonzero(outside))
        raise InputError(
            f"the predictor gave {PAPER_PARAMETERS.names[row]} = {x[draw, row, cell]:g} on the unit cube (draw {draw}, "
            f"cell {cell} of the chunk), expected 0 to 1"
        )
    return MapDraws(x, extrapolated)


def stock_statistics(x: NDArray, forcing: Forcing) -> NDArray[np.float64]:
    """Mean, 5, 50 and 95 % of the stocks over the draws, (4, n_depths, n), kg m-2; not finite where a draw is not.

    Quantiles are those of float32 stocks, as in the maps of the paper's grid; missing with a single draw.

    Parameters
    ----------
    x : (n_draws, 25, n or 1)
        On the unit cube.
    """
    low, high = bounds(forcing)
    thickness = overlap(MAP_INTERVALS)
    mean = np.zeros((len(MAP_INTERVALS), forcing.n_columns))
    stock = np.zeros((len(x), *mean.shape), dtype=np.float32)
    for first in range(0, len(x), _AT_ONCE):
        soc = lanes.soc_density(low + x[first : first + _AT_ONCE] * (high - low), forcing)
        for k, shares in enumerate(thickness):
            # Layer after layer and draw after draw: a matrix product would round by the number of cells beside.
            exact = np.zeros((len(soc), forcing.n_columns))
            for layer in np.flatnonzero(shares):
                exact += soc[:, layer] * (shares[layer] / 1000.0)
            stock[first : first + len(soc), k] = exact
            for draw in exact:
                mean[k] += draw / len(x)
    if len(x) == 1:
        return np.concatenate([mean[None], np.full((len(QUANTILES), *mean.shape), np.nan)])
    return np.concatenate([mean[None], np.quantile(stock, QUANTILES, axis=0)])
