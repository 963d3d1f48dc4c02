"""The vertical grids, against the numbers of the model specification."""

import numpy as np
import pytest

from proda.model.configuration import CESM2_COLUMN, PAPER_COLUMN


def test_the_paper_grid_has_the_depths_of_the_specification():
    assert PAPER_COLUMN.n_layers == 10
    assert PAPER_COLUMN.thickness[[0, -1]] == pytest.approx([0.0175128, 1.5057607], abs=5e-8)
    assert PAPER_COLUMN.bottom[-1] == pytest.approx(3.8018819, abs=5e-8)
    j = np.arange(1, 12)
    node = 0.025 * (np.exp(0.5 * (j - 0.5)) - 1.0)
    np.testing.assert_allclose(PAPER_COLUMN.node, node[:-1], rtol=1e-14)
    np.testing.assert_allclose(PAPER_COLUMN.bottom, 0.5 * (node[:-1] + node[1:]), rtol=1e-14)


def test_the_cesm2_grid_is_that_of_the_specification():
    thickness = ".02 .04 .06 .08 .12 .16 .20 .24 .28 .32 .36 .40 .44 .54 .64 .74 .84 .94 1.04 1.14".split()
    np.testing.assert_allclose(CESM2_COLUMN.thickness, [float(word) for word in thickness], rtol=1e-13)
    np.testing.assert_allclose(CESM2_COLUMN.node, 0.5 * (CESM2_COLUMN.top + CESM2_COLUMN.bottom), rtol=1e-13)
    assert CESM2_COLUMN.bottom[-1] == pytest.approx(8.60)


@pytest.mark.parametrize("column", [PAPER_COLUMN, CESM2_COLUMN], ids=lambda column: column.name)
def test_layers_touch_and_hold_their_nodes(column):
    assert column.top[0] == 0.0
    np.testing.assert_array_equal(column.top[1:], column.bottom[:-1])
    np.testing.assert_allclose(column.thickness, column.bottom - column.top, rtol=1e-13)
    assert ((column.node > column.top) & (column.node < column.bottom)).all()
