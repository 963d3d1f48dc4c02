"""Do predicted parameters answer to the environment as soil science expects? A sign each, from the literature.

The signs are those of models and measurements that know nothing of this network. A turnover time here is one at
reference temperature and without drought, for the soil model brings both itself: its answer to warmth is what `q10`
leaves over, for which nobody has an expectation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from proda.learning.explanation import dependence_values, partial_dependence
from proda.learning.importance import PredictedParameters

CLAY = ("Clay_Content_30cm", "clay_fraction")
SAND = ("Sand_Content_30cm", "sand_fraction")
WARMTH = ("BIO1", "mean_annual_temperature_degC")
ALKALINITY = ("pH_Water_0cm",)
NOTHING_ELSE: Mapping[str, Sequence[str]] = {}
LEAST_ANSWER = 0.01  # of the unit cube between sand and clay, cold and warm: less is none


class Expectation(NamedTuple):
    """That a parameter rises (+1) or falls (-1) with a covariate, any of `names`, and who says so."""

    parameter: str
    names: tuple[str, ...]
    sign: int
    source: str


_CENTURY = "Century, Parton et al. 1987, doi 10.2136/sssaj1987.03615995005100050015x"
_CENTURY_4 = "Century, Parton et al. 1993, doi 10.1029/93GB02042"
_EARTHWORMS = "Edwards and Bohlen 1996, Biology and Ecology of Earthworms"
EXPECTATIONS = (
    Expectation("tau4s1", CLAY, +1, f"fine texture slows the fast pool ({_CENTURY})"),
    Expectation("fs1s2", SAND, -1, f"in sand more of the fast pool is respired ({_CENTURY})"),
    Expectation("fs1s3", CLAY, +1, f"clay holds what becomes passive ({_CENTURY_4})"),
    Expectation("fs2s3", CLAY, +1, f"clay holds what becomes passive ({_CENTURY_4})"),
    Expectation("tau4s3", CLAY, +1, "minerals protect old carbon (Torn et al. 1997, doi 10.1038/38260)"),
    Expectation("beta", WARMTH, +1, "tundra and taiga root less deep (Jackson et al. 1996, doi 10.1007/BF00333714)"),
    Expectation("diffus", ALKALINITY, +1, f"earthworms avoid acid soil ({_EARTHWORMS})"),
)


def answers_beside_expectations(
    predicted_parameters: PredictedParameters,
    frame: pd.DataFrame,
    expectations: Sequence[Expectation] = EXPECTATIONS,
    together: Mapping[str, Sequence[str]] = NOTHING_ELSE,
) -> pd.DataFrame:
    """What was expected of parameters, and how they change between the 2 and 98 % quantiles of the covariate.

    Parameters
    ----------
    predicted_parameters : callable
        As of `proda.learning.explanation.partial_dependence`, whose curve the change is read from.
    frame : DataFrame
        Covariates of held-out sites. Expectations about covariates that it lacks, or that do not vary, are left out.
    together : dict
        Covariate -> the columns that rise with it, as of `partial_dependence`.

    Returns
    -------
    DataFrame
        `parameter`, `covariate`, `expected` ("rises" or "falls"), `change` (unit cube, mean of the members), `low` and
        `high` (the range of 90 % of the members), `found` ("as expected", "against it", or "undecided" where the
        members disagree about the sign or the change is less than `LEAST_ANSWER`), `source`.
    """
    rows = []
    for expected in expectations:
        name = next((name for name in expected.names if name in frame and np.ptp(frame[name]) > 0.0), None)
        if name is None:
            continue
        ends = dependence_values(frame, name, 2)
        change = _change_of_members(predicted_parameters, frame, expected.parameter, name, ends, together.get(name, ()))
        low, high = np.quantile(change, [0.05, 0.95])
        along = expected.sign * change
        decided = abs(change.mean()) >= LEAST_ANSWER and (np.sign(low) == np.sign(high))
        found = ("as expected" if along.mean() > 0.0 else "against it") if decided else "undecided"
        rows.append({
            "parameter": expected.parameter, "covariate": name, "expected": "rises" if expected.sign > 0 else "falls",
            "change": change.mean(), "low": low, "high": high, "found": found, "source": expected.source,
        })  # fmt: skip
    columns = ["parameter", "covariate", "expected", "change", "low", "high", "found", "source"]
    return pd.DataFrame(rows, columns=columns)


def _change_of_members(
    predicted_parameters: PredictedParameters,
    frame: pd.DataFrame,
    parameter: str,
    name: str,
    ends: np.ndarray,
    together: Sequence[str],
) -> np.ndarray:
    """Change of the mean over sites between two values of a covariate, (n_members,)."""
    n_members = len(predicted_parameters(frame.head(1)))

    def told(member: int) -> np.ndarray:
        def alone(changed: pd.DataFrame) -> np.ndarray:
            return predicted_parameters(changed)[[member]]

        return partial_dependence(alone, frame, name, ends, [parameter], together)["mean"].to_numpy()

    return np.array([np.diff(told(member))[0] for member in range(n_members)])
