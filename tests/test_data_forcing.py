"""The surrogate forcing obeys its sources, and a forcing file with a fault is refused."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from columns import seasonal_forcing

from proda.data import forcing as climate
from proda.data.forcing import forcing_dataset, has_forcing, read_forcing, surrogate_forcing
from proda.errors import InputError
from proda.model.forcing import MonthlyForcing
from proda.model.rates import limiting_water

CELLS = pd.DataFrame(
    {
        "air_temperature": [5.0, 12.0, 22.0],
        "precipitation": [900.0, 400.0, 200.0],
        "npp": [500.0, 250.0, 80.0],
        "sand_percent": [40.0, 60.0, 30.0],
        "clay_percent": [20.0, 10.0, 40.0],
    }
)


FORCING = {"annual": surrogate_forcing(CELLS), "monthly": seasonal_forcing(3)}


@pytest.fixture
def file(tmp_path):
    def written(kind="annual", **replaced):
        data = forcing_dataset(FORCING[kind], [-100.25] * 3, [40.25, 40.75, 41.25], "made for a test")
        path = tmp_path / "forcing.nc"
        data.assign(replaced).to_netcdf(path)
        return path, data

    return written


def test_potential_evaporation_is_turcs_polynomial():
    assert climate.potential_evaporation(10.0) == pytest.approx(300 + 250 + 50)
    assert climate.potential_evaporation(-5.0) == pytest.approx(300)


def test_evaporation_exceeds_neither_precipitation_nor_its_potential():
    rain, potential = np.meshgrid(np.geomspace(1, 5000, 40), np.geomspace(200, 2000, 20))
    evaporation = climate.actual_evaporation(rain, potential)
    assert (evaporation <= rain + 1e-9).all()
    assert (evaporation <= potential + 1e-9).all()
    assert climate.actual_evaporation(100.0, 1000.0) == pytest.approx(100.0)


def test_evaporation_has_no_jump_where_its_formula_changes():
    limit = 1000 * np.sqrt(0.1)
    assert climate.actual_evaporation(limit * 1.000001, 1000.0) == pytest.approx(limit, rel=1e-5)


def test_retention_is_that_of_cosby_for_a_loam():
    saturation, potential, exponent = climate.retention(43.0, 18.0)
    assert saturation == pytest.approx(0.489 - 0.00126 * 43)
    assert potential / climate.MPA_PER_MM == pytest.approx(-207, rel=0.01)  # mm; about -20 cm of water
    assert exponent == pytest.approx(2.91 + 0.159 * 18)


@pytest.mark.parametrize(("sand", "clay"), [(90.0, 3.0), (43.0, 18.0), (10.0, 55.0)])
def test_wetness_runs_from_wilting_point_to_field_capacity(sand, clay):
    assert climate.water_potential(0.0, sand, clay) == pytest.approx(-1.5)
    assert climate.water_potential(1.0, sand, clay) == pytest.approx(-0.033)
    between = climate.water_potential(np.linspace(0, 1, 20), sand, clay)
    assert (np.diff(between) > 0).all()


def test_a_threshold_of_the_bucket_would_slow_decomposition_as_much_as_is_said():
    ratio = np.linspace(0.3, 0.95, 14)  # of actual to potential evaporation
    loam = {"sand_percent": 43.0, "clay_percent": 18.0}
    linear, manabe = (limiting_water(climate.water_potential(k * ratio, **loam), -0.002) for k in (1.0, 0.75))
    assert (0.88 < manabe / linear).all() and (manabe / linear < 0.93).all()


def test_surrogate_forcing_stays_in_physical_ranges():
    forcing = surrogate_forcing(CELLS, npp_min_multiple=0.6, npp_max_multiple=1.5)
    assert (forcing.water_potential >= -25).all()
    assert (forcing.water_potential < 0).all()
    assert (forcing.active_layer == 35).all()
    np.testing.assert_allclose(forcing.npp_min / forcing.npp_mean, 0.6)
    np.testing.assert_allclose(forcing.npp_max / forcing.npp_mean, 1.5)


@pytest.mark.parametrize(("column", "value"), [("npp", 0.0), ("npp", np.nan), ("air_temperature", np.nan),
                                               ("precipitation", -1.0), ("clay_percent", 70.0)])  # fmt: skip
def test_a_cell_without_usable_climate_has_no_forcing(column, value):
    cells = CELLS.copy()
    cells.loc[1, column] = value
    assert has_forcing(surrogate_forcing(cells)).tolist() == [True, False, True]


@pytest.mark.parametrize("kind", FORCING)
def test_what_is_written_is_what_is_read(file, kind):
    path, _ = file(kind)
    forcing = read_forcing(path)
    assert type(forcing) is type(FORCING[kind])
    for read, made in zip(forcing, FORCING[kind], strict=True):
        np.testing.assert_array_equal(read, made)


def test_a_monthly_file_has_an_axis_of_months_and_its_faults_are_named(file):
    path, data = file("monthly")
    assert data["month"].values.tolist() == list(range(1, 13))
    filled = data["soil_water_scalar"].copy()
    filled[4, 6, 1] = 1e36
    path, _ = file("monthly", soil_water_scalar=filled)
    with pytest.raises(InputError, match=r"water_scalar is 1e\+36 in column 1 \(layer 5, month 7\).*fill value"):
        read_forcing(path)
    data.isel(month=slice(0, 11)).to_netcdf(path)
    with pytest.raises(InputError, match=r"soil_temperature has shape \(20, 11, 3\), expected \(20, 12, 3\)"):
        read_forcing(path)
    data.drop_vars("carbon_input").to_netcdf(path)
    with pytest.raises(InputError, match=r"carbon_input is missing, expected carbon_input \(kind, month, cell\)"):
        read_forcing(path)


def test_a_cell_that_lacks_one_month_has_no_forcing():
    forcing = MonthlyForcing(*(np.array(field, dtype=float) for field in seasonal_forcing(3)))
    forcing.oxygen_scalar[3, 7, 1] = np.nan
    assert has_forcing(forcing).tolist() == [True, False, True]
    assert not has_forcing(forcing.fertilised(0.0)).any()


def test_impossible_values_in_the_file_are_named_with_variable_and_cell(file):
    _, data = file()
    broken = data["npp_mean"].copy()
    broken[2] = np.nan
    path, _ = file(npp_mean=broken)
    with pytest.raises(InputError, match=r"forcing\.nc: npp_mean is nan.*column 2"):
        read_forcing(path)
    path, _ = file(soil_temperature=(data["soil_temperature"] - 273.15).assign_attrs(units="K"))
    with pytest.raises(InputError, match=r"forcing\.nc: soil_temperature.*Add 273\.15"):
        read_forcing(path)


@pytest.mark.parametrize("kind", FORCING)
def test_every_variable_of_the_file_states_its_unit(file, kind):
    path, _ = file(kind)
    with xr.open_dataset(path, decode_cf=False) as data:
        bounds = {data["node_depth"].attrs["bounds"]}  # which have those of what they bound
        assert all("units" in data[name].attrs for name in set(data.variables) - bounds)
        np.testing.assert_allclose(data["node_depth_bounds"].mean("bounds"), data["node_depth"], atol=0.2)
        assert data.attrs["Conventions"] == "CF-1.11"
