"""What the network learns from: covariates and posteriors of one study, found to speak of the same sites."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from proda.assimilation.site_dataset import opened_sites
from proda.data.covariates import read_covariates
from proda.data.outcome_tables import read_site_status
from proda.data.truth import known_truth
from proda.errors import InputError
from proda.learning.scaling import covariate_values
from proda.model.parameters import PAPER_PARAMETERS
from proda.study import Study


class Inputs(NamedTuple):
    """Sites in the order of profiles.parquet, cells in that of grid.nc.

    Attributes
    ----------
    site_covariates, cell_covariates : DataFrame, (n_sites, n_covariates) and (n_cells, n_covariates)
    places : DataFrame
        `place` ("site" or "cell"), `profile_id`, `site`, `cell` of all sites, then all cells.
    x_mean, x_sd : (n_sites, n_parameters)
        Mean and standard deviation of the site's posterior, unit cube.
    used : (n_sites,) bool
        Sites with a 1:1 efficiency that is not negative.
    """

    site_covariates: pd.DataFrame
    cell_covariates: pd.DataFrame
    places: pd.DataFrame
    x_mean: NDArray[np.float64]
    x_sd: NDArray[np.float64]
    used: NDArray[np.bool_]


class Truth(NamedTuple):
    """The true parameters of a virtual study, unit cube: (n_sites, n_parameters) and (n_cells, n_parameters)."""

    x_site: NDArray[np.float64]
    x_cell: NDArray[np.float64]


def network_inputs(study: Study) -> Inputs:
    """Covariates and posteriors of the study, checked before any time is spent on training.

    Raises
    ------
    InputError
        When two files do not hold the same sites in the same order, when the parameters of sites.zarr are not the
        model's, or when a covariate has gaps.
    """
    site_covariates, cell_covariates = read_covariates(study.path("covariates.parquet"))
    names = list(site_covariates.columns)
    for place, frame in (("sites", site_covariates), ("cells", cell_covariates)):
        covariate_values(frame, names, f"covariates.parquet, {place}")
    places = pd.read_parquet(study.path("covariates.parquet"), columns=["place", "profile_id", "site", "cell"])
    places = places.sort_values(["place", "site", "cell"], ascending=[False, True, True]).reset_index(drop=True)
    places = places.astype({"site": "Int64", "cell": "int64"})
    profile_id = _text(places.loc[places["place"] == "site", "profile_id"])

    status = read_site_status(study.path("site_status.csv"))
    _check_same_sites(profile_id, _text(status["profile_id"]), "site_status.csv")
    with opened_sites(study.path("sites.zarr")) as sites:
        _check_same_sites(profile_id, _text(sites["profile_id"].to_numpy()), "sites.zarr")
        found = tuple(str(name) for name in sites["parameter"].to_numpy())
        if found != PAPER_PARAMETERS.names:
            raise InputError(
                f"sites.zarr: parameters are {', '.join(found)}; expected {', '.join(PAPER_PARAMETERS.names)}."
            )
        mean, sd = (_rows(sites[name], "site") for name in ("x_mean", "x_sd"))
    return Inputs(site_covariates, cell_covariates, places, mean, sd, status["used_downstream"].to_numpy())


def true_parameters(study: Study) -> Truth | None:
    """The truth of a virtual study (truth.nc), None for a study of real profiles."""
    truth = known_truth(study)
    if truth is None:
        return None
    return Truth(_rows(truth["x_site"], "site"), _rows(truth["x_cell"], "cell"))


def _rows(values: xr.DataArray, place: str) -> NDArray[np.float64]:
    return values.transpose(place, "parameter").to_numpy().astype(np.float64)


def _text(values: Iterable) -> NDArray[np.object_]:
    # One kind of string for all: Zarr, pandas and CSV give three, and NumPy does not convert between all of them.
    return np.array([str(value) for value in values], dtype=object)


def _check_same_sites(expected: NDArray, found: NDArray, file: str) -> None:
    if expected.size != found.size:
        raise InputError(
            f"{file} has {found.size} sites, covariates.parquet has {expected.size}: they are of different runs; "
            "run the study again from the data stage."
        )
    differ = expected != found
    if differ.any():
        row = int(np.argmax(differ))
        raise InputError(
            f"{file}: site {row} is profile {found[row]!r}, covariates.parquet has {expected[row]!r} there "
            f"({int(differ.sum())} of {differ.size} differ): they are of different runs; run the study again from the "
            "data stage."
        )
