"""The cleaning of soil profiles: rules with names, applied in order, and an account that adds up.

Every rule of `proda.data.cleaning_rules` says which profiles or layers it takes out and which value it took offence at.
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from proda.data.cleaning_rules import RULES, Limits, Rule
from proda.data.profiles import ProfileTables
from proda.errors import InputError, ProdaError

ACCOUNT_COLUMNS = ("rule", "profiles_before", "profiles_after", "layers_before", "layers_after")


class CleanedTables(NamedTuple):
    """What cleaning leaves, and the account of what it took.

    Attributes
    ----------
    profiles, layers : DataFrame
        As in `ProfileTables`, the layers sorted by profile and depth.
    exclusions : DataFrame
        profile_id, layer (missing for a whole profile), rule, value, kind (of a layer), source.
    account : DataFrame
        One row a rule, in order, with `ACCOUNT_COLUMNS`.
    by_source : DataFrame
        The same, one row a source and rule, with `source` besides.
    """

    profiles: pd.DataFrame
    layers: pd.DataFrame
    exclusions: pd.DataFrame
    account: pd.DataFrame
    by_source: pd.DataFrame


def cleaned(tables: ProfileTables, limits: Limits, rules: tuple[Rule, ...] = RULES) -> CleanedTables:
    """What `rules`, applied one after the other, leave of `tables`.

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
        kind = lost.get("kind", pd.Series(pd.NA, lost.index))
        exclusions.append(lost[["profile_id", "layer"]].assign(rule=rule.name, value=lost_values, kind=kind))
        sizes = (before.profiles, current.profiles, before.layers, current.layers)
        account.append((rule.name, *map(len, sizes)))
    listed = pd.concat([part.astype(object) for part in exclusions], ignore_index=True)
    listed = listed.assign(source=listed["profile_id"].map(source), layer=listed["layer"].astype("Int64"))
    layers = current.layers.sort_values(["profile_id", "upper_depth", "lower_depth"], kind="stable", ignore_index=True)
    account = pd.DataFrame(account, columns=ACCOUNT_COLUMNS)
    by_source = account_by_source(tables, listed, [rule.name for rule in rules])
    result = CleanedTables(current.profiles.reset_index(drop=True), layers, listed, account, by_source)
    _check_account(tables, result)
    return result


def account_by_source(tables: ProfileTables, exclusions: pd.DataFrame, rules: list[str]) -> pd.DataFrame:
    """The account of cleaning for each source: source, rule and `ACCOUNT_COLUMNS`, rules in order.

    Layers whose profile is not listed are of the source "unknown".
    """
    source_of = tables.profiles.set_index("profile_id")["source"]
    whole, source = exclusions["layer"].isna(), exclusions["source"].fillna("unknown")
    of_layers = tables.layers["profile_id"].map(source_of).fillna("unknown").value_counts()
    begun = {"profiles": tables.profiles["source"].value_counts(), "layers": of_layers}
    names = begun["profiles"].index.union(of_layers.index, sort=False)
    table = pd.MultiIndex.from_product([names, rules], names=["source", "rule"]).to_frame(index=False)
    for of, rows in (("profiles", whole), ("layers", ~whole)):
        counted = pd.crosstab(source[rows], exclusions["rule"][rows])
        lost = counted.reindex(index=names, columns=rules, fill_value=0).to_numpy(int)
        after = begun[of].reindex(names, fill_value=0).to_numpy(int)[:, None] - lost.cumsum(axis=1)
        table[f"{of}_before"], table[f"{of}_after"] = (after + lost).ravel(), after.ravel()
    return table[["source", *ACCOUNT_COLUMNS]]


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
