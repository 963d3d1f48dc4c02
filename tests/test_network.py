"""The paper's network: its shape, its training, and the predictor that is saved and loaded."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from proda.errors import InputError, MissingOutput
from proda.learning.encoding import MinMaxScaling
from proda.learning.paper_network import Predictor, fit, loaded_network, paper_network, save_network
from proda.model.parameters import INNER, PAPER_PARAMETERS, SHARES

SMALL = (32, 32)


def problem(n: int, rng: np.random.Generator, noise: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Covariates (n, 6) and parameters (n, 25) of which the first twelve follow from them and the others are noise."""
    covariates = rng.random((n, 6)).astype(np.float32)
    signal = np.stack([0.5 + 0.4 * np.sin(5 * covariates[:, i % 6]) for i in range(12)])
    x = np.concatenate([signal.T, np.full((n, 13), 0.5)], axis=1) + noise * rng.standard_normal((n, 25))
    return covariates, np.clip(x, 0, 1)


@pytest.fixture
def predictor(rng: np.random.Generator) -> Predictor:
    names = [f"covariate_{i}" for i in range(6)]
    scaling = MinMaxScaling.of(pd.DataFrame(rng.uniform(-5, 20, (50, 6)), columns=names))
    return Predictor(
        paper_network(6, seed=3, hidden=SMALL), scaling, scaling, PAPER_PARAMETERS.names, {"study": "x-tiny"}
    )


@pytest.fixture
def places(rng: np.random.Generator, predictor: Predictor) -> pd.DataFrame:
    return pd.DataFrame(rng.uniform(-5, 20, (40, 6)), columns=list(predictor.covariates))


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


def test_the_learning_rate_of_keras_itself_learns_nothing(rng):
    covariates, x = problem(400, rng)
    parts = (covariates[:300], x[:300]), (covariates[300:], x[300:])
    losses = [
        fit(paper_network(6, seed=1, hidden=SMALL, learning_rate=rate), *parts, epochs=10, progress=False)
        for rate in (0.001, 1.0)
    ]
    untrained, trained = (loss["validation_loss"].iloc[-1] for loss in losses)
    assert untrained > 5 * trained


def test_two_trainings_with_one_seed_give_identical_weights_and_another_seed_does_not(rng):
    covariates, x = problem(300, rng)
    weights = []
    for seed in (5, 5, 6):
        network = paper_network(6, seed=seed, hidden=(256, 256))
        fit(network, (covariates[:200], x[:200]), (covariates[200:], x[200:]), epochs=3, progress=False)
        weights.append(np.concatenate([w.ravel() for w in network.get_weights()]))
    np.testing.assert_array_equal(weights[0], weights[1])
    assert (weights[0] != weights[2]).any()


@pytest.mark.parametrize("kept", ["best", "last"])
def test_the_kept_weights_are_those_of_the_row_marked_in_the_curve(rng, kept):
    # Noise to learn by heart: the validation loss must have a least value before the last epoch.
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


def test_an_unknown_rule_for_the_kept_weights_is_refused(rng):
    covariates, x = problem(20, rng)
    with pytest.raises(InputError, match="kept_weights is 'first', expected one of: best, last"):
        fit(paper_network(6, seed=1, hidden=SMALL), (covariates, x), (covariates, x), epochs=1, kept_weights="first")


def test_the_progress_bar_is_plain_text_with_rate_and_both_losses(rng, capsys):
    covariates, x = problem(60, rng)
    fit(paper_network(6, seed=1, hidden=SMALL), (covariates, x), (covariates, x), epochs=3)
    text = capsys.readouterr().err
    assert "3/3" in text and "epoch/s" in text and "validation=" in text
    assert text.count("\r") < 5


def test_predictions_lie_in_the_cube_and_leave_a_share_to_coarse_woody_debris(predictor, places):
    predictor.network.layers[-1].bias.assign(np.full(25, 1.5))
    prediction = predictor(places)
    assert prediction.x.shape == (40, 25)
    assert prediction.x.min() >= 0.0 and prediction.x.max() <= 1.0
    assert prediction.clipped.any() and prediction.cwd_rescaled.any()


@pytest.mark.parametrize("bias", [-3.0, 3.0])
def test_predictions_keep_off_the_faces_where_carbon_is_undefined(predictor, places, bias):
    predictor.network.layers[-1].bias.assign(np.full(25, bias))
    prediction = predictor(places)
    others = np.setdiff1d(np.arange(25), SHARES)
    assert prediction.clipped.all() and set(np.unique(prediction.x[:, others])) <= {INNER, 1.0 - INNER}
    assert prediction.x.min() > 0.0


def test_a_saved_network_predicts_the_same_when_loaded(predictor, places, tmp_path: Path):
    save_network(predictor, tmp_path)
    loaded = loaded_network(tmp_path)
    for before, after in zip(predictor(places), loaded(places), strict=True):
        np.testing.assert_array_equal(before, after)
    assert loaded.notes == {"study": "x-tiny"} and loaded.parameters == PAPER_PARAMETERS.names


def test_a_network_of_the_same_parameters_in_another_order_is_refused(predictor, tmp_path: Path):
    save_network(predictor, tmp_path)
    path = tmp_path / "network.json"
    described = json.loads(path.read_text())
    described["parameters"][:2] = described["parameters"][1::-1]
    path.write_text(json.dumps(described))
    with pytest.raises(InputError, match="network.json: parameters are .*in this order. Train it again"):
        loaded_network(tmp_path)


def test_the_ranges_of_the_parameters_travel_with_the_network_and_others_are_refused(predictor, tmp_path: Path):
    save_network(predictor, tmp_path)
    path = tmp_path / "network.json"
    described = json.loads(path.read_text())
    table = {row["name"]: row for row in described["parameter_table"]}
    assert tuple(table) == PAPER_PARAMETERS.names
    assert table["tau4s3"] == {"name": "tau4s3", "unit": "yr", "minimum": 200.0, "maximum": 2000.0}
    assert "NPPmin/NPPmean" in table["ins"]["minimum"]
    table["tau4s3"]["maximum"] = 1000.0
    path.write_text(json.dumps(described))
    with pytest.raises(InputError, match="range of tau4s3 is 200.0 to 1000.0 yr, expected 200.0 to 2000.0 yr"):
        loaded_network(tmp_path)


def test_a_loaded_network_refuses_other_covariates_and_another_order(predictor, places, tmp_path: Path):
    save_network(predictor, tmp_path)
    loaded = loaded_network(tmp_path)
    with pytest.raises(InputError, match=r"my\.csv.*missing: covariate_5; unknown: none"):
        loaded(places.drop(columns="covariate_5"), "my.csv")
    with pytest.raises(InputError, match="covariate 1 is 'covariate_5', expected 'covariate_0'"):
        loaded(places[places.columns[::-1]])


def test_a_folder_without_a_network_says_which_stage_makes_it(tmp_path: Path):
    with pytest.raises(MissingOutput, match=r"network\.keras does not exist: run the stage 05-network-training"):
        loaded_network(tmp_path)


def test_a_damaged_or_foreign_description_is_refused(predictor, tmp_path: Path):
    save_network(predictor, tmp_path)
    path = tmp_path / "network.json"
    description = json.loads(path.read_text())
    for key in ("covariates", "scaling"):
        path.write_text(json.dumps({k: v for k, v in description.items() if k != key}))
        with pytest.raises(InputError, match=f"network.json does not describe a network.*{key}"):
            loaded_network(tmp_path)
    ranges = {"minimum": [0.0] * 5, "maximum": [1.0] * 5}
    path.write_text(
        json.dumps(description | {"covariates": list("abcde"), "scaling": ranges, "training_range": ranges})
    )
    with pytest.raises(InputError, match="takes 6 covariates .* names 5 and 25"):
        loaded_network(tmp_path)


def test_a_file_that_is_not_a_network_is_refused(predictor, tmp_path: Path):
    save_network(predictor, tmp_path)
    (tmp_path / "network.keras").write_bytes(b"not a network")
    with pytest.raises(InputError, match=r"network\.keras is not a network"):
        loaded_network(tmp_path)
