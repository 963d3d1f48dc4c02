"""What site-by-site assimilation costs by the number of sites and of steps: seconds, measured one after the other.

Which way of moving mixes best: effective draws per second of the same sites by each, in one table.
"""

import time

import numpy as np
import pandas as pd

from proda.assimilation.chains import SitePlan, sampled_by_workers, schedule
from proda.assimilation.problem import SiteProblem
from proda.kernels.metropolis import BOX, LOGARITHMIC, Proposal

SITES, STEPS = (32, 64, 128, 256), (2000, 4000, 8000, 16_000)


def cost_table(problem: SiteProblem, seed: int, plan: SitePlan, rounds: int = 2) -> pd.DataFrame:
    """Seconds to sample more and more sites for the same number of steps, and some sites for more and more steps.

    Of every size the quickest of a few rounds counts, on all cores, diagnostics included. A study with few sites is
    measured with fewer.

    Returns
    -------
    DataFrame
        `varied` ("sites" or "steps"), `sites`, `steps` (of a chain), `seconds`.
    """
    # Fewer would be a single part, which one core samples.
    few = min(SITES[1], problem.n_sites)
    sizes = [("sites", min(n, problem.n_sites), STEPS[0]) for n in SITES] + [("steps", few, n) for n in STEPS]
    sizes = list(dict.fromkeys(sizes))
    best = dict.fromkeys(sizes, float("inf"))
    for _ in range(rounds):
        for size in sizes:
            _, n_sites, n_steps = size
            own = plan._replace(schedule=schedule(n_steps // 5, n_steps - n_steps // 5, 200), max_steps=0)
            begun = time.perf_counter()
            sampled_by_workers(problem.part(0, n_sites), seed, own)
            best[size] = min(best[size], time.perf_counter() - begun)
    return pd.DataFrame(
        [(*size, seconds) for size, seconds in best.items()], columns=["varied", "sites", "steps", "seconds"]
    )


PROPOSALS = {"the paper's: unit cube": Proposal(BOX), "logarithmic coordinates": Proposal(LOGARITHMIC)}


def proposals_table(problem: SiteProblem, seed: int, plan: SitePlan) -> pd.DataFrame:
    """Cost and mixing of the chains of all sites by each kind of move, at equal numbers of steps.

    Returns
    -------
    DataFrame
        By kind of move: `ns per step` (of a chain, all cores together); medians over sites of the `worst ESS` (bulk or
        tail, of 25 parameters), of the `mean ESS` (bulk) and of the `worst R-hat`; `worst ESS per second` of sampling
        one site; the share of sites `below 1.05`; and the greatest difference of posterior means from those of the
        first kind, in posterior standard deviations: median over sites.
    """
    rows, reference = {}, None
    for name, moves in PROPOSALS.items():
        own = plan._replace(moves=moves)
        # What is compiled or read for the first time is not the cost of a move.
        sampled_by_workers(problem.part(0, 1), seed, own._replace(schedule=plan.schedule._replace(test_steps=100)))
        begun = time.perf_counter()
        sampled = sampled_by_workers(problem, seed, own)
        seconds = time.perf_counter() - begun
        mixing = sampled.mixing
        worst = np.fmin(mixing.ess_bulk, mixing.ess_tail).min(axis=1)
        mean = sampled.draws.mean(axis=(1, 2), dtype=float)
        reference = (mean, sampled.draws.std(axis=(1, 2), dtype=float)) if reference is None else reference
        rows[name] = {
            "ns per step": 1e9 * seconds / sampled.steps.sum() / plan.n_chains,
            "worst ESS": np.median(worst),
            "mean ESS": np.median(mixing.ess_bulk.mean(axis=1)),
            "worst R-hat": np.median(mixing.rhat.max(axis=1)),
            "below 1.05": (mixing.rhat.max(axis=1) <= 1.05).mean(),
            "worst ESS per second": np.median(worst) * problem.n_sites / seconds,
            "difference of means / sd": np.median(np.abs((mean - reference[0]) / reference[1]).max(axis=1)),
        }
    return pd.DataFrame(rows).T
