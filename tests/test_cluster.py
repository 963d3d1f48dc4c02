"""Site batches as tasks of a Dask cluster: the same result, also when a worker dies, and clear words without one."""

import json
import os
import signal
import sys

import dask.base
import distributed
import pytest
from made_sites import SHORT, few_sites, posteriors_in, store_bytes

from proda.assimilation import sites as site_by_site
from proda.assimilation.sites import cluster_client, cluster_results
from proda.assimilation.stage import SCHEDULER
from proda.errors import InputError, ProdaError
from proda.kernels.metropolis import Schedule
from proda.run.run import _scheduler_known

N_SITES, BATCH = 60, 4
# Long enough for a worker to be killed while most batches are still waiting.
PLAN = SHORT._replace(schedule=Schedule(2000, 3000, 20_000, 100))


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes, each with a nanny that starts another when it dies."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs="CRITICAL"
    ) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(site_by_site, "SITES_PER_BATCH", BATCH)


def process_ids(cluster) -> dict[str, int]:
    """Of the workers, by their addresses."""
    with distributed.Client(cluster.scheduler_address) as client:
        return client.run(os.getpid)


@pytest.mark.slow
def test_a_worker_killed_during_the_run_costs_its_batch_and_the_result_is_the_local_one(cluster, tmp_path):
    problem = few_sites(N_SITES)
    posteriors_in(tmp_path / "here", problem, PLAN)
    before, done = process_ids(cluster), []

    def report(n_sites: int) -> None:
        done.append(n_sites)
        if len(done) == 1:
            os.kill(list(before.values())[0], signal.SIGKILL)

    address = cluster.scheduler_address
    there = posteriors_in(tmp_path / "there", problem, PLAN, scheduler=address, report=report)
    assert sum(done) == N_SITES and len(done) == N_SITES // BATCH
    assert store_bytes(tmp_path / "there") == store_bytes(tmp_path / "here")
    assert there["x"].notnull().all()
    assert set(process_ids(cluster).values()) != set(before.values()), "no worker was killed"


def test_a_run_that_was_begun_here_goes_on_there(cluster, tmp_path):
    problem = few_sites(12)
    posteriors_in(tmp_path / "here", problem)

    class Stopped(Exception):
        pass

    def stop(n_sites: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        posteriors_in(tmp_path / "there", problem, report=stop)
    posteriors_in(tmp_path / "there", problem, scheduler=cluster.scheduler_address)
    assert store_bytes(tmp_path / "there") == store_bytes(tmp_path / "here")


def test_a_scheduler_may_be_named_by_its_file(cluster, tmp_path):
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"type": "Scheduler", "address": cluster.scheduler_address}))
    assert sorted(cluster_results(str(file), [(pow, 2, 3), (pow, 3, 2)])) == [8, 9]


def test_a_disk_that_refuses_a_worker_is_told(cluster, tmp_path):
    """The folder is gone from where the workers look for it."""
    job = site_by_site.sampled_batch, few_sites(2), 7, SHORT, site_by_site.SiteStore(tmp_path / "gone", tmp_path), 0
    with pytest.raises(ProdaError, match="sites.zarr cannot be written"):
        list(cluster_results(cluster.scheduler_address, [job]))


@pytest.fixture
def impatient(monkeypatch):
    class Impatient(distributed.Client):
        def __init__(self, **given):
            super().__init__(**{**given, "timeout": 1})

    monkeypatch.setattr(distributed, "Client", Impatient)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "127.0.0.1:9", "nonsense://here"])
def test_an_address_without_a_scheduler_is_told_before_anything_is_sampled(impatient, tmp_path, address):
    problem = few_sites(2)
    with pytest.raises(InputError, match=f"no Dask scheduler answers at {address}: .*leave --scheduler out"):
        posteriors_in(tmp_path, problem, scheduler=address)
    # Nothing is lost by going on without one, and nothing else is sent there.
    posteriors_in(tmp_path, problem)
    assert dask.base.get_scheduler() is None
    with pytest.raises(ValueError, match="No client"):
        distributed.default_client()


def test_a_scheduler_file_that_does_not_exist_is_told_and_not_waited_for(tmp_path):
    with pytest.raises(InputError, match="nowhere.json does not exist: start the scheduler"):
        cluster_client(str(tmp_path / "nowhere.json"))


def test_without_distributed_the_command_that_installs_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(
        InputError, match=r"needs dask.distributed, which is not installed: pip install 'proda\[cluster\]'"
    ):
        posteriors_in(tmp_path, few_sites(2), scheduler="tcp://127.0.0.1:8786")
    posteriors_in(tmp_path, few_sites(2))


def test_the_notebooks_of_a_run_know_the_scheduler_and_nobody_after_it(monkeypatch):
    monkeypatch.delenv(SCHEDULER, raising=False)
    with _scheduler_known("tcp://there:8786"):
        assert os.environ[SCHEDULER] == "tcp://there:8786"
    assert SCHEDULER not in os.environ
    monkeypatch.setenv(SCHEDULER, "tcp://elsewhere:1")
    with _scheduler_known("tcp://there:8786"):
        assert os.environ[SCHEDULER] == "tcp://there:8786"
    assert os.environ[SCHEDULER] == "tcp://elsewhere:1"
    with _scheduler_known(""):
        assert os.environ[SCHEDULER] == "tcp://elsewhere:1"
