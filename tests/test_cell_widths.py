"""The width of the interval of a cell's stock, and its map."""

import matplotlib

matplotlib.use("Agg")
import numpy as np
import xarray as xr
from made_sites import few_sites

from proda.figures.maps import relative_width, width_figure
from proda.maps.prediction import soc_of_draws


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
