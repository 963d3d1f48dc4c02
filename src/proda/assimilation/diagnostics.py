"""Convergence of many chains at once: the paper's Gelman-Rubin factor, rank-normalised R-hat and bulk ESS.

ArviZ takes some 40 ms for each parameter of each site, hours for a continent. These are the same definitions (Vehtari
et al. 2021), compiled, for any number of series; the tests hold them against ArviZ.
"""

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from proda.compiled import kept_compiled


def gelman_rubin(draws: NDArray) -> NDArray[np.float64]:
    """Potential scale reduction of Eq. 9-10, (...), for draws (..., chain, draw).

    ``Bv = N/(K-1) sum (mean_k - mean)^2``, ``W`` the mean within-chain variance, ``sqrt((W (N-1)/N + Bv/N)/W)``.
    NaN for a series that never moved, infinite for chains that stand still apart.
    """
    n = draws.shape[-1]
    # Seen from its start a chain that stands still is exactly zero; its own mean differs from it by rounding.
    start = draws[..., 0]
    moved = draws - start[..., None]
    within = moved.var(axis=-1, ddof=1).mean(axis=-1)
    between = n * (moved.mean(axis=-1) + start - start[..., :1]).var(axis=-1, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt((within * (n - 1) / n + between / n) / within)


class Convergence(NamedTuple):
    """`rhat` (rank-normalised, split, the greater of bulk and tail) and `ess_bulk`, each of the series' shape."""

    rhat: NDArray[np.float64]
    ess_bulk: NDArray[np.float64]


def convergence(draws: NDArray) -> Convergence:
    """Rank-normalised split R-hat and bulk effective sample size for draws (..., chain, draw).

    A series that never moved has no rank order: NaN for both.
    """
    shape = draws.shape[:-2]
    n_half = draws.shape[-1] // 2
    # An odd last draw cannot belong to either half.
    halves = np.concatenate([draws[..., :n_half], draws[..., -n_half:]], axis=-2)
    series = np.ascontiguousarray(halves.reshape(-1, *halves.shape[-2:]), dtype=np.float64)
    total = halves.shape[-2] * n_half
    # Tied values share the mean of their ranks, so ranks are multiples of one half.
    quantile = ndtri((np.arange(2 * total + 1) / 2.0 - 0.375) / (total + 0.25))
    rhat, ess = np.empty(len(series)), np.empty(len(series))
    flat = series.reshape(len(series), -1)
    folded = np.abs(flat - np.median(flat, axis=1, keepdims=True))
    # NumPy sorts many rows several times faster than a compiled loop does.
    _fill_convergence(flat, flat.argsort(axis=1), folded, folded.argsort(axis=1), quantile, series.shape[1], rhat, ess)
    return Convergence(rhat.reshape(shape), ess.reshape(shape))


@kept_compiled
def _fill_convergence(flat, flat_order, folded, folded_order, quantile, n_chains, rhat, ess):
    scores = np.empty((n_chains, flat.shape[1] // n_chains))
    for i in range(flat.shape[0]):
        _fill_scores(flat[i], flat_order[i], quantile, scores)
        bulk = _rhat(scores)
        ess[i] = _ess(scores)
        _fill_scores(folded[i], folded_order[i], quantile, scores)
        rhat[i] = max(bulk, _rhat(scores))


@nb.njit
def _fill_scores(values, order, quantile, scores):
    """Normal scores of the ranks of `values`, which `order` sorts, in their own order."""
    flat = scores.ravel()
    start = 0
    while start < order.size:
        stop = start + 1
        while stop < order.size and values[order[stop]] == values[order[start]]:
            stop += 1
        score = quantile[start + 1 + stop]  # twice the mean of the ranks start + 1 .. stop
        for k in range(start, stop):
            flat[order[k]] = score
        start = stop


@nb.njit
def _moments(scores):
    n_chains, n = scores.shape
    means = np.empty(n_chains)
    within = 0.0
    for c in range(n_chains):
        means[c] = scores[c].mean()
        within += ((scores[c] - means[c]) ** 2).sum() / (n - 1.0) / n_chains
    return means, within, ((means - means.mean()) ** 2).sum() / (n_chains - 1.0)


@nb.njit
def _rhat(scores):
    n = scores.shape[1]
    _, within, between = _moments(scores)
    return np.sqrt((n - 1.0) / n + between / within) if within > 0.0 else np.nan


@nb.njit
def _autocorrelation(scores, means, lag, within, total):
    """Combined over chains (Vehtari et al. 2021, Eq. 10)."""
    n_chains, n = scores.shape
    covariance = 0.0
    for c in range(n_chains):
        for t in range(n - lag):
            covariance += (scores[c, t] - means[c]) * (scores[c, t + lag] - means[c])
    return 1.0 - (within - covariance / (n * n_chains)) / total


@nb.njit
def _ess(scores):
    """Effective sample size by Geyer's initial monotone sequence of pairs of autocorrelations."""
    n_chains, n = scores.shape
    means, within, between = _moments(scores)
    if not within > 0.0:
        return np.nan
    total = within * (n - 1.0) / n + between
    even, odd = 1.0, _autocorrelation(scores, means, 1, within, total)
    pair, sum_of_pairs, lag = even + odd, 0.0, 1
    while lag < n - 3 and even + odd > 0.0:
        pair = min(pair, even + odd)
        sum_of_pairs += pair
        even = _autocorrelation(scores, means, lag + 1, within, total)
        odd = _autocorrelation(scores, means, lag + 2, within, total)
        lag += 2
    tau = -1.0 + 2.0 * sum_of_pairs + max(even, 0.0)
    size = n_chains * n
    return size / max(tau, 1.0 / np.log10(size))
