"""A trained network with its covariates: predictions inside the prior box, saved and loaded, and what is refused."""

import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from proda.errors import InputError, MissingOutput
from proda.learning.encoding import Encoding
from proda.learning.hybrid import parameter_networks
from proda.learning.paper_network import paper_network
from proda.learning.predictor import (
    HYBRID,
    NETWORK,
    Predictor,
    loaded_hybrid,
    loaded_network,
    rows_of_batches,
    save_predictor,
)
from proda.model.parameters import INNER, PAPER_PARAMETERS, SHARES, cwd_share

NAMES = [f"covariate_{i}" for i in range(6)]


@pytest.fixture
def places(rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(rng.uniform(-5, 20, (40, 6)), columns=NAMES)


@pytest.fixture
def predictor(rng: np.random.Generator) -> Predictor:
    encoding = Encoding.of(pd.DataFrame(rng.uniform(-5, 20, (50, 6)), columns=NAMES))
    return Predictor(paper_network(6, seed=3, hidden=(32, 32)), encoding, {"study": "x-tiny"})


@pytest.fixture(scope="module")
def ensemble() -> Predictor:
    frame = pd.DataFrame({"warmth": [0.0, 1.0, 2.0], "cover": [1.0, 2.0, 4.0]})
    encoding = Encoding.of(frame, ["cover"], n_bins=2)
    return Predictor(parameter_networks(encoding.shape, 2, 1, (8,), 0.1), encoding)


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
    prediction = ensemble(strange)
    assert prediction.x.shape == (2, 3, 25) and prediction.cwd_rescaled.shape == (2, 3)
    assert prediction.extrapolated.tolist() == [0, 1, 1] and not prediction.clipped.any()


def test_a_saved_network_predicts_the_same_when_loaded(predictor, ensemble, places, tmp_path: Path):
    save_predictor(predictor, tmp_path, NETWORK)
    save_predictor(ensemble, tmp_path, HYBRID)
    frame = pd.DataFrame({"warmth": [0.3, 1.0], "cover": [2.0, 4.0]})
    for one, again, at in ((predictor, loaded_network(tmp_path), places), (ensemble, loaded_hybrid(tmp_path), frame)):
        for before, after in zip(one(at), again(at), strict=True):
            np.testing.assert_array_equal(before, after)
        assert again.notes == one.notes and again.covariates == one.covariates
    assert keras.models.load_model(tmp_path / "hybrid.keras").output_shape == (None, 2, 25)


def test_a_loaded_network_refuses_other_covariates_and_another_order(predictor, places, tmp_path: Path):
    save_predictor(predictor, tmp_path, NETWORK)
    loaded = loaded_network(tmp_path)
    with pytest.raises(InputError, match=r"my\.csv.*missing: covariate_5; unknown: none"):
        loaded(places.drop(columns="covariate_5"), "my.csv")
    with pytest.raises(InputError, match="covariate 1 is 'covariate_5', expected 'covariate_0'"):
        loaded(places[places.columns[::-1]])


def changed_parameters(described: dict) -> None:
    described["parameter_table"][:2] = described["parameter_table"][1::-1]


def changed_range(described: dict) -> None:
    described["parameter_table"][PAPER_PARAMETERS.index("tau4s3")]["maximum"] = 1000.0


def without_encoding(described: dict) -> None:
    del described["encoding"]


def other_covariates(described: dict) -> None:
    described["encoding"] |= {
        "covariates": list("abcde"),
        "training_range": [[0.0] * 5, [1.0] * 5],
        "scaled_by": [[0.0] * 5, [1.0] * 5],
        "edges": [[]] * 5,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed_parameters, "network.json: a parameter is .*'cryo'.* expected .*'diffus'.*Train it again"),
        (changed_range, "'maximum': 1000.0.* expected .*'maximum': 2000.0"),
        (without_encoding, "network.json does not describe a network.*encoding"),
        (other_covariates, r"width \[6, 25\], its description names \[5, 25\].*do not belong together"),
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
    with pytest.raises(InputError, match=r"network\.keras is not a network"):
        loaded_network(tmp_path)


def test_last_batches_are_filled_up_with_rows_that_are_there():
    rows = rows_of_batches(10, 4, seed=1)
    assert rows.size == 12 and (rows[:10] == np.arange(10)).all() and rows.max() < 10
