"""Chains of many sites on all cores of this machine, in memory: for comparisons and calibrations."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from proda.assimilation.diagnostics import Convergence
from proda.assimilation.schedules import SitePlan
from proda.assimilation.site_chains import SampledSites, sampled_sites
from proda.assimilation.site_problem import SiteProblem

# Few sites go on after the first rounds, and their chains fill lanes the better the more sites a part has.
_LEAST, _MOST = 32, 128


def n_workers() -> int:
    """Threads for the samplers: the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def sampled_by_workers(problem: SiteProblem, seed: int, plan: SitePlan) -> SampledSites:
    """`sampled_sites` of all sites of `problem`, part by part, on all cores; the same to the last bit."""
    size = min(max(-(-problem.n_sites // (2 * n_workers())), _LEAST), _MOST)
    parts = [problem.part(first, min(first + size, problem.n_sites)) for first in range(0, problem.n_sites, size)]
    with ThreadPoolExecutor(n_workers()) as pool:
        found = list(pool.map(lambda part: sampled_sites(part, seed, plan), parts))
    arrays = (np.concatenate(values) for values in zip(*(one[:4] for one in found), strict=True))
    mixing = Convergence(*(np.concatenate(values) for values in zip(*(one.mixing for one in found), strict=True)))
    return SampledSites(*arrays, mixing)
