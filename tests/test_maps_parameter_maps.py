"""The maps of parameters carry the network's values in physical units, and turn into CLM5's and back."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from synthetic_study import small_results

from proda.maps.netcdf import raster_of, write_product
from proda.maps.parameter_maps import (
    COUNTERPARTS,
    century_normalisation,
    clm_parameters,
    counterpart_table,
    parameter_product,
)
from proda.model.parameters import INS, PAPER_PARAMETERS, bounds, physical


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    inputs = small_results().inputs
    product = parameter_product(inputs.network_cells, inputs.forcing, inputs.grid, "Parameters")
    path = write_product(product, tmp_path_factory.mktemp("maps") / "parameter_maps.nc")
    with xr.open_dataset(path) as file:
        return inputs, file.load()


def on_cells(inputs, variable):
    raster = raster_of(inputs.grid)
    return variable.values[raster.row, raster.column]


def test_every_parameter_of_the_network_is_there_in_physical_units(made):
    inputs, maps = made
    theta = physical(inputs.network_cells.T, inputs.forcing)
    for k, row in enumerate(PAPER_PARAMETERS.rows):
        np.testing.assert_array_equal(on_cells(inputs, maps[row.name]), theta[k])
        assert maps[row.name].attrs["units"] == row.unit


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


def test_notes_on_the_prediction_are_ancillary_variables_of_the_parameters(made):
    inputs, _ = made
    notes = pd.DataFrame({"extrapolated": np.arange(inputs.grid.sizes["cell"]) % 4})
    maps = parameter_product(inputs.network_cells, inputs.forcing, inputs.grid, "x", notes=notes)
    np.testing.assert_array_equal(on_cells(inputs, maps["extrapolated"]), notes["extrapolated"])
    assert maps["q10"].attrs["ancillary_variables"] == "extrapolated"


def test_every_parameter_has_a_counterpart_or_none():
    table = counterpart_table()
    assert list(table["parameter"]) == list(PAPER_PARAMETERS.names) == list(COUNTERPARTS)
    without = table.loc[table["CLM5"] == "no counterpart", "parameter"]
    assert set(without) == {"fs1s2", "fs1s3", "ins"}


def test_the_defaults_become_the_numbers_of_clm():
    """Published in CLM's technical note and source: 1 and 5 cm2 yr-1, respired fractions, CWD fractions."""
    ours = xr.Dataset({row.name: ((), row.default) for row in PAPER_PARAMETERS.rows})
    clm = clm_parameters(ours)
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
    rate = q10 ** ((warm - 25.0) / 10.0) * factor / float(clm_parameters(ours)["tau_s2"])
    assert rate == pytest.approx(q10 ** ((warm - 25.0) / 10.0) / tau, rel=1e-12)
    assert float(century_normalisation(q10)) == pytest.approx(factor)


def test_what_leaves_the_slow_pool_in_clm_is_what_leaves_it_here(rng):
    fs2s1, fs2s3 = rng.uniform(0.1, 0.6, 50), rng.uniform(0.0, 0.1, 50)
    ours = xr.Dataset({row.name: ("cell", np.full(50, row.default)) for row in PAPER_PARAMETERS.rows})
    clm = clm_parameters(ours.assign(fs2s1=("cell", fs2s1), fs2s3=("cell", fs2s3)))
    respired = 0.42 / 0.45 * clm["rf_s2s1_bgc"] + 0.03 / 0.45 * clm["rf_s2s3_bgc"]
    np.testing.assert_allclose(respired, 1 - fs2s1 - fs2s3, rtol=1e-12)
    assert ((clm["rf_s2s3_bgc"] < 0) == (fs2s3 > 0.03 / 0.45)).all()


def test_litter_fractions_add_up_to_one_and_come_from_a_map(made):
    inputs, maps = made
    clm = clm_parameters(maps)
    total = on_cells(inputs, clm["lf_flab"] + clm["lf_fcel"] + clm["lf_flig"])
    np.testing.assert_allclose(total, 1.0, rtol=1e-12)
    assert clm["tau_s3"].attrs["units"] == "yr" and "century_normalisation" in clm["tau_s3"].attrs["comment"]
