"""Posteriors as xarray trees in ArviZ's layout, of all profiles together and of single sites.

ArviZ 1.x (Python 3.12 and later) takes such a tree as it is, ArviZ 0.x takes ``arviz.InferenceData(**groups)`` of its
groups, and reads the files with ``arviz.from_netcdf``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from proda.assimilation.one_batch import OneBatch
from proda.assimilation.problem import SiteProblem, site_problem
from proda.assimilation.store import STORE, opened_sites, soc_of_draws
from proda.data.stage import read_cleaned_study
from proda.errors import InputError
from proda.model.observation import at_depths
from proda.model.parameters import PAPER_PARAMETERS
from proda.stage import SITE_BY_SITE
from proda.study import Study, suggestion

# Mean posterior variance over the sites on the unit scale, as stated in the text beside Fig. S5 of Tao et al. 2020.
ABOVE, AT_MOST = 0.06, 0.04
PUBLISHED_ABOVE, PUBLISHED_AT_MOST = ("tau4l2l3", "tau4l1", "fs2s1"), ("tau4s2", "tau4s3", "efolding")


def posterior_tree(
    x: NDArray, phi: NDArray | None = None, attrs: dict[str, Any] | None = None, **more: xr.Dataset
) -> xr.DataTree:
    """A tree with the groups `posterior` (and `sample_stats`, and those in `more`).

    Parameters
    ----------
    x : (chain, draw, parameter)
        On the unit cube.
    phi : (chain, draw), optional
    """
    coords = {"chain": np.arange(x.shape[0]), "draw": np.arange(x.shape[1])}
    unit = {"long_name": "position between the bounds of the prior", "units": "1"}
    names = {"parameter": list(PAPER_PARAMETERS.names)}
    groups = {"posterior": xr.Dataset({"x": (("chain", "draw", "parameter"), x, unit)}, coords | names, attrs)}
    if phi is not None:
        misfit = {"long_name": "weighted misfit Phi, Eq. 5.2", "units": "1"}
        groups["sample_stats"] = xr.Dataset({"phi": (("chain", "draw"), phi, misfit)}, coords, attrs)
    return xr.DataTree.from_dict({f"/{name}": group for name, group in (groups | more).items()})


def one_batch_tree(result: OneBatch) -> xr.DataTree:
    """The tree that `one_batch.nc` holds."""
    attrs = {"B": result.B, "D": result.D}
    attrs |= {"acceptance_test_run": result.acceptance[:, 0], "acceptance": result.acceptance[:, 1]}
    return posterior_tree(result.x, result.phi, attrs)


def read_posterior(path: Path) -> xr.Dataset:
    """The posterior group of `one_batch.nc`: `x` (chain, draw, parameter) on the unit cube."""
    with xr.open_dataset(path, group="posterior") as group:
        return group.load()


def site_posterior(study: Study, site: int | str) -> xr.DataTree:
    """The stored posterior of one site of a study.

    Groups: `posterior` (x on the unit cube: chain, draw, parameter), `sample_stats` (phi), `observed_data` (soc, with
    its standard deviation and weight: depth) and `posterior_predictive` (soc: chain, draw, depth; g m-3), the modelled
    density with the error of an observation at every observed depth.

    Parameters
    ----------
    site : int or str
        Its number, or its profile_id.

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
    stored = opened_sites(study.path(STORE))[["x", "phi"]].isel(site=k)
    x, phi = (stored[name].to_numpy().astype(np.float64) for name in ("x", "phi"))
    if not np.isfinite(x).all():
        raise InputError(f"site {names[k]!r} has no posterior; site_status.csv of {study.out} gives the reason")
    problem = site_problem(cleaned.profiles, cleaned.layers, cleaned.forcing, study["relative_sd"]).part(k, k + 1)
    return site_tree(x, phi, problem, study.seed)


def site_tree(x: NDArray, phi: NDArray, problem: SiteProblem, seed: int) -> xr.DataTree:
    """The tree of one site, from its draws x (chain, draw, parameter), their phi (chain, draw) and its observations."""
    n_chains, n_draws, d = x.shape
    order = np.argsort(problem.depth)
    depth, soc, sd, weight = (getattr(problem, name)[order] for name in ("depth", "soc", "sd", "weight"))
    modelled = soc_of_draws(x.reshape(1, -1, d), problem.forcing)
    mean = np.stack([at_depths(one, np.zeros(depth.size, int), depth) for one in modelled])
    error = np.random.default_rng([seed, 5]).standard_normal(mean.shape) * sd / np.sqrt(weight)
    coords = {"depth": ("depth", depth, {"units": "m", "positive": "down"})}
    density = {"units": "g m-3", "long_name": "soil organic carbon per volume of soil"}
    observed = xr.Dataset(
        {
            "soc": ("depth", soc, density),
            "sd": ("depth", sd, {"units": "g m-3", "long_name": "standard deviation in Eq. 5.2"}),
            "weight": ("depth", weight, {"units": "1", "long_name": "weight in Eq. 5.2"}),
        },
        coords,
    )
    by_draw = ("chain", "draw", "depth"), (mean + error).reshape(n_chains, n_draws, -1), density
    predicted = xr.Dataset({"soc": by_draw}, {**coords, "chain": np.arange(n_chains), "draw": np.arange(n_draws)})
    attrs = {"profile_id": str(problem.profile_id[0])}
    return posterior_tree(x, phi, attrs, posterior_predictive=predicted, observed_data=observed)


def variance_with_published(variance: pd.Series) -> pd.DataFrame:
    """Mean posterior variances that the paper states, by parameter: `published`, `ours`, and whether they `agree`."""
    stated = {name: (f"above {ABOVE:g}", variance[name] > ABOVE) for name in PUBLISHED_ABOVE}
    stated |= {name: (f"at most {AT_MOST:g}", variance[name] <= AT_MOST) for name in PUBLISHED_AT_MOST}
    rows = {
        name: {"published": bound, "ours": variance[name], "agree": bool(agree)}
        for name, (bound, agree) in stated.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("parameter")


def misfit_by_sign(problem: SiteProblem, modelled: Mapping[str, NDArray]) -> pd.DataFrame:
    """The misfit of several models split by its sign.

    With s_i = rho x_i (Eq. 5.2) the misfit of a layer is w_i (z_i / x_i - 1)^2 / (2 rho^2). Too little carbon adds at
    most w_i / (2 rho^2), too much has no such limit: one set of parameters for all is drawn to low carbon.

    Parameters
    ----------
    modelled : mapping
        Name -> density at the observed layers, (n_layers_observed,) g C m-3.

    Returns
    -------
    DataFrame
        By name: `median modelled / observed`, `layers too high (%)`, and the mean over layers of the weighted `misfit`,
        from too much carbon (`misfit, too high`) and from too little (`misfit, too low`).
    """
    rows = {}
    for name, soc in modelled.items():
        misfit, high = problem.weight * (soc - problem.soc) ** 2 / (2.0 * problem.sd**2), soc > problem.soc
        rows[name] = {
            "median modelled / observed": np.median(soc / problem.soc),
            "layers too high (%)": 100.0 * high.mean(),
            "misfit, too high": misfit[high].sum() / misfit.size,
            "misfit, too low": misfit[~high].sum() / misfit.size,
            "misfit": misfit.mean(),
        }
    return pd.DataFrame.from_dict(rows, orient="index")
