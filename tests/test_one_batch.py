"""One-batch assimilation: the misfit of all profiles together, its temperature, and chains that can be repeated."""

import numpy as np
import pytest
from pooled_study import N_CELLS, PLAN, pooled_study, sampled

from proda.assimilation.one_batch import batch_constant
from proda.errors import InputError
from proda.kernels import steady_state as lanes
from proda.kernels.metropolis import Proposal, Schedule
from proda.kernels.misfit import layer_weights, misfit, misfit_forms
from proda.kernels.simd import BLOCK_WIDTH
from proda.model.parameters import physical


@pytest.fixture(scope="module")
def study():
    return pooled_study()


@pytest.fixture(scope="module")
def result(study):
    return sampled(study)


def single_misfits(x, profiles, layers, forcing, relative_sd=0.3):
    """Misfit of each profile at one parameter set, (n_profiles,), profile by profile with the forcing of its cell."""
    phi = []
    for site, cell in enumerate(profiles["cell"]):
        own = layers[layers["site"] == site]
        zero = np.zeros(len(own), int)
        depth, soc = own["depth"].to_numpy(), own["soc"].to_numpy()
        forms = misfit_forms(zero, 1, depth, soc, layer_weights(zero, depth), relative_sd * soc)
        here = forcing.take([cell])
        phi.append(misfit(lanes.soc_density(physical(x, here), here), forms)[0])
    return np.array(phi)


def test_the_misfit_is_the_sum_over_all_profiles_and_padded_lanes_do_not_count(study, result):
    assert study[0]["cell"].nunique() % BLOCK_WIDTH != 0, "the last block of cells must have lanes to spare"
    for chain, draw in [(0, 0), (1, 50), (2, 99)]:
        expected = single_misfits(result.x[chain, draw], *study).sum()
        assert result.phi[chain, draw] == pytest.approx(expected, rel=1e-9)


def test_cells_without_profiles_do_not_count(study, result):
    profiles, layers, forcing = study
    elsewhere = forcing._replace(npp_mean=np.where(np.isin(np.arange(N_CELLS), profiles["cell"]), forcing.npp_mean, 1))
    np.testing.assert_array_equal(sampled((profiles, layers, elsewhere), n_chains=1).x[0], result.x[0])


def test_chains_can_be_repeated_whatever_the_number_of_workers(study, result):
    again = sampled(study, n_workers=1)
    np.testing.assert_array_equal(again.x, result.x)
    np.testing.assert_array_equal(again.phi, result.phi)
    assert not np.array_equal(sampled(study, seed=4, n_chains=1).x[0], result.x[0])


def test_chains_start_apart_and_every_step_is_reported(study):
    steps = []
    result = sampled(study, n_chains=2, report=steps.append)
    assert sum(steps) == 2 * PLAN.total
    assert result.x.shape == (2, 100, 25) and result.phi.shape == (2, 100) and result.acceptance.shape == (2, 2)
    assert not np.array_equal(result.x[0], result.x[1])
    assert ((result.acceptance > 0.0) & (result.acceptance < 1.0)).all() and result.D.shape == (2,)


def test_the_formal_posterior_fits_closer_and_is_narrower_than_the_tempered_one(study):
    plan = Schedule(2000, 4000, 6000, 20)
    tempered, formal = (sampled(study, B, plan=plan) for B in (1.0 / 30.0, 1.0))
    assert formal.phi.mean() < tempered.phi.mean()
    assert formal.x.std(axis=1).mean() < 0.8 * tempered.x.std(axis=1).mean()
    prior = np.random.default_rng(1).uniform(0.05, 0.6, (20, 25))
    assert tempered.phi.mean() < np.median([single_misfits(x, *study).sum() for x in prior])


def test_logarithmic_coordinates_give_the_same_posterior(study):
    plan = Schedule(2000, 6000, 12000, 20)
    box, logarithmic = (
        sampled(study, plan=plan, moves=Proposal(name)).x.reshape(-1, 25) for name in ("box", "logarithmic")
    )
    assert np.abs(box.mean(axis=0) - logarithmic.mean(axis=0)).max() < 0.1
    assert np.abs(box.std(axis=0) / logarithmic.std(axis=0) - 1.0).max() < 0.25


def test_a_reported_uncertainty_of_the_density_adds_to_that_of_the_observation_in_quadrature(study):
    profiles, layers, forcing = study
    estimated = profiles, layers.assign(density_relative_sd=0.4), forcing
    one, other = sampled(estimated, n_chains=1), sampled(study, n_chains=1, relative_sd=0.5)
    np.testing.assert_allclose(one.x, other.x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("phi", [7.5, np.nan, np.inf])
def test_chains_that_never_move_or_find_no_finite_misfit_are_an_error_that_says_what_to_change(study, phi, monkeypatch):
    """Whatever the reason: here the chains are not run at all."""
    monkeypatch.setattr("proda.assimilation.one_batch.run_chains", lambda *given: given[-1].fill(phi))
    with pytest.raises(InputError, match=r"chain 1 of 3 never moved .* Check relative_sd \(0\.3\) and one_batch_B"):
        sampled(study)


def test_the_batch_constant_is_a_number_or_one_over_the_number_of_profiles():
    assert batch_constant("1/n", 50) == batch_constant(" 1 / n ", 50) == 0.02
    assert batch_constant("1", 50) == batch_constant(1.0, 50) == 1.0
    assert batch_constant("0.005", 50) == 0.005


@pytest.mark.parametrize("setting", ["0", "-1", "n", "1/m", "nan", "inf", "", 0.0])
def test_a_batch_constant_that_is_not_positive_is_refused(setting):
    with pytest.raises(InputError, match="one_batch_B is .* expected a positive number or '1/n'"):
        batch_constant(setting, 50)
