"""How far a modelled profile is from an observed one (Eq. 5.2 of Tao et al. 2020), as a quadratic form."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.compiled import inlined
from proda.kernels.simd import like, load, store, where_less

END_WEIGHT = 10.0


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
    target: ArrayLike, n_targets: int, operator: NDArray, soc: ArrayLike, weight: ArrayLike, sd: ArrayLike
) -> NDArray[np.float64]:
    """Phi of Eq. 5.2 for each target as a quadratic form of m `node_values`, (m (m + 1) / 2 + m + 1, n_targets).

    An observation, (k,), enters the sum of its `target`; `operator` (k, m) is that of
    `proda.model.observation.layer_operator`, `soc` and its `sd` are in g C m-3. Rows: the lower triangle of the
    products, the values, the constant.
    """
    target, soc = np.asarray(target), np.asarray(soc, dtype=np.float64)
    scale, m = np.asarray(weight) / (2.0 * np.asarray(sd) ** 2), operator.shape[1]
    a, b = np.tril_indices(m)
    forms = np.zeros((a.size + m + 1, n_targets))
    for row, (i, k) in enumerate(zip(a, b, strict=True)):
        terms = operator[:, i] * operator[:, k] * (1.0 if i == k else 2.0)
        if terms.any():
            forms[row] = np.bincount(target, scale * terms, n_targets)
    for k in range(m):
        forms[a.size + k] = np.bincount(target, -2.0 * scale * soc * operator[:, k], n_targets)
    forms[-1] = np.bincount(target, scale * soc**2, n_targets)
    return forms


def first_partners(forms: NDArray, m: int) -> NDArray[np.int64]:
    """The first of the node values that has a product with each of m, (m,), in any of the `forms`; m for none."""
    square = np.zeros((m, m), bool)
    square[np.tril_indices(m)] = forms[: m * (m + 1) // 2].any(axis=1)
    return np.where(square.any(axis=1), square.argmax(axis=1), m)


@inlined
def _end_slope_block(h_end, h_next, end, following):
    slope = ((2.0 * h_end + h_next) / (h_end + h_next)) * end - (h_end / (h_end + h_next)) * following
    slope = where_less(0.0, slope * end, slope, 0.0)
    # Where the two secants turn, the slope is at most three times the end's; both have its sign here.
    limit = where_less(slope * slope, 9.0 * end * end, slope, 3.0 * end)
    return where_less(0.0, end * following, slope, limit)


@inlined
def block_misfit(soc, forms, first, grid, n, values):
    """Phi of `BLOCK_WIDTH` columns whose density stands in the first n rows of `soc`; `forms` is one block.

    `first` is that of `first_partners`; `values` (2 n * BLOCK_WIDTH,) is overwritten by the node values.
    """
    h, h_after = grid[1] - grid[0], grid[2] - grid[1]
    here, after = like(values, load(soc, 0)), like(values, load(soc, 1))
    secant, secant_after = (after - here) * (1.0 / h), (like(values, load(soc, 2)) - after) * (1.0 / h_after)
    finite = here * 0.0  # NaN where any density is none, whether a layer needs it or not
    store(values, 0, here)
    store(values, 1, _end_slope_block(h, h_after, secant, secant_after))
    for k in range(1, n - 1):
        h_after = grid[k + 1] - grid[k]
        here, after = after, like(values, load(soc, k + 1))
        secant_after = (after - here) * (1.0 / h_after)
        same = secant * secant_after
        w1, w2 = 2.0 * h_after + h, h_after + 2.0 * h
        harmonic = (w1 + w2) * same / (w1 * secant_after + w2 * secant)
        finite = finite + here * 0.0
        store(values, 2 * k, here)
        store(values, 2 * k + 1, where_less(0.0, same, harmonic, 0.0))
        h_before, secant_before, h, secant = h, secant, h_after, secant_after
    store(values, 2 * n - 2, after)
    store(values, 2 * n - 1, _end_slope_block(h, h_before, secant, secant_before))
    m = 2 * n
    linear = m * (m + 1) // 2
    phi = load(forms, linear + m) + (finite + after * 0.0)
    for k in range(m):
        if first[k] < m:
            row, total = k * (k + 1) // 2, load(forms, linear + k)
            for i in range(first[k], k + 1):
                total = total + load(forms, row + i) * load(values, i)
            phi = phi + load(values, k) * total
    return phi
