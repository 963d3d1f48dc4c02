"""Scores of modelled against observed carbon: known answers."""

import numpy as np
import pytest

from proda.errors import InputError
from proda.learning.scores import scores


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


def test_values_without_their_pair_are_refused():
    with pytest.raises(InputError, match="pair"):
        scores([1.0, 2.0], [1.0])
