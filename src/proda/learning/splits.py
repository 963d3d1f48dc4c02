"""Random training, validation and test split of the sites, and folds for scores at withheld sites.

A site drawn at random has neighbours among the training sites, which share its cell, its climate and its surveyor. A
withheld block of land has none: its score holds for land without profiles (Roberts et al. 2017,
doi 10.1111/ecog.02881).
"""

from __future__ import annotations

import numpy as np
import pyproj
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError

TRAIN, VALIDATION, TEST, UNUSED = "train", "validation", "test", "unused"
PARTS = (TRAIN, VALIDATION, TEST)
# Which sites a score is taken over: those that pass the paper's filter, or all that have a posterior.
USED, ASSIMILATED = "efficiency >= 0", "all assimilated"
RANDOM, BLOCKS = "random sites", "spatial blocks"
KINDS = (RANDOM, BLOCKS)
_EQUAL_AREA = "EPSG:5070"  # Albers, conterminous United States


def random_split(
    usable: ArrayLike, seed: int, test_share: float = 0.2, validation_share: float = 0.2
) -> NDArray[np.object_]:
    """Part of every site, (n,) strings: "train", "validation", "test", or "unused" where `usable` is False.

    The paper's split (Tao et al. 2020, section 2.5): sites are drawn at random without regard to where they lie, so a
    test site may have a training site next door. Test skill holds for new sites among the known ones, not for regions
    without profiles.

    Parameters
    ----------
    usable : (n,) bool
        Sites with a posterior that may serve as a target (efficiency not negative).
    seed : int
        The same seed gives the same parts for the same `usable`.
    test_share : float
        Part of the usable sites set aside for the test, between 0 and 1.
    validation_share : float
        Part of the *remaining* sites set aside for validation, between 0 and 1.

    Raises
    ------
    InputError
        When a share is not between 0 and 1, or when a part would be left empty.
    """
    for name, share in (("test_share", test_share), ("validation_share", validation_share)):
        if not 0.0 < share < 1.0:
            raise InputError(f"{name} is {share!r}, expected a number between 0 and 1, such as 0.2.")
    usable = np.asarray(usable, dtype=bool)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(usable))
    n_test = round(order.size * test_share)
    n_validation = round((order.size - n_test) * validation_share)
    sizes = {TRAIN: order.size - n_test - n_validation, VALIDATION: n_validation, TEST: n_test}
    if min(sizes.values()) < 1:
        raise InputError(
            f"{order.size} of {usable.size} sites are usable, and test_share {test_share:g} and validation_share "
            f"{validation_share:g} leave {sizes[TRAIN]} to train, {sizes[VALIDATION]} to validate and {sizes[TEST]} to "
            "test, expected at least 1 each: use a study or a scale with more profiles, or look in site_status.csv "
            "why so few sites are used downstream."
        )
    split = np.full(usable.size, UNUSED, dtype=object)
    split[order[:n_test]] = TEST
    split[order[n_test : n_test + n_validation]] = VALIDATION
    split[order[n_test + n_validation :]] = TRAIN
    return split


def sizes(split: ArrayLike) -> dict[str, int]:
    """Number of sites in every part, "unused" last."""
    split = np.asarray(split, dtype=object)
    return {part: int((split == part).sum()) for part in (*PARTS, UNUSED)}


def outside_training_cells(split: ArrayLike, cell: ArrayLike) -> NDArray[np.bool_]:
    """Test sites in a grid cell without a training site, (n,) bool.

    Where covariates come from the grid, any other test site has been seen with exactly its own covariates.

    Parameters
    ----------
    split : (n,) str
    cell : (n,) int
        Grid cell of every site.
    """
    split, cell = np.asarray(split, dtype=object), np.asarray(cell)
    return (split == TEST) & ~np.isin(cell, cell[split == TRAIN])


def share_in_training_cells(split: ArrayLike, cell: ArrayLike) -> float:
    """Part of the test sites that lie in a grid cell with a training site, 0 to 1.

    The larger this share, the less does the test skill hold for places without profiles.
    """
    n_test = int((np.asarray(split, dtype=object) == TEST).sum())
    return 1.0 - float(outside_training_cells(split, cell).sum()) / n_test


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
