"""Extrapolated cells: counted by land and carbon, seen on their maps, dotted on those of carbon."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh

from proda.figures.maps import CLASSES, STIPPLED, extrapolation_maps, stock_map
from proda.maps.prediction import extrapolated_cells, extrapolated_shares

COUNT = np.array([0.0, 0.0, 1.0, 4.0, 12.0, 2.0])


@pytest.fixture
def grid():
    lon, lat = (values.ravel() for values in np.meshgrid([-100.25, -99.75, -99.25], [40.25, 40.75]))
    area = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    variables = {"lon": lon, "lat": lat, "cell_area": 2 * area, "land_fraction": np.full(6, 0.5)}
    return xr.Dataset({name: ("cell", values) for name, values in variables.items()})


@pytest.fixture
def maps():
    stock = np.ones((2, 1, 2, 6))
    stock[1, 0, 1] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    return xr.Dataset(
        {
            "stock": (("parameterisation", "statistic", "depth", "cell"), stock),
            "extrapolated": (("parameterisation", "cell"), np.stack([np.full(6, np.nan), COUNT])),
        },
        coords={
            "parameterisation": ["one-batch", "hybrid"],
            "statistic": ["mean"],
            "interval": ("depth", ["0-30 cm", "0-100 cm"]),
        },
    )


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_methods_that_look_at_no_covariates_extrapolate_nothing(maps):
    assert list(extrapolated_cells(maps)) == ["hybrid"]


def test_land_and_carbon_of_extrapolated_cells_are_shares_of_all(maps, grid):
    shares = extrapolated_shares(maps, grid).loc["hybrid"]
    assert shares["cells"] == pytest.approx(4 / 6) and shares["most"] == 12
    assert shares["land"] == pytest.approx(18 / 21)
    assert shares["carbon"] == pytest.approx((9 + 16 + 25 + 36) / (1 + 4 + 9 + 16 + 25 + 36))
    assert extrapolated_shares(maps, grid, "0-30 cm").loc["hybrid", "carbon"] == pytest.approx(18 / 21)


def test_every_cell_has_the_colour_of_its_class_and_the_title_the_share_of_land(maps, grid):
    figure = extrapolation_maps(extrapolated_cells(maps), grid)
    ax = next(ax for ax in figure.axes if ax.get_title())
    assert ax.get_title() == "Hybrid: 86% of the land extrapolated"
    mesh = next(c for c in ax.collections if isinstance(c, QuadMesh))
    assert mesh.get_array().ravel().tolist() == [0.0, 0.0, 1.0, 3.0, 5.0, 2.0]
    bar = next(ax for ax in figure.axes if ax.get_xlabel())
    assert [label.get_text() for label in bar.get_xticklabels()] == list(CLASSES)


def test_a_map_of_carbon_has_dots_where_it_is_extrapolated_and_says_what_they_are(grid):
    ax = stock_map(np.ones(6), grid, "Carbon", COUNT).axes[0]
    assert len(ax.stippled.get_offsets()) == 4
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [STIPPLED]
    assert stock_map(np.ones(6), grid, "Carbon", np.zeros(6)).axes[0].get_legend() is None
    assert stock_map(np.ones(6), grid, "Carbon").axes[0].get_legend() is None
