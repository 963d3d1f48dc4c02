"""The half-degree grid covers the land, and a position finds its cell."""

import numpy as np
import pandas as pd
import pytest
import shapely

from proda.data.grid import cell_area, cells_at, grid_dataset, land_cells, placed, read_grid
from proda.data.region import conterminous_land, states
from proda.errors import InputError

EARTH = 5.1006e14  # m2


def test_cells_cover_the_sphere():
    lat = np.arange(-89.75, 90, 0.5)
    assert 720 * cell_area(lat).sum() == pytest.approx(EARTH, rel=1e-4)


def test_a_square_of_land_gives_its_cells_with_their_fractions():
    cells = land_cells(shapely.box(-100.0, 40.0, -98.75, 41.0))
    full = cells[cells["land_fraction"] == 1]
    half = cells[cells["land_fraction"] < 1]
    assert sorted(set(full["lon"])) == [-99.75, -99.25]
    assert (half["lon"] == -98.75).all()
    np.testing.assert_allclose(half["land_fraction"], 0.5)


def test_the_conterminous_states_have_their_area():
    cells = land_cells(conterminous_land(), min_fraction=0.0)
    area = (cells["land_fraction"] * cells["cell_area"]).sum()
    assert len(states()) == 49
    assert area == pytest.approx(7.8e12, rel=0.02)  # the 48 states without the Great Lakes


def test_a_position_finds_the_cell_it_lies_in():
    cells = land_cells(shapely.box(-100.0, 40.0, -98.0, 41.0))
    chosen = np.random.default_rng(1).integers(len(cells), size=50)
    shift = np.random.default_rng(2).uniform(-0.249, 0.249, (2, 50))
    cell, distance = cells_at(cells["lon"].iloc[chosen] + shift[0], cells["lat"].iloc[chosen] + shift[1], cells)
    np.testing.assert_array_equal(cell, chosen)
    assert (distance == 0).all()


def test_a_position_off_the_land_takes_the_nearest_cell_within_the_tolerance():
    cells = land_cells(shapely.box(-100.0, 40.0, -98.0, 41.0))
    cell, distance = cells_at([-97.6, -97.4, np.nan], [40.2, 40.2, 40.0], cells, tolerance=0.5)
    np.testing.assert_allclose(distance[:2], [0.4, 0.6])
    assert cells.loc[cell[0], ["lon", "lat"]].tolist() == [-98.25, 40.25]
    assert cell[1] == cell[2] == -1


@pytest.mark.parametrize("west", [179.5, -180.0])  # all land on one side
def test_a_position_beyond_180_degrees_finds_the_cell_on_the_other_side(west):
    cells = land_cells(shapely.box(west, 60.0, west + 0.5, 61.0))
    east = np.array([179.9, -179.9, 180.0, -180.0])
    cell, distance = cells_at(east, [60.2] * 4, cells)
    assert cell.tolist() == [0] * 4 and distance.max() == pytest.approx(0.1)
    profiles = placed(pd.DataFrame({"lon": [*east, 120.0], "lat": 60.2}), cells, 0.5)
    assert profiles["in_domain"].tolist() == [True] * 4 + [False]


def test_what_is_written_is_what_is_read(tmp_path):
    cells = land_cells(shapely.box(-100.0, 40.0, -98.0, 41.0)).assign(land_cover=10.0, sand_percent=40.0, ref_map=5.0)
    grid_dataset(cells).to_netcdf(tmp_path / "grid.nc")
    grid = read_grid(tmp_path / "grid.nc")
    assert grid.attrs["resolution_degrees"] == 0.5
    assert grid["land_cover"].dtype.kind == "i"
    assert grid["ref_map"].attrs["units"] == "kg m-2"
    np.testing.assert_array_equal(grid["cell_area"], cells["cell_area"])


def test_profiles_are_placed_and_exchanged_or_distant_positions_are_refused():
    cells = land_cells(shapely.box(-100.0, 40.0, -98.0, 41.0))
    profiles = pd.DataFrame({"lon": [-99.2, -97.9, -90.0, np.nan], "lat": [40.3, 40.3, 40.3, 40.3]})
    result = placed(profiles, cells, 0.5)
    assert result["in_domain"].tolist() == [True, True, False, False]
    assert (result["cell"] >= 0).tolist() == [True, True, False, False]
    exchanged = profiles.rename(columns={"lon": "lat", "lat": "lon"})
    with pytest.raises(InputError, match="0 of 4 profiles lie on .* 2 would with longitude and latitude exchanged"):
        placed(exchanged, cells, 0.5)
    with pytest.raises(InputError, match=r"none of 4 profiles lies on a land cell.*lon -99\.75 to -98\.25"):
        placed(profiles.assign(lon=profiles["lon"] - 50), cells, 0.5)
