"""Indices of the public archive count profiles from 1; this package counts from 0. Telling the two apart.

MATLAB wrote the lists of eligible, representative and predicted profiles, so their numbers are positions from 1 in the
table of profiles. A list from 0 that is read as one from 1 gives every profile its neighbour's result.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from proda.errors import InputError


def zero_based(indices: NDArray, n: int, path: Path, name: str, within: NDArray | None = None) -> NDArray[np.int64]:
    """Positions from 0 of indices that count from 1.

    Parameters
    ----------
    indices : array
        Flattened in the order in which they are stored.
    n : int
        Number of profiles.
    within : (n,) bool, optional
        Profiles of which all indices are expected to be some, such as the eligible ones: a list from 0 fits worse.

    Raises
    ------
    InputError
        When an index is no whole number, lies outside 1 to n, or the list fits better when it is read from 0.
    """
    values = np.asarray(indices, dtype=np.float64).ravel()
    odd = ~(np.isfinite(values) & (values == np.round(values)))
    if odd.any():
        raise InputError(f"{path}: {name} holds {values[odd][0]}, expected whole numbers: positions from 1.")
    if (values == 0).any():
        raise InputError(
            f"{path}: {name} holds 0, expected positions from 1 to {n} as MATLAB counts them. Written by a program "
            "that counts from 0? Add 1."
        )
    outside = (values < 1) | (values > n)
    if outside.any():
        raise InputError(
            f"{path}: {name} holds {values[outside][0]:g}, expected 1 to {n}, the number of profiles. Another table of "
            "profiles?"
        )
    position = values.astype(np.int64) - 1
    if within is not None:
        as_read = int(within[position].sum())
        shifted = int(within[np.minimum(position + 1, n - 1)].sum())
        if shifted > as_read:
            raise InputError(
                f"{path}: {as_read} of {position.size} indices in {name} are among the profiles expected when they "
                f"count from 1, but {shifted} when they count from 0. Add 1 to them."
            )
    return position
