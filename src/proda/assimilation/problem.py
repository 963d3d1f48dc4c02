"""What the sampler needs to know of the sites, and which sites it cannot sample at all."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.kernels.misfit import layer_weights, misfit_forms
from proda.model.forcing import Forcing


class SiteProblem(NamedTuple):
    """The sites: one column of forcing each, and the layers observed there.

    Attributes
    ----------
    profile_id : sequence of str
    forcing : Forcing
        One column a site.
    site, depth, soc : (n_layers_observed,)
        Observed layers: site number, mid-depth (m) and density (g C m-3).
    sd, weight : (n_layers_observed,)
        Standard deviation (g C m-3) and weight of every layer in Eq. 5.2.
    """

    profile_id: Sequence[str]
    forcing: Forcing
    site: NDArray[np.int64]
    depth: NDArray[np.float64]
    soc: NDArray[np.float64]
    sd: NDArray[np.float64]
    weight: NDArray[np.float64]

    @property
    def n_sites(self) -> int:
        return len(self.profile_id)

    def take(self, sites: ArrayLike) -> "SiteProblem":
        """The sites of these ascending numbers, renumbered from 0."""
        sites = np.asarray(sites, np.int64)
        inside = np.isin(self.site, sites)
        return SiteProblem(
            [self.profile_id[k] for k in sites],
            self.forcing.take(sites),
            np.searchsorted(sites, self.site[inside]),
            *(values[inside] for values in (self.depth, self.soc, self.sd, self.weight)),
        )

    def part(self, first: int, last: int) -> "SiteProblem":
        """Sites `first` to `last` (excluded), renumbered from 0."""
        return self.take(np.arange(first, last))

    def repeated(self, sites: ArrayLike) -> "SiteProblem":
        """The sites of these numbers, in this order, each as often as it is named: a site of its own every time."""
        rows = [np.flatnonzero(self.site == k) for k in np.asarray(sites, np.int64)]
        every = np.concatenate(rows)
        return SiteProblem(
            [self.profile_id[k] for k in sites],
            self.forcing.take(sites),
            np.repeat(np.arange(len(rows)), [row.size for row in rows]),
            *(values[every] for values in (self.depth, self.soc, self.sd, self.weight)),
        )

    def layers(self, inside: NDArray[np.bool_]) -> "SiteProblem":
        """The same sites with some of their layers; the weights stay what they were."""
        return self._replace(**{name: getattr(self, name)[inside] for name in ("site", "depth", "soc", "sd", "weight")})

    def forms(self) -> NDArray[np.float64]:
        """The misfit of every site as a quadratic form (`misfit_forms`)."""
        return misfit_forms(self.site, self.n_sites, self.depth, self.soc, self.weight, self.sd)


def site_problem(
    profiles: pd.DataFrame, layers: pd.DataFrame, cell_forcing: Forcing, relative_sd: float
) -> SiteProblem:
    """The sites of a study: its cleaned tables, and the forcing of the cells they lie in.

    The standard deviation of a layer is `relative_sd` of its density. Where the table has a column
    `density_relative_sd`, the uncertainty of a density computed from an estimated bulk density, the two add in
    quadrature.
    """
    site, depth = layers["site"].to_numpy(np.int64), layers["depth"].to_numpy(float)
    soc = layers["soc"].to_numpy(float)
    more = layers["density_relative_sd"].to_numpy(float) if "density_relative_sd" in layers else 0.0
    return SiteProblem(
        profiles["profile_id"].tolist(),
        cell_forcing.take(profiles["cell"].to_numpy()),
        site,
        depth,
        soc,
        np.hypot(relative_sd, more) * soc,
        layer_weights(site, depth),
    )


def site_faults(problem: SiteProblem) -> list[str]:
    """Why a site cannot be sampled, in words, a text for each; empty for a site that can."""
    faults = [""] * problem.n_sites
    for name, values in problem.forcing._asdict().items():
        finite = np.isfinite(values) if values.ndim == 1 else np.isfinite(values).all(axis=0)
        for k in np.flatnonzero(~finite):
            column = np.atleast_1d(values[..., k])
            faults[k] = faults[k] or f"{name} of the forcing is {column[~np.isfinite(column)][0]}"
    for k in np.flatnonzero(problem.forcing.npp_mean <= 0.0):
        faults[k] = faults[k] or f"npp_mean of the forcing is {problem.forcing.npp_mean[k]:g}: nothing enters the soil"
    layer = pd.Series(problem.site).groupby(problem.site).cumcount().to_numpy() + 1
    for name in ("depth", "soc", "sd", "weight"):
        values = getattr(problem, name)
        for row in np.flatnonzero(~(np.isfinite(values) & (values > 0.0))):
            k = problem.site[row]
            faults[k] = faults[k] or f"{name} of observed layer {layer[row]} is {values[row]:g}"
    observed = np.bincount(problem.site, minlength=problem.n_sites)
    for k in np.flatnonzero(observed == 0):
        faults[k] = faults[k] or "it has no observed layer"
    with np.errstate(all="ignore"):
        sound = np.isfinite(problem.forms()).all(axis=0)
    for k in np.flatnonzero(~sound):
        faults[k] = faults[k] or "the misfit of its layers is not a finite number"
    return faults
