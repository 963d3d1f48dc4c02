"""Which nodes the intervals of a site are judged at."""

import numpy as np
from columns import temperate

from proda.assimilation.problem import SiteProblem
from proda.assimilation.sbc import observed_nodes
from proda.model.configuration import PAPER_COLUMN


def test_nodes_near_the_first_and_last_layer_are_told_from_those_between():
    node = PAPER_COLUMN.node
    depth = np.concatenate([node[[2, 4, 7]] * 1.05, node[[9, 0]], node[[5]]])
    site, soc = np.array([0, 0, 0, 1, 1, 2]), np.full(6, 5e3)
    problem = SiteProblem(list("abc"), temperate(3), site, depth, soc, 0.3 * soc, np.ones(6))
    ends, between = observed_nodes(problem)
    assert [np.flatnonzero(row).tolist() for row in ends] == [[2, 7], [0, 9], [5]]
    assert [np.flatnonzero(row).tolist() for row in between] == [[3, 4, 5, 6], list(range(1, 9)), []]
