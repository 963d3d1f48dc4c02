"""The compiled course of carbon in time: that of the model in both configurations, and no carbon lost in a century."""

import numpy as np
import pytest

from proda.errors import InputError
from proda.kernels.simd import BLOCK_WIDTH
from proda.kernels.transient import pathway_places, trajectories
from proda.model.configuration import CESM2, PAPER
from proda.model.matrices import respiration
from proda.model.solver import soc_stock, steady_state
from proda.model.transient import trajectory
from proda.run.bench import bench_columns
from proda.run.verification import read_cases


def columns(name: str, n: int = 20):
    if name == "cesm2":
        cases = read_cases("tests/cases/cesm2_cases.json")
        return CESM2, cases.theta, cases.forcing
    theta, forcing = bench_columns(n, seed=3)
    return PAPER, theta[:, :n], forcing.take(slice(0, n))


def warming(forcing, years: int, kelvin: float = 3.0, rise: float = 0.2):
    shares = np.linspace(0.0, 1.0, years + 1)
    return [forcing.warmed(kelvin * share).fertilised(1.0 + rise * share) for share in shares]


@pytest.mark.parametrize("name", ["paper", "cesm2"])
def test_it_is_the_course_of_the_model(name):
    configuration, theta, forcing = columns(name)
    path, depth = warming(forcing, 8), 1.0
    column = configuration.column
    share = np.clip(depth - column.top, 0.0, column.thickness)
    run = trajectories(theta, pathway_places(path, configuration), 365.0, np.atleast_2d(share), configuration)
    pools = steady_state(theta, forcing, configuration)
    for k, here in enumerate(path):
        if k:
            (step,) = trajectory(pools, theta, here, 365.0, 1, configuration)
            pools = step.pools
            np.testing.assert_allclose(run.entered[k], step.entered, rtol=1e-13)
            np.testing.assert_allclose(run.respired[k], step.respired, rtol=1e-12)
        everything = (column.thickness[:, None] * pools.sum(axis=0)).sum(axis=0)
        np.testing.assert_allclose(run.everything[k], everything, rtol=1e-12)
        soil = (share[:, None] * pools[4:].sum(axis=0)).sum(axis=0)
        np.testing.assert_allclose(run.soil[k, 0], soil, rtol=1e-12)
    if name == "paper":
        np.testing.assert_allclose(run.soil[0, 0], soc_stock(steady_state(theta, forcing), forcing, PAPER, depth))
        np.testing.assert_allclose(run.entered[1], 365.0 * respiration_at_rest(theta, path[1]), rtol=1e-9)


def respiration_at_rest(theta, forcing):
    return respiration(steady_state(theta, forcing), theta, forcing)


@pytest.mark.parametrize("name", ["paper", "cesm2"])
def test_over_a_century_carbon_changes_by_what_enters_less_what_is_respired(name):
    configuration, theta, forcing = columns(name, 200)
    places = pathway_places(warming(forcing, 100, 4.5, 0.5), configuration)
    run = trajectories(theta, places, 365.0, configuration.column.thickness[None], configuration)
    change = run.everything[-1] - run.everything[0]
    left = change - (run.entered - run.respired).sum(axis=0)
    assert (np.abs(left) / run.everything[0]).max() < 1e-12
    assert (np.abs(change) / run.everything[0]).max() > 1e-3


def test_constant_forcing_keeps_the_steady_state_and_columns_do_not_depend_on_those_beside():
    configuration, theta, forcing = columns("paper", 13)
    run = trajectories(theta, pathway_places([forcing] * 21), 365.0, np.eye(10))
    assert run.soil.shape == (21, 10, 13)
    np.testing.assert_allclose(run.soil[-1], run.soil[0], rtol=1e-11)
    alone = trajectories(theta[:, 5:6], pathway_places([forcing.take(5)] * 21), 365.0, np.eye(10))
    np.testing.assert_array_equal(alone.soil[:, :, 0], run.soil[:, :, 5])


@pytest.mark.parametrize("fault", ["parameters", "layers", "columns", "days"])
def test_other_shapes_and_steps_are_refused(fault):
    _, theta, forcing = columns("paper", BLOCK_WIDTH + 1)
    places, share, days = pathway_places([forcing] * 2), np.ones((1, 10)), 365.0
    if fault == "parameters":
        theta = theta[:-1]
    elif fault == "layers":
        share = np.ones((1, 20))
    elif fault == "columns":
        theta = theta[:, :-1]
    else:
        days = 0.0
    with pytest.raises(InputError, match="takes 25 parameters and 10 layers"):
        trajectories(theta, places, days, share)
