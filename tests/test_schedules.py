"""How many steps are taken, kept and stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proda.assimilation.adaptive_metropolis import Schedule, draw_to_keep
from proda.assimilation.schedules import LEAST_BURN_IN, schedule
from proda.errors import InputError


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
