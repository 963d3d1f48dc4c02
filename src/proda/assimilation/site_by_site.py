"""Site-by-site assimilation: three chains for each profile, and what is kept of them (Tao et al. 2020, section 2.3).

Chains of many sites run side by side in lanes, batch by batch, on all cores of this machine or on the workers of a Dask
cluster. What a batch yields depends on its sites alone, so neither where nor in which order it runs matters.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

import xarray as xr
from numpy.typing import NDArray

from proda.assimilation.cluster import cluster_results
from proda.assimilation.schedules import SitePlan
from proda.assimilation.site_dataset import opened_sites, site_coordinates
from proda.assimilation.site_problem import SiteProblem
from proda.assimilation.site_store import SiteStore
from proda.assimilation.site_summaries import batch_arrays

SITES_PER_BATCH = 128


def site_posteriors(
    problem: SiteProblem,
    seed: int,
    plan: SitePlan,
    folder: Path,
    checkpoints: Path,
    places: Mapping[str, NDArray] | None = None,
    n_workers: int = 2,
    scheduler: str = "",
    report: Callable[[int], None] = lambda n_sites: None,
) -> xr.Dataset:
    """Sample all sites into `sites.zarr` and open it.

    Called again with the same arguments after any interruption it goes on where it was, and ends with the same bytes.

    Parameters
    ----------
    seed : int
        The study's.
    folder, checkpoints : Path
        Where the store and the marks of finished batches go (`SiteStore`).
    places : mapping, optional
        `lon` and `lat` of the sites, degrees.
    scheduler : str
        Address of a Dask scheduler; empty for the cores of this machine. Workers must see `folder` at the same path.
    report : callable
        Told the number of sites just finished.

    Raises
    ------
    ProdaError
        When the disk is full or may not be written.
    """
    store = SiteStore(folder, checkpoints)
    store.create(site_coordinates(problem.profile_id, places), plan, SITES_PER_BATCH)
    waiting = []
    for first in range(0, problem.n_sites, SITES_PER_BATCH):
        last = min(first + SITES_PER_BATCH, problem.n_sites)
        if store.finished(first, last):
            report(last - first)
        else:
            waiting.append((first, last))
    if scheduler:
        jobs = ((sampled_batch, problem.part(*batch), seed, plan, store, batch[0]) for batch in waiting)
        results = cluster_results(scheduler, jobs)
    else:
        results = _thread_results(problem, seed, plan, store, waiting, n_workers)
    for n_sites in results:
        report(n_sites)
    store.drop_leftovers()
    return opened_sites(store.path)


def sampled_batch(part: SiteProblem, seed: int, plan: SitePlan, store: SiteStore, first: int) -> int:
    """Sample one batch and write it to its place, site `first` and the following; the number of sites."""
    store.write(first, batch_arrays(part, seed, plan))
    return part.n_sites


def _thread_results(
    problem: SiteProblem, seed: int, plan: SitePlan, store: SiteStore, batches: list[tuple[int, int]], n_workers: int
) -> Iterator[int]:
    def job(batch: tuple[int, int]) -> int:
        return sampled_batch(problem.part(*batch), seed, plan, store, batch[0])

    with ThreadPoolExecutor(n_workers) as pool:
        futures: list[Future[int]] = [pool.submit(job, batch) for batch in batches]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
