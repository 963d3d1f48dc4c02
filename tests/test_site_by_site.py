"""Site-by-site assimilation: a site's result is its own, and it recovers what its profile tells."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from columns import drawn_columns, temperate
from made_sites import DEPTH, made_problem, posteriors_in, store_bytes

from proda.assimilation.chains import SitePlan, chain_seed, sampled_sites
from proda.assimilation.problem import SiteProblem, site_problem
from proda.assimilation.sites import SITES_PER_BATCH
from proda.assimilation.store import agreement_by_site
from proda.kernels import steady_state as lanes
from proda.kernels.metropolis import Proposal, Schedule
from proda.kernels.misfit import layer_weights, misfit
from proda.model.observation import at_depths
from proda.model.parameters import PAPER_PARAMETERS, cwd_share, physical, unit_cube

N_SITES = 40
PLAN = SitePlan(Schedule(2000, 3000, 6000, 20), n_kept=60)


@pytest.fixture(scope="module")
def truth():
    """Parameters (25, n), physical, and the forcing of sites whose profiles are the model's own."""
    return drawn_columns(N_SITES, seed=11, low=0.2, high=0.8)


@pytest.fixture(scope="module")
def problem(truth):
    return made_problem(*truth)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sites")


@pytest.fixture(scope="module")
def sites(problem, folder):
    return posteriors_in(folder, problem, PLAN).load()


def test_every_site_has_its_draws_and_summaries(sites):
    assert dict(sites.sizes) == {"site": N_SITES, "chain": 3, "draw": 20, "parameter": 25, "layer": 10}
    assert sites["x"].dtype == np.float32 and float(sites["x"].min()) >= 0.0 and float(sites["x"].max()) <= 1.0
    assert all(np.isfinite(sites[name]).all() for name in sites.data_vars)
    assert all({"long_name", "units"} <= set(sites[name].attrs) for name in sites.data_vars)
    assert sites["profile_id"].values.tolist() == [f"P{k}" for k in range(N_SITES)]
    assert tuple(sites["parameter"].values) == PAPER_PARAMETERS.names


@pytest.mark.parametrize(("first", "last"), [(4, 5), (3, 9)], ids=["alone", "in another batch"])
def test_the_result_of_a_site_does_not_depend_on_the_sites_beside_it(problem, sites, first, last, tmp_path):
    alone = posteriors_in(tmp_path, problem.part(first, last), PLAN)
    for name in sites.data_vars:
        np.testing.assert_array_equal(alone[name], sites[name].isel(site=slice(first, last)), err_msg=name)


def test_the_result_does_not_depend_on_workers_or_the_size_of_batches(problem, sites, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("proda.assimilation.sites.SITES_PER_BATCH", 3)
    done = []
    assert posteriors_in(tmp_path, problem, PLAN, n_workers=2, report=done.append).identical(sites)
    assert sum(done) == N_SITES and len(done) == 14
    assert len(store_bytes(tmp_path)) > len(store_bytes(folder)), "the batches were no smaller"


def test_the_observed_profile_is_recovered(problem, sites, truth):
    assert float(sites["efficiency"].quantile(0.1)) > 0.8 and float(sites["efficiency"].median()) > 0.95
    modelled = at_depths(sites["soc_mean"].values.T, problem.site, problem.depth)
    fit = agreement_by_site(problem.site, problem.soc, modelled, N_SITES)
    np.testing.assert_allclose(sites["efficiency"], fit.efficiency, rtol=1e-12)
    inside = (sites["soc_p05"] <= sites["soc_mean"]) & (sites["soc_mean"] <= sites["soc_p95"])
    assert float(inside.mean()) > 0.99
    upper = lanes.soc_density(*truth)[:7]
    assert np.abs(np.log(sites["soc_mean"].values.T[:7] / upper)).mean() < 0.2


def test_the_well_identified_parameters_are_recovered_and_the_others_stay_wide(sites, truth):
    x, mean = unit_cube(*truth), sites["x_mean"]
    width = (sites["x_sd"] * np.sqrt(12.0)).mean("site").to_series()
    assert width["efolding"] < 0.8 and width["tau4cwd"] > 0.95 and width["fs3s1"] > 0.95
    for name, least in (("efolding", 0.5), ("tau4s2", 0.4)):
        assert np.corrcoef(mean.sel(parameter=name), x[PAPER_PARAMETERS.index(name)])[0, 1] > least


def test_the_truth_is_as_often_above_the_draws_as_below_and_no_further_out():
    """Truths from the prior, observations with the error that Eq. 5.2 assumes: ranks must be uniform."""
    n, rng = 160, np.random.default_rng(5)
    forcing = temperate(n, 31)
    low, width = PAPER_PARAMETERS.minimum[:, None], (PAPER_PARAMETERS.maximum - PAPER_PARAMETERS.minimum)[:, None]
    x = rng.random((25, 20 * n))
    x = x[:, cwd_share(low + width * x) > 0.0][:, :n]
    site, depth = np.repeat(np.arange(n), DEPTH.size), np.tile(DEPTH, n)
    soc = at_depths(lanes.soc_density(physical(x, forcing), forcing), site, depth)
    weight, sd = layer_weights(site, depth), 0.1 * soc
    soc = soc + sd / np.sqrt(weight) * rng.normal(size=soc.size)
    problem = SiteProblem([f"P{k}" for k in range(n)], forcing, site, depth, soc, sd, weight)
    draws = sampled_sites(problem, 7, SitePlan(Schedule(2000, 3000, 10_000, 25))).draws
    rank = (draws.reshape(n, -1, 25) < x.T[:, None]).mean(axis=1)
    assert np.abs(rank.mean(axis=0) - 0.5).max() < 0.1
    assert np.abs(rank.std(axis=0) * np.sqrt(12.0) - 1.0).max() < 0.2


def test_more_accurate_observations_narrow_the_fit(problem, tmp_path):
    part = problem.part(0, 5)
    wide, narrow = (
        posteriors_in(tmp_path / str(sd), part._replace(sd=sd * part.soc), PLAN)["soc_sd"] for sd in (0.6, 0.15)
    )
    assert float((narrow / wide).mean()) < 0.7


def test_kept_draws_leave_carbon_for_woody_debris(problem):
    sampled = sampled_sites(problem.part(0, 6), 7, PLAN)
    assert sampled.draws.shape == (6, 3, 300, 25) and sampled.acceptance.shape == (6, 3)
    x = sampled.draws.reshape(-1, 25).astype(float)
    theta = PAPER_PARAMETERS.minimum + x * (PAPER_PARAMETERS.maximum - PAPER_PARAMETERS.minimum)
    assert cwd_share(theta.T).min() > 0.0
    assert ((sampled.acceptance > 0.05) & (sampled.acceptance < 0.6)).all()


@pytest.mark.parametrize("coordinates", ["box", "logarithmic"])
def test_the_misfit_of_a_draw_is_that_of_its_profile(problem, coordinates):
    part = problem.part(0, 6)
    sampled = sampled_sites(part, 7, PLAN._replace(moves=Proposal(coordinates)))
    x = sampled.draws[:, 2, -1].T.astype(float)
    direct = misfit(lanes.soc_density(physical(x, part.forcing), part.forcing), part.forms())
    # Draws are stored in single precision.
    np.testing.assert_allclose(sampled.phi[:, 2, -1], direct, rtol=1e-4, atol=1e-3)


def test_another_seed_gives_other_chains(problem):
    part, plan = problem.part(0, 1), SitePlan(Schedule(100, 200, 100, 10), n_chains=2)
    one, other = (sampled_sites(part, seed, plan).draws for seed in (7, 8))
    assert not np.array_equal(one, other)


def test_seeds_tell_studies_profiles_and_chains_apart():
    seeds = {chain_seed(study, name, chain) for study in (1, 2) for name in ("A", "B", "AB") for chain in range(3)}
    assert len(seeds) == 18
    assert chain_seed(1, "A", 0) == chain_seed(1, "A", 0) and all(word >= 0 for word in chain_seed(1, "A", 0))


@pytest.fixture
def tables():
    profiles = pd.DataFrame({"profile_id": ["a", "b"], "cell": [5, 2]})
    return profiles, pd.DataFrame({"site": [0, 0, 1], "depth": [0.1, 0.5, 0.2], "soc": [9e3, 4e3, 7e3]})


def test_the_problem_is_made_from_the_tidy_tables(truth, tables):
    problem = site_problem(*tables, truth[1], 0.3)
    np.testing.assert_array_equal(problem.forcing.npp_mean, truth[1].npp_mean[[5, 2]])
    np.testing.assert_allclose(problem.sd, [2700.0, 1200.0, 2100.0])
    second = problem.part(1, 2)
    assert second.profile_id == ["b"] and second.site.tolist() == [0] and second.soc.tolist() == [7e3]
    assert second.sd.tolist() == problem.sd[2:].tolist() and second.weight.tolist() == [10.0]


def test_a_reported_uncertainty_of_the_density_adds_in_quadrature(truth, tables):
    profiles, layers = tables
    problem = site_problem(profiles, layers.assign(density_relative_sd=[0.4, 0.0, 0.4]), truth[1], 0.3)
    np.testing.assert_allclose(problem.sd, [4500.0, 1200.0, 3500.0])


def test_some_layers_of_a_problem_keep_their_weights(problem):
    upper = problem.layers(problem.depth < 0.5)
    assert upper.n_sites == N_SITES and upper.site.size == 3 * N_SITES
    np.testing.assert_array_equal(upper.weight, problem.weight[problem.depth < 0.5])


def test_sites_taken_out_of_a_problem_keep_what_is_theirs(problem):
    few = problem.take([3, 17, 30])
    assert few.profile_id == ["P3", "P17", "P30"] and few.site.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    np.testing.assert_array_equal(few.forms(), problem.forms()[:, [3, 17, 30]])


def test_the_dataset_opens_without_reading_its_draws_and_knows_where_its_sites_are(problem, tmp_path):
    rng = np.random.default_rng(1)
    places = {"lon": rng.uniform(-120, -70, N_SITES), "lat": rng.uniform(25, 50, N_SITES)}
    plan = PLAN._replace(schedule=Schedule(100, 100, 100, 5))
    posteriors_in(tmp_path, problem, plan, places=places)
    with xr.open_zarr(tmp_path / "sites.zarr", consolidated=False, chunks=None) as found:
        assert not any(variable.variable._in_memory for variable in found.data_vars.values())
        for name, unit in (("lon", "degrees_east"), ("lat", "degrees_north")):
            np.testing.assert_array_equal(found[name], places[name])
            assert found[name].attrs["units"] == unit
        assert set(found.coords) == {"profile_id", "parameter", "node_depth", "lon", "lat"}
        assert found["x"].encoding["chunks"] == (min(SITES_PER_BATCH, N_SITES), 3, 20, 25)
        one = found["x"].isel(site=4).sel(parameter="q10").load()
        assert one.dims == ("chain", "draw") and not found["x"].variable._in_memory
        assert "lon" in found["x_mean"].sel(parameter="q10").to_dataset().coords
