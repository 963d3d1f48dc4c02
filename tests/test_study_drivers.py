"""Land cells, forcing and covariates come together from maps and model output, or from the public archive."""

import numpy as np
import pandas as pd
import pytest
from history_files import history, written
from small_archive import N, write_archive
from small_maps import geotiff, in_degrees

from proda.data.covariate_lists import Covariate, covariate_list
from proda.data.covariates import has_covariates
from proda.data.forcing import has_forcing
from proda.data.grid import cells_at, grid_dataset
from proda.data.readers.archive_profiles import read_archive_profiles
from proda.data.study_drivers import archive_drivers, map_drivers
from proda.errors import InputError
from proda.model.checks import validated
from proda.model.configuration import CESM2

TRANSFORM, EAST, NORTH = in_degrees(-126.0, 51.0, 0.25, 112, 248)
SLOPE = Covariate("slope", "slope of the land", "%", "continuous", "own", "CC0")
LIST = (*covariate_list(["IGBP", "NPPmean", "BIO1", "Lat"]), SLOPE)


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("Karten und Höhen")
    geotiff(folder / "MCD12_LC_Type1_2010.tif", np.where(EAST < -100, 10, 4), TRANSFORM, dtype="u1")
    geotiff(folder / "SNDPPT_M_sl1_10km_ll.tif", 40 + 0 * EAST, TRANSFORM, 255, dtype="u1")
    bio = np.where(NORTH > 48.0, np.nan, 30 - 0.5 * (NORTH - 25))
    geotiff(folder / "wc2.1_10m_bio_1.tif", bio, TRANSFORM, -3.4e38, dtype="f4")
    for year in range(2000, 2015):
        geotiff(folder / f"MOD17A3_NPP_{year}.tif", 4000 + 10 * (year - 2007) + 0 * EAST, TRANSFORM, 65535, dtype="u2")
    geotiff(folder / "own" / "slope.tif", np.abs(EAST) / 10, TRANSFORM)
    for i, tonnes in enumerate((20, 30, 30, 40, 40, 60), start=1):
        geotiff(folder / f"OCSTHA_M_sd{i}_10km_ll.tif", tonnes + 0 * EAST, TRANSFORM, -32768, dtype="i2")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return written(
        history(years=(2001, 2002), lat=np.arange(22.5, 53.0, 1.875)), tmp_path_factory.mktemp("run") / "run.nc"
    )


PROFILES_LON, PROFILES_LAT = [-110.0, -90.0, -95.0, 10.0], [40.0, 35.0, 48.5, 50.0]


@pytest.fixture(scope="module")
def drivers(maps, run):
    profiles = pd.DataFrame({"profile_id": ["a", "b", "c", "d"], "lon": PROFILES_LON, "lat": PROFILES_LAT})
    return profiles, map_drivers(profiles, maps, run, LIST)


def test_every_cell_has_forcing_and_the_covariates_of_its_place(drivers):
    _, result = drivers
    cells = result.cells
    assert 3000 < len(cells) < 3500 and has_forcing(result.forcing).all()
    validated(result.forcing)
    table = result.cell_covariates
    assert list(table) == ["IGBP=4", "IGBP=10", "NPPmean", "BIO1", "Lat", "slope"]
    assert (table["IGBP=10"] == (cells["lon"] < -100)).all() and (cells["land_cover"].isin([4, 10])).all()
    np.testing.assert_allclose(table["slope"], np.abs(cells["lon"]) / 10, rtol=1e-6)
    np.testing.assert_allclose(table["NPPmean"], 400.0)
    south = cells["lat"] < 47.7
    np.testing.assert_allclose(table["BIO1"][south], 30 - 0.5 * (cells["lat"][south] - 25), atol=1e-3)
    assert not has_covariates(table)[cells["lat"] > 48.3].any() and has_covariates(table)[south].all()
    np.testing.assert_allclose(grid_dataset(cells)["ref_soilgrids_2017_100cm"], 16.0)


def test_profiles_get_the_pixels_they_lie_in_in_any_order_and_far_ones_none(drivers):
    profiles, result = drivers
    table = result.site_covariates(profiles.iloc[[3, 1, 0]])
    np.testing.assert_array_equal(table["IGBP=4"], [np.nan, 1, 0])
    np.testing.assert_allclose(table["slope"], [np.nan, 8.9875, 10.9875])
    assert np.isnan(result.site_covariates(profiles)["BIO1"][2])
    missing = result.found.set_index(["source", "variable"])["missing"]
    assert missing["WorldClim 2.1, sites", "BIO1"] == 1 and missing["WorldClim 2.1, cells", "BIO1"] > 50


def test_all_covariates_without_a_map_are_named_at_once(maps, run, drivers):
    with pytest.raises(InputError, match="no map of Climate, Drought. Put the public files.*Climate.tif"):
        map_drivers(drivers[0], maps, run, covariate_list(["BIO1", "Climate", "Drought"]))


def test_profiles_with_exchanged_coordinates_are_told(maps, run, drivers):
    exchanged = drivers[0].iloc[:3].rename(columns={"lon": "lat", "lat": "lon"})
    with pytest.raises(InputError, match="none of 3 profiles lies between .* exchanged"):
        map_drivers(exchanged, maps, run, LIST)


def test_the_archive_gives_the_cells_near_its_own_and_the_rows_of_its_sites(tmp_path):
    root = write_archive(tmp_path)
    archive = read_archive_profiles(root)
    result = archive_drivers(root, archive)
    profiles = archive.tables.profiles
    table = result.site_covariates(profiles.iloc[[12, 5, 33]])
    np.testing.assert_allclose(table["BIO1"], [12.18, 5.18, np.nan])  # profile 33 is in Europe
    assert table["ESA_Land_Cover=12"].tolist()[:2] == [1, 0]
    usable = has_covariates(result.cell_covariates)
    cell, _ = cells_at(profiles["lon"], profiles["lat"], result.cells, 0.0)
    on_land = np.flatnonzero(cell >= 0)
    assert 20 <= on_land.size <= 30 and 4 in on_land
    # The archive's grid is where its sites are; the one of site 4 lacks a covariate.
    assert set(np.flatnonzero(usable)) == set(cell[on_land]) - {cell[4]}
    assert result.cell_covariates["BIO1"][cell[12]] == 12.18
    forcing = result.forcing.take(has_forcing(result.forcing) & usable)
    validated(forcing)
    assert ((forcing.npp_mean - forcing.npp_min) == 100).all() and "MODIS" in result.comment
    assert has_forcing(archive_drivers(root, archive, configuration=CESM2).forcing)[usable].all()
    assert N == len(profiles)
