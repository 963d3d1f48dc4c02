"""How far the ranks of a calibration may stray from uniform: a band for all points and all parameters at once.

The empirical distribution function of n ranks is binomial at every point. A band that each point leaves with a small
probability gamma is left somewhere by far more often; gamma is made small enough that all of them together stay inside
with the probability asked for (Saeilynoja, Buerkner and Vehtari 2022, doi 10.1007/s11222-022-10090-6), here over the
points of several parameters, taken as independent.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

_SIMULATIONS = 20_000
_SEED = 20200017


class RankBand(NamedTuple):
    """At the points z (k,) the ECDF of all parameters lies between `low` and `high` (k,), with that probability."""

    z: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def rank_ecdf(ranks: NDArray, n_ranked: int) -> NDArray[np.float64]:
    """Share of ranks (n, ...) that are at most 0, 1, ... n_ranked - 1, (n_ranked, ...)."""
    return np.stack([(ranks <= k).mean(axis=0) for k in range(n_ranked)])


@lru_cache
def rank_band(n: int, n_ranked: int, n_parameters: int, probability: float = 0.95) -> RankBand:
    """The band for the ranks of n simulations among `n_ranked` draws, simultaneous over `n_parameters`."""
    z = np.arange(1, n_ranked + 1) / (n_ranked + 1.0)
    rng = np.random.default_rng(_SEED)
    counts = rng.multinomial(n, np.full(n_ranked + 1, 1.0 / (n_ranked + 1)), size=_SIMULATIONS)
    below = counts.cumsum(axis=1)[:, :-1]
    k = np.arange(n + 1)[:, None]
    # Probability of a count as far out as k or farther, by point.
    tail = 2.0 * np.minimum(binom.cdf(k, n, z), binom.sf(k - 1, n, z))
    least = tail[below, np.arange(n_ranked)].min(axis=1)
    # All parameters stay inside with the probability that one does, to their number.
    gamma = np.quantile(least, 1.0 - probability ** (1.0 / n_parameters))
    low, high = binom.ppf(gamma / 2.0, n, z) / n, binom.ppf(1.0 - gamma / 2.0, n, z) / n
    return RankBand(z, low, high)


def outside_band(ranks: NDArray, n_ranked: int, probability: float = 0.95) -> NDArray[np.bool_]:
    """Which parameters leave the band somewhere, (n_parameters,), for ranks (n, n_parameters)."""
    band = rank_band(len(ranks), n_ranked, ranks.shape[1], probability)
    ecdf = rank_ecdf(ranks, n_ranked)
    return ((ecdf < band.low[:, None]) | (ecdf > band.high[:, None])).any(axis=0)
