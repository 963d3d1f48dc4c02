"""How well each site's profile is reproduced, and what becomes of the site after that."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from proda.assimilation.schedules import SitePlan

STUCK_GAP = 5.0  # in Phi: a factor of 150 in posterior density between the middles of two chains
OUT_OF_REACH = 10.0  # standard deviations

# What `status` can be, from the worst to the best.
NOT_SAMPLED, NO_POSTERIOR, FAR, STUCK = "not sampled", "no finite posterior", "out of reach", "a chain is stuck"
NOT_CONVERGED, CONVERGED = "not converged", "converged"
STATUS_MEANING = {
    NOT_SAMPLED: "a number of its forcing or layers is missing or impossible",
    NO_POSTERIOR: "its chains found no finite misfit, or one never moved",
    FAR: f"no parameters in the box come within {OUT_OF_REACH:g} standard deviations of its layers",
    STUCK: f"the median misfits of its chains differ by more than {STUCK_GAP:g}: they cannot be in the same posterior",
    NOT_CONVERGED: "R-hat or an effective sample size of some parameter misses its limit",
    CONVERGED: "all parameters meet the limits",
}


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


def site_status(
    sites: xr.Dataset, n_layers: NDArray, faults: Sequence[str], plan: SitePlan, empty: NDArray | float = np.inf
) -> pd.DataFrame:
    """The outcome of every site, a row each: the table of `site_status.csv`.

    A site is `used_downstream`, as the paper has it, unless its 1:1 efficiency is negative (or undefined, where all its
    layers are alike). `status`, one of `STATUS_MEANING`, is about the chains, and `reason` says what is the matter
    (`faults`, from `site_faults`, of a site that was not sampled). All are flagged, none is dropped.
    """
    rhat, bulk, tail = (sites[name].to_numpy() for name in ("rhat", "ess_bulk", "ess_tail"))
    worst, efficiency = rhat.max(axis=1), sites["efficiency"].to_numpy()
    phi = sites["phi"].median("draw").to_numpy()
    finite = np.isfinite(sites["soc_mean"].to_numpy()).all(axis=1) & np.isfinite(worst)
    gap, misfit = np.ptp(phi, axis=1), phi.min(axis=1)
    # An observation far above anything that the model can hold costs no more than an empty soil would.
    far = misfit > np.minimum(0.5 * OUT_OF_REACH**2 * n_layers, 0.5 * np.asarray(empty))
    names = sites["parameter"].to_numpy()
    table = []
    for k, fault in enumerate(faults):
        if fault:
            outcome = NOT_SAMPLED, fault
        elif not finite[k]:
            outcome = NO_POSTERIOR, "no chain found a finite misfit, or one never moved"
        elif far[k]:
            outcome = FAR, f"median misfit {misfit[k]:.4g} for {n_layers[k]} layers in the best chain"
        elif gap[k] > STUCK_GAP:
            outcome = STUCK, f"median misfits of its chains differ by {gap[k]:.3g}"
        elif worst[k] > plan.rhat_limit:
            outcome = NOT_CONVERGED, f"R-hat of {names[rhat[k].argmax()]} is {worst[k]:.3f} (limit {plan.rhat_limit:g})"
        elif min(bulk[k].min(), tail[k].min()) < plan.ess_limit:
            ess, kind = min((bulk[k].min(), "bulk"), (tail[k].min(), "tail"))
            outcome = NOT_CONVERGED, f"{kind} ESS of a parameter is {ess:.0f} (limit {plan.ess_limit:g})"
        else:
            outcome = CONVERGED, ""
        table.append(outcome)
    return pd.DataFrame(
        {
            "profile_id": sites["profile_id"].to_numpy(),
            "site": np.arange(sites.sizes["site"]),
            "status": [status for status, _ in table],
            "reason": [reason for _, reason in table],
            "n_layers": n_layers,
            "r2": sites["r2"].to_numpy(),
            "efficiency": efficiency,
            "rhat_gelman_rubin_max": sites["rhat_gelman_rubin"].max("parameter").to_numpy(),
            "rhat_max": worst,
            "ess_bulk_min": bulk.min(axis=1),
            "ess_tail_min": tail.min(axis=1),
            "misfit": misfit,
            "steps": sites["steps"].to_numpy(),
            "acceptance": sites["acceptance"].mean("chain").to_numpy(),
            "used_downstream": finite & (efficiency >= 0.0),
        }
    )


def status_counts(status: pd.DataFrame) -> pd.DataFrame:
    """Sites by `status`, the worst first: how many, how many are used downstream, what it means, an example."""
    rows = {}
    for name, meaning in STATUS_MEANING.items():
        here = status[status["status"] == name]
        if len(here):
            used, example = int(here["used_downstream"].sum()), here["reason"].iloc[0]
            rows[name] = {"sites": len(here), "used downstream": used, "meaning": meaning, "for example": example}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("status")
