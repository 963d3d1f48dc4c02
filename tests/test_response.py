"""The answer of a soil to a change: its size, its direction and its time, against a soil whose answer is known."""

import numpy as np
import pytest
from columns import drawn_columns, seasonal_forcing, temperate

from proda.errors import InputError
from proda.model.configuration import CESM2
from proda.model.parameters import PAPER_PARAMETERS, default_parameters, physical
from proda.model.rates import environment
from proda.model.transient import efolding_time, soc_response

ROW = {name: k for k, name in enumerate(PAPER_PARAMETERS.names)}


@pytest.fixture(scope="module")
def single_pool():
    """Soil carbon that is one pool in one layer: litter passes at once, nothing moves, nothing is handed on."""
    forcing = temperate(4)._replace(active_layer=np.zeros(4))
    theta = default_parameters(forcing, 50.0)
    for name in ("fl3s2", "fs1s2", "fs1s3", "fs2s1", "fs2s3", "fs3s1"):
        theta[ROW[name]] = 0.0
    theta[ROW["fcwdl2"]], theta[ROW["tau4cwd"]] = 1.0, 1e-4
    theta[ROW["tau4l1"]] = theta[ROW["tau4l2l3"]] = 1e-4
    theta[ROW["tau4s1"]] = [0.5, 5.0, 50.0, 90.0]
    years = theta[ROW["tau4s1"]] / environment(theta, forcing).of_soil()[0]
    return theta, forcing, years


def test_a_single_pool_answers_as_its_exponential(single_pool):
    theta, forcing, tau = single_pool
    response = soc_response(theta, forcing, forcing.fertilised(1.1), 50, steps_per_year=12)
    exact = 1.0 - 0.1 * np.expm1(-np.arange(51)[:, None] / tau)
    np.testing.assert_allclose(response, exact, atol=2e-5)


def test_the_efolding_time_of_a_single_pool_is_its_turnover_time(single_pool):
    theta, forcing, tau = single_pool
    np.testing.assert_allclose(efolding_time(theta, forcing, forcing.fertilised(1.1)), tau, rtol=5e-3)
    np.testing.assert_allclose(efolding_time(theta, forcing, forcing.fertilised(0.5)), tau, rtol=5e-3)


def test_the_answer_to_input_grows_towards_the_size_of_the_input_in_its_efolding_time():
    theta, forcing = drawn_columns(3, seed=4, low=0.4, high=0.8)
    time = efolding_time(theta, forcing, forcing.fertilised(1.1))
    response = soc_response(theta, forcing, forcing.fertilised(1.1), 100)
    assert (np.diff(response, axis=0) > 0.0).all() and (response[-1] < 1.1).all()
    assert ((response[-1] > 1.1 - 0.1 / np.e) == (time < 100.0)).all()


def test_warming_costs_carbon_in_both_configurations():
    theta, forcing = drawn_columns(3, seed=5)
    assert (soc_response(theta, forcing, forcing.warmed(2.0), 20)[-1] < 1.0).all()
    seasons = seasonal_forcing(3)
    x = np.random.default_rng(6).uniform(0.2, 0.8, (len(CESM2.parameters), 3))
    theta = physical(x, seasons, CESM2.parameters)
    warm = soc_response(theta, seasons, seasons.warmed(2.0), 20, CESM2)
    fed = soc_response(theta, seasons, seasons.fertilised(1.1), 20, CESM2)
    assert (warm[-1] < 1.0).all() and (fed[-1] > 1.0).all() and (fed[-1] < 1.1).all()


def test_without_a_change_there_is_no_efolding_time():
    theta, forcing = drawn_columns(2, seed=5)
    with pytest.raises(InputError, match=r"every column is the same before and after"):
        efolding_time(theta, forcing, forcing)
