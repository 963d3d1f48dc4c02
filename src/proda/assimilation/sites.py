"""Site-by-site assimilation: chains for each profile, and what is kept of them (Tao et al. 2020, section 2.3).

Batches of sites are sampled on all cores of this machine or on the workers of an existing Dask cluster. The result of a
batch depends on its sites alone, so neither where nor in which order it runs matters.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr
from numpy.typing import NDArray

from proda.assimilation.chains import SitePlan, SiteProblem
from proda.assimilation.store import SiteStore, batch_arrays, opened_sites, site_coordinates
from proda.errors import InputError

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
    `folder` and `checkpoints` take the store and the marks of finished batches; `places` are `lon` and `lat` of the
    sites, degrees. `scheduler` is the address of a Dask scheduler, whose workers must see `folder` at the same path, or
    empty for the cores of this machine. `report` is called with the number of sites just finished. A ProdaError when
    the disk is full or may not be written.
    """
    store = SiteStore(folder, checkpoints)
    store.create(site_coordinates(problem, places), plan, SITES_PER_BATCH)
    waiting = {}
    for first in range(0, problem.n_sites, SITES_PER_BATCH):
        part = problem.part(first, first + SITES_PER_BATCH)
        if store.finished(first):
            report(part.n_sites)
        else:
            waiting[first] = part
    with _workers(n_workers, scheduler) as pool:
        futures = [pool.submit(sampled_batch, part, seed, plan, store, first) for first, part in waiting.items()]
        try:
            for future in as_completed(futures):
                report(future.result())
        finally:
            for future in futures:
                future.cancel()
    store.finish()
    return opened_sites(store.path)


def sampled_batch(part: SiteProblem, seed: int, plan: SitePlan, store: SiteStore, first: int) -> int:
    """Sample one batch and write it to its place, site `first` and the following; the number of sites."""
    store.write(first, batch_arrays(part, seed, plan))
    return part.n_sites


@contextmanager
def _workers(n_workers: int, scheduler: str) -> Iterator[Executor]:
    """Threads, or the workers of a cluster: it gives the batch of a worker that dies to another."""
    if not scheduler:
        with ThreadPoolExecutor(n_workers) as pool:
            yield pool
    else:
        with cluster_client(scheduler) as client, client.get_executor(pure=False) as pool:
            yield pool


def cluster_client(address: str) -> Any:
    """A client of the Dask scheduler at `address` (such as "tcp://10.0.0.1:8786"), or of a scheduler file; close it.

    It does not become the default of the process, so what else is computed and written here stays here. An InputError
    when dask.distributed is not installed or no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(
            "--scheduler needs dask.distributed, which is not installed: pip install 'proda[cluster]', here and on the "
            "workers, or leave --scheduler out to use the cores of this machine"
        ) from error
    try:
        where = json.loads(Path(address).read_text())["address"] if address.endswith(".json") else address
        return Client(where, timeout=20, set_as_default=False)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address}: {error}. Start one (dask scheduler) with workers that see the "
            "study folder, or leave --scheduler out"
        ) from error
