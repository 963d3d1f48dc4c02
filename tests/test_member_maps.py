"""The map of an ensemble with the error of its means."""

import numpy as np
import pytest
from columns import temperate

from proda.kernels import steady_state as lanes
from proda.learning.hybrid_training import WIDTH_90
from proda.maps.prediction import soc_of_members
from proda.maps.stocks import MAP_INTERVALS, petagrams, stocks
from proda.model.configuration import STRATA
from proda.model.parameters import physical

N = 60
AREA = np.full(N, 2.0e9)
BLOCK = np.repeat(np.arange(6), 10)
NONE = np.zeros(3)


def members(n: int, spread: float, seed: int = 1):
    rng = np.random.default_rng(seed)
    x = np.clip(0.4 + spread * rng.standard_normal((n, N, 25)), 0.05, 0.6)
    return x


def test_the_mean_is_that_of_the_members_carbon():
    x, forcing = members(4, 0.05), temperate(N)
    found = soc_of_members(x, forcing, AREA, np.zeros(3), NONE, BLOCK)
    soc = np.mean([lanes.soc_density(physical(m.T, forcing), forcing) for m in x], axis=0)
    np.testing.assert_allclose(found["soc"], soc, rtol=1e-12)
    np.testing.assert_allclose(found["stock"].sel(statistic="mean"), stocks(soc, MAP_INTERVALS), rtol=1e-12)
    np.testing.assert_allclose(found["total"].sel(statistic="mean"), petagrams(stocks(soc, STRATA), AREA), rtol=1e-12)


def test_members_of_one_mind_leave_the_unseen_error_alone():
    x = np.repeat(members(1, 0.05), 3, axis=0)
    found = soc_of_members(x, temperate(N), AREA, np.full(3, 0.25), NONE, BLOCK)["stock"]
    np.testing.assert_allclose(found.sel(statistic="p95") / found.sel(statistic="mean"), np.exp(WIDTH_90 * 0.5))
    np.testing.assert_allclose(found.sel(statistic="p05") / found.sel(statistic="mean"), np.exp(-WIDTH_90 * 0.5))


def test_members_that_disagree_widen_the_interval():
    width = [
        float((m["stock"].sel(statistic="p95") / m["stock"].sel(statistic="p05")).mean())
        for m in (
            soc_of_members(members(6, s), temperate(N), AREA, np.full(3, 0.04), NONE, BLOCK) for s in (0.0, 0.05, 0.1)
        )
    ]
    assert width[0] < width[1] < width[2]


def test_the_error_of_a_total_adds_within_blocks_and_averages_between_them():
    x, forcing = np.repeat(members(1, 0.0), 2, axis=0), temperate(N)
    one = soc_of_members(x, forcing, AREA, np.full(3, 0.09), NONE, np.zeros(N, int))["total"]
    half_width = (one.sel(statistic="p95") - one.sel(statistic="mean")) / one.sel(statistic="mean")
    np.testing.assert_allclose(half_width, WIDTH_90 * 0.3, rtol=1e-9)
    many = soc_of_members(x, forcing, AREA, np.full(3, 0.09), NONE, np.arange(N))["total"]
    smaller = (many.sel(statistic="p95") - many.sel(statistic="mean")) / one.sel(statistic="mean")
    assert (smaller < 1.6 * WIDTH_90 * 0.3 / np.sqrt(N)).all() and (smaller > 0).all()


def test_what_all_land_has_in_common_does_not_average_out():
    x, forcing, unseen = np.repeat(members(1, 0.0), 2, axis=0), temperate(N), np.full(3, 0.09)
    found = soc_of_members(x, forcing, AREA, unseen, unseen, np.arange(N))["total"]
    half_width = (found.sel(statistic="p95") - found.sel(statistic="mean")) / found.sel(statistic="mean")
    np.testing.assert_allclose(half_width, WIDTH_90 * 0.3, rtol=1e-9)


def test_an_interval_over_strata_lies_between_those_of_its_strata():
    x = np.repeat(members(1, 0.05), 2, axis=0)
    found = soc_of_members(x, temperate(N), AREA, np.array([0.04, 0.16, 0.36]), NONE, BLOCK)["stock"]
    relative = np.log(found.sel(statistic="p95") / found.sel(statistic="mean")).values / WIDTH_90
    np.testing.assert_allclose(relative[0], 0.2)
    assert ((relative[1] > 0.2) & (relative[1] < 0.4)).all() and (
        (relative[2] > relative[1]) & (relative[2] < 0.6)
    ).all()


@pytest.mark.parametrize("what", ["p05", "p95"])
def test_totals_are_never_negative(what):
    found = soc_of_members(members(2, 0.1), temperate(N), AREA, np.full(3, 9.0), NONE, np.zeros(N, int))
    assert (found["total"].sel(statistic=what) >= 0).all()
