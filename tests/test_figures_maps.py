"""Figures of maps: one scale, all methods and references, gaps and extrapolation shown."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh

from proda.figures import maps
from proda.maps.prediction import METHODS


def test_maps_begin_with_what_was_observed_and_show_references_and_all_methods(results):
    stocks = maps.mapped_stocks(results.maps, results.inputs.grid)
    assert list(stocks) == [
        "truth", "site-by-site", "WHRC (reference)", "default", "one-batch", "random-sampling", "network",
        "hybrid",
    ]  # fmt: skip
    figure = maps.stock_maps(stocks, results.inputs.grid)
    meshes = [c for ax in figure.axes for c in ax.collections if isinstance(c, QuadMesh) and c.get_array().size > 50]
    assert len(meshes) == 3 * len(stocks) and len({id(mesh.norm) for mesh in meshes}) == 1


def test_a_map_of_carbon_has_dots_where_it_is_extrapolated():
    lon, lat = (values.ravel() for values in np.meshgrid([-100.25, -99.75, -99.25], [40.25, 40.75]))
    grid = xr.Dataset({"lon": ("cell", lon), "lat": ("cell", lat)})
    ax = maps.stock_map(np.ones(6), grid, "Carbon", np.array([0.0, 0.0, 1.0, 4.0, 12.0, 2.0])).axes[0]
    assert len(ax.stippled.get_offsets()) == 4
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [maps.STIPPLED]
    assert maps.stock_map(np.ones(6), grid, "Carbon", np.zeros(6)).axes[0].get_legend() is None


def test_uncertainty_is_shown_for_the_methods_that_have_draws(results):
    widths = maps.widths_by_method(results.maps)
    assert list(widths) == ["One-batch", "Random-sampling", "Hybrid"]
    stock = results.maps["stock"].sel(parameterisation="one-batch").isel(depth=1)
    expected = 100 * (stock.sel(statistic="p95") - stock.sel(statistic="p05")) / stock.sel(statistic="mean")
    np.testing.assert_allclose(widths["One-batch"], expected)
    widths["Hybrid"][:9] = np.nan
    figure = maps.width_figure(widths, results.inputs.grid)
    meshes = [c for ax in figure.axes for c in ax.collections if isinstance(c, QuadMesh) and c.get_array().size > 50]
    assert len({id(mesh.norm) for mesh in meshes[:3]}) == 1
    assert sum(any(c.get_hatch() for c in ax.collections) for ax in figure.axes) == 1


def test_the_triangles_of_the_regional_figure_are_the_published_signs(results):
    figure = maps.regional_bias_figure(results.regional)
    axes = dict(zip(METHODS, figure.axes, strict=True))
    assert len({ax.get_xlim() for ax in axes.values()}) == 1
    assert sum(axes["default"].get_xlim()) == pytest.approx(0.0)
    marks = {
        name: sorted(line.get_marker() for line in ax.lines if line.get_marker() in "<>") for name, ax in axes.items()
    }
    assert marks["default"] == ["<", ">", ">"] and marks["network"] == []


def test_reference_maps_of_differences_share_a_scale_that_is_white_at_zero(results):
    methods = ("default", "network")
    figure = maps.reference_bias_maps(results.maps, results.inputs.grid, methods)
    titles = [ax.get_title() for ax in figure.axes[:2]]
    table = results.references.set_index(["interval", "method"])
    for title, method in zip(titles, methods, strict=True):
        assert f"r {table.loc[('0-100 cm', method), 'r']:.2f}" in title and "minus WHRC" in title
    norms = [c.norm for ax in figure.axes[:2] for c in ax.collections if isinstance(c, QuadMesh)]
    assert len({norm.vmax for norm in norms}) == 1 and all(norm.vmin == -norm.vmax for norm in norms)
