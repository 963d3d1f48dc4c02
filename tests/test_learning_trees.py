"""Trees from covariates and depth to carbon."""

import numpy as np
import pytest
from learnable import learnable

from proda.learning.scores import scores
from proda.learning.trees import BOOSTED, FOREST, cross_fitted_carbon, tree_carbon


@pytest.mark.parametrize("kind", [FOREST, BOOSTED])
def test_trees_predict_carbon_that_follows_from_depth_and_a_class(kind):
    made = learnable(300, noise=0.02)
    train, present = np.arange(300) < 200, made.observed.present
    soc = tree_carbon(kind, made.frame, made.class_names, made.observed, train, 1)
    held = present & ~train[:, None]
    assert scores(made.observed.soc[held], soc[held])["efficiency"] > 0.4
    assert (soc[~present] == 0.0).all() and (soc >= 0.0).all()
    again = made.observed._replace(soc=np.where(train[:, None], made.observed.soc, 900.0).astype(np.float32))
    np.testing.assert_array_equal(tree_carbon(kind, made.frame, made.class_names, again, train, 1), soc)


def test_cross_fitted_carbon_lies_nearer_to_that_without_scatter_than_the_profiles_do():
    true, seen = learnable(400, noise=0.0).observed, learnable(400, noise=0.6)
    soc, present = cross_fitted_carbon(seen.frame, seen.class_names, seen.observed, 1), seen.observed.present
    trees, profiles = (np.abs(values[present] - true.soc[present]).mean() for values in (soc, seen.observed.soc))
    assert trees < 0.97 * profiles


def test_a_site_does_not_influence_its_own_cross_fitted_carbon():
    made, site = learnable(100), 7
    strange = made.observed.soc.copy()
    strange[site] = np.where(made.observed.present[site], 900.0, 0.0)
    soc, other = (
        cross_fitted_carbon(made.frame, made.class_names, made.observed._replace(soc=values), 1)
        for values in (made.observed.soc, strange)
    )
    assert (soc[site] == other[site]).all() and (soc != other).any()
