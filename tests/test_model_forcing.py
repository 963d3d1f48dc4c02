"""Columns are taken from a forcing."""

import numpy as np
import pytest
from columns import seasonal_forcing, temperate


@pytest.mark.parametrize("index", [[2, 0], slice(1, 3), np.array([False, True, False, True])])
def test_columns_are_taken_by_numbers_slice_or_mask(index):
    forcing = temperate(4)
    taken = forcing.take(index)
    np.testing.assert_array_equal(taken.soil_temperature, forcing.soil_temperature[:, index])
    np.testing.assert_array_equal(taken.npp_max, forcing.npp_max[index])
    assert taken.n_columns == 2


def test_a_single_column_keeps_its_axis():
    assert seasonal_forcing(4).take(2).n_columns == temperate(4).take(2).n_columns == 1
