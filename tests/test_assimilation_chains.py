"""Chains of sites: how long they run, round after round until they have converged, and what they recover."""

import numpy as np
import pytest
from columns import misfit
from hypothesis import given
from hypothesis import strategies as st
from made_sites import few_sites

from proda.assimilation.chains import (
    LEAST_BURN_IN,
    SitePlan,
    chain_seed,
    lengthened,
    sampled_by_workers,
    sampled_sites,
    schedule,
    site_plan,
)
from proda.errors import InputError
from proda.kernels import steady_state as lanes
from proda.kernels.diagnostics import convergence
from proda.kernels.metropolis import Proposal, Schedule, draw_to_keep
from proda.model.parameters import PAPER_PARAMETERS, cwd_share, physical

FIRST = Schedule(2000, 3000, 6000, 20)
PLAN = SitePlan(FIRST, rhat_limit=1.02, ess_limit=200.0, max_steps=400_000)
FIELDS = "draws", "phi", "acceptance", "steps"


@given(st.integers(1, 5000), st.integers(200, 50_000), st.integers(1, 500))
def test_every_step_is_accounted_for_and_every_draw_completed(test_steps, steps, draws):
    kept = (test_steps + steps) // 2
    if steps - kept < LEAST_BURN_IN or kept < draws:
        with pytest.raises(InputError, match=rf"{test_steps} test and {steps} formal steps leave .* raise the number"):
            schedule(test_steps, steps, draws)
        return
    plan = schedule(test_steps, steps, draws)
    assert plan.test_steps == test_steps and plan.total == test_steps + steps
    assert plan.kept_steps == draws * plan.thin <= kept
    assert plan.burn_in >= LEAST_BURN_IN
    assert kept - plan.kept_steps < draws


@given(st.integers(1, 50), st.integers(1, 500), st.integers(1, 64))
def test_a_later_round_stores_as_many_draws_of_so_many_times_as_many_steps(thin, draws, times):
    first = Schedule(700, 300, thin * draws, thin)
    later = lengthened(first, times)
    assert later.n_draws == first.n_draws and later.kept_steps == times * first.kept_steps
    assert later.test_steps == 0 and later.burn_in == later.kept_steps // 4
    assert draw_to_keep(later.total - 1, later) == draws - 1


def test_the_plan_of_the_sites_follows_the_settings():
    settings = {
        "site_test_steps": 2000, "site_steps": 8000, "kept_draws": 500, "chains": 4, "site_coordinates": "box",
        "site_acceptance": "metropolis", "site_kept_states": "all", "site_rhat_limit": 1.02, "site_ess_limit": 300.0,
        "site_max_steps": 10**6,
    }  # fmt: skip
    expected = SitePlan(schedule(2000, 8000, 500), 4, Proposal(), False, 1.02, 300.0, 10**6, 500)
    assert site_plan(settings) == expected
    published = {"site_acceptance": "annealed", "site_kept_states": "accepted", "site_coordinates": "logarithmic"}
    coded = expected._replace(proposal=Proposal("logarithmic", True), accepted_only=True)
    assert site_plan(settings | published) == coded


@pytest.fixture(scope="module")
def problem():
    return few_sites(12)


@pytest.fixture(scope="module")
def once(problem):
    return sampled_sites(problem, 7, PLAN._replace(max_steps=0))


@pytest.fixture(scope="module")
def rounds(problem):
    return sampled_sites(problem, 7, PLAN)


def test_chains_go_on_until_every_site_has_converged(once, rounds):
    assert not once.converged(PLAN).any() and rounds.converged(PLAN).all()
    assert (once.steps == FIRST.total).all() and (rounds.steps > FIRST.total).all()
    assert (rounds.steps <= PLAN.max_steps).all() and rounds.draws.shape == (12, 3, FIRST.n_draws, 25)
    for name, values in convergence(np.moveaxis(rounds.draws, -1, 1))._asdict().items():
        np.testing.assert_array_equal(getattr(rounds.mixing, name), values, err_msg=name)


def test_rounds_have_the_posterior_of_one_long_run(problem, rounds):
    part = problem.part(0, 4)
    long = sampled_sites(part, 8, SitePlan(Schedule(3000, 20_000, 100_000, 100)))
    both = [rounds.draws[:4].astype(float), long.draws.astype(float)]
    mean, sd = (np.stack([f(draws, axis=(1, 2)) for draws in both]) for f in (np.mean, np.std))
    ess = np.stack([rounds.mixing.ess_bulk[:4], long.mixing.ess_bulk])
    z = (mean[0] - mean[1]) / np.sqrt((sd**2 / ess).sum(axis=0))
    assert np.sqrt((z**2).mean()) < 1.4 and np.abs(z).max() < 5.0
    np.testing.assert_allclose(sd[0] / sd[1], 1.0, rtol=0, atol=0.25)


@pytest.mark.parametrize("chosen", [[5], [0, 1, 4, 5, 6, 7, 8, 9, 11]], ids=["alone", "most"])
def test_the_rounds_of_a_site_do_not_depend_on_the_sites_beside_it(problem, rounds, chosen):
    part = sampled_sites(problem.take(chosen), 7, PLAN)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(part, name), getattr(rounds, name)[chosen], err_msg=name)


def test_workers_sample_the_same_bits(once):
    many = few_sites(40)
    sampled = sampled_by_workers(many, 7, PLAN._replace(max_steps=0))
    alone = sampled_sites(many.part(30, 40), 7, PLAN._replace(max_steps=0))
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(sampled, name)[30:], getattr(alone, name), err_msg=name)


def test_a_site_that_has_converged_stays_as_it_is(problem, once):
    """With limits that some sites meet at once, those keep the bits of their first round."""
    easy = PLAN._replace(rhat_limit=float(np.median(once.mixing.rhat.max(axis=-1))), ess_limit=1.0, max_steps=100_000)
    there = once.converged(easy)
    assert there.any() and not there.all()
    sampled = sampled_sites(problem, 7, easy)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(sampled, name)[there], getattr(once, name)[there], err_msg=name)
    assert (sampled.steps[~there] > FIRST.total).all()


def test_sites_are_given_up_within_the_most_steps(problem):
    hopeless = PLAN._replace(ess_limit=1e6, max_steps=50_000)
    sampled = sampled_sites(problem.part(0, 4), 7, hopeless)
    assert not sampled.converged(hopeless).any()
    assert (sampled.steps <= 50_000).all() and (sampled.steps + lengthened(FIRST, 8).total > 50_000).all()


@pytest.mark.parametrize("coordinates", ["box", "logarithmic"])
def test_draws_have_the_misfit_of_their_profile_and_leave_carbon_for_woody_debris(problem, coordinates):
    part = problem.part(0, 6)
    sampled = sampled_sites(part, 7, SitePlan(FIRST, proposal=Proposal(coordinates)))
    x = sampled.draws[:, 2, -1].T.astype(float)
    direct = misfit(lanes.soc_density(physical(x, part.forcing), part.forcing), part.forms())
    # Draws are stored in single precision.
    np.testing.assert_allclose(sampled.phi[:, 2, -1], direct, rtol=1e-4, atol=1e-3)
    every = sampled.draws.reshape(-1, 25).astype(float)
    low, width = PAPER_PARAMETERS.minimum, PAPER_PARAMETERS.maximum - PAPER_PARAMETERS.minimum
    assert cwd_share((low + every * width).T).min() > 0.0


def test_seeds_differ_between_studies_profiles_and_chains():
    seeds = {chain_seed(study, name, chain) for study in (1, 2) for name in ("A", "B", "AB") for chain in range(3)}
    assert len(seeds) == 18 and chain_seed(1, "A", 0) in seeds
