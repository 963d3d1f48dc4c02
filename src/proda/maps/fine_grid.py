"""SOC stocks on a grid of any size, in bounded memory: for a chunk of cells at a time, forcing and covariates are read,
parameters predicted and the model run.
"""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from proda.assimilation.store import ZarrFolder, consolidate
from proda.data.forcing import VARIABLES, check_variables, forcing_in, has_forcing, kind_of_forcing
from proda.errors import InputError
from proda.kernels.steady_state import soc_density
from proda.maps.netcdf import BEYOND, EXTRAPOLATED, LEVELS, MEANINGS, SOC_CONTENT, file_attributes, vertical
from proda.maps.stocks import MAP_INTERVALS, QUANTILES, overlap, soil_layers
from proda.model.configuration import configuration_of, validated
from proda.model.forcing import AnyForcing
from proda.model.parameters import physical
from proda.stage import progress_bar
from proda.workers import in_parallel

if TYPE_CHECKING:  # Keras takes seconds to import, and fixed draws need none of it
    from proda.learning.paper_network import Predictor

CHUNK = 4096  # cells: with 100 draws each some 30 MB a thread
STATUS = ("has_a_value", "forcing_is_missing", "a_covariate_is_missing", "carbon_is_not_finite")
_PLACES = ("lon", "lat", "cell_area", "land_fraction")  # carried over into the maps where the source has them


class MapDraws(NamedTuple):
    """Parameters of a chunk of cells, and where they are an extrapolation."""

    x: NDArray[np.float64]  # (n_draws, d, n) on the unit cube, or (n_draws, d, 1) where they hold in every cell
    extrapolated: ArrayLike = np.nan  # (n,) number of covariates outside the range of the training sites


# Takes covariates (n, n_covariates) and forcing of a chunk; its attribute `covariates`, if any, names the columns.
MapPredictor: TypeAlias = Callable[[pd.DataFrame, AnyForcing], MapDraws]


class FixedDraws:
    """Parameters (n_draws, d) on the unit cube that hold everywhere, such as draws of the one-batch posterior."""

    def __init__(self, draws: ArrayLike) -> None:
        self.draws = np.atleast_2d(np.asarray(draws, dtype=np.float64))[:, :, None]

    def __call__(self, covariates: pd.DataFrame, forcing: AnyForcing) -> MapDraws:
        return MapDraws(self.draws)


class NetworkDraws:
    """Parameters predicted by the paper's network or the hybrid: `proda.learning.loaded_network`, `loaded_hybrid`.

    Each member of the hybrid is a draw: the quantiles of a fine map are the members' spread alone, which is narrower
    than their error on withheld land.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor, self.covariates, self._one_at_a_time = predictor, predictor.covariates, Lock()

    def __reduce__(self) -> tuple:
        # While it predicts, Keras has taken the weights out of the network: no worker can send it to another then.
        with self._one_at_a_time:
            return _unpickled_draws, (pickle.dumps(self.predictor),)

    def __call__(self, covariates: pd.DataFrame, forcing: AnyForcing) -> MapDraws:
        # Keras keeps the function that it compiled in the network: two threads would both compile it.
        with self._one_at_a_time:
            prediction = self.predictor(covariates, forcing)
        x = prediction.x if prediction.x.ndim == 3 else prediction.x[None]
        return MapDraws(np.swapaxes(x, 1, 2), prediction.extrapolated)


def _unpickled_draws(predictor: bytes) -> NetworkDraws:
    return NetworkDraws(pickle.loads(predictor))


def fine_maps(
    source: str | Path | xr.Dataset, predictor: MapPredictor, store: str | Path, *, chunk: int = CHUNK
) -> xr.Dataset:
    """Stocks of 0-30, 0-100 and 0-200 cm on the cells of `source`: mean, 5, 50 and 95 % over the draws of `predictor`.

    `source` is a Zarr store, a NetCDF file or an opened dataset with the forcing on `cell` (variables and units of
    `forcing.nc`) and the covariates; `lon`, `lat`, `cell_area` (m2), `land_fraction` are carried over. `predictor` is
    `FixedDraws`, `NetworkDraws`, or your own function of covariates (a DataFrame) and forcing of n cells that returns
    `MapDraws`; its attribute `covariates` names the columns, and several threads call it. The Zarr store `store` is
    named `<store>.partial` until it is whole. `chunk`, the cells at a time, does not change the values. On a Dask
    cluster (`proda.workers.in_parallel`) the workers read a file or store at the same path.

    The store, opened, has `soil_mass_content_of_carbon` (depth, cell), kg m-2, with `_p05`, `_p50`, `_p95` (missing
    with a single draw); `extrapolated` (cell), number of covariates outside the range of the training sites, NaN for a
    predictor without covariates; `status` (cell): 0 where there is a value, else why not. `InputError` when the source
    lacks a variable or has another unit, the predictor gives something else, or the store exists.
    """
    path = Path(store)
    if path.exists():
        raise InputError(f"{path} exists: give another name, or remove it first")
    covariates = tuple(getattr(predictor, "covariates", ()))
    cells = opened_source(source, covariates)
    comment = "Per area of land: a cell's carbon is the content times cell_area times land_fraction."
    attributes = file_attributes("Soil organic carbon", "", comment, "fine_maps")
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    firsts = range(0, cells.sizes["cell"], chunk)
    with (
        progress_bar(cells.sizes["cell"], "fine maps", "cell") as bar,
        in_parallel(chunk_maps, firsts, cells, covariates, predictor, chunk) as parts,
    ):
        for first, maps in zip(firsts, parts, strict=True):
            mode = {"append_dim": "cell"} if first else {"mode": "w"}
            maps.assign_attrs(attributes).to_zarr(ZarrFolder(partial), consolidated=False, **mode)
            bar.update(maps.sizes["cell"])
    consolidate(partial)
    partial.rename(path)
    return xr.open_zarr(path)


def opened_source(source: str | Path | xr.Dataset, covariates: Sequence[str]) -> xr.Dataset:
    """The source of `fine_maps`, opened but not read: forcing, covariates and places, all along `cell`."""
    name = "the source" if isinstance(source, xr.Dataset) else str(source)
    if not isinstance(source, xr.Dataset):
        is_zarr = Path(source).suffix == ".zarr"
        source = xr.open_zarr(source, chunks=None, consolidated=False) if is_zarr else xr.open_dataset(source)
    check_variables(source, name, covariates)
    needed = {*VARIABLES[kind_of_forcing(source)], *covariates, *_PLACES}
    return source.drop_vars([variable for variable in source.variables if variable not in needed])


def chunk_maps(
    first: int, source: xr.Dataset, covariates: Sequence[str], predictor: MapPredictor, chunk: int
) -> xr.Dataset:
    """The maps of a chunk of the cells of `opened_source`, from the cell `first` on."""
    cells = source.isel(cell=slice(first, first + chunk)).load()
    forcing, n = forcing_in(cells), cells.sizes["cell"]
    frame = pd.DataFrame({name: cells[name].to_numpy().astype(np.float64) for name in covariates}, index=range(n))
    status = np.where(~has_forcing(forcing), 1, np.where(frame.isna().any(axis=1), 2, 0)).astype(np.int8)
    known = status == 0
    stock = np.full((len(LEVELS), len(MAP_INTERVALS), n), np.nan, "f4")
    extrapolated = np.full(n, np.nan, "f4")
    if known.any():
        # A cell that lacks something gets the values of another, so that a fault is reported at its own place.
        filled = np.where(known, np.arange(n), np.argmax(known))
        where = f"forcing, columns counted from cell {first}"
        forcing = validated(forcing.take(filled), configuration_of(forcing), where)
        of_known = forcing.take(known)
        x, extrapolated[known] = predictor(frame[known].reset_index(drop=True), of_known)
        statistics = stock_statistics(x, of_known)
        finite = np.isfinite(statistics[0]).all(axis=0)
        stock[:, :, known] = np.where(finite, statistics, np.nan)
        status[np.flatnonzero(known)[~finite]] = STATUS.index("carbon_is_not_finite")
    intervals = np.array(MAP_INTERVALS)
    maps = cells[[name for name in _PLACES if name in cells.variables]].drop_encoding().reset_coords()
    maps = maps.set_coords([name for name in ("lon", "lat") if name in maps])
    maps = maps.assign_coords(depth=vertical("depth", intervals[:, 1], "lower depth of the interval"))
    maps["depth_bounds"] = (("depth", "bounds"), intervals)
    for values, (statistic, suffix) in zip(stock, LEVELS.items(), strict=True):
        long_name = f"soil organic carbon, {MEANINGS[statistic]} over the draws of the parameters"
        attributes = {"standard_name": SOC_CONTENT, "units": "kg m-2", "long_name": long_name}
        attributes["ancillary_variables"] = f"{BEYOND} status"
        maps[SOC_CONTENT + suffix] = (("depth", "cell"), values, attributes)
    maps[BEYOND] = ("cell", extrapolated, {"long_name": EXTRAPOLATED, "units": "1"})
    flags = {"long_name": "whether a cell has a value, and why not", "flag_meanings": " ".join(STATUS)}
    maps["status"] = ("cell", status, flags | {"flag_values": list(range(len(STATUS)))})
    return maps


def stock_statistics(x: NDArray, forcing: AnyForcing) -> NDArray[np.float64]:
    """Mean, 5, 50 and 95 % over the draws x (n_draws, d, n or 1) of the stocks, (4, n_depths, n), kg m-2."""
    configuration = configuration_of(forcing)
    shares, soil = overlap(MAP_INTERVALS, configuration.column) / 1000.0, soil_layers(forcing)
    stock = np.empty((len(x), len(shares), forcing.n_columns))
    for k, draw in enumerate(x):
        theta = physical(draw, forcing, configuration.parameters)
        soc = np.where(soil, soc_density(theta, forcing, configuration), 0.0)
        # Layer after layer: a matrix product would round by the number of cells beside.
        stock[k] = sum(np.multiply.outer(share, layer) for share, layer in zip(shares.T, soc, strict=True))
    mean = sum(stock) / len(x)
    if len(x) == 1:
        return np.stack([mean, *np.full((len(QUANTILES), *mean.shape), np.nan)])
    return np.stack([mean, *np.quantile(stock, QUANTILES, axis=0)])
