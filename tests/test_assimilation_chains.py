"""The sites as the sampler takes them, and their chains: how long they run, and what they recover."""

import numpy as np
import pandas as pd
import pytest
from columns import drawn_columns, misfit, seasonal_columns
from hypothesis import given
from hypothesis import strategies as st
from made_sites import DEPTH, SHORT, few_sites
from scipy.stats import kstest

from proda.assimilation import chains
from proda.assimilation.chains import SitePlan, SiteProblem
from proda.assimilation.store import soc_of_draws
from proda.errors import InputError
from proda.kernels import steady_state as kernels
from proda.kernels.diagnostics import convergence
from proda.kernels.metropolis import Proposal, Schedule, draw_to_keep
from proda.model.configuration import CESM2, PAPER
from proda.model.observation import layer_means
from proda.model.parameters import CRYO, PAPER_PARAMETERS, TAU_CWD, bounds, cwd_share, physical
from proda.study import Study

FIRST = Schedule(2000, 3000, 6000, 20)
PLAN = chains.SitePlan(FIRST, rhat_limit=1.02, ess_limit=200.0, max_steps=400_000)
FIELDS = "draws", "phi", "acceptance", "steps"


@given(st.integers(1, 5000), st.integers(200, 50_000), st.integers(1, 500))
def test_every_step_is_accounted_for_and_every_draw_completed(test_steps, steps, draws):
    kept = (test_steps + steps) // 2
    if steps - kept < chains.LEAST_BURN_IN or kept < draws:
        with pytest.raises(InputError, match=rf"{test_steps} test and {steps} formal steps leave .* raise the number"):
            chains.schedule(test_steps, steps, draws)
        return
    plan = chains.schedule(test_steps, steps, draws)
    assert plan.test_steps == test_steps and plan.total == test_steps + steps
    assert plan.kept_steps == draws * plan.thin <= kept
    assert plan.burn_in >= chains.LEAST_BURN_IN
    assert kept - plan.kept_steps < draws


@given(st.integers(1, 50), st.integers(1, 500), st.integers(1, 64))
def test_a_later_round_stores_as_many_draws_of_so_many_times_as_many_steps(thin, draws, times):
    first = Schedule(700, 300, thin * draws, thin)
    later = chains.lengthened(first, times)
    assert later.n_draws == first.n_draws and later.kept_steps == times * first.kept_steps
    assert later.test_steps == 0 and later.burn_in == later.kept_steps // 4
    assert draw_to_keep(later.total - 1, later) == draws - 1


@pytest.fixture(scope="module")
def problem():
    return few_sites(12)


@pytest.fixture(scope="module")
def once(problem):
    return chains.sampled_sites(problem, 7, PLAN._replace(max_steps=0))


@pytest.fixture(scope="module")
def rounds(problem):
    return chains.sampled_sites(problem, 7, PLAN)


def test_chains_go_on_until_every_site_has_converged(once, rounds):
    assert not once.converged(PLAN).any() and rounds.converged(PLAN).all()
    assert (once.steps == FIRST.total).all() and (rounds.steps > FIRST.total).all()
    assert (rounds.steps <= PLAN.max_steps).all() and rounds.draws.shape == (12, 3, FIRST.n_draws, 25)
    for name, values in convergence(np.moveaxis(rounds.draws, -1, 1))._asdict().items():
        np.testing.assert_array_equal(getattr(rounds.mixing, name), values, err_msg=name)


def test_rounds_have_the_posterior_of_one_long_run(problem, rounds):
    part = problem.part(0, 4)
    long = chains.sampled_sites(part, 8, chains.SitePlan(Schedule(3000, 20_000, 100_000, 100)))
    both = [rounds.draws[:4].astype(float), long.draws.astype(float)]
    mean, sd = (np.stack([f(draws, axis=(1, 2)) for draws in both]) for f in (np.mean, np.std))
    ess = np.stack([rounds.mixing.ess_bulk[:4], long.mixing.ess_bulk])
    z = (mean[0] - mean[1]) / np.sqrt((sd**2 / ess).sum(axis=0))
    assert np.sqrt((z**2).mean()) < 1.4 and np.abs(z).max() < 5.0
    np.testing.assert_allclose(sd[0] / sd[1], 1.0, rtol=0, atol=0.25)


@pytest.mark.parametrize("chosen", [[5], [0, 1, 4, 5, 6, 7, 8, 9, 11]], ids=["alone", "most"])
def test_the_rounds_of_a_site_do_not_depend_on_the_sites_beside_it(problem, rounds, chosen):
    part = chains.sampled_sites(problem.take(chosen), 7, PLAN)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(part, name), getattr(rounds, name)[chosen], err_msg=name)


def test_workers_sample_the_same_bits(once):
    many = few_sites(40)
    sampled = chains.sampled_by_workers(many, 7, PLAN._replace(max_steps=0))
    alone = chains.sampled_sites(many.part(30, 40), 7, PLAN._replace(max_steps=0))
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(sampled, name)[30:], getattr(alone, name), err_msg=name)


def test_a_site_that_has_converged_stays_as_it_is(problem, once):
    """With limits that some sites meet at once, those keep the bits of their first round."""
    easy = PLAN._replace(rhat_limit=float(np.median(once.mixing.rhat.max(axis=-1))), ess_limit=1.0, max_steps=100_000)
    there = once.converged(easy)
    assert there.any() and not there.all()
    sampled = chains.sampled_sites(problem, 7, easy)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(sampled, name)[there], getattr(once, name)[there], err_msg=name)
    assert (sampled.steps[~there] > FIRST.total).all()


def test_sites_are_given_up_within_the_most_steps(problem):
    hopeless = PLAN._replace(ess_limit=1e6, max_steps=50_000)
    sampled = chains.sampled_sites(problem.part(0, 4), 7, hopeless)
    assert not sampled.converged(hopeless).any()
    assert (sampled.steps <= 50_000).all() and (sampled.steps + chains.lengthened(FIRST, 8).total > 50_000).all()


@pytest.mark.parametrize("coordinates", ["box", "logarithmic"])
@pytest.mark.parametrize("configuration", [PAPER, CESM2], ids=lambda each: each.name)
def test_draws_have_the_misfit_of_their_profile_and_leave_carbon_for_woody_debris(coordinates, configuration):
    part, table = few_sites(6, configuration=configuration), configuration.parameters
    sampled = chains.sampled_sites(part, 7, chains.SitePlan(FIRST, proposal=Proposal(coordinates)))
    x = sampled.draws[:, 2, -1].T.astype(float)
    soc = kernels.soc_density(physical(x, part.forcing, table), part.forcing, configuration)
    direct = misfit(soc, part.forms(), configuration.column)
    # Draws are stored in single precision.
    np.testing.assert_allclose(sampled.phi[:, 2, -1], direct, rtol=1e-4, atol=1e-3)
    every = sampled.draws.reshape(-1, len(table)).astype(float)
    if table.has_shares:
        low, width = PAPER_PARAMETERS.minimum, PAPER_PARAMETERS.maximum - PAPER_PARAMETERS.minimum
        assert cwd_share((low + every * width).T).min() > 0.0


@pytest.fixture
def tables():
    profiles = pd.DataFrame({"profile_id": ["a", "b"], "cell": [5, 2]})
    bounds = {"upper_depth": [0.0, 0.2, 0.0], "lower_depth": [0.2, 0.8, 0.4], "depth": [0.1, 0.5, 0.2]}
    return profiles, pd.DataFrame({"site": [0, 0, 1], **bounds, "soc": [9e3, 4e3, 7e3]})


def test_the_problem_is_made_from_the_tidy_tables(tables):
    forcing = drawn_columns(8, seed=11, low=0.2, high=0.8)[1]
    problem = chains.site_problem(*tables, forcing)
    np.testing.assert_array_equal(problem.forcing.npp_mean, forcing.npp_mean[[5, 2]])
    np.testing.assert_allclose(problem.sd, [2700.0, 1200.0, 2100.0])
    second = problem.part(1, 2)
    assert second.profile_id == ["b"] and second.site.tolist() == [0] and second.soc.tolist() == [7e3]
    assert second.sd.tolist() == problem.sd[2:].tolist() and second.weight.tolist() == [10.0]


def test_the_settings_choose_error_weights_and_operator(tables, tmp_path):
    forcing = drawn_columns(8, seed=11, low=0.2, high=0.8)[1]

    def made(scale, spread=None, **settings):
        study = Study.open("virtual", scale, out=tmp_path, settings=settings)
        return chains.site_problem(*tables, forcing, chains.error_model(study.settings, spread))

    site, pooled, paper = made("demo"), made("demo", spread=20.0), made("paper")
    np.testing.assert_allclose(site.sd, np.hypot([2700.0, 1200.0, 2100.0], 250.0))
    np.testing.assert_allclose(pooled.sd, np.hypot([2700.0, 1200.0, 2100.0], 20_000.0))
    np.testing.assert_allclose(paper.sd, [2700.0, 1200.0, 2100.0])
    assert site.weight.tolist() == [1.0] * 3 and pooled.weight.tolist() == [0.5, 0.5, 1.0]
    assert paper.weight.tolist() == [10.0] * 3
    assert site.lower.tolist() == [0.2, 0.8, 0.4] and paper.lower.tolist() == paper.upper.tolist() == [0.1, 0.5, 0.2]
    np.testing.assert_allclose(made("demo", floor_kg_m3=0.0).sd, paper.sd)


def test_profiles_of_thick_layers_are_recovered_from_their_means_and_not_from_their_middles():
    """Layers of a metre: carbon at the middle of the first is far from its mean."""
    theta, forcing = drawn_columns(24, seed=3, low=0.2, high=0.8)
    soc = kernels.soc_density(theta, forcing)
    site, upper = np.repeat(np.arange(24), 3), np.tile([0.0, 0.5, 1.5], 24)
    lower = np.tile([0.5, 1.5, 3.0], 24)
    observed = layer_means(soc, site, upper, lower)
    ones, names = np.ones(site.size), [f"P{k}" for k in range(24)]
    means = SiteProblem(names, forcing, site, upper, lower, observed, 0.05 * observed, ones)
    plan = SitePlan(Schedule(3000, 5000, 8000, 40), proposal=Proposal("logarithmic"))

    def bias(problem):
        draws = chains.sampled_sites(problem, 3, plan).draws.reshape(24, -1, 25)
        found = soc_of_draws(draws[:, ::10], forcing).mean(axis=0)
        return np.median(layer_means(found, site, upper, lower)[::3] / observed[::3]) - 1.0

    middle = means._replace(upper=means.depth, lower=means.depth)
    assert abs(bias(means)) < 0.02 and bias(middle) > 0.03


def test_parameters_that_cannot_change_carbon_are_drawn_from_the_prior():
    problem = few_sites(6)
    frost = problem.forcing._replace(active_layer=np.array([35.0, 35.0, 35.0, 0.5, 1.0, 2.0]))
    problem = problem._replace(forcing=frost)
    inert = chains.inert_parameters(frost)
    assert inert.sum(axis=1).tolist() == [2, 2, 2, 1, 1, 1] and inert[:, TAU_CWD].all() and inert[:3, CRYO].all()
    x = np.random.default_rng(1).uniform(0.05, 0.95, (25, 6))
    low, high = bounds(frost)
    other = np.where(inert.T, np.random.default_rng(2).random((25, 6)), x)
    one, two = (kernels.soc_density(low + each * (high - low), frost) for each in (x, other))
    np.testing.assert_array_equal(one, two)
    sampled = chains.sampled_sites(problem, 3, SHORT)
    draws = np.moveaxis(sampled.draws, -1, 1)[inert].reshape(inert.sum(), -1)
    assert kstest(draws.ravel(), "uniform").pvalue > 1e-3
    # Independent draws: neighbours are not alike, as those of a chain are.
    assert np.abs([np.corrcoef(row[:-1], row[1:])[0, 1] for row in draws]).mean() < 0.2


def test_months_make_the_same_parameters_inert():
    theta, forcing = seasonal_columns(6)
    inert = chains.inert_parameters(forcing)
    frozen = (np.maximum(forcing.active_layer, forcing.active_layer_last_year) <= 2.0).all(axis=0)
    assert inert.shape == (6, 21) and inert[:, TAU_CWD].all() and 0 < frozen.sum() < 6
    np.testing.assert_array_equal(inert[:, CRYO], ~frozen | (forcing.bedrock == 1))
    other = np.where(inert.T, 2.0 * theta, theta)
    one, two = (kernels.soc_density(each, forcing, CESM2) for each in (theta, other))
    np.testing.assert_array_equal(one, two)


def test_a_site_observed_below_bedrock_alone_is_named_and_not_sampled():
    problem = few_sites(3, configuration=CESM2)
    problem.forcing.bedrock[1] = 1
    deep = problem.layers((problem.site != 1) | (problem.depth > 0.2))
    fault = "bedrock of the forcing at 0.02 m lies above its first observed layer at 0.3 m"
    assert chains.site_faults(deep) == ["", fault, ""]
    problem.forcing.water_scalar[3, 7, 2] = np.nan
    assert chains.site_faults(problem)[2] == "water_scalar of the forcing is nan"


def test_the_papers_schedule_keeps_half_of_the_formal_run():
    literal = chains.schedule(20_000, 30_000, 500, literal=True)
    assert literal == Schedule(20_000, 15_000, 15_000, 30)
    pooled = chains.schedule(50_000, 200_000, 5000, literal=True)
    assert (pooled.test_steps, pooled.burn_in, pooled.kept_steps) == (50_000, 100_000, 100_000)


def test_one_of_the_accepted_chains_is_drawn_and_none_where_all_are_outside_the_window():
    drawn = [chains.one_of_accepted(np.array([0.1, 0.2, 0.4]), (seed,)) for seed in range(40)]
    assert set(drawn) == {1, 2} and chains.one_of_accepted(np.array([0.1, 0.6, np.nan]), (1,)) == -1


def test_a_reported_uncertainty_of_the_density_adds_in_quadrature(tables):
    profiles, layers = tables
    forcing = drawn_columns(8, seed=11, low=0.2, high=0.8)[1]
    problem = chains.site_problem(profiles, layers.assign(density_relative_sd=[0.4, 0.0, 0.4]), forcing)
    np.testing.assert_allclose(problem.sd, [4500.0, 1200.0, 3500.0])


def test_sites_taken_out_of_a_problem_keep_what_is_theirs_and_one_taken_twice_is_two():
    problem = few_sites(20)
    few = problem.take([17, 3, 17])
    assert few.profile_id == ["P17", "P3", "P17"] and few.site.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    np.testing.assert_array_equal(few.forms(), problem.forms()[:, [17, 3, 17]])
    upper = problem.layers(problem.depth < 0.5)
    assert upper.n_sites == 20 and upper.site.size == 3 * 20
    np.testing.assert_array_equal(upper.weight, problem.weight[problem.depth < 0.5])
    # A site without layers, and layers in any order.
    mixed = upper.layers(upper.site != 3)
    mixed = mixed.layers(np.random.default_rng(1).permutation(mixed.site.size)).take([2, 3, 4])
    np.testing.assert_array_equal(np.bincount(mixed.site, minlength=3), [3, 0, 3])
    np.testing.assert_allclose(mixed.forms()[:, [0, 2]], upper.forms()[:, [2, 4]], rtol=1e-12)


def observation(name, value, layer=2):
    return lambda problem: getattr(problem, name).__setitem__(layer, value)


def forcing(name, value, layer=None):
    return lambda problem: getattr(problem.forcing, name).__setitem__((0,) if layer is None else (layer, 0), value)


def huge_observations(problem):
    for values in (problem.soc, problem.sd):
        values[: DEPTH.size] *= 1e200


WRONG = {
    "soil_temperature of the forcing is nan": forcing("soil_temperature", np.nan, 3),
    "water_potential of the forcing is -inf": forcing("water_potential", -np.inf, 0),
    "npp_mean of the forcing is nan": forcing("npp_mean", np.nan),
    "carbon input of the forcing is 0: nothing enters the soil": forcing("npp_mean", 0.0),
    "soc of observed layer 3 is nan": observation("soc", np.nan),
    "soc of observed layer 3 is -5000": observation("soc", -5e3),
    "upper of observed layer 1 is nan": observation("upper", np.nan, 0),
    "sd of observed layer 3 is 0": observation("sd", 0.0),
    "weight of observed layer 6 is inf": observation("weight", np.inf, 5),
    "the misfit of its layers is not a finite number": huge_observations,
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_number_is_named_with_its_value(fault):
    problem = few_sites(2)
    WRONG[fault](problem)
    assert chains.site_faults(problem) == [fault, ""]
