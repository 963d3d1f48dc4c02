"""One site of a finished study as ArviZ knows posteriors: draws, misfits, observations and what the model predicts."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from proda.assimilation.posterior import inference_data
from proda.assimilation.schedules import site_plan
from proda.assimilation.site_chains import sampled_sites
from proda.assimilation.site_dataset import STORE, opened_sites
from proda.assimilation.site_problem import SiteProblem, site_problem
from proda.assimilation.site_summaries import soc_of_draws
from proda.assimilation.stage import SITE_BY_SITE
from proda.data.stage import read_cleaned_study
from proda.errors import InputError
from proda.model.observation import at_depths
from proda.settings import suggestion
from proda.study import Study


def site_posterior(study: Study, site: int | str, all_draws: bool = False) -> Any:
    """Posterior of one site of a study: an ArviZ `InferenceData` (0.x) or `DataTree` (1.x).

    Groups: `posterior` (x on the unit cube: chain, draw, parameter), `sample_stats` (phi), `observed_data` (soc, with
    its standard deviation and weight: depth) and `posterior_predictive` (soc: chain, draw, depth; g m-3), the modelled
    density with the error of an observation at every observed depth.

    Parameters
    ----------
    site : int or str
        Its number, or its profile_id.
    all_draws : bool
        Sample the site once more and take every draw that its diagnostics are made of, instead of those stored.

    Raises
    ------
    MissingOutput
        When the study has no site-by-site assimilation.
    InputError
        When there is no such site, or it could not be sampled.
    """
    study.require(SITE_BY_SITE)
    cleaned = read_cleaned_study(study)
    names = cleaned.profiles["profile_id"].tolist()
    if site not in names and not (isinstance(site, int | np.integer) and 0 <= site < len(names)):
        near = suggestion(str(site), names) if len(names) <= 20 else f"{len(names)} sites, such as {names[0]!r}"
        raise InputError(f"study {study.label} has no site {site!r}: expected a profile_id or a number from 0. {near}")
    k = names.index(site) if site in names else int(site)
    problem = site_problem(cleaned.profiles, cleaned.layers, cleaned.forcing, study["relative_sd"]).part(k, k + 1)
    if all_draws:
        sampled = sampled_sites(problem, study.seed, site_plan(study.settings))
        x, phi = sampled.draws[0], sampled.phi[0]
    else:
        stored = opened_sites(study.path(STORE))[["x", "phi"]].isel(site=k)
        x, phi = stored["x"].to_numpy(), stored["phi"].to_numpy()
    if not np.isfinite(x).all():
        raise InputError(f"site {names[k]!r} has no posterior; site_status.csv of {study.out} says why")
    return site_inference_data(x.astype(np.float64), phi.astype(np.float64), problem, study.seed)


def site_inference_data(x: NDArray, phi: NDArray, problem: SiteProblem, seed: int) -> Any:
    """The ArviZ object of one site, from its draws x (chain, draw, parameter), their phi and its observations."""
    n_chains, n_draws, d = x.shape
    order = np.argsort(problem.depth)
    depth, soc, sd, weight = (getattr(problem, name)[order] for name in ("depth", "soc", "sd", "weight"))
    modelled = soc_of_draws(x.reshape(1, -1, d), problem.forcing)
    zero = np.zeros(depth.size, int)
    mean = np.stack([at_depths(one, zero, depth) for one in modelled])
    error = np.random.default_rng([seed, 5]).standard_normal(mean.shape) * sd / np.sqrt(weight)
    coords = {"depth": ("depth", depth, {"units": "m", "positive": "down"})}
    about = {"units": "g m-3", "long_name": "soil organic carbon per volume of soil"}
    observed = xr.Dataset(
        {
            "soc": ("depth", soc, about),
            "sd": ("depth", sd, {"units": "g m-3", "long_name": "standard deviation in Eq. 5.2"}),
            "weight": ("depth", weight, {"units": "1", "long_name": "weight in Eq. 5.2"}),
        },
        coords,
    )
    by_draw = ("chain", "draw", "depth"), (mean + error).reshape(n_chains, n_draws, -1), about
    predicted = xr.Dataset({"soc": by_draw}, {**coords, "chain": np.arange(n_chains), "draw": np.arange(n_draws)})
    attrs = {"profile_id": str(problem.profile_id[0])}
    return inference_data(x, phi, attrs, {"posterior_predictive": predicted, "observed_data": observed})
