"""Figures of results: agreement, stocks, profiles by vegetation."""

import numpy as np
import pytest

from proda.figures.results import (
    CLASSES,
    agreement_figure,
    land_cover_figure,
    mean_by_depth,
    stock_figure,
    stocks_shown,
)
from proda.maps.regions import stock_differences


def test_agreement_has_a_map_and_a_scatter_for_each_method_on_common_scales(results):
    layers, modelled = results.at_used_sites(by_part=True)
    figure = agreement_figure(layers, modelled, results.inputs.sites)
    maps = [ax for ax in figure.axes if hasattr(ax, "differences")]
    scatters = [ax for ax in figure.axes if hasattr(ax, "counts")]
    assert [ax.get_title(loc="left") for ax in maps][3:] == [
        "Site-by-site", "Neural network (train sites)", "Neural network (test sites)", "Hybrid (test sites)"
    ]  # fmt: skip
    differences = [stock_differences(layers, soc, len(results.inputs.sites)) for soc in modelled.values()]
    low, high = np.nanquantile(differences, [0.02, 0.98])
    norm = maps[0].differences.norm
    assert norm.vmax == -norm.vmin == pytest.approx(max(-low, high)) and norm(0.0) == 0.5
    assert {ax.differences.norm.vmax for ax in maps} == {norm.vmax} and len(scatters) == len(modelled)
    assert len({ax.counts.norm.vmax for ax in scatters}) == 1
    for ax, row in zip(
        scatters[-3:], ("network (train sites)", "network (test sites)", "hybrid (test sites)"), strict=True
    ):
        assert f"$r^2$ {results.headline.loc[row, 'r2']:.2f} " in ax.get_title(loc="right")


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
    numbers = [text.get_text() for text in ax.texts]
    assert {"526", "58 (2\u2013163)", "4.4 (0.0\u20136.0)", "68"} <= set(numbers)
    lines = [
        line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2 and line.get_transform() == ax.transData
    ]
    assert [low, 6.0] in [list(line) for line in lines], "an interval that begins at 0 begins at the axis"


def test_means_by_depth_average_each_interval_and_drop_thin_ones():
    depth = np.r_[np.full(6, 0.05), np.full(6, 0.4), np.full(2, 0.9), np.full(9, 2.5)]
    found = mean_by_depth(depth, np.r_[np.full(6, 10.0), np.arange(6.0), 1, 1, np.ones(9)])
    assert found["soc"].tolist() == [10.0, 2.5] and found["depth"].tolist() == pytest.approx([0.05, 0.4])


def test_land_cover_panels_share_their_axes(results):
    figure = land_cover_figure(results.inputs.layers, {"network": results.modelled["network"]}, results.inputs.sites)
    axes = figure.axes[: len(CLASSES)]
    assert len({(ax.get_xlim(), ax.get_ylim()) for ax in axes}) == 1
    assert axes[0].get_ylim() == (2.0, 0.0)
