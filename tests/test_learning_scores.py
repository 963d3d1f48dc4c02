"""Scores with known answers, and the skill of predicted parameters."""

import numpy as np
import pandas as pd
import pytest

from proda.errors import InputError
from proda.learning.scores import PUBLISHED, correlations, parameter_skill, scores, shares_near_bounds
from proda.learning.training_data import Truth
from proda.model.parameters import PAPER_PARAMETERS


def test_perfect_agreement_scores_one():
    found = scores([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert found["r"] == pytest.approx(1) and found["efficiency"] == 1 and found["rmse"] == 0 and found["n"] == 3


def test_twice_the_observed_correlates_perfectly_and_has_a_low_efficiency():
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
    error = ((sites["predicted"] - sites["mean"])[test] ** 2).sum(axis=0)
    about_mean = ((sites["mean"][test] - sites["mean"][test].mean(axis=0)) ** 2).sum(axis=0)
    np.testing.assert_allclose(skill["efficiency_test"], 1.0 - error / about_mean)
    np.testing.assert_allclose(skill["truth_r_map"], correlations(sites["predicted"], sites["truth"]))
    assert dict(zip(skill["parameter"], skill["paper"], strict=True)).items() >= PUBLISHED.items()


def test_training_sites_count_in_the_training_column_only(sites):
    worse = np.where((sites["split"] == "train")[:, None], 1 - sites["predicted"], sites["predicted"])
    before, after = skill_of(sites, sites["predicted"]), skill_of(sites, worse)
    pd.testing.assert_series_equal(before["r_test"], after["r_test"])
    np.testing.assert_allclose(before["r_train"], -after["r_train"])


def test_a_parameter_that_does_not_vary_has_no_correlation(sites):
    flat = sites["predicted"].copy()
    flat[:, 4] = 0.5
    assert np.isnan(skill_of(sites, flat)["r_test"][4])


def test_predictions_near_a_prior_bound_are_counted_parameter_by_parameter():
    x, tau = np.full((2, 10, 25), 0.5), PAPER_PARAMETERS.index("tau4s3")
    x[0, :4, tau], x[1, :6, tau] = 0.01, 0.99
    found = shares_near_bounds(x)
    assert found.index[0] == "tau4s3" and found.loc["tau4s3"].tolist() == [0.2, 0.3, 0.5]
    assert (found.drop("tau4s3") == 0.0).all(axis=None)
