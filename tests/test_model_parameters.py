"""The parameter tables against the model specification, the unit cube, the prior, and the share to woody debris."""

import numpy as np
import pytest
from columns import temperate
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from proda.errors import InputError
from proda.model import parameters
from proda.model.parameters import CESM2_PARAMETERS, PAPER_PARAMETERS, SHARES

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


# name, least and greatest value of the later study
SPECIFIED_CESM2 = """
diffus 3e-5 5e-4   cryo 3e-5 1.6e-3   q10 1.2 3          efolding 0 1   tau4cwd 1 6     tau4l1 0 0.11
tau4l2l3 0.1 0.3   tau4s1 0 1         tau4s2 1 50        tau4s3 200 1000
fl1s1 .1 .8        fl2s1 .2 .8        fl3s2 .2 .8        fs1s2 0 .4     fs1s3 0 .05     fs2s1 .1 .74
fs2s3 0 .1         fs3s1 0 .9         fcwdl2 .5 1        w_scaling 0 5  beta .5 .9999
""".split()


def test_the_cesm2_table_is_that_of_the_specification():
    assert CESM2_PARAMETERS.names == tuple(SPECIFIED_CESM2[::3]) and len(CESM2_PARAMETERS) == 21
    low, high = CESM2_PARAMETERS.minimum, CESM2_PARAMETERS.maximum
    for column, values in enumerate((low, high), 1):
        np.testing.assert_array_equal(values, [float(word) for word in SPECIFIED_CESM2[column::3]])
    assert ((CESM2_PARAMETERS.default >= low) & (CESM2_PARAMETERS.default <= high)).all()


@given(arrays(float, (25, 3), elements=st.floats(0.0, 1.0)))
def test_the_way_to_physical_values_and_back_ends_where_it_began(x):
    forcing = temperate(3)
    theta = parameters.physical(x, forcing)
    low, high = parameters.bounds(forcing)
    assert ((theta >= low - 1e-12) & (theta <= high + 1e-12)).all()
    np.testing.assert_allclose(parameters.unit_cube(theta, forcing), x, atol=1e-12)


def test_the_bounds_of_the_carbon_input_are_those_of_each_columns_npp():
    forcing = temperate(2)._replace(
        npp_mean=np.array([400.0, 500.0]), npp_min=np.array([100.0, 400.0]), npp_max=np.array([600.0, 2000.0])
    )
    low, high = parameters.bounds(forcing)
    row = PAPER_PARAMETERS.index("ins")
    assert low[row].tolist() == [0.25, 0.8] and high[row].tolist() == [1.5, 4.0]


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_a_value_outside_the_cube_is_named_with_its_parameter_and_column(value):
    x = np.full((25, 3), 0.5)
    x[PAPER_PARAMETERS.index("tau4s2"), 1] = value
    with pytest.raises(InputError, match=r"x of tau4s2 is .* in column 1, expected 0 to 1"):
        parameters.physical(x, temperate(3))


def test_the_default_fraction_to_slow_carbon_follows_sand_up_to_its_cap():
    theta = parameters.default_parameters(temperate(4), [100.0, 80.0, 62.6, 20.0])
    np.testing.assert_allclose(theta[PAPER_PARAMETERS.index("fs1s2")], [0.146, 0.282, 0.4, 0.4], atol=1e-3)
    others = np.arange(25) != PAPER_PARAMETERS.index("fs1s2")
    np.testing.assert_array_equal(theta[others], np.repeat(PAPER_PARAMETERS.default[others][:, None], 4, axis=1))


@pytest.mark.parametrize("sand", [-1.0, 101.0, np.nan])
def test_an_impossible_sand_content_is_refused(sand):
    with pytest.raises(InputError, match=r"sand_percent ranges from .* expected 0 to 100"):
        parameters.default_parameters(temperate(2), [50.0, sand])


def test_the_prior_of_the_shares_is_narrower_as_a_sample_of_it_shows(rng):
    x = rng.random((200_000, 25))
    theta = PAPER_PARAMETERS.minimum + x * (PAPER_PARAMETERS.maximum - PAPER_PARAMETERS.minimum)
    np.testing.assert_allclose(parameters.prior_sd(), x[parameters.cwd_share(theta.T) > 0.0].std(axis=0), rtol=6e-3)
    ratio = parameters.prior_sd() * np.sqrt(12)
    np.testing.assert_allclose(np.delete(ratio, SHARES), 1.0, rtol=1e-12)
    assert (ratio[list(SHARES)] < 0.999).all() and ratio.min() > parameters.CONSTRAINED_BELOW


def share(x: np.ndarray) -> np.ndarray:
    span = PAPER_PARAMETERS.maximum - PAPER_PARAMETERS.minimum
    return parameters.cwd_share((PAPER_PARAMETERS.minimum + x * span).T)


def test_only_rows_without_a_cwd_share_are_changed_and_keep_their_proportions_and_the_prior_box(rng):
    x = rng.random((5000, 25))
    before = x.copy()
    fixed, changed = parameters.with_positive_cwd_share(x)
    np.testing.assert_array_equal(x, before)
    assert (changed == (share(x) < parameters.LEAST_CWD_SHARE)).all() and 0.05 < changed.mean() < 0.4
    np.testing.assert_array_equal(np.delete(fixed, SHARES, axis=1), np.delete(x, SHARES, axis=1))
    np.testing.assert_array_equal(fixed[~changed], x[~changed])
    np.testing.assert_allclose(share(fixed)[changed], parameters.LEAST_CWD_SHARE, atol=1e-12)
    assert fixed.min() >= 0.0 and fixed.max() <= 1.0
    factor = fixed[changed][:, SHARES] / x[changed][:, SHARES]
    np.testing.assert_allclose(factor, factor[:, :1] * np.ones(3), rtol=1e-12)
