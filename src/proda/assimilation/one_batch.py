"""One-batch assimilation: one set of parameters for all profiles together (Tao et al. 2020, section 2.3).

The profiles of a grid cell share their forcing, so their misfits add up to one quadratic form and the column is solved
once for all of them. Eq. 5.1 leaves the constant B open: with B = 1 the posterior is the formal one of all profiles;
with B = 1/(number of profiles) it holds one profile's worth of information, and is about as wide as the paper's.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.assimilation.adaptive_metropolis import KEPT_ACCEPTED, TEST_ACCEPTED, Schedule, new_chains
from proda.assimilation.lane_random import generator_states
from proda.assimilation.misfit import layer_weights, misfit_forms
from proda.assimilation.soc_chains import new_target, run_chains
from proda.errors import InputError
from proda.model.forcing import Forcing
from proda.model.lane_drivers import lane_work
from proda.model.lane_type import LANES
from proda.model.parameters import PAPER_PARAMETERS

STEPS_PER_REPORT = 50


class OneBatch(NamedTuple):
    """The posterior of one parameter set for all profiles.

    `x` (chain, draw, parameter) on the unit cube; `phi` (chain, draw), misfit summed over all profiles, not tempered;
    `acceptance` (chain, 2) of the test run and the kept part; `B` of Eq. 5.1.
    """

    x: NDArray[np.float64]
    phi: NDArray[np.float64]
    acceptance: NDArray[np.float64]
    B: float


def batch_constant(setting: str | float, n_profiles: int) -> float:
    """B of Eq. 5.1 from the setting `one_batch_B`: a positive number, or "1/n" for one over the number of profiles."""
    if str(setting).replace(" ", "") == "1/n":
        return 1.0 / n_profiles
    try:
        value = float(setting)
    except ValueError:
        value = float("nan")
    if not value > 0.0 or not np.isfinite(value):
        raise InputError(
            f"one_batch_B is {setting!r}, expected a positive number or '1/n' (one over the number of profiles)."
        )
    return value


def one_batch_posterior(
    profiles: pd.DataFrame,
    layers: pd.DataFrame,
    cell_forcing: Forcing,
    seed: int,
    schedule: Schedule,
    n_chains: int = 3,
    B: float = 1.0,
    relative_sd: float = 0.3,
    n_workers: int = 2,
    report: Callable[[int], None] = lambda n_steps: None,
) -> OneBatch:
    """Sample Eq. 5.1 over all profiles.

    Parameters
    ----------
    profiles, layers : DataFrame
        The study's cleaned tables.
    cell_forcing : Forcing
        Of all grid cells; only those that hold profiles are solved.
    report : callable
        Told the number of steps just taken by some chain.
    """
    cells, column = np.unique(profiles["cell"].to_numpy(), return_inverse=True)
    site, depth, soc = (layers[name].to_numpy() for name in ("site", "depth", "soc"))
    weight = layer_weights(site, depth)
    forms = misfit_forms(column[site], cells.size, depth, soc, weight, relative_sd)
    target = new_target(cell_forcing.take(cells), B * forms, pooled=True)
    n_parameters, n_draws = len(PAPER_PARAMETERS), schedule.kept_steps // schedule.thin

    def run(chain: int) -> tuple[NDArray, NDArray, list[float]]:
        # Every lane carries the same chain, so that its misfit can be summed over the lanes of each block of cells.
        states = np.repeat(generator_states([(seed, 0, chain)]), LANES, axis=1)
        chains = new_chains(n_parameters, states)
        own = target._replace(theta=np.zeros_like(target.theta), work=lane_work())
        draws, phis = np.empty((LANES, n_draws, n_parameters)), np.empty((LANES, n_draws))
        for begin in range(0, schedule.total, STEPS_PER_REPORT):
            end = min(begin + STEPS_PER_REPORT, schedule.total)
            run_chains(chains, own, schedule, begin, end, draws, phis)
            report(end - begin)
        accepted = chains.tuning.reshape(-1, LANES)[:, 0]
        rates = [accepted[TEST_ACCEPTED] / schedule.test_steps, accepted[KEPT_ACCEPTED] / schedule.kept_steps]
        return draws[0], phis[0] / B, rates

    with ThreadPoolExecutor(n_workers) as pool:
        x, phi, acceptance = zip(*pool.map(run, range(n_chains)), strict=True)
    result = OneBatch(np.stack(x), np.stack(phi), np.array(acceptance), B)
    if not np.isfinite(result.phi).all() or (result.acceptance[:, 1] == 0.0).any():
        worst = int(np.argmin(result.acceptance[:, 1]))
        raise InputError(
            f"one-batch: chain {worst + 1} of {n_chains} never moved in its kept part, at a misfit of "
            f"{result.phi[worst, -1]:g}; expected a finite misfit and accepted steps. Check relative_sd "
            f"({relative_sd:g}) and one_batch_B ({B:g}), or run longer (one_batch_steps)."
        )
    return result
