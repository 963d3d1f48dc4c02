"""Tasks in parallel: the same results on a Dask cluster as here, in order, and done again where a worker dies."""

import os
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import distributed
import numpy as np
import pytest
from small_tasks import failing, scaled
from synthetic_study import small_results
from test_learning_cross_validation import CONFIG, compared
from test_maps_fine_grid import Responding, fine_source

from proda.errors import InputError
from proda.learning.cross_validation import boosted_carbon, hybrid_carbon, paper_carbon
from proda.learning.encoding import Encoding
from proda.learning.hybrid import parameter_networks
from proda.learning.paper_network import Predictor
from proda.maps.fine_grid import NetworkDraws, fine_maps
from proda.maps.prediction import maps_by_method
from proda.maps.projections import soc_responses, standard_pathways
from proda.workers import SCHEDULER, cluster_client, in_parallel


@pytest.fixture
def here_and_there(cluster, monkeypatch):
    """What a function gives on this machine and on the cluster."""

    def both(function):
        here = function()
        with monkeypatch.context() as patch:
            patch.setenv(SCHEDULER, cluster.scheduler_address)
            return here, function()

    return both


@pytest.mark.slow
def test_folds_on_a_cluster_give_the_same_to_the_last_bit(here_and_there):
    methods = {"hybrid": hybrid_carbon, "network of the paper": paper_carbon, "boosted trees": boosted_carbon}
    config = CONFIG._replace(n_folds=2, repeats=range(1))
    here, there = here_and_there(lambda: compared(60, methods, config=config))
    assert here.identical(there) and np.isfinite(here["soc"]).all()


def test_maps_of_draws_on_a_cluster_are_the_same_to_the_last_bit(here_and_there):
    here, there = here_and_there(lambda: maps_by_method(small_results().inputs, 50, seed=3))
    assert here.identical(there)


def test_projections_on_a_cluster_are_the_same_to_the_last_bit(here_and_there, monkeypatch):
    monkeypatch.setattr("proda.maps.projections.CHUNK", 100)
    pathways = {"+3 K": standard_pathways(0.2, last_year=2030)["+3 K"]}
    here, there = here_and_there(lambda: soc_responses(small_results().inputs, pathways, 10, seed=1))
    assert here.total.identical(there.total) and here.change.identical(there.change)
    assert here.imbalance == there.imbalance


def network_draws() -> NetworkDraws:
    """Three members, untrained, for the covariates of `fine_source`."""
    frame = fine_source(150, gaps=False)[["wet", "warm"]].to_dataframe()[["wet", "warm"]]
    encoding = Encoding.of(frame)
    return NetworkDraws(Predictor(parameter_networks(encoding.shape, 3, seed=1, n_parameters=25), encoding))


def test_networks_can_be_sent_to_another_worker_while_they_predict():
    draws, places = network_draws(), fine_source(150, gaps=False)[["wet", "warm"]].to_dataframe()[["wet", "warm"]]
    with ThreadPoolExecutor(1) as pool:
        predicting = pool.submit(lambda: [draws(places, None) for _ in range(20)])
        while not predicting.done():
            again = pickle.loads(pickle.dumps(draws))
    np.testing.assert_array_equal(again(places, None).x, predicting.result()[0].x)


@pytest.mark.parametrize("predictor", [Responding(12), "networks"])
@pytest.mark.parametrize("source", ["file", "memory"])
def test_fine_maps_on_a_cluster_are_the_same_to_the_last_bit(here_and_there, source, predictor, tmp_path):
    made = fine_source(150)
    made.to_netcdf(tmp_path / "source.nc")
    given = tmp_path / "source.nc" if source == "file" else made
    draws = network_draws() if predictor == "networks" else predictor

    def maps():
        store = tmp_path / f"maps-{len(list(tmp_path.iterdir()))}.zarr"
        return fine_maps(given, draws, store, chunk=40).load()

    here, there = here_and_there(maps)
    assert here.drop_attrs().identical(there.drop_attrs()) and int((here["status"] == 0).sum()) == 147


def test_the_task_of_a_worker_that_dies_is_done_by_another(cluster, monkeypatch, tmp_path):
    monkeypatch.setenv(SCHEDULER, cluster.scheduler_address)
    with in_parallel(scaled, range(12), np.arange(1e6), tmp_path, {3, 4}) as done:
        assert list(done) == [job * np.arange(1e6).sum() for job in range(12)]
    workers = {job: (tmp_path / f"{job}").read_text().split() for job in range(12)}
    assert len(set(workers[3])) > 1 and len(set(workers[4])) > 1
    assert str(os.getpid()) not in np.concatenate(list(workers.values()))


@pytest.mark.parametrize("processes", [False, True])
def test_here_results_come_in_order_and_few_jobs_are_begun_before_the_first_is_taken(processes, tmp_path):
    begun = []

    def jobs():
        for job in range(30):
            begun.append(job)
            yield job

    with in_parallel(scaled, jobs(), np.ones(2), tmp_path, set(), n=2, processes=processes) as done:
        assert next(done) == 0.0 and len(begun) == 8
        assert list(done) == [2.0 * job for job in range(1, 30)]


def test_after_an_error_no_further_task_is_begun(tmp_path):
    with pytest.raises(ValueError, match="of job 2"), in_parallel(failing, range(1000), tmp_path, n=1) as done:
        list(done)
    assert len(list(tmp_path.iterdir())) <= 8
    with suppress(InterruptedError), in_parallel(failing, range(10, 1000), tmp_path, n=1) as done:
        raise InterruptedError
    assert len(list(tmp_path.iterdir())) <= 8


def test_a_scheduler_that_does_not_answer_is_an_error_that_says_what_to_do(tmp_path, monkeypatch):
    class Impatient(distributed.Client):
        def __init__(self, address, **given):
            super().__init__(address, **{**given, "timeout": 1})

    monkeypatch.setattr(distributed, "Client", Impatient)
    with pytest.raises(InputError, match="no Dask scheduler answers at tcp://127.0.0.1:9: .*leave --scheduler out"):
        cluster_client("tcp://127.0.0.1:9")
    with pytest.raises(ValueError, match="No client"):
        distributed.default_client()
    with pytest.raises(InputError, match="no Dask scheduler answers at .*nowhere.json: .*No such file"):
        cluster_client(str(tmp_path / "nowhere.json"))
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"is not installed: pip install 'proda\[cluster\]'"):
        cluster_client("tcp://127.0.0.1:8786")
