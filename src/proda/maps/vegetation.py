"""Vegetation of sites and cells: the paper's eight kinds, from the grid's IGBP classes and the sites' own words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

# IGBP classes of each kind; urban, ice, barren and water are in none.
CLASSES = {
    "Evergreen forest": (1, 2),
    "Deciduous forest": (3, 4),
    "Mixed forest": (5,),
    "Shrubland": (6, 7),
    "Savanna": (8, 9),
    "Grassland": (10,),
    "Wetland": (11,),
    "Cropland": (12, 14),
}


def vegetation_of(land_cover: ArrayLike) -> NDArray[np.object_]:
    """Kind of vegetation of IGBP codes (n,), a name in `CLASSES` or ""."""
    code = np.asarray(land_cover)
    found = np.full(code.size, "", dtype=object)
    for name, codes in CLASSES.items():
        found[np.isin(code, codes)] = name
    return found


def says_wetland(sites: Any) -> NDArray[np.bool_]:
    """Sites whose own record (`land_use`) says wetland, (n_sites,)."""
    if "land_use" not in sites:
        return np.zeros(len(sites), bool)
    words = pd.Series(sites["land_use"]).astype("string")
    return words.str.contains("wetland", case=False, na=False).to_numpy(bool)


def vegetation_class(sites: pd.DataFrame) -> NDArray[np.object_]:
    """Vegetation of every site, (n_sites,), a name in `CLASSES` or "".

    The class of the half-degree cell, except that a site whose own record says wetland is a wetland: at half a degree
    hardly any cell is.

    Parameters
    ----------
    sites : pandas.DataFrame
        `land_cover` (IGBP code of the cell) and, if known, `land_use` (the source's own word).
    """
    found = vegetation_of(sites["land_cover"])
    found[says_wetland(sites)] = "Wetland"
    return found
