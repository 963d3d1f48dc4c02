"""The cleaning of soil profiles: named rules, applied in order, and an account of every profile and layer.

Nothing is repaired. An upper bound below its lower bound may be a slip of the pen, or an organic layer measured upwards
from the mineral surface, as in surveys before 1993, and the table does not show which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from proda.data.bulk_density import ORGANIC_FROM, estimated_by_source, greatest_density
from proda.data.tables import ProfileTables
from proda.errors import InputError, ProdaError

Excluded = pd.Series  # the value that a rule does not allow, by row label of the table it applies to
Limits = Mapping[str, float]
OFF = 0  # the value of a threshold whose rule is not applied
ACCOUNT_COLUMNS = ("rule", "profiles_before", "profiles_after", "layers_before", "layers_after")


@dataclass(frozen=True)
class Rule:
    """One reason to exclude a profile or a layer.

    Attributes
    ----------
    name : str
        As in exclusions.csv.
    meaning : str
    table : "profiles" or "layers"
        The layers of an excluded profile are excluded with it, under the same rule.
    excluded : callable
        (tables, limits) -> the excluded rows of that table with their values.
    setting : str
        The setting that holds its threshold; empty where it needs none.
    """

    name: str
    meaning: str
    table: str
    excluded: Callable[[ProfileTables, Limits], Excluded]
    setting: str = ""


RULES: list[Rule] = []


def rule(name: str, meaning: str, table: str, setting: str = "") -> Callable:
    """Add the decorated function to `RULES`, which are applied in the order of their definition."""

    def added(excluded: Callable[[ProfileTables, Limits], Excluded]) -> Callable:
        RULES.append(Rule(name, meaning, table, excluded, setting))
        return excluded

    return added


def _shown_position(profiles: pd.DataFrame) -> pd.Series:
    return profiles["lon"].map("lon {:g}".format) + profiles["lat"].map(", lat {:g}".format)


@rule("layer without profile", "its profile is not in the table of profiles", "layers")
def _orphans(tables: ProfileTables, limits: Limits) -> Excluded:
    known = tables.layers["profile_id"].isin(tables.profiles["profile_id"])
    return tables.layers.loc[~known, "profile_id"]


@rule("no layers", "no layer of it has organic carbon", "profiles")
def _no_layers(tables: ProfileTables, limits: Limits) -> Excluded:
    empty = ~tables.profiles["profile_id"].isin(tables.layers["profile_id"])
    return pd.Series("no layer", tables.profiles.index[empty], dtype=object)


@rule("position missing", "no longitude or latitude, or none that exists", "profiles")
def _position_missing(tables: ProfileTables, limits: Limits) -> Excluded:
    lon, lat = tables.profiles["lon"], tables.profiles["lat"]
    possible = lon.between(-180, 180) & lat.between(-90, 90)
    return _shown_position(tables.profiles[~possible]).astype(object).map(lambda text: text.replace("nan", "missing"))


@rule("position uncertain", "position too uncertain (0: not applied)", "profiles", "max_position_uncertainty_km")
def _position_uncertain(tables: ProfileTables, limits: Limits) -> Excluded:
    most = limits.get("max_position_uncertainty_km", OFF)
    if most == OFF or "position_uncertainty" not in tables.profiles:
        return pd.Series(dtype=object)
    uncertainty = tables.profiles["position_uncertainty"] / 1000.0
    return uncertainty[uncertainty > most].map("{:.4g} km".format)


@rule("outside the domain", "too far from the box around the land cells", "profiles", "nearest_cell_degrees")
def _outside_domain(tables: ProfileTables, limits: Limits) -> Excluded:
    profiles = tables.profiles
    return _shown_position(profiles[~profiles["in_domain"]])


@rule("off the land", "too far from the nearest land cell", "profiles", "nearest_cell_degrees")
def _off_land(tables: ProfileTables, limits: Limits) -> Excluded:
    profiles = tables.profiles
    return profiles.loc[profiles["cell"] < 0, "distance"].map("{:.3g} degrees".format)


@rule("no forcing", "its land cell lacks climate or a positive NPP", "profiles")
def _no_forcing(tables: ProfileTables, limits: Limits) -> Excluded:
    return tables.profiles.loc[~tables.profiles["has_forcing"], "cell"].map("source cell {}".format)


@rule("no covariates", "a covariate is missing at its place", "profiles")
def _no_covariates(tables: ProfileTables, limits: Limits) -> Excluded:
    return tables.profiles.loc[~tables.profiles["has_covariates"], "cell"].map("source cell {}".format)


@rule("duplicate profile", "layers and place of an earlier profile", "profiles", "duplicate_tolerance_degrees")
def _duplicates(tables: ProfileTables, limits: Limits) -> Excluded:
    """Profiles with the layers of an earlier one, bounds and carbon alike to four digits, at the same place."""
    layers, tolerance = tables.layers, limits["duplicate_tolerance_degrees"]
    text = layers["upper_depth"].map("{:.3f}".format) + layers["lower_depth"].map("-{:.3f}".format)
    text += layers["soc"].map(":{:.4g};".format)
    prints = text.groupby(layers["profile_id"], sort=False).sum()
    profiles = tables.profiles.assign(print=tables.profiles["profile_id"].map(prints)).dropna(subset="print")
    twins = profiles[profiles["print"].duplicated(keep=False)]
    original_of, kept = {}, {}
    for row, name, lon, lat, same in twins[["profile_id", "lon", "lat", "print"]].itertuples():
        others = kept.setdefault(same, [])
        near = (other for other, x, y in others if max(abs(x - lon), abs(y - lat)) <= tolerance)
        original = next(near, None)
        if original is None:
            others.append((name, lon, lat))
        else:
            original_of[row] = original
    return pd.Series(original_of, dtype=object)


@rule("layer twice", "a second layer of that number in the profile", "layers")
def _layer_twice(tables: ProfileTables, limits: Limits) -> Excluded:
    layers = tables.layers
    twice = layers.duplicated(["profile_id", "layer"])
    return layers.loc[twice, "layer"].map("layer {} a second time".format)


@rule("litter layer", "litter on the mineral soil, where the model begins", "layers", "exclude_litter")
def _litter(tables: ProfileTables, limits: Limits) -> Excluded:
    layers = tables.layers
    if not limits.get("exclude_litter", True) or "kind" not in layers:
        return pd.Series(dtype=object)
    litter = layers[layers["kind"] == "litter"]
    return litter["upper_depth"].map("{:g}".format) + litter["lower_depth"].map(" to {:g} m".format)


@rule("no density", "carbon by mass without a bulk density", "layers", "bulk_density_rule")
def _no_density(tables: ProfileTables, limits: Limits) -> Excluded:
    unknown = tables.layers["soc"].isna()
    return pd.Series("no bulk density", tables.layers.index[unknown], dtype=object)


@rule("no carbon", "zero or negative carbon, of which the error cannot be relative", "layers")
def _no_carbon(tables: ProfileTables, limits: Limits) -> Excluded:
    return (tables.layers.loc[tables.layers["soc"] <= 0, "soc"] / 1000).map("{:g} kg m-3".format)


@rule("inverted depths", "lower bound not below the upper one, or a bound missing", "layers")
def _inverted_depths(tables: ProfileTables, limits: Limits) -> Excluded:
    upper, lower = tables.layers["upper_depth"], tables.layers["lower_depth"]
    good = (upper >= 0) & (lower > upper)  # false where a bound is missing
    return upper[~good].map("{:g} to ".format) + lower[~good].map("{:g} m".format)


@rule("implausible density", "more carbon than max_soc_kg_m3", "layers", "max_soc_kg_m3")
def _implausible(tables: ProfileTables, limits: Limits) -> Excluded:
    soc = tables.layers["soc"] / 1000
    return soc[soc > limits["max_soc_kg_m3"]].map("{:.4g} kg m-3".format)


@rule(
    "carbon of limestone",
    "too dense for organic carbon, from this pH on (0: not applied)",
    "layers",
    "limestone_from_ph",
)
def _limestone(tables: ProfileTables, limits: Limits) -> Excluded:
    """Alkaline mineral layers too dense for their carbon to be that of organic matter, which is light.

    Only a measured density is evidence: one that was estimated from carbon agrees with any carbon. Organic soils are
    exempt, since in peat and muck organic and mineral volumes do not add up.
    """
    layers, least_ph = tables.layers, limits.get("limestone_from_ph", OFF)
    if least_ph == OFF or not {"organic_carbon", "bulk_density", "ph"} <= set(layers):
        return pd.Series(dtype=object)
    mineral = layers[(layers["organic_carbon"] < ORGANIC_FROM) & ~estimated_by_source(layers)]
    too_dense = mineral["bulk_density"] > greatest_density(mineral["organic_carbon"])
    excluded = mineral[too_dense & (mineral["ph"] >= least_ph)]
    text = (excluded["organic_carbon"] / 10).map("{:.3g} % carbon at pH ".format)
    return text + excluded["ph"].map("{:.1f} and ".format) + excluded["bulk_density"].map("{:.2f} g cm-3".format)


@rule("below the model", "its middle lies deeper than max_depth_m", "layers", "max_depth_m")
def _too_deep(tables: ProfileTables, limits: Limits) -> Excluded:
    middle = 0.5 * (tables.layers["upper_depth"] + tables.layers["lower_depth"])
    return middle[middle > limits["max_depth_m"]].map("{:.3g} m".format)


@rule("overlapping layers", "starts within the layer above", "layers", "overlap_tolerance_m")
def _overlapping(tables: ProfileTables, limits: Limits) -> Excluded:
    """Layers that start above the end of a layer kept before them, reading each profile from the top."""
    layers = tables.layers.sort_values(["profile_id", "upper_depth", "lower_depth"], kind="stable")
    tolerance = limits["overlap_tolerance_m"] + 1e-9
    profile_id = layers["profile_id"]
    deepest = layers.groupby("profile_id", sort=False)["lower_depth"].cummax().groupby(profile_id, sort=False).shift()
    suspects = layers.loc[layers["upper_depth"] < deepest - tolerance, "profile_id"].unique()
    within, current, end = {}, None, 0.0
    suspected = layers[layers["profile_id"].isin(suspects)]
    for row, name, upper, lower in suspected[["profile_id", "upper_depth", "lower_depth"]].itertuples():
        if name != current:
            current, end = name, 0.0
        if upper < end - tolerance:
            within[row] = f"{upper:g} m, within a layer down to {end:g} m"
        else:
            end = max(end, lower)
    return pd.Series(within, dtype=object)


@rule("too few layers", "fewer layers left than min_layers", "profiles", "min_layers")
def _few_layers(tables: ProfileTables, limits: Limits) -> Excluded:
    n_layers = tables.profiles["profile_id"].map(tables.layers["profile_id"].value_counts()).fillna(0).astype(int)
    return n_layers[n_layers < limits["min_layers"]].map("{} left".format)


class CleanedTables(NamedTuple):
    """The tables that cleaning leaves, and the account of what it excludes.

    Attributes
    ----------
    profiles, layers : DataFrame
        As in `ProfileTables`, the layers sorted by profile and depth.
    exclusions : DataFrame
        One row an excluded profile or layer, in the order of the rules: profile_id, layer (the source's own number,
        missing for a whole profile), rule, value, kind (of a layer), source (of the profile).
    account : DataFrame
        One row a rule, in order, with `ACCOUNT_COLUMNS`.
    """

    profiles: pd.DataFrame
    layers: pd.DataFrame
    exclusions: pd.DataFrame
    account: pd.DataFrame


def cleaned(tables: ProfileTables, limits: Limits) -> CleanedTables:
    """`tables` without what `RULES`, applied one after the other, exclude.

    Parameters
    ----------
    tables : ProfileTables
        Profiles with `in_domain`, `cell` (-1 off the land), `distance` (degrees), `has_forcing` and `has_covariates`
        besides.
    limits : mapping
        The settings min_layers, max_depth_m (m), max_soc_kg_m3 (kg m-3), overlap_tolerance_m (m) and
        duplicate_tolerance_degrees; optional max_position_uncertainty_km and limestone_from_ph (default 0: not
        applied) and exclude_litter (default true).

    Raises
    ------
    InputError
        When nothing is left.
    ProdaError
        When rows in are not rows out plus rows excluded.
    """
    current = ProfileTables(tables.profiles.reset_index(drop=True), tables.layers.reset_index(drop=True))
    exclusions, account = [], []
    for applied in RULES:
        excluded = applied.excluded(current, limits)
        before = current
        if applied.table == "profiles":
            gone = before.profiles.loc[excluded.index, "profile_id"]
            exclusions.append(
                pd.DataFrame({"profile_id": gone, "layer": pd.NA, "rule": applied.name, "value": excluded})
            )
            lost = before.layers[before.layers["profile_id"].isin(gone)]
            values = lost["profile_id"].map(pd.Series(excluded.to_numpy(), gone.to_numpy(), dtype=object))
            current = ProfileTables(before.profiles.drop(excluded.index), before.layers.drop(lost.index))
        else:
            lost, values = before.layers.loc[excluded.index], excluded
            current = ProfileTables(before.profiles, before.layers.drop(excluded.index))
        kind = lost.get("kind", pd.Series(pd.NA, lost.index))
        exclusions.append(lost[["profile_id", "layer"]].assign(rule=applied.name, value=values, kind=kind))
        sizes = (len(part) for pair in zip(before, current, strict=True) for part in pair)
        account.append((applied.name, *sizes))
    source = tables.profiles.set_index("profile_id")["source"]
    listed = pd.concat([part.astype(object) for part in exclusions], ignore_index=True)
    listed = listed.assign(source=listed["profile_id"].map(source), layer=listed["layer"].astype("Int64"))
    layers = current.layers.sort_values(["profile_id", "upper_depth", "lower_depth"], kind="stable", ignore_index=True)
    result = CleanedTables(
        current.profiles.reset_index(drop=True), layers, listed, pd.DataFrame(account, columns=ACCOUNT_COLUMNS)
    )
    _check_account(tables, result)
    return result


def rules_table(account: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
    """The rules with their thresholds in the study's `settings`, and the profiles and layers that each excluded."""
    counts = account.set_index("rule")
    return pd.DataFrame(
        {
            "excludes": [each.meaning for each in RULES],
            "threshold": [str(settings.get(each.setting, "")) for each in RULES],
            "profiles": counts["profiles_before"] - counts["profiles_after"],
            "layers": counts["layers_before"] - counts["layers_after"],
        }
    )


def _check_account(tables: ProfileTables, result: CleanedTables) -> None:
    whole = int(result.exclusions["layer"].isna().sum())
    for name, rows_in, rows_out, excluded in (
        ("profiles", len(tables.profiles), len(result.profiles), whole),
        ("layers", len(tables.layers), len(result.layers), len(result.exclusions) - whole),
    ):
        if rows_in != rows_out + excluded:
            raise ProdaError(f"cleaning lost count: {rows_in} {name} in, {rows_out} out, {excluded} excluded.")
    if not len(result.profiles):
        worst = result.exclusions["rule"].value_counts()
        raise InputError(
            f"cleaning left no profile of {len(tables.profiles)}; most were excluded by the rule {worst.index[0]!r} "
            f"({worst.iloc[0]} rows). Look at the source tables and at the thresholds of the study."
        )
