"""The products pass a CF checker at CF-1.8, and the checker finds a fault that is put into one."""

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from cf_checker import cf_faults
from synthetic_study import write_study

from proda.errors import InputError
from proda.maps.netcdf import SOC_CONTENT, csoil_product, observed_period
from proda.maps.stage import final_results, write_results

MAPS = ("soc_maps.nc", "parameter_maps.nc", "hybrid_parameter_maps.nc")
FILES = (*MAPS, "ilamb/cSoil_network.nc", "ilamb/cSoil_one-batch.nc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    study = write_study(tmp_path_factory.mktemp("study"))
    folder = tmp_path_factory.mktemp("results")
    write_results(final_results(study), study, folder)
    return folder


@pytest.mark.parametrize("name", FILES)
def test_the_checker_has_nothing_against_a_product(folder, name):
    assert cf_faults(folder / name) == []


@pytest.mark.parametrize(
    ("variable", "attribute", "value", "told"),
    [
        (SOC_CONTENT, "standard_name", "soil_content_of_carbon", "standard_name soil_content_of_carbon"),
        (SOC_CONTENT, "units", "kg s-1", "units"),
        ("depth", "positive", "sideways", "positive"),
        ("lat", "bounds", "lat_edges", "lat_bounds"),
        (SOC_CONTENT, "cell_measures", "area: surface", "surface"),
    ],
)
def test_the_checker_finds_a_seeded_fault(folder, tmp_path, variable, attribute, value, told):
    path = tmp_path / "seeded.nc"
    path.write_bytes((folder / "soc_maps.nc").read_bytes())
    with netCDF4.Dataset(path, "a") as file:
        file[variable].setncattr(attribute, value)
    faults = cf_faults(path)
    assert any(told in fault for fault in faults), faults


def test_every_file_says_what_it_is_who_made_it_and_under_which_terms(folder):
    for name in FILES:
        with xr.open_dataset(folder / name) as file:
            assert {"title", "source", "history", "references", "license", "comment"} <= set(file.attrs), name
            assert file.attrs["Conventions"] == "CF-1.8"


def test_labels_are_characters_in_the_file_and_an_index_in_xarray(folder):
    with netCDF4.Dataset(folder / "soc_maps.nc") as file:
        assert file["parameterisation"].dtype == "S1"
    with xr.open_dataset(folder / "soc_maps.nc") as maps:
        assert maps[SOC_CONTENT].sel(parameterisation="network", depth=1.0).dims == ("lat", "lon")


def test_content_of_the_layers_sums_to_density_times_thickness(folder):
    with xr.open_dataset(folder / "soc_maps.nc") as maps:
        thickness = maps["layer_bounds"].diff("bounds").squeeze("bounds")
        expected = (maps["soc_density"].sel(parameterisation="network") * thickness).sum("layer", skipna=False)
        content = maps["carbon_mass_content_of_soil_layer"].sel(parameterisation="network").sum("layer", skipna=False)
        np.testing.assert_allclose(content, expected, rtol=1e-5)


def test_a_file_for_ilamb_has_cmips_variables_on_time_lat_lon_with_bounds(folder):
    with netCDF4.Dataset(folder / "ilamb" / "cSoil_network.nc") as file:
        for name in ("cSoil", "cSoilAbove1m"):
            assert file[name].dimensions == ("time", "lat", "lon") and file[name].units == "kg m-2"
        assert file["time"].units == "days since 1850-01-01 00:00:00"
        for axis in ("time", "lat", "lon"):
            bounds = file[file[axis].bounds][:]
            assert (bounds[:, 0] < file[axis][:]).all() and (file[axis][:] < bounds[:, 1]).all()


def test_the_carbon_for_ilamb_is_that_of_the_maps(folder):
    with xr.open_dataset(folder / "soc_maps.nc") as maps, xr.open_dataset(folder / "ilamb/cSoil_one-batch.nc") as own:
        for name, depth in (("cSoil", 2.0), ("cSoilAbove1m", 1.0)):
            for suffix in ("", "_p05", "_p50", "_p95"):
                expected = maps[SOC_CONTENT + suffix].sel(parameterisation="one-batch", depth=depth)
                np.testing.assert_array_equal(own[name + suffix].isel(time=0), expected)


def test_the_configuration_for_ilamb_names_every_file(folder):
    named = {line.split("/")[-1].strip('"') for line in (folder / "ilamb" / "proda.cfg").read_text().splitlines()
             if line.startswith("source")}  # fmt: skip
    assert named == {path.name for path in (folder / "ilamb").glob("*.nc")}


def test_the_configuration_for_ilamb_has_its_variable_in_a_section_and_its_sources_in_the_variable(folder):
    headings = [line[:3] for line in (folder / "ilamb" / "proda.cfg").read_text().splitlines() if line.startswith("[")]
    assert headings[:2] == ["[h1", "[h2"] and set(headings[2:]) == {"[PR"}


def test_the_period_is_that_of_nearly_all_profiles_and_a_wrong_date_does_not_stretch_it():
    years = pd.Series([np.nan, 1066.0, *np.linspace(1960, 2000, 99)])
    assert observed_period(years) == (1961, 1997)
    assert observed_period(pd.Series([np.nan])) == (1960, 2020)


def test_the_period_is_the_bounds_of_time_in_whole_years(tmp_path):
    study = write_study(tmp_path)
    results = final_results(study)
    product = csoil_product(results.maps, results.inputs.grid, "network", (1960, 1999), "x")
    days = product["time_bounds"].values[0]
    assert [str(np.datetime64("1850-01-01") + int(day)) for day in days] == ["1960-01-01", "2000-01-01"]
    with pytest.raises(InputError, match="no map by 'netwerk'"):
        csoil_product(results.maps, results.inputs.grid, "netwerk", (1960, 1999), "x")
