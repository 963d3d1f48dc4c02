"""Tasks on the workers of an existing Dask cluster. Nothing else in the package needs Dask."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from proda.errors import InputError, ProdaError


def cluster_client(address: str) -> Any:
    """A client of the scheduler at `address`, to be closed.

    It does not become the default of the process: what else is computed and written here stays here, also when no
    scheduler answers (a client that failed to start would otherwise be asked for the lock of every file).

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
                f"a task lost its worker again and again: {error}. The workers' logs say why (often memory); run the "
                "same command again to go on with the batches that are missing"
            ) from error
        finally:
            client.cancel(futures)
