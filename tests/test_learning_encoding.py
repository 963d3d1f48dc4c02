"""Covariates as networks take them, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest

from proda.errors import InputError
from proda.learning.encoding import CLASSES, NUMBERS, UNKNOWN, Encoding, Shape

FRAME = pd.DataFrame({"rain": [0.0, 100.0, 50.0], "cover": [5.0, 2.0, 5.0], "clay": [0.1, 0.3, 0.2]})


def test_numbers_are_scaled_and_classes_become_positions_after_the_unknown_one():
    encoding = Encoding.of(FRAME, ["cover", "climate"])
    encoded = encoding.encoded(FRAME)
    np.testing.assert_allclose(encoded[NUMBERS], [[0, 0], [1, 1], [0.5, 0.5]], atol=1e-6)
    assert encoded[NUMBERS].dtype == np.float32
    assert encoded[CLASSES].tolist() == [[2], [1], [2]] and encoding.shape == Shape(2, (3,))


def test_places_beyond_the_training_sites_are_scaled_beyond_0_and_1_and_counted():
    elsewhere = FRAME.assign(cover=[5.0, 9.0, 2.5], rain=[150.0, 50.0, -1e6])
    encoding = Encoding.of(FRAME, ["cover"])
    assert encoding.encoded(elsewhere)[CLASSES].ravel().tolist() == [2, UNKNOWN, UNKNOWN]
    assert encoding.encoded(elsewhere)[NUMBERS][:2, 0].tolist() == [1.5, 0.5]
    assert encoding.n_beyond(elsewhere).tolist() == [1, 1, 2]
    held = Encoding.of(FRAME, ["cover"], limits=(-0.5, 1.5))
    assert held.encoded(elsewhere)[NUMBERS][:, 0].tolist() == [1.5, 0.5, -0.5]


def test_other_places_may_give_the_ranges_but_never_the_count_of_what_lies_beyond():
    wide = FRAME.assign(rain=[0.0, 200.0, 10.0])
    encoding = Encoding.of(FRAME, ["cover"], scaled_by=wide)
    assert encoding.encoded(FRAME)[NUMBERS][:, 0].tolist() == [0.0, 0.5, 0.25]
    assert encoding.n_beyond(wide).tolist() == [0, 1, 0]


@pytest.mark.parametrize("limits", [None, (-0.5, 1.5)])
def test_an_encoding_survives_json(limits):
    encoding = Encoding.of(FRAME, ["cover"], limits=limits)
    again = Encoding.from_dict(json.loads(json.dumps(encoding.as_dict())))
    for name, values in encoding.encoded(FRAME).items():
        np.testing.assert_array_equal(again.encoded(FRAME)[name], values)
    assert again.n_beyond(FRAME * 2).tolist() == encoding.n_beyond(FRAME * 2).tolist()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (FRAME[["cover", "rain", "clay"]], "table X: expected the 3 covariates .* in its order; missing: none"),
        (FRAME.rename(columns={"clay": "silt"}), "missing: clay; unknown: silt"),
        (FRAME.assign(clay=[0.1, "sandy", 0.2]), "'clay' is 'sandy' in row 1"),
        (FRAME.assign(rain=[1.0, np.nan, np.inf]), "'rain' is 'nan' in row 1; 2 values"),
    ],
)
def test_other_covariates_another_order_gaps_and_words_are_refused(frame, message):
    with pytest.raises(InputError, match=message):
        Encoding.of(FRAME, ["cover"]).check(frame, "table X")
