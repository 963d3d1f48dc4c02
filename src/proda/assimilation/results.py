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

from proda.assimilation.chains import SiteProblem, error_model, site_problem
from proda.assimilation.one_batch import OneBatch
from proda.assimilation.store import STORE, opened_sites, soc_of_draws
from proda.data.cleaned import read_cleaned_study
from proda.data.files import read_dataset
from proda.errors import InputError
from proda.model.parameters import table_of
from proda.stage import ONE_BATCH, SITE_BY_SITE
from proda.study import Study


def posterior_tree(x: NDArray, phi: NDArray, attrs: Mapping[str, Any], **others: xr.Dataset) -> xr.DataTree:
    """A tree of the groups `posterior` and `sample_stats`, and of `others`.

    The draws x (chain, draw, parameter) are on the unit cube; phi (chain, draw) is their misfit.
    """
    coords = {"chain": np.arange(x.shape[0]), "draw": np.arange(x.shape[1])}
    unit = {"long_name": "position between the bounds of the prior", "units": "1"}
    names = {"parameter": list(table_of(x.shape[-1]).names)}
    misfit = {"long_name": "weighted misfit Phi, Eq. 5.2", "units": "1"}
    groups = {
        "posterior": xr.Dataset({"x": (("chain", "draw", "parameter"), x, unit)}, coords | names, attrs),
        "sample_stats": xr.Dataset({"phi": (("chain", "draw"), phi, misfit)}, coords, attrs),
    }
    return xr.DataTree.from_dict({f"/{name}": group for name, group in (groups | others).items()})


def one_batch_tree(result: OneBatch) -> xr.DataTree:
    """The tree that `one_batch.nc` holds."""
    attrs = {"B": result.B, "D": result.D, "posterior_chain": result.posterior_chain}
    attrs |= {"acceptance_test_run": result.acceptance[:, 0], "acceptance": result.acceptance[:, 1]}
    tree = posterior_tree(result.x, result.phi, attrs)
    if np.isfinite(result.error).all():
        about = {"long_name": "estimated error: relative part, floor (kg m-3)"}
        error = xr.DataArray(
            result.error, dims=("chain", "draw", "error"), coords={"error": ["relative", "floor"]}, attrs=about
        )
        tree["sample_stats"] = xr.DataTree(tree["sample_stats"].to_dataset().assign(error=error))
    return tree


def read_posterior(path: Path) -> xr.Dataset:
    """The posterior group of `one_batch.nc`: `x` (chain, draw, parameter) on the unit cube.

    Of scale `paper` it is the one chain that counts as the posterior.
    """
    group = read_dataset(path, {"x": ("chain", "draw", "parameter")}, group="posterior", notebook=ONE_BATCH)
    chain = int(group.attrs.get("posterior_chain", -1))
    return group if chain < 0 else group.isel(chain=[chain])


def site_posterior(study: Study, site: int | str) -> xr.DataTree:
    """The stored posterior of one site of a study, given by its number or its profile_id.

    Groups: `posterior` and `sample_stats` as of one-batch, `observed_data` (soc, its standard deviation and weight) and
    `posterior_predictive` (soc: chain, draw, depth; g C m-3), the modelled density with the error of an observation.
    MissingOutput when the study has no site-by-site assimilation; InputError for a site that is none, or not sampled.
    """
    study.require(SITE_BY_SITE)
    sites = opened_sites(study.path(STORE))
    names = sites["profile_id"].values.tolist()
    if site not in names and not (isinstance(site, int | np.integer) and 0 <= site < len(names)):
        expected = f"expected a profile_id, such as {names[0]!r}, or a number from 0 to {len(names) - 1}"
        raise InputError(f"study {study.label} has no site {site!r}: {expected}")
    stored = sites.isel(site=names.index(site) if site in names else int(site))
    name, x = str(stored["profile_id"].item()), stored["x"].to_numpy().astype(np.float64)
    if not np.isfinite(x).all():
        raise InputError(f"site {name!r} has no posterior; site_status.csv of {study.out} gives the reason")
    cleaned = read_cleaned_study(study)
    error = error_model(study.settings)._replace(
        relative=sites.attrs["error_relative"], floor=sites.attrs["error_floor_kg_m3"]
    )
    problem = site_problem(cleaned.profiles, cleaned.layers, cleaned.forcing, error)
    problem = problem.take([names.index(name)])
    groups = observed_and_predicted(x, problem, study.seed)
    return posterior_tree(x, stored["phi"].to_numpy().astype(np.float64), {"profile_id": name}, **groups)


def observed_and_predicted(x: NDArray, problem: SiteProblem, seed: int) -> dict[str, xr.Dataset]:
    """The groups `observed_data` and `posterior_predictive` of one site, from its draws x (chain, draw, parameter)."""
    order = np.argsort(problem.depth)
    depth, soc, sd, weight = (getattr(problem, name)[order] for name in ("depth", "soc", "sd", "weight"))
    modelled = soc_of_draws(x.reshape(1, -1, x.shape[-1]), problem.forcing)
    mean = np.stack([problem.modelled(one)[order] for one in modelled])
    error = np.random.default_rng([seed, 5]).standard_normal(mean.shape) * sd / np.sqrt(weight)
    coords = {"depth": ("depth", depth, {"units": "m", "positive": "down"})}
    units = {"units": "g m-3", "long_name": "soil organic carbon per volume of soil"}
    observed = {"soc": ("depth", soc, units), "sd": ("depth", sd, units), "weight": ("depth", weight, {"units": "1"})}
    predicted = {"soc": (("chain", "draw", "depth"), (mean + error).reshape(*x.shape[:2], -1), units)}
    return {"observed_data": xr.Dataset(observed, coords), "posterior_predictive": xr.Dataset(predicted, coords)}


def misfit_by_sign(problem: SiteProblem, modelled: Mapping[str, NDArray]) -> pd.DataFrame:
    """The misfit of several models split by its sign.

    With s_i = rho x_i (Eq. 5.2) the misfit of a layer is w_i (z_i / x_i - 1)^2 / (2 rho^2). Too little carbon adds at
    most w_i / (2 rho^2), too much has no such limit: one set of parameters for all is drawn to low carbon.

    `modelled` gives densities at the observed layers, (n_layers_observed,) g C m-3, by name. The table has, by name,
    `median modelled / observed`, `layers too high (%)`, and means over layers of the weighted `misfit`, by sign.
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
