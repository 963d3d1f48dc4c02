"""The ways from covariates to carbon that are compared, each as a function of what it may learn from.

All of them see the training sites of a fold only, and give carbon at the layers of all sites; those that go through
the process model give its parameters as well.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from proda.learning.encoding import Encoding, Shape
from proda.learning.hybrid import HybridPlan
from proda.learning.input_shares import with_positive_cwd_share
from proda.learning.material import Material
from proda.learning.network import fit, paper_network
from proda.learning.observed_layers import at_layers
from proda.learning.parameter_networks import member_parameters
from proda.learning.scaling import MinMaxScaling
from proda.learning.spread import deviations, soc_with_spread
from proda.learning.targets import equal_targets, precision_targets, profile_targets
from proda.learning.teaching import TaughtHybrid, compile_trainers, taught_by_layers, taught_by_panel
from proda.learning.trees import BOOSTED, FOREST, DirectTrees, forest_parameters
from proda.learning.two_step import TwoStepPlan, TwoStepTrainer
from proda.model import lanes
from proda.model.parameters import INNER, default_parameters, physical

PAPER_NETWORK, WITHOUT_PRIOR = "network of the paper", "ensemble, weighted targets"
N_DEVIATIONS = 500


class Plans(NamedTuple):
    """How each kind of network is trained; `paper` holds the keyword arguments of the paper's."""

    paper: dict[str, Any]
    two_step: TwoStepPlan
    hybrid: HybridPlan


class Learnt(NamedTuple):
    """What a method tells of all sites, and what it took to learn it.

    Attributes
    ----------
    soc : (n, m), kg C m-3
        Carbon at the layers.
    x : (n, 25), unit cube, optional
        The parameters behind it.
    log_sd : (n, m), optional
        Standard deviation of the logarithm of carbon over the members of an ensemble.
    seconds : float
        Wall time of learning, that of its teachers with it, compilation left out; NaN where nothing is learnt.
    """

    soc: NDArray[np.float64]
    x: NDArray[np.float64] | None = None
    log_sd: NDArray[np.float64] | None = None
    seconds: float = np.nan


def result_and_seconds(function: Callable, *arguments: Any) -> tuple[Any, float]:
    """What a function returns, and the seconds it took."""
    begun = perf_counter()
    found = function(*arguments)
    return found, perf_counter() - begun


def soc_of(x: NDArray, material: Material) -> NDArray[np.float64]:
    """Carbon at the layers of all sites, (n, m), kg C m-3, of parameters (n, 25)."""
    soc = lanes.soc_density(physical(x.T, material.forcing), material.forcing)
    return at_layers(soc, material.observed)


def inside(x: NDArray) -> NDArray[np.float64]:
    """Parameters (n, 25) where the model has a steady state."""
    return with_positive_cwd_share(np.clip(x, INNER, 1.0 - INNER))[0]


def default_carbon(material: Material, train: NDArray, plans: Plans, seed: int) -> dict[str, Learnt]:
    """CLM's own parameters: nothing is learnt."""
    theta = default_parameters(material.forcing, material.sand_percent)
    return {"CLM defaults": Learnt(at_layers(lanes.soc_density(theta, material.forcing), material.observed))}


def paper_two_steps(material: Material, train: NDArray, plans: Plans, seed: int) -> dict[str, Learnt]:
    """The paper's network on the posterior means of the sites that pass its filter, bare and with spread."""
    taught = train[material.used[train]]
    scaling = MinMaxScaling.of(material.frame.iloc[taught])
    scaled = scaling.scaled(material.frame)
    order = np.random.default_rng(seed).permutation(taught)
    settings = dict(plans.paper)
    n_validation = max(1, round(settings.pop("validation_share") * order.size))
    network = paper_network(
        scaled.shape[1], seed=seed % 2**32, dropout=settings.pop("dropout"), learning_rate=settings.pop("learning_rate")
    )
    pairs = ((scaled[rows], material.x_mean[rows]) for rows in (order[n_validation:], order[:n_validation]))
    _, seconds = result_and_seconds(lambda: fit(network, *pairs, progress=False, **settings))
    x = inside(np.asarray(network.predict(scaled, batch_size=4096, verbose=0), float))
    return with_and_without_spread(PAPER_NETWORK, x, material, taught, seed, seconds)


def with_and_without_spread(
    name: str, x: NDArray, material: Material, taught: NDArray, seed: int, seconds: float
) -> dict[str, Learnt]:
    """Carbon at the predicted parameters, and its mean over their spread."""
    added = deviations(material.draws[taught], x[taught], N_DEVIATIONS, seed)
    spread = at_layers(soc_with_spread(x, added, material.forcing), material.observed)
    bare = Learnt(soc_of(x, material), x, seconds=seconds)
    return {name: bare, f"{name}, with spread": bare._replace(soc=spread)}


def forest_two_steps(material: Material, train: NDArray, plans: Plans, seed: int) -> dict[str, Learnt]:
    """A forest on the posterior means of the sites that pass the filter."""
    taught = train[material.used[train]]
    x, seconds = result_and_seconds(forest_parameters, material.frame, taught, material.x_mean, seed % 2**32)
    return {"forest on parameters": Learnt(soc_of(inside(x), material), inside(x), seconds=seconds)}


def embedded_two_steps(material: Material, train: NDArray, plans: Plans, seed: int) -> dict[str, Learnt]:
    """The modern ensemble in steps: classes as numbers or embedded; all sites; weighted; by what profiles say."""
    filtered, equal = train[material.used[train]], equal_targets(material.x_mean)
    weighted, told = equal.copy(), equal.copy()
    weighted[train] = precision_targets(material.x_mean[train], material.x_sd[train])
    told[train] = profile_targets(material.x_mean[train], material.x_sd[train])
    found: dict[str, Learnt] = {}
    for name, classes, taught, targets in (
        ("ensemble, classes as numbers", (), filtered, equal),
        ("ensemble, classes embedded", material.class_names, filtered, equal),
        ("ensemble, all sites", material.class_names, train, equal),
        ("ensemble, weighted means", material.class_names, train, weighted),
        (WITHOUT_PRIOR, material.class_names, train, told),
    ):
        encoded = Encoding.of(material.frame.iloc[taught], classes).encoded(material.frame)
        # Room for the classes of all sites: one shape, and so one compilation, for all folds.
        trainer = _two_step_trainer(Encoding.of(material.frame, classes).shape, plans.two_step)
        lesson = {key: values[taught] for key, values in encoded.items()}
        _, seconds = result_and_seconds(trainer.taught, lesson, targets[taught], seed)
        x = inside(member_parameters(trainer.networks, encoded).mean(axis=0))
        found[name] = Learnt(soc_of(x, material), x, seconds=seconds)
    last = found[WITHOUT_PRIOR]
    return found | with_and_without_spread(WITHOUT_PRIOR, last.x, material, train, seed, last.seconds)


@lru_cache(maxsize=4)
def _two_step_trainer(shape: Shape, plan: TwoStepPlan) -> TwoStepTrainer:
    return TwoStepTrainer(shape, plan)


def two_step_methods(material: Material, train: NDArray, plans: Plans, seed: int) -> dict[str, Learnt]:
    """What is taught posterior means, beside the defaults, which are taught nothing."""
    methods = default_carbon, paper_two_steps, forest_two_steps, embedded_two_steps
    return {name: learnt for method in methods for name, learnt in method(material, train, plans, seed).items()}


def hybrids(material: Material, train: NDArray, plans: Plans, seed: int) -> dict[str, Learnt]:
    """End to end: the study's ensemble, a member, without its teachers, and with nothing near the posteriors."""
    alone, hybrid = _alone_and_taught(material, train, plans.hybrid, seed)
    found = {"hybrid, layers alone": alone[0]}
    found["hybrid"], found["hybrid, one member"] = hybrid
    free, seconds = result_and_seconds(taught_by_layers, material, train, plans.hybrid.of_layers_alone(), seed, 0.0)
    found["hybrid, layers alone, no prior term"] = _ensemble(free, material, seconds)[0]
    return found


def networks_without_soil_model(material: Material, train: NDArray, plans: Plans, seed: int) -> dict[str, Learnt]:
    """The hybrid's control: the same networks and lessons, but their outputs are carbon itself."""
    plan = plans.hybrid._replace(soil_model=False, prior_weight=0.0)
    alone, taught = _alone_and_taught(material, train, plan, seed)
    # Their outputs are no parameters.
    return {
        "networks without the soil model, layers alone": alone[0]._replace(x=None),
        "networks without the soil model": taught[0]._replace(x=None),
    }


def _alone_and_taught(
    material: Material, train: NDArray, plan: HybridPlan, seed: int
) -> tuple[tuple[Learnt, Learnt], tuple[Learnt, Learnt]]:
    """Taught by the layers alone, then by the panel: each as the ensemble and its first member."""
    compile_trainers(material, plan)
    taught, seconds = result_and_seconds(taught_by_layers, material, train, plan.of_layers_alone(), seed)
    alone = _ensemble(taught, material, seconds)
    # A study without teachers has the hybrid of layers alone.
    if plan.panel_share == 0.0:
        return alone, alone
    taught, more = result_and_seconds(taught_by_panel, material, train, plan, taught, seed)
    return alone, _ensemble(taught, material, seconds + more)


def _ensemble(hybrid: TaughtHybrid, material: Material, seconds: float) -> tuple[Learnt, Learnt]:
    """What all members tell of all sites, and what the first does; they have learnt side by side."""
    members, x = hybrid.soc(material.frame, material.observed).astype(float), hybrid.x(material.frame)
    spread = np.log(np.maximum(members, 1e-9)).std(axis=1, ddof=1)
    return Learnt(members.mean(axis=1), x.mean(axis=0), spread, seconds), Learnt(members[:, 0], x[0], None, seconds)


def direct_trees(material: Material, train: NDArray, plans: Plans, seed: int) -> dict[str, Learnt]:
    """Carbon of layers from covariates and depth by trees, without a process model."""
    site, at = np.nonzero(material.observed.present)
    depth, soc = material.observed.depth[site, at], material.observed.soc[site, at]
    learns, found = np.isin(site, train), {}
    for kind in (FOREST, BOOSTED):
        trees = DirectTrees(kind, material.frame, material.class_names, seed % 2**32)
        _, seconds = result_and_seconds(trees.fit, site[learns], depth[learns], soc[learns])
        values = np.zeros(material.observed.depth.shape)
        values[site, at] = trees.predict(site, depth)
        found[f"{kind} on carbon"] = Learnt(values, seconds=seconds)
    return found


def carbon_methods(material: Material, train: NDArray, plans: Plans, seed: int) -> dict[str, Learnt]:
    """What is taught carbon: hybrids, trees, and means of them, with the process model and without."""
    found = hybrids(material, train, plans, seed) | direct_trees(material, train, plans, seed)
    forest, boosted = (found[f"{kind} on carbon"] for kind in (FOREST, BOOSTED))
    found["mean of hybrid and forest"] = _mean_of(found["hybrid"], forest)
    found["mean of hybrid and both trees"] = _mean_of(found["hybrid"], forest, boosted)
    found["mean of forest and boosted trees"] = _mean_of(forest, boosted)
    return found


def _mean_of(*parts: Learnt) -> Learnt:
    return Learnt(np.mean([part.soc for part in parts], axis=0), seconds=sum(part.seconds for part in parts))


Method = Callable[[Material, NDArray, Plans, int], dict[str, Learnt]]
METHODS: tuple[Method, ...] = (two_step_methods, carbon_methods, networks_without_soil_model)
