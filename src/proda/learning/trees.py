"""Trees, which any reviewer would ask for: carbon directly from covariates and depth, and parameters from covariates.

The first knows nothing of soil but what the layers say; a process model that cannot match it has not earned its place.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from threadpoolctl import threadpool_limits

BOOSTED, FOREST = "boosted trees", "random forest"
N_TREES, SHARE_OF_FEATURES = 100, 0.4  # of a forest: trees, and of both kinds: covariates that a split may choose from


def coded_columns(frame: pd.DataFrame, class_names: tuple[str, ...]) -> tuple[NDArray, list[int]]:
    """Values with classes as positions in their sorted list, and which columns are classes."""
    values = frame.to_numpy(float).copy()
    at = [i for i, name in enumerate(frame.columns) if name in class_names]
    for i in at:
        values[:, i] = pd.factorize(values[:, i], sort=True)[0]
    return values, at


# Chosen on folds of the real profiles that score nothing: larger leaves than those one begins with (5 and 20), and for
# boosted trees fewer of them, a choice of covariates at every split and a penalty, gain up to 0.01 of efficiency.
def forest_leaf(n: int) -> int:
    """Least number of samples in a leaf of a forest that learns `n` of them."""
    return int(np.clip(n // 3000, 5, 10))


def boosted_leaf(n: int) -> int:
    """The same of boosted trees."""
    return int(np.clip(n // 500, 20, 50))


def _forest(n: int, seed: int) -> RandomForestRegressor:
    return RandomForestRegressor(
        N_TREES, min_samples_leaf=forest_leaf(n), max_features=SHARE_OF_FEATURES, random_state=seed, n_jobs=1
    )


def _boosted(n: int, classes: list[int], seed: int) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(
        max_iter=200, learning_rate=0.06, min_samples_leaf=boosted_leaf(n), max_features=SHARE_OF_FEATURES,
        l2_regularization=10.0, early_stopping=False, categorical_features=classes, random_state=seed,
    )  # fmt: skip


class DirectTrees:
    """SOC of layers from covariates and depth.

    Parameters
    ----------
    kind : `BOOSTED` or `FOREST`
    frame : DataFrame
        Covariates of all sites.
    class_names : tuple of str
        Covariates that are classes: boosted trees split them as such, a forest takes their codes.
    """

    def __init__(self, kind: str, frame: pd.DataFrame, class_names: tuple[str, ...], seed: int) -> None:
        self.kind, self.seed = kind, seed
        self.values, self.classes = coded_columns(frame, class_names)

    def fit(self, site: ArrayLike, depth: ArrayLike, soc: ArrayLike) -> DirectTrees:
        """Learn layers: their site (row of `frame`), depth (m) and SOC (any unit)."""
        n = len(np.asarray(soc))
        boosted = self.kind == BOOSTED
        self.model = _boosted(n, self.classes, self.seed) if boosted else _forest(n, self.seed)
        # On a busy machine threads of OpenMP wait for each other in loops, minutes instead of seconds.
        with threadpool_limits(1):
            self.model.fit(self._features(site, depth), np.asarray(soc, float))
        return self

    def predict(self, site: ArrayLike, depth: ArrayLike) -> NDArray[np.float64]:
        """SOC of layers, in the unit of what was learnt."""
        with threadpool_limits(1):
            return self.model.predict(self._features(site, depth))

    def _features(self, site: ArrayLike, depth: ArrayLike) -> NDArray[np.float64]:
        return np.column_stack([self.values[np.asarray(site)], np.asarray(depth, float)])


def forest_parameters(frame: pd.DataFrame, train: ArrayLike, x_mean: ArrayLike, seed: int) -> NDArray[np.float64]:
    """Parameters of all rows of `frame`, (n, 25), from a forest that has learnt the means of the rows `train`."""
    values = frame.to_numpy(float)
    forest = _forest(len(np.asarray(train)), seed)
    forest.fit(values[train], np.asarray(x_mean, float)[train])
    return forest.predict(values)
