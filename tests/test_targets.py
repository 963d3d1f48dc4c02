"""What a site teaches: posterior means, or what its profile alone says."""

import numpy as np
import pytest

from proda.errors import InputError
from proda.learning.ensemble import (
    BETWEEN_SITES,
    FARTHEST,
    PRIOR_MEAN,
    equal_targets,
    precision_targets,
    profile_targets,
)
from proda.model.parameters import prior_sd


def test_the_prior_is_taken_out_of_a_posterior_exactly():
    """Prior times a normal likelihood of known mean and width gives a posterior; the likelihood comes back."""
    rng = np.random.default_rng(1)
    said, sd = rng.uniform(0.1, 0.9, (400, 25)), rng.uniform(0.05, 0.4, (400, 25))
    precision = 1.0 / sd**2 + 1.0 / prior_sd() ** 2
    mean = (said / sd**2 + PRIOR_MEAN / prior_sd() ** 2) / precision
    targets = profile_targets(mean, 1.0 / np.sqrt(precision))
    np.testing.assert_allclose(targets[..., 0], said, atol=1e-5)
    # The surer the profile, the greater the weight, parameter by parameter.
    for parameter in range(25):
        order = np.argsort(sd[:, parameter])
        assert (np.diff(targets[order, parameter, 1]) <= 1e-6).all()
    assert targets[..., 1].mean() == pytest.approx(1.0, rel=1e-5)


def test_a_parameter_that_the_profile_says_nothing_about_has_no_weight():
    x_sd = np.full((3, 25), 0.05)
    x_sd[:, 4] = prior_sd()[4]
    x_sd[:, 7] = 0.4  # wider than the prior, as a short chain may find
    targets = profile_targets(np.full((3, 25), 0.6), x_sd)
    assert (targets[:, [4, 7], 1] == 0).all() and (targets[:, [4, 7], 0] == PRIOR_MEAN).all()
    assert (targets[:, [0, 5], 1] > 0).all()


def test_what_a_silent_profile_says_stays_near_the_box():
    targets = profile_targets(np.full((2, 25), 0.9), 0.999 * np.tile(prior_sd(), (2, 1)))
    assert np.abs(targets[..., 0] - PRIOR_MEAN).max() <= FARTHEST + 1e-6


def test_equal_targets_are_the_means_with_weight_one():
    mean = np.random.default_rng(1).random((5, 25))
    targets = equal_targets(mean)
    np.testing.assert_allclose(targets[..., 0], mean, rtol=1e-6)
    assert (targets[..., 1] == 1).all()


def test_weighted_means_are_the_means_and_the_surer_weigh_more():
    rng = np.random.default_rng(2)
    mean, sd = rng.random((50, 25)), rng.uniform(0.02, 0.3, (50, 25))
    targets = precision_targets(mean, sd)
    np.testing.assert_allclose(targets[..., 0], mean, rtol=1e-6)
    expected = 1.0 / (sd**2 + BETWEEN_SITES * prior_sd() ** 2)
    np.testing.assert_allclose(targets[..., 1], expected / expected.mean(), rtol=1e-5)


def test_a_failed_site_and_missing_widths_are_told():
    mean = np.full((3, 25), 0.5)
    mean[1, 2] = np.nan
    with pytest.raises(InputError, match="not finite for site 1"):
        equal_targets(mean)
    with pytest.raises(InputError, match="expected one standard deviation"):
        profile_targets(np.full((3, 25), 0.5), np.full((2, 25), 0.1))
    with pytest.raises(InputError, match="nothing can be learnt"):
        profile_targets(np.full((3, 25), 0.5), np.full((3, 25), 0.5))
