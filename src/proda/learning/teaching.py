"""How a hybrid is taught: first by the layers of the profiles alone, then, as one of a panel, by that panel.

Many parameters give the same carbon. The first is held near the posteriors of the sites, so that it finds such as the
profiles allow; the second is held near the parameters of the first, at sites and cells, and learns carbon. Without
these terms nearly half of its parameters end at the walls of the prior box on the virtual study, and hardly any follows
the truth, for the same skill in carbon.

The networks of the two are not alike. One that sees single profiles must not follow their scatter: it is narrow in what
it is told (plain numbers) and forgets units as it learns (dropout). One that is taught what a panel tells is to follow
closely: its numbers are told in pieces, as trees split them, and it forgets nothing.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.learning.encoding import Encoding, Shape
from proda.learning.hybrid import HybridPlan, HybridTrainer
from proda.learning.lessons import panel_lessons
from proda.learning.material import Material
from proda.learning.observed_layers import ObservedSites
from proda.learning.targets import equal_targets, precision_targets

# Of the weight of the prior term, for the second hybrid: so much less loss is left of a panel's lessons, which are
# without the scatter of profiles.
STUDENTS_PART = 1.0 / 30.0


class TaughtHybrid(NamedTuple):
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


def taught_by_layers(
    material: Material, train: NDArray, plan: HybridPlan, seed: int, prior_weight: float | None = None,
    progress: bool = False,
) -> TaughtHybrid:  # fmt: skip
    """The hybrid of the plan that has learnt the layers of the rows `train` of `material` and nothing else."""
    frame = material.frame.iloc[train]
    encoding = Encoding.of(frame, material.class_names, "covariates.parquet, sites", plan.n_bins)
    trainer, targets = _trainer_for(material, plan, 0), precision_targets(material.x_mean[train], material.x_sd[train])
    learns = material.observed.take(train)
    curve = trainer.trained(encoding.encoded(frame), learns, seed, targets, prior_weight, progress)
    return TaughtHybrid(trainer, encoding, curve)


def taught_by_panel(
    material: Material, train: NDArray, plan: HybridPlan, alone: TaughtHybrid, seed: int, progress: bool = False
) -> TaughtHybrid:
    """The hybrid of the plan, taught by a panel of trees and `alone` at the rows `train` and at cells.

    Parameters
    ----------
    alone : TaughtHybrid
        From `taught_by_layers`, of the same rows.
    """
    frame, learns, land = material.frame.iloc[train], material.observed.take(train), material.land
    encoding = Encoding.of(frame, material.class_names, "covariates.parquet, sites", plan.n_bins)
    places = pd.concat([frame, land.frame], ignore_index=True)
    told = alone.soc(places, learns.joined(land.sites)).mean(axis=1)
    lessons = panel_lessons(frame, material.class_names, learns, land, told, plan.panel_share, seed)
    targets = equal_targets(alone.x(places).mean(axis=0))
    weight = STUDENTS_PART * plan.prior_weight
    trainer = _trainer_for(material, plan, land.sites.n_sites)
    curve = trainer.trained(encoding.encoded(places), lessons, seed, targets, weight, progress)
    return TaughtHybrid(trainer, encoding, curve)


def compile_trainers(material: Material, plan: HybridPlan) -> None:
    """Make the trainers that `taught_by_layers` and `taught_by_panel` will ask for, so that neither has to compile."""
    _trainer_for(material, plan.of_layers_alone(), 0)
    if plan.panel_share > 0.0:
        _trainer_for(material, plan, material.land.sites.n_sites)


def _trainer_for(material: Material, plan: HybridPlan, n_cells: int) -> HybridTrainer:
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
