"""The look of figures: scales are fixed by quantity, cells and missing cells stand at their places, without network."""

import socket

import numpy as np
import pandas as pd
import pytest
from matplotlib.path import Path
from synthetic_study import small_results

from proda.figures import style


@pytest.fixture(scope="module")
def grid():
    return small_results().inputs.grid


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refused(*args, **kwargs):
        raise AssertionError("a figure asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refused)


def test_differences_are_white_at_zero_and_symmetric():
    norm = style.scale_of("difference", [-1.0, 5.0], limits=(-2.0, 6.0)).norm
    assert (norm.vmin, norm.vcenter, norm.vmax) == (-6, 0, 6)
    assert style.scale_of("difference", [0.0, np.nan]).norm(0.0) == 0.5


def test_a_cell_is_drawn_where_it_lies(grid):
    ax = style.map_axes(grid)
    mesh = style.draw_cells(np.arange(grid.sizes["cell"]), grid, ax)
    centres = mesh.get_coordinates()[:-1, :-1] / 2 + mesh.get_coordinates()[1:, 1:] / 2
    values = mesh.get_array()
    row, column = np.argwhere(values == 7)[0]
    expected = ax.project(float(grid["lon"][7]), float(grid["lat"][7]))
    assert np.hypot(*(centres[row, column] - expected)) < 30e3


def test_missing_cells_are_hatched_and_not_left_white(grid):
    ax = style.map_axes(grid)
    values = np.ones(grid.sizes["cell"])
    values[:5] = np.nan
    style.draw_cells(values, grid, ax)
    hatched = [c for c in ax.collections if c.get_hatch()]
    assert len(hatched) == 1 and (hatched[0].get_paths()[0].codes == Path.MOVETO).sum() == 5


def test_the_largest_differences_are_drawn_last():
    sites = pd.DataFrame({"lon": [-100.0, -90, -80], "lat": [40.0, 40, 40]})
    dots = style.draw_sites([-9.0, 1.0, np.nan], sites, style.map_axes(sites), "difference")
    assert dots.get_array().tolist() == [1.0, -9.0]
