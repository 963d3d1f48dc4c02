"""The random split of sites, and folds at random sites and in blocks of land."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proda.errors import InputError
from proda.learning.splits import (
    BLOCKS,
    KINDS,
    RANDOM,
    TEST,
    TRAIN,
    UNUSED,
    VALIDATION,
    block_of_place,
    fold_of_site,
    outside_training_cells,
    random_split,
    share_in_training_cells,
    sizes,
)


def test_every_usable_site_gets_one_part_and_the_shares_are_the_papers():
    split = random_split(np.ones(1000, dtype=bool), seed=1)
    assert sizes(split) == {TRAIN: 640, VALIDATION: 160, TEST: 200, UNUSED: 0}


def test_sites_that_are_not_usable_are_in_no_part(rng):
    usable = rng.random(500) < 0.7
    split = random_split(usable, seed=1)
    assert ((split == UNUSED) == ~usable).all()
    assert sum(sizes(split).values()) == 500


def test_the_seed_decides_the_split():
    usable = np.ones(200, dtype=bool)
    assert (random_split(usable, seed=1) == random_split(usable, seed=1)).all()
    assert (random_split(usable, seed=1) != random_split(usable, seed=2)).any()


def test_the_parts_do_not_follow_the_order_of_the_sites():
    split = random_split(np.ones(5000, dtype=bool), seed=3)
    assert abs(np.flatnonzero(split == TEST).mean() - 2500) < 4 * 5000 / np.sqrt(12 * 1000)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2, 20])
def test_a_share_that_is_not_between_0_and_1_is_refused(share):
    with pytest.raises(InputError, match="test_share is"):
        random_split(np.ones(100, dtype=bool), seed=1, test_share=share)


def test_too_few_usable_sites_are_refused_with_their_number():
    with pytest.raises(InputError, match=r"2 of 50 sites are usable.*site_status\.csv"):
        random_split(np.arange(50) < 2, seed=1)


def test_test_sites_beside_a_training_site_are_counted():
    split = np.array([TRAIN, TEST, TEST, UNUSED, TEST, TEST], dtype=object)
    assert share_in_training_cells(split, [7, 7, 8, 9, 9, 7]) == 0.5
    assert np.flatnonzero(outside_training_cells(split, [7, 7, 8, 9, 9, 7])).tolist() == [2, 4]


def scattered(n: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-124, -68, n), rng.uniform(26, 48, n)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(40, 400), n_folds=st.integers(2, 6), seed=st.integers(0, 99), kind=st.sampled_from(KINDS))
def test_every_site_is_in_one_fold_and_no_fold_is_empty(n, n_folds, seed, kind):
    fold = fold_of_site(kind, *scattered(n, seed), n_folds, seed)
    assert fold.shape == (n,) and set(fold) == set(range(n_folds))


def test_a_block_is_never_divided_and_folds_are_of_a_size():
    lon, lat = scattered(3000)
    fold, block = fold_of_site(BLOCKS, lon, lat, 5, seed=1), block_of_place(lon, lat)
    assert all(np.unique(fold[block == number]).size == 1 for number in np.unique(block))
    assert np.ptp(np.bincount(fold)) < 0.1 * 3000


def test_random_folds_divide_blocks_and_are_equal_to_one_site():
    lon, lat = scattered(1001)
    fold = fold_of_site(RANDOM, lon, lat, 5, seed=1)
    assert np.ptp(np.bincount(fold)) <= 1
    block = block_of_place(lon, lat)
    assert np.unique(fold[block == np.bincount(block).argmax()]).size == 5


def test_blocks_are_squares_of_the_given_side():
    lon, lat = scattered(4000)
    area = 8.08e6  # km2, the conterminous United States and what the rectangle adds is more
    assert area / 400**2 < np.unique(block_of_place(lon, lat, 400.0)).size < 2.5 * area / 400**2
    assert np.unique(block_of_place([-100.0, -100.0, -100.0], [40.1, 40.2, 45.0])).size == 2


def test_the_seed_decides_the_folds():
    places = scattered(200)
    for kind in KINDS:
        assert (fold_of_site(kind, *places, 4, 1) == fold_of_site(kind, *places, 4, 1)).all()
        assert (fold_of_site(kind, *places, 4, 1) != fold_of_site(kind, *places, 4, 2)).any()


def test_too_few_blocks_for_the_folds_are_refused():
    lon, lat = np.full(50, -100.0), np.linspace(40.0, 40.1, 50)
    with pytest.raises(InputError, match="5 folds of 50 sites in 1 blocks of 400 km"):
        fold_of_site(BLOCKS, lon, lat, 5, seed=1)
    with pytest.raises(InputError, match="kind of folds is 'blocks'"):
        fold_of_site("blocks", lon, lat, 5, seed=1)
