"""Which sites a score is taken over, and what the tables call them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from proda.learning.splits import ASSIMILATED, PARTS, TEST, UNUSED, USED, outside_training_cells

ALL = "all"
NEW_CELLS = "test, new cells"
NEVER_SEEN = "never seen"


def site_subsets(
    used: NDArray[np.bool_], split: NDArray | None = None, cell: NDArray | None = None
) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """Names of filter and subset -> which sites they hold, (n_sites,) bool.

    The paper's filter looks at a site's own layers: it takes sites away at which the model fails, for any method. With
    it come "all" sites, the network's three parts, and "test, new cells", the test sites in cells without a training
    site. Without it come "all", "unused" (what the filter takes away) and "never seen" (these and the test sites): what
    a network meets at a place where nobody has looked yet.

    Parameters
    ----------
    used : numpy.ndarray of bool
        (n_sites,) whether the site's 1:1 efficiency is not negative.
    split : numpy.ndarray of str, optional
        (n_sites,) "train", "validation", "test" or "unused"; without it only "all" can be told.
    cell : numpy.ndarray of int, optional
        (n_sites,) grid cell; without it there are no new cells.
    """
    found = {(USED, ALL): used}
    if split is not None:
        split = np.asarray(split, dtype=object)
        found |= {(USED, part): used & (split == part) for part in PARTS}
        if cell is not None:
            found[USED, NEW_CELLS] = used & outside_training_cells(split, cell)
    found[ASSIMILATED, ALL] = np.ones_like(used)
    if split is not None:
        found[ASSIMILATED, UNUSED] = split == UNUSED
        found[ASSIMILATED, NEVER_SEEN] = (split == UNUSED) | (split == TEST)
    return found
