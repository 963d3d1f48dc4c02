"""Site-by-site assimilation: `sites.zarr` has the same bytes whatever happens on the way, here and on a Dask cluster;
modes, agreement and outcome of every site; observed profiles are recovered.
"""

import errno
import itertools
import json
import os
import shutil
import signal
import warnings

import distributed
import numpy as np
import pytest
import xarray as xr
import zarr
from made_sites import DEPTH, SHORT, few_sites, made_problem, posteriors_in, store_bytes, true_columns
from scipy import stats

from proda.assimilation import store as site_by_site
from proda.assimilation.chains import SitePlan, site_faults
from proda.assimilation.store import (
    STATUS_MEANING,
    SiteStore,
    agreement_by_site,
    batch_arrays,
    fitted_gev,
    gev_modes,
    opened_sites,
    site_coordinates,
    site_status,
    status_counts,
)
from proda.errors import ProdaError
from proda.kernels import steady_state as kernels
from proda.kernels.metropolis import Schedule
from proda.model.configuration import CONFIGURATIONS
from proda.model.observation import at_depths
from proda.model.parameters import unit_cube
from proda.workers import SCHEDULER

N_SITES, BATCH = 20, 6


@pytest.fixture(scope="module")
def problem():
    return few_sites(N_SITES)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(site_by_site, "SITES_PER_BATCH", BATCH)


@pytest.fixture(scope="module")
def undisturbed(problem, tmp_path_factory):
    """Folder of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site_by_site, "SITES_PER_BATCH", BATCH)
        posteriors_in(folder, problem)
    return folder


@pytest.fixture
def expected(undisturbed):
    return store_bytes(undisturbed)


@pytest.fixture
def sampled(monkeypatch, small_batches):
    """The first sites of the batches that are sampled from here on."""
    batches, sample = [], site_by_site.sampled_batch

    def watched(batch, seed, plan, store):
        batches.append(batch[0])
        return sample(batch, seed, plan, store)

    monkeypatch.setattr(site_by_site, "sampled_batch", watched)
    return batches


@pytest.mark.parametrize("order", [[18, 0, 12, 6], [12, 6, 18, 0]], ids=str)
def test_batches_may_be_written_in_any_order(problem, expected, tmp_path, order):
    store = SiteStore(tmp_path, tmp_path / "checkpoints")
    store.create(site_coordinates(problem), SHORT, BATCH)
    for first in order:
        store.write(first, batch_arrays(problem.part(first, first + BATCH), 7, SHORT))
    store.finish()
    assert store_bytes(tmp_path) == expected


def test_the_store_needs_no_hard_links_and_opens_silently(problem, expected, tmp_path, monkeypatch, small_batches):
    def refused(*given, **how):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    posteriors_in(tmp_path, problem)
    assert store_bytes(tmp_path) == expected
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert xr.open_zarr(tmp_path / "sites.zarr")["x"].shape[0] == problem.n_sites


def test_only_a_batch_whose_writer_was_killed_is_sampled_again(problem, undisturbed, expected, tmp_path, sampled):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    next((tmp_path / "checkpoints").rglob(f"from-*{BATCH}")).unlink()
    # Zarr writes a chunk beside its place first; a kill in that moment leaves it there.
    chunk = tmp_path / "sites.zarr" / "x" / "c" / "1" / "0" / "0" / "0"
    chunk.with_suffix(".0123456789abcdef.partial").write_bytes(b"half a ch")
    chunk.unlink()
    posteriors_in(tmp_path, problem)
    assert sampled == [BATCH] and store_bytes(tmp_path) == expected


def test_the_run_goes_on_when_a_full_disk_has_room_again(problem, expected, tmp_path, monkeypatch, sampled):
    written, write = itertools.count(), zarr.Array.__setitem__

    def refusing(array, place, values):
        if next(written) >= 30:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(array, place, values)

    with monkeypatch.context() as disk:
        disk.setattr(zarr.Array, "__setitem__", refusing)
        message = r"sites.zarr cannot be written: No space left on device\. Make room .*run the same command again"
        with pytest.raises(ProdaError, match=message):
            posteriors_in(tmp_path, problem, n_workers=3)
    marked = [int(path.name.split("-")[1]) for path in (tmp_path / "checkpoints").rglob("from-*")]
    sampled.clear()
    posteriors_in(tmp_path, problem)
    assert len(marked) < 4 and sorted([*sampled, *marked]) == [0, 6, 12, 18]
    assert store_bytes(tmp_path) == expected


def test_the_dataset_is_read_as_far_as_it_is_asked_for_and_has_units(undisturbed):
    with opened_sites(undisturbed / "sites.zarr") as sites:
        assert not any(variable.variable._in_memory for variable in sites.data_vars.values())
        assert all({"long_name", "units"} <= set(sites[name].attrs) for name in sites.data_vars)
        assert sites["x"].dtype == sites["phi"].dtype == np.float32
        assert all(sites[name].dtype == np.float64 for name in sites.data_vars if name not in ("x", "phi"))
        worst = sites["parameter"].to_numpy()[sites["rhat"].to_numpy().argmax(axis=1)]
        np.testing.assert_array_equal(sites["rhat"].idxmax("parameter"), worst)


@pytest.mark.parametrize("k", [-0.3, -0.1, 0.0, 0.1, 0.3, 0.6])
def test_location_scale_shape_and_mode_of_scipys_distribution_are_recovered(k):
    draws = stats.genextreme.rvs(k, 0.5, 0.05, size=(20, 5000), random_state=np.random.default_rng(3))
    x = np.linspace(0.3, 0.7, 80_001)
    mode = x[stats.genextreme.pdf(x, k, 0.5, 0.05).argmax()]
    modes = gev_modes(draws)
    assert np.abs(modes - mode).max() < 0.12 * 0.05 and abs(modes.mean() - mode) < 0.02 * 0.05
    location, scale, shape = fitted_gev(draws.ravel())
    assert (location, scale) == pytest.approx((0.5, 0.05), abs=0.001) and shape == pytest.approx(k, abs=0.015)


def test_many_series_are_fitted_as_each_alone_and_modes_stay_within_the_prior(rng):
    draws = np.stack([rng.beta(0.3, 3.0, 2000), rng.beta(3.0, 0.3, 2000), rng.random(2000), np.full(2000, 0.3)])
    together = gev_modes(draws[:, None])
    assert together.shape == (4, 1)
    np.testing.assert_allclose(together[2, 0], gev_modes(draws[2]), rtol=1e-12)
    assert ((together >= 0.0) & (together <= 1.0)).all() and together[1, 0] > 0.9
    assert together[3, 0] == pytest.approx(0.3, abs=1e-9), "a series that never moved"


def test_agreement_is_worked_out_site_by_site():
    site = np.array([0, 1, 0, 1, 0])
    observed, modelled = np.array([1.0, 2.0, 2.0, 4.0, 3.0]), np.array([2.0, 4.0, 2.0, 2.0, 5.0])
    r2, efficiency = agreement_by_site(site, observed, modelled, 2)
    # Site 0: observed 1 2 3, modelled 2 2 5: SSE = 1 + 0 + 4, SST = 2; r = 3 / sqrt(2 x 6).
    # Site 1: observed 2 4, modelled 4 2: SSE = 8, SST = 2; r = -1.
    np.testing.assert_allclose(efficiency, [1.0 - 5.0 / 2.0, 1.0 - 8.0 / 2.0])
    np.testing.assert_allclose(r2, [9.0 / 12.0, 1.0])


@pytest.mark.parametrize("density", [2.0, 0.1, 12345.678])
def test_a_site_of_one_layer_or_of_equal_layers_or_of_none_has_no_score(density):
    """Three times a tenth is not three tenths in floating point: equal layers must not be scored by their rounding."""
    site, observed = np.array([0, 1, 1, 1]), np.full(4, density)
    assert np.isnan(agreement_by_site(site, observed, np.array([3.0, 1.0, 4.0, 2.0]), 3)).all()


PLAN = SitePlan(Schedule(100, 100, 100, 1), rhat_limit=1.1, ess_limit=0.0)


@pytest.fixture
def sites():
    """Good, slow, badly fitted, undefined fit, no finite profile, never moved, one chain far from the rest, far off."""
    n, p = 8, 25
    rhat = np.full((n, p), 1.02)
    rhat[1, 7], rhat[5, 3] = 1.4, np.nan
    soc = np.full((n, 10), 5e3)
    soc[4, 9] = np.inf
    phi = np.tile([12.0, 11.0, 13.0], (n, 1))
    phi[6] = [12.0, 11.0, 16.5]
    phi[7] = [452.0, 451.0, 455.0]
    ess = np.tile(np.arange(100.0, 100.0 + p), (n, 1))
    by_parameter = {"rhat": rhat, "rhat_gelman_rubin": rhat + 0.01, "ess_bulk": ess, "ess_tail": ess - 10.0}
    others = {
        "soc_mean": (("site", "layer"), soc),
        "r2": ("site", np.full(n, 0.9)),
        "efficiency": ("site", [0.8, 0.7, -0.1, np.nan, 0.5, 0.6, 0.4, 0.3]),
        # The middle of three draws is what counts: one draw far out is not a chain that is stuck.
        "phi": (("site", "chain", "draw"), phi[..., None] + np.array([-1.0, 0.0, 900.0])),
        "acceptance": (("site", "chain"), np.tile([0.2, 0.3, 0.25], (n, 1))),
        "steps": ("site", np.arange(n) + 300.0),
    }
    return xr.Dataset(
        {name: (("site", "parameter"), values) for name, values in by_parameter.items()} | others,
        {"profile_id": ("site", list("abcdefgh")), "parameter": [f"p{k}" for k in range(p)]},
    )


def status(sites, n_layers=9, faults=("",) * 8, **plan):
    return site_status(sites, np.broadcast_to(n_layers, 8), faults, PLAN._replace(**plan))


def test_every_site_has_a_row_with_its_outcome(sites):
    table = status(sites, np.arange(2, 10))
    assert table["profile_id"].tolist() == list("abcdefgh") and table["site"].tolist() == list(range(8))
    assert table["n_layers"].tolist() == list(range(2, 10))
    assert table["status"].tolist() == [
        "converged", "not converged", "converged", "converged", "no finite posterior", "no finite posterior",
        "a chain is stuck", "out of reach",
    ]  # fmt: skip
    assert table["reason"].iloc[1] == "R-hat of p7 is 1.400 (limit 1.1)"
    assert table["reason"].iloc[6] == "median misfits of its chains differ by 5.5"
    assert table["reason"].iloc[7] == "median misfit 451 for 9 layers in the best chain"
    assert table["ess_bulk_min"].tolist() == [100.0] * 8 and table["ess_tail_min"].tolist() == [90.0] * 8
    assert table["steps"].tolist() == list(range(300, 308)) and table["misfit"].iloc[0] == 11.0
    # Used whatever the chains did, unless the fit is negative or undefined.
    assert table["used_downstream"].tolist() == [True, True, False, False, False, False, True, True]
    # Ten standard deviations in every layer: more layers may have more misfit.
    assert status(sites, 10)["status"].iloc[7] == "converged"


def test_the_limits_of_convergence_are_the_plans(sites):
    assert (status(sites, rhat_limit=1.01)["status"] == "not converged").sum() == 4
    assert (status(sites, rhat_limit=1.5)["status"] == "not converged").sum() == 0
    short = status(sites, ess_limit=91.0)
    assert (short["status"] == "not converged").sum() == 4
    assert short["reason"].iloc[0] == "tail ESS of a parameter is 90 (limit 91)"
    rejected = status(sites.assign(acceptance=0.0 * sites["acceptance"] + 0.1), one_chain=True)
    assert rejected["status"].iloc[0] == "no chain accepted" and rejected["used_downstream"].iloc[0]


def test_a_fault_comes_before_everything_else_and_statuses_are_counted_from_the_worst(sites):
    for variable in sites.data_vars.values():
        variable.values[3] = np.nan
    table = status(sites, faults=["", "", "", "it has no observed layer", *[""] * 4])
    assert table[["status", "reason"]].iloc[3].tolist() == ["not sampled", "it has no observed layer"]
    assert not table["used_downstream"].iloc[3]
    counts = status_counts(table)
    assert counts.index[0] == "not sampled" and counts.index[-1] == "converged" and counts["sites"].sum() == 8
    assert counts.loc["not sampled", "for example"] == "it has no observed layer"
    assert counts["meaning"].to_dict() == {name: STATUS_MEANING[name] for name in counts.index}


N_TRUE = 40  # sites whose profiles are the model's own
TRUE_PLAN = SitePlan(Schedule(2000, 3000, 6000, 20), n_kept=60)


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def configuration(request):
    return CONFIGURATIONS[request.param]


@pytest.fixture(scope="module")
def truth(configuration):
    """Parameters, physical, and the forcing of sites whose profiles are the model's own."""
    return true_columns(configuration, N_TRUE)


@pytest.fixture(scope="module")
def true_profiles(truth):
    return made_problem(*truth)


@pytest.fixture(scope="module")
def recovered(true_profiles, tmp_path_factory):
    places = {"lon": np.linspace(-120, -70, N_TRUE), "lat": np.linspace(25, 50, N_TRUE)}
    return posteriors_in(tmp_path_factory.mktemp("sites"), true_profiles, TRUE_PLAN, places=places).load()


def test_every_site_has_its_draws_its_summaries_and_its_place(configuration, recovered):
    of_model = {"parameter": len(configuration.parameters), "layer": configuration.column.n_layers}
    assert dict(recovered.sizes) == {"site": N_TRUE, "chain": 3, "draw": 20} | of_model
    assert float(recovered["x"].min()) >= 0.0 and float(recovered["x"].max()) <= 1.0
    assert all(np.isfinite(recovered[name]).all() for name in recovered.data_vars)
    assert recovered["profile_id"].values.tolist() == [f"P{k}" for k in range(N_TRUE)]
    assert tuple(recovered["parameter"].values) == configuration.parameters.names
    assert recovered["lon"].attrs["units"] == "degrees_east" and float(recovered["lat"][-1]) == 50.0


def test_the_result_does_not_depend_on_workers_batches_or_other_sites(true_profiles, recovered, tmp_path, monkeypatch):
    monkeypatch.setattr(site_by_site, "SITES_PER_BATCH", 3)
    done = []
    some = posteriors_in(tmp_path, true_profiles.part(4, 13), TRUE_PLAN, n_workers=2, report=done.append)
    assert sum(done) == 9 and len(done) == 3
    for name in recovered.data_vars:
        np.testing.assert_array_equal(some[name], recovered[name].isel(site=slice(4, 13)), err_msg=name)


def test_the_observed_profile_is_recovered(configuration, true_profiles, recovered, truth):
    assert float(recovered["efficiency"].quantile(0.1)) > 0.8 and float(recovered["efficiency"].median()) > 0.95
    modelled = at_depths(recovered["soc_mean"].values.T, true_profiles.site, true_profiles.depth, configuration.column)
    fit = agreement_by_site(true_profiles.site, true_profiles.soc, modelled, N_TRUE)
    np.testing.assert_allclose(recovered["efficiency"], fit[1], rtol=1e-12)
    inside = (recovered["soc_p05"] <= recovered["soc_mean"]) & (recovered["soc_mean"] <= recovered["soc_p95"])
    assert float(inside[:, configuration.column.node < 1.8].mean()) > 0.99
    upper = configuration.column.node < 1.2
    ratio = recovered["soc_mean"].values.T[upper] / kernels.soc_density(*truth, configuration)[upper]
    assert np.abs(np.log(ratio)).mean() < 0.2


def test_the_well_identified_parameters_are_recovered_and_the_others_stay_wide(configuration, recovered, truth):
    x, mean = unit_cube(*truth, configuration.parameters), recovered["x_mean"]
    width = (recovered["x_sd"] * np.sqrt(12.0)).mean("site").to_series()
    assert width["efolding"] < 0.8 and width["tau4cwd"] > 0.95 and width["fs3s1"] > 0.95
    for name, least in (("efolding", 0.5), ("tau4s2", 0.4)):
        assert np.corrcoef(mean.sel(parameter=name), x[configuration.parameters.index(name)])[0, 1] > least


def test_faulty_sites_have_their_row_and_leave_the_bits_of_the_others(true_profiles, recovered, tmp_path):
    """Without a number, without layers, far too little carbon and far too much: flagged, and no other site notices."""
    part = true_profiles.part(0, 12)
    soc, sd = part.soc.copy(), part.sd.copy()
    soc[2 * DEPTH.size] = np.nan
    for site, factor in ((7, 1e-7), (9, 1e20)):
        rows = slice(site * DEPTH.size, (site + 1) * DEPTH.size)
        soc[rows] *= factor
        sd[rows] *= factor
    spoilt = part._replace(soc=soc, sd=sd).layers(part.site != 4)
    result = posteriors_in(tmp_path, spoilt, TRUE_PLAN)
    n_layers = np.bincount(spoilt.site, minlength=12)
    loose = TRUE_PLAN._replace(rhat_limit=9.0, ess_limit=0.0)
    table = site_status(result, n_layers, site_faults(spoilt), loose, spoilt.forms()[-1])
    assert table["profile_id"].tolist() == part.profile_id
    faulty = {2: "not sampled", 4: "not sampled", 7: "out of reach", 9: "out of reach"}
    assert {k: table.loc[k, "status"] for k in faulty} == faulty
    assert table.loc[[2, 4], "reason"].tolist() == ["soc of observed layer 1 is nan", "it has no observed layer"]
    assert table.loc[[7, 9], "reason"].str.startswith("median misfit").all()
    assert not table.loc[[2, 4, 9], "used_downstream"].any()
    others = np.setdiff1d(np.arange(12), list(faulty))
    for name in recovered.data_vars:
        np.testing.assert_array_equal(result[name].values[others], recovered[name].values[others], err_msg=name)
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


def test_a_run_begun_here_goes_on_there_where_a_file_names_the_scheduler(cluster, tmp_path, monkeypatch):
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
