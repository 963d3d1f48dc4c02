"""Which covariates speak of the same thing, and therefore must be judged together."""

from __future__ import annotations

import re
from collections.abc import Iterable

from proda.data.covariate_lists import LISTS
from proda.errors import InputError

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
_LISTED_CLASSES = frozenset(row.name for rows in LISTS.values() for row in rows if row.kind == "categorical")
_ONE_HOT = re.compile(r"(?P<name>.+)=(?P<code>-?\d+)")


def covariate_of(column: str) -> str:
    """The covariate that a column speaks of: itself, or what stands before `=` of a column `name=code`."""
    one_hot = _ONE_HOT.fullmatch(column)
    return one_hot["name"] if one_hot else column


def codes_of(columns: Iterable[str], covariate: str) -> dict[int, str]:
    """Code -> column of a class that stands in columns `name=code`, ascending; empty for any other covariate."""
    matches = (_ONE_HOT.fullmatch(column) for column in columns)
    found = {int(match["code"]): match.string for match in matches if match and match["name"] == covariate}
    return dict(sorted(found.items()))


def is_class(covariate: str) -> bool:
    """Whether the lists of `proda.data.covariate_lists` call it categorical, or its name ends in `_class`."""
    return covariate in _LISTED_CLASSES or covariate.endswith("_class")


def covariate_groups(names: Iterable[str]) -> dict[str, list[str]]:
    """Columns by what they speak of, in the order of `GROUPS`; "other" for names that no group knows.

    Every name is in exactly one group, groups without a name are left out. The result is a plain dictionary: two groups
    of it may be joined where their covariates hardly differ in what they say (a class of climate follows from climate).

    Parameters
    ----------
    names : iterable of str
        Of `proda.data.covariate_lists`, columns `name=code` made of a class, or others.

    Raises
    ------
    InputError
        When a name occurs twice.
    """
    names = [str(name) for name in names]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"covariate {twice!r} occurs twice; expected each column once.")
    groups: dict[str, list[str]] = {group: [] for group in (*GROUPS, OTHER)}
    for name in names:
        covariate = covariate_of(name)
        group = next((group for group, pattern in GROUPS.items() if re.fullmatch(pattern, covariate)), OTHER)
        groups[group].append(name)
    return {group: columns for group, columns in groups.items() if columns}
