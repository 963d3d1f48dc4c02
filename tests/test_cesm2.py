"""The `cesm2` configuration anywhere in its prior box: carbon balance, bounds, linearity, seasons."""

import numpy as np
import pytest
from columns import any_months, seasonal_columns
from hypothesis import given
from hypothesis import strategies as st

from proda.kernels import steady_state as lanes
from proda.model.configuration import CESM2, CESM2_AS_PUBLISHED, PAPER
from proda.model.matrices import decay_rates, input_vector, mixing_matrix, respiration
from proda.model.parameters import CESM2_PARAMETERS, PAPER_PARAMETERS
from proda.model.rates import environment, exchange
from proda.model.solver import soc_density, steady_state

ROW = {name: k for k, name in enumerate(CESM2.parameters.names)}
COLUMN = CESM2.column
BOTH = pytest.mark.parametrize("configuration", [CESM2, CESM2_AS_PUBLISHED], ids=lambda c: c.bottom)
CORNERS = st.sampled_from([0.01, 0.99])

# Section 3 of the model specification: name, least, greatest.
SPECIFIED = """
diffus 3e-5 5e-4   cryo 3e-5 1.6e-3   q10 1.2 3          efolding 0 1   tau4cwd 1 6     tau4l1 0 0.11
tau4l2l3 0.1 0.3   tau4s1 0 1         tau4s2 1 50        tau4s3 200 1000
fl1s1 .1 .8        fl2s1 .2 .8        fl3s2 .2 .8        fs1s2 0 .4     fs1s3 0 .05     fs2s1 .1 .74
fs2s3 0 .1         fs3s1 0 .9         fcwdl2 .5 1        w_scaling 0 5  beta .5 .9999
""".split()


def test_the_parameter_table_is_that_of_the_specification():
    assert CESM2_PARAMETERS.names == tuple(SPECIFIED[::3]) and len(CESM2_PARAMETERS) == 21
    for column, values in enumerate((CESM2_PARAMETERS.minimum, CESM2_PARAMETERS.maximum), 1):
        np.testing.assert_array_equal(values, [float(word) for word in SPECIFIED[column::3]])
    inside = (CESM2_PARAMETERS.default >= CESM2_PARAMETERS.minimum) & (
        CESM2_PARAMETERS.default <= CESM2_PARAMETERS.maximum
    )
    assert inside.all()


def test_nineteen_rows_and_beta_stand_in_the_same_place_in_both_tables():
    assert CESM2_PARAMETERS.names[:19] == PAPER_PARAMETERS.names[:19]
    assert CESM2_PARAMETERS.unit[:19] == PAPER_PARAMETERS.unit[:19]
    assert CESM2_PARAMETERS.index("beta") == PAPER_PARAMETERS.index("beta") == 20
    assert CESM2_PARAMETERS.names[19] == "w_scaling" and PAPER_PARAMETERS.names[19] == "ins"


def test_the_grid_is_that_of_the_specification():
    thickness = ".02 .04 .06 .08 .12 .16 .20 .24 .28 .32 .36 .40 .44 .54 .64 .74 .84 .94 1.04 1.14".split()
    np.testing.assert_allclose(COLUMN.thickness, [float(word) for word in thickness], rtol=1e-13)
    np.testing.assert_allclose(COLUMN.bottom, np.cumsum([float(word) for word in thickness]), rtol=1e-13)
    np.testing.assert_allclose(COLUMN.node, 0.5 * (COLUMN.top + COLUMN.bottom), rtol=1e-13)
    assert COLUMN.bottom[-1] == pytest.approx(8.60)


def fresh_carbon(theta, forcing):
    """What enters the layers, (20, n), g C m-2 day-1, by the textbook's vector u."""
    u = input_vector(theta, forcing, CESM2).T.reshape(7, COLUMN.n_layers, -1)
    return COLUMN.thickness[:, None] * u.sum(axis=0)


@given(any_months())
def test_what_enters_a_column_leaves_it_as_carbon_dioxide(columns):
    theta, forcing = columns
    entering = fresh_carbon(theta, forcing).sum(axis=0)
    np.testing.assert_allclose(entering, forcing.carbon_input.sum(axis=(0, 1)) / 365.0, rtol=1e-12)
    pools = steady_state(theta, forcing, CESM2)
    np.testing.assert_allclose(respiration(pools, theta, forcing, CESM2), entering, rtol=1e-12)


@given(any_months())
def test_what_the_published_bottom_loses_or_makes_closes_the_balance(columns):
    theta, forcing = columns
    pools = steady_state(theta, forcing, CESM2_AS_PUBLISHED)
    mixing = mixing_matrix(theta, forcing, CESM2_AS_PUBLISHED)
    moved = np.einsum("jkn,pkn,j->pn", mixing, pools[1:], COLUMN.thickness)
    entering, respired = fresh_carbon(theta, forcing).sum(axis=0), respiration(pools, theta, forcing, CESM2)
    # Where the bottom makes carbon, respiration and loss may both be far larger than the input.
    size = entering + respired + np.abs(moved).sum(axis=0)
    assert (np.abs(respired + moved.sum(axis=0) - entering) <= 1e-11 * size).all()


@BOTH
@given(columns=any_months(position=CORNERS))
def test_pools_at_the_corners_of_the_box_are_finite_and_not_negative(configuration, columns):
    pools = steady_state(*columns, configuration)
    assert pools.shape == (7, 20, 3) and np.isfinite(pools).all() and (pools >= 0.0).all()


@BOTH
def test_pools_at_two_thousand_corners_are_finite_and_not_negative(configuration, rng):
    _, forcing = seasonal_columns(2000)
    span = CESM2_PARAMETERS.maximum - CESM2_PARAMETERS.minimum
    theta = CESM2_PARAMETERS.minimum[:, None] + rng.choice([0.01, 0.99], (21, 2000)) * span[:, None]
    pools = steady_state(theta, forcing, configuration)
    assert np.isfinite(pools).all() and (pools >= 0.0).all()
    compiled = lanes.soc_density(theta, forcing, configuration)
    np.testing.assert_allclose(compiled, soc_density(pools), rtol=1e-10, atol=1e-200)


@BOTH
@given(columns=any_months())
def test_the_compiled_model_agrees_with_numpy(configuration, columns):
    density = soc_density(steady_state(*columns, configuration))
    np.testing.assert_allclose(lanes.soc_density(*columns, configuration), density, rtol=1e-10, atol=1e-200)


@given(any_months(), st.floats(0.1, 2.0))
def test_pools_are_proportional_to_the_input(columns, factor):
    theta, forcing = columns
    more = steady_state(theta, forcing.fertilised(factor), CESM2)
    np.testing.assert_allclose(more, factor * steady_state(theta, forcing, CESM2), rtol=1e-11, atol=1e-200)


@given(any_months())
def test_pools_are_the_sum_of_what_each_kind_of_litter_leaves(columns):
    theta, forcing = columns
    kinds = np.eye(4)[:, :, None, None] * forcing.carbon_input
    apart = [steady_state(theta, forcing._replace(carbon_input=one), CESM2) for one in kinds]
    np.testing.assert_allclose(sum(apart), steady_state(theta, forcing, CESM2), rtol=1e-11, atol=1e-200)
    assert not apart[1][[0, 2, 3]].any()  # metabolic litter becomes neither debris nor other litter


@BOTH
@pytest.mark.parametrize("cuts", [[1], [16], [5, 20], list(range(1, 37))], ids=str)
def test_a_column_does_not_depend_on_its_neighbours(configuration, cuts):
    theta, forcing = seasonal_columns(37, seed=3)
    parts = np.split(np.arange(37), cuts)
    apart = [lanes.soc_density(theta[:, part], forcing.take(part), configuration) for part in parts]
    np.testing.assert_array_equal(np.concatenate(apart, axis=1), lanes.soc_density(theta, forcing, configuration))
    apart = [steady_state(theta[:, part], forcing.take(part), configuration) for part in parts]
    whole = steady_state(theta, forcing, configuration)
    np.testing.assert_allclose(np.concatenate(apart, axis=-1), whole, rtol=1e-13)


@BOTH
@given(columns=any_months(), order=st.permutations(range(12)))
def test_the_order_of_the_months_does_not_matter(configuration, columns, order):
    theta, forcing = columns
    *climate, carbon_input, bedrock = forcing
    shuffled = type(forcing)(*(values[..., order, :] for values in climate), carbon_input[:, order], bedrock)
    pools = steady_state(theta, forcing, configuration)
    np.testing.assert_allclose(steady_state(theta, shuffled, configuration), pools, rtol=1e-11, atol=1e-200)


@BOTH
@given(columns=any_months(), month=st.integers(0, 11))
def test_twelve_equal_months_are_their_annual_mean(configuration, columns, month):
    theta, forcing = columns
    constant = forcing.in_month(month)
    *climate, carbon_input, bedrock = constant
    twelve = [np.repeat(values, 12, axis=-2) for values in climate]
    equal = type(forcing)(*twelve, np.repeat(carbon_input / 12.0, 12, axis=1), bedrock)
    pools = steady_state(theta, constant, configuration)
    np.testing.assert_allclose(steady_state(theta, equal, configuration), pools, rtol=1e-11, atol=1e-200)


def test_months_are_averaged_as_products_not_factor_by_factor():
    theta, forcing = seasonal_columns(30, low=0.1)
    factors = environment(theta, forcing, CESM2)
    month_by_month = factors.temperature * factors.water * factors.oxygen * factors.depth
    np.testing.assert_allclose(factors.of_soil(), month_by_month.mean(axis=1), rtol=1e-14)
    of_means = factors.temperature.mean(axis=1) * factors.water.mean(axis=1) * factors.oxygen.mean(axis=1)
    assert (np.abs(of_means * factors.depth[:, 0] / factors.of_soil() - 1.0).max(axis=0) > 1e-3).all()


def test_the_water_scalar_is_scaled_and_never_exceeds_one():
    theta, forcing = seasonal_columns(30)
    water = environment(theta, forcing, CESM2).water
    scaled = theta[ROW["w_scaling"]] * forcing.water_scalar
    assert (water == np.where(scaled > 1.0, 1.0, scaled)).all()
    assert (water == 1.0).any() and (water < 1.0).any()


def test_nitrogen_limits_litter_and_nothing_else():
    theta, forcing = seasonal_columns(30, low=0.1)
    limited = decay_rates(theta, forcing._replace(nitrogen_scalar=0.5 * forcing.nitrogen_scalar), CESM2)
    ratio = limited / decay_rates(theta, forcing, CESM2)
    np.testing.assert_allclose(ratio[[1, 2, 3]], 0.5, rtol=1e-13)
    np.testing.assert_array_equal(ratio[[0, 4, 5, 6]], 1.0)


def test_the_deeper_thaw_of_two_years_mixes_and_that_of_last_year_lets_carbon_in():
    theta, forcing = seasonal_columns(30)
    last, this = forcing.active_layer_last_year, forcing.active_layer
    turned = forcing._replace(active_layer=last, active_layer_last_year=this)
    for one, other in zip(exchange(theta, forcing, CESM2), exchange(theta, turned, CESM2), strict=True):
        np.testing.assert_array_equal(one, other)
    once_frozen = last.copy()
    once_frozen[6, ::2] = 0.0
    entering = fresh_carbon(theta, forcing._replace(active_layer_last_year=once_frozen))
    assert not entering[1:, ::2].any() and (entering[1:5, 1::2] > 0.0).all()
    still_frozen = fresh_carbon(theta, forcing._replace(active_layer=0.0 * this))
    np.testing.assert_array_equal(still_frozen, fresh_carbon(theta, forcing))


def test_the_two_bottoms_share_grid_and_parameters_and_the_closed_one_is_the_default():
    assert CESM2.column is CESM2_AS_PUBLISHED.column and CESM2.parameters is CESM2_AS_PUBLISHED.parameters
    assert CESM2.bottom == PAPER.bottom == "closed" and CESM2.monthly and not PAPER.monthly
