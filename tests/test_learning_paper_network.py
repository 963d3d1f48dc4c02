"""The paper's network: its shape, its training, and one compiled network for many trainings."""

import keras
import numpy as np
import pytest

from proda.errors import InputError
from proda.learning.paper_network import fit, paper_network, restart

SMALL = (32, 32)


def problem(n: int, rng: np.random.Generator, noise: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Covariates (n, 6) and parameters (n, 25) of which the first twelve follow from them and the others are noise."""
    covariates = rng.random((n, 6)).astype(np.float32)
    signal = np.stack([0.5 + 0.4 * np.sin(5 * covariates[:, i % 6]) for i in range(12)])
    x = np.concatenate([signal.T, np.full((n, 13), 0.5)], axis=1) + noise * rng.standard_normal((n, 25))
    return covariates, np.clip(x, 0, 1)


def test_the_layers_are_the_papers():
    network = paper_network(60, seed=1)
    dense = [layer for layer in network.layers if type(layer).__name__ == "Dense"]
    dropout = [layer for layer in network.layers if type(layer).__name__ == "Dropout"]
    assert [layer.units for layer in dense] == [256, 512, 512, 256, 25]
    assert [layer.activation.__name__ for layer in dense] == ["relu"] * 4 + ["linear"]
    assert [layer.rate for layer in dropout] == [0.2] * 4
    assert network.input_shape == (None, 60)
    assert network.loss == "mse" and type(network.optimizer).__name__ == "Adadelta"
    assert float(network.optimizer.learning_rate) == 1.0


def test_the_network_learns_parameters_that_follow_from_the_covariates_at_places_it_has_not_seen(rng):
    covariates, x = problem(1400, rng)
    network = paper_network(6, seed=1)
    training, validation = (covariates[:1000], x[:1000]), (covariates[1000:1200], x[1000:1200])
    curve = fit(network, training, validation, epochs=50, progress=False)
    predicted = network.predict(covariates[1200:], verbose=0)
    r = [np.corrcoef(predicted[:, i], x[1200:, i])[0, 1] for i in range(12)]
    assert min(r) > 0.85
    assert curve["validation_loss"].min() < 0.2 * x[:, :12].var(axis=0).mean()


def test_two_trainings_with_one_seed_give_identical_weights_and_another_seed_does_not(rng):
    covariates, x = problem(300, rng)
    weights, parts = [], ((covariates[:192], x[:192]), (covariates[192:256], x[192:256]))
    network = paper_network(6, seed=5, hidden=(64, 64))
    fit(network, *parts, epochs=1, progress=False)
    for seed in (5, 5, 6):
        # One compiled network serves them all.
        restart(network, paper_network(6, seed=seed, hidden=(64, 64)), network.optimizer)
        keras.utils.set_random_seed(seed)
        fit(network, *parts, epochs=3, progress=False)
        weights.append(np.concatenate([w.ravel() for w in network.get_weights()]))
    np.testing.assert_array_equal(weights[0], weights[1])
    assert (weights[0] != weights[2]).any()


@pytest.mark.parametrize("kept", ["best", "last"])
def test_the_kept_weights_are_those_of_the_row_marked_in_the_curve(rng, kept):
    # Noise to overfit: the validation loss must have a least value before the last epoch.
    covariates, x = problem(80, rng, noise=0.3)
    network = paper_network(6, seed=2, hidden=(128, 128), dropout=0.0)
    validation = covariates[40:], x[40:]
    curve = fit(
        network, (covariates[:40], x[:40]), validation, epochs=60, batch_size=4, kept_weights=kept, progress=False
    )
    row = curve[curve["kept"]]
    assert len(row) == 1 and (row["epoch"].item() == 60) == (kept == "last")
    loss = np.mean((network.predict(validation[0], verbose=0) - validation[1]) ** 2)
    np.testing.assert_allclose(loss, row["validation_loss"].item(), rtol=1e-5)


def test_a_target_outside_the_cube_is_refused_before_training(rng):
    covariates, x = problem(60, rng)
    for wrong in (np.nan, 1.2):
        targets = x.copy()
        targets[7, 3] = wrong
        with pytest.raises(InputError, match="training target 3 of row 7"):
            fit(
                paper_network(6, seed=1, hidden=SMALL), (covariates, targets), (covariates, x), epochs=1, progress=False
            )


def test_the_progress_bar_is_plain_text_with_rate_and_both_losses(rng, capsys):
    covariates, x = problem(60, rng)
    fit(paper_network(6, seed=1, hidden=SMALL), (covariates, x), (covariates, x), epochs=3)
    text = capsys.readouterr().err
    assert "3/3" in text and "epoch/s" in text and "validation=" in text
    assert text.count("\r") < 5
