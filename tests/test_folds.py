"""Folds at random sites and in blocks of land, and distances to the nearest site."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proda.errors import InputError
from proda.learning.splits import BLOCKS, KINDS, RANDOM, block_of_place, fold_of_site, kilometres_to_nearest


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
    areas = 8.08e6  # km2, the conterminous United States and what the rectangle adds is more
    assert areas / 400**2 < np.unique(block_of_place(lon, lat, 400.0)).size < 2.5 * areas / 400**2
    # A square's diagonal is the farthest that two places of a block can lie apart; the map's scale errs by 2 %.
    block = block_of_place(lon, lat, 400.0)
    for number in np.unique(block)[::7]:
        here = block == number
        for i in np.flatnonzero(here)[:3]:
            apart = [kilometres_to_nearest([lon[i]], [lat[i]], [lon[j]], [lat[j]])[0] for j in np.flatnonzero(here)]
            assert max(apart) < 1.03 * 400 * np.sqrt(2)


def test_the_seed_decides_the_folds():
    places = scattered(200)
    for kind in KINDS:
        assert (fold_of_site(kind, *places, 4, 1) == fold_of_site(kind, *places, 4, 1)).all()
        assert (fold_of_site(kind, *places, 4, 1) != fold_of_site(kind, *places, 4, 2)).any()


def test_a_degree_of_latitude_is_111_km_and_one_of_longitude_its_cosine():
    assert kilometres_to_nearest([-100.0], [40.0], [-100.0], [41.0])[0] == pytest.approx(111.19, abs=0.02)
    east = kilometres_to_nearest([-100.0], [40.0], [-99.0], [40.0])[0]
    assert east == pytest.approx(111.19 * np.cos(np.radians(40.0)), rel=1e-4)
    assert kilometres_to_nearest([-100.0], [40.0], [-90.0, -100.0], [40.0, 40.0])[0] == 0.0


def test_too_few_blocks_for_the_folds_are_told():
    lon, lat = np.full(50, -100.0), np.linspace(40.0, 40.1, 50)
    with pytest.raises(InputError, match="5 folds of 50 sites in 1 blocks of 400 km"):
        fold_of_site(BLOCKS, lon, lat, 5, seed=1)
    with pytest.raises(InputError, match="kind of folds is 'blocks'"):
        fold_of_site("blocks", lon, lat, 5, seed=1)
