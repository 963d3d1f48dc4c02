"""Scores: known answers, identical sites for all methods, and the published values beside ours."""

import numpy as np
import pandas as pd
import pytest

from proda.errors import InputError
from proda.learning.scores import scores
from proda.maps.scores import (
    ASSIMILATED,
    NEVER_SEEN,
    NEW_CELLS,
    PUBLISHED_SCORES,
    USED,
    best_method,
    comparable_sites,
    site_subsets,
    table_1,
    with_published,
)


def test_perfect_agreement_scores_one():
    found = scores([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert found["r"] == pytest.approx(1) and found["efficiency"] == 1 and found["rmse"] == 0 and found["n"] == 3


def test_twice_the_observed_correlates_perfectly_but_misses_the_one_to_one_line():
    found = scores([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    assert found["r2"] == pytest.approx(1)
    assert found["efficiency"] == pytest.approx(1 - 14 / 2)
    assert found["bias"] == pytest.approx(2)
    assert found["rmse"] == pytest.approx(np.sqrt(14 / 3))


def test_the_mean_of_the_observed_has_an_efficiency_of_zero():
    assert scores([1.0, 2.0, 6.0], [3.0, 3.0, 3.0])["efficiency"] == pytest.approx(0)


def test_scores_agree_with_numpy(rng):
    observed = rng.lognormal(2, 1, 500)
    modelled = observed * rng.lognormal(0, 0.5, 500)
    found = scores(observed, modelled)
    r = np.corrcoef(observed, modelled)[0, 1]
    assert found["r"] == pytest.approx(r) and found["r2"] == pytest.approx(r**2)
    assert found["efficiency"] == pytest.approx(1 - np.sum((modelled - observed) ** 2) / 500 / observed.var())


def test_the_median_ratio_shows_a_common_factor_that_r2_does_not(rng):
    observed = rng.lognormal(2, 1, 501)
    found = scores(observed, 0.1 * observed)
    assert found["r2"] == pytest.approx(1) and found["median_ratio"] == pytest.approx(0.1)
    assert scores([0.0, 2.0], [1.0, 3.0])["median_ratio"] == 1.5 and np.isnan(scores([0.0], [1.0])["median_ratio"])


def test_one_value_has_an_error_but_no_correlation():
    found = scores([2.0], [3.0])
    assert np.isnan(found["r"]) and np.isnan(found["efficiency"]) and found["rmse"] == 1


def test_no_values_score_nan_without_a_warning():
    assert np.isnan(scores([], [])["rmse"])


def test_values_without_their_pair_are_refused():
    with pytest.raises(InputError, match="pair"):
        scores([1.0, 2.0], [1.0])


@pytest.fixture
def layers():
    return pd.DataFrame({"site": [0, 0, 1, 1, 2, 2, 3, 3], "soc": np.arange(1.0, 9.0) * 1000})


def test_a_site_counts_only_if_every_method_has_all_its_layers(layers):
    one, other = np.ones(8), np.ones(8)
    other[3] = np.nan
    expected = [True, False, True, True, False]
    assert comparable_sites(layers["site"], {"one": one, "other": other}, 5).tolist() == expected


def test_all_methods_are_scored_on_identical_layers(layers):
    modelled = {"default": layers["soc"].to_numpy() * 2, "network": layers["soc"].to_numpy().copy()}
    modelled["network"][0] = np.nan
    used, split = np.array([True, True, True, False]), np.array(["train", "train", "test", "unused"])
    table = table_1(layers, modelled, used, split)
    ours = table[table["source"] == "this study"]
    counts = ours.groupby(["sites", "subset"])["n"].agg(["min", "max"])
    assert (counts["min"] == counts["max"]).all()
    assert counts.loc[(USED, "all"), "min"] == 4 and counts.loc[(USED, "test"), "min"] == 2
    assert counts.loc[(ASSIMILATED, "all"), "min"] == 6


def test_sites_never_seen_are_the_test_sites_and_those_that_the_filter_took_away():
    used = np.array([True, True, True, True, True, False])
    split = np.array(["train", "validation", "test", "test", "train", "unused"])
    found = {name: np.flatnonzero(mask).tolist() for name, mask in site_subsets(used, split, np.arange(6) // 3).items()}
    assert found[ASSIMILATED, NEVER_SEEN] == [2, 3, 5] and found[ASSIMILATED, "unused"] == [5]
    assert found[USED, "test"] == [2, 3] and found[USED, "all"] == [0, 1, 2, 3, 4]
    assert found[ASSIMILATED, "all"] == [0, 1, 2, 3, 4, 5]
    alone = site_subsets(used, split, np.array([0, 0, 0, 7, 2, 3]))[USED, NEW_CELLS]
    assert found[USED, NEW_CELLS] == [] and np.flatnonzero(alone).tolist() == [3]


def test_the_table_scores_the_sites_never_seen(layers):
    split = np.array(["train", "train", "test", "unused"])
    table = table_1(layers, {"network": layers["soc"].to_numpy() + 500}, split != "unused", split, np.arange(4))
    row = table[(table["sites"] == ASSIMILATED) & (table["subset"] == NEVER_SEEN)].iloc[0]
    assert (row["n"], row["n_sites"]) == (4, 2) and row["bias"] == pytest.approx(0.5)
    assert row["median_ratio"] == pytest.approx(np.median(1 + 0.5 / np.arange(5.0, 9.0)))


def test_table_1_is_in_kilograms(layers):
    table = table_1(layers, {"default": layers["soc"].to_numpy() + 500}, np.ones(4, bool))
    row = table[(table["source"] == "this study") & (table["sites"] == USED)].iloc[0]
    assert row["bias"] == pytest.approx(0.5) and row["rmse"] == pytest.approx(0.5)


def test_published_values_are_labelled_and_stand_beside_ours(layers):
    modelled = {"default": layers["soc"].to_numpy() * 2, "network": layers["soc"].to_numpy()}
    split = np.array(["train", "train", "validation", "test"])
    table = table_1(layers, modelled, np.ones(4, bool), split)
    published = table[table["source"] == "published"].set_index(["method", "subset"])
    assert len(published) == len(PUBLISHED_SCORES)
    assert tuple(published.loc[("site-by-site", "all"), ["r2", "r", "rmse"]]) == (0.95, 0.98, 3.32)
    beside = with_published(table)
    assert list(beside.index) == [
        "default", "network (train sites)", "network (validation sites)", "network (test sites)"
    ]  # fmt: skip
    assert beside.loc["network (train sites)", "published rmse"] == 8.95
    assert np.isnan(beside.loc["network (test sites)", "published rmse"])


def test_the_best_method_is_named_also_when_a_score_or_all_of_them_are_missing():
    scores = pd.Series({"default": 0.2, "network": 0.6, "one-batch": np.nan})
    assert best_method(scores) == "network" and best_method(scores, least=True) == "default"
    assert best_method(scores * np.nan) == "none"
