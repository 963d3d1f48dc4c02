"""Site-by-site assimilation: a site's result is its own, and it recovers what its profile tells."""

import numpy as np
import pandas as pd
import pytest
from columns import drawn_columns, temperate

from proda.assimilation.adaptive_metropolis import Schedule
from proda.assimilation.misfit import layer_weights, misfit, misfit_forms
from proda.assimilation.site_by_site import SiteProblem, chain_seed, sampled_sites, site_posteriors, site_problem
from proda.assimilation.site_fit import agreement_by_site
from proda.model import lanes
from proda.model.observation import at_depths
from proda.model.parameters import PAPER_PARAMETERS, cwd_share, physical, unit_cube

DEPTH = np.array([0.03, 0.12, 0.3, 0.6, 1.0, 1.6])
N_SITES, N_KEPT = 40, 60
PLAN = Schedule(2000, 3000, 6000, 20)


@pytest.fixture(scope="module")
def truth():
    """Parameters (25, n), physical, and the forcing of sites whose profiles are the model's own."""
    return drawn_columns(N_SITES, seed=11, low=0.2, high=0.8)


@pytest.fixture(scope="module")
def problem(truth):
    theta, forcing = truth
    site, depth = np.repeat(np.arange(N_SITES), DEPTH.size), np.tile(DEPTH, N_SITES)
    soc = at_depths(lanes.soc_density(theta, forcing), site, depth)
    return SiteProblem([f"P{k}" for k in range(N_SITES)], forcing, site, depth, soc)


def posteriors(problem, n_workers=1, plan=PLAN, **how):
    return site_posteriors(problem, 7, plan, how.pop("n_chains", 3), N_KEPT, 0.3, n_workers, **how)


@pytest.fixture(scope="module")
def sites(problem):
    return posteriors(problem)


def test_every_site_has_its_draws_and_summaries(sites):
    assert dict(sites.sizes) == {"site": N_SITES, "draw": N_KEPT, "parameter": 25, "layer": 10, "chain": 3}
    assert sites["x"].dtype == np.float32 and float(sites["x"].min()) >= 0.0 and float(sites["x"].max()) <= 1.0
    assert all(np.isfinite(sites[name]).all() for name in sites.data_vars)
    assert all({"long_name", "units"} <= set(sites[name].attrs) for name in sites.data_vars)
    assert sites["profile_id"].values.tolist() == [f"P{k}" for k in range(N_SITES)]
    assert tuple(sites["parameter"].values) == PAPER_PARAMETERS.names


@pytest.mark.parametrize(("first", "last"), [(4, 5), (3, 9)], ids=["alone", "in another batch"])
def test_the_result_of_a_site_does_not_depend_on_the_sites_beside_it(problem, sites, first, last):
    alone = posteriors(problem.part(first, last))
    for name in sites.data_vars:
        np.testing.assert_array_equal(alone[name], sites[name].isel(site=slice(first, last)), err_msg=name)


def test_the_result_does_not_depend_on_workers_or_the_size_of_batches(problem, sites, monkeypatch):
    monkeypatch.setattr("proda.assimilation.site_by_site.SITES_PER_BATCH", 3)
    done = []
    parallel = posteriors(problem, n_workers=2, report=done.append)
    assert parallel.identical(sites)
    assert sum(done) == N_SITES and len(done) == 14


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
    n, sd, rng = 160, 0.1, np.random.default_rng(5)
    forcing = temperate(n, 31)
    low, width = PAPER_PARAMETERS.minimum[:, None], (PAPER_PARAMETERS.maximum - PAPER_PARAMETERS.minimum)[:, None]
    x = rng.random((25, 20 * n))
    x = x[:, cwd_share(low + width * x) > 0.0][:, :n]
    site, depth = np.repeat(np.arange(n), DEPTH.size), np.tile(DEPTH, n)
    soc = at_depths(lanes.soc_density(physical(x, forcing), forcing), site, depth)
    soc *= 1.0 + sd / np.sqrt(layer_weights(site, depth)) * rng.normal(size=soc.size)
    problem = SiteProblem([f"P{k}" for k in range(n)], forcing, site, depth, soc)
    draws = sampled_sites(problem, 7, Schedule(2000, 3000, 10_000, 25), 3, sd).draws
    rank = (draws.reshape(n, -1, 25) < x.T[:, None]).mean(axis=1)
    assert np.abs(rank.mean(axis=0) - 0.5).max() < 0.1
    assert np.abs(rank.std(axis=0) * np.sqrt(12.0) - 1.0).max() < 0.2


def test_more_accurate_observations_narrow_the_fit(problem):
    part = problem.part(0, 5)
    wide, narrow = (site_posteriors(part, 7, PLAN, 3, N_KEPT, sd, 1) for sd in (0.6, 0.15))
    assert float((narrow["soc_sd"] / wide["soc_sd"]).mean()) < 0.7


def test_kept_draws_leave_carbon_for_woody_debris(problem):
    sampled = sampled_sites(problem.part(0, 6), 7, PLAN, 3, 0.3)
    assert sampled.draws.shape == (6, 3, 300, 25) and sampled.acceptance.shape == (6, 3)
    x = sampled.draws.reshape(-1, 25).astype(float)
    theta = PAPER_PARAMETERS.minimum + x * (PAPER_PARAMETERS.maximum - PAPER_PARAMETERS.minimum)
    assert cwd_share(theta.T).min() > 0.0
    assert ((sampled.acceptance > 0.05) & (sampled.acceptance < 0.6)).all()


def test_the_misfit_of_a_draw_is_that_of_its_profile(problem):
    part = problem.part(0, 6)
    sampled = sampled_sites(part, 7, PLAN, 3, 0.3)
    forms = misfit_forms(part.site, 6, part.depth, part.soc, layer_weights(part.site, part.depth))
    x = sampled.draws[:, 2, -1].T.astype(float)
    direct = misfit(lanes.soc_density(physical(x, part.forcing), part.forcing), forms)
    # Draws are stored in single precision.
    np.testing.assert_allclose(sampled.phi[:, 2, -1], direct, rtol=1e-4, atol=1e-3)


def test_another_seed_gives_other_chains(problem):
    part, plan = problem.part(0, 1), Schedule(100, 200, 100, 10)
    one, other = (sampled_sites(part, seed, plan, 1, 0.3).draws for seed in (7, 8))
    assert not np.array_equal(one, other)


def test_seeds_tell_studies_profiles_and_chains_apart():
    seeds = {chain_seed(study, name, chain) for study in (1, 2) for name in ("A", "B", "AB") for chain in range(3)}
    assert len(seeds) == 18
    assert chain_seed(1, "A", 0) == chain_seed(1, "A", 0) and all(word >= 0 for word in chain_seed(1, "A", 0))


def test_the_problem_is_made_from_the_tidy_tables(truth):
    profiles = pd.DataFrame({"profile_id": ["a", "b"], "cell": [5, 2]})
    layers = pd.DataFrame({"site": [0, 0, 1], "depth": [0.1, 0.5, 0.2], "soc": [9e3, 4e3, 7e3]})
    problem = site_problem(profiles, layers, truth[1])
    np.testing.assert_array_equal(problem.forcing.npp_mean, truth[1].npp_mean[[5, 2]])
    second = problem.part(1, 2)
    assert second.profile_id == ["b"] and second.site.tolist() == [0] and second.soc.tolist() == [7e3]
