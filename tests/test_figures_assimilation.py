"""Figures of the assimilation's comparisons, and the tables behind them: they show the numbers they are given."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from made_sites import SHORT, few_sites

from proda.assimilation.experiments import SITES, STEPS, cost_table
from proda.assimilation.results import inference_data, parameter_table, variance_with_published
from proda.assimilation.sbc import rank_ecdf
from proda.assimilation.store import STATUS_MEANING, status_counts
from proda.figures import chains as arviz_figures
from proda.figures import chains as diagnostics
from proda.figures.chains import (
    AGREES,
    DIFFERS,
    convergence_maps,
    cost_axes,
    coverage_figure,
    label_of,
    rank_ecdf_axes,
    sbc_figure,
    site_map,
    variance_bars,
    variants_figure,
)
from proda.figures.maps import relative_width, width_figure
from proda.figures.style import ALBERS
from proda.maps.prediction import soc_of_draws
from proda.model.parameters import PAPER_PARAMETERS

NAMES = list(PAPER_PARAMETERS.names)


@pytest.fixture
def ax():
    return plt.figure().add_subplot()


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def sites(rng):
    places = {"lon": ("site", rng.uniform(-110.0, -80.0, 40)), "lat": ("site", rng.uniform(32.0, 46.0, 40))}
    of = ("site", "parameter"), rng.uniform(1.0, 1.2, (40, 25)), {"long_name": "posterior sd", "units": "1"}
    ess = ("site", "parameter"), rng.uniform(20.0, 900.0, (40, 25))
    variables = {"rhat": of, "x_sd": of, "ess_bulk": ess, "ess_tail": ess}
    return xr.Dataset(variables, coords={**places, "parameter": NAMES})


def points_of(ax):
    return next(one for one in ax.collections if one.get_array() is not None and len(one.get_offsets()) > 1)


def test_a_map_shows_each_sites_value_where_the_site_lies(sites):
    values = sites["x_sd"].sel(parameter="q10")
    dots = points_of(site_map(values))
    at = ALBERS.transform_point(float(values.lon[7]), float(values.lat[7]), ALBERS.as_geodetic())
    nearest = np.hypot(*(np.asarray(dots.get_offsets()) - at).T).argmin()
    assert dots.get_array()[nearest] == pytest.approx(float(values[7]))
    assert label_of(values) == "q10, posterior sd"


def test_units_are_told_unless_there_are_none():
    assert label_of(xr.DataArray([1.0], attrs={"long_name": "carbon", "units": "g m-3"})) == "carbon (g m-3)"


def test_sites_without_a_value_are_not_on_the_map(sites):
    values = sites["x_sd"].sel(parameter="q10")
    values[3] = np.nan
    assert len(points_of(site_map(values)).get_offsets()) == 39


def test_the_worst_parameter_of_each_site_is_mapped_and_the_bad_lie_on_top(sites):
    figure = convergence_maps(sites, 1.05)
    rhat, ess = (points_of(ax) for ax in figure.axes if ax.collections and ax.get_label() != "<colorbar>")
    np.testing.assert_allclose(rhat.get_array(), np.sort(sites["rhat"].max("parameter")))
    np.testing.assert_allclose(ess.get_array(), np.sort(sites["ess_bulk"].min("parameter"))[::-1])
    assert (rhat.norm.vmin, rhat.norm.vmax) == pytest.approx((1.0, 1.25))


def test_uniform_ranks_stay_inside_the_band_and_shifted_ones_are_named(ax, rng):
    ranks = rng.integers(0, 100, (400, 25))
    ranks[:, 2] = np.minimum(rng.integers(0, 130, 400), 99)
    rank_ecdf_axes(ranks, 99, NAMES, ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [NAMES[2]]
    named = next(line for line in ax.lines if line.get_label() == NAMES[2])
    np.testing.assert_allclose(named.get_ydata(), rank_ecdf(ranks, 99)[:, 2] - named.get_xdata())


def test_calibrations_side_by_side_share_a_symmetric_scale(rng):
    ranks = rng.integers(0, 100, (200, 25))
    figure = sbc_figure({"one": ranks, "other": ranks // 2}, 99, NAMES)
    (low, high), other = (ax.get_ylim() for ax in figure.axes)
    assert low == -high and (low, high) == other
    assert [ax.get_title() for ax in figure.axes] == ["one", "other"]


def test_coverage_is_drawn_in_percent_with_the_number_of_layers(ax):
    layers = pd.Series({"0-30 cm": 400, "all": 1600})
    coverage_figure({"a": pd.Series([0.8, 0.9], layers.index)}, layers, ax)
    points = ax.containers[0]
    assert points.lines[0].get_xdata() == pytest.approx([80.0, 90.0])
    (bars,) = points.lines[2]
    # Wilson's interval of 320 in 400.
    assert bars.get_segments()[0][:, 0] == pytest.approx([75.81, 83.63], abs=0.02)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0-30 cm\n(400)", "all\n(1,600)"]


def test_a_variance_on_the_published_side_agrees_and_one_on_the_other_does_not(ax):
    variance = pd.Series(0.05, NAMES) + pd.Series({"tau4l1": 0.02, "efolding": -0.02}).reindex(NAMES, fill_value=0.0)
    table = variance_with_published(variance)
    assert table["agree"].to_dict() == {
        "tau4l2l3": False, "tau4l1": True, "fs2s1": False, "tau4s2": False, "tau4s3": False, "efolding": True,
    }  # fmt: skip
    variance_bars(variance, ax)
    bars = {label.get_text(): bar for label, bar in zip(ax.get_yticklabels(), ax.patches, strict=False)}
    assert matplotlib.colors.to_hex(bars["tau4l1"].get_facecolor()).upper() == AGREES
    assert matplotlib.colors.to_hex(bars["fs2s1"].get_facecolor()).upper() == DIFFERS
    assert bars["tau4l1"].get_width() == pytest.approx(0.07)


def test_table_s1_has_a_row_for_every_parameter_in_the_models_order():
    table = parameter_table(np.linspace(0, 1, 25), np.full(25, 1 / 12), np.ones(25))
    assert (
        table.index.tolist() == NAMES
        and table.loc["q10", "range"] == "1.2 to 3"
        and table.loc["tau4s3", "unit"] == "yr"
    )
    assert table["mean"].iloc[-1] == 1.0


def test_the_width_of_a_cell_is_that_of_its_interval_over_its_mean(rng):
    problem = few_sites(9)
    draws = 0.3 + 0.4 * rng.random((60, 25))
    maps = soc_of_draws(draws, problem.forcing, np.ones(9))
    stock = maps["stock"].isel(depth=1)
    expected = 100.0 * (stock.sel(statistic="p95") - stock.sel(statistic="p05")) / stock.sel(statistic="mean")
    np.testing.assert_allclose(relative_width(maps), expected)
    same = soc_of_draws(np.repeat(draws[:1], 5, axis=0), problem.forcing, np.ones(9))
    np.testing.assert_allclose(relative_width(same), 0.0, atol=1e-4)


def test_widths_of_two_posteriors_share_one_scale():
    lon, lat = (values.ravel() for values in np.meshgrid(np.arange(-100.0, -97.0), np.arange(38.0, 41.0)))
    grid = xr.Dataset({"lon": ("cell", lon), "lat": ("cell", lat)})
    widths = {"a": np.linspace(1.0, 2.0, 9), "b": np.linspace(30.0, 50.0, 9)}
    figure = width_figure(widths, grid)
    titled = [ax for ax in figure.axes if ax.get_title() in widths]
    meshes = [next(one for one in ax.collections if one.get_array() is not None) for ax in titled]
    assert len(meshes) == 2 and meshes[0].norm is meshes[1].norm


def test_variants_are_compared_with_the_first(ax):
    table = pd.DataFrame({"r2": [0.9, 0.8], "sd": [0.7, 0.3]}, ["paper", "coded"])
    figure = variants_figure(table, {"sd": "Posterior sd", "r2": "r²"})
    first = figure.axes[0]
    assert first.get_xlabel() == "Posterior sd" and set(first.lines[0].get_xdata()) == {0.7}
    np.testing.assert_allclose(first.collections[-1].get_offsets(), [[0.7, 0.0], [0.3, 1.0]])


def test_the_cost_of_few_sites_is_measured_at_the_sizes_there_are(ax):
    table = cost_table(few_sites(3), 7, SHORT, rounds=1)
    assert table.loc[table["varied"] == "sites", "sites"].tolist() == [3], "all sizes are cut to the three there are"
    assert table.loc[table["varied"] == "steps", "steps"].tolist() == list(STEPS) and (table["seconds"] > 0.0).all()
    assert max(SITES) > 3
    cost_axes(table, "steps", ax)
    assert ax.lines[1].get_xdata().tolist() == list(STEPS) and ax.get_title() == "3 sites"


def test_statuses_are_counted_from_the_worst_with_their_meaning():
    status = pd.DataFrame({
        "status": ["converged", "not sampled", "converged"], "reason": ["", "npp is nan", ""],
        "used_downstream": [True, False, False],
    })  # fmt: skip
    table = status_counts(status)
    assert table.index.tolist() == ["not sampled", "converged"] and table["sites"].sum() == 3
    assert table.loc["converged", "used downstream"] == 1 and table.loc["not sampled", "for example"] == "npp is nan"
    assert table["meaning"].to_dict() == {name: STATUS_MEANING[name] for name in table.index}


def test_a_site_drawn_twice_is_two_sites_with_the_same_layers():
    problem = few_sites(4)
    twice = problem.repeated([2, 0, 2])
    assert twice.profile_id == ["P2", "P0", "P2"] and twice.n_sites == 3
    np.testing.assert_array_equal(np.bincount(twice.site), [6, 6, 6])
    np.testing.assert_array_equal(twice.soc[twice.site == 2], problem.soc[problem.site == 2])
    np.testing.assert_array_equal(twice.soc[twice.site == 0], twice.soc[twice.site == 2])
    np.testing.assert_array_equal(twice.forms()[:, 1], problem.forms()[:, 0])


def test_two_posteriors_stand_beside_one_another_under_their_names(rng):
    looked = {name: inference_data(rng.random((3, 100, 25))) for name in ("Good", "Bad")}
    figure = arviz_figures.side_by_side(arviz_figures.trace_figure, looked, NAMES[:2])
    assert [ax.get_title() for ax in figure.axes] == ["Good", "Bad"]
    left, right = (ax.get_position() for ax in figure.axes)
    assert left.x1 <= right.x0 + 1e-6 and left.y0 == right.y0
    assert plt.get_fignums() == [figure.number], "the figures that were put together are closed"


def test_chains_that_disagree_are_seen_by_their_medians(ax, rng):
    chains = rng.random((2, 300, 25)) * 0.1 + np.array([0.0, 0.8])[:, None, None]
    diagnostics.parameter_intervals(chains.reshape(-1, 25), NAMES, np.full(25, 0.5), ax, chains)
    marks = [line.get_xdata() for line in ax.lines if line.get_marker() == "|"]
    np.testing.assert_allclose(marks, np.median(chains, axis=1))
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels.count("median of a chain") == 1
