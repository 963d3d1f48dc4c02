"""The positive share of the carbon input to coarse woody debris."""

import numpy as np
import pytest

from proda.errors import InputError
from proda.model.parameters import LEAST_CWD_SHARE, PAPER_PARAMETERS, SHARES, cwd_share, with_positive_cwd_share


def share(x: np.ndarray) -> np.ndarray:
    span = PAPER_PARAMETERS.maximum - PAPER_PARAMETERS.minimum
    return cwd_share((PAPER_PARAMETERS.minimum + x * span).T)


def test_only_places_without_a_cwd_share_are_changed_and_only_in_their_shares(rng):
    x = rng.random((5000, 25))
    fixed, changed = with_positive_cwd_share(x)
    assert (changed == (share(x) < LEAST_CWD_SHARE)).all()
    assert 0.05 < changed.mean() < 0.4
    others = np.setdiff1d(np.arange(25), SHARES)
    np.testing.assert_array_equal(fixed[:, others], x[:, others])
    np.testing.assert_array_equal(fixed[~changed], x[~changed])


def test_changed_places_keep_the_least_share_the_prior_box_and_their_proportions(rng):
    x = rng.random((5000, 25))
    fixed, changed = with_positive_cwd_share(x)
    np.testing.assert_allclose(share(fixed)[changed], LEAST_CWD_SHARE, atol=1e-12)
    assert fixed.min() >= 0.0 and fixed.max() <= 1.0
    factor = fixed[changed][:, SHARES] / x[changed][:, SHARES]
    np.testing.assert_allclose(factor, factor[:, :1] * np.ones(3), rtol=1e-12)


def test_the_input_is_not_written_to():
    x = np.ones((3, 25))
    with_positive_cwd_share(x)
    assert (x == 1.0).all()


def test_parameters_along_the_wrong_axis_are_refused():
    with pytest.raises(InputError, match=r"\(25, 40\).*\(n, 25\)"):
        with_positive_cwd_share(np.zeros((25, 40)))
