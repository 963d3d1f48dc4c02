"""What the hybrid is taught: the panel's mean everywhere, and at sites a share of their own profiles."""

import numpy as np
import pytest
from columns import temperate
from learnable import learnable, made_covariates

from proda.learning.distillation import (
    batch_size_of,
    boosted_carbon,
    distillation_targets,
    distilled,
    forest_carbon,
    trained_on_layers,
)
from proda.learning.hybrid import HybridPlan
from proda.learning.training_data import LEAST_CELLS, TARGET_DEPTHS, unlabelled_cells, unlabelled_rows


@pytest.fixture(scope="module")
def made():
    return learnable(80)


def lessons(made, alone, share, material=None):
    material = material or made
    return distillation_targets(
        material.frame, material.class_names, material.observed, material.land, alone, share, seed=1
    )


def test_the_share_goes_from_the_profile_to_the_mean_of_the_panel(made):
    both = made.observed.joined(made.land.sites)
    alone = np.where(both.present, 7.0, 0.0)
    none, half, whole = (lessons(made, alone, share) for share in (0.0, 0.5, 1.0))
    assert whole.soc.shape == (120, 4) and (none.soc[:80] == made.observed.soc).all()
    np.testing.assert_allclose(half.soc[:80], (made.observed.soc + whole.soc[:80]) / 2, rtol=1e-6)
    places = made.frame, made.land.frame
    frame = type(made.frame)(np.concatenate(places), columns=made.frame.columns)
    forest, boosted = (told(frame, made.class_names, both, 80, 1) for told in (forest_carbon, boosted_carbon))
    np.testing.assert_allclose(whole.soc, (forest + boosted + alone) / 3, rtol=1e-5)


def test_a_hybrids_own_networks_stay_as_they_are_when_the_next_of_its_shape_is_taught(made):
    train, plan = np.arange(0, made.observed.n_sites, 2), HybridPlan(2, 1, 16)
    first = trained_on_layers(made, train, plan, seed=1)
    own = first.own_networks()
    before = own.get_weights()
    second = trained_on_layers(made, train, plan, seed=2)
    assert second.trainer is first.trainer
    for kept, values, others in zip(own.get_weights(), before, second.trainer.networks.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, values)
        assert values.size == 1 or not np.array_equal(values, others)


def test_a_cell_is_told_of_by_the_panel_alone_whatever_the_share(made):
    alone = np.full((120, 4), 7.0)
    assert (lessons(made, alone, 0.3).soc[80:] == lessons(made, alone, 1.0).soc[80:]).all()
    assert (lessons(made, alone, 0.3).soc[80:] > 0.0).all()


def test_land_has_layers_where_profiles_have_most_and_is_as_wide_as_its_sites():
    frame = made_covariates(np.random.default_rng(1), 5)
    wide, narrow = (unlabelled_cells(frame, temperate(5, 1), width).sites for width in (11, 3))
    assert (
        wide.soc.shape == (5, 11) and wide.weight.shape == (5, 11, 4) and wide.present.sum() == 5 * len(TARGET_DEPTHS)
    )
    assert (wide.depth[:, : len(TARGET_DEPTHS)] == TARGET_DEPTHS).all()
    assert (narrow.depth == [TARGET_DEPTHS[0], TARGET_DEPTHS[4], TARGET_DEPTHS[-1]]).all() and narrow.present.all()


def test_what_is_taught_by_the_panel_follows_it_where_no_profile_is(made):
    plan = HybridPlan(n_members=2, epochs=40, learning_rate=6e-3, n_bins=3)
    alone = trained_on_layers(made, np.arange(80), plan.of_layers_alone(), seed=1)
    both = made.observed.joined(made.land.sites)
    frame = type(made.frame)(np.concatenate([made.frame, made.land.frame]), columns=made.frame.columns)
    told = lessons(made, alone.soc(frame, both).mean(axis=1), 1.0).soc[80:]
    student = distilled(made, np.arange(80), plan, alone, seed=1)
    found = student.soc(made.land.frame, made.land.sites).mean(axis=1)
    assert np.mean((found - told) ** 2) < 0.1 * told.var()
    assert student.encoding.edges.shape == (2, 4) and alone.encoding.edges.shape == (2, 0)


def test_batches_leave_some_thirty_steps_in_an_epoch():
    assert [batch_size_of(n) for n in (1, 480, 1000, 5000, 10**6)] == [16, 16, 32, 128, 256]


@pytest.mark.parametrize(
    ("n_cells", "n_sites", "n"), [(30, 5, 30), (5000, 80, LEAST_CELLS), (5000, 2000, 2000), (5000, 9000, 5000)]
)
def test_cells_are_told_in_the_number_of_sites_evenly_through_all_land(n_cells, n_sites, n):
    rows = unlabelled_rows(n_cells, n_sites)
    assert rows.size == np.unique(rows).size == n and rows[0] == 0 and rows[-1] == n_cells - 1
    assert np.ptp(np.diff(rows)) <= 1
