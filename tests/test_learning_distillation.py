"""Training of the hybrid on profiles, then on the teacher ensemble."""

import numpy as np
import pytest
from learnable import learnable

from proda.learning.distillation import (
    batch_size_of,
    distillation_targets,
    teacher_trees,
    trained_hybrid,
    trained_on_layers,
)
from proda.learning.hybrid import HybridPlan

TRAIN = np.arange(80)
PLAN = HybridPlan(n_members=2, epochs=40, n_bins=3, distillation_share=1.0)


@pytest.fixture(scope="module")
def made():
    return learnable(80)


def test_the_target_of_a_site_goes_from_its_profile_to_the_mean_of_the_teachers(made):
    both = made.observed.joined(made.land.sites)
    teachers = [*teacher_trees(made, TRAIN, 1), np.where(both.present, 7.0, 0.0)]
    none, half, whole = (distillation_targets(both, teachers, 80, share).soc for share in (0.0, 0.5, 1.0))
    assert whole.shape == (120, 4) and (none[:80] == made.observed.soc).all()
    np.testing.assert_allclose(half[:80], (made.observed.soc + whole[:80]) / 2, rtol=1e-6)
    np.testing.assert_allclose(whole, np.mean(teachers, axis=0), rtol=1e-5)
    assert (none[80:] == whole[80:]).all() and (whole[80:] > 0.0).all(), "a cell has the teachers' mean alone"


def test_the_hybrid_follows_its_teachers_where_no_profile_is_and_stays_when_another_is_trained(made):
    trees = teacher_trees(made, TRAIN, 1)
    alone = trained_on_layers(made, TRAIN, PLAN.of_layers_alone(), seed=1)
    first = alone.soc(made.land.frame, made.land.sites).mean(axis=0)
    target = np.mean([trees[0][80:], trees[1][80:], first], axis=0)
    hybrid = trained_hybrid(made, TRAIN, PLAN, 1, trees)
    found = hybrid.soc(made.land.frame, made.land.sites).mean(axis=0)
    assert np.mean((found - target) ** 2) < 0.1 * target.var()
    assert hybrid.encoding.edges.shape == (2, 4) and alone.encoding.edges.shape == (2, 0)
    kept = hybrid.predictor({})
    before = kept(made.frame).x
    assert trained_hybrid(made, TRAIN, PLAN, 2, trees).trainer is hybrid.trainer
    np.testing.assert_array_equal(kept(made.frame).x, before)


def test_without_teachers_the_plan_is_that_of_layers_alone(made):
    plan = PLAN._replace(epochs=2, distillation_share=0.0, n_bins=0, dropout=0.2, learning_rate=2e-3)
    one, other = trained_hybrid(made, TRAIN, plan, 1), trained_on_layers(made, TRAIN, plan.of_layers_alone(), 1)
    np.testing.assert_array_equal(one.x(made.frame), other.x(made.frame))


def test_batches_leave_some_thirty_steps_in_an_epoch():
    assert [batch_size_of(n) for n in (1, 480, 1000, 5000, 10**6)] == [16, 16, 32, 128, 256]
