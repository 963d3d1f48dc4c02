"""The random split of sites into training, validation, test and unused."""

import numpy as np
import pytest

from proda.errors import InputError
from proda.learning.splits import (
    TEST,
    TRAIN,
    UNUSED,
    VALIDATION,
    outside_training_cells,
    random_split,
    share_at_training_coordinates,
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


def test_only_a_test_site_with_both_coordinates_of_a_training_site_is_at_its_place():
    split = np.array([TRAIN, TEST, TEST, TEST, VALIDATION, TEST], dtype=object)
    lon, lat = [-90.0, -90.0, -90.0, -80.0, -70.0, -70.0], [40.0, 40.0, 41.0, 40.0, 35.0, 35.0]
    assert share_at_training_coordinates(split, lon, lat) == 0.25
