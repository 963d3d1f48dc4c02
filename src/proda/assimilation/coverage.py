"""How often the intervals of the sites hold the truth, where the truth is known."""

from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from proda.assimilation.site_problem import SiteProblem
from proda.data.truth import known_truth
from proda.model.column import PAPER_COLUMN
from proda.study import Study


class Coverage(NamedTuple):
    """Share of nodes with the true density inside the 90 % interval: nodes nearest to the first or the last observed
    layer of a profile, which carry the weight of 10, and the nodes between them.
    """

    near_ends: float
    between: float


def interval_coverage(study: Study, problem: SiteProblem, sites: xr.Dataset) -> Coverage | None:
    """Coverage of the 90 % intervals of SOC at the sites of a virtual study; None for a study of real profiles."""
    truth = known_truth(study)
    if truth is None:
        return None
    true_soc = truth["soc_site"].transpose("site", "layer").to_numpy()
    hit = (sites["soc_p05"].to_numpy() <= true_soc) & (true_soc <= sites["soc_p95"].to_numpy())
    ends, between = observed_nodes(problem)
    return Coverage(float(hit[ends].mean()), float(hit[between].mean()))


def observed_nodes(problem: SiteProblem) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Nodes nearest to the first and the last layer of each site, and those between, (n_sites, n_layers) each."""
    n_sites, node = len(problem.profile_id), PAPER_COLUMN.node
    nearest = np.abs(np.log(problem.depth[:, None] / node)).argmin(axis=1)
    first, last = np.full(n_sites, node.size), np.full(n_sites, -1)
    np.minimum.at(first, problem.site, nearest)
    np.maximum.at(last, problem.site, nearest)
    layer = np.arange(node.size)
    ends = (layer == first[:, None]) | (layer == last[:, None])
    return ends, (layer > first[:, None]) & (layer < last[:, None])
