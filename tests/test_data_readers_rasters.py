"""A map gives each place its pixel and each cell its mean or its majority; public maps come in their own units."""

import netCDF4
import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import Affine
from small_maps import HOMOLOSINE, geotiff, in_degrees, netcdf

from proda.data.covariates import PAPER_LIST, covariate_list
from proda.data.readers import rasters
from proda.data.readers.pixels import Layer
from proda.data.readers.rasters import SOURCES, covariates_from_maps, map_values, nearest_index
from proda.errors import InputError

ANY = Layer("value", "", "m", -np.inf, np.inf)
CLASS = ANY._replace(classes=True)

CELL_LON, CELL_LAT = (axis.ravel() for axis in np.meshgrid(np.arange(-99.75, -97, 0.5), np.arange(39.25, 41, 0.5)))
CELL_LON, CELL_LAT = np.delete(CELL_LON, 4), np.delete(CELL_LAT, 4)  # not all cells of the box are land


@pytest.fixture(scope="module")
def tilted(tmp_path_factory):
    """A map of 1/20 degree, a different value everywhere, with a hole, beyond the cells on all sides."""
    transform, lon, lat = in_degrees(-101.0, 42.0, 0.05, 80, 100)
    values = 1000 * lon + lat
    values[30:38, 40:54] = np.nan
    path = tmp_path_factory.mktemp("maps") / "tilted.tif"
    return geotiff(path, values, transform, nodata=-9999.0, tiled=True, blockxsize=16, blockysize=16), values, lon, lat


def test_a_place_gets_the_pixel_it_lies_in_whatever_the_tiles(tilted, monkeypatch):
    path, values, lon, lat = tilted
    random = np.random.default_rng(2)
    x, y = random.uniform(-100.99, -96.01, 300), random.uniform(38.01, 41.99, 300)
    monkeypatch.setattr(rasters, "TILE", 7)
    nearest = values[np.abs(lat[:, :1] - y).argmin(axis=0), np.abs(lon[0] - x[:, None]).argmin(axis=1)]
    result = map_values(path, ANY, x, y)
    np.testing.assert_array_equal(result, nearest)
    np.testing.assert_array_equal(map_values(path, ANY, x + 360.0, y), nearest)
    assert 0 < np.isnan(result).sum() < 20
    beyond = map_values(path, ANY, [-120.0, -100.0, 5.0, -99.0], [40.0, 60.0, 40.0, 39.0])
    assert np.isnan(beyond).tolist() == [True, True, True, False]


def exact_means(values, lon, lat, edge=0.5):
    """Means by area over the pixels whose centres lie in each cell, one by one."""
    means = []
    for x, y in zip(CELL_LON, CELL_LAT, strict=True):
        inside = (np.abs(lon - x) < edge / 2) & (np.abs(lat - y) < edge / 2) & np.isfinite(values)
        means.append(np.average(values[inside], weights=np.cos(np.radians(lat[inside]))) if inside.any() else np.nan)
    return means


@pytest.mark.parametrize("south_up", [False, True])
def test_a_cell_gets_the_mean_of_its_pixels_by_area_north_up_or_south_up(tilted, tmp_path, south_up):
    path, values, lon, lat = tilted
    if south_up:
        path = geotiff(tmp_path / "up.tif", values[::-1], Affine(0.05, 0, -101.0, 0, 0.05, 38.0), nodata=-9999.0)
    means = map_values(path, ANY, CELL_LON, CELL_LAT, 0.5)
    np.testing.assert_allclose(means, exact_means(values, lon, lat), rtol=1e-12)


def test_codes_and_fill_values_never_enter_a_mean(tmp_path):
    transform, lon, lat = in_degrees(-101.0, 42.0, 0.1, 40, 50)
    values = np.where((np.arange(50) % 2)[None] == 1, 65535, 100 + 0 * lon)
    path = geotiff(tmp_path / "codes.tif", values, transform, dtype="u2")
    np.testing.assert_allclose(map_values(path, ANY._replace(missing=(65535,)), CELL_LON, CELL_LAT, 0.5), 100.0)
    # An undeclared fill value is an error of a pixel, though the mean over a cell would be plausible.
    with pytest.raises(InputError, match=r"value is 65535 m in a pixel, expected 0 to 40000 .*does not declare"):
        map_values(path, ANY._replace(least=0, greatest=40000), CELL_LON, CELL_LAT, 0.5)


def test_a_cell_gets_its_most_frequent_class_and_the_lowest_on_ties(tmp_path):
    transform, lon, lat = in_degrees(-100.0, 41.0, 0.125, 16, 24)
    classes = np.random.default_rng(4).choice([1, 4, 10, 12], size=lon.shape, p=[0.3, 0.2, 0.2, 0.3]).astype("u1")
    path = geotiff(tmp_path / "classes.tif", classes, transform)
    majorities = map_values(path, CLASS._replace(missing=(12,)), CELL_LON, CELL_LAT, 0.5)
    for x, y, code in zip(CELL_LON, CELL_LAT, majorities, strict=True):
        inside = classes[(np.abs(lon - x) < 0.25) & (np.abs(lat - y) < 0.25)]
        count = np.bincount(inside[inside != 12], minlength=12)
        assert code == count.argmax()


def test_a_netcdf_map_from_0_to_360_south_to_north_reads_as_a_geotiff_does(tmp_path):
    lon, lat = np.arange(0.05, 360.0, 0.1), np.arange(38.05, 42.0, 0.1)
    east = (lon + 180) % 360 - 180
    path = netcdf(tmp_path / "world.nc4", "npp", 10 * east[None] + lat[:, None], lon, lat)
    at = map_values(path, ANY, [-100.01, -0.03, 0.03], [40.11] * 3)
    np.testing.assert_allclose(at, [-960.35, 39.65, 40.65], rtol=1e-6)
    means = map_values(path, ANY, CELL_LON, CELL_LAT, 0.5)
    np.testing.assert_allclose(means, 10 * CELL_LON + CELL_LAT, rtol=1e-5)
    # Cells on both sides of Greenwich, where the map begins and ends.
    both = map_values(path, ANY, np.array([-0.25, 0.25]), np.array([40.25, 40.25]), 0.5)
    np.testing.assert_allclose(both, [37.75, 42.75], rtol=1e-4)


def homolosine_map(path, value_of):
    """A map of 2 km pixels in the interrupted homolosine, from 41.7 to 38 degrees north, around 100 degrees west."""
    radius = 6378137.0
    left, top, step = -radius * np.radians(100.0) - 120_000.0, radius * np.radians(40.7), 2000.0
    x, y = np.meshgrid(left + step * (np.arange(240) + 0.5), top - step * (np.arange(150) + 0.5))
    # South of 40 44' the projection is sinusoidal in every lobe; the lobe here is centred at 100 W (Goode 1925).
    lat = np.degrees(y / radius)
    lon = -100.0 + np.degrees((x + radius * np.radians(100.0)) / (radius * np.cos(np.radians(lat))))
    return geotiff(path, value_of(lon, lat), Affine(step, 0, left, 0, -step, top), crs=HOMOLOSINE, nodata=-32768.0)


def test_a_map_in_the_homolosine_projection_of_soilgrids_is_read_at_the_right_places_and_cells(tmp_path):
    x, y = np.array([-100.0, -99.5, -98.2, -100.8]), np.array([40.0, 38.6, 39.3, 40.5])
    path = homolosine_map(tmp_path / "igh.tif", lambda lon, lat: 3 * lon + lat)
    np.testing.assert_allclose(map_values(path, ANY, x, y), 3 * x + y, atol=0.048)  # half a pixel
    x, y = np.array([-99.75, -99.25, -98.75]), np.array([39.25, 39.25, 38.75])
    np.testing.assert_allclose(map_values(path, ANY, x, y, 0.5), 3 * x + y, atol=0.02)
    codes = homolosine_map(tmp_path / "codes.tif", lambda lon, lat: np.where(lon < -99.5, 4.0, 9.0))
    assert map_values(codes, CLASS, x, y, 0.5).tolist() == [4, 9, 9]


def test_a_map_whose_longitudes_and_latitudes_are_exchanged_is_an_error(tmp_path):
    # At 10 degrees east and 50 north such a map has a value, that of another place.
    lon, lat = np.arange(-179.5, 180.0), np.arange(-89.5, 90.0)
    for path in (
        netcdf(tmp_path / "turned.nc", "npp", np.zeros((lon.size, lat.size)), lat, lon),
        geotiff(tmp_path / "turned.tif", np.zeros((360, 180)), Affine(1, 0, -90, 0, -1, 180)),
    ):
        with pytest.raises(InputError, match=r"turned\..*: the map reaches from .* -180 to 180 north.*exchanged"):
            map_values(path, ANY, [10.0], [50.0])


def test_a_map_coarser_than_the_cells_gives_each_the_pixel_of_its_centre(tmp_path):
    transform, lon, lat = in_degrees(-102.0, 42.0, 1.0, 4, 6)
    means = map_values(geotiff(tmp_path / "coarse.tif", 100 * lon + lat, transform), ANY, CELL_LON, CELL_LAT, 0.5)
    np.testing.assert_array_equal(means, 100 * (np.floor(CELL_LON) + 0.5) + np.floor(CELL_LAT) + 0.5)


def test_cells_on_both_sides_of_the_antimeridian_take_their_own_pixels(tmp_path):
    transform, lon, lat = in_degrees(-180.0, 60.0, 0.25, 8, 1440)
    path = geotiff(tmp_path / "world.tif", lon, transform)
    means = map_values(path, ANY, np.array([179.75, -179.75]), np.array([59.25, 59.25]), 0.5)
    np.testing.assert_allclose(means, [179.75, -179.75])


def test_a_declared_scale_is_applied_unless_the_layer_has_a_factor_for_whole_numbers(tmp_path):
    transform, lon, _ = in_degrees(-100.0, 41.0, 0.5, 4, 4)
    with rasterio.open(geotiff(tmp_path / "scaled.tif", 0 * lon + 400, transform, dtype="i2"), "r+") as file:
        file.scales, file.offsets = (0.0001,), (7,)
    assert map_values(tmp_path / "scaled.tif", ANY, [-99.0], [40.0]) == pytest.approx(7.04)


NPP = ANY._replace(factor=0.1, least=-500.0, greatest=3200.0)  # as of MODIS: stored as 0.1 g, declared as 0.0001 kg
CLAY = ANY._replace(factor=0.1, least=0.0, greatest=100.0)
DEGREES = ANY._replace(least=-70.0, greatest=60.0, real=True)


@pytest.mark.parametrize(
    ("layer", "dtype", "scale", "offset", "stored", "found"),
    [
        (NPP, "i2", 1, 0, 4000, 400.0),
        (NPP, "u2", 0.1, 0, 4000, 400.0),
        (NPP, "i2", 0.0001, 0, 4000, 400.0),
        (NPP, "i2", 0.0002, 0, 4000, "int16, with scale 0.0002 and offset 0, expected 0.1 and 0"),
        (NPP, "i2", 0.1, -273.15, 4000, "int16, with scale 0.1 and offset -273.15, expected 0.1 and 0"),
        (NPP, "f4", 1, 0, 400, r"float32, expected whole numbers.*name it value\.tif"),
        (CLAY, "i2", 1, 0, 250, 25.0),
        (CLAY, "u1", 1, 0, 25, "uint8, at most 25.5 m when times 0.1, expected up to 100. Of another release"),
        (CLAY, "f8", 1, 0, 25, "float64, expected whole numbers"),
        (DEGREES, "f4", 1, 0, 12.5, 12.5),
        (DEGREES, "i2", 1, 0, -50, "int16, expected real numbers. Of an earlier release, times 10"),
        (DEGREES, "u2", 0.1, -273.15, 2856, 12.45),
    ],
)
def test_the_stored_type_and_the_declared_scale_are_those_of_the_product(
    tmp_path, layer, dtype, scale, offset, stored, found
):
    transform, lon, _ = in_degrees(-100.0, 41.0, 0.5, 4, 4)
    path = geotiff(tmp_path / "a.tif", 0 * lon + stored, transform, dtype=dtype)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (scale,), (offset,)
    if isinstance(found, str):
        with pytest.raises(InputError, match=f"value is stored as {found}"):
            map_values(path, layer, [-99.0], [40.0])
    else:
        assert map_values(path, layer, [-99.0], [40.0]) == pytest.approx(found)


@pytest.mark.parametrize("resolution", [None, 0.5])
@pytest.mark.parametrize(
    ("fill", "dtype"), [(-9999, "i2"), (-1e20, "f8"), (255, "u1"), (65535, "f8"), (0, "f8"), (0, "u1")]
)
def test_a_fill_value_is_missing_where_it_is_declared_and_refused_where_not(tmp_path, fill, dtype, resolution):
    transform, lon, lat = in_degrees(-101.0, 42.0, 0.1, 40, 50)
    values = np.where(lat > 40.4, np.nan, np.round(lat))
    declared = geotiff(tmp_path / "declared.tif", values, transform, fill, dtype=dtype)
    means = map_values(declared, ANY, CELL_LON, CELL_LAT, resolution)
    np.testing.assert_allclose(means, np.where(CELL_LAT > 40.4, np.nan, np.round(CELL_LAT)))
    silent = geotiff(tmp_path / "silent.tif", np.where(lat > 40.4, fill, np.round(lat)), transform, dtype=dtype)
    with pytest.raises(
        InputError, match=rf"silent.tif: value is .* in \d+\.\d+% of .* pixels, 39 to 40 .*nodata {str(fill)[:3]}"
    ):
        map_values(silent, ANY, CELL_LON, CELL_LAT, resolution)
    # Among other values such a number is one of them.
    heights = geotiff(tmp_path / "heights.tif", np.linspace(0, 255, lon.size).reshape(lon.shape), transform, dtype="u1")
    assert map_values(heights, ANY, lon.ravel(), lat.ravel()).max() == 255


FIELDS = {
    "normal": lambda rng, n: rng.normal(1300.0, 80.0, n),
    "whole": lambda rng, n: rng.integers(8, 60, n).astype(float),
    "skewed": lambda rng, n: rng.lognormal(6.0, 0.6, n),
    "share": lambda rng, n: rng.beta(0.5, 0.5, n),
    "with zeros": lambda rng, n: np.maximum(rng.gamma(1.0, 10.0, n).round() - 5, 0.0),
    "degrees": lambda rng, n: rng.normal(5.0, 9.0, n),
}
_MAP = in_degrees(-100.0, 41.0, 0.05, 40, 60)


@given(
    kind=st.sampled_from(list(FIELDS)),
    fill=st.sampled_from([0.0, -1.0, -999.0, -8888.0, -9999.0, -32768.0, 65535.0, -3.4e38, 1e30]),
    n=st.integers(1, 5),
    at_cells=st.booleans(),
    seed=st.integers(0, 999),
)
def test_an_undeclared_fill_value_is_refused_when_few_pixels_have_it(tmp_path_factory, kind, fill, n, at_cells, seed):
    rng = np.random.default_rng(seed)
    values = FIELDS[kind](rng, _MAP[1].size)
    folder = tmp_path_factory.mktemp("m")
    how = (CELL_LON, CELL_LAT, 0.5) if at_cells else (_MAP[1].ravel(), _MAP[2].ravel())
    whole = geotiff(folder / "whole.tif", values.reshape(_MAP[1].shape), _MAP[0])
    assert np.isfinite(map_values(whole, ANY, *how)).any()
    inside = np.flatnonzero((_MAP[1].ravel() < -97.1) & (_MAP[2].ravel() > 39.1) & (_MAP[2].ravel() < 40.9))
    values[rng.choice(inside[: inside.size // 8], n, replace=False)] = fill
    path = geotiff(folder / "few.tif", values.reshape(_MAP[1].shape), _MAP[0])
    if fill in (0.0, -1.0) and kind not in ("normal", "whole"):
        return  # a value like others
    with pytest.raises(InputError, match="few.tif: value is .* in 0.*% of .*does not declare"):
        map_values(path, ANY, *how)


SMOOTH = {
    "clay": lambda x, y: 20 + 18 * np.sin(2 * x) * np.cos(3 * y),
    "log carbon": lambda x, y: 1.2 + 0.9 * np.sin(3 * x + y),
    "slope": lambda x, y: np.abs(6 * np.sin(5 * x) * np.cos(4 * y)),
    "desert rain": lambda x, y: np.maximum(40 * np.sin(2 * x) * np.sin(2 * y) - 5, 0),
    "cover": lambda x, y: np.clip(160 * np.sin(4 * x) * np.sin(5 * y), 0, 100),
    "cover of fields": lambda x, y: 100.0 * (np.sin(9 * x) * np.sin(8 * y) > 0.2),
}


@given(
    kind=st.sampled_from(list(SMOOTH)),
    whole=st.booleans(),
    where=st.sampled_from(["nowhere", "few", "coast"]),
    noise=st.sampled_from([0.0, 0.01, 0.05]),
    seed=st.integers(0, 99),
)
def test_zeros_with_an_edge_are_doubtful_and_true_zeros_are_not(tmp_path_factory, kind, whole, where, noise, seed):
    rng, (transform, lon, lat) = np.random.default_rng(seed), in_degrees(-100.0, 41.0, 0.025, 80, 120)
    values = SMOOTH[kind](lon, lat) * rng.normal(1, noise if kind != "cover of fields" else 0, lon.shape)
    values = values.round() if whole and kind != "log carbon" else values
    ordinary = np.flatnonzero((values > np.median(values)) & (np.abs(lat - 40) < 0.9) & (lon < -97.1))
    few = np.isin(np.arange(lon.size), rng.choice(ordinary, 3)).reshape(lon.shape)
    values[{"nowhere": values < 0, "few": few, "coast": lat + 0.3 * lon < 9.9}[where]] = 0.0
    path, doubts = geotiff(tmp_path_factory.mktemp("m") / "a.tif", values.astype("f4"), transform), []
    try:
        map_values(path, ANY, CELL_LON, CELL_LAT, 0.5, doubts=doubts)
    except InputError as error:  # where they are also far below all others
        assert "value is 0 in" in str(error) and where != "nowhere" and kind in ("clay", "log carbon")
        return
    if where == "nowhere":
        assert doubts == []
    elif kind in ("clay", "log carbon"):
        assert doubts[0].startswith("doubtful: 0 stored in ") and int(doubts[0].split()[4].replace(",", "")) >= 2


def test_a_place_takes_its_pixel_only_when_its_position_is_known_to_better_than_the_side(tmp_path):
    path = homolosine_map(tmp_path / "igh.tif", lambda lon, lat: 3 * lon + lat)
    at = map_values(path, ANY, [-100.0] * 3, [40.0] * 3, uncertainty=[0.0, 1.99, 2.01])
    assert np.isfinite(at).tolist() == [True, True, False]


def test_what_is_no_map_is_an_error(tmp_path):
    transform, lon, _ = in_degrees(-100.0, 41.0, 0.5, 4, 4)
    broken = geotiff(tmp_path / "cut.tif", lon, transform)
    broken.write_bytes(broken.read_bytes()[:100])
    two = netcdf(tmp_path / "two.nc", "a", lon, np.arange(4), np.arange(4))
    with netCDF4.Dataset(two, "a") as file:
        file.createVariable("b", "f4", ("lat", "lon"))
    for path, message in (
        (broken, "cut.tif: cannot be read as a map"),
        (geotiff(tmp_path / "nowhere.tif", lon, transform, crs=None), "it has 1 bands, reference None"),
        (geotiff(tmp_path / "turned.tif", lon, transform @ Affine.rotation(10)), "rows and columns along the axes"),
        (two, "2 variables on .latitude, longitude."),
    ):
        with pytest.raises(InputError, match=message):
            map_values(path, ANY, [-99.0], [40.0])


def test_the_nearest_point_of_an_axis_is_found_across_the_seam_of_longitudes():
    axis = np.arange(0.0, 360.0, 2.5)
    assert nearest_index(axis, [-0.5, 359.5, -100.0, 1.25, 181.0], 360.0).tolist() == [0, 0, 104, 0, 72]
    assert nearest_index([90.0, 0.0, -90.0], [45.0, -46.0]).tolist() == [0, 2]


TRANSFORM, LON, LAT = in_degrees(-101.0, 42.0, 0.1, 40, 50)
X, Y = np.array([-100.23, -98.44, -97.11]), np.array([40.71, 39.02, 41.37])


def read(folder, names, lon=X, lat=Y, resolution=None):
    return covariates_from_maps(covariate_list(names), folder, lon, lat, resolution)


@pytest.mark.parametrize(
    ("file", "covariate", "stored", "value"),
    [
        ("bdod_0-5cm_mean.tif", "Bulk_Density_0cm", 134, 1340.0),  # cg cm-3, kg m-3
        ("cec_30-60cm_mean.tif", "CEC_30cm", 215, 21.5),  # mmol(c) kg-1, cmol(c) kg-1
        ("phh2o_0-5cm_mean.tif", "pH_Water_0cm", 67, 6.7),  # pH x 10
        ("BLDFIE_M_sl4_1km_ll.tif", "Bulk_Density_30cm", 1307, 1307.0),
    ],
)
def test_stored_integers_become_numbers_in_the_unit_of_the_list_and_gaps_stay_gaps(
    file, covariate, stored, value, tmp_path
):
    geotiff(tmp_path / file, np.where(LAT > 41.3, -32768, stored), TRANSFORM, -32768, dtype="i2")
    result = read(tmp_path, [covariate])
    np.testing.assert_allclose(result.values[covariate], [value, value, np.nan])
    assert result.findings["missing"].tolist() == [1]


def test_npp_is_mean_greatest_and_least_of_the_years_and_codes_are_missing(tmp_path):
    for year in range(2000, 2015):
        stored = 5000 + 100 * (year - 2007) + 0 * LON
        stored[LON > -98] = 32762  # built-up
        geotiff(tmp_path / f"MOD17A3_Science_NPP_{year}.tif", stored, TRANSFORM, nodata=65535, dtype="u2")
    result = read(tmp_path, ["NPPmean", "NPPmax", "NPPmin"])
    np.testing.assert_allclose(result.values.iloc[:2], [[500.0, 570.0, 430.0]] * 2)
    assert result.values.iloc[2].isna().all() and result.findings["missing"].tolist() == [1, 1, 1]
    cells = read(tmp_path, ["NPPmax"], [-100.25, -98.25], [40.25, 40.25], 0.5)
    np.testing.assert_allclose(cells.values, 570.0)
    (tmp_path / "MOD17A3_Science_NPP_2004.tif").unlink()
    with pytest.raises(InputError, match="NPP of 2004 is read from one file named like .*; there are none"):
        read(tmp_path, ["NPPmean"])


def test_the_year_of_npp_is_not_a_number_within_another(tmp_path, monkeypatch):
    """AppEEARS writes the year before the day: "2001" also stands in doy2002001 and in doy2012001."""
    monkeypatch.setattr(rasters, "NPP_YEARS", (2001, 2002))
    for year in (2001, 2002, 2012):
        geotiff(tmp_path / f"Npp_500m_doy{year}001.tif", np.full(LON.shape, 2 * year), TRANSFORM, dtype="i2")
    geotiff(tmp_path / "Npp_QC_500m_doy2001001.tif", np.full(LON.shape, 7), TRANSFORM, dtype="i2")
    for ending in ("tif.aux.xml", "vrt", "vrt.ovr"):
        (tmp_path / f"Npp_500m_doy2001001.{ending}").write_text("beside")
    np.testing.assert_allclose(read(tmp_path, ["NPPmin", "NPPmax"]).values, [[400.2, 400.4]] * 3)


def test_maps_that_were_scaled_already_and_of_another_region_are_errors(tmp_path):
    geotiff(tmp_path / "clay_0-5cm_mean_30s.tif", np.full(LON.shape, 25.0), TRANSFORM)
    with pytest.raises(InputError, match="Clay_Content_0cm is stored as float64, expected whole numbers"):
        read(tmp_path, ["Clay_Content_0cm"])
    geotiff(tmp_path / "phh2o_0-5cm_mean.tif", np.full(LON.shape, 7), TRANSFORM, dtype="i2")
    with pytest.raises(InputError, match="pH_Water_0cm is 0.7 pH in a pixel, expected 2 to 12.*scaled already"):
        read(tmp_path, ["pH_Water_0cm"])
    with pytest.raises(InputError, match="pH_Water_0cm has no value at any of the 3 places. A map of another region"):
        read(tmp_path, ["pH_Water_0cm"], X + 60)


@pytest.mark.parametrize(
    ("names", "stored", "message"),
    [
        (("clay", "sand", "silt"), (250, 400, 350), ""),
        (("clay",), (250,), ""),
        (("clay", "sand", "silt"), (25, 40, 35), "Clay_Content_0cm add up to 10 % at 100.00% of the places"),
        (("clay", "sand"), (25, 400), "Clay_Content_0cm of SoilGrids 2.0 is at most 2.5 % in any cell. Whole numbers"),
        (("clay", "sand", "silt"), (90, 900, 10), ""),
    ],
)
@pytest.mark.parametrize("resolution", [None, 0.5])
def test_texture_decides_whether_whole_numbers_are_those_of_the_product(tmp_path, names, stored, message, resolution):
    for name, value in zip(names, stored, strict=True):
        geotiff(tmp_path / f"{name}_0-5cm_mean.tif", np.full(LON.shape, value), TRANSFORM, -32768, dtype="i2")
    wanted = [f"{name.capitalize()}_Content_0cm" for name in names]
    place = (X, Y) if resolution is None else ([-100.25, -98.25], [40.25, 40.25])
    if not message or (len(names) < 3 and resolution is None):  # at sites alone nothing is known of the map
        assert read(tmp_path, wanted, *place, resolution).values[wanted[0]].tolist() == [stored[0] / 10] * len(place[0])
        return
    with pytest.raises(InputError, match=message):
        read(tmp_path, wanted, *place, resolution)


def test_sand_and_silt_beside_the_list_show_the_scale_of_clay_and_of_its_product(tmp_path):
    """Few stones everywhere are possible, and no doubt where the texture of the product adds up."""
    cells, stored = ([-100.25, -98.25], [40.25, 40.25], 0.5), {"clay": 250, "sand": 400, "silt": 350, "cfvo": 40}
    for name, value in stored.items():
        geotiff(tmp_path / f"{name}_0-5cm_mean.tif", np.full(LON.shape, value), TRANSFORM, -32768, dtype="i2")
    right = read(tmp_path, ["Clay_Content_0cm", "Coarse_Fragments_v_0cm"], *cells)
    assert right.values.iloc[0].tolist() == [25.0, 4.0] and not right.findings["note"].str.contains("doubtful").any()
    geotiff(tmp_path / "silt_0-5cm_mean.tif", np.full(LON.shape, 300), TRANSFORM, -32768, dtype="i2")
    note = read(tmp_path, ["Clay_Content_0cm"], *cells).findings["note"][0]
    assert "doubtful: Sand_Content_0cm, Silt_Content_0cm, Clay_Content_0cm add up to 95.0 % at 100.00% of" in note
    geotiff(tmp_path / "silt_0-5cm_mean.tif", np.full(LON.shape, 35), TRANSFORM, -32768, dtype="i2")
    with pytest.raises(InputError, match="add up to 68.5 % at 100.00% of the places, expected 100 %"):
        read(tmp_path, ["Clay_Content_0cm"], *cells)
    for name in ("sand", "silt"):
        (tmp_path / f"{name}_0-5cm_mean.tif").unlink()
    note = read(tmp_path, ["Coarse_Fragments_v_0cm"], *cells).findings["note"][0]
    assert "doubtful: at most 4 % in any cell. Whole numbers under the name of another product?" in note
    geotiff(tmp_path / "bdod_0-5cm_mean.tif", np.full(LON.shape, 13), TRANSFORM, -32768, dtype="i2")
    note = read(tmp_path, ["Bulk_Density_0cm"], *cells).findings["note"][0]
    assert "doubtful: at most 130 kg m-3 in any cell" in note


def test_a_map_of_ones_own_in_another_unit_than_the_lists_is_refused(tmp_path):
    geotiff(tmp_path / "Clay_Content_0cm.tif", np.full(LON.shape, 250.0), TRANSFORM)
    with pytest.raises(InputError, match="Clay_Content_0cm is 250 % in a pixel, expected 0 to 100"):
        read(tmp_path, ["Clay_Content_0cm"])
    for name, value in {"Clay": 2.5, "Sand": 4.0, "Silt": 3.5}.items():
        geotiff(tmp_path / f"{name}_Content_0cm.tif", np.full(LON.shape, value), TRANSFORM)
    with pytest.raises(InputError, match="add up to 10 % at 100.00% of the places"):
        read(tmp_path, ["Clay_Content_0cm"])


def test_pixels_of_zero_in_all_texture_maps_are_refused(tmp_path):
    for name, value in {"CLYPPT": 25, "SNDPPT": 40, "SLTPPT": 35}.items():
        values = np.where((LON < -98.3) & (LON > -98.5) & (LAT < 39.1), 0, value)
        geotiff(tmp_path / f"{name}_M_sl1_1km_ll.tif", values, TRANSFORM, 255, dtype="u1")
    with pytest.raises(InputError, match="add up to 0 % at 33.33% of the places, expected 100 %.*fill value of 0"):
        read(tmp_path, ["Clay_Content_0cm", "Sand_Content_0cm", "Silt_Content_0cm"])


def test_land_cover_of_a_cell_is_its_most_frequent_land_class_and_water_is_none(tmp_path):
    classes = np.where(LON < -99.9, 10, 17)
    geotiff(tmp_path / "MCD12Q1_LC_Type1_2010.tif", classes, TRANSFORM, nodata=255, dtype="u1")
    cells = read(tmp_path, ["IGBP"], [-100.25, -99.75, -99.25], [40.25] * 3, 0.5)
    np.testing.assert_array_equal(cells.values["IGBP"], [10, 10, np.nan])
    assert cells.findings["missing"].tolist() == [1]


def test_missing_doubled_and_empty_maps_and_those_in_another_unit_are_errors(tmp_path):
    geotiff(tmp_path / "wc2.1_10m_bio_1.tif", np.full(LON.shape, 288.15), TRANSFORM)
    with pytest.raises(
        InputError, match="BIO1 is 288.15 degC in a pixel, expected -70 to 60 .100.00% of 3 pixels.*Another release"
    ):
        read(tmp_path, ["BIO1"])
    with pytest.raises(InputError, match="no map of IGBP, BIO3. Put the public files there"):
        read(tmp_path, ["IGBP", "BIO3"])
    geotiff(tmp_path / "a_LC_Type1.tif", np.full(LON.shape, 255), TRANSFORM, dtype="u1")
    with pytest.raises(InputError, match="IGBP has no value at any of the 3 places"):
        read(tmp_path, ["IGBP"])
    geotiff(tmp_path / "b_LC_Type1.tif", np.full(LON.shape, 1), TRANSFORM, dtype="u1")
    with pytest.raises(InputError, match="there are 2 files: a_LC_Type1.tif, b_LC_Type1.tif"):
        read(tmp_path, ["IGBP"])


def test_every_covariate_of_the_paper_with_a_stated_source_can_be_read_in_the_unit_of_the_list():
    layers = {layer.name: layer for source in SOURCES.values() for layer in source}
    for row in PAPER_LIST:
        if row.source == "not stated" or row.name.startswith("NPP"):
            continue
        assert (layers[row.name].unit, layers[row.name].classes) == (row.unit, row.kind == "categorical"), row.name
