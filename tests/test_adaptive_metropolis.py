"""The sampler's chains give the distribution they are asked for, and the test that says so can fail."""

import numpy as np
import pytest
from lane_chains import ANNEALED, CLIPPED, REDRAWN, REFLECTED, UNIFORM_STEPS, Bent, chain_draws
from scipy import stats

from proda.compiled import kept_compiled
from proda.kernels.metropolis import Schedule, new_chains, reflected, wrapped
from proda.kernels.random import generator_states
from proda.kernels.simd import BLOCK_WIDTH, load, store

SCHEDULE = Schedule(5_000, 15_000, 400_000, 400)


def covariance(sd, correlation):
    sd, d = np.asarray(sd, float), len(sd)
    return np.outer(sd, sd) * np.where(np.eye(d, dtype=bool), 1.0, correlation)


FAR_FROM_WALLS = Bent(np.full(5, 0.5), covariance([0.02, 0.05, 0.08, 0.06, 0.03], 0.7))
CUT_BY_WALLS = Bent(np.array([0.1, 0.05, 0.5]), covariance([0.15, 0.2, 0.2], 0.8))
WIDE = Bent(np.array([0.2, 0.8]), covariance([0.6, 0.5], -0.6))
BANANA = Bent(np.array([0.5, 0.3, 0.9]), covariance([0.12, 0.03, 0.1], 0.0), bend=12.0)
# So many dimensions that each step goes along a few directions only; walls cut two of them.
MANY = Bent(np.array([0.08, 0.9, *[0.5] * 16]), covariance([0.12, 0.1, *np.linspace(0.02, 0.09, 16)], 0.5))
FORBIDDEN = Bent(np.array([0.5, 0.5]), covariance([0.15, 0.15], 0.5), nan_above=0.6, inf_above=0.55)
TARGETS = {
    "normal far from the walls": FAR_FROM_WALLS,
    "normal cut by the walls": CUT_BY_WALLS,
    "almost flat": WIDE,
    "banana": BANANA,
    "eighteen dimensions": MANY,
    "forbidden regions": FORBIDDEN,
}


def faults(target, draws):
    """What is wrong with draws (chain, draw, d) of a target: means, spreads, shapes of the margins."""
    exact, found = target.exact_draws(200_000), draws.reshape(-1, target.mean.size)
    mean, sd = exact.mean(axis=0), exact.std(axis=0)
    by_rank = np.array([stats.ks_2samp(found[:, k], exact[:, k]).pvalue for k in range(mean.size)])
    wrong = {
        "mean": np.abs(found.mean(axis=0) - mean) > 0.05 * sd,
        "sd": np.abs(found.std(axis=0) / sd - 1.0) > 0.05,
        "margin": by_rank * mean.size < 1e-3,
    }
    return [name for name, where in wrong.items() if where.any()]


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_chains_give_the_distribution_they_are_asked_for(target):
    draws, _ = chain_draws(target, SCHEDULE)
    assert ((draws >= 0.0) & (draws <= 1.0)).all()
    assert not faults(target, draws)
    correlation = np.corrcoef(draws.reshape(-1, target.mean.size).T)
    np.testing.assert_allclose(correlation, np.corrcoef(target.exact_draws(200_000).T), atol=0.03)


@pytest.mark.parametrize("name", ["normal cut by the walls", "banana", "eighteen dimensions"])
def test_stretched_coordinates_give_the_same_distribution(name):
    target = TARGETS[name]
    stretch = np.resize([3.0, 0.0, 1.0], target.mean.size)
    draws, phis = chain_draws(target, SCHEDULE, stretch=stretch)
    assert not faults(target, draws)
    u = draws - target.mean
    u[..., 1] -= target.bend * u[..., 0] ** 2
    direct = 0.5 * np.einsum("cnk,km,cnm->cn", u, np.linalg.inv(target.covariance), u)
    np.testing.assert_allclose(phis, direct, rtol=1e-8, atol=1e-8)


def test_the_uniform_steps_of_the_test_run_are_a_right_sampler_too():
    draws, _ = chain_draws(CUT_BY_WALLS, SCHEDULE, UNIFORM_STEPS)
    assert not faults(CUT_BY_WALLS, draws)


@pytest.mark.parametrize(
    ("rule", "told"),
    [(CLIPPED, {"margin", "sd"}), (REFLECTED, {"margin"}), (REDRAWN, {"margin"}), (ANNEALED, {"sd", "margin"})],
    ids=["clipping at the walls", "reflecting correlated steps", "redrawing until inside", "annealed acceptance"],
)
def test_a_wrong_rule_is_noticed(rule, told):
    draws, _ = chain_draws(CUT_BY_WALLS, SCHEDULE, rule)
    assert told <= set(faults(CUT_BY_WALLS, draws))


def test_what_happens_at_the_walls_does_not_matter_far_from_them_but_annealing_does():
    plan = SCHEDULE._replace(kept_steps=100_000, thin=200)
    assert not faults(FAR_FROM_WALLS, chain_draws(FAR_FROM_WALLS, plan, REFLECTED)[0])
    assert "sd" in faults(FAR_FROM_WALLS, chain_draws(FAR_FROM_WALLS, plan, ANNEALED)[0])


def test_infinite_misfits_and_misfits_that_are_not_numbers_are_never_accepted():
    draws, phis = chain_draws(FORBIDDEN, SCHEDULE._replace(kept_steps=20_000, thin=1))
    # Each chain starts anywhere, and takes the first finite proposal when it starts where it may not be.
    assert draws[..., 0].max() <= 0.6 and draws[..., 1].max() <= 0.55
    assert np.isfinite(phis).all()


@pytest.mark.parametrize("nowhere", [{"nan_above": -1.0}, {"inf_above": -1.0}], ids=["not a number", "infinite"])
def test_a_chain_that_finds_no_finite_misfit_does_not_move(nowhere):
    draws, phis = chain_draws(FORBIDDEN._replace(**nowhere), Schedule(300, 300, 300, 10))
    assert (np.ptp(draws, axis=1) == 0.0).all() and not np.isfinite(phis).any()


def test_the_misfit_kept_with_a_draw_is_that_of_the_draw():
    draws, phis = chain_draws(BANANA, Schedule(500, 500, 1000, 10))
    u = draws - BANANA.mean
    u[..., 1] -= BANANA.bend * u[..., 0] ** 2
    direct = 0.5 * np.einsum("cnk,km,cnm->cn", u, np.linalg.inv(BANANA.covariance), u)
    np.testing.assert_allclose(phis, direct, rtol=1e-10)


def test_chains_of_one_seed_are_identical_and_of_two_seeds_are_not():
    plan = Schedule(500, 500, 1000, 10)
    one = chain_draws(CUT_BY_WALLS, plan, seed=5)[0]
    np.testing.assert_array_equal(one, chain_draws(CUT_BY_WALLS, plan, seed=5)[0])
    assert not np.array_equal(one, chain_draws(CUT_BY_WALLS, plan, seed=6)[0])
    assert len({lane.tobytes() for lane in one}) == 2 * BLOCK_WIDTH


def test_the_kept_part_goes_on_with_what_was_learned_unchanged():
    """A chain kept twice as long begins with the draws of the shorter one."""
    short = chain_draws(CUT_BY_WALLS, Schedule(500, 1500, 1000, 10))[0]
    long = chain_draws(CUT_BY_WALLS, Schedule(500, 1500, 2000, 10))[0]
    np.testing.assert_array_equal(long[:, :100], short)


@kept_compiled
def fill_folded(x, wrapping, out):
    for row in range(x.size // BLOCK_WIDTH):
        store(out, row, wrapped(load(x, row)) if wrapping else reflected(load(x, row)))


def test_wrapping_is_the_remainder_and_reflection_folds_at_both_walls(rng):
    x = np.concatenate([rng.uniform(-3.0, 4.0, 30 * BLOCK_WIDTH - 4), [0.0, 1.0, 0.5, -0.0]])
    out = np.empty_like(x)
    fill_folded(x, True, out)
    distance = np.abs(out - np.mod(x, 1.0))
    assert np.minimum(distance, 1.0 - distance).max() < 1e-15 and ((out >= 0.0) & (out <= 1.0)).all()
    x = rng.uniform(-1.0, 2.0, 30 * BLOCK_WIDTH)
    out = np.empty_like(x)
    fill_folded(x, False, out)
    np.testing.assert_allclose(out, 1.0 - np.abs(np.mod(x, 2.0) - 1.0), atol=1e-15)


def test_new_chains_begin_with_the_optimal_step_length_and_an_empty_history():
    chains = new_chains(4, generator_states([(1, lane) for lane in range(BLOCK_WIDTH)]))
    np.testing.assert_allclose(chains.tuning.reshape(3, BLOCK_WIDTH)[0], 2.38 / 2.0)
    assert not chains.scatter.any() and chains.scatter.size == 10 * BLOCK_WIDTH and chains.count[0] == 0
