"""How much of a map of parameters lies at the walls of the prior box, where carbon no longer tells them apart."""

from __future__ import annotations

import pandas as pd
from numpy.typing import NDArray

from proda.model.parameters import PAPER_PARAMETERS

NEAR = 0.02  # of a parameter's range


def shares_near_bounds(x: NDArray, within: float = NEAR) -> pd.DataFrame:
    """Part of all predictions that lie within `within` of the lower and of the upper bound, the most at a wall first.

    Parameters
    ----------
    x : (..., 25)
        Parameters on the unit cube.

    Returns
    -------
    DataFrame
        Index `parameter`; `lower`, `upper`, `either`, 0 to 1.
    """
    flat = x.reshape(-1, x.shape[-1])
    table = pd.DataFrame(
        {"lower": (flat <= within).mean(axis=0), "upper": (flat >= 1.0 - within).mean(axis=0)},
        index=pd.Index(PAPER_PARAMETERS.names, name="parameter"),
    )
    return table.assign(either=table.sum(axis=1)).sort_values("either", ascending=False)
