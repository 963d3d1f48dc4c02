"""Convergence of many chains at once: the paper's Gelman-Rubin factor, rank-normalised R-hat, bulk and tail ESS.

ArviZ takes some 40 ms for each parameter of each site; these are the same definitions (Vehtari et al. 2021), compiled.
"""

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from proda.compiled import INLINED, inlined, kept_compiled


def gelman_rubin(draws: NDArray) -> NDArray[np.float64]:
    """Potential scale reduction of Eq. 9-10, (...), for draws (..., chain, draw).

    NaN for a series that never moved, infinite for chains that never moved from different values.
    """
    n = draws.shape[-1]
    # Relative to its start a chain that never moves is exactly zero; relative to its mean it is off by rounding.
    start = draws[..., 0]
    moved = draws - start[..., None]
    within = moved.var(axis=-1, ddof=1).mean(axis=-1)
    between = n * (moved.mean(axis=-1) + start - start[..., :1]).var(axis=-1, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt((within * (n - 1) / n + between / n) / within)


class Convergence(NamedTuple):
    """Rank-normalised split R-hat, the greater of bulk and tail, and effective sample sizes, of each series."""

    rhat: NDArray[np.float64]
    ess_bulk: NDArray[np.float64]
    ess_tail: NDArray[np.float64]


TAILS = (0.05, 0.95)  # quantiles of the tail ESS, ArviZ's for as long as it had no setting


def convergence(draws: NDArray) -> Convergence:
    """Rank-normalised split R-hat, bulk and tail ESS of draws (..., chain, draw).

    NaN for a series that never moved or holds a NaN.
    """
    shape = draws.shape[:-2]
    n_half = draws.shape[-1] // 2
    # An odd last draw cannot belong to either half.
    halves = np.concatenate([draws[..., :n_half], draws[..., -n_half:]], axis=-2)
    series = np.ascontiguousarray(halves.reshape(-1, *halves.shape[-2:]), dtype=np.float64)
    n_chains = series.shape[1]
    total = n_chains * n_half
    # Tied values share the mean of their ranks, so ranks are multiples of one half.
    quantile = ndtri((np.arange(2 * total + 1) / 2.0 - 0.375) / (total + 0.25))
    flat = series.reshape(len(series), -1)
    # NumPy sorts many rows several times faster than a compiled loop does.
    order = flat.argsort(axis=1)
    ordered = np.take_along_axis(flat, order, axis=1)
    every = ordered if draws.shape[-1] % 2 == 0 else np.sort(draws.reshape(len(flat), -1), axis=1)
    place = np.array(TAILS) * (every.shape[1] - 1)
    below = np.floor(place).astype(int)
    lower, upper = every[:, below].astype(np.float64), every[:, below + 1].astype(np.float64)
    tails = lower + (place - below) * (upper - lower)
    folded = np.abs(flat - 0.5 * (ordered[:, (total - 1) // 2] + ordered[:, total // 2])[:, None])
    result = np.empty((3, len(flat)))
    _fill_convergence(flat, order, folded, folded.argsort(axis=1), quantile, tails, n_chains, result)
    result[:, np.isnan(draws).any(axis=(-2, -1)).ravel()] = np.nan  # NaN has no rank
    return Convergence(*result.reshape(3, *shape))


@kept_compiled
def _fill_convergence(flat, flat_order, folded, folded_order, quantile, tails, n_chains, result):
    scores = np.empty((n_chains, flat.shape[1] // n_chains))
    of_chain = scores.ravel()
    for i in range(flat.shape[0]):
        _fill_scores(flat[i], flat_order[i], quantile, scores)
        bulk = _rhat(scores)
        if np.isnan(bulk):
            result[:, i] = np.nan
            continue
        result[1, i] = _ess(scores)
        _fill_scores(folded[i], folded_order[i], quantile, scores)
        result[0, i] = max(bulk, _rhat(scores))
        tail = np.inf
        for edge in tails[i]:
            for k in range(of_chain.size):
                of_chain[k] = 1.0 if flat[i, k] <= edge else 0.0
            tail = min(tail, _ess(scores))
        result[2, i] = tail


@inlined
def _fill_scores(values, order, quantile, scores):
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


@inlined
def _moments(scores):
    n_chains, n = scores.shape
    means = np.empty(n_chains)
    within = 0.0
    for c in range(n_chains):
        means[c] = scores[c].mean()
        within += ((scores[c] - means[c]) ** 2).sum() / (n - 1.0) / n_chains
    return means, within, ((means - means.mean()) ** 2).sum() / (n_chains - 1.0)


@inlined
def _rhat(scores):
    n = scores.shape[1]
    _, within, between = _moments(scores)
    return np.sqrt((n - 1.0) / n + between / within) if within > 0.0 else np.nan


# Sums may be taken in any order, which makes them eight times faster; not a number stays what it is.
@nb.njit(fastmath={"contract", "reassoc", "nsz"}, **INLINED)
def _lagged_products(centred, lag):
    n_chains, n = centred.shape
    total = 0.0
    for c in range(n_chains):
        row = centred[c]
        for t in range(n - lag):
            total += row[t] * row[t + lag]
    return total / (n * n_chains)


@inlined
def _ess(scores):
    """Effective sample size by Geyer's initial monotone sequence (Vehtari et al. 2021, Eq. 10)."""
    n_chains, n = scores.shape
    size = n_chains * n
    means, within, between = _moments(scores)
    total = within * (n - 1.0) / n + between
    if not total > 0.0:
        # Such as an indicator of the tail of a series without one; the caller excludes a series that never moved.
        return float(size)
    centred = scores - means.reshape(-1, 1)
    even, odd = 1.0, 1.0 - (within - _lagged_products(centred, 1)) / total
    pair, sum_of_pairs, lag = even + odd, 0.0, 1
    while lag < n - 3 and even + odd > 0.0:
        pair = min(pair, even + odd)
        sum_of_pairs += pair
        even = 1.0 - (within - _lagged_products(centred, lag + 1)) / total
        odd = 1.0 - (within - _lagged_products(centred, lag + 2)) / total
        lag += 2
    tau = -1.0 + 2.0 * sum_of_pairs + max(even, 0.0)
    return size / max(tau, 1.0 / np.log10(size))
