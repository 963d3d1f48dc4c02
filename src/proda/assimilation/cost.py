"""What site-by-site assimilation costs by the number of sites and of steps: seconds, measured one after the other."""

import time

import pandas as pd

from proda.assimilation.schedules import SitePlan, schedule
from proda.assimilation.site_problem import SiteProblem
from proda.assimilation.workers import sampled_by_workers

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
