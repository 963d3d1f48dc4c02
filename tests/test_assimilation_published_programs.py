"""What the published programs' choices do to the posteriors of the same sites."""

import numpy as np
import pytest
from made_sites import few_sites, pooled_problem

from proda.assimilation.chains import SitePlan, sampled_sites
from proda.assimilation.published_programs import VARIANTS, one_batch_as_coded, one_batch_carbon, variants_table
from proda.kernels.metropolis import Schedule
from proda.kernels.steady_state import soc_density
from proda.model.observation import at_depths
from proda.model.parameters import CRYO, TAU_CWD, physical

PLAN = SitePlan(Schedule(2000, 3000, 6000, 20), n_kept=60)


@pytest.fixture(scope="module")
def problem():
    return few_sites(12)


def repeats(draws) -> float:
    """Share of draws that are the draw before, but for parameters that are drawn from the prior."""
    sampled = np.delete(draws, (CRYO, TAU_CWD), axis=-1)
    return float((np.diff(sampled, axis=2) == 0.0).all(axis=-1).mean())


def test_accepted_only_keeps_states_that_a_step_arrived_at(problem):
    """Every state is another one than before, while a fair sample repeats a state for as long as it was waited in."""
    plan = SitePlan(Schedule(1000, 1000, 3000, 10))
    every = plan._replace(schedule=plan.schedule._replace(thin=1))
    arrived = sampled_sites(problem, 7, plan._replace(accepted_only=True))
    path = sampled_sites(problem, 7, every)
    assert repeats(path.draws) > 0.5 and repeats(arrived.draws) == 0.0
    assert arrived.draws.shape == (12, 3, 300, 25)
    seen, kept = (np.delete(one.draws[7, 2], (CRYO, TAU_CWD), axis=-1) for one in (path, arrived))
    states = {x.tobytes(): phi for x, phi in zip(seen, path.phi[7, 2], strict=True)}
    assert all(states[x.tobytes()] == phi for x, phi in zip(kept, arrived.phi[7, 2], strict=True))
    np.testing.assert_array_equal(arrived.acceptance, path.acceptance)


def test_every_variant_is_measured_on_the_same_sites(problem):
    table = variants_table(problem, 7, PLAN)
    assert table.index.tolist() == list(VARIANTS) and np.isfinite(table).all(axis=None)
    wide, cooled = table.loc["60 % error"], table.loc["annealed acceptance"]
    paper = table.iloc[0]
    assert wide["SOC sd / mean"] > paper["SOC sd / mean"] > cooled["SOC sd / mean"]
    assert (table["sites used"] <= 12).all()
    assert table.loc["redrawn at the bounds", "sd ratio"] < paper["sd ratio"], (
        "the neighbourhood of the bounds is missed"
    )


def test_one_batch_as_coded_is_judged_on_all_profiles(rng):
    problem, cell = pooled_problem()
    table = one_batch_as_coded(problem, cell, 3, Schedule(300, 300, 400, 4), n_selections=2)
    assert table["modelled / observed"].between(0.01, 100).all() and table["modelled / observed"].nunique() == 2
    x = rng.uniform(0.2, 0.6, (7, 25))
    soc = np.mean([soc_density(physical(one, problem.forcing), problem.forcing) for one in x], axis=0)
    np.testing.assert_allclose(one_batch_carbon(x, problem), at_depths(soc, problem.site, problem.depth), rtol=1e-12)
