"""Min-max scaling of covariates and what it refuses."""

import numpy as np
import pandas as pd
import pytest

from proda.errors import InputError
from proda.learning.encoding import MinMaxScaling


@pytest.fixture
def frame(rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "temperature": rng.normal(10, 8, 300),
            "precipitation": rng.gamma(2, 400, 300),
            "clay": rng.uniform(0, 60, 300),
        }
    )


def test_the_sites_that_gave_the_ranges_fill_0_to_1(frame):
    scaled = MinMaxScaling.of(frame).scaled(frame)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.min(axis=0), 0.0, atol=1e-7)
    np.testing.assert_allclose(scaled.max(axis=0), 1.0, rtol=1e-6)


def test_scaled_values_give_the_covariates_back(frame):
    scaling = MinMaxScaling.of(frame[:100])
    back = scaling.minimum + scaling.scaled(frame) * (scaling.maximum - scaling.minimum)
    np.testing.assert_allclose(back, frame.to_numpy(), rtol=1e-4, atol=1e-4)


def test_places_beyond_the_range_are_scaled_beyond_it_and_counted():
    scaling = MinMaxScaling.of(pd.DataFrame({"a": [0.0, 2.0], "b": [10.0, 20.0]}))
    places = pd.DataFrame({"a": [1.0, 3.0, -1.0], "b": [15.0, 12.0, 30.0]})
    np.testing.assert_allclose(scaling.scaled(places), [[0.5, 0.5], [1.5, 0.2], [-0.5, 2.0]])
    assert scaling.n_beyond(places).tolist() == [0, 1, 2]


def test_a_covariate_that_is_the_same_everywhere_is_0_everywhere():
    scaling = MinMaxScaling.of(pd.DataFrame({"a": [3.0, 3.0], "b": [0.0, 1.0]}))
    assert scaling.scaled(pd.DataFrame({"a": [3.0, 9.0], "b": [0.0, 1.0]}))[:, 0].tolist() == [0.0, 0.0]


def test_a_gap_is_named_with_its_covariate_and_the_number_of_rows(frame):
    holes = frame.copy()
    holes.loc[[4, 9, 200], "precipitation"] = np.nan
    holes.loc[7, "clay"] = np.inf
    with pytest.raises(
        InputError, match=r"table X.*'precipitation' in 3 of 300 rows, 'clay' in 1 of 300.*first in row 4"
    ):
        MinMaxScaling.of(frame).scaled(holes, "table X")


def test_other_covariates_are_refused_by_name(frame):
    scaling = MinMaxScaling.of(frame)
    with pytest.raises(InputError, match="missing: clay; unknown: silt"):
        scaling.scaled(frame.rename(columns={"clay": "silt"}))


def test_another_order_of_the_covariates_is_refused(frame):
    with pytest.raises(InputError, match="covariate 1 is 'clay', expected 'temperature'.*order"):
        MinMaxScaling.of(frame).scaled(frame[["clay", "precipitation", "temperature"]])


def test_words_in_place_of_numbers_are_refused(frame):
    with pytest.raises(InputError, match="'clay' has type"):
        MinMaxScaling.of(frame).scaled(frame.assign(clay="sandy"))


def test_a_table_without_rows_has_no_ranges(frame):
    with pytest.raises(InputError, match="no rows"):
        MinMaxScaling.of(frame[:0])
