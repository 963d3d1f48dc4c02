"""Land use of sites in one set of classes, whatever words their collections use; of cells from their land cover.

At half a degree hardly any cell is a wetland or a town, but sites are. A class that both sites and cells have lets a
network learn the difference at sites, and keeps a collection of wetland soils from standing for the whole cell.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.data.covariate_lists import Covariate

LAND_USE = Covariate(
    "land_use_class",
    "land use: the profile's own word where it has one, else the land cover of its cell",
    "class",
    "categorical",
    "profiles.csv and grid_half_degree.csv",
    "of its makers",
)
CLASSES = {
    1: "forest", 2: "shrubland", 3: "grassland", 4: "pasture and hay", 5: "cropland", 6: "wetland", 7: "developed",
    8: "barren",
}  # fmt: skip
# The first that occurs in a word decides: a wooded wetland is a wetland, shrubs and scrub are no forest.
_PARTS_OF_WORDS = (
    ("wetland", 6), ("shrub", 2), ("scrub", 2), ("non-natural woody", 2), ("forest", 1), ("wood", 1), ("pasture", 4),
    ("hay", 4), ("crp", 4), ("crop", 5), ("cultivated", 5), ("range", 3), ("grass", 3), ("herbaceous", 3),
    ("developed", 7), ("urban", 7), ("barren", 8),
)  # fmt: skip
_OF_IGBP = {
    1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 2, 7: 2, 8: 1, 9: 3, 10: 3, 11: 6, 12: 5, 13: 7, 14: 5, 15: 8, 16: 8, 17: 6,
}  # fmt: skip


class LandUse(NamedTuple):
    """Classes of sites, (n,), NaN where neither word nor cover tell; how many their own word told; words unknown."""

    classes: NDArray[np.float64]
    told: int
    not_understood: tuple[str, ...]


def class_of_cover(igbp: ArrayLike) -> NDArray[np.float64]:
    """Class in `CLASSES` of IGBP land cover, (n,); NaN where the code is unknown or missing."""
    return pd.Series(np.asarray(igbp, float)).map(_OF_IGBP).to_numpy(float)


def land_use_of_sites(words: pd.Series, igbp: ArrayLike) -> LandUse:
    """Class of every site from its own word, where that is understood, else from the land cover of its cell.

    Parameters
    ----------
    words : (n,) Series of text or missing
    igbp : (n,)
        Land cover of the sites' cells.
    """
    own = {word: _class_of_word(word) for word in words.dropna().astype(str).unique()}
    said = words.astype("string").map(own).to_numpy(float, na_value=np.nan)
    found = np.where(np.isfinite(said), said, class_of_cover(igbp))
    return LandUse(found, int(np.isfinite(said).sum()), tuple(word for word, code in own.items() if np.isnan(code)))


def _class_of_word(word: str) -> float:
    lower = word.lower()
    return next((float(code) for part, code in _PARTS_OF_WORDS if part in lower), np.nan)
