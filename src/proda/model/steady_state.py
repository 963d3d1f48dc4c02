"""The steady state of the seven pools in every layer, solved by structure instead of as one dense matrix.

Eq. 2 of Tao et al. 2020, (V - A K) C = u, is triangular by pools. Coarse woody debris does not move, so its outflow is
its input. Metabolic litter is one tridiagonal system; cellulose and lignin share another. The three soil pools feed one
another and form a block-tridiagonal system of 3 x 3 blocks whose off-diagonal blocks are multiples of the identity.

Rows are multiplied by the layers' thickness, which makes the mixing symmetric. A pivot is then never formed by
subtraction: every block is an M-matrix kept as its off-diagonal rates and its column sums (what leaves by respiration
and by mixing), so all pools are sums and products of positive numbers, accurate and never negative wherever the
parameters lie (Grassmann, Taksar and Heyman 1985; O'Cinneide 1993).
"""

from typing import Any

from proda.model.column import DAYS_PER_YEAR, PAPER_COLUMN, Column
from proda.model.fluxes import carbon_input, decomposition_scalar, exchange_velocity
from proda.model.forcing import Forcing
from proda.model.namespace import NUMPY, Namespace

POOLS = ("CWD", "L1", "L2", "L3", "S1", "S2", "S3")


def steady_state(theta: Any, forcing: Forcing, column: Column = PAPER_COLUMN, namespace: Namespace = NUMPY) -> Any:
    """Carbon in the seven pools at steady state, (7, n_layers, n), g C m-3, pools in the order of `POOLS`.

    Parameters
    ----------
    theta : (25, n)
        Physical parameters (`parameters.physical`).
    forcing : Forcing
        Of the same n columns.
    namespace : Namespace
        `NUMPY`, or `jax_namespace()` to differentiate and to run on an accelerator.
    """
    nothing = namespace.xp.zeros((len(POOLS), column.n_layers, forcing.n_columns))
    return balanced_pools(theta, forcing, nothing, 0.0, column, namespace)


def balanced_pools(
    theta: Any,
    forcing: Forcing,
    held: Any,
    per_day: Any,
    column: Column = PAPER_COLUMN,
    namespace: Namespace = NUMPY,
) -> Any:
    """Solution C of (V - A K + I/dt) C = u + held/dt: the steady state, or one implicit step in time.

    Parameters
    ----------
    held : (7, n_layers, n), g C m-3
        The pools before the step.
    per_day : float or (n,), day-1
        1/dt; zero for the steady state.
    """
    xp = namespace.xp
    thickness = column.thickness[:, None]
    decay = thickness * decomposition_scalar(theta, forcing, column, namespace) / DAYS_PER_YEAR
    exchange = exchange_velocity(theta, forcing, column)
    exchange = xp.concatenate([exchange, xp.zeros_like(exchange[:1])])
    storage = thickness * per_day * xp.ones_like(decay)
    cwd_in, metabolic_in, cellulose_in, lignin_in = carbon_input(theta, forcing, column, namespace)
    before = [storage * pool for pool in held]

    tau_cwd, tau_l1, tau_l23, tau_s1, tau_s2, tau_s3 = theta[4:10]
    to_cellulose = theta[18]
    cwd = (cwd_in + before[0]) / (decay / tau_cwd + storage)
    woody = decay / tau_cwd * cwd
    cellulose = cellulose_in + to_cellulose * woody + before[2]
    lignin = lignin_in + (1.0 - to_cellulose) * woody + before[3]
    metabolic = metabolic_in + before[1]
    (l1,) = tridiagonal_solution(decay / tau_l1 + storage, exchange, metabolic[:, None], namespace).swapaxes(0, 1)
    sources = xp.stack([cellulose, lignin], axis=1)
    l2, l3 = tridiagonal_solution(decay / tau_l23 + storage, exchange, sources, namespace).swapaxes(0, 1)

    fl1s1, fl2s1, fl3s2, fs1s2, fs1s3, fs2s1, fs2s3, fs3s1 = theta[10:18]
    out_l1, out_l2, out_l3 = decay / tau_l1 * l1, decay / tau_l23 * l2, decay / tau_l23 * l3
    soil_input = [fl1s1 * out_l1 + fl2s1 * out_l2 + before[4], fl3s2 * out_l3 + before[5], before[6]]
    none = xp.zeros_like(fs1s2)
    # Rates from j to i are ordered 12, 13, 21, 23, 31, 32; passive carbon returns to the fast pool alone.
    transfer = xp.stack([fs2s1 / tau_s2, fs3s1 / tau_s3, fs1s2 / tau_s1, none, fs1s3 / tau_s1, fs2s3 / tau_s2])
    respired = xp.stack([(1.0 - fs1s2 - fs1s3) / tau_s1, (1.0 - fs2s1 - fs2s3) / tau_s2, (1.0 - fs3s1) / tau_s3])
    rates = decay[:, None] * transfer
    lost = decay[:, None] * respired + storage[:, None]
    s1, s2, s3 = soil_pools(rates, lost, exchange, xp.stack(soil_input, axis=1), namespace).swapaxes(0, 1)
    return xp.stack([cwd, l1, l2, l3, s1, s2, s3])


def tridiagonal_solution(decay: Any, exchange: Any, source: Any, namespace: Namespace = NUMPY) -> Any:
    """Density of pools that decay, mix and receive `source`, (n_layers, pools, n), g C m-3.

    Parameters
    ----------
    decay : (n_layers, n), m day-1
        Decay rate times thickness.
    exchange : (n_layers, n), m day-1
        Velocity of exchange with the layer below; zero in the last row.
    source : (n_layers, pools, n), g C m-2 day-1
    """
    xp = namespace.xp

    def eliminate(carry: Any, layer: Any) -> Any:
        from_above, handed_down = carry
        decay, exchange, source = layer
        loss = decay + from_above
        pivot = loss + exchange
        supply = source + handed_down
        passed = exchange / pivot
        return (passed * loss, passed * supply), (pivot, supply)

    def substitute(below: Any, layer: Any) -> Any:
        pivot, supply, exchange = layer
        density = (supply + exchange * below) / pivot
        return density, (density,)

    nothing = xp.zeros_like(source[0])
    _, (pivot, supply) = namespace.scan(eliminate, (xp.zeros_like(decay[0]), nothing), (decay, exchange, source))
    _, (density,) = namespace.scan(substitute, nothing, (pivot, supply, exchange), reverse=True)
    return density


def m_matrix_inverse(rates: Any, leak: Any) -> tuple:
    """Rows of the inverse of a 3 x 3 M-matrix given by its transfer rates and column sums, without a subtraction.

    `rates` are the negated off-diagonal elements in the order 12, 13, 21, 23, 31, 32; `leak` the three column sums.
    All nine elements are non-negative: cofactors and determinant are sums over the ways carbon can leave
    (the matrix-tree theorem).
    """
    # Cofactors are products of two rates and the determinant of three: far down, where decomposition all but stops,
    # they would leave the range of floating point.
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


def soil_pools(rates: Any, lost: Any, exchange: Any, source: Any, namespace: Namespace = NUMPY) -> Any:
    """Density of the fast, slow and passive soil pools, (n_layers, 3, n), g C m-3.

    Parameters
    ----------
    rates : (n_layers, 6, n), m day-1
        Thickness times rate from pool j to pool i, in the order 12, 13, 21, 23, 31, 32.
    lost : (n_layers, 3, n), m day-1
        Thickness times the rate at which each pool loses carbon for good.
    exchange : (n_layers, n), m day-1
        As in `tridiagonal_solution`.
    source : (n_layers, 3, n), g C m-2 day-1
    """
    xp = namespace.xp

    def product(matrix: tuple, vector: Any) -> Any:
        return xp.stack([row[0] * vector[0] + row[1] * vector[1] + row[2] * vector[2] for row in matrix])

    def eliminate(carry: Any, layer: Any) -> Any:
        rates_above, lost_above, handed_down = carry
        rates, lost, exchange, source = layer
        rates = rates + rates_above
        lost = lost + lost_above
        inverse = m_matrix_inverse(rates, lost + exchange)
        supply = source + handed_down
        # Seen from below, what is exchanged upwards comes back as another pool (rates) or not at all (lost).
        (_, p12, p13), (p21, _, p23), (p31, p32, _) = inverse
        rates_below = exchange * exchange * xp.stack([p12, p13, p21, p23, p31, p32])
        lost_below = exchange * product(tuple(zip(*inverse, strict=True)), lost)
        carry = rates_below, lost_below, exchange * product(inverse, supply)
        return carry, (xp.stack([xp.stack(row) for row in inverse]), supply)

    def substitute(below: Any, layer: Any) -> Any:
        inverse, supply, exchange = layer
        density = product(inverse, supply + exchange * below)
        return density, (density,)

    none, nothing = xp.zeros_like(rates[0]), xp.zeros_like(source[0])
    _, (inverse, supply) = namespace.scan(eliminate, (none, nothing, nothing), (rates, lost, exchange, source))
    _, (density,) = namespace.scan(substitute, nothing, (inverse, supply, exchange), reverse=True)
    return density


def soc_density(pools: Any) -> Any:
    """Soil organic carbon, the fast, slow and passive pools together, (n_layers, n), g C m-3; litter is not SOC."""
    return pools[4] + pools[5] + pools[6]
