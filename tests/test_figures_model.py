"""Figures of the model draw the numbers they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from columns import drawn_columns, temperate

from proda.figures import model as figures
from proda.model.age import traceability
from proda.model.configuration import PAPER_COLUMN
from proda.model.matrices import labelled_matrices
from proda.model.parameters import PAPER_PARAMETERS, default_parameters
from proda.model.solver import POOLS


@pytest.fixture
def ax():
    return plt.figure().add_subplot()


def test_pools_are_drawn_in_kilograms_and_empty_layers_left_out(ax, rng):
    pools = rng.lognormal(8.0, 1.0, (7, 10))
    pools[0, 9] = 0.0
    figures.pool_profiles(pools, ax)
    assert len(ax.lines) == len(POOLS) and ax.get_ylim() == (PAPER_COLUMN.bottom[-1], 0.0)
    np.testing.assert_allclose(ax.lines[6].get_xdata(), pools[6] / 1000.0)
    assert np.isnan(ax.lines[0].get_xdata()[9])


def test_what_decays_goes_where_the_transfer_matrix_says(ax):
    forcing = temperate(1)
    matrices = labelled_matrices(default_parameters(forcing, 50.0), forcing)
    figures.transfer_figure(matrices, ax)
    shares = {text.xy: text.get_text() for text in ax.texts}
    assert shares[(0, 2)] == "76" and shares[(4, 6)] == "0.4" and shares[(4, 7)] == "59.6"
    image = figures.mixing_figure(matrices, ax)
    assert np.isnan(image.get_array().filled(np.nan)[0, 5]) and image.get_array()[0, 1] > 0.0


def test_responses_are_drawn_in_percent_with_their_names(ax):
    responses = {"+2 K": np.array([[1.0] * 3, [0.9, 0.8, 0.7]]), "+10 %": np.array([[1.0] * 3, [1.02, 1.03, 1.04]])}
    figures.response_figure(responses, ax)
    assert [line.get_ydata()[-1] for line in ax.lines[:2]] == pytest.approx([-20.0, 3.0])
    assert [text.get_text().strip() for text in ax.texts] == ["+2 K", "+10 %"]


def test_the_steps_lead_from_the_baseline_to_the_residence_time(ax):
    factors = traceability(*drawn_columns(3))
    figures.residence_steps(factors, ["A", "B", "C"], ax)
    assert [bars.get_label() for bars in ax.containers] == ["Depth", "Water", "Temperature"]
    bars = np.array([[[bar.get_y(), bar.get_y() + bar.get_height()] for bar in bars] for bars in ax.containers])
    np.testing.assert_allclose(bars[1:, :, 0], bars[:-1, :, 1])
    np.testing.assert_allclose(bars[0, :, 0], factors["baseline_residence_time"])
    np.testing.assert_allclose(bars[-1, :, 1], factors["residence_time"])


def test_the_heat_map_shows_every_parameter_at_every_depth_with_white_for_no_change(ax, rng):
    elasticity = rng.normal(size=(5, 25))
    figures.elasticity_heat_map(elasticity, np.arange(5.0), PAPER_PARAMETERS.names, ax)
    image = ax.collections[0]
    np.testing.assert_array_equal(image.get_array(), elasticity)
    assert image.norm(0.0) == 0.5 and ax.yaxis_inverted()
