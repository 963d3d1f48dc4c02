"""Site-by-site counts only where, and only as deep as, profiles were observed."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from proda.maps.prediction import (
    LEAST_OBSERVED_DEPTH,
    cell_means,
    observed_depth,
    soc_of_one,
    soc_of_sites,
    soc_where_observed,
    where_observed,
)
from proda.maps.scores import map_scores
from proda.maps.stocks import MAP_INTERVALS, stock_table, stocks
from proda.model.configuration import PAPER_COLUMN

AREA = np.array([1e12, 2e12, 1e12, 1e12])
GRID = xr.Dataset({"cell_area": ("cell", AREA), "land_fraction": ("cell", np.ones(4))})


@pytest.fixture
def maps():
    """Three sites in two cells, observed to 0.3, 1.0 and 2.0 m; the shallow ones extrapolate nonsense below 1 m."""
    soc = np.where(PAPER_COLUMN.node[:, None] > 1.0, [[1e6, 1e6, 10e3]], 20e3)
    site_maps = soc_of_sites(soc, np.array([0.3, 1.0, 2.0]), np.array([1, 1, 2]), AREA)
    both = xr.concat(
        [site_maps, soc_of_one(np.full((10, 4), 20e3), AREA)], dim="parameterisation", coords="minimal",
        compat="override",
    )  # fmt: skip
    return both.assign_coords(parameterisation=["site-by-site", "truth"])


def test_the_reach_of_a_site_is_the_lower_bound_of_its_lowest_layer():
    layers = pd.DataFrame({"site": [2, 0, 0], "lower_depth": [0.2, 0.9, 0.4]})
    assert observed_depth(layers, 4).tolist() == [0.9, 0.0, 0.2, 0.0]


def test_a_stratum_counts_from_its_middle_on_whatever_the_rounding():
    np.testing.assert_allclose(LEAST_OBSERVED_DEPTH, [0.15, 0.65, 1.5])
    counted = np.isfinite(where_observed(np.ones((3, 5)), np.array([0.14, 0.15, 0.1 + 0.55 - 1e-16, 1.49, 1.5])))
    assert counted.sum(axis=0).tolist() == [0, 1, 2, 2, 3]


def test_model_layers_below_the_lowest_observation_are_missing():
    reach = np.array([0.0, PAPER_COLUMN.node[4], PAPER_COLUMN.bottom[-1]])
    counted = np.isfinite(soc_where_observed(np.ones((10, 3)), reach))
    assert counted.sum(axis=0).tolist() == [0, 5, 10]


def test_cell_means_average_the_sites_that_count_and_leave_other_cells_missing():
    values = np.array([[1.0, 3.0, 5.0], [1.0, np.nan, np.nan]])
    expected = [[5.0, np.nan, 2.0, np.nan], [np.nan, np.nan, 1.0, np.nan]]
    np.testing.assert_array_equal(cell_means(values, np.array([2, 2, 0]), 4), expected)


def test_what_lies_below_the_profiles_of_a_cell_does_not_enter_its_stock(maps):
    stock = maps["stock"].sel(parameterisation="site-by-site", statistic="mean").transpose("depth", "cell").values
    deep = stocks(np.where(PAPER_COLUMN.node > 1.0, 10e3, 20e3)[:, None], MAP_INTERVALS)[:, 0]
    np.testing.assert_allclose(stock[0, [1, 2]], [6.0, 6.0])
    np.testing.assert_array_equal(np.isfinite(stock), [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 1, 0]])
    assert stock[2, 2] == pytest.approx(deep[2])
    assert maps["soc"].sel(parameterisation="site-by-site").max() == 20e3


def test_land_share_and_totals_count_what_is_supported_in_each_interval(maps):
    table = stock_table(maps, GRID).query("method == 'site-by-site'").set_index("interval")
    assert table["cells"].tolist() == [2, 2, 1]
    np.testing.assert_allclose(table["land_share"], [3 / 5, 3 / 5, 1 / 5])
    assert table.loc["0-30 cm", "stock_pg"] == pytest.approx(6.0 * 3)
    assert table.loc["100-200 cm", "stock_pg"] < 20.0


def test_maps_are_compared_in_each_interval_on_the_cells_that_have_it(maps):
    found = map_scores(maps).query("cells == 'with sites'").set_index("interval")
    assert found["n"].tolist() == [2, 2, 1]
