"""Ages, transit times and traceability: closed formulas, the dense solution and identities."""

import numpy as np
import pytest
from columns import any_columns, drawn_columns, seasonal_forcing, temperate
from hypothesis import given

from proda.errors import InputError
from proda.model.age import LIMITS, ages, traceability
from proda.model.configuration import CESM2, CESM2_AS_PUBLISHED, PAPER
from proda.model.matrices import respiration, system_matrix, transfer_matrix
from proda.model.parameters import PAPER_PARAMETERS, default_parameters, physical
from proda.model.rates import carbon_input, environment, input_amounts
from proda.model.solver import POOLS, steady_state

ROW = {name: k for k, name in enumerate(PAPER_PARAMETERS.names)}
CWD, L1, L2, L3, S1, S2, S3 = range(len(POOLS))
HARDLY_THAWING = 0.005  # m: nothing mixes, but carbon enters every layer


def stock(pools, configuration=PAPER):
    return (pools * configuration.column.thickness[:, None]).sum(axis=(0, 1))


@pytest.fixture(scope="module")
def columns():
    """With no permafrost, churned deeply and thinly, never thawed, and unmixed."""
    theta, forcing = drawn_columns(5, seed=7, low=0.3, high=0.9)
    return theta, forcing._replace(active_layer=np.array([35.0, 2.0, 0.3, 0.0, HARDLY_THAWING]))


@pytest.fixture(scope="module")
def seasonal():
    forcing = seasonal_forcing(3)
    x = np.random.default_rng(12).uniform(0.3, 0.9, (len(CESM2.parameters), 3))
    return physical(x, forcing, CESM2.parameters), forcing


@pytest.mark.parametrize("configuration", [PAPER, CESM2], ids=lambda c: c.name)
def test_the_dense_inverse_gives_the_same_ages(request, configuration):
    theta, forcing = request.getfixturevalue("columns" if configuration is PAPER else "seasonal")
    n = forcing.n_columns
    pools = steady_state(theta, forcing, configuration)
    inverse = np.linalg.inv(system_matrix(theta, forcing, configuration))
    held = np.moveaxis(pools, -1, 0).reshape(n, -1, 1)
    aged = inverse @ held
    mean = ages(theta, forcing, configuration).pool

    def divided(values):
        return np.moveaxis((values / np.where(held > 0.0, held, np.nan)).reshape(n, 7, -1), 0, -1)

    has_age = np.isfinite(mean)
    dense_mean = divided(aged) / 365.0
    np.testing.assert_allclose(mean[has_age], dense_mean[has_age], rtol=1e-9)


@given(any_columns())
def test_what_is_respired_is_as_old_as_carbon_takes_to_pass_through(columns):
    pools, result = steady_state(*columns), ages(*columns)
    of_age = respiration(pools * np.nan_to_num(result.pool), *columns)
    np.testing.assert_allclose(of_age / respiration(pools, *columns), result.transit, rtol=1e-11)


@given(any_columns())
def test_carbon_has_a_positive_age_wherever_there_is_carbon_and_means_are_weighted_by_it(columns):
    pools, result = steady_state(*columns), ages(*columns)
    np.testing.assert_array_equal(np.isnan(result.pool), pools == 0.0)
    assert (result.pool[pools > 0.0] > 0.0).all()
    aged = pools * np.nan_to_num(result.pool)
    np.testing.assert_allclose(result.system, stock(aged) / stock(pools), rtol=1e-12)
    np.testing.assert_allclose(result.soil, stock(aged[S1:]) / stock(pools[S1:]), rtol=1e-12)
    soil = pools[S1:].sum(axis=0)
    expected = np.where(soil > 0.0, aged[S1:].sum(axis=0) / np.where(soil > 0.0, soil, 1.0), np.nan)
    np.testing.assert_allclose(result.soil_by_layer, expected, rtol=1e-12)


def test_in_the_cesm2_configuration_carbon_counts_down_to_bedrock(seasonal):
    theta, forcing = seasonal
    result = ages(theta, forcing, CESM2)
    above = np.arange(20)[:, None] < forcing.bedrock
    assert (np.isfinite(result.pool) == above).all()
    pools = steady_state(theta, forcing, CESM2) * above
    entering = 365.0 * (carbon_input(theta, forcing, CESM2) * above).sum(axis=(0, 1))
    np.testing.assert_allclose(result.transit * entering, stock(pools, CESM2), rtol=1e-12)
    of_age = respiration(pools * np.nan_to_num(result.pool), theta, forcing, CESM2)
    np.testing.assert_allclose(of_age / respiration(pools, theta, forcing, CESM2), result.transit, rtol=1e-12)


@pytest.mark.parametrize("of", [ages, traceability], ids=lambda of: of.__name__)
def test_a_column_that_leaks_is_refused(seasonal, of):
    with pytest.raises(InputError, match=r"the bottom of 'cesm2' is 'published', expected 'closed'.*Use `CESM2`"):
        of(*seasonal, CESM2_AS_PUBLISHED)


TURNOVER = [ROW[name] for name in ("tau4cwd", "tau4l1", "tau4l2l3", "tau4l2l3", "tau4s1", "tau4s2", "tau4s3")]
FACTORS = [f"{limit}_factor" for limit in LIMITS]


@pytest.fixture(scope="module")
def limited():
    """Columns in which every limit acts."""
    forcing = seasonal_forcing(6)
    theta = physical(np.random.default_rng(12).uniform(0.3, 0.9, (21, 6)), forcing, CESM2.parameters)
    theta[CESM2.parameters.index("w_scaling")] = 1.0
    return theta, forcing


def one_box_residence(theta, shares):
    """Residence time, (n,), yr, of the seven pools without layers: input shares (4, n), one dense solve a column."""
    cascade = -np.moveaxis(transfer_matrix(theta), -1, 0) / theta[TURNOVER].T[:, None, :]
    entering = np.concatenate([shares, np.zeros((3, shares.shape[1]))]).T[..., None]
    return np.linalg.solve(cascade, entering).sum(axis=(1, 2))


def assert_product(result):
    residence = result["baseline_residence_time"] / np.prod([result[name] for name in FACTORS], axis=0)
    np.testing.assert_allclose(residence, result["residence_time"], rtol=1e-10)
    np.testing.assert_allclose(result["carbon_input"] * result["residence_time"], result["storage"], rtol=1e-10)


@given(any_columns())
def test_storage_is_the_carbon_of_the_steady_state_and_the_factors_make_its_residence_time(columns):
    result = traceability(*columns)
    pools = steady_state(*columns) * PAPER.column.thickness[:, None]
    np.testing.assert_allclose(result["storage"], pools.sum(axis=(0, 1)) / 1000.0, rtol=1e-12)
    entering = carbon_input(*columns).sum(axis=(0, 1)) * 365.0 / 1000.0
    np.testing.assert_allclose(result["carbon_input"], entering, rtol=1e-12)
    assert_product(result)


@given(any_columns())
def test_the_baseline_is_that_of_one_box_whatever_the_layers_mix_and_receive(columns):
    theta, forcing = columns
    amounts = input_amounts(theta, forcing)
    expected = one_box_residence(theta, amounts / amounts.sum(axis=0))
    np.testing.assert_allclose(traceability(theta, forcing)["baseline_residence_time"], expected, rtol=1e-10)


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_that_is_absent_has_a_factor_of_one(limited, limit):
    theta, forcing = (values.copy() if isinstance(values, np.ndarray) else values for values in limited)
    everywhere = np.ones_like(forcing.soil_temperature)
    if limit == "depth":
        theta[ROW["efolding"]] = 100.0
    elif limit == "temperature":
        forcing = forcing._replace(soil_temperature=298.15 * everywhere)
    else:
        forcing = forcing._replace(**{f"{limit}_scalar": everywhere})
    result = traceability(theta, forcing, CESM2)
    # The e-folding depth cannot be infinite: 100 m slows decomposition in 8 m of soil by 8 % at most.
    expected = environment(theta, forcing, CESM2).depth.min() if limit == "depth" else 1.0
    assert (result[f"{limit}_factor"] >= expected).all() and (result[f"{limit}_factor"] <= 1.0).all()
    others = [result[name] for name in FACTORS if name != f"{limit}_factor"]
    assert all((factor != 1.0).all() for factor in others)


def test_where_no_carbon_enters_nothing_is_stored():
    forcing = temperate(2)
    theta = default_parameters(forcing, 50.0)
    theta[ROW["ins"], 0] = 0.0
    result = traceability(theta, forcing)
    assert result["storage"].values[0] == 0.0 and np.isnan(result["residence_time"].values[0])
    alone = traceability(theta[:, 1:], forcing.take([1]))
    for name in result:
        assert float(result[name][1]) == pytest.approx(float(alone[name][0]), rel=1e-12)
