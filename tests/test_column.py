"""The vertical grid, against the numbers of the model specification."""

import numpy as np
import pytest

from proda.model.configuration import PAPER_COLUMN, exponential_column


def test_the_paper_grid_has_the_depths_of_the_specification():
    assert PAPER_COLUMN.n_layers == 10
    assert PAPER_COLUMN.thickness[0] == pytest.approx(0.0175128, abs=5e-8)
    assert PAPER_COLUMN.thickness[-1] == pytest.approx(1.5057607, abs=5e-8)
    assert PAPER_COLUMN.bottom[-1] == pytest.approx(3.8018819, abs=5e-8)


def test_nodes_follow_the_exponential_formula_and_interfaces_lie_midway():
    j = np.arange(1, 12)
    node = 0.025 * (np.exp(0.5 * (j - 0.5)) - 1.0)
    np.testing.assert_allclose(PAPER_COLUMN.node, node[:-1], rtol=1e-14)
    np.testing.assert_allclose(PAPER_COLUMN.bottom, 0.5 * (node[:-1] + node[1:]), rtol=1e-14)


def test_layers_touch_and_hold_their_nodes():
    column = PAPER_COLUMN
    assert column.top[0] == 0.0
    np.testing.assert_array_equal(column.top[1:], column.bottom[:-1])
    np.testing.assert_allclose(column.thickness, column.bottom - column.top, rtol=1e-15)
    assert ((column.top < column.node) & (column.node < column.bottom)).all()
    np.testing.assert_array_equal(column.spacing, np.diff(column.node))


def test_a_shorter_column_is_the_upper_part_of_a_longer_one():
    short, long = exponential_column(6), exponential_column(10)
    np.testing.assert_array_equal(short.node, long.node[:6])
    np.testing.assert_array_equal(short.bottom, long.bottom[:6])
