"""Random forest and boosted trees from covariates and depth to carbon, and their carbon as an input of networks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.model_selection import KFold
from threadpoolctl import threadpool_limits

from proda.kernels.steady_state import soc_density
from proda.learning.encoding import NUMBERS
from proda.learning.training_data import GRAMS_PER_KG, ObservedSites, TrainingData
from proda.model.configuration import configuration_of
from proda.model.forcing import AnyForcing
from proda.model.observation import at_depths
from proda.model.parameters import physical, with_positive_cwd_share

BOOSTED, FOREST = "boosted trees", "random forest"
# Leaves, penalty and choice of covariates were chosen on folds of the real profiles that score nothing.
BOOSTING = {"max_iter": 200, "learning_rate": 0.06, "l2_regularization": 10.0, "early_stopping": False}
N_TREES, SHARE_OF_FEATURES = 100, 0.4  # trees of a forest; covariates that a split of both kinds may choose from
N_PARTS = 3  # of the sites, each predicted by trees that were trained on the others
DEPTHS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0)  # m, at which networks take the carbon of trees
N_CARBON = 2 * len(DEPTHS)  # columns of `carbon_numbers`


class Trees(NamedTuple):
    """Trees from covariates and depth to carbon, trained on the layers of some sites."""

    model: RegressorMixin

    def of_layers(self, frame: pd.DataFrame, sites: ObservedSites) -> NDArray[np.float64]:
        """Carbon of the layers of n sites with the covariates `frame`, (n, m), kg C m-3; 0 where none is."""
        carbon = np.zeros(sites.soc.shape)
        carbon[sites.present] = self._carbon(_features(frame, sites))
        return carbon

    def at_depths(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Carbon at the k `DEPTHS` of n places, (n, k), kg C m-3."""
        values = np.repeat(frame.to_numpy(float), len(DEPTHS), axis=0)
        return self._carbon(np.column_stack([values, np.tile(DEPTHS, len(frame))])).reshape(len(frame), -1)

    def _carbon(self, features: NDArray) -> NDArray[np.float64]:
        # On a busy machine threads of OpenMP wait for each other in loops, minutes instead of seconds.
        with threadpool_limits(1):
            return np.maximum(self.model.predict(features), 0.0)  # boosted trees can fall below zero


class StackedTrees(NamedTuple):
    """Boosted trees of n training sites, and carbon there, kg C m-3, by trees that have not seen the site."""

    trees: Trees
    of_layers: NDArray[np.float64]  # (n, m)
    at_depths: NDArray[np.float64]  # (n, k)


def fitted_trees(kind: str, data: TrainingData, train: NDArray[np.int64], seed: int) -> Trees:
    """Trees of the kind `BOOSTED` or `FOREST`, trained on all layers of the rows `train` of `data`.

    Boosted trees split classes as such, a forest takes their codes as numbers.
    """
    sites, frame = data.observed.take(train), data.frame.iloc[train]
    soc = sites.soc[sites.present].astype(float)
    common = {"max_features": SHARE_OF_FEATURES, "random_state": seed}
    if kind == FOREST:
        model = RandomForestRegressor(N_TREES, min_samples_leaf=int(np.clip(soc.size // 3000, 5, 10)), **common)
    else:
        leaf, classes = int(np.clip(soc.size // 500, 20, 50)), [name in data.class_names for name in frame] + [False]
        model = HistGradientBoostingRegressor(min_samples_leaf=leaf, categorical_features=classes, **BOOSTING, **common)
    with threadpool_limits(1):
        return Trees(model.fit(_features(frame, sites), soc))


def stacked_trees(data: TrainingData, train: NDArray[np.int64], seed: int, trees: Trees | None = None) -> StackedTrees:
    """Boosted trees of the rows `train` of `data` (`trees`, if they are at hand), and carbon there, cross-fitted."""
    sites, frame = data.observed.take(train), data.frame.iloc[train]
    of_layers, at_depths = np.zeros(sites.soc.shape), np.zeros((train.size, len(DEPTHS)))
    for others, part in KFold(min(N_PARTS, train.size), shuffle=True, random_state=seed).split(train):
        unseen = fitted_trees(BOOSTED, data, train[others], seed)
        of_layers[part] = unseen.of_layers(frame.iloc[part], sites.take(part))
        at_depths[part] = unseen.at_depths(frame.iloc[part])
    return StackedTrees(trees or fitted_trees(BOOSTED, data, train, seed), of_layers, at_depths)


class CarbonInputs(NamedTuple):
    """What networks take of carbon beside the covariates: the trees, and the range of the numbers in training."""

    trees: Trees
    training_range: NDArray[np.float64]  # (2, `N_CARBON`), least and greatest

    def added(self, encoded: dict[str, NDArray], carbon: NDArray, forcing: AnyForcing) -> dict[str, NDArray]:
        """`Encoding.encoded` of n places with `carbon_numbers` after its numbers, set to the ends of their range."""
        numbers = np.clip(carbon_numbers(carbon, forcing), *self.training_range)
        return encoded | {NUMBERS: np.column_stack([encoded[NUMBERS], numbers]).astype(np.float32)}


def carbon_numbers(carbon: NDArray, forcing: AnyForcing) -> NDArray[np.float64]:
    """Scaled logarithm of carbon (n, k) at the `DEPTHS`, and of its ratio to `reference_carbon`, (n, `N_CARBON`).

    The ratio is what the parameters have to bring about under the forcing of the place.
    """
    log = np.log1p(carbon)
    return np.column_stack([log - 2.0, log - np.log1p(reference_carbon(forcing))])


def reference_carbon(forcing: AnyForcing) -> NDArray[np.float64]:
    """Carbon of the soil model at the k `DEPTHS`, (n, k), kg C m-3, with all parameters in the middle of the box."""
    configuration, n, k = configuration_of(forcing), forcing.n_columns, len(DEPTHS)
    middle = with_positive_cwd_share(np.full((n, len(configuration.parameters)), 0.5))[0]
    soc = soc_density(physical(middle.T, forcing, configuration.parameters), forcing, configuration)
    values = at_depths(soc, np.repeat(np.arange(n), k), np.tile(DEPTHS, n), configuration.column)
    return values.reshape(n, k) / GRAMS_PER_KG


def _features(frame: pd.DataFrame, sites: ObservedSites) -> NDArray[np.float64]:
    """Covariates and depth of every layer."""
    return np.column_stack([frame.to_numpy(float)[np.nonzero(sites.present)[0]], sites.depth[sites.present]])
