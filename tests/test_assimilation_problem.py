"""The sites of a study as the sampler takes them, and which of them it cannot sample."""

import numpy as np
import pandas as pd
import pytest
from columns import drawn_columns
from made_sites import DEPTH, few_sites

from proda.assimilation.problem import site_faults, site_problem


@pytest.fixture
def tables():
    profiles = pd.DataFrame({"profile_id": ["a", "b"], "cell": [5, 2]})
    return profiles, pd.DataFrame({"site": [0, 0, 1], "depth": [0.1, 0.5, 0.2], "soc": [9e3, 4e3, 7e3]})


def test_the_problem_is_made_from_the_tidy_tables(tables):
    forcing = drawn_columns(8, seed=11, low=0.2, high=0.8)[1]
    problem = site_problem(*tables, forcing, 0.3)
    np.testing.assert_array_equal(problem.forcing.npp_mean, forcing.npp_mean[[5, 2]])
    np.testing.assert_allclose(problem.sd, [2700.0, 1200.0, 2100.0])
    second = problem.part(1, 2)
    assert second.profile_id == ["b"] and second.site.tolist() == [0] and second.soc.tolist() == [7e3]
    assert second.sd.tolist() == problem.sd[2:].tolist() and second.weight.tolist() == [10.0]


def test_a_reported_uncertainty_of_the_density_adds_in_quadrature(tables):
    profiles, layers = tables
    forcing = drawn_columns(8, seed=11, low=0.2, high=0.8)[1]
    problem = site_problem(profiles, layers.assign(density_relative_sd=[0.4, 0.0, 0.4]), forcing, 0.3)
    np.testing.assert_allclose(problem.sd, [4500.0, 1200.0, 3500.0])


def test_sites_taken_out_of_a_problem_keep_what_is_theirs_and_one_taken_twice_is_two():
    problem = few_sites(20)
    few = problem.take([17, 3, 17])
    assert few.profile_id == ["P17", "P3", "P17"] and few.site.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    np.testing.assert_array_equal(few.forms(), problem.forms()[:, [17, 3, 17]])
    upper = problem.layers(problem.depth < 0.5)
    assert upper.n_sites == 20 and upper.site.size == 3 * 20
    np.testing.assert_array_equal(upper.weight, problem.weight[problem.depth < 0.5])
    # A site without layers, and layers in any order.
    mixed = upper.layers(upper.site != 3)
    mixed = mixed.layers(np.random.default_rng(1).permutation(mixed.site.size)).take([2, 3, 4])
    np.testing.assert_array_equal(np.bincount(mixed.site, minlength=3), [3, 0, 3])
    np.testing.assert_allclose(mixed.forms()[:, [0, 2]], upper.forms()[:, [2, 4]], rtol=1e-12)


def observation(name, value, layer=2):
    """Puts `value` into an observed layer of the first site."""

    def spoil(problem):
        getattr(problem, name)[layer] = value

    return spoil


def all_observations(factor):
    """Multiplies the densities of the first site, with their standard deviations."""

    def spoil(problem):
        problem.soc[: DEPTH.size] *= factor
        problem.sd[: DEPTH.size] *= factor

    return spoil


def forcing(name, value, layer=None):
    def spoil(problem):
        getattr(problem.forcing, name)[(0,) if layer is None else (layer, 0)] = value

    return spoil


WRONG = {
    "soil_temperature of the forcing is nan": forcing("soil_temperature", np.nan, 3),
    "water_potential of the forcing is -inf": forcing("water_potential", -np.inf, 0),
    "npp_mean of the forcing is nan": forcing("npp_mean", np.nan),
    "npp_mean of the forcing is 0: nothing enters the soil": forcing("npp_mean", 0.0),
    "soc of observed layer 3 is nan": observation("soc", np.nan),
    "soc of observed layer 3 is 0": observation("soc", 0.0),
    "soc of observed layer 3 is -5000": observation("soc", -5e3),
    "soc of observed layer 6 is inf": observation("soc", np.inf, 5),
    "depth of observed layer 1 is nan": observation("depth", np.nan, 0),
    "sd of observed layer 3 is 0": observation("sd", 0.0),
    "weight of observed layer 3 is nan": observation("weight", np.nan),
    "the misfit of its layers is not a finite number": all_observations(1e200),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_number_is_named_with_its_value(fault):
    problem = few_sites(2)
    WRONG[fault](problem)
    assert site_faults(problem) == [fault, ""]


def test_a_site_without_layers_is_named():
    problem = few_sites(3)
    assert site_faults(problem.layers(problem.site != 1)) == ["", "it has no observed layer", ""]
