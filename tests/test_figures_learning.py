"""The figures of the network stage and its supplements show the numbers they are given."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from proda.figures.learning import (
    hybrid_curve,
    importance_bars,
    learning_curve,
    method_scores,
    parameter_importance_map,
    parameter_maps,
    predicted_against_assimilated,
    skill_by_parameter,
)
from proda.figures.style import map_axes
from proda.learning.scores import BLOCKS, RANDOM
from proda.model.parameters import PAPER_PARAMETERS

matplotlib.use("Agg")
NAMES = list(PAPER_PARAMETERS.names)


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def test_the_learning_curve_marks_the_kept_epoch():
    curve = pd.DataFrame({"epoch": [1, 2, 3], "loss": [0.3, 0.1, 0.05], "validation_loss": [0.2, 0.08, 0.09]})
    ax = learning_curve(curve.assign(kept=[False, True, False]), plt.figure().add_subplot())
    np.testing.assert_allclose(ax.lines[0].get_ydata(), curve["loss"])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), curve["validation_loss"])
    assert [text.get_text() for text in ax.get_legend().get_texts()][-1] == "kept: epoch 2"
    np.testing.assert_allclose(hybrid_curve(curve, plt.figure().add_subplot()).lines[0].get_ydata(), curve["loss"])


def test_every_parameter_has_a_panel_with_its_test_correlation(rng):
    mean = rng.random((200, 25))
    predicted, split = mean + 0.1 * rng.standard_normal(mean.shape), rng.choice(["train", "test"], 200).astype(object)
    axes = plt.figure().subplots(5, 5)
    predicted_against_assimilated(predicted, mean, split, axes)
    test = split == "test"
    r = np.corrcoef(predicted[test, 3], mean[test, 3])[0, 1]
    assert axes.flat[3].get_title() == f"{NAMES[3]}  r = {r:.2f}"
    offsets = np.asarray(axes.flat[3].collections[-1].get_offsets())
    np.testing.assert_allclose(offsets, np.column_stack([mean[test, 3], predicted[test, 3]]))


def test_the_bars_are_ordered_by_test_correlation_with_blocks_and_truth_beside(rng):
    columns = ["r_train", "r_test", "r_block_folds", "truth_r_map", "sd_ratio"]
    skill = pd.DataFrame(rng.uniform(-0.2, 1.0, (25, 5)), columns=columns).assign(parameter=NAMES)
    left, right = plt.figure().subplots(1, 2, sharey=True)
    skill_by_parameter(skill, (left, right))
    order = skill.sort_values("r_test")
    np.testing.assert_allclose([bar.get_width() for bar in left.patches], order["r_test"])
    np.testing.assert_allclose([bar.get_width() for bar in right.patches], order["sd_ratio"])
    assert [label.get_text() for label in left.get_yticklabels()] == list(order["parameter"])
    drawn = {line.get_label(): line.get_xdata() for line in left.lines}
    np.testing.assert_allclose(drawn["withheld blocks"], order["r_block_folds"])
    np.testing.assert_allclose(drawn["all cells, with the truth"], order["truth_r_map"])
    assert left.get_xlim()[0] < skill["r_block_folds"].min()


def test_parameter_maps_have_one_map_for_each_name(rng):
    lon, lat = (
        values.ravel() for values in np.meshgrid(np.arange(-100, -95, 0.5) + 0.25, np.arange(38, 41, 0.5) + 0.25)
    )
    cells = pd.DataFrame(rng.random((lon.size, 25)), columns=NAMES)
    figure = plt.figure()
    grid = pd.DataFrame({"lon": lon, "lat": lat})
    axes = parameter_maps(cells, grid, ["q10", "beta"], [map_axes(grid, figure, (1, 2, i)) for i in (1, 2)])
    assert [ax.get_title() for ax in axes] == ["q10", "beta"]
    figure.canvas.draw()


def test_scores_stand_in_order_and_those_far_below_zero_at_the_edge_with_their_value():
    rows = [("a", 0.7, 0.5), ("b", 0.8, 0.6), ("c", -3.0, -4.0)]
    other = dict.fromkeys(("r2", "bias", "rmse", "median_ratio", "n"), 1)
    table = pd.DataFrame(
        {"method": method, "kind": kind, "covariates": "map", "repeat": again, "efficiency": value + again, **other}
        for method, random, blocks in rows
        for kind, value in ((RANDOM, random), (BLOCKS, blocks))
        for again in (-0.1, 0.1)
    )
    ax = method_scores(table, plt.figure().add_subplot())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["c", "a", "b"]
    drawn = {bars.get_label(): bars.lines[0].get_xdata() for bars in ax.containers}
    np.testing.assert_allclose(drawn["withheld blocks of land"], [np.nan, 0.5, 0.6])
    assert {text.get_text() for text in ax.texts} == {"-3.0", "-4.0"}


def test_importance_bars_stand_in_order():
    table = pd.DataFrame(
        {"group": ["climate", "soil"], "n_columns": [2, 1], "mse_increase": [9.0, 4.0], "mse_increase_sd": 0.1}
    )
    ax = importance_bars(table, plt.figure().add_subplot())
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], [4.0, 9.0])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["soil (1)", "climate (2)"]


def test_the_map_of_shares_has_a_row_for_each_parameter():
    groups, parameters = ["b", "a"], ["q10", "tau4s3", "beta"]
    table = pd.DataFrame({"group": np.repeat(groups, 3), "parameter": parameters * 2, "share": np.arange(6) / 10})
    table.loc[table["parameter"] == "beta", "share"] = np.nan
    ax = parameter_importance_map(table, plt.figure().add_subplot())
    drawn = np.ma.filled(ax.images[0].get_array(), np.nan)
    np.testing.assert_allclose(drawn, [[0.0, 0.3], [0.1, 0.4], [np.nan, np.nan]])
    assert [label.get_text() for label in ax.get_yticklabels()] == parameters
