"""How wide the parameters are before any data, and how much narrower a posterior must be to count as constrained."""

import numpy as np
from numpy.typing import NDArray

from proda.model.parameters import PAPER_PARAMETERS, SHARES
from proda.model.sensitivity import TOLD_BELOW

# A posterior whose standard deviation is below this part of the prior's counts as constrained, in every notebook: a
# convention of the report, not a test.
CONSTRAINED_BELOW = TOLD_BELOW


def prior_sd(nodes: int = 80) -> NDArray[np.float64]:
    """Standard deviation of every parameter under the prior, unit cube, (25,).

    1/sqrt(12) for all but the three input shares: requiring a positive share for coarse woody debris cuts off their
    upper corner, which makes them narrower before any data speak. Their values are midpoint sums over `nodes` points a
    share.
    """
    sd = np.full(len(PAPER_PARAMETERS), 1.0 / np.sqrt(12.0))
    rows = list(SHARES)
    low, span = PAPER_PARAMETERS.minimum[rows], (PAPER_PARAMETERS.maximum - PAPER_PARAMETERS.minimum)[rows]
    middle = (np.arange(nodes) + 0.5) / nodes
    cube = np.stack(np.meshgrid(middle, middle, middle, indexing="ij"), axis=-1).reshape(-1, 3)
    sd[rows] = cube[cube @ span < 1.0 - low.sum()].std(axis=0)
    return sd
