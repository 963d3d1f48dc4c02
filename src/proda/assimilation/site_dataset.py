"""The dataset of `sites.zarr`: what is stored of every site, with dimensions, meaning and unit."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from proda.model.column import PAPER_COLUMN
from proda.model.parameters import PAPER_PARAMETERS


class Stored(NamedTuple):
    """One variable of the dataset."""

    name: str
    dims: tuple[str, ...]
    meaning: str
    unit: str


VARIABLES = (
    Stored("x", ("site", "draw", "parameter"), "posterior draws on the unit cube", "1"),
    Stored("x_mean", ("site", "parameter"), "posterior mean on the unit cube", "1"),
    Stored("x_sd", ("site", "parameter"), "posterior standard deviation on the unit cube", "1"),
    Stored(
        "x_mode",
        ("site", "parameter"),
        "mode of a generalized extreme-value distribution fitted to the posterior, on the unit cube",
        "1",
    ),
    Stored("rhat_gelman_rubin", ("site", "parameter"), "potential scale reduction (Eq. 9-10)", "1"),
    Stored("rhat", ("site", "parameter"), "rank-normalised split R-hat", "1"),
    Stored("ess_bulk", ("site", "parameter"), "bulk effective sample size", "1"),
    Stored("soc_mean", ("site", "layer"), "mean over draws of soil organic carbon density", "g m-3"),
    Stored("soc_sd", ("site", "layer"), "standard deviation over draws of soil organic carbon density", "g m-3"),
    Stored("soc_p05", ("site", "layer"), "5 % quantile over draws of soil organic carbon density", "g m-3"),
    Stored("soc_p95", ("site", "layer"), "95 % quantile over draws of soil organic carbon density", "g m-3"),
    Stored("soc_at_mean", ("site", "layer"), "soil organic carbon density at the posterior-mean parameters", "g m-3"),
    Stored("r2", ("site",), "squared correlation of the mean profile with the observed layers", "1"),
    Stored("efficiency", ("site",), "1:1 efficiency of the mean profile", "1"),
    Stored("phi", ("site", "chain"), "median misfit Phi (Eq. 5.2) of the kept draws", "1"),
    Stored("acceptance", ("site", "chain"), "share of kept steps that moved", "1"),
)


def sites_dataset(arrays: Mapping[str, NDArray], profile_id: Sequence[str]) -> xr.Dataset:
    """The arrays of all sites, by the names of `VARIABLES`, as a labelled dataset."""
    data = {row.name: (row.dims, arrays[row.name], {"long_name": row.meaning, "units": row.unit}) for row in VARIABLES}
    coords = {
        "profile_id": ("site", np.array(profile_id, dtype=object)),
        "parameter": np.array(PAPER_PARAMETERS.names, dtype=object),
        "node_depth": ("layer", PAPER_COLUMN.node, {"units": "m", "positive": "down"}),
    }
    return xr.Dataset(data, coords, {"title": "Site-by-site posteriors of the soil-carbon parameters"})
