"""How a predicted parameter answers to one covariate: partial dependence (Friedman 2001, doi 10.1214/aos/1013203451).

With the groups of covariates and their importance, everything that explains a trained network is imported from here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.learning.covariate_groups import codes_of, covariate_groups, is_class
from proda.learning.importance import PredictedParameters, group_importance, member_values, parameter_importance
from proda.model.parameters import PAPER_PARAMETERS

__all__ = [
    "covariate_groups", "dependence_values", "group_importance", "parameter_importance", "partial_dependence"
]  # fmt: skip

BAND = (0.05, 0.95)
INNER_RANGE = (0.02, 0.98)


def dependence_values(frame: pd.DataFrame, name: str, n_values: int = 15) -> NDArray[np.float64]:
    """Where to look: evenly over the 2 to 98 % range of the sites, or every class that a site has.

    Parameters
    ----------
    frame : DataFrame
        Covariates of the held-out sites.
    name : str
        A column, or a class that stands in columns `name=code`.
    """
    codes = codes_of(map(str, frame), name)
    if codes:
        return np.array([code for code, column in codes.items() if (frame[column] == 1.0).any()], dtype=np.float64)
    if name not in frame:
        raise InputError(f"no covariate {name!r}; the frame has {', '.join(map(str, frame))}.")
    found = frame[name].to_numpy(dtype=np.float64)
    if is_class(name):
        return np.unique(found)
    low, high = np.quantile(found, INNER_RANGE)
    if not low < high:
        raise InputError(f"covariate {name!r} is {low:g} at nearly all sites: nothing can depend on it here.")
    return np.linspace(low, high, n_values)


def partial_dependence(
    predicted_parameters: PredictedParameters,
    frame: pd.DataFrame,
    name: str,
    values: ArrayLike | None = None,
    parameters: Sequence[str] = PAPER_PARAMETERS.names,
    together: Sequence[str] = (),
) -> pd.DataFrame:
    """Mean prediction over the sites once a covariate has the same value at all of them.

    What it cannot show. The value is given to every site whatever its other covariates: where covariates are
    correlated, many of these places do not exist (an annual mean of 20 degC with a January of -15), and there the
    network extrapolates. Where several columns say nearly the same, the network spreads an effect over them and the
    curve of one alone is too flat: name the others in `together`. Effects that differ in sign between sites cancel in
    the mean, and a curve says what the network has learnt, not what causes what.

    Parameters
    ----------
    predicted_parameters : callable
        A frame like `frame` -> parameters of the members of the ensemble, (n_members, n, 25), unit cube.
    frame : (n, n_columns) DataFrame
        Covariates of the held-out sites.
    name : str
        A column, or a class that stands in columns `name=code`.
    values : array_like, optional
        In the covariate's unit, or codes; within what the sites have. `dependence_values` if left out.
    parameters : sequence of str
        Which to report: those that the profiles inform.
    together : sequence of str
        Continuous columns that rise with `name` (clay at other depths, temperatures of other seasons): where `name` has
        the value that a share q of the sites stays below, each of them has its own.

    Returns
    -------
    DataFrame
        One row a value and parameter: `covariate`, `value`, `parameter`; `mean`, over the sites, of the mean of the
        members, unit cube; `q05` and `q95`, the 5 and 95 % quantiles over the members of each member's mean over the
        sites. These tell how far the members differ, which with a handful is hardly more than their range.

    Raises
    ------
    InputError
        When a covariate or parameter is unknown, a value lies beyond those of the sites, or a prediction has another
        shape or is not finite.
    """
    columns = [PAPER_PARAMETERS.index(parameter) for parameter in parameters]
    values = dependence_values(frame, name) if values is None else np.asarray(values, dtype=np.float64).ravel()
    _check_values(frame, name, values)
    _check_together(frame, name, together)
    parts = []
    for value in values:
        x = means_at_value(predicted_parameters, frame, name, value, together)[:, columns]
        low, high = np.quantile(x, BAND, axis=0)
        part = {
            "covariate": name, "value": value, "parameter": list(parameters), "mean": x.mean(axis=0),
            "q05": low, "q95": high,
        }  # fmt: skip
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def means_at_value(
    predicted_parameters: PredictedParameters,
    frame: pd.DataFrame,
    name: str,
    value: float,
    together: Sequence[str] = (),
) -> NDArray[np.float64]:
    """Mean over the sites of every member's parameters, (n_members, 25), once a covariate has one value everywhere.

    Parameters as of `partial_dependence`.
    """
    return member_values(predicted_parameters, _given(frame, name, value, together)).mean(axis=1)


def _given(frame: pd.DataFrame, name: str, value: float, together: Sequence[str]) -> pd.DataFrame:
    """The frame with one value of a covariate at all sites."""
    codes = codes_of(map(str, frame), name)
    if codes:
        return frame.assign(**{column: float(code == value) for code, column in codes.items()})
    changed = frame.assign(**{name: value})
    if together:
        found = np.sort(frame[name].to_numpy(dtype=np.float64))
        # Halfway between the sites below and the sites not above: a value that many sites share has its middle rank.
        rank = 0.5 * (np.searchsorted(found, value, "left") + np.searchsorted(found, value, "right")) / found.size
        changed = changed.assign(**{other: np.quantile(frame[other].to_numpy(float), rank) for other in together})
    return changed


def _check_values(frame: pd.DataFrame, name: str, values: NDArray) -> None:
    codes = codes_of(map(str, frame), name)
    if codes or (name in frame and is_class(name)):
        known = dependence_values(frame, name)
        beyond, has = ~np.isin(values, known), f"the sites have {', '.join(f'{code:g}' for code in known)}"
    elif name in frame:
        found = frame[name].to_numpy(dtype=np.float64)
        beyond, has = ~((values >= found.min()) & (values <= found.max())), f"{found.min():g} to {found.max():g}"
        has = f"the sites have {has}"
    else:
        raise InputError(f"no covariate {name!r}; the frame has {', '.join(map(str, frame))}.")
    if beyond.any() or not values.size:
        odd = f"{values[beyond][0]:g}" if values.size else "nothing"
        raise InputError(f"value of {name!r} is {odd}; {has}: what lies beyond says nothing about them.")


def _check_together(frame: pd.DataFrame, name: str, together: Sequence[str]) -> None:
    for other in together:
        if other == name or other not in frame or is_class(other):
            raise InputError(f"together with {name!r}: {other!r} is not another continuous column of the frame.")
    if together and (name not in frame or is_class(name)):
        raise InputError(f"{name!r} is a class: nothing rises with it. Leave `together` out.")
