"""History files of CLM become forcing of the places asked for, and every way to get it wrong is an error."""

import cftime
import numpy as np
import pytest
from history_files import INPUTS, LAT, LON, MONTH_DAYS, history, truth, written

from proda.data.forcing import has_forcing
from proda.data.readers.clm_history import forcing_from_history
from proda.errors import InputError
from proda.model.configuration import CESM2, CESM2_COLUMN, PAPER_COLUMN, validated

PLACES_LON, PLACES_LAT = np.array([-99.7, -120.2, -80.0]), np.array([40.1, 35.5, 45.3])
WEIGHTS = MONTH_DAYS / MONTH_DAYS.sum()


def expected_mean(name, lon, lat, depth=None, years=(2001, 2002, 2003)):
    fields = [[w * truth(name, y, m, lon, lat, depth) for m, w in enumerate(WEIGHTS, 1)] for y in years]
    return np.sum(fields, axis=(0, 1)) / len(years)


def nearest(lon, lat):
    return LON[[np.abs(LON - x % 360).argmin() for x in lon]], LAT[[np.abs(LAT - y).argmin() for y in lat]]


@pytest.fixture(scope="module")
def paper_file(tmp_path_factory):
    return written(history(), tmp_path_factory.mktemp("history") / "run.clm2.h0.nc")


def test_nearest_sampling_takes_the_cell_a_place_lies_in_in_either_convention_of_longitude(paper_file):
    forcing = forcing_from_history(paper_file, PLACES_LON, PLACES_LAT).forcing
    lon, lat = nearest(PLACES_LON, PLACES_LAT)
    np.testing.assert_allclose(forcing.active_layer, expected_mean("ALTMAX", lon, lat), rtol=1e-6)
    np.testing.assert_allclose(
        forcing.soil_temperature, expected_mean("TSOI", lon, lat, PAPER_COLUMN.node[:, None]), rtol=1e-6
    )
    again = forcing_from_history(paper_file, PLACES_LON + 360.0, PLACES_LAT).forcing
    np.testing.assert_array_equal(forcing.soil_temperature, again.soil_temperature)
    rate = 1.6e-5 + 1e-7 * (lat - 30)  # annual NPP, and its least and greatest year
    np.testing.assert_allclose(forcing.npp_mean, rate * 365 * 86400, rtol=1e-6)
    np.testing.assert_allclose(forcing.npp_min, 0.9 * rate * 365 * 86400, rtol=1e-6)
    np.testing.assert_allclose(forcing.npp_max, 1.1 * rate * 365 * 86400, rtol=1e-6)


def test_one_file_a_month_is_the_same_as_one_file(paper_file, tmp_path):
    ds = history()
    for i in range(ds.sizes["time"]):
        written(ds.isel(time=[i]), tmp_path / f"run.clm2.h0.{-i % 7}{i:03d}.nc")  # not in the order of time
    one = forcing_from_history(paper_file, PLACES_LON, PLACES_LAT).forcing
    many = forcing_from_history(tmp_path, PLACES_LON, PLACES_LAT)
    for a, b in zip(one, many.forcing, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    assert "36 files" in many.comment and "2001-01 to 2003-12" in many.comment
    written(ds.isel(time=slice(24, 36)), tmp_path / "twice.nc")
    with pytest.raises(InputError, match="2003-01 .*024.nc. is followed by 2003-01 .*twice.nc"):
        forcing_from_history(tmp_path, PLACES_LON, PLACES_LAT)


def test_the_mean_year_follows_the_time_bounds_not_the_stamp_at_the_end_of_the_month(tmp_path):
    path = written(history(configuration="cesm2", years=(2001, 2003)), tmp_path / "months.nc")
    result = forcing_from_history(path, PLACES_LON, PLACES_LAT, CESM2)
    forcing = validated(result.forcing, CESM2)
    month, (lon, lat) = np.arange(1, 13)[:, None], nearest(PLACES_LON, PLACES_LAT)
    scalar = truth("W_SCALAR", 2001, month, lon, lat)
    np.testing.assert_allclose(forcing.water_scalar[4], scalar, rtol=1e-6)
    warm = truth("TSOI", 2002, month, lon, lat) + CESM2_COLUMN.node[7]
    np.testing.assert_allclose(forcing.soil_temperature[7], warm, rtol=1e-6)
    for kind, name in enumerate(INPUTS):
        rate = truth(name, 2001, month, lon, lat)
        total = rate * CESM2_COLUMN.thickness.sum() * MONTH_DAYS[:, None] * 86400
        np.testing.assert_allclose(forcing.carbon_input[kind], total, rtol=1e-6)
    assert (forcing.bedrock == 12).all()
    assert result.findings.set_index("variable").loc["CWD_INPUT", "unit"] == "g C m-2 month-1"


def test_a_place_in_the_sea_is_missing_and_counted_never_zero(tmp_path):
    land = (np.abs(LON - 260) < 30) & np.ones((LAT.size, 1), bool)
    path = written(history(land=land), tmp_path / "land.nc")
    result = forcing_from_history(path, [-99.7, 3.0], [40.1, 40.1])
    assert has_forcing(result.forcing).tolist() == [True, False]
    assert np.isnan(result.forcing.soil_temperature[:, 1]).all()
    assert result.findings.set_index("variable").loc["ALTMAX", "missing"] == 1


def with_unit(name, unit, shift=0.0, factor=1.0):
    ds = history()
    ds[name] = (ds[name] * factor + shift).assign_attrs(units=unit)
    return ds


def with_method(method):
    ds = history()
    ds["NPP"].attrs["cell_methods"] = method
    return ds


@pytest.mark.parametrize(
    ("ds", "message"),
    [
        (lambda: with_unit("TSOI", "degC", -273.15), "TSOI is in 'degC', expected 'K'. Temperatures in degrees Cels"),
        (lambda: with_unit("TSOI", "K", -273.15), "TSOI is .* K, expected 180 to 350.*Celsius"),
        (lambda: with_unit("SOILPSI", "MPa", factor=-1), "SOILPSI .* expected -20 to 0.*other sign"),
        (lambda: with_unit("ALTMAX", "m", factor=100), "ALTMAX is .* expected 0 to 100.*centimetres"),
        (lambda: with_unit("NPP", "gC/m^2/s", factor=86400), "NPP .* expected -0.0001 to 0.0005.*per second"),
        (lambda: with_unit("TSOI", "K", np.nan), "TSOI has no value at any of the 3 places"),
        (lambda: with_unit("ALTMAX", "m", 5e35), "ALTMAX is 5e.35 m, .*a fill value that is not declared"),
        (lambda: history().drop_vars(["SOILPSI", "NPP"]), "variable SOILPSI, NPP.*hist_fincl1 = 'SOILPSI', 'NPP' to"),
        (lambda: history().drop_vars("SOILPSI"), "no variable SOILPSI.*hist_fincl1 = .SOILPSI. to user_nl_clm"),
        (lambda: history().isel(time=slice(0, 30)), "30 monthly means .* expected whole years"),
        (lambda: history().isel(time=[*range(14), *range(15, 36)]), "2002-02 .* is followed by 2002-04 .*no gap"),
        (lambda: history().drop_vars("time_bounds"), "no variable .time_bounds.*Instantaneous output .h0i"),
        (lambda: history(years=(2001,)), "one year of NPP"),
        (lambda: history().where(history()["time"] > 500), "'time' or its bounds are missing in a record"),
        (lambda: history(lat=LAT[:4]), "does not cover 2 of 3 places; the first is place 0 at lon -99.7, lat 40.1"),
        (lambda: history().rename(lat="y", lon="x"), "no axis 'lon'.*Regrid"),
        (lambda: history().stack(cell=("lat", "lon")).reset_index("cell"), "unstructured grid or a single.*Regrid"),
        (lambda: history(lat=LAT[:1], lon=LON[:1]), "no axis 'lon' of two points.*single point. Regrid"),
        (lambda: history().isel(time=slice(0, 11)), "11 monthly means .* expected whole years"),
        (lambda: with_method("time: point"), "NPP has cell_methods 'time: point', expected 'time: mean'.*h0i"),
        (lambda: with_method("time: maximum within days"), "cell_methods 'time: maximum'.*extremes"),
        (lambda: history().transpose("time", "lat", "lon", ...), "TSOI has dimensions"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_what_it_should_be_is_a_named_error(ds, message, tmp_path):
    path = written(ds(), tmp_path / "höhen und täler.nc")
    with pytest.raises(InputError, match=message) as error:
        forcing_from_history(path, PLACES_LON, PLACES_LAT)
    assert str(path) in str(error.value)


def test_levels_of_another_version_of_clm_are_an_error_or_interpolated_when_asked(tmp_path):
    ds = history()
    ds["levgrnd"] = ("levgrnd", np.concatenate([CESM2_COLUMN.node[:14], [10.0]]).astype("f4"), {"units": "m"})
    path = written(ds, tmp_path / "clm5.nc")
    with pytest.raises(InputError, match="TSOI has 15 levels from 0.01 to 10 m, expected the 10 from"):
        forcing_from_history(path, PLACES_LON, PLACES_LAT)
    forcing = forcing_from_history(path, PLACES_LON, PLACES_LAT, vertical="linear").forcing
    # The field grows with the depths of the grid of the paper, so it is expected at the depths that the file gives.
    stored = np.concatenate([PAPER_COLUMN.node, PAPER_COLUMN.node[-1] + np.array([2.0, 5.0, 9.0, 15.0, 25.0])])
    lon, lat = nearest(PLACES_LON, PLACES_LAT)
    depth = np.interp(PAPER_COLUMN.node, ds["levgrnd"], stored)
    np.testing.assert_allclose(forcing.soil_temperature, expected_mean("TSOI", lon, lat, depth[:, None]), rtol=1e-6)


def test_levels_without_depths_of_their_own_are_those_of_the_ground(tmp_path):
    ds = history(configuration="cesm2", years=(2001,))
    # CLM writes its decomposition levels as an axis without a variable in some versions.
    for name in ("W_SCALAR", "O_SCALAR", "FPI_vr", *INPUTS):
        ds[name] = ds[name].rename(levgrnd="levdcmp")
    ds = ds.drop_vars("levdcmp", errors="ignore")
    forcing = forcing_from_history(written(ds, tmp_path / "levels.nc"), PLACES_LON, PLACES_LAT, CESM2).forcing
    validated(forcing, CESM2)
    unknown = ds.rename_dims(levdcmp="mylev")
    with pytest.raises(InputError, match="no depths of 'mylev', the levels of W_SCALAR"):
        forcing_from_history(written(unknown, tmp_path / "unknown.nc"), PLACES_LON, PLACES_LAT, CESM2)


def test_a_broken_off_file_and_a_run_without_bedrock_are_errors(paper_file, tmp_path):
    path = tmp_path / "cut.nc"
    path.write_bytes(paper_file.read_bytes()[:5000])
    with pytest.raises(InputError, match="not a readable NetCDF file"):
        forcing_from_history(path, PLACES_LON, PLACES_LAT)
    path = written(history(configuration="cesm2", years=(2001,)).drop_vars("nbedrock"), tmp_path / "months.nc")
    with pytest.raises(InputError, match="no variable 'nbedrock'"):
        forcing_from_history(path, PLACES_LON, PLACES_LAT, CESM2)


@pytest.mark.parametrize(
    ("attrs", "factor", "shift"),
    [
        ({"units": "hours since 1999-12-31", "calendar": "noleap"}, 24, 24),
        ({"units": "days since 1850-01-01", "calendar": "noleap"}, 1, 365 * 150),
        ({"units": "minutes since 2000-01-01"}, 1440, 0),
        ({}, 1, 0),
    ],
)
def test_bounds_may_count_from_another_day_and_in_another_unit_than_time(paper_file, tmp_path, attrs, factor, shift):
    ds = history()
    ds["time_bounds"] = (factor * ds["time_bounds"] + shift).assign_attrs(attrs)
    expected = forcing_from_history(paper_file, PLACES_LON, PLACES_LAT)
    result = forcing_from_history(written(ds, tmp_path / "a.nc"), PLACES_LON, PLACES_LAT)
    assert result.comment == expected.comment
    np.testing.assert_array_equal(result.forcing.npp_max, expected.forcing.npp_max)


def test_bounds_may_have_another_calendar_than_time(paper_file, tmp_path):
    ds = history()
    dates = cftime.num2date(ds["time_bounds"].values, "days since 2000-01-01", "noleap")
    real = [[cftime.DatetimeGregorian(*x.timetuple()[:3]) for x in pair] for pair in dates]
    attrs = {"units": "days since 1900-01-01", "calendar": "standard"}
    ds["time_bounds"] = (ds["time_bounds"].dims, cftime.date2num(real, *attrs.values()).astype(float), attrs)
    result = forcing_from_history(written(ds, tmp_path / "a.nc"), PLACES_LON, PLACES_LAT).forcing
    expected = forcing_from_history(paper_file, PLACES_LON, PLACES_LAT).forcing
    np.testing.assert_allclose(result.npp_mean, expected.npp_mean, rtol=1e-6)


@pytest.mark.parametrize("change", [lambda b: b - 31, lambda b: b + 365, lambda b: 24 * b])
def test_bounds_that_do_not_hold_their_time_are_an_error(tmp_path, change):
    ds = history()
    ds["time_bounds"] = change(ds["time_bounds"])
    with pytest.raises(InputError, match="a.nc: record 0 is at 2001-02-01.*outside its time bounds.*another unit"):
        forcing_from_history(written(ds, tmp_path / "a.nc"), PLACES_LON, PLACES_LAT)


@pytest.mark.parametrize(
    ("name", "fill"), [*(("TSOI", fill) for fill in (np.nan, 0.0, -9999.0, 1e36)), ("ALTMAX", -1.0), ("ALTMAX", np.nan)]
)
def test_a_fill_value_of_one_month_and_level_is_an_error_and_never_averaged(tmp_path, name, fill):
    ds = history()
    where = (5, 3) if name == "TSOI" else (5,)
    ds[name].values[(*where, slice(5, 7))] = fill  # 39 to 41 degrees north, where one place lies
    with pytest.raises(InputError, match=rf"{name} is (missing in 2001-06 at .*%|.* \(0\.\d+% of .*not declared)"):
        forcing_from_history(written(ds, tmp_path / "a.nc"), PLACES_LON, PLACES_LAT)


def test_levels_that_the_configuration_does_not_use_may_hold_anything(paper_file, tmp_path):
    ds = history()
    ds["TSOI"].values[:, 10:] = np.nan
    ds["SOILPSI"].values[:, 12:] = -9999.0
    expected = forcing_from_history(paper_file, PLACES_LON, PLACES_LAT).forcing
    path = written(ds, tmp_path / "a.nc")
    for vertical in ("match", "linear"):
        forcing = forcing_from_history(path, PLACES_LON, PLACES_LAT, vertical=vertical).forcing
        for a, b in zip(forcing, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    ds["levgrnd"] = ds["levgrnd"] * 1.01  # the tenth node of the paper lies above the tenth level
    linear = forcing_from_history(written(ds, tmp_path / "b.nc"), PLACES_LON, PLACES_LAT, vertical="linear").forcing
    assert np.isfinite(linear.soil_temperature).all() and np.isfinite(linear.water_potential).all()


def test_levels_are_read_from_below_or_as_heights_and_refused_where_they_are_numbers(paper_file, tmp_path):
    expected = forcing_from_history(paper_file, PLACES_LON, PLACES_LAT).forcing
    ds, attrs = history(), {"units": "m"}
    for i, (levels, vertical) in enumerate([(slice(None, None, -1), "match"), (slice(None, None, -1), "linear")]):
        turned = ds.isel(levgrnd=levels)
        turned = turned.assign_coords(levgrnd=((-1) ** i * turned["levgrnd"]).assign_attrs(attrs))
        path = written(turned, tmp_path / f"{i}.nc")
        result = forcing_from_history(path, PLACES_LON, PLACES_LAT, vertical=vertical).forcing
        np.testing.assert_allclose(result.soil_temperature, expected.soil_temperature, rtol=1e-12)
    for levels, attrs, message in (
        (np.arange(1, 16), {"units": "m"}, "levgrnd numbers the levels of TSOI from 1 to 15, expected their depths"),
        (np.arange(15), {}, "levgrnd numbers the levels of TSOI from 0 to 14"),
        (ds["levgrnd"].values * 100, {"units": "cm"}, "levgrnd is in 'cm', expected 'm'. A depth in centimetres"),
        (ds["levgrnd"].values * 1.1, {}, "levgrnd has no attribute 'units', expected 'm'"),
        (np.append(ds["levgrnd"].values[1:], 99.0), {"units": "m"}, "TSOI has 15 levels .*Where its levels reach"),
    ):
        path = written(ds.assign_coords(levgrnd=("levgrnd", levels, attrs)), tmp_path / "other.nc")
        with pytest.raises(InputError, match=rf"other.nc: {message}"):
            vertical = "match" if "Where" in message else "linear"
            forcing_from_history(path, PLACES_LON, PLACES_LAT, vertical=vertical)


def test_what_is_missing_below_bedrock_does_not_count(tmp_path):
    ds = history(configuration="cesm2", years=(2001,))
    path = written(ds, tmp_path / "whole.nc")
    expected = forcing_from_history(path, PLACES_LON, PLACES_LAT, CESM2).forcing
    for name in ("TSOI", "W_SCALAR", "O_SCALAR", "FPI_vr"):
        ds[name].values[:, 12:] = np.nan
    for name in INPUTS:
        ds[name].values[:, 12:] = 0.0
    zero = forcing_from_history(written(ds, tmp_path / "zero.nc"), PLACES_LON, PLACES_LAT, CESM2).forcing
    for name in INPUTS:
        ds[name].values[:, 12:] = np.nan
    result = forcing_from_history(written(ds, tmp_path / "gaps.nc"), PLACES_LON, PLACES_LAT, CESM2).forcing
    assert has_forcing(result).all()
    np.testing.assert_array_equal(result.soil_temperature[:12], expected.soil_temperature[:12])
    np.testing.assert_array_equal(result.carbon_input, zero.carbon_input)
