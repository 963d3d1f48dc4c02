"""Trees from covariates and depth to carbon."""

import numpy as np
import pytest
from learnable import learnable

from proda.learning.encoding import NUMBERS
from proda.learning.hybrid import carbon_at_layers
from proda.learning.scores import scores
from proda.learning.trees import BOOSTED, DEPTHS, FOREST, CarbonInputs, fitted_trees, stacked_trees
from proda.model.configuration import CONFIGURATIONS


@pytest.mark.parametrize("kind", [FOREST, BOOSTED])
def test_trees_predict_carbon_that_follows_from_depth_and_a_class(kind):
    made = learnable(300, noise=0.02)
    sites, present = made.observed, made.observed.present
    trees = fitted_trees(kind, made, np.arange(200), 1)
    soc = trees.of_layers(made.frame, sites)
    assert scores(sites.soc[200:][present[200:]], soc[200:][present[200:]])["efficiency"] > 0.4
    assert (soc[~present] == 0.0).all() and (soc >= 0.0).all()


def test_carbon_at_the_depths_is_that_of_layers_there():
    made = learnable(60)
    trees = fitted_trees(BOOSTED, made, np.arange(60), 1)
    depth = np.tile(DEPTHS, (60, 1))
    here = made.observed._replace(upper=depth, lower=depth, soc=depth, present=np.ones(depth.shape, bool))
    np.testing.assert_array_equal(trees.at_depths(made.frame), trees.of_layers(made.frame, here))


def test_carbon_of_trees_without_the_site_lies_nearer_to_that_without_scatter_than_profiles_do():
    true, seen = learnable(400, noise=0.0).observed, learnable(400, noise=0.6)
    found, present = stacked_trees(seen, np.arange(400), 1).of_layers, seen.observed.present
    trees, profiles = (np.abs(values[present] - true.soc[present]).mean() for values in (found, seen.observed.soc))
    assert trees < 0.97 * profiles


def test_a_site_has_no_part_in_its_own_stacked_carbon_and_a_part_in_the_trees_for_other_places():
    made, site = learnable(100), 7
    strange = made.observed.soc.copy()
    strange[site] = np.where(made.observed.present[site], 900.0, 0.0)
    found, other = (
        stacked_trees(made._replace(observed=made.observed._replace(soc=values)), np.arange(100), 1)
        for values in (made.observed.soc, strange)
    )
    for one, two in zip(found[1:], other[1:], strict=True):
        assert (one[site] == two[site]).all() and (one != two).any()
    assert (found.trees.at_depths(made.frame) != other.trees.at_depths(made.frame)).any()


@pytest.mark.parametrize("configuration", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_after_the_numbers_stand_carbon_and_its_ratio_to_that_of_the_middle_of_the_prior_box(configuration):
    sites, depth = learnable(9, configuration=configuration).observed, np.tile(DEPTHS, (9, 1))
    here = sites._replace(upper=depth, lower=depth, soc=depth, present=np.ones(depth.shape, bool))
    reference = carbon_at_layers(np.full((9, len(configuration.parameters)), 0.5), here)
    carbon = CarbonInputs(None, np.array([[-2.0], [-1.0]]))
    added = carbon.added({NUMBERS: np.ones((9, 3), np.float32), "classes": 0}, depth, sites.columns)
    numbers = np.column_stack([np.log1p(depth) - 2.0, np.log1p(depth) - np.log1p(reference)])
    expected = np.column_stack([np.ones((9, 3)), np.clip(numbers, -2.0, -1.0)])
    np.testing.assert_allclose(added[NUMBERS], expected, rtol=1e-5, atol=1e-6)
    assert added[NUMBERS].dtype == np.float32 and added["classes"] == 0
    assert (reference > 0.0).any(axis=1).all() and (numbers < -2.0).any() and (numbers > -1.0).any()
