"""SOC stocks on a grid of any size, chunk by chunk, in bounded memory.

One million cells with a hundred draws each are a hundred million steady states: a minute or two of compiled columns.
What would not fit is all of them at once. So cells are taken a chunk at a time, by as many threads as there are cores;
each reads its forcing and covariates, gets its parameters, runs the model and writes mean and quantiles of its stocks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from proda.assimilation.workers import n_workers
from proda.errors import InputError
from proda.fingerprints import code_digest
from proda.maps.cf import BEYOND, file_attributes
from proda.maps.fine_predictors import MapPredictor, checked_draws
from proda.maps.fine_source import PLACES, Chunk, opened_source, read_chunk
from proda.maps.fine_store import STATUS, MapStore
from proda.maps.products import LEVELS, SOC_CONTENT
from proda.maps.stocks import MAP_INTERVALS, QUANTILES, overlap
from proda.model import lanes
from proda.model.forcing import Forcing
from proda.model.parameters import bounds
from proda.progress import progress_bar

CHUNK = 4096  # cells: with 100 draws each some 100 MB a thread
_SAMPLE = 64  # cells that a predictor is known by
_AT_ONCE = 20  # draws that go through the compiled model together
_NOT_FINITE = STATUS.index("carbon_is_not_finite")


def fine_maps(
    source: str | Path | xr.Dataset,
    predictor: MapPredictor,
    store: str | Path,
    *,
    chunk: int = CHUNK,
    workers: int | None = None,
    fresh: bool = False,
    title: str = "Soil organic carbon",
) -> xr.Dataset:
    """Stocks of 0-30, 0-100 and 0-200 cm on the cells of `source`: mean, 5, 50 and 95 % over the draws of `predictor`.

    Parameters
    ----------
    source : path or xarray.Dataset
        Zarr store, NetCDF file or opened dataset with the forcing on `cell` (variables and units of `forcing.nc`) and
        the covariates that the predictor wants. Best stored in chunks along `cell` of some ten thousand: a compressed
        chunk is read whole for every part of it. `lon`, `lat`, `cell_area` (m2), `land_fraction` are carried over.
    predictor : callable
        Takes the covariates of n cells, a DataFrame, and gives parameters (n_draws, 25, n) on the unit cube, or
        (n_draws, 25, 1) that hold everywhere: `FixedDraws`, `NetworkDraws`, `MemberDraws`, or your own function, with
        an attribute `covariates` that names its columns if it wants any. One that learnt from sites gives `MapDraws`,
        parameters with the number of covariates that it never met. It is called by several threads, and must give the
        same for the same.
    store : path
        Zarr store to make. It has this name only when it is whole; until then it is `<store>.partial`, from which the
        same call goes on after an interruption.
    chunk : int
        Cells at a time, and of the store's chunks; does not change a bit of what the model makes of the parameters.
    workers : int, optional
        Threads; all cores unless given.
    fresh : bool
        Give up an unfinished store, and replace a finished one.
    title : str

    Returns
    -------
    xarray.Dataset
        The store, opened: `soil_mass_content_of_carbon` (depth, cell), kg m-2, with `_p05`, `_p50`, `_p95` (missing
        with a single draw); `extrapolated` (cell), how many covariates no training site has had, NaN for a predictor
        that looks at none; and `status` (cell): 0 where there is a value, else why not. How many cells have which, and
        how many are extrapolated, is in its attributes.

    Raises
    ------
    InputError
        When the source lacks a variable or has another unit, the predictor gives something else, or the store is there
        already.
    ProdaError
        When the disk refuses; finished chunks are kept.

    Examples
    --------
    >>> network = NetworkDraws(loaded_network(study.out))                               # doctest: +SKIP
    >>> maps = fine_maps("one_kilometre.zarr", network, "soc_1km.zarr")                 # doctest: +SKIP
    >>> maps["soil_mass_content_of_carbon"].sel(depth=1.0)                              # doctest: +SKIP
    >>> draws = one_batch_draws(read_inputs(study).one_batch, 100, seed=1)              # doctest: +SKIP
    >>> fine_maps(fine.stack(cell=("lat", "lon")).reset_index("cell"), FixedDraws(draws), "one_batch.zarr")
    ... # doctest: +SKIP
    """
    if chunk < 1:
        raise InputError(f"chunk is {chunk}, expected at least one cell")
    covariates = tuple(getattr(predictor, "covariates", ()))
    opened = opened_source(source, covariates)
    n = opened.sizes["cell"]
    made = MapStore(Path(store))
    places = _places(opened)
    made.begin(_identity(opened, places, predictor, covariates, chunk), places, chunk, fresh)

    def finish_chunk(first: int) -> int:
        here = read_chunk(opened, covariates, first, min(first + chunk, n))
        if not made.finished(here.first, here.last, here.digest):
            made.write(here.first, here.last, chunk_maps(here, predictor), here.digest)
        return here.last - here.first

    with ThreadPoolExecutor(workers or n_workers()) as pool, progress_bar(n, "fine maps", "cell") as bar:
        running = [pool.submit(finish_chunk, first) for first in range(0, n, chunk)]
        try:
            for done in as_completed(running):
                bar.update(done.result())
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    made.finish(_attributes(made, title))
    return xr.open_zarr(made.path, consolidated=False)


def chunk_maps(chunk: Chunk, predictor: MapPredictor) -> dict[str, NDArray]:
    """All that is stored of a chunk, `STORED`: (n_depths, n) and (n,) float32, and `status` (n,) int8."""
    n, known = chunk.last - chunk.first, chunk.lacking == 0
    status = chunk.lacking.copy()
    arrays = {SOC_CONTENT + suffix: np.full((len(MAP_INTERVALS), n), np.nan, "f4") for suffix in LEVELS.values()}
    arrays[BEYOND] = np.full(n, np.nan, "f4")
    if known.any():
        x, arrays[BEYOND][known] = checked_draws(predictor(chunk.covariates), int(known.sum()))
        statistics = stock_statistics(x, chunk.forcing)
        finite = np.isfinite(statistics[0]).all(axis=0)
        for suffix, values in zip(LEVELS.values(), statistics, strict=True):
            arrays[SOC_CONTENT + suffix][:, known] = np.where(finite, values, np.nan)
        status[np.flatnonzero(known)[~finite]] = _NOT_FINITE
    return arrays | {"status": status}


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


def _places(source: xr.Dataset) -> xr.Dataset:
    """Coordinates and areas of the cells, with the depths of the maps."""
    places = source[[name for name in PLACES if name in source.variables]].load().copy()
    for name in places.variables:
        places[name].attrs = PLACES[str(name)] | places[name].attrs
    places = places.set_coords([name for name in ("lon", "lat") if name in places])
    intervals = np.array(MAP_INTERVALS)
    places["depth_bounds"] = (("depth", "bounds"), intervals)
    depth = {"standard_name": "depth", "units": "m", "positive": "down", "bounds": "depth_bounds"}
    places = places.assign_coords(depth=("depth", intervals[:, 1], depth))
    if "cell" not in places.dims:
        places["cell"] = ("cell", np.arange(source.sizes["cell"]))
    return places.drop_encoding()


def _identity(
    source: xr.Dataset, places: xr.Dataset, predictor: MapPredictor, covariates: tuple[str, ...], chunk: int
) -> dict[str, Any]:
    """What the maps depend on, short of the input of each chunk, which its own mark names.

    A predictor may be any function, so it is known by what it gives for the first cells that have all they need.
    """
    n, given, where = source.sizes["cell"], b"", hashlib.sha256()
    for first in range(0, n, CHUNK):
        sample = read_chunk(source, covariates, first, min(first + CHUNK, n)).covariates[:_SAMPLE]
        if len(sample):
            given = b"".join(part.tobytes() for part in checked_draws(predictor(sample), len(sample)))
            break
    for name in sorted(map(str, places.variables)):
        where.update(name.encode() + places[name].values.tobytes())
    return {
        "cells": n,
        "places": where.hexdigest(),
        "chunk": chunk,
        "covariates": list(covariates),
        "predictor": hashlib.sha256(given).hexdigest(),
        "code": code_digest("maps"),
    }


def _attributes(store: MapStore, title: str) -> Mapping[str, Any]:
    made = xr.open_zarr(store.unfinished, consolidated=False)
    status, valued = made["status"].values, STATUS.index("has_a_value")
    counts = {f"cells_{name}": int((status == value).sum()) for value, name in enumerate(STATUS)}
    counts["cells_extrapolated"] = int(((made[BEYOND].values > 0) & (status == valued)).sum())
    comment = "Per area of land: a cell's carbon is the content times cell_area times land_fraction."
    attributes = file_attributes(title, "", comment) | counts
    attributes["history"] = attributes["history"].replace("notebook 06-final-figures", "fine_maps")
    return attributes
