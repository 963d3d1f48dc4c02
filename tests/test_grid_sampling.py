"""Places find their cells on any regular grid, over Greenwich and the date line, and a place off the grid is told."""

import numpy as np
import pytest

from proda.data.readers.rasters import nearest_on_axis, sampling
from proda.errors import InputError

RANDOM = np.random.default_rng(6)
LAT = np.linspace(-90, 90, 97)
GRIDS = {
    "from 0 to 360": np.arange(0.0, 360.0, 2.5),
    "from -180 to 180": np.arange(-180.0, 180.0, 2.5),
    "half a cell off": np.arange(-178.75, 180.0, 2.5),
    "westwards": np.arange(358.75, 0.0, -2.5),
}


def away(a, b):
    return np.abs(np.mod(a - b + 180.0, 360.0) - 180.0)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("lat", [LAT, LAT[::-1]], ids=["northwards", "southwards"])
def test_the_nearest_cell_is_the_nearest_anywhere_on_the_globe(grid, lat):
    lon, x, y = GRIDS[grid], RANDOM.uniform(-180, 180, 400), RANDOM.uniform(-90, 90, 400)
    s = sampling(lon, lat, x, y, "nearest", "grid")
    row, column = s.row[s.index[0]], s.column[s.index[0]]
    np.testing.assert_allclose(away(lon[column], x), away(lon[:, None], x).min(axis=0), atol=1e-9)
    np.testing.assert_allclose(np.abs(lat[row] - y), np.abs(lat[:, None] - y).min(axis=0), atol=1e-9)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("centre", [0.0, 180.0, -97.0], ids=["Greenwich", "date line", "America"])
def test_bilinear_weights_recover_a_plane_on_both_sides_of_any_seam(grid, centre):
    lon = GRIDS[grid]
    x, y = centre + RANDOM.uniform(-20, 20, 200), RANDOM.uniform(-80, 80, 200)
    s = sampling(lon, LAT, np.mod(x + 180, 360) - 180, y, "bilinear", "grid")
    east = np.mod(lon[s.column] - centre + 180, 360) - 180
    np.testing.assert_allclose(s.at_places(3 * east + LAT[s.row]), 3 * (x - centre) + y, atol=1e-9)
    np.testing.assert_allclose(s.weight.sum(axis=0), 1.0)


def test_a_missing_cell_leaves_its_weight_to_the_others_and_none_of_them_is_missing():
    s = sampling([0.0, 1.0], [0.0, 1.0], [0.25, 0.5], [0.0, 0.5], "bilinear", "grid")
    values = np.array([[10.0, 20.0, 30.0, 40.0]])
    np.testing.assert_allclose(s.at_places(values), [[12.5, 25.0]])
    values[0, 1] = np.nan
    np.testing.assert_allclose(s.at_places(values), [[10.0, 80.0 / 3]])
    assert np.isnan(s.at_places(values * np.nan)).all()


def test_only_the_cells_that_are_needed_are_read():
    s = sampling(GRIDS["from 0 to 360"], LAT, [-100.0, -100.1, 10.0], [40.0, 40.1, 40.0], "nearest", "grid")
    assert s.row.size == 2


def test_between_two_points_the_first_of_the_axis_is_nearest():
    assert nearest_on_axis([3.0, 2.0, 1.0], [2.5, 1.5]).tolist() == [0, 1]
    assert nearest_on_axis([1.0, 2.0, 3.0], [2.5, 1.5]).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("lon", "lat", "message"),
    [
        (np.arange(-130.0, -60.0), np.arange(20.0, 40.0), "does not cover 1 of 2 places; the first is place 1"),
        (np.arange(-130.0, -99.0), np.arange(20.0, 60.0), "does not cover 1 of 2 places; the first is place 1"),
        (np.arange(0.0, 100.0), np.arange(20.0, 60.0), "does not cover 2 of 2 places"),
        (np.array([1.0, 3.0, 2.0]), np.arange(20.0, 60.0), "lon does not run in one direction"),
        (np.arange(20.0, 60.0), np.arange(-130.0, -60.0), "lat runs from -130 to -61.*exchanged"),
        (np.zeros((3, 3)), np.arange(20.0, 60.0), r"lon has shape \(3, 3\), expected one axis"),
    ],
)
def test_a_grid_that_does_not_suit_is_told(lon, lat, message):
    with pytest.raises(InputError, match=message):
        sampling(lon, lat, [-100.0, -90.0], [35.0, 45.0], "nearest", "grid")


def test_a_place_without_a_position_and_an_unknown_method_are_told():
    with pytest.raises(InputError, match="place 1 has no position"):
        sampling(GRIDS["from 0 to 360"], LAT, [1.0, np.nan], [1.0, 1.0], "nearest", "grid")
    with pytest.raises(InputError, match="method is 'cubic', expected one of: nearest, bilinear"):
        sampling(GRIDS["from 0 to 360"], LAT, [1.0], [1.0], "cubic", "grid")
