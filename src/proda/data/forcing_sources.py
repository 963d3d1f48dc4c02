"""The forcing of a study's land cells, by the kinds of source that a study can name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from proda.data.covariate_sources import StudyCovariates
from proda.data.forcing import VARIABLES, surrogate_forcing
from proda.data.readers.archive_forcing import archive_forcing
from proda.data.readers.clm_history import forcing_from_history
from proda.data.readers.found import SourcedForcing, finding, found_table
from proda.data.readers.grid_table import read_grid_table
from proda.data.source_tables import GRID_TABLE, SourceTable, chosen, source_table
from proda.errors import InputError
from proda.model.configuration import PAPER
from proda.model.forcing import Forcing
from proda.study import Study

SURROGATE_COMMENT = (
    "Derived from annual climate and texture, not from a land model: soil temperature = air temperature + "
    "{offset:g} K (Soil Survey Staff 1999); water potential from evaporation after Turc (1954), an assumed "
    "bucket that evaporates in proportion to its filling, and the retention curve of Clapp and Hornberger (1978) with "
    "Cosby et al. (1984); no permafrost; annual NPP assumed to range from {low:g} to {high:g} times its mean."
)
_NPP = ("NPPmean", "NPPmin", "NPPmax")


def study_forcing(study: Study, covariates: StudyCovariates) -> SourcedForcing:
    """Forcing of the study's cells, annual means for the `paper` configuration, which is the one that studies run.

    Raises
    ------
    InputError
        When the study's table [source.forcing] or the source is not what it should be.
    """
    table = source_table(study, "forcing", {kind: defaults for kind, (defaults, _) in KINDS.items()})
    sourced = KINDS[table.kind][1](study, table, covariates.cells)
    if table.options.get("npp") != "covariates":
        return sourced
    missing = [name for name in _NPP if name not in covariates.raw]
    if missing:
        raise InputError(
            f"{study.file}: [source.forcing] npp is 'covariates', but they lack {', '.join(missing)}. Add them to the "
            "list of covariates, or choose another npp."
        )
    mean, least, greatest = (covariates.raw[name].to_numpy(float) for name in _NPP)
    forcing = with_npp(sourced.forcing, mean, least, greatest)
    note = "in place of the model's; missing where the three are not in order"
    names = (("npp_mean", "NPPmean"), ("npp_min", "NPPmin"), ("npp_max", "NPPmax"))
    rows = [finding("NPP of the covariates", name, "g C m-2 yr-1", getattr(forcing, of), note) for of, name in names]
    found = pd.concat([sourced.found, found_table(rows)], ignore_index=True)
    return SourcedForcing(forcing, found, f"{sourced.comment} NPP, and its least and greatest year, of the covariates.")


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


def forcing_found(source: str, forcing: Forcing) -> pd.DataFrame:
    """What forcing that was made, not read, holds: one row a variable of `forcing.nc`."""
    rows = [
        finding(source, name, attributes["units"], getattr(forcing, field))
        for name, (field, _, attributes) in VARIABLES.items()
    ]
    return found_table(rows)


def _multiples(study: Study) -> tuple[float, float]:
    return study["npp_min_multiple"], study["npp_max_multiple"]


def _from_grid_table(study: Study, table: SourceTable, cells: pd.DataFrame) -> SourcedForcing:
    """Derived from the climate and the texture that the table has at the cells; NaN at a cell that it does not have."""
    place = ["lon", "lat"]
    grid = read_grid_table(table.folder).round(dict.fromkeys(place, 3)).set_index(place)
    at_cells = grid.reindex(pd.MultiIndex.from_frame(cells[place].round(3))).reset_index()
    (low, high), offset = _multiples(study), study["soil_minus_air_temperature"]
    forcing = surrogate_forcing(at_cells, low, high, offset)
    comment = SURROGATE_COMMENT.format(offset=offset, low=low, high=high)
    return SourcedForcing(forcing, forcing_found("derived from grid_half_degree.csv", forcing), comment)


def _from_history(study: Study, table: SourceTable, cells: pd.DataFrame) -> SourcedForcing:
    npp = chosen(table, "npp", ("years", "multiples", "covariates"), study, "forcing")
    # A single year has no least and greatest; where NPP of the covariates follows, those of the run do not matter.
    multiples = None if npp == "years" else _multiples(study)
    method, vertical = (table.options[name] for name in ("method", "vertical"))
    return forcing_from_history(table.folder, cells["lon"], cells["lat"], PAPER, method, vertical, multiples)


def _from_archive(study: Study, table: SourceTable, cells: pd.DataFrame) -> SourcedForcing:
    chosen(table, "npp", ("covariates", "multiples"), study, "forcing")
    return archive_forcing(table.folder, cells["lon"], cells["lat"], PAPER, _multiples(study))


_Reader = Callable[[Study, SourceTable, pd.DataFrame], SourcedForcing]
# What [source.forcing] may name: its options with their defaults, and its reader.
KINDS: dict[str, tuple[dict[str, str], _Reader]] = {
    GRID_TABLE: ({}, _from_grid_table),
    "clm-history": ({"method": "nearest", "vertical": "match", "npp": "years"}, _from_history),
    "public-archive": ({"npp": "covariates"}, _from_archive),
}
