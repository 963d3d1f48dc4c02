"""The matrices of Eq. 1 written out: for teaching, for checking, and as the textbook solution.

States are ordered pool by pool, top layer first: state 10 p + j of the `paper` grid is pool p in layer j. Everything
here is slow on purpose, one dense matrix a column; `steady_state` solves the same system by its structure.
"""

import numpy as np
from numpy.typing import NDArray

from proda.model.column import DAYS_PER_YEAR, PAPER_COLUMN, Column
from proda.model.fluxes import carbon_input, decomposition_scalar, exchange_velocity
from proda.model.forcing import Forcing
from proda.model.steady_state import POOLS

CWD, L1, L2, L3, S1, S2, S3 = range(len(POOLS))


def transfer_matrix(theta: NDArray) -> NDArray[np.float64]:
    """A, (7, 7, n): fraction of the carbon leaving pool j that enters i; -1 on the diagonal, columns are donors."""
    fl1s1, fl2s1, fl3s2, fs1s2, fs1s3, fs2s1, fs2s3, fs3s1, fcwdl2 = theta[10:19]
    a = np.zeros((7, 7, theta.shape[1]))
    a[range(7), range(7)] = -1.0
    a[L2, CWD], a[L3, CWD] = fcwdl2, 1.0 - fcwdl2
    a[S1, L1], a[S1, L2], a[S2, L3] = fl1s1, fl2s1, fl3s2
    a[S2, S1], a[S3, S1] = fs1s2, fs1s3
    a[S1, S2], a[S3, S2] = fs2s1, fs2s3
    a[S1, S3] = fs3s1
    return a


def decay_rates(theta: NDArray, forcing: Forcing, column: Column = PAPER_COLUMN) -> NDArray[np.float64]:
    """Diagonal of K, (7, n_layers, n), day-1: decomposition scalar over turnover time."""
    turnover = theta[[4, 5, 6, 6, 7, 8, 9]]
    return decomposition_scalar(theta, forcing, column) / (DAYS_PER_YEAR * turnover[:, None])


def mixing_matrix(theta: NDArray, forcing: Forcing, column: Column = PAPER_COLUMN) -> NDArray[np.float64]:
    """V of one mobile pool, (n_layers, n_layers, n), day-1; columns weighted by thickness sum to zero."""
    n = column.n_layers
    exchange = exchange_velocity(theta, forcing, column)
    thickness = column.thickness[:, None]
    upper, lower = np.arange(n - 1), np.arange(1, n)
    v = np.zeros((n, n, exchange.shape[1]))
    v[upper, lower] = -exchange / thickness[:-1]
    v[lower, upper] = -exchange / thickness[1:]
    v[upper, upper] += exchange / thickness[:-1]
    v[lower, lower] += exchange / thickness[1:]
    return v


def system_matrix(theta: NDArray, forcing: Forcing, column: Column = PAPER_COLUMN) -> NDArray[np.float64]:
    """V - A K, (n, 7 n_layers, 7 n_layers), day-1."""
    n = column.n_layers
    a, k = transfer_matrix(theta), decay_rates(theta, forcing, column)
    matrix = np.zeros((theta.shape[1], 7, n, 7, n))
    # Views of the elements within one layer, and of those within one pool.
    within_layer = np.einsum("cpjqj->pqjc", matrix)
    within_pool = np.einsum("cpjpk->pjkc", matrix)
    within_layer -= a[:, :, None] * k
    within_pool[L1:] += mixing_matrix(theta, forcing, column)
    return matrix.reshape(-1, 7 * n, 7 * n)


def input_vector(theta: NDArray, forcing: Forcing, column: Column = PAPER_COLUMN) -> NDArray[np.float64]:
    """u, (n, 7 n_layers), g C m-3 day-1; only woody debris and litter receive fresh carbon."""
    entering = carbon_input(theta, forcing, column) / column.thickness[:, None]
    u = np.zeros((7, *entering.shape[1:]))
    u[[CWD, L1, L2, L3]] = entering
    return u.reshape(7 * column.n_layers, -1).T


def dense_steady_state(theta: NDArray, forcing: Forcing, column: Column = PAPER_COLUMN) -> NDArray[np.float64]:
    """(7, n_layers, n), g C m-3, by dense LU: the textbook way, and wrong where the matrix is nearly singular."""
    solution = np.linalg.solve(system_matrix(theta, forcing, column), input_vector(theta, forcing, column)[..., None])
    return np.moveaxis(solution[..., 0].reshape(-1, 7, column.n_layers), 0, -1)


def respiration(pools: NDArray, theta: NDArray, forcing: Forcing, column: Column = PAPER_COLUMN) -> NDArray[np.float64]:
    """Carbon leaving the column as CO2, (n,), g C m-2 day-1: what is not transferred of all that decays."""
    respired = -transfer_matrix(theta).sum(axis=0)
    decayed = decay_rates(theta, forcing, column) * pools * column.thickness[:, None]
    return (respired[:, None] * decayed).sum(axis=(0, 1))
