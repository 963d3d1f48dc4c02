"""Networks trained through the soil model, on sites with a known truth."""

import numpy as np
import pytest
from learnable import learnable, true_x

from proda.errors import InputError
from proda.learning.encoding import Encoding
from proda.learning.hybrid import (
    BETWEEN_SITES,
    HybridPlan,
    HybridTrainer,
    equal_targets,
    layer_loss,
    precision_targets,
    rate_of_epoch,
)
from proda.learning.predictor import Predictor, network_output
from proda.learning.scores import correlations, scores
from proda.learning.soil_layer import carbon_at_layers
from proda.maps.fine_grid import NetworkDraws, checked_draws
from proda.model.parameters import INNER, PAPER_PARAMETERS, prior_sd

CONSTRAINED = [PAPER_PARAMETERS.index(name) for name in ("ins", "tau4s3", "efolding")]
PLAN = HybridPlan(n_members=2, epochs=40, batch_size=16, n_bins=3)
TRAIN, HELD = slice(0, 256), slice(256, 320)


@pytest.fixture(scope="module")
def made():
    return learnable(320)


@pytest.fixture(scope="module")
def encoding(made):
    return Encoding.of(made.frame.iloc[TRAIN], made.class_names, n_bins=PLAN.n_bins)


@pytest.fixture(scope="module")
def trained(made, encoding):
    """A trainer whose networks were trained on the first 256 sites, all sites encoded, and the curve."""
    encoded = encoding.encoded(made.frame)
    trainer = HybridTrainer(encoding.shape, made.observed.soc.shape[1], PLAN)
    return trainer, encoded, trainer.train(part(encoded, TRAIN), made.observed.take(TRAIN), seed=1)


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
    trainer.train(part(encoded, few), made.observed.take(few), seed=9)
    assert np.abs(network_output(trainer.networks, encoded) - first).max() > 1e-3
    trainer.train(part(encoded, TRAIN), made.observed.take(TRAIN), seed=1)
    assert (network_output(trainer.networks, encoded) == first).all()


def test_posterior_means_alone_bring_the_parameters_to_the_truth(made, trained):
    trainer, encoded, _ = trained
    sites = made.observed.take(TRAIN)
    sites = sites._replace(present=np.zeros_like(sites.present), soc=np.full_like(sites.soc, 900.0))
    targets = precision_targets(made.x_mean, made.x_sd)[TRAIN]
    trainer.train(part(encoded, TRAIN), sites, 1, targets)
    held = network_output(trainer.networks, part(encoded, HELD)).mean(axis=0)
    assert (correlations(held, true_x(made.frame)[HELD])[CONSTRAINED] > 0.9).all()


def test_members_are_the_draws_of_a_fine_map(made, encoding, trained):
    predictor = Predictor(trained[0].networks, encoding)
    draws = NetworkDraws(predictor)
    frame = made.frame.head(7).copy()
    frame.loc[3, "warmth"] = 1e6
    found = checked_draws(draws(frame), 7)
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
        trainer.train(part(encoded, slice(0, 64)), spoilt, seed=1)


def test_only_layers_that_are_there_count_in_the_loss():
    loss = layer_loss(10.0)
    observed = np.array([[1.0, 5.0, -1.0]], np.float32)
    modelled = np.array([[[2.0, 5.0, 900.0], [1.0, 25.0, -900.0]]], np.float32)
    # Errors 1 and 0; 0 and 20: 0.5, and beyond delta 10 x (20 - 5); over two layers and two members.
    assert float(loss(observed, modelled)) == pytest.approx((0.5 + 150.0) / 4)


def test_the_learning_rate_rises_and_falls():
    rates = [rate_of_epoch(epoch, HybridPlan(epochs=40)) for epoch in range(40)]
    assert np.argmax(rates) in (3, 4) and rates[0] < rates[2] and rates[-1] < 0.05 * max(rates)


def test_targets_are_the_means_and_the_surer_weigh_more():
    rng = np.random.default_rng(2)
    mean, sd = rng.random((50, 25)), rng.uniform(0.02, 0.3, (50, 25))
    targets = precision_targets(mean, sd)
    np.testing.assert_allclose(targets[..., 0], mean, rtol=1e-6)
    expected = 1.0 / (sd**2 + BETWEEN_SITES * prior_sd() ** 2)
    np.testing.assert_allclose(targets[..., 1], expected / expected.mean(), rtol=1e-5)
    assert (equal_targets(mean)[..., 1] == 1).all()
