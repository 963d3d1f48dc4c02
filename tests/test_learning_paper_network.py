"""The paper's network and its training; networks saved and used with their covariates, and what is refused."""

import json
from pathlib import Path

import joblib
import keras
import numpy as np
import pandas as pd
import pytest
from columns import temperate
from sklearn.ensemble import HistGradientBoostingRegressor

from proda.errors import InputError, MissingOutput
from proda.learning.cross_validation import CODED_DROPOUT
from proda.learning.encoding import Encoding
from proda.learning.hybrid import parameter_networks
from proda.learning.paper_network import (
    HIDDEN,
    HYBRID,
    NETWORK,
    Predictor,
    joint_loss,
    loaded_hybrid,
    loaded_network,
    paper_network,
    save_predictor,
    trained_network,
)
from proda.learning.trees import N_CARBON, CarbonInputs, Trees
from proda.model.parameters import INNER, PAPER_PARAMETERS, SHARES, cwd_share

SMALL = (32, 32)


def problem(n: int, rng: np.random.Generator, noise: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Covariates (n, 6) and parameters (n, 25) of which the first twelve follow from them and the others are noise."""
    covariates = rng.random((n, 6)).astype(np.float32)
    signal = np.stack([0.5 + 0.4 * np.sin(5 * covariates[:, i % 6]) for i in range(12)])
    x = np.concatenate([signal.T, np.full((n, 13), 0.5)], axis=1) + noise * rng.standard_normal((n, 25))
    return covariates, np.clip(x, 0, 1)


def test_the_layers_are_the_papers():
    network = paper_network(60, 25, HIDDEN, 0.2, seed=1)
    dense = [layer for layer in network.layers if type(layer).__name__ == "Dense"]
    dropout = [layer for layer in network.layers if type(layer).__name__ == "Dropout"]
    assert [layer.units for layer in dense] == [256, 512, 512, 256, 25]
    assert [layer.activation.__name__ for layer in dense] == ["relu"] * 4 + ["linear"]
    assert [layer.rate for layer in dropout] == [0.2] * 4
    by_layer = [
        layer.rate for layer in paper_network(60, 25, HIDDEN, CODED_DROPOUT, seed=1).layers if "dropout" in layer.name
    ]
    assert by_layer == [0.3, 0.5, 0.5, 0.3]


def test_the_joint_loss_is_that_of_the_groups_program():
    x, predicted = np.array([[0.5, 0.25]]), np.array([[0.4, 0.5]])
    squared, relative = (0.1**2 + 0.25**2) / 2, (0.1 / 0.5 + 0.25 / 0.25) / 2
    np.testing.assert_allclose(joint_loss(x, predicted), [500 * squared + 5 * relative])


def test_the_network_learns_parameters_that_follow_from_the_covariates_at_places_it_has_not_seen(rng):
    covariates, x = problem(1400, rng)
    training, validation = (covariates[:1000], x[:1000]), (covariates[1000:1200], x[1000:1200])
    network, curve = trained_network(training, validation, 1, epochs=50)
    predicted = network.predict(covariates[1200:], verbose=0)
    r = [np.corrcoef(predicted[:, i], x[1200:, i])[0, 1] for i in range(12)]
    assert min(r) > 0.85
    assert curve["validation_loss"].min() < 0.2 * x[:, :12].var(axis=0).mean()
    assert network.loss == "mse" and type(network.optimizer).__name__ == "Adadelta"


def test_two_trainings_with_one_seed_give_identical_weights_and_another_seed_does_not(rng):
    covariates, x = problem(300, rng)
    weights, parts = [], ((covariates[:200], x[:200]), (covariates[200:256], x[200:256]))
    for seed in (5, 5, 6):
        network, _ = trained_network(*parts, seed, epochs=3, hidden=SMALL)
        weights.append(np.concatenate([w.ravel() for w in network.get_weights()]))
    np.testing.assert_array_equal(weights[0], weights[1])
    assert (weights[0] != weights[2]).any()


def test_the_start_of_a_network_does_not_depend_on_the_generator_of_the_process_which_other_threads_use(monkeypatch):
    def used(*given):
        raise AssertionError("the generator of the process was used")

    monkeypatch.setattr("random.randint", used)
    paper_network(4, 25, (8, 8), 0.2, seed=1)
    encoding = Encoding.of(pd.DataFrame({"warm": [0.0, 1.0], "cover": [1.0, 2.0]}), ["cover"])
    parameter_networks(encoding.shape, 2, seed=1, n_parameters=25)


@pytest.mark.parametrize("kept", ["best", "last"])
def test_the_kept_weights_are_those_of_the_row_marked_in_the_curve(rng, kept):
    # Noise to overfit: the validation loss must have a least value before the last epoch.
    covariates, x = problem(80, rng, noise=0.3)
    validation, shape = (covariates[40:], x[40:]), {"batch_size": 4, "hidden": (128, 128), "dropout": 0.0}
    network, curve = trained_network((covariates[:40], x[:40]), validation, 2, epochs=60, kept_weights=kept, **shape)
    row = curve[curve["kept"]]
    assert len(row) == 1 and (row["epoch"].item() == 60) == (kept == "last")
    loss = np.mean((network.predict(validation[0], verbose=0) - validation[1]) ** 2)
    np.testing.assert_allclose(loss, row["validation_loss"].item(), rtol=1e-5)


NAMES = [f"covariate_{i}" for i in range(6)]


@pytest.fixture
def places(rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(rng.uniform(-5, 20, (40, 6)), columns=NAMES)


@pytest.fixture
def predictor(rng: np.random.Generator) -> Predictor:
    encoding = Encoding.of(pd.DataFrame(rng.uniform(-5, 20, (50, 6)), columns=NAMES))
    return Predictor(paper_network(6, 25, (32, 32), 0.2, 3), encoding, {"study": "x-tiny"})


@pytest.fixture(scope="module")
def ensemble() -> Predictor:
    frame = pd.DataFrame({"warmth": [0.0, 1.0, 2.0], "cover": [1.0, 2.0, 4.0]})
    encoding = Encoding.of(frame, ["cover"])
    shape = encoding.shape._replace(n_numbers=encoding.shape.n_numbers + N_CARBON)
    trees = Trees(HistGradientBoostingRegressor(min_samples_leaf=1).fit(frame.assign(depth=0.2).to_numpy(), [9, 5, 7]))
    carbon = CarbonInputs(trees, np.array([[-9.0], [9.0]]).repeat(N_CARBON, axis=1))
    return Predictor(parameter_networks(shape, 2, 1, 25), encoding, carbon=carbon)


@pytest.mark.parametrize("bias", [-3.0, 3.0])
def test_predictions_lie_inside_the_box_and_leave_a_share_to_coarse_woody_debris(predictor, places, bias):
    predictor.network.layers[-1].bias.assign(np.full(25, bias))
    prediction = predictor(places)
    others = np.setdiff1d(np.arange(25), SHARES)
    assert prediction.clipped.all() and set(np.unique(prediction.x[:, others])) <= {INNER, 1.0 - INNER}
    assert prediction.cwd_rescaled.all() == (bias > 0.0)
    theta = PAPER_PARAMETERS.minimum + prediction.x * (PAPER_PARAMETERS.maximum - PAPER_PARAMETERS.minimum)
    assert cwd_share(theta.T).min() > 0


def test_an_ensemble_predicts_by_member_and_counts_unknown_places(ensemble):
    strange = pd.DataFrame({"warmth": [1.0, 7.0, 1.0], "cover": [1.0, 1.0, 77.0]})
    prediction = ensemble(strange, temperate(3))
    assert prediction.x.shape == (2, 3, 25) and prediction.cwd_rescaled.shape == (2, 3)
    assert prediction.extrapolated.tolist() == [0, 1, 1] and not prediction.clipped.any()


def test_a_saved_network_predicts_the_same_when_loaded(predictor, ensemble, places, tmp_path: Path):
    save_predictor(predictor, tmp_path, NETWORK)
    save_predictor(ensemble, tmp_path, HYBRID)
    frame = pd.DataFrame({"warmth": [0.3, 1.0], "cover": [2.0, 4.0]})
    loaded = loaded_network(tmp_path), loaded_hybrid(tmp_path)
    for one, again, at in zip((predictor, ensemble), loaded, ((places,), (frame, temperate(2))), strict=True):
        for before, after in zip(one(*at), again(*at), strict=True):
            np.testing.assert_array_equal(before, after)
        assert again.notes == one.notes and again.covariates == one.covariates
    assert keras.models.load_model(tmp_path / "hybrid.keras").output_shape == (None, 2, 25)
    joblib.dump(ensemble.carbon.trees, tmp_path / "hybrid_trees.joblib")
    with pytest.raises(InputError, match="not a network of this version"):
        loaded_hybrid(tmp_path)
    (tmp_path / "hybrid_trees.joblib").unlink()
    with pytest.raises(InputError, match="hybrid_trees.joblib"):
        loaded_hybrid(tmp_path)


def test_the_hybrid_wants_the_forcing_of_every_place(ensemble):
    frame = pd.DataFrame({"warmth": [0.3, 1.0], "cover": [2.0, 4.0]})
    for forcing, found in ((None, "none"), (temperate(5), "that of 5 places")):
        with pytest.raises(InputError, match=f"forcing of the 2 places, found {found}.*Call predictor"):
            ensemble(frame, forcing)


def changed_parameters(described: dict) -> None:
    described["parameters"][:2] = described["parameters"][1::-1]


def changed_range(described: dict) -> None:
    described["parameters"][PAPER_PARAMETERS.index("tau4s3")][3] = 1000.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed_parameters, "network.json: a parameter is .*'cryo'.* expected .*'diffus'.*Train it again"),
        (changed_range, "1000.0.* expected .*2000.0"),
        (lambda notes: notes.pop("encoding"), "network.keras and .* are not a network of this version.*encoding"),
    ],
)
def test_a_damaged_or_foreign_description_is_refused(predictor, tmp_path: Path, change, message):
    save_predictor(predictor, tmp_path, NETWORK)
    path = tmp_path / "network.json"
    described = json.loads(path.read_text())
    change(described)
    path.write_text(json.dumps(described))
    with pytest.raises(InputError, match=message):
        loaded_network(tmp_path)


def test_a_missing_and_an_unreadable_network_are_reported(predictor, tmp_path: Path):
    with pytest.raises(MissingOutput, match=r"network\.keras does not exist: run the stage 05-network-training"):
        loaded_network(tmp_path)
    save_predictor(predictor, tmp_path, NETWORK)
    (tmp_path / "network.keras").write_bytes(b"not a network")
    with pytest.raises(InputError, match=r"network\.keras and the files beside it are not a network"):
        loaded_network(tmp_path)
