"""The parameters each method maps with: draws on the unit cube, with a valid share for coarse woody debris."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from proda.errors import InputError
from proda.model.parameters import INNER, PAPER_PARAMETERS, cwd_share


def shares_of(x: NDArray) -> NDArray[np.float64]:
    """Share of the carbon input that enters coarse woody debris, (n,), for x (n, 25) on the unit cube.

    The ranges of the three shares that it is left over from are the same everywhere, so no forcing is needed.
    """
    low, high = PAPER_PARAMETERS.minimum[:, None], PAPER_PARAMETERS.maximum[:, None]
    return cwd_share(low + np.asarray(x, float).T * (high - low))


def one_batch_draws(posterior: NDArray, n_draws: int, seed: int) -> NDArray[np.float64]:
    """Random draws of the pooled one-batch posterior, (n_draws, 25), each at most once if there are enough.

    Parameters
    ----------
    posterior : numpy.ndarray
        (n_kept, 25), unit cube.
    """
    if len(posterior) == 0:
        raise InputError("one_batch.nc holds no draws: run notebook 03 again")
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(posterior), size=n_draws, replace=len(posterior) < n_draws)
    return np.asarray(posterior, float)[chosen]


def random_sampling_draws(modes: NDArray, n_draws: int, seed: int) -> NDArray[np.float64]:
    """Draws from the distribution of all sites' modes, each parameter on its own, (n_draws, 25).

    The paper's random sampling keeps how often each parameter takes which value, and loses where and together with
    which others. A draw whose coarse-woody-debris share is not positive is drawn anew. A mode that the fit put on a
    face of the cube, where SOC may be undefined, counts as `INNER` from it.

    Parameters
    ----------
    modes : numpy.ndarray
        (n_sites, 25) modes of the sites' posteriors, unit cube; sites with a missing mode are left out.

    Raises
    ------
    InputError
        If no site has modes, or (nearly) no combination of them is valid.
    """
    modes = np.asarray(modes, float)
    modes = np.clip(modes[np.isfinite(modes).all(axis=1)], INNER, 1.0 - INNER)
    if len(modes) == 0:
        raise InputError("no site has posterior modes (x_mode in sites.zarr): random sampling has nothing to draw from")
    rng = np.random.default_rng(seed)
    columns = np.arange(modes.shape[1])
    draws = modes[rng.integers(len(modes), size=(n_draws, modes.shape[1])), columns]
    for _ in range(1000):
        invalid = shares_of(draws) <= 0
        if not invalid.any():
            return draws
        again = rng.integers(len(modes), size=(int(invalid.sum()), modes.shape[1]))
        draws[invalid] = modes[again, columns]
    raise InputError(
        f"{int(invalid.sum())} of {n_draws} random-sampling draws found no positive coarse-woody-debris share in 1000 "
        "tries: p4ll, p4ml and p4cl of x_mode in sites.zarr are too large"
    )
