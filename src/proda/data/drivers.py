"""What drives the model and informs the network on the land cells of a study, gathered from where its file says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from proda.data.covariate_sources import study_covariates
from proda.data.forcing_sources import study_forcing
from proda.data.reference_sources import study_references
from proda.model.forcing import Forcing
from proda.study import Study


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
    site_covariates : DataFrame
        Of the profiles on land, indexed by `profile_id`, same columns.
    units : dict
        Of the covariates.
    comment : str
        Where the forcing comes from.
    found : DataFrame
        One row a variable of every source (`proda.data.readers.found.Finding`), with what is missing.
    """

    cells: pd.DataFrame
    forcing: Forcing
    cell_covariates: pd.DataFrame
    site_covariates: pd.DataFrame
    units: dict[str, str]
    comment: str
    found: pd.DataFrame

    def covariates_of(self, profile_id: Iterable[str]) -> pd.DataFrame:
        """Covariates of profiles, in their order; NaN for one that has none."""
        return self.site_covariates.reindex(list(profile_id)).reset_index(drop=True)


def study_drivers(study: Study, cells: pd.DataFrame, profiles: pd.DataFrame) -> Drivers:
    """Drivers of `cells` and `profiles` from the sources that the study's file names.

    Parameters
    ----------
    cells : DataFrame
        `proda.data.covariate_sources.study_cells`.
    profiles : DataFrame
        Raw, with `cell` (`proda.data.places.placed`).
    """
    covariates = study_covariates(study, cells, profiles)
    forcing = study_forcing(study, covariates)
    references = study_references(study, cells)
    return Drivers(
        cells=covariates.cells.join(references.stocks),
        forcing=forcing.forcing,
        cell_covariates=covariates.of_cells,
        site_covariates=covariates.of_sites,
        units=covariates.units,
        comment=forcing.comment,
        found=pd.concat([forcing.found, covariates.found, references.found], ignore_index=True),
    )
