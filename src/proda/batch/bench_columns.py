"""The soil columns that are timed: parameters from the prior, and a forcing made for the purpose."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from proda.assimilation.misfit import layer_weights, misfit_forms
from proda.model.column import CESM2_COLUMN
from proda.model.configuration import CESM2, PAPER, Configuration
from proda.model.forcing import AnyForcing, Forcing, MonthlyForcing
from proda.model.observation import at_depths
from proda.model.parameters import INNER, SHARES, physical
from proda.model.steady_state import soc_density, steady_state

CASES = {
    "10 layers": PAPER,
    "20 layers": PAPER.on(CESM2_COLUMN),
    "20 layers, 12 months": CESM2,
}
_OBSERVED_DEPTHS = (0.05, 0.2, 0.5, 1.0, 1.6)  # m


class Columns(NamedTuple):
    """Columns of one configuration: physical parameters (n_parameters, n) and the forcing of the n columns."""

    theta: NDArray[np.float64]
    forcing: AnyForcing
    configuration: Configuration

    def take(self, n: int, start: int = 0) -> "Columns":
        """`n` columns from `start`, contiguous in memory."""
        chosen = slice(start, start + n)
        fields = (np.ascontiguousarray(field) for field in self.forcing.take(chosen))
        return Columns(np.ascontiguousarray(self.theta[:, chosen]), type(self.forcing)(*fields), self.configuration)


def bench_columns(
    n: int, seed: int = 1, configuration: Configuration = PAPER
) -> tuple[NDArray[np.float64], AnyForcing]:
    """Parameters (n_parameters, n) from the inner 98 % of the prior, and a forcing; half have permafrost."""
    rng = np.random.default_rng(seed)
    forcing = (_monthly_forcing if configuration.monthly else _annual_forcing)(rng, n, configuration.column.n_layers)
    x = rng.uniform(INNER, 1.0 - INNER, (len(configuration.parameters), n))
    if not configuration.monthly:
        x[list(SHARES)] *= 0.6  # leaves a share for woody debris
    return physical(x, forcing, configuration.parameters), forcing


def _annual_forcing(rng: np.random.Generator, n: int, layers: int) -> Forcing:
    npp = rng.uniform(100.0, 1200.0, n)
    return Forcing(
        np.broadcast_to(rng.uniform(270.0, 300.0, n), (layers, n)).copy(),
        -np.exp(rng.uniform(np.log(1e-3), np.log(1.0), (layers, n))),
        np.where(rng.random(n) < 0.5, 35.0, np.exp(rng.uniform(np.log(0.1), np.log(4.0), n))),
        npp,
        0.7 * npp,
        1.3 * npp,
    )


def _monthly_forcing(rng: np.random.Generator, n: int, layers: int, months: int = 12) -> MonthlyForcing:
    season = -np.cos(2.0 * np.pi * np.arange(months) / months)[:, None]
    shape = (layers, months, n)
    thaw = np.where(rng.random(n) < 0.5, 35.0, np.exp(rng.uniform(np.log(0.1), np.log(1.9), n)))
    return MonthlyForcing(
        np.broadcast_to(rng.uniform(270.0, 300.0, n) + 8.0 * season, shape).copy(),
        *(rng.uniform(0.3, 1.0, shape) for _ in range(3)),
        *(np.repeat(thaw[None], months, axis=0) for _ in range(2)),
        rng.uniform(1.0, 30.0, (4, months, n)),
        rng.integers(8, layers, n, endpoint=True),
    )


def profile_forms(columns: Columns) -> NDArray[np.float64]:
    """The misfit of every column to a profile of five layers, made with the parameters of its neighbour."""
    theta, forcing, configuration = columns
    n = theta.shape[1]
    depth, site = np.tile(_OBSERVED_DEPTHS, n), np.repeat(np.arange(n), len(_OBSERVED_DEPTHS))
    soc = soc_density(steady_state(np.roll(theta, 1, axis=1), forcing, configuration))
    observed = at_depths(soc, site, depth, configuration.column)
    return misfit_forms(site, n, depth, observed, layer_weights(site, depth), 0.3 * observed, configuration.column)
