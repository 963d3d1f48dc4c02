"""Training data with a known truth: parameters that follow from two covariates and a class, and layers of the model."""

import numpy as np
import pandas as pd
from columns import seasonal_forcing, temperate
from numpy.typing import NDArray

from proda.kernels import steady_state as kernels
from proda.learning.training_data import TrainingData, observed_sites
from proda.model.configuration import PAPER, Configuration
from proda.model.observation import layer_means
from proda.model.parameters import PAPER_PARAMETERS, ParameterTable, physical, with_positive_cwd_share

DEPTHS = (0.05, 0.2, 0.6, 1.1)


def informed(table: ParameterTable) -> list[int]:
    """Rows of the parameters that follow from the covariates: input or moisture, passive turnover, decay with depth."""
    return [table.index(name) for name in ("ins" if table.has_shares else "w_scaling", "tau4s3", "efolding")]


def true_x(frame: pd.DataFrame, table: ParameterTable = PAPER_PARAMETERS) -> NDArray[np.float64]:
    """Parameters (n, n_parameters)."""
    x = np.full((len(frame), len(table)), 0.4)
    of_covariates = 0.15 + 0.7 * frame["warmth"], 0.2 + 0.5 * frame["clay"], 0.3 + 0.1 * frame["cover"]
    x[:, informed(table)] = np.stack(of_covariates, axis=1)
    return with_positive_cwd_share(x)[0]


def learnable(n: int = 300, seed: int = 5, noise: float = 0.1, configuration: Configuration = PAPER) -> TrainingData:
    """Training data of n sites with four layers each, but for every tenth, which has two."""
    rng = np.random.default_rng(seed)
    frame = made_covariates(rng, n)
    table, column = configuration.parameters, configuration.column
    x, forcing = true_x(frame, table), (seasonal_forcing if configuration.monthly else temperate)(n, seed)
    soc = kernels.soc_density(physical(x.T, forcing, table), forcing, configuration)
    site, depth = np.repeat(np.arange(n), len(DEPTHS)), np.tile(DEPTHS, n)
    values = layer_means(soc, site, depth - 0.04, depth + 0.04, column)
    values *= rng.lognormal(-(noise**2) / 2, noise, site.size)
    kept = (site % 10 != 3) | (depth < 0.5)
    layers = pd.DataFrame({"site": site, "upper_depth": depth - 0.04, "lower_depth": depth + 0.04, "soc": values})[kept]
    x_sd = np.full(x.shape, 0.28)
    x_sd[:, informed(table)] = 0.08
    return TrainingData(
        frame=frame,
        class_names=("cover",),
        observed=observed_sites(layers, forcing),
        sand_percent=np.full(n, 40.0),
        x_mean=x,
        x_sd=x_sd,
        used=rng.random(n) < 0.9,
    )


def made_covariates(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Covariates of n places."""
    return pd.DataFrame({"warmth": rng.random(n), "cover": rng.integers(1, 5, n).astype(float), "clay": rng.random(n)})
