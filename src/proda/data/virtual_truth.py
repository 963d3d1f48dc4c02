"""The true parameters of the made continent: smooth nonlinear functions of covariates, and noise at the sites."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from proda.model.parameters import PAPER_PARAMETERS, SHARES

MARGIN = 0.03  # of the unit cube, kept free so that no truth lies at a wall
LEAST_WOODY = 0.02  # of the carbon input; noise could otherwise share out more litter than there is


def drivers(covariates: pd.DataFrame) -> dict[str, NDArray]:
    """What the truth depends on: ten covariates, each shifted and scaled by constants to about -2..2."""
    value = {name: covariates[name].to_numpy(float) for name in covariates}
    return {
        "warmth": (value["BIO1"] - 11.0) / 6.0,
        "rain": np.log(value["BIO12"] / 700.0) / 0.6,
        "range": (value["BIO7"] - 30.0) / 6.0,
        "npp": (value["NPPmean"] - 470.0) / 200.0,
        "cover": (value["Veg_Cover"] - 45.0) / 30.0,
        "sand": (value["Sand_Content_0cm"] - 45.0) / 18.0,
        "clay": (value["Clay_Content_30cm"] - 20.0) / 9.0,
        "acid": (6.7 - value["pH_Water_0cm"]) / 0.9,
        "stones": (value["Coarse_Fragments_v_30cm"] - 12.0) / 6.0,
        "bedrock": (value["Depth_Bedrock_R"] - 165.0) / 45.0,
    }


def smooth_logits(covariates: pd.DataFrame) -> NDArray:
    """Logit of every true parameter as the covariates give it, (25, n), rows as in `PAPER_PARAMETERS`.

    Parameters to which the profiles are sensitive follow the covariates strongly, the others weakly or not at all.
    """
    d = drivers(covariates)
    warmth, rain, npp, cover = d["warmth"], d["rain"], d["npp"], d["cover"]
    sand, clay, acid, stones, bedrock = d["sand"], d["clay"], d["acid"], d["stones"], d["bedrock"]
    nothing = np.zeros_like(warmth)
    logits = {
        "diffus": -0.2 + 0.8 * np.tanh(warmth) - 0.5 * acid,
        "cryo": nothing,
        "q10": -2.7 + 0.4 * np.tanh(d["range"]) + 0.3 * cover,
        "efolding": 1.5 + 0.7 * np.tanh(sand) - 0.6 * np.tanh(bedrock) + 0.3 * rain * np.tanh(stones),
        "tau4cwd": 0.3 * cover,
        "tau4l1": nothing,
        "tau4l2l3": 0.3 * acid,
        "tau4s1": -1.0 + 0.3 * acid,
        "tau4s2": -2.6 + 1.2 * np.tanh(acid) + 0.5 * np.tanh(stones) - 0.3 * warmth,
        "tau4s3": -2.7 + 1.2 * np.tanh(clay) - 0.5 * np.tanh(warmth) + 0.3 * clay * np.tanh(acid),
        "fl1s1": -0.4 + 0.3 * npp,
        "fl2s1": -0.2 + 0.3 * clay,
        "fl3s2": 0.4 * acid,
        "fs1s2": -1.4 + 0.9 * np.tanh(clay) - 0.3 * rain,
        "fs1s3": -2.4 + 0.4 * np.tanh(clay),
        "fs2s1": 0.2 - 0.4 * acid,
        "fs2s3": -2.7 + 0.9 * np.tanh(clay) - 0.6 * np.tanh(sand) + 0.4 * np.tanh(rain),
        "fs3s1": -0.6 - 0.3 * clay,
        "fcwdl2": -0.3 * cover,
        "ins": -0.5 + 0.9 * np.tanh(npp) - 0.4 * stones,
        "beta": 1.0 + 0.9 * np.tanh(-rain) + 0.5 * cover,
        "p4ll": -0.2 + 0.5 * cover,
        "p4ml": -0.9 - 0.3 * cover,
        "p4cl": 0.2 + 0.2 * npp,
        "maxpsi": 0.4 * sand,
    }
    return np.stack([logits[name] for name in PAPER_PARAMETERS.names])


def site_noise(n: int, rng: np.random.Generator, sd: float = 0.5) -> NDArray:
    """What the covariates do not know of a site, added to the logits, (25, n)."""
    return sd * rng.standard_normal((len(PAPER_PARAMETERS), n))


def true_parameters(covariates: pd.DataFrame, noise: NDArray | float = 0.0) -> NDArray:
    """True parameters on the unit cube, (25, n), within `MARGIN` of no wall.

    Parameters
    ----------
    covariates : DataFrame
        From `virtual_covariates`, n rows.
    noise : (25, n)
        From `site_noise`; 0 for the part that the covariates determine, which is the truth of the map.
    """
    x = MARGIN + (1.0 - 2.0 * MARGIN) * expit(smooth_logits(covariates) + noise)
    return _with_woody_debris(x)


def _with_woody_debris(x: NDArray) -> NDArray:
    """`x` with the input shares of litter reduced in proportion where they would leave too little for woody debris."""
    rows = list(SHARES)
    low, span = PAPER_PARAMETERS.minimum[rows], (PAPER_PARAMETERS.maximum - PAPER_PARAMETERS.minimum)[rows]
    least = low.sum() + MARGIN * span.sum()
    above = span @ (x[rows] - MARGIN)
    kept = np.minimum(1.0, (1.0 - LEAST_WOODY - least) / above)
    x[rows] = MARGIN + kept * (x[rows] - MARGIN)
    return x
