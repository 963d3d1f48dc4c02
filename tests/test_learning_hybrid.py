"""The soil model as a layer, and networks trained through it, on sites with a known truth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from columns import temperate
from learnable import learnable, true_x
from sklearn.dummy import DummyRegressor

from proda.errors import InputError
from proda.kernels import steady_state as kernels
from proda.learning.encoding import Encoding
from proda.learning.hybrid import (
    ABSENT,
    GREATEST,
    LEAST,
    HybridPlan,
    HybridTrainer,
    SoilCarbon,
    carbon_at_layers,
    layer_loss,
    node_carbon,
    node_carbon_at_layers,
    physical_on_jax,
    precision_targets,
    soc_on_jax,
    trained_hybrid,
)
from proda.learning.paper_network import Predictor, copied, network_output
from proda.learning.scores import correlations, scores
from proda.learning.training_data import at_layers, packed_forcing, unpacked_forcing
from proda.learning.trees import Trees, stacked_trees
from proda.maps.fine_grid import NetworkDraws
from proda.model.configuration import CONFIGURATIONS, PAPER
from proda.model.observation import layer_means
from proda.model.parameters import INNER, PAPER_PARAMETERS, SHARES, cwd_share, physical

CONSTRAINED = [PAPER_PARAMETERS.index(name) for name in ("ins", "tau4s3", "efolding")]
PLAN = HybridPlan(n_members=2, epochs=40, batch_size=16)
NO_TARGETS = np.zeros((320, 25, 2), np.float32)
TRAIN, HELD = slice(0, 256), slice(256, 320)


@pytest.fixture(scope="module")
def made():
    return learnable(320)


@pytest.fixture(scope="module")
def encoding(made):
    return Encoding.of(made.frame.iloc[TRAIN], made.class_names)


@pytest.fixture(scope="module")
def trained(made, encoding):
    """A trainer whose networks were trained on the first 256 sites, all sites encoded, and the curve."""
    encoded = encoding.encoded(made.frame)
    trainer = HybridTrainer(encoding.shape, made.observed.soc.shape[1], PLAN, PAPER)
    return trainer, encoded, trainer.train(part(encoded, TRAIN), made.observed.take(TRAIN), 1, NO_TARGETS[TRAIN], 0.0)


def part(encoded, rows):
    return {name: values[rows] for name, values in encoded.items()}


def test_the_hybrid_predicts_carbon_at_sites_that_it_has_not_seen(made, trained):
    trainer, encoded, curve = trained
    assert curve["loss"].iloc[-1] < 0.2 * curve["loss"].iloc[0]
    x, held = network_output(trainer.networks, part(encoded, HELD)), made.observed.take(HELD)
    assert x.shape == (2, 64, 25) and x.min() >= INNER - 1e-6 and x.max() <= 1.0 - INNER + 1e-6
    soc = np.mean([carbon_at_layers(member, held) for member in x], axis=0)
    found = scores(held.soc[held.present], soc[held.present])
    assert found["efficiency"] > 0.8 and abs(found["bias"]) < 0.15 * held.soc.mean()


def test_a_second_training_is_the_same_to_the_last_bit_whatever_came_between(made, trained):
    trainer, encoded, _ = trained
    first = network_output(trainer.networks, encoded)
    few = slice(0, 64)
    trainer.train(part(encoded, few), made.observed.take(few), 9, NO_TARGETS[few], 0.0)
    assert np.abs(network_output(trainer.networks, encoded) - first).max() > 1e-3
    trainer.train(part(encoded, TRAIN), made.observed.take(TRAIN), 1, NO_TARGETS[TRAIN], 0.0)
    assert (network_output(trainer.networks, encoded) == first).all()


def test_posterior_means_alone_bring_the_parameters_to_the_truth(made, trained):
    trainer, encoded, _ = trained
    sites = made.observed.take(TRAIN)
    sites = sites._replace(present=np.zeros_like(sites.present), soc=np.full_like(sites.soc, 900.0))
    targets = precision_targets(made.x_mean, made.x_sd)[TRAIN]
    trainer.train(part(encoded, TRAIN), sites, 1, targets, PLAN.prior_weight)
    held = network_output(trainer.networks, part(encoded, HELD)).mean(axis=0)
    assert (correlations(held, true_x(made.frame)[HELD])[CONSTRAINED] > 0.9).all()


def test_a_copied_network_stays_when_another_is_trained_with_the_same_compiled_step(made):
    few, plan = np.arange(64), PLAN._replace(epochs=2)
    hybrid = trained_hybrid(made, few, plan, seed=1)
    kept, encoded = copied(hybrid.trainer.networks), hybrid.encoding.encoded(made.frame)
    before = network_output(kept, encoded)
    assert trained_hybrid(made, few, plan, seed=2).trainer is hybrid.trainer
    np.testing.assert_array_equal(network_output(kept, encoded), before)
    assert (network_output(hybrid.trainer.networks, encoded) != before).any()


@pytest.fixture(scope="module")
def stacked(made):
    return stacked_trees(made, np.arange(64), 1)


def test_a_layer_is_fitted_to_a_mixture_of_its_own_carbon_and_that_of_the_trees(made, stacked):
    few, plan = np.arange(64), PLAN._replace(epochs=60, prior_weight=0.0)
    greater, fitted = stacked._replace(of_layers=3.0 * made.observed.soc[few]), []
    for share in (0.0, 0.5, 1.0):
        trained = trained_hybrid(made, few, plan._replace(distillation_share=share), 1, greater)
        sites = made.observed.take(few)
        soc = trained.soc(trained.x(made.frame.iloc[few], sites.columns), sites).mean(axis=0)
        fitted.append(soc.sum() / sites.soc.sum())
    np.testing.assert_allclose(fitted, [1.0, 2.0, 3.0], rtol=0.1)


def test_the_carbon_of_the_trees_and_the_forcing_are_inputs_of_the_networks(made, stacked):
    few, forcing = np.arange(64), made.observed.take(slice(0, 64)).columns
    trained, places = trained_hybrid(made, few, PLAN, 1, stacked), made.frame.iloc[few]
    other = trained._replace(carbon=trained.carbon._replace(trees=Trees(DummyRegressor().fit([[0.0]], [0.0]))))
    assert np.abs(other.x(places, forcing) - trained.x(places, forcing)).max() > 0.05
    npp = forcing._fields[3:]
    x = [trained.x(places, forcing._replace(**{n: k * getattr(forcing, n) for n in npp})) for k in (1.0, 3.0, 1e3, 1e5)]
    assert np.abs(x[1] - x[0]).max() > 0.05
    assert (x[2] == x[3]).all(), "beyond the range of the training sites nothing is extrapolated"


def test_members_are_the_draws_of_a_fine_map(made, encoding, trained):
    predictor = Predictor(trained[0].networks, encoding)
    draws = NetworkDraws(predictor)
    frame = made.frame.head(7).copy()
    frame.loc[3, "warmth"] = 1e6
    found = draws(frame, None)
    assert draws.covariates == tuple(made.frame.columns)
    np.testing.assert_array_equal(found.x, predictor(frame).x.transpose(0, 2, 1))
    assert found.extrapolated.tolist() == predictor(frame).extrapolated.tolist() and found.extrapolated[3] == 1


def test_an_unknown_class_adds_nothing_whatever_the_start_values(trained):
    trainer, encoded, _ = trained
    few = {name: values[:3].copy() for name, values in encoded.items()}
    few["classes"][:] = 0
    before = network_output(trainer.networks, few)
    for weight in [weight for weight in trainer.networks.weights if "class_" in weight.path]:
        weight.assign(np.where(np.arange(weight.shape[0])[:, None] == 0, 7.0, np.asarray(weight)))
    assert (network_output(trainer.networks, few) == before).all()


def test_a_loss_that_is_no_number_is_reported(made, trained):
    trainer, encoded, _ = trained
    spoilt = made.observed.take(slice(0, 64))
    spoilt = spoilt._replace(forcing=np.full_like(spoilt.forcing, np.nan))
    with pytest.raises(InputError, match="not a finite number from epoch 1"):
        trainer.train(part(encoded, slice(0, 64)), spoilt, 1, NO_TARGETS[:64], 0.0)


def test_only_layers_that_are_there_count_in_the_loss():
    observed = np.array([[1.0, 5.0, -1.0]], np.float32)
    modelled = np.array([[[2.0, 5.0, 900.0], [1.0, 125.0, -900.0]]], np.float32)
    # Errors 1 and 0; 0 and 120: 0.5, and beyond delta 60 x (120 - 30); over two layers and two members.
    assert float(layer_loss(observed, modelled)) == pytest.approx((0.5 + 5400.0) / 4)


def as_inputs(x, sites):
    return [jnp.asarray(x, jnp.float32), sites.forcing, sites.operator]


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_layer_gives_the_models_carbon_at_every_depth_for_every_member(name):
    configuration, made = CONFIGURATIONS[name], learnable(60, configuration=CONFIGURATIONS[name])
    table, forcing = configuration.parameters, made.observed.columns
    x = np.random.default_rng(1).uniform(0.05, 0.95, (60, 3, len(table)))
    x[..., list(SHARES) if table.has_shares else []] *= 0.6
    with jax.enable_x64(True):
        found = np.asarray(jax.jit(SoilCarbon(soc_on_jax, configuration))(as_inputs(x, made.observed)))
    assert found.dtype == np.float32
    site, at = np.nonzero(made.observed.present)
    for member in range(3):
        soc = kernels.soc_density(physical(x[:, member].T, forcing, table), forcing, configuration)
        bounds = made.observed.upper[site, at], made.observed.lower[site, at]
        expected = layer_means(soc, site, *bounds, configuration.column) / 1000.0
        np.testing.assert_allclose(found[site, member, at], expected, rtol=2e-6)
        np.testing.assert_allclose(carbon_at_layers(x[:, member], made.observed)[site, at], expected, rtol=1e-6)


def test_its_derivatives_are_those_of_the_model_in_double_precision():
    made = learnable(12)
    x = np.random.default_rng(2).uniform(0.1, 0.6, (12, 25))
    with jax.enable_x64(True):
        forcing = jnp.asarray(made.observed.forcing.T)
        direction = np.random.default_rng(3).standard_normal((25, 12))
        carbon = jax.jit(lambda y: soc_on_jax(y, forcing, PAPER))
        exact = np.asarray(jax.jvp(carbon, (x.T,), (direction,))[1])
        step = 1e-6
        ahead, behind = (np.asarray(carbon(x.T + sign * step * direction)) for sign in (1, -1))
    np.testing.assert_allclose(exact, (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-6)


def test_carbon_and_gradient_are_finite_at_the_corners_of_the_box():
    n = 256
    made = learnable(n)
    x = np.random.default_rng(4).choice([INNER, 1.0 - INNER], (n, 1, 25)).astype(np.float32)
    layer = SoilCarbon(soc_on_jax, PAPER)
    observed = np.where(made.observed.present, made.observed.soc, ABSENT)
    with jax.enable_x64(True):
        _, *rest = as_inputs(x, made.observed)

        def loss_and_carbon(y):
            soc = layer([y, *rest])
            return layer_loss(observed, soc), soc

        gradient, soc = jax.jit(jax.grad(loss_and_carbon, has_aux=True))(x)
    assert np.isfinite(soc).all() and (np.asarray(soc) >= 0).all()
    assert np.isfinite(gradient).all() and (np.abs(gradient).max(axis=(1, 2)) > 0).mean() > 0.9


def test_parameters_on_jax_leave_a_share_to_woody_debris():
    x = np.full((25, 5), 0.99, np.float32)
    forcing = unpacked_forcing(jnp.asarray(packed_forcing(temperate(5)).T), PAPER)
    theta = np.asarray(physical_on_jax(x, forcing, PAPER_PARAMETERS))
    assert (cwd_share(theta) > 0).all()


def test_the_first_outputs_of_the_control_are_the_logarithm_of_carbon_at_the_nodes():
    made = learnable(40)
    x = np.random.default_rng(1).random((40, 2, 25))
    found = np.asarray(SoilCarbon(node_carbon, PAPER)(as_inputs(x, made.observed)))
    for member in range(2):
        at_nodes = LEAST * (GREATEST / LEAST) ** x[:, member, :10].T
        expected = at_layers(1000.0 * at_nodes, made.observed)
        np.testing.assert_allclose(found[:, member][made.observed.present], expected[made.observed.present], rtol=1e-4)
        np.testing.assert_allclose(node_carbon_at_layers(x[:, member], made.observed), expected, rtol=1e-9)
