"""A study names its source of forcing; every source gives the same kind of thing."""

import numpy as np
import pytest
from history_files import history, written
from small_archive import places, write_archive

from proda.data.forcing import forcing_dataset, has_forcing, read_forcing
from proda.data.forcing_sources import forcing_from, with_npp
from proda.errors import InputError
from proda.model.checks import validated
from proda.model.configuration import CESM2

LON, LAT = (axis[:30] for axis in places())


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    return {
        "clm-history": written(history(years=(2001, 2002)), folder / "run.nc"),
        "public-archive": write_archive(folder),
    }


@pytest.mark.parametrize("kind", ["clm-history", "public-archive"])
def test_a_source_becomes_the_forcing_file_of_a_study(kind, sources, tmp_path):
    forcing, found, comment = forcing_from(kind, sources[kind], LON, LAT)
    assert has_forcing(forcing).all() and (found["missing"] == 0).all()
    forcing_dataset(forcing, LON, LAT, comment).to_netcdf(tmp_path / "forcing.nc")
    np.testing.assert_array_equal(read_forcing(tmp_path / "forcing.nc").soil_temperature, forcing.soil_temperature)


def test_the_archive_gives_monthly_forcing_too(sources):
    validated(forcing_from("public-archive", sources["public-archive"], LON, LAT, CESM2).forcing, CESM2)


def test_npp_of_another_map_replaces_all_three_and_gaps_stay_gaps(sources):
    forcing = forcing_from("clm-history", sources["clm-history"], LON[:4], LAT[:4]).forcing
    mean, low, high = [400.0, np.nan, 400.0, 300.0], [350.0, 300.0, 500.0, -20.0], [500.0, 450.0, 600.0, 400.0]
    result = with_npp(forcing, mean, low, high)
    assert has_forcing(result).tolist() == [True, False, False, True]
    assert result.npp_min[3] == 0.0 and result.npp_max[0] == 500.0
    assert result.soil_temperature is forcing.soil_temperature


def test_an_unknown_kind_and_npp_of_another_length_are_told(sources):
    with pytest.raises(InputError, match="kind of forcing is 'era5', expected one of: clm-history, public-archive"):
        forcing_from("era5", sources["clm-history"], LON, LAT)
    forcing = forcing_from("clm-history", sources["clm-history"], LON, LAT).forcing
    with pytest.raises(InputError, match=r"mean NPP has shape \(3,\), expected \(30,\)"):
        with_npp(forcing, np.ones(3), np.ones(30), np.ones(30))
