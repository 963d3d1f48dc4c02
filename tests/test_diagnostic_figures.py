"""Figures of the model and of the assimilation: they draw the numbers they are given."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from columns import temperate

from proda.figures import model
from proda.figures import model as operators
from proda.figures import model as responses
from proda.model.configuration import PAPER_COLUMN
from proda.model.matrices import labelled_matrices
from proda.model.parameters import PAPER_PARAMETERS, default_parameters
from proda.model.solver import POOLS

NAMES = list(PAPER_PARAMETERS.names)


@pytest.fixture
def ax():
    yield plt.figure().add_subplot()
    plt.close("all")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_grid_shows_every_layer_and_node_with_depth_downwards(ax):
    model.grid_figure(ax)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), PAPER_COLUMN.node)
    assert len(ax.patches) == 10 and ax.get_ylim() == (PAPER_COLUMN.bottom[-1], 0.0)


def test_pools_are_drawn_in_kilograms_and_empty_layers_left_out(ax, rng):
    pools = rng.lognormal(8.0, 1.0, (7, 10))
    pools[0, 9] = 0.0
    model.pool_profiles(pools, ax)
    assert len(ax.lines) == len(POOLS)
    np.testing.assert_allclose(ax.lines[6].get_xdata(), pools[6] / 1000.0)
    assert np.isnan(ax.lines[0].get_xdata()[9])


def test_the_approach_ends_at_the_steady_states_line(ax):
    years, stock = np.geomspace(1.0, 1e4, 30), np.linspace(0.0, 20.0, 30)
    responses.approach_figure(years, stock, 20.5, ax)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), np.column_stack([years, stock]))
    assert set(ax.lines[1].get_ydata()) == {20.5}


def test_the_errors_of_dense_solutions_are_told_by_configuration_and_condition(ax):
    errors = pd.DataFrame({
        "efolding": [0.02, 0.1, 0.5, 0.3], "error": [1e-8, 1e-12, 0.0, 1e-9],
        "singular": [True, False, False, True], "configuration": ["paper", "paper", "paper", "cesm2"],
    })  # fmt: skip
    operators.dense_error_figure(errors, ax)
    drawn = {points.get_label(): points.get_offsets().tolist() for points in ax.collections}
    assert drawn == {
        "paper, regular (67%)": [[0.1, 1e-12], [0.5, 1e-16]],
        "paper, singular (33%)": [[0.02, 1e-8]],
        "cesm2, singular (100%)": [[0.3, 1e-9]],
    }


def test_what_decays_goes_where_the_transfer_matrix_says(ax):
    forcing = temperate(1)
    found = labelled_matrices(default_parameters(forcing, 50.0), forcing)
    operators.transfer_figure(found, ax)
    shares = {text.xy: text.get_text() for text in ax.texts}
    assert shares[(0, 2)] == "76" and shares[(4, 6)] == "0.4" and shares[(4, 7)] == "59.6"
    image = operators.mixing_figure(found, ax)
    assert np.isnan(image.get_array().filled(np.nan)[0, 5]) and image.get_array()[0, 1] > 0.0


def test_responses_are_drawn_in_percent_with_their_names(ax):
    answers = {"+2 K": np.array([[1.0, 1.0, 1.0], [0.9, 0.8, 0.7]]), "+10 %": np.array([[1.0] * 3, [1.02, 1.03, 1.04]])}
    responses.response_figure(answers, ax)
    assert [line.get_ydata()[-1] for line in ax.lines[:2]] == pytest.approx([-20.0, 3.0])
    assert [text.get_text().strip() for text in ax.texts] == ["+2 K", "+10 %"]


def test_costs_are_labelled_with_their_time_and_ratio(ax):
    table = pd.DataFrame({"microseconds": [0.25, 250.0], "times dense NumPy": [1000.0, 1.0]}, ["lanes", "dense"])
    model.cost_figure(table, ax)
    assert [text.get_text().strip() for text in ax.texts] == ["250 µs, 1 x", "0.25 µs, 1,000 x"]
    assert ax.collections[-1].get_offsets()[:, 0].tolist() == [250.0, 0.25]
