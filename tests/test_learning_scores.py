"""Splits and folds of sites, scores with known answers, and the skill of predicted parameters."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from proda.errors import InputError
from proda.learning.scores import (
    BLOCKS,
    KINDS,
    PUBLISHED,
    SHOWN_SCORES,
    TEST,
    TRAIN,
    UNUSED,
    VALIDATION,
    block_of_place,
    correlations,
    fold_of_site,
    mean_scores,
    nearest_training_km,
    noise_ceiling,
    outside_training_cells,
    parameter_skill,
    random_split,
    score_differences,
    score_table,
    scores,
    scores_beside_ceiling,
    shares_near_bounds,
    skill_by_distance,
    skill_of_method,
)
from proda.learning.training_data import Truth
from proda.model.parameters import PAPER_PARAMETERS


def test_every_usable_site_gets_one_part_and_the_shares_are_the_papers():
    split = random_split(np.ones(1000, dtype=bool), seed=1)
    assert [(split == part).sum() for part in (TRAIN, VALIDATION, TEST, UNUSED)] == [640, 160, 200, 0]
    assert (split != random_split(np.ones(1000, dtype=bool), seed=2)).any()
    assert abs(np.flatnonzero(split == TEST).mean() - 500) < 4 * 1000 / np.sqrt(12 * 200)


def test_sites_that_are_not_usable_are_in_no_part(rng):
    usable = rng.random(500) < 0.7
    split = random_split(usable, seed=1)
    assert ((split == UNUSED) == ~usable).all()


def test_too_few_usable_sites_are_refused_with_their_number():
    with pytest.raises(InputError, match=r"2 of 50 sites are usable.*site_status\.csv"):
        random_split(np.arange(50) < 2, seed=1)


def test_test_sites_away_from_training_sites_are_counted():
    split = np.array([TRAIN, TEST, TEST, UNUSED, TEST, TEST], dtype=object)
    assert np.flatnonzero(outside_training_cells(split, [7, 7, 8, 9, 9, 7])).tolist() == [2, 4]


def scattered(n: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-124, -68, n), rng.uniform(26, 48, n)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(40, 400), n_folds=st.integers(2, 6), seed=st.integers(0, 99), kind=st.sampled_from(KINDS))
def test_every_site_is_in_one_fold_and_no_fold_is_empty(n, n_folds, seed, kind):
    fold = fold_of_site(kind, *scattered(n, seed), n_folds, seed)
    assert fold.shape == (n,) and set(fold) == set(range(n_folds))


def test_a_block_is_never_divided_and_folds_are_of_a_size():
    lon, lat = scattered(3000)
    fold, block = fold_of_site(BLOCKS, lon, lat, 5, seed=1), block_of_place(lon, lat)
    assert all(np.unique(fold[block == number]).size == 1 for number in np.unique(block))
    assert np.ptp(np.bincount(fold)) < 0.1 * 3000


def test_blocks_are_squares_of_the_given_side():
    lon, lat = scattered(4000)
    area = 8.08e6  # km2, the conterminous United States and what the rectangle adds is more
    assert area / 400**2 < np.unique(block_of_place(lon, lat, 400.0)).size < 2.5 * area / 400**2
    assert np.unique(block_of_place([-100.0, -100.0, -100.0], [40.1, 40.2, 45.0])).size == 2


def test_too_few_blocks_for_the_folds_are_refused():
    lon, lat = np.full(50, -100.0), np.linspace(40.0, 40.1, 50)
    with pytest.raises(InputError, match="5 folds of 50 sites in 1 blocks of 400 km"):
        fold_of_site(BLOCKS, lon, lat, 5, seed=1)


def test_twice_the_observed_correlates_perfectly_and_has_a_low_efficiency():
    found = scores([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    assert found["r2"] == pytest.approx(1)
    assert found["efficiency"] == pytest.approx(1 - 14 / 2)
    assert found["bias"] == pytest.approx(2)
    assert found["rmse"] == pytest.approx(np.sqrt(14 / 3))


def test_the_median_ratio_shows_a_common_factor_that_r2_does_not(rng):
    observed = rng.lognormal(2, 1, 501)
    found = scores(observed, 0.1 * observed)
    assert found["r2"] == pytest.approx(1) and found["median_ratio"] == pytest.approx(0.1)
    assert scores([0.0, 2.0], [1.0, 3.0])["median_ratio"] == 1.5 and np.isnan(scores([0.0], [1.0])["median_ratio"])


def test_one_value_has_an_error_but_no_correlation_and_none_has_neither():
    found = scores([2.0], [3.0])
    assert np.isnan(found["r"]) and np.isnan(found["efficiency"]) and found["rmse"] == 1
    assert np.isnan(scores([], [])["rmse"])


@pytest.fixture
def sites(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Parameters that profiles inform less and less, and a network that follows the posterior means."""
    truth = rng.random((400, 25))
    mean = 0.5 + np.linspace(0.9, 0.0, 25) * (truth - 0.5) + 0.02 * rng.standard_normal(truth.shape)
    split = rng.choice(["train", "validation", "test", "unused"], size=400, p=[0.6, 0.15, 0.2, 0.05])
    predicted = 0.5 + 0.8 * (mean - 0.5) + 0.03 * rng.standard_normal(mean.shape)
    sd = np.broadcast_to(np.linspace(0.1, 1 / np.sqrt(12), 25), mean.shape)
    return {"truth": truth, "mean": mean, "sd": sd, "predicted": predicted, "split": split.astype(object)}


def skill_of(sites, predicted) -> pd.DataFrame:
    truth = Truth(sites["truth"], sites["truth"])
    return parameter_skill(predicted, sites["split"], sites["mean"], sites["sd"], truth, predicted)


def test_skill_shows_which_parameters_profiles_inform_and_which_are_recovered(sites):
    skill = skill_of(sites, sites["predicted"])
    assert skill["constrained"].iloc[0] and not skill["constrained"].iloc[-1]
    assert skill["recovered"].iloc[0] and not skill["recovered"].iloc[-1]
    test = sites["split"] == "test"
    np.testing.assert_allclose(skill["r_test"], correlations(sites["predicted"][test], sites["mean"][test]))
    np.testing.assert_allclose(skill["truth_r_map"], correlations(sites["predicted"], sites["truth"]))
    assert dict(zip(skill["parameter"], skill["paper"], strict=True)).items() >= PUBLISHED.items()


def test_predictions_near_a_prior_bound_are_counted_parameter_by_parameter():
    x, tau = np.full((2, 10, 25), 0.5), PAPER_PARAMETERS.index("tau4s3")
    x[0, :4, tau], x[1, :6, tau] = 0.01, 0.99
    found = shares_near_bounds(x)
    assert found.index[0] == "tau4s3" and found.loc["tau4s3"].tolist() == [0.2, 0.3, 0.5]
    assert (found.drop("tau4s3") == 0.0).all(axis=None)


EDGES = (0.1, 0.3, 0.6)


def made_profiles(seed):
    """Layers and profiles in 250 cells of one to five, and the ceiling of the population that they are drawn from.

    Half of the noise is common to a profile's layers, of which several lie in one bin; it falls with depth.
    """
    rng = np.random.default_rng(seed)
    cell = np.repeat(np.arange(250), rng.integers(1, 6, 250))
    site = np.repeat(np.arange(cell.size), rng.integers(1, 7, cell.size))
    depth = rng.random(site.size)
    k, mean, sd = np.digitize(depth, EDGES), np.array([40.0, 20.0, 10.0, 5.0]), np.array([30.0, 15.0, 8.0, 4.0])
    noise = (rng.standard_normal(cell.size)[site] + rng.standard_normal(site.size)) * np.sqrt(0.5)
    soc = mean[k] * rng.lognormal(0, 0.5, 250)[cell[site]] + sd[k] * noise
    within, share = sd**2, np.diff((0, *EDGES, 1))
    total = share @ (within + mean**2 * np.exp(0.5)) - (share @ mean * np.exp(0.125)) ** 2
    layers = pd.DataFrame({"site": site, "depth": depth, "soc": soc})
    return (
        layers,
        pd.DataFrame({"cell": cell, "source": np.where(np.arange(cell.size) % 3, "a", "b")}),
        (1 - share @ within / total),
    )


def test_the_noise_ceiling_is_that_of_the_population_within_its_standard_error():
    z = []
    for seed in range(40):
        layers, profiles, truth = made_profiles(seed)
        table = noise_ceiling(layers, profiles, EDGES).set_index(["source", "depth"])
        z.append(((table["ceiling"] - truth) / table["se"]).iloc[:2])
    assert list(table.index[:3]) == [("all", "all"), ("a", "all"), ("b", "all")] and table["n"].iloc[0] == len(layers)
    assert (np.abs(np.mean(z, axis=0)) < 0.4).all() and (np.abs(np.std(z, axis=0) - 1) < 0.3).all()


def test_without_two_profiles_in_a_cell_there_is_no_ceiling():
    layers, profiles, _ = made_profiles(1)
    assert noise_ceiling(layers, profiles.assign(cell=np.arange(len(profiles))))["ceiling"].isna().all()


def test_skill_goes_by_the_distance_on_the_sphere_to_the_nearest_training_site():
    distance = nearest_training_km([179.9, 0.0, 10.0], [0.0, 89.0, 40.0], [-179.9, 180.0, 10.0], [0.0, 89.0, 40.0])
    assert distance == pytest.approx([0.2 * 111.195, 2 * 111.195, 0.0], rel=1e-4)
    table = skill_by_distance([1.0, 2.0, 3.0, 5.0], [1.0, 2.0, 5.0, 3.0], [0.0, 9.9, 10.0, 400.0])
    table = table.set_index("distance_km")
    assert table["n"].tolist() == [2, 1, 0, 0, 0, 1] and table.loc["[0.0, 10.0)", "efficiency"] == 1
    assert table.loc["[10.0, 25.0)", "bias"] == 2 and table.loc["[200.0, inf)", "bias"] == -2


def made_comparison(layers: pd.DataFrame) -> xr.Dataset:
    """Layers predicted by "a" with an error that a repeat shares, and by "b", which always predicts 20."""
    observed, n_sites = layers["soc"].to_numpy(), layers["site"].max() + 1
    nearest = np.broadcast_to(np.where(np.arange(n_sites) % 2, 5.0, 300.0), (2, 2, n_sites))
    a = observed + np.array([[10.0], [20.0]]) * np.random.default_rng(3).standard_normal(observed.size)
    soc = np.stack([np.broadcast_to(values, (2, 2, observed.size)) for values in (a, np.full_like(a, 20.0))])
    return xr.Dataset(
        {
            "soc": (("approach", "kind", "repeat", "obs"), soc),
            "nearest_km": (("kind", "repeat", "site"), nearest),
            "of_site": ("obs", layers["site"]),
            "observed": ("obs", observed),
            "depth": ("obs", layers["depth"]),
        },
        {"method": ("approach", ["a", "b"]), "covariates": ("approach", ["map"] * 2), "site": np.arange(n_sites)},
    )


def test_scores_of_methods_are_of_the_layers_of_a_repeat_and_differences_of_their_mean_and_standard_error():
    layers, profiles, _ = made_profiles(2)
    compared, some = made_comparison(layers), np.arange(len(profiles)) % 2 == 0
    table, chosen = score_table(compared, some), some[layers["site"]]
    assert list(table) == ["method", "kind", "covariates", "repeat", *SHOWN_SCORES] and len(table) == 8
    e = [scores(layers["soc"][chosen], compared["soc"][0, 0, k][chosen])["efficiency"] for k in (0, 1)]
    of_a = table[(table["method"] == "a") & (table["kind"] == BLOCKS)]
    np.testing.assert_allclose(of_a["efficiency"], e)
    means = mean_scores(table)
    assert list(means.index) == [("map", "a"), ("map", "b")]
    np.testing.assert_allclose(
        means.loc[("map", "a"), [("efficiency", BLOCKS), ("se", BLOCKS)]], (np.mean(e), abs(e[0] - e[1]) / 2)
    )
    difference = score_differences(table, "a")
    other = table[table["method"] == "b"]["efficiency"].iloc[0]
    np.testing.assert_allclose(difference["difference"], [np.mean(e) - other] * 2)
    np.testing.assert_allclose(difference["se"], [abs(e[0] - e[1]) / 2] * 2)


def test_scores_by_distance_and_beside_the_ceiling_are_of_the_layers_they_name():
    layers, profiles, _ = made_profiles(2)
    compared, site = made_comparison(layers), layers["site"].to_numpy()
    by_distance = skill_of_method(compared, "a").set_index("distance_km")
    assert by_distance.loc["[0.0, 10.0)", "n"] == 4 * (site % 2 == 1).sum() and by_distance["n"].sum() == 4 * site.size
    near = scores(np.tile(layers["soc"][site % 2 == 1], 2), compared["soc"][0, 0][:, site % 2 == 1].values.ravel())
    assert by_distance.loc["[0.0, 10.0)", "rmse"] == pytest.approx(near["rmse"])
    table = scores_beside_ceiling(compared, layers, profiles, "a").set_index(["source", "depth"])
    chosen = {("a", "all"): profiles["source"].to_numpy()[site] == "a", ("all", "0-30 cm"): layers["depth"] < 0.3}
    for group, rows in chosen.items():
        rows = np.asarray(rows)
        e = [scores(layers["soc"][rows], compared["soc"][0, 0, k][rows])["efficiency"] for k in (0, 1)]
        np.testing.assert_allclose(table.loc[group, list(KINDS)].astype(float), np.mean(e))
