"""The files for other programs: they pass a CF checker, keep what was put in, and are those of ILAMB."""

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from compliance_checker.base import BaseCheck
from compliance_checker.runner import CheckSuite
from synthetic_study import FolderStudy, small_results

from proda.errors import InputError
from proda.maps import netcdf
from proda.maps.stage import write_results
from proda.model.parameters import CESM2_PARAMETERS, INS, PAPER_PARAMETERS, bounds, physical

CheckSuite.load_all_available_checkers()
MAPS = ("soc_maps.nc", "parameter_maps.nc", "hybrid_parameter_maps.nc")
FILES = (*MAPS, "ilamb/cSoil_network.nc", "ilamb/cSoil_one-batch.nc")


def cf_faults(path) -> list[str]:
    """Everything that the CF-1.8 check of compliance-checker objects to in a file, recommendations included."""
    suite = CheckSuite()
    with suite.load_dataset(str(path)) as dataset:
        groups, broken = suite.run_all(dataset, ["cf:1.8"])["cf:1.8"]
    faults = [f"{check}: {error[0]!r}" for check, error in broken.items()]
    for group in groups:
        scored = group.value if isinstance(group.value, tuple) else (int(bool(group.value)), 1)
        if scored[0] < scored[1] and group.weight >= BaseCheck.MEDIUM:
            faults += [f"{group.name}: {message}" for message in group.msgs]
    return faults


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    write_results(small_results(), FolderStudy(folder), folder)
    return folder


@pytest.fixture(scope="module")
def product(folder):
    with xr.open_dataset(folder / "soc_maps.nc") as dataset:
        yield dataset.load()


@pytest.mark.parametrize("name", FILES)
def test_the_checker_has_nothing_against_a_product(folder, name):
    assert cf_faults(folder / name) == []


def test_products_of_the_monthly_configuration_have_its_layers_and_parameters(tmp_path):
    results = small_results("cesm2")
    write_results(results, FolderStudy(tmp_path), tmp_path)
    for name in ("soc_maps.nc", "parameter_maps.nc", "hybrid_parameter_maps.nc"):
        assert cf_faults(tmp_path / name) == []
    with xr.open_dataset(tmp_path / "soc_maps.nc") as maps, xr.open_dataset(tmp_path / "parameter_maps.nc") as ours:
        assert maps.sizes["layer"] == 20 and "20 layers" in maps.attrs["source"]
        assert {*CESM2_PARAMETERS.names} < {*ours} and "ins" not in ours
        assert ours["w_scaling"].attrs["clm_name"] == "no counterpart"
        clm = netcdf.clm_parameters(ours)
        assert "maxpsi_hr" not in clm and clm["tau_s3"].attrs["long_name"] == "turnover time of passive SOC"
        # Bedrock at 1.2 m in every third cell, where there is no carbon below it.
        density = maps["soc_density"].sel(parameterisation="network")
        below = density["layer"] > 1.2
        shallow = (density[below] == 0.0).all("layer") & (density[~below] > 0.0).all("layer")
        stock = maps[netcdf.SOC_CONTENT].sel(parameterisation="network", depth=2.0)
        assert int(shallow.sum()) == np.isfinite(stock).sum() // 3
        column = (maps["carbon_mass_content_of_soil_layer"].sel(parameterisation="network")).sum("layer")
        np.testing.assert_allclose(column.where(shallow), stock.where(shallow), rtol=1e-6)
    assert results.true_maps is not None and len(results.table) == len(small_results().table)


def test_the_checker_finds_a_seeded_fault(folder, tmp_path):
    path = tmp_path / "seeded.nc"
    path.write_bytes((folder / "soc_maps.nc").read_bytes())
    with netCDF4.Dataset(path, "a") as file:
        file[netcdf.SOC_CONTENT].units = "kg s-1"
    assert any("units" in line for line in cf_faults(path))


def test_latitudes_go_up_and_cells_without_land_are_missing(product):
    assert (np.diff(product["lat"]) > 0).all()
    has_land = np.isfinite(product["land_area_fraction"].values)
    has_carbon = np.isfinite(product[netcdf.SOC_CONTENT].sel(parameterisation="network").values)
    assert not has_land.all() and (has_carbon == has_land).all()


def test_totals_from_the_file_are_those_of_the_stock_table(product):
    table = (
        small_results().stocks.query("source == 'this study' and method == 'network'").set_index("interval")["stock_pg"]
    )
    land = product["cell_area"] * product["land_area_fraction"]
    total = float((product[netcdf.SOC_CONTENT].sel(parameterisation="network", depth=2.0) * land).sum() / 1e12)
    assert total == pytest.approx(table.sum(), rel=1e-6)


def test_density_on_layers_sums_to_the_stock(product):
    thickness = (product["layer_bounds"][:, 1].clip(max=1.0) - product["layer_bounds"][:, 0]).clip(min=0)
    stock = (product["soc_density"].sel(parameterisation="default") * thickness).sum("layer", skipna=False)
    np.testing.assert_allclose(stock, product[netcdf.SOC_CONTENT].sel(parameterisation="default", depth=1.0), rtol=1e-5)


def test_quantiles_surround_the_median_and_exist_only_for_methods_with_draws(product):
    names = [f"{netcdf.SOC_CONTENT}_{quantile}" for quantile in ("p05", "p50", "p95")]
    low, middle, high = (product[name].sel(parameterisation="one-batch").values for name in names)
    land = np.isfinite(low)
    assert land.any() and (low[land] <= middle[land]).all() and (middle[land] <= high[land]).all()
    assert np.isnan(product[names[0]].sel(parameterisation="default")).all()


def test_cells_carry_the_number_of_extrapolated_covariates_of_network_and_hybrid(product):
    inputs = small_results().inputs
    raster = netcdf.raster_of(inputs.grid)
    for method, expected in (
        ("network", inputs.network_extrapolated),
        ("hybrid", inputs.hybrid["extrapolated_cell"].values),
    ):
        beyond = product["extrapolated"].sel(parameterisation=method).values
        np.testing.assert_array_equal(beyond[raster.row, raster.column], expected)
        assert (expected > 0).any() and np.isfinite(beyond).sum() == expected.size
    assert np.isnan(product["extrapolated"].sel(parameterisation="one-batch")).all()
    for name in (netcdf.SOC_CONTENT, "soc_density", "carbon_mass_content_of_soil_layer"):
        assert product[name].attrs["ancillary_variables"].split()[-1] == "extrapolated"


def test_the_raster_puts_every_cell_at_its_place():
    grid = xr.Dataset({"lon": ("cell", [-100.25, -99.25]), "lat": ("cell", [40.25, 39.75])})
    raster = netcdf.raster_of(grid)
    np.testing.assert_array_equal(netcdf.rastered([1.0, 2.0], raster), [[np.nan, np.nan, 2.0], [1.0, np.nan, np.nan]])


def test_cells_off_the_raster_or_listed_twice_are_refused():
    with pytest.raises(InputError, match="not a multiple"):
        netcdf.raster_of(pd.DataFrame({"lon": [-100.25, -100.0], "lat": [40.25, 40.25]}))
    with pytest.raises(InputError, match="share"):
        netcdf.raster_of(pd.DataFrame({"lon": [-100.25, -100.25], "lat": [40.25, 40.25]}))


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
                expected = maps[netcdf.SOC_CONTENT + suffix].sel(parameterisation="one-batch", depth=depth)
                np.testing.assert_array_equal(own[name + suffix].isel(time=0), expected)


def test_the_configuration_for_ilamb_names_every_file(folder):
    named = {line.split("/")[-1].strip('"') for line in (folder / "ilamb" / "proda.cfg").read_text().splitlines()
             if line.startswith("source")}  # fmt: skip
    assert named == {path.name for path in (folder / "ilamb").glob("*.nc")}


def test_the_period_is_that_of_nearly_all_profiles_and_a_wrong_date_does_not_stretch_it():
    years = pd.Series([np.nan, 1066.0, *np.linspace(1960, 2000, 99)])
    assert netcdf.observed_period(years) == (1961, 1997)
    assert netcdf.observed_period(pd.Series([np.nan])) == (1960, 2020)


def test_the_period_is_the_bounds_of_time_in_whole_years():
    results = small_results()
    product = netcdf.csoil_product(results.maps, results.inputs.grid, "network", (1960, 1999), "x")
    days = product["time_bounds"].values[0]
    assert [str(np.datetime64("1850-01-01") + int(day)) for day in days] == ["1960-01-01", "2000-01-01"]


@pytest.fixture(scope="module")
def made(folder):
    with xr.open_dataset(folder / "parameter_maps.nc") as file:
        return small_results().inputs, file.load()


def on_cells(inputs, variable):
    raster = netcdf.raster_of(inputs.grid)
    return variable.values[raster.row, raster.column]


def test_every_parameter_of_the_network_is_there_in_physical_units(made):
    inputs, maps = made
    theta = physical(inputs.network_cells.T, inputs.forcing)
    for k, row in enumerate(PAPER_PARAMETERS.rows):
        np.testing.assert_array_equal(on_cells(inputs, maps[row.name]), theta[k])
        assert maps[row.name].attrs["units"] == row.unit


def test_every_parameter_has_a_counterpart_or_none():
    table = netcdf.counterpart_table()
    assert set(table.index) == {*PAPER_PARAMETERS.names, *CESM2_PARAMETERS.names} and table.index.is_unique
    assert set(table.index[table["clm"] == ""]) == {"fs1s2", "fs1s3", "ins", "w_scaling"}


def test_every_value_lies_in_its_valid_range_and_the_range_is_the_prior(made):
    inputs, maps = made
    for row in PAPER_PARAMETERS.rows:
        low, high = maps[row.name].attrs["valid_min"], maps[row.name].attrs["valid_max"]
        values = on_cells(inputs, maps[row.name])
        assert (low <= values).all() and (values <= high).all(), row.name
        if row.name != "ins":
            assert (low, high, maps[row.name].attrs["default_value"]) == (row.minimum, row.maximum, row.default)
    low, high = (bound[INS] for bound in bounds(inputs.forcing))
    assert (maps["ins"].attrs["valid_min"], maps["ins"].attrs["valid_max"]) == (low.min(), high.max())


def test_the_defaults_become_the_numbers_of_clm():
    """Published in CLM's technical note and source: 1 and 5 cm2 yr-1, respired fractions, CWD fractions."""
    ours = xr.Dataset({row.name: ((), row.default) for row in PAPER_PARAMETERS.rows})
    clm = netcdf.clm_parameters(ours)
    expected = {
        "som_diffus": 1e-4 / (86400 * 365), "cryoturb_diffusion_k": 5e-4 / (86400 * 365), "rf_l1s1_bgc": 0.55,
        "rf_l2s1_bgc": 0.5, "rf_l3s2_bgc": 0.5, "rf_s2s1_bgc": 0.55, "rf_s2s3_bgc": 0.55, "rf_s3s1_bgc": 0.55,
        "cwd_fcel": 0.76, "cwd_flig": 0.24, "maxpsi_hr": -0.002, "q10_mr": 1.5,
    }  # fmt: skip
    for name, value in expected.items():
        assert float(clm[name]) == pytest.approx(value, rel=1e-9), name


def test_clms_rates_with_its_normalisation_are_this_models():
    """CLM: q10^((T - 25) / 10) N / tau, N = (c(15) / c(30)) / q10^-1, with N written here once more by hand."""
    q10, tau, warm = 1.9, 6.0, 12.0
    ours = xr.Dataset({row.name: ((), row.default) for row in PAPER_PARAMETERS.rows}).assign(q10=q10, tau4s2=tau)

    def catanf(t):
        return 11.75 + (29.7 / np.pi) * np.arctan(np.pi * 0.031 * (t - 15.4))

    factor = (catanf(15.0) / catanf(30.0)) / q10 ** ((15.0 - 25.0) / 10.0)
    rate = q10 ** ((warm - 25.0) / 10.0) * factor / float(netcdf.clm_parameters(ours)["tau_s2"])
    assert rate == pytest.approx(q10 ** ((warm - 25.0) / 10.0) / tau, rel=1e-12)
    assert float(netcdf.century_normalisation(q10)) == pytest.approx(factor)


def test_what_leaves_the_slow_pool_in_clm_is_what_leaves_it_here(rng):
    fs2s1, fs2s3 = rng.uniform(0.1, 0.6, 50), rng.uniform(0.0, 0.1, 50)
    ours = xr.Dataset({row.name: ("cell", np.full(50, row.default)) for row in PAPER_PARAMETERS.rows})
    clm = netcdf.clm_parameters(ours.assign(fs2s1=("cell", fs2s1), fs2s3=("cell", fs2s3)))
    respired = 0.42 / 0.45 * clm["rf_s2s1_bgc"] + 0.03 / 0.45 * clm["rf_s2s3_bgc"]
    np.testing.assert_allclose(respired, 1 - fs2s1 - fs2s3, rtol=1e-12)
    assert ((clm["rf_s2s3_bgc"] < 0) == (fs2s3 > 0.03 / 0.45)).all()


def test_litter_fractions_add_up_to_one_and_come_from_a_map(made):
    inputs, maps = made
    clm = netcdf.clm_parameters(maps)
    total = on_cells(inputs, clm["lf_flab"] + clm["lf_fcel"] + clm["lf_flig"])
    np.testing.assert_allclose(total, 1.0, rtol=1e-12)
    assert clm["tau_s3"].attrs["units"] == "yr" and "century_normalisation" in clm["tau_s3"].attrs["comment"]
