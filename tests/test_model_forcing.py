"""Forcing of the model: whatever is wrong with it is told by name, value, place and remedy."""

import numpy as np
import pytest
from columns import temperate

from proda.errors import InputError
from proda.model.checks import validated


def changed(name, where, value):
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
    ("name", "where", "value", "told"),
    [
        ("soil_temperature", (3, 2), 15.0, r"soil_temperature is 15 K in column 2 \(layer 4\).*Add 273\.15"),
        ("soil_temperature", (0, 1), np.nan, r"soil_temperature is nan K in column 1 \(layer 1\)"),
        ("water_potential", (9, 0), 0.5, r"water_potential is 0\.5 MPa in column 0 \(layer 10\).*change the sign"),
        ("water_potential", (1, 3), np.nan, r"water_potential is nan MPa in column 3 \(layer 2\)"),
        ("active_layer", 1, 350.0, r"active_layer is 350 m in column 1.*Divide by 100"),
        ("active_layer", 2, -1.0, r"active_layer is -1 m in column 2"),
        ("npp_mean", 0, 1.6e-5, r"npp_mean is 1\.6e-05 g C m-2 yr-1 in column 0.*3\.1536e7"),
        ("npp_mean", 3, np.nan, r"npp_mean is nan"),
        ("npp_min", 1, -5.0, r"npp_min is -5"),
        ("npp_max", 2, np.inf, r"npp_max is inf"),
    ],
)
def test_a_bad_value_is_told_with_its_place_and_a_remedy(name, where, value, told):
    with pytest.raises(InputError, match=told):
        validated(changed(name, where, value))


def test_the_number_of_bad_values_is_told():
    with pytest.raises(InputError, match=r"\(40 of 40 values are outside\)"):
        validated(changed("soil_temperature", slice(None), 10.0))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("soil_temperature", np.full((20, 4), 280.0), r"soil_temperature has shape \(20, 4\), expected \(10, 4\)"),
        ("water_potential", np.full((4, 10), -0.1), r"water_potential has shape \(4, 10\), expected \(10, 4\)"),
        ("active_layer", np.full(3, 35.0), r"active_layer has shape \(3,\), expected \(4,\)"),
    ],
)
def test_a_wrong_shape_is_told_with_the_right_one(name, value, told):
    with pytest.raises(InputError, match=told):
        validated(temperate(4)._replace(**{name: value}))


@pytest.mark.parametrize(("least", "greatest"), [(500.0, 600.0), (100.0, 390.0), (400.0, 400.0)])
def test_annual_npp_must_enclose_its_mean(least, greatest):
    forcing = changed("npp_mean", 2, 400.0)
    low, high = forcing.npp_min.copy(), forcing.npp_max.copy()
    low[2], high[2] = least, greatest
    with pytest.raises(InputError, match=r"column 2 has npp_min .* expected npp_min <= npp_mean <= npp_max"):
        validated(forcing._replace(npp_min=low, npp_max=high))


def test_the_source_is_named():
    with pytest.raises(InputError, match=r"^forcing\.nc: "):
        validated(changed("active_layer", 0, np.nan), source="forcing.nc")


@pytest.mark.parametrize("index", [[2, 0], slice(1, 3), np.array([False, True, False, True])])
def test_columns_are_taken_by_numbers_slice_or_mask(index):
    forcing = temperate(4)
    taken = forcing.take(index)
    np.testing.assert_array_equal(taken.soil_temperature, forcing.soil_temperature[:, index])
    np.testing.assert_array_equal(taken.npp_max, forcing.npp_max[index])
    assert taken.n_columns == 2
