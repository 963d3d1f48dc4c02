"""The steady state of the seven pools in every layer, solved by structure instead of as one dense matrix.

Eq. 2 of Tao et al. 2020, (V - A K) C = u, is triangular by pools; the soil pools form 3 x 3 blocks. Every block is an
M-matrix kept as its off-diagonal rates and its column sums, so that pools are sums and products of positive numbers,
accurate and never negative (Grassmann, Taksar and Heyman 1985; O'Cinneide 1993).
"""

from typing import Any

import numpy as np

from proda.model.configuration import PAPER, Configuration, checked_parameters, validated
from proda.model.forcing import AnyForcing
from proda.model.rates import NUMPY, Exchange, Namespace, Rates, carbon_input, decay_and_mixing

POOLS = ("CWD", "L1", "L2", "L3", "S1", "S2", "S3")


def steady_state(
    theta: Any, forcing: AnyForcing, configuration: Configuration = PAPER, namespace: Namespace = NUMPY
) -> Any:
    """Carbon in the seven pools at steady state, (7, n_layers, n), g C m-3, pools in the order of `POOLS`.

    Raises an InputError for implausible physical parameters `theta`, (n_parameters, n), or forcing, but not with the
    `namespace` `jax_namespace()`: use `validated` and `checked_parameters` beforehand.
    """
    if namespace is NUMPY:
        forcing = validated(forcing, configuration)
        theta = checked_parameters(theta, forcing.n_columns, configuration)
    fresh = carbon_input(theta, forcing, configuration, namespace)
    nothing = namespace.xp.zeros((3, *fresh.shape[1:]))
    source = namespace.xp.concatenate([fresh, nothing])
    return balanced_pools(decay_and_mixing(theta, forcing, configuration, namespace), source, namespace=namespace)


def balanced_pools(rates: Rates, source: Any, per_day: Any = 0.0, namespace: Namespace = NUMPY) -> Any:
    """Solution C of (V - A K + s) C = u, (7, n_layers, n), g C m-3.

    `source`, (7, n_layers, n), g C m-2 day-1, is u times thickness; `per_day`, day-1, is s: one over an implicit step.
    """
    xp = namespace.xp
    storage = rates.thickness[:, None] * per_day
    tau_cwd, tau_l1, tau_l23, tau_s1, tau_s2, tau_s3 = rates.turnover
    fl1s1, fl2s1, fl3s2, fs1s2, fs1s3, fs2s1, fs2s3, fs3s1, fcwdl2 = rates.passed

    decay = rates.soil / tau_cwd
    cwd = source[0] / (decay + storage)
    # Not decay times density: where hardly any carbon enters, the derivatives of the two would underflow, not cancel.
    woody = decay / (decay + storage) * source[0]
    (l1,) = _tridiagonal_solution(rates.litter / tau_l1 + storage, rates.exchange, (source[1],), namespace)
    fresh = source[2] + fcwdl2 * woody, source[3] + (1.0 - fcwdl2) * woody
    l2, l3 = _tridiagonal_solution(rates.litter / tau_l23 + storage, rates.exchange, fresh, namespace)

    to_fast = rates.litter * (fl1s1 / tau_l1 * l1 + fl2s1 / tau_l23 * l2)
    to_slow = rates.litter * (fl3s2 / tau_l23 * l3)
    transfer = fs2s1 / tau_s2, fs3s1 / tau_s3, fs1s2 / tau_s1, 0.0 * fs1s2, fs1s3 / tau_s1, fs2s3 / tau_s2
    respired = (1.0 - fs1s2 - fs1s3) / tau_s1, (1.0 - fs2s1 - fs2s3) / tau_s2, (1.0 - fs3s1) / tau_s3
    soil_source = source[4] + to_fast, source[5] + to_slow, source[6]
    s1, s2, s3 = _soil_pools(rates.soil, transfer, respired, storage, rates.exchange, soil_source, namespace)
    return xp.stack([cwd, l1, l2, l3, s1, s2, s3])


def _tridiagonal_solution(loss: Any, exchange: Exchange, source: tuple, namespace: Namespace) -> tuple:
    """Density, g C m-3, of pools that lose `loss`, m day-1, mix and receive `source`, g C m-2 day-1, one for each."""

    def eliminate(carry: tuple, layer: tuple) -> tuple:
        from_above, supplied_above = carry
        loss, downward, upward, source = layer
        loss = loss + from_above
        per_pivot = 1.0 / (loss + downward)
        supply = tuple(s + h for s, h in zip(source, supplied_above, strict=True))
        passed = upward * per_pivot
        return (passed * loss, tuple(passed * s for s in supply)), (per_pivot, supply)

    def substitute(below: tuple, layer: tuple) -> tuple:
        per_pivot, supply, downward = layer
        density = tuple((s + downward * b) * per_pivot for s, b in zip(supply, below, strict=True))
        return density, density

    zero = namespace.xp.zeros_like(loss[0])
    nothing = (zero,) * len(source)
    _, (per_pivot, supply) = namespace.scan(eliminate, (zero, nothing), (loss, *exchange, source))
    _, density = namespace.scan(substitute, nothing, (per_pivot, supply, exchange.downward), reverse=True)
    return density


def _soil_pools(
    decay: Any, transfer: tuple, respired: tuple, storage: Any, exchange: Exchange, source: tuple, namespace: Namespace
) -> tuple:
    """Density of the fast, slow and passive soil pools, three arrays (n_layers, n), g C m-3.

    Rates of `transfer`, yr-1, lead to pool 1 from 2 and 3, to 2 from 1 and 3, to 3 from 1 and 2.
    """

    def eliminate(carry: tuple, layer: tuple) -> tuple:
        rates_above, lost_above, supplied_above = carry
        decay, storage, downward, upward, source = layer
        rates = tuple(decay * t + above for t, above in zip(transfer, rates_above, strict=True))
        lost = tuple(decay * r + storage + above for r, above in zip(respired, lost_above, strict=True))
        inverse = m_matrix_inverse(rates, tuple(leak + downward for leak in lost))
        supply = tuple(s + h for s, h in zip(source, supplied_above, strict=True))
        held = _product(inverse, supply)
        # Seen from below, what is exchanged upwards comes back as another pool (rates) or not at all (lost).
        (_, p12, p13), (p21, _, p23), (p31, p32, _) = inverse
        there_and_back = upward * downward
        rates_below = tuple(there_and_back * p for p in (p12, p13, p21, p23, p31, p32))
        lost_below = tuple(upward * leak for leak in _product(tuple(zip(*inverse, strict=True)), lost))
        return (rates_below, lost_below, tuple(upward * h for h in held)), (inverse, held)

    def substitute(below: tuple, layer: tuple) -> tuple:
        inverse, held, downward = layer
        risen = _product(inverse, tuple(downward * b for b in below))
        density = tuple(h + r for h, r in zip(held, risen, strict=True))
        return density, density

    zero = namespace.xp.zeros_like(decay[0])
    none, nothing = (zero,) * 6, (zero,) * 3
    layers = decay, storage, *exchange, source
    _, (inverse, held) = namespace.scan(eliminate, (none, nothing, nothing), layers)
    _, density = namespace.scan(substitute, nothing, (inverse, held, exchange.downward), reverse=True)
    return density


def _product(matrix: tuple, vector: tuple) -> tuple:
    return tuple(row[0] * vector[0] + row[1] * vector[1] + row[2] * vector[2] for row in matrix)


def m_matrix_inverse(rates: Any, leak: Any) -> tuple:
    """Rows of the inverse of a 3 x 3 M-matrix given by its transfer rates and column sums, without a subtraction.

    `rates` are the negated off-diagonal elements in the order 12, 13, 21, 23, 31, 32 (matrix-tree theorem).
    """
    # Cofactors are products of two rates and the determinant of three: far down, where decomposition all but stops,
    # they would leave the range of floating point. Quotients, not products with a reciprocal: XLA keeps quotients and
    # computes products again wherever they are used.
    size = rates[0] + rates[1] + rates[2] + leak[0] + leak[1] + leak[2]
    a12, a13, a21, a23, a31, a32 = (rate / size for rate in rates)
    r1, r2, r3 = (rate / size for rate in leak)
    d1, d2, d3 = r1 + a21 + a31, r2 + a12 + a32, r3 + a13 + a23
    c11 = (r2 + a12) * d3 + a32 * (r3 + a13)
    c22 = (r1 + a21) * d3 + a31 * (r3 + a23)
    c33 = (r1 + a31) * d2 + a21 * (r2 + a32)
    c12, c13 = a12 * d3 + a13 * a32, a12 * a23 + a13 * d2
    c21, c23 = a21 * d3 + a23 * a31, a23 * d1 + a21 * a13
    c31, c32 = a31 * d2 + a32 * a21, a32 * d1 + a31 * a12
    scale = 1.0 / ((r1 * c11 + r2 * c21 + r3 * c31) * size)
    return (
        (c11 * scale, c12 * scale, c13 * scale),
        (c21 * scale, c22 * scale, c23 * scale),
        (c31 * scale, c32 * scale, c33 * scale),
    )


def soc_density(pools: Any) -> Any:
    """Soil organic carbon, the three soil pools together, (n_layers, n), g C m-3, in `cesm2` also below bedrock."""
    return pools[4] + pools[5] + pools[6]


def soc_stock(pools: Any, forcing: AnyForcing, configuration: Configuration = PAPER, depth: float = np.inf) -> Any:
    """Soil organic carbon above bedrock and above `depth` (m), (n,), g C m-2; `pools` are (7, n_layers, n)."""
    within = np.maximum(depth - configuration.column.top[:, None], 0.0)
    return (np.minimum(within, configuration.soil_thickness(forcing)) * soc_density(pools)).sum(axis=0)
