"""The dataset of `sites.zarr`: what is stored of every site, with dimensions, meaning and unit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from proda.assimilation.schedules import SitePlan
from proda.model.column import PAPER_COLUMN
from proda.model.parameters import PAPER_PARAMETERS

STORE = "sites.zarr"


class Stored(NamedTuple):
    """One variable of the dataset."""

    name: str
    dims: tuple[str, ...]
    meaning: str
    unit: str = "1"
    dtype: str = "float64"


_CHAIN, _DRAW = ("site", "chain"), ("site", "chain", "draw")
_PARAMETER, _LAYER = ("site", "parameter"), ("site", "layer")
VARIABLES = (
    Stored("x", (*_DRAW, "parameter"), "posterior draws on the unit cube", dtype="float32"),
    Stored("phi", _DRAW, "weighted misfit Phi (Eq. 5.2) of the draws", dtype="float32"),
    Stored("x_mean", _PARAMETER, "posterior mean on the unit cube"),
    Stored("x_sd", _PARAMETER, "posterior standard deviation on the unit cube"),
    Stored(
        "x_mode",
        _PARAMETER,
        "mode of a generalized extreme-value distribution fitted to the posterior, on the unit cube",
    ),
    Stored("rhat_gelman_rubin", _PARAMETER, "potential scale reduction (Eq. 9-10)"),
    Stored("rhat", _PARAMETER, "rank-normalised split R-hat"),
    Stored("ess_bulk", _PARAMETER, "bulk effective sample size"),
    Stored("ess_tail", _PARAMETER, "tail effective sample size"),
    Stored("soc_mean", _LAYER, "mean over draws of soil organic carbon density", "g m-3"),
    Stored("soc_sd", _LAYER, "standard deviation over draws of soil organic carbon density", "g m-3"),
    Stored("soc_p05", _LAYER, "5 % quantile over draws of soil organic carbon density", "g m-3"),
    Stored("soc_p95", _LAYER, "95 % quantile over draws of soil organic carbon density", "g m-3"),
    Stored("soc_at_mean", _LAYER, "soil organic carbon density at the posterior-mean parameters", "g m-3"),
    Stored("r2", ("site",), "squared correlation of the mean profile with the observed layers"),
    Stored("efficiency", ("site",), "1:1 efficiency of the mean profile"),
    Stored("acceptance", _CHAIN, "share of kept steps that moved"),
    Stored("steps", ("site",), "steps of every chain"),
)


def sizes_of(plan: SitePlan, n_sites: int) -> dict[str, int]:
    """The length of every dimension."""
    return {
        "site": n_sites,
        "chain": plan.n_chains,
        "draw": draws_per_chain(plan),
        "parameter": len(PAPER_PARAMETERS),
        "layer": PAPER_COLUMN.n_layers,
    }


def draws_per_chain(plan: SitePlan) -> int:
    """How many draws of each chain are stored."""
    return max(1, plan.n_kept // plan.n_chains)


def empty_arrays(plan: SitePlan, n_sites: int) -> dict[str, NDArray]:
    """Every variable of so many sites, filled with NaN."""
    sizes = sizes_of(plan, n_sites)
    return {row.name: np.full([sizes[dim] for dim in row.dims], np.nan, row.dtype) for row in VARIABLES}


def site_coordinates(profile_id: Sequence[str], places: Mapping[str, NDArray] | None = None) -> xr.Dataset:
    """The coordinates of the dataset; `places` are `lon` and `lat` of the sites, degrees."""
    coords = {
        "profile_id": ("site", np.array(profile_id, dtype=object)),
        "parameter": np.array(PAPER_PARAMETERS.names, dtype=object),
        "node_depth": ("layer", PAPER_COLUMN.node, {"units": "m", "positive": "down"}),
    }
    units = {"lon": "degrees_east", "lat": "degrees_north"}
    coords |= {name: ("site", np.asarray(values), {"units": units[name]}) for name, values in (places or {}).items()}
    return xr.Dataset(coords=coords, attrs={"title": "Site-by-site posteriors of the soil-carbon parameters"})


def opened_sites(path: Path) -> xr.Dataset:
    """The `sites.zarr` at `path`, read when and as far as it is asked for."""
    sites = xr.open_zarr(path, consolidated=False, chunks=None)
    # Zarr gives names a type of its own, with which xarray cannot fill what `idxmax` finds.
    names = {name: sites[name].astype(object) for name in ("parameter", "profile_id")}
    return sites.assign_coords(names)
