"""The figures of the network stage show the numbers they are given."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from proda.figures.learning import (
    learning_curve,
    parameter_maps,
    predicted_against_assimilated,
    skill_by_parameter,
    truth_by_parameter,
)
from proda.figures.style import map_axes
from proda.learning.scores import (
    correlations,
    listed,
    parameter_skill,
    readable,
    with_folds,
    with_published,
    with_truth,
)
from proda.learning.splits import BLOCKS, RANDOM
from proda.model.parameters import PAPER_PARAMETERS

matplotlib.use("Agg")

NAMES = PAPER_PARAMETERS.names


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture
def sites(rng: np.random.Generator) -> dict[str, np.ndarray]:
    truth = rng.random((400, 25))
    mean = 0.5 + np.linspace(0.9, 0.0, 25) * (truth - 0.5) + 0.02 * rng.standard_normal(truth.shape)
    split = rng.choice(["train", "validation", "test", "unused"], size=400, p=[0.6, 0.15, 0.2, 0.05])
    predicted = 0.5 + 0.8 * (mean - 0.5) + 0.03 * rng.standard_normal(mean.shape)
    sd = np.broadcast_to(np.linspace(0.1, 1 / np.sqrt(12), 25), mean.shape)
    return {"truth": truth, "mean": mean, "sd": sd, "predicted": predicted, "split": split.astype(object)}


@pytest.fixture
def skill(sites) -> pd.DataFrame:
    table = parameter_skill(sites["predicted"], sites["split"], sites["mean"], sites["sd"])
    predicted, truth = sites["predicted"], sites["truth"]
    return with_truth(table, sites["split"], predicted, predicted, sites["mean"], truth, truth)


def test_the_learning_curve_marks_the_kept_epoch():
    curve = pd.DataFrame({"epoch": [1, 2, 3], "loss": [0.3, 0.1, 0.05], "validation_loss": [0.2, 0.08, 0.09]})
    ax = learning_curve(curve.assign(kept=[False, True, False]), plt.figure().add_subplot())
    np.testing.assert_allclose(ax.lines[0].get_ydata(), curve["loss"])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), curve["validation_loss"])
    assert [text.get_text() for text in ax.get_legend().get_texts()][-1] == "kept: epoch 2"


def test_every_parameter_has_a_panel_with_its_test_correlation(sites, skill):
    axes = plt.figure().subplots(5, 5)
    drawn = predicted_against_assimilated(sites["predicted"], sites["mean"], sites["split"], NAMES, axes)
    titles = [ax.get_title() for ax in drawn.flat]
    assert titles == [f"{row.parameter}  r = {row.r_test:.2f}" for row in skill.itertuples()]
    test = sites["split"] == "test"
    offsets = np.asarray(drawn.flat[3].collections[-1].get_offsets())
    np.testing.assert_allclose(offsets, np.column_stack([sites["mean"][test, 3], sites["predicted"][test, 3]]))


def test_the_bars_are_ordered_by_test_correlation_and_paired_with_the_sd_ratio(skill):
    left, right = skill_by_parameter(skill, plt.figure().subplots(1, 2, sharey=True))
    order = skill.sort_values("r_test")
    np.testing.assert_allclose([bar.get_width() for bar in left.patches], order["r_test"])
    np.testing.assert_allclose([bar.get_width() for bar in right.patches], order["sd_ratio"])
    assert [label.get_text() for label in left.get_yticklabels()] == list(order["parameter"])


def test_folds_have_correlations_of_their_own_beside_those_of_the_test(sites, skill):
    worse = sites["mean"] + np.random.default_rng(3).standard_normal(sites["mean"].shape)
    told = with_folds(skill, {RANDOM: sites["predicted"], BLOCKS: worse}, sites["mean"])
    np.testing.assert_allclose(told["r_random_folds"], correlations(sites["predicted"], sites["mean"]))
    assert (told["r_block_folds"] < told["r_random_folds"])[:20].all()
    left, _ = skill_by_parameter(told, plt.figure().subplots(1, 2, sharey=True))
    drawn = {line.get_label(): line.get_xdata() for line in left.lines}
    np.testing.assert_allclose(drawn["withheld blocks"], told.sort_values("r_test")["r_block_folds"])
    assert left.get_xlim()[0] < told["r_block_folds"].min()
    assert {"r, random folds", "r, blocks"} < set(readable(told).columns)


def test_the_skill_of_a_parameter_is_against_the_mean_of_the_test_sites(sites, skill):
    test = sites["split"] == "test"
    error = ((sites["predicted"] - sites["mean"])[test] ** 2).sum(axis=0)
    about_mean = ((sites["mean"][test] - sites["mean"][test].mean(axis=0)) ** 2).sum(axis=0)
    np.testing.assert_allclose(skill["efficiency_test"], 1.0 - error / about_mean)


def test_what_the_paper_says_of_its_network_stands_beside_our_ranks(skill):
    table = with_published(skill)
    assert table["paper"].tolist() == ["well"] * 4 + ["not"] * 4
    for row in table.itertuples():
        better = (skill["r_test"] > row.r_test).sum()
        assert row.rank == better + 1 and row.r_test == skill.set_index("parameter")["r_test"][row.parameter]


def test_the_correlations_with_the_truth_are_drawn_for_sites_and_map(skill):
    ax = truth_by_parameter(skill, plt.figure().add_subplot())
    order = skill.sort_values("truth_r_map")
    drawn = {points.get_label(): np.asarray(points.get_offsets())[:, 0] for points in ax.collections[1:]}
    np.testing.assert_allclose(drawn["network, all cells"], order["truth_r_map"])
    np.testing.assert_allclose(drawn["posterior means, test sites"], order["truth_r_assimilated"])


def test_parameter_maps_have_one_map_for_each_name(rng):
    lon, lat = (
        values.ravel() for values in np.meshgrid(np.arange(-100, -95, 0.5) + 0.25, np.arange(38, 41, 0.5) + 0.25)
    )
    grid = pd.DataFrame({"lon": lon, "lat": lat})
    cells = pd.DataFrame(rng.random((lon.size, 25)), columns=list(NAMES))
    figure = plt.figure()
    axes = parameter_maps(cells, grid, ["q10", "beta"], [map_axes(figure, (1, 2, i)) for i in (1, 2)])
    assert [ax.get_title() for ax in axes] == ["q10", "beta"]
    figure.canvas.draw()


def test_skill_knows_which_parameters_the_profiles_inform_and_which_are_recovered(skill):
    assert skill["r_test"].is_monotonic_decreasing or skill["r_test"].iloc[0] > 0.9
    assert skill["constrained"].iloc[0] and not skill["constrained"].iloc[-1]
    assert skill["recovered"].iloc[0] and not skill["recovered"].iloc[-1]
    assert "`maxpsi`" in listed(skill, "recovered", False)
    assert listed(skill.assign(recovered=True), "recovered", False) == "none"


def test_skill_counts_test_sites_only_in_the_test_columns(sites):
    worse = sites["predicted"].copy()
    train = sites["split"] == "train"
    worse[train] = 1 - worse[train]
    before, after = (
        parameter_skill(x, sites["split"], sites["mean"], sites["sd"]) for x in (sites["predicted"], worse)
    )
    pd.testing.assert_series_equal(before["r_test"], after["r_test"])
    np.testing.assert_allclose(before["r_train"], -after["r_train"])


def test_a_parameter_that_does_not_vary_has_no_correlation(sites):
    flat = sites["predicted"].copy()
    flat[:, 4] = 0.5
    assert np.isnan(parameter_skill(flat, sites["split"], sites["mean"], sites["sd"])["r_test"][4])
