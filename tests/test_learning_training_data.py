"""Observed layers of sites as arrays of one width, and the cells beside them."""

import numpy as np
import pandas as pd
from columns import temperate
from learnable import made_covariates

from proda.learning.training_data import (
    TARGET_DEPTHS,
    observed_sites,
    unlabelled_cells,
)


def test_layers_of_sites_stand_in_their_order_and_absent_ones_are_marked():
    layers = pd.DataFrame({"site": [1, 0, 1, 1], "depth": [0.1, 0.2, 0.4, 1.0], "soc": [9e3, 7e3, 5e3, 2e3]})
    sites = observed_sites(layers, temperate(2))
    assert sites.present.tolist() == [[True, False, False], [True, True, True]]
    assert sites.depth.tolist() == [[0.2, 0.0, 0.0], [0.1, 0.4, 1.0]]
    np.testing.assert_allclose(sites.soc, [[7, 0, 0], [9, 5, 2]])
    assert sites.forcing.shape == (2, 24)


def test_the_forcing_comes_back_as_the_model_takes_it():
    layers = pd.DataFrame({"site": [0, 1, 2], "depth": 0.1, "soc": 9e3})
    for packed, given in zip(observed_sites(layers, temperate(3)).columns, temperate(3), strict=True):
        np.testing.assert_allclose(packed, given, rtol=1e-6)


def test_cells_have_layers_where_profiles_have_most_and_are_as_wide_as_the_sites():
    frame = made_covariates(np.random.default_rng(1), 5)
    wide, narrow = (unlabelled_cells(frame, temperate(5, 1), width).sites for width in (11, 3))
    assert (
        wide.soc.shape == (5, 11) and wide.weight.shape == (5, 11, 4) and wide.present.sum() == 5 * len(TARGET_DEPTHS)
    )
    assert (wide.depth[:, : len(TARGET_DEPTHS)] == TARGET_DEPTHS).all()
    assert (narrow.depth == [TARGET_DEPTHS[0], TARGET_DEPTHS[4], TARGET_DEPTHS[-1]]).all() and narrow.present.all()
