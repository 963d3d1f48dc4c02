"""What gives a chunk of cells its parameters: the same draws everywhere, or networks that look at the environment.

Networks also tell, cell by cell, how many covariates they were never taught: such a cell is an extrapolation.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.model.parameters import PAPER_PARAMETERS

if TYPE_CHECKING:  # Keras takes seconds to import, and fixed draws need none of it
    from proda.learning.hybrid_predictor import HybridPredictor
    from proda.learning.predictor import Predictor


class MapDraws(NamedTuple):
    """Parameters of a chunk of cells, and how far they are to be trusted.

    Attributes
    ----------
    x : (n_draws, 25, n)
        On the unit cube; (n_draws, 25, 1) where they hold in every cell.
    extrapolated : (n,)
        Number of covariates that no training site has had; NaN where nobody has asked.
    """

    x: NDArray[np.float64]
    extrapolated: NDArray[np.float64]


# Takes the covariates (n, n_covariates) of a chunk, gives `MapDraws`, or their `x` alone if it learnt from no site. Its
# attribute `covariates` names what it wants; without one it wants none.
MapPredictor: TypeAlias = Callable[[pd.DataFrame], MapDraws | NDArray[np.float64]]


class FixedDraws:
    """Parameters that hold everywhere, such as those of the one-batch posterior.

    Parameters
    ----------
    draws : (n_draws, 25)
        On the unit cube.
    """

    covariates: tuple[str, ...] = ()

    def __init__(self, draws: ArrayLike) -> None:
        self.draws = np.atleast_2d(np.asarray(draws, dtype=np.float64))[:, :, None]

    def __call__(self, covariates: pd.DataFrame) -> NDArray[np.float64]:
        return self.draws


class NetworkDraws:
    """Parameters that networks predict from the covariates, a draw each: one network, or an ensemble.

    A cell extrapolates as many covariates as does the network that does so most.

    Parameters
    ----------
    networks : Predictor
        `proda.learning.predictor.loaded_network(folder)`; all of them with the same covariates.
    """

    def __init__(self, *networks: Predictor) -> None:
        if not networks or len({network.covariates for network in networks}) != 1:
            raise InputError(f"{len(networks)} networks, expected at least one, and all with the same covariates")
        self.networks, self.covariates, self._one_at_a_time = networks, networks[0].covariates, Lock()

    def __call__(self, covariates: pd.DataFrame) -> MapDraws:
        # Keras keeps the function that it compiled in the network: two threads would both make it.
        with self._one_at_a_time:
            given = [network(covariates) for network in self.networks]
        return MapDraws(
            np.stack([one.x.T for one in given]), np.max([one.extrapolated for one in given], axis=0).astype(float)
        )


class MemberDraws:
    """Parameters that the members of a hybrid predict from the covariates, a draw each.

    Members agree more than they are right: the quantiles of a fine map are their spread alone, without what withheld
    land showed (`proda.learning.cell_error`).

    Parameters
    ----------
    hybrid : HybridPredictor
        `proda.learning.hybrid_predictor.loaded_hybrid(folder)`.
    """

    def __init__(self, hybrid: HybridPredictor) -> None:
        self.hybrid, self.covariates, self._one_at_a_time = hybrid, hybrid.covariates, Lock()

    def __call__(self, covariates: pd.DataFrame) -> MapDraws:
        with self._one_at_a_time:
            given = self.hybrid(covariates)
        return MapDraws(np.swapaxes(given.x, 1, 2), given.extrapolated.astype(float))


def checked_draws(given: MapDraws | ArrayLike, n_cells: int) -> MapDraws:
    """What a predictor gave for so many cells, with `extrapolated` NaN if it gave parameters alone.

    Raises
    ------
    InputError
        When parameters have another shape or lie outside [0, 1], or `extrapolated` is not a count for every cell.
    """
    x, extrapolated = given if isinstance(given, MapDraws) else (given, np.full(n_cells, np.nan))
    x, extrapolated = np.asarray(x, dtype=np.float64), np.asarray(extrapolated, dtype=np.float64)
    n = len(PAPER_PARAMETERS)
    if extrapolated.shape != (n_cells,) or (extrapolated < 0).any():
        raise InputError(
            f"the predictor gave `extrapolated` of shape {extrapolated.shape}, its least value "
            f"{np.min(extrapolated, initial=0):g}; expected a count of 0 or more for each of {n_cells} cells. "
            "Give MapDraws(x, counts), or x alone"
        )
    if x.ndim != 3 or x.shape[0] == 0 or x.shape[1] != n or x.shape[2] not in (1, n_cells):
        raise InputError(f"the predictor gave parameters of shape {x.shape}, expected (n_draws, {n}, {n_cells} or 1)")
    bad = ~((x >= 0.0) & (x <= 1.0))
    if bad.any():
        draw, row, cell = (int(i[0]) for i in np.nonzero(bad))
        raise InputError(
            f"the predictor gave {PAPER_PARAMETERS.names[row]} = {x[draw, row, cell]:g} on the unit cube (draw {draw}, "
            f"cell {cell} of the chunk), expected 0 to 1"
        )
    return MapDraws(x, extrapolated)
