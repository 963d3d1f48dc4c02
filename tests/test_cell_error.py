"""How wrong the map of an ensemble is: known variances come back."""

import numpy as np
import pytest

from proda.errors import InputError
from proda.learning.cell_error import CellResiduals, cell_residuals, common_variance, coverage, unseen_variance


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


def test_a_bias_is_part_of_the_error():
    assert unseen_variance(made(0.2, 0.3, bias=0.4)) == pytest.approx(0.2**2 + 0.4**2 - 0.01, rel=0.1)


def test_members_that_disagree_enough_leave_nothing_unseen():
    residuals = made(0.2, 0.3, member_sd=0.5)
    assert unseen_variance(residuals) == common_variance(residuals) < 1e-3


@pytest.mark.parametrize("bias", [0.0, 0.3])
def test_the_error_that_all_land_has_in_common_holds_the_bias_nine_times_of_ten(bias):
    rng, held = np.random.default_rng(4), []
    block = np.repeat(np.arange(20), 15)
    for _ in range(200):
        mean = bias + 0.3 * rng.standard_normal(20)[block] + 0.5 * rng.standard_normal(block.size)
        found = common_variance(CellResiduals(mean, np.ones(300, int), np.zeros(300), block, 0.0))
        held.append(abs(bias) <= 1.645 * np.sqrt(found))
    assert np.mean(held) > 0.9


def test_more_blocks_tell_the_common_error_better():
    few, many = (
        common_variance(
            CellResiduals(
                0.3 * np.random.default_rng(6).standard_normal(n), np.ones(n, int), np.zeros(n), np.arange(n), 0.0
            )
        )
        for n in (20, 2000)
    )
    assert many < few / 20


@pytest.mark.parametrize(("shared", "single"), [(0.5, 0.3), (0.2, 0.8)])
def test_ninety_percent_intervals_hold_ninety_percent_of_the_withheld_cells(shared, single):
    assert coverage(made(shared, single), seed=3) == pytest.approx(0.90, abs=0.025)


def test_intervals_of_the_members_alone_would_not():
    residuals = made(0.5, 0.3)
    sd = np.sqrt(residuals.members + residuals.within / residuals.n)
    assert (np.abs(residuals.mean) <= 1.645 * sd).mean() < 0.6


def test_with_one_site_a_cell_all_scatter_counts_as_error():
    rng = np.random.default_rng(2)
    observed = 10 * np.exp(0.5 * rng.standard_normal(500))
    residuals = cell_residuals(np.arange(500), np.arange(500) % 9, observed, np.full(500, 10.0), np.zeros(500))
    assert residuals.within == 0.0 and unseen_variance(residuals) == pytest.approx(0.25, rel=0.15)


def test_sites_without_layers_are_left_out_and_one_block_is_told():
    with pytest.raises(InputError, match="1 block"):
        cell_residuals([0, 1], [3, 3], [1.0, 2.0], [1.0, 1.0], [0.1, 0.1])
    found = cell_residuals([0, 1, 2], [1, 2, 3], [1.0, np.nan, 2.0], [1.0, 1.0, 1.0], [0.1] * 3)
    assert found.mean.size == 2
