"""Random forest and boosted trees from covariates and depth to carbon, without a soil model."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.model_selection import GroupKFold, cross_val_predict
from threadpoolctl import threadpool_limits

from proda.learning.training_data import ObservedSites

BOOSTED, FOREST = "boosted trees", "random forest"
N_TREES, SHARE_OF_FEATURES = 100, 0.4  # trees of a forest; covariates that a split of both kinds may choose from
N_PARTS = 5  # of the sites, each predicted by trees that were trained on the others


def tree_carbon(
    kind: str, frame: pd.DataFrame, class_names: tuple[str, ...], sites: ObservedSites, train: NDArray, seed: int
) -> NDArray[np.float64]:
    """Carbon of the layers of all sites by trees that were trained on the layers of some, (n, m), kg C m-3.

    `train` (n,) bool are the sites to learn from. Boosted trees split the classes `class_names` as such, a forest takes
    their positions in a sorted list.
    """
    features, soc, site, classes = _layers(frame, class_names, sites)
    model = _tree_model(kind, int(train[site].sum()), classes, seed)
    # On a busy machine threads of OpenMP wait for each other in loops, minutes instead of seconds.
    with threadpool_limits(1):
        return _by_site(model.fit(features[train[site]], soc[train[site]]).predict(features), sites)


def cross_fitted_carbon(
    frame: pd.DataFrame, class_names: tuple[str, ...], sites: ObservedSites, seed: int
) -> NDArray[np.float64]:
    """Carbon of the layers of all sites by boosted trees that have not seen the site, (n, m), kg C m-3."""
    features, soc, site, classes = _layers(frame, class_names, sites)
    parts = GroupKFold(min(N_PARTS, sites.n_sites), shuffle=True, random_state=seed)
    with threadpool_limits(1):
        model = _tree_model(BOOSTED, soc.size, classes, seed)
        return _by_site(cross_val_predict(model, features, soc, groups=site, cv=parts), sites)


def _layers(
    frame: pd.DataFrame, class_names: tuple[str, ...], sites: ObservedSites
) -> tuple[NDArray, NDArray, NDArray, list[int]]:
    """Covariates and depth, carbon and site of every layer, and which covariates are classes."""
    classes = [i for i, name in enumerate(frame.columns) if name in class_names]
    values = frame.to_numpy(float).copy()
    for i in classes:
        values[:, i] = pd.factorize(values[:, i], sort=True)[0]
    site = np.nonzero(sites.present)[0]
    features = np.column_stack([values[site], sites.depth[sites.present]])
    return features, sites.soc[sites.present].astype(float), site, classes


def _by_site(predicted: NDArray, sites: ObservedSites) -> NDArray[np.float64]:
    carbon = np.zeros(sites.soc.shape)
    carbon[sites.present] = np.maximum(predicted, 0.0)  # boosted trees can fall below zero
    return carbon


def _tree_model(kind: str, n_layers: int, classes: list[int], seed: int) -> RegressorMixin:
    # Leaves, penalty and choice of covariates were chosen on folds of the real profiles that score nothing.
    if kind == FOREST:
        leaf = int(np.clip(n_layers // 3000, 5, 10))
        return RandomForestRegressor(
            N_TREES, min_samples_leaf=leaf, max_features=SHARE_OF_FEATURES, random_state=seed, n_jobs=1
        )
    return HistGradientBoostingRegressor(
        max_iter=200,
        learning_rate=0.06,
        min_samples_leaf=int(np.clip(n_layers // 500, 20, 50)),
        max_features=SHARE_OF_FEATURES,
        l2_regularization=10.0,
        early_stopping=False,
        categorical_features=classes,
        random_state=seed,
    )
