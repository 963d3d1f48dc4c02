"""Which way of moving mixes best: effective draws per second of the same sites by each, in one table."""

import time

import numpy as np
import pandas as pd

from proda.assimilation.coordinates import BOX, LOGARITHMIC
from proda.assimilation.schedules import SitePlan
from proda.assimilation.site_problem import SiteProblem
from proda.assimilation.soc_chains import Moves
from proda.assimilation.workers import sampled_by_workers

MOVES = {"the paper's: unit cube": Moves(BOX), "logarithmic coordinates": Moves(LOGARITHMIC)}


def moves_table(problem: SiteProblem, seed: int, plan: SitePlan) -> pd.DataFrame:
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
    for name, moves in MOVES.items():
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
