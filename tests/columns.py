"""Soil columns for the tests of the model and the samplers: temperate ones, and any that the input checks allow."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from proda.model.configuration import CESM2, PAPER_COLUMN
from proda.model.forcing import Forcing, MonthlyForcing
from proda.model.observation import node_values
from proda.model.parameters import PAPER_PARAMETERS, SHARES, physical

N_PARAMETERS, N_LAYERS = len(PAPER_PARAMETERS), 10


def temperate(n: int, seed: int = 1) -> Forcing:
    """Forcing of n columns without permafrost."""
    rng = np.random.default_rng(seed)
    npp = rng.uniform(200.0, 900.0, n)
    return Forcing(
        rng.uniform(275.0, 295.0, n) + np.linspace(1.0, -1.0, N_LAYERS)[:, None],
        -np.exp(rng.uniform(np.log(1e-3), np.log(1.0), (N_LAYERS, n))),
        np.full(n, 35.0),
        npp,
        0.7 * npp,
        1.3 * npp,
    )


def seasonal_forcing(n: int, seed: int = 11) -> MonthlyForcing:
    """A seasonal year of n columns, warm and fed in summer; every third one lies on permafrost."""
    rng = np.random.default_rng(seed)
    season, kind = np.sin(2.0 * np.pi * np.arange(12) / 12.0)[:, None], np.arange(n) % 3
    shape, thaw = (20, 12, n), np.where(kind == 1, 1.2, 40.0) * np.ones((12, n))
    return MonthlyForcing(
        283.0 + 8.0 * season * np.exp(-CESM2.column.node[:, None, None]) + np.zeros(shape),
        rng.uniform(0.3, 1.0, shape),
        rng.uniform(0.8, 1.0, shape),
        rng.uniform(0.5, 1.0, shape),
        thaw,
        1.1 * thaw,
        (1.2 + season) * rng.uniform(2.0, 20.0, (4, 1, n)),
        np.array([12, 9, 20])[kind],
    )


def with_woody_debris(x: NDArray) -> NDArray:
    """`x` with smaller shares of the input to litter, so that some is left for woody debris anywhere in the box."""
    x = np.array(x, dtype=float)
    x[list(SHARES)] *= 0.6
    return x


def drawn_columns(n: int, seed: int = 1, low: float = 0.01, high: float = 0.99) -> tuple[NDArray, Forcing]:
    """Parameters (25, n), physical, from the box, and a temperate forcing."""
    forcing = temperate(n, seed)
    x = np.random.default_rng(seed + 1000).uniform(low, high, (N_PARAMETERS, n))
    return physical(with_woody_debris(x), forcing), forcing


def _between(low: float, high: float, *special: float) -> st.SearchStrategy[float]:
    return st.one_of(st.floats(low, high), *(st.just(value) for value in special))


@st.composite
def any_columns(draw, n: int = 3, least_efolding: float = 0.01) -> tuple[NDArray, Forcing]:
    """Parameters from 0.01 to 0.99 of their ranges, and forcing from polar to tropical, saturated to bone-dry."""
    x = draw(arrays(float, (N_PARAMETERS, n), elements=st.floats(0.01, 0.99)))
    x[PAPER_PARAMETERS.index("efolding")] = np.maximum(x[PAPER_PARAMETERS.index("efolding")], least_efolding)
    npp = draw(arrays(float, n, elements=st.floats(0.1, 3000.0)))
    forcing = Forcing(
        draw(arrays(float, (N_LAYERS, n), elements=st.floats(220.0, 320.0))),
        -draw(arrays(float, (N_LAYERS, n), elements=_between(1e-6, 100.0, 0.0, 25.0))),
        draw(arrays(float, n, elements=_between(0.0, 6.0, 0.0, 0.01, 5.0, 35.0))),
        npp,
        0.3 * npp,
        2.5 * npp,
    )
    return physical(with_woody_debris(x), forcing), forcing


def seasonal_columns(n: int, seed: int = 1, low: float = 0.01, high: float = 0.99) -> tuple[NDArray, MonthlyForcing]:
    """Parameters (21, n), physical, from the `cesm2` box, seasons from polar to tropical, any depth of bedrock."""
    rng = np.random.default_rng(seed + 1000)
    forcing = seasonal_forcing(n, seed).warmed(rng.uniform(-40.0, 20.0, n))
    forcing = forcing._replace(bedrock=np.arange(n) % CESM2.column.n_layers + 1)
    return physical(rng.uniform(low, high, (len(CESM2.parameters), n)), forcing, CESM2.parameters), forcing


def misfit(soc: NDArray, forms: NDArray, column=PAPER_COLUMN) -> NDArray:
    """Phi of every target, (n,), for its modelled density `soc`, (n_layers, n), and its form (`misfit_forms`)."""
    values, (a, b) = node_values(soc, column), np.tril_indices(2 * len(soc))
    return forms[-1] + (forms[:-1] * np.concatenate([values[a] * values[b], values])).sum(axis=0)


INSIDE = st.floats(0.01, 0.99)  # positions in the prior box


@st.composite
def any_months(draw, n: int = 3, position: st.SearchStrategy[float] = INSIDE) -> tuple[NDArray, MonthlyForcing]:
    """Parameters anywhere in the `cesm2` box, and twelve months from polar to tropical, bone-dry, airless or bare."""
    x = draw(arrays(float, (len(CESM2.parameters), n), elements=position))
    mean, swing, least, entering = (
        draw(arrays(float, n, elements=_between(*bounds)))
        for bounds in ((230.0, 310.0), (0.0, 30.0, 0.0), (0.0, 1.0, 0.0, 1.0), (1e-3, 400.0))
    )
    some = draw(arrays(float, (4, 1, n), elements=st.sampled_from([1.0, 0.01, 0.0])))
    thaw = arrays(float, (12, n), elements=_between(0.0, 6.0, 0.0, 2.0, 41.998), fill=st.just(41.998))
    rng, layers = np.random.default_rng(draw(st.integers(0, 2**32 - 1))), CESM2.column.n_layers
    season = np.sin(2.0 * np.pi * np.arange(12) / 12.0)[:, None]
    forcing = MonthlyForcing(
        mean + swing * season * np.exp(-CESM2.column.node[:, None, None]),
        *(least + (1.0 - least) * rng.random((3, layers, 12, n))),
        draw(thaw),
        draw(thaw),
        1e-6 + entering * rng.random((4, 12, n)) * some,
        draw(arrays(int, n, elements=st.integers(1, layers))),
    )
    return physical(x, forcing, CESM2.parameters), forcing
