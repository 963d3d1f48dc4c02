"""The posterior of a site by our chains and by another sampler (emcee, Foreman-Mackey et al. 2013).

The chains run the soil model in 32 bits. The other sampler takes the log posterior in 64 bits, which is that of the
plain NumPy model, and moves in coordinates of its own, the logits of the unit cube, where no bound is near.
"""

from pathlib import Path
from typing import NamedTuple

import emcee
import numpy as np
import pytest
from scipy.special import expit, logit

from proda.assimilation.chains import SitePlan, SiteProblem, sampled_sites
from proda.compiled import kept_compiled
from proda.kernels import metropolis
from proda.kernels import steady_state as kernels
from proda.kernels.metropolis import Schedule, Target
from proda.kernels.simd import BLOCK_WIDTH, store
from proda.kernels.steady_state import to_blocks
from proda.model.configuration import CESM2, PAPER, Configuration
from proda.model.observation import at_depths
from proda.model.parameters import bounds, cwd_share, physical
from proda.model.solver import soc_density, steady_state
from proda.run.verification import read_cases

CASES = Path(__file__).parent / "cases"
DEPTH = np.array([0.02, 0.1, 0.25, 0.5, 0.9, 1.4])
RELATIVE_SD = 0.15
SITES = {"paper": (PAPER, "paper_cases.csv", 20), "cesm2": (CESM2, "cesm2_cases.json", 10)}
N_WALKERS, N_STEPS = 800, 7000


class Site(NamedTuple):
    """A reference case, observed at six depths with noise of a known standard deviation."""

    problem: SiteProblem
    configuration: Configuration
    target: Target  # that of `BLOCK_WIDTH` chains
    exact: Target  # the same in 64 bits

    @property
    def dimension(self) -> int:
        return len(self.configuration.parameters)


@pytest.fixture(scope="module", params=SITES.values(), ids=SITES)
def site(request) -> Site:
    configuration, file, number = request.param
    cases = read_cases(CASES / file)
    forcing, at_one = cases.forcing.take([number]), np.zeros(DEPTH.size, np.int64)
    truth = kernels.soc_density(cases.theta[:, [number]], forcing, configuration)
    noise = 1.0 + RELATIVE_SD * np.random.default_rng(5).standard_normal(DEPTH.size)
    soc = at_depths(truth, at_one, DEPTH, configuration.column) * noise
    problem = SiteProblem(["site"], forcing, at_one, DEPTH, DEPTH, soc, RELATIVE_SD * soc, np.ones(DEPTH.size))
    block = np.zeros(BLOCK_WIDTH, np.int64)
    chains = forcing.take(block), problem.forms()[:, block], False, metropolis.DEFAULT_PROPOSAL, configuration
    target = metropolis.new_target(*chains)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metropolis, "PRECISION", np.float64)
        return Site(problem, configuration, target, metropolis.new_target(*chains))


def plain_log_posterior(x: np.ndarray, site: Site) -> np.ndarray:
    """Log posterior by the NumPy model at points (n, n_parameters) of the cube; minus infinity without woody debris."""
    problem, configuration, table = site.problem, site.configuration, site.configuration.parameters
    low, high = (bound[:, 0] for bound in bounds(problem.forcing, table))
    allowed = np.full(len(x), True)
    if configuration is PAPER:
        allowed = cwd_share((low + x * (high - low)).T) > 0.0
    forcing = problem.forcing.take(np.zeros(int(allowed.sum()), int))
    soc = soc_density(steady_state(physical(x[allowed].T, forcing, table), forcing, configuration))
    result = np.full(len(x), -np.inf)
    for row, profile in zip(np.flatnonzero(allowed), soc.T, strict=True):
        modelled = at_depths(profile[:, None], problem.site, DEPTH, configuration.column)
        result[row] = -0.5 * (((modelled - problem.soc) / problem.sd) ** 2).sum()
    return result


@kept_compiled
def fill_misfits(points, target, phi):
    for block in range(len(points)):
        store(phi[block], 0, metropolis.proposed_phi(points[block], target))


def log_posterior(x: np.ndarray, target: Target) -> np.ndarray:
    """Minus the misfit of a target at points (n, n_parameters) of the cube."""
    points = to_blocks(x.T)
    phi = np.empty((len(points), BLOCK_WIDTH))
    fill_misfits(points, target, phi)
    return -np.where(np.isnan(phi), np.inf, phi).ravel()[: len(x)]


def test_the_chains_see_the_posterior_of_the_plain_model(site):
    x = np.random.default_rng(3).random((500, site.dimension))
    plain = plain_log_posterior(x, site)
    assert np.isfinite(plain).sum() > 200
    np.testing.assert_allclose(log_posterior(x, site.exact), plain, rtol=1e-9)
    in_chains, possible = log_posterior(x, site.target), plain > -1e6
    np.testing.assert_allclose(in_chains[possible], plain[possible], rtol=1e-5)
    assert (in_chains[~possible] < -1e5).all(), "32 bits may overflow where no chain will ever be"


def emcee_draws(site: Site) -> np.ndarray:
    """Draws of the affine-invariant ensemble, (step, walker, parameter), on the unit cube."""

    def log_density(y: np.ndarray) -> np.ndarray:
        return log_posterior(expit(y), site.exact) - (np.logaddexp(0.0, y) + np.logaddexp(0.0, -y)).sum(axis=1)

    x = np.random.default_rng(2).random((20_000, site.dimension))
    best = x[np.argsort(log_posterior(x, site.exact))[-N_WALKERS:]]
    sampler = emcee.EnsembleSampler(N_WALKERS, site.dimension, log_density, vectorize=True)
    sampler.random_state = np.random.RandomState(3).get_state()
    sampler.run_mcmc(logit(best), N_STEPS)
    return expit(sampler.get_chain(discard=N_STEPS // 5))


@pytest.mark.slow
def test_two_samplers_find_the_same_posterior(site):
    ours = sampled_sites(site.problem, 7, SitePlan(Schedule(4000, 16_000, 2_000_000, 2000), n_chains=BLOCK_WIDTH))
    theirs = emcee_draws(site)
    time = emcee.autocorr.integrated_time(theirs, quiet=True)
    assert theirs.shape[0] > 10 * time.max()
    assert ours.mixing.ess_bulk.min() > 8000 and theirs[..., 0].size > 8000 * time.max()
    x, other = ours.draws.reshape(-1, site.dimension), theirs.reshape(-1, site.dimension)
    sd = x.std(axis=0)
    assert sd.min() < 0.2, "the observations constrain some parameter"
    np.testing.assert_array_less(np.abs(x.mean(axis=0) - other.mean(axis=0)) / sd, 0.05)
    np.testing.assert_allclose(other.std(axis=0) / sd, 1.0, atol=0.04)
    assert np.abs(np.corrcoef(x.T) - np.corrcoef(other.T)).max() < 0.06
