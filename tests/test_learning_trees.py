"""Trees from covariates and depth to carbon."""

import numpy as np
import pytest
from learnable import learnable

from proda.learning.scores import scores
from proda.learning.trees import BOOSTED, FOREST, tree_carbon


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
