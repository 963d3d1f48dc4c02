"""How well modelled carbon agrees with observed carbon: the scores that every table of the study uses."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from proda.errors import InputError

SCORES = ["r2", "r", "efficiency", "rmse", "bias", "median_ratio", "n"]


def scores(observed: ArrayLike, modelled: ArrayLike) -> dict[str, float]:
    """Agreement of two sets of numbers in one unit.

    Parameters
    ----------
    observed, modelled : array_like
        (n,) each, finite.

    Returns
    -------
    dict
        r : correlation; r2 : its square, what the paper calls R2; efficiency : 1 - SSE/SST about the 1:1 line, the
        skill against the mean of the observations; rmse and bias (modelled minus observed) in the unit of the input;
        median_ratio : median of modelled over observed, which shows a common factor that r2 does not see and that the
        few largest values do not decide (pairs with nothing observed are left out); n. NaN where fewer than two
        numbers or no variation leave a score without meaning.
    """
    observed, modelled = np.asarray(observed, float), np.asarray(modelled, float)
    if observed.shape != modelled.shape:
        raise InputError(f"{observed.shape} observed and {modelled.shape} modelled values: every value needs its pair")
    n = observed.size
    error = modelled - observed
    spread = observed - observed.mean() if n else observed
    total = float(spread @ spread)
    if n < 2 or total == 0:
        r = efficiency = np.nan
    else:
        fluctuation = modelled - modelled.mean()
        scale = np.sqrt(total * float(fluctuation @ fluctuation))
        r = float(spread @ fluctuation) / scale if scale > 0 else np.nan
        efficiency = 1.0 - float(error @ error) / total
    rmse, bias = (float(np.sqrt(np.mean(error**2))), float(error.mean())) if n else (np.nan, np.nan)
    some = observed > 0
    ratio = float(np.median(modelled[some] / observed[some])) if some.any() else np.nan
    return {
        "r": r, "r2": r**2, "efficiency": efficiency, "rmse": rmse, "bias": bias, "median_ratio": ratio, "n": n
    }  # fmt: skip
