"""Covariates of sites and of grid cells from the maps of `gridded_sources`, with an account of what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.data.grid import RESOLUTION
from proda.data.readers.found import Finding, finding, found_table
from proda.data.readers.gridded_sources import GriddedSource, Layer, implausible
from proda.data.readers.raster import Raster
from proda.data.readers.raster_values import cell_majorities, cell_means, values_at
from proda.errors import InputError

Reading = Callable[[Raster], NDArray]
# A MODIS file of annual NPP holds tenths of a gram; above this are fill codes for water, cities, rock and ice.
NPP_FACTOR, NPP_VALID = 0.1, (-30000.0, 32700.0)
NPP_YEARS = tuple(range(2000, 2015))
NPP_CITATION = "MODIS MOD17A3"
BESIDE = (".xml", ".ovr", ".tfw", ".msk", ".md5", ".sha256")  # what stands beside a map under its name


class Covariates(NamedTuple):
    """Covariates read from maps.

    Attributes
    ----------
    values : DataFrame
        One row a place, one column a covariate; NaN where the map has no value, never zero.
    found : DataFrame
        One row a covariate: how many values are missing, and the range of the others.
    """

    values: pd.DataFrame
    found: pd.DataFrame


def covariates_at(
    source: GriddedSource, folder: Path | str, lon: ArrayLike, lat: ArrayLike, names: Iterable[str] | None = None
) -> Covariates:
    """Covariates of the places at `lon`, `lat` (degrees): the pixel each lies in.

    Parameters
    ----------
    folder : path
        Holds the map files, anywhere below.
    names : names, optional
        Covariates wanted; all of the source's by default.

    Raises
    ------
    InputError
        When a file is missing, there are two for one covariate, a map has no value at any place, or a value is beyond
        what the covariate can be.
    """
    return _read(source, folder, names, lambda layer: lambda raster: values_at(raster, lon, lat))


def covariates_of_cells(
    source: GriddedSource,
    folder: Path | str,
    lon: ArrayLike,
    lat: ArrayLike,
    names: Iterable[str] | None = None,
    resolution: float = RESOLUTION,
) -> Covariates:
    """Covariates of the grid cells centred at `lon`, `lat`: means of numbers, the most frequent class.

    As `covariates_at` otherwise.
    """

    def reading(layer: Layer) -> Reading:
        how = cell_majorities if layer.classes else cell_means
        return lambda raster: how(raster, lon, lat, resolution)

    return _read(source, folder, names, reading)


def _read(
    source: GriddedSource, folder: Path | str, names: Iterable[str] | None, reading: Callable[[Layer], Reading]
) -> Covariates:
    wanted = [layer.name for layer in source.layers] if names is None else list(names)
    columns, found = {}, []
    for layer in map(source.layer, wanted):
        path = map_file(folder, layer.pattern, layer.name)
        with Raster(path, missing=layer.missing) as raster:
            values = reading(layer)(raster) * layer.factor
        check_values(values, layer, path, source.hint)
        columns[layer.name] = values
        found.append(finding(source.name, layer.name, layer.unit, values, _note(layer, path)))
    return Covariates(pd.DataFrame(columns), found_table(found))


def _note(layer: Layer, path: Path) -> str:
    return path.name + (f", stored values times {layer.factor:g}" if layer.factor != 1.0 else "")


def map_file(folder: Path | str, pattern: str, what: str) -> Path:
    """The one file below `folder` whose name fits `pattern`; a GeoTIFF goes before a .vrt, quality layers are no maps.

    Raises
    ------
    InputError
        When there is none, or more than one.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected the maps in it.")
    paths = sorted(path for path in folder.rglob(pattern) if path.suffix not in BESIDE and "_QC" not in path.name)
    paths = [path for path in paths if path.suffix != ".vrt"] if len(paths) > 1 else paths
    if len(paths) != 1:
        has = f"{len(paths)} files: {', '.join(path.name for path in paths[:3])}" if paths else "none"
        raise InputError(f"{folder}: {what} is read from one file named like {pattern}; found {has}.")
    return paths[0]


def check_values(values: NDArray, layer: Layer, path: Path, hint: str = "") -> None:
    """Refuse a map without any value at the places asked for, and values that the covariate cannot have."""
    if not np.isfinite(values).any():
        raise InputError(
            f"{path}: {layer.name} has no value at any of the {values.size} places. A map of another region, or "
            "longitudes and latitudes exchanged?"
        )
    bad = implausible(values, layer)
    if bad.any():
        i = int(np.argmax(bad))
        raise InputError(
            f"{path}: {layer.name} is {values[i]:g} {layer.unit} at place {i}, expected {layer.least:g} to "
            f"{layer.greatest:g} ({int(bad.sum())} of {values.size} places). Hint: "
            f"{hint or 'a fill value that the file does not declare?'}"
        )


def npp_at(folder: Path | str, lon: ArrayLike, lat: ArrayLike, years: Iterable[int] = NPP_YEARS) -> Covariates:
    """MODIS NPP of places, mean, greatest and least year: `NPPmean`, `NPPmax`, `NPPmin`, g C m-2 yr-1.

    A place without a value in any of the years is missing.

    Parameters
    ----------
    folder : path
        Holds one map a year, GeoTIFFs with "NPP" and the year in their names (MOD17A3 as distributed: stored values are
        tenths of g C m-2 yr-1, those above 32700 codes for land without vegetation).

    Raises
    ------
    InputError
        When a year is missing or there twice, or values are beyond what NPP can be.
    """
    return _npp(folder, years, lambda raster: values_at(raster, lon, lat))


def npp_of_cells(
    folder: Path | str,
    lon: ArrayLike,
    lat: ArrayLike,
    years: Iterable[int] = NPP_YEARS,
    resolution: float = RESOLUTION,
) -> Covariates:
    """MODIS NPP of grid cells: means over the pixels of each year, then over the years. As `npp_at` otherwise."""
    return _npp(folder, years, lambda raster: cell_means(raster, lon, lat, resolution))


def _npp(folder: Path | str, years: Iterable[int], reading: Reading) -> Covariates:
    annual, years = [], tuple(years)
    for year in years:
        path = map_file(folder, f"*[Nn][Pp][Pp]*{year}*.tif", f"NPP of {year}")
        with Raster(path, valid=NPP_VALID) as raster:
            values = reading(raster) * NPP_FACTOR
        check_values(values, Layer("NPP", "", "g C m-2 yr-1", -500.0, 3200.0), path, "kg, or scaled already?")
        annual.append(values)
    stack = np.array(annual)
    columns = {"NPPmean": stack.mean(axis=0), "NPPmax": stack.max(axis=0), "NPPmin": stack.min(axis=0)}
    note = f"{years[0]} to {years[-1]}, {len(years)} files"
    found: list[Finding] = [
        finding(NPP_CITATION, name, "g C m-2 yr-1", values, note) for name, values in columns.items()
    ]
    return Covariates(pd.DataFrame(columns), found_table(found))
