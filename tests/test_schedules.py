"""How many steps are taken, kept and stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proda.assimilation.chains import LEAST_BURN_IN, SitePlan, lengthened, schedule, site_plan
from proda.errors import InputError
from proda.kernels.metropolis import Proposal, Schedule, draw_to_keep


def test_the_papers_site_by_site_chains_keep_half_of_their_steps():
    assert schedule(20_000, 30_000, 500) == Schedule(20_000, 5_000, 25_000, 50)


@given(st.integers(1, 5000), st.integers(200, 50_000), st.integers(1, 500))
def test_every_step_is_accounted_for_and_every_draw_completed(test_steps, steps, draws):
    kept = (test_steps + steps) // 2
    if steps - kept < LEAST_BURN_IN or kept < draws:
        with pytest.raises(InputError):
            schedule(test_steps, steps, draws)
        return
    plan = schedule(test_steps, steps, draws)
    assert plan.test_steps == test_steps and plan.total == test_steps + steps
    assert plan.kept_steps == draws * plan.thin <= kept
    assert plan.burn_in >= LEAST_BURN_IN
    assert kept - plan.kept_steps < draws


def test_draws_are_stored_after_every_thin_steps_of_the_kept_part_and_end_with_the_last():
    plan = schedule(300, 1300, 40)
    stored = {t: draw_to_keep(t, plan) for t in range(plan.total) if draw_to_keep(t, plan) >= 0}
    assert list(stored.values()) == list(range(40))
    first = plan.test_steps + plan.burn_in + plan.thin - 1
    assert list(stored) == list(range(first, plan.total, plan.thin))
    assert max(stored) == plan.total - 1


@pytest.mark.parametrize(("test_steps", "steps", "draws"), [(1000, 1100, 10), (100, 400, 400), (5000, 1000, 10)])
def test_too_few_steps_are_told_with_what_they_leave(test_steps, steps, draws):
    with pytest.raises(InputError, match=rf"{test_steps} test and {steps} formal steps leave .* raise the number"):
        schedule(test_steps, steps, draws)


@given(st.integers(1, 50), st.integers(1, 500), st.integers(1, 64))
def test_a_later_round_stores_as_many_draws_of_so_many_times_as_many_steps(thin, draws, times):
    first = Schedule(700, 300, thin * draws, thin)
    later = lengthened(first, times)
    assert later.n_draws == first.n_draws and later.kept_steps == times * first.kept_steps
    assert later.test_steps == 0 and later.burn_in == later.kept_steps // 4
    assert draw_to_keep(later.total - 1, later) == draws - 1


SETTINGS = {
    "site_test_steps": 2000, "site_steps": 8000, "kept_draws": 500, "chains": 4, "site_coordinates": "box",
    "site_acceptance": "metropolis", "site_kept_states": "all", "site_rhat_limit": 1.02, "site_ess_limit": 300.0,
    "site_max_steps": 10**6,
}  # fmt: skip


def test_the_plan_of_the_sites_is_what_the_settings_say():
    expected = SitePlan(schedule(2000, 8000, 500), 4, Proposal(), False, 1.02, 300.0, 10**6, 500)
    assert site_plan(SETTINGS) == expected
    published = {"site_acceptance": "annealed", "site_kept_states": "accepted", "site_coordinates": "logarithmic"}
    assert site_plan(SETTINGS | published) == expected._replace(moves=Proposal("logarithmic", True), accepted_only=True)
