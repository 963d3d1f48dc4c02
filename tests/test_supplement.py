"""The supplement: the grid, the uncertainty of the maps, the parameters, the regions and the reference maps."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from synthetic_study import write_study

from proda.figures.maps import (
    reference_bias_maps,
    regional_bias_figure,
    regions_figure,
    width_figure,
    widths_by_method,
    zonal_figure,
)
from proda.figures.style import use_style
from proda.learning.scores import correlations
from proda.maps.prediction import METHODS
from proda.maps.references import reference_scores, zonal_means
from proda.maps.regions import REGIONS, regional_biases
from proda.maps.scores import FILE_COLUMNS, parameter_summary, summary_columns
from proda.maps.stage import final_results
from proda.model.parameters import PAPER_PARAMETERS


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    use_style()
    return final_results(write_study(tmp_path_factory.mktemp("study")))


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_uncertainty_is_shown_for_the_methods_that_have_draws_and_for_the_network_once_it_has(results):
    widths = widths_by_method(results.maps)
    assert list(widths) == ["One-batch", "Random-sampling", "Hybrid"]
    maps = results.maps.copy(deep=True)
    for statistic, factor in (("p05", 0.5), ("p95", 1.5)):
        network = maps["stock"].sel(parameterisation="network", statistic="mean") * factor
        maps["stock"].loc[{"parameterisation": "network", "statistic": statistic}] = network.values
    widths = widths_by_method(maps)
    np.testing.assert_allclose(widths["Neural network"], 100.0)
    widths["Neural network"][:9] = np.nan
    figure = width_figure(widths, results.inputs.grid)
    assert sum(any(c.get_hatch() for c in ax.collections) for ax in figure.axes) == 1


def test_the_triangles_of_the_regional_figure_stand_where_the_paper_says_something(results):
    inputs = results.inputs
    modelled = {name: results.modelled[name] for name in METHODS}
    table = regional_biases(inputs.layers, modelled, inputs.sites, inputs.used)
    figure = regional_bias_figure(table)
    panels = dict(zip(METHODS, figure.axes, strict=True))
    assert len({ax.get_xlim() for ax in panels.values()}) == 1
    assert sum(panels["default"].get_xlim()) == pytest.approx(0.0)
    marks = {
        name: sorted(line.get_marker() for line in ax.lines if line.get_marker() in "<>") for name, ax in panels.items()
    }
    assert marks["default"] == ["<", ">", ">"] and marks["network"] == []
    assert len(regions_figure().axes) == len(REGIONS)


def test_reference_maps_of_differences_share_a_scale_that_is_white_at_zero(results):
    methods = ("default", "network")
    figure = reference_bias_maps(results.maps, results.inputs.grid, methods)
    titles = [ax.get_title() for ax in figure.axes[:2]]
    table = reference_scores(results.maps, results.inputs.grid).set_index(["interval", "method"])
    for title, method in zip(titles, methods, strict=True):
        assert f"r {table.loc[('0-100 cm', method), 'r']:.2f}" in title and "minus WHRC" in title
    norms = {
        c.norm
        for ax in figure.axes[:2]
        for c in ax.collections
        if getattr(c, "norm", None) and c.get_array() is not None
    }
    assert {(norm.vmin, norm.vmax) for norm in norms} == {(-max(n.vmax for n in norms), max(n.vmax for n in norms))}


def test_zonal_means_have_a_line_for_every_map(results):
    table = zonal_means(results.maps, results.inputs.grid)
    figure = zonal_figure({"0-100 cm": table})
    assert len(figure.axes[0].lines) == table.shape[1]
    assert all(np.isfinite(line.get_xdata()).all() for line in figure.axes[0].lines)


@pytest.fixture
def summarised():
    """What Table S1 is made from, and the table: made posteriors, a network that follows them."""
    rng = np.random.default_rng(3)
    names = list(PAPER_PARAMETERS.names)
    one_batch = xr.DataArray(rng.uniform(0.2, 0.4, (3, 400, 25)), dims=("chain", "draw", "parameter"))
    place = ("site", "parameter")
    sites = xr.Dataset(
        {
            "x_mean": (place, rng.uniform(size=(50, 25))),
            "x_sd": (place, np.full((50, 25), 0.2)),
            "rhat_gelman_rubin": (place, np.full((50, 25), 1.02)),
        },
        coords={"parameter": names},
    )
    used = np.arange(50) > 9
    sites["x_mean"][:10] = np.nan
    split = np.where(~used, "unused", np.where(np.arange(50) % 2, "train", "test"))
    network = np.nan_to_num(sites["x_mean"].values) + rng.normal(0, 0.1, (50, 25))
    return one_batch, sites, network, split, parameter_summary(one_batch, sites, used, network, split)


def test_table_s1_holds_what_each_assimilation_found(summarised):
    one_batch, sites, network, split, table = summarised
    assert list(table.index) == list(PAPER_PARAMETERS.names) and table.loc["q10", ("", "range")] == "1.2 to 3"
    np.testing.assert_allclose(table["one-batch", "mean"], one_batch.mean(("chain", "draw")))
    np.testing.assert_allclose(table["one-batch", "variance"], 0.2**2 / 12, rtol=0.2)
    np.testing.assert_allclose(table["site-by-site", "mean"], sites["x_mean"].values[10:].mean(axis=0))
    np.testing.assert_allclose(table["site-by-site", "variance"], 0.04)
    assert (table["site-by-site", "Gelman-Rubin"] == 1.02).all() and (table["one-batch", "Gelman-Rubin"] < 1.02).all()
    test = split == "test"
    expected = correlations(network[test], sites["x_mean"].values[test])
    np.testing.assert_allclose(table["network r", "test sites"], expected)
    assert (expected > 0.5).all()


def test_the_file_of_table_s1_has_one_row_of_names_and_the_numbers_of_the_table(summarised, tmp_path):
    table = summarised[-1]
    summary_columns(table).to_csv(tmp_path / "table_s1.csv", index=False)
    found = pd.read_csv(tmp_path / "table_s1.csv")
    assert tuple(found) == FILE_COLUMNS and len(found) == 25
    assert found["parameter"].tolist() == list(PAPER_PARAMETERS.names)
    assert found["unit"].tolist() == list(PAPER_PARAMETERS.unit)
    np.testing.assert_allclose(found[["minimum", "maximum"]].T, [PAPER_PARAMETERS.minimum, PAPER_PARAMETERS.maximum])
    for name, pair in {
        "one_batch_rhat": ("one-batch", "Gelman-Rubin"),
        "sites_mean": ("site-by-site", "mean"),
        "network_r_test": ("network r", "test sites"),
    }.items():
        np.testing.assert_allclose(found[name], table[pair])
