"""The cleaning of soil profiles: carbon by volume of every layer, named rules, and an account of every excluded row.

SOC [g m-3] = organic carbon [g kg-1] x bulk density of the fine earth [kg m-3] x (1 - volume of coarse fragments).
Carbon by volume that the source reports is not changed. Where bulk density is missing, the study names one of the
published `PEDOTRANSFER` functions, or "none"; the relative error of its density is that of the carbon.

The rules are applied in order, and nothing is repaired: an upper bound below its lower bound may be a slip of the pen,
or an organic layer measured upwards from the mineral surface, as in surveys before 1993.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.data.tables import KINDS, ProfileTables
from proda.errors import InputError

ORGANIC_FROM = 120.0  # g kg-1: the least carbon of organic soil material (Soil Survey Staff 1999, saturated, no clay)
MATTER_PER_CARBON = 1.724  # organic matter over organic carbon by mass, the factor of van Bemmelen
PURE_ORGANIC = 1000.0 / MATTER_PER_CARBON  # g kg-1: no soil has more carbon
ORGANIC_DENSITY = 0.244  # g cm-3: bulk density of organic matter, Adams 1973
ROCK_DENSITY = 2.65  # g cm-3: of quartz, and nearly of calcite, feldspars and clays
CARBON_CLASSES = (20.0, ORGANIC_FROM)  # g kg-1, between which the relative error of a function is given
NONE = "none"  # the rule without a pedotransfer function
OFF = 0  # the value of a threshold whose rule is not applied
_DEPTH_CLASSES = (0.1, 0.3, 0.6, 1.0)  # m, between which carbon of sources is compared
_TYPICAL_DENSITY = 1400.0  # kg m-3, for the share by mass of layers that report carbon by volume alone


class Pedotransfer(NamedTuple):
    """A published relation of bulk density to organic carbon."""

    density: Callable[[NDArray], NDArray]  # organic carbon (g kg-1) -> bulk density of the fine earth, g cm-3
    greatest_carbon: float  # g kg-1; above it the function gives no density
    # Below, between and above `CARBON_CLASSES`: the greater of what the authors published and the 68th percentile of
    # |measured / estimated - 1| in 27,218 layers with a measured density of the public profiles that data/README.md
    # describes (NCSS, NWCA, NEON), which includes the function's bias.
    relative_sd: tuple[float, float, float]
    source: str


def _mixture(organic: float, mineral: float) -> Callable[[NDArray], NDArray]:
    """Volumes of pure organic and of pure mineral matter add up: 1 / (f / organic + (1 - f) / mineral)."""

    def density(carbon: NDArray) -> NDArray:
        matter = np.minimum(MATTER_PER_CARBON * carbon / 1000.0, 1.0)
        return 1.0 / (matter / organic + (1.0 - matter) / mineral)

    return density


PEDOTRANSFER = {
    "adams-1973": Pedotransfer(
        _mixture(ORGANIC_DENSITY, 1.64),
        580.0,
        (0.13, 0.27, 0.68),
        "Adams 1973, Journal of Soil Science 24, 10-17, with the mineral density of Mann 1986, Soil Science 142, "
        "279-288, as in Post and Kwon 2000, doi 10.1046/j.1365-2486.2000.00308.x",
    ),
    "perie-ouimet-2008": Pedotransfer(
        _mixture(0.111, 1.767),
        580.0,
        (0.14, 0.42, 0.54),
        "Périé and Ouimet 2008, doi 10.4141/CJSS06008 (published accuracy: 14 %), after Federer et al. 1993, "
        "doi 10.1139/x93-131",
    ),
    "manrique-jones-1991": Pedotransfer(
        lambda carbon: 1.660 - 0.318 * np.sqrt(carbon / 10.0),
        ORGANIC_FROM,
        (0.18, 0.32, np.nan),
        "Manrique and Jones 1991, doi 10.2136/sssaj1991.03615995005500020030x (19,651 mineral layers, R2 0.41)",
    ),
    "hossain-2015": Pedotransfer(
        lambda carbon: 0.071 + 1.322 * np.exp(-0.0071 * carbon),
        580.0,
        (0.26, 0.30, 0.52),
        "Hossain et al. 2015, doi 10.1016/j.inpa.2015.09.001 (1,376 layers of the Canadian arctic and sub-arctic)",
    ),
}
COARSEST_SD = max(np.nanmax(function.relative_sd) for function in PEDOTRANSFER.values())


def estimated_density(organic_carbon: ArrayLike, rule: str) -> tuple[NDArray, NDArray]:
    """Bulk density (g cm-3) by the pedotransfer function `rule`, and its relative standard deviation, (n,) each.

    Both are NaN where carbon (g kg-1) is missing, negative or beyond what the function was made for.
    """
    function = PEDOTRANSFER[rule]
    carbon = np.asarray(organic_carbon, float)
    known = (carbon >= 0) & (carbon <= function.greatest_carbon)
    sd = np.asarray(function.relative_sd)[np.digitize(carbon, CARBON_CLASSES, right=True)]
    density = np.full(carbon.shape, np.nan)
    density[known] = function.density(carbon[known])
    return density, np.where(known, sd, np.nan)


def soc_density(organic_carbon: ArrayLike, bulk_density: ArrayLike, coarse_fraction: ArrayLike) -> NDArray:
    """Organic carbon per volume of soil, g m-3, (n,).

    From organic carbon (g kg-1) and bulk density (g cm-3) of the fine earth, and the fraction of coarse fragments by
    volume, of which missing counts as none; (n,) each.
    """
    coarse = np.nan_to_num(np.asarray(coarse_fraction, float), nan=0.0)
    return np.asarray(organic_carbon, float) * np.asarray(bulk_density, float) * 1000.0 * (1.0 - coarse)


def _carbon_by_mass(soc: pd.Series) -> pd.Series:
    """Organic carbon, g kg-1, of a soil without stones that holds `soc` (g m-3), by the function of Adams 1973.

    Good enough for the class of a relative error where a source reports carbon by volume alone.
    """
    function = PEDOTRANSFER["adams-1973"]
    carbon = np.linspace(0.0, function.greatest_carbon, 200)
    by_mass = np.interp(soc.to_numpy(float), soc_density(carbon, function.density(carbon), 0.0), carbon)
    return pd.Series(by_mass, soc.index)


def _estimated_by_source(layers: pd.DataFrame) -> NDArray[np.bool_]:
    method = layers["bulk_density_method"].astype("string")
    return method.str.lower().str.startswith("ptf").fillna(False).to_numpy(bool)


def with_soc_density(tables: ProfileTables, rule: str = NONE) -> ProfileTables:
    """`tables` with `soc` of layers wherever it can be computed, and `kind`, `density_source`, `density_relative_sd`.

    `rule` is a name in `PEDOTRANSFER`, or "none". An estimate of the source has a `bulk_density_method` "ptf...".
    """
    layers = tables.layers
    carbon, reported = layers["organic_carbon"], layers["soc"].notna()
    measured = ~reported & carbon.notna() & layers["bulk_density"].notna()
    density = layers["bulk_density"].where(measured)
    origin = np.select([reported, measured], ["as reported", "measured bulk density"], "").astype(object)
    sd = np.zeros(len(layers))

    by_source = _estimated_by_source(layers) & (reported | measured).to_numpy(bool)
    for method in layers["bulk_density_method"].astype("string")[by_source].unique():
        rows = by_source & (layers["bulk_density_method"] == method).to_numpy(bool)
        alike = [name for name in PEDOTRANSFER if name.split("-")[0] in method.lower()]
        by_mass = carbon[rows].fillna(_carbon_by_mass(layers["soc"][rows]))
        error = estimated_density(by_mass, alike[0] if alike else "adams-1973")[1]
        # Above the greatest carbon of a function its error is not known: take that of the coarsest, for peat.
        sd[rows] = np.where(np.isnan(error), COARSEST_SD, error)
        origin[rows] = f"estimated by the source ({method})"

    if rule != NONE:
        missing = (~reported & ~measured & carbon.notna()).to_numpy(bool)
        estimate, sd[missing] = estimated_density(carbon[missing], rule)
        density.loc[missing] = estimate
        origin[missing] = np.where(np.isfinite(estimate), f"estimated ({rule})", "")
    soc = layers["soc"].where(reported, soc_density(carbon, density, layers["coarse_fraction"]))
    # Conditions in the order in which they apply; carbon by mass that is missing fails both comparisons.
    kind = np.select([layers["litter"].to_numpy(bool), carbon >= ORGANIC_FROM, carbon >= 0], KINDS[2::-1], KINDS[3])
    sd = np.where(soc.notna(), sd, 0.0)
    return ProfileTables(
        tables.profiles, layers.assign(soc=soc, kind=kind.astype(object), density_source=origin, density_relative_sd=sd)
    )


Excluded = pd.Series  # the value that a rule does not allow, by row label of the table it applies to
Limits = Mapping[str, float]
ACCOUNT_COLUMNS = ("rule", "profiles_before", "profiles_after", "layers_before", "layers_after")


class Rule(NamedTuple):
    """One reason to exclude a profile, with its layers, or a layer."""

    name: str  # as in exclusions.csv
    meaning: str
    table: str  # "profiles" or "layers"
    setting: str  # that holds its threshold; empty where it needs none
    excluded: Callable[[ProfileTables, Limits], Excluded]  # the excluded rows of that table


RULES: list[Rule] = []


def rule(name: str, meaning: str, table: str, setting: str = "") -> Callable:
    """Add the decorated function to `RULES`, which are applied in the order of their definition."""

    def added(excluded: Callable[[ProfileTables, Limits], Excluded]) -> Callable:
        RULES.append(Rule(name, meaning, table, setting, excluded))
        return excluded

    return added


def _shown_position(profiles: pd.DataFrame) -> pd.Series:
    text = profiles["lon"].map("lon {:g}".format) + profiles["lat"].map(", lat {:g}".format)
    return text.astype(object).map(lambda position: position.replace("nan", "missing"))


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
    return _shown_position(tables.profiles[~possible])


@rule("position uncertain", "position too uncertain (0: not applied)", "profiles", "max_position_uncertainty_km")
def _position_uncertain(tables: ProfileTables, limits: Limits) -> Excluded:
    uncertainty, most = tables.profiles["position_uncertainty"] / 1000.0, limits["max_position_uncertainty_km"]
    return uncertainty[(uncertainty > most) & (most != OFF)].map("{:.4g} km".format)


@rule("outside the domain", "too far from the box around the land cells", "profiles", "nearest_cell_degrees")
def _outside_domain(tables: ProfileTables, limits: Limits) -> Excluded:
    return _shown_position(tables.profiles[~tables.profiles["in_domain"]])


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
    tolerance = limits["duplicate_tolerance_degrees"]
    # A source may list layers top down, another bottom up.
    layers = tables.layers.sort_values(["upper_depth", "lower_depth", "soc"], kind="stable")
    text = layers["upper_depth"].map("{:.3f}".format) + layers["lower_depth"].map("-{:.3f}".format)
    text += layers["soc"].map(":{:.4g};".format)
    prints = text.groupby(layers["profile_id"], sort=False).sum()
    profiles = tables.profiles.assign(print=tables.profiles["profile_id"].map(prints)).dropna(subset="print")
    twins = profiles[profiles["print"].duplicated(keep=False)]
    original_of, kept = {}, {}
    for row, name, lon, lat, same in twins[["profile_id", "lon", "lat", "print"]].itertuples():
        others = kept.setdefault(same, [])
        # Places on both sides of 180 degrees are near each other.
        away = ((other, max(abs((x - lon + 180) % 360 - 180), abs(y - lat))) for other, x, y in others)
        near = (other for other, distance in away if distance <= tolerance)
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
    litter = layers[(layers["kind"] == "litter") & bool(limits["exclude_litter"])]
    return litter["upper_depth"].map("{:g}".format) + litter["lower_depth"].map(" to {:g} m".format)


@rule("no density", "carbon by mass without a bulk density", "layers", "bulk_density_rule")
def _no_density(tables: ProfileTables, limits: Limits) -> Excluded:
    unknown = tables.layers["soc"].isna()
    return pd.Series("no bulk density", tables.layers.index[unknown], dtype=object)


@rule("zero carbon", "a reported zero or less: nothing found, or not measured", "layers")
def _zero_carbon(tables: ProfileTables, limits: Limits) -> Excluded:
    return (tables.layers.loc[tables.layers["soc"] <= 0, "soc"] / 1000).map("{:g} kg m-3".format)


@rule("fraction read as percent", "carbon by mass a hundredth of what it must be (0: off)", "layers", "hundredth_below")
def _hundredth(tables: ProfileTables, limits: Limits) -> Excluded:
    """Layers far below both neighbours, profiles far below their source, and sources far below the others, by depth.

    "Far" is below a share of `hundredth_below`; and a hundred times the carbon must still be possible.
    """
    layers = tables.layers.sort_values(["profile_id", "upper_depth"], kind="stable")
    share = layers["organic_carbon"].where(layers["organic_carbon"] > 0, layers["soc"] / _TYPICAL_DENSITY)
    carbon, profile = np.log10(share), layers["profile_id"]
    source = profile.map(tables.profiles.set_index("profile_id")["source"]).fillna("")
    middle = 0.5 * (layers["upper_depth"] + layers["lower_depth"])
    depth = pd.Series(np.digitize(middle, _DEPTH_CLASSES), layers.index)
    above, below = (carbon.groupby(profile).shift(step) for step in (1, -1))
    by_source = carbon.groupby([source, depth]).median()
    of_source = (by_source - by_source.groupby(level=1).transform("median")).groupby(level=0).median()
    of_profile = (carbon - carbon.groupby([source, depth]).transform("median")).groupby(profile).max()
    # A layer between two neighbours; all layers of a profile; and all of a source.
    dip = np.maximum(carbon - above, carbon - below)  # missing at the ends of a profile
    low = pd.concat([dip, profile.map(of_profile), source.map(of_source)], axis=1)
    far = low.lt(np.log10(limits["hundredth_below"]) if limits["hundredth_below"] != OFF else -np.inf)
    whole = share.groupby(profile).transform("max")
    possible = pd.concat([share, whole, whole], axis=1).set_axis(low.columns, axis=1) < PURE_ORGANIC / 100.0
    return (share[(far & possible).any(axis=1)] / 10).map("{:.2g} % carbon".format)


@rule("below detection", "less carbon by mass than laboratories can tell from none", "layers", "min_carbon_percent")
def _below_detection(tables: ProfileTables, limits: Limits) -> Excluded:
    percent = tables.layers["organic_carbon"] / 10
    return percent[percent < limits["min_carbon_percent"]].map("{:.2g} % carbon".format)


@rule("implausibly low density", "less carbon than min_soc_kg_m3", "layers", "min_soc_kg_m3")
def _low_density(tables: ProfileTables, limits: Limits) -> Excluded:
    soc = tables.layers["soc"] / 1000
    return soc[soc < limits["min_soc_kg_m3"]].map("{:.2g} kg m-3".format)


@rule("inverted depths", "lower bound not below the upper one, or a bound missing", "layers")
def _inverted_depths(tables: ProfileTables, limits: Limits) -> Excluded:
    upper, lower = tables.layers["upper_depth"], tables.layers["lower_depth"]
    good = (upper >= 0) & (lower > upper)  # false where a bound is missing
    return upper[~good].map("{:g} to ".format) + lower[~good].map("{:g} m".format)


@rule("implausible density", "more carbon than max_soc_kg_m3", "layers", "max_soc_kg_m3")
def _implausible(tables: ProfileTables, limits: Limits) -> Excluded:
    soc = tables.layers["soc"] / 1000
    return soc[soc > limits["max_soc_kg_m3"]].map("{:.4g} kg m-3".format)


@rule("carbon of limestone", "too dense for organic carbon, from this pH on (0: off)", "layers", "limestone_from_ph")
def _limestone(tables: ProfileTables, limits: Limits) -> Excluded:
    """Alkaline mineral layers too dense for their carbon to be that of organic matter, which is light.

    Only a measured density is evidence: one that was estimated from carbon agrees with any carbon. Organic soils are
    exempt, since in peat and muck organic and mineral volumes do not add up.
    """
    layers, least_ph = tables.layers, limits["limestone_from_ph"]
    mineral = layers[(layers["organic_carbon"] < ORGANIC_FROM) & ~_estimated_by_source(layers)]
    # Organic matter, and minerals without pores in the rest of the volume: no soil is denser.
    greatest = _mixture(ORGANIC_DENSITY, ROCK_DENSITY)(mineral["organic_carbon"].to_numpy(float))
    excluded = mineral[(mineral["bulk_density"] > greatest) & (mineral["ph"] >= least_ph) & (least_ph != OFF)]
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
    """The tables that cleaning leaves, and the account of what it excludes."""

    profiles: pd.DataFrame  # as in `ProfileTables`
    layers: pd.DataFrame  # sorted by profile and depth
    # One row an excluded profile or layer, in the order of the rules: profile_id, layer (the source's own number,
    # missing for a whole profile), rule, value, kind (of a layer), source (of the profile).
    exclusions: pd.DataFrame
    account: pd.DataFrame  # one row a rule, in order, with `ACCOUNT_COLUMNS`


def used_by_study(used: ProfileTables) -> Rule:
    """A rule that excludes the profiles of a study, `used`, by identifier or as duplicates."""
    theirs = [
        table.assign(profile_id=table["profile_id"] + " of the study").set_axis(~np.arange(len(table)))
        for table in used
    ]

    def excluded(tables: ProfileTables, limits: Limits) -> Excluded:
        named = tables.profiles["profile_id"]
        both = ProfileTables(*(pd.concat(pair) for pair in zip(theirs, tables, strict=True)))
        twins = _duplicates(both, limits)
        twins = twins[(twins.index >= 0) & twins.isin(theirs[0]["profile_id"])]
        return named[named.isin(used.profiles["profile_id"])].combine_first(twins)

    return Rule("used by the study", "", "profiles", "duplicate_tolerance_degrees", excluded)


def cleaned(tables: ProfileTables, limits: Limits, rules: Sequence[Rule] = RULES) -> CleanedTables:
    """`tables` without what `rules`, applied one after the other, exclude.

    `tables` are those of `with_soc_density`; profiles have `in_domain`, `cell` (-1 off the land), `distance` (degrees),
    `has_forcing` and `has_covariates` besides. `limits` are the settings that `RULES` name: min_layers, max_depth_m
    (m), max_soc_kg_m3 (kg m-3), ... An InputError when nothing is left.
    """
    current = ProfileTables(tables.profiles.reset_index(drop=True), tables.layers.reset_index(drop=True))
    exclusions, account = [], []
    for applied in rules:
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
        exclusions.append(lost[["profile_id", "layer"]].assign(rule=applied.name, value=values, kind=lost["kind"]))
        sizes = (len(part) for pair in zip(before, current, strict=True) for part in pair)
        account.append((applied.name, *sizes))
    source = tables.profiles.set_index("profile_id")["source"]
    listed = pd.concat([part.astype(object) for part in exclusions], ignore_index=True)
    listed = listed.assign(source=listed["profile_id"].map(source), layer=listed["layer"].astype("Int64"))
    layers = current.layers.sort_values(["profile_id", "upper_depth", "lower_depth"], kind="stable", ignore_index=True)
    result = CleanedTables(
        current.profiles.reset_index(drop=True), layers, listed, pd.DataFrame(account, columns=ACCOUNT_COLUMNS)
    )
    if not len(result.profiles):
        worst = listed["rule"].value_counts()
        raise InputError(
            f"cleaning left no profile of {len(tables.profiles)}; most were excluded by the rule {worst.index[0]!r} "
            f"({worst.iloc[0]} rows). Look at the source tables and at the thresholds of the study."
        )
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
