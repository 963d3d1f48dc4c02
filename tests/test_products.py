"""The NetCDF product: it opens, keeps what was put in, and carries the attributes CF asks for."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from synthetic_study import write_study

from proda.errors import InputError
from proda.maps.netcdf import SOC_CONTENT, raster_of, rastered
from proda.maps.stage import final_results, write_results


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    study = write_study(tmp_path_factory.mktemp("study"))
    results = final_results(study)
    folder = tmp_path_factory.mktemp("results")
    write_results(results, study, folder)
    return results, folder


@pytest.fixture(scope="module")
def product(made):
    with xr.open_dataset(made[1] / "soc_maps.nc") as dataset:
        yield dataset.load()


def test_it_says_which_conventions_it_follows_and_whom_to_cite(product):
    assert product.attrs["Conventions"] == "CF-1.8"
    assert "10.3389/fdata.2020.00017" in product.attrs["references"]
    assert {"title", "source", "history"} <= set(product.attrs)


def test_every_variable_has_units_and_a_name(product):
    for name, variable in product.variables.items():
        if name == "crs" or name.endswith("_bounds"):
            continue
        if name != "parameterisation":
            assert "units" in variable.attrs, name
        assert "standard_name" in variable.attrs or "long_name" in variable.attrs, name
    assert product[SOC_CONTENT].attrs["standard_name"] == "soil_mass_content_of_carbon"
    assert product[SOC_CONTENT].attrs["units"] == "kg m-2"


def test_every_coordinate_has_bounds_that_enclose_it(product):
    for name in ("lat", "lon", "depth", "layer"):
        bounds = product[product[name].attrs["bounds"]]
        assert bounds.dims == (name, "bounds")
        assert (bounds[:, 0] <= product[name]).all() and (product[name] <= bounds[:, 1]).all()
    assert product["depth"].attrs["positive"] == "down"
    np.testing.assert_allclose(product["depth_bounds"], [[0, 0.3], [0, 1], [0, 2]])


def test_latitudes_go_up_and_cells_without_land_are_missing(product):
    assert (np.diff(product["lat"]) > 0).all()
    has_land = np.isfinite(product["land_area_fraction"].values)
    has_carbon = np.isfinite(product[SOC_CONTENT].sel(parameterisation="network").values)
    assert not has_land.all() and (has_carbon == has_land).all()


def test_a_method_is_picked_by_its_name(product):
    assert product[SOC_CONTENT].sel(parameterisation="network", depth=1.0).dims == ("lat", "lon")


def test_totals_from_the_file_are_those_of_the_stock_table(product, made):
    table = made[0].stocks.query("source == 'this study' and method == 'network'").set_index("interval")["stock_pg"]
    land = product["cell_area"] * product["land_area_fraction"]
    total = float((product[SOC_CONTENT].sel(parameterisation="network", depth=2.0) * land).sum() / 1e12)
    assert total == pytest.approx(table.sum(), rel=1e-6)


def test_density_on_layers_sums_to_the_stock(product):
    thickness = (product["layer_bounds"][:, 1].clip(max=1.0) - product["layer_bounds"][:, 0]).clip(min=0)
    stock = (product["soc_density"].sel(parameterisation="default") * thickness).sum("layer", skipna=False)
    np.testing.assert_allclose(stock, product[SOC_CONTENT].sel(parameterisation="default", depth=1.0), rtol=1e-5)


def test_quantiles_surround_the_median_and_exist_only_for_methods_with_draws(product):
    names = [f"{SOC_CONTENT}_{quantile}" for quantile in ("p05", "p50", "p95")]
    low, middle, high = (product[name].sel(parameterisation="one-batch").values for name in names)
    land = np.isfinite(low)
    assert land.any() and (low[land] <= middle[land]).all() and (middle[land] <= high[land]).all()
    assert np.isnan(product[names[0]].sel(parameterisation="default")).all()


def test_cells_say_how_many_covariates_network_and_hybrid_never_met(product, made):
    inputs = made[0].inputs
    raster = raster_of(inputs.grid)
    for method, expected in (("network", inputs.network_extrapolated), ("hybrid", inputs.hybrid_extrapolated)):
        beyond = product["extrapolated"].sel(parameterisation=method).values
        np.testing.assert_array_equal(beyond[raster.row, raster.column], expected)
        assert (expected > 0).any() and np.isfinite(beyond).sum() == expected.size
    assert np.isnan(product["extrapolated"].sel(parameterisation="one-batch")).all(), "it looks at no covariates"
    for name in (SOC_CONTENT, "soc_density", "carbon_mass_content_of_soil_layer"):
        assert product[name].attrs["ancillary_variables"].split()[-1] == "extrapolated"


def test_tables_are_written_with_their_columns(made):
    table = pd.read_csv(made[1] / "table_1.csv")
    assert {"source", "sites", "subset", "method", "r2", "r", "efficiency", "rmse", "bias", "n"} <= set(table)
    stocks = pd.read_csv(made[1] / "stocks.csv")
    assert {"source", "method", "interval", "stock_pg", "p05_pg", "p95_pg", "cells", "land_share"} <= set(stocks)


def test_the_raster_puts_every_cell_at_its_place():
    grid = xr.Dataset({"lon": ("cell", [-100.25, -99.25]), "lat": ("cell", [40.25, 39.75])})
    raster = raster_of(grid)
    assert raster.shape == (2, 3)
    np.testing.assert_array_equal(rastered([1.0, 2.0], raster), [[np.nan, np.nan, 2.0], [1.0, np.nan, np.nan]])


def test_cells_off_the_raster_or_listed_twice_are_refused():
    with pytest.raises(InputError, match="not a multiple"):
        raster_of(pd.DataFrame({"lon": [-100.25, -100.0], "lat": [40.25, 40.25]}))
    with pytest.raises(InputError, match="share"):
        raster_of(pd.DataFrame({"lon": [-100.25, -100.25], "lat": [40.25, 40.25]}))
