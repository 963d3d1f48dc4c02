"""The parameter table against the model specification, and the way between the unit cube and physical values."""

import numpy as np
import pytest
from columns import temperate
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from proda.errors import InputError
from proda.model.parameters import PAPER_PARAMETERS, bounds, cwd_share, default_parameters, physical, unit_cube

# name, least and greatest value, CLM's default: section 3 of the model specification.
SPECIFIED = """
diffus 3e-5 5e-4 1e-4     cryo 3e-5 1.6e-3 5e-4   q10 1.2 3 1.5          efolding 0 1 0.5      tau4cwd 1 10 3.33
tau4l1 0 0.2 0.0541       tau4l2l3 0.2 1 0.2041   tau4s1 0 1 0.137       tau4s2 1 50 5         tau4s3 200 2000 222.2
fl1s1 0.2 0.8 0.45        fl2s1 0.2 0.8 0.5       fl3s2 0.2 0.8 0.5      fs1s2 0 0.4 0.4       fs1s3 0 0.03 0.004
fs2s1 0.1 0.6 0.42        fs2s3 0 0.1 0.03        fs3s1 0 1 0.45         fcwdl2 0.5 1 0.76     ins 0.7 1.3 1
beta 0.5 0.9999 0.95      p4ll 0 0.25 0.15        p4ml 0.05 0.7 0.25     p4cl 0.01 0.5 0.4     maxpsi -0.015 0 -0.002
""".split()


def test_the_table_is_that_of_the_specification():
    assert PAPER_PARAMETERS.names == tuple(SPECIFIED[::4])
    for column, values in enumerate((PAPER_PARAMETERS.minimum, PAPER_PARAMETERS.maximum, PAPER_PARAMETERS.default), 1):
        np.testing.assert_array_equal(values, [float(word) for word in SPECIFIED[column::4]])
    assert len(PAPER_PARAMETERS) == len(set(PAPER_PARAMETERS.meaning)) == 25


def test_units_are_years_metres_and_megapascals():
    unit = dict(zip(PAPER_PARAMETERS.names, PAPER_PARAMETERS.unit, strict=True))
    assert unit["diffus"] == unit["cryo"] == "m2 yr-1"
    assert {unit[name] for name in PAPER_PARAMETERS.names if name.startswith("tau4")} == {"yr"}
    assert unit["efolding"] == "m" and unit["maxpsi"] == "MPa" and unit["fs1s2"] == "1"


@given(arrays(float, (25, 3), elements=st.floats(0.0, 1.0)))
def test_the_way_to_physical_values_and_back_ends_where_it_began(x):
    forcing = temperate(3)
    theta = physical(x, forcing)
    low, high = bounds(forcing)
    assert ((theta >= low - 1e-12) & (theta <= high + 1e-12)).all()
    np.testing.assert_allclose(unit_cube(theta, forcing), x, atol=1e-12)


def test_the_corners_of_the_cube_are_the_bounds():
    forcing = temperate(2)
    low, high = bounds(forcing)
    np.testing.assert_array_equal(physical(np.zeros(25), forcing), low)
    np.testing.assert_allclose(physical(np.ones(25), forcing), high, rtol=1e-15, atol=1e-18)


def test_the_bounds_of_the_carbon_input_are_those_of_each_columns_npp():
    forcing = temperate(2)._replace(
        npp_mean=np.array([400.0, 500.0]), npp_min=np.array([100.0, 400.0]), npp_max=np.array([600.0, 2000.0])
    )
    low, high = bounds(forcing)
    row = PAPER_PARAMETERS.index("ins")
    assert low[row].tolist() == [0.25, 0.8] and high[row].tolist() == [1.5, 4.0]


def test_a_single_parameter_set_serves_all_columns(rng):
    x = rng.random(25)
    forcing = temperate(4)
    np.testing.assert_array_equal(physical(x, forcing), physical(np.repeat(x[:, None], 4, axis=1), forcing))


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_a_value_outside_the_cube_is_named_with_its_parameter_and_column(value):
    x = np.full((25, 3), 0.5)
    x[PAPER_PARAMETERS.index("tau4s2"), 1] = value
    with pytest.raises(InputError, match=r"x of tau4s2 is .* in column 1, expected 0 to 1"):
        physical(x, temperate(3))


@pytest.mark.parametrize("shape", [(24, 3), (25, 2), (3, 25), (25, 3, 1)])
def test_a_wrong_shape_is_told_with_the_right_one(shape):
    with pytest.raises(InputError, match=r"expected \(25, 3\) or \(25,\)"):
        physical(np.full(shape, 0.5), temperate(3))


def test_an_unknown_parameter_is_told_with_the_known_ones():
    with pytest.raises(InputError, match=r"no parameter 'tau4s4'.*tau4s3"):
        PAPER_PARAMETERS.index("tau4s4")


def test_the_default_fraction_to_slow_carbon_follows_sand_up_to_its_cap():
    theta = default_parameters(temperate(4), [100.0, 80.0, 62.6, 20.0])
    np.testing.assert_allclose(theta[PAPER_PARAMETERS.index("fs1s2")], [0.146, 0.282, 0.4, 0.4], atol=1e-3)
    others = np.arange(25) != PAPER_PARAMETERS.index("fs1s2")
    np.testing.assert_array_equal(theta[others], np.repeat(PAPER_PARAMETERS.default[others][:, None], 4, axis=1))


@pytest.mark.parametrize("sand", [-1.0, 101.0, np.nan])
def test_an_impossible_sand_content_is_refused(sand):
    with pytest.raises(InputError, match=r"sand_percent is .* expected 0 to 100"):
        default_parameters(temperate(2), [50.0, sand])


def test_woody_debris_gets_what_the_other_shares_leave():
    theta = default_parameters(temperate(1), 50.0)
    assert cwd_share(theta) == pytest.approx(0.2)
    theta[PAPER_PARAMETERS.index("p4cl")] = 0.7
    assert cwd_share(theta) == pytest.approx(-0.1)
