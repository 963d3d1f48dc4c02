"""Which sites teach the network, which stop it from being believed too early, and which judge it."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError

TRAIN, VALIDATION, TEST, UNUSED = "train", "validation", "test", "unused"
PARTS = (TRAIN, VALIDATION, TEST)
# Which sites a score is taken over: those that pass the paper's filter, or all that have a posterior.
USED, ASSIMILATED = "efficiency >= 0", "all assimilated"


def random_split(
    usable: ArrayLike, seed: int, test_share: float = 0.2, validation_share: float = 0.2
) -> NDArray[np.object_]:
    """Part of every site, (n,) strings: "train", "validation", "test", or "unused" where `usable` is False.

    The paper's split (Tao et al. 2020, section 2.5): sites are drawn at random without regard to where they lie, so a
    test site may have a training site next door. Test skill therefore speaks of new sites among the known ones, not
    of regions without profiles.

    Parameters
    ----------
    usable : (n,) bool
        Sites with a posterior that may serve as a target (1:1 efficiency not negative).
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

    The larger this share, the less the test skill says about places without profiles.
    """
    n_test = int((np.asarray(split, dtype=object) == TEST).sum())
    return 1.0 - float(outside_training_cells(split, cell).sum()) / n_test


def share_at_training_coordinates(split: ArrayLike, lon: ArrayLike, lat: ArrayLike) -> float:
    """Part of the test sites with exactly the coordinates of a training site, 0 to 1."""
    place = np.unique(np.stack([lon, lat], axis=1), axis=0, return_inverse=True)[1].ravel()
    return share_in_training_cells(split, place)
