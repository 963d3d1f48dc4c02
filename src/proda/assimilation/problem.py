"""The sites that are sampled: a column of forcing and the observed layers of each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.kernels.misfit import layer_weights, misfit_forms
from proda.model.forcing import Forcing

_OF_LAYERS = "depth", "soc", "sd", "weight"


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
        """The sites of these numbers, in this order, renumbered from 0; one that is named twice becomes two sites."""
        sites = np.asarray(sites, np.int64)
        order = np.argsort(self.site, kind="stable")
        ends = np.searchsorted(self.site[order], np.arange(self.n_sites + 1))
        rows = [order[ends[k] : ends[k + 1]] for k in sites]
        every = np.concatenate([order[:0], *rows])
        return SiteProblem(
            [self.profile_id[k] for k in sites],
            self.forcing.take(sites),
            np.repeat(np.arange(sites.size), [row.size for row in rows]),
            *(getattr(self, name)[every] for name in _OF_LAYERS),
        )

    def part(self, first: int, last: int) -> "SiteProblem":
        """Sites `first` to `last` (excluded), renumbered from 0."""
        return self.take(np.arange(first, last))

    def layers(self, inside: NDArray[np.bool_]) -> "SiteProblem":
        """The same sites with some of their layers; the weights stay what they were."""
        return self._replace(**{name: getattr(self, name)[inside] for name in ("site", *_OF_LAYERS)})

    def forms(self) -> NDArray[np.float64]:
        """The misfit of every site as a quadratic form (`misfit_forms`)."""
        return misfit_forms(self.site, self.n_sites, self.depth, self.soc, self.weight, self.sd)


def site_problem(
    profiles: pd.DataFrame, layers: pd.DataFrame, cell_forcing: Forcing, relative_sd: float
) -> SiteProblem:
    """The sites of a study, from its cleaned tables and the forcing of its cells.

    The standard deviation of a layer is `relative_sd` of its density. Where the table has a column
    `density_relative_sd`, the uncertainty of a density computed from an estimated bulk density, the two add in
    quadrature.
    """
    site, depth = layers["site"].to_numpy(np.int64), layers["depth"].to_numpy(float)
    soc = layers["soc"].to_numpy(float)
    of_density = layers["density_relative_sd"].to_numpy(float) if "density_relative_sd" in layers else 0.0
    return SiteProblem(
        profiles["profile_id"].tolist(),
        cell_forcing.take(profiles["cell"].to_numpy()),
        site,
        depth,
        soc,
        np.hypot(relative_sd, of_density) * soc,
        layer_weights(site, depth),
    )


def site_faults(problem: SiteProblem) -> list[str]:
    """Why a site cannot be sampled, a text for each; empty for a site that can."""
    faults = [""] * problem.n_sites

    def note(site: int, fault: str) -> None:
        faults[site] = faults[site] or fault

    for name, values in problem.forcing._asdict().items():
        finite = np.isfinite(values) if values.ndim == 1 else np.isfinite(values).all(axis=0)
        for k in np.flatnonzero(~finite):
            column = np.atleast_1d(values[..., k])
            note(k, f"{name} of the forcing is {column[~np.isfinite(column)][0]}")
    for k in np.flatnonzero(problem.forcing.npp_mean <= 0.0):
        note(k, f"npp_mean of the forcing is {problem.forcing.npp_mean[k]:g}: nothing enters the soil")
    number_in_site = pd.Series(problem.site).groupby(problem.site).cumcount().to_numpy() + 1
    for name in _OF_LAYERS:
        values = getattr(problem, name)
        for row in np.flatnonzero(~(np.isfinite(values) & (values > 0.0))):
            note(problem.site[row], f"{name} of observed layer {number_in_site[row]} is {values[row]:g}")
    for k in np.flatnonzero(np.bincount(problem.site, minlength=problem.n_sites) == 0):
        note(k, "it has no observed layer")
    with np.errstate(all="ignore"):
        finite = np.isfinite(problem.forms()).all(axis=0)
    for k in np.flatnonzero(~finite):
        note(k, "the misfit of its layers is not a finite number")
    return faults
