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

from proda.learning.explanation import INNER_RANGE, dependence_values, means_at_value
from proda.learning.importance import PredictedParameters
from proda.model.parameters import PAPER_PARAMETERS

CLAY = ("Clay_Content_30cm", "clay_fraction")
SAND = ("Sand_Content_30cm", "sand_fraction")
PH = ("pH_Water_0cm",)
NOTHING_ELSE: Mapping[str, Sequence[str]] = {}
LEAST_ANSWER = 0.01  # of the unit cube between the ends of a covariate: less is none


class Expectation(NamedTuple):
    """That a parameter rises (+1) or falls (-1) with a covariate, any of `names`, and who says so."""

    parameter: str
    names: tuple[str, ...]
    sign: int
    source: str


_CENTURY = "Century, Parton et al. 1987, doi 10.2136/sssaj1987.03615995005100050015x"
_CENTURY_4 = "Century, Parton et al. 1993, doi 10.1029/93GB02042"
_MINERALS = "Six et al. 2002, doi 10.1023/A:1016125726789"
_EARTHWORMS = "Edwards and Bohlen 1996, Biology and Ecology of Earthworms"
EXPECTATIONS = (
    Expectation("tau4s1", CLAY, +1, f"fine texture slows the fast pool ({_CENTURY})"),
    Expectation("fs1s2", SAND, -1, f"in sand more of the fast pool is respired ({_CENTURY})"),
    Expectation("fs1s3", CLAY, +1, f"clay holds what becomes passive ({_CENTURY_4})"),
    Expectation("tau4s3", CLAY, +1, f"silt and clay protect carbon ({_MINERALS})"),
    Expectation("diffus", PH, +1, f"earthworms avoid acid soil ({_EARTHWORMS})"),
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
        `high` (the least and the greatest of a member), `found` ("as expected", "against it", or "undecided" where the
        members disagree about the sign or the change is less than `LEAST_ANSWER`), `source`.
    """
    rows = []
    for expected in expectations:
        name = next((name for name in expected.names if name in frame and _varies(frame[name])), None)
        if name is None:
            continue
        ends = dependence_values(frame, name, 2)
        column, others = PAPER_PARAMETERS.index(expected.parameter), together.get(name, ())
        first, last = (means_at_value(predicted_parameters, frame, name, end, others) for end in ends)
        change = (last - first)[:, column]
        decided = abs(change.mean()) >= LEAST_ANSWER and np.unique(np.sign(change)).size == 1
        found = ("as expected" if expected.sign * change.mean() > 0.0 else "against it") if decided else "undecided"
        rows.append({
            "parameter": expected.parameter, "covariate": name, "expected": "rises" if expected.sign > 0 else "falls",
            "change": change.mean(), "low": change.min(), "high": change.max(),
            "found": found, "source": expected.source,
        })  # fmt: skip
    columns = ["parameter", "covariate", "expected", "change", "low", "high", "found", "source"]
    return pd.DataFrame(rows, columns=columns)


def _varies(values: pd.Series) -> bool:
    """Whether a covariate differs between the two ends that its change is read at."""
    low, high = np.quantile(values.to_numpy(float), INNER_RANGE)
    return bool(low < high)
