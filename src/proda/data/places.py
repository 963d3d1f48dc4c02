"""Where profiles lie on the study's land cells, and whether longitude and latitude are what they say."""

from __future__ import annotations

import pandas as pd
from numpy.typing import NDArray

from proda.data.grid import cells_at, in_domain
from proda.errors import InputError


def placed(profiles: pd.DataFrame, cells: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """`profiles` with `in_domain`, `cell` (-1 off the land) and `distance` (degrees) to the nearest land cell.

    Parameters
    ----------
    tolerance : float, degrees
        How far off the land a profile still takes the nearest land cell.

    Raises
    ------
    InputError
        When more profiles lie on the land with longitude and latitude exchanged, or none does.
    """
    cell, distance = cells_at(profiles["lon"], profiles["lat"], cells, tolerance)
    _check_not_exchanged(profiles, cell, cells, tolerance)
    inside = in_domain(profiles["lon"], profiles["lat"], cells, tolerance)
    return profiles.assign(in_domain=inside, cell=cell, distance=distance)


def _check_not_exchanged(profiles: pd.DataFrame, cell: NDArray, cells: pd.DataFrame, tolerance: float) -> None:
    """Refuse positions of which more fall on the land when longitude and latitude change places."""
    if (cell >= 0).mean() > 0.5:
        return
    exchanged, _ = cells_at(profiles["lat"], profiles["lon"], cells, tolerance)
    if (exchanged >= 0).sum() > (cell >= 0).sum():
        raise InputError(
            f"{(cell >= 0).sum():,} of {len(cell):,} profiles lie on the study's land cells, and "
            f"{(exchanged >= 0).sum():,} would with longitude and latitude exchanged; "
            f"the first is at lon {profiles['lon'].iloc[0]:g}, lat {profiles['lat'].iloc[0]:g}. Exchange the two "
            "columns in the source."
        )
    if not (cell >= 0).any():
        box = {name: f"{cells[name].min():g} to {cells[name].max():g}" for name in ("lon", "lat")}
        there = {name: f"{profiles[name].min():g} to {profiles[name].max():g}" for name in ("lon", "lat")}
        raise InputError(
            f"none of {len(cell):,} profiles lies on a land cell of the study: cells reach from lon {box['lon']}, lat "
            f"{box['lat']}; profiles from lon {there['lon']}, lat {there['lat']}. Give a grid that covers the profiles."
        )
