"""One-batch assimilation: the misfit of all profiles together, its constant B, and chains that go on from a file."""

import errno

import numpy as np
import pytest
from columns import drawn_columns, misfit
from made_sites import N_CELLS, N_PROFILES, POOLED_PLAN, pooled_draws, pooled_problem

from proda.assimilation import one_batch
from proda.assimilation.chains import EQUAL_WEIGHTS, ErrorModel, SiteProblem
from proda.assimilation.one_batch import batch_constant
from proda.errors import InputError, ProdaError
from proda.kernels import steady_state as kernels
from proda.kernels.metropolis import TEST_ACCEPTED, Proposal, Schedule
from proda.kernels.simd import BLOCK_WIDTH
from proda.model.configuration import CONFIGURATIONS
from proda.model.observation import at_depths
from proda.model.parameters import physical


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def study(request):
    return pooled_problem(configuration=CONFIGURATIONS[request.param])


@pytest.fixture(scope="module")
def result(study):
    return pooled_draws(study)


def profile_misfits(x, problem):
    """Misfit of each profile at one parameter set, (n_profiles,), solved for each profile by itself."""
    configuration = problem.configuration
    soc = kernels.soc_density(physical(x, problem.forcing, configuration.parameters), problem.forcing, configuration)
    return misfit(soc, problem.forms(), configuration.column)


def test_the_misfit_is_the_sum_over_all_profiles_and_what_fills_the_last_block_does_not_count(study, result):
    problem, cell = study
    assert np.unique(cell).size % BLOCK_WIDTH != 0, "the last block of cells must not be full"
    assert np.unique(cell).size < N_PROFILES < N_CELLS
    for chain, draw in [(0, 0), (1, 50), (2, 99)]:
        expected = profile_misfits(result.x[chain, draw], problem).sum()
        assert result.phi[chain, draw] == pytest.approx(expected, rel=1e-6)  # draws have 32 bits


def test_chains_can_be_repeated_whatever_the_number_of_workers(study, result):
    steps = []
    again = pooled_draws(study, n_workers=1, report=steps.append)
    np.testing.assert_array_equal(again.x, result.x)
    np.testing.assert_array_equal(again.phi, result.phi)
    assert sum(steps) == 3 * POOLED_PLAN.total
    assert not np.array_equal(result.x[0], result.x[1])
    assert not np.array_equal(pooled_draws(study, seed=4, n_chains=1).x[0], result.x[0])
    assert result.acceptance.shape == (3, 2) and ((result.acceptance > 0.0) & (result.acceptance < 1.0)).all()


def test_the_formal_posterior_fits_closer_and_is_narrower_than_the_tempered_one(study):
    plan = Schedule(2000, 4000, 6000, 20)
    tempered, formal = (pooled_draws(study, B, plan=plan) for B in (1.0 / 30.0, 1.0))
    assert formal.phi.mean() < tempered.phi.mean()
    assert formal.x.std(axis=1).mean() < 0.8 * tempered.x.std(axis=1).mean()
    prior = np.random.default_rng(1).uniform(0.05, 0.6, (20, tempered.x.shape[-1]))
    assert tempered.phi.mean() < np.median([profile_misfits(x, study[0]).sum() for x in prior])


@pytest.mark.parametrize("phi", [7.5, np.nan, np.inf])
def test_chains_that_never_move_or_find_no_finite_misfit_are_an_error_that_says_what_to_change(study, phi, monkeypatch):
    """Whatever the reason: here the chains are not run at all."""
    monkeypatch.setattr(one_batch.metropolis, "run_chains", lambda *given: given[-1].fill(phi))
    with pytest.raises(InputError, match=r"chain 1 of 3 never moved .* Check relative_sd and one_batch_B"):
        pooled_draws(study)


def test_the_batch_constant_is_a_number_or_one_over_the_number_of_profiles():
    assert batch_constant("1/n", 50) == batch_constant(" 1 / n ", 50) == 0.02
    assert batch_constant("1", 50) == batch_constant(1.0, 50) == 1.0
    assert batch_constant("20/n", 50) == 0.4 and batch_constant("100/n", 50) == 1.0


@pytest.mark.parametrize("setting", ["0", "-1", "1/m", "nan", "inf", ""])
def test_a_batch_constant_that_is_not_positive_is_refused(setting):
    with pytest.raises(InputError, match="one_batch_B is .* expected a positive number, or such as '100/n'"):
        batch_constant(setting, 50)


WIDTH_PLAN = Schedule(10_000, 500, 500, 10)
PIECE = 500  # a twentieth of the test run


@pytest.fixture
def judged(monkeypatch):
    """Shares accepted in the pieces of the test run, with the D they were taken with, in the order of judgement."""
    seen, judge = [], one_batch._with_adjusted_width

    def watched(progress, piece):
        share = (progress.accepted(TEST_ACCEPTED) - progress.accepted_before) / piece
        seen.append((progress.step, share, 1.0 / progress.chains.widest[0]))
        return judge(progress, piece)

    monkeypatch.setattr(one_batch, "_with_adjusted_width", watched)
    return seen


def test_the_formal_posterior_of_many_profiles_raises_d_until_enough_steps_are_accepted(judged):
    result = pooled_draws(pooled_problem(times=100), B=1.0, plan=WIDTH_PLAN, n_chains=1)
    step, share, D = np.array(judged).T
    assert step.tolist() == list(range(PIECE, WIDTH_PLAN.test_steps, PIECE))
    assert share[D == 5.0].max() < 0.15, "the paper's D would have done"
    assert result.D[0] > 10.0 and (np.diff(D) >= 0.0).all()
    assert ((share[-5:] > 0.10) & (share[-5:] < 0.50)).all()
    rose = np.append(np.diff(D) > 0.0, result.D[0] > D[-1])
    np.testing.assert_array_equal(rose, share < 0.15)
    np.testing.assert_allclose(np.log(result.D[0] / 5.0) / np.log(1.5), np.count_nonzero(rose), atol=1e-9)


def test_d_stays_the_papers_where_enough_steps_are_accepted_and_comes_down_to_it(judged, monkeypatch):
    study = pooled_problem()
    assert pooled_draws(study, plan=WIDTH_PLAN, n_chains=2, n_workers=1).D.tolist() == [5.0, 5.0]
    assert all(share > 0.15 and D == 5.0 for _, share, D in judged)
    judged.clear()
    monkeypatch.setattr(one_batch, "ACCEPTED", (0.15, 0.25))
    began = one_batch.new_chains

    def narrow(*given):
        chains = began(*given)
        chains.widest[:] = 1.0 / 100.0
        return chains

    monkeypatch.setattr(one_batch, "new_chains", narrow)
    result = pooled_draws(study, B=1.0, plan=WIDTH_PLAN, n_chains=1)
    D = np.array([D for _, _, D in judged])
    assert D[0] == pytest.approx(100.0) and (np.diff(D) <= 0.0).all() and result.D[0] == pytest.approx(5.0)


# Chains on disk.
MANY = pooled_problem(times=100)


class Stopped(Exception):
    """The run ends here, as by a signal."""


def stopping_after(steps: int):
    """A `report` that stops the run when so many steps have been taken."""
    taken = []

    def report(n: int) -> None:
        taken.append(n)
        if sum(taken) > steps:
            raise Stopped

    return report


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(one_batch, "SECONDS_BETWEEN", 0.0)


@pytest.fixture(scope="module")
def undisturbed():
    return pooled_draws(MANY, B=1.0, n_chains=2)


@pytest.mark.parametrize("steps", [330, 700, 1600], ids=["test run", "burn-in", "kept part"])
def test_an_interrupted_chain_goes_on_to_the_same_bits(undisturbed, tmp_path, often, steps):
    how = {"B": 1.0, "n_chains": 2, "n_workers": 1, "checkpoints": tmp_path}
    with pytest.raises(Stopped):
        pooled_draws(MANY, **how, report=stopping_after(steps))
    reported = []
    again = pooled_draws(MANY, **how, report=reported.append)
    assert max(reported) > 50 and sum(reported) == 2 * POOLED_PLAN.total
    for name, values in again._asdict().items():
        np.testing.assert_array_equal(values, getattr(undisturbed, name), err_msg=name)


@pytest.mark.parametrize("how", ["cut short", "empty", "a bit flipped"])
def test_a_chain_whose_file_is_damaged_begins_anew(undisturbed, tmp_path, often, how):
    with pytest.raises(Stopped):
        pooled_draws(MANY, B=1.0, n_chains=1, checkpoints=tmp_path, report=stopping_after(1000))
    path = tmp_path / "chain-1.npz"
    content = path.read_bytes()
    middle = content.index(b"chains_mean") + 600
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    path.write_bytes({"cut short": content[: len(content) // 2], "empty": b"", "a bit flipped": flipped}[how])
    reported = []
    again = pooled_draws(MANY, B=1.0, n_chains=1, checkpoints=tmp_path, report=reported.append)
    np.testing.assert_array_equal(again.x[0], undisturbed.x[0])
    assert max(reported) == 50


def test_a_full_disk_is_an_error_and_leaves_what_was_saved_before(undisturbed, tmp_path, often, monkeypatch):
    with pytest.raises(Stopped):
        pooled_draws(MANY, B=1.0, n_chains=1, checkpoints=tmp_path, report=stopping_after(600))
    before = (tmp_path / "chain-1.npz").read_bytes()

    def full(*given, **named):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(one_batch.np, "savez", full)
        with pytest.raises(ProdaError, match=r"chain-1.npz cannot be written: No space left on device\. Make room"):
            pooled_draws(MANY, B=1.0, n_chains=1, checkpoints=tmp_path)
    assert (tmp_path / "chain-1.npz").read_bytes() == before
    again = pooled_draws(MANY, B=1.0, n_chains=1, checkpoints=tmp_path)
    np.testing.assert_array_equal(again.x[0], undisturbed.x[0])


def test_the_relative_part_and_the_floor_of_the_error_are_sampled_with_the_parameters(tmp_path):
    """Profiles of one set of parameters, with a known error; a chain that was stopped goes on to the same bits."""
    rng, true_error = np.random.default_rng(5), ErrorModel(0.2, 3.0, EQUAL_WEIGHTS)
    theta, forcing = drawn_columns(1, seed=21, low=0.4, high=0.6)
    forcing = forcing.take(np.zeros(40, int))
    soc = kernels.soc_density(np.repeat(theta, 40, axis=1), forcing)
    site, depth = np.repeat(np.arange(40), 8), np.tile(np.linspace(0.02, 1.5, 8), 40)
    truth = at_depths(soc, site, depth)
    # Lighter and heavier soils, so that both parts show.
    observed = np.maximum(truth + true_error.sd(truth) * rng.standard_normal(truth.size), 10.0)
    first = ErrorModel(0.5, 0.5, EQUAL_WEIGHTS)
    names, ones = [f"P{k}" for k in range(40)], np.ones(site.size)
    problem = SiteProblem(names, forcing, site, depth, depth, observed, first.sd(observed), ones)
    how = {"plan": Schedule(2000, 4000, 6000, 20), "n_chains": 2, "B": 1.0, "estimated": first}
    result = pooled_draws((problem, np.zeros(40, int)), **how)
    late = result.error[:, -200:].reshape(-1, 2)
    assert np.isfinite(result.error).all() and len(np.unique(late[:, 0])) > 10
    spread = true_error.sd(truth).mean()
    assert np.mean([ErrorModel(*one).sd(truth).mean() for one in late]) == pytest.approx(spread, rel=0.25)
    assert np.isnan(pooled_draws(pooled_problem()).error).all()


def test_of_a_literal_run_one_accepted_chain_is_the_posterior(study):
    plan = Schedule(1000, 2000, 3000, 20)
    result = pooled_draws(study, plan=plan, proposal=Proposal(literal=True))
    accepted = (result.acceptance[:, 1] >= 0.15) & (result.acceptance[:, 1] <= 0.5)
    assert result.D.tolist() == [5.0] * 3 and result.posterior_chain in {*np.flatnonzero(accepted), -1}
    chosen = result._replace(posterior_chain=1)
    np.testing.assert_array_equal(chosen.posterior, result.x[1])
    assert result._replace(posterior_chain=-1).posterior.shape == (450, result.x.shape[-1])
