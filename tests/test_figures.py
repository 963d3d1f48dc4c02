"""Figures: scales mean what they say, missing cells are seen, and drawing needs no network."""

import socket

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.path import Path
from synthetic_study import write_study

from proda.figures.maps import mapped_stocks, stock_maps
from proda.figures.results import (
    CLASSES,
    agreement_figure,
    difference_norm,
    land_cover_figure,
    mean_by_depth,
    stock_figure,
    stocks_shown,
    vegetation_class,
)
from proda.figures.style import (
    ALBERS,
    QUANTITIES,
    draw_cells,
    draw_sites,
    map_axes,
    scale_of,
    use_style,
)
from proda.maps.prediction import METHODS
from proda.maps.regions import stock_differences
from proda.maps.stage import final_results


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    use_style()
    return final_results(write_study(tmp_path_factory.mktemp("study")))


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refused(*args, **kwargs):
        raise AssertionError("a figure asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    yield
    plt.close("all")


def test_differences_are_white_at_zero_and_symmetric():
    norm = scale_of("difference", [-1.0, 5.0], limits=(-2.0, 6.0)).norm
    assert (norm.vmin, norm.vcenter, norm.vmax) == (-6, 0, 6)


def test_a_quantity_keeps_its_scale_whatever_the_values():
    assert scale_of("soc_stock", [1.0, 2.0]).norm is QUANTITIES["soc_stock"].norm


def test_a_cell_is_drawn_where_it_lies(results):
    grid = results.inputs.grid
    mesh = draw_cells(np.arange(grid.sizes["cell"]), grid, map_axes())
    centres = mesh.get_coordinates()[:-1, :-1] / 2 + mesh.get_coordinates()[1:, 1:] / 2
    values = mesh.get_array()
    row, column = np.argwhere(values == 7)[0]
    expected = ALBERS.transform_point(float(grid["lon"][7]), float(grid["lat"][7]), ALBERS.as_geodetic())
    assert np.hypot(*(centres[row, column] - expected)) < 30e3


def test_missing_cells_are_hatched_and_not_left_white(results):
    ax = map_axes()
    values = np.ones(results.inputs.grid.sizes["cell"])
    values[:5] = np.nan
    draw_cells(values, results.inputs.grid, ax)
    hatched = [c for c in ax.collections if c.get_hatch()]
    assert len(hatched) == 1 and (hatched[0].get_paths()[0].codes == Path.MOVETO).sum() == 5


def test_the_largest_differences_are_drawn_last():
    sites = pd.DataFrame({"lon": [-100.0, -90, -80], "lat": [40.0, 40, 40]})
    dots = draw_sites([-9.0, 1.0, np.nan], sites, map_axes(), "difference")
    assert dots.get_array().tolist() == [1.0, -9.0]


def test_agreement_has_a_map_on_its_own_scale_and_a_scatter_on_a_common_one_for_each_method(results):
    layers = results.inputs.layers
    modelled = {name: results.modelled[name] for name in METHODS}
    figure = agreement_figure(layers, modelled, results.inputs.sites)
    maps = [ax for ax in figure.axes if hasattr(ax, "differences")]
    scatters = [ax for ax in figure.axes if hasattr(ax, "counts")]
    assert len(maps) == len(scatters) == len(METHODS)
    differences = stock_differences(layers, modelled["default"], len(results.inputs.sites))
    norm = maps[0].differences.norm
    assert norm.vmin == pytest.approx(np.quantile(differences[differences < 0], 0.05))
    assert norm.vmax == pytest.approx(np.quantile(differences[differences > 0], 0.95))
    assert len({ax.differences.norm.vmax for ax in maps}) == len(METHODS)
    assert all("kg C" in ax.bar.ax.get_xlabel() for ax in maps)
    assert len({ax.counts.norm.vmax for ax in scatters}) == 1
    r2 = results.table.query("sites == 'all assimilated' and method == 'hybrid' and source == 'this study'")["r2"]
    assert f"$r^2$ {r2.iloc[0]:.2f} " in scatters[-1].get_title(loc="right")


def test_white_is_zero_on_a_scale_with_unlike_sides_and_a_side_without_values_is_there():
    norm = difference_norm([-40.0, -1.0, 2.0, np.nan])
    assert norm(0.0) == 0.5 and norm.vmin < -30 and norm.vmax == 2.0
    lonely = difference_norm([1.0, 3.0, np.nan])
    assert lonely(0.0) == 0.5 and lonely.vmin == -lonely.vmax
    assert difference_norm([0.0, np.nan])(0.0) == 0.5


def test_maps_begin_with_what_was_observed_and_show_references_and_all_methods(results):
    stocks = mapped_stocks(results.maps, results.inputs.grid)
    assert list(stocks) == [
        "truth", "site-by-site", "WHRC (reference)", "default", "one-batch", "random-sampling", "network",
        "hybrid",
    ]  # fmt: skip
    figure = stock_maps(stocks, results.inputs.grid)
    meshes = [c for ax in figure.axes for c in ax.collections if isinstance(c, QuadMesh) and c.get_array().size > 50]
    assert len(meshes) == 3 * len(stocks) and len({id(mesh.norm) for mesh in meshes}) == 1


def test_a_reference_without_an_interval_says_so_and_is_not_hatched(results):
    grid = results.inputs.grid.drop_vars("ref_whrc_soc_0_200cm_kg_m2")
    stocks = {name: mapped_stocks(results.maps, grid)[name] for name in ("WHRC (reference)", "network")}
    figure = stock_maps(stocks, grid)
    silent = [ax for ax in figure.axes if any("no map of" in text.get_text() for text in ax.texts)]
    assert len(silent) == 1 and not any(c.get_hatch() for c in silent[0].collections)


def test_stock_bars_leave_out_what_does_not_cover_the_land(results):
    shown = stocks_shown(results.stocks)
    assert "site-by-site" not in set(shown["method"])
    assert {"network", "truth", "SoilGrids250m"} <= set(shown["method"])
    figure = stock_figure(results.stocks)
    assert [ax.get_title() for ax in figure.axes] == ["0-30 cm", "30-100 cm", "100-200 cm"]
    assert len({ax.get_xlim() for ax in figure.axes}) == 1


def test_every_total_and_interval_lies_on_the_axis_and_stands_beside_it_as_a_number(results):
    few = results.stocks[results.stocks["source"] == "published"].copy()
    few.loc[few["method"] == "one-batch", ["source", "stock_pg", "p05_pg", "p95_pg"]] = "this study", 4.4, 0.0, 6.0
    few["land_share"] = 1.0
    ax = stock_figure(few).axes[2]
    low, high = ax.get_xlim()
    assert ax.get_xscale() == "log" and 0 < low <= 1 and high > 526
    told = [text.get_text() for text in ax.texts]
    assert {"526", "58 (2\u2013163)", "4.4 (0.0\u20136.0)", "68"} <= set(told)
    lines = [
        line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2 and line.get_transform() == ax.transData
    ]
    assert [low, 6.0] in [list(line) for line in lines], "an interval that begins at 0 begins at the axis"


def test_a_site_that_calls_itself_wetland_is_one():
    sites = pd.DataFrame({"land_cover": [1, 12, 13, 11], "land_use": ["woodyWetlands", None, "urban", "x"]})
    assert vegetation_class(sites).tolist() == ["Wetland", "Cropland", "", "Wetland"]


def test_means_by_depth_average_each_interval_and_drop_thin_ones():
    depth = np.r_[np.full(6, 0.05), np.full(6, 0.4), np.full(2, 0.9), np.full(9, 2.5)]
    found = mean_by_depth(depth, np.r_[np.full(6, 10.0), np.arange(6.0), 1, 1, np.ones(9)])
    assert found["soc"].tolist() == [10.0, 2.5] and found["depth"].tolist() == pytest.approx([0.05, 0.4])


def test_land_cover_panels_share_their_axes(results):
    figure = land_cover_figure(results.inputs.layers, {"network": results.modelled["network"]}, results.inputs.sites)
    panels = figure.axes[: len(CLASSES)]
    assert len({(ax.get_xlim(), ax.get_ylim()) for ax in panels}) == 1
    assert panels[0].get_ylim() == (2.0, 0.0)
