"""Trees as teachers: the carbon of a site's layers as other sites tell it, instead of its own profile.

A profile is one draw of what its surroundings hold. A network that follows the draws closely learns their scatter by
heart; one that is kept from it misses what covariates do tell. What trees that have not seen a site tell of it has
little scatter left and can be followed closely ("born again trees", Breiman and Shang 1996; distillation, Hinton et al.
2015, arXiv:1503.02531).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeRegressor

from proda.learning.observed_layers import ObservedSites
from proda.learning.trees import BOOSTED, N_TREES, SHARE_OF_FEATURES, DirectTrees, coded_columns, forest_leaf

N_PARTS = 5  # of the sites, each told of by boosted trees of the other parts


def forest_carbon(
    frame: pd.DataFrame, class_names: tuple[str, ...], sites: ObservedSites, n_seen: int, seed: int
) -> NDArray[np.float64]:
    """Carbon of the layers of places by the trees of a forest that did not see the place, (n, m), kg C m-3.

    Sites are drawn, not layers: the layers of one profile are too much alike for one to be judged by another.

    Parameters
    ----------
    frame : DataFrame, (n, n_covariates)
    class_names : tuple of str
        Covariates that are classes: the forest takes their codes.
    sites : ObservedSites
        Of the same places, the first `n_seen` of which have profiles to learn from; of the rest depths count alone.
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
    leaf = forest_leaf(int((site < n_seen).sum()))
    for _ in range(N_TREES):
        drawn = np.zeros(sites.n_sites, np.int64)
        drawn[:n_seen] = np.bincount(rng.integers(n_seen, size=n_seen), minlength=n_seen)
        seen, unseen = drawn[site] > 0, drawn[site] == 0
        tree = DecisionTreeRegressor(
            min_samples_leaf=leaf, max_features=SHARE_OF_FEATURES, random_state=int(rng.integers(2**31))
        )
        tree.fit(features[seen], soc[seen], sample_weight=drawn[site][seen])
        total[unseen] += tree.predict(features[unseen]) if unseen.any() else 0.0
        count[unseen] += 1
    return _in_layers(np.where(count > 0, total / np.maximum(count, 1), soc), sites)


def boosted_carbon(
    frame: pd.DataFrame, class_names: tuple[str, ...], sites: ObservedSites, n_seen: int, seed: int
) -> NDArray[np.float64]:
    """The same by boosted trees: at every site those of the other parts of the sites, elsewhere those of all sites."""
    site, at = np.nonzero(sites.present)
    depth, soc = sites.depth[site, at], sites.soc[site, at].astype(float)
    part = np.full(sites.n_sites, -1)
    part[:n_seen] = np.random.default_rng(seed).permutation(np.arange(n_seen) % N_PARTS)
    told = np.zeros(soc.size)
    for judged in np.unique(part[site]):
        learns, here = (part[site] >= 0) & (part[site] != judged), part[site] == judged
        trees = DirectTrees(BOOSTED, frame, class_names, seed % 2**32).fit(site[learns], depth[learns], soc[learns])
        told[here] = trees.predict(site[here], depth[here])
    return _in_layers(told, sites)


def _in_layers(values: NDArray[np.float64], sites: ObservedSites) -> NDArray[np.float64]:
    """Values of all layers that are there, as (n, m), 0 elsewhere; no tree mean is below zero but a boosted one's."""
    told = np.zeros(sites.soc.shape)
    told[sites.present] = np.maximum(values, 0.0)
    return told
