"""Covariates come from maps in their own units; what is missing is counted, what cannot be is an error."""

import numpy as np
import pytest
from small_maps import HOMOLOSINE, geotiff, in_degrees

from proda.data.covariates import PAPER_LIST, covariate_list
from proda.data.readers import map_layers
from proda.data.readers.map_layers import SOURCES, covariates_from_maps
from proda.errors import InputError

TRANSFORM, LON, LAT = in_degrees(-101.0, 42.0, 0.1, 40, 50)
X, Y = np.array([-100.23, -98.44, -97.11]), np.array([40.71, 39.02, 41.37])


def read(folder, names, lon=X, lat=Y, resolution=None):
    return covariates_from_maps(covariate_list(names), folder, lon, lat, resolution)


def pixel(x, y):
    """Centre of the pixel of the tests' maps in which a place lies."""
    return np.floor(x * 10) / 10 + 0.05, np.floor(y * 10) / 10 + 0.05


def test_worldclim_is_read_in_its_own_units(tmp_path):
    for i in range(1, 20):
        values = i + 0.1 * (LON + 101) + 0.01 * LAT
        values[0, :] = np.nan
        geotiff(tmp_path / f"wc2.1_10m_bio_{i}.tif", values, TRANSFORM, nodata=-3.4e38, dtype="f4")
    result = read(tmp_path, [f"BIO{i}" for i in range(1, 20)], np.append(X, -100.0), np.append(Y, 41.95))
    assert list(result.values) == [f"BIO{i}" for i in range(1, 20)]
    x, y = pixel(X, Y)
    np.testing.assert_allclose(result.values["BIO7"][:3], 7 + 0.1 * (x + 101) + 0.01 * y, rtol=1e-6)
    assert np.isnan(result.values["BIO7"][3])
    assert result.findings["missing"].tolist() == [1] * 19
    assert result.findings.set_index("variable").loc["BIO12", "unit"] == "mm"


def test_worldclim_in_kelvin_and_a_map_of_another_region_are_errors(tmp_path):
    geotiff(tmp_path / "wc2.1_10m_bio_1.tif", np.full(LON.shape, 288.15), TRANSFORM)
    with pytest.raises(InputError, match="BIO1 is 288.15 degC in a pixel, expected -70 to 60 .3 of 3.*WorldClim 1.4"):
        read(tmp_path, ["BIO1"])
    with pytest.raises(InputError, match="BIO1 has no value at any of the 3 places. A map of another region"):
        read(tmp_path, ["BIO1"], X + 60)


def test_soilgrids_of_2017_is_in_degrees_and_stores_ph_times_ten(tmp_path):
    geotiff(tmp_path / "PHIHOX_M_sl1_250m_ll.tif", np.round(60 + LAT - 40), TRANSFORM, nodata=255, dtype="u1")
    geotiff(tmp_path / "BLDFIE_M_sl4_1km_ll.tif", 1300 + 10 * (LAT - 40), TRANSFORM, nodata=-32768, dtype="i2")
    result = read(tmp_path, ["pH_Water_0cm", "Bulk_Density_30cm"])
    np.testing.assert_allclose(result.values["pH_Water_0cm"], [6.1, 5.9, 6.1])
    np.testing.assert_allclose(result.values["Bulk_Density_30cm"], [1307, 1290, 1313], atol=1)
    assert "stored values times 0.1" in result.findings["note"][0]


@pytest.mark.parametrize(
    ("code", "covariate", "stored", "value"),
    [
        ("bdod_0-5cm", "Bulk_Density_0cm", 134, 1340.0),  # cg cm-3, kg m-3
        ("cec_30-60cm", "CEC_30cm", 215, 21.5),  # mmol(c) kg-1, cmol(c) kg-1
        ("cfvo_0-5cm", "Coarse_Fragments_v_0cm", 87, 8.7),  # per thousand, %
        ("clay_100-200cm", "Clay_Content_100cm", 243, 24.3),  # g kg-1, %
        ("phh2o_0-5cm", "pH_Water_0cm", 67, 6.7),  # pH x 10
        ("wv1500_0-5cm", "SWC_v_Wilting_Point_0cm", 152, 15.2),  # 1e-3 m3 m-3, %
    ],
)  # fmt: skip
def test_soilgrids_2_is_in_homolosine_and_in_integers_of_odd_units(code, covariate, stored, value, tmp_path):
    radius = 6378137.0
    left, top = -radius * np.radians(100.0) - 200_000.0, radius * np.radians(40.7)
    from rasterio.transform import Affine

    path = tmp_path / f"{code}_mean.tif"
    geotiff(path, np.full((80, 100), stored), Affine(4000, 0, left, 0, -4000, top), -32768, crs=HOMOLOSINE, dtype="i2")
    result = read(tmp_path, [covariate], [-100.2, -99.1], [39.9, 39.0])
    np.testing.assert_allclose(result.values[covariate], value)
    cells = read(tmp_path, [covariate], [-99.75, -99.25], [39.25, 39.25], 0.5)
    np.testing.assert_allclose(cells.values[covariate], value)


def test_a_soilgrids_map_that_was_scaled_already_is_an_error(tmp_path):
    geotiff(tmp_path / "clay_0-5cm_mean_30s.tif", np.full(LON.shape, 25.0), TRANSFORM)
    with pytest.raises(InputError, match="Clay_Content_0cm is stored as float64, expected whole numbers"):
        read(tmp_path, ["Clay_Content_0cm"])
    geotiff(tmp_path / "phh2o_0-5cm_mean.tif", np.full(LON.shape, 7), TRANSFORM, dtype="i2")
    with pytest.raises(InputError, match="pH_Water_0cm is 0.7 pH in a pixel, expected 2 to 12.*scaled already"):
        read(tmp_path, ["pH_Water_0cm"])


def test_land_cover_of_a_cell_is_its_most_frequent_land_class_and_water_is_none(tmp_path):
    classes = np.full(LON.shape, 17)
    classes[LON < -99.9] = 10
    geotiff(tmp_path / "MCD12Q1_LC_Type1_2010.tif", classes, TRANSFORM, nodata=255, dtype="u1")
    cells = read(tmp_path, ["IGBP"], [-100.25, -99.75, -99.25], [40.25] * 3, 0.5)
    np.testing.assert_array_equal(cells.values["IGBP"], [10, 10, np.nan])
    assert cells.findings["missing"].tolist() == [1]


def test_the_sea_of_the_koppen_map_is_missing_not_class_zero(tmp_path):
    classes = np.where(LON < -99.0, 8, 0)
    geotiff(tmp_path / "Beck_KG_V1_present_0p0083.tif", classes, TRANSFORM, dtype="u1")
    result = read(tmp_path, ["Koppen_Climate_2018"])
    np.testing.assert_array_equal(result.values["Koppen_Climate_2018"], [8, np.nan, np.nan])


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


def test_files_that_stand_beside_a_map_are_not_taken_for_it(tmp_path):
    geotiff(tmp_path / "phh2o_0-5cm_mean.tif", np.full(LON.shape, 67), TRANSFORM, dtype="i2")
    for name in ("phh2o_0-5cm_mean.tif.aux.xml", "phh2o_0-5cm_mean.vrt", "phh2o_0-5cm_mean.vrt.ovr"):
        (tmp_path / name).write_text("beside")
    np.testing.assert_allclose(read(tmp_path, ["pH_Water_0cm"]).values, 6.7)


def test_the_year_of_npp_is_not_a_number_within_another(tmp_path, monkeypatch):
    """AppEEARS writes the year before the day: "2001" also stands in doy2002001 and in doy2012001."""
    monkeypatch.setattr(map_layers, "NPP_YEARS", (2001, 2002))
    for year in (2001, 2002, 2012):
        geotiff(tmp_path / f"Npp_500m_doy{year}001.tif", np.full(LON.shape, 2 * year), TRANSFORM, dtype="i2")
    geotiff(tmp_path / "Npp_QC_500m_doy2001001.tif", np.full(LON.shape, 7), TRANSFORM, dtype="i2")
    np.testing.assert_allclose(read(tmp_path, ["NPPmin", "NPPmax"]).values, [[400.2, 400.4]] * 3)


def test_missing_doubled_and_empty_maps_are_errors(tmp_path):
    with pytest.raises(InputError, match="no map of IGBP, BIO3. Put the public files there"):
        read(tmp_path, ["IGBP", "BIO3"])
    geotiff(tmp_path / "a_LC_Type1.tif", np.full(LON.shape, 255), TRANSFORM, dtype="u1")
    with pytest.raises(InputError, match="IGBP has no value at any of the 3 places"):
        read(tmp_path, ["IGBP"])
    geotiff(tmp_path / "b_LC_Type1.tif", np.full(LON.shape, 1), TRANSFORM, dtype="u1")
    with pytest.raises(InputError, match="there are 2 files: a_LC_Type1.tif, b_LC_Type1.tif"):
        read(tmp_path, ["IGBP"])
    with pytest.raises(InputError, match="no such folder"):
        read(tmp_path / "elsewhere", ["IGBP"])


def test_every_covariate_of_the_paper_with_a_stated_source_can_be_read_in_the_unit_of_the_list():
    layers = {layer.name: layer for source in SOURCES.values() for layer in source}
    for row in PAPER_LIST:
        if row.source == "not stated" or row.name.startswith("NPP"):
            continue
        assert (layers[row.name].unit, layers[row.name].classes) == (row.unit, row.kind == "categorical"), row.name
