"""Chains of sites: round after round until they have converged, given up in time, and what the published rules do."""

import numpy as np
import pytest
from made_sites import few_sites

from proda.assimilation.chains import SitePlan, lengthened, sampled_sites
from proda.assimilation.store import VARIABLES, site_coordinates, site_status, site_summaries
from proda.kernels.diagnostics import convergence
from proda.kernels.metropolis import Proposal, Schedule

FIRST = Schedule(2000, 3000, 6000, 20)
PLAN = SitePlan(FIRST, rhat_limit=1.02, ess_limit=200.0, max_steps=400_000)
FIELDS = "draws", "phi", "acceptance", "steps"


@pytest.fixture(scope="module")
def problem():
    return few_sites(12)


@pytest.fixture(scope="module")
def once(problem):
    return sampled_sites(problem, 7, PLAN._replace(max_steps=0))


@pytest.fixture(scope="module")
def rounds(problem):
    return sampled_sites(problem, 7, PLAN)


def lengths_of_rounds(steps: int) -> list[int]:
    """The lengths, as multiples of the first round, of at most four rounds that come to `steps` steps together."""
    reached = {FIRST.total: []}
    for _ in range(4):
        for total, before in list(reached.items()):
            for times in 2 ** np.arange(1, 11):
                if times > max([1, *before]):
                    reached.setdefault(total + lengthened(FIRST, int(times)).total, [*before, int(times)])
    return reached[steps]


def test_chains_go_on_until_every_site_has_converged(once, rounds):
    assert not once.converged(PLAN).any() and rounds.converged(PLAN).all()
    assert rounds.mixing.rhat.max() <= PLAN.rhat_limit
    assert min(rounds.mixing.ess_bulk.min(), rounds.mixing.ess_tail.min()) >= PLAN.ess_limit


def test_what_is_said_of_the_chains_is_about_the_draws_that_are_kept(rounds):
    assert rounds.draws.shape == (12, 3, FIRST.n_draws, 25)
    for name, found in convergence(np.moveaxis(rounds.draws, -1, 1))._asdict().items():
        np.testing.assert_array_equal(getattr(rounds.mixing, name), found, err_msg=name)


def test_the_steps_of_all_rounds_are_counted(once, rounds):
    assert (once.steps == FIRST.total).all()
    assert (rounds.steps > FIRST.total).all() and (rounds.steps <= PLAN.max_steps).all()
    for steps in np.unique(rounds.steps):
        assert lengths_of_rounds(int(steps)), f"{steps} steps are not those of any rounds"


def test_rounds_have_the_posterior_of_one_long_run(problem, rounds):
    part = problem.part(0, 4)
    long = sampled_sites(part, 8, SitePlan(Schedule(3000, 20_000, 100_000, 100)))
    mean, sd = (np.stack([f(one[:4].astype(float), axis=(1, 2)) for one in (rounds.draws, long.draws)])
                for f in (np.mean, np.std))  # fmt: skip
    ess = np.stack([rounds.mixing.ess_bulk[:4], long.mixing.ess_bulk])
    z = (mean[0] - mean[1]) / np.sqrt((sd**2 / ess).sum(axis=0))
    assert np.sqrt((z**2).mean()) < 1.4 and np.abs(z).max() < 5.0
    np.testing.assert_allclose(sd[0] / sd[1], 1.0, rtol=0, atol=0.25)


@pytest.mark.parametrize("chosen", [[5], [2, 3, 11], [0, 1, 4, 5, 6, 7, 8, 9]], ids=["alone", "three", "most"])
def test_a_sites_rounds_do_not_depend_on_its_company(problem, rounds, chosen):
    part = sampled_sites(problem.take(chosen), 7, PLAN)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(part, name), getattr(rounds, name)[chosen], err_msg=name)


def test_a_site_that_has_converged_stays_as_it_is(problem, once):
    """With limits that some sites meet at once, those keep the bits of their first round."""
    easy = PLAN._replace(rhat_limit=float(np.median(once.mixing.rhat.max(axis=-1))), ess_limit=1.0)
    there = once.converged(easy)
    assert there.any() and not there.all()
    found = sampled_sites(problem, 7, easy)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(found, name)[there], getattr(once, name)[there], err_msg=name)
    assert (found.steps[~there] > FIRST.total).all()


def test_sites_are_given_up_within_the_most_steps_and_flagged(problem):
    part = problem.part(0, 4)
    hopeless = PLAN._replace(ess_limit=1e6, max_steps=50_000)
    sampled = sampled_sites(part, 7, hopeless)
    assert not sampled.converged(hopeless).any()
    assert (sampled.steps <= 50_000).all() and (sampled.steps + lengthened(FIRST, 8).total > 50_000).all()
    arrays = site_summaries(part, sampled, hopeless)
    sites = site_coordinates(part.profile_id).assign({row.name: (row.dims, arrays[row.name]) for row in VARIABLES})
    table = site_status(sites, np.full(4, 6), [""] * 4, hopeless)
    assert (table["status"] == "not converged").all() and table["steps"].tolist() == sampled.steps.tolist()
    assert table["reason"].str.contains(r"limit").all()


def test_too_few_steps_for_another_round_leave_the_first(problem, once):
    sampled = sampled_sites(problem, 7, PLAN._replace(max_steps=FIRST.total + lengthened(FIRST, 2).total - 1))
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(sampled, name), getattr(once, name), err_msg=name)


def repeats(draws) -> float:
    """Share of draws that are the draw before."""
    return float((np.diff(draws, axis=2) == 0.0).all(axis=-1).mean())


def test_accepted_only_keeps_states_that_a_step_arrived_at(problem):
    """Every state is another one than before, while a fair sample repeats a state for as long as it was waited in."""
    plan = SitePlan(Schedule(1000, 1000, 3000, 10))
    every = plan._replace(schedule=plan.schedule._replace(thin=1))
    arrived = sampled_sites(problem, 7, plan._replace(accepted_only=True))
    path = sampled_sites(problem, 7, every)
    assert repeats(path.draws) > 0.5 and repeats(arrived.draws) == 0.0
    assert arrived.draws.shape == (12, 3, 300, 25)
    for site, chain in [(0, 0), (7, 2)]:
        states = {
            state.tobytes(): phi for state, phi in zip(path.draws[site, chain], path.phi[site, chain], strict=True)
        }
        for state, phi in zip(arrived.draws[site, chain], arrived.phi[site, chain], strict=True):
            assert states[state.tobytes()] == phi
    np.testing.assert_array_equal(arrived.acceptance, path.acceptance)


def test_states_in_good_places_are_waited_in_longer_so_leaving_waiting_times_out_fits_worse(problem):
    fair, arrived = (sampled_sites(problem, 7, SitePlan(FIRST, accepted_only=only)) for only in (False, True))
    assert (arrived.phi.mean(axis=(1, 2)) > fair.phi.mean(axis=(1, 2))).mean() > 0.7


def test_annealed_chains_are_narrower_than_the_posterior(problem, once):
    """Most where the layers tell something; parameters that nothing is known of stay as wide as their prior."""
    cooled = sampled_sites(problem, 7, SitePlan(FIRST, moves=Proposal(annealed=True)))
    fair, cold = (site_summaries(problem, one, PLAN)["soc_sd"] for one in (once, cooled))
    assert (cold < fair).mean() > 0.9 and np.median(cold / fair) < 0.6
    assert (cooled.phi.mean(axis=(1, 2)) < 0.4 * once.phi.mean(axis=(1, 2))).all()
    assert cooled.draws.std(axis=(1, 2)).mean() < once.draws.std(axis=(1, 2)).mean()
