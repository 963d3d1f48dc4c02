"""Posteriors as ArviZ knows them, whichever ArviZ is installed.

ArviZ 0.x (Python 3.11) has `InferenceData`, ArviZ 1.x (3.12 and later) `DataTree`; what differs between them in this
package is here.

One site of a finished study as ArviZ knows posteriors: draws, misfits, observations and what the model predicts.

Table S1: what is known of every parameter before and after the data, and what the paper found of its variance.
"""

from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from proda.assimilation.chains import sampled_sites, site_plan
from proda.assimilation.one_batch import OneBatch
from proda.assimilation.problem import SiteProblem, site_problem
from proda.assimilation.store import STORE, opened_sites, soc_of_draws
from proda.data.cleaned import read_cleaned_study
from proda.errors import InputError
from proda.model.observation import at_depths
from proda.model.parameters import PAPER_PARAMETERS
from proda.stage import SITE_BY_SITE
from proda.study import Study, suggestion

CLASSIC_ARVIZ = az.__version__.startswith("0.")


def inference_data(
    x: NDArray,
    phi: NDArray | None = None,
    attrs: dict[str, Any] | None = None,
    more: dict[str, xr.Dataset] | None = None,
) -> Any:
    """An ArviZ object with group `posterior` (and `sample_stats`, and the groups in `more`).

    Parameters
    ----------
    x : (chain, draw, parameter)
        On the unit cube.
    phi : (chain, draw), optional
    """
    chain, draw = np.arange(x.shape[0]), np.arange(x.shape[1])
    coords = {"chain": chain, "draw": draw, "parameter": list(PAPER_PARAMETERS.names)}
    unit = {"long_name": "position between the bounds of the prior", "units": "1"}
    groups = {"posterior": xr.Dataset({"x": (("chain", "draw", "parameter"), x, unit)}, coords, attrs)}
    if phi is not None:
        misfit = {"long_name": "weighted misfit Phi, Eq. 5.2", "units": "1"}
        stats = {"phi": (("chain", "draw"), phi, misfit)}
        groups["sample_stats"] = xr.Dataset(stats, {"chain": chain, "draw": draw}, attrs)
    groups |= more or {}
    if CLASSIC_ARVIZ:
        return az.InferenceData(**groups)
    return xr.DataTree.from_dict({f"/{name}": group for name, group in groups.items()})


def one_batch_data(result: OneBatch) -> Any:
    """The ArviZ object that `one_batch.nc` holds."""
    attrs = {"B": result.B, "D": result.D}
    attrs |= {"acceptance_test_run": result.acceptance[:, 0], "acceptance": result.acceptance[:, 1]}
    return inference_data(result.x, result.phi, attrs)


def write_inference_data(data: Any, path: Path) -> None:
    """Write an ArviZ object as NetCDF, a group each."""
    data.to_netcdf(str(path))


def read_posterior(path: Path) -> xr.Dataset:
    """The posterior group of a file from `write_inference_data`."""
    with xr.open_dataset(path, group="posterior") as group:
        return group.load()


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


PRIOR_VARIANCE = 1.0 / 12.0  # uniform on the unit cube
# Mean posterior variance over the sites on the unit scale, as the text beside Fig. S5 of Tao et al. 2020 has it.
ABOVE, AT_MOST = 0.06, 0.04
PUBLISHED_ABOVE, PUBLISHED_AT_MOST = ("tau4l2l3", "tau4l1", "fs2s1"), ("tau4s2", "tau4s3", "efolding")


def parameter_table(mean: ArrayLike, variance: ArrayLike, gelman_rubin: ArrayLike) -> pd.DataFrame:
    """Table S1, by parameter: meaning, unit, range and default, posterior `mean` and `variance`, `Gelman-Rubin`.

    Parameters
    ----------
    mean, variance, gelman_rubin : (25,)
        Mean and variance on the unit cube.
    """
    table = pd.DataFrame(
        {
            "meaning": PAPER_PARAMETERS.meaning,
            "unit": PAPER_PARAMETERS.unit,
            "range": [f"{row.minimum:g} to {row.maximum:g}" for row in PAPER_PARAMETERS.rows],
            "default": PAPER_PARAMETERS.default,
            "mean": np.asarray(mean, float),
            "variance": np.asarray(variance, float),
            "Gelman-Rubin": np.asarray(gelman_rubin, float),
        }
    )
    return table.set_index(pd.Index(PAPER_PARAMETERS.names, name="parameter"))


def variance_with_published(variance: pd.Series) -> pd.DataFrame:
    """Mean posterior variances that the paper speaks of, by parameter: `published`, `ours`, whether they `agree`."""
    rows = {}
    for name in PUBLISHED_ABOVE:
        rows[name] = {"published": f"above {ABOVE:g}", "ours": variance[name], "agree": bool(variance[name] > ABOVE)}
    for name in PUBLISHED_AT_MOST:
        agree = bool(variance[name] <= AT_MOST)
        rows[name] = {"published": f"at most {AT_MOST:g}", "ours": variance[name], "agree": agree}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("parameter")
