"""What a site teaches a network: the mean of its posterior, or what its profile alone has said, and how surely.

The mean of a posterior lies between what the profile says and the middle of the prior, the nearer to the latter the
less the profile says. A network taught such means with equal weights learns the prior where profiles are silent. The
prior can be taken out again: with a posterior of mean m and variance s2 and a prior of mean m0 and variance s02, both
taken as normal, the profile alone has the precision t = 1/s2 - 1/s02 and says (m/s2 - m0/s02)/t.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.assimilation.prior import prior_sd
from proda.errors import InputError

PRIOR_MEAN = 0.5
# Two profiles at one place have posteriors that differ: a target is never surer than sites differ from one another,
# as a part of the prior's variance (a choice; it only caps the weights).
BETWEEN_SITES = 0.25
# A profile that says next to nothing can say it far outside the box; its small weight goes with it.
FARTHEST = 1.0


def equal_targets(x_mean: ArrayLike) -> NDArray[np.float32]:
    """Posterior means, all with weight 1: the paper's targets, (n, 25, 2)."""
    x_mean = _checked(x_mean, "x_mean")
    return np.stack([x_mean, np.ones_like(x_mean)], axis=-1).astype(np.float32)


def precision_targets(x_mean: ArrayLike, x_sd: ArrayLike) -> NDArray[np.float32]:
    """Posterior means, weighted by their precision, (n, 25, 2): the prior stays in the mean, and in its weight.

    The weight is 1/(s2 + v), with v the variance between sites (`BETWEEN_SITES`), scaled to a mean of 1.

    Parameters
    ----------
    x_mean, x_sd : (n, 25)
        Posterior mean and standard deviation, unit cube.
    """
    x_mean, x_sd = _checked_pair(x_mean, x_sd)
    weight = 1.0 / (x_sd**2 + BETWEEN_SITES * prior_sd() ** 2)
    return np.stack([x_mean, weight / weight.mean()], axis=-1).astype(np.float32)


def profile_targets(x_mean: ArrayLike, x_sd: ArrayLike) -> NDArray[np.float32]:
    """What the profiles alone say, and weights, (n, 25, 2): the prior is taken out of every posterior.

    The weight is 1/(1/t + v), with t the precision of the profile and v the variance between sites (`BETWEEN_SITES`),
    scaled so that its mean is 1 over all sites and parameters. A parameter whose posterior is as wide as its prior, or
    wider, has weight 0 and stands at the prior's mean.

    Parameters
    ----------
    x_mean, x_sd : (n, 25)
        Posterior mean and standard deviation, unit cube.
    """
    x_mean, x_sd = _checked_pair(x_mean, x_sd)
    of_prior = prior_sd() ** 2
    variance = np.maximum(x_sd**2, 1e-6 * of_prior)
    precision = np.maximum(1.0 / variance - 1.0 / of_prior, 0.0)
    told = precision > 1e-9 / of_prior
    safe = np.where(told, precision, 1.0)
    said = np.where(told, (x_mean / variance - PRIOR_MEAN / of_prior) / safe, PRIOR_MEAN)
    said = np.clip(said, PRIOR_MEAN - FARTHEST, PRIOR_MEAN + FARTHEST)
    weight = np.where(told, 1.0 / (1.0 / safe + BETWEEN_SITES * of_prior), 0.0)
    mean = weight.mean()
    if mean <= 0.0:
        raise InputError(f"no parameter of the {len(x_mean)} sites is narrower than its prior: nothing can be learnt.")
    return np.stack([said, weight / mean], axis=-1).astype(np.float32)


def _checked_pair(x_mean: ArrayLike, x_sd: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x_mean, x_sd = _checked(x_mean, "x_mean"), _checked(x_sd, "x_sd")
    if x_mean.shape != x_sd.shape or (x_sd < 0.0).any():
        raise InputError(f"x_sd of shape {x_sd.shape} with least value {x_sd.min():g} for x_mean {x_mean.shape}: "
                         "expected one standard deviation, not negative, for every mean.")  # fmt: skip
    return x_mean, x_sd


def _checked(values: ArrayLike, what: str) -> NDArray[np.float64]:
    values = np.asarray(values, dtype=np.float64)
    bad = ~np.isfinite(values)
    if values.ndim != 2 or bad.any():
        where = f"is not finite for site {int(np.argmax(bad.any(axis=1)))}" if values.ndim == 2 else "has no rows"
        raise InputError(f"{what}, shape {values.shape}, {where}: expected (n_sites, 25) finite numbers. Leave out "
                         "sites whose chains failed (site_status.csv).")  # fmt: skip
    return values
