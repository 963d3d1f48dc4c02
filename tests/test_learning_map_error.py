"""How wrong the map of an ensemble is: known variances come back."""

import numpy as np
import pytest
import xarray as xr

from proda.errors import InputError
from proda.learning.map_error import (
    CellResiduals,
    cell_residuals,
    common_variance,
    coverage,
    error_on_blocks,
    unseen_variance,
)
from proda.learning.splits import BLOCKS


def made(shared_sd: float, profile_sd: float, bias: float = 0.0, member_sd: float = 0.1, n_cells=10000, seed=1):
    """Sites in cells in blocks, predicted carbon 10, observed with a factor that a cell shares and one of its own."""
    rng = np.random.default_rng(seed)
    cell = np.repeat(np.arange(n_cells), rng.integers(1, 6, n_cells))
    shared = bias + shared_sd * rng.standard_normal(n_cells)
    single = profile_sd * rng.standard_normal(cell.size) - profile_sd**2 / 2
    observed = 10.0 * np.exp(shared[cell] + single)
    return cell_residuals(cell, cell % 40, observed, np.full(cell.size, 10.0), np.full(cell.size, member_sd))


@pytest.mark.parametrize(("shared", "single"), [(0.5, 0.3), (0.2, 0.8), (0.6, 0.05)])
def test_the_variance_that_cells_share_comes_back_whatever_the_scatter_of_profiles(shared, single):
    residuals = made(shared, single)
    assert residuals.within == pytest.approx(single**2, rel=0.1)
    assert unseen_variance(residuals) == pytest.approx(shared**2 - 0.01, abs=0.12 * shared**2 + 0.01)


def test_a_bias_is_part_of_the_error_and_disagreement_of_the_members_is_not():
    assert unseen_variance(made(0.2, 0.3, bias=0.4)) == pytest.approx(0.2**2 + 0.4**2 - 0.01, rel=0.1)
    assert unseen_variance(made(0.2, 0.3, member_sd=0.5)) == 0.0


def land(n_blocks: int, bias: float = 0.0, seed: int = 4, block_sd: float = 0.3) -> CellResiduals:
    """Fifteen cells a block, predicted 10; observed that times exp(bias) and factors of mean one of block and cell."""
    rng, n = np.random.default_rng(seed), 15 * n_blocks
    block = np.repeat(np.arange(n_blocks), 15)
    log = block_sd * rng.standard_normal(n_blocks)[block] - block_sd**2 / 2 + 0.5 * rng.standard_normal(n) - 0.125
    ones = np.ones(n)
    return CellResiduals(bias + log, ones.astype(int), 0 * ones, block, 10 * np.exp(bias + log), 10 * ones, 0.0)


@pytest.mark.parametrize("spread", [0.05, 0.3])
def test_the_error_that_all_land_has_in_common_holds_the_bias_nine_times_of_ten(spread):
    bias = spread * np.random.default_rng(8).standard_normal(400)
    sd = [np.sqrt(common_variance(land(20, b, seed))) for seed, b in enumerate(bias)]
    assert 0.9 < np.mean(np.abs(bias) <= 1.645 * np.array(sd)) < 1.0
    assert np.mean(np.abs(bias) <= 0.3 * np.array(sd)) < 0.9


def test_scatter_between_cells_is_no_bias():
    assert common_variance(land(4000)) < 0.01**2
    assert common_variance(land(4000, bias=0.2)) == pytest.approx(0.2**2, rel=0.1)


@pytest.mark.parametrize(("shared", "single"), [(0.5, 0.3), (0.2, 0.8)])
def test_ninety_percent_intervals_hold_ninety_percent_of_the_withheld_cells(shared, single):
    assert coverage(made(shared, single), seed=3) == pytest.approx(0.90, abs=0.025)


def test_with_one_site_a_cell_all_scatter_counts_as_error():
    observed = 10 * np.exp(0.5 * np.random.default_rng(2).standard_normal(500))
    residuals = cell_residuals(np.arange(500), np.arange(500) % 9, observed, np.full(500, 10.0), np.zeros(500))
    assert residuals.within == 0.0 and unseen_variance(residuals) == pytest.approx(0.25, rel=0.15)


def test_sites_without_layers_are_left_out_and_a_single_block_is_refused():
    with pytest.raises(InputError, match="1 block"):
        cell_residuals([0, 1], [3, 3], [1.0, 2.0], [1.0, 1.0], [0.1, 0.1])
    found = cell_residuals([0, 1, 2], [1, 2, 3], [1.0, np.nan, 2.0], [1.0, 1.0, 1.0], [0.1] * 3)
    assert found.mean.size == 2


def error_of(depths: tuple[float, ...], sd: float = 0.4) -> xr.Dataset:
    """Of predicted carbon 10 at three layers, observed with errors of cells of mean one."""
    rng, n = np.random.default_rng(3), 600
    shape, cell = (n, len(depths)), np.arange(n) // 2
    observed = 10 * np.exp(sd * rng.standard_normal((n // 2, len(depths))) - sd**2 / 2)[cell]
    observed *= np.exp(0.2 * rng.standard_normal(shape) - 0.02)
    compared = xr.Dataset(
        {
            "soc": (("approach", "kind", "site", "layer"), np.full((1, 1, *shape), 10.0)),
            "observed": (("site", "layer"), observed),
            "depth": (("site", "layer"), np.broadcast_to(depths, shape)),
            "hybrid_log_sd": (("site", "layer"), np.full(shape, 0.05)),
        },
        coords={"approach": ["hybrid"], "kind": [BLOCKS]},
    )
    return error_on_blocks(compared, cell, np.arange(n) // 30, seed=1)


def test_every_stratum_has_its_error_and_coverage():
    error = error_of((0.1, 0.5, 1.5))
    np.testing.assert_allclose(np.sqrt(error["unseen_log_variance"]), 0.45, atol=0.08)
    assert (np.sqrt(error["common_log_variance"]) < 0.08).all() and (error["coverage"] > 0.8).all()
    assert list(error["stratum"].values) == ["0-30 cm", "30-100 cm", "100-200 cm"]


def test_a_stratum_that_no_profile_reaches_has_the_error_of_the_one_above():
    error = error_of((0.1, 0.2, 0.5))
    assert error["unseen_log_variance"][2] == error["unseen_log_variance"][1]
    assert error["common_log_variance"][2] == error["common_log_variance"][1]
    assert np.isnan(error["coverage"][2]) and np.isfinite(error["coverage"][:2]).all()
    with pytest.raises(InputError, match="0 withheld sites"):
        error_of((0.5, 0.6, 1.5))
