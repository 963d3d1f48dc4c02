"""The grids of the model specification; implausible parameters and forcing are errors with place and remedy."""

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from columns import drawn_columns, seasonal_columns, seasonal_forcing, temperate

from proda.errors import InputError
from proda.model.configuration import CESM2, CESM2_COLUMN, PAPER, PAPER_COLUMN, validated
from proda.model.matrices import labelled_matrices
from proda.model.parameters import physical, unit_cube
from proda.model.solver import steady_state


def test_the_paper_grid_has_the_depths_of_the_specification():
    assert PAPER_COLUMN.n_layers == 10
    assert PAPER_COLUMN.thickness[[0, -1]] == pytest.approx([0.0175128, 1.5057607], abs=5e-8)
    assert PAPER_COLUMN.bottom[-1] == pytest.approx(3.8018819, abs=5e-8)
    j = np.arange(1, 12)
    node = 0.025 * (np.exp(0.5 * (j - 0.5)) - 1.0)
    np.testing.assert_allclose(PAPER_COLUMN.node, node[:-1], rtol=1e-14)
    np.testing.assert_allclose(PAPER_COLUMN.bottom, 0.5 * (node[:-1] + node[1:]), rtol=1e-14)


def test_the_cesm2_grid_is_that_of_the_specification():
    thickness = ".02 .04 .06 .08 .12 .16 .20 .24 .28 .32 .36 .40 .44 .54 .64 .74 .84 .94 1.04 1.14".split()
    np.testing.assert_allclose(CESM2_COLUMN.thickness, [float(word) for word in thickness], rtol=1e-13)
    np.testing.assert_allclose(CESM2_COLUMN.node, 0.5 * (CESM2_COLUMN.top + CESM2_COLUMN.bottom), rtol=1e-13)
    assert CESM2_COLUMN.bottom[-1] == pytest.approx(8.60)


@pytest.fixture(params=[PAPER, CESM2], ids=lambda configuration: configuration.name)
def place(request):
    """A configuration with parameters and forcing of four columns that it takes."""
    theta, forcing = drawn_columns(4) if request.param is PAPER else seasonal_columns(4)
    return request.param, theta, forcing


@pytest.mark.parametrize("spoilt", [lambda theta: theta[:-1], lambda theta: theta.T, lambda theta: theta[:, :3]])
def test_a_wrong_number_of_parameters_is_reported_with_the_right_one(place, spoilt):
    configuration, theta, forcing = place
    theta = spoilt(theta)
    expected = f"theta has shape {theta.shape}, expected ({len(configuration.parameters)}, 4) or "
    with pytest.raises(InputError, match=re.escape(expected)):
        steady_state(theta, forcing, configuration)


def test_one_set_of_parameters_serves_all_columns_flat_or_as_a_column(place):
    configuration, theta, forcing = place
    every = np.repeat(theta[:, :1], 4, axis=1)
    pools = steady_state(every, forcing, configuration)
    for one in (theta[:, 0], theta[:, :1]):
        np.testing.assert_allclose(steady_state(one, forcing, configuration), pools, rtol=1e-12)
        matrices = labelled_matrices(one, forcing, configuration)
        np.testing.assert_allclose(matrices["K"], labelled_matrices(every, forcing, configuration)["K"], rtol=1e-13)


def labelled(kind, theta, names):
    if kind == "pandas":
        return pd.DataFrame(theta, index=names)
    return xr.DataArray(theta, dims=("parameter", "column"), coords={"parameter": names})


@pytest.mark.parametrize("kind", ["pandas", "xarray"])
def test_labelled_parameters_are_accepted_in_the_order_of_the_table_alone(place, kind):
    configuration, theta, forcing = place
    table, names = configuration.parameters, list(configuration.parameters.names)
    expected = steady_state(theta, forcing, configuration)
    np.testing.assert_array_equal(steady_state(labelled(kind, theta, names), forcing, configuration), expected)
    # Sorting by name, as a merge or a group-by does, moves the first row; each value stays with its name.
    order = np.argsort(names)
    shuffled = labelled(kind, theta[order], [names[k] for k in order])
    message = rf"of theta .* '{names[order[0]]}' stands in place of 'diffus'.*Put them in order: .sel\(parameter="
    with pytest.raises(InputError, match=message):
        steady_state(shuffled, forcing, configuration)
    with pytest.raises(InputError, match=message):
        unit_cube(shuffled, forcing, table)
    with pytest.raises(InputError, match="the labelled rows of x are not those"):
        physical(labelled(kind, np.full_like(theta, 0.5), names[::-1]), forcing, table)
    with pytest.raises(InputError, match=f"{len(names) - 1} of {len(names)}"):
        steady_state(labelled(kind, theta[:-1], names[:-1]), forcing, configuration)


@pytest.mark.parametrize("x", [0.05, 0.5, 0.95])
def test_positions_on_the_unit_cube_are_not_taken_for_physical_values(place, x):
    configuration, theta, forcing = place
    with pytest.raises(InputError, match=r"expected .* positions on the unit cube \(`physical` converts\)"):
        steady_state(np.full_like(theta, x), forcing, configuration)


@pytest.mark.parametrize(
    ("configuration", "given", "message"),
    [
        (PAPER, {"q10": 0.5}, "q10 is 0.5 in column 2, expected 1 to 10"),
        (CESM2, {"efolding": np.nan}, "efolding is nan m in column 2, expected 1e-06 to 100"),
        (PAPER, {"maxpsi": 0.1}, "maxpsi is 0.1 MPa in column 2, expected -25 to 0"),
        (CESM2, {"w_scaling": -1.0}, "w_scaling is -1 in column 2, expected 0 to 100"),
        (PAPER, {"p4ll": 0.3, "p4ml": 0.5, "p4cl": 0.4}, "p4ll + p4ml + p4cl is 1.2 in column 2"),
        (CESM2, {"fs2s1": 0.7, "fs2s3": 0.4}, "fs2s1 + fs2s3 is 1.1 in column 2, expected at most 1"),
    ],
)
def test_an_impossible_value_is_reported_with_its_parameter_and_column(configuration, given, message):
    theta, forcing = drawn_columns(4) if configuration is PAPER else seasonal_columns(4)
    for name, value in given.items():
        theta[configuration.parameters.index(name), 2] = value
    with pytest.raises(InputError, match=re.escape(message)):
        steady_state(theta, forcing, configuration)


def test_plausible_forcing_comes_back_as_float64_and_whole_layers():
    forcing = seasonal_forcing(4)
    lists = forcing._replace(active_layer=forcing.active_layer.tolist(), bedrock=[12.0, 9.0, 20.0, 12.0])
    checked = validated(lists, CESM2)
    assert all(values.dtype == np.float64 and values.flags.c_contiguous for values in checked[:-1])
    assert checked.bedrock.dtype == np.int64 and checked.n_columns == 4 and checked.n_months == 12
    annual = validated(temperate(4)._replace(active_layer=[1, 2, 3, 35], npp_min=[1] * 4))
    assert all(values.dtype == np.float64 for values in annual)


def changed(forcing, name, where, value):
    values = np.array(getattr(forcing, name), dtype=float)
    values[where] = value
    return forcing._replace(**{name: values})


@pytest.mark.parametrize(
    ("name", "where", "value", "message"),
    [
        ("soil_temperature", (3, 5, 2), 11.0, r"is 11 K in column 2 \(layer 4, month 6\), expected 200 to 340 K.*Add"),
        ("oxygen_scalar", (9, 0, 0), 1e36, r"oxygen_scalar is 1e\+36 .*fill value \(1e36\)\? Mask it"),
        ("active_layer", (4, 1), 350.0, r"active_layer is 350 m in column 1 \(month 5\).*Divide by 100"),
        ("carbon_input", (2, 6, 3), -0.5, r"carbon_input is -0\.5 g C m-2 month-1 in column 3 \(kind 3, month 7\)"),
        ("bedrock", 1, 0, r"bedrock is 0 layers in column 1, expected 1 to 20 layers.*counts whole layers from 1"),
    ],
)
def test_a_bad_monthly_value_is_reported_with_its_place_and_a_remedy(name, where, value, message):
    with pytest.raises(InputError, match=message):
        steady_state(seasonal_columns(4)[0], changed(seasonal_forcing(4), name, where, value), CESM2)


@pytest.mark.parametrize(
    ("name", "where", "value", "message"),
    [
        ("soil_temperature", (3, 2), 15.0, r"soil_temperature is 15 K in column 2 \(layer 4\).*Add 273\.15"),
        ("water_potential", (9, 0), 0.5, r"water_potential is 0\.5 MPa in column 0 \(layer 10\).*change the sign"),
        ("npp_mean", 0, 1.6e-5, r"npp_mean is 1\.6e-05 g C m-2 yr-1 in column 0.*3\.1536e7"),
        ("npp_max", 2, np.inf, r"npp_max is inf"),
        ("npp_min", 2, 2000.0, r"column 2 has npp_min .* expected npp_min <= npp_mean <= npp_max"),
    ],
)
def test_a_bad_annual_value_is_reported_with_its_place_and_a_remedy(name, where, value, message):
    with pytest.raises(InputError, match=message):
        validated(changed(temperate(4), name, where, value))


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("soil_temperature", (10, 12, 4), r"soil_temperature has shape \(10, 12, 4\), expected \(20, 12, 4\) \("),
        ("bedrock", (12, 4), r"bedrock has shape \(12, 4\), expected \(4,\) \(columns\)"),
    ],
)
def test_a_wrong_shape_is_reported_with_the_right_one(name, shape, message):
    with pytest.raises(InputError, match=message):
        validated(seasonal_forcing(4)._replace(**{name: np.ones(shape)}), CESM2)


def test_forcing_of_the_other_configuration_is_reported():
    with pytest.raises(InputError, match=r"forcing is a Forcing; the 'cesm2' configuration takes a MonthlyForcing"):
        steady_state(seasonal_columns(4)[0], temperate(4), CESM2)
    with pytest.raises(InputError, match=r"year\.nc is a MonthlyForcing; the 'paper' configuration takes a Forcing"):
        validated(seasonal_forcing(4), PAPER, source="year.nc")
