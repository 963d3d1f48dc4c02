"""Random forest and boosted trees: carbon of layers from covariates and depth, without a soil model."""

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
KINDS_OF_TREES = FOREST, BOOSTED
N_TREES, SHARE_OF_FEATURES = 100, 0.4  # trees of a forest; covariates that a split of both kinds may choose from
N_PARTS = 5  # of the training sites, each predicted by trees that were trained on the others


def tree_carbon(
    kind: str, frame: pd.DataFrame, class_names: tuple[str, ...], sites: ObservedSites, train: NDArray, seed: int
) -> NDArray[np.float64]:
    """Carbon of the layers of all sites by trees that were trained on the layers of some, (n, m), kg C m-3.

    Parameters
    ----------
    kind : `BOOSTED` or `FOREST`
    frame : DataFrame, (n, n_covariates)
    class_names : tuple of str
        Covariates that are classes: boosted trees split them as such, a forest takes their positions in a sorted list.
    sites : ObservedSites
        Of the same n places.
    train : (n,) bool
        Sites to learn from.
    seed : int
    """
    features, classes = _features(frame, class_names, sites)
    learns, soc = train[np.nonzero(sites.present)[0]], sites.soc[sites.present].astype(float)
    # On a busy machine threads of OpenMP wait for each other in loops, minutes instead of seconds.
    with threadpool_limits(1):
        model = _model(kind, int(learns.sum()), classes, seed).fit(features[learns], soc[learns])
        return _in_layers(model.predict(features), sites)


def unseen_tree_carbon(
    kind: str, frame: pd.DataFrame, class_names: tuple[str, ...], sites: ObservedSites, train: NDArray, seed: int
) -> NDArray[np.float64]:
    """The same, but at the training sites by trees that have not seen the site (five-fold cross-fitting by sites)."""
    features, classes = _features(frame, class_names, sites)
    site = np.nonzero(sites.present)[0]
    learns, soc = train[site], sites.soc[sites.present].astype(float)
    model = _model(kind, int(learns.sum()), classes, seed)
    predicted = np.zeros(soc.size)
    parts = GroupKFold(min(N_PARTS, int(train.sum())), shuffle=True, random_state=seed)
    with threadpool_limits(1):
        predicted[learns] = cross_val_predict(model, features[learns], soc[learns], groups=site[learns], cv=parts)
        if not learns.all():
            predicted[~learns] = model.fit(features[learns], soc[learns]).predict(features[~learns])
    return _in_layers(predicted, sites)


def _features(frame: pd.DataFrame, class_names: tuple[str, ...], sites: ObservedSites) -> tuple[NDArray, list[int]]:
    """Covariates and depth of every layer, and which columns are classes."""
    values = frame.to_numpy(float).copy()
    classes = [i for i, name in enumerate(frame.columns) if name in class_names]
    for i in classes:
        values[:, i] = pd.factorize(values[:, i], sort=True)[0]
    return np.column_stack([values[np.nonzero(sites.present)[0]], sites.depth[sites.present]]), classes


def _model(kind: str, n_layers: int, classes: list[int], seed: int) -> RegressorMixin:
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


def _in_layers(values: NDArray[np.float64], sites: ObservedSites) -> NDArray[np.float64]:
    """Values of all layers that are there, as (n, m), 0 elsewhere; boosted trees can fall below zero."""
    carbon = np.zeros(sites.soc.shape)
    carbon[sites.present] = np.maximum(values, 0.0)
    return carbon
