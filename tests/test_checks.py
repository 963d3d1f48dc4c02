"""Parameters and monthly forcing that cannot be: what is wrong is told by name, value, place and remedy."""

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from columns import drawn_columns, seasonal_columns, seasonal_forcing, temperate

from proda.errors import InputError
from proda.kernels import steady_state as lanes
from proda.model.checks import checked_parameters, validated
from proda.model.configuration import CESM2, PAPER
from proda.model.forcing import MonthlyForcing
from proda.model.matrices import labelled_matrices
from proda.model.parameters import MAXPSI, default_parameters, physical, unit_cube
from proda.model.solver import soc_density, steady_state

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
    [
        lambda theta: theta[:-1],
        lambda theta: np.concatenate([theta, theta[-1:]]),
        lambda theta: theta.T,
        lambda theta: theta[:, :3],
        lambda theta: theta[None],
    ],
    ids=["too few", "too many", "on its side", "too few columns", "one axis more"],
)
def test_a_wrong_number_of_parameters_is_told_with_the_right_one(place, spoilt):
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


def test_the_compiled_model_refuses_columns_that_do_not_match(place):
    configuration, theta, forcing = place
    other = CESM2 if configuration is PAPER else PAPER
    for arguments in ((theta[:, :1], forcing, configuration), (theta, forcing.take([0]), configuration),
                      (theta, forcing, other)):  # fmt: skip
        with pytest.raises(InputError, match="theta has shape .* configuration takes"):
            lanes.soc_density(*arguments)


def test_at_the_end_of_its_range_maxpsi_limits_all_but_saturated_soil():
    theta, forcing = drawn_columns(4)
    theta[MAXPSI], almost = 0.0, theta.copy()
    almost[MAXPSI] = -1e-300
    soc = soc_density(steady_state(theta, forcing))
    np.testing.assert_allclose(soc, soc_density(steady_state(almost, forcing)), rtol=1e-12)
    np.testing.assert_allclose(lanes.soc_density(theta, forcing), soc, rtol=1e-10)


def test_a_single_column_is_taken_with_its_axis_and_a_month_that_is_not_there_is_told():
    forcing = seasonal_forcing(4)
    assert forcing.take(2).n_columns == temperate(4).take(2).n_columns == 1
    for month in (-1, 12):
        with pytest.raises(InputError, match=f"month is {month}, expected 0 to 11"):
            forcing.in_month(month)


def test_parameters_of_the_other_configuration_are_told():
    with pytest.raises(InputError, match=r"theta has shape \(25, 4\), expected \(21, 4\) or .*'cesm2' table"):
        steady_state(drawn_columns(4)[0], seasonal_forcing(4), CESM2)
    with pytest.raises(InputError, match=r"theta has shape \(21, 4\), expected \(25, 4\).*'paper' table"):
        steady_state(seasonal_columns(4)[0], temperate(4), PAPER)


def labelled(kind, theta, names):
    if kind == "pandas":
        return pd.DataFrame(theta, index=names)
    return xr.DataArray(theta, dims=("parameter", "column"), coords={"parameter": names})


@pytest.mark.parametrize("kind", ["pandas", "xarray"])
def test_labelled_parameters_in_another_order_are_told_and_in_the_right_one_accepted(place, kind):
    configuration, theta, forcing = place
    names = NAMES[configuration.name]
    expected = steady_state(theta, forcing, configuration)
    np.testing.assert_array_equal(steady_state(labelled(kind, theta, names), forcing, configuration), expected)
    # Sorting by name, as a merge or a group-by does, moves the first row; each value stays with its name.
    order = np.argsort(names)
    told = rf"row 1 is '{names[order[0]]}', expected 'diffus'.*Put them in order: .sel\(parameter="
    for function in (
        lambda values: steady_state(values, forcing, configuration),
        lambda values: unit_cube(values, forcing, configuration.parameters),
    ):
        with pytest.raises(InputError, match=told):
            function(labelled(kind, theta[order], [names[k] for k in order]))
    x = np.full_like(theta, 0.5)
    with pytest.raises(InputError, match="x has .* rows labelled otherwise"):
        physical(labelled(kind, x, names[::-1]), forcing, configuration.parameters)


@pytest.mark.parametrize("kind", ["pandas", "xarray"])
def test_a_missing_and_a_misspelt_label_are_told(place, kind):
    configuration, theta, forcing = place
    names = NAMES[configuration.name]
    with pytest.raises(InputError, match=rf"theta has {len(names) - 1} rows labelled .* rows missing"):
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
    ("name", "value", "told"),
    [
        ("q10", 0.5, "q10 is 0.5 in column 2, expected 1 to 10"),
        ("efolding", 0.0, "efolding is 0 m in column 2, expected 1e-06 to 100"),
        ("efolding", np.nan, "efolding is nan m in column 2"),
        ("tau4s3", 0.0, "tau4s3 is 0 yr in column 2, expected 1 to 1e+06"),
        ("tau4s2", -5.0, "tau4s2 is -5 yr in column 2"),
        ("diffus", 1.0, "diffus is 1 m2 yr-1 in column 2, expected 0 to 0.1"),
        ("cryo", np.inf, "cryo is inf m2 yr-1 in column 2"),
        ("beta", 1.0, "beta is 1 in column 2, expected 0.1 to 0.99999"),
        ("fl1s1", 45.0, "fl1s1 is 45 in column 2, expected 0 to 1"),
        ("fs3s1", -0.1, "fs3s1 is -0.1 in column 2, expected 0 to 1"),
    ],
)
def test_an_impossible_value_is_told_with_its_parameter_and_column(place, name, value, told):
    configuration, theta, forcing = place
    theta = theta.copy()
    theta[NAMES[configuration.name].index(name), 2] = value
    with pytest.raises(InputError, match=re.escape(told)):
        steady_state(theta, forcing, configuration)


@pytest.mark.parametrize(
    ("configuration", "given", "told"),
    [
        (PAPER, {"maxpsi": 0.1}, "maxpsi is 0.1 MPa in column 2, expected -25 to 0"),
        (PAPER, {"ins": -1.0}, "ins is -1 in column 2"),
        (PAPER, {"fs1s2": 0.9, "fs1s3": 0.2}, "fs1s2 + fs1s3 is 1.1 in column 2, expected at most 1: more than all of"),
        (PAPER, {"p4ll": 0.3, "p4ml": 0.5, "p4cl": 0.4}, "p4ll + p4ml + p4cl is 1.2 in column 2"),
        (CESM2, {"w_scaling": -1.0}, "w_scaling is -1 in column 2, expected 0 to 100"),
        (CESM2, {"fs1s2": 0.9, "fs1s3": 0.2}, "fs1s2 + fs1s3 is 1.1 in column 2, expected at most 1"),
        (CESM2, {"fs2s1": 0.7, "fs2s3": 0.4}, "fs2s1 + fs2s3 is 1.1 in column 2, expected at most 1: more than all"),
    ],
)  # fmt: skip
def test_what_no_parameter_of_a_configuration_can_be_or_hand_on_is_told(configuration, given, told):
    theta, forcing = drawn_columns(4) if configuration is PAPER else seasonal_columns(4)
    for name, value in given.items():
        theta[NAMES[configuration.name].index(name), 2] = value
    with pytest.raises(InputError, match=re.escape(told)):
        steady_state(theta, forcing, configuration)


def test_fractions_that_hand_on_exactly_everything_are_accepted():
    theta, forcing = seasonal_columns(4)
    row = NAMES["cesm2"].index
    theta[row("fs2s1")], theta[row("fs2s3")] = 0.9, 0.1
    pools = steady_state(theta, forcing, CESM2)
    assert np.isfinite(pools).all() and (pools >= 0.0).all()


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
    ("name", "where", "value", "told"),
    [
        ("soil_temperature", (3, 5, 2), 11.0, r"is 11 K in column 2 \(layer 4, month 6\), expected 200 to 340 K.*Add"),
        ("soil_temperature", (0, 0, 1), np.nan, r"soil_temperature is nan K in column 1 \(layer 1, month 1\)"),
        ("water_scalar", (19, 11, 3), 1.5, r"water_scalar is 1\.5 in column 3 \(layer 20, month 12\), expected 0 to 1"),
        ("oxygen_scalar", (9, 0, 0), 1e36, r"oxygen_scalar is 1e\+36 .*fill value \(1e36\)\? Mask it"),
        ("nitrogen_scalar", (9, 0, 0), 80.0, r"nitrogen_scalar is 80 .*percentage\? Divide by 100"),
        ("nitrogen_scalar", (9, 0, 0), -0.1, r"nitrogen_scalar is -0\.1"),
        ("active_layer", (4, 1), 350.0, r"active_layer is 350 m in column 1 \(month 5\).*Divide by 100"),
        ("active_layer_last_year", (4, 1), -1.0, r"active_layer_last_year is -1 m in column 1 \(month 5\)"),
        ("carbon_input", (2, 6, 3), -0.5, r"carbon_input is -0\.5 g C m-2 month-1 in column 3 \(kind 3, month 7\)"),
        ("carbon_input", (2, 6, 3), 1e36, r"carbon_input is 1e\+36"),
        ("bedrock", 1, 0, r"bedrock is 0 layers in column 1, expected 1 to 20 layers.*counts whole layers from 1"),
        ("bedrock", 1, 21, r"bedrock is 21 layers in column 1, expected 1 to 20"),
        ("bedrock", 1, 12.5, r"bedrock is 12\.5 layers in column 1"),
        ("bedrock", 1, np.nan, r"bedrock is nan layers in column 1"),
    ],
)  # fmt: skip
def test_a_bad_monthly_value_is_told_with_its_place_and_a_remedy(name, where, value, told):
    with pytest.raises(InputError, match=told):
        steady_state(seasonal_columns(4)[0], changed(name, where, value), CESM2)


def test_degrees_celsius_everywhere_are_counted():
    with pytest.raises(InputError, match=r"\(960 of 960 values are outside\)"):
        validated(seasonal_forcing(4).warmed(-273.15), CESM2)


@pytest.mark.parametrize(
    ("name", "shape", "told"),
    [
        ("soil_temperature", (10, 12, 4), r"soil_temperature has shape \(10, 12, 4\), expected \(20, 12, 4\) \("),
        ("soil_temperature", (20, 4), r"soil_temperature has shape \(20, 4\), expected \(20, 12, 4\)"),
        ("water_scalar", (12, 20, 4), r"water_scalar has shape \(12, 20, 4\), expected \(20, 12, 4\)"),
        ("water_scalar", (20, 11, 4), r"water_scalar has shape \(20, 11, 4\), expected \(20, 12, 4\)"),
        ("active_layer", (4,), r"active_layer has shape \(4,\), expected \(12, 4\) \(months, columns\)"),
        ("carbon_input", (12, 4), r"carbon_input has shape \(12, 4\), expected \(4, 12, 4\) \(kinds, months, "),
        ("bedrock", (12, 4), r"bedrock has shape \(12, 4\), expected \(4,\) \(columns\)"),
    ],
)  # fmt: skip
def test_a_wrong_shape_is_told_with_the_right_one(name, shape, told):
    spoilt = seasonal_forcing(4)._replace(**{name: np.ones(shape)})
    with pytest.raises(InputError, match=told):
        validated(spoilt, CESM2)


def test_forcing_of_the_other_configuration_is_told():
    with pytest.raises(InputError, match=r"forcing is a Forcing; the 'cesm2' configuration takes a MonthlyForcing"):
        steady_state(seasonal_columns(4)[0], temperate(4), CESM2)
    with pytest.raises(InputError, match=r"year\.nc is a MonthlyForcing; the 'paper' configuration takes a Forcing"):
        validated(seasonal_forcing(4), PAPER, source="year.nc")


def test_the_paper_grid_does_not_take_twenty_layers_nor_the_cesm2_grid_ten():
    ten = MonthlyForcing(*(f[:10] if f.shape[0] == 20 else f for f in seasonal_forcing(4)))
    with pytest.raises(InputError, match=r"expected \(20, 12, 4\) \(layers, months, columns\) for the 'cesm2' grid"):
        validated(ten, CESM2)
    twenty = temperate(4)._replace(soil_temperature=np.full((20, 4), 280.0))
    with pytest.raises(InputError, match=r"expected \(10, 4\) \(layers, columns\) for the 'paper' grid"):
        validated(twenty, PAPER)
