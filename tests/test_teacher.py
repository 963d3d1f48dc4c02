"""Trees as teachers: they tell sites that they have not seen, and take scatter away."""

import numpy as np
import pytest
from learnable import learnable

from proda.learning.distillation import boosted_carbon, forest_carbon

TEACHERS = pytest.mark.parametrize("carbon", [forest_carbon, boosted_carbon])
LEAST_CORRELATION = 0.6


def told_by(carbon, made, n_seen=None, seed=1):
    return carbon(made.frame, made.class_names, made.observed, n_seen or made.observed.n_sites, seed)


def with_soc(made, rows, soc):
    strange = made.observed.soc.copy()
    strange[rows] = np.where(made.observed.present[rows], soc, 0.0)
    return made._replace(observed=made.observed._replace(soc=strange))


@pytest.mark.parametrize(("carbon", "part"), [(forest_carbon, 0.8), (boosted_carbon, 0.97)])
def test_they_lie_nearer_to_the_carbon_without_scatter_than_the_profiles_do(carbon, part):
    true, seen = learnable(400, noise=0.0).observed, learnable(400, noise=0.6)
    told, present = told_by(carbon, seen), seen.observed.present
    assert told.shape == true.soc.shape and (told[~present] == 0.0).all() and (told >= 0.0).all()
    trees, profiles = (np.abs(soc[present] - true.soc[present]).mean() for soc in (told, seen.observed.soc))
    assert trees < part * profiles


@TEACHERS
def test_a_site_has_no_say_in_what_is_told_of_it(carbon):
    made, site = learnable(100), 7
    told = told_by(carbon, with_soc(made, site, 900.0))
    assert (told[site] == told_by(carbon, made)[site]).all()
    assert (told != told_by(carbon, made)).any()


@TEACHERS
def test_places_without_profiles_are_told_of_and_have_no_say(carbon):
    made, n_seen = learnable(150), 100
    told = told_by(carbon, made, n_seen)
    assert (told == told_by(carbon, with_soc(made, slice(n_seen, None), 900.0), n_seen)).all()
    unseen = made.observed.present & (np.arange(150) >= n_seen)[:, None]
    assert np.corrcoef(told[unseen], made.observed.soc[unseen])[0, 1] > LEAST_CORRELATION


@TEACHERS
def test_one_seed_tells_one_thing(carbon):
    made = learnable(60)
    assert (told_by(carbon, made) == told_by(carbon, made)).all()
    assert (told_by(carbon, made) != told_by(carbon, made, seed=2)).any()
