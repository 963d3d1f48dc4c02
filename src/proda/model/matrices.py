"""The matrices of Eq. 1 written out, and their dense solution; state n_layers p + j is pool p in layer j."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from proda.model.configuration import DAYS_PER_YEAR, PAPER, Configuration, checked_parameters, validated
from proda.model.forcing import AnyForcing
from proda.model.parameters import FCWDL2, FL1S1, TAU_CWD, TAU_L1, TAU_L2L3, TAU_S1, TAU_S2, TAU_S3
from proda.model.rates import carbon_input, environment, exchange
from proda.model.solver import POOLS

CWD, L1, L2, L3, S1, S2, S3 = range(len(POOLS))


def transfer_matrix(theta: NDArray) -> NDArray[np.float64]:
    """A, (7, 7, n): fraction of the carbon leaving pool j that enters i; -1 on the diagonal, columns are donors."""
    fl1s1, fl2s1, fl3s2, fs1s2, fs1s3, fs2s1, fs2s3, fs3s1, fcwdl2 = theta[FL1S1 : FCWDL2 + 1]
    a = np.zeros((7, 7, theta.shape[1]))
    a[range(7), range(7)] = -1.0
    a[L2, CWD], a[L3, CWD] = fcwdl2, 1.0 - fcwdl2
    a[S1, L1], a[S1, L2], a[S2, L3] = fl1s1, fl2s1, fl3s2
    a[S2, S1], a[S3, S1] = fs1s2, fs1s3
    a[S1, S2], a[S3, S2] = fs2s1, fs2s3
    a[S1, S3] = fs3s1
    return a


def decay_rates(theta: NDArray, forcing: AnyForcing, configuration: Configuration = PAPER) -> NDArray[np.float64]:
    """Diagonal of K, (7, n_layers, n), day-1: decomposition scalar over turnover time."""
    factors = environment(theta, forcing, configuration)
    soil, litter = factors.of_soil(), factors.of_litter()
    scalar = np.array([soil, litter, litter, litter, soil, soil, soil])
    turnover = theta[[TAU_CWD, TAU_L1, TAU_L2L3, TAU_L2L3, TAU_S1, TAU_S2, TAU_S3]]
    return scalar / (DAYS_PER_YEAR * turnover[:, None])


def mixing_matrix(theta: NDArray, forcing: AnyForcing, configuration: Configuration = PAPER) -> NDArray[np.float64]:
    """V of one mobile pool, (n_layers, n_layers, n), day-1; times thickness, columns sum to zero (closed bottom)."""
    n = configuration.column.n_layers
    downward, upward = (velocity[:-1] for velocity in exchange(theta, forcing, configuration))
    thickness = configuration.column.thickness[:, None]
    v = np.zeros((n * n, downward.shape[1]))
    diagonal, above, below = v[:: n + 1], v[1 :: n + 1], v[n :: n + 1]
    above[:] = -downward / thickness[:-1]
    below[:] = -upward / thickness[1:]
    diagonal[:-1] -= above
    diagonal[1:] -= below
    return v.reshape(n, n, -1)


def labelled_matrices(theta: NDArray, forcing: AnyForcing, configuration: Configuration = PAPER) -> xr.Dataset:
    """A, K, V and u of Eq. 1 with names, depths and units, by `pool`, `layer`, `donor`, `neighbour` and `column`."""
    forcing = validated(forcing, configuration)
    theta = checked_parameters(theta, forcing.n_columns, configuration)
    theta = np.repeat(theta, forcing.n_columns // theta.shape[1], axis=1)
    u = input_vector(theta, forcing, configuration).T.reshape(7, configuration.column.n_layers, -1)
    matrices = {
        "A": (("pool", "donor", "column"), transfer_matrix(theta), "1", "transfer fraction"),
        "K": (("pool", "layer", "column"), decay_rates(theta, forcing, configuration), "day-1", "decay rate"),
        "V": (("layer", "neighbour", "column"), mixing_matrix(theta, forcing, configuration), "day-1", "mixing"),
        "u": (("pool", "layer", "column"), u, "g C m-3 day-1", "carbon input"),
    }
    depth = {"units": "m", "positive": "down", "long_name": "depth of the node"}
    return xr.Dataset(
        {
            name: (dims, values, {"units": units, "long_name": long_name})
            for name, (dims, values, units, long_name) in matrices.items()
        },
        coords={
            "pool": list(POOLS),
            "donor": list(POOLS),
            "node_depth": ("layer", configuration.column.node, depth),
            "thickness": ("layer", configuration.column.thickness, {"units": "m"}),
        },
    )


def system_matrix(theta: NDArray, forcing: AnyForcing, configuration: Configuration = PAPER) -> NDArray[np.float64]:
    """V - A K, (n, 7 n_layers, 7 n_layers), day-1; `theta` is (n_parameters, n)."""
    n = configuration.column.n_layers
    a, k = transfer_matrix(theta), decay_rates(theta, forcing, configuration)
    v = mixing_matrix(theta, forcing, configuration)
    matrix = np.zeros((theta.shape[1], 7, n, 7, n))
    # Two views of it: donors and receivers within each layer, and neighbouring layers within each pool.
    within_layers, within_pools = np.einsum("cpjqj->pqjc", matrix), np.einsum("cpjpk->pjkc", matrix)
    within_layers -= a[:, :, None] * k
    within_pools[L1:] += v
    return matrix.reshape(-1, 7 * n, 7 * n)


def input_vector(theta: NDArray, forcing: AnyForcing, configuration: Configuration = PAPER) -> NDArray[np.float64]:
    """u, (n, 7 n_layers), g C m-3 day-1; only woody debris and litter receive fresh carbon."""
    column = configuration.column
    entering = carbon_input(theta, forcing, configuration) / column.thickness[:, None]
    u = np.zeros((7, *entering.shape[1:]))
    u[[CWD, L1, L2, L3]] = entering
    return u.reshape(7 * column.n_layers, -1).T


def dense_steady_state(
    theta: NDArray, forcing: AnyForcing, configuration: Configuration = PAPER
) -> NDArray[np.float64]:
    """(7, n_layers, n), g C m-3, by dense LU: the textbook way, and wrong where the matrix is nearly singular."""
    matrix, u = system_matrix(theta, forcing, configuration), input_vector(theta, forcing, configuration)
    solution = np.linalg.solve(matrix, u[..., None])
    return solution.reshape(-1, 7, configuration.column.n_layers).transpose(1, 2, 0)


def respiration(
    pools: NDArray, theta: NDArray, forcing: AnyForcing, configuration: Configuration = PAPER
) -> NDArray[np.float64]:
    """Carbon leaving the column as CO2, (n,), g C m-2 day-1: what is not transferred of all that decays."""
    respired = -transfer_matrix(theta).sum(axis=0)
    decayed = decay_rates(theta, forcing, configuration) * pools * configuration.column.thickness[:, None]
    return (respired[:, None] * decayed).sum(axis=(0, 1))
