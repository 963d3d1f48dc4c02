"""Site-by-site assimilation: a site's result is its own, here and on a Dask cluster, and recovers its profile."""

import json
import os
import signal

import distributed
import numpy as np
import pytest
from made_sites import DEPTH, SHORT, few_sites, made_problem, posteriors_in, store_bytes, true_columns

from proda.assimilation import sites as site_by_site
from proda.assimilation.chains import SitePlan, site_faults
from proda.assimilation.store import agreement_by_site, site_status
from proda.errors import ProdaError
from proda.kernels import steady_state as kernels
from proda.kernels.metropolis import Schedule
from proda.model.configuration import CONFIGURATIONS
from proda.model.observation import at_depths
from proda.model.parameters import unit_cube
from proda.workers import SCHEDULER

N_SITES = 40
PLAN = SitePlan(Schedule(2000, 3000, 6000, 20), n_kept=60)


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def configuration(request):
    return CONFIGURATIONS[request.param]


@pytest.fixture(scope="module")
def truth(configuration):
    """Parameters, physical, and the forcing of sites whose profiles are the model's own."""
    return true_columns(configuration, N_SITES)


@pytest.fixture(scope="module")
def problem(truth):
    return made_problem(*truth)


@pytest.fixture(scope="module")
def sites(problem, tmp_path_factory):
    places = {"lon": np.linspace(-120, -70, N_SITES), "lat": np.linspace(25, 50, N_SITES)}
    return posteriors_in(tmp_path_factory.mktemp("sites"), problem, PLAN, places=places).load()


def test_every_site_has_its_draws_its_summaries_and_its_place(configuration, sites):
    of_model = {"parameter": len(configuration.parameters), "layer": configuration.column.n_layers}
    assert dict(sites.sizes) == {"site": N_SITES, "chain": 3, "draw": 20} | of_model
    assert float(sites["x"].min()) >= 0.0 and float(sites["x"].max()) <= 1.0
    assert all(np.isfinite(sites[name]).all() for name in sites.data_vars)
    assert sites["profile_id"].values.tolist() == [f"P{k}" for k in range(N_SITES)]
    assert tuple(sites["parameter"].values) == configuration.parameters.names
    assert sites["lon"].attrs["units"] == "degrees_east" and float(sites["lat"][-1]) == 50.0


def test_the_result_does_not_depend_on_workers_batches_or_the_sites_beside(problem, sites, tmp_path, monkeypatch):
    monkeypatch.setattr(site_by_site, "SITES_PER_BATCH", 3)
    done = []
    some = posteriors_in(tmp_path, problem.part(4, 13), PLAN, n_workers=2, report=done.append)
    assert sum(done) == 9 and len(done) == 3
    for name in sites.data_vars:
        np.testing.assert_array_equal(some[name], sites[name].isel(site=slice(4, 13)), err_msg=name)


def test_the_observed_profile_is_recovered(configuration, problem, sites, truth):
    assert float(sites["efficiency"].quantile(0.1)) > 0.8 and float(sites["efficiency"].median()) > 0.95
    modelled = at_depths(sites["soc_mean"].values.T, problem.site, problem.depth, configuration.column)
    fit = agreement_by_site(problem.site, problem.soc, modelled, N_SITES)
    np.testing.assert_allclose(sites["efficiency"], fit[1], rtol=1e-12)
    inside = (sites["soc_p05"] <= sites["soc_mean"]) & (sites["soc_mean"] <= sites["soc_p95"])
    assert float(inside[:, configuration.column.node < 1.8].mean()) > 0.99
    upper = configuration.column.node < 1.2
    ratio = sites["soc_mean"].values.T[upper] / kernels.soc_density(*truth, configuration)[upper]
    assert np.abs(np.log(ratio)).mean() < 0.2


def test_the_well_identified_parameters_are_recovered_and_the_others_stay_wide(configuration, sites, truth):
    x, mean = unit_cube(*truth, configuration.parameters), sites["x_mean"]
    width = (sites["x_sd"] * np.sqrt(12.0)).mean("site").to_series()
    assert width["efolding"] < 0.8 and width["tau4cwd"] > 0.95 and width["fs3s1"] > 0.95
    for name, least in (("efolding", 0.5), ("tau4s2", 0.4)):
        assert np.corrcoef(mean.sel(parameter=name), x[configuration.parameters.index(name)])[0, 1] > least


def test_faulty_sites_have_their_row_and_leave_the_bits_of_the_others(problem, sites, tmp_path):
    """Without a number, without layers, far too little carbon and far too much: flagged, and no other site notices."""
    part = problem.part(0, 12)
    soc, sd = part.soc.copy(), part.sd.copy()
    soc[2 * DEPTH.size] = np.nan
    for site, factor in ((7, 1e-7), (9, 1e20)):
        rows = slice(site * DEPTH.size, (site + 1) * DEPTH.size)
        soc[rows] *= factor
        sd[rows] *= factor
    spoilt = part._replace(soc=soc, sd=sd).layers(part.site != 4)
    result = posteriors_in(tmp_path, spoilt, PLAN)
    n_layers = np.bincount(spoilt.site, minlength=12)
    loose = PLAN._replace(rhat_limit=9.0, ess_limit=0.0)
    table = site_status(result, n_layers, site_faults(spoilt), loose, spoilt.forms()[-1])
    assert table["profile_id"].tolist() == part.profile_id
    faulty = {2: "not sampled", 4: "not sampled", 7: "out of reach", 9: "out of reach"}
    assert {k: table.loc[k, "status"] for k in faulty} == faulty
    assert table.loc[[2, 4], "reason"].tolist() == ["soc of observed layer 1 is nan", "it has no observed layer"]
    assert table.loc[[7, 9], "reason"].str.startswith("median misfit").all()
    assert not table.loc[[2, 4, 9], "used_downstream"].any()
    others = np.setdiff1d(np.arange(12), list(faulty))
    for name in sites.data_vars:
        np.testing.assert_array_equal(result[name].values[others], sites[name].values[others], err_msg=name)
        assert np.isnan(result[name].values[[2, 4]]).all()


@pytest.mark.slow
def test_a_worker_killed_during_the_run_costs_its_batch_and_the_result_is_the_local_one(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(site_by_site, "SITES_PER_BATCH", 4)
    # Long enough for a worker to be killed while most batches are still waiting.
    plan, few = SHORT._replace(schedule=Schedule(1000, 1000, 10_000, 100)), few_sites(48)
    posteriors_in(tmp_path / "here", few, plan)
    address, done = cluster.scheduler_address, []
    monkeypatch.setenv(SCHEDULER, address)
    with distributed.Client(address) as client:
        before = client.run(os.getpid)

    def report(n_sites: int) -> None:
        done.append(n_sites)
        if len(done) == 1:
            os.kill(list(before.values())[0], signal.SIGKILL)

    posteriors_in(tmp_path / "there", few, plan, report=report)
    assert sum(done) == 48 and len(done) == 12
    assert store_bytes(tmp_path / "there") == store_bytes(tmp_path / "here")
    with distributed.Client(address) as client:
        assert set(client.run(os.getpid).values()) != set(before.values()), "no worker was killed"


def test_a_run_that_was_begun_here_goes_on_there_where_the_scheduler_is_named_by_its_file(
    cluster, tmp_path, monkeypatch
):
    monkeypatch.setattr(site_by_site, "SITES_PER_BATCH", 4)
    few = few_sites(12)
    posteriors_in(tmp_path / "here", few)

    def stop(n_sites: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        posteriors_in(tmp_path / "there", few, report=stop)
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"type": "Scheduler", "address": cluster.scheduler_address}))
    monkeypatch.setenv(SCHEDULER, str(file))
    posteriors_in(tmp_path / "there", few)
    assert store_bytes(tmp_path / "there") == store_bytes(tmp_path / "here")


def test_an_error_of_a_worker_arrives(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(site_by_site.SiteStore, "create", lambda *given: None)
    monkeypatch.setenv(SCHEDULER, cluster.scheduler_address)
    with pytest.raises(ProdaError, match="sites.zarr cannot be written"):
        posteriors_in(tmp_path, few_sites(2))
