"""How well each site's profile is reproduced, and what becomes of the site after that."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

STUCK_GAP = 5.0  # in Phi: a factor of 150 in posterior density between the middles of two chains


class SiteAgreement(NamedTuple):
    """`r2`, squared correlation, and `efficiency`, 1 - SSE/SST about the 1:1 line; (n_sites,) each."""

    r2: NDArray[np.float64]
    efficiency: NDArray[np.float64]


def agreement_by_site(site: NDArray, observed: NDArray, modelled: NDArray, n_sites: int) -> SiteAgreement:
    """Agreement of the layers of each site, (n_sites,); NaN where a site's layers are all alike or there is only one.

    Parameters
    ----------
    site : (k,) integers below `n_sites`
    observed, modelled : (k,), same unit
    """

    def total(values: NDArray) -> NDArray:
        return np.bincount(site, values, n_sites)

    with np.errstate(invalid="ignore", divide="ignore"):
        count = np.bincount(site, minlength=n_sites).astype(float)
        about_x = observed - (total(observed) / count)[site]
        about_z = modelled - (total(modelled) / count)[site]
        sst = total(about_x**2)
        r2 = total(about_x * about_z) ** 2 / (sst * total(about_z**2))
        efficiency = 1.0 - total((modelled - observed) ** 2) / sst
    # Layers that are all alike leave nothing to explain; their squares about the mean are then rounding alone.
    alone = (count < 2) | (sst <= 1e-20 * total(observed**2))
    return SiteAgreement(np.where(alone, np.nan, r2), np.where(alone, np.nan, efficiency))


def site_status(sites: xr.Dataset, n_layers: NDArray, rhat_limit: float) -> pd.DataFrame:
    """The outcome of every site, a row each: the table of `site_status.csv`.

    A site is `used_downstream`, as the paper has it, unless its 1:1 efficiency is negative (or undefined, where all its
    layers are alike). `status` is about the chains: "converged" when no parameter's rank-normalised R-hat exceeds
    `rhat_limit`; "a chain is stuck" when the median misfit of one chain exceeds that of another by more than
    `STUCK_GAP`, so that they cannot be in the same posterior. Such sites are flagged, not dropped.
    """
    rhat = sites["rhat"].max("parameter", skipna=False).to_numpy()
    efficiency = sites["efficiency"].to_numpy()
    finite = np.isfinite(sites["soc_mean"].to_numpy()).all(axis=1) & np.isfinite(rhat)
    stuck = np.ptp(sites["phi"].to_numpy(), axis=1) > STUCK_GAP
    status = np.select(
        [~finite, stuck, rhat > rhat_limit], ["no finite posterior", "a chain is stuck", "not converged"], "converged"
    )
    return pd.DataFrame(
        {
            "profile_id": sites["profile_id"].to_numpy(),
            "site": np.arange(sites.sizes["site"]),
            "status": status,
            "n_layers": n_layers,
            "r2": sites["r2"].to_numpy(),
            "efficiency": efficiency,
            "rhat_gelman_rubin_max": sites["rhat_gelman_rubin"].max("parameter").to_numpy(),
            "rhat_max": rhat,
            "ess_bulk_min": sites["ess_bulk"].min("parameter").to_numpy(),
            "acceptance": sites["acceptance"].mean("chain").to_numpy(),
            "used_downstream": finite & (efficiency >= 0.0),
        }
    )
