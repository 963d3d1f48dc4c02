"""Forcing of both model configurations from the CESM2 fields of the public archive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.data.readers import archive_layout as layout
from proda.data.readers.archive_fields import FIELDS, INPUTS, archive_cells, read_field
from proda.data.readers.found import Finding, SourcedForcing, finding, found_table
from proda.errors import InputError
from proda.model.column import CESM2_COLUMN, DAYS_PER_YEAR
from proda.model.configuration import CESM2, Configuration
from proda.model.forcing import Forcing, MonthlyForcing

SOURCE = "CESM2 fields of the archive"
MONTH_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], float)
SECONDS_PER_DAY = 86400.0


class _Fields:
    """The fields at places, each noted as it is read."""

    def __init__(self, folder: Path | str, lon: ArrayLike, lat: ArrayLike):
        self.folder, self.cells = folder, archive_cells(lon, lat)
        self.found: list[Finding] = []

    def __call__(self, name: str, note: str = "") -> NDArray:
        values = read_field(self.folder, name, *self.cells)
        if not np.isfinite(values).any():
            raise InputError(
                f"{layout.FIELD.format(name=name)}: no value at any of the {values.shape[-1]} places. Places in the "
                "sea, or longitudes and latitudes exchanged?"
            )
        self.found.append(finding(SOURCE, name, FIELDS[name][0], values, note))
        return values


def archive_forcing(
    folder: Path | str,
    lon: ArrayLike,
    lat: ArrayLike,
    configuration: Configuration = CESM2,
    npp_multiples: tuple[float, float] = (0.7, 1.3),
) -> SourcedForcing:
    """Forcing of places at `lon`, `lat` (degrees) from an unpacked archive.

    A place takes the nearest row and the nearest column of the grid, as in the group's programs; one whose cell is not
    land is NaN.

    Parameters
    ----------
    configuration : Configuration
        `CESM2` takes the mean year, month by month; carbon inputs are multiplied by the thickness of their layer and
        summed over the twenty layers, which gives g C m-2 month-1. `PAPER` takes annual means, interpolated in depth
        from the nodes of CLM5 to those of CLM4.5, with the water potential SOILPSI and the run's NPP.
    npp_multiples : (float, float)
        `PAPER`: least and greatest annual NPP as multiples of the mean, for the fields hold a mean year only;
        the npp of a study's [source.forcing] can put those of MODIS in its place.

    Raises
    ------
    InputError
        As `archive_fields.read_field`; when a field has no value at any place, or the number of layers above bedrock
        changes through the year.
    """
    field = _Fields(folder, lon, lat)
    forcing = _monthly(field) if configuration.monthly else _annual(field, configuration, npp_multiples)
    comment = "CESM2 (CLM5) fields of the public BINN/ScIReN archive, mean year of the model years 661 to 680" + (
        ", month by month."
        if configuration.monthly
        else ", annual means, interpolated in depth to the nodes of CLM4.5; annual NPP assumed to range from "
        f"{npp_multiples[0]:g} to {npp_multiples[1]:g} times its mean."
    )
    return SourcedForcing(forcing, found_table(field.found), comment)


def _monthly(field: _Fields) -> MonthlyForcing:
    temperature = field("TSOI")
    scalars = [np.clip(field(name), 0.0, 1.0) for name in ("W_SCALAR", "O_SCALAR", "FPI_vr")]
    thaw = [field(name) for name in ("ALTMAX", "ALTMAX_LASTYEAR")]
    carbon = np.stack([np.einsum("jtn,j->tn", field(name), CESM2_COLUMN.thickness) for name in INPUTS])
    bedrock = field("nbedrock")
    known = np.isfinite(bedrock).all(axis=0)
    if (np.ptp(bedrock[:, known], axis=0) > 0).any():
        raise InputError(
            f"{layout.FIELD.format(name='nbedrock')}: the layers above bedrock change from month to month, expected a "
            "constant."
        )
    deepest = np.where(known, np.minimum(bedrock[0], CESM2_COLUMN.n_layers), np.nan)
    return MonthlyForcing(temperature, *scalars, *thaw, np.maximum(carbon, 0.0), deepest)


def _annual(field: _Fields, configuration: Configuration, multiples: tuple[float, float]) -> Forcing:
    month = MONTH_DAYS / MONTH_DAYS.sum()
    node, wanted = CESM2_COLUMN.node, configuration.column.node
    shares = np.array([np.interp(wanted, node, unit) for unit in np.eye(node.size)])  # (20, n_layers)
    temperature, potential = (np.einsum("jtn,t,jk->kn", field(name), month, shares) for name in ("TSOI", "SOILPSI"))
    thaw = month @ field("ALTMAX")
    npp = SECONDS_PER_DAY * DAYS_PER_YEAR * (month @ field("NPP", "turned to g C m-2 yr-1"))
    return Forcing(temperature, potential, thaw, npp, multiples[0] * npp, multiples[1] * npp)
