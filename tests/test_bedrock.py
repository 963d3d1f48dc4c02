"""The bedrock of the `cesm2` configuration: nothing crosses the closed bottom, something does the published one."""

import numpy as np
import pytest
from columns import any_months, seasonal_columns
from hypothesis import given

from proda.model.configuration import CESM2, CESM2_AS_PUBLISHED
from proda.model.matrices import decay_rates, mixing_matrix, respiration, transfer_matrix
from proda.model.parameters import default_parameters
from proda.model.rates import carbon_input, input_amounts
from proda.model.solver import soc_density, steady_state

COLUMN = CESM2.column


def above_bedrock(forcing):
    return np.arange(COLUMN.n_layers)[:, None] < forcing.bedrock


@given(any_months())
def test_nothing_crosses_the_bedrock(columns):
    theta, forcing = columns
    v, above = mixing_matrix(theta, forcing, CESM2), above_bedrock(forcing)
    assert not v[above[:, None] & ~above[None]].any() and not v[~above[:, None] & above[None]].any()
    pools = steady_state(theta, forcing, CESM2)
    respired = -transfer_matrix(theta).sum(axis=0)[:, None] * decay_rates(theta, forcing, CESM2) * pools
    leaving = (COLUMN.thickness[:, None] * respired).sum(axis=0)
    entering = carbon_input(theta, forcing, CESM2).sum(axis=0)
    for part in (above, ~above):
        np.testing.assert_allclose((leaving * part).sum(0), (entering * part).sum(0), rtol=1e-12, atol=1e-200)


def test_what_happens_below_the_bedrock_is_not_felt_above_unless_the_bottom_leaks():
    theta, forcing = seasonal_columns(60, low=0.3)
    above, below = above_bedrock(forcing)[:, None], ~above_bedrock(forcing)[:, None]
    for part, others in ((below, above), (above, below)):
        warmer = forcing._replace(soil_temperature=forcing.soil_temperature + 5.0 * part)
        before, after = steady_state(theta, forcing, CESM2), steady_state(theta, warmer, CESM2)
        np.testing.assert_allclose(np.where(others[:, 0], after / before, 1.0), 1.0, rtol=1e-13)
        assert (np.where(part[:, 0], after / before, 0.0) < 0.99).all()
    warmer = forcing._replace(soil_temperature=forcing.soil_temperature + 5.0 * below)
    before, after = (steady_state(theta, f, CESM2_AS_PUBLISHED) for f in (forcing, warmer))
    felt = np.abs(np.where(above[:, 0], after / before, 1.0) - 1.0).max(axis=(0, 1)) > 1e-6
    unfrozen = forcing.active_layer.min(axis=0) > 2.0
    assert felt[unfrozen & (forcing.bedrock < 20)].all() and not felt[forcing.bedrock == 20].any()


@pytest.fixture(scope="module")
def bottoms():
    """Forcing without frost, pools at default parameters with either bottom, and the share the published one loses."""
    _, forcing = seasonal_columns(200, seed=5)
    always = np.full_like(forcing.active_layer, 41.998)
    forcing = forcing._replace(active_layer=always, active_layer_last_year=always)
    theta = default_parameters(forcing, 50.0, CESM2.parameters)
    closed, published = (steady_state(theta, forcing, c) for c in (CESM2, CESM2_AS_PUBLISHED))
    entering = input_amounts(theta, forcing, CESM2).sum(axis=0)
    lost = 1.0 - respiration(published, theta, forcing, CESM2_AS_PUBLISHED) / entering
    return forcing, closed, published, lost


def stock(pools, layers):
    return (COLUMN.thickness[:, None] * layers * soc_density(pools)).sum(axis=0)


def test_where_bedrock_lies_below_the_grid_the_bottoms_agree(bottoms):
    forcing, closed, published, lost = bottoms
    deep = forcing.bedrock == 20
    assert deep.sum() == 10
    np.testing.assert_allclose(published[..., deep], closed[..., deep], rtol=1e-12)
    np.testing.assert_allclose(lost[deep], 0.0, atol=1e-12)


def test_where_one_layer_of_the_grid_is_bedrock_the_published_bottom_is_open_but_loses_nothing(bottoms):
    forcing, closed, published, lost = bottoms
    last = forcing.bedrock == 19
    np.testing.assert_allclose(lost[last], 0.0, atol=1e-12)
    assert (published[6, 19, last] > 1.01 * closed[6, 19, last]).all()
    above = stock(published, above_bedrock(forcing))[last] / stock(closed, above_bedrock(forcing))[last]
    assert (above < 1.0).all() and (above > 0.999).all()


def test_where_two_layers_or_more_are_bedrock_the_published_bottom_loses_carbon(bottoms):
    forcing, closed, published, lost = bottoms
    # Where bedrock lies right below the top layer the published bottom may also make carbon.
    shallow = (forcing.bedrock >= 2) & (forcing.bedrock <= 18)
    assert (lost[shallow] > 1e-6).all() and (lost[shallow] < 0.1).all()
    change = (stock(published, above_bedrock(forcing)) / stock(closed, above_bedrock(forcing)))[shallow]
    assert (change < 0.995).all() and (change > 0.5).all()


def test_where_frost_churns_less_deep_than_bedrock_the_bottoms_agree_above_it():
    theta, forcing = seasonal_columns(200, seed=6)
    thaw = np.full_like(forcing.active_layer, 0.3)
    forcing = forcing._replace(active_layer=thaw, active_layer_last_year=thaw, bedrock=np.full(200, 12))
    closed, published = (steady_state(theta, forcing, c)[:, :12] for c in (CESM2, CESM2_AS_PUBLISHED))
    counts = closed > 1e-12 * closed.max(axis=1, keepdims=True)
    np.testing.assert_allclose(published[counts], closed[counts], rtol=1e-6)
