"""Faults planted in the made profiles, of the kinds that real collections have, with a list of what was planted."""

from __future__ import annotations

import numpy as np
import pandas as pd

# Share of profiles that get each fault. The first group is spoiled beyond use; of the second one layer is lost.
_WHOLE = {"position missing": 0.01, "off the land": 0.01, "one layer": 0.03, "no density at all": 0.02}
DUPLICATES = 0.02
_LAYER = {
    "no density": 0.04,
    "inverted depths": 0.015,
    "no carbon": 0.015,
    "implausible density": 0.01,
    "below the model": 0.008,
    "overlapping layers": 0.01,
}
_SEA = np.array([[-72.0, 36.0], [-78.0, 29.5], [-90.0, 27.0], [-120.5, 32.0], [-123.0, 33.0], [-68.0, 39.5]])


def n_spoiled(n_sound: int) -> int:
    """How many pits to dig beyond `n_sound`, to be spoiled beyond use."""
    return sum(_count(share, n_sound) for share in _WHOLE.values())


def _count(share: float, n: int) -> int:
    return max(2, round(share * n))


def with_faults(
    profiles: pd.DataFrame, layers: pd.DataFrame, n_sound: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Tables with faults, such that cleaning leaves the first `n_sound` profiles, all with two layers or more.

    Parameters
    ----------
    profiles, layers : DataFrame
        In the columns of profiles.csv and layers.csv, `n_sound + n_spoiled(n_sound)` profiles, none with a fault.

    Returns
    -------
    profiles, layers : DataFrame
        In random order.
    planted : DataFrame
        profile_id, layer (missing for a whole profile), rule: what cleaning must find. Layers that go with their
        whole profile are not listed.
    """
    rng = np.random.default_rng([seed, n_sound, 2])
    profiles, layers = profiles.copy(), layers.copy()
    planted: list[pd.DataFrame] = []
    ids = profiles["profile_id"].to_numpy()
    start = n_sound
    for fault, share in _WHOLE.items():
        chosen = ids[start : start + _count(share, n_sound)]
        start += len(chosen)
        profiles, layers = _spoil(fault, chosen, profiles, layers, planted, rng)

    sound = ids[:n_sound]
    rich = layers["profile_id"].value_counts()
    rich = rng.permutation(sound[rich.reindex(sound).to_numpy() >= 3])
    for fault, share in _LAYER.items():
        chosen, rich = np.split(rich, [_count(share, n_sound)])
        layers = _damage(fault, chosen, layers, planted)

    copied = rng.choice(sound, _count(DUPLICATES, n_sound), replace=False)
    profiles, layers = _copied(copied, profiles, layers, planted)
    profiles = profiles.iloc[_originals_first(profiles, rng)].reset_index(drop=True)
    return profiles, layers.reset_index(drop=True), pd.concat(planted, ignore_index=True)


def _listed(ids, rule: str, layer=pd.NA) -> pd.DataFrame:
    return pd.DataFrame({"profile_id": ids, "layer": layer, "rule": rule}).astype({"layer": "Int64"})


def _spoil(fault, chosen, profiles, layers, planted, rng):
    """Faults that cost the whole profile."""
    rows, hit = profiles["profile_id"].isin(chosen), layers["profile_id"].isin(chosen)
    if fault == "position missing":
        profiles.loc[rows, ["lon", "lat"]] = np.nan
        planted.append(_listed(chosen, fault))
    elif fault == "off the land":
        at_sea = _SEA[rng.integers(len(_SEA), size=len(chosen))] + rng.uniform(-0.5, 0.5, (len(chosen), 2))
        profiles.loc[rows, ["lon", "lat"]] = at_sea.round(5)
        planted.append(_listed(chosen, fault))
    elif fault == "one layer":
        layers = layers[~hit | (layers["layer"] == 1)]
        planted.append(_listed(chosen, "too few layers"))
    else:
        layers.loc[hit, ["bulk_density_g_cm3", "soc_kg_m3"]] = np.nan
        lost = layers[hit]
        planted.append(_listed(lost["profile_id"].to_numpy(), "no density", lost["layer"].to_numpy()))
        planted.append(_listed(chosen, "too few layers"))
    return profiles, layers


def _damage(fault, chosen, layers, planted):
    """Faults that cost one layer: the second, or one added below the last."""
    second = layers["profile_id"].isin(chosen) & (layers["layer"] == 2)
    if fault == "no density":
        layers.loc[second, ["bulk_density_g_cm3", "soc_kg_m3"]] = np.nan
    elif fault == "inverted depths":
        bounds = ["upper_depth_m", "lower_depth_m"]
        layers.loc[second, bounds] = layers.loc[second, bounds[::-1]].to_numpy()
    elif fault == "no carbon":
        layers.loc[second, ["oc_percent", "soc_kg_m3"]] = 0.0
    elif fault == "implausible density":  # bulk density in kg m-3 taken for g cm-3
        layers.loc[second, ["bulk_density_g_cm3", "soc_kg_m3"]] *= 1000.0
    else:
        last = layers[layers["profile_id"].isin(chosen)].groupby("profile_id", sort=False).tail(1)
        added = last.assign(layer=last["layer"] + 1)
        if fault == "below the model":
            added = added.assign(upper_depth_m=3.7, lower_depth_m=4.3)
        else:
            middle = 0.5 * (last["upper_depth_m"] + last["lower_depth_m"])
            added = added.assign(upper_depth_m=middle.round(3), lower_depth_m=last["lower_depth_m"] + 0.05)
        planted.append(_listed(added["profile_id"].to_numpy(), fault, added["layer"].to_numpy()))
        return pd.concat([layers, added])
    planted.append(_listed(chosen, fault, 2))
    return layers


def _copied(copied, profiles, layers, planted):
    """The same pits under second identifiers, positions to the hundredth of a degree, as collections overlap."""
    names = {old: f"D{old[1:]}" for old in copied}
    twins = profiles[profiles["profile_id"].isin(copied)].copy()
    twin_layers = layers[layers["profile_id"].isin(copied)].copy()
    planted.append(_listed([names[old] for old in twins["profile_id"]], "duplicate profile"))
    twins[["lon", "lat"]] = twins[["lon", "lat"]].round(2)
    twins["profile_id"] = twins["profile_id"].map(names)
    twin_layers["profile_id"] = twin_layers["profile_id"].map(names)
    return pd.concat([profiles, twins]), pd.concat([layers, twin_layers])


def _originals_first(profiles: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """A random order in which a copy never comes before its original, since the first of two alike is kept."""
    order = rng.permutation(len(profiles))
    copy = profiles["profile_id"].str.startswith("D").to_numpy()[order]
    return np.concatenate([order[~copy], order[copy]])
