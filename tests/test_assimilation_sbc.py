"""Simulation-based calibration of the whole site-by-site path, withheld layers, and the band for ranks."""

import numpy as np
import pytest
from columns import seasonal_columns, temperate

from proda.assimilation import sbc
from proda.assimilation.chains import EQUAL_WEIGHTS, PAPER_ERROR, ErrorModel, SitePlan, SiteProblem
from proda.kernels.metropolis import Proposal, Schedule
from proda.kernels.misfit import layer_weights
from proda.kernels.steady_state import soc_density
from proda.model.configuration import CESM2, CONFIGURATIONS
from proda.model.observation import at_depths
from proda.model.parameters import PAPER_PARAMETERS, cwd_share, physical

N = 160
DEPTHS = np.array([0.03, 0.15, 0.4, 0.8, 1.4])
PLAN = SitePlan(
    Schedule(5000, 20_000, 25_000, 50), proposal=Proposal("logarithmic"), ess_limit=100.0, max_steps=250_000
)

FLOOR = ErrorModel(0.3, 2.0, EQUAL_WEIGHTS)


def places(n, seed=5, configuration="paper"):
    """n sites of two to five layers; their observations are made by the simulation."""
    rng = np.random.default_rng(seed)
    layers = rng.integers(2, DEPTHS.size + 1, n)
    site = np.repeat(np.arange(n), layers)
    depth = np.concatenate([np.sort(rng.choice(DEPTHS, k, replace=False)) for k in layers])
    ones = np.ones(site.size)
    forcing = temperate(n, seed)
    if configuration == "cesm2":
        forcing = seasonal_columns(n, seed)[1]._replace(bedrock=np.full(n, CESM2.column.n_layers))
    return SiteProblem([f"P{k}" for k in range(n)], forcing, site, depth, depth, ones, ones, ones)


@pytest.mark.slow
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_the_truth_ranks_uniformly_among_the_draws_and_intervals_hold_it_as_often_as_they_should(configuration):
    result = sbc.simulated_calibration(places(N, configuration=configuration), 11, PLAN, FLOOR)
    n_parameters = len(CONFIGURATIONS[configuration].parameters)
    assert result.ranks.shape == (N, n_parameters) and result.ranks.min() >= 0 and result.ranks.max() <= sbc.N_RANKED
    assert not sbc.outside_band(result.ranks).any()
    # Layers of one profile are not independent: 160 profiles are fewer than 560 layers.
    assert result.layers["inside"].mean() == pytest.approx(0.9, abs=4.0 * np.sqrt(0.09 / N))
    table = sbc.coverage_by_depth(result.layers)
    assert table.loc["all", "layers"] == len(result.layers) and table["inside"].between(0.8, 1.0).all()


@pytest.mark.slow
def test_chains_that_cool_down_and_the_papers_error_model_claim_too_much():
    """The published acceptance makes posteriors too narrow, so that the truth is too often beyond all draws."""
    short = PLAN._replace(schedule=Schedule(3000, 7000, 10_000, 20), max_steps=0)
    cool = short._replace(proposal=Proposal("box", annealed=True))
    cooled = sbc.simulated_calibration(places(80), 11, cool, PAPER_ERROR)
    assert sbc.outside_band(cooled.ranks).any() and cooled.layers["inside"].mean() < 0.8
    claimed = sbc.simulated_calibration(places(80), 11, short, PAPER_ERROR, sbc.AS_IN_PAPER)
    assert claimed.layers["inside"].mean() < 0.7


def test_the_prior_leaves_carbon_for_woody_debris_and_is_flat_elsewhere(rng):
    x = sbc.prior_draws(20_000, rng, PAPER_PARAMETERS)
    low, width = PAPER_PARAMETERS.minimum, PAPER_PARAMETERS.maximum - PAPER_PARAMETERS.minimum
    assert x.shape == (20_000, 25) and cwd_share((low + width * x).T).min() > 0.0
    np.testing.assert_allclose(x[:, :20].mean(axis=0), 0.5, atol=0.01)


def test_simulated_observations_carry_the_error_that_each_choice_names(rng):
    like = places(400)
    x = sbc.prior_draws(400, rng, PAPER_PARAMETERS)
    truth = at_depths(soc_density(physical(x.T, like.forcing), like.forcing), like.site, like.depth)
    assumed, soc = sbc.simulated_profiles(like, x, sbc.AS_ASSUMED, PAPER_ERROR, rng)
    np.testing.assert_allclose(at_depths(soc, like.site, like.depth), truth, rtol=1e-12)
    z = (assumed.soc - truth) / assumed.sd * np.sqrt(layer_weights(like.site, like.depth))
    assert abs(z.mean()) < 0.1 and z.std() == pytest.approx(1.0, abs=0.07)
    paper, _ = sbc.simulated_profiles(like, x, sbc.AS_IN_PAPER, PAPER_ERROR, rng)
    np.testing.assert_allclose(paper.sd, 0.3 * paper.soc)
    assert (paper.soc / truth).std() == pytest.approx(0.3, abs=0.03) and paper.soc.min() > 0.0


def test_uniform_ranks_stay_in_the_band_of_all_parameters_as_often_as_it_promises():
    rng = np.random.default_rng(3)
    left = [sbc.outside_band(rng.integers(0, sbc.N_RANKED + 1, (100, 5))).any() for _ in range(400)]
    assert np.mean(left) == pytest.approx(0.05, abs=4.0 * np.sqrt(0.05 * 0.95 / 400))


@pytest.mark.parametrize(("scale", "shift"), [(0.7, 0.0), (1.4, 0.0), (1.0, 0.3)], ids=["narrow", "wide", "high"])
def test_ranks_of_a_wrong_posterior_leave_the_band(scale, shift, rng):
    truth, draws = rng.normal(size=(500, 3)), rng.normal(size=(500, sbc.N_RANKED, 3))
    draws[..., 1] = shift + scale * draws[..., 1]
    ranks = (draws < truth[:, None]).sum(axis=1)
    assert sbc.outside_band(ranks).tolist() == [False, True, False]


def test_the_band_holds_the_expected_distribution_and_narrows_with_more_simulations():
    few, many = sbc.rank_band(100, 25), sbc.rank_band(2000, 25)
    for z, low, high in (few, many):
        assert (low <= z).all() and (z <= high).all()
    assert np.ptp(many[1:], axis=0).max() < 0.3 * np.ptp(few[1:], axis=0).max()
    ecdf = sbc.rank_ecdf(np.array([[0], [50], [99]]))[[0, 49, 50, 98], 0]
    assert ecdf == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])


def test_predictions_of_withheld_layers_are_scored_against_truth_and_observation(rng):
    like, x = places(40), sbc.prior_draws(40, rng, PAPER_PARAMETERS)
    problem, soc = sbc.simulated_profiles(like, x, sbc.AS_IN_PAPER, PAPER_ERROR, rng)
    plan = PLAN._replace(schedule=Schedule(1000, 1000, 2000, 20), max_steps=0)
    table = sbc.withheld_predictions(problem, 3, plan, PAPER_ERROR, true_soc=soc)
    assert table["site"].tolist() == np.flatnonzero(np.bincount(like.site) >= 3).tolist()
    pairs = set(zip(like.site, like.depth, strict=True))
    assert set(zip(table["site"], table["depth"], strict=True)) < pairs
    assert 0.4 < table["truth_inside"].mean() <= 1.0 and 0.5 < table["observation_inside"].mean() <= 1.0
    by_depth = sbc.coverage_by_depth(table)
    assert by_depth["layers"].iloc[:-1].sum() == by_depth.loc["all", "layers"] == len(table)


def test_the_error_of_withheld_layers_is_recovered(rng):
    """Simulated with a known error; a small floor and a large one lead to different estimates."""
    like, plan = places(150), PLAN._replace(schedule=Schedule(1000, 2000, 3000, 20), max_steps=0)
    x = sbc.prior_draws(150, rng, PAPER_PARAMETERS)
    soc = sbc.soc_of_draws(x[:, None], like.forcing)[0]
    truth, found = like.modelled(soc), []
    for floor in (0.5, 5.0):
        true_error = FLOOR._replace(floor=floor)
        observed = np.maximum(truth + true_error.sd(truth) * rng.standard_normal(truth.size), 1.0)
        problem = like._replace(soc=observed)
        found.append(sbc.error_of_withheld(problem, 3, plan, FLOOR))
    assert found[0].floor < 2.0 < found[1].floor < 10.0, found
    assert all(one.relative < 0.7 and one.weights == EQUAL_WEIGHTS for one in found), found


def test_proposals_are_compared_at_equal_numbers_of_steps(rng):
    problem, _ = sbc.simulated_profiles(
        places(8), sbc.prior_draws(8, rng, PAPER_PARAMETERS), sbc.AS_IN_PAPER, PAPER_ERROR, rng
    )
    table = sbc.proposals_table(problem, 3, SitePlan(Schedule(1000, 1000, 2000, 10)))
    assert table.index.tolist() == list(sbc.PROPOSALS) and (table["worst ESS per second"] > 0.0).all()
    assert table["difference of means / sd"].tolist()[0] == 0.0 and (table["worst ESS"] > 1.0).all()


def test_the_sampler_gives_known_distributions_and_the_rules_of_other_programs_do_not():
    table = sbc.known_targets_table(Schedule(3000, 7000, 100_000, 200))
    assert (table.xs("as here", level="rule")["error of the mean"] < 0.1).all()
    cut = table.loc["normal cut by the bounds"]
    assert cut["distance of distributions"].idxmin() == "as here"
    assert cut.loc["annealed acceptance", "sd / true sd"] < 0.7
    assert cut.loc["redrawn until inside", "distance of distributions"] > 0.03
