"""What a trained network leans on: how much worse, or how different, its answers are once a group is shuffled.

All columns of a group are permuted among the sites together, so that the group stays what it is in nature (clay with
its sand, a wet summer with its winter) and only its tie to the site is cut. Use held-out sites: at training sites the
importance also counts what the network learnt by heart.

What this cannot show: groups speak of each other. What climate says, land cover says in part as well, and the network
may have taken it from either; shuffled alone, both look less important than they are together. A shuffled group also
makes sites that do not exist (a desert's rain under a spruce forest), where the network extrapolates. And what reaches
the model by another way than the frame (the forcing of the site's cell) is not shuffled: importance is then that of the
covariates for the parameters, given the forcing.

How a predicted parameter answers to one covariate: partial dependence (Friedman 2001, doi 10.1214/aos/1013203451).

With the groups of covariates and their importance, everything that explains a trained network is imported from here.

Do predicted parameters answer to the environment as soil science expects? A sign each, from the literature.

The signs are those of models and measurements that know nothing of this network. A turnover time here is one at
reference temperature and without drought, for the soil model brings both itself: its answer to warmth is what `q10`
leaves over, for which nobody has an expectation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.learning.encoding import codes_of, covariate_groups, covariate_of, is_class
from proda.learning.scores import scores
from proda.model.parameters import PAPER_PARAMETERS

Groups = Mapping[str, Sequence[str]]
PredictedSoc = Callable[[pd.DataFrame], ArrayLike]
PredictedParameters = Callable[[pd.DataFrame], ArrayLike]


def group_importance(
    predicted: PredictedSoc,
    frame: pd.DataFrame,
    groups: Groups,
    observed: ArrayLike,
    present: ArrayLike,
    n_repeats: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """How much worse SOC is predicted once a group of covariates is permuted among the sites.

    Parameters
    ----------
    predicted : callable
        A frame like `frame` (same rows, same columns) -> SOC at the layers of its sites, (n, m), kg C m-3.
    frame : (n, n_columns) DataFrame
        Covariates of the held-out sites.
    groups : dict
        Group -> its columns, as `proda.learning.encoding.covariate_groups` gives them; every column of `frame`
        in one group.
    observed : (n, m), kg C m-3
    present : (n, m) bool
        Where a layer was observed; nothing else of `observed` is read. A site counts once for each of its layers.
    n_repeats : int
        Permutations. Those of one repeat are the same for every group: differences between groups are then not
        differences between permutations.
    seed : int

    Returns
    -------
    DataFrame
        One row a group, the most important first: `group`; `n_covariates` (all columns `name=code` are one);
        `mse_increase`, the mean over the repeats of the increase of the mean squared error, (kg C m-3)^2, and
        `mse_increase_sd`, its sd over the repeats (NaN for one); `r2_loss` and `efficiency_loss`, the mean fall of
        `scores`' r2 and 1:1 efficiency. An unbiased prediction that is a sum of functions of independent groups loses
        twice the variance that the group explains. Where a prediction is biased or spreads too far (carbon at mean
        parameters does both), a permutation can make the squared error smaller: then read `r2_loss`, which sees
        neither.

    Raises
    ------
    InputError
        When shapes differ, nothing is present, a column is missing or not in exactly one group, or a prediction is of
        another shape or not finite where a layer is present.
    """
    n_covariates = _checked_groups(frame, groups)
    observed, present = np.asarray(observed, dtype=np.float64), np.asarray(present)
    if observed.ndim != 2 or len(observed) != len(frame) or present.shape != observed.shape or present.dtype != bool:
        raise InputError(
            f"observed has shape {observed.shape}, present {present.shape} of {present.dtype}; expected ({len(frame)}, "
            "m) for both, a row for each site of the frame, and bool for present."
        )
    known = observed[present]
    if not known.size or not np.isfinite(known).all():
        raise InputError(f"observed: {np.isfinite(known).sum()} of {known.size} layers present are finite numbers; "
                         "expected at least one, and all of them.")  # fmt: skip

    def told(changed: pd.DataFrame) -> NDArray[np.float64]:
        soc = np.asarray(predicted(changed), dtype=np.float64)
        if soc.shape != observed.shape:
            raise InputError(f"predicted SOC has shape {soc.shape}, expected that of the observed, {observed.shape}.")
        if not np.isfinite(soc[present]).all():
            site = int(np.argmax((~np.isfinite(soc) & present).any(axis=1)))
            raise InputError(f"predicted SOC of site {site} is not a finite number in a layer that was observed.")
        return soc[present]

    start = scores(known, told(frame))
    rows = []
    for group, changed in _permuted(frame, groups, n_repeats, seed):
        after = scores(known, told(changed))
        increase = after["rmse"] ** 2 - start["rmse"] ** 2
        rows.append((group, increase, start["r2"] - after["r2"], start["efficiency"] - after["efficiency"]))
    by_group = pd.DataFrame(rows, columns=["group", "mse_increase", "r2_loss", "efficiency_loss"]).groupby("group")
    table = by_group.mean()
    table.insert(0, "n_covariates", pd.Series(n_covariates))
    table.insert(2, "mse_increase_sd", by_group["mse_increase"].std())
    return table.loc[list(groups)].sort_values("mse_increase", ascending=False, kind="stable").reset_index()


def parameter_importance(
    predicted_parameters: PredictedParameters,
    frame: pd.DataFrame,
    groups: Groups,
    parameters: Sequence[str] = PAPER_PARAMETERS.names,
    n_repeats: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """How far each predicted parameter moves once a group of covariates is permuted among the sites.

    Parameters
    ----------
    predicted_parameters : callable
        A frame like `frame` -> parameters of the members of the ensemble, (n_members, n, 25), unit cube. The mean of
        the members is what is judged.
    frame, groups, n_repeats, seed
        As of `group_importance`.
    parameters : sequence of str
        Which to report.

    Returns
    -------
    DataFrame
        One row a group and parameter: `group`, `parameter`, `n_covariates`; `change`, root mean square of the change
        over sites and repeats, unit cube; `change_sd`, sd over the repeats of that of one repeat; and `share`,
        change^2 over twice the variance of the prediction among the sites, which for independent groups is the total
        Sobol index of the group (Jansen 1999, doi 10.1016/S0010-4655(98)00154-4): 0 where the group has no say, 1
        where it alone decides. The sum over the groups is above 1 where they act together and below 1 where they
        say the same. NaN where the parameter does not vary.

    Raises
    ------
    InputError
        When a column is missing or not in exactly one group, a parameter is unknown, or a prediction has another shape
        or is not finite.
    """
    n_covariates = _checked_groups(frame, groups)
    columns = [PAPER_PARAMETERS.index(name) for name in parameters]
    start = member_values(predicted_parameters, frame)[:, :, columns].mean(axis=0)
    squares: dict[str, list[NDArray]] = {group: [] for group in groups}
    for group, changed in _permuted(frame, groups, n_repeats, seed):
        moved = member_values(predicted_parameters, changed)[:, :, columns].mean(axis=0)
        squares[group].append(((moved - start) ** 2).mean(axis=0))
    varies = np.ptp(start, axis=0) > 0.0
    twice_variance = np.where(varies, 2.0 * start.var(axis=0), np.nan)
    parts = []
    for group, found in squares.items():
        square = np.array(found)
        part = {
            "group": group, "parameter": list(parameters), "n_covariates": n_covariates[group],
            "change": np.sqrt(square.mean(axis=0)),
            "change_sd": np.sqrt(square).std(axis=0, ddof=1) if n_repeats > 1 else np.nan,
            "share": square.mean(axis=0) / twice_variance,
        }  # fmt: skip
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def member_values(predicted_parameters: PredictedParameters, frame: pd.DataFrame) -> NDArray[np.float64]:
    """Parameters of the members at the places of `frame`, (n_members, n, 25), checked for shape and finite numbers."""
    x = np.asarray(predicted_parameters(frame), dtype=np.float64)
    if x.ndim != 3 or x.shape[1:] != (len(frame), len(PAPER_PARAMETERS)) or not len(x):
        raise InputError(
            f"predicted parameters have shape {x.shape}, expected (n_members, {len(frame)}, {len(PAPER_PARAMETERS)}): "
            "add an axis for a network without members, x[None]."
        )
    if not np.isfinite(x).all():
        member, site, parameter = (int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise InputError(
            f"predicted {PAPER_PARAMETERS.names[parameter]} of site {site} and member {member} is not a finite number."
        )
    return x


def _permuted(frame: pd.DataFrame, groups: Groups, n_repeats: int, seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    if n_repeats < 1:
        raise InputError(f"n_repeats is {n_repeats}, expected at least 1.")
    rng = np.random.default_rng(seed)
    for _ in range(n_repeats):
        order = rng.permutation(len(frame))
        for group, columns in groups.items():
            changed = frame.copy()
            changed[list(columns)] = frame[list(columns)].iloc[order].set_axis(frame.index)
            yield group, changed


def _checked_groups(frame: pd.DataFrame, groups: Groups) -> dict[str, int]:
    """Number of covariates of every group, once every column of the frame is known to be in exactly one."""
    if len(frame) < 2:
        raise InputError(f"covariates of {len(frame)} sites: permuting needs at least 2.")
    home: dict[str, str] = {}
    for group, columns in groups.items():
        if not columns:
            raise InputError(f"group {group!r} has no columns; leave it out.")
        for column in columns:
            if column not in frame:
                raise InputError(f"group {group!r}: no column {column!r}; the frame has {', '.join(map(str, frame))}.")
            if column in home:
                raise InputError(f"column {column!r} is in the groups {home[column]!r} and {group!r}; expected one.")
            home[column] = group
    left = [str(column) for column in frame if column not in home]
    if left:
        raise InputError(f"in no group: {', '.join(left)}. Take the groups of `covariate_groups(frame)`, or add one: "
                         "what is never permuted would look as if it did not matter.")  # fmt: skip
    return {group: len({covariate_of(column) for column in columns}) for group, columns in groups.items()}


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


def compare_with_expected_signs(
    predicted_parameters: PredictedParameters,
    frame: pd.DataFrame,
    expectations: Sequence[Expectation] = EXPECTATIONS,
    together: Mapping[str, Sequence[str]] = NOTHING_ELSE,
) -> pd.DataFrame:
    """What was expected of parameters, and how they change between the 2 and 98 % quantiles of the covariate.

    Parameters
    ----------
    predicted_parameters : callable
        As of `proda.learning.importance.partial_dependence`, whose curve the change is read from.
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
