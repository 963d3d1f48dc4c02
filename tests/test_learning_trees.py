"""Trees on carbon: skill at new sites, and cross-fitted predictions without the scatter of the site's own profile."""

import numpy as np
import pytest
from learnable import learnable

from proda.learning.scores import scores
from proda.learning.trees import BOOSTED, FOREST, tree_carbon, unseen_tree_carbon

KINDS = pytest.mark.parametrize("kind", [FOREST, BOOSTED])


def carbon(function, kind, made, train, seed=1):
    return function(kind, made.frame, made.class_names, made.observed, train, seed)


def with_soc(made, rows, soc):
    strange = made.observed.soc.copy()
    strange[rows] = np.where(made.observed.present[rows], soc, 0.0)
    return made._replace(observed=made.observed._replace(soc=strange))


@KINDS
def test_trees_predict_carbon_that_follows_from_depth_and_a_class(kind):
    made = learnable(300, noise=0.02)
    train, present = np.arange(300) < 200, made.observed.present
    soc = carbon(tree_carbon, kind, made, train)
    held = present & ~train[:, None]
    assert scores(made.observed.soc[held], soc[held])["efficiency"] > 0.4
    assert (soc[~present] == 0.0).all() and (soc >= 0.0).all()


@pytest.mark.parametrize(("kind", "part"), [(FOREST, 0.8), (BOOSTED, 0.97)])
def test_cross_fitted_carbon_lies_nearer_to_that_without_scatter_than_the_profiles_do(kind, part):
    true, seen = learnable(400, noise=0.0).observed, learnable(400, noise=0.6)
    soc, present = carbon(unseen_tree_carbon, kind, seen, np.ones(400, bool)), seen.observed.present
    trees, profiles = (np.abs(values[present] - true.soc[present]).mean() for values in (soc, seen.observed.soc))
    assert trees < part * profiles


@KINDS
def test_a_training_site_does_not_influence_its_own_cross_fitted_carbon(kind):
    made, site, train = learnable(100), 7, np.ones(100, bool)
    soc, other = (carbon(unseen_tree_carbon, kind, one, train) for one in (made, with_soc(made, site, 900.0)))
    assert (soc[site] == other[site]).all() and (soc != other).any()


@KINDS
def test_places_without_profiles_are_predicted_and_influence_nothing(kind):
    made, train = learnable(120), np.arange(120) < 90
    soc = carbon(unseen_tree_carbon, kind, made, train)
    assert (soc == carbon(unseen_tree_carbon, kind, with_soc(made, ~train, 900.0), train)).all()
    unseen = made.observed.present & ~train[:, None]
    assert np.corrcoef(soc[unseen], made.observed.soc[unseen])[0, 1] > 0.6
