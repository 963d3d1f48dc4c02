"""How deep a cell's profiles go: below them a site's own parameters are an extrapolation, and no map counts it.

A posterior that no layer restrains is free to put any amount of carbon there: unmasked, single cells reach more than
1,000 kg m-2 between 1 and 2 m.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.model.column import PAPER_COLUMN, STRATA

# A site counts in a stratum whose middle its lowest observed layer reaches, and in an interval from the surface down
# if it counts in the stratum at the bottom of it: 15, 65 and 150 cm.
LEAST_REACH = np.array([(upper + lower) / 2 for upper, lower in STRATA])


def observed_reach(layers: pd.DataFrame, n_sites: int) -> NDArray[np.float64]:
    """Lower bound of the lowest observed layer of every site, (n_sites,), m; 0 where nothing was observed.

    Parameters
    ----------
    layers : pandas.DataFrame
        `site`, `lower_depth` (m).
    """
    reach = np.zeros(n_sites)
    np.maximum.at(reach, layers["site"].to_numpy(), layers["lower_depth"].to_numpy(float))
    return reach


def where_reached(values: NDArray, reach: NDArray, least: NDArray = LEAST_REACH) -> NDArray[np.float64]:
    """Values (k, n_sites) with NaN where a site's reach (n_sites,) is less than `least` (k,), m."""
    # Depths are sums of decimal fractions: a layer that ends at 0.65 m must not miss 0.65 m by rounding.
    return np.where(reach >= np.asarray(least)[:, None] - 1e-9, values, np.nan)


def soc_where_reached(soc: NDArray, reach: NDArray) -> NDArray[np.float64]:
    """Densities (n_layers, n_sites) with NaN in the model layers whose node lies below a site's reach."""
    return where_reached(soc, reach, PAPER_COLUMN.node)


def cell_means(values: NDArray, cell: NDArray, n_cells: int) -> NDArray[np.float64]:
    """Mean over the sites of a cell, (k, n_cells), of values (k, n_sites); NaN sites do not count.

    NaN in cells where no site counts.
    """
    values = np.asarray(values, float)
    counted = np.isfinite(values)
    counts = np.stack([np.bincount(cell, weights=row, minlength=n_cells) for row in counted])
    sums = np.stack([np.bincount(cell, weights=row, minlength=n_cells) for row in np.where(counted, values, 0.0)])
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
