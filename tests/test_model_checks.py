"""Implausible parameters and forcing are errors with name, value, place and remedy."""

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from columns import drawn_columns, seasonal_columns, seasonal_forcing, temperate

from proda.errors import InputError
from proda.model.checks import checked_parameters, validated
from proda.model.configuration import CESM2, PAPER
from proda.model.matrices import labelled_matrices
from proda.model.parameters import default_parameters, physical, unit_cube
from proda.model.solver import steady_state

NAMES = {configuration.name: list(configuration.parameters.names) for configuration in (PAPER, CESM2)}


@pytest.fixture(params=[PAPER, CESM2], ids=lambda configuration: configuration.name)
def place(request):
    """A configuration with parameters and forcing of four columns that it takes."""
    theta, forcing = drawn_columns(4) if request.param is PAPER else seasonal_columns(4)
    return request.param, theta, forcing


def test_possible_parameters_come_back_as_they_are(place):
    configuration, theta, forcing = place
    np.testing.assert_array_equal(checked_parameters(theta, 4, configuration), theta)
    assert checked_parameters(theta[:, :1], 4, configuration).shape == (len(configuration.parameters), 1)
    defaults = default_parameters(forcing, 30.0, configuration.parameters)
    np.testing.assert_array_equal(checked_parameters(defaults, 4, configuration), defaults)


@pytest.mark.parametrize(
    "spoilt",
    [lambda theta: theta[:-1], lambda theta: theta.T, lambda theta: theta[:, :3]],
    ids=["too few", "on its side", "too few columns"],
)
def test_a_wrong_number_of_parameters_is_reported_with_the_right_one(place, spoilt):
    configuration, theta, forcing = place
    spoilt = spoilt(theta)
    expected = f"theta has shape {spoilt.shape}, expected ({len(configuration.parameters)}, 4) or "
    with pytest.raises(InputError, match=re.escape(expected)):
        steady_state(spoilt, forcing, configuration)


def test_one_set_of_parameters_serves_all_columns_flat_or_as_a_column(place):
    configuration, theta, forcing = place
    every = np.repeat(theta[:, :1], 4, axis=1)
    pools = steady_state(every, forcing, configuration)
    for one in (theta[:, 0], theta[:, :1], list(theta[:, 0])):
        np.testing.assert_allclose(steady_state(one, forcing, configuration), pools, rtol=1e-12)
        labelled = labelled_matrices(one, forcing, configuration)
        np.testing.assert_allclose(labelled["K"], labelled_matrices(every, forcing, configuration)["K"], rtol=1e-13)


def labelled(kind, theta, names):
    if kind == "pandas":
        return pd.DataFrame(theta, index=names)
    return xr.DataArray(theta, dims=("parameter", "column"), coords={"parameter": names})


@pytest.mark.parametrize("kind", ["pandas", "xarray"])
def test_labelled_parameters_in_another_order_are_reported_and_in_the_right_one_accepted(place, kind):
    configuration, theta, forcing = place
    names = NAMES[configuration.name]
    expected = steady_state(theta, forcing, configuration)
    np.testing.assert_array_equal(steady_state(labelled(kind, theta, names), forcing, configuration), expected)
    # Sorting by name, as a merge or a group-by does, moves the first row; each value stays with its name.
    order = np.argsort(names)
    message = rf"row 1 is '{names[order[0]]}', expected 'diffus'.*Put them in order: .sel\(parameter="
    for function in (
        lambda values: steady_state(values, forcing, configuration),
        lambda values: unit_cube(values, forcing, configuration.parameters),
    ):
        with pytest.raises(InputError, match=message):
            function(labelled(kind, theta[order], [names[k] for k in order]))
    x = np.full_like(theta, 0.5)
    with pytest.raises(InputError, match="x has .* labelled rows that are not the"):
        physical(labelled(kind, x, names[::-1]), forcing, configuration.parameters)


@pytest.mark.parametrize("kind", ["pandas", "xarray"])
def test_a_missing_and_a_misspelt_label_are_reported(place, kind):
    configuration, theta, forcing = place
    names = NAMES[configuration.name]
    with pytest.raises(InputError, match=rf"theta has {len(names) - 1} labelled rows .* missing"):
        steady_state(labelled(kind, theta[:-1], names[:-1]), forcing, configuration)
    misspelt = [name.replace("q10", "Q10") for name in names]
    with pytest.raises(InputError, match=r"row 3 is 'Q10', expected 'q10'"):
        steady_state(labelled(kind, theta, misspelt), forcing, configuration)


@pytest.mark.parametrize("x", [0.05, 0.5, 0.95])
def test_positions_on_the_unit_cube_are_not_taken_for_physical_values(place, x):
    configuration, theta, forcing = place
    with pytest.raises(InputError, match=r"expected .* positions on the unit cube \(`physical` converts\)"):
        steady_state(np.full_like(theta, x), forcing, configuration)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("q10", 0.5, "q10 is 0.5 in column 2, expected 1 to 10"),
        ("efolding", 0.0, "efolding is 0 m in column 2, expected 1e-06 to 100"),
        ("efolding", np.nan, "efolding is nan m in column 2"),
        ("tau4s3", 0.0, "tau4s3 is 0 yr in column 2, expected 1 to 1e+06"),
        ("diffus", 1.0, "diffus is 1 m2 yr-1 in column 2, expected 0 to 0.1"),
        ("beta", 1.0, "beta is 1 in column 2, expected 0.1 to 0.99999"),
        ("fl1s1", 45.0, "fl1s1 is 45 in column 2, expected 0 to 1"),
    ],
)
def test_an_impossible_value_is_reported_with_its_parameter_and_column(place, name, value, message):
    configuration, theta, forcing = place
    theta = theta.copy()
    theta[NAMES[configuration.name].index(name), 2] = value
    with pytest.raises(InputError, match=re.escape(message)):
        steady_state(theta, forcing, configuration)


@pytest.mark.parametrize(
    ("configuration", "given", "message"),
    [
        (PAPER, {"maxpsi": 0.1}, "maxpsi is 0.1 MPa in column 2, expected -25 to 0"),
        (PAPER, {"ins": -1.0}, "ins is -1 in column 2"),
        (PAPER, {"fs1s2": 0.9, "fs1s3": 0.2}, "fs1s2 + fs1s3 is 1.1 in column 2, expected at most 1: they are"),
        (PAPER, {"p4ll": 0.3, "p4ml": 0.5, "p4cl": 0.4}, "p4ll + p4ml + p4cl is 1.2 in column 2"),
        (CESM2, {"w_scaling": -1.0}, "w_scaling is -1 in column 2, expected 0 to 100"),
        (CESM2, {"fs2s1": 0.7, "fs2s3": 0.4}, "fs2s1 + fs2s3 is 1.1 in column 2, expected at most 1: they are"),
    ],
)  # fmt: skip
def test_what_no_parameter_of_a_configuration_can_be_or_hand_on_is_reported(configuration, given, message):
    theta, forcing = drawn_columns(4) if configuration is PAPER else seasonal_columns(4)
    for name, value in given.items():
        theta[NAMES[configuration.name].index(name), 2] = value
    with pytest.raises(InputError, match=re.escape(message)):
        steady_state(theta, forcing, configuration)


def changed(name, where, value):
    values = np.array(getattr(seasonal_forcing(4), name), dtype=float)
    values[where] = value
    return seasonal_forcing(4)._replace(**{name: values})


def test_sane_monthly_forcing_comes_back_as_float64_and_whole_layers():
    forcing = seasonal_forcing(4)
    lists = forcing._replace(active_layer=forcing.active_layer.tolist(), bedrock=[12.0, 9.0, 20.0, 12.0])
    checked = validated(lists, CESM2)
    assert all(values.dtype == np.float64 and values.flags.c_contiguous for values in checked[:-1])
    assert checked.bedrock.dtype == np.int64 and checked.n_columns == 4 and checked.n_months == 12
    assert validated(forcing.in_month(3), CESM2).n_months == 1


@pytest.mark.parametrize(
    ("name", "where", "value", "message"),
    [
        ("soil_temperature", (3, 5, 2), 11.0, r"is 11 K in column 2 \(layer 4, month 6\), expected 200 to 340 K.*Add"),
        ("soil_temperature", (0, 0, 1), np.nan, r"soil_temperature is nan K in column 1 \(layer 1, month 1\)"),
        ("water_scalar", (19, 11, 3), 1.5, r"water_scalar is 1\.5 in column 3 \(layer 20, month 12\), expected 0 to 1"),
        ("oxygen_scalar", (9, 0, 0), 1e36, r"oxygen_scalar is 1e\+36 .*fill value \(1e36\)\? Mask it"),
        ("nitrogen_scalar", (9, 0, 0), 80.0, r"nitrogen_scalar is 80 .*percentage\? Divide by 100"),
        ("active_layer", (4, 1), 350.0, r"active_layer is 350 m in column 1 \(month 5\).*Divide by 100"),
        ("active_layer_last_year", (4, 1), -1.0, r"active_layer_last_year is -1 m in column 1 \(month 5\)"),
        ("carbon_input", (2, 6, 3), -0.5, r"carbon_input is -0\.5 g C m-2 month-1 in column 3 \(kind 3, month 7\)"),
        ("bedrock", 1, 0, r"bedrock is 0 layers in column 1, expected 1 to 20 layers.*counts whole layers from 1"),
        ("bedrock", 1, 12.5, r"bedrock is 12\.5 layers in column 1"),
    ],
)  # fmt: skip
def test_a_bad_monthly_value_is_reported_with_its_place_and_a_remedy(name, where, value, message):
    with pytest.raises(InputError, match=message):
        steady_state(seasonal_columns(4)[0], changed(name, where, value), CESM2)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("soil_temperature", (10, 12, 4), r"soil_temperature has shape \(10, 12, 4\), expected \(20, 12, 4\) \("),
        ("water_scalar", (12, 20, 4), r"water_scalar has shape \(12, 20, 4\), expected \(20, 12, 4\)"),
        ("active_layer", (4,), r"active_layer has shape \(4,\), expected \(12, 4\) \(months, columns\)"),
        ("bedrock", (12, 4), r"bedrock has shape \(12, 4\), expected \(4,\) \(columns\)"),
    ],
)  # fmt: skip
def test_a_wrong_shape_is_reported_with_the_right_one(name, shape, message):
    spoilt = seasonal_forcing(4)._replace(**{name: np.ones(shape)})
    with pytest.raises(InputError, match=message):
        validated(spoilt, CESM2)


def test_forcing_of_the_other_configuration_is_reported():
    with pytest.raises(InputError, match=r"forcing is a Forcing; the 'cesm2' configuration takes a MonthlyForcing"):
        steady_state(seasonal_columns(4)[0], temperate(4), CESM2)
    with pytest.raises(InputError, match=r"year\.nc is a MonthlyForcing; the 'paper' configuration takes a Forcing"):
        validated(seasonal_forcing(4), PAPER, source="year.nc")


def changed_annual(name, where, value):
    forcing = temperate(4)
    values = getattr(forcing, name).copy()
    values[where] = value
    return forcing._replace(**{name: values})


def test_sane_forcing_comes_back_as_float64():
    forcing = temperate(4)._replace(active_layer=[1, 2, 3, 35], npp_mean=np.float32([500] * 4), npp_min=[400] * 4)
    checked = validated(forcing._replace(npp_max=[600] * 4))
    assert all(values.dtype == np.float64 and values.flags.c_contiguous for values in checked)
    assert checked.n_columns == 4


@pytest.mark.parametrize(
    ("name", "where", "value", "message"),
    [
        ("soil_temperature", (3, 2), 15.0, r"soil_temperature is 15 K in column 2 \(layer 4\).*Add 273\.15"),
        ("water_potential", (9, 0), 0.5, r"water_potential is 0\.5 MPa in column 0 \(layer 10\).*change the sign"),
        ("active_layer", 1, 350.0, r"active_layer is 350 m in column 1.*Divide by 100"),
        ("npp_mean", 0, 1.6e-5, r"npp_mean is 1\.6e-05 g C m-2 yr-1 in column 0.*3\.1536e7"),
        ("npp_mean", 3, np.nan, r"npp_mean is nan"),
        ("npp_max", 2, np.inf, r"npp_max is inf"),
    ],
)
def test_a_bad_annual_value_is_reported_with_its_place_and_a_remedy(name, where, value, message):
    with pytest.raises(InputError, match=message):
        validated(changed_annual(name, where, value))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("soil_temperature", np.full((20, 4), 280.0), r"soil_temperature has shape \(20, 4\), expected \(10, 4\)"),
        ("water_potential", np.full((4, 10), -0.1), r"water_potential has shape \(4, 10\), expected \(10, 4\)"),
    ],
)
def test_a_wrong_annual_shape_is_reported_with_the_right_one(name, value, message):
    with pytest.raises(InputError, match=message):
        validated(temperate(4)._replace(**{name: value}))


@pytest.mark.parametrize(("least", "greatest"), [(500.0, 600.0), (100.0, 390.0), (400.0, 400.0)])
def test_annual_npp_must_enclose_its_mean(least, greatest):
    forcing = changed_annual("npp_mean", 2, 400.0)
    low, high = forcing.npp_min.copy(), forcing.npp_max.copy()
    low[2], high[2] = least, greatest
    with pytest.raises(InputError, match=r"column 2 has npp_min .* expected npp_min <= npp_mean <= npp_max"):
        validated(forcing._replace(npp_min=low, npp_max=high))
