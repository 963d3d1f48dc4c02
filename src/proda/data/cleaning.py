"""The cleaning of soil profiles: rules with names, applied in order, and an account that adds up.

Every rule says which profiles or layers it takes out and which value it took offence at. Nothing is repaired: an upper
bound below its lower bound may be a slip of the pen, or an organic layer measured upwards from the mineral surface as
surveys did before 1993, and the table does not say which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from proda.data.profiles import ProfileTables
from proda.errors import InputError, ProdaError

ACCOUNT_COLUMNS = ("rule", "profiles_before", "profiles_after", "layers_before", "layers_after")

# What a rule finds: the value that offends, by row label of the table it judges.
Found = pd.Series
Limits = Mapping[str, float]


@dataclass(frozen=True)
class Rule:
    """One reason to leave something out.

    Attributes
    ----------
    name : str
        As it stands in exclusions.csv.
    meaning : str
        One line for the reader of the account.
    judges : "profiles" or "layers"
        When a profile goes, the layers it still has go with it, under the same rule.
    found : callable
        (tables, limits) -> the offending rows of that table with their values.
    """

    name: str
    meaning: str
    judges: str
    found: Callable[[ProfileTables, Limits], Found]


class CleanedTables(NamedTuple):
    """What cleaning leaves, and the account of what it took.

    Attributes
    ----------
    profiles, layers : DataFrame
        As in `ProfileTables`, the layers sorted by profile and depth.
    exclusions : DataFrame
        profile_id, layer (missing for a whole profile), rule, value, source.
    account : DataFrame
        One row a rule, in order, with `ACCOUNT_COLUMNS`.
    """

    profiles: pd.DataFrame
    layers: pd.DataFrame
    exclusions: pd.DataFrame
    account: pd.DataFrame


def _orphans(tables: ProfileTables, limits: Limits) -> Found:
    known = tables.layers["profile_id"].isin(tables.profiles["profile_id"])
    return tables.layers.loc[~known, "profile_id"]


def _position_missing(tables: ProfileTables, limits: Limits) -> Found:
    lon, lat = tables.profiles["lon"], tables.profiles["lat"]
    possible = lon.between(-180, 180) & lat.between(-90, 90)
    shown = lon.map("lon {:g}".format) + lat.map(", lat {:g}".format)
    return shown[~possible].str.replace("nan", "missing")


def _off_land(tables: ProfileTables, limits: Limits) -> Found:
    profiles = tables.profiles
    return profiles.loc[profiles["cell"] < 0, "distance"].map("{:.3g} degrees".format)


def _no_forcing(tables: ProfileTables, limits: Limits) -> Found:
    return tables.profiles.loc[~tables.profiles["has_forcing"], "cell"].map("source cell {}".format)


def _no_covariates(tables: ProfileTables, limits: Limits) -> Found:
    return tables.profiles.loc[~tables.profiles["has_covariates"], "cell"].map("source cell {}".format)


def _duplicates(tables: ProfileTables, limits: Limits) -> Found:
    """Profiles with the layers of an earlier one, bounds and carbon alike to four digits, at the same place."""
    layers = tables.layers
    text = layers["upper_depth"].map("{:.3f}".format) + layers["lower_depth"].map("-{:.3f}".format)
    text += layers["soc"].map(":{:.4g};".format)
    prints = text.groupby(layers["profile_id"], sort=False).sum()
    profiles = tables.profiles.assign(print=tables.profiles["profile_id"].map(prints)).dropna(subset="print")
    found = {}
    for _, alike in profiles[profiles["print"].duplicated(keep=False)].groupby("print", sort=False):
        kept: list[int] = []
        for row in alike.index:
            away = (alike.loc[kept, ["lon", "lat"]] - alike.loc[row, ["lon", "lat"]].astype(float)).abs().max(axis=1)
            near = away.index[away <= limits["duplicate_tolerance_degrees"]]
            if len(near):
                found[row] = alike.loc[near[0], "profile_id"]
            else:
                kept.append(row)
    return pd.Series(found, dtype=object)


def _no_density(tables: ProfileTables, limits: Limits) -> Found:
    unknown = tables.layers["soc"].isna()
    return pd.Series("no bulk density", tables.layers.index[unknown], dtype=object)


def _no_carbon(tables: ProfileTables, limits: Limits) -> Found:
    return (tables.layers.loc[tables.layers["soc"] <= 0, "soc"] / 1000).map("{:g} kg m-3".format)


def _inverted_depths(tables: ProfileTables, limits: Limits) -> Found:
    upper, lower = tables.layers["upper_depth"], tables.layers["lower_depth"]
    good = (upper >= 0) & (lower > upper)  # false where a bound is missing
    return (upper.map("{:g}".format) + " to " + lower.map("{:g} m".format))[~good]


def _implausible(tables: ProfileTables, limits: Limits) -> Found:
    soc = tables.layers["soc"] / 1000
    return soc[soc > limits["max_soc_kg_m3"]].map("{:.4g} kg m-3".format)


def _too_deep(tables: ProfileTables, limits: Limits) -> Found:
    middle = 0.5 * (tables.layers["upper_depth"] + tables.layers["lower_depth"])
    return middle[middle > limits["max_depth_m"]].map("{:.3g} m".format)


def _overlapping(tables: ProfileTables, limits: Limits) -> Found:
    """Layers that start above the end of a layer kept before them, reading each profile from the top."""
    layers = tables.layers.sort_values(["profile_id", "upper_depth", "lower_depth"], kind="stable")
    tolerance = limits["overlap_tolerance_m"] + 1e-9
    profile_id = layers["profile_id"]
    deepest = layers.groupby("profile_id", sort=False)["lower_depth"].cummax().groupby(profile_id, sort=False).shift()
    suspects = layers.loc[layers["upper_depth"] < deepest - tolerance, "profile_id"].unique()
    found = {}
    for _, profile in layers[layers["profile_id"].isin(suspects)].groupby("profile_id", sort=False):
        end = 0.0
        for row, upper, lower in profile[["upper_depth", "lower_depth"]].itertuples():
            if upper < end - tolerance:
                found[row] = f"{upper:g} m, within a layer down to {end:g} m"
            else:
                end = max(end, lower)
    return pd.Series(found, dtype=object)


def _few_layers(tables: ProfileTables, limits: Limits) -> Found:
    n_layers = tables.profiles["profile_id"].map(tables.layers["profile_id"].value_counts()).fillna(0).astype(int)
    return n_layers[n_layers < limits["min_layers"]].map("{} left".format)


RULES = (
    Rule("layer without profile", "its profile is not in the table of profiles", "layers", _orphans),
    Rule("position missing", "no longitude or latitude, or none that exists", "profiles", _position_missing),
    Rule("off the land", "farther from the nearest land cell than nearest_cell_degrees", "profiles", _off_land),
    Rule("no forcing", "its land cell lacks climate or a positive NPP", "profiles", _no_forcing),
    Rule("no covariates", "a covariate is missing at its place", "profiles", _no_covariates),
    Rule("duplicate profile", "the same layers at the same place as an earlier profile", "profiles", _duplicates),
    Rule("no density", "carbon by mass without a bulk density", "layers", _no_density),
    Rule("no carbon", "zero or negative carbon, of which the error cannot be relative", "layers", _no_carbon),
    Rule("inverted depths", "lower bound not below the upper one, or a bound missing", "layers", _inverted_depths),
    Rule("implausible density", "more carbon than max_soc_kg_m3", "layers", _implausible),
    Rule("below the model", "its middle lies deeper than max_depth_m", "layers", _too_deep),
    Rule("overlapping layers", "starts within the layer above", "layers", _overlapping),
    Rule("too few layers", "fewer layers left than min_layers", "profiles", _few_layers),
)


def cleaned(tables: ProfileTables, limits: Limits, rules: tuple[Rule, ...] = RULES) -> CleanedTables:
    """What `rules`, applied one after the other, leave of `tables`.

    Parameters
    ----------
    tables : ProfileTables
        Profiles with `cell` (-1 off the land), `distance` (degrees), `has_forcing` and `has_covariates` besides.
    limits : mapping
        The settings min_layers, max_depth_m (m), max_soc_kg_m3 (kg m-3), overlap_tolerance_m (m) and
        duplicate_tolerance_degrees.

    Raises
    ------
    InputError
        When nothing is left.
    ProdaError
        When rows in are not rows out plus rows excluded.
    """
    current = ProfileTables(tables.profiles.reset_index(drop=True), tables.layers.reset_index(drop=True))
    source = tables.profiles.set_index("profile_id")["source"]
    exclusions, account = [], []
    for rule in rules:
        found = rule.found(current, limits)
        before = current
        if rule.judges == "profiles":
            gone = before.profiles.loc[found.index, "profile_id"]
            lost = before.layers[before.layers["profile_id"].isin(gone)]
            values = pd.Series(found.to_numpy(), gone.to_numpy(), dtype=object)
            exclusions.append(pd.DataFrame({"profile_id": gone, "layer": pd.NA, "rule": rule.name, "value": found}))
            lost_values = lost["profile_id"].map(values)
            current = ProfileTables(before.profiles.drop(found.index), before.layers.drop(lost.index))
        else:
            lost, lost_values = before.layers.loc[found.index], found
            current = ProfileTables(before.profiles, before.layers.drop(found.index))
        exclusions.append(
            pd.DataFrame(
                {"profile_id": lost["profile_id"], "layer": lost["layer"], "rule": rule.name, "value": lost_values}
            )
        )
        sizes = (before.profiles, current.profiles, before.layers, current.layers)
        account.append((rule.name, *map(len, sizes)))
    listed = pd.concat([part.astype(object) for part in exclusions], ignore_index=True)
    listed = listed.assign(source=listed["profile_id"].map(source), layer=listed["layer"].astype("Int64"))
    layers = current.layers.sort_values(["profile_id", "upper_depth", "lower_depth"], kind="stable", ignore_index=True)
    account = pd.DataFrame(account, columns=ACCOUNT_COLUMNS)
    result = CleanedTables(current.profiles.reset_index(drop=True), layers, listed, account)
    _check_account(tables, result)
    return result


def layers_above(tables: ProfileTables, thresholds: tuple[float, ...]) -> pd.DataFrame:
    """How many raw layers hold more carbon than each threshold, kg m-3, by source: what a limit would take out."""
    source = tables.layers["profile_id"].map(tables.profiles.set_index("profile_id")["source"])
    density = tables.layers["soc"] / 1000
    counts = {f"above {limit:g}": (density > limit).groupby(source).sum() for limit in thresholds}
    table = pd.DataFrame({"layers": source.value_counts(), **counts}).sort_values("layers", ascending=False)
    return pd.concat([table, table.sum().to_frame("all").T]).rename_axis("source")


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
            f"cleaning left no profile of {len(tables.profiles)}; most went under the rule {worst.index[0]!r} "
            f"({worst.iloc[0]} rows). Look at the source tables and at the thresholds of the study."
        )
