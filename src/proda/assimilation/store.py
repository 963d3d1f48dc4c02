"""Site-by-site assimilation (Tao et al. 2020, section 2.3): chains for each profile, and `sites.zarr`, what is kept.

The result of a batch of sites depends on these alone, so neither where nor in which order it runs matters. A batch is
a chunk of every array, so batches can be written side by side, by threads or by processes elsewhere, and each is marked
when it is whole. A batch without its mark is sampled again, to the same bits.
"""

import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
import zarr
from numpy.typing import NDArray
from scipy.special import gamma
from zarr.core.buffer import Buffer
from zarr.storage import LocalStore

from proda.assimilation.chains import (
    ACCEPTED,
    SampledSites,
    SitePlan,
    SiteProblem,
    inert_parameters,
    sampled_sites,
    site_faults,
)
from proda.data.files import checked_variables, unreadable_named
from proda.errors import InputError
from proda.kernels.diagnostics import gelman_rubin
from proda.kernels.steady_state import soc_density
from proda.model.configuration import configuration_of
from proda.model.forcing import AnyForcing
from proda.model.parameters import bounds
from proda.stage import write_errors_explained
from proda.workers import in_parallel

STORE, SITES_PER_BATCH = "sites.zarr", 128


class Stored(NamedTuple):
    """A variable of the dataset."""

    dims: tuple[str, ...]
    meaning: str
    unit: str = "1"
    dtype: str = "float64"


_CHAIN, _DRAW = ("site", "chain"), ("site", "chain", "draw")
_PARAMETER, _LAYER = ("site", "parameter"), ("site", "layer")
_GEV = "a generalized extreme-value distribution"
VARIABLES = {
    "x": Stored((*_DRAW, "parameter"), "posterior draws on the unit cube", dtype="float32"),
    "phi": Stored(_DRAW, "weighted misfit Phi (Eq. 5.2) of the draws", dtype="float32"),
    "x_mean": Stored(_PARAMETER, "posterior mean on the unit cube"),
    "x_sd": Stored(_PARAMETER, "posterior standard deviation on the unit cube"),
    "x_mode": Stored(_PARAMETER, f"mode of {_GEV} fitted to the posterior, on the unit cube"),
    "rhat_gelman_rubin": Stored(_PARAMETER, "potential scale reduction (Eq. 9-10)"),
    "rhat": Stored(_PARAMETER, "rank-normalised split R-hat"),
    "ess_bulk": Stored(_PARAMETER, "bulk effective sample size"),
    "ess_tail": Stored(_PARAMETER, "tail effective sample size"),
    "soc_mean": Stored(_LAYER, "mean over draws of soil organic carbon density", "g m-3"),
    "soc_sd": Stored(_LAYER, "standard deviation over draws of soil organic carbon density", "g m-3"),
    "soc_p05": Stored(_LAYER, "5 % quantile over draws of soil organic carbon density", "g m-3"),
    "soc_p95": Stored(_LAYER, "95 % quantile over draws of soil organic carbon density", "g m-3"),
    "r2": Stored(("site",), "squared correlation of the mean profile with the observed layers"),
    "efficiency": Stored(("site",), "model efficiency (Nash-Sutcliffe) of the mean profile"),
    "acceptance": Stored(_CHAIN, "share of kept steps that moved"),
    "steps": Stored(("site",), "steps of every chain"),
    "posterior_chain": Stored(("site",), "the one chain that the moments are of; -1: of all chains"),
    "inert": Stored(_PARAMETER, "1 where the parameter cannot change soil carbon: its draws are of the prior"),
}


def sizes_of(plan: SitePlan, coordinates: xr.Dataset) -> dict[str, int]:
    """The length of every dimension."""
    draws = {"chain": plan.n_chains, "draw": max(1, plan.n_kept // plan.n_chains)}
    return draws | dict(coordinates.sizes)


def site_coordinates(problem: SiteProblem, places: Mapping[str, NDArray] | None = None) -> xr.Dataset:
    """The coordinates of the dataset; `places` are `lon` and `lat` of the sites, degrees."""
    coords = {
        "profile_id": ("site", np.array(problem.profile_id, dtype=object)),
        "parameter": np.array(problem.configuration.parameters.names, dtype=object),
        "node_depth": ("layer", problem.configuration.column.node, {"units": "m", "positive": "down"}),
    }
    units = {"lon": "degrees_east", "lat": "degrees_north"}
    coords |= {name: ("site", np.asarray(values), {"units": units[name]}) for name, values in (places or {}).items()}
    return xr.Dataset(coords=coords, attrs={"title": "Site-by-site posteriors of the soil-carbon parameters"})


class ZarrFolder(LocalStore):
    """A Zarr store in a folder; Zarr's own makes hard links, which not every file system has."""

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        if not await self.exists(key):
            await self.set(key, value)


def consolidate(path: Path) -> None:
    """Gather the metadata of the Zarr store at `path` in one file, so that it opens without a search and a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # other programs than Python's may not use them
        zarr.consolidate_metadata(ZarrFolder(path))


def opened_sites(path: Path) -> xr.Dataset:
    """The `sites.zarr` at `path`, read when and as far as it is asked for."""
    with unreadable_named(path):
        sites = xr.open_zarr(path, consolidated=False, chunks=None)
    # Zarr gives names a type of its own, with which xarray cannot fill what `idxmax` finds.
    return sites.assign_coords({name: sites[name].astype(object) for name in ("parameter", "profile_id")})


def check_sites(path: Path, status: pd.DataFrame, batch: int = 128) -> None:
    """An InputError unless `sites.zarr` holds `VARIABLES`, and the posterior of every site that `status` calls sampled.

    A site that was not sampled has none. All is read, a `batch` of sites at a time.
    """
    sites, sampled = opened_sites(path), status["status"].to_numpy() != "not sampled"
    checked_variables(sites, {name: row.dims for name, row in VARIABLES.items()}, path, gaps=VARIABLES)
    for first in range(0, len(sampled), batch):
        part = slice(first, first + batch)
        with unreadable_named(path):
            here = sites.isel(site=part).load()
        for name in ("x", "x_mean", "x_sd", "steps"):
            number = np.isfinite(here[name].transpose("site", ...).values).reshape(here.sizes["site"], -1)
            wrong = np.where(sampled[part], ~number.all(axis=1), number.any(axis=1))
            if wrong.any():
                profile = here["profile_id"].values[wrong][0]
                raise InputError(
                    f"{path}: {name} of profile {profile!r} has {'no ' if sampled[part][wrong][0] else ''}numbers, "
                    "contrary to its status in site_status.csv. Was a file of the store lost?"
                )


_KEPT = "finished batches are kept and it goes on from there"


class SiteStore:
    """`sites.zarr` in `folder`, and the marks of its finished batches in `checkpoints`, which serve a resumed run."""

    def __init__(self, folder: Path, checkpoints: Path) -> None:
        self.path, self.marks = Path(folder) / STORE, Path(checkpoints) / "batches"

    def create(self, coordinates: xr.Dataset, plan: SitePlan, batch: int) -> None:
        """Make the empty store, a chunk for each `batch` sites, unless an interrupted run has made it."""
        if self.marks.is_dir():
            return
        sizes = sizes_of(plan, coordinates)
        described = " ".join(name for name in coordinates.coords if name not in coordinates.dims)
        with write_errors_explained(self.path, _KEPT):
            shutil.rmtree(self.path, ignore_errors=True)
            coordinates.to_zarr(ZarrFolder(self.path), mode="w", consolidated=False)
            group = zarr.open_group(ZarrFolder(self.path), mode="r+")
            for name, row in VARIABLES.items():
                shape = tuple(sizes[dim] for dim in row.dims)
                about = {"long_name": row.meaning, "units": row.unit, "coordinates": described}
                how = {"shape": shape, "chunks": (min(batch, shape[0]), *shape[1:]), "dtype": row.dtype}
                group.create_array(name, fill_value=np.nan, dimension_names=row.dims, attributes=about, **how)
            self.marks.mkdir(parents=True)

    def write(self, first: int, arrays: Mapping[str, NDArray]) -> None:
        """Write a batch of sites to its place, and mark it as finished. A ProdaError when the disk refuses."""
        with write_errors_explained(self.path, _KEPT):
            group = zarr.open_group(self.path, mode="r+")
            for name in VARIABLES:
                group[name][first : first + len(arrays[name])] = arrays[name]
            self._mark(first).touch()

    def finished(self, first: int) -> bool:
        """Whether the batch that begins with the site `first` is there."""
        return self._mark(first).is_file()

    def finish(self) -> None:
        """Remove what killed writers left beside a chunk, and consolidate; to be called when nobody writes."""
        with write_errors_explained(self.path, _KEPT):
            for path in self.path.rglob("*.partial"):
                path.unlink(missing_ok=True)
            consolidate(self.path)

    def _mark(self, first: int) -> Path:
        return self.marks / f"from-{first:07d}"


def site_posteriors(
    problem: SiteProblem,
    seed: int,
    plan: SitePlan,
    folder: Path,
    checkpoints: Path,
    places: Mapping[str, NDArray] | None = None,
    n_workers: int | None = None,
    report: Callable[[int], None] = lambda n_sites: None,
) -> xr.Dataset:
    """Sample all sites into `sites.zarr` and open it.

    Called again with the same arguments after any interruption it goes on where it was, and ends with the same bytes.
    `folder`, which the workers of a cluster must see at the same path, and `checkpoints` take the store and the marks
    of finished batches; `places` are `lon` and `lat` of the sites, degrees. `n_workers` threads of this machine sample,
    by default one a core. `report` is called with the number of sites just finished. A ProdaError when the disk is full
    or may not be written.
    """
    store = SiteStore(folder, checkpoints)
    store.create(site_coordinates(problem, places), plan, SITES_PER_BATCH)
    waiting = []
    for first in range(0, problem.n_sites, SITES_PER_BATCH):
        part = problem.part(first, first + SITES_PER_BATCH)
        if store.finished(first):
            report(part.n_sites)
        else:
            waiting.append((first, part))
    with in_parallel(sampled_batch, waiting, seed, plan, store, n=n_workers) as done:
        for n_sites in done:
            report(n_sites)
    store.finish()
    return opened_sites(store.path)


def sampled_batch(batch: tuple[int, SiteProblem], seed: int, plan: SitePlan, store: SiteStore) -> int:
    """Sample a batch and write it to its place, that of its first site and the following; the number of sites."""
    first, part = batch
    store.write(first, batch_arrays(part, seed, plan))
    return part.n_sites


def batch_arrays(problem: SiteProblem, seed: int, plan: SitePlan) -> dict[str, NDArray]:
    """Sample the sites of a batch: every variable of `VARIABLES`, NaN at sites that cannot be sampled."""
    sizes = sizes_of(plan, site_coordinates(problem))
    arrays = {name: np.full([sizes[dim] for dim in row.dims], np.nan, row.dtype) for name, row in VARIABLES.items()}
    sound = np.flatnonzero([not fault for fault in site_faults(problem)])
    if sound.size:
        part = problem.take(sound)
        for name, values in site_summaries(part, sampled_sites(part, seed, plan), plan).items():
            arrays[name][sound] = values
    return arrays


def soc_of_draws(x: NDArray, forcing: AnyForcing) -> NDArray[np.float64]:
    """Modelled density of draws, (n_draws, n_layers, n_sites), g C m-3, for x (n_sites, n_draws, n_parameters)."""
    configuration = configuration_of(forcing)
    low, high = bounds(forcing, configuration.parameters)
    return soc_density(low + np.moveaxis(x, 0, -1).astype(np.float64) * (high - low), forcing, configuration)


def site_summaries(problem: SiteProblem, sampled: SampledSites, plan: SitePlan) -> dict[str, NDArray]:
    """What is stored of sampled sites, by the names of `sites.zarr`."""
    draws = sampled.draws
    n_sites, n_chains, n_draws, n_parameters = draws.shape
    series = np.ascontiguousarray(np.moveaxis(draws, -1, 1))  # site, parameter, chain, draw
    n_kept = sizes_of(plan, site_coordinates(problem))["draw"]
    pick = np.linspace(0, n_draws - 1, n_kept).round().astype(int)
    kept, (own, chosen) = draws[:, :, pick], sampled.posterior(plan, problem.profile_id)
    pooled = np.ascontiguousarray(np.moveaxis(own, -1, 1)).reshape(n_sites, n_parameters, -1)
    soc = soc_of_draws(own[:, :, pick].reshape(n_sites, -1, n_parameters), problem.forcing)
    mean, low, high = soc.mean(axis=0), *np.quantile(soc, [0.05, 0.95], axis=0)
    modelled = problem.modelled(mean)
    r2, efficiency = agreement_by_site(problem.site, problem.soc, modelled, n_sites)
    return {
        "x": kept,
        "phi": sampled.phi[:, :, pick],
        "x_mean": pooled.mean(axis=-1, dtype=np.float64),
        "x_sd": pooled.std(axis=-1, ddof=1, dtype=np.float64),
        "x_mode": gev_modes(pooled),
        "rhat_gelman_rubin": gelman_rubin(series.astype(np.float64)),
        **sampled.mixing._asdict(),
        "soc_mean": mean.T,
        "soc_sd": soc.std(axis=0, ddof=1).T,
        "soc_p05": low.T,
        "soc_p95": high.T,
        "r2": r2,
        "efficiency": efficiency,
        "acceptance": sampled.acceptance,
        "steps": sampled.steps,
        "posterior_chain": chosen,
        "inert": inert_parameters(problem.forcing) & (not plan.proposal.literal),
    }


def fitted_gev(draws: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Location, scale and shape of the GEV with the first three L-moments of the sample along the last axis of `draws`.

    The shape is Hosking's k, the sign of scipy's `genextreme` (Hosking, Wallis and Wood 1985, doi
    10.1080/00401706.1985.10488049): closed expressions, so a million fits take a second.
    """
    ordered = np.sort(np.asarray(draws, dtype=np.float64), axis=-1)
    n = ordered.shape[-1]
    rank = np.arange(n, dtype=np.float64)
    b0 = ordered.mean(axis=-1)
    b1 = ordered @ (rank / (n - 1.0)) / n
    b2 = ordered @ (rank * (rank - 1.0) / ((n - 1.0) * (n - 2.0))) / n
    l1, l2, l3 = b0, 2.0 * b1 - b0, 6.0 * b2 - 6.0 * b1 + b0
    spread = np.maximum(l2, 1e-12)
    c = 2.0 / (3.0 + l3 / spread) - np.log(2.0) / np.log(3.0)
    k = 7.8590 * c + 2.9554 * c * c
    # At k = 0 the expressions have a limit (Gumbel) that floating point reaches well enough from next to it.
    k = np.where(np.abs(k) < 1e-6, 1e-6, k)
    scale = spread * k / ((1.0 - 2.0**-k) * gamma(1.0 + k))
    return l1 - scale * (1.0 - gamma(1.0 + k)) / k, scale, k


def gev_modes(draws: NDArray) -> NDArray[np.float64]:
    """Mode of the fitted GEV along the last axis of `draws` on the unit cube: the most likely value of the paper.

    It is kept within the cube. Where the shape is 1 or more the density rises to the end of its support, which is then
    the mode. On posteriors cut off by the prior, which no GEV describes well, the modes differ from those of a
    maximum-likelihood fit by some hundredths of the range.
    """
    location, scale, k = fitted_gev(draws)
    power = np.where(k < 1.0, np.maximum(1.0 - k, 0.0) ** k, 0.0)
    return np.clip(location + scale * (1.0 - power) / k, 0.0, 1.0)


STUCK_GAP = 5.0  # in Phi: a factor of 150 in posterior density between the middles of two chains
OUT_OF_REACH = 10.0  # standard deviations

# The values of `status`, from the worst to the best.
STATUS_MEANING = {
    "not sampled": "a number of its forcing or layers is missing or impossible",
    "no finite posterior": "its chains found no finite misfit, or one never moved",
    "out of reach": f"no parameters in the box come within {OUT_OF_REACH:g} standard deviations of its layers",
    "no chain accepted": "every chain accepted less than 15 % or more than 50 % of its steps: the first is kept",
    "a chain is stuck": f"the median misfits of its chains differ by more than {STUCK_GAP:g}: not the same posterior",
    "not converged": "R-hat or an effective sample size of some parameter misses its limit",
    "converged": "all parameters meet the limits",
}


def agreement_by_site(site: NDArray, observed: NDArray, modelled: NDArray, n_sites: int) -> tuple[NDArray, NDArray]:
    """Squared correlation, and model efficiency (Nash-Sutcliffe, 1 - SSE/SST), of the layers of each site, (n_sites,).

    NaN where a site's layers are all alike or there is only one. `site`, the number of a layer's site, and the
    densities are (n_layers_observed,).
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
    return np.where(alone, np.nan, r2), np.where(alone, np.nan, efficiency)


def site_status(
    sites: xr.Dataset, n_layers: NDArray, faults: Sequence[str], plan: SitePlan, empty: NDArray | float = np.inf
) -> pd.DataFrame:
    """The outcome of every site, a row each: the table of `site_status.csv`.

    A site is `used_downstream`, as in the paper, unless its model efficiency is negative (or undefined, where all its
    layers are alike). `status`, one of `STATUS_MEANING`, is about the chains, with its `reason` (`faults`, from
    `site_faults`, of a site that was not sampled). All are flagged, none is dropped.
    """
    rhat, bulk, tail = (sites[name].to_numpy() for name in ("rhat", "ess_bulk", "ess_tail"))
    worst, efficiency = rhat.max(axis=1), sites["efficiency"].to_numpy()
    phi = sites["phi"].median("draw").to_numpy()
    finite = np.isfinite(sites["soc_mean"].to_numpy()).all(axis=1) & np.isfinite(worst)
    gap, misfit = np.ptp(phi, axis=1), phi.min(axis=1)
    # An observation far above anything that the model can hold costs no more than an empty soil would.
    # With an error as large as the observation an empty soil is no bad fit: two standard deviations are in reach.
    far = misfit > np.minimum(0.5 * OUT_OF_REACH**2 * n_layers, np.maximum(0.5 * np.asarray(empty), 2.0 * n_layers))
    shares = sites["acceptance"].to_numpy()
    rejected = ((shares < ACCEPTED[0]) | (shares > ACCEPTED[1])).sum(axis=1)
    outcomes = []
    for k, fault in enumerate(faults):
        if fault:
            outcome = "not sampled", fault
        elif not finite[k]:
            outcome = "no finite posterior", "no chain found a finite misfit, or one never moved"
        elif far[k]:
            outcome = "out of reach", f"median misfit {misfit[k]:.4g} for {n_layers[k]} layers in the best chain"
        elif plan.one_chain and rejected[k] == plan.n_chains:
            outcome = (
                "no chain accepted",
                f"accepted shares of its chains from {shares[k].min():.2f} to {shares[k].max():.2f}",
            )
        elif gap[k] > STUCK_GAP:
            outcome = "a chain is stuck", f"median misfits of its chains differ by {gap[k]:.3g}"
        elif worst[k] > plan.rhat_limit:
            name = sites["parameter"].to_numpy()[rhat[k].argmax()]
            outcome = "not converged", f"R-hat of {name} is {worst[k]:.3f} (limit {plan.rhat_limit:g})"
        elif min(bulk[k].min(), tail[k].min()) < plan.ess_limit:
            ess, kind = min((bulk[k].min(), "bulk"), (tail[k].min(), "tail"))
            outcome = "not converged", f"{kind} ESS of a parameter is {ess:.0f} (limit {plan.ess_limit:g})"
        else:
            outcome = "converged", ""
        outcomes.append(outcome)
    status, reason = zip(*outcomes, strict=True)
    return pd.DataFrame(
        {
            "profile_id": sites["profile_id"].to_numpy(),
            "site": np.arange(sites.sizes["site"]),
            "status": status,
            "reason": reason,
            "n_layers": n_layers,
            "r2": sites["r2"].to_numpy(),
            "efficiency": efficiency,
            "rhat_gelman_rubin_max": sites["rhat_gelman_rubin"].max("parameter").to_numpy(),
            "rhat_max": worst,
            "ess_bulk_min": bulk.min(axis=1),
            "ess_tail_min": tail.min(axis=1),
            "misfit": misfit,
            "steps": sites["steps"].to_numpy(),
            "acceptance": shares.mean(axis=1),
            "chains_outside_window": rejected,
            "used_downstream": finite & (efficiency >= 0.0),
        }
    )


def status_counts(status: pd.DataFrame) -> pd.DataFrame:
    """Sites by `status`, the worst first: `sites`, `used downstream`, its `meaning`, and a reason `for example`."""
    rows = {}
    for name, meaning in STATUS_MEANING.items():
        here = status[status["status"] == name]
        if len(here):
            used, example = int(here["used_downstream"].sum()), here["reason"].iloc[0]
            rows[name] = {"sites": len(here), "used downstream": used, "meaning": meaning, "for example": example}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("status")
