"""Profiles of some grid cells as one-batch assimilation takes them, with a plan that samples them in a moment."""

import numpy as np
import pandas as pd
from columns import drawn_columns

from proda.assimilation.one_batch import OneBatch, one_batch_posterior
from proda.kernels import steady_state as lanes
from proda.kernels.metropolis import Schedule
from proda.model.forcing import Forcing
from proda.model.observation import at_depths

PLAN = Schedule(500, 500, 800, 8)
N_CELLS, N_PROFILES = 40, 30


def pooled_study(times: int = 1) -> tuple[pd.DataFrame, pd.DataFrame, Forcing]:
    """30 profiles in some of 40 cells, several in one cell, with 30 % error: profiles, layers, forcing.

    `times` repeats them: as many times the information, in the same cells.
    """
    rng = np.random.default_rng(2)
    theta, forcing = drawn_columns(N_CELLS, seed=21, low=0.3, high=0.7)
    cell = rng.integers(0, 25, N_PROFILES)
    n_layers = rng.integers(2, 7, N_PROFILES)
    site = np.repeat(np.arange(N_PROFILES), n_layers)
    depth = np.concatenate([np.sort(rng.uniform(0.02, 2.0, n)) for n in n_layers])
    soc = at_depths(lanes.soc_density(theta, forcing), cell[site], depth) * rng.lognormal(0.0, 0.3, site.size)
    profiles = pd.DataFrame({"profile_id": [f"P{k}" for k in range(N_PROFILES * times)], "cell": np.tile(cell, times)})
    offset = np.repeat(np.arange(times) * N_PROFILES, site.size)
    layers = {"site": np.tile(site, times) + offset, "depth": np.tile(depth, times), "soc": np.tile(soc, times)}
    return profiles, pd.DataFrame(layers), forcing


def sampled(study: tuple, B: float = 1.0 / N_PROFILES, **how) -> OneBatch:
    return one_batch_posterior(*study, how.pop("seed", 3), how.pop("plan", PLAN), how.pop("n_chains", 3), B, **how)
