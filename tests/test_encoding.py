"""Covariates as an embedding network takes them."""

import json

import numpy as np
import pandas as pd
import pytest

from proda.errors import InputError
from proda.learning.encoding import CLASSES, NUMBERS, UNKNOWN, Encoding, Shape, n_bins_of

FRAME = pd.DataFrame({"rain": [0.0, 100.0, 50.0], "cover": [5.0, 2.0, 5.0], "clay": [0.1, 0.3, 0.2]})


def test_numbers_are_scaled_and_classes_become_positions_after_the_unknown_one():
    encoding = Encoding.of(FRAME, ["cover", "climate"])
    encoded = encoding.encoded(FRAME)
    np.testing.assert_allclose(encoded[NUMBERS], [[0, 0], [1, 1], [0.5, 0.5]], atol=1e-6)
    assert encoded[CLASSES].tolist() == [[2], [1], [2]] and encoding.shape == Shape(2, (3,))


def test_a_class_that_no_training_site_has_is_unknown_and_counts_as_extrapolation():
    encoding = Encoding.of(FRAME, ["cover"])
    elsewhere = FRAME.assign(cover=[5.0, 9.0, 2.5], rain=[50.0, 101.0, 50.0])
    assert encoding.encoded(elsewhere)[CLASSES].ravel().tolist() == [2, UNKNOWN, UNKNOWN]
    assert encoding.n_beyond(elsewhere).tolist() == [0, 2, 1]


def test_what_lies_far_out_is_held_near():
    far = FRAME.assign(rain=[1e6, -1e6, 50.0])
    assert Encoding.of(FRAME, ["cover"]).encoded(far)[NUMBERS][:, 0].tolist() == [1.5, -0.5, 0.5]


def test_a_number_fills_its_quantile_bins_one_after_the_other():
    frame = pd.DataFrame({"rain": [0.0, 10.0, 20.0, 60.0, 100.0], "cover": 1.0})
    encoding = Encoding.of(frame, ["cover"], n_bins=4)
    assert encoding.shape.n_numbers == 5
    np.testing.assert_allclose(encoding.edges, [[0.0, 0.1, 0.2, 0.6, 1.0]], atol=1e-6)
    told = encoding.encoded(pd.DataFrame({"rain": [15.0, 100.0, -40.0, 300.0], "cover": 1.0}))[NUMBERS]
    expected = [[0.15, 1, 0.5, 0, 0], [1, 1, 1, 1, 1], [-0.4, 0, 0, 0, 0], [1.5, 1, 1, 1, 1]]
    np.testing.assert_allclose(told, expected, atol=1e-6)


def test_a_bin_without_width_tells_nothing():
    frame = pd.DataFrame({"rain": [0.0, 0.0, 0.0, 8.0], "same": 3.0})
    told = Encoding.of(frame, [], n_bins=2).encoded(frame)[NUMBERS]
    np.testing.assert_allclose(told[:, 2:], [[0, 0, 0, 0]] * 3 + [[0, 1, 0, 0]], atol=1e-6)


@pytest.mark.parametrize(("n_sites", "n_bins"), [(99, 0), (300, 3), (15000, 16)])
def test_few_sites_fill_few_bins(n_sites, n_bins):
    assert n_bins_of(n_sites) == n_bins


@pytest.mark.parametrize("n_bins", [0, 3])
def test_an_encoding_survives_json(n_bins):
    encoding = Encoding.of(FRAME, ["cover"], n_bins=n_bins)
    again = Encoding.from_dict(json.loads(json.dumps(encoding.as_dict())))
    for name, values in encoding.encoded(FRAME).items():
        assert (again.encoded(FRAME)[name] == values).all()


def test_parts_of_the_sites_fit_into_the_shape_of_all():
    room = Encoding.of(FRAME, ["cover"]).shape
    for rows in ([0, 2], [1]):
        part = Encoding.of(FRAME.iloc[rows], ["cover"])
        assert part.shape.n_numbers == room.n_numbers
        assert part.encoded(FRAME)[CLASSES].max() < room.class_sizes[0]


def test_a_class_with_a_fraction_and_a_table_of_classes_only_are_told():
    with pytest.raises(InputError, match=r"'cover' is a class, but has the value 2.5"):
        Encoding.of(FRAME.assign(cover=[1.0, 2.5, 3.0]), ["cover"])
    with pytest.raises(InputError, match="all 1 covariates are classes"):
        Encoding.of(FRAME[["cover"]], ["cover"])


def test_other_covariates_or_another_order_are_told():
    encoding = Encoding.of(FRAME, ["cover"])
    with pytest.raises(InputError, match="another order"):
        encoding.encoded(FRAME[["cover", "rain", "clay"]])
    with pytest.raises(InputError, match="missing: clay"):
        encoding.encoded(FRAME[["rain", "cover"]])
