"""Figures of the model and of the assimilation: they draw the numbers they are given."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from columns import temperate

from proda.assimilation.problem import SiteProblem
from proda.assimilation.results import inference_data
from proda.figures import chains as arviz_figures
from proda.figures import chains as diagnostics
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


@pytest.fixture
def posterior(rng):
    return inference_data(rng.random((3, 200, 25)), rng.random((3, 200)))


@pytest.fixture
def status(rng):
    return pd.DataFrame({
        "rhat_max": np.append(rng.uniform(1.0, 1.3, 58), [5.0, np.nan]),
        "ess_bulk_min": np.append(rng.uniform(20.0, 400.0, 59), np.nan),
        "ess_tail_min": np.append(rng.uniform(10.0, 300.0, 59), np.nan),
        "acceptance": rng.uniform(0.1, 0.5, 60),
        "efficiency": np.concatenate([np.linspace(0.1, 0.9, 50), [-0.5] * 4, [-30.0] * 3, [np.nan] * 3]),
    })  # fmt: skip


def heights(ax):
    return np.array([patch.get_height() for patch in ax.patches])


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


def test_intervals_are_the_quantiles_of_the_draws_and_defaults_outside_are_left_out(ax, rng):
    x, defaults = rng.beta(2.0, 5.0, (4000, 25)), np.linspace(-0.1, 0.9, 25)
    diagnostics.parameter_intervals(x, NAMES, defaults, ax)
    outer = np.array([segment[:, 0] for segment in ax.collections[0].get_segments()])
    np.testing.assert_allclose(outer, np.quantile(x, [0.05, 0.95], axis=0).T)
    np.testing.assert_allclose(ax.lines[0].get_xdata(), np.median(x, axis=0))
    assert len(ax.lines[1].get_xdata()) == (defaults >= 0.0).sum()
    assert ax.get_yticklabels()[0].get_text() == NAMES[0] and ax.lines[0].get_ydata()[0] == 24


def test_constrained_parameters_stand_out(ax):
    ratio = np.linspace(0.3, 1.0, 25)
    diagnostics.constraint_bars(ratio, NAMES, ax)
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], ratio)
    colours = [bar.get_facecolor() for bar in ax.patches]
    assert len(set(colours[:19])) == 1 and colours[0] != colours[-1]


def test_every_site_is_in_the_histograms_of_convergence(status):
    figure = diagnostics.convergence_histograms(status, 1.1)
    counts = [sum(bar.get_height() for bar in ax.patches if bar.get_facecolor()[3] == 1.0) for ax in figure.axes]
    assert counts == [59, 59, 60], "sites without a value are in none"


def test_badly_fitted_sites_are_gathered_in_the_first_bar(ax, status):
    diagnostics.fit_histogram(status, ax)
    assert heights(ax).sum() == 57 and heights(ax)[40] == 3


def test_site_profiles_show_the_observations_of_their_site_in_kilograms(rng):
    depth, soc = np.array([0.1, 0.5, 0.1, 0.4, 0.9]), np.array([9e3, 4e3, 8e3, 5e3, 1e3])
    problem = SiteProblem(["a", "b"], None, np.array([0, 0, 1, 1, 1]), depth, soc, 0.25 * soc, np.ones(5))
    profile = ("site", "layer"), np.linspace(1e4, 1e3, 20).reshape(2, 10)
    sites = xr.Dataset({"soc_mean": profile, "soc_sd": profile, "efficiency": ("site", [0.5, 0.75])})
    figure = diagnostics.site_profiles(problem, sites, [1, 0])
    first = figure.axes[0]
    np.testing.assert_allclose(first.lines[0].get_xdata(), profile[1][1] / 1000.0)
    np.testing.assert_allclose(first.containers[0].lines[0].get_xdata(), [8.0, 5.0, 1.0])
    (bars,) = first.containers[0].lines[2]
    np.testing.assert_allclose([np.ptp(bar[:, 0]) / 2 for bar in bars.get_segments()], [2.0, 1.25, 0.25])
    assert first.get_title() == "b\nefficiency 0.75" and first.get_ylim()[0] == pytest.approx(1.15 * 0.9)


def test_recovery_is_drawn_in_the_order_of_the_parameters(ax):
    correlation = pd.Series(np.linspace(-0.1, 0.9, 25), NAMES)
    diagnostics.recovery_bars(correlation, ax)
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], correlation)
    assert [label.get_text() for label in ax.get_yticklabels()][0] == NAMES[0]


@pytest.mark.parametrize("name", ["trace", "rank", "autocorrelation", "ess", "pair"])
def test_arviz_figures_show_the_chosen_parameters_by_their_names(posterior, name):
    chosen = ["efolding", "tau4s3", "q10"]
    figure = getattr(arviz_figures, f"{name}_figure")(posterior, chosen)
    told = {text for ax in figure.axes for text in (ax.get_title(), ax.get_xlabel(), ax.get_ylabel())}
    told = {line for text in told for line in text.splitlines()}
    assert set(chosen) <= told and not told & (set(NAMES) - set(chosen))
    assert all(ax.get_legend() is None for ax in figure.axes)
