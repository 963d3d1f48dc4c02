"""Storage as input times residence time, and residence time as a baseline over factors, one for each limit."""

from itertools import permutations

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from columns import any_columns, drawn_columns, seasonal_forcing, temperate
from hypothesis import given
from hypothesis import strategies as st

from proda.errors import InputError
from proda.figures.model import acting_limits, residence_steps, storage_plane
from proda.model.age import LIMITS, ages, traceability
from proda.model.configuration import CESM2, CESM2_AS_PUBLISHED, PAPER
from proda.model.matrices import transfer_matrix
from proda.model.parameters import PAPER_PARAMETERS, default_parameters, physical
from proda.model.rates import carbon_input, environment, input_amounts
from proda.model.solver import steady_state

ROW = {name: k for k, name in enumerate(PAPER_PARAMETERS.names)}
TURNOVER = [ROW[name] for name in ("tau4cwd", "tau4l1", "tau4l2l3", "tau4l2l3", "tau4s1", "tau4s2", "tau4s3")]
FACTORS = [f"{limit}_factor" for limit in LIMITS]


@pytest.fixture(scope="module")
def seasonal():
    forcing = seasonal_forcing(6)
    x = np.random.default_rng(12).uniform(0.3, 0.9, (len(CESM2.parameters), 6))
    theta = physical(x, forcing, CESM2.parameters)
    theta[CESM2.parameters.index("w_scaling")] = 1.0  # so that water limits
    return theta, forcing


def one_box_residence(theta, shares):
    """Residence time, (n,), yr, of the seven pools without layers: input shares (4, n), one dense solve a column."""
    cascade = -np.moveaxis(transfer_matrix(theta), -1, 0) / theta[TURNOVER].T[:, None, :]
    entering = np.concatenate([shares, np.zeros((3, shares.shape[1]))]).T[..., None]
    return np.linalg.solve(cascade, entering).sum(axis=(1, 2))


def assert_product(found):
    residence = found["baseline_residence_time"] / np.prod([found[name] for name in FACTORS], axis=0)
    np.testing.assert_allclose(residence, found["residence_time"], rtol=1e-10)
    np.testing.assert_allclose(found["carbon_input"] * found["residence_time"], found["storage"], rtol=1e-10)


@given(any_columns())
def test_storage_is_the_carbon_of_the_steady_state_and_the_factors_make_its_residence_time(columns):
    found = traceability(*columns)
    pools = steady_state(*columns) * PAPER.column.thickness[:, None]
    np.testing.assert_allclose(found["storage"], pools.sum(axis=(0, 1)) / 1000.0, rtol=1e-12)
    entering = carbon_input(*columns).sum(axis=(0, 1)) * 365.0 / 1000.0
    np.testing.assert_allclose(found["carbon_input"], entering, rtol=1e-12)
    assert_product(found)


def test_in_the_cesm2_configuration_storage_and_input_end_at_bedrock(seasonal):
    theta, forcing = seasonal
    found = traceability(theta, forcing, CESM2)
    above = (np.arange(20)[:, None] < forcing.bedrock) * CESM2.column.thickness[:, None]
    pools = steady_state(theta, forcing, CESM2)
    np.testing.assert_allclose(found["storage"], (pools * above).sum(axis=(0, 1)) / 1000.0, rtol=1e-12)
    assert_product(found)
    np.testing.assert_allclose(found["residence_time"], ages(theta, forcing, CESM2).transit, rtol=1e-12)


@given(any_columns())
def test_the_baseline_is_that_of_one_box_whatever_the_layers_mix_and_receive(columns):
    theta, forcing = columns
    amounts = input_amounts(theta, forcing)
    expected = one_box_residence(theta, amounts / amounts.sum(axis=0))
    np.testing.assert_allclose(traceability(theta, forcing)["baseline_residence_time"], expected, rtol=1e-10)


@given(any_columns())
def test_no_factor_but_that_of_temperature_exceeds_one(columns):
    theta, forcing = columns
    found = traceability(theta, forcing)
    cold, warm = ((forcing.soil_temperature <= 298.15).all(axis=0), (forcing.soil_temperature >= 298.15).all(axis=0))
    assert (found["temperature_factor"].values[cold] <= 1.0 + 1e-12).all()
    assert (found["temperature_factor"].values[warm] >= 1.0 - 1e-12).all()
    for name in FACTORS[1:]:
        assert (found[name] > 0.0).all() and (found[name] <= 1.0 + 1e-12).all()


def test_every_limit_of_the_cesm2_configuration_slows_decomposition(seasonal):
    found = traceability(*seasonal, CESM2)
    assert all((found[name] < 1.0).all() for name in FACTORS)


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_that_is_absent_has_a_factor_of_one(seasonal, limit):
    theta, forcing = (values.copy() if isinstance(values, np.ndarray) else values for values in seasonal)
    everywhere = np.ones_like(forcing.soil_temperature)
    if limit == "depth":
        theta[ROW["efolding"]] = 100.0
    elif limit == "temperature":
        forcing = forcing._replace(soil_temperature=298.15 * everywhere)
    else:
        forcing = forcing._replace(**{f"{limit}_scalar": everywhere})
    found = traceability(theta, forcing, CESM2)
    # The e-folding depth cannot be infinite: 100 m slows decomposition in 8 m of soil by 8 % at most.
    expected = environment(theta, forcing, CESM2).depth.min() if limit == "depth" else 1.0
    assert (found[f"{limit}_factor"] >= expected).all() and (found[f"{limit}_factor"] <= 1.0).all()
    others = [found[name] for name in FACTORS if name != f"{limit}_factor"]
    assert all((factor != 1.0).all() for factor in others)


def test_annual_forcing_limits_neither_by_oxygen_nor_by_nitrogen():
    found = traceability(*drawn_columns(5, seed=2))
    assert (found["oxygen_factor"] == 1.0).all() and (found["nitrogen_factor"] == 1.0).all()
    assert all((found[f"{limit}_factor"] < 1.0).all() for limit in ("temperature", "water", "depth"))


def test_with_the_same_limit_in_every_layer_its_factor_is_the_scalar_where_nothing_mixes():
    theta, forcing = drawn_columns(4, seed=5)
    forcing = forcing._replace(
        soil_temperature=np.broadcast_to([270.0, 280.0, 290.0, 300.0], (10, 4)),
        water_potential=np.full((10, 4), -0.3),
        active_layer=np.full(4, 0.005),
    )
    found, factors = traceability(theta, forcing), environment(theta, forcing)
    np.testing.assert_allclose(found["temperature_factor"], factors.temperature[0, 0], rtol=1e-12)
    np.testing.assert_allclose(found["water_factor"], factors.water[0, 0], rtol=1e-12)


@given(any_columns(), st.floats(0.1, 15.0))
def test_warmer_soil_raises_the_factor_of_temperature_and_no_other(columns, kelvin):
    theta, forcing = columns
    before, after = traceability(theta, forcing), traceability(theta, forcing.warmed(kelvin))
    assert (after["temperature_factor"] > before["temperature_factor"]).all()
    for name in ("carbon_input", "baseline_residence_time", *FACTORS[1:]):
        np.testing.assert_array_equal(after[name], before[name])


def test_the_order_moves_effects_between_factors_and_changes_no_product(seasonal):
    usual = traceability(*seasonal, CESM2)
    found = [traceability(*seasonal, CESM2, order=order) for order in list(permutations(LIMITS))[::17]]
    for one in found:
        assert_product(one)
        np.testing.assert_allclose(one["baseline_residence_time"], usual["baseline_residence_time"], rtol=1e-12)
        np.testing.assert_array_equal(one["residence_time"], usual["residence_time"])
    backwards = found[-1]
    assert backwards.attrs["limits_lifted_in_order"] == "depth, nitrogen, oxygen, water, temperature"
    assert (backwards["temperature_factor"] > usual["temperature_factor"]).all()


def test_the_table_has_a_row_for_each_column_and_units_for_each_component():
    theta, forcing = drawn_columns(3)
    labelled = xr.DataArray(theta, dims=("parameter", "site"), coords={"parameter": list(PAPER_PARAMETERS.names)})
    found = traceability(labelled, forcing)
    assert found.to_dataframe().shape == (3, 9)
    assert [values.attrs["units"] for values in found.values()] == ["kg C m-2", "kg C m-2 yr-1", "yr", "yr"] + ["1"] * 5


def test_where_no_carbon_enters_nothing_is_stored_and_nothing_stays():
    forcing = temperate(2)
    theta = default_parameters(forcing, 50.0)
    theta[ROW["ins"], 0] = 0.0
    found = traceability(theta, forcing)
    assert found["storage"].values[0] == 0.0 and np.isnan(found["residence_time"].values[0])
    alone = traceability(theta[:, 1:], forcing.take([1]))
    for name in found:
        assert float(found[name][1]) == pytest.approx(float(alone[name][0]), rel=1e-12)


@pytest.mark.parametrize("order", [LIMITS[:4], (*LIMITS, "water"), ("warmth", *LIMITS[1:])], ids=str)
def test_an_order_that_does_not_name_each_limit_once_is_refused(order):
    with pytest.raises(InputError, match=r"order is .*expected each of \('temperature', .*'depth'\) once"):
        traceability(*drawn_columns(2), order=order)


def test_a_column_that_leaks_is_refused(seasonal):
    with pytest.raises(InputError, match="the bottom of 'cesm2' is 'published'"):
        traceability(*seasonal, CESM2_AS_PUBLISHED)


def test_the_steps_of_the_figure_lead_from_the_baseline_to_the_residence_time(seasonal):
    theta, forcing = seasonal
    warmer = forcing.warmed(np.array([0.0, 20.0, 0.0, 0.0, 0.0, 0.0]))  # there temperature shortens the residence time
    found = traceability(theta, warmer, CESM2)
    figure, (left, right) = plt.subplots(1, 2, sharey=True)
    residence_steps(found, left, names=list("ABCDEF"))
    storage_plane(found, right)
    figure.draw_without_rendering()
    bars = np.array([[[bar.get_y(), bar.get_y() + bar.get_height()] for bar in bars] for bars in left.containers])
    assert len(bars) == 5 and (bars[-1, 1, 1] < bars[-1, 1, 0])
    np.testing.assert_allclose(bars[1:, :, 0], bars[:-1, :, 1])
    np.testing.assert_allclose(bars[0, :, 0], found["baseline_residence_time"])
    np.testing.assert_allclose(bars[-1, :, 1], found["residence_time"])
    assert [bars.get_label() for bars in left.containers] == ["Depth", "Nitrogen", "Oxygen", "Water", "Temperature"]
    np.testing.assert_allclose(right.collections[0].get_offsets().prod(axis=1), found["storage"])
    plt.close(figure)


def test_limits_that_act_nowhere_are_not_drawn():
    assert acting_limits(traceability(*drawn_columns(3))) == ["depth", "water", "temperature"]
