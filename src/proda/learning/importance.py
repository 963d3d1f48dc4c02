"""What a trained network's predictions depend on: covariate importance, partial dependence, and expected signs.

Importance: all columns of a group are permuted among the sites together, so that the group stays what it is in nature
(clay with its sand) and only its tie to the site is cut. Use held-out sites. Groups that carry the same information
hide each other, a permuted group also makes sites that do not exist, where the network extrapolates, and what reaches
the soil model by another way than the covariates (the forcing of the site's cell) is not permuted.

Partial dependence (Friedman 2001, doi 10.1214/aos/1013203451) and expected signs: turnover times are those at reference
temperature and without drought, for the soil model brings both itself; nobody expects a sign for their dependence on
warmth.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.learning.scores import scores
from proda.model.parameters import PAPER_PARAMETERS

Groups = Mapping[str, Sequence[str]]
PredictedSoc = Callable[[pd.DataFrame], ArrayLike]
PredictedParameters = Callable[[pd.DataFrame], ArrayLike]

OTHER = "other"
# A class of texture follows from sand, silt and clay and stands with them. Classes of climate, soil and land stand
# alone: that shows what a class adds to the numbers.
GROUPS = {
    "climate": r"BIO\d+|Drought|mean_annual_temperature_degC|precipitation_mm_yr",
    "climate class": r"Climate|Koppen_Climate_2018|koppen_class",
    "vegetation and productivity": r"NPP(mean|max|min)|Veg_Cover|(clm5_)?npp_gC_m2_yr|cesm2_(npp|npp_std|vegc)",
    "land cover and use": r"IGBP|ESA_Land_Cover|igbp_land_cover|land_use_class",
    "soil texture": r"(Sand|Silt|Clay)_Content_\d+cm|Texture_USDA_\d+cm|(sand|silt|clay)_fraction",
    "soil density and stones": r"(Bulk_Density|Coarse_Fragments_v)_\d+cm",
    "soil chemistry": r"(CEC|pH_Water)_\d+cm|Garde_Acid",
    "soil water": r"SWC_v_Wilting_Point_\d+cm|water_\w+_m3_m3",
    "soil class": r"Soil_Type|USDA_Suborder|WRB_Subgroup",
    "depth to bedrock": r"Abs_Depth_to_Bedrock|Depth_Bedrock_R|Occurrence_R_Horizon|nbedrock",
    "position and height": r"Lon|Lat|Elevation",
}
BAND = (0.05, 0.95)
INNER_RANGE = (0.02, 0.98)
LEAST_CHANGE = 0.01  # of the unit cube between the ends of a covariate: less counts as none


class Expectation(NamedTuple):
    """That a parameter rises (+1) or falls (-1) with a covariate, any of `names`, and the source."""

    parameter: str
    names: tuple[str, ...]
    sign: int
    source: str


CLAY, SAND, PH = ("Clay_Content_30cm", "clay_fraction"), ("Sand_Content_30cm", "sand_fraction"), ("pH_Water_0cm",)
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


def covariate_groups(names: Iterable[str]) -> dict[str, list[str]]:
    """Columns by their subject, in the order of `GROUPS`; "other" for names that no group has.

    Every name is in exactly one group, groups without a name are left out.

    Parameters
    ----------
    names : iterable of str
        Of `proda.data.covariates`, columns `name=code` made of a class, or others.
    """
    groups: dict[str, list[str]] = {group: [] for group in (*GROUPS, OTHER)}
    for name in map(str, names):
        covariate = name.partition("=")[0]
        group = next((group for group, pattern in GROUPS.items() if re.fullmatch(pattern, covariate)), OTHER)
        groups[group].append(name)
    return {group: columns for group, columns in groups.items() if columns}


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
        Group -> its columns, as of `covariate_groups`; every column of `frame` in one group.
    observed : (n, m), kg C m-3
    present : (n, m) bool
        Where a layer was observed. A site counts once for each of its layers.
    n_repeats : int
        Permutations. Those of one repeat are the same for every group: differences between groups are then not
        differences between permutations.
    seed : int

    Returns
    -------
    DataFrame
        One row a group, the most important first: `group`; `n_covariates` (all columns `name=code` are one);
        `mse_increase`, (kg C m-3)^2, the mean over the repeats, with its sd `mse_increase_sd` (an unbiased sum of
        functions of independent groups loses twice the variance that the group explains); `r2_loss`,
        `efficiency_loss`.

    Raises
    ------
    InputError
        When a column is missing or not in exactly one group.
    """
    _check_groups(frame, groups)
    observed, present = np.asarray(observed, dtype=np.float64), np.asarray(present, dtype=bool)

    def scores_of(changed: pd.DataFrame) -> dict[str, float]:
        return scores(observed[present], np.asarray(predicted(changed), dtype=np.float64)[present])

    start, rows = scores_of(frame), []
    for group, changed in _permuted(frame, groups, n_repeats, seed):
        after = scores_of(changed)
        increase = after["rmse"] ** 2 - start["rmse"] ** 2
        rows.append((group, increase, start["r2"] - after["r2"], start["efficiency"] - after["efficiency"]))
    by_group = pd.DataFrame(rows, columns=["group", "mse_increase", "r2_loss", "efficiency_loss"]).groupby("group")
    table = by_group.mean()
    n_covariates = {group: len({name.partition("=")[0] for name in columns}) for group, columns in groups.items()}
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
    """How far each predicted parameter changes once a group of covariates is permuted among the sites.

    Parameters
    ----------
    predicted_parameters : callable
        A frame like `frame` -> parameters of the members of the ensemble, (n_members, n, 25), unit cube; their mean
        counts.
    frame, groups, n_repeats, seed
        As of `group_importance`.
    parameters : sequence of str
        Which to report.

    Returns
    -------
    DataFrame
        One row a group and parameter: `group`, `parameter`; `change`, the root mean square change over sites and
        repeats, unit cube; `share`, change^2 over twice the variance of the prediction among the sites, which for
        independent groups is the total Sobol index of the group (Jansen 1999, doi 10.1016/S0010-4655(98)00154-4): 0
        where the group has no effect, 1 where it alone decides. NaN where the parameter does not vary.
    """
    _check_groups(frame, groups)
    columns = [PAPER_PARAMETERS.index(name) for name in parameters]
    start = np.asarray(predicted_parameters(frame))[:, :, columns].mean(axis=0)
    squares: dict[str, list[NDArray]] = {group: [] for group in groups}
    for group, changed in _permuted(frame, groups, n_repeats, seed):
        after = np.asarray(predicted_parameters(changed))[:, :, columns].mean(axis=0)
        squares[group].append(((after - start) ** 2).mean(axis=0))
    twice_variance = np.where(np.ptp(start, axis=0) > 0.0, 2.0 * start.var(axis=0), np.nan)
    parts = []
    for group, of_repeats in squares.items():
        square = np.mean(of_repeats, axis=0)
        part = {"group": group, "parameter": list(parameters)}
        parts.append(pd.DataFrame({**part, "change": np.sqrt(square), "share": square / twice_variance}))
    return pd.concat(parts, ignore_index=True)


def partial_dependence(
    predicted_parameters: PredictedParameters,
    frame: pd.DataFrame,
    name: str,
    parameters: Sequence[str] = PAPER_PARAMETERS.names,
    together: Sequence[str] = (),
    n_values: int = 15,
) -> pd.DataFrame:
    """Mean prediction over the sites once a covariate has the same value at all of them.

    The value is given to every site whatever its other covariates: where covariates are correlated, many of these
    places do not exist, and there the network extrapolates. Effects that differ in sign between sites cancel in the
    mean, and a curve shows what the network has learnt, not what causes what.

    Parameters
    ----------
    predicted_parameters : callable
        A frame like `frame` -> parameters of the members of the ensemble, (n_members, n, 25), unit cube.
    frame : (n, n_columns) DataFrame
        Covariates of the held-out sites.
    name : str
        A continuous column. Its values are spread evenly over the 2 to 98 % range of the sites.
    parameters : sequence of str
        Which to report.
    together : sequence of str
        Continuous columns that rise with `name` (clay at other depths): where `name` has the value that a share q of
        the sites stays below, each of them has its own.

    Returns
    -------
    DataFrame
        One row a value and parameter: `covariate`, `value`, `parameter`; `mean`, over the sites, of the mean of the
        members, unit cube; `q05` and `q95`, the 5 and 95 % quantiles over the members of each member's mean over the
        sites.

    Raises
    ------
    InputError
        When the covariate is unknown, or the same at nearly all sites.
    """
    columns = [PAPER_PARAMETERS.index(parameter) for parameter in parameters]
    parts = []
    for value in _values(frame, name, n_values):
        x = _means_at_value(predicted_parameters, frame, name, value, together)[:, columns]
        low, high = np.quantile(x, BAND, axis=0)
        part = {"covariate": name, "value": value, "parameter": list(parameters)}
        parts.append(pd.DataFrame({**part, "mean": x.mean(axis=0), "q05": low, "q95": high}))
    return pd.concat(parts, ignore_index=True)


def compare_with_expected_signs(
    predicted_parameters: PredictedParameters,
    frame: pd.DataFrame,
    expectations: Sequence[Expectation] = EXPECTATIONS,
    together: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Expected signs, beside the change of parameters between the 2 and 98 % quantiles of the covariate.

    Parameters
    ----------
    predicted_parameters, frame
        As of `partial_dependence`. Expectations about covariates that `frame` lacks, or that do not vary, are left out.
    together : dict, optional
        Covariate -> the columns that rise with it, as of `partial_dependence`.

    Returns
    -------
    DataFrame
        `parameter`, `covariate`, `expected` ("rises" or "falls"), `change` (unit cube, mean of the members), `low` and
        `high` (the least and the greatest of a member), `found` ("as expected", "against it", or "undecided" where the
        members disagree about the sign or the change is less than `LEAST_CHANGE`), `source`.
    """
    rows = []
    for expected in expectations:
        name = next((name for name in expected.names if name in frame and _varies(frame[name])), None)
        if name is None:
            continue
        column, others = PAPER_PARAMETERS.index(expected.parameter), (together or {}).get(name, ())
        first, last = (
            _means_at_value(predicted_parameters, frame, name, end, others) for end in _values(frame, name, 2)
        )
        change = (last - first)[:, column]
        decided = abs(change.mean()) >= LEAST_CHANGE and np.unique(np.sign(change)).size == 1
        found = ("as expected" if expected.sign * change.mean() > 0.0 else "against it") if decided else "undecided"
        rows.append(
            {
                "parameter": expected.parameter,
                "covariate": name,
                "expected": "rises" if expected.sign > 0 else "falls",
                "change": change.mean(),
                "low": change.min(),
                "high": change.max(),
                "found": found,
                "source": expected.source,
            }
        )
    columns = ["parameter", "covariate", "expected", "change", "low", "high", "found", "source"]
    return pd.DataFrame(rows, columns=columns)


def _check_groups(frame: pd.DataFrame, groups: Groups) -> None:
    grouped = [column for columns in groups.values() for column in columns]
    wrong = sorted(set(grouped).symmetric_difference(map(str, frame)) | {c for c in grouped if grouped.count(c) > 1})
    if wrong:
        raise InputError(
            f"every column has to be in exactly one group, but not so: {', '.join(wrong)}. Take the groups of "
            "`covariate_groups(frame)`: what is never permuted would look as if it did not matter."
        )


def _permuted(frame: pd.DataFrame, groups: Groups, n_repeats: int, seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    rng = np.random.default_rng(seed)
    for _ in range(n_repeats):
        order = rng.permutation(len(frame))
        for group, columns in groups.items():
            changed = frame.copy()
            changed[list(columns)] = frame[list(columns)].iloc[order].set_axis(frame.index)
            yield group, changed


def _values(frame: pd.DataFrame, name: str, n_values: int) -> NDArray[np.float64]:
    """Values of a covariate to predict at."""
    if name not in frame:
        raise InputError(f"no covariate {name!r}; the frame has {', '.join(map(str, frame))}.")
    values = frame[name].to_numpy(dtype=np.float64)
    low, high = np.quantile(values, INNER_RANGE)
    if not low < high:
        raise InputError(f"covariate {name!r} is {low:g} at nearly all sites: nothing can depend on it here.")
    return np.linspace(low, high, n_values)


def _means_at_value(
    predicted_parameters: PredictedParameters, frame: pd.DataFrame, name: str, value: float, together: Sequence[str]
) -> NDArray[np.float64]:
    """Mean over the sites of every member's parameters, (n_members, 25), once a covariate has one value everywhere."""
    changed = frame.assign(**{name: value})
    if together:
        found = np.sort(frame[name].to_numpy(dtype=np.float64))
        # Halfway between the sites below and the sites not above: a value that many sites share has its middle rank.
        rank = 0.5 * (np.searchsorted(found, value, "left") + np.searchsorted(found, value, "right")) / found.size
        changed = changed.assign(**{other: np.quantile(frame[other].to_numpy(float), rank) for other in together})
    return np.asarray(predicted_parameters(changed), dtype=np.float64).mean(axis=1)


def _varies(values: pd.Series) -> bool:
    """Whether a covariate differs between the two ends that its change is read at."""
    low, high = np.quantile(values.to_numpy(float), INNER_RANGE)
    return bool(low < high)
