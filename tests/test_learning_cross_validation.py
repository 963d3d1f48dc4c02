"""All methods on the same folds: nothing has seen what it is scored on; known errors of a map come back."""

import numpy as np
import pytest
import xarray as xr
from learnable import learnable

from proda.errors import InputError
from proda.learning.cross_validation import (
    CODED_NETWORKS,
    CORE_METHODS,
    OTHER_METHODS,
    CellResiduals,
    Fold,
    MethodResult,
    TrainingConfig,
    boosted_carbon,
    cell_residuals,
    common_variance,
    compared_methods,
    compared_networks,
    coverage,
    default_carbon,
    depth_alone,
    error_on_blocks,
    forest_carbon,
    joined,
    unseen_variance,
    with_mean,
)
from proda.learning.hybrid import HybridPlan
from proda.learning.scores import BLOCKS, mean_scores, of_method, score_table

PAPER = {
    "epochs": 3,
    "batch_size": 16,
    "validation_share": 0.2,
    "dropout": 0.1,
    "learning_rate": 1.0,
    "kept_weights": "best",
    "patience": 20,
}
CONFIG = TrainingConfig(PAPER, HybridPlan(n_members=2, epochs=3), n_folds=3, block_km=400.0, seed=1, repeats=range(2))
ALL_METHODS = CORE_METHODS | OTHER_METHODS


def compared(n, methods, made=None, config=CONFIG):
    rng = np.random.default_rng(8)
    lon, lat = rng.uniform(-120, -75, n), rng.uniform(30, 47, n)
    return compared_methods(made or learnable(n), lon, lat, config, methods)


def right_where_withheld(fold: Fold) -> MethodResult:
    """The observations and posteriors of the withheld sites."""
    soc = fold.sites.soc.astype(float)
    return MethodResult(soc, fold.data.x_mean[fold.withheld], 0.1 * soc)


def test_networks_are_scored_where_they_were_not_trained_and_each_follows_the_covariates(monkeypatch):
    made, lon = learnable(300), np.zeros(300)
    config = CONFIG._replace(paper={**PAPER, "epochs": 25}, n_folds=2)
    found = compared_networks(made, lon, lon, config)
    assert found.index.tolist() == [(name, again) for again in (0, 1) for name in CODED_NETWORKS]
    assert (found["r"] > 0.6).all() and (found["efficiency"] > 0.2).all() and found["r"].nunique() == len(found)
    monkeypatch.setitem(CODED_NETWORKS, "joint loss", right_where_withheld)
    found = compared_networks(made, lon, lon, config._replace(repeats=range(1), paper={**PAPER, "epochs": 1}))
    np.testing.assert_allclose(found.loc[("joint loss", 0)], 1.0, rtol=1e-6)


def test_every_site_is_scored_once_a_repeat_by_a_model_that_has_not_seen_it():
    made = learnable(120)
    found = compared(120, {"hybrid": right_where_withheld}, made)
    assert found["soc"].shape == (1, 2, 2, made.observed.present.sum()) and (found["nearest_km"] > 0.0).all()
    np.testing.assert_array_equal(found["observed"], made.observed.soc[made.observed.present])
    assert (found["soc"] == found["observed"]).all()
    np.testing.assert_array_equal(found["x"], np.broadcast_to(made.x_mean.astype(np.float32), (1, 2, 120, 25)))
    np.testing.assert_allclose(found["hybrid_log_sd"], 0.1 * found["observed"].expand_dims(repeat=2), rtol=1e-6)
    assert found["fold"].shape == (2, 2, 120) and set(found["fold"].values.ravel()) == {0, 1, 2}
    assert (found["fold"][:, 0] != found["fold"][:, 1]).any("site").all(), "folds are drawn anew"


def test_what_only_sites_have_is_for_the_scores_of_sites_alone():
    made = learnable(150)
    known = made._replace(frame=made.frame[["cover"]], site_only=made.frame[["warmth", "clay"]])
    found = compared(150, {"boosted trees": boosted_carbon, "depth alone": depth_alone}, known)
    assert list(zip(found["method"].values, found["covariates"].values, strict=True)) == [
        ("boosted trees", "map"), ("depth alone", "map"), ("boosted trees", "site"),
    ]  # fmt: skip
    means = mean_scores(score_table(found))["efficiency"].mean(axis=1)
    assert means["site", "boosted trees"] > means["map", "boosted trees"] + 0.1
    by_map = compared(150, {"boosted trees": boosted_carbon}, known._replace(site_only=None))
    np.testing.assert_array_equal(of_method(found, "boosted trees")["soc"], by_map["soc"][0])


@pytest.fixture(scope="module")
def with_and_without():
    """All methods at the odd sites, trained on the even ones: of one data set, and with other carbon at odd sites."""
    made, train = learnable(100), np.arange(0, 100, 2)
    odd, x_mean, x_sd = made.observed.soc.copy(), made.x_mean.copy(), made.x_sd.copy()
    odd[1::2] *= 9.0
    x_mean[1::2], x_sd[1::2] = 1.0 - x_mean[1::2], 0.3 * x_sd[1::2]
    other = made._replace(observed=made.observed._replace(soc=odd), x_mean=x_mean, x_sd=x_sd)
    folds = [Fold(data, CONFIG, train, 3) for data in (made, other)]
    return made, *({name: method(fold) for name, method in ALL_METHODS.items()} for fold in folds)


@pytest.mark.parametrize("name", ALL_METHODS)
def test_withheld_carbon_and_posteriors_do_not_reach_the_training_of_any_method(with_and_without, name):
    _, found, other = with_and_without
    np.testing.assert_array_equal(found[name].soc, other[name].soc)


@pytest.mark.parametrize("name", ["network of the paper", "hybrid"])
def test_withheld_covariates_do_not_reach_the_ranges_that_scale_those_of_training_sites(with_and_without, name):
    made, found, _ = with_and_without
    frame = made.frame.copy()
    frame.loc[1::4, ["warmth", "clay"]] = 7.0 * frame.loc[1::4, ["warmth", "clay"]] - 3.0
    other = ALL_METHODS[name](Fold(made._replace(frame=frame), CONFIG, np.arange(0, 100, 2), 3))
    np.testing.assert_array_equal(other.soc[1::2], found[name].soc[1::2])
    assert (other.soc[::2] != found[name].soc[::2]).any()


def test_the_control_has_no_parameters(with_and_without):
    made, found, _ = with_and_without
    control = found["control without the soil model"]
    assert control.x is None and np.isfinite(control.log_sd).all() and found["hybrid"].x.shape == (50, 25)
    assert (control.soc[made.observed.present[1::2]] > 0.0).all()


def test_repeats_and_methods_that_are_found_apart_are_those_found_together():
    methods = {"hybrid": right_where_withheld, "boosted trees": boosted_carbon, "random forest": forest_carbon}
    whole = compared(60, methods)
    first, second = (compared(60, methods, config=CONFIG._replace(repeats=range(k, k + 1))) for k in (0, 1))
    assert second["x"].isnull().all()
    xr.testing.assert_identical(joined([first, second], "repeat"), whole)
    parts = [compared(60, {name: methods[name]}) for name in methods]
    apart = joined(parts, "approach")
    xr.testing.assert_identical(apart, whole)
    found = with_mean(whole)
    assert found["method"].values.tolist() == [*methods, "mean of hybrid and trees"]
    np.testing.assert_allclose(found["soc"][3], whole["soc"].mean("approach"), rtol=1e-6)
    assert found["x"][3].isnull().all() and found["x"][0].notnull().all()


def test_two_processes_find_to_the_last_bit_what_one_finds():
    methods = {"random forest": forest_carbon, "depth alone": depth_alone}
    one, two = (compared(60, methods, config=CONFIG._replace(n_processes=n)) for n in (1, 2))
    assert one.identical(two)


def test_depth_alone_is_the_floor_and_boosted_trees_lie_above_it():
    methods = {"CLM defaults": default_carbon, "depth alone": depth_alone, "boosted trees": boosted_carbon}
    efficiency = score_table(compared(150, methods)).groupby("method")["efficiency"]
    assert 0.0 < efficiency.min()["depth alone"] <= efficiency.max()["depth alone"] < efficiency.min()["boosted trees"]
    assert efficiency.count().eq(4).all() and efficiency.std()["CLM defaults"] < 1e-9, "nothing is fitted"


def made(shared_sd: float, profile_sd: float, bias: float = 0.0, member_sd: float = 0.1, sites=(1, 5)):
    """Sites in cells in blocks, predicted carbon 10, observed with a factor that a cell shares and one of its own."""
    rng, n_cells = np.random.default_rng(1), 1000 if sites[0] > 50 else 10000
    cell = np.repeat(np.arange(n_cells), rng.integers(*sites, n_cells))
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


@pytest.mark.parametrize(("shared", "single"), [(0.5, 0.3), (0.4, 0.6)])
def test_ninety_percent_intervals_hold_ninety_percent_of_the_withheld_cells(shared, single):
    # The scatter of profiles is not in the interval of a map: here it hardly counts.
    residuals = made(shared, single, sites=(100, 120))
    assert coverage(residuals, seed=3) == pytest.approx(0.90, abs=0.025)
    assert np.isnan(coverage(made(shared, single, sites=(1, 5)), seed=3)), "no cell has enough profiles"


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
    rng, n = np.random.default_rng(3), 1200
    shape, cell = (n, len(depths)), np.arange(n) // 6
    observed = 10 * np.exp(sd * rng.standard_normal((n // 6, len(depths))) - sd**2 / 2)[cell]
    observed *= np.exp(0.2 * rng.standard_normal(shape) - 0.02)
    compared = xr.Dataset(
        {
            "soc": (("approach", "kind", "repeat", "obs"), np.full((1, 1, 2, observed.size), 10.0)),
            "observed": ("obs", observed.ravel()),
            "depth": ("obs", np.tile(depths, n)),
            "of_site": ("obs", np.repeat(np.arange(n), len(depths))),
            "hybrid_log_sd": (("repeat", "obs"), np.full((2, observed.size), 0.05)),
        },
        coords={"method": ("approach", ["hybrid"]), "covariates": ("approach", ["map"]), "kind": [BLOCKS]},
    )
    return error_on_blocks(compared, cell, np.arange(n) // 60, seed=1)


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
