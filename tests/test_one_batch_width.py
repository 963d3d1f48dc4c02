"""The D of Eq. 7: raised during the test run until 15-50 % of a piece of it are accepted, and left at 5 otherwise."""

import numpy as np
import pytest
from pooled_study import pooled_study, sampled

from proda.assimilation import one_batch
from proda.kernels.metropolis import TEST_ACCEPTED, Schedule

PLAN = Schedule(10_000, 500, 500, 10)
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
    result = sampled(pooled_study(times=100), B=1.0, plan=PLAN, n_chains=1)
    step, share, D = np.array(judged).T
    assert step.tolist() == list(range(PIECE, PLAN.test_steps, PIECE))
    assert share[D == 5.0].max() < 0.15, "the paper's D would have done"
    assert result.D[0] > 10.0 and (np.diff(D) >= 0.0).all()
    assert ((share[-5:] > 0.10) & (share[-5:] < 0.50)).all()
    rose = np.append(np.diff(D) > 0.0, result.D[0] > D[-1])
    np.testing.assert_array_equal(rose, share < 0.15)
    np.testing.assert_allclose(np.log(result.D[0] / 5.0) / np.log(1.5), np.count_nonzero(rose), atol=1e-9)
    assert 0.0 < result.acceptance[0, 1] < 1.0


@pytest.mark.parametrize("B", [1.0, 1.0 / 30.0], ids=["formal", "one profile's worth"])
def test_d_stays_the_papers_where_enough_steps_are_accepted(judged, B):
    result = sampled(pooled_study(), B=B, plan=PLAN, n_chains=2, n_workers=1)
    assert len(judged) == 2 * (PLAN.test_steps // PIECE - 1)
    assert all(share > 0.15 and D == 5.0 for _, share, D in judged)
    assert result.D.tolist() == [5.0, 5.0]


def test_d_that_was_raised_too_far_comes_down_again_to_no_less_than_five(judged, monkeypatch):
    monkeypatch.setattr(one_batch, "WINDOW", (0.15, 0.25))
    began = one_batch.new_chains

    def narrow(*given):
        chains = began(*given)
        chains.widest[:] = 1.0 / 100.0
        return chains

    monkeypatch.setattr(one_batch, "new_chains", narrow)
    result = sampled(pooled_study(), B=1.0, plan=PLAN, n_chains=1)
    D = np.array([D for _, _, D in judged])
    assert D[0] == pytest.approx(100.0) and (np.diff(D) <= 0.0).all() and result.D[0] == pytest.approx(5.0)
