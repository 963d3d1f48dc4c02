"""Folds for honest scores: sites at random, or whole blocks of land, each withheld once.

A site drawn at random has neighbours among the training sites, which share its cell, its climate and its surveyor. A
withheld block has none: its score speaks of land where nobody has looked (Roberts et al. 2017,
doi 10.1111/ecog.02881).
"""

from __future__ import annotations

import numpy as np
import pyproj
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from proda.errors import InputError

RANDOM, BLOCKS = "random sites", "spatial blocks"
KINDS = (RANDOM, BLOCKS)
EARTH_RADIUS_KM = 6371.0088
_EQUAL_AREA = "EPSG:5070"  # Albers, conterminous United States


def block_of_place(lon: ArrayLike, lat: ArrayLike, block_km: float = 400.0) -> NDArray[np.int64]:
    """Number of the square that a place lies in, (n,), 0 to the number of squares that hold a place less one.

    Squares of `block_km` by `block_km` on the Albers equal-area map of the conterminous United States.
    """
    easting, northing = pyproj.Transformer.from_crs("EPSG:4326", _EQUAL_AREA, always_xy=True).transform(
        np.asarray(lon, float), np.asarray(lat, float)
    )
    squares = np.floor(np.stack([easting, northing], axis=1) / (1000.0 * block_km)).astype(np.int64)
    return np.unique(squares, axis=0, return_inverse=True)[1].ravel()


def fold_of_site(
    kind: str, lon: ArrayLike, lat: ArrayLike, n_folds: int, seed: int, block_km: float = 400.0
) -> NDArray[np.int64]:
    """Fold of every site, (n,), 0 to n_folds - 1.

    Parameters
    ----------
    kind : `RANDOM` or `BLOCKS`
        Of blocks, the one with most sites is dealt first, each to the fold with fewest sites so far; chance decides
        among blocks of one size, so that the folds are of a size and scattered over the land.
    lon, lat : (n,), degrees
    n_folds : int
        At least 2.

    Raises
    ------
    InputError
        When the kind is unknown, or there are fewer sites or blocks than folds.
    """
    if kind not in KINDS:
        raise InputError(f"kind of folds is {kind!r}, expected one of: {', '.join(KINDS)}.")
    n, rng = np.size(lon), np.random.default_rng(seed)
    unit = np.arange(n) if kind == RANDOM else block_of_place(lon, lat, block_km)
    size = np.bincount(unit, minlength=1)
    if not 2 <= n_folds <= size.size or n == 0:
        what = "sites" if kind == RANDOM else f"blocks of {block_km:g} km"
        raise InputError(
            f"{n_folds} folds of {n} sites in {unit.max(initial=-1) + 1} {what}: expected 2 folds or more, and no more "
            "than there are of these. Take fewer folds (network_folds) or smaller blocks (network_block_km)."
        )
    if kind == RANDOM:
        return rng.permutation(np.arange(n) % n_folds)
    fold_of_block, held = np.empty(size.size, dtype=np.int64), np.zeros(n_folds)
    chance = rng.permutation(size.size)
    for block in chance[np.argsort(-size[chance], kind="stable")]:
        fold_of_block[block] = np.argmin(held)
        held[fold_of_block[block]] += size[block]
    return fold_of_block[unit]


def kilometres_to_nearest(lon: ArrayLike, lat: ArrayLike, from_lon: ArrayLike, from_lat: ArrayLike) -> NDArray:
    """Distance over the ground of every place (lon, lat), (n,), to the nearest of the others, km."""
    away, _ = cKDTree(_on_sphere(from_lon, from_lat)).query(_on_sphere(lon, lat))
    return 2.0 * EARTH_RADIUS_KM * np.arcsin(np.clip(away / 2.0, 0.0, 1.0))


def _on_sphere(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.float64]:
    east, north = np.radians(np.asarray(lon, float)), np.radians(np.asarray(lat, float))
    return np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], axis=1)
