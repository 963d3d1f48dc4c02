"""Training of the hybrid on profiles, then on the teacher ensemble, and its trees."""

import numpy as np
import pytest
from learnable import learnable

from proda.learning.distillation import (
    BOOSTED,
    FOREST,
    distillation_targets,
    teacher_trees,
    trained_hybrid,
    trained_on_layers,
    tree_carbon,
)
from proda.learning.hybrid import HybridPlan
from proda.learning.paper_network import copied, network_output
from proda.learning.scores import scores

KINDS = pytest.mark.parametrize("kind", [FOREST, BOOSTED])
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
    kept, encoded = copied(hybrid.trainer.networks), hybrid.encoding.encoded(made.frame)
    before = network_output(kept, encoded)
    assert trained_hybrid(made, TRAIN, PLAN, 2, trees).trainer is hybrid.trainer
    np.testing.assert_array_equal(network_output(kept, encoded), before)


def test_without_teachers_the_plan_is_that_of_layers_alone(made):
    plan = PLAN._replace(epochs=2, distillation_share=0.0, n_bins=0, dropout=0.2, learning_rate=2e-3)
    one, other = trained_hybrid(made, TRAIN, plan, 1), trained_on_layers(made, TRAIN, plan.of_layers_alone(), 1)
    np.testing.assert_array_equal(one.x(made.frame), other.x(made.frame))


def carbon(kind, made, train, cross_fitted=False):
    return tree_carbon(kind, made.frame, made.class_names, made.observed, train, 1, cross_fitted)


def with_soc(made, rows, soc):
    strange = made.observed.soc.copy()
    strange[rows] = np.where(made.observed.present[rows], soc, 0.0)
    return made._replace(observed=made.observed._replace(soc=strange))


@KINDS
def test_trees_predict_carbon_that_follows_from_depth_and_a_class(kind):
    made = learnable(300, noise=0.02)
    train, present = np.arange(300) < 200, made.observed.present
    soc = carbon(kind, made, train)
    held = present & ~train[:, None]
    assert scores(made.observed.soc[held], soc[held])["efficiency"] > 0.4
    assert (soc[~present] == 0.0).all() and (soc >= 0.0).all()


@pytest.mark.parametrize(("kind", "part"), [(FOREST, 0.8), (BOOSTED, 0.97)])
def test_cross_fitted_carbon_lies_nearer_to_that_without_scatter_than_the_profiles_do(kind, part):
    true, seen = learnable(400, noise=0.0).observed, learnable(400, noise=0.6)
    soc, present = carbon(kind, seen, np.ones(400, bool), True), seen.observed.present
    trees, profiles = (np.abs(values[present] - true.soc[present]).mean() for values in (soc, seen.observed.soc))
    assert trees < part * profiles


@KINDS
def test_a_training_site_does_not_influence_its_own_cross_fitted_carbon(kind):
    made, site, train = learnable(100), 7, np.ones(100, bool)
    soc, other = (carbon(kind, one, train, True) for one in (made, with_soc(made, site, 900.0)))
    assert (soc[site] == other[site]).all() and (soc != other).any()


@KINDS
def test_places_without_profiles_are_predicted_and_influence_nothing(kind):
    made, train = learnable(120), np.arange(120) < 90
    soc = carbon(kind, made, train, True)
    assert (soc == carbon(kind, with_soc(made, ~train, 900.0), train, True)).all()
    unseen = made.observed.present & ~train[:, None]
    assert np.corrcoef(soc[unseen], made.observed.soc[unseen])[0, 1] > 0.6
