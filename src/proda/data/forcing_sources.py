"""Forcing of a study's cells from any source that the package reads, by the name a study file gives it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from proda.data.readers.archive_forcing import archive_forcing
from proda.data.readers.clm_history import forcing_from_history
from proda.data.readers.found import SourcedForcing
from proda.errors import InputError
from proda.model.configuration import PAPER, Configuration
from proda.model.forcing import Forcing

KINDS = ("clm-history", "public-archive")


def forcing_from(
    kind: str,
    path: Path | str,
    lon: ArrayLike,
    lat: ArrayLike,
    configuration: Configuration = PAPER,
    method: str = "nearest",
    vertical: str = "match",
    npp_multiples: tuple[float, float] | None = None,
) -> SourcedForcing:
    """Forcing of the places at `lon`, `lat` (degrees), such as the centres of land cells.

    Parameters
    ----------
    kind : "clm-history" or "public-archive"
    path : path
        A history file or a folder of them; the folder of the unpacked archive.
    configuration : Configuration
        Annual means for `PAPER`, a mean year by month for `CESM2`.
    method, vertical
        Of `clm_history.forcing_from_history`; the archive is read at the nearest cell.
    npp_multiples : (float, float), optional
        Least and greatest annual NPP as multiples of the mean, where the years of the source do not tell.

    Raises
    ------
    InputError
        When the kind is unknown or the source is not what it should be.
    """
    if kind == "clm-history":
        return forcing_from_history(path, lon, lat, configuration, method, vertical, npp_multiples)
    if kind == "public-archive":
        return archive_forcing(path, lon, lat, configuration, npp_multiples or (0.7, 1.3))
    raise InputError(f"kind of forcing is {kind!r}, expected one of: {', '.join(KINDS)}.")


def with_npp(forcing: Forcing, mean: ArrayLike, least: ArrayLike, greatest: ArrayLike) -> Forcing:
    """`forcing` with another NPP, such as that of MODIS, all (n,), g C m-2 yr-1.

    A column whose NPP is missing in the other source, or not in the order least, mean, greatest, has none: NaN, never
    the old one. A least year below zero counts as zero, for carbon input is not negative.
    """
    mean, least, greatest = (np.asarray(values, float) for values in (mean, least, greatest))
    for name, values in (("mean", mean), ("least", least), ("greatest", greatest)):
        if values.shape != (forcing.n_columns,):
            raise InputError(f"{name} NPP has shape {values.shape}, expected ({forcing.n_columns},), one a column.")
    low = np.maximum(least, 0.0)
    known = (low <= mean) & (mean <= greatest) & (low < greatest)
    return forcing._replace(
        npp_mean=np.where(known, mean, np.nan),
        npp_min=np.where(known, low, np.nan),
        npp_max=np.where(known, greatest, np.nan),
    )
