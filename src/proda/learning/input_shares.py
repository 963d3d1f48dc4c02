"""The one corner of the unit cube that is not allowed: input shares that leave nothing to coarse woody debris.

The shares of the carbon input to lignin, metabolic and cellulose litter (p4ll, p4ml, p4cl) are parameters, the share to
coarse woody debris (CWD) is what remains, and it must be positive. The samplers reject other proposals; a network or a
draw of independent parameters knows no such rule.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.model.parameters import PAPER_PARAMETERS, SHARES

LEAST_CWD_SHARE = 1e-3


def with_positive_cwd_share(x: ArrayLike, least: float = LEAST_CWD_SHARE) -> tuple[NDArray, NDArray[np.bool_]]:
    """Parameters whose CWD share is at least `least`, and which of them had to be changed.

    The three shares, measured from their minima, are multiplied by one common factor (the largest that is allowed,
    at most 1): they keep their proportions, stay inside the prior box, and nothing else moves.

    Parameters
    ----------
    x : (n, 25)
        Parameters on the unit cube, one row a place.
    least : float
        Least share of the input to CWD, in (0, 0.94).

    Returns
    -------
    x : (n, 25)
        A copy.
    changed : (n,) bool
    """
    x = np.array(x, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != len(PAPER_PARAMETERS):
        raise InputError(f"x has shape {x.shape}, expected (n, {len(PAPER_PARAMETERS)}): one row for each place.")
    rows = list(SHARES)
    low, span = PAPER_PARAMETERS.minimum[rows], (PAPER_PARAMETERS.maximum - PAPER_PARAMETERS.minimum)[rows]
    above_minima = x[:, rows] @ span
    room = 1.0 - least - low.sum()
    changed = above_minima > room
    x[np.ix_(changed, rows)] *= (room / above_minima[changed])[:, None]
    return x, changed
