"""Observed layers of sites as arrays of one width."""

import numpy as np
import pandas as pd
import pytest
from columns import seasonal_forcing, temperate

from proda.learning.training_data import observed_sites
from proda.model.configuration import CONFIGURATIONS, configuration_of, validated


def test_layers_of_sites_stand_in_their_order_and_absent_ones_are_marked():
    layers = pd.DataFrame({"site": [1, 0, 1, 1], "depth": [0.1, 0.2, 0.4, 1.0], "soc": [9e3, 7e3, 5e3, 2e3]})
    layers = layers.assign(upper_depth=layers["depth"] - 0.1, lower_depth=layers["depth"] + 0.2)
    sites = observed_sites(layers, temperate(2), "mid-depth")
    assert sites.present.tolist() == [[True, False, False], [True, True, True]]
    assert sites.depth.tolist() == [[0.2, 0.0, 0.0], [0.1, 0.4, 1.0]]
    np.testing.assert_allclose(sites.soc, [[7, 0, 0], [9, 5, 2]])
    assert sites.forcing.shape == (2, 24)


@pytest.mark.parametrize("forcing", [temperate(3), seasonal_forcing(3)], ids=CONFIGURATIONS)
def test_the_forcing_comes_back_as_the_model_takes_it(forcing):
    layers = pd.DataFrame({"site": [0, 1, 2], "upper_depth": 0.1, "lower_depth": 0.2, "soc": 9e3})
    sites = observed_sites(layers, forcing)
    assert sites.configuration is configuration_of(forcing)
    assert sites.operator.shape == (3, 1, 2 * sites.configuration.column.n_layers)
    for packed, given in zip(validated(sites.columns, sites.configuration), forcing, strict=True):
        np.testing.assert_allclose(packed, given, rtol=1e-6)


def test_layers_beyond_the_most_are_thinned_evenly():
    depth = np.array([*np.arange(1, 10) / 10, 0.1, 0.2, 0.3])
    bounds = {"upper_depth": depth - 0.05, "lower_depth": depth + 0.05}
    layers = pd.DataFrame({"site": [0] * 9 + [1] * 3, **bounds, "soc": 1e3})
    few = observed_sites(layers, temperate(2)).at_most(5)
    np.testing.assert_allclose(few.depth, [[0.1, 0.3, 0.5, 0.7, 0.9], [0.1, 0.2, 0.3, 0.0, 0.0]])
    assert few.operator.shape == (2, 5, 20) and few.present.sum() == 8
    assert observed_sites(layers, temperate(2)).at_most(20).soc.shape == (2, 9)
