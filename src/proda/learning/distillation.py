"""How a hybrid is taught: first by the layers of the profiles alone, then, as one of a panel, by that panel.

Many parameters give the same carbon. The first is held near the posteriors of the sites, so that it finds such as the
profiles allow; the second is held near the parameters of the first, at sites and cells, and learns carbon. Without
these terms nearly half of its parameters end at the walls of the prior box on the virtual study, and hardly any follows
the truth, for the same skill in carbon.

The networks of the two are not alike. One that sees single profiles must not follow their scatter: it is narrow in what
it is told (plain numbers) and forgets units as it learns (dropout). One that is taught what a panel tells is to follow
closely: its numbers are told in pieces, as trees split them, and it forgets nothing.

Trees as teachers: the carbon of a site's layers as other sites tell it, instead of its own profile.

A profile is one draw of what its surroundings hold. A network that follows the draws closely learns their scatter by
heart; one that is kept from it misses what covariates do tell. What trees that have not seen a site tell of it has
little scatter left and can be followed closely ("born again trees", Breiman and Shang 1996; distillation, Hinton et al.
2015, arXiv:1503.02531).

What the hybrid is taught: profiles, and what a panel of teachers tells of them and of all land.

The panel are trees and a hybrid that knows the profiles alone. They err in different ways where no profile is: a tree
goes on with the mean of its nearest leaf, a network with its slopes, through the soil model. Their mean is better than
each. A network that is taught this mean at cells, where only covariates and forcing are known, needs its teachers
no more: its parameters give the carbon of the panel, as a steady state of the soil model.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeRegressor

from proda.learning.encoding import Encoding, Shape
from proda.learning.ensemble import equal_targets, precision_targets
from proda.learning.hybrid import HybridPlan, HybridTrainer
from proda.learning.training_data import ObservedSites, TrainingData, UnlabelledCells
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


def distillation_targets(
    frame: pd.DataFrame, class_names: tuple[str, ...], sites: ObservedSites, land: UnlabelledCells, alone: NDArray, share: float,  # noqa: E501
    seed: int,
) -> ObservedSites:  # fmt: skip
    """Sites, then cells, with the carbon that the hybrid is to learn.

    The panel tells the mean of a forest, of boosted trees (each by trees that have not seen the site)
    and of the hybrid that has learnt from the layers alone. A cell has what the panel tells;
    a site has `share` of it, and of its own profile the rest.

    Parameters
    ----------
    frame : DataFrame, (n, n_covariates)
        Of the sites.
    class_names : tuple of str
    sites : ObservedSites
    land : UnlabelledCells
    alone : (n + n_cells, m), kg C m-3
        Of the hybrid of layers alone.
    share : float
    """  # fmt: skip
    places = pd.concat([frame, land.frame], ignore_index=True)
    both, n = sites.joined(land.sites), sites.n_sites
    trees = [told(places, class_names, both, n, seed) for told in (forest_carbon, boosted_carbon)]
    panel = np.where(both.present, np.mean([*trees, alone], axis=0), 0.0)
    own = np.where(np.arange(both.n_sites) < n, 1.0 - share, 0.0)[:, None]
    return both._replace(soc=(own * both.soc + (1.0 - own) * panel).astype(np.float32))


# Of the weight of the prior term, for the second hybrid: so much less loss is left of a panel's lessons, which are
# without the scatter of profiles.
DISTILLED_PRIOR_SHARE = 1.0 / 30.0


class TrainedHybrid(NamedTuple):
    """A trainer whose networks have learnt (until it is used again), how covariates enter them, and the curve."""

    trainer: HybridTrainer
    encoding: Encoding
    curve: pd.DataFrame

    def soc(self, frame: pd.DataFrame, sites: ObservedSites) -> NDArray[np.float32]:
        """SOC of the members at the layers of places, (n, n_members, m), kg C m-3."""
        return self.trainer.soc(self.encoding.encoded(frame), sites)

    def x(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Parameters of the members, (n_members, n, 25), unit cube."""
        return self.trainer.parameters(self.encoding.encoded(frame))

    def own_networks(self) -> keras.Model:
        """A copy of the networks: the trainer's learn anew when the next hybrid of this shape is taught."""
        networks = keras.models.clone_model(self.trainer.networks)
        networks.set_weights(self.trainer.networks.get_weights())
        return networks


def trained_on_layers(
    material: TrainingData, train: NDArray, plan: HybridPlan, seed: int, prior_weight: float | None = None,
    progress: bool = False,
) -> TrainedHybrid:  # fmt: skip
    """The hybrid of the plan that has learnt the layers of the rows `train` of `material` and nothing else."""
    frame = material.frame.iloc[train]
    encoding = Encoding.of(frame, material.class_names, "covariates.parquet, sites", plan.n_bins)
    trainer, targets = _trainer_for(material, plan, 0), precision_targets(material.x_mean[train], material.x_sd[train])
    learns = material.observed.take(train)
    curve = trainer.trained(encoding.encoded(frame), learns, seed, targets, prior_weight, progress)
    return TrainedHybrid(trainer, encoding, curve)


def distilled(
    material: TrainingData, train: NDArray, plan: HybridPlan, alone: TrainedHybrid, seed: int, progress: bool = False
) -> TrainedHybrid:
    """The hybrid of the plan, taught by a panel of trees and `alone` at the rows `train` and at cells.

    Parameters
    ----------
    alone : TrainedHybrid
        From `trained_on_layers`, of the same rows.
    """
    frame, learns, land = material.frame.iloc[train], material.observed.take(train), material.land
    encoding = Encoding.of(frame, material.class_names, "covariates.parquet, sites", plan.n_bins)
    places = pd.concat([frame, land.frame], ignore_index=True)
    told = alone.soc(places, learns.joined(land.sites)).mean(axis=1)
    lessons = distillation_targets(frame, material.class_names, learns, land, told, plan.panel_share, seed)
    targets = equal_targets(alone.x(places).mean(axis=0))
    weight = DISTILLED_PRIOR_SHARE * plan.prior_weight
    trainer = _trainer_for(material, plan, land.sites.n_sites)
    curve = trainer.trained(encoding.encoded(places), lessons, seed, targets, weight, progress)
    return TrainedHybrid(trainer, encoding, curve)


def compile_trainers(material: TrainingData, plan: HybridPlan) -> None:
    """Make the trainers that `trained_on_layers` and `distilled` will ask for, so that neither has to compile."""
    _trainer_for(material, plan.of_layers_alone(), 0)
    if plan.panel_share > 0.0:
        _trainer_for(material, plan, material.land.sites.n_sites)


def _trainer_for(material: TrainingData, plan: HybridPlan, n_cells: int) -> HybridTrainer:
    # Room for the classes of all sites: one shape, and so one compilation, for all folds.
    shape = Encoding.of(material.frame, material.class_names, n_bins=plan.n_bins).shape
    batch_size = min(plan.batch_size, batch_size_of(material.observed.n_sites + n_cells))
    return _trainer(shape, material.observed.soc.shape[1], plan._replace(batch_size=batch_size))


def batch_size_of(n_places: int) -> int:
    """The power of two, 16 to 256, that leaves some thirty steps or more in an epoch."""
    return int(np.clip(2 ** int(np.log2(max(n_places, 2) / 30)), 16, 256))


@lru_cache(maxsize=4)
def _trainer(shape: Shape, n_layers: int, plan: HybridPlan) -> HybridTrainer:
    return HybridTrainer(shape, n_layers, plan)
