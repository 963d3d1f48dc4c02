"""The forest as teacher: it tells sites that its trees have not seen, and takes scatter away."""

import numpy as np
from learnable import learnable

from proda.learning.teacher import out_of_bag_carbon, taught_sites


def told_by_forest(made, seed=1):
    return out_of_bag_carbon(made.frame, made.class_names, made.observed, seed)


def test_it_lies_nearer_to_the_carbon_without_scatter_than_the_profiles_do():
    true, seen = learnable(400, noise=0.0).observed, learnable(400, noise=0.6)
    told, present = told_by_forest(seen), seen.observed.present
    assert told.shape == true.soc.shape and (told[~present] == 0.0).all()
    forest, profiles = (np.abs(soc[present] - true.soc[present]).mean() for soc in (told, seen.observed.soc))
    assert forest < 0.8 * profiles


def test_a_site_has_no_say_in_what_is_told_of_it():
    made, site = learnable(100), 7
    strange = made.observed.soc.copy()
    strange[site, made.observed.present[site]] = 900.0
    told = out_of_bag_carbon(made.frame, made.class_names, made.observed._replace(soc=strange), 1)
    assert (told[site] == told_by_forest(made)[site]).all()
    assert (told != told_by_forest(made)).any()


def test_one_seed_tells_one_thing():
    made = learnable(60)
    assert (told_by_forest(made) == told_by_forest(made)).all()
    assert (told_by_forest(made) != told_by_forest(made, seed=2)).any()


def test_the_share_goes_from_the_profile_to_the_forest():
    made = learnable(60)
    none, half, all_ = (
        taught_sites(made.frame, made.class_names, made.observed, share, 1) for share in (0.0, 0.5, 1.0)
    )
    told = told_by_forest(made)
    assert (none.soc == made.observed.soc).all() and (all_.soc == told).all()
    np.testing.assert_allclose(half.soc, (made.observed.soc + told) / 2, rtol=1e-6)
    assert half.depth is made.observed.depth
