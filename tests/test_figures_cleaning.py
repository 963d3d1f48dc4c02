"""Figures of stage 1 show the numbers of the account, of the profiles and of the grid."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from columns import seasonal_forcing
from matplotlib.collections import QuadMesh
from matplotlib.path import Path

from proda.data.cleaning import RULES
from proda.figures import cleaning
from proda.model.forcing import Forcing


@pytest.fixture(scope="module")
def grid():
    lon, lat = (axis.ravel() for axis in np.meshgrid(np.arange(-110.25, -90, 2), np.arange(33.25, 45, 2)))
    cover = np.resize([1, 4, 5, 7, 10, 12, 13], lon.size)
    cells = {"lon": ("cell", lon), "lat": ("cell", lat), "land_cover": ("cell", cover)}
    return xr.Dataset(cells, attrs={"resolution_degrees": 2.0})


@pytest.fixture(scope="module")
def forcing(grid):
    rng, n = np.random.default_rng(2), grid.sizes["cell"]
    temperature, potential = (np.tile(rng.uniform(*ends, n), (10, 1)) for ends in ((270, 300), (-2, -0.01)))
    npp = rng.uniform(200, 800, n)
    return Forcing(temperature, potential, np.full(n, 35.0), npp, 0.7 * npp, 1.3 * npp)


@pytest.mark.parametrize("excluded", [[2, 7], [0, 0]])
def test_the_waterfall_begins_with_the_raw_rows_and_ends_with_those_kept(excluded):
    account = pd.DataFrame({"rule": [rule.name for rule in RULES[:2]], "layers_before": [40, 40 - excluded[0]]})
    account["layers_after"] = account["layers_before"] - excluded
    account[["profiles_before", "profiles_after"]] = 20
    labels = [text.get_text() for text in cleaning.account_figure(account).axes[1].texts]
    assert labels == ["40", *(f"\u2212{n}" for n in excluded if n), str(40 - sum(excluded))]


@pytest.mark.parametrize("monthly", [False, True])
def test_climates_share_out_every_profile_once(forcing, monthly):
    forcing = seasonal_forcing(60).warmed(np.linspace(-9.0, 9.0, 60)) if monthly else forcing
    cell = np.random.default_rng(3).integers(forcing.n_columns, size=1000)
    groups = cleaning.climate_groups(forcing, cell)
    assert len(groups) == 6 and (np.sum(list(groups.values()), axis=0) == 1).all()
    warm = next(members for name, members in groups.items() if name.startswith("above") and name.endswith("moist"))
    assert 0 < warm.sum() < 1000


def test_carbon_with_depth_is_the_median_of_the_layers_of_a_bin(forcing):
    profiles = pd.DataFrame({"land_cover": [10] * 60, "cell": np.arange(60) % forcing.n_columns})
    soc = np.concatenate([np.linspace(20e3, 40e3, 60), np.full(60, 5e3)])
    layers = pd.DataFrame({"site": [*range(60)] * 2, "depth": [0.02] * 60 + [0.5] * 60, "soc": soc})
    left = cleaning.carbon_figure(layers, profiles, forcing).axes[0]
    (line,) = left.lines
    assert line.get_label() == "Grassland (60)"
    np.testing.assert_allclose(line.get_xdata(), [30.0, 5.0])


def test_maps_show_every_profile_cell_and_kind_of_vegetation(grid):
    cell = np.array([0, 0, 3, 5])
    figure = cleaning.grid_figure(cell, grid)
    upper = next(ax for ax in figure.axes if hasattr(ax, "counts"))
    assert np.nansum(upper.counts.get_array()) == cell.size
    hatched = [c for c in upper.collections if c.get_hatch()]
    assert (hatched[0].get_paths()[0].codes == Path.MOVETO).sum() == grid.sizes["cell"] - 3
    profiles = pd.DataFrame({"lon": [-100.0, -95.0], "lat": [40.0, 41.0], "n_layers": [3, 4]})
    assert cleaning.layers_map(profiles).get_title() == "2 profiles, 7 layers"


@pytest.mark.parametrize("monthly", [False, True])
def test_forcing_is_mapped_in_celsius(forcing, grid, monthly):
    forcing = seasonal_forcing(forcing.n_columns) if monthly else forcing
    figure = cleaning.forcing_maps(forcing, grid)
    maps = [ax for ax in figure.axes if any(isinstance(c, QuadMesh) for c in ax.collections) and ax.get_title()]
    assert len(maps) == 3 + monthly
    values = next(c for c in maps[0].collections if isinstance(c, QuadMesh)).get_array().compressed()
    np.testing.assert_allclose(np.sort(values), np.sort(forcing.annual_temperature[4] - 273.15))
