"""SOC stocks on a grid of any size, chunk by chunk, in bounded memory.

One million cells with a hundred draws each are a hundred million steady states: a minute or two of compiled columns.
What would not fit is all of them at once. So cells are taken a chunk at a time, by as many threads as there are cores;
each reads its forcing and covariates, gets its parameters, runs the model and writes mean and quantiles of its stocks.

What gives a chunk of cells its parameters: the same draws everywhere, or networks that look at the environment.

Networks also tell, cell by cell, how many covariates they were never taught: such a cell is an extrapolation.

Forcing and covariates of a grid of any size, read a chunk of cells at a time.

The Zarr store of fine maps while it is being made: it gets its name when it is whole, and not before.

Until then it lies in `<name>.partial` with a mark for every finished chunk. A chunk without its mark, whose content is
not what the mark says, or whose input has changed since, is computed again.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import xarray as xr
import zarr
from numpy.typing import ArrayLike, NDArray

from proda.assimilation.chains import n_workers
from proda.data.forcing import VARIABLES, has_forcing
from proda.errors import InputError
from proda.fingerprint import code_digest
from proda.kernels import steady_state as lanes
from proda.maps.netcdf import BEYOND, EXTRAPOLATED, LEVELS, SOC_CONTENT, file_attributes, quantile_meanings
from proda.maps.stocks import MAP_INTERVALS, QUANTILES, overlap
from proda.model.checks import validated
from proda.model.configuration import PAPER_COLUMN
from proda.model.forcing import Forcing
from proda.model.parameters import PAPER_PARAMETERS, bounds
from proda.progress import progress_bar
from proda.stage import read_json, write_errors_explained, write_json

if TYPE_CHECKING:  # Keras takes seconds to import, and fixed draws need none of it
    from proda.learning.hybrid_training import HybridPredictor
    from proda.learning.paper_network import Predictor


class MapDraws(NamedTuple):
    """Parameters of a chunk of cells, and how far they are to be trusted.

    Attributes
    ----------
    x : (n_draws, 25, n)
        On the unit cube; (n_draws, 25, 1) where they hold in every cell.
    extrapolated : (n,)
        Number of covariates that no training site has had; NaN where nobody has asked.
    """

    x: NDArray[np.float64]
    extrapolated: NDArray[np.float64]


# Takes the covariates (n, n_covariates) of a chunk, gives `MapDraws`, or their `x` alone if it learnt from no site. Its
# attribute `covariates` names what it wants; without one it wants none.
MapPredictor: TypeAlias = Callable[[pd.DataFrame], MapDraws | NDArray[np.float64]]


class FixedDraws:
    """Parameters that hold everywhere, such as those of the one-batch posterior.

    Parameters
    ----------
    draws : (n_draws, 25)
        On the unit cube.
    """

    covariates: tuple[str, ...] = ()

    def __init__(self, draws: ArrayLike) -> None:
        self.draws = np.atleast_2d(np.asarray(draws, dtype=np.float64))[:, :, None]

    def __call__(self, covariates: pd.DataFrame) -> NDArray[np.float64]:
        return self.draws


class NetworkDraws:
    """Parameters that networks predict from the covariates, a draw each: one network, or an ensemble.

    A cell extrapolates as many covariates as does the network that does so most.

    Parameters
    ----------
    networks : Predictor
        `proda.learning.paper_network.loaded_network(folder)`; all of them with the same covariates.
    """

    def __init__(self, *networks: Predictor) -> None:
        if not networks or len({network.covariates for network in networks}) != 1:
            raise InputError(f"{len(networks)} networks, expected at least one, and all with the same covariates")
        self.networks, self.covariates, self._one_at_a_time = networks, networks[0].covariates, Lock()

    def __call__(self, covariates: pd.DataFrame) -> MapDraws:
        # Keras keeps the function that it compiled in the network: two threads would both make it.
        with self._one_at_a_time:
            given = [network(covariates) for network in self.networks]
        return MapDraws(
            np.stack([one.x.T for one in given]), np.max([one.extrapolated for one in given], axis=0).astype(float)
        )


class MemberDraws:
    """Parameters that the members of a hybrid predict from the covariates, a draw each.

    Members agree more than they are right: the quantiles of a fine map are their spread alone, without what withheld
    land showed (`proda.learning.hybrid_training`).

    Parameters
    ----------
    hybrid : HybridPredictor
        `proda.learning.hybrid_training.loaded_hybrid(folder)`.
    """

    def __init__(self, hybrid: HybridPredictor) -> None:
        self.hybrid, self.covariates, self._one_at_a_time = hybrid, hybrid.covariates, Lock()

    def __call__(self, covariates: pd.DataFrame) -> MapDraws:
        with self._one_at_a_time:
            given = self.hybrid(covariates)
        return MapDraws(np.swapaxes(given.x, 1, 2), given.extrapolated.astype(float))


def checked_draws(given: MapDraws | ArrayLike, n_cells: int) -> MapDraws:
    """What a predictor gave for so many cells, with `extrapolated` NaN if it gave parameters alone.

    Raises
    ------
    InputError
        When parameters have another shape or lie outside [0, 1], or `extrapolated` is not a count for every cell.
    """
    x, extrapolated = given if isinstance(given, MapDraws) else (given, np.full(n_cells, np.nan))
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
    bad = ~((x >= 0.0) & (x <= 1.0))
    if bad.any():
        draw, row, cell = (int(i[0]) for i in np.nonzero(bad))
        raise InputError(
            f"the predictor gave {PAPER_PARAMETERS.names[row]} = {x[draw, row, cell]:g} on the unit cube (draw {draw}, "
            f"cell {cell} of the chunk), expected 0 to 1"
        )
    return MapDraws(x, extrapolated)


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


STORED = (*(SOC_CONTENT + suffix for suffix in LEVELS.values()), BEYOND, "status")
STATUS = ("has_a_value", "forcing_is_missing", "a_covariate_is_missing", "carbon_is_not_finite")
_NOT_YET = -1
_KEPT = "finished chunks are kept and it goes on from there"
_SPARE = 20 * 2**20  # bytes that a disk should have left


class MapStore:
    """The store at `path`, finished or in the making.

    Parameters
    ----------
    path : Path
        Where the store is when it is whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.partial = self.path.with_name(f"{self.path.name}.partial")
        self.unfinished, self.marks = self.partial / "maps.zarr", self.partial / "chunks"

    def begin(self, identity: Mapping[str, Any], places: xr.Dataset, chunk: int, fresh: bool) -> None:
        """Make an empty store in the partial folder, or find there what an interrupted run with this identity left.

        Parameters
        ----------
        identity : mapping
            What the content depends on; an unfinished store of another is not overwritten.
        places : xarray.Dataset
            Coordinates and areas of the cells, on `cell`.

        Raises
        ------
        InputError
            When the store is there already, or an unfinished one of something else, and `fresh` is not set; or when the
            disk has too little room.
        """
        made_for, identity = self.partial / "made_for.json", dict(identity)
        if self.path.exists() and not (self.path / "zarr.json").is_file():
            raise InputError(f"{self.path} is no Zarr store of maps: nothing was touched, give another name")
        if fresh:
            shutil.rmtree(self.partial, ignore_errors=True)
        elif self.path.exists():
            raise InputError(f"{self.path} is there already: give another name, or fresh=True to make it anew")
        before = read_json(made_for)
        if before is not None and before != identity:
            other = ", ".join(name for name in identity if before.get(name) != identity[name])
            raise InputError(
                f"{self.partial} holds the unfinished maps of something else ({other} differ): nothing was "
                "overwritten. Finish that run as it was begun, or give it up with fresh=True"
            )
        if before == identity:
            return
        n = places.sizes["cell"]
        free, needed = shutil.disk_usage(self.path.parent).free, n * (4 * len(LEVELS) * len(MAP_INTERVALS) + 40)
        if free < needed + _SPARE:
            raise InputError(
                f"{self.path} will need up to {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free: free some space, or "
                "give a name on another disk"
            )
        with write_errors_explained(self.partial, _KEPT):
            shutil.rmtree(self.partial, ignore_errors=True)
            self.partial.mkdir(parents=True)
            self._create(places, min(chunk, n))
            write_json(made_for, identity)

    def _create(self, places: xr.Dataset, chunk: int) -> None:
        encoding: dict[str, dict[str, Any]] = {str(name): {"_FillValue": None} for name in places.variables}
        for name, variable in places.variables.items():
            if variable.dims == ("cell",):
                encoding[str(name)]["chunks"] = (chunk,)
        places.to_zarr(self.unfinished, mode="w", consolidated=False, encoding=encoding)
        group = zarr.open_group(self.unfinished, mode="r+")
        n, where = places.sizes["cell"], {"coordinates": "lat lon"} if {"lat", "lon"} <= set(places.coords) else {}
        meaning = quantile_meanings("soil organic carbon", "over the draws of the parameters")
        for statistic, suffix in LEVELS.items():
            attributes = {"standard_name": SOC_CONTENT, "units": "kg m-2", "long_name": meaning[statistic]}
            group.create_array(
                SOC_CONTENT + suffix, shape=(len(MAP_INTERVALS), n), chunks=(len(MAP_INTERVALS), chunk),
                dtype="float32", fill_value=np.nan, dimension_names=("depth", "cell"),
                attributes=attributes | {"ancillary_variables": f"{BEYOND} status"} | where,
            )  # fmt: skip
        flags = {"flag_values": list(range(len(STATUS))), "flag_meanings": " ".join(STATUS)}
        flags["long_name"] = "whether a cell has a value, and why not"
        beyond = {"long_name": EXTRAPOLATED, "units": "1"}
        for name, kind, fill, attributes in (
            ("status", "int8", _NOT_YET, flags),
            (BEYOND, "float32", np.nan, beyond),
        ):
            group.create_array(
                name, shape=(n,), chunks=(chunk,), dtype=kind, fill_value=fill, dimension_names=("cell",),
                attributes=attributes | where,
            )  # fmt: skip

    def write(self, first: int, last: int, arrays: Mapping[str, NDArray], made_from: str) -> None:
        """Put a chunk at its place, and mark it as finished.

        Raises
        ------
        ProdaError
            When the disk refuses; all chunks that are marked stay good.
        """
        with write_errors_explained(self.partial, _KEPT):
            group = zarr.open_group(self.unfinished, mode="r+")
            for name, values in arrays.items():
                group[name][..., first:last] = values
            mark = {"first": first, "last": last, "made_from": made_from, "sha256": _digest(arrays)}
            write_json(self._mark(first), mark)

    def finished(self, first: int, last: int, made_from: str) -> bool:
        """Whether a chunk is there, made from this, with the content that its mark names."""
        mark = read_json(self._mark(first))
        if mark is None or mark.get("last") != last or mark.get("made_from") != made_from:
            return False
        group = zarr.open_group(self.unfinished, mode="r")
        try:
            arrays = {name: group[name][..., first:last] for name in STORED}
        except (OSError, RuntimeError, ValueError):  # a chunk that cannot be decoded
            return False
        return _digest(arrays) == mark["sha256"]

    def finish(self, attributes: Mapping[str, Any]) -> None:
        """Describe the store, whose chunks are all there, and give it its name."""
        with write_errors_explained(self.path, _KEPT):
            group = zarr.open_group(self.unfinished, mode="r+")
            if (group["status"][:] == _NOT_YET).any():
                raise InputError(f"{self.partial}: chunks are missing; run it again")
            group.attrs.update(attributes)
            shutil.rmtree(self.path, ignore_errors=True)
            self.unfinished.rename(self.path)
            shutil.rmtree(self.partial, ignore_errors=True)

    def _mark(self, first: int) -> Path:
        return self.marks / f"from-{first:010d}.json"


def _digest(arrays: Mapping[str, NDArray]) -> str:
    total = hashlib.sha256()
    for name in sorted(arrays):
        total.update(name.encode())
        total.update(np.ascontiguousarray(arrays[name]).tobytes())
    return total.hexdigest()


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
        "code": code_digest(("maps.fine_grid",)),
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
