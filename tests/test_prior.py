"""The prior of the parameters on the unit cube."""

import numpy as np

from proda.model.parameters import CONSTRAINED_BELOW, PAPER_PARAMETERS, SHARES, cwd_share, prior_sd


def test_the_prior_of_the_shares_is_narrower_as_a_sample_of_it_shows(rng):
    x = rng.random((400_000, 25))
    theta = PAPER_PARAMETERS.minimum + x * (PAPER_PARAMETERS.maximum - PAPER_PARAMETERS.minimum)
    np.testing.assert_allclose(prior_sd(), x[cwd_share(theta.T) > 0.0].std(axis=0), rtol=4e-3)


def test_only_the_shares_differ_from_the_uniform_and_none_so_much_as_to_count_as_constrained():
    ratio = prior_sd() * np.sqrt(12)
    np.testing.assert_allclose(np.delete(ratio, SHARES), 1.0, rtol=1e-12)
    assert (ratio[list(SHARES)] < 0.999).all() and ratio[PAPER_PARAMETERS.index("p4ml")] < 0.95
    assert ratio.min() > CONSTRAINED_BELOW
