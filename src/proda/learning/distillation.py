"""Training of the hybrid: first on the layers of the profiles alone, then on the mean of a teacher ensemble.

A profile is one draw of what its surroundings hold, and a network that follows the draws closely learns their scatter.
The teacher ensemble predicts carbon with little of that scatter: random forest and boosted trees that have not seen the
site, and the hybrid of the first training. They err in different ways where no profile is, so their mean is better than
each; at grid cells, of which only covariates and forcing are known, it is the whole target (distillation, Hinton et al.
2015, arXiv:1503.02531). The second hybrid is held near the parameters of the first, which the posteriors constrain:
without these terms nearly half of its parameters end at the prior bounds on the virtual study, for the same skill in
carbon. It follows its targets closely, without dropout and with numbers in quantile bins.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.learning.encoding import Encoding, Shape
from proda.learning.hybrid import LIMITS, HybridPlan, HybridTrainer, equal_targets, precision_targets
from proda.learning.predictor import Predictor, network_output
from proda.learning.soil_layer import carbon_at_layers, node_carbon_at_layers
from proda.learning.training_data import ObservedSites, TrainingData
from proda.learning.trees import KINDS_OF_TREES, unseen_tree_carbon

# Of the weight of the prior term, for the second training: its targets are without the scatter of profiles, so much
# less loss is left.
DISTILLED_PRIOR_SHARE = 1.0 / 30.0


class TrainedHybrid(NamedTuple):
    """A trainer with its trained networks (until it is used again), how covariates enter them, and the curve."""

    trainer: HybridTrainer
    encoding: Encoding
    curve: pd.DataFrame

    def x(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Outputs of the members at n places, (n_members, n, 25), unit cube: parameters, but for the control."""
        return network_output(self.trainer.networks, self.encoding.encoded(frame))

    def soc(self, frame: pd.DataFrame, sites: ObservedSites) -> NDArray[np.float64]:
        """SOC of the members at the layers of n places, (n_members, n, m), kg C m-3."""
        carbon = carbon_at_layers if self.trainer.plan.soil_model else node_carbon_at_layers
        return np.stack([carbon(x, sites) for x in self.x(frame)])

    def predictor(self, notes: dict[str, Any]) -> Predictor:
        """A copy of the networks with their encoding: the trainer's are trained anew for the next hybrid."""
        networks = keras.models.clone_model(self.trainer.networks)
        networks.set_weights(self.trainer.networks.get_weights())
        return Predictor(networks, self.encoding, notes)


def trained_hybrid(
    data: TrainingData,
    train: NDArray[np.int64],
    plan: HybridPlan,
    seed: int,
    trees: list[NDArray] | None = None,
    progress: bool = False,
) -> TrainedHybrid:
    """The hybrid of the plan, trained on the rows `train` of `data` and on cells.

    Parameters
    ----------
    trees : list of arrays, optional
        `teacher_trees` of the same rows, where they are at hand.
    """
    alone = trained_on_layers(data, train, plan.of_layers_alone(), seed, progress=progress)
    if plan.distillation_share == 0.0:
        return alone
    frame, land = data.frame.iloc[train], data.land
    places = pd.concat([frame, land.frame], ignore_index=True)
    both = data.observed.take(train).joined(land.sites)
    teachers = [*(trees or teacher_trees(data, train, seed)), alone.soc(places, both).mean(axis=0)]
    targets = distillation_targets(both, teachers, train.size, plan.distillation_share)
    encoding, trainer = _encoding(data, train, plan), _trainer_for(data, plan, land.sites.n_sites)
    prior, weight = equal_targets(alone.x(places).mean(axis=0)), DISTILLED_PRIOR_SHARE * plan.prior_weight
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
    """Networks trained on the layers of the rows `train` of `data` and their sites' posteriors.

    Parameters
    ----------
    posteriors_only : bool
        Leave the layers out: the same networks, trained on weighted posterior means.
    """
    encoding, trainer = _encoding(data, train, plan), _trainer_for(data, plan, 0)
    sites, targets = data.observed.take(train), precision_targets(data.x_mean[train], data.x_sd[train])
    if posteriors_only:
        sites = sites._replace(present=np.zeros_like(sites.present))
    curve = trainer.train(encoding.encoded(data.frame.iloc[train]), sites, seed, targets, progress=progress)
    return TrainedHybrid(trainer, encoding, curve)


def teacher_trees(data: TrainingData, train: NDArray[np.int64], seed: int) -> list[NDArray[np.float64]]:
    """Carbon of each kind of trees at the layers of training sites, by trees that have not seen them, then of cells.

    Returns
    -------
    list of (n_train + n_cells, m), kg C m-3
    """
    places = pd.concat([data.frame.iloc[train], data.land.frame], ignore_index=True)
    both = data.observed.take(train).joined(data.land.sites)
    is_site = np.arange(both.n_sites) < train.size
    return [unseen_tree_carbon(kind, places, data.class_names, both, is_site, seed) for kind in KINDS_OF_TREES]


def distillation_targets(both: ObservedSites, teachers: list[NDArray], n_sites: int, share: float) -> ObservedSites:
    """The carbon that the second training aims at: at cells the mean of the teachers, at sites a share of it.

    Parameters
    ----------
    both : ObservedSites
        Training sites, the first `n_sites`, then cells.
    teachers : list of (n_sites + n_cells, m), kg C m-3
    share : float
        Of the teachers' mean at a site, 0 to 1; the rest is the site's own profile.
    """
    mean = np.where(both.present, np.mean(teachers, axis=0), 0.0)
    own = np.where(np.arange(both.n_sites) < n_sites, 1.0 - share, 0.0)[:, None]
    return both._replace(soc=(own * both.soc + (1.0 - own) * mean).astype(np.float32))


def batch_size_of(n_places: int) -> int:
    """The power of two, 16 to 256, that leaves some thirty steps or more in an epoch."""
    return int(np.clip(2 ** int(np.log2(max(n_places, 2) / 30)), 16, 256))


def _encoding(data: TrainingData, train: NDArray, plan: HybridPlan) -> Encoding:
    frame = data.frame.iloc[train]
    return Encoding.of(frame, data.class_names, "covariates.parquet, sites", plan.n_bins, limits=LIMITS)


def _trainer_for(data: TrainingData, plan: HybridPlan, n_cells: int) -> HybridTrainer:
    # Room for the classes of all sites: one shape, and so one compilation, for all folds.
    shape = Encoding.of(data.frame, data.class_names, n_bins=plan.n_bins).shape
    batch_size = min(plan.batch_size, batch_size_of(data.observed.n_sites + n_cells))
    return _trainer(shape, data.observed.soc.shape[1], plan._replace(batch_size=batch_size, distillation_share=0.0))


@lru_cache(maxsize=4)
def _trainer(shape: Shape, n_layers: int, plan: HybridPlan) -> HybridTrainer:
    return HybridTrainer(shape, n_layers, plan)
