"""All methods on the same folds: nothing has seen what it is scored on, and processes change nothing."""

import numpy as np
import pytest
import xarray as xr
from learnable import learnable

from proda.errors import InputError
from proda.learning.cross_validation import (
    ALL_METHODS,
    CORE_METHODS,
    FILTERED,
    Fold,
    FoldPlan,
    MethodResult,
    TrainingConfig,
    boosted_carbon,
    compared_methods,
    comparison_table,
    default_carbon,
    depth_alone,
    efficiency_gains,
    filtered_posterior_carbon,
    fold_seed,
    forest_carbon,
    parameter_comparison,
)
from proda.learning.hybrid import HybridPlan
from proda.learning.scores import scores
from proda.learning.splits import BLOCKS, KINDS

PAPER = {
    "epochs": 3,
    "batch_size": 16,
    "validation_share": 0.2,
    "dropout": 0.1,
    "learning_rate": 1.0,
    "kept_weights": "best",
    "patience": 20,
}
CONFIG = TrainingConfig(PAPER, HybridPlan(n_members=2, epochs=3, n_bins=3))
EVERY_METHOD = {**ALL_METHODS, FILTERED: filtered_posterior_carbon}


def compared(n, plan, methods, made=None):
    rng = np.random.default_rng(8)
    lon, lat = rng.uniform(-120, -75, n), rng.uniform(30, 47, n)
    return compared_methods(made or learnable(n), lon, lat, CONFIG, plan, False, methods)


def carbon_1_at_training_sites(fold: Fold) -> MethodResult:
    """Carbon 1 at training sites and 2 elsewhere: what is scored must all be 2."""
    soc = np.full(fold.data.observed.depth.shape, 2.0)
    soc[fold.train] = 1.0
    return MethodResult(soc, np.full((len(soc), 25), 0.5), np.full(soc.shape, 0.1))


def test_every_site_is_scored_once_by_a_model_that_has_not_seen_it():
    made = learnable(120)
    found = compared(120, FoldPlan(3, 400.0, 1), {"hybrid": carbon_1_at_training_sites}, made)
    held_out = found["soc"].values[0]
    assert (held_out[:, made.observed.present] == 2.0).all() and np.isnan(held_out[:, ~made.observed.present]).all()
    assert (found["hybrid_log_sd"].values[made.observed.present] == np.float32(0.1)).all()
    assert found["fold"].shape == (2, 120) and set(found["fold"].values.ravel()) == {0, 1, 2}


@pytest.fixture(scope="module")
def with_and_without():
    """All methods trained on the even sites: of one data set, and of one whose odd sites have other carbon."""
    made, train = learnable(100), np.arange(0, 100, 2)
    odd, x_mean, x_sd = made.observed.soc.copy(), made.x_mean.copy(), made.x_sd.copy()
    odd[1::2] *= 9.0
    x_mean[1::2], x_sd[1::2] = 1.0 - x_mean[1::2], 0.3 * x_sd[1::2]
    other = made._replace(observed=made.observed._replace(soc=odd), x_mean=x_mean, x_sd=x_sd)
    folds = [Fold(data, CONFIG, train, 3) for data in (made, other)]
    return made, *({name: fold.result(method) for name, method in EVERY_METHOD.items()} for fold in folds)


@pytest.mark.parametrize("name", EVERY_METHOD)
def test_withheld_carbon_and_posteriors_do_not_reach_the_training_of_any_method(with_and_without, name):
    _, found, other = with_and_without
    np.testing.assert_array_equal(found[name].soc, other[name].soc)


def test_the_mean_of_methods_is_their_mean_and_the_control_has_no_parameters(with_and_without):
    made, found, _ = with_and_without
    parts = [found[name].soc for name in ("hybrid", "random forest", "boosted trees")]
    np.testing.assert_allclose(found["mean of hybrid and trees"].soc, np.mean(parts, axis=0), rtol=1e-12)
    control = found["control without the soil model"]
    assert control.x is None and np.isfinite(control.log_sd).all() and found["hybrid"].x.shape == (100, 25)
    assert (control.soc[made.observed.present] > 0.0).all()
    assert set(CORE_METHODS) < set(ALL_METHODS) and len(ALL_METHODS) == 9


def test_a_fold_trained_again_gives_the_same_bits(with_and_without):
    made, found, _ = with_and_without
    again = Fold(made, CONFIG, np.arange(0, 100, 2), 3)
    for name in ("network of the paper", "hybrid"):
        np.testing.assert_array_equal(again.result(EVERY_METHOD[name]).soc, found[name].soc)


def test_two_processes_find_to_the_last_bit_what_one_finds():
    methods = {"random forest": forest_carbon, "depth alone": depth_alone}
    one, two = (compared(60, FoldPlan(2, 400.0, 1, n), methods) for n in (1, 2))
    assert one.identical(two)


def test_the_seed_of_a_fold_is_its_own_and_not_that_which_drew_the_folds():
    seeds = {fold_seed(7, kind, fold) for kind in KINDS for fold in range(3)} | {7}
    assert len(seeds) == 7 and fold_seed(7, BLOCKS, 1) == fold_seed(7, BLOCKS, 1)


@pytest.fixture(scope="module")
def quick():
    made = learnable(150)
    methods = {
        "hybrid": carbon_1_at_training_sites,
        "CLM defaults": default_carbon,
        "depth alone": depth_alone,
        "boosted trees": boosted_carbon,
    }
    return made, compared(150, FoldPlan(3, 400.0, 1), methods, made)


def test_the_table_has_the_score_of_the_pooled_held_out_layers(quick):
    made, found = quick
    table = comparison_table(found)
    row = table[(table["method"] == "boosted trees") & (table["kind"] == BLOCKS)].iloc[0]
    here = found["soc"].sel(approach="boosted trees", kind=BLOCKS).values[made.observed.present]
    observed = made.observed.soc[made.observed.present].astype(float)
    expected = 1 - ((here - observed) ** 2).sum() / ((observed - observed.mean()) ** 2).sum()
    assert row["efficiency"] == pytest.approx(expected, rel=1e-5) and row["n"] == observed.size
    assert row["train_efficiency"] > row["efficiency"]
    assert table["method"].iloc[0] == table[table["kind"] == BLOCKS].sort_values("efficiency")["method"].iloc[-1]
    floor = table[table["method"] == "depth alone"]["efficiency"]
    assert (floor > 0.0).all() and (floor < row["efficiency"]).all()
    filtered = comparison_table(found, made.used)["n"].unique()
    assert filtered.tolist() == [made.observed.present[made.used].sum()]


def test_only_methods_with_parameters_are_compared_by_them(quick):
    made, found = quick
    table = parameter_comparison(found, made.x_mean)
    assert set(table["method"]) == {"hybrid"} and set(table["kind"]) == set(KINDS)


N_BLOCKS, N_SITES, N_LAYERS = 40, 800, 3
BLOCK = np.arange(N_SITES) % N_BLOCKS


def with_errors(errors_of: dict[str, np.ndarray]) -> xr.Dataset:
    observed = np.random.default_rng(2).lognormal(2.0, 0.7, (N_SITES, N_LAYERS))
    observed[::5, 2] = np.nan
    soc = np.stack([[observed + errors] * 2 for errors in errors_of.values()])
    return xr.Dataset(
        {"soc": (("approach", "kind", "site", "layer"), soc), "observed": (("site", "layer"), observed)},
        coords={"approach": list(errors_of), "kind": list(KINDS)},
    )


def errors(sd: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, sd, (N_SITES, N_LAYERS))


def test_the_gain_is_the_difference_of_the_pooled_efficiencies():
    found = with_errors({"a": errors(1.0, 3), "b": errors(2.0, 4)})
    gains = efficiency_gains(found, "a", ["b"], BLOCK, seed=1)
    there = np.isfinite(found["observed"].values)
    a, b = (
        scores(found["observed"].values[there], found["soc"].sel(approach=name, kind=KINDS[0]).values[there])
        for name in "ab"
    )
    np.testing.assert_allclose(gains["gain"], a["efficiency"] - b["efficiency"], rtol=1e-9)
    assert list(gains["kind"]) == list(KINDS) and (gains["low"] > 0).all() and (gains["share"] == 1.0).all()


def test_the_interval_of_equal_methods_holds_zero_and_errors_that_a_block_shares_widen_it():
    shared = np.random.default_rng(7).normal(0.0, 2.0, N_BLOCKS)[BLOCK][:, None] + np.zeros((1, N_LAYERS))
    wide, narrow = (
        efficiency_gains(with_errors({"a": errors(2.0, 9), "b": other}), "a", ["b"], BLOCK, 1).iloc[0]
        for other in (shared, errors(2.0, 8))
    )
    assert narrow["low"] < 0.0 < narrow["high"]
    assert wide["high"] - wide["low"] > 1.5 * (narrow["high"] - narrow["low"])
    with pytest.raises(InputError, match=r"1 block\(s\)"):
        efficiency_gains(with_errors({"a": errors(1.0, 3), "b": errors(2.0, 4)}), "a", ["b"], np.zeros(N_SITES), 1)
