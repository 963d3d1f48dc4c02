"""Any list of covariates from a folder of maps: the public sources it recognises, and maps of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from proda.data.covariate_lists import Covariate
from proda.data.grid import RESOLUTION
from proda.data.readers.gridded_covariates import (
    NPP_YEARS,
    Covariates,
    covariates_at,
    covariates_of_cells,
    npp_at,
    npp_of_cells,
)
from proda.data.readers.gridded_sources import SOURCES, GriddedSource, Layer
from proda.errors import InputError

NPP = ("NPPmean", "NPPmax", "NPPmin")


class Plan(NamedTuple):
    """Where the covariates of a list come from.

    Attributes
    ----------
    covariates : tuple of Covariate
    folder : Path
    sources : dict
        Source -> the covariates that are read from it.
    npp : tuple of str
        Those that are statistics of annual NPP.
    """

    covariates: tuple[Covariate, ...]
    folder: Path
    sources: dict[str, tuple[GriddedSource, list[str]]]
    npp: tuple[str, ...]


def reading_plan(covariates: Iterable[Covariate], folder: Path | str) -> Plan:
    """Which map each covariate is read from.

    A covariate that no public source has, or none in the folder, is read from a map of one's own, `<name>.tif` or
    `<name>.nc`, in the unit of the list.

    Raises
    ------
    InputError
        When there is no map for some covariates: all of them are named.
    """
    folder, covariates = Path(folder), tuple(covariates)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected the maps of the covariates in it.")
    annual = any(folder.rglob("*[Nn][Pp][Pp]*.tif"))
    sources: dict[str, tuple[GriddedSource, list[str]]] = {}
    homeless = []
    for row in covariates:
        source = _source_of(row, folder)
        if source is None and (row.name in ("Lon", "Lat") or (row.name in NPP and annual)):
            continue
        if source is None:
            homeless.append(row.name)
        else:
            sources.setdefault(source.name, (source, []))[1].append(row.name)
    if homeless:
        raise InputError(
            f"{folder}: no map of {', '.join(homeless)}. Put the public files there under their own names (README of "
            f"the folder data), or maps of your own named like {homeless[0]}.tif, or leave these out of the list of "
            "covariates."
        )
    placed = {name for _, found in sources.values() for name in found}
    npp = tuple(row.name for row in covariates if row.name in NPP and row.name not in placed)
    return Plan(covariates, folder, sources, npp)


def _source_of(row: Covariate, folder: Path) -> GriddedSource | None:
    for source in SOURCES.values():
        for layer in source.layers:
            if layer.name == row.name and any(folder.rglob(layer.pattern)):
                return source
    for ending in ("tif", "nc"):
        if any(folder.rglob(f"{row.name}.{ending}")):
            own = Layer(row.name, f"{row.name}.{ending}", row.unit, -np.inf, np.inf, classes=row.kind == "categorical")
            return GriddedSource(f"map of {row.name}", row.source, row.licence, (own,))
    return None


def covariates_of_places(plan: Plan, lon: ArrayLike, lat: ArrayLike) -> Covariates:
    """Covariates of places, in the order of the list, NaN where a map has no value."""
    return _collected(
        plan, lon, lat, lambda source, names: covariates_at(source, plan.folder, lon, lat, names),
        lambda: npp_at(plan.folder, lon, lat, NPP_YEARS),
    )  # fmt: skip


def covariates_of_grid(plan: Plan, lon: ArrayLike, lat: ArrayLike, resolution: float = RESOLUTION) -> Covariates:
    """Covariates of grid cells, in the order of the list: means of numbers, the most frequent class."""
    return _collected(
        plan, lon, lat, lambda source, names: covariates_of_cells(source, plan.folder, lon, lat, names, resolution),
        lambda: npp_of_cells(plan.folder, lon, lat, NPP_YEARS, resolution),
    )  # fmt: skip


def _collected(
    plan: Plan,
    lon: ArrayLike,
    lat: ArrayLike,
    from_source: Callable[[GriddedSource, list[str]], Covariates],
    from_npp: Callable[[], Covariates],
) -> Covariates:
    parts = [from_source(source, names) for source, names in plan.sources.values()]
    if plan.npp:
        npp = from_npp()
        wanted = npp.found[npp.found["variable"].isin(plan.npp)]
        parts.append(Covariates(npp.values[list(plan.npp)], wanted))
    values = pd.concat([part.values for part in parts], axis=1) if parts else pd.DataFrame(index=range(np.size(lon)))
    values["Lon"], values["Lat"] = np.asarray(lon, float), np.asarray(lat, float)
    names = [row.name for row in plan.covariates]
    found = pd.concat([part.found for part in parts], ignore_index=True) if parts else pd.DataFrame()
    return Covariates(values[names], found)
