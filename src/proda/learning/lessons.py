"""What the hybrid is taught: profiles, and what a panel of teachers tells of them and of all land.

The panel are trees and a hybrid that knows the profiles alone. They err in different ways where no profile is: a tree
goes on with the mean of its nearest leaf, a network with its slopes, through the soil model. Their mean is better than
each. A network that is taught this mean at cells, where only covariates and forcing are known, needs its teachers
no more: its parameters give the carbon of the panel, as a steady state of the soil model.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.learning.observed_layers import ObservedSites, observed_sites
from proda.learning.teacher import boosted_carbon, forest_carbon
from proda.model.forcing import Forcing

LEAST_CELLS = 1000  # that are told of, where there are fewer sites
TOLD_DEPTHS = (0.025, 0.075, 0.15, 0.25, 0.45, 0.65, 0.9, 1.4)  # m, closer where profiles have more layers


class Land(NamedTuple):
    """Cells as places to be told of: `frame` (n_cells, n_covariates), and `sites`, whose carbon nobody has seen."""

    frame: pd.DataFrame
    sites: ObservedSites


def told_cells(n_cells: int, n_sites: int) -> NDArray[np.int64]:
    """Rows of the cells that the hybrid is to be told of: no more than there are sites, but some; evenly through all.

    What a panel tells of the land it has from the sites: where they are few, more cells cost time and add little.
    """
    n = min(n_cells, max(LEAST_CELLS, n_sites))
    return np.linspace(0, n_cells - 1, n).round().astype(np.int64)


def land_of(frame: pd.DataFrame, forcing: Forcing, width: int) -> Land:
    """Land of these cells, with layers at `TOLD_DEPTHS` (or `width` of them) in arrays as wide as the sites' own.

    Parameters
    ----------
    frame : DataFrame, (n_cells, n_covariates)
    forcing : Forcing
        Of the same cells.
    width : int
        Of the `ObservedSites` that it is to be used with.
    """
    chosen = np.linspace(0, len(TOLD_DEPTHS) - 1, min(width, len(TOLD_DEPTHS))).round().astype(int)
    depth = np.asarray(TOLD_DEPTHS)[chosen]
    n = len(frame)
    layers = pd.DataFrame({"site": np.repeat(np.arange(n), depth.size), "depth": np.tile(depth, n), "soc": 0.0})
    return Land(frame.reset_index(drop=True), observed_sites(layers, n, forcing).widened(width))


def panel_lessons(
    frame: pd.DataFrame, class_names: tuple[str, ...], sites: ObservedSites, land: Land, alone: NDArray, share: float,
    seed: int,
) -> ObservedSites:  # fmt: skip
    """Sites, then cells, with the carbon that the hybrid is to learn.

    The panel tells the mean of a forest, of boosted trees (each by trees that have not seen the site,
    `proda.learning.teacher`) and of the hybrid that has learnt from the layers alone. A cell has what the panel tells;
    a site has `share` of it, and of its own profile the rest.

    Parameters
    ----------
    frame : DataFrame, (n, n_covariates)
        Of the sites.
    class_names : tuple of str
    sites : ObservedSites
    land : Land
    alone : (n + n_cells, m), kg C m-3
        Of the hybrid of layers alone.
    share : float
    """  # fmt: skip
    places = pd.concat([frame, land.frame], ignore_index=True)
    both, n = sites.joined(land.sites), sites.n_sites
    trees = [told(places, class_names, both, n, seed) for told in (forest_carbon, boosted_carbon)]
    panel = np.where(both.present, np.mean([*trees, alone], axis=0), 0.0)
    own = np.where(np.arange(both.n_sites) < n, 1.0 - share, 0.0)[:, None]
    return both._replace(soc=(own * both.soc + (1.0 - own) * panel).astype(np.float32))
