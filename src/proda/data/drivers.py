"""What drives the model and informs the network at the land cells: forcing and covariates, by where they come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from proda.data.forcing import surrogate_forcing
from proda.data.readers.grid_table import grid_covariates, read_grid_table
from proda.model.forcing import Forcing
from proda.study import Study

SURROGATE_COMMENT = (
    "Derived from annual climate and texture, not from a land model: soil temperature = air temperature + "
    "{offset:g} K (Soil Survey Staff 1999); water potential from evaporation after Turc (1954), an assumed "
    "bucket that evaporates in proportion to its filling, and the retention curve of Clapp and Hornberger (1978) with "
    "Cosby et al. (1984); no permafrost; annual NPP assumed to range from {low:g} to {high:g} times its mean."
)


class Drivers(NamedTuple):
    """What drives the model and informs the network, at the land cells.

    Attributes
    ----------
    cells : DataFrame
        Land cells in the columns of `grid.nc`.
    forcing : Forcing
        Of all cells; NaN where a cell has none.
    cell_covariates : DataFrame
        Of all cells; NaN where missing.
    site_covariates : callable
        Profiles (with `cell`, an index into `cells`) -> their covariates, same columns.
    comment : str
        Where the forcing comes from.
    """

    cells: pd.DataFrame
    forcing: Forcing
    cell_covariates: pd.DataFrame
    site_covariates: Callable[[pd.DataFrame], pd.DataFrame]
    comment: str


def half_degree_drivers(study: Study) -> Drivers:
    """Drivers of the table grid_half_degree.csv in the data folder: forcing is derived from climate and texture."""
    grid = read_grid_table(study.data)
    low, high, offset = (study[k] for k in ("npp_min_multiple", "npp_max_multiple", "soil_minus_air_temperature"))
    covariates = grid_covariates(grid)
    return Drivers(
        cells=grid,
        forcing=surrogate_forcing(grid, low, high, offset),
        cell_covariates=covariates,
        site_covariates=lambda profiles: covariates.iloc[profiles["cell"].to_numpy()].reset_index(drop=True),
        comment=SURROGATE_COMMENT.format(offset=offset, low=low, high=high),
    )
