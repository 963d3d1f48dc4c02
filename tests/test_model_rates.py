"""Decay, mixing and carbon input of a column, each against values worked out from the model specification."""

import numpy as np
import pytest
from columns import any_columns, seasonal_columns, temperate
from hypothesis import given
from hypothesis import strategies as st

from proda.model import rates
from proda.model.configuration import CESM2, PAPER_COLUMN
from proda.model.parameters import PAPER_PARAMETERS, default_parameters

NODE = PAPER_COLUMN.node


def thawing(active_layer: float):
    return temperate(1)._replace(active_layer=np.array([active_layer]))


def diffusivity(active_layer: float) -> tuple[np.ndarray, np.ndarray]:
    return tuple(values[:, 0] for values in rates.annual_diffusivity(np.array([active_layer]), PAPER_COLUMN))


def test_water_limits_by_a_ratio_of_logarithms_between_wet_soil_and_a_quarter_in_dry_soil():
    scalar = rates.limiting_water(np.array([0.0, -0.001, -0.002, -24.9, -25.0, -26.0, -1e4]), -0.002)
    assert scalar[:3].tolist() == [1.0, 1.0, 1.0]
    assert scalar[3:].tolist() == [0.25] * 4
    assert rates.limiting_water(-0.1, -0.002) == pytest.approx(np.log(250.0) / np.log(12500.0), rel=1e-14)


def test_decomposition_multiplies_temperature_depth_and_water():
    forcing = temperate(1)
    forcing.soil_temperature[:] = 288.15
    forcing.water_potential[:] = -0.1
    theta = default_parameters(forcing, 50.0)
    scalar = rates.environment(theta, forcing).of_soil()[:, 0]
    np.testing.assert_allclose(scalar, 1.5**-1 * np.exp(-NODE / 0.5) * rates.limiting_water(-0.1, -0.002), rtol=1e-14)


@pytest.mark.parametrize("active_layer", [0.0, 0.005, 0.01, 5.0])
def test_ground_that_hardly_thaws_does_not_mix(active_layer):
    diffus, cryo = diffusivity(active_layer)
    assert not diffus.any() and not cryo.any()


def test_cryoturbation_reaches_the_active_layer_and_fades_to_three_times_its_depth():
    diffus, cryo = diffusivity(1.0)
    assert not diffus.any()
    expected = np.where(NODE < 1.0, 1.0, np.clip((3.0 - NODE) / 2.0, 0.0, 1.0))
    np.testing.assert_allclose(cryo, expected, rtol=1e-14)
    assert 0.0 < cryo[-1] < 0.1 and cryo[NODE < 1.0].min() == 1.0


def test_a_deep_active_layer_mixes_by_cryoturbation_and_no_permafrost_by_bioturbation():
    diffus, cryo = diffusivity(4.9)
    assert (cryo == 1.0).all() and not diffus.any()
    diffus, cryo = diffusivity(35.0)
    assert (diffus == 1.0).all() and not cryo.any()


def test_exchange_is_the_harmonic_mean_of_neighbours_over_their_distance():
    cryo_velocity = rates.unit_exchange(thawing(1.0)).cryoturbation.downward[:-1]
    _, cryo = diffusivity(1.0)
    mean = 2.0 / (1.0 / cryo[:-1] + 1.0 / cryo[1:])
    np.testing.assert_allclose(cryo_velocity[:, 0], mean / np.diff(NODE) / 365.0, rtol=1e-13)


@given(st.floats(0.505, 0.9998), st.floats(1e-3, 50.0))
def test_input_shares_sum_to_one_and_follow_jackson(beta, active_layer):
    share = rates.input_profile(np.array([beta]), thawing(active_layer))[:, 0]
    assert share.sum() == pytest.approx(1.0, rel=1e-13) and (share >= 0.0).all()
    depth = 100.0 * np.minimum(PAPER_COLUMN.bottom, 3.8)
    np.testing.assert_allclose(np.cumsum(share), (1.0 - beta**depth) / (1.0 - beta**380.0), rtol=1e-10)


def test_in_ground_that_never_thaws_everything_enters_the_top_layer():
    forcing = temperate(2)._replace(active_layer=np.array([0.0, 1e-3]))
    share = rates.input_profile(np.array([0.95, 0.95]), forcing)
    assert share[:, 0].tolist() == [1.0] + [0.0] * 9
    assert share[1, 1] > 0.0


@given(any_columns())
def test_the_input_of_a_column_is_its_npp_in_the_shares_of_the_parameters(columns):
    theta, forcing = columns
    entering = rates.carbon_input(theta, forcing).sum(axis=1) * 365.0
    p = dict(zip(PAPER_PARAMETERS.names, theta, strict=True))
    annual = p["ins"] * forcing.npp_mean
    np.testing.assert_allclose(entering.sum(axis=0), annual, rtol=1e-12)
    woody = 1.0 - p["p4ll"] - p["p4ml"] - p["p4cl"]
    np.testing.assert_allclose(entering, annual * [woody, p["p4ml"], p["p4cl"], p["p4ll"]], rtol=1e-12)


def test_months_are_averaged_as_products_not_factor_by_factor():
    theta, forcing = seasonal_columns(30, low=0.1)
    factors = rates.environment(theta, forcing, CESM2)
    month_by_month = factors.temperature * factors.water * factors.oxygen * factors.depth
    np.testing.assert_allclose(factors.of_soil(), month_by_month.mean(axis=1), rtol=1e-14)
    of_means = factors.temperature.mean(axis=1) * factors.water.mean(axis=1) * factors.oxygen.mean(axis=1)
    assert (np.abs(of_means * factors.depth[:, 0] / factors.of_soil() - 1.0).max(axis=0) > 1e-3).all()


def test_nitrogen_limits_litter_and_nothing_else():
    theta, forcing = seasonal_columns(30, low=0.1)
    limited = rates.environment(theta, forcing._replace(nitrogen_scalar=0.5 * forcing.nitrogen_scalar), CESM2)
    unlimited = rates.environment(theta, forcing, CESM2)
    np.testing.assert_allclose(limited.of_litter() / unlimited.of_litter(), 0.5, rtol=1e-13)
    np.testing.assert_array_equal(limited.of_soil(), unlimited.of_soil())


def test_the_deeper_thaw_of_two_years_mixes_and_that_of_last_year_lets_carbon_in():
    theta, forcing = seasonal_columns(30)
    last, this = forcing.active_layer_last_year, forcing.active_layer
    turned = forcing._replace(active_layer=last, active_layer_last_year=this)
    for one, other in zip(rates.exchange(theta, forcing, CESM2), rates.exchange(theta, turned, CESM2), strict=True):
        np.testing.assert_array_equal(one, other)
    once_frozen = last.copy()
    once_frozen[6, ::2] = 0.0
    entering = rates.carbon_input(theta, forcing._replace(active_layer_last_year=once_frozen), CESM2).sum(axis=0)
    assert not entering[1:, ::2].any() and (entering[1:5, 1::2] > 0.0).all()
    still_frozen = rates.carbon_input(theta, forcing._replace(active_layer=0.0 * this), CESM2)
    np.testing.assert_array_equal(still_frozen, rates.carbon_input(theta, forcing, CESM2))
