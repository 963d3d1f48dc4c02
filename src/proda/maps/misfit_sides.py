"""What over- and under-estimates cost in the misfit of the assimilations: why one set for all is drawn to low carbon.

With s_i = rho x_i (Eq. 5.2 of Tao et al. 2020) the cost of a layer is w_i (z_i / x_i - 1)^2 / (2 rho^2). An
under-estimate ends at w_i / (2 rho^2), however much carbon is missing; an over-estimate has no end.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.assimilation.misfit import layer_weights
from proda.maps.scores import comparable_sites


def most_for_too_little(relative_sd: float) -> float:
    """Cost of a layer of weight 1 that the model leaves without any carbon, the most an under-estimate can cost."""
    return 1.0 / (2.0 * relative_sd**2)


def misfit_sides(
    layers: pd.DataFrame, modelled: dict[str, NDArray], used: NDArray[np.bool_], relative_sd: float
) -> pd.DataFrame:
    """The misfit of every method split by its sign, on the same used sites for all.

    Parameters
    ----------
    layers : pandas.DataFrame
        Observed layers: `site`, `depth` (m), `soc` (g C m-3, positive).
    modelled : dict
        Method -> (n_layers,) g C m-3.
    used : numpy.ndarray of bool
        (n_sites,)
    relative_sd : float
        Standard deviation of an observation over its value.

    Returns
    -------
    pandas.DataFrame
        By method: the share of layers with too much carbon (%), and what too much and too little carbon add to the
        mean of the misfit over all layers (1; weighted as in the assimilation).
    """
    site, observed = layers["site"].to_numpy(), layers["soc"].to_numpy(float)
    chosen = (comparable_sites(site, modelled, used.size) & used)[site] & (observed > 0)
    weight = layer_weights(site, layers["depth"].to_numpy(float))[chosen]
    rows = {}
    for method, soc in modelled.items():
        ratio = np.asarray(soc, float)[chosen] / observed[chosen]
        cost, high = weight * (ratio - 1.0) ** 2 * most_for_too_little(relative_sd), ratio > 1.0
        rows[method] = {
            "layers too high (%)": 100.0 * high.mean(),
            "misfit, too high": cost[high].sum() / cost.size,
            "misfit, too low": cost[~high].sum() / cost.size,
            "misfit": cost.mean(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")
