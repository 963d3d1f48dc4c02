"""What a trained network's predictions depend on: importance of groups of covariates, and expected signs.

All columns of a group are permuted among held-out sites together, so that only its tie to the site is cut. Groups that
carry the same information hide each other, permuted sites may not exist in nature, and the forcing of the site's cell
is not permuted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.learning.scores import scores
from proda.model.parameters import table_of

Groups = Mapping[str, Sequence[str]]
Predicted = Callable[[pd.DataFrame], ArrayLike]

OTHER = "other"
# A class of texture follows from sand, silt and clay and stands with them. Classes of climate, soil and land stand
# alone: that shows what a class adds to the numbers.
GROUPS = {
    "climate": r"BIO\d+|Drought|mean_annual_temperature_degC|precipitation_mm_yr|absolute_minimum_temperature"
    r"|(udel_)?(temperature|precipitation)(_\w+)?|sunshine",
    "climate class": r"Climate|Koppen_Climate_2018|koppen_(main_)?class|soil_(moisture|temperature)_regime",
    "vegetation and productivity": r"NPP(mean|max|min)|Veg_Cover|(clm5_)?npp_gC_m2_yr|cesm2_(npp|npp_std|vegc)"
    r"|gpp|tree_cover",
    "land cover and use": r"IGBP|ESA_Land_Cover|igbp_land_cover|own_land_use|global_map_land_cover",
    "soil texture": r"(Sand|Silt|Clay)_Content_\d+cm|Texture_USDA_\d+cm|(sand|silt|clay)_(fraction|\d+_\d+cm)",
    "soil density and stones": r"(Bulk_Density|Coarse_Fragments_v)_\d+cm|(bulk_density|coarse_fragments)_\d+_\d+cm",
    "soil chemistry": r"(CEC|pH_Water)_\d+cm|(cec|ph)_\d+_\d+cm|Garde_Acid",
    "soil water": r"SWC_v_Wilting_Point_\d+cm|water_\w+_m3_m3|available_water_capacity|drainage_class",
    "soil class": r"Soil_Type|USDA_Suborder|WRB_Subgroup|wrb_soil_group",
    "depth to bedrock": r"Abs_Depth_to_Bedrock|Depth_Bedrock_R|Occurrence_R_Horizon|nbedrock|root_depth_class",
    "position and height": r"Lon|Lat|Elevation|elevation|slope|relief",
}
INNER_RANGE = (0.02, 0.98)  # quantiles of a covariate between which the change of a parameter is read
LEAST_CHANGE = 0.01  # of the unit cube between the ends of a covariate: less counts as none


class Expectation(NamedTuple):
    """That a parameter rises (+1) or falls (-1) with the covariates that match `pattern`, and the source."""

    parameter: str
    pattern: str
    sign: int
    source: str


CLAY, SAND = r"Clay_Content_\d+cm|clay_(fraction|\d+_\d+cm)", r"Sand_Content_\d+cm|sand_(fraction|\d+_\d+cm)"
PH = r"pH_Water_\d+cm|ph_\d+_\d+cm"
_CENTURY = "Century, Parton et al. 1987, doi 10.2136/sssaj1987.03615995005100050015x"
_CENTURY_4 = "Century, Parton et al. 1993, doi 10.1029/93GB02042"
_EARTHWORMS = "Edwards and Bohlen 1996, Biology and Ecology of Earthworms"
EXPECTATIONS = (
    Expectation("tau4s1", CLAY, +1, f"fine texture slows the fast pool ({_CENTURY})"),
    Expectation("fs1s2", SAND, -1, f"in sand more of the fast pool is respired ({_CENTURY})"),
    Expectation("fs1s3", CLAY, +1, f"clay holds what becomes passive ({_CENTURY_4})"),
    Expectation("tau4s3", CLAY, +1, "silt and clay protect carbon (Six et al. 2002, doi 10.1023/A:1016125726789)"),
    Expectation("diffus", PH, +1, f"earthworms avoid acid soil ({_EARTHWORMS})"),
)


def covariate_groups(names: Iterable[str]) -> dict[str, list[str]]:
    """Columns, or `name=code` of a class, by their subject as in `GROUPS`; "other" for those in no group."""
    groups: dict[str, list[str]] = {group: [] for group in (*GROUPS, OTHER)}
    for name in names:
        covariate = name.partition("=")[0]
        groups[next((group for group, pattern in GROUPS.items() if re.fullmatch(pattern, covariate)), OTHER)] += [name]
    return {group: columns for group, columns in groups.items() if columns}


def group_importance(
    predicted: Predicted, frame: pd.DataFrame, observed: NDArray, present: NDArray, n_repeats: int = 10, seed: int = 0
) -> pd.DataFrame:
    """How much worse SOC is predicted once a group of covariates is permuted among the sites.

    `predicted` maps a frame like `frame` (n, n_columns) to SOC at the layers, (n, m), kg C m-3; a site counts once for
    each of its layers that are `present`. The permutations of one repeat are the same for every group.

    The columns are `group`, the most important first; `n_columns`; `mse_increase`, (kg C m-3)^2, the mean over the
    repeats, with its sd `mse_increase_sd` (an unbiased sum of functions of independent groups loses twice the variance
    that the group explains); `efficiency_loss`.
    """
    groups = covariate_groups(frame)

    def scores_of(changed: pd.DataFrame) -> dict[str, float]:
        return scores(observed[present], np.asarray(predicted(changed), dtype=np.float64)[present])

    start, rows = scores_of(frame), []
    for group, changed in _permuted(frame, groups, n_repeats, seed):
        after = scores_of(changed)
        rows.append((group, after["rmse"] ** 2 - start["rmse"] ** 2, start["efficiency"] - after["efficiency"]))
    by_group = pd.DataFrame(rows, columns=["group", "mse_increase", "efficiency_loss"]).groupby("group")
    table = by_group.mean()
    table.insert(0, "n_columns", pd.Series({group: len(columns) for group, columns in groups.items()}))
    table.insert(2, "mse_increase_sd", by_group["mse_increase"].std())
    return table.loc[list(groups)].sort_values("mse_increase", ascending=False, kind="stable").reset_index()


def parameter_importance(
    predicted_parameters: Predicted, frame: pd.DataFrame, parameters: Sequence[str], n_repeats: int = 10, seed: int = 0
) -> pd.DataFrame:
    """How far each of `parameters` changes once a group of covariates is permuted among the sites.

    `predicted_parameters` maps a frame like `frame` to (n_members, n, d), unit cube; the mean of the members counts.
    The columns are `group`, `parameter` and `share`, the mean square change over sites and repeats over twice the
    variance of the prediction among the sites, which for independent groups is the total Sobol index of the group
    (Jansen 1999, doi 10.1016/S0010-4655(98)00154-4); NaN where the parameter does not vary.
    """
    groups, start = covariate_groups(frame), np.asarray(predicted_parameters(frame))
    columns = [table_of(start.shape[-1]).index(name) for name in parameters]
    start = start[:, :, columns].mean(axis=0)
    squares: dict[str, list[NDArray]] = {group: [] for group in groups}
    for group, changed in _permuted(frame, groups, n_repeats, seed):
        after = np.asarray(predicted_parameters(changed))[:, :, columns].mean(axis=0)
        squares[group].append(((after - start) ** 2).mean(axis=0))
    twice_variance = np.where(np.ptp(start, axis=0) > 0.0, 2.0 * start.var(axis=0), np.nan)
    shares = pd.DataFrame({group: np.mean(square, axis=0) / twice_variance for group, square in squares.items()})
    shares.index = pd.Index(parameters, name="parameter")
    return shares.melt(var_name="group", value_name="share", ignore_index=False).reset_index()


def compare_with_expected_signs(
    predicted_parameters: Predicted, frame: pd.DataFrame, expectations: Sequence[Expectation] = EXPECTATIONS
) -> pd.DataFrame:
    """Expected signs, beside the change of parameters between the 2 and 98 % quantiles of the covariates.

    All sites get the quantile, of all covariates that match together (clay at all depths). Expectations about
    covariates that `frame` lacks, or that do not vary, are left out. The columns are `parameter`, `covariates`,
    `expected` ("rises" or "falls"), `change` (unit cube, mean of the members), its `low` and `high` among members,
    `found` ("as expected", "against it", or "undecided" where the members disagree about the sign or the change is less
    than `LEAST_CHANGE`), `source`.
    """
    rows = []
    for expected in expectations:
        ends = frame.filter(regex=f"^({expected.pattern})$").quantile(INNER_RANGE)
        if ends.empty or (ends.iloc[0] == ends.iloc[1]).all():
            continue
        low, high = (np.asarray(predicted_parameters(frame.assign(**end))) for _, end in ends.iterrows())
        column = table_of(low.shape[-1]).index(expected.parameter)
        low, high = (x[:, :, column].mean(axis=1) for x in (low, high))
        change = high - low
        decided = abs(change.mean()) >= LEAST_CHANGE and np.unique(np.sign(change)).size == 1
        found = ("as expected" if expected.sign * change.mean() > 0.0 else "against it") if decided else "undecided"
        rows.append(
            {
                "parameter": expected.parameter,
                "covariates": ", ".join(ends),
                "expected": "rises" if expected.sign > 0 else "falls",
                "change": change.mean(),
                "low": change.min(),
                "high": change.max(),
                "found": found,
                "source": expected.source,
            }
        )
    return pd.DataFrame(rows)


def _permuted(frame: pd.DataFrame, groups: Groups, n_repeats: int, seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    rng = np.random.default_rng(seed)
    for _ in range(n_repeats):
        order = rng.permutation(len(frame))
        for group, columns in groups.items():
            yield group, frame.assign(**{name: frame[name].to_numpy()[order] for name in columns})
