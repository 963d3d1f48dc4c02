"""A map gives each place its pixel and each cell its mean or its majority, in degrees or in a projection."""

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine
from small_maps import HOMOLOSINE, geotiff, in_degrees, netcdf

from proda.data.readers.rasters import Raster, cell_majorities, cell_means, values_at
from proda.errors import InputError

CELL_LON, CELL_LAT = (axis.ravel() for axis in np.meshgrid(np.arange(-99.75, -97, 0.5), np.arange(39.25, 41, 0.5)))
CELL_LON, CELL_LAT = np.delete(CELL_LON, 4), np.delete(CELL_LAT, 4)  # not all cells of the box are land


@pytest.fixture(scope="module")
def tilted(tmp_path_factory):
    """A map of 1/20 degree that tells where it was read, with a hole, beyond the cells on all sides."""
    transform, lon, lat = in_degrees(-101.0, 42.0, 0.05, 80, 100)
    values = 1000 * lon + lat
    values[30:38, 40:54] = np.nan
    path = tmp_path_factory.mktemp("maps") / "tilted.tif"
    return geotiff(path, values, transform, nodata=-9999.0, tiled=True, blockxsize=16, blockysize=16), values, lon, lat


def test_a_place_gets_the_pixel_it_lies_in(tilted):
    path, values, lon, lat = tilted
    random = np.random.default_rng(2)
    x, y = random.uniform(-100.99, -96.01, 300), random.uniform(38.01, 41.99, 300)
    with Raster(path) as raster:
        found = values_at(raster, x, y)
        turned = values_at(raster, x + 360.0, y)
    nearest = values[np.abs(lat[:, :1] - y).argmin(axis=0), np.abs(lon[0] - x[:, None]).argmin(axis=1)]
    np.testing.assert_array_equal(found, nearest)
    np.testing.assert_array_equal(turned, nearest)
    assert 0 < np.isnan(found).sum() < 20


def test_a_place_beyond_the_map_is_missing(tilted):
    with Raster(tilted[0]) as raster:
        assert np.isnan(values_at(raster, [-120.0, -100.0, 5.0], [40.0, 60.0, 40.0])).all()


def test_a_cell_gets_the_mean_of_its_pixels_by_area(tilted):
    path, values, lon, lat = tilted
    expected = []
    for x, y in zip(CELL_LON, CELL_LAT, strict=True):
        inside = (np.abs(lon - x) < 0.25) & (np.abs(lat - y) < 0.25) & np.isfinite(values)
        expected.append(np.average(values[inside], weights=np.cos(np.radians(lat[inside]))))
    with Raster(path) as raster:
        np.testing.assert_allclose(cell_means(raster, CELL_LON, CELL_LAT, 0.5), expected, rtol=1e-12)


def test_strips_do_not_change_a_mean(tilted, monkeypatch):
    with Raster(tilted[0]) as raster:
        whole = cell_means(raster, CELL_LON, CELL_LAT, 0.5)
        monkeypatch.setattr("proda.data.readers.rasters.STRIP_PIXELS", 150)
        np.testing.assert_allclose(cell_means(raster, CELL_LON, CELL_LAT, 0.5), whole, rtol=1e-12)


def test_a_cell_without_a_pixel_that_has_a_value_is_missing(tmp_path):
    transform, lon, lat = in_degrees(-101.0, 42.0, 0.1, 40, 50)
    values = np.where(lon < -99.0, 7.0, np.nan)
    with Raster(geotiff(tmp_path / "half.tif", values, transform, nodata=0.0)) as raster:
        means = cell_means(raster, CELL_LON, CELL_LAT, 0.5)
    np.testing.assert_allclose(means, np.where(CELL_LON < -99, 7.0, np.nan), rtol=1e-12)


@pytest.mark.parametrize("strip", [8_000_000, 60])
def test_a_cell_gets_its_most_frequent_class_and_the_lowest_on_ties(strip, tmp_path, monkeypatch):
    monkeypatch.setattr("proda.data.readers.rasters.STRIP_PIXELS", strip)
    transform, lon, lat = in_degrees(-100.0, 41.0, 0.125, 16, 24)
    classes = np.random.default_rng(4).choice([1, 4, 10, 12], size=lon.shape, p=[0.3, 0.2, 0.2, 0.3]).astype("u1")
    path = geotiff(tmp_path / "classes.tif", classes, transform)
    with Raster(path, missing=(12,)) as raster:
        found = cell_majorities(raster, CELL_LON, CELL_LAT, 0.5)
    for x, y, code in zip(CELL_LON, CELL_LAT, found, strict=True):
        inside = classes[(np.abs(lon - x) < 0.25) & (np.abs(lat - y) < 0.25)]
        count = np.bincount(inside[inside != 12], minlength=12)
        assert code == count.argmax()


def test_a_map_coarser_than_the_cells_gives_each_the_pixel_of_its_centre(tmp_path):
    transform, lon, lat = in_degrees(-102.0, 42.0, 1.0, 4, 6)
    with Raster(geotiff(tmp_path / "coarse.tif", 100 * lon + lat, transform)) as raster:
        means = cell_means(raster, CELL_LON, CELL_LAT, 0.5)
    np.testing.assert_array_equal(means, 100 * (np.floor(CELL_LON) + 0.5) + np.floor(CELL_LAT) + 0.5)


def test_a_netcdf_map_from_0_to_360_south_to_north_reads_as_a_geotiff_does(tmp_path):
    lon, lat = np.arange(0.05, 360.0, 0.1), np.arange(38.05, 42.0, 0.1)
    east = (lon + 180) % 360 - 180
    values = 10 * east[None] + lat[:, None]
    path = netcdf(tmp_path / "world.nc4", "npp", values, lon, lat)
    with Raster(path) as raster:
        np.testing.assert_allclose(
            values_at(raster, [-100.01, -0.03, 0.03], [40.11] * 3), [-960.35, 39.65, 40.65], rtol=1e-6
        )
        np.testing.assert_allclose(cell_means(raster, CELL_LON, CELL_LAT, 0.5), 10 * CELL_LON + CELL_LAT, rtol=1e-5)
        # Cells on both sides of Greenwich, where the map begins and ends.
        both = cell_means(raster, np.array([-0.25, 0.25]), np.array([40.25, 40.25]), 0.5)
    np.testing.assert_allclose(both, [37.75, 42.75], rtol=1e-4)


def homolosine_map(path, value_of):
    """A map of 2 km pixels in the interrupted homolosine, from 41.7 to 38 degrees north, around 100 degrees west."""
    radius = 6378137.0
    left, top, step = -radius * np.radians(100.0) - 120_000.0, radius * np.radians(40.7), 2000.0
    x, y = np.meshgrid(left + step * (np.arange(240) + 0.5), top - step * (np.arange(150) + 0.5))
    # South of 40 44' the projection is sinusoidal in every lobe; the lobe here is centred at 100 W (Goode 1925).
    lat = np.degrees(y / radius)
    lon = -100.0 + np.degrees((x + radius * np.radians(100.0)) / (radius * np.cos(np.radians(lat))))
    return (
        geotiff(path, value_of(lon, lat), Affine(step, 0, left, 0, -step, top), crs=HOMOLOSINE, nodata=-32768.0),
        lon,
        lat,
    )


def test_a_map_in_the_homolosine_projection_of_soilgrids_is_read_at_the_right_places(tmp_path):
    path, lon, lat = homolosine_map(tmp_path / "igh.tif", lambda lon, lat: lon)
    x, y = np.array([-100.0, -99.5, -98.2, -100.8]), np.array([40.0, 38.6, 39.3, 40.5])
    with Raster(path) as raster:
        np.testing.assert_allclose(values_at(raster, x, y), x, atol=0.013)  # half a pixel
    path, *_ = homolosine_map(tmp_path / "lat.tif", lambda lon, lat: lat)
    with Raster(path) as raster:
        np.testing.assert_allclose(values_at(raster, x, y), y, atol=0.009)


def test_a_homolosine_map_is_summed_up_over_cells(tmp_path):
    path, *_ = homolosine_map(tmp_path / "igh.tif", lambda lon, lat: 3 * lon + lat)
    x, y = np.array([-99.75, -99.25, -98.75]), np.array([39.25, 39.25, 38.75])
    with Raster(path) as raster:
        np.testing.assert_allclose(cell_means(raster, x, y, 0.5), 3 * x + y, atol=0.02)
    codes, *_ = homolosine_map(tmp_path / "codes.tif", lambda lon, lat: np.where(lon < -99.5, 4.0, 9.0))
    with Raster(codes) as raster:
        assert cell_majorities(raster, x, y, 0.5).tolist() == [4, 9, 9]


def test_a_map_whose_longitudes_and_latitudes_are_exchanged_is_told(tmp_path):
    # At 10 degrees east and 50 north such a map has a value, that of another place.
    lon, lat = np.arange(-179.5, 180.0), np.arange(-89.5, 90.0)
    path = netcdf(tmp_path / "turned.nc", "npp", np.zeros((lon.size, lat.size)), lat, lon)
    with pytest.raises(InputError, match=r"turned\.nc: the map reaches from -180 to 180 degrees north.*exchanged"):
        Raster(path)
    path = geotiff(tmp_path / "turned.tif", np.zeros((360, 180)), Affine(1, 0, -90, 0, -1, 180))
    with pytest.raises(InputError, match=r"turned\.tif: the map reaches from -180 to 180 degrees north.*exchanged"):
        Raster(path)


def test_what_is_no_map_is_told(tmp_path):
    transform, lon, _ = in_degrees(-100.0, 41.0, 0.5, 4, 4)
    with pytest.raises(InputError, match="no such file"):
        Raster(tmp_path / "none.tif")
    broken = geotiff(tmp_path / "cut.tif", lon, transform)
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.raises(InputError, match="cut.tif: (not a readable map|cannot be read)"), Raster(broken) as raster:
        values_at(raster, [-99.0], [40.0])
    nowhere = geotiff(tmp_path / "nowhere.tif", lon, transform, crs=None)
    with pytest.raises(InputError, match="no coordinate reference system"):
        Raster(nowhere)
    with rasterio.open(geotiff(tmp_path / "scaled.tif", lon, transform), "r+") as file:
        file.scales = (0.1,)
    with pytest.raises(InputError, match="declares a scale of 0.1"):
        Raster(tmp_path / "scaled.tif")
    with pytest.raises(InputError, match="maps on .lat, lon.: a, b; say which"):
        path = netcdf(tmp_path / "two.nc", "a", lon, np.arange(4), np.arange(4))
        import netCDF4

        with netCDF4.Dataset(path, "a") as file:
            file.createVariable("b", "f4", ("lat", "lon"))
        Raster(path)
