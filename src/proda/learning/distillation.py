"""Training of the hybrid: first on the layers of the profiles alone, then on the mean of a teacher ensemble.

The teachers, trees that have not seen the site and the hybrid of the first training, predict carbon without the scatter
of single profiles; at grid cells their mean is the whole target (distillation, Hinton et al. 2015, arXiv:1503.02531).
The second hybrid is held near the parameters of the first, which the posteriors constrain: otherwise nearly half of its
parameters end at the prior bounds on the virtual study, for the same skill in carbon.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.model_selection import GroupKFold, cross_val_predict
from threadpoolctl import threadpool_limits

from proda.learning.encoding import Encoding, Shape
from proda.learning.hybrid import (
    LIMITS,
    HybridPlan,
    HybridTrainer,
    carbon_at_layers,
    node_carbon_at_layers,
    precision_targets,
)
from proda.learning.paper_network import network_output
from proda.learning.training_data import ObservedSites, TrainingData

# Of the weight of the prior term, for the second training: its targets are without the scatter of profiles, so much
# less loss is left.
DISTILLED_PRIOR_SHARE = 1.0 / 30.0
BOOSTED, FOREST = "boosted trees", "random forest"
N_TREES, SHARE_OF_FEATURES = 100, 0.4  # trees of a forest; covariates that a split of both kinds may choose from
N_PARTS = 5  # of the training sites, each predicted by trees that were trained on the others


class TrainedHybrid(NamedTuple):
    """A trainer with its trained networks (until it is used again), how covariates enter them, and the curve."""

    trainer: HybridTrainer
    encoding: Encoding
    curve: pd.DataFrame  # epoch, loss

    def x(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Outputs of the members at n places, (n_members, n, 25), unit cube: parameters, but for the control."""
        return network_output(self.trainer.networks, self.encoding.encoded(frame))

    def soc(self, frame: pd.DataFrame, sites: ObservedSites) -> NDArray[np.float64]:
        """SOC of the members at the layers of n places, (n_members, n, m), kg C m-3."""
        carbon = carbon_at_layers if self.trainer.plan.soil_model else node_carbon_at_layers
        return np.stack([carbon(x, sites) for x in self.x(frame)])


def trained_hybrid(
    data: TrainingData,
    train: NDArray[np.int64],
    plan: HybridPlan,
    seed: int,
    trees: list[NDArray] | None = None,
    progress: bool = False,
) -> TrainedHybrid:
    """The hybrid, trained on the rows `train` of `data` and on cells; `trees` is `teacher_trees` of the same rows."""
    alone = trained_on_layers(data, train, plan.of_layers_alone(), seed, progress=progress)
    if plan.distillation_share == 0.0:
        return alone
    places = pd.concat([data.frame.iloc[train], data.land.frame], ignore_index=True)
    both = data.observed.take(train).joined(data.land.sites)
    teachers = [*(trees or teacher_trees(data, train, seed)), alone.soc(places, both).mean(axis=0)]
    targets = distillation_targets(both, teachers, train.size, plan.distillation_share)
    encoding, trainer = _encoding_and_trainer(data, train, plan, both.n_sites - train.size)
    first, weight = alone.x(places).mean(axis=0), DISTILLED_PRIOR_SHARE * plan.prior_weight
    prior = np.stack([first, np.ones_like(first)], axis=-1).astype(np.float32)
    curve = trainer.train(encoding.encoded(places), targets, seed, prior, weight, progress)
    return TrainedHybrid(trainer, encoding, curve)


def trained_on_layers(
    data: TrainingData,
    train: NDArray[np.int64],
    plan: HybridPlan,
    seed: int,
    posteriors_only: bool = False,
    progress: bool = False,
) -> TrainedHybrid:
    """Networks trained on the layers of the rows `train` of `data` and their sites' posteriors, or on these alone."""
    encoding, trainer = _encoding_and_trainer(data, train, plan, 0)
    sites, targets = data.observed.take(train), precision_targets(data.x_mean[train], data.x_sd[train])
    if posteriors_only:
        sites = sites._replace(present=np.zeros_like(sites.present))
    encoded = encoding.encoded(data.frame.iloc[train])
    return TrainedHybrid(trainer, encoding, trainer.train(encoded, sites, seed, targets, plan.prior_weight, progress))


def teacher_trees(data: TrainingData, train: NDArray[np.int64], seed: int) -> list[NDArray[np.float64]]:
    """Carbon of each kind of trees at training sites unseen by them, then cells, (n_train + n_cells, m), kg C m-3."""
    places = pd.concat([data.frame.iloc[train], data.land.frame], ignore_index=True)
    both = data.observed.take(train).joined(data.land.sites)
    is_site = np.arange(both.n_sites) < train.size
    return [tree_carbon(kind, places, data.class_names, both, is_site, seed, True) for kind in (FOREST, BOOSTED)]


def distillation_targets(both: ObservedSites, teachers: list[NDArray], n_sites: int, share: float) -> ObservedSites:
    """The carbon that the second training aims at: at cells the mean of the teachers, at sites a share of it.

    `both` are `n_sites` training sites, then cells; teachers are (n_sites + n_cells, m), kg C m-3.
    """
    mean = np.where(both.present, np.mean(teachers, axis=0), 0.0)
    own = np.where(np.arange(both.n_sites) < n_sites, 1.0 - share, 0.0)[:, None]
    return both._replace(soc=(own * both.soc + (1.0 - own) * mean).astype(np.float32))


def tree_carbon(
    kind: str,
    frame: pd.DataFrame,
    class_names: tuple[str, ...],
    sites: ObservedSites,
    train: NDArray,
    seed: int,
    cross_fitted: bool = False,
) -> NDArray[np.float64]:
    """Carbon of the layers of all sites by trees that were trained on the layers of some, (n, m), kg C m-3.

    `train` (n,) bool are the sites to learn from; with `cross_fitted` they are predicted by trees that have not seen
    the site (in `N_PARTS` parts). Boosted trees split the classes `class_names` as such, a forest takes their positions
    in a sorted list.
    """
    classes = [i for i, name in enumerate(frame.columns) if name in class_names]
    values = frame.to_numpy(float).copy()
    for i in classes:
        values[:, i] = pd.factorize(values[:, i], sort=True)[0]
    site = np.nonzero(sites.present)[0]
    features = np.column_stack([values[site], sites.depth[sites.present]])
    learns, soc = train[site], sites.soc[sites.present].astype(float)
    model, predicted = _tree_model(kind, int(learns.sum()), classes, seed), np.zeros(soc.size)
    # On a busy machine threads of OpenMP wait for each other in loops, minutes instead of seconds.
    with threadpool_limits(1):
        if cross_fitted:
            parts = GroupKFold(min(N_PARTS, int(train.sum())), shuffle=True, random_state=seed)
            predicted[learns] = cross_val_predict(model, features[learns], soc[learns], groups=site[learns], cv=parts)
        others = ~learns if cross_fitted else np.ones_like(learns)
        if others.any():
            predicted[others] = model.fit(features[learns], soc[learns]).predict(features[others])
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


def _encoding_and_trainer(
    data: TrainingData, train: NDArray, plan: HybridPlan, n_cells: int
) -> tuple[Encoding, HybridTrainer]:
    encoding = Encoding.of(data.frame.iloc[train], data.class_names, plan.n_bins, limits=LIMITS)
    # Room for the classes of all sites: one shape, and so one compilation, for all folds.
    shape = Encoding.of(data.frame, data.class_names, plan.n_bins).shape
    # The power of two, 16 to 256, that leaves some thirty steps or more in an epoch.
    most = int(np.clip(2 ** int(np.log2(max(data.observed.n_sites + n_cells, 2) / 30)), 16, 256))
    plan = plan._replace(batch_size=min(plan.batch_size, most), distillation_share=0.0, prior_weight=0.0)
    return encoding, _trainer(shape, data.observed.soc.shape[1], plan)


@lru_cache(maxsize=4)
def _trainer(shape: Shape, n_layers: int, plan: HybridPlan) -> HybridTrainer:
    return HybridTrainer(shape, n_layers, plan)
