"""Carbon with the spread of its parameters."""

import numpy as np
import pytest
from learnable import learnable

from proda.errors import InputError
from proda.kernels import steady_state as lanes
from proda.learning.soil_layer import deviations, soc_with_spread
from proda.model.parameters import physical


def test_without_deviations_it_is_the_model_itself():
    made = learnable(40)
    plain = lanes.soc_density(physical(made.x_mean.T, made.forcing), made.forcing)
    np.testing.assert_allclose(soc_with_spread(made.x_mean, np.zeros((3, 25)), made.forcing), plain, rtol=1e-12)


def test_the_mean_over_the_draws_of_a_site_comes_back_from_its_mean_and_their_deviations():
    made = learnable(30)
    draws = made.draws.astype(float)
    one = made.forcing.take(np.zeros(12, int))
    expected = lanes.soc_density(physical(draws[0].T, one), one).mean(axis=1)
    mean = draws[0].mean(axis=0)
    found = soc_with_spread(mean[None], draws[0] - mean, made.forcing.take([0]))
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-10)


def test_deviations_are_whole_vectors_of_one_site_and_draw():
    draws = np.random.default_rng(3).random((6, 5, 25))
    predicted = np.random.default_rng(4).random((6, 25))
    possible = (draws - predicted[:, None]).reshape(-1, 25)
    for vector in deviations(draws, predicted, 40, seed=2):
        assert np.isclose(possible, vector).all(axis=1).any()
    # As many sites as there are take part before any takes part twice.
    found = deviations(draws, predicted, 6, seed=2)
    sites = {int(np.isclose(possible, vector).all(axis=1).argmax()) // 5 for vector in found}
    assert sites == set(range(6))


def test_draws_of_other_sites_are_told():
    with pytest.raises(InputError, match="of the same sites"):
        deviations(np.zeros((4, 3, 25)), np.zeros((5, 25)), 10, seed=1)
