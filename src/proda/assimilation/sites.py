"""Site-by-site assimilation: chains for each profile, and what is kept of them (Tao et al. 2020, section 2.3).

Sites are sampled batch by batch, on all cores of this machine or on the workers of an existing Dask cluster. The result
of a batch depends on its sites alone, so neither where nor in which order it runs matters.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import xarray as xr
from numpy.typing import NDArray

from proda.assimilation.chains import SitePlan
from proda.assimilation.problem import SiteProblem
from proda.assimilation.store import SiteStore, batch_arrays, opened_sites, site_coordinates
from proda.errors import InputError, ProdaError

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
        Called with the number of sites just finished.

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
    jobs = ((sampled_batch, problem.part(*batch), seed, plan, store, batch[0]) for batch in waiting)
    if scheduler:
        results = cluster_results(scheduler, jobs)
    else:
        results = _thread_results(jobs, n_workers)
    for n_sites in results:
        report(n_sites)
    store.drop_leftovers()
    return opened_sites(store.path)


def sampled_batch(part: SiteProblem, seed: int, plan: SitePlan, store: SiteStore, first: int) -> int:
    """Sample one batch and write it to its place, site `first` and the following; the number of sites."""
    store.write(first, batch_arrays(part, seed, plan))
    return part.n_sites


def _thread_results(jobs: Iterable[tuple[Any, ...]], n_workers: int) -> Iterator[Any]:
    """Run `jobs`, each a function and its arguments, on threads; their results as they come."""
    with ThreadPoolExecutor(n_workers) as pool:
        futures = [pool.submit(*job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def cluster_client(address: str) -> Any:
    """A client of the scheduler at `address`, to be closed.

    It does not become the default of the process, so what else is computed and written here stays here.

    Raises
    ------
    InputError
        When dask.distributed is not installed or no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(
            "--scheduler needs dask.distributed, which is not installed: pip install 'proda[cluster]', here and on the "
            "workers, or leave --scheduler out to use the cores of this machine"
        ) from error
    where = {"scheduler_file": address} if address.endswith(".json") else {"address": address}
    if "scheduler_file" in where and not Path(address).is_file():  # the client would wait for it for ever
        raise InputError(
            f"the scheduler file {address} does not exist: start the scheduler (dask scheduler --scheduler-file), or "
            "leave --scheduler out"
        )
    try:
        return Client(**where, timeout=20, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address}: {error}. Start one (dask scheduler) with workers that see the "
            "study folder, or leave --scheduler out"
        ) from error


def cluster_results(address: str, jobs: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    """Run `jobs`, each a function and its arguments, on a cluster; their results as they come.

    A worker that dies costs the task it was at: the scheduler gives it to another.

    Parameters
    ----------
    address : str
        Of the scheduler, such as "tcp://10.0.0.1:8786", or the path of a scheduler file (`--scheduler-file`).

    Raises
    ------
    InputError
        As `cluster_client`.
    ProdaError
        When a task fails, or loses its worker again and again.
    """
    with cluster_client(address) as client:
        from distributed import KilledWorker, as_completed

        futures = [client.submit(*job, pure=False) for job in jobs]
        try:
            for future in as_completed(futures, loop=client.loop):
                yield future.result()
        except KilledWorker as error:
            raise ProdaError(
                f"a task lost its worker again and again: {error}. The workers' logs give the reason (often memory); "
                "run the same command again to go on with the batches that are missing"
            ) from error
        finally:
            client.cancel(futures)
