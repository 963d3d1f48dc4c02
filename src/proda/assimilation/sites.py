"""Site-by-site assimilation: chains for each profile, and what is kept of them (Tao et al. 2020, section 2.3).

The result of a batch of sites depends on these alone, so neither where nor in which order it runs matters
(`proda.workers`).
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import xarray as xr
from numpy.typing import NDArray

from proda.assimilation.chains import SitePlan, SiteProblem
from proda.assimilation.store import SiteStore, batch_arrays, opened_sites, site_coordinates
from proda.workers import in_parallel

SITES_PER_BATCH = 128


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
