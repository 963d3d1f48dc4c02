"""Sites whose profiles are the model's own, and a plan that samples them in a moment."""

from pathlib import Path

import numpy as np
import xarray as xr
from columns import drawn_columns

from proda.assimilation.chains import SitePlan
from proda.assimilation.problem import SiteProblem
from proda.assimilation.sites import site_posteriors
from proda.kernels import steady_state as lanes
from proda.kernels.metropolis import Schedule
from proda.kernels.misfit import layer_weights
from proda.model.observation import at_depths

DEPTH = np.array([0.03, 0.12, 0.3, 0.6, 1.0, 1.6])
SHORT = SitePlan(Schedule(200, 200, 300, 10), n_kept=30)


def made_problem(theta: np.ndarray, forcing, relative_sd: float = 0.3) -> SiteProblem:
    """Sites with these parameters (25, n), physical, observed without error at `DEPTH`."""
    n = forcing.n_columns
    site, depth = np.repeat(np.arange(n), DEPTH.size), np.tile(DEPTH, n)
    soc = at_depths(lanes.soc_density(theta, forcing), site, depth)
    names = [f"P{k}" for k in range(n)]
    return SiteProblem(names, forcing, site, depth, soc, relative_sd * soc, layer_weights(site, depth))


def few_sites(n: int, seed: int = 11) -> SiteProblem:
    """`n` sites with parameters well inside the prior box."""
    return made_problem(*drawn_columns(n, seed=seed, low=0.2, high=0.8))


def posteriors_in(folder: Path, problem: SiteProblem, plan: SitePlan = SHORT, seed: int = 7, **how) -> xr.Dataset:
    """`site_posteriors` with the store and its marks below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return site_posteriors(problem, seed, plan, folder, folder / "checkpoints", **{"n_workers": 1, **how})


def store_bytes(folder: Path) -> dict[str, bytes]:
    """Every file of `sites.zarr` in `folder`, by its path."""
    store = folder / "sites.zarr"
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in store.rglob("*") if path.is_file()}
