"""Carbon from predicted parameters with their spread: the mean of carbon is not carbon at the mean of the parameters.

Where parameters multiply and their posterior correlates, carbon at the mean parameters is far off (by a factor of two
on real profiles). So a prediction is given the spread it has: to the predicted parameters of a place are added
deviations of posterior draws from the prediction at the draws' own sites, each a whole vector, which keeps the
correlations. They hold both what a profile leaves open and what covariates do not tell.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.learning.input_shares import with_positive_cwd_share
from proda.model import lanes
from proda.model.forcing import Forcing
from proda.model.parameters import INNER, physical


def deviations(draws: ArrayLike, predicted: ArrayLike, n: int, seed: int) -> NDArray[np.float64]:
    """`n` deviations of posterior draws from the prediction at their sites, (n, 25), from as many sites as there are.

    Parameters
    ----------
    draws : (n_sites, n_draws, 25)
        Posterior draws of the training sites, unit cube.
    predicted : (n_sites, 25)
        What the network says at these sites.
    """
    draws, predicted = np.asarray(draws, float), np.asarray(predicted, float)
    if draws.ndim != 3 or draws.shape[::2] != predicted.shape:
        raise InputError(f"draws {draws.shape} and predictions {predicted.shape}: expected (n_sites, n_draws, 25) and "
                         "(n_sites, 25) of the same sites.")  # fmt: skip
    rng = np.random.default_rng(seed)
    site = np.resize(rng.permutation(len(draws)), n)
    return draws[site, rng.integers(0, draws.shape[1], n)] - predicted[site]


def soc_with_spread(x: ArrayLike, deviation: ArrayLike, forcing: Forcing) -> NDArray[np.float64]:
    """Mean SOC over the deviations at every place, (n_layers, n_places), g C m-3.

    Parameters
    ----------
    x : (n_places, 25)
        Predicted parameters, unit cube.
    deviation : (k, 25)
        Added one after another to all places; what leaves the box is set back to `INNER` from its face.
    forcing : Forcing
        Of every place.
    """
    total = np.zeros((np.shape(forcing.soil_temperature)[0], len(np.asarray(x))))
    deviation = np.atleast_2d(np.asarray(deviation, float))
    for added in deviation:
        inside, _ = with_positive_cwd_share(np.clip(np.asarray(x, float) + added, INNER, 1.0 - INNER))
        total += lanes.soc_density(physical(inside.T, forcing), forcing)
    return total / len(deviation)
