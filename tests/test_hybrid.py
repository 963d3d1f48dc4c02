"""Networks trained through the soil model, and the two steps with modern networks, on a made world."""

import json
import shutil

import keras
import numpy as np
import pytest
from learnable import learnable, true_x

from proda.errors import InputError, MissingOutput
from proda.learning.encoding import Encoding
from proda.learning.ensemble import (
    TwoStepPlan,
    TwoStepTrainer,
    equal_targets,
    member_parameters,
    profile_targets,
    rows_of_batches,
)
from proda.learning.hybrid import HybridPlan, HybridTrainer, layer_loss, rate_of_epoch
from proda.learning.hybrid_training import HybridPredictor, hybrid_plan, loaded_hybrid, save_hybrid
from proda.learning.scores import correlations, scores
from proda.maps.fine_grid import MemberDraws, checked_draws
from proda.model.parameters import INNER, PAPER_PARAMETERS

TOLD = [PAPER_PARAMETERS.index(name) for name in ("ins", "tau4s3", "efolding")]
PLAN = HybridPlan(n_members=2, epochs=60, batch_size=64, learning_rate=6e-3, dropout=0.0, n_bins=2)


@pytest.fixture(scope="module")
def made():
    return learnable(320)


@pytest.fixture(scope="module")
def trained(made):
    """A trainer that has learnt the first 256 sites, and all sites encoded."""
    encoding = encoding_of(made)
    encoded = encoding.encoded(made.frame)
    trainer = HybridTrainer(encoding.shape, made.observed.soc.shape[1], PLAN)
    curve = trainer.trained(part(encoded, slice(0, 256)), made.observed.take(slice(0, 256)), seed=1)
    return trainer, encoded, curve


def encoding_of(made):
    return Encoding.of(made.frame.iloc[:256], made.class_names, n_bins=PLAN.n_bins)


def part(encoded, rows):
    return {name: values[rows] for name, values in encoded.items()}


def carbon_skill(made, soc, rows):
    present = made.observed.present[rows]
    return scores(made.observed.soc[rows][present], soc[present])


def test_the_hybrid_tells_carbon_of_sites_that_it_has_not_seen(made, trained):
    trainer, encoded, curve = trained
    assert curve["loss"].iloc[-1] < 0.2 * curve["loss"].iloc[0]
    held = slice(256, 320)
    soc = trainer.soc(part(encoded, held), made.observed.take(held)).mean(axis=1)
    found = carbon_skill(made, soc, held)
    assert found["efficiency"] > 0.8 and abs(found["bias"]) < 0.15 * made.observed.soc[held].mean()


def test_its_parameters_stay_inside_the_box(made, trained):
    trainer, encoded, _ = trained
    x = trainer.parameters(encoded)
    assert x.shape == (2, 320, 25)
    assert x.min() >= INNER - 1e-6 and x.max() <= 1.0 - INNER + 1e-6


def test_a_second_training_is_the_same_to_the_last_bit_whatever_came_between(made, trained):
    trainer, encoded, _ = trained
    first = trainer.parameters(encoded)
    few = slice(0, 64)
    trainer.trained(part(encoded, few), made.observed.take(few), seed=9)
    assert np.abs(trainer.parameters(encoded) - first).max() > 1e-3
    trainer.trained(part(encoded, slice(0, 256)), made.observed.take(slice(0, 256)), seed=1)
    assert (trainer.parameters(encoded) == first).all()


def test_a_strong_prior_term_brings_the_parameters_to_the_posteriors(made, trained):
    trainer, encoded, _ = trained
    rows = slice(0, 256)
    targets = profile_targets(made.x_mean, made.x_sd)[rows]
    trainer.trained(part(encoded, rows), made.observed.take(rows), 1, targets, prior_weight=3e4)
    held = trainer.parameters(part(encoded, slice(256, 320))).mean(axis=0)
    r = correlations(held, true_x(made.frame)[256:])
    assert (r[TOLD] > 0.9).all()


def test_only_layers_that_are_there_count_in_the_loss():
    loss = layer_loss(10.0)
    observed = np.array([[1.0, 5.0, -1.0]], np.float32)
    modelled = np.array([[[2.0, 5.0, 900.0], [1.0, 25.0, -900.0]]], np.float32)
    # Errors 1 and 0; 0 and 20: 0.5, and beyond delta 10 x (20 - 5); over two layers and two members.
    assert float(loss(observed, modelled)) == pytest.approx((0.5 + 150.0) / 4)


def test_the_learning_rate_rises_and_falls():
    rates = [rate_of_epoch(epoch, HybridPlan(epochs=40)) for epoch in range(40)]
    assert np.argmax(rates) in (3, 4) and rates[0] < rates[2] and rates[-1] < 0.05 * max(rates)


def test_without_teachers_the_plan_is_that_of_layers_alone(opened):
    taught = hybrid_plan(opened(settings={"hybrid_distillation_share": 0.5}), 15000)
    alone = hybrid_plan(opened(settings={"hybrid_distillation_share": 0.0}), 15000)
    assert taught.panel_share == 0.5 and taught.dropout == 0.0 and taught.n_bins == 16
    assert alone == taught.of_layers_alone() == alone.of_layers_alone() and alone.dropout > 0.0 and alone.n_bins == 0


def test_last_batches_are_filled_up_with_rows_that_are_there():
    rows = rows_of_batches(10, 4, seed=1)
    assert rows.size == 12 and (rows[:10] == np.arange(10)).all() and rows.max() < 10


def test_the_two_steps_learn_the_parameters_that_follow_from_covariates(made):
    encoding = Encoding.of(made.frame.iloc[:256], made.class_names)
    encoded = encoding.encoded(made.frame)
    plan = TwoStepPlan(n_members=2, epochs=80, batch_size=32, learning_rate=5e-3, dropout=0.0, patience=80)
    trainer = TwoStepTrainer(encoding.shape, plan)
    for targets in (equal_targets(made.x_mean), profile_targets(made.x_mean, made.x_sd)):
        curve = trainer.taught(part(encoded, slice(0, 256)), targets[:256], seed=1)
        x = member_parameters(trainer.networks, part(encoded, slice(256, 320))).mean(axis=0)
        assert (correlations(x, true_x(made.frame)[256:])[TOLD] > 0.85).all()
        assert curve["validation_loss"].min() < 0.5 * curve["validation_loss"].iloc[0]


def test_the_saved_ensemble_is_loaded_by_plain_keras_and_by_the_package(made, trained, tmp_path):
    trainer, encoded, _ = trained
    predictor = HybridPredictor(trainer.networks, encoding_of(made), {"study": "made"})
    save_hybrid(predictor, tmp_path)
    again = loaded_hybrid(tmp_path)
    assert again.notes == {"study": "made"} and again.n_members == 2
    np.testing.assert_array_equal(again(made.frame).x, predictor(made.frame).x)
    plain = keras.models.load_model(tmp_path / "hybrid.keras")
    np.testing.assert_allclose(
        np.swapaxes(plain.predict(encoded, verbose=0), 0, 1), trainer.parameters(encoded), atol=1e-6
    )


def test_its_members_are_the_draws_of_a_fine_map(made, trained):
    trainer, _, _ = trained
    predictor = HybridPredictor(trainer.networks, encoding_of(made))
    draws = MemberDraws(predictor)
    assert draws.covariates == tuple(made.frame.columns)
    frame = made.frame.head(7).copy()
    frame.loc[3, "warmth"] = 1e6
    found = checked_draws(draws(frame), 7)
    np.testing.assert_array_equal(found.x, predictor(frame).x.transpose(0, 2, 1))
    assert found.extrapolated.tolist() == predictor(frame).extrapolated.tolist() and found.extrapolated[3] == 1


def test_other_covariates_another_order_and_another_parameter_table_are_told(made, trained, tmp_path):
    trainer, _, _ = trained
    predictor = HybridPredictor(trainer.networks, encoding_of(made))
    with pytest.raises(InputError, match="another order"):
        predictor(made.frame[["cover", "warmth", "clay"]])
    with pytest.raises(InputError, match="missing: clay"):
        predictor(made.frame[["warmth", "cover"]])
    save_hybrid(predictor, tmp_path)
    told = json.loads((tmp_path / "hybrid.json").read_text())
    for change, message in (
        ({"parameters": told["parameters"][::-1]}, "in this order"),
        ({"encoding": {"covariates": ["a"]}}, "does not describe a network"),
    ):
        (tmp_path / "hybrid.json").write_text(json.dumps({**told, **change}))
        with pytest.raises(InputError, match=message):
            loaded_hybrid(tmp_path)
    shutil.rmtree(tmp_path)
    with pytest.raises(MissingOutput, match=r"hybrid.keras does not exist"):
        loaded_hybrid(tmp_path)


def test_a_place_that_no_training_site_resembles_is_marked(made, trained):
    trainer, _, _ = trained
    strange = made.frame.head(4).assign(warmth=[0.5, 7.0, 0.5, 0.5], cover=[1.0, 1.0, 77.0, 2.0])
    assert HybridPredictor(trainer.networks, encoding_of(made))(strange).extrapolated.tolist() == [0, 1, 1, 0]


def test_an_unknown_class_adds_nothing_whatever_the_start_values(made, trained):
    trainer, encoded, _ = trained
    few = {name: values[:3].copy() for name, values in encoded.items()}
    few["classes"][:] = 0
    before = member_parameters(trainer.networks, few)
    rows = [weight for weight in trainer.networks.weights if "class_" in weight.path]
    assert rows
    kept = [np.asarray(weight) for weight in rows]
    for weight in rows:
        weight.assign(np.where(np.arange(weight.shape[0])[:, None] == 0, 7.0, np.asarray(weight)))
    assert (member_parameters(trainer.networks, few) == before).all()
    for weight, values in zip(rows, kept, strict=True):
        weight.assign(values)


def test_a_loss_that_is_lost_is_told(made, trained):
    trainer, encoded, _ = trained
    spoilt = made.observed.take(slice(0, 64))
    spoilt = spoilt._replace(forcing=np.full_like(spoilt.forcing, np.nan))
    with pytest.raises(InputError, match="not a finite number from epoch 1"):
        trainer.trained(part(encoded, slice(0, 64)), spoilt, seed=1)
