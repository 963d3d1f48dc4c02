"""A forest as teacher: the carbon of a site's layers as other sites tell it, instead of its own profile.

A profile is one draw of what its surroundings hold. A network that follows the draws closely learns their scatter by
heart; one that is kept from it misses what covariates do tell. The mean of the trees that have not seen a site has
little scatter left and can be followed closely ("born again trees", Breiman and Shang 1996; distillation, Hinton et al.
2015, arXiv:1503.02531). What the network learns of it has to pass through the soil model: parameters, not carbon.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeRegressor

from proda.learning.observed_layers import ObservedSites
from proda.learning.trees import LEAST_LEAF, N_TREES, SHARE_OF_FEATURES, coded_columns


def out_of_bag_carbon(
    frame: pd.DataFrame, class_names: tuple[str, ...], sites: ObservedSites, seed: int
) -> NDArray[np.float32]:
    """Carbon of the layers of sites by a forest's trees that did not see the site, (n, m), kg C m-3.

    Sites are drawn, not layers: the layers of one profile are too much alike for one to be judged by another.

    Parameters
    ----------
    frame : DataFrame, (n, n_covariates)
    class_names : tuple of str
        Covariates that are classes: the forest takes their codes.
    sites : ObservedSites
        Of the same sites.
    seed : int

    Returns
    -------
    numpy.ndarray
        0 where no layer is; a site that every tree has seen keeps its own carbon.
    """
    rng = np.random.default_rng(seed)
    site, at = np.nonzero(sites.present)
    values, _ = coded_columns(frame, class_names)
    features = np.column_stack([values[site], sites.depth[site, at]]).astype(np.float32)
    soc = sites.soc[site, at].astype(float)
    total, count = np.zeros(soc.size), np.zeros(soc.size)
    for _ in range(N_TREES):
        drawn = np.bincount(rng.integers(sites.n_sites, size=sites.n_sites), minlength=sites.n_sites)[site]
        seen, unseen = drawn > 0, drawn == 0
        tree = DecisionTreeRegressor(
            min_samples_leaf=LEAST_LEAF, max_features=SHARE_OF_FEATURES, random_state=int(rng.integers(2**31))
        )
        tree.fit(features[seen], soc[seen], sample_weight=drawn[seen])
        total[unseen] += tree.predict(features[unseen]) if unseen.any() else 0.0
        count[unseen] += 1
    told = np.zeros(sites.soc.shape, np.float32)
    told[site, at] = np.where(count > 0, total / np.maximum(count, 1), soc)
    return told


def taught_sites(
    frame: pd.DataFrame, class_names: tuple[str, ...], sites: ObservedSites, share: float, seed: int
) -> ObservedSites:
    """The sites with `share` (0 to 1) of the carbon that `out_of_bag_carbon` tells, the rest as observed."""
    if share == 0.0:
        return sites
    told = out_of_bag_carbon(frame, class_names, sites, seed)
    return sites._replace(soc=((1.0 - share) * sites.soc + share * told).astype(np.float32))
