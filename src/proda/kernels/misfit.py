"""How far a modelled profile is from an observed one (Eq. 5.2 of Tao et al. 2020), as a quadratic form."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.compiled import inlined
from proda.kernels.simd import load, where_less
from proda.model.configuration import PAPER_COLUMN, Column
from proda.model.observation import curve_weights

END_WEIGHT = 10.0
TERMS = 14  # of an interval: ten products, then four values


def layer_weights(site: ArrayLike, depth: ArrayLike) -> NDArray[np.float64]:
    """Weights of Eq. 5.2, (k,): exp(-depth in m), but 10 for the shallowest and the deepest layer of each `site`."""
    site, depth = np.asarray(site), np.asarray(depth, dtype=np.float64)
    order = np.lexsort((depth, site))
    first = np.ones(site.size, dtype=bool)
    first[1:] = site[order][1:] != site[order][:-1]
    last = np.roll(first, -1)
    weights = np.exp(-depth)
    weights[order[first | last]] = END_WEIGHT
    return weights


def misfit_forms(
    target: ArrayLike,
    n_targets: int,
    depth: ArrayLike,
    soc: ArrayLike,
    weight: ArrayLike,
    sd: ArrayLike,
    column: Column = PAPER_COLUMN,
) -> NDArray[np.float64]:
    """Phi of Eq. 5.2 for each target as a quadratic form, (14 (n_layers - 1) + 1, n_targets).

    An observation, (k,), enters the sum of its `target`; `depth` is in m, `soc` and its `sd` in g C m-3.
    """
    target, soc = np.asarray(target), np.asarray(soc, dtype=np.float64)
    interval, w = curve_weights(depth, column)
    scale = np.asarray(weight) / (2.0 * np.asarray(sd) ** 2)
    a, b = np.triu_indices(4)
    products = scale * w[a] * w[b] * np.where(a == b, 1.0, 2.0)[:, None]
    terms = np.concatenate([products, -2.0 * scale * soc * w])
    forms = np.zeros((column.n_layers - 1, TERMS, n_targets))
    np.add.at(forms, (interval, slice(None), target), terms.T)
    constant = np.bincount(target, scale * soc**2, n_targets)
    return np.concatenate([forms.reshape(-1, n_targets), constant[None]])


@inlined
def _end_slope_block(h_end, h_next, end, following):
    slope = ((2.0 * h_end + h_next) / (h_end + h_next)) * end - (h_end / (h_end + h_next)) * following
    slope = where_less(0.0, slope * end, slope, 0.0)
    # Where the two secants turn, the slope is at most three times the end's; both have its sign here.
    limit = where_less(slope * slope, 9.0 * end * end, slope, 3.0 * end)
    return where_less(0.0, end * following, slope, limit)


@inlined
def block_misfit(soc, forms, grid, n):
    """Phi of `BLOCK_WIDTH` columns whose density stands in the first n rows of `soc`; `forms` is one block."""
    phi = load(forms, TERMS * (n - 1))
    h = grid[1] - grid[0]
    h_after = grid[2] - grid[1]
    upper, lower, below = load(soc, 0), load(soc, 1), load(soc, 2)
    secant, secant_after = (lower - upper) * (1.0 / h), (below - lower) * (1.0 / h_after)
    slope = _end_slope_block(h, h_after, secant, secant_after)
    for k in range(n - 1):
        if k < n - 2:
            h_after = grid[k + 2] - grid[k + 1]
            secant_after = (load(soc, k + 2) - lower) * (1.0 / h_after)
            same = secant * secant_after
            w1, w2 = 2.0 * h_after + h, h_after + 2.0 * h
            harmonic = (w1 + w2) * same / (w1 * secant_after + w2 * secant)
            slope_after = where_less(0.0, same, harmonic, 0.0)
        else:
            h_before = grid[k] - grid[k - 1]
            secant_before = (upper - load(soc, k - 1)) * (1.0 / h_before)
            slope_after = _end_slope_block(h, h_before, secant, secant_before)
        row = TERMS * k
        phi = phi + upper * (
            load(forms, row) * upper
            + load(forms, row + 1) * lower
            + load(forms, row + 2) * slope
            + load(forms, row + 3) * slope_after
            + load(forms, row + 10)
        )
        phi = phi + lower * (
            load(forms, row + 4) * lower
            + load(forms, row + 5) * slope
            + load(forms, row + 6) * slope_after
            + load(forms, row + 11)
        )
        phi = phi + slope * (load(forms, row + 7) * slope + load(forms, row + 8) * slope_after + load(forms, row + 12))
        phi = phi + slope_after * (load(forms, row + 9) * slope_after + load(forms, row + 13))
        upper, slope, secant, h = lower, slope_after, secant_after, h_after
        if k < n - 2:
            lower = load(soc, k + 2)
    return phi
