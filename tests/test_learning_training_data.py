"""Observed layers of sites as arrays of one width, and the cells beside them."""

import numpy as np
import pandas as pd
import pytest
from columns import temperate
from learnable import made_covariates

from proda.errors import InputError
from proda.learning.training_data import (
    LEAST_CELLS,
    TARGET_DEPTHS,
    observed_sites,
    unlabelled_cells,
    unlabelled_rows,
)


def test_layers_of_sites_stand_in_their_order_and_absent_ones_are_marked():
    layers = pd.DataFrame({"site": [1, 0, 1, 1], "depth": [0.1, 0.2, 0.4, 1.0], "soc": [9e3, 7e3, 5e3, 2e3]})
    sites = observed_sites(layers, 2, temperate(2))
    assert sites.present.tolist() == [[True, False, False], [True, True, True]]
    assert sites.depth.tolist() == [[0.2, 0.0, 0.0], [0.1, 0.4, 1.0]]
    np.testing.assert_allclose(sites.soc, [[7, 0, 0], [9, 5, 2]])
    assert sites.forcing.shape == (2, 24)


def test_a_site_without_layers_and_forcing_of_other_sites_are_refused():
    layers = pd.DataFrame({"site": [0, 2], "depth": [0.1, 0.2], "soc": [9e3, 7e3]})
    with pytest.raises(InputError, match="site 1 has no observed layer"):
        observed_sites(layers, 3, temperate(3))
    with pytest.raises(InputError, match="forcing of 2 columns for 3 sites"):
        observed_sites(layers, 3, temperate(2))


def test_the_forcing_comes_back_as_the_model_takes_it():
    layers = pd.DataFrame({"site": [0, 1, 2], "depth": 0.1, "soc": 9e3})
    for packed, given in zip(observed_sites(layers, 3, temperate(3)).columns, temperate(3), strict=True):
        np.testing.assert_allclose(packed, given, rtol=1e-6)


def test_cells_have_layers_where_profiles_have_most_and_are_as_wide_as_the_sites():
    frame = made_covariates(np.random.default_rng(1), 5)
    wide, narrow = (unlabelled_cells(frame, temperate(5, 1), width).sites for width in (11, 3))
    assert (
        wide.soc.shape == (5, 11) and wide.weight.shape == (5, 11, 4) and wide.present.sum() == 5 * len(TARGET_DEPTHS)
    )
    assert (wide.depth[:, : len(TARGET_DEPTHS)] == TARGET_DEPTHS).all()
    assert (narrow.depth == [TARGET_DEPTHS[0], TARGET_DEPTHS[4], TARGET_DEPTHS[-1]]).all() and narrow.present.all()


@pytest.mark.parametrize(
    ("n_cells", "n_sites", "n"), [(30, 5, 30), (5000, 80, LEAST_CELLS), (5000, 2000, 2000), (5000, 9000, 5000)]
)
def test_as_many_cells_as_sites_are_taken_evenly_through_all_land(n_cells, n_sites, n):
    rows = unlabelled_rows(n_cells, n_sites)
    assert rows.size == np.unique(rows).size == n and rows[0] == 0 and rows[-1] == n_cells - 1
    assert np.ptp(np.diff(rows)) <= 1
