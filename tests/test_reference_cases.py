"""The `paper` configuration against 24 cases of the original programs, and what such a test can notice."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from conftest import CASES

from proda.kernels import steady_state as lanes
from proda.model.configuration import PAPER, PAPER_COLUMN
from proda.model.rates import jax_namespace
from proda.model.solver import POOLS, soc_density, steady_state
from proda.run.verification import NEGLIGIBLE, TOLERANCE, read_cases, tabulated_column, worst_errors

COLUMN = tabulated_column()
TABULATED = PAPER.on(COLUMN)


@pytest.fixture(scope="module")
def cases():
    return read_cases(CASES / "paper_cases.csv")


@pytest.fixture(scope="module")
def pools(cases):
    return steady_state(cases.theta, cases.forcing, TABULATED)


def worst_of_pools(pools, reference):
    """Worst relative error of any pool in any layer, where the pool is above 1e-12 of its largest density."""
    known = ~np.isnan(reference).any(axis=(0, 1))
    pools, reference = pools[..., known], reference[..., known]
    counts = np.abs(reference) > NEGLIGIBLE * np.abs(reference).max(axis=1, keepdims=True)
    return np.abs(pools[counts] / reference[counts] - 1.0).max()


def test_the_file_holds_24_cases_of_which_the_original_failed_at_two(cases):
    assert cases.theta.shape == (25, 24) and cases.pools.shape == (7, 10, 24)
    assert np.isnan(cases.pools).all(axis=(0, 1)).sum() == 2


def test_numpy_agrees_with_the_original_in_all_seventy_pools(cases, pools):
    errors = worst_errors(soc_density(pools), cases)
    assert np.isfinite(errors).sum() == 22 and np.nanmax(errors) < TOLERANCE == 1e-9
    assert worst_of_pools(pools, cases.pools) < 1e-9


def test_jax_agrees_with_the_original(cases, pools):
    with jax.enable_x64(True):
        compiled = jax.jit(lambda theta: steady_state(theta, cases.forcing, TABULATED, jax_namespace()))
        by_jax = np.asarray(compiled(cases.theta))
    assert np.nanmax(worst_errors(soc_density(by_jax), cases)) < 1e-9
    np.testing.assert_allclose(by_jax, pools, rtol=1e-10, atol=0)


def test_the_compiled_model_agrees_with_the_original(cases, pools):
    compiled = lanes.soc_density(cases.theta, cases.forcing, TABULATED)
    assert np.nanmax(worst_errors(compiled, cases)) < 1e-9
    np.testing.assert_allclose(compiled, soc_density(pools), rtol=1e-10, atol=0)


def test_where_the_original_found_a_singular_matrix_the_pools_are_finite_and_not_negative(cases, pools):
    singular = np.isnan(cases.pools).all(axis=(0, 1))
    assert np.isfinite(pools[..., singular]).all() and (pools[..., singular] >= 0.0).all()
    assert np.isfinite(lanes.soc_density(cases.theta, cases.forcing, TABULATED)[:, singular]).all()


def test_the_exact_grid_changes_densities_by_less_than_one_in_a_hundred_million(cases):
    for name in ("node", "top", "bottom", "thickness"):
        np.testing.assert_allclose(getattr(COLUMN, name), getattr(PAPER_COLUMN, name), atol=2e-9)
    errors = worst_errors(soc_density(steady_state(cases.theta, cases.forcing)), cases)
    assert 1e-10 < np.nanmax(errors) < 1e-8


@pytest.mark.parametrize(
    ("one", "other"), [(i, j) for i in range(7) for j in range(i)], ids=lambda pool: POOLS[pool]
)  # fmt: skip
def test_two_swapped_pools_are_noticed(cases, pools, one, other):
    swapped = cases.pools.copy()
    swapped[[one, other]] = swapped[[other, one]]
    assert worst_of_pools(pools, swapped) > 1e-3
    if one >= 4 > other:  # a soil pool for a litter pool: the density of SOC tells too
        assert np.nanmax(worst_errors(soc_density(pools), replace(cases, pools=swapped))) > 1e-3


@pytest.mark.parametrize("pool", range(7), ids=lambda pool: POOLS[pool])
def test_a_wrong_sign_is_noticed(cases, pools, pool):
    mutated = cases.pools.copy()
    mutated[pool] *= -1.0
    assert worst_of_pools(pools, mutated) > 1.0
    if pool >= 4:
        assert np.nanmax(worst_errors(soc_density(pools), replace(cases, pools=mutated))) > 1e-3


def test_a_model_that_gives_no_number_is_infinitely_wrong(cases, pools):
    soc = soc_density(pools)
    soc[3, 0] = np.nan
    assert worst_errors(soc, cases)[0] == np.inf


@pytest.mark.parametrize(
    "mutated",
    [
        lambda theta, forcing: (theta, forcing.warmed(0.1)),
        lambda theta, forcing: (theta, forcing.fertilised(1.0 / 365.0)),
        lambda theta, forcing: (theta, forcing._replace(water_potential=10.0 * forcing.water_potential)),
        lambda theta, forcing: (theta[[1, 0, *range(2, 25)]], forcing),
        lambda theta, forcing: (theta[[*range(8), 9, 8, *range(10, 25)]], forcing),
        lambda theta, forcing: (theta[[*range(13), 14, 13, *range(15, 25)]], forcing),
    ],
    ids=["warmer soil", "NPP a day", "bar for MPa", "diffus for cryo", "slow for passive turnover", "fs1s2 for fs1s3"],
)
def test_a_wrong_unit_or_a_swapped_parameter_is_noticed(cases, mutated):
    theta, forcing = mutated(cases.theta, cases.forcing)
    assert np.nanmax(worst_errors(soc_density(steady_state(theta, forcing, TABULATED)), cases)) > 1e-3
