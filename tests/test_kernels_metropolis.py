"""The chains sample the distribution they should, in any coordinates, and the test can fail."""

import numpy as np
import pytest
from made_sites import SHORT, few_sites
from scipy import stats
from scipy.stats import kstest

from proda.assimilation import sbc
from proda.assimilation.chains import sampled_sites
from proda.compiled import kept_compiled
from proda.kernels import metropolis
from proda.kernels import steady_state as kernels
from proda.kernels.metropolis import SCALE, Schedule
from proda.kernels.simd import BLOCK_WIDTH, generator_states, load, store
from proda.model.configuration import CESM2, PAPER, configuration_of
from proda.model.parameters import INNER, SHARES, physical

SCHEDULE = Schedule(5_000, 15_000, 800_000, 400)


def covariance(sd, correlation):
    sd, d = np.asarray(sd, float), len(sd)
    return np.outer(sd, sd) * np.where(np.eye(d, dtype=bool), 1.0, correlation)


TARGETS = {
    "normal far from the bounds": sbc.Bent(np.full(5, 0.5), covariance([0.02, 0.05, 0.08, 0.06, 0.03], 0.7)),
    "normal cut by the bounds": sbc.CUT_BY_BOUNDS,
    "almost flat": sbc.Bent(np.array([0.2, 0.8]), covariance([0.6, 0.5], -0.6)),
    "banana": sbc.BANANA,
    # So many dimensions that each step goes along a few directions only; bounds cut two of them.
    "eighteen dimensions": sbc.Bent(
        np.array([0.08, 0.9, *[0.5] * 16]), covariance([0.12, 0.1, *np.linspace(0.02, 0.09, 16)], 0.5)
    ),
}


def faults(target, draws):
    """What is wrong with draws (chain, draw, d) of a target: means, spreads, shapes of the margins."""
    exact, sampled = target.exact_draws(200_000), draws.reshape(-1, target.mean.size)
    mean, sd = exact.mean(axis=0), exact.std(axis=0)
    by_rank = np.array([stats.ks_2samp(sampled[:, k], exact[:, k]).pvalue for k in range(mean.size)])
    wrong = {
        "mean": np.abs(sampled.mean(axis=0) - mean) > 0.05 * sd,
        "sd": np.abs(sampled.std(axis=0) / sd - 1.0) > 0.05,
        "margin": by_rank * mean.size < 1e-3,
    }
    return [name for name, where in wrong.items() if where.any()]


@pytest.mark.parametrize("rule", [sbc.AS_HERE, sbc.LITERAL], ids=["tuned", "literal"])
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_chains_give_the_distribution_they_are_asked_for(target, rule):
    draws, _ = sbc.chain_draws(target, SCHEDULE, rule)
    assert ((draws >= 0.0) & (draws <= 1.0)).all()
    assert not faults(target, draws)
    correlation = np.corrcoef(draws.reshape(-1, target.mean.size).T)
    np.testing.assert_allclose(correlation, np.corrcoef(target.exact_draws(200_000).T), atol=0.03)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [(sbc.REFLECTED, {"margin"}), (sbc.REDRAWN, {"margin"}), (sbc.ANNEALED, {"sd", "margin"})],
    ids=["reflecting correlated steps", "redrawing until inside", "annealed acceptance"],
)
def test_a_wrong_rule_is_noticed(rule, expected):
    draws, _ = sbc.chain_draws(sbc.CUT_BY_BOUNDS, SCHEDULE, rule)
    assert expected <= set(faults(sbc.CUT_BY_BOUNDS, draws))


@kept_compiled
def accept_once(chains, proposed):
    metropolis.accept(chains, load(proposed, 0))


def test_infinite_misfits_and_misfits_that_are_not_numbers_are_never_accepted():
    """From anywhere else, also from where the misfit is not finite, a finite one is."""
    chains = metropolis.new_chains(2, generator_states([(1, k) for k in range(BLOCK_WIDTH)]))
    chains.proposal[:] = 1.0
    chains.phi[:8] = [3.0, 3.0, np.inf, np.nan, np.inf, np.nan, np.inf, 3.0]
    proposed = np.zeros(BLOCK_WIDTH)
    proposed[:8] = [np.nan, np.inf, np.nan, np.inf, 7.0, 7.0, np.inf, 2.0]
    accept_once(chains, proposed)
    assert chains.x.reshape(2, -1)[:, :8].tolist() == [[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0]] * 2
    np.testing.assert_array_equal(chains.phi[[0, 1, 4, 5, 7]], [3.0, 3.0, 7.0, 7.0, 2.0])


def test_the_misfit_kept_with_a_draw_is_that_of_the_draw():
    draws, phis = sbc.chain_draws(sbc.BANANA, Schedule(500, 500, 1000, 10))
    u = draws - sbc.BANANA.mean
    u[..., 1] -= sbc.BANANA.bend * u[..., 0] ** 2
    direct = 0.5 * np.einsum("cnk,km,cnm->cn", u, np.linalg.inv(sbc.BANANA.covariance), u)
    np.testing.assert_allclose(phis, direct, rtol=1e-10)


def test_chains_of_one_seed_are_identical_and_of_two_seeds_are_not():
    plan = Schedule(500, 500, 1000, 10)
    one = sbc.chain_draws(sbc.CUT_BY_BOUNDS, plan, seed=5)[0]
    np.testing.assert_array_equal(one, sbc.chain_draws(sbc.CUT_BY_BOUNDS, plan, seed=5)[0])
    assert not np.array_equal(one, sbc.chain_draws(sbc.CUT_BY_BOUNDS, plan, seed=6)[0])
    assert len({chain.tobytes() for chain in one}) == BLOCK_WIDTH


@kept_compiled
def adapt_from(chains, moved, begin, end, schedule, literal):
    for t in range(begin, end):
        metropolis.adapt(chains, load(moved, 0), t, schedule, literal)


def test_a_literal_chain_never_tunes_its_steps_and_adapts_its_covariance_to_the_end(rng):
    states = generator_states([(1, k) for k in range(BLOCK_WIDTH)])
    chains, schedule, found = metropolis.new_chains(3, states), Schedule(100, 300, 800, 4), []
    for begin, end in ((0, 100), (100, 400), (400, 1200)):
        chains.x[:] = rng.random(chains.x.size)
        adapt_from(chains, np.full(BLOCK_WIDTH, 0.9), begin, end, schedule, True)
        found.append((chains.tuning.reshape(3, -1)[SCALE].copy(), int(chains.count[0])))
    for scale, _ in found:
        np.testing.assert_allclose(scale, 2.38 / np.sqrt(3.0))
    later = [np.arange(100, end) for end in (100, 400, 1200)]
    assert [count for _, count in found] == [(steps % metropolis.HISTORY_EVERY == 0).sum() for steps in later]


@kept_compiled
def one_uniform_step(chains, literal):
    metropolis.propose_uniform(chains, literal, False)


def test_literal_test_steps_are_a_tenth_of_the_range_at_most_and_uniform():
    steps = []
    for seed in range(60):
        chains = metropolis.new_chains(25, generator_states([(seed, k) for k in range(BLOCK_WIDTH)]))
        chains.x[:] = 0.5
        one_uniform_step(chains, True)
        steps.append(chains.proposal - 0.5)
    assert kstest(np.ravel(steps), "uniform", args=(-0.1, 0.2)).pvalue > 1e-3


@kept_compiled
def one_redrawn_step(chains, uniform):
    metropolis.propose_inside(chains, uniform, True)


@pytest.mark.parametrize("uniform", [True, False], ids=["Eq. 7", "Eq. 8"])
def test_a_redrawn_step_ends_inside_and_depends_on_no_neighbour(uniform):
    """A chain in a corner of many dimensions finds no step, and has none."""
    found, states = [], generator_states([(7, k) for k in range(BLOCK_WIDTH)])
    for neighbours in (0.5, 0.04):
        chains = metropolis.new_chains(25, states)
        chains.factor.reshape(-1, BLOCK_WIDTH)[np.arange(25) * (np.arange(25) + 3) // 2] = 0.1
        x = chains.x.reshape(25, -1)
        x[:], x[:5, 1], x[:, 2], x[0, 3:] = 0.5, 0.04, 1e-6, neighbours
        one_redrawn_step(chains, uniform)
        found.append((chains.proposal.reshape(25, -1).copy(), chains.random.reshape(4, -1).copy()))
    (first, words), (second, other_words) = found
    np.testing.assert_array_equal(first[:, :3], second[:, :3])
    np.testing.assert_array_equal(words[:, :3], other_words[:, :3])
    assert (
        np.isnan(first[:, 2]).all() and ((np.delete(second, 2, axis=1) > 0.0) & (np.delete(second, 2, 1) < 1.0)).all()
    )
    assert (second[:, 0] != 0.5).all() and np.ptp(second[1, 3:]) > 0.0


def test_step_lengths_and_covariance_change_in_the_burn_in_and_stay_in_the_kept_part(rng):
    chains, schedule = (
        metropolis.new_chains(3, generator_states([(1, k) for k in range(BLOCK_WIDTH)])),
        Schedule(100, 300, 400, 4),
    )
    # Close to the acceptance aimed at: the step length reaches neither end of its range, where it would stay anyway.
    chains.x[:], moved = rng.random(chains.x.size), np.full(BLOCK_WIDTH, 0.25)
    found = []
    for begin, end in ((0, 100), (100, 400), (400, 800)):
        adapt_from(chains, moved, begin, end, schedule, False)
        found.append(np.concatenate([chains.tuning.reshape(3, -1)[SCALE], chains.factor, chains.scatter, chains.mean]))
        chains.x[:] = rng.random(chains.x.size)
    assert (found[1] != found[0]).any()
    np.testing.assert_array_equal(found[2], found[1])


@kept_compiled
def fill_phi(u, target, out):
    for block in range(u.shape[0]):
        store(out, block, metropolis.proposed_phi(u[block], target))


def phi_in_chains(x, forcing, forms):
    """The misfit as chains compute it, (k, n), of positions x (k, n, d) at n columns; n is `BLOCK_WIDTH`."""
    target = metropolis.new_target(forcing, forms, False, configuration=configuration_of(forcing))
    out = np.empty(len(x) * BLOCK_WIDTH)
    fill_phi(np.ascontiguousarray(np.swapaxes(x, 1, 2)).reshape(len(x), -1), target, out)
    return out.reshape(len(x), -1)


@pytest.mark.parametrize("place", ["draws of the posterior", "anywhere", "corners"])
@pytest.mark.parametrize("configuration", [PAPER, CESM2], ids=lambda each: each.name)
def test_the_misfit_of_chains_is_that_of_the_model_to_far_less_than_an_acceptance_notices(rng, configuration, place):
    problem, table = few_sites(BLOCK_WIDTH, configuration=configuration), configuration.parameters
    shape = 60, BLOCK_WIDTH, len(table)
    if place == "draws of the posterior":
        draws = sampled_sites(problem, 3, SHORT).draws
        x = np.swapaxes(draws.reshape(BLOCK_WIDTH, -1, len(table)), 0, 1)[:60].astype(float)
    else:
        x = rng.random(shape) if place == "anywhere" else rng.choice([INNER, 1.0 - INNER], shape)
        x[..., list(SHARES) if table.has_shares else []] *= 0.6
    found = phi_in_chains(x, problem.forcing, problem.forms())
    theta = np.stack([physical(one.T, problem.forcing, table) for one in x])
    soc = kernels.soc_density(theta, problem.forcing, configuration)
    error = np.stack([(problem.modelled(one) - problem.soc) / problem.sd for one in soc])
    expected = np.stack([np.bincount(problem.site, 0.5 * problem.weight * one**2) for one in error])
    near = expected < 1000.0
    assert near.sum() > 100 and np.abs(found - expected)[near].max() < 2e-3
    assert not (found[~near] < 900.0).any(), "what is far away stays far away, or is no number"
