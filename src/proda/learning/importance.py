"""What a trained network leans on: how much worse, or how different, its answers are once a group is shuffled.

All columns of a group are permuted among the sites together, so that the group stays what it is in nature (clay with
its sand, a wet summer with its winter) and only its tie to the site is cut. Use held-out sites: at training sites the
importance also counts what the network learnt by heart.

What this cannot show: groups speak of each other. What climate says, land cover says in part as well, and the network
may have taken it from either; shuffled alone, both look less important than they are together. A shuffled group also
makes sites that do not exist (a desert's rain under a spruce forest), where the network extrapolates. And what reaches
the model by another way than the frame (the forcing of the site's cell) is not shuffled: importance is then that of the
covariates for the parameters, given the forcing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.learning.agreement import scores
from proda.learning.covariate_groups import covariate_of
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
        Group -> its columns, as `proda.learning.covariate_groups.covariate_groups` gives them; every column of `frame`
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
